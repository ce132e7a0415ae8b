"""Accesses that memory management forbids, one boot each: Linux's LKDTM as far as it applies, vfree's bad addresses.

Each must end with the vector, the error code, what the address belongs to, what the access was, and the exit code that
docs/boot.md promises. The stacks have tests of their own, and test_fatal_ends.py has the ends that are not of areas.
"""

import pytest

UNHANDLED, PAGE_FAULT, CORRUPTION, PANIC = 0x13, 0x14, 0x1C, 0x12

READ_ABSENT = r"error code 0x0: supervisor read of a page that is not present"
WRITE_ABSENT = r"error code 0x2: supervisor write to a page that is not present"
READ_FORBIDDEN = r"error code 0x1: supervisor read of a page that forbids it"
WRITE_FORBIDDEN = r"error code 0x3: supervisor write to a page that forbids it"
FETCH_FORBIDDEN = r"error code 0x11: supervisor instruction fetch from a page that forbids it"

FREED = r"this is a use of memory after it was freed"
READ_ONLY = r"this is a write to what may only be read"
DATA = r"this is execution of data"


def area(name, kind="vmalloc"):
    return rf'address 0xffff[0-9a-f]+: in {kind} area "{name}" 0x[0-9a-f]+-0x[0-9a-f]+\s'


# name, what the report says besides the vector
FAULTS = [
    ("null-read", [READ_ABSENT, r"address 0x0{16}: the null page", r"this is a use of a null pointer"]),
    ("rodata-alias-write", [WRITE_FORBIDDEN, r"address .*: the direct map, physical", READ_ONLY]),
    ("exec-rodata", [FETCH_FORBIDDEN, r"address .*: the image's constants \(r--\)", DATA]),
    ("exec-text-alias", [FETCH_FORBIDDEN, r"address .*: the direct map, physical", DATA]),
    ("exec-stack", [FETCH_FORBIDDEN, area("main", "stack"), DATA]),
    ("smap-read", [READ_FORBIDDEN, r"address 0x0{10}400000: user space", r"this is a use of user memory \(SMAP\)"]),
]

AREA_FAULTS = [
    ("exec-vmalloc", [FETCH_FORBIDDEN, area("first"), DATA]),
    ("vmalloc-linear-overflow",
     [WRITE_ABSENT, r'address 0x[0-9a-f]+000: in the guard page above vmalloc area "(first|second)" .*, 1 bytes away',
      r"this is an access beyond the end of an area"]),
    ("write-after-vfree",
     [WRITE_ABSENT, r'address 0x[0-9a-f]+005: freed: it was in vmalloc area "first"', FREED]),
    ("use-after-vunmap",
     [WRITE_ABSENT, r'address 0x[0-9a-f]+003: freed: it was in vmap area "vmap"', FREED]),
    ("vmap-ro-write", [WRITE_FORBIDDEN, area("vmap", "vmap"), READ_ONLY]),
    ("set-memory-ro-write", [WRITE_FORBIDDEN, area("crash test"), READ_ONLY]),
    ("set-memory-x-write", [WRITE_FORBIDDEN, area("crash test"), READ_ONLY]),
    ("set-memory-x-alias-write",
     [WRITE_FORBIDDEN, r"address .*: the direct map, physical", READ_ONLY,
      r"a page frame: allocated, block of order 0"]),
    ("writable-code",
     [r"writable code is refused: set_memory_rw yes, set_memory_x yes, vmap yes", WRITE_FORBIDDEN, area("crash test"),
      READ_ONLY]),
]

AREA_FINDINGS = [
    ("unaligned-vfree", r"vfree: free of an address within an object", r"not the start of the area \(8\)"),
    ("interior-vfree", r"vfree: free of an address within an object", r"not the start of the area \(4096\)"),
    ("wild-vfree", r"vfree: free of an address that was never allocated", r"nonexistent vm area"),
    ("vfree-of-stack", r"vfree: free of an address that was never allocated", r"the area is of another kind"),
    ("vunmap-of-vmalloc", r"vunmap: free of an address that was never allocated", r"the area is of another kind"),
]

# Not canonical: a general protection fault, or, by way of the stack segment and on CPUs that tell it from that, a
# stack-segment fault. Neither says an address, so that the report names the register that holds it.
WILD = [("stack-segment",), ("wild-call",), ("general-protection",)]


def crash(boot, name, cpu="max"):
    return boot(memory="64M", cpu=cpu, arguments=f"crash={name}")


@pytest.mark.parametrize(
    ("name", "patterns"), FAULTS + AREA_FAULTS, ids=[end[0] for end in FAULTS + AREA_FAULTS])
def test_a_forbidden_access_is_a_page_fault(boot, name, patterns):
    result = crash(boot, name)
    result.expect_end(PAGE_FAULT)
    result.expect(r"page fault \(vector 14\)", *patterns)
    result.expect_registers()
    result.expect_backtrace()


@pytest.mark.parametrize("name", [end[0] for end in WILD])
def test_an_address_that_is_not_canonical(boot, name):
    result = crash(boot, name)
    result.expect_end(UNHANDLED)
    result.expect(
        r"(general protection fault \(vector 13\)|stack-segment fault \(vector 12\))", r"error code 0x0",
        r"\b(r..?|r\d+) 0x8000000000000000: not a canonical address")
    result.expect_registers()


@pytest.mark.parametrize(("name", "kind", "detail"), AREA_FINDINGS, ids=[end[0] for end in AREA_FINDINGS])
def test_a_wrong_address_is_not_freed(boot, name, kind, detail):
    result = crash(boot, name)
    result.expect_end(CORRUPTION)
    result.expect(kind, r"address 0xffff[0-9a-f]+: " + detail, r"that address is ")
    result.expect_backtrace()


@pytest.mark.parametrize(("name", "feature"), [("smap", "SMAP"), ("smap-read", "SMAP"), ("smep", "SMEP")])
def test_without_the_feature_user_memory_can_be_used(boot, name, feature):
    # qemu64 has neither: nothing keeps the kernel from user pages there, and it says so.
    result = crash(boot, name, cpu="qemu64")
    result.expect_end(PANIC)
    result.expect(rf"{feature} no\b", rf"the access went through: without {feature} user memory is the kernel's to use")
