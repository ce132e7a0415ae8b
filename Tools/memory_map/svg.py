"""Draws the map as SVG, for documents: frames, legend, fragmentation, the slabs of each cache, and the areas.

It follows the reader's theme by itself, where the viewer lets a picture have its own style.
"""

import html
import math

from memory_map.layout import HEADING, SECTION, Layout, blocks
from memory_map.uses import BY_KEY, FREE, HIGHEST_ORDER, USES, free_shade

WIDTH = 960
MARGIN = 24
FONT = "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif"


def number(value):
    """A coordinate in as few characters as it needs."""
    return f"{value:.2f}".rstrip("0").rstrip(".") or "0"


def style():
    def rules(theme):
        ground, text, muted, line = (("#ffffff", "#17202b", "#4d5a69", "#d5dce4") if theme == "light"
                                     else ("#171e27", "#e8edf3", "#a7b3c1", "#303b48"))
        colours = "".join(f".{use.key}{{fill:{getattr(use, theme)}}}" for use in USES if use.key != FREE)
        free = "".join(f".f{order}{{fill:{free_shade(order, theme)}}}" for order in range(HIGHEST_ORDER + 1))
        return (f".ground{{fill:{ground}}}.t{{fill:{text}}}.m{{fill:{muted}}}.l{{stroke:{line}}}"
                f".b{{stroke:{ground}}}.u{{stroke:{muted}}}{colours}{free}")
    return (f"<style>text{{font-family:{FONT};font-size:14px}}.h{{font-size:18px;font-weight:600}}"
            f".n{{text-anchor:end;font-variant-numeric:tabular-nums}}.c{{text-anchor:middle;font-size:13px}}"
            f".o{{paint-order:stroke;stroke-width:3px}}"
            f"{rules('light')}@media (prefers-color-scheme:dark){{{rules('dark')}}}</style>")


