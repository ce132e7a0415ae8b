"""What a dump means: which area and which slab a frame is behind, sums, fragmentation, and what `whatis` says of a frame."""

import bisect
import collections
import functools

from memory_map.uses import BY_KEY, FREE, HIGHEST_ORDER, RESERVED, USES

PAGE = 4096
SECTION = 1024  # frames; a block of the highest order


class Model:
    def __init__(self, dump):
        self.dump = dump
        self.starts = [run.first for run in dump.runs]

    @functools.cached_property
    def sums(self):
        """Frames by use, in the order of the legend, without uses that nothing has."""
        counts = collections.Counter()
        for run in self.dump.runs:
            counts[run.use] += run.count
        return {use.key: counts[use.key] for use in USES if counts[use.key]}

    @property
    def frame_count(self):
        """Frames of RAM."""
        return sum(self.sums.values())

    @property
    def managed(self):
        """Frames that the allocators were given: MemTotal."""
        return self.frame_count - self.sums.get(RESERVED, 0)

    def run_at(self, frame):
        """The run that a frame lies in; None where there is no RAM."""
        index = bisect.bisect_right(self.starts, frame) - 1
        run = self.dump.runs[index] if index >= 0 else None
        return run if run and frame < run.end else None

    def zone_of(self, frame):
        """The zone that a frame lies in, by the zones' highest frames."""
        for zone in self.dump.zones:
            if frame <= zone.last:
                return zone
        return self.dump.zones[-1]

    def free_blocks(self, zone):
        """The number of free blocks of each order in a zone."""
        counts = [0] * (HIGHEST_ORDER + 1)
        for run in self.dump.runs:
            if run.use == FREE and self.zone_of(run.first) is zone:
                counts[run.order] += run.count >> run.order
        return counts

    @staticmethod
    def unusable(counts):
        """Linux's unusable free index for each order: the share of free memory in blocks that are too small for it."""
        total = sum(count << order for order, count in enumerate(counts))
        below, result = 0, []
        for order, count in enumerate(counts):
            result.append(below / total if total else 0.0)
            below += count << order
        return result

    @functools.cached_property
    def slab_frames(self):
        """The cache and the slab that a frame is part of."""
        return {slab.frame + index: (cache, slab)
                for cache in self.dump.caches for slab in cache.slabs for index in range(1 << cache.order)}

    @functools.cached_property
    def area_pages(self):
        """The area that a frame is behind and its address there: the last one, where several show it."""
        found = {}
        for area in self.dump.areas:
            for pages in area.pages:
                address = pages.address
                for first, count in pages.frames:
                    for index in range(count):
                        found[first + index] = (area, address + index * PAGE, pages.rights)
                    address += count * PAGE
        return found

    def whatis(self, frame):
        """What is known of a frame, in one line: the text that the page shows for it."""
        run = self.run_at(frame)
        if run is None:
            return f"frame {frame:#x} is no RAM"
        words = [f"frame {frame:#x}", f"physical {frame * PAGE:#x}", f"zone {self.zone_of(frame).name}", self.state(run)]
        head = run.first + ((frame - run.first) >> run.order << run.order)
        if run.order:
            words.append(f"order {run.order}, block {head:#x}-{min(head + (1 << run.order), run.end) - 1:#x}")
        elif run.use == FREE:
            words.append("order 0")
        if frame in self.slab_frames and run.use == "slab":
            cache, slab = self.slab_frames[frame]
            words.append(f"slab {slab.base:#x}, {slab.used} of {cache.objects} objects in use")
        elif frame in self.area_pages:
            area, address, rights = self.area_pages[frame]
            words.append(
                f"{area.kind} area {area.name}, offset {address - area.usable_start} of {area.usable_bytes}, "
                f"mapped at {address:#x} {rights}")
        return " · ".join(words)

    @staticmethod
    def state(run):
        label = BY_KEY[run.use].label.lower() if run.use not in ("vmalloc", "kmalloc") else BY_KEY[run.use].label
        if run.use == "slab":
            return f"slab of {run.name}"
        if run.use == RESERVED:
            return f"reserved: {run.name}"
        return label + (", not yet touched" if run.deferred else "")
