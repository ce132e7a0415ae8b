"""Kernel stacks: how they run out, what else hits their guard pages, what is said of it, and what the report shows."""

import re

import pytest

from qemu import SUCCESS
from test_fatal_ends import PAGE_FAULT, STACK_OVERFLOW, CORRUPTION, STACK_REPORT, VECTOR_14
from test_memory_words import report

VECTOR = [r"caught by a page fault \(vector 14\)", r"error code 0x[02]: supervisor (write to|read of) a page that is not present"]
LOCKS = ["fault", "ranges", "tables", "cache", "frame-cache", "zone"]


def overflow(stack):
    return [rf'stack overflow: stack "{stack}" ran out', *STACK_REPORT, *VECTOR, r"recurse"]


# name, exit value, what the report says
ENDS = [
    ("kernel-stack-overflow", STACK_OVERFLOW, overflow("crash test")),
    ("page-fault-stack-overflow", STACK_OVERFLOW, overflow("page fault")),
    ("double-fault-stack-overflow", STACK_OVERFLOW, overflow("double fault")),
    ("nmi-stack-overflow", STACK_OVERFLOW, overflow("NMI")),
    ("machine-check-stack-overflow", STACK_OVERFLOW, overflow("machine check")),
    ("interrupt-stack-overflow", STACK_OVERFLOW, overflow("interrupt")),
    *((f"stack-overflow-{lock}-lock", STACK_OVERFLOW, [*overflow("crash test"), rf'holding the lock "{lock}"']) for lock in LOCKS),
    ("stack-guard-leading", PAGE_FAULT,
     [VECTOR_14, r'wild pointer: into the guard page below stack "main", by code that runs on it',
      r"no overflow: \d{5} bytes of the stack are left", r'error code 0x0:', r'address .*guard page below stack "main"']),
    ("stack-guard-trailing", PAGE_FAULT,
     [VECTOR_14, r'wild pointer: into the guard page above stack "main", by code that runs on it', r"error code 0x0:",
      r'address .*guard page above stack "main"']),
    ("stack-underflow", PAGE_FAULT,
     [VECTOR_14, r'stack underflow: stack "crash test" was left above its top', r"error code 0x2:",
      r'address .*guard page above stack "crash test"']),
    ("stack-guard-foreign", PAGE_FAULT,
     [VECTOR_14, r'wild pointer: into the guard page below stack "other", by code that runs elsewhere',
      r'stack pointer 0x[0-9a-f]+, in stack "main", depth \d+ bytes', r"error code 0x2:",
      r'address .*guard page below stack "other"']),
    ("nested-fault", PAGE_FAULT,
     [VECTOR_14, r"this is a page fault within the page-fault handler", r"error code 0x2:", r"address 0x0*10: the null page"]),
    ("stack-reserve-empty", PAGE_FAULT,
     [VECTOR_14, r'stack "idle" cannot grow: the reserve of frames is empty', r"error code 0x0:"]),
]

# Found without an exception.
FINDINGS = [
    ("corrupt-stack", CORRUPTION, [r"stack damaged: a function's canary was overwritten"]),
    ("boot-stack-canary", STACK_OVERFLOW,
     [r'stack "boot": the canary at its end is damaged, found when the guard pages came', r"stack limits 0x[0-9a-f]+"]),
    ("stack-canary", STACK_OVERFLOW,
     [r'stack "page fault": the canary at its end is damaged, found by the crash test', r"the word there is 0x0{16}, where"]),
]


@pytest.mark.parametrize(("name", "value", "patterns"), ENDS, ids=[end[0] for end in ENDS])
def test_a_fault_in_a_stack_is_reported(boot, name, value, patterns):
    result = boot(memory="64M", cpu="max", arguments=f"crash={name}")
    result.expect_end(value)
    result.expect(*patterns)
    result.expect_registers()
    result.expect_backtrace()


@pytest.mark.parametrize(("name", "value", "patterns"), FINDINGS, ids=[end[0] for end in FINDINGS])
def test_damage_is_reported(boot, name, value, patterns):
    result = boot(memory="64M", cpu="max", arguments=f"crash={name}")
    result.expect_end(value)
    result.expect(*patterns)
    result.expect_backtrace()


@pytest.mark.parametrize("lock", LOCKS)
def test_all_of_a_stack_could_be_used_under_a_lock(boot, lock):
    result = boot(memory="64M", cpu="max", arguments=f"crash=stack-overflow-{lock}-lock kstack=64K")
    result.expect_end(STACK_OVERFLOW)
    assert result.number(r"depth (\d+) bytes") >= 64 << 10


def rows(result):
    lines = report(result, "stacks")
    assert lines[0].split() == ["name", "limit", "top", "size", "mapped", "used", "deepest"]
    found = {}
    for line in lines[1:-1]:
        match = re.fullmatch(r"(.{17})0x([0-9a-f]{16}) 0x([0-9a-f]{16}) *(\d+) +(\d+) +(\d+|-) +(\d+)", line)
        assert match, line
        limit, top = int(match[2], 16), int(match[3], 16)
        size, mapped, deepest = int(match[4]), int(match[5]), int(match[7])
        assert top - limit == size and mapped <= size and deepest <= mapped
        found[match[1].strip()] = (limit, size, mapped, match[6], deepest)
    assert re.fullmatch(r"grown by \d+ pages; reserve \d+ of \d+ frames; ready \d+; deepest of those freed \d+", lines[-1])
    return found


@pytest.mark.parametrize(("size", "byte_count"), [("8K", 8 << 10), ("16K", 16 << 10), ("20K", 20 << 10), ("64K", 64 << 10)])
def test_stacks_have_the_size_that_is_asked_for(boot, size, byte_count):
    result = boot(memory="64M", arguments=f"kstack={size} stack_guard_gap=7 report=stacks,meminfo selftest=no")
    result.expect_end(SUCCESS)
    found = rows(result)
    assert list(found) == ["main", "boot", "double fault", "page fault", "NMI", "machine check", "interrupt"]
    limit, size, mapped, used, deepest = found["main"]
    # The main stack is never smaller than the static check has found that it must be; what is more is there at once.
    assert size == max(byte_count, 16 << 10) and limit % (1 << 30) == 7 * 4096
    present = size - byte_count + 4096
    assert present <= mapped <= present + 4096 and 0 < int(used) <= deepest
    assert 1000 < found["boot"][4] < 20000 and found["boot"][3] == "0"


def test_sizes_that_cannot_be_are_named(boot):
    words = ["kstack=4K", "kstack=128K", "kstack=10000", "kstack=big", "stack_guard_gap=0", "stack_guard_gap=5000"]
    for word in words:
        result = boot(memory="64M", arguments=f"{word} report=stacks selftest=no")
        result.expect_end(SUCCESS)
        result.expect(rf'warning command line: "{re.escape(word)}" is not .*; ignored')
        limit, size, *_ = rows(result)["main"]
        assert size == 16384 and limit % (1 << 30) == 4096


@pytest.mark.parametrize("size", ["8K", "12K", "64K"])
def test_the_self_tests_pass_on_stacks_of_other_sizes(boot, size):
    result = boot(memory="64M", arguments=f"kstack={size}")
    result.expect_end(SUCCESS)
