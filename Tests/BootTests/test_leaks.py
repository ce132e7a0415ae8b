"""The leak detector: nothing is reported that is not lost, and what is lost is, with who lost it."""

import re

import pytest

from qemu import SUCCESS

OUT_OF_MEMORY = 0x1B
SCAN = re.compile(r"kmemleak: scan: (\d+) words, (\d+) allocations looked through, (\d+) to be looked at again, (\d+) lost")
REPORT = re.compile(
    r"unreferenced object 0x([0-9a-f]{16}) \(size (\d+)\):\n"
    r'  comm "swapper/0", pid 0, cycles \d+ \(age \d+\)\n'
    r"  hex dump \(first (\d+) bytes\):\n((?:    (?:[0-9a-f]{2} ){16} .{16}\n)*)"
    r"  backtrace:\n((?:    0x[0-9a-f]{16} .+\n)+)")


def text_of(result):
    return result.log.replace("\r\n", "\n")


def section(result):
    match = re.search(r"^--- kmemleak\n(.*)^--- end kmemleak$", text_of(result), re.MULTILINE | re.DOTALL)
    assert match, f"no section:\n{result.tail()}"
    return match[1]


def test_the_detector_is_off_unless_it_is_asked_for(boot):
    result = boot(memory="64M", arguments="selftest=no")
    result.expect_end(SUCCESS)
    assert "kmemleak" not in result.log


@pytest.mark.parametrize("memory", ["64M", "512M", "5G"])
def test_a_whole_boot_with_all_self_tests_loses_nothing(boot, memory):
    result = boot(memory=memory, arguments="kmemleak=on,scan", timeout=180)
    result.expect_end(SUCCESS)
    assert re.fullmatch(r"quarry: [1-9]\d* passed, 0 failed", result.last_line.strip()), result.tail()
    scans = SCAN.findall(section(result))
    assert len(scans) == 2
    assert all(int(words) > 1000 and lost == "0" for words, _, _, lost in scans), scans
    assert "unreferenced object" not in result.log
    assert "the leak detector is off" not in result.log


def test_scans_between_self_tests_find_nothing(boot):
    # The counter counts instructions, a second is 10^9 of them.
    result = boot(memory="64M", arguments="kmemleak=scan=1,scan", counts_instructions=True, timeout=180)
    result.expect_end(SUCCESS)
    scans = SCAN.findall(text_of(result))
    assert len(scans) >= 2 and all(lost == "0" for _, _, _, lost in scans), scans


def test_checks_of_page_frames_and_the_detector_go_together(boot):
    result = boot(
        memory="128M", arguments="kmemleak=scan page_poison=1 page_owner=on debug_guardpage=on", timeout=180)
    result.expect_end(SUCCESS)
    assert [lost for _, _, _, lost in SCAN.findall(section(result))] == ["0", "0"]


def test_planted_leaks_are_reported_with_the_functions_that_lost_them(boot):
    result = boot(memory="64M", arguments="selftest=no kmemleak=on,scan,plant,scan")
    result.expect_end(SUCCESS)
    log = section(result)
    assert [lost for _, _, _, lost in SCAN.findall(log)] == ["0", "0", "0", "3"]
    assert "kmemleak: 3 new suspected memory leaks\n" in log
    found = {int(size): (address, dump, backtrace) for address, size, _, dump, backtrace in REPORT.findall(log)}
    assert found.keys() == {112, 8192, 20480}, log
    for size, function in ((112, "loseObject"), (8192, "loseBlock"), (20480, "loseArea")):
        assert re.search(rf"PlantedLeaks\.{function}\(_:\)\+0x", found[size][2]), log
        assert "PlantedLeaks.plant()" in found[size][2], log
    assert "61 62 63 64 65 66 67 68 69 6a 6b 6c 6d 6e 6f 70  abcdefghijklmnop" in found[112][1]
    assert "6c 6f 73 74 00" in found[20480][1] and 0 <= int(found[20480][0], 16) - result.bases.vmalloc < 1 << 30
    # The list that is reachable only through the middle of its elements, of 48 bytes each, is not lost.
    assert "(size 48)" not in log


def test_commands(boot):
    result = boot(
        memory="64M",
        arguments="selftest=no kmemleak=plant,scan,clear,scan,dump=0xffff888000000008,off,scan,dump=0x10")
    result.expect_end(SUCCESS)
    log = section(result)
    assert [lost for _, _, _, lost in SCAN.findall(log)] == ["0", "3", "0", "0"]
    assert log.count("unreferenced object") == 3
    assert "kmemleak: Unknown object at 0xffff888000000008\n" in log
    assert "kmemleak: Kernel memory leak detector disabled\n" in log


def test_words_that_mean_nothing_are_named(boot):
    result = boot(memory="64M", arguments="selftest=no kmemleak=maybe kmemleak kmemleak=dump=here")
    result.expect_end(SUCCESS)
    result.expect(
        r'kmemleak: unknown item "maybe"', r'command line: "kmemleak" needs a value',
        r'command line: "dump=here" is not a number')


def test_memory_runs_out_with_the_detector_as_without(boot):
    result = boot(memory="64M", arguments="kmemleak=on crash=out-of-memory", timeout=120)
    result.expect_end(OUT_OF_MEMORY)
    result.expect(r"out of memory: a Swift object")
