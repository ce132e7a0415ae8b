"""QEMU's command line, its exit status in words, the GRUB menu, and what the test run makes of its parts' output."""

import re

import pytest

from make_iso import menu
from qemu import ENDS, Machine, byte_count, describe, status_of
from run_tests import Count, host_count, pytest_count
from toolchain import ROOT, Failure


def test_memory_above_four_gigabytes_is_reserved_not_taken():
    words = Machine(memory="64G", machine="q35").argv()
    assert "q35,memory-backend=ram" in words
    assert "memory-backend-ram,id=ram,size=64G,reserve=off" in words
    assert not any("memory-backend" in word for word in Machine(memory="4G").argv())


def test_an_unknown_machine_boot_or_size_is_refused():
    for machine in (Machine(machine="mac"), Machine(boot="disk"), Machine(memory="much")):
        with pytest.raises(Failure):
            machine.argv()


def test_the_command_line_reaches_the_kernel():
    words = Machine(arguments="mem=64M crash=null").argv()
    assert words[words.index("-append") + 1] == "mem=64M crash=null"


def test_a_module_is_loaded_beside_the_kernel():
    words = Machine(module="/tmp/a-module").argv()
    assert words[words.index("-initrd") + 1] == "/tmp/a-module"
    assert "-initrd" not in Machine().argv()
    with pytest.raises(Failure):
        Machine(boot="iso", module="/tmp/a-module").argv()


@pytest.mark.parametrize(("size", "expected"), [("64M", 64 << 20), ("5G", 5 << 30), ("512", 512 << 20), ("2k", 2048)])
def test_sizes(size, expected):
    assert byte_count(size) == expected


def test_statuses_in_words():
    assert status_of(0x10) == 33
    assert "page fault" in describe(41)
    assert "reset" in describe(0)
    assert "unknown" in describe(status_of(0x55))
    assert "signal 9" in describe(-9)
    assert "still running" in describe(None)


def test_each_exit_value_of_the_kernel_has_words():
    source = (ROOT / "Sources" / "Kernel" / "ExitCode.swift").read_text()
    values = {int(value, 16) for value in re.findall(r"^    case \w+ = (0x[0-9a-f]+)$", source, re.MULTILINE)}
    assert len(values) > 10
    assert values <= set(ENDS)


def test_the_menu_carries_the_arguments_and_refuses_what_grub_would_change():
    assert menu("multiboot /k @ARGUMENTS@", "mem=64M loglevel=7") == "multiboot /k mem=64M loglevel=7"
    with pytest.raises(Failure):
        menu("@ARGUMENTS@", "x; reboot")
    with pytest.raises(Failure):
        menu("@ARGUMENTS@", "x='$root'")


def test_the_menu_quotes_what_grub_would_expand():
    quoted = menu("multiboot /k @ARGUMENTS@", "mem=64M memmap=64K$16M,1M#32M loglevel=7")
    assert quoted == "multiboot /k mem=64M 'memmap=64K$16M,1M#32M' loglevel=7"


def test_counts_of_a_host_run():
    passed = "✔ Test run with 42 tests in 3 suites passed after 0.1 seconds."
    failed = '✘ Test f() failed after 0.1 seconds with 1 issue.\n✘ Test g() failed after 1 seconds with 2 issues.\n' \
        "✘ Test run with 42 tests in 3 suites failed after 0.1 seconds with 3 issues."
    assert host_count(passed, 0) == Count(42, 0)
    assert host_count(failed, 1) == Count(40, 2)


def test_a_host_run_that_died_is_a_failure_whatever_it_printed():
    assert host_count("", 1) == Count(0, 1)
    assert host_count("✔ Test run with 42 tests in 3 suites passed after 0.1 seconds.", 139) == Count(42, 1)
    assert host_count("error: no tests found", 0) == Count(0, 1)


def test_counts_of_pytest():
    assert pytest_count("==== 3 failed, 12 passed, 1 error in 4.00s ====", 1) == Count(12, 4)
    assert pytest_count("12 passed in 4.00s", 0) == Count(12, 0)
    assert pytest_count("", 2) == Count(0, 1)
    assert pytest_count("no tests ran in 0.01s", 5) == Count(0, 1)
