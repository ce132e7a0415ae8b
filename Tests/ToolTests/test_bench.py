"""That each check of `make bench-check` fails on figures that are wrong, and passes on those that are right."""

import dataclasses
import json

import pytest

import bench
import bench_figures as figures
import bench_problems
import run_tests
from bench_figures import Row
from qemu import Machine
from toolchain import Failure

LINUX = {
    "a hot alloc": ("median", 300.0), "a hot free": ("median", 300.0),
    "a batch10 fifo alloc": ("mean", 400.0), "a batch10 fifo free": ("mean", 400.0),
    "loop a alloc+free pair": ("mean", 500.0),
    "kmalloc(8) const hot alloc": ("median", 300.0), "kmalloc(8) const hot free": ("median", 300.0),
    "kmalloc mixed churn alloc": ("mean", 400.0), "kmalloc mixed churn free": ("mean", 400.0),
    "kzalloc(4096) const hot alloc": ("median", 816.0), "kzalloc(4096) const hot free": ("median", 300.0),
    "loop kmalloc(8) const alloc+free pair": ("mean", 300.0),
    "ksize(64)": ("median", 200.0), "krealloc 8->16": ("median", 205.0), "krealloc 40->60 in place": ("median", 200.0),
    "vmalloc 4K alloc": ("median", 300.0), "vmalloc 4K vfree": ("median", 300.0),
    "vmalloc+vfree 4K amortised": ("mean", 300.0), "vmap 16 pages": ("median", 300.0),
    "vunmap 16 pages": ("median", 300.0), "find_vm_area": ("median", 300.0),
}
CALIBRATION = "".join(f"bench calibration {name}\t{value}\n" for name, value in figures.CALIBRATION.items())
ROWS = "".join(f"bench row {name}\t{statistic}\t60\n" for name, (statistic, _) in LINUX.items())
LOG = f"[ 1] info    ready\r\n{CALIBRATION}{ROWS}bench end\n"
BOOT = "[  12] info    page frames: 9 managed, 9 free, 7 bytes of metadata, 16 a descriptor\n[  {}] info    page frames ready\n"


@pytest.fixture
def bounds():
    """Every goal, as if all were reached."""
    return {**figures.read_bounds(), "reached where the goal is not": {}}


@pytest.fixture
def rows():
    """Figures with which nothing is wrong."""
    found = figures.read_log(LOG)[1]
    found += [Row(name, statistic, 9) for name, statistic in bench_problems.FROM_SLABS_ROWS.items()]
    found += [Row(name, statistic, 500) for name, statistic in bench_problems.DEMAND_ROWS.items()]
    found += [figures.boot_row(size, BOOT.format(1000))[0] for size in figures.BOOT_SIZES]
    return figures.compare(found, LINUX, figures.CALIBRATION)


def change(rows, name, instructions):
    return [dataclasses.replace(row, instructions=instructions) if row.name == name else row for row in rows]


def reference(rows):
    return {row.name: row.instructions for row in rows}


def test_good_figures_pass(rows, bounds):
    assert bench_problems.calibration_problems(figures.read_log(LOG)[0]) == []
    assert bench_problems.row_problems(rows, LINUX) == []
    assert bench_problems.bound_problems(rows, 16, bounds) == []
    assert bench_problems.growth_problems(rows, reference(rows), bounds["growth of a row"]) == []


@pytest.mark.parametrize("name", figures.CALIBRATION)
def test_a_calibration_that_is_off_or_missing(name):
    good = dict(figures.CALIBRATION)
    assert name in bench_problems.calibration_problems({**good, name: good[name] + 1})[0]
    del good[name]
    assert name in bench_problems.calibration_problems(good)[0]


def test_a_log_without_its_end_twice_a_row_or_nonsense():
    for log in (LOG.replace("bench end", ""), LOG + "bench row a hot alloc\tmedian\t60\n", LOG + "bench row a hot\n", ""):
        with pytest.raises(Failure):
            figures.read_log(log)


def test_a_boot_that_did_not_get_there():
    assert figures.boot_row("512M", BOOT.format(77)) == (Row(figures.boot_row_name("512M"), "count", 77.0), 16)
    with pytest.raises(Failure):
        figures.boot_row("512M", BOOT.format(77).replace("page frames ready", "fatal"))


@pytest.mark.parametrize(
    "name, most, problem", [
        ("first touch", 1372, "first touch: 1373.00, at most 1372"),
        ("first touch with fault-around, per page", 700,
         "first touch with fault-around, per page: 701.00, at most 700"),
        ("vmalloc 1G on demand", 1500, "vmalloc on demand, 1G over 4K: 3.00, at most 3"),
    ])
