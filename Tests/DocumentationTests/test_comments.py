"""Every public declaration says what it should, and one that does not is found."""

import json
import subprocess

import pytest

from check_documentation import problems_of
from symbol_graphs import DOCUMENTED, Symbol, build_symbol_graphs, public_symbols, symbols_of
from toolchain import tool

PLANTED = """
public func bare() {}

/// - Returns: a number.
public func headless() -> Int { 0 }

/// Counts the frames.
public func silent() -> Int { 0 }

/// Counts the frames. - Returns: how many there are.
public func said() -> Int { 0 }

/// The number of frames.
public func named() -> Int { 0 }

public struct Broken: Error {}

/// Does it.
public func throwing() throws(Broken) {}

/// Does it.
/// - Throws: `Broken`, always.
public func honest() throws(Broken) {}

/// Does it with what may throw.
public func calls(_ body: () throws -> Int) {}

public enum Case {
    /// The first.
    case documented
    case undocumented
}
"""


def test_every_public_declaration_says_what_it_should():
    build_symbol_graphs()
    symbols = public_symbols()
    assert {symbol.module for symbol in symbols} == set(DOCUMENTED)
    assert len(symbols) > 1500
    assert [f"{symbol.place} {symbol.name} {problem}" for symbol in symbols for problem in problems_of(symbol)] == []


def test_what_is_missing_is_found_in_what_the_compiler_says(tmp_path):
    (tmp_path / "Planted.swift").write_text(PLANTED)
    subprocess.run(
        [tool("swiftc"), "-emit-module", "-module-name", "Planted", "-parse-as-library", "-emit-symbol-graph",
         "-emit-symbol-graph-dir", tmp_path, "-o", tmp_path / "Planted.swiftmodule", tmp_path / "Planted.swift"],
        check=True, timeout=120)
    graph = json.loads((tmp_path / "Planted.symbols.json").read_text())
    found = {symbol.name.partition("(")[0]: problems_of(symbol) for symbol in symbols_of(graph, "Planted")}
    assert {name: len(problems) for name, problems in found.items() if problems} == {
        "bare": 1, "headless": 1, "silent": 1, "throwing": 1, "Broken": 1, "Case": 1, "Case.undocumented": 1}
    assert "Throws" in found["throwing"][0]


@pytest.mark.parametrize("comment, count", [
    (["Frees it."], 2), (["Frees it.", "- Complexity: O(1)."], 1),
    (["Frees it.", "- Complexity: O(1). Any context."], 0),
])
def test_a_call_of_linux_says_what_it_costs_and_who_may_call_it(comment, count):
    call = Symbol(
        "Slab", ("Kmalloc", "kfree(_:)"), "swift.method", "func kfree(_ pointer: Int)", "()", comment,
        "Sources/Slab/LinuxNames+Any.swift", 1)
    assert len(problems_of(call)) == count
    call.file = "Sources/Slab/Kmalloc.swift"
    assert problems_of(call) == []
