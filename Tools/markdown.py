"""What the documentation's tools know of Markdown: headings, their anchors, links, tables, and DocC's form of an article."""

import os
import re

LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")
IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.*?) *#*$", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")


def headings(text):
    return HEADING.findall(FENCE.sub("", text))


def plain(heading):
    """A heading's words, without the marks of links and code."""
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")


def slug(heading):
    """The anchor that a heading has where Markdown files are shown, on GitHub for one."""
    return re.sub(r"[^\w\- ]", "", plain(heading).strip().lower()).replace(" ", "-")


def broken_links(path, root):
    """The links and images of a file that lead nowhere in the repository, each with the reason. The web is left alone."""
    text = FENCE.sub("", path.read_text())
    text = CODE.sub("", text)
    broken = []
    for match in [*LINK.finditer(text), *IMAGE.finditer(text)]:
        target = match[2]
        if "://" in target or target.startswith("mailto:"):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        if not there.is_relative_to(root) or not there.exists():
            broken.append(f"{target}: no such file")
        elif anchor and anchor not in [slug(heading) for heading in headings(there.read_text())]:
            broken.append(f"{target}: no such heading")
    return broken


def rows(text):
    """The rows of all tables of a text, as lists of cells; headings and rulers are left out."""
    found, lines = [], text.splitlines()
    for index, line in enumerate(lines):
        follows = lines[index + 1] if index + 1 < len(lines) else ""
        if line.startswith("|") and not re.match(r"^\|[-| :]+$", line) and not re.match(r"^\|[-| :]+$", follows):
            found.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return found


def article_link(title, target, texts):
    """A link of docs/*.md as the site needs it. What is not in the site keeps its words and loses the link."""
    if "://" in target:
        return f"[{title}]({target})"
    file, _, anchor = target.partition("#")
    name = file.removesuffix(".md")
    if file and (not file.endswith(".md") or name not in texts):
        return title
    if not anchor:
        return f"[{title}](doc:{name})"
    for heading in headings(texts[name]) if name else ():
        if slug(heading) == anchor:
            return f"[{title}](doc:{name}#{re.sub(r'[^A-Za-z0-9]+', '-', plain(heading)).strip('-')})"
    return f"[{title}](doc:{name})" if name else title


def as_article(text, texts):
    """The text of one docs/*.md with its links as the site needs them; code stays as it is."""
    parts, at = [], 0
    for fence in FENCE.finditer(text):
        parts += [text[at:fence.start()], fence[0]]
        at = fence.end()
    parts.append(text[at:])

    def convert(part):
        part = IMAGE.sub(lambda match: f"![{match[1]}]({os.path.basename(match[2])})", part)
        return LINK.sub(lambda match: article_link(match[1], match[2], texts), part)

    return "".join(convert(part) if index % 2 == 0 else part for index, part in enumerate(parts))
