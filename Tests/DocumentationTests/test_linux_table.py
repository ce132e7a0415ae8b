"""The table of Linux's calls names no thing of Quarry's that does not exist."""

import re

import pytest

from check_documentation import underscored
from markdown import rows
from symbol_graphs import DOCUMENTED, build_symbol_graphs, public_symbols
from toolchain import ROOT

TABLE = ROOT / "docs" / "linux-differences.md"
NAME = re.compile(r"`([^`]+)`")


def names_of(text):
    """The names in the middle column of every table, as they stand."""
    return [name for row in rows(text) if len(row) == 3 for name in NAME.findall(row[1])]


def boot_words():
    """The keys that the kernel looks for on its command line, and the names of its reports."""
    sources = [path.read_text() for path in (ROOT / "Sources" / "Kernel").rglob("*.swift")]
    found = set()
    for text in sources:
        found |= set(re.findall(r'(?:hasKey|word|flag|number|size|contains)\("([a-z0-9_.]+)"', text))
    report = (ROOT / "Sources" / "Kernel" / "Report.swift").read_text()
    return found | set(re.findall(r'case \.\w+: "(\w+)"', report))


@pytest.fixture(scope="module")
def known():
    build_symbol_graphs()
    found = set()
    for symbol in public_symbols():
        path = [part.partition("(")[0] for part in symbol.path]
        found |= {path[-1], "." + path[-1], ".".join(path[-2:])}
    for path in [path for module in DOCUMENTED for path in (ROOT / "Sources" / module).rglob("*.swift")]:
        found |= {name for _, name, _ in underscored(path.read_text())}
    return found, boot_words()


def is_known(name, known):
    symbols, words = known
    return name.partition("=")[0] in words if "=" in name else name in symbols or name in words


def test_each_name_of_quarry_exists(known):
    names = names_of(TABLE.read_text())
    assert len(names) > 200
    assert [name for name in names if not is_known(name, known)] == []


@pytest.mark.parametrize("name, exists", [
    ("kmalloc", True), ("BootAllocator.add", True), (".noMerge", True), ("cma=", True), ("slabinfo", True),
    ("kmalloc_nothing", False), ("BootAllocator.kmalloc", False), (".neverThere", False), ("nothing=", False),
])
def test_a_name_that_does_not_exist_is_found(known, name, exists):
    assert is_known(name, known) == exists


def test_the_names_are_those_of_the_middle_column():
    assert names_of("| Linux | Quarry | what |\n|---|---|---|\n| `a` | `b`, `c` | `d` |\n\n`e`\n") == ["b", "c"]
    assert len(names_of("| `a` | `b` |\n")) == 0


def test_every_call_of_linux_that_quarry_has_is_in_the_table(known):
    text = TABLE.read_text()
    calls = {symbol.path[-1].partition("(")[0] for symbol in public_symbols()
             if "/LinuxNames" in symbol.file and symbol.kind in ("swift.method", "swift.func", "swift.type.method")}
    assert len(calls) > 100
    # What has the same name in Linux with fewer underscores, or is said of its neighbour.
    besides = {"get_free_page", "get_free_pages", "page_to_phys", "phys_to_page", "page_to_virt"}
    assert sorted(call for call in calls - besides if f"`{call}`" not in text) == []