def test_a_first_touch_above_its_bound(rows, bounds, name, most, problem):
    assert bench_problems.bound_problems(change(rows, name, most), 16, bounds) == []
    assert bench_problems.bound_problems(change(rows, name, most + 1), 16, bounds) == [problem]


def test_missing_and_unknown_rows(rows):
    assert bench_problems.row_problems(rows[1:], LINUX) == ["missing row: a hot alloc"]
    assert bench_problems.row_problems(rows[:-1], LINUX) == ["missing row: boot 64G entry to page frames ready"]
    unknown = [*rows, Row("b hot alloc", "median", 1)]
    assert bench_problems.row_problems(unknown, LINUX) == ["unknown row: b hot alloc"]
    rows[0].statistic = "mean"
    assert "is a mean" in bench_problems.row_problems(rows, LINUX)[0]


@pytest.mark.parametrize(
    ("name", "most"),
    [("a hot free", 140), ("a batch10 fifo free", 340), ("kmalloc(8) const hot free", 140),
     ("kmalloc mixed churn free", 340)])
def test_a_pair_above_its_bound(rows, bounds, name, most):
    bounds["geometric mean of the ratios"] = 1
    assert bench_problems.bound_problems(change(rows, name, most), 16, bounds) == []
    problems = bench_problems.bound_problems(change(rows, name, most + 1), 16, bounds)
    assert len(problems) == 1 and problems[0].startswith(name.removesuffix(" free") + " pair")


@pytest.mark.parametrize(
    ("name", "most"),
    [("loop kmalloc(8) const alloc+free pair", 100), ("ksize(64)", 100), ("krealloc 40->60 in place", 100)])
def test_a_call_of_the_slab_above_its_bound(rows, bounds, name, most):
    assert bench_problems.bound_problems(change(rows, name, most), 16, bounds) == []
    problems = bench_problems.bound_problems(change(rows, name, most + 1), 16, bounds)
    assert len(problems) == 1 and problems[0].startswith(name + ": ")


# Of the pair of 1116 and the call of 205 instructions 516 and 5 are the string instruction's.
@pytest.mark.parametrize(("name", "most"), [("kzalloc(4096) const hot alloc", 656), ("krealloc 8->16", 105)])
def test_what_is_cleared_or_copied_anyway_is_not_bound(rows, bounds, name, most):
    assert bench_problems.bound_problems(change(rows, name, most), 16, bounds) == []
    assert len(bench_problems.bound_problems(change(rows, name, most + 1), 16, bounds)) == 1


def test_which_rows_clear_or_copy():
    ticks = {"rep stosq 64 bytes": 12, "rep stosq 256 bytes": 36, "rep movsq 1024 bytes": 132}
    for name, expected in {
        "kzalloc(64) const hot alloc": 12, "kmem_cache_zalloc 256 hot alloc": 36, "krealloc 1024->2048": 132,
        "kzalloc(64) const hot free": 0, "krealloc 40->60 in place": 0, "kmalloc(64) const hot alloc": 0,
        "kmem_cache 256 hot alloc": 0, "alloc_pages order 0 __GFP_ZERO hot alloc": 0,
    }.items():
        assert figures.string_ticks(name, ticks) == expected


def test_clearing_faster_than_a_string_instruction_is_no_error():
    assert Row("kzalloc(4096) const hot alloc", "median", 300, 616, 516).ratio == 0.01


@pytest.mark.parametrize(
    ("name", "most", "named"),
    [("vmalloc 4K vfree", 140, "vmalloc 4K alloc pair"), ("vunmap 16 pages", 140, "vmap 16 pages pair"),
     ("vmalloc+vfree 4K amortised", 100, "vmalloc+vfree 4K amortised"), ("find_vm_area", 150, "find_vm_area")])
def test_a_call_of_vmallocs_above_its_bound(rows, bounds, name, most, named):
    bounds["geometric mean of vmalloc's ratios"] = 1
    assert bench_problems.bound_problems(change(rows, name, most), 16, bounds) == []
    problems = bench_problems.bound_problems(change(rows, name, most + 1), 16, bounds)
    assert len(problems) == 1 and problems[0].startswith(f"{named}:")


def test_the_slabs_geometric_mean_is_its_own(rows, bounds):
    bounds["hot pair over Linux's"] = bounds["batch pair over Linux's"] = bounds["single call over Linux's"] = 1000
    for name in ("kmalloc(8) const hot alloc", "ksize(64)"):
        rows = change(rows, name, 30_000)
    problems = bench_problems.bound_problems(rows, 16, bounds)
    assert len(problems) == 1 and problems[0].startswith("geometric mean of the slab's ratios")
    bounds["reached where the goal is not"] = {"geometric mean of the slab's ratios": 10}
    assert bench_problems.bound_problems(rows, 16, bounds) == []


