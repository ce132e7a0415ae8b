"""Checks of kmalloc's objects and failures on purpose, as the command line chooses them."""

import re

import pytest

from qemu import SUCCESS

PAGE_FAULT, OUT_OF_MEMORY, CORRUPTION = 0x14, 0x1B, 0x1C
TEST = r"test slab checks: {}: ok"
BYTES = r"(?: [0-9a-f]{{2}}){{{}}} +\S+"


def expect_all_passed(result):
    result.expect_end(SUCCESS)
    assert re.fullmatch(r"quarry: [1-9]\d* passed, 0 failed", result.last_line.strip()), result.tail()
    result.expect(TEST.format("nothing is found where nothing is wrong"))


def test_nothing_is_watched_unless_it_is_asked_for(boot):
    result = boot(memory="64M")
    expect_all_passed(result)
    assert "is found and made good" not in result.log


@pytest.mark.parametrize("words", [
    "slub_debug", "slub_debug=FZPU", "slub_debug=FZPU slab_quarantine=1M", "slub_debug=FZ,kmalloc-64;P",
    "slub_debug=FZPU,kmalloc-*;U,kmem_cache slab_errors=continue",
    "slub_debug=FZPU kfence.sample_interval=1 slab_quarantine=1M kmemleak=on",
], ids=["all", "FZPU", "quarantine", "blocks", "continue", "everything"])
def test_the_self_tests_pass_with_objects_watched(boot, words):
    result = boot(memory="128M", arguments=words, timeout=240)
    expect_all_passed(result)
    result.expect(TEST.format("a write beyond an object is found and made good"))
    if words != "slub_debug=FZ,kmalloc-64;P":
        result.expect(TEST.format("a write to a free object is found and made good"))


def test_the_self_tests_pass_with_objects_zeroed_and_kept_waiting(boot):
    result = boot(memory="128M", arguments="init_on_alloc=1 init_on_free=1 slab_quarantine=64K failslab=nth:0 slab_random=off")
    expect_all_passed(result)
    result.expect(
        TEST.format("a freed object waits, and leaves under pressure"),
        TEST.format("an allocation fails on purpose, once"))


def test_values_that_mean_nothing_are_named(boot):
    result = boot(memory="64M", arguments="selftest=no slub_debug=FX slab_errors=maybe slab_errors failslab=3 "
                                          "slab_quarantine=much slab_random=perhaps")
    result.expect_end(SUCCESS)
    result.expect(
        r"slub_debug: the letter 0x58 means nothing", r'"slab_errors=maybe" is none of the values',
        r'"slab_errors" needs a value', r'"failslab=3" is none of the values', r'"slab_quarantine=much" is not a size',
        r'"slab_random=perhaps" is neither on nor off')


# Linux's report (slub_debug=FZPU), without what needs processes and without the free pointer, which does not exist.
REPORT = r"""={{77}}
BUG kmalloc-64: {message}
-{{77}}

{bytes}Allocated in 0x[0-9a-f]{{16}} \S+ age=\d+ cpu=0
(?: .*\n)+?{freed}Slab 0x[0-9a-f]{{16}} objects=\d+ used=\d+ order=\d
Object 0x[0-9a-f]{{16}} @offset=\d+

(?:Redzone  [0-9a-f]{{16}}:(?: {zone}){{16}}  .{{16}}
){{4}}(?:Object   [0-9a-f]{{16}}:(?: [0-9a-f]{{2}}){{16}}  .{{16}}
){{4}}Redzone  [0-9a-f]{{16}}:(?: [0-9a-f]{{2}}){{8}} {{26}}.{{8}}
Padding  [0-9a-f]{{16}}:(?: 5a){{16}}  Z{{16}}
backtrace:
"""
FREED = r"Freed in 0x[0-9a-f]{16} \S+ age=\d+ cpu=0\n(?: .*\n)+?"


def report(message, zone, range_=None, freed="(?:" + FREED + ")?"):
    bytes_ = "" if range_ is None else rf"0x[0-9a-f]{{16}}-0x[0-9a-f]{{16}} @offset=\d+\. {range_}" + "\n"
    return REPORT.format(message=message, bytes=bytes_, zone=zone, freed=freed)


@pytest.mark.parametrize(("name", "pattern", "trace"), [
    ("slab-overflow", report("Right Redzone overwritten", "[0-9a-f]{2}", "First byte 0x41 instead of 0xcc"),
     r"Allocated in 0x\w+ CrashTest\.writeBeyondObject"),
    ("slab-underflow", report("Left Redzone overwritten", "[0-9a-f]{2}", "First byte 0x41 instead of 0xcc"),
     r"Allocated in 0x\w+ CrashTest\.writeBeyondObject"),
    ("slab-write-after-free", report("Poison overwritten", "bb", "First byte 0x42 instead of 0x6b", FREED),
     r"Freed in 0x\w+ CrashTest\.writeToFreeObject"),
    ("double-kfree", report("Object already free", "bb", None, FREED), r"Freed in 0x\w+ CrashTest\.doubleKfree"),
], ids=["overflow", "underflow", "write after free", "double free"])
def test_damage_is_reported_as_slub_does(boot, name, pattern, trace):
    result = boot(memory="64M", arguments=f"crash={name} slub_debug=FZPU")
    result.expect_end(CORRUPTION)
    result.log = result.log.replace("\r", "")
    assert re.search(pattern, result.log), result.log[-6000:]
    result.expect(trace)
    result.expect_backtrace()


def test_errors_may_be_counted_and_gone_on_from(boot):
    result = boot(memory="64M", arguments="crash=slab-overflow slub_debug=FZPU slab_errors=continue")
    result.log = result.log.replace("\r", "")
    result.expect(
        r"BUG kmalloc-64: Right Redzone overwritten",
        r"FIX kmalloc-64: Restoring Right Redzone (0x[0-9a-f]{16})-\1=0xcc\n", r"did not end the kernel")
    result = boot(memory="64M", arguments="crash=double-kfree slab_errors=continue")
    result.log = result.log.replace("\r", "")
    result.expect(
        r"BUG kmalloc-64: Object already free", r"FIX kmalloc-64: Object at 0x[0-9a-f]{16} not freed\n",
        r"did not end the kernel")


def test_traced_calls_are_told(boot):
    result = boot(memory="64M", arguments="crash=double-kfree slub_debug=T,kmalloc-64")
    result.expect_end(CORRUPTION)
    result.expect(
        r"TRACE kmalloc-64 alloc 0x([0-9a-f]{16}) inuse=\d+", r"TRACE kmalloc-64 free 0x[0-9a-f]{16} inuse=\d+\s*\nObject   ")


@pytest.mark.parametrize("arguments", ["failslab=nth:1", "failslab=nth:1,kmalloc-64"])
def test_an_allocation_of_a_boot_may_fail(boot, arguments):
    """Each is said in words and ends the boot, or does no harm."""
    result = boot(memory="64M", arguments=f"selftest=no {arguments}")
    assert result.status in {2 * value + 1 for value in (0x10, OUT_OF_MEMORY, 0x12, 0x21)}, result.tail()
