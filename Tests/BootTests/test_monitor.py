"""The monitor, as a person at a terminal and a script behind a pipe see it: `make shell`."""

import re
import subprocess
import sys

import pexpect
import pytest

from qemu import SUCCESS, Machine, status_of
from toolchain import BUILD, ROOT

SHELL = [sys.executable, str(ROOT / "Tools" / "shell.py")]
PROMPT = "quarry> "
# One that is drawn again for the line behind it comes after a carriage return alone.
NEW_PROMPT = "\r\n" + PROMPT
TIMEOUT = 90
PAGE_FAULT = 0x14
EDITING = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Session:
    """A terminal with the monitor at its other end."""

    def __init__(self, name, *options):
        path = BUILD / "boot-tests" / f"monitor-{name}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.log = open(path, "w", encoding="utf-8")
        self.terminal = pexpect.spawn(
            SHELL[0], [*SHELL[1:], *options], timeout=TIMEOUT, encoding="utf-8", codec_errors="replace", echo=False,
            dimensions=(50, 80))
        self.terminal.logfile_read = self.log
        self.terminal.expect_exact(NEW_PROMPT)

    def type(self, keys):
        self.terminal.send(keys)

    def answer(self):
        """The lines up to the next prompt, without the one that was being typed."""
        self.terminal.expect_exact(NEW_PROMPT)
        lines = EDITING.sub("", self.terminal.before).split("\r\n")
        return [line for line in lines[1:] if line]

    def ask(self, line):
        self.type(line + "\r")
        return self.answer()

    def number(self, report, pattern):
        text = "\n".join(self.ask(report))
        match = re.search(pattern, text)
        assert match, text
        return int(match[1])

    def end(self):
        """The status with which the shell ends, and all that came last."""
        self.terminal.expect(pexpect.EOF)
        text = self.terminal.before
        self.terminal.close()
        return self.terminal.exitstatus, text

    def close(self):
        self.terminal.close(force=True)
        self.log.close()


@pytest.fixture
def start():
    """Starts a session, which ends with the test."""
    sessions = []

    def begin(name, *options):
        sessions.append(Session(name, *options))
        return sessions[-1]

    yield begin
    for session in sessions:
        session.close()


@pytest.fixture(scope="module")
def session():
    """One session that most tests share: each leaves it at a fresh prompt, with nothing held."""
    found = Session("session", "--arguments", "kmemleak=on")
    yield found
    found.close()


def pipe(text, *options, timeout=TIMEOUT):
    return subprocess.run(
        [*SHELL, *options], input=text, capture_output=True, text=True, timeout=timeout, errors="replace")


# Lines, keys, history, completion.

@pytest.mark.parametrize(("keys", "command"), [
    ("mexx\x7f\x7fminfo", "meminfo"), ("info\x01mem", "meminfo"), ("meminf\x1b[D\x1b[D\x1b[C\x05o", "meminfo"),
    ("wrong\x15meminfo", "meminfo"), ("meminfo  wrong\x17", "meminfo"), ("meminfo x y\x02\x02\x02\x02\x0b", "meminfo"),
    ("xmeminfo\x1b[H\x1b[3~", "meminfo"), ("mem\x1b[99~info", "meminfo"), ("memi\t", "meminfo"), ("wrong\x03meminfo", "meminfo"),
])
def test_lines_are_edited(session, keys, command):
    session.type(keys)
    if "\x03" in keys:
        session.terminal.expect_exact(NEW_PROMPT)
    session.type("\r")
    assert session.answer()[0].startswith("MemTotal:")


def test_history_and_completion(session):
    session.ask("help poweroff")
    session.ask("alloc")
    session.type("\x1b[A\x1b[A")
    assert session.ask("")[0].startswith("poweroff")
    session.type("slab val\tkmalloc-9\t")
    assert session.ask("") == ["slab: kmalloc-96: 0 things were wrong"]
    session.type("help s\t")
    session.terminal.expect(r"slabinfo +stacks +slab +stress")
    session.terminal.expect_exact(PROMPT + "help s")
    session.type("\x03")
    session.answer()


def test_a_line_can_be_too_long(session):
    assert session.ask("meminfo" + " " * 300) == ["expected a line of at most 255 characters"]
    assert session.ask("meminfo" + " " * 240)[0].startswith("MemTotal:")


def test_help_has_an_example_of_each_command_that_can_be_typed(session):
    names = [line.split()[0] for line in session.ask("help") if line.startswith("  ")]
    assert {"help", "meminfo", "alloc", "free", "fault", "kmemleak", "slab", "check", "dmesg", "bench", "test", "stress",
            "reboot", "poweroff", "stacks"} <= set(names)
    for name in names:
        usage, summary, example = session.ask(f"help {name}")
        assert usage.startswith(name) and len(summary) > 10
        assert re.match(rf"    example: {name}( |$)", example)


# What cannot be obeyed is one line, which says what was expected and what stood there.

