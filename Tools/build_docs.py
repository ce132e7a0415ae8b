#!/usr/bin/env python3
"""Writes the documentation's site to build/docs: `build_docs.py`. A warning of the documentation compiler is an error.

One archive a module, from its symbol graph and its catalog, and one of the articles in docs/, all merged into one site
that any web server can hand out as files: `python3 -m http.server -d build/docs`.
"""

import shutil
import subprocess

from markdown import as_article
from symbol_graphs import DOCUMENTED, build_symbol_graphs, graph_files
from toolchain import BUILD, ROOT, Failure, entry_point, tool

SITE = BUILD / "docs"
WORK = BUILD / "docs-parts"
FRONT = """<!DOCTYPE html>
<meta charset="utf-8">
<meta http-equiv="refresh" content="0; url=documentation/quarry/">
<title>Quarry</title>
<a href="documentation/quarry/">Quarry</a>
"""


def assemble_articles(catalog, documents=ROOT / "docs"):
    """A catalog of the landing page in Documentation/ and of every page in docs/."""
    shutil.rmtree(catalog, ignore_errors=True)
    shutil.copytree(ROOT / "Documentation" / "Quarry.docc", catalog)
    texts = {path.stem: path.read_text() for path in documents.glob("*.md")}
    for name, text in texts.items():
        (catalog / f"{name}.md").write_text(as_article(text, texts))
    landing = catalog / "Quarry.md"
    others = [name for name in sorted(texts) if f"<doc:{name}>" not in landing.read_text()]
    if others:
        links = "".join(f"- <doc:{name}>\n" for name in others)
        landing.write_text(f"{landing.read_text()}\n### More\n\n{links}")
    for image in documents.glob("images/*"):
        shutil.copy(image, catalog)


def docc(*arguments):
    """Runs the documentation compiler, and shows what it says, but for the empty line that it ends with."""
    done = subprocess.run(
        [tool("docc"), *(str(word) for word in arguments)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=600)
    if done.stdout.strip():
        print(done.stdout.strip())
    if done.returncode:
        raise Failure(f"docc {arguments[0]} failed with status {done.returncode}")


def convert(name, output, catalog=None, graphs=None, dependencies=()):
    """Compiles one archive. Whatever docc warns of ends it."""
    command = ["convert", *([catalog] if catalog and catalog.exists() else []), "--warnings-as-errors",
               "--fallback-display-name", name, "--fallback-bundle-identifier", f"quarry.{name}",
               "--enable-experimental-external-link-support", "--output-path", output]
    if graphs:
        command += ["--additional-symbol-graph-dir", graphs]
    for archive in dependencies:
        command += ["--dependency", archive]
    docc(*command)
    return output


def graphs_of(directory, module, destination):
    """A directory with the graphs of one module alone, as docc wants them."""
    shutil.rmtree(destination, ignore_errors=True)
    destination.mkdir(parents=True)
    for path in graph_files(directory, module):
        shutil.copy(path, destination)
    return destination


def build(site=SITE, work=WORK):
    graphs = build_symbol_graphs()
    shutil.rmtree(work, ignore_errors=True)
    archives = []
    for module in DOCUMENTED:
        catalog = ROOT / "Sources" / module / f"{module}.docc"
        archives.append(convert(
            module, work / f"{module}.doccarchive", catalog, graphs_of(graphs, module, work / "graphs" / module),
            archives))
    assemble_articles(work / "Quarry.docc")
    articles = convert("Quarry", work / "Quarry.doccarchive", work / "Quarry.docc", dependencies=archives)
    shutil.rmtree(site, ignore_errors=True)
    docc("merge", articles, *archives, "--synthesized-landing-page-name", "Quarry", "--output-path", site)
    (site / "index.html").write_text(FRONT)
    return site


def main(arguments):
    site = build()
    pages = sum(1 for _ in site.glob("documentation/**/index.html"))
    print(f"docs: {pages} pages in {site.relative_to(ROOT)}; look at them with `python3 -m http.server -d build/docs`")
    return 0


if __name__ == "__main__":
    entry_point(main)
