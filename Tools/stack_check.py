"""Whether every stack of a linked kernel is large enough: the deepest path from each place where one is entered, and an
exception on top."""

import dataclasses
import fnmatch

from call_graph import CallGraph
from stack_depth import StackDepths


@dataclasses.dataclass
class Use:
    """What may be on a stack at most: from one of its entries, and with an exception at the deepest point."""

    stack: str
    size: int
    entry: str
    key: object
    byte_count: int
    exception_bytes: int

    @property
    def left(self):
        return self.size - self.byte_count - self.exception_bytes


class StackCheck:
    """Everything that the check finds out, and what is wrong."""

    def __init__(self, functions, taken, symbols, tables):
        """
        `functions` are disassembly.Function values, `taken` the addresses of functions that are taken, `symbols` the
        addresses of the linker's symbols by name, and `tables` a module like stack_tables.
        """
        self.graph, self.tables = CallGraph(functions), tables
        self.graph.resolve(tables.INDIRECT_CALLS, taken, {*tables.UNCALLED, *tables.STACK_SWITCHES})
        self.graph.leave_out(tables.IMPOSSIBLE_CALLS)
        self.add_raised_exceptions()
        self.graph.exclude_below(tables.EXCLUDED_BELOW)
        self.depths = StackDepths(self.graph, tables.RECURSION)
        self.problems = self.graph.problems + self.depths.problems
        self.vector_paths = self.exceptions()
        self.uses = self.stack_uses(symbols)
        self.problems += [
            f"stack \"{use.stack}\" of {use.size} bytes: {use.byte_count} from {use.entry} on and "
            f"{use.exception_bytes} for an exception are {-use.left} too many"
            for use in self.uses if use.left < 0]

    def add_raised_exceptions(self):
        for pattern, vector in self.tables.RAISED.items():
            callers, stubs = self.graph.named(pattern), self.graph.named(f"exception_stub_{vector}")
            if not callers:
                self.graph.problems.append(f"the table says that {pattern} raises an exception, and it is not there")
            for caller in callers:
                depth = self.graph.nodes[caller].byte_count + self.tables.EXCEPTION_BYTES
                for stub in stubs:
                    self.graph.add_edge(caller, depth, stub)

    def exceptions(self):
        """{vector: (bytes of an exception on the stack that it comes to, the functions on the way)}."""
        found = {}
        for vector in self.tables.VECTORS:
            for stub in self.graph.named(f"exception_stub_{vector}"):
                byte_count, path = self.exception(stub, vector)
                found[vector] = (self.tables.EXCEPTION_BYTES + byte_count, path)
        for name in self.tables.OF_ONE_VECTOR:
            if not self.graph.named(name):
                self.problems.append(f"the table says that {name} is called by one vector alone, and it is not there")
        return found

    def exception(self, key, vector):
        """The deepest path of one vector from the function `key` on, which all vectors go through."""
        node = self.graph.nodes[key]
        best = node.byte_count, [node]
        for edge in node.edges:
            target = self.graph.nodes[edge.target]
            if self.tables.OF_ONE_VECTOR.get(target.name, vector) != vector:
                continue
            if any(fnmatch.fnmatchcase(target.name, pattern) for pattern in self.tables.EXCEPTION_PATH):
                byte_count, path = self.exception(edge.target, vector)
            else:
                byte_count, path = self.depths.totals[edge.target], self.depths.path(edge.target)
            best = max(best, (edge.depth + byte_count, [node, *path]), key=lambda pair: pair[0])
        return best

    def stack_uses(self, symbols):
        """What each stack has to hold, one for each entry."""
        sizes = {}
        for name, size in self.tables.STACKS.items():
            sizes[name] = size if isinstance(size, int) else symbols[size[1]] - symbols[size[0]]
        # The vectors that stay on the stack that they interrupt; what is answered has been counted where it is raised.
        answered = set(self.tables.RAISED.values())
        on_top = max(
            (byte_count for vector, (byte_count, _) in self.vector_paths.items()
             if vector not in self.tables.INTERRUPT_STACKS and vector not in answered), default=0)
        uses = []
        for entry in self.tables.ENTRIES:
            keys = self.graph.named(entry.function)
            if not keys:
                self.problems.append(f"{entry.function} is to enter stack \"{entry.stack}\", and is not there")
                continue
            # A function and what stands before it to be called from C share their name.
            key = max(keys, key=self.depths.totals.get)
            uses.append(
                Use(entry.stack, sizes[entry.stack], entry.function, key,
                    entry.byte_count + self.depths.totals[key], on_top))
        for vector, stack in self.tables.INTERRUPT_STACKS.items():
            if vector in self.vector_paths:
                byte_count, path = self.vector_paths[vector]
                uses.append(Use(stack, sizes[stack], f"vector {vector}", path[0].address, byte_count, on_top))
        return uses
