#!/usr/bin/env python3
"""Draws what calls take beside what Linux takes, as a bar chart: `bench_chart.py [FILE.svg]`.

It is drawn from the checked-in rows, Benchmarks/instructions.json and Benchmarks/linux-6.1.tsv, to
docs/images/bench.svg unless a file is named. `make bench` draws what it has just measured to build/bench.svg.
"""

import dataclasses
import html
import json
import math
import pathlib

import bench_figures as figures
from toolchain import BUILD, ROOT, Failure, entry_point

COMMITTED = ROOT / "docs" / "images" / "bench.svg"
MEASURED = BUILD / "bench.svg"

# A title, and what stands below it: what it is called, and the rows of an allocation and of its free.
GROUPS = (
    ("Page frames", (
        ("a frame, hot", "alloc_pages order 0 hot alloc", "alloc_pages order 0 hot free"),
        ("a block of 8 frames, hot", "alloc_pages order 3 hot alloc", "alloc_pages order 3 hot free"),
        ("a block of 2 MiB, hot", "alloc_pages order 9 hot alloc", "alloc_pages order 9 hot free"),
        ("10 000 frames, freed at random", "alloc_pages order 0 batch10000 rand alloc", "alloc_pages order 0 batch10000 rand free"),
        ("a frame, past the CPU's cache", "nopcp alloc_pages order 0 hot alloc", "nopcp alloc_pages order 0 hot free"),
    )),
    ("Objects", (
        ("kmalloc of 64 bytes, hot", "kmalloc(64) var hot alloc", "kmalloc(64) var hot free"),
        ("kmalloc of 4 KiB, hot", "kmalloc(4096) var hot alloc", "kmalloc(4096) var hot free"),
        ("10 000 of 256 bytes, freed at random", "kmalloc(256) batch10000 rand alloc", "kmalloc(256) batch10000 rand free"),
        ("mixed sizes of 8 to 2047 bytes", "kmalloc mixed 8..2048 churn alloc", "kmalloc mixed 8..2048 churn free"),
        ("kmem_cache of 256 bytes, hot", "kmem_cache 256 hot alloc", "kmem_cache 256 hot free"),
    )),
    ("Address space", (
        ("vmalloc of 4 KiB", "vmalloc 4K alloc", "vmalloc 4K vfree"),
        ("vmalloc of 64 KiB", "vmalloc 64K alloc", "vmalloc 64K vfree"),
        ("vmalloc of 1 MiB", "vmalloc 1M alloc", "vmalloc 1M vfree"),
        ("1000 areas of 1 to 16 pages", "vmalloc rand 1..16p churn alloc", "vmalloc rand 1..16p churn vfree"),
        ("vmap of 16 frames", "vmap 16 pages", "vunmap 16 pages"),
    )),
)

WIDTH, MARGIN, LABEL, NUMBERS = 860, 24, 248, 150
ROW, BAR = 26, 15
FONT = "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif"
STYLE = (
    f"<style>text{{font-family:{FONT};font-size:12.5px}}.h{{font-size:18px;font-weight:600}}.g{{font-weight:600}}"
    ".n{text-anchor:end;font-variant-numeric:tabular-nums}.c{text-anchor:middle;font-size:11px}"
    ".ground{fill:#fff}.t{fill:#17202b}.m{fill:#4d5a69}.track{fill:#dde3ea}.bar{fill:#0072b2}.over{fill:#d55e00}"
    ".l{stroke:#c3ccd6}"
    "@media (prefers-color-scheme:dark){.ground{fill:#171e27}.t{fill:#e8edf3}.m{fill:#a7b3c1}.track{fill:#303b48}"
    ".bar{fill:#2f97dd}.over{fill:#f0742a}.l{stroke:#465363}}</style>")


@dataclasses.dataclass
class Bar:
    label: str
    quarry: float
    linux: float

    @property
    def share(self):
        return self.quarry / self.linux


