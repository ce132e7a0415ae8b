"""Where the regions of the address space lie: drawn at boot, each boot anew, or where Linux documents them."""

import re

import pytest

from booting import Bases
from qemu import SUCCESS
from toolchain import BUILD

DOCUMENTED = Bases(0xFFFF_8880_0000_0000, 0xFFFF_C900_0000_0000, 0xFFFF_EA00_0000_0000, 0x7F00_0000_0000)
WINDOW = range(0xFFFF_8900_0000_0000, 0xFFFF_FE00_0000_0000)
ALIAS_WINDOW = range(0x4000_0000_0000, 0x7F80_0000_0000)
GIB = 1 << 30
SLOT = 512 << 30
PAGE_FAULT = 0x14


def check_drawn(bases, memory=4 << 30):
    sizes = {"direct_map": memory, "vmalloc": 32 << 40, "frame_table": 1 << 40}
    spans = []
    for name, size in sizes.items():
        base = getattr(bases, name)
        assert base % GIB == 0 and base in WINDOW and base + size - 1 in WINDOW, f"{name} at {base:#x}"
        spans.append((base // SLOT, (base + size - 1) // SLOT))
    spans.sort()
    assert all(one[1] < two[0] for one, two in zip(spans, spans[1:])), f"two regions in one slot: {bases}"
    assert bases.object_alias in ALIAS_WINDOW
    assert bases.object_alias % SLOT == bases.direct_map % SLOT


@pytest.mark.parametrize(("memory", "cpu", "kind", "build"), [
    ("64M", "max", "kernel", "."), ("512M", "qemu64,+rdrand", "kernel", "debug"), ("5G", "max,-pdpe1gb", "iso", "."),
    ("64G", "max,-la57", "kernel", "."),
])
def test_each_boot_draws_its_own(boot, memory, cpu, kind, build):
    kernel = {"kernel": BUILD / build / "quarry-multiboot.elf"} if kind == "kernel" else {}
    results = [
        boot(memory=memory, cpu=cpu, boot=kind, arguments="selftest=no report=meminfo", **kernel) for _ in range(2)]
    for result in results:
        result.expect_end(SUCCESS)
        check_drawn(result.bases, memory=65 << 30 if memory == "64G" else 6 << 30 if memory == "5G" else 512 << 20)
        result.expect(r"bits that are random: direct map 1[56], vmalloc 16, frame table 16, object alias 1[45]")
        assert "it is not secret" not in result.log
        # What is there starts where it was said: the first area stands at the areas' base.
        assert result.number(r"vmalloc: 0x([0-9a-f]+)-", base=16) == result.bases.vmalloc
    # No two bases of 2^15 are alike, but for one boot in 8000.
    assert all(one != two for one, two in zip(results[0].bases, results[1].bases)), results[0].bases


@pytest.mark.parametrize(("arguments", "drawn"), [
    ("nokaslr", False), ("kaslr nokaslr", False), ("nokaslr kaslr", True), ("kaslr", True),
])
def test_the_last_word_decides(boot, arguments, drawn):
    result = boot(memory="64M", arguments=f"selftest=no {arguments}")
    result.expect_end(SUCCESS)
    assert (result.bases != DOCUMENTED) == drawn
    assert ("bits that are random" in result.log) == drawn
    assert "unknown word" not in result.log


@pytest.mark.parametrize(("cpu", "kind"), [("max", "kernel"), ("qemu64", "iso")])
def test_self_tests_pass_where_linux_documents_the_regions(boot, cpu, kind):
    result = boot(cpu=cpu, boot=kind, arguments="nokaslr")
    result.expect_end(SUCCESS)
    assert re.fullmatch(r"quarry: [1-9]\d* passed, 0 failed", result.last_line.strip()), result.tail()
    assert result.bases == DOCUMENTED


def test_without_rdrand_the_log_says_that_it_is_no_secret(boot):
    result = boot(memory="64M", cpu="qemu64", arguments="selftest=no")
    result.expect_end(SUCCESS)
    check_drawn(result.bases)
    result.expect(r"warn.*address space: drawn without RDRAND, it is not secret")


def test_a_report_says_the_bases(boot):
    result = boot(memory="64M", arguments="crash=exec-heap")
    result.expect_end(PAGE_FAULT)
    bases = result.bases
    check_drawn(bases)
    result.expect(
        rf"fatal.*address space: direct map 0x{bases.direct_map:x}, vmalloc 0x{bases.vmalloc:x}, "
        rf"frame table 0x{bases.frame_table:x}, object alias 0x{bases.object_alias:016x}, image 0xffffffff80000000")
    # The address, less the base, is the physical one.
    address = result.number(r"address 0x([0-9a-f]{16})", base=16)
    assert result.number(r"the direct map, physical 0x([0-9a-f]+)", base=16) == address - bases.direct_map


@pytest.mark.parametrize("build", [".", "debug"])
def test_gdb_finds_the_bases_by_name(stopped_boot, build):
    names = ["direct_map_base", "vmalloc_base", "frame_table_base", "object_alias_base"]
    output, result = stopped_boot(
        ["hbreak *exception_dispatch", "continue", *(f'printf "{name} %#lx\\n", *(long *)&{name}' for name in names),
         "kill"],
        kernel_directory=BUILD / build, memory="64M", arguments="crash=breakpoint")
    found = [int(re.search(rf"{name} 0x([0-9a-f]+)", output)[1], 16) for name in names]
    assert Bases(*found) == result.bases
    check_drawn(result.bases)