WRONG = [
    ("nonsense", 'expected a command, not "nonsense"; `help` lists them'),
    ("meminfo 3", 'meminfo: expected no more arguments, not "3"'),
    ("help nonsense", 'help: expected the name of a command, not "nonsense"'),
    ("help meminfo x", 'help: expected no more arguments, not "x"'),
    ("poweroff now", 'poweroff: expected no more arguments, not "now"'),
    ("alloc heap x 3", 'alloc: expected pages, kmalloc, object, vmalloc, huge, stack or dma, not "heap"'),
    ("alloc pages", "alloc: expected a name to hold it by"),
    ("alloc pages p", "alloc: expected an order, 0 to 10"),
    ("alloc pages p 11", 'alloc: expected an order, 0 to 10, not "11"'),
    ("alloc pages p -1", 'alloc: expected an order, 0 to 10, not "-1"'),
    ("alloc pages p 0x", 'alloc: expected an order, 0 to 10, not "0x"'),
    ("alloc kmalloc k 0", 'alloc: expected a size in bytes, at least 1, not "0"'),
    ("alloc kmalloc k 16E", 'alloc: expected a size in bytes, at least 1, not "16E"'),
    ("alloc kmalloc k 8 soon", 'alloc: expected atomic, nowait, dma, dma32, movable, reclaimable or zero, not "soon"'),
    ("alloc object o 33K", 'alloc: expected a size in bytes, 1 to 32K, not "33K"'),
    ("alloc stack s 5000", 'alloc: expected a size in bytes, 4K to 16M in whole pages, not "5000"'),
    ("alloc dma d 5M", 'alloc: expected a size in bytes, 1 to 4M, not "5M"'),
    ("alloc vmalloc v 4K zero", 'alloc: expected no more arguments, not "zero"'),
    ("alloc kmalloc a-name-that-is-long 8", 'alloc: expected a name of at most 15 characters, not "a-name-that-is-long"'),
    ("alloc vmalloc v 100G", "alloc: no memory for that; nothing has changed"),
    ("free", "free: expected a name that something is held by, or *"),
    ("free nothing", 'free: expected a name that something is held by, or *, not "nothing"'),
    ("fault", "fault: expected an address"),
    ("fault here", 'fault: expected an address, not "here"'),
    ("fault 0x1000 jump", 'fault: expected read, write or execute, not "jump"'),
    ("kmemleak", "kmemleak: expected scan, dump or clear"),
    ("kmemleak find", 'kmemleak: expected scan, dump or clear, not "find"'),
    ("kmemleak dump x", 'kmemleak: expected an address, not "x"'),
    ("slab", "slab: expected validate or shrink"),
    ("slab look kmalloc-8", 'slab: expected validate or shrink, not "look"'),
    ("slab validate", "slab: expected the name of a cache"),
    ("slab validate kmalloc-9", 'slab: expected the name of a cache, not "kmalloc-9"'),
    ("bench nonsense", None),
    ("test nonsense", 'test: expected all, or a part of a test\'s name, not "nonsense"'),
    ("stress", "stress: expected a number of seconds, 1 to 86400"),
    ("stress 0", 'stress: expected a number of seconds, 1 to 86400, not "0"'),
    ("stress long", 'stress: expected a number of seconds, 1 to 86400, not "long"'),
]


def test_wrong_input_is_one_line(session):
    for line, expected in WRONG:
        answer = session.ask(line)
        if line.startswith("alloc vmalloc v 100G"):
            # The allocator's own report comes before it.
            answer = answer[-1:]
        if line == "bench nonsense":
            expected = 'bench: expected a group of benchmarks, or a part of a row\'s name, not "nonsense"'
            answer = answer[1:]
        assert answer == [expected], line
    assert session.ask("alloc") == ["nothing is held"]


# Commands.

def test_reports_are_commands(session):
    assert session.ask("buddyinfo")[0].startswith("Node 0, zone")
    assert session.ask("pagetypeinfo")[0].startswith("Page block order: 9")
    assert session.ask("slabinfo")[0] == "slabinfo - version: 2.1"
    assert any("System RAM" in line for line in session.ask("iomem"))
    assert any(line.startswith("interrupt ") for line in session.ask("stacks"))
    assert len(session.ask("page_tables")) > 10
    assert any("main" in line or "stack" in line for line in session.ask("vmallocinfo"))


def test_dmesg_has_the_log_from_its_beginning(session):
    lines = session.ask("dmesg")
    assert "Quarry: a kernel memory subsystem" in lines[0]
    # Also what `loglevel=4` has kept from the serial line.
    assert any(re.match(r"\[ *\d+\] info +ready: ", line) for line in lines)


def test_dmesg_keeps_the_last_lines(session):
    for _ in range(150):
        assert session.ask("test layout:")[-1] == "test: 3 passed, 0 failed"
    lines = session.ask("dmesg")
    assert 65536 - 200 < sum(len(line) + 1 for line in lines) <= 65536
    assert re.match(r"\[ *\d+\] info +test layout: ", lines[0])
    assert re.match(r"\[ *\d+\] info +test layout: .*: ok", lines[-1])
    ticks = [int(re.match(r"\[ *(\d+)\]", line)[1]) for line in lines]
    assert ticks == sorted(ticks)


