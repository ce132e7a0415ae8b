"""Devices in the address space: what the machine's monitor says of their pages."""

import re

# Crashes that are there to be looked at.
SHOWN = {"device-pages"}
# Linear address, physical address, and the entry's flags as letters: C for PCD, T for PWT.
TRANSLATION = re.compile(r"^([0-9a-f]{16}): ([0-9a-f]{16}) ([-A-Z]{9})", re.MULTILINE)
MAPPING = re.compile(
    r"^0x([0-9a-f]{16})-0x[0-9a-f]{16} +(\d+)K rw-.- (4K|2M|1G) (wb|wt|uc-|uc|wc) 0x([0-9a-f]+)$", re.MULTILINE)
AREA = re.compile(r"^0x([0-9a-f]{16})-0x[0-9a-f]{16} +(\d+) .* phys=0x([0-9a-f]+) ioremap$", re.MULTILINE)
# PCD and PWT of each mode; write-combining has write-through's and the attribute bit, for which there is no letter.
FLAGS = {"wb": (False, False), "wt": (False, True), "uc-": (True, False), "uc": (True, True), "wc": (False, True)}


def test_the_monitor_sees_the_cache_modes(stopped_boot):
    output, result = stopped_boot(
        ["hbreak *exception_dispatch if *(long *)($rdi + 120) == 3", "continue", "ask info tlb", "kill"],
        memory="64M", arguments="crash=device-pages")
    seen = {int(page[1], 16): (int(page[2], 16), page[3]) for page in TRANSLATION.finditer(output)}
    areas = {int(start, 16): (int(size), int(physical, 16)) for start, size, physical in AREA.findall(result.log)}
    assert sorted(areas.values()) == sorted(
        [(8192, 0xfee00000), (8192, 0xfee00000), ((4 << 20) + 4096, 0xfe000000), (12288, 0xfe000000),
         (12288, 0xfe001000)]), result.tail()
    modes = set()
    for first, kilobytes, size, mode, physical in MAPPING.findall(result.log):
        if mode == "wb" and int(physical, 16) < 64 << 20:
            continue
        modes.add((mode, size))
        start, step = int(first, 16), {"4K": 1 << 12, "2M": 1 << 21}[size]
        for address in range(start, start + (int(kilobytes) << 10), step):
            frame, flags = seen[address]
            assert frame == int(physical, 16) + address - start
            assert ("C" in flags, "T" in flags) == FLAGS[mode], f"{address:#x} {mode} {flags}"
    assert modes == {("uc-", "4K"), ("uc", "4K"), ("wc", "2M"), ("wt", "4K"), ("wb", "4K")}, result.tail()
