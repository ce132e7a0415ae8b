"""Each way in which the kernel can end badly: `crash=NAME` brings it about, and the report must say what happened."""

import re

import pytest

PANIC, UNHANDLED, PAGE_FAULT, SWIFT_TRAP, DOUBLE_FAULT, STACK_OVERFLOW = 0x12, 0x13, 0x14, 0x15, 0x16, 0x17
OUT_OF_MEMORY, CORRUPTION, NMI, MACHINE_CHECK = 0x1B, 0x1C, 0x1E, 0x1F

READ_ONLY = r"this is a write to what may only be read"
DATA = r"this is execution of data"
FREED = r"this is a use of memory after it was freed"
VECTOR_14 = r"page fault \(vector 14\)"
STACK_REPORT = [
    r"stack limits 0x[0-9a-f]+", r"guard page 0x[0-9a-f]+", r"depth \d+ bytes", r"stack pointer 0x[0-9a-f]+",
]

# name, exit value, what the report says
EXCEPTIONS = [
    ("null", PAGE_FAULT,
     [VECTOR_14, r"error code 0x2: supervisor write to .*not present", r"address 0x0*8: .*null",
      r"this is a use of a null pointer"]),
    ("exec-null", PAGE_FAULT,
     [VECTOR_14, r"error code 0x10: supervisor instruction fetch.*not present", r"0x0+: .*null",
      r"this is a call of a null pointer"]),
    ("rodata-write", PAGE_FAULT,
     [VECTOR_14, r"error code 0x3: supervisor write to .*forbids", r"address .*constants", READ_ONLY]),
    ("sealed-write", PAGE_FAULT,
     [VECTOR_14, r"error code 0x3: supervisor write to .*forbids", r"address .*sealed data \(r--\)", READ_ONLY]),
    ("text-write", PAGE_FAULT,
     [VECTOR_14, r"error code 0x3: supervisor write to .*forbids", r"address .*code", READ_ONLY]),
    ("text-alias-write", PAGE_FAULT,
     [VECTOR_14, r"error code 0x3: supervisor write", r"address .*direct map", READ_ONLY]),
    ("exec-data", PAGE_FAULT,
     [VECTOR_14, r"error code 0x11: supervisor instruction fetch.*forbids", r"address .*data", DATA]),
    ("exec-heap", PAGE_FAULT,
     [VECTOR_14, r"error code 0x11: supervisor instruction fetch", r"address .*direct map",
      DATA + r"\s*\n.*object 0x[0-9a-f]+ of kmalloc-64 \(64 bytes, in use\), 0 bytes from its start"]),
    ("guard-page", PAGE_FAULT,
     [VECTOR_14, r"error code 0x2: .*not present", r'guard page above.*"crash test"',
      r"this is an access beyond the end of an area"]),
    ("use-after-vfree", PAGE_FAULT,
     [VECTOR_14, r"error code 0x0: supervisor read.*not present", r'freed.*"crash test"', FREED]),
    ("wild-access", PAGE_FAULT, [VECTOR_14, r"error code 0x0:", r'address .*in no area, the nearest .*"main"']),
    ("smap", PAGE_FAULT,
     [VECTOR_14, r"error code 0x3: supervisor write", r"address .*user space",
      r"this is a use of user memory \(SMAP\)"]),
    ("smep", PAGE_FAULT,
     [VECTOR_14, r"error code 0x11: supervisor instruction fetch", r"address .*user space",
      r"this is execution of user memory \(SMEP\)"]),
    ("swift-trap", SWIFT_TRAP, [r"Swift", r"vector 6"]),
    ("stack-overflow", STACK_OVERFLOW, [r'stack overflow: stack "main"', *STACK_REPORT, r"recurse"]),
    ("boot-stack-overflow", STACK_OVERFLOW, [r'stack overflow: stack "boot"', *STACK_REPORT, r"recurse"]),
    ("double-fault", DOUBLE_FAULT, [r"double fault \(vector 8\)", r"error code 0x0"]),
    ("general-protection", UNHANDLED, [r"general protection fault \(vector 13\)", r"error code 0x"]),
    ("breakpoint", UNHANDLED, [r"breakpoint \(vector 3\)"]),
    ("divide", UNHANDLED, [r"divide error \(vector 0\)"]),
]

