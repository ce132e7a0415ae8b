"""A machine that does not end is a failure, told with the log's last lines, by each of the ways to run one."""

import subprocess
import sys
import time

import pytest

from booting import run_machine, run_under_gdb
from hanging_kernel import LAST_WORDS, hanging_kernel
from qemu import SUCCESS
from run_kernel import TIMED_OUT
from toolchain import ROOT

LIMIT = 2


@pytest.mark.parametrize("talks_on", [False, True], ids=["silent", "talking"])
def test_a_boot_that_hangs_fails(tmp_path, talks_on):
    kernel = hanging_kernel(tmp_path / "kernel.elf", talks_on)
    started = time.monotonic()
    with pytest.raises(pytest.fail.Exception, match=rf"no end within {LIMIT} s; [^\n]*\n(.*\n)*{LAST_WORDS}"):
        run_machine(tmp_path / "log", timeout=LIMIT, memory="64M", kernel=kernel)
    assert LIMIT <= time.monotonic() - started < LIMIT + 10


def test_a_machine_that_never_starts_fails(tmp_path):
    kernel = hanging_kernel(tmp_path / "kernel.elf", talks_on=False)
    with pytest.raises(pytest.fail.Exception, match=rf"no end within {LIMIT} s; [^\n]*\n\(nothing\)"):
        run_machine(tmp_path / "log", timeout=LIMIT, memory="64M", kernel=kernel, extra=("-S",))


@pytest.mark.parametrize("talks_on", [False, True], ids=["silent", "talking"])
def test_a_run_that_hangs_ends_with_its_own_status(tmp_path, talks_on):
    kernel = hanging_kernel(tmp_path / "kernel.elf", talks_on)
    run = subprocess.run(
        [sys.executable, ROOT / "Tools" / "run_kernel.py", "--memory", "64M", "--kernel", kernel,
         "--log", tmp_path / "log", "--timeout", str(LIMIT)],
        capture_output=True, text=True, timeout=LIMIT + 20, stdin=subprocess.DEVNULL)
    assert run.returncode == TIMED_OUT
    assert f"no end within {LIMIT} s" in run.stderr
    assert f"    {LAST_WORDS}\n" in run.stderr
    assert LAST_WORDS in run.stdout


@pytest.fixture
def hanging_directory(tmp_path):
    """A directory as the kernel build leaves it, with a kernel in it that hangs."""
    for name in ("quarry-multiboot.elf", "quarry.elf"):
        hanging_kernel(tmp_path / name, talks_on=False)
    return tmp_path


def test_gdb_that_does_not_come_back_fails(hanging_directory):
    words = rf"gdb did not end within {LIMIT} s; [^\n]*\n(.*\n)*{LAST_WORDS}"
    with pytest.raises(pytest.fail.Exception, match=words):
        run_under_gdb(
            hanging_directory / "log", ["continue"], kernel_directory=hanging_directory, timeout=LIMIT, memory="64M")


def test_a_kernel_that_gdb_left_running_has_not_succeeded(hanging_directory):
    _, result = run_under_gdb(
        hanging_directory / "log", ["detach"], kernel_directory=hanging_directory, memory="64M")
    assert result.status is None
    with pytest.raises(AssertionError, match=f"still running(.*\n)*{LAST_WORDS}"):
        result.expect_end(SUCCESS)
