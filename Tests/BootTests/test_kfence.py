"""Guarded objects (`kfence.sample_interval=`): that they are there, and each error that they find."""

import re

import pytest

from qemu import SUCCESS

CORRUPTION, SELF_TESTS_FAILED = 0x1C, 0x11
LINE = r"={66}\n"
FRAME = r" 0x[0-9a-f]{16} \S.*\+0x[0-9a-f]+\n"
OBJECT = r"kfence-#\d+: 0xffff[0-9a-f]{12}-0xffff[0-9a-f]{12}, size=64, cache=kmalloc-64\n"
ALLOCATED = rf"allocated on cpu 0 at \d+ ticks:\n(?:{FRAME}){{2,8}}"
FREED = rf"freed on cpu 0 at \d+ ticks:\n(?:{FRAME}){{2,8}}"

# name, what the first line says, what stands before the trace, whether the object had been freed
ERRORS = [
    ("kfence-overflow", r"out-of-bounds write in 0x[0-9a-f]+ CrashTest\.misuseGuardedObject\S*",
     r"Out-of-bounds write at 0xffff[0-9a-f]{9}000 \(1B right of kfence-#\d+\):", False),
    ("kfence-underflow", r"out-of-bounds read in 0x[0-9a-f]+ CrashTest\.misuseGuardedObject\S*",
     r"Out-of-bounds read at 0xffff[0-9a-f]{9}fff \(1B left of kfence-#\d+\):", False),
    ("kfence-uaf", r"use-after-free read in 0x[0-9a-f]+ CrashTest\.misuseGuardedObject\S*",
     r"Use-after-free read at 0xffff[0-9a-f]{9}fc5 \(in kfence-#\d+\):", True),
    ("kfence-double-free", r"invalid free in kfree",
     r"Invalid free of 0xffff[0-9a-f]{9}fc0 \(in kfence-#\d+\):", True),
    ("kfence-invalid-free", r"invalid free in kfree",
     r"Invalid free of 0xffff[0-9a-f]{9}fc8 \(in kfence-#\d+\):", False),
    ("kfence-corruption", r"memory corruption in kfree",
     r"Corrupted memory at 0xffff[0-9a-f]{9}042 \[ 0x42 \. 0x43(?: \.){13} \] \(in kfence-#\d+\):", False),
]


@pytest.mark.parametrize(("name", "title", "heading", "is_freed"), ERRORS, ids=[error[0] for error in ERRORS])
def test_an_error_is_reported(boot, name, title, heading, is_freed):
    result = boot(memory="64M", cpu="max", arguments=f"crash={name} kfence.sample_interval=1")
    result.expect_end(CORRUPTION)
    freed = rf"\n{FREED}" if is_freed else ""
    report = (rf"{LINE}BUG: KFENCE: {title}\n\n{heading}\n(?:{FRAME}){{2,8}}\n{OBJECT}\n{ALLOCATED}{freed}\n{LINE}")
    found = re.search(report, result.log.replace("\r", ""))
    assert found, f"no report like {report}:\n{result.log[-6000:]}"
    # Who called the allocator is among the callers, not the allocator alone.
    assert "CrashTest.misuseGuardedObject" in found[0].partition("allocated on cpu")[2].partition("freed on")[0]
    result.expect_backtrace()


def test_without_sampling_nothing_is_guarded(boot):
    result = boot(memory="64M", arguments="crash=kfence-overflow")
    result.expect_end(SELF_TESTS_FAILED)
    assert "KFENCE" not in result.log and "kfence:" not in result.log


@pytest.mark.parametrize(("memory", "words"), [
    ("64M", "kfence.sample_interval=1"),
    ("512M", "kfence.sample_interval=1 slub_debug=FZPU"),
    ("512M", "kfence.sample_interval=3 kfence.num_objects=60"),
    ("64M", "kfence.sample_interval=2 page_poison=1 init_on_alloc=1 init_on_free=1 page_owner=on"),
])
def test_the_self_tests_pass_with_guarded_objects(boot, memory, words):
    result = boot(memory=memory, arguments=words, timeout=180)
    result.expect_end(SUCCESS)
    assert re.fullmatch(r"quarry: [1-9]\d* passed, 0 failed", result.last_line.strip()), result.tail()
    result.expect(r"kfence: 0xffff[0-9a-f]+-0xffff[0-9a-f]+, \d+ objects; of the allocations that can be guarded",
                  r"test guarded objects: kzalloc, ksize and krealloc: ok",
                  r"test guarded objects: caches' objects, and destruction: ok")
    assert "BUG: KFENCE" not in result.log


def test_a_pool_that_does_not_fit_is_left_out(boot):
    result = boot(memory="16M", arguments="kfence.sample_interval=1 kfence.num_objects=99999 selftest=no")
    result.expect_end(SUCCESS)
    result.expect(r"kfence: too little memory for 99999 objects; none is guarded")


def test_bad_values_are_named(boot):
    result = boot(memory="64M", arguments="kfence.sample_interval=often kfence.num_objects selftest=no")
    result.expect_end(SUCCESS)
    result.expect(r'"kfence.sample_interval=often" is not a number', r'"kfence.num_objects" needs a value')
    assert "kfence:" not in result.log
