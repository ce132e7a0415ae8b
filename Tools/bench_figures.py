"""What `make bench` makes of its figures: rows, pairs, ratios and bounds. What is wrong with them: bench_problems.py. Boots nothing."""

import csv
import dataclasses
import fractions
import json
import math
import re

from toolchain import ROOT, Failure

BENCHMARKS = ROOT / "Benchmarks"
LINUX = BENCHMARKS / "linux-6.1.tsv"
BOUNDS = BENCHMARKS / "bounds.json"
REFERENCE = BENCHMARKS / "instructions.json"

# What the kernel counts for code of known length. A REP string instruction takes a tick an iteration and one for its end,
# and three instructions load its registers.
STRING_SETUP = 4
STRING_BYTES = [8 << shift for shift in range(10)]
CALIBRATION = {
    "empty pair": 3, "1000 nops": 1000, "dec/jnz 1000 times": 2001,
    **{f"rep {name} {size} bytes": STRING_SETUP + size // 8 for size in STRING_BYTES for name in ("stosq", "movsq")},
}
BOOT_SIZES = ("512M", "64G")
ROW_LINE = re.compile(r"^bench row (.+)\t(median|mean)\t(\d+(?:\.\d+)?)$")
CALIBRATION_LINE = re.compile(r"^bench calibration (.+)\t(\d+)$")
FRAMES_READY = re.compile(r"^\[\s*(\d+)\] info +page frames ready$", re.MULTILINE)
# The slab's rows and vmalloc's; all others are the page frames'.
SLAB = re.compile(r"(loop )?(kmalloc|kzalloc|krealloc|ksize|kmem_cache)")
VMALLOC = re.compile(r"vmalloc|vmap|vunmap|find_vm_area")
# vmalloc's pairs: what a row is called, and the row of what undoes it.
VMALLOC_PAIRS = (
    (re.compile(r"(vmalloc .*) fill1000 alloc"), r"\1 drain vfree"), (re.compile(r"(vmalloc .*) alloc"), r"\1 vfree"),
    (re.compile(r"vmap (.+)"), r"vunmap \1"))
PAIR = re.compile(r"(.+ (hot|batch\d+ \w+|churn)) alloc")
# Rows that clear or copy an object, and how many bytes.
CLEARS = re.compile(r"(?:kzalloc\(|kmem_cache_zalloc )(\d+)\b.* alloc")
COPIES = re.compile(r"krealloc (\d+)->\d+")
DESCRIPTOR = re.compile(r"page frames: .*, (\d+) a descriptor$", re.MULTILINE)


@dataclasses.dataclass
class Row:
    """One figure. `linux` is None where Linux has nothing to compare with."""

    name: str
    statistic: str
    instructions: float
    linux: float | None = None
    # What clearing or copying the object takes anyone, with one REP string instruction.
    string: float = 0

    @property
    def ratio(self):
        return None if self.linux is None else ratio_beyond(self.string, self.instructions, self.linux)

    @property
    def floor(self):
        """Whose row it is: "slab", "vmalloc" or "frames"."""
        return "slab" if SLAB.match(self.name) else "vmalloc" if VMALLOC.match(self.name) else "frames"


@dataclasses.dataclass
class Bound:
    """What has a bound: an allocation and its free, or a call of the slab's that has a row of its own."""

    name: str
    kind: str  # a key of KINDS
    instructions: float
    linux: float
    string: float = 0

    @property
    def ratio(self):
        return ratio_beyond(self.string, self.instructions, self.linux)

    def goal(self, bounds):
        """The most instructions that are meant to be taken: a share of what Linux takes beyond the string instruction."""
        return self.string + (self.linux - self.string) * bounds[f"{KINDS[self.kind]} over Linux's"]

    def limit(self, bounds):
        """The most instructions that `bounds` allow: the goal, or the best that was reached where that is not."""
        return bounds["reached where the goal is not"].get(self.name, self.goal(bounds))


# What is bound, and which bound.
KINDS = {
    "hot": "hot pair", "batch": "batch pair", "loop": "hot pair", "single": "single call", "vmalloc": "vmalloc pair",
    "amortised": "vmalloc pair"}
MEANS = {
    "frames": "geometric mean of the ratios", "slab": "geometric mean of the slab's ratios",
    "vmalloc": "geometric mean of vmalloc's ratios"}


def ratio_beyond(string, instructions, linux):
    """Quarry's share of Linux's instructions, `string` on either side left out. Quarry may take fewer than that."""
    return max(instructions - string, 1) / (linux - string)


def boot_row_name(size):
    return f"boot {size} entry to page frames ready"


def read_log(text):
    """(calibration, rows) of what the kernel printed; fails where it stopped early or said a thing twice."""
    calibration, rows, is_complete = {}, {}, False
    for line in text.replace("\r", "").splitlines():
        if match := ROW_LINE.match(line):
            if match[1] in rows:
                raise Failure(f"the row {match[1]!r} was printed twice")
            rows[match[1]] = Row(match[1], match[2], float(match[3]))
        elif match := CALIBRATION_LINE.match(line):
            calibration[match[1]] = int(match[2])
        elif line == "bench end":
            is_complete = True
        elif line.startswith("bench "):
            raise Failure(f"a line of the kernel's that means nothing: {line!r}")
    if not is_complete:
        raise Failure("the kernel did not get to the end of its benchmarks")
    return calibration, list(rows.values())


def boot_row(size, text):
    """The row of a boot, and its descriptors' size in bytes."""
    text = text.replace("\r", "")
    ready, descriptor = FRAMES_READY.search(text), DESCRIPTOR.search(text)
    if not ready or not descriptor:
        raise Failure(f"the boot with {size} did not get to \"page frames ready\"")
    return Row(boot_row_name(size), "count", float(ready[1])), int(descriptor[1])


def read_linux(path=LINUX):
    """{name: (statistic, instructions)}."""
    with open(path, encoding="utf-8", newline="") as file:
        lines = csv.DictReader(file, delimiter="\t")
        return {line["name"]: (line["statistic"], float(line["instructions"])) for line in lines}


def read_bounds(path=BOUNDS):
    return {
        name: fractions.Fraction(value) if isinstance(value, str) else value
        for name, value in json.loads(path.read_text()).items()}


def compare(rows, linux, calibration):
    """The rows with Linux's figures beside them, and what their string instructions take."""
    return [
        dataclasses.replace(
            row, linux=linux[row.name][1] if row.name in linux else None, string=string_ticks(row.name, calibration))
        for row in rows]


def string_ticks(name, calibration):
    """What the clearing or copying that the row is about takes with one REP string instruction; else 0."""
    if match := CLEARS.fullmatch(name):
        return calibration.get(f"rep stosq {match[1]} bytes", 0)
    if match := COPIES.fullmatch(name):
        return calibration.get(f"rep movsq {match[1]} bytes", 0)
    return 0


def bound_calls(rows):
    """All that has a bound, in the rows' order: each allocation with its free, and loops and single calls."""
    by_name = {row.name: row for row in rows if row.linux is not None}
    found = []
    for row in by_name.values():
        if row.floor == "vmalloc":
            found += vmalloc_bounds(row, by_name)
            continue
        match = PAIR.fullmatch(row.name)
        if match and (free := by_name.get(f"{match[1]} free")):
            kind = "hot" if match[2] == "hot" else "batch"
            found.append(
                Bound(match[1], kind, row.instructions + free.instructions, row.linux + free.linux, row.string))
        elif row.floor == "slab" and not row.name.endswith((" alloc", " free")):
            kind = "loop" if row.name.startswith("loop ") else "single"
            found.append(Bound(row.name, kind, row.instructions, row.linux, row.string))
    return found


def vmalloc_bounds(row, by_name):
    """What has a bound of a row of vmalloc's: a pair, a pair measured as one, a single call; or nothing."""
    if row.name.startswith(("vmalloc_to_page", "find_vm_area")):
        return [Bound(row.name, "single", row.instructions, row.linux)]
    if row.name.startswith("vmalloc+vfree"):
        return [Bound(row.name, "amortised", row.instructions, row.linux)]
    for name, undone_by in VMALLOC_PAIRS:
        if match := name.fullmatch(row.name):
            free = by_name.get(match.expand(undone_by))
            if free is None:
                return []
            return [Bound(row.name, "vmalloc", row.instructions + free.instructions, row.linux + free.linux)]
    return []


def geometric_means(rows, bounds):
    """[(title, mean, limit, goal)] of the rows of each floor."""
    found = []
    for floor, title in MEANS.items():
        mean = geometric_mean([row for row in rows if row.floor == floor])
        found.append((title, mean, bounds["reached where the goal is not"].get(title, bounds[title]), bounds[title]))
    return found


def geometric_mean(rows):
    ratios = [row.ratio for row in rows if row.ratio]
    return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else math.inf
