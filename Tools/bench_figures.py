"""What `make bench` makes of its figures: rows, pairs, ratios, and what is wrong with them. Boots nothing."""

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


def calibration_problems(calibration):
    return [
        f"calibration: {name} counted as {calibration.get(name)}, not {expected}"
        for name, expected in CALIBRATION.items() if calibration.get(name) != expected]


# The statistics of the rows that Linux does not have.
FROM_SLABS_ROWS = {
    f"kmalloc({size}) from slabs {call}": "mean" for size in (64, 1024, 8192) for call in ("alloc", "free")}
DEMAND_ROWS = {
    "first touch": "median", "first touch with fault-around, per page": "mean", "first touch 2M, per page of 4K": "mean",
    **{name: "median" for size in ("4K", "16M", "1G")
       for name in (f"vmalloc {size} on demand", f"vfree {size} on demand, untouched")},
    **{f"kernel stack, {name}": "median"
       for name in ("ready, make", "ready, free", "new, make", "new, free", "growth fault")}}
BOOT_ROWS = {boot_row_name(size): "count" for size in BOOT_SIZES}


def row_problems(rows, linux):
    """Rows that are missing, unknown, or another statistic than Linux's."""
    expected = {**{name: statistic for name, (statistic, _) in linux.items()},
                **FROM_SLABS_ROWS, **DEMAND_ROWS, **BOOT_ROWS}
    found = {row.name: row.statistic for row in rows}
    problems = [f"missing row: {name}" for name in expected if name not in found]
    problems += [f"unknown row: {name}" for name in found if name not in expected]
    problems += [
        f"{name}: is a {found[name]}, and {expected[name]} is what it is compared with"
        for name in found if name in expected and found[name] != expected[name]]
    return problems


def bound_problems(rows, descriptor_bytes, bounds):
    """Calls, means, boots and descriptors above their bounds."""
    problems = []
    for call in bound_calls(rows):
        if call.instructions > call.limit(bounds):
            problems.append(
                f"{call.name}{' pair' if call.kind in ('hot', 'batch', 'vmalloc') else ''}: {call.instructions:.2f} is "
                f"{call.ratio:.3f} of Linux's {call.linux:.2f}, at most {call.limit(bounds):.2f}")
    problems += [
        f"{title}: {mean:.3f}, at most {float(limit):.3f}"
        for title, mean, limit, _ in geometric_means(rows, bounds) if mean > limit]
    if descriptor_bytes > bounds["descriptor bytes"]:
        problems.append(f"descriptor: {descriptor_bytes} bytes a frame, at most {bounds['descriptor bytes']}")
    problems += [
        f"{name}: {value:.2f}, at most {limit:g}" for name, value, limit in demand_bounds(rows, bounds) if value > limit]
    ratio = boot_ratio(rows)
    if ratio is not None and ratio > bounds["boot of 64G over 512M"]:
        problems.append(
            f"boot to \"page frames ready\": 64G takes {ratio:.2f} times 512M, at most "
            f"{bounds['boot of 64G over 512M']}")
    return problems


def demand_bounds(rows, bounds):
    """[(name, value, limit)] of memory that is mapped at its first touch."""
    by_name = {row.name: row.instructions for row in rows}
    found = [(name, by_name[name], limit) for name, limit in bounds["first touches"].items() if name in by_name]
    small, large = (by_name.get(f"vmalloc {size} on demand") for size in ("4K", "1G"))
    if small and large:
        found.append(("vmalloc on demand, 1G over 4K", large / small, bounds["vmalloc on demand, 1G over 4K"]))
    return found


def boot_ratio(rows):
    """How many times as long 64G takes as 512M; None where either is not there."""
    by_name = {row.name: row.instructions for row in rows}
    small, large = (by_name.get(boot_row_name(size)) for size in BOOT_SIZES)
    return large / small if small and large else None


def growth_problems(rows, reference, bound):
    """Rows that grew by more than `bound` over the checked-in figures, or that these do not have."""
    problems = []
    for row in rows:
        before = reference.get(row.name)
        if before is None:
            problems.append(f"{row.name}: not in instructions.json; `make bench-update` adds it")
        elif row.instructions > before * (1 + bound):
            problems.append(
                f"{row.name}: grew from {before:g} to {row.instructions:g}, "
                f"{100 * (row.instructions / before - 1):+.1f} %")
    found = {row.name for row in rows}
    return problems + [f"{name}: in instructions.json and not measured" for name in reference if name not in found]


def shrunken(rows, reference, bound):
    """A line for each row that shrank by more than `bound`: the checked-in figure would let it grow back unseen."""
    return [
        f"{row.name}: shrank from {reference[row.name]:g} to {row.instructions:g}"
        for row in rows if row.name in reference and row.instructions < reference[row.name] * (1 - bound)]
