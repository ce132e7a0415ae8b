"""How the monitor ends, and what goes in and out by a pipe: `make shell`."""

import os
import re
import signal
import subprocess
import time

import pytest

from monitor_session import PROMPT, SHELL, TIMEOUT, pipe
from qemu import SUCCESS, Machine, status_of
from toolchain import BUILD

PAGE_FAULT = 0x14


def test_a_bad_fault_ends_the_kernel_with_its_report(start_monitor):
    session = start_monitor("fault")
    session.type("fault 0x10 write\r")
    status, text = session.end()
    assert status == PAGE_FAULT
    assert "page fault (vector 14)" in text and "supervisor write to a page" in text and "use of a null pointer" in text and "FaultCommand" in text


@pytest.mark.parametrize("command", ["reboot", "poweroff"])
def test_the_machine_is_switched_off(command):
    done = pipe(f"{command}\nmeminfo\n")
    assert done.returncode == 0
    assert done.stdout.endswith(f"{PROMPT}{command}\n") and done.stderr == ""


@pytest.mark.parametrize("options", [
    ("--machine", "q35", "--cpu", "qemu64"), ("--machine", "pc", "--boot", "iso"), ("--machine", "q35", "--boot", "iso"),
])
def test_piped_input_is_typed_and_its_end_ends_the_machine(options):
    # Not even the last line's end is needed.
    done = pipe("meminfo\nnonsense", *options)
    assert done.returncode == 0 and done.stderr == ""
    assert f"{PROMPT}meminfo\nMemTotal: " in done.stdout
    assert 'expected a command, not "nonsense"' in done.stdout


def test_the_unoptimised_kernel_has_a_prompt():
    lines = ["meminfo", "check", "test interrupts:", "alloc vmalloc area 1M", "free area", "nonsense", "poweroff"]
    kernel = BUILD / "debug" / "quarry-multiboot.elf"
    done = pipe("".join(f"{line}\n" for line in lines), "--kernel", str(kernel), "--memory", "64M")
    assert done.returncode == 0 and done.stderr == "", done.stdout + done.stderr
    assert f"{PROMPT}meminfo\nMemTotal: " in done.stdout
    assert f"{PROMPT}check\ncheck: every allocator and all page tables are as they must be\n{PROMPT}" in done.stdout
    assert "\ntest: 1 passed, 0 failed\n" in done.stdout and "\narea: vmalloc, 1 MiB at 0x" in done.stdout
    assert 'expected a command, not "nonsense"' in done.stdout


def test_nothing_of_fast_input_is_lost():
    lines = [f"line-{number:04}-{'x' * (number % 50)}" for number in range(500)]
    # At once, and not line by line as the shell does. While the machine looks through everything it reads nothing: what comes
    # meanwhile waits in the port, and QEMU with the rest.
    command = Machine(memory="64M", arguments="monitor loglevel=4").argv()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as machine:
        output = b""
        while not output.endswith(PROMPT.encode()):
            output += machine.stdout.read(1)
        try:
            text = "".join(f"{line}\n" for line in ["check", "check", *lines, "poweroff"])
            output, _ = machine.communicate(text.encode(), timeout=TIMEOUT)
        finally:
            machine.kill()
    assert machine.returncode == status_of(SUCCESS)
    assert re.findall(rb'expected a command, not "(\S+)";', output) == [line.encode() for line in lines]


def test_a_hang_ends_with_the_logs_tail():
    done = pipe("stress 600\nmeminfo\n", "--timeout", "8")
    assert done.returncode == 124
    assert "no end within 8 s; the log's last lines:\n" in done.stderr and f"{PROMPT}stress 600" in done.stderr
    assert "MemTotal" not in done.stdout


def test_who_reads_can_go_and_input_can_be_closed():
    line = f"{subprocess.list2cmdline(SHELL)} --memory 64M"
    # The report is much longer than what the reader waits for.
    done = subprocess.run(
        ["bash", "-c", f"printf 'pagetables\nslabinfo\nstress 600\n' | {line} | head -n 1; exit ${{PIPESTATUS[1]}}"],
        capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 0 and done.stderr == "" and "Quarry: " in done.stdout
    done = subprocess.run(["bash", "-c", f"{line} <&-"], capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 0 and done.stderr == "" and done.stdout.endswith(f"\n{PROMPT}\n")


def machines(process):
    """The processes below one, and theirs."""
    found = subprocess.run(["pgrep", "-P", str(process)], capture_output=True, text=True).stdout.split()
    return [int(child) for child in found] + [below for child in found for below in machines(int(child))]


def is_running(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_no_machine_outlives_its_shell(start_monitor, number):
    session = start_monitor(f"signal-{number}", "--memory", "64M")
    below = machines(session.terminal.pid)
    assert below
    session.type("stress 600\r")
    if number == signal.SIGHUP:
        # As a window that is closed.
        session.terminal.ptyproc.fileobj.close()
    else:
        session.terminal.kill(number)
    patience = 100
    while any(map(is_running, below)) and patience > 0:
        patience -= 1
        time.sleep(0.1)
    assert not any(map(is_running, below))
