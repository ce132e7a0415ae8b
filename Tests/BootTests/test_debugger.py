"""What gdb and QEMU's monitor see of the kernel: an oracle that shares no code with it."""

import re

import pytest

from toolchain import BUILD

# QEMU's `info tlb`: linear address, physical address, and the entry's flags as letters.
TRANSLATION = re.compile(r"^([0-9a-f]{16}): ([0-9a-f]{16}) ([XGPDACTUW-]{9})$", re.MULTILINE)
IMAGE = 0xFFFF_FFFF_8000_0000
DIRECT_MAP = 0xFFFF_8880_0000_0000
DIRECT_MAP_END = 0xFFFF_C880_0000_0000


def test_gdb_reaches_the_entry_of_the_unoptimised_kernel(stopped_boot):
    output, _ = stopped_boot(
        ["printf \"first %#lx\\n\", $pc", "hbreak *kernel_main", "continue", "info symbol $pc", "info line *$pc",
         "kill"],
        kernel_directory=BUILD / "debug", memory="64M")
    assert re.search(r"first 0xfff0", output), output
    assert re.search(r"kernelMain|kernel_main", output.partition("first")[2]), output
    assert re.search(r"Entry\.swift", output), output


@pytest.mark.parametrize(("memory", "cpu"), [("64M", "max"), ("5G", "qemu64")])
def test_the_page_tables_are_what_they_should_be(stopped_boot, memory, cpu):
    output, _ = stopped_boot(
        ["hbreak *exception_dispatch", "continue", "ask info tlb", "kill"],
        memory=memory, cpu=cpu, arguments="crash=breakpoint")
    pages = [(int(page[1], 16), int(page[2], 16), page[3]) for page in TRANSLATION.finditer(output)]
    assert len(pages) > 100, output[-2000:]
    for address, physical, flags in pages:
        assert not ("W" in flags and "X" not in flags), f"{address:#x} is writable and executable"
        assert "U" not in flags, f"{address:#x} is open to user code"
        assert address >= 0x7F00_0000_0000, f"{address:#x} is mapped: the identity map is not gone"
        if DIRECT_MAP <= address < DIRECT_MAP_END:
            assert physical == address - DIRECT_MAP
            assert "X" in flags, f"{address:#x} of the direct map is executable"
        if address >= IMAGE:
            assert physical == address - IMAGE
    assert any(address >= IMAGE and "X" not in flags for address, _, flags in pages), "no code is mapped"
