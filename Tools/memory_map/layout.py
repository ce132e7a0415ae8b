"""Where frames lie in the picture.

A section, 1024 frames, is a square of 32 by 32; within it frames follow Morton's curve, on which each block of the buddy
system, aligned to its size as it is, is a square or two of them side by side. Sections that have RAM stand in rows, and
each zone begins a row. The page's script places frames in the same way (assets/layout.js).
"""

import math

SIDE = 32
SECTION = SIDE * SIDE
GAP = 1.6  # between sections
HEADING = 9  # above each zone


def spread(index):
    """Morton's curve: (x, y) of a frame in its section."""
    x = y = 0
    for bit in range(5):
        x |= (index >> 2 * bit & 1) << bit
        y |= (index >> 2 * bit + 1 & 1) << bit
    return x, y


def blocks(first, count):
    """The aligned blocks of at most a section that a range of frames consists of: (first, order)."""
    end = first + count
    while first < end:
        order = min(10, (first & -first).bit_length() - 1 if first else 10)
        while 1 << order > end - first:
            order -= 1
        yield first, order
        first += 1 << order


class Layout:
    def __init__(self, model, aspect=2.6):
        self.zones = []  # (zone, its sections, the y of its heading)
        sections = {zone.name: [] for zone in model.dump.zones}
        for run in model.dump.runs:
            for section in range(run.first // SECTION, (run.end - 1) // SECTION + 1):
                of_zone = sections[model.zone_of(section * SECTION).name]
                if not of_zone or of_zone[-1] != section:
                    of_zone.append(section)
        count = sum(map(len, sections.values()))
        self.columns = max(4, math.ceil(math.sqrt(count * aspect)))
        pitch, y, self.place = SIDE + GAP, 0.0, {}
        for zone in model.dump.zones:
            self.zones.append((zone, sections[zone.name], y))
            y += HEADING
            for index, section in enumerate(sections[zone.name]):
                self.place[section] = (index % self.columns * pitch, y + index // self.columns * pitch)
            y += math.ceil(len(sections[zone.name]) / self.columns) * pitch + 3
        self.width, self.height = self.columns * pitch - GAP, y - 3 - GAP

    def rectangle(self, first, order):
        """The rectangle of an aligned block: x, y, width, height."""
        left, top = self.place[first // SECTION]
        x, y = spread(first % SECTION)
        return left + x, top + y, 1 << (order + 1) // 2, 1 << order // 2
