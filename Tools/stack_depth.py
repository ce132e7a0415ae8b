"""The deepest path through a call graph, from any function: what its callers must leave it of their stack.

Functions that call each other in a circle have no deepest path unless something bounds the circle. A table names a
function of each circle, how often that one is entered once more at most while it is on the stack, and why. A circle
that is left when no such function is entered again is a problem.
"""

import dataclasses


@dataclasses.dataclass
class Bound:
    """How often a function is entered at most while it runs already, and why."""

    rounds: int
    reason: str


@dataclasses.dataclass
class Circle:
    """Functions that call each other, what bounds them, and the deepest path from any of them."""

    members: list
    bounds: dict
    byte_count: int


class StackDepths:
    """The deepest path below each function of `graph`, which is not to change any more."""

    def __init__(self, graph, bounds):
        self.graph, self.bounds = graph, bounds
        self.circles, self.problems = [], []
        self.totals, self.next_on_path, self.paths_inside = {}, {}, {}
        used = set()
        # Each component comes after those that it calls.
        for members in components(graph.nodes, lambda address: [e.target for e in graph.nodes[address].edges]):
            inside = set(members)
            if any(edge.target in inside for address in members for edge in graph.nodes[address].edges):
                used.update(self.add_circle(inside))
            else:
                self.add_function(members[0])
        for name in bounds:
            if name not in used:
                self.problems.append(f"the table bounds a recursion of {name}, and there is none")

    def add_function(self, address):
        """Notes the deepest path from a function whose callees have theirs."""
        node = self.graph.nodes[address]
        best, through = node.byte_count, None
        for edge in node.edges:
            if edge.depth + self.totals[edge.target] > best:
                best, through = edge.depth + self.totals[edge.target], edge.target
        self.totals[address], self.next_on_path[address] = best, through

    def add_circle(self, inside):
        """Notes the paths of functions that call each other. Returns the names of the table that bound them."""
        nodes = self.graph.nodes
        bounded = {address for address in inside if nodes[address].name in self.bounds}
        again = set(bounded)

        def callees(address):
            return [edge.target for edge in nodes[address].edges if edge.target in inside - again]

        while True:
            order = components(sorted(inside, key=str), callees)
            unknown = [part for part in order if len(part) > 1 or part[0] in callees(part[0])]
            if not unknown:
                break
            for part in unknown:
                names = " + ".join(sorted({nodes[address].name for address in part}))
                self.problems.append(f"a recursion without a known bound: {names}")
                again.add(min(part, key=str))
        bounds = {nodes[address].name: self.bounds[nodes[address].name] for address in bounded}
        room = {address: self.bounds[nodes[address].name].rounds + 1 for address in bounded}
        # Where nothing bounds them, as if they were entered once: that the table lacks them is a problem already.
        room |= {address: 1 for address in again - bounded}
        search = PathSearch(nodes, self.totals, inside, sorted(room, key=str))
        for address in inside:
            first = tuple(room[one] - (one == address) for one in search.bounded)
            self.totals[address] = search.deepest(address, first).byte_count
            self.paths_inside[address], self.next_on_path[address] = search.path(address, first)
        self.circles.append(
            Circle(sorted({nodes[address].name for address in inside}), bounds,
                   max(self.totals[address] for address in inside)))
        return bounds

    def path(self, address):
        """The functions of the deepest path from the one at `address` on, itself first."""
        found = []
        while address is not None:
            found += [self.graph.nodes[one] for one in self.paths_inside.get(address, [address])]
            address = self.next_on_path[address]
        return found


@dataclasses.dataclass
class Step:
    """The deepest path from somewhere: its bytes, and where it goes on, with what room."""

    byte_count: int
    target: object = None
    room: tuple | None = None


class PathSearch:
    """The deepest paths among functions that call each other, some of which may be entered a number of times only."""

    def __init__(self, nodes, totals, inside, bounded):
        self.nodes, self.outside_totals, self.inside, self.bounded = nodes, dict(totals), inside, bounded
        self.known = {}

    def deepest(self, address, room):
        """The path from `address`, where `room` tells how often each of `bounded` may follow.

        Each turn of a circle uses up some room, so that this ends.
        """
        key = (address, room)
        if key in self.known:
            return self.known[key]
        best = Step(self.nodes[address].byte_count)
        for edge in self.nodes[address].edges:
            left = room
            if edge.target in self.bounded:
                place = self.bounded.index(edge.target)
                if room[place] == 0:
                    continue
                left = (*room[:place], room[place] - 1, *room[place + 1:])
            if edge.target in self.inside:
                byte_count = edge.depth + self.deepest(edge.target, left).byte_count
            else:
                byte_count = edge.depth + self.outside_totals[edge.target]
            if byte_count > best.byte_count:
                best = Step(byte_count, edge.target, left)
        self.known[key] = best
        return best

    def path(self, address, room):
        """The functions of that path in here, and the one that it leaves to, if any."""
        found = []
        while address in self.inside:
            found.append(address)
            step = self.known[(address, room)]
            address, room = step.target, step.room
        return found, address


def components(starts, callees):
    """The strongly connected components reached from `starts`, callees first (Tarjan), without recursion."""
    index, low, on_stack, stack, result = {}, {}, set(), [], []

    def enter(address):
        index[address] = low[address] = len(index)
        stack.append(address)
        on_stack.add(address)
        return address, iter(callees(address))

    for root in starts:
        work = [] if root in index else [enter(root)]
        while work:
            address, waiting = work[-1]
            target = next((one for one in waiting if one not in index or one in on_stack), None)
            if target is not None:
                if target in index:
                    low[address] = min(low[address], index[target])
                else:
                    work.append(enter(target))
                continue
            work.pop()
            if work:
                low[work[-1][0]] = min(low[work[-1][0]], low[address])
            if low[address] == index[address]:
                members = [stack.pop()]
                while members[-1] != address:
                    members.append(stack.pop())
                on_stack.difference_update(members)
                result.append(members)
    return result