def test_a_pair_that_misses_its_goal_is_held_to_what_was_reached(rows, bounds):
    bounds["geometric mean of the ratios"] = 1
    bounds["reached where the goal is not"] = {"a hot": 400}
    assert bench_problems.bound_problems(change(rows, "a hot free", 340), 16, bounds) == []
    assert len(bench_problems.bound_problems(change(rows, "a hot free", 341), 16, bounds)) == 1


def test_the_geometric_mean_above_its_bound(rows, bounds):
    assert figures.geometric_means(rows, bounds)[0][1] == pytest.approx((0.2 * 0.2 * 0.15 * 0.15 * 0.12) ** 0.2)
    problems = bench_problems.bound_problems(change(rows, "loop a alloc+free pair", 5000), 16, bounds)
    assert len(problems) == 1 and "geometric mean" in problems[0]
    assert bench_problems.bound_problems([], 16, bounds), "no rows at all are no reason to pass"


def test_a_descriptor_or_a_boot_above_its_bound(rows, bounds):
    assert "descriptor" in bench_problems.bound_problems(rows, 17, bounds)[0]
    name = figures.boot_row_name("64G")
    assert bench_problems.bound_problems(change(rows, name, 4000), 16, bounds) == []
    assert "4.00 times" in bench_problems.bound_problems(change(rows, name, 4001), 16, bounds)[0]


def test_a_row_that_grew_is_a_problem_and_one_that_shrank_is_mentioned(rows, bounds):
    growth = bounds["growth of a row"]
    before = {**reference(rows), "a hot alloc": 100.0}
    assert bench_problems.growth_problems(change(rows, "a hot alloc", 103), before, growth) == []
    assert "+3.1 %" in bench_problems.growth_problems(change(rows, "a hot alloc", 103.1), before, growth)[0]
    assert bench_problems.shrunken(change(rows, "a hot alloc", 97), before, growth) == []
    assert "shrank from 100 to 96" in bench_problems.shrunken(change(rows, "a hot alloc", 96), before, growth)[0]


def test_a_reference_that_does_not_fit_the_rows(rows, bounds):
    growth = bounds["growth of a row"]
    before = reference(rows)
    assert "not in instructions.json" in bench_problems.growth_problems([*rows, Row("b", "mean", 1)], before, growth)[0]
    assert "not measured" in bench_problems.growth_problems(rows[1:], before, growth)[0]


def test_the_checked_in_files_fit_each_other():
    bounds = figures.read_bounds()
    linux = figures.read_linux()
    expected = {*linux, *bench_problems.FROM_SLABS_ROWS, *bench_problems.DEMAND_ROWS, *bench_problems.BOOT_ROWS}
    assert len(linux) >= 391
    assert set(json.loads(figures.REFERENCE.read_text())) == expected
    found = figures.bound_calls([Row(name, statistic, 1, value) for name, (statistic, value) in linux.items()])
    pairs = [call for call in found if call.kind in ("hot", "batch", "vmalloc")]
    loops = [name for name in linux if name.startswith("loop ") and not figures.SLAB.match(name)]
    assert len(found) + len(pairs) + len(loops) == len(linux), "every row but the page frames' loops has a bound"
    means = {title for title, *_ in figures.geometric_means([], bounds)}
    assert set(bounds["reached where the goal is not"]) <= {call.name for call in found} | means


def test_the_result_file(rows):
    written = bench.result(figures.CALIBRATION, rows)
    assert list(written) == ["calibration", "rows"]
    assert written["rows"][0] == {
        "name": "a hot alloc", "statistic": "median", "instructions": 60, "linux": 300, "string": 0, "ratio": 0.2}
    assert written["rows"][-1]["ratio"] is None


def test_the_machine_counts_instructions():
    words = Machine(cpu=bench.CPU, counts_instructions=True).argv()
    line = " ".join(words)
    for part in ("-accel tcg", "-icount shift=0,sleep=off", "-cpu qemu64,+rdrand", "-m 512M", "-smp 1"):
        assert part in line
    assert "-icount" not in Machine().argv()


def test_a_test_run_checks_the_benchmarks():
    commands = [" ".join(command) for command in run_tests.PARTS["bench"].commands]
    assert any("bench.py check" in command for command in commands)
    assert any("host_bench.py --callgrind --check" in command for command in commands)


def test_an_unknown_argument_is_refused():
    with pytest.raises(Failure, match="usage"):
        bench.main(["chekc"])