class Picture:
    def __init__(self, model):
        self.model, self.parts, self.y = model, [], MARGIN

    def text(self, x, y, words, kind="t"):
        self.parts.append(f'<text x="{number(x)}" y="{number(y)}" class="{kind}">{html.escape(str(words))}</text>')

    def heading(self, words, extra=""):
        self.text(MARGIN, self.y + 14, words, "t h")
        if extra:
            self.text(WIDTH - MARGIN, self.y + 14, extra, "m n")
        self.y += 26

    def frames(self):
        model = self.model
        layout = Layout(model)
        self.heading("Physical memory", f"{model.frame_count:,} frames of 4 KiB, a large square is 4 MiB")
        scale = (WIDTH - 2 * MARGIN) / layout.width
        paths = {}
        for run in model.dump.runs:
            kind = f"f{run.order}" if run.use == FREE else run.use
            highest = run.order if run.use in (FREE, "slab") else 10
            for first, order in blocks(run.first, run.count):
                for part in range(first, first + (1 << order), 1 << min(order, highest)):
                    x, y, width, height = layout.rectangle(part, min(order, highest))
                    paths.setdefault(kind, []).append(
                        f"M{number(x)} {number(y)}h{width}v{height}h-{width}z")
        self.parts.append(f'<g transform="translate({MARGIN} {number(self.y)}) scale({scale:.4f})" stroke-width=".22">')
        for zone, sections, y in layout.zones:
            if sections:
                self.parts.append(
                    f'<text x="0" y="{number(y + HEADING - 3)}" class="t" style="font-size:{14 / scale:.2f}px">'
                    f'{html.escape(zone.name)} <tspan class="m">{sections[0] * SECTION * 4096:#x}</tspan></text>')
        for kind in sorted(paths):
            self.parts.append(f'<path class="{kind} b" d="{"".join(paths[kind])}"/>')
        self.parts.append("</g>")
        self.y += layout.height * scale + 14

    def legend(self):
        columns, width = 3, (WIDTH - 2 * MARGIN) / 3
        shown = [use for use in USES if use.key in self.model.sums]
        for index, use in enumerate(shown):
            x = MARGIN + index % columns * width
            y = self.y + index // columns * 21
            frames = self.model.sums[use.key]
            kind = "f5" if use.key == FREE else use.key
            self.parts.append(f'<rect class="{kind} u" stroke-width=".5" x="{number(x)}" y="{number(y)}" width="14" height="14" rx="3"/>')
            self.text(x + 22, y + 11, use.label)
            self.text(x + width - 24, y + 11, f"{frames:,}  ·  {100 * frames / self.model.frame_count:.2f} %", "m n")
        self.y += math.ceil(len(shown) / columns) * 21 + 18

    def fragmentation(self):
        self.heading("Fragmentation", "bars: free blocks of each order; line: unusable free index")
        zones = self.model.dump.zones
        width, height = (WIDTH - 2 * MARGIN - 24 * (len(zones) - 1)) / len(zones), 110
        for index, zone in enumerate(zones):
            left, counts = MARGIN + index * (width + 24), self.model.free_blocks(zone)
            shares = self.model.unusable(counts)
            highest = max(1, math.ceil(math.log2(max(counts) + 1)))
            step, base = width / (HIGHEST_ORDER + 1), self.y + 18 + height
            self.text(left, self.y + 10, zone.name)
            self.parts.append(f'<path class="l" d="M{number(left)} {number(base)}h{number(width)}"/>')
            labels = []
            for order, count in enumerate(counts):
                tall = max(2, math.log2(count + 1) / highest * (height - 14)) if count else 0
                x = left + order * step
                if count:
                    self.parts.append(
                        f'<rect class="f{order} u" stroke-width=".6" x="{number(x + 3)}" y="{number(base - tall)}" '
                        f'width="{number(step - 6)}" height="{number(tall)}" rx="2"/>')
                    labels.append((x + step / 2, base - tall - 3, f"{count:,}"))
                self.text(x + step / 2, base + 13, order, "m c")
            points = " ".join(f"{number(left + (order + .5) * step)},{number(base - (height - 14) * share)}"
                              for order, share in enumerate(shares))
            colour = BY_KEY["page-table"].light
            self.parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
            # Above the line, with an edge of the ground's colour, so that it crosses none out.
            for label in labels:
                self.text(*label, "t c b o")
        self.y += height + 46

    def slabs(self):
        caches = sorted((cache for cache in self.model.dump.caches if cache.slabs),
                        key=lambda cache: -(len(cache.slabs) << cache.order))[:12]
        self.heading("Slabs", "the largest caches; each bar is a slab, filled as far as its objects are in use")
        for cache in caches:
            self.text(MARGIN, self.y + 12, cache.name)
            used, room = sum(slab.used for slab in cache.slabs), len(cache.slabs) * cache.objects
            self.text(WIDTH - MARGIN, self.y + 12, f"{used:,} of {room:,}", "m n")
            left, width = MARGIN + 140, WIDTH - 2 * MARGIN - 140 - 110
            step = min(14, width / len(cache.slabs))
            outlines, fills = [], []
            for index, slab in enumerate(sorted(cache.slabs, key=lambda slab: slab.frame)):
                x, share = left + index * step, slab.used / cache.objects
                outlines.append(f"M{number(x)} {number(self.y)}h{number(step * .8)}v14h-{number(step * .8)}z")
                if slab.used:
                    fills.append(f"M{number(x)} {number(self.y + 14)}h{number(step * .8)}v-{number(14 * share)}h-{number(step * .8)}z")
            self.parts.append(f'<path class="f10 u" stroke-width=".5" d="{"".join(outlines)}"/>')
            self.parts.append(f'<path class="slab" d="{"".join(fills)}"/>')
            self.y += 19
        self.y += 16

    def areas(self):
        areas = self.model.dump.areas
        largest = sorted(areas, key=lambda area: area.start - area.end)[:14]
        self.heading("Areas of address space", f"{len(largest)} of {len(areas)}; hollow: due at the first touch")
        for area in sorted(largest, key=lambda area: area.start):
            rights = area.pages[0].rights[:3] if area.pages else "---"
            self.text(MARGIN, self.y + 11, f"{area.start:#x}")
            self.text(MARGIN + 150, self.y + 11, f"{area.kind} {area.name}", "m")
            self.text(MARGIN + 310, self.y + 11, rights)
            left, width = MARGIN + 350, WIDTH - 2 * MARGIN - 350 - 80
            pages = (area.end - area.start) >> 12
            self.parts.append(f'<rect class="ground u" stroke-width=".6" x="{left}" y="{number(self.y)}" width="{width}" height="13" rx="2"/>')
            for part in area.pages:
                if part.kind == "mapped":
                    x = left + ((part.address - area.start) >> 12) * width / pages
                    kind = {"stack": "stack", "vmalloc": "vmalloc", "guarded": "guarded"}.get(area.kind, "dma")
                    self.parts.append(f'<rect class="{kind}" x="{number(x)}" y="{number(self.y + 1)}" '
                                      f'width="{number(max(.8, part.count * width / pages))}" height="11"/>')
            self.text(WIDTH - MARGIN, self.y + 11, f"{pages * 4:,} KiB", "m n")
            self.y += 18
        self.y += 10


def write_svg(model):
    """The picture as text."""
    picture = Picture(model)
    for part in (picture.frames, picture.legend, picture.fragmentation, picture.slabs, picture.areas):
        part()
    height = math.ceil(picture.y)
    sums = ", ".join(f"{BY_KEY[key].label} {frames}" for key, frames in model.sums.items())
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" role="img" '
            f'aria-labelledby="t d">'
            f'<title id="t">Memory map of a machine that runs Quarry</title><desc id="d">Frames by use: {html.escape(sums)}</desc>'
            f'{style()}<rect class="ground" width="{WIDTH}" height="{height}" rx="12"/>{"".join(picture.parts)}</svg>\n')
