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
    return bench_figures.read_bounds()


@pytest.fixture
def good(bounds):
    """Figures that are exactly as good as they must be."""
    return Figures(
        instructions=dict(bounds["host instructions per operation"]), refused=dict(bounds["host refusals"]),
        large_blocks=dict(bounds["host percent of free memory in blocks of order 9"]))


def test_good_figures_pass(good, bounds):
    assert host_bench.problems(good, bounds) == []


@pytest.mark.parametrize("label", ["hot order 0 fresh", "hot order 0 held", "batch free random", "A mixed L=10000"])
def test_more_instructions_than_the_bound_or_none_counted(good, bounds, label):
    good.instructions[label] += 0.1
    assert [problem.startswith(label) for problem in host_bench.problems(good, bounds)] == [True]
    del good.instructions[label]
    assert "nothing counted" in host_bench.problems(good, bounds)[0]


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
    for line in ("error\tthe fill of workload A", "measured\thot\t1"):
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
