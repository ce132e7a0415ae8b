"""The monitor's lines: how they are edited, completed and remembered, and what is said of one that cannot be obeyed."""

import re

import pytest

from monitor_session import NEW_PROMPT, PROMPT, Session


@pytest.fixture(scope="module")
def session():
    """One session that most tests share: each leaves it at a fresh prompt, with nothing held."""
    found = Session("lines", "--arguments", "kmemleak=on")
    yield found
    found.close()


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
    session.type("test page frames: zon\t")
    assert session.ask("")[-1] == "test: 1 passed, 0 failed"
    session.type("test page fra\t")
    session.terminal.expect_exact("test page frame")
    session.type("\t")
    session.terminal.expect(r"frames: +frame ")
    session.type("\x03")
    session.answer()
    session.type("test al\t")
    session.terminal.expect_exact("test all ")
    session.type("\x03")
    session.answer()
    session.type("help s\t")
    session.terminal.expect(r"slabinfo .*slab .*stress")
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
    assert all(len(line) <= 80 for line in session.ask("help"))
    for name in names:
        usage, summary, example = lines = session.ask(f"help {name}")
        assert all(len(line) <= 80 for line in lines)
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
