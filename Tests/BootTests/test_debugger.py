"""What gdb and QEMU's monitor see of the kernel: an oracle that shares no code with it."""

import re

import pytest

from toolchain import BUILD

# QEMU's `info tlb`: linear address, physical address, and the entry's flags as letters.
TRANSLATION = re.compile(r"^([0-9a-f]{16}): ([0-9a-f]{16}) ([XGPDACTUW-]{9})$", re.MULTILINE)
IMAGE = 0xFFFF_FFFF_8000_0000
LOWEST_ALIAS = 0x4000_0000_0000


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
    output, result = stopped_boot(
        ["hbreak *exception_dispatch", "continue", "ask info tlb", "kill"],
        memory=memory, cpu=cpu, arguments="crash=breakpoint")
    direct_map = result.bases.direct_map
    frames = re.search(r"memory map as used:\n(?:.*\n)*?.*memory available", result.log)
    end = max(int(last, 16) for last in re.findall(r"-0x([0-9a-f]+) available", frames[0])) + 1
    pages = [(int(page[1], 16), int(page[2], 16), page[3]) for page in TRANSLATION.finditer(output)]
    assert len(pages) > 100, output[-2000:]
    for address, physical, flags in pages:
        assert not ("W" in flags and "X" not in flags), f"{address:#x} is writable and executable"
        assert "U" not in flags, f"{address:#x} is open to user code"
        assert address >= LOWEST_ALIAS, f"{address:#x} is mapped: the identity map is not gone"
        if 0 <= address - direct_map < end:
            assert physical == address - direct_map
            assert "X" in flags, f"{address:#x} of the direct map is executable"
        if address >= IMAGE:
            assert physical == address - IMAGE
    assert any(address >= IMAGE and "X" not in flags for address, _, flags in pages), "no code is mapped"


# A line of `report=page_tables`.
MAPPING = re.compile(
    r"^0x([0-9a-f]{16})-0x([0-9a-f]{16}) +(\d+)K r([w-])([x-])([g-])([u-]) (4K|2M|1G) (wb|wt|uc-|uc|wc) 0x([0-9a-f]+)$",
    re.MULTILINE)
PAGE_SIZES = {"4K": 1 << 12, "2M": 1 << 21, "1G": 1 << 30}


@pytest.mark.parametrize(("memory", "cpu", "arguments"), [
    ("64M", "max", ""), ("64M", "max", "no5lvl"), ("512M", "qemu64", ""), ("5G", "max", "kfence.sample_interval=1"),
])
def test_the_monitor_and_the_kernel_see_the_same_pages(stopped_boot, memory, cpu, arguments):
    output, result = stopped_boot(
        ["hbreak *exception_dispatch if *(long *)($rdi + 120) == 3", "continue", "ask info tlb", "kill"],
        memory=memory, cpu=cpu, arguments=f"report=page_tables crash=breakpoint {arguments}")
    seen = {}
    for page in TRANSLATION.finditer(output):
        flags = page[3]
        seen[int(page[1], 16)] = (
            int(page[2], 16), "W" in flags, "X" not in flags, "G" in flags, "U" in flags, "P" in flags)
    listed = {}
    for first, last, kilobytes, write, execute, is_global, user, size, cache, physical in MAPPING.findall(result.log):
        start, end, step = int(first, 16), int(last, 16) + 1, PAGE_SIZES[size]
        assert int(kilobytes) << 10 == end - start and cache == "wb"
        for address in range(start, end, step):
            listed[address] = (
                int(physical, 16) + address - start, write == "w", execute == "x", is_global == "g", user == "u",
                size != "4K")
    assert len(listed) > 100, result.tail()
    differences = [
        f"{address:#x}: the kernel says {listed.get(address)}, the monitor {seen.get(address)}"
        for address in sorted(seen.keys() | listed.keys()) if seen.get(address) != listed.get(address)]
    assert not differences, "\n".join(differences[:10])
