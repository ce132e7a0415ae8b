"""That Examples/HostSimulation runs, repeats itself, and that what it prints adds up.

`Tools/run_tests.py examples` builds it first.
"""

import functools
import re
import subprocess

import pytest

from toolchain import ROOT

PROGRAM = ROOT / "Examples" / "HostSimulation" / ".build" / "debug" / "HostSimulation"
FREE = re.compile(r"^(.+): (\d+) frames free; of 1000, unusable for order 1: (\d+), order 4: (\d+), order 9: (\d+)$", re.M)


def run(*arguments):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60, check=False)


@functools.cache
def output(*arguments):
    result = run(*arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def numbers(pattern, text):
    match = re.search(pattern, text)
    assert match, f"no line like {pattern!r}:\n{text}"
    return [int(number) for number in match.groups()]


def free_blocks(text):
    """For each table of free blocks: how many there are of each order, over all zones."""
    tables = re.findall(r"(?:^Node 0, zone .*\n)+", text, re.M)
    rows = [[[int(word) for word in line.split()[4:]] for line in table.splitlines()] for table in tables]
    return [[sum(column) for column in zip(*table)] for table in rows]


def unusable(blocks, order):
    """Of 1000 free frames, those in blocks that are too small for `order`."""
    free = sum(count << number for number, count in enumerate(blocks))
    return sum(count << number for number, count in enumerate(blocks[:order])) * 1000 // free


@pytest.mark.parametrize("arguments", [(), ("--memory", "16", "--seed", "7"), ("--memory", "300", "--operations", "2000")])
def test_page_frames(arguments):
    text = output(*arguments)
    tables, moments = free_blocks(text), FREE.findall(text)
    assert [len(table) for table in tables] == [11, 11]
    assert [moment[0] for moment in moments] == ["before", "fragmented", "given back"]
    for blocks, moment in zip(tables, moments):
        free = sum(count << order for order, count in enumerate(blocks))
        assert free == int(moment[1])
        assert [unusable(blocks, order) for order in (1, 4, 9)] == [int(share) for share in moment[2:]]
    before, fragmented, after = (int(moment[1]) for moment in moments)
    (kept,) = numbers(r"every second frame given back: (\d+) are kept", text)
    assert before == after and before - kept == fragmented and abs(kept - before // 4) <= 1
    # Nearly every frame that was given back lies alone.
    assert abs(tables[1][0] - kept) <= 8
    assert int(moments[0][2]) <= 1 < 300 < int(moments[1][2])
    assert "Buddies have merged: the free blocks are those of before" in text


def test_kmalloc():
    text = output("--operations", "5000")
    total, allocations, frees, refused, live = numbers(
        r"(\d+) operations: (\d+) allocations, (\d+) frees, (\d+) refused; (\d+) objects live on", text)
    assert total == 5000 == allocations + frees + refused and live == allocations - frees
    asked, given, rounding = numbers(r"asked for (\d+) bytes, given (\d+): (\d+) of 1000 are rounding", text)
    # The next class is at most 1.34 times as large, but for the smallest objects.
    assert asked < given < 1.5 * asked and rounding == (given - asked) * 1000 // given
    left, before = numbers(r"shrunk, by \d+ frames: (\d+) frames free of (\d+) before", text)
    assert left == before == int(FREE.findall(text)[2][1])
    (most,) = numbers(r"page frames in use at most: (\d+)", text)
    assert 0 < most < before


def test_translations():
    text = output()
    before, after, faults = numbers(
        r"vmalloc of 256 pages: (\d+) pages there before a touch, (\d+) after 256 stores, (\d+) page faults", text)
    assert (before, after) == (0, 256) and faults in (16, 17)
    flushed, _, lost = text.partition("the TLB is not flushed.")
    assert "A load there faults, as it must: notPresent" in flushed and "stale" not in flushed
    assert "A load there answers 0x5ec2e7" in lost
    assert "caught: stale translation (unmapped) on CPU 0" in lost
    assert text.rstrip().endswith("0 violations, and every allocator's own check passes")


def test_same_seed_same_output():
    assert run("--seed", "3").stdout == run("--seed", "3").stdout
    assert run("--seed", "3").stdout != run("--seed", "4").stdout.replace("seed 4", "seed 3")


@pytest.mark.parametrize(("arguments", "message"), [
    (["--memory", "3"], "--memory must be 16 to 4096 MiB, and is 3"),
    (["--operations", "0"], "--operations must be 1 to 1000000, and is 0"),
    (["--operations", "-5"], "--operations"),
    (["--seed", "many"], "'many' is invalid for '--seed <seed>'"),
    (["--speed", "3"], "Unknown option '--speed'"),
    (["now"], "Unexpected argument 'now'"),
])
def test_bad_arguments_are_named(arguments, message):
    result = run(*arguments)
    assert result.returncode != 0 and message in result.stderr
