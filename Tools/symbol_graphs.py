"""The public symbols of the library, as the compiler writes them down for documentation: names, declarations, comments."""

import dataclasses
import json
import pathlib
import re
import urllib.parse

from toolchain import FLOORS, ROOT, Failure, run

# What the package's products consist of.
DOCUMENTED = FLOORS + ["Tracing", "QuarryX86", "SimulatedMachine", "SimulatedKernel"]
SCRATCH = ROOT / ".build-docs"
GRAPHS = SCRATCH / "symbol-graphs"


@dataclasses.dataclass
class Symbol:
    """A public declaration: its module, names from the outermost type on, its source, its result, the comment's lines."""

    module: str
    path: tuple
    kind: str
    declaration: str
    returns: str
    comment: list
    file: str
    line: int

    @property
    def name(self):
        return ".".join(self.path)

    @property
    def place(self):
        return f"{self.file}:{self.line}"


def build_symbol_graphs():
    """Compiles the documented modules, with a symbol graph of each in GRAPHS. Needs no package and no network."""
    GRAPHS.mkdir(parents=True, exist_ok=True)
    for target in ("Quarry", "QuarryX86", "SimulatedMachine", "SimulatedKernel"):
        run(["swift", "build", "--build-system", "native", "--scratch-path", SCRATCH, "--target", target, "--quiet",
             "-Xswiftc", "-emit-symbol-graph", "-Xswiftc", "-emit-symbol-graph-dir", "-Xswiftc", GRAPHS,
             "-Xswiftc", "-emit-extension-block-symbols"], cwd=ROOT)
    return GRAPHS


def graph_files(directory, module):
    """The graphs of a module: of its own declarations, and of what it adds to types of other modules."""
    files = sorted([*directory.glob(f"{module}.symbols.json"), *directory.glob(f"{module}@*.symbols.json")])
    if not files:
        raise Failure(f"no symbol graph of {module} in {directory}")
    return files


def symbols_of(graph, module):
    """The declarations of one graph that stand in the sources: no synthesized ones, and no headers of extensions."""
    found = []
    for symbol in graph["symbols"]:
        place = symbol.get("location")
        kind = symbol["kind"]["identifier"]
        if symbol["accessLevel"] != "public" or place is None or kind == "swift.extension" \
                or "::SYNTHESIZED::" in symbol["identifier"]["precise"]:
            continue
        file = pathlib.Path(urllib.parse.unquote(urllib.parse.urlparse(place["uri"]).path))
        if file.suffix != ".swift":
            continue
        comment = [line["text"] for line in symbol.get("docComment", {}).get("lines", [])]
        declaration = "".join(part["spelling"] for part in symbol.get("declarationFragments", []))
        result = "".join(part["spelling"] for part in symbol.get("functionSignature", {}).get("returns", []))
        found.append(Symbol(
            module, tuple(symbol["pathComponents"]), kind, re.sub(r"\s+", " ", declaration), result, comment,
            str(file.relative_to(ROOT)) if file.is_relative_to(ROOT) else str(file),
            place["position"]["line"] + 1))
    return found


def public_symbols(directory=GRAPHS):
    """All public symbols of the documented modules, in the order of the source files."""
    found = {}
    for module in DOCUMENTED:
        for path in graph_files(directory, module):
            for symbol in symbols_of(json.loads(path.read_text()), module):
                found[symbol.place, symbol.name] = symbol
    return sorted(found.values(), key=lambda symbol: (symbol.file, symbol.line))