# Misuse that the kernel itself finds: no exception, so no vector and no registers.
FINDINGS = [
    ("double-kfree", CORRUPTION, [r"double free", r"address 0x[0-9a-f]+"]),
    ("wild-kfree", CORRUPTION, [r"never allocated", r"address 0xffff[0-9a-f]{6}0f0000"]),
    ("interior-kfree", CORRUPTION, [r"within an object", r"address 0x[0-9a-f]+"]),
    ("double-free-pages", CORRUPTION, [r"double free", r"address 0x[0-9a-f]+"]),
    ("double-vfree", CORRUPTION,
     [r"Trying to vfree\(\) nonexistent vm area \(ffff[0-9a-f]+\)", r"double free", r"address 0xffff[0-9a-f]+"]),
    ("ioremap-ram", CORRUPTION,
     [r"ioremap: RAM is to be mapped as a device's", r"address 0x[0-9a-f]+000: some of the range is RAM \(4096\)",
      r"that is the physical address of frame \d+"]),
    ("slab-free-page", CORRUPTION, [r"never allocated", r"address 0xffff[0-9a-f]{9}000: the address is not kmalloc's"]),
    ("slab-wrong-cache", CORRUPTION,
     [r"a cache that the object is not of", r"Wrong slab cache\. Object is from own", r"objects=\d+ used=\d+"]),
    ("slab-exhaustion", OUT_OF_MEMORY, [r"page allocation failure: order:", r"kmalloc\(512\): \d{5,} objects, then none"]),
    ("out-of-memory", OUT_OF_MEMORY, [r"out of memory", r"free"]),
    ("panic", PANIC, [r"asked to"]),
]

# name, what finds it, exit value, what the report says
CHECKED = [
    ("write-after-free", "page_poison=1 page_owner=on", CORRUPTION,
     [r"alloc_pages: write after free", r"address 0x[0-9a-f]+123: a free frame has been written",
      r"the byte there is 0x42, 2 bytes differ; offset 0x123 from 0x[0-9a-f]+000",
      r"page_owner tracks the page as freed", r"page last free stack trace:(?:\s*\n .*)*writeAfterFree"]),
    ("overrun", "debug_guardpage page_owner=on", CORRUPTION,
     [r"__free_pages: write beyond the end of a block", r"address 0x[0-9a-f]+007: the guard page behind the block",
      r"the byte there is 0x42, 1 bytes differ; offset 0x2007 from 0x[0-9a-f]+000",
      r"page last allocated via order 1, migratetype Unmovable, gfp_mask 0xcc0\(GFP_KERNEL\), cpu 0, ts \d+",
      r"\s*\n 0x[0-9a-f]+ .*overrun.*\s*\n"]),
    ("double-free-pages", "page_owner=on", CORRUPTION,
     [r"__free_pages: double free", r"page: pfn:0x[0-9a-f]+ state:free refcount:0",
      r"page_owner tracks the page as freed", r"page last allocated via order 2, .*(?:\s*\n .*)*doubleFreePages",
      r"page last free stack trace:(?:\s*\n .*)*doubleFreePages"]),
    ("slab-overflow", "slub_debug=FZPU", CORRUPTION,
     [r"kfree: write beyond the end of a block", r"BUG kmalloc-64: Right Redzone overwritten"]),
    ("slab-underflow", "slub_debug=FZPU", CORRUPTION,
     [r"kfree: write before the start of an object", r"BUG kmalloc-64: Left Redzone overwritten"]),
    ("slab-write-after-free", "slub_debug=FZPU", CORRUPTION,
     [r"validate: write after free", r"BUG kmalloc-64: Poison overwritten"]),
    ("slab-read-after-free", "slub_debug=P", UNHANDLED,
     [r"the free object's first word is 0x6b6b6b6b6b6b6b6b", r"general protection fault \(vector 13\)"]),
    ("wait-in-atomic", "", PANIC,
     [r"waiting is not allowed: order 0\s*\nmode:0xcc0\(GFP_KERNEL\)\s*\nbacktrace:\s*\n", r"waitInAtomicContext",
      r"the request was served without waiting"]),
    ("wait-in-handler", "", PANIC,
     [r"waiting is not allowed: order 0\s*\nmode:0xcc0\(GFP_KERNEL\)\s*\nbacktrace:\s*\n(?: .*\n)* .*handleBreakpoint.*\n .*exception_dispatch"
      r".*\n .*exception_common.*\n .*waitInHandler",
      r"the request was served without waiting", r"who was interrupted may wait"]),
    ("exhaust-atomic", "", OUT_OF_MEMORY, [r"page allocation failure: order:0, mode:0xa20\(GFP_ATOMIC\)"]),
]