def test_memory_is_held_by_name(session):
    session.ask("slab shrink kmalloc-64")
    before = session.ask("meminfo")
    wanted = [
        ("pages p 3", "p: pages, 32 KiB at 0x"), ("kmalloc k 100 atomic zero", "k: kmalloc, 100 bytes at 0x"),
        ("object o 200", "o: object, 200 bytes at 0x"), ("vmalloc v 1M", "v: vmalloc, 1 MiB at 0x"),
        ("huge h 4M", "h: huge, 4 MiB at 0x"), ("stack s 32K", "s: stack, 32 KiB at 0x"), ("dma d 64K", "d: dma, 64 KiB at 0x"),
    ]
    for words, line in wanted:
        answer = session.ask(f"alloc {words}")
        assert len(answer) == 1 and answer[0].startswith(line), answer
    assert [line.split(":")[0] for line in session.ask("alloc")] == list("pkovhsd")
    assert session.ask("alloc kmalloc k 8") == ['alloc: expected a name by which nothing is held, not "k"']
    assert session.ask("check") == ["check: every allocator and all page tables are as they must be"]
    session.type("free \t")
    session.terminal.expect_exact("p  k  o  v  h  s  d")
    session.terminal.expect_exact(PROMPT + "free ")
    assert session.ask("k") == []
    assert [line.split(":")[0] for line in session.ask("alloc")] == list("povhsd")
    assert session.ask("free *") == []
    assert session.ask("alloc") == ["nothing is held"]
    free = re.compile(r"MemFree: +(\d+) kB")
    assert abs(int(free.search("\n".join(before))[1]) - session.number("meminfo", free)) <= 512


def test_a_fault_brings_a_page(session):
    answer = session.ask("alloc vmalloc v 1M")[0]
    address = answer.split(" at ")[1]
    assert session.ask(f"fault {address}")[0].startswith(f"fault: {address}: a page came with the fault; physical 0x")
    assert session.ask(f"fault {address} write")[0].startswith(f"fault: {address}: the page was there, no fault; physical 0x")
    session.ask("free v")


def test_lost_memory_is_looked_for(session):
    assert re.match(r"kmemleak: \d+ allocations looked through, 0 of them lost", session.ask("kmemleak scan")[-1])
    assert session.ask("kmemleak dump") == []
    address = session.ask("alloc kmalloc k 100")[0].split(" at ")[1]
    assert any(address[2:] in line for line in session.ask(f"kmemleak dump {address}"))
    assert session.ask("kmemleak clear") == []
    session.ask("free k")


def test_benchmarks_and_tests_by_name(session):
    assert session.ask("bench")[0] == "group frames"
    lines = session.ask("bench kmalloc(64) const")
    assert "ticks of the time stamp counter" in lines[0]
    assert any(re.match(r"bench row kmalloc\(64\) const hot alloc\tmedian\t\d+|bench row kmalloc\(64\) const hot alloc", line)
               for line in lines)
    assert "  page frames: zones are respected" in ["  " + line.strip() for line in session.ask("test")]
    lines = session.ask("test all")
    assert re.match(r"test: [5-9]\d passed, 0 failed", lines[-1]), lines


def test_stress_ends_with_its_time_or_with_a_key(session):
    line = session.ask("stress 1")[-1]
    match = re.match(r"stress: the time is up after \d+ s: (\d+) steps, (\d+) allocations, \d+ refused, (\d+) checks", line)
    assert match and int(match[1]) > int(match[2]) > 0 and int(match[3]) > 0, line
    session.type("stress 600\r")
    session.type("\x03")
    assert session.answer()[-1].startswith("stress: a key was pressed after ")
    assert session.ask("check") == ["check: every allocator and all page tables are as they must be"]


def test_all_memory_can_be_held_and_given_back(start):
    session = start("exhaustion", "--memory", "64M")

    def free():
        return session.number("meminfo", r"MemFree: +(\d+) kB")

    # What the first round leaves behind (a slab of notes, say) the second one finds.
    figures = []
    for _ in range(3):
        number, refused = 0, []
        for kind, size in [("pages", 10), ("vmalloc", "1M"), ("pages", 4), ("stack", "16K"), ("kmalloc", "8K"), ("pages", 0)]:
            for _ in range(20):
                answer = session.ask(f"alloc {kind} n{number} {size}")
                if answer[-1] == "alloc: no memory for that; nothing has changed":
                    refused.append(kind)
                    break
                assert answer[-1].startswith(f"n{number}: {kind}"), answer
                number += 1
        # Neither a large block nor an area of a MiB, nor what comes from blocks of eight frames.
        assert {"vmalloc", "pages"} <= set(refused) and number > 20, refused
        assert session.ask("check") == ["check: every allocator and all page tables are as they must be"]
        low = free()
        session.ask("free *")
        figures.append(free())
        assert figures[-1] > low + (20 << 10)
    assert figures[1] == figures[2]
    assert session.ask("check") == ["check: every allocator and all page tables are as they must be"]
    session.type("\x04")
    assert session.end()[0] == 0


# Ends.

def test_a_bad_fault_ends_the_kernel_with_its_report(start):
    session = start("fault")
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
