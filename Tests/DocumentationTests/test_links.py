"""The links of the Markdown files lead somewhere, on disk as in the site."""

import pytest

from markdown import as_article, broken_links, rows, slug
from toolchain import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("Benchmarks/*.md"),
                *ROOT.glob("Examples/*/README.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_link_leads_to_a_file_and_a_heading(page):
    assert broken_links(page, ROOT) == []


@pytest.mark.parametrize("link, is_broken", [
    ("[a](other.md)", False), ("[a](other.md#two-words-and-code)", False), ("[a](#own)", False), ("[a](folder/)", False),
    ("`[a](none.md)`", False), ("[a](https://example.org/none)", False), ("![a](picture.svg)", False),
    ("[a](none.md)", True), ("[a](other.md#none)", True), ("[a](#none)", True), ("![a](none.svg)", True),
    ("[a](../outside.md)", True),
])
def test_a_broken_link_is_found(tmp_path, link, is_broken):
    (tmp_path.parent / "outside.md").write_text("# Outside")
    (tmp_path / "other.md").write_text("# Other\n\n## Two words, and `code`\n")
    (tmp_path / "picture.svg").write_text("<svg/>")
    (tmp_path / "folder").mkdir()
    page = tmp_path / "page.md"
    page.write_text(f"# Own\n\n```\n[a](in-code.md)\n```\n\n{link}\n")
    assert bool(broken_links(page, tmp_path)) == is_broken


def test_links_become_those_of_the_site():
    texts = {"boot": "# Booting\n\n## The command line\n"}
    text = "[a](boot.md), [b](boot.md#the-command-line), [c](../README.md), [d](https://example.org), `[e](boot.md)`"
    assert as_article(text, texts).startswith("[a](doc:boot), [b](doc:boot#The-command-line), c, [d](https://example.org)")
    fenced = "```\n[a](boot.md)\n```"
    assert as_article(fenced, texts) == fenced


def test_headings_and_tables_are_read():
    assert slug("`kmalloc`, and [what](it.md) is *not*") == "kmalloc-and-what-is-not"
    assert rows("| a | b |\n|---|---|\n| `x` | y \\| z |\n\n| c | d |\n| --- | --- |\n| 1 | 2 |\n") == [
        ["`x`", "y \\| z"], ["1", "2"]]
