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

CALIBRATION = {"empty pair": 3, "1000 nops": 1000, "dec/jnz 1000 times": 2001}
BOOT_SIZES = ("512M", "64G")
ROW_LINE = re.compile(r"^bench row (.+)\t(median|mean)\t(\d+(?:\.\d+)?)$")
CALIBRATION_LINE = re.compile(r"^bench calibration (.+)\t(\d+)$")
FRAMES_READY = re.compile(r"^\[\s*(\d+)\] info +page frames ready$", re.MULTILINE)
DESCRIPTOR = re.compile(r"page frames: .*, (\d+) a descriptor$", re.MULTILINE)


@dataclasses.dataclass
class Row:
    """One figure. `linux` is None where Linux has nothing to compare with."""

    name: str
    statistic: str
    instructions: float
    linux: float | None = None

    @property
    def ratio(self):
        return None if self.linux is None else self.instructions / self.linux


@dataclasses.dataclass
class Pair:
    """An allocation and its free."""

    name: str
    kind: str  # "hot" or "batch"
    instructions: float
    linux: float

    @property
    def ratio(self):
        return self.instructions / self.linux

    def goal(self, bounds):
        """The most instructions that the pair is meant to take: a share of Linux's."""
        return self.linux * bounds[f"{self.kind} pair over Linux's"]

    def limit(self, bounds):
        """The most instructions that `bounds` allow: the goal, or the best that was reached where that is not."""
        return bounds["reached where the goal is not"].get(self.name, self.goal(bounds))


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


def compare(rows, linux):
    """The rows with Linux's figures beside them."""
    return [dataclasses.replace(row, linux=linux[row.name][1] if row.name in linux else None) for row in rows]


def pairs(rows):
    """Each hot and batch allocation with its free, in the rows' order."""
    by_name = {row.name: row for row in rows if row.linux is not None}
    found = []
    for row in by_name.values():
        match = re.fullmatch(r"(.+ (hot|batch\d+ \w+)) alloc", row.name)
        free = by_name.get(f"{match[1]} free") if match else None
        if free:
            kind = "hot" if match[2] == "hot" else "batch"
            found.append(Pair(match[1], kind, row.instructions + free.instructions, row.linux + free.linux))
    return found


def geometric_mean(rows):
    ratios = [row.ratio for row in rows if row.ratio]
    return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else math.inf


def calibration_problems(calibration):
    return [
        f"calibration: {name} counted as {calibration.get(name)}, not {expected}"
        for name, expected in CALIBRATION.items() if calibration.get(name) != expected]


def row_problems(rows, linux):
    """Rows that are missing, unknown, or another statistic than Linux's."""
    expected = {**{name: statistic for name, (statistic, _) in linux.items()},
                **{boot_row_name(size): "count" for size in BOOT_SIZES}}
    found = {row.name: row.statistic for row in rows}
    problems = [f"missing row: {name}" for name in expected if name not in found]
    problems += [f"unknown row: {name}" for name in found if name not in expected]
    problems += [
        f"{name}: is a {found[name]}, and {expected[name]} is what it is compared with"
        for name in found if name in expected and found[name] != expected[name]]
    return problems


def bound_problems(rows, descriptor_bytes, bounds):
    """Pairs, means, boots and descriptors above their bounds."""
    problems = []
    for pair in pairs(rows):
        if pair.instructions > pair.limit(bounds):
            problems.append(
                f"{pair.name} pair: {pair.instructions:.2f} is {pair.ratio:.3f} of Linux's {pair.linux:.2f}, "
                f"at most {pair.limit(bounds):.2f}")
    mean = geometric_mean(rows)
    if mean > bounds["geometric mean of the ratios"]:
        problems.append(f"geometric mean of the ratios: {mean:.3f}, at most {bounds['geometric mean of the ratios']}")
    if descriptor_bytes > bounds["descriptor bytes"]:
        problems.append(f"descriptor: {descriptor_bytes} bytes a frame, at most {bounds['descriptor bytes']}")
    ratio = boot_ratio(rows)
    if ratio is not None and ratio > bounds["boot of 64G over 512M"]:
        problems.append(
            f"boot to \"page frames ready\": 64G takes {ratio:.2f} times 512M, at most "
            f"{bounds['boot of 64G over 512M']}")
    return problems


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