def bars(instructions, linux):
    """The groups with the sums of their pairs. A row that is missing ends it: the chart shows what was measured."""
    def find(rows, name, whose):
        if name not in rows:
            raise Failure(f"the chart's row {name!r} is not among {whose}")
        return rows[name]
    groups = []
    for title, pairs in GROUPS:
        shown = []
        for label, taken, given in pairs:
            ours = sum(find(instructions, name, "Quarry's rows") for name in (taken, given))
            theirs = sum(find(linux, name, "Linux's rows") for name in (taken, given))
            shown.append(Bar(label, ours, theirs))
        groups.append((title, shown))
    return groups


def overall(instructions, linux):
    """Over all rows that Linux has, too: their number, the geometric mean of the shares, and how many take more."""
    shares = [instructions[name] / count for name, count in linux.items() if instructions.get(name) and count]
    mean = math.exp(sum(map(math.log, shares)) / len(shares))
    return len(shares), mean, sum(1 for share in shares if share > 1)


def count(value):
    return f"{value:,.0f}"


def percent(share):
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.1f} %"


def draw(instructions, linux):
    """The chart as SVG. Both are instructions by the names of rows."""
    groups = bars(instructions, linux)
    rows, mean, more = overall(instructions, linux)
    left, width = MARGIN + LABEL, WIDTH - 2 * MARGIN - LABEL - NUMBERS
    most = max(1.0, *(bar.share for _, shown in groups for bar in shown))
    parts, y = [], MARGIN + 16
    text = lambda x, y, words, kind: parts.append(  # noqa: E731
        f'<text x="{x:g}" y="{y:g}" class="{kind}">{html.escape(words)}</text>')
    text(MARGIN, y, "Instructions of an allocation and its free, as a share of Linux's", "t h")
    y += 22
    text(MARGIN, y, "Counted under QEMU, one tick an instruction. Less is better.", "m")
    text(WIDTH - MARGIN, y, "Quarry / Linux 6.1", "m n")
    y += 16
    top = y
    for title, shown in groups:
        y += 24
        text(MARGIN, y, title, "t g")
        y += 8
        for bar in shown:
            full, length = width / most, width / most * bar.share
            text(left - 12, y + 12, bar.label, "t n")
            parts.append(f'<rect class="track" x="{left:g}" y="{y:g}" width="{full:.1f}" height="{BAR}" rx="2"/>')
            kind = "bar" if bar.share <= 1 else "over"
            parts.append(
                f'<rect class="{kind}" x="{left:g}" y="{y:g}" width="{max(1, length):.1f}" height="{BAR}" rx="2">'
                f"<title>{html.escape(bar.label)}: {count(bar.quarry)} of {count(bar.linux)}</title></rect>")
            text(left + length + 6, y + 12, percent(bar.share), "t")
            text(WIDTH - MARGIN, y + 12, f"{count(bar.quarry)} / {count(bar.linux)}", "m n")
            y += ROW
    for tick in range(0, 101, 25):
        x = left + width / most * tick / 100
        parts.insert(0, f'<path class="l" d="M{x:.1f} {top + 8}V{y}"/>')
        text(x, y + 14, f"{tick} %", "m c")
    y += 40
    text(MARGIN, y, f"All {rows} rows that both have: {percent(mean)} in the geometric mean; {more} of them take more "
         "instructions than Linux's.", "m")
    height = y + MARGIN - 4
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img" aria-labelledby="t">'
            f'<title id="t">Instructions of an allocation and its free, Quarry beside Linux 6.1</title>{STYLE}'
            f'<rect class="ground" width="{WIDTH}" height="{height:g}" rx="12"/>{"".join(parts)}</svg>\n')


def committed_rows():
    """The checked-in rows of both, by their names."""
    return json.loads(figures.REFERENCE.read_text()), linux_rows()


def linux_rows():
    return {name: value for name, (_, value) in figures.read_linux().items()}


def main(arguments):
    if len(arguments) > 1 or arguments and arguments[0].startswith("-"):
        raise Failure("usage: bench_chart.py [FILE.svg]")
    path = pathlib.Path(arguments[0]) if arguments else COMMITTED
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(draw(*committed_rows()))
    print(f"bench: drew {path}")
    return 0


if __name__ == "__main__":
    entry_point(main)