def crash(boot, name, arguments=""):
    return boot(memory="64M", cpu="max", arguments=f"crash={name} {arguments}".strip())


@pytest.mark.parametrize(("name", "value", "patterns"), EXCEPTIONS, ids=[end[0] for end in EXCEPTIONS])
def test_an_exception_is_reported(boot, name, value, patterns):
    result = crash(boot, name)
    result.expect_end(value)
    result.expect(*patterns)
    result.expect_registers()
    result.expect_backtrace()


@pytest.mark.parametrize(("name", "value", "patterns"), FINDINGS, ids=[end[0] for end in FINDINGS])
def test_a_finding_is_reported(boot, name, value, patterns):
    result = crash(boot, name)
    result.expect_end(value)
    result.expect(*patterns)
    result.expect_backtrace()


@pytest.mark.parametrize(("name", "arguments", "value", "patterns"), CHECKED, ids=[end[0] for end in CHECKED])
def test_a_check_that_was_chosen_finds(boot, name, arguments, value, patterns):
    result = crash(boot, name, arguments)
    result.expect_end(value)
    result.expect(*patterns)
    result.expect_backtrace()


def test_each_crash_of_the_kernel_is_tested():
    import test_stacks
    from test_death import AREA_FAULTS, AREA_FINDINGS, FAULTS, WILD
    from test_devices import SHOWN
    from test_kfence import ERRORS
    from toolchain import ROOT

    source = (ROOT / "Sources" / "Kernel" / "CrashTest.swift").read_text()
    known = set(re.findall(r'case \.\w+: "([a-z-]+)"', source))
    elsewhere = ERRORS + FAULTS + AREA_FAULTS + AREA_FINDINGS + WILD + test_stacks.ENDS + test_stacks.FINDINGS
    assert known == {name for name, *_ in EXCEPTIONS + FINDINGS + CHECKED + elsewhere} | SHOWN


def test_a_page_fault_where_the_cpu_has_no_nx_names_no_fetch(boot):
    result = boot(memory="64M", cpu="qemu64,-nx", arguments="crash=rodata-write")
    result.expect_end(PAGE_FAULT)
    result.expect(VECTOR_14, r"error code 0x3:")


def test_a_non_maskable_interrupt_is_reported(stopped_boot):
    # The exception handler is a place where the kernel surely comes by with its own descriptor tables loaded.
    _, result = stopped_boot(
        ["hbreak *exception_dispatch", "continue", "delete", "ask nmi", "continue"],
        memory="64M", arguments="crash=breakpoint")
    result.expect_end(NMI)
    result.expect(r"non-maskable interrupt \(vector 2\)")
    result.expect_backtrace()


def test_a_machine_check_is_reported(stopped_boot):
    # CPU 0, bank 4, an uncorrected error with an address: status, MCG_STATUS (restart and in progress), address, misc.
    _, result = stopped_boot(
        ["hbreak *exception_dispatch", "continue", "delete",
         "ask mce 0 4 0xbe00000000000000 0x5 0x1234 0x8c", "continue"],
        memory="64M", cpu="max", arguments="crash=breakpoint")
    result.expect_end(MACHINE_CHECK)
    result.expect(r"machine check \(vector 18\)")
    result.expect_backtrace()
