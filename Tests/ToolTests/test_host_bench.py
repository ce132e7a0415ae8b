"""That `make host-bench-check` fails on figures that are wrong, and passes on those that are right."""

import json

import pytest

import bench_figures
import host_bench
from host_bench import Figures
from toolchain import Failure

OUTPUT = "measured\thot order 0 fresh\t100\t2500\nrefused\tA mixed L=10000\t0\nfragmentation\t50\t62976\t64506\t3\n"
DUMP = "version: 1\ndesc: Trigger: Client Request: hot order 0 fresh\nevents: Ir\ntotals: 9000\n"


@pytest.fixture
def bounds():
    """Every goal, as if all were reached."""
    return {**bench_figures.read_bounds(), "host reached where the goal is not": {}}


@pytest.fixture
def good(bounds):
    """Figures that are exactly as good as they must be."""
    instructions = dict(bounds["host instructions per operation"])
    for name, most in bounds["host instructions of an allocation and its free"].items():
        if match := host_bench.BATCH.fullmatch(name):
            instructions |= {f"{match[1]} alloc {match[2]}": most - 60, f"{match[1]} free {match[2]}": 60}
        else:
            instructions[name] = most
    return Figures(
        instructions=instructions, refused=dict(bounds["host refusals"]),
        large_blocks=dict(bounds["host percent of free memory in blocks of order 9"]), footprint=1.15, span=1.09,
        throughput={"one thread": 20.0, "two threads": 20.0})


def test_good_figures_pass(good, bounds):
    assert host_bench.problems(good, bounds) == []


@pytest.mark.parametrize("label", ["hot order 0 fresh", "hot order 0 held", "batch free random", "A mixed L=10000", "C mixed", "C look-up"])
def test_more_instructions_than_the_bound_or_none_counted(good, bounds, label):
    good.instructions[label] += 0.1
    assert [problem.startswith(label) for problem in host_bench.problems(good, bounds)] == [True]
    del good.instructions[label]
    assert "nothing counted" in host_bench.problems(good, bounds)[0]


@pytest.mark.parametrize(
    ("label", "name"),
    [("kmalloc(8) hot fresh", "kmalloc(8) hot fresh"), ("kmalloc(2048) hot held", "kmalloc(2048) hot held"),
     ("kmalloc(64) batch alloc fifo", "kmalloc(64) batch fifo"),
     ("kmalloc(64) batch free random", "kmalloc(64) batch random"), ("B mixed", "B mixed")])
def test_more_instructions_for_an_object_than_the_bound_or_none_counted(good, bounds, label, name):
    good.instructions[label] += 0.1
    assert [problem.startswith(f"{name}: ") for problem in host_bench.problems(good, bounds)] == [True]
    bounds["host reached where the goal is not"] = {name: 1000}
    assert host_bench.problems(good, bounds) == []
    del good.instructions[label]
    assert f"{name}: nothing counted" in host_bench.problems(good, bounds)[0]


def test_a_footprint_above_its_bound_or_not_measured(good, bounds):
    good.footprint = 1.16
    assert host_bench.problems(good, bounds) == [f"{host_bench.FOOTPRINT}: 1.160, at most 1.15"]
    bounds["host reached where the goal is not"] = {host_bench.FOOTPRINT: 1.16}
    assert host_bench.problems(good, bounds) == []
    good.footprint = None
    assert "not measured" in host_bench.problems(good, bounds)[0]


def test_a_span_above_its_bound_or_not_measured(good, bounds):
    good.span = 1.101
    assert host_bench.problems(good, bounds) == [f"{host_bench.SPAN}: 1.101, at most 1.1"]
    good.span = None
    assert "not measured" in host_bench.problems(good, bounds)[0]


def test_two_threads_that_do_less_than_one_or_were_not_measured(good, bounds):
    good.throughput["two threads"] = 19.9
    assert host_bench.problems(good, bounds) == [f"{host_bench.SPEEDUP}: 0.995, at least 1.0"]
    bounds["host reached where the goal is not"] = {host_bench.SPEEDUP: 0.9}
    assert host_bench.problems(good, bounds) == []
    del good.throughput["two threads"]
    assert "not measured" in host_bench.problems(good, bounds)[0]


