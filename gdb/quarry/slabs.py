"""The slab caches, their slabs, and the object that an address lies in."""

from quarry import buddy, memory
from quarry.errors import Trouble
from quarry.layout import Structure, note

# Sources/Slab/ObjectState.swift.
OBJECT_STATES = {
    0: "free", 1: "allocated", 2: "in the quarantine", 3: "in a pool's reserve", 4: "free, met by a check",
}
MOST_CACHES = 4096
MOST_SLABS = 1 << 20


class Cache(Structure):
    """A cache by its address."""

    def __init__(self, address):
        super().__init__("cache", address)
        self.name = memory.read(self.place("name"), note("cache.name_size")).split(b"\0")[0].decode("ascii", "replace")
        layout = Structure("slab_layout", self.place("layout"))
        self.slot_size, self.object_size = layout.word("slot_size"), layout.word("object_size")
        self.object_offset = layout.word("object_offset")
        self.order, self.object_count = layout.word("order"), layout.word("object_count")
        self.state = Structure("cache_state", self.place("state"))
        self.magazines = self.word("magazines")

    def slab_list(self, index):
        return Structure("slab_list", self.state.place("lists") + index * note("slab_list.size"))

    @property
    def slab_counts(self):
        return [self.slab_list(index).word("count") for index in range(note("slab_lists.count"))]

    @property
    def cached_objects(self):
        in_magazines = sum(
            memory.read64(self.magazines + cpu * note("magazine.stride")) for cpu in range(note("cpu.count")))
        return in_magazines + self.state.word("depot_objects")

    def slabs(self):
        """(list, slab) of each slab, the full ones first."""
        for index in range(note("slab_lists.count")):
            name = self.slab_list(index).word("first")
            for _ in range(MOST_SLABS):
                if not name:
                    break
                slab = Slab(name)
                yield index, slab
                name = slab.word("next")

    def figures(self):
        """(active objects, all objects, slabs with an object in use, slabs), as slabinfo counts them."""
        counts = self.slab_counts
        total = sum(counts) * self.object_count
        active = max(0, total - self.state.word("free_objects") - self.cached_objects)
        return active, total, sum(counts) - counts[note("slab_lists.empty")], sum(counts)


class Slab(Structure):
    """A slab by what the descriptors of its frames name: where its header ends and its objects' state bytes begin."""

    def __init__(self, name):
        super().__init__("slab", name - note("slab.size"))
        self.states = name
        self.base = -self.word("negated_base") & memory.MASK

    def state(self, index):
        value = memory.read8(self.states + index)
        return OBJECT_STATES.get(value, f"damaged (state {value})")


def caches():
    """All caches, in the order in which they were made."""
    address = memory.read64(note("caches.first"))
    for _ in range(MOST_CACHES):
        if not address:
            return
        cache = Cache(address)
        if cache.half("users"):
            yield cache
        address = cache.word("next")


HEADING = ("# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>"
           " : slabdata <active_slabs> <num_slabs>")


def line(cache):
    active, total, active_slabs, slabs = cache.figures()
    return (f"{cache.name:17s} {active:6d} {total:6d} {cache.slot_size:6d} {cache.object_count:4d} {1 << cache.order:4d}"
            f" : slabdata {active_slabs:6d} {slabs:6d}")


def report(name=""):
    """The lines of `quarry slabs [NAME]`."""
    if not name:
        yield HEADING
        for cache in caches():
            yield line(cache)
        return
    cache = next((cache for cache in caches() if cache.name == name), None)
    if cache is None:
        raise Trouble(f"there is no slab cache {name!r}: `quarry slabs` lists them")
    yield from (HEADING, line(cache))
    yield (f"  cache at {cache.address:#x}, {cache.object_size} bytes to an object's user; {cache.cached_objects} objects"
           f" wait in magazines and depot; {cache.state.word('fetched')} slabs fetched,"
           f" {cache.state.word('returned')} given back")
    for index, slab in cache.slabs():
        names = ("full", "to 1/4 free", "to 1/2 free", "to 3/4 free", "nearly free", "free")
        yield (f"  slab at {slab.base:#x}: {slab.short('free_count')} of {cache.object_count} objects free in it,"
               f" list \"{names[index] if index < len(names) else index}\"")


def describe(address, frame):
    """The object that an address lies in, where the frame behind it is a slab's."""
    slab = Slab(frame.owner)
    cache = next((cache for cache in caches() if cache.magazines == slab.word("magazines")), None)
    if cache is None:
        return "slab: its header is damaged, it leads to no cache"
    index, offset = divmod(address - slab.base, cache.slot_size)
    if index >= cache.object_count:
        return f"slab of {cache.name}: the unused end of the slab at {slab.base:#x}"
    state = slab.state(index)
    start = slab.base + index * cache.slot_size + cache.object_offset
    within = offset - cache.object_offset
    if within < 0 or within >= cache.object_size:
        where = f"{-within} bytes before" if within < 0 else f"{within - cache.object_size} bytes beyond the end of"
        return f"slab object: {where} object {index} of {cache.name} at {start:#x}, {state}"
    return (f"slab object: {cache.name}, object {index} at {start:#x}, {state}, byte {within} of {cache.object_size},"
            f" slab at {slab.base:#x}")


def object_at(address, frame_number):
    """The object that a direct map address lies in; None where its frame is no slab's."""
    frame = buddy.frame(frame_number)
    if frame is None or frame.state not in (buddy.SLAB, buddy.SLAB_TAIL):
        return None
    return describe(address, frame)
