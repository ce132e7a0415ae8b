"""`make debug` as a person has it: gdb at a terminal, Ctrl-C, and the kernel going on."""

import re
import sys
import time

import pexpect

from toolchain import BUILD, ROOT

PROMPT = r"\(gdb\) "
LOG = BUILD / "debug" / "serial.log"


def wait_for_prompts(count):
    """Until the kernel has written its prompt so often."""
    deadline = time.monotonic() + 90
    while LOG.read_bytes().count(b"quarry> ") < count:
        assert time.monotonic() < deadline, LOG.read_text(errors="replace")[-2000:]
        time.sleep(0.1)


def test_ctrl_c_stops_the_kernel_and_continue_goes_on():
    LOG.unlink(missing_ok=True)
    gdb = pexpect.spawn(
        sys.executable, [str(ROOT / "Tools" / "debug_kernel.py"), "--memory", "64M", "--arguments", "nokaslr selftest=no monitor"],
        timeout=90, encoding="utf-8", dimensions=(50, 200))

    def ask(line):
        gdb.sendline(line)
        gdb.expect(PROMPT)
        return re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", gdb.before)

    gdb.expect(PROMPT)
    # Where it has stopped, and nothing that nobody asked for.
    assert len(gdb.before.splitlines()) < 20 and "kernel_main" in gdb.before, gdb.before
    assert "the kernel has not come that far" in ask("quarry buddy")
    for _ in range(2):
        gdb.sendline("continue")
        gdb.expect("Continuing")
        wait_for_prompts(1)
        gdb.sendintr()
        gdb.expect("SIGINT")
        gdb.expect(PROMPT)
        assert re.search(r"^main +0xffffc90000001000 ", ask("quarry stacks"), re.MULTILINE)
    assert "MonitorLoop" in ask("bt")
    gdb.sendline("quit")
    gdb.expect(pexpect.EOF)
    gdb.close()
    assert gdb.exitstatus == 0