def test_what_was_reached_is_named_as_the_bounds_are():
    bounds = bench_figures.read_bounds()
    named = {*bounds["host instructions of an allocation and its free"], host_bench.FOOTPRINT, host_bench.SPEEDUP}
    assert set(bounds["host reached where the goal is not"]) <= named
    assert {host_bench.FOOTPRINT, host_bench.SPEEDUP} <= set(bounds)


def test_the_others_have_a_figure_in_each_column():
    others = json.loads(host_bench.OTHERS.read_text())[host_bench.SLAB_TABLE]
    assert len({tuple(row) for row in others["instructions"].values()}) == 1
    assert set(others["footprint"]) == set(others["instructions"]) - {"null"}
    assert set(others["checks"]) == set(others["instructions"])
    bounds = bench_figures.read_bounds()
    assert set(others["instructions"]["null"]) <= set(bounds["host instructions of an allocation and its free"])


def test_the_figures_of_two_programs_become_one():
    frames = Figures(nanoseconds={"hot order 0 fresh": 25.0}, refused={"A": 1})
    slab = Figures(nanoseconds={"B mixed": 60.0}, footprint=1.4, throughput={"one thread": 50.0})
    assert host_bench.merge([frames, slab]) == Figures(
        nanoseconds={"hot order 0 fresh": 25.0, "B mixed": 60.0}, refused={"A": 1}, footprint=1.4,
        throughput={"one thread": 50.0})


def test_a_refused_request(good, bounds):
    good.refused["A mixed L=10000"] = 1
    assert host_bench.problems(good, bounds) == ["A mixed L=10000: 1 requests refused, at most 0"]


@pytest.mark.parametrize("percent", ["50", "70", "80", "90", "95"])
def test_fewer_large_blocks_than_the_best(good, bounds, percent):
    good.large_blocks[percent] -= 0.1
    assert [f"D2 at {percent} %" in problem for problem in host_bench.problems(good, bounds)] == [True]
    del good.large_blocks[percent]
    assert len(host_bench.problems(good, bounds)) == 1


def test_the_bounds_are_the_best_of_the_others(bounds):
    others = json.loads(host_bench.OTHERS.read_text())["percent of free memory in blocks of order 9"].values()
    for percent, least in bounds["host percent of free memory in blocks of order 9"].items():
        assert least == max(row[percent] for row in others)


def test_the_output_is_read():
    found = host_bench.read_output(OUTPUT)
    assert found.nanoseconds == {"hot order 0 fresh": 25.0}
    assert found.refused == {"A mixed L=10000": 0, "D2 50 %": 3}
    assert found.large_blocks == {"50": 97.6}
    assert found.footprint is None and found.speedup is None
    assert host_bench.read_output("span\t110\t100\n").span == 1.1
    found = host_bench.read_output("footprint\t2000\t8000000\nthroughput\tone thread\t500\t25000\n")
    assert (found.footprint, found.throughput, found.speedup) == (1.024, {"one thread": 20.0}, None)
    for line in ("error\tthe fill of workload A", "measured\thot\t1", "footprint\t1", "throughput\tone thread\t1"):
        with pytest.raises(Failure):
            host_bench.read_output(line)


def test_the_dumps_are_read():
    assert host_bench.read_dumps([DUMP, "totals: 5\n"], {"hot order 0 fresh": 100}) == {"hot order 0 fresh": 90.0}
    with pytest.raises(Failure, match="counted nothing for A mixed"):
        host_bench.read_dumps([DUMP], {"hot order 0 fresh": 100, "A mixed": 5})


def test_a_program_that_fails_is_a_failure():
    with pytest.raises(Failure, match="status 3"):
        host_bench.output_of(["sh", "-c", "echo error; exit 3"], 10)


def test_a_check_without_counts_is_refused():
    with pytest.raises(Failure, match="needs --callgrind"):
        host_bench.main(["--check"])
