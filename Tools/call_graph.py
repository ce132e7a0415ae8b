"""The call graph of a linked kernel: who calls whom, with how much on the stack, and whose address is taken.

An indirect call says nothing of where it goes. What it can reach is told by a table of known targets, and the table is
held against the image: each place that calls indirectly must be in it, each target must exist and have its address
taken, and each function whose address is taken must be a target, or be named as entered by the machine alone.
"""

import bisect
import dataclasses
import fnmatch
import re
import struct

from disassembly import measure

# A function's address as code names it: relative to the instruction, which objdump resolves, or as a number.
RESOLVED = re.compile(r"# ([0-9a-f]{8,16}) <")
IMMEDIATE = re.compile(r"\$0x([0-9a-f]{8,16})\b")
TAKES_ADDRESS = ("lea", "mov", "push")
SECTION_HEADER_SIZE = 64
ALLOCATED, NO_BITS = 2, 8


@dataclasses.dataclass
class Edge:
    """A call of `target`, while the caller has `depth` bytes on its stack; the return address is among them."""

    depth: int
    target: int
    is_indirect: bool = False


@dataclasses.dataclass
class Node:
    name: str
    address: int
    byte_count: int
    edges: list = dataclasses.field(default_factory=list)
    # Depths at the calls whose targets the code does not say.
    indirect_depths: list = dataclasses.field(default_factory=list)


class CallGraph:
    """Functions by their addresses, and the calls between them."""

    def __init__(self, functions):
        self.nodes, self.problems = {}, []
        functions = [function for function in functions if function.instructions]
        for function in functions:
            address, frame = function.instructions[0].address, measure(function)
            self.nodes[address] = Node(function.name, address, frame.byte_count)
            self.nodes[address].calls = frame.calls
        self.starts = sorted(self.nodes)
        for node in self.nodes.values():
            self.add_calls(node)

    def add_calls(self, node):
        for call in node.calls:
            depth = call.depth + (0 if call.is_jump else 8)
            if call.target is None:
                node.indirect_depths.append(depth)
            elif (target := self.containing(call.target)) is None:
                self.problems.append(f"{node.name} calls {call.target:#x}, where no function is")
            else:
                node.edges.append(Edge(depth, target))

    def add_edge(self, caller, depth, target):
        self.nodes[caller].edges.append(Edge(depth, target))

    def containing(self, address):
        """The start of the function that `address` lies in; None before the first."""
        index = bisect.bisect_right(self.starts, address) - 1
        return self.starts[index] if index >= 0 else None

    def named(self, pattern):
        """The functions whose readable names match `pattern`, in which `*` stands for anything; no copies."""
        # The brackets of a name are no set of characters.
        pattern = pattern.replace("[", "[[]")
        return [start for start in self.starts if fnmatch.fnmatchcase(self.nodes[start].name, pattern)]

    def leave_out(self, table):
        """Drops the calls of `table`, {(caller, callee): reason}, and names those that are not there."""
        for caller, callee in table:
            targets, found = set(self.named(callee)), False
            for address in self.named(caller):
                node = self.nodes[address]
                kept = [edge for edge in node.edges if edge.target not in targets]
                found |= len(kept) < len(node.edges)
                node.edges = kept
            if not found:
                self.problems.append(f"the table leaves out calls of {callee} by {caller}, and there are none")

    def exclude_below(self, table):
        """Gives each function of `table`, {function: (callees, reason)}, callees that never reach those named.

        They are copies of everything that the function reaches, each with a key of its own.
        """
        for function, (callees, _) in table.items():
            excluded = {address for callee in callees for address in self.named(callee)}
            for root in self.named(function):
                reached = self.reachable(root, excluded)
                if not any(edge.target in excluded for key in reached for edge in self.nodes[key].edges):
                    self.problems.append(f"the table excludes what {function} does not call: {', '.join(callees)}")
                for key in reached - {root}:
                    self.nodes[(root, key)] = dataclasses.replace(self.nodes[key], address=(root, key))
                for key in reached:
                    node = self.nodes[key if key == root else (root, key)]
                    node.edges = [
                        dataclasses.replace(edge, target=edge.target if edge.target == root else (root, edge.target))
                        for edge in node.edges if edge.target in reached]

    def reachable(self, root, excluded):
        """The keys of all functions reached from `root`, itself included, without a call of one that is excluded."""
        found, waiting = {root}, [root]
        while waiting:
            for edge in self.nodes[waiting.pop()].edges:
                if edge.target not in found and edge.target not in excluded:
                    found.add(edge.target)
                    waiting.append(edge.target)
        return found

    def resolve(self, table, taken, machine_entries):
        """Adds the edges of indirect calls from `table`, {caller: [targets]}, and names what does not fit the image."""
        claimed = set()
        for caller, targets in table.items():
            sites = [self.nodes[address] for address in self.named(caller)]
            sites = [node for node in sites if node.indirect_depths]
            if not sites:
                self.problems.append(f"the table says that {caller} calls indirectly, and it does not")
            for pattern in targets:
                found = [address for address in self.named(pattern) if address in taken]
                if not found:
                    self.problems.append(
                        f"the table says that {caller} calls {pattern}, of which nobody takes the address")
                claimed.update(found)
                for node in sites:
                    node.edges += [Edge(depth, target, True) for depth in node.indirect_depths for target in found]
        for node in self.nodes.values():
            if node.indirect_depths and not any(node.address in self.named(caller) for caller in table):
                self.problems.append(f"{node.name} calls indirectly, and no table says whom")
        for address in sorted(taken - claimed):
            name = self.nodes[address].name
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in machine_entries):
                self.problems.append(f"the address of {name} is taken, and no table says who calls it")


def addresses_in_code(listing, starts):
    """The functions among `starts` whose addresses an instruction of objdump's listing names as a value."""
    taken = set()
    for line in listing.splitlines():
        _, colon, text = line.partition(":\t")
        if not colon or not text.startswith(TAKES_ADDRESS):
            continue
        for digits in RESOLVED.findall(text) if text.startswith("lea") else IMMEDIATE.findall(text):
            value = int(digits, 16)
            # An immediate of 32 bits is extended by its sign.
            taken.add(value | 0xffff_ffff_0000_0000 if 1 << 31 <= value < 1 << 32 else value)
    return taken & set(starts)


def addresses_in_data(image, starts):
    """The functions among `starts` whose addresses are words of an ELF image's data."""
    taken, known = set(), set(starts)
    for name, kind, flags, offset, size in sections(image):
        if not flags & ALLOCATED or kind == NO_BITS or name in (".text", ".symbols"):
            continue
        words = image[offset:offset + size // 8 * 8]
        taken.update(word for (word,) in struct.iter_unpack("<Q", words) if word in known)
    return taken


def sections(image):
    """(name, type, flags, offset in the file, size) of each section of a 64-bit ELF."""
    (table,) = struct.unpack_from("<Q", image, 0x28)
    count, names = struct.unpack_from("<HH", image, 0x3c)
    headers = [
        struct.unpack_from("<IIQQQQ", image, table + index * SECTION_HEADER_SIZE) for index in range(count)]
    for name, kind, flags, _, offset, size in headers:
        start = headers[names][4] + name
        yield image[start:image.index(b"\0", start)].decode(), kind, flags, offset, size
