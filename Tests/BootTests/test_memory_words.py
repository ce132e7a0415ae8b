"""The words of the command line that change what memory there is, test it, and report whose it is."""

import re
import subprocess

import pytest

from qemu import SUCCESS
from toolchain import BUILD, tool

BRING_UP_FAILED = 0x21
PAGE = 4096
MEGABYTE = 1 << 20
IMAGE_BASE = 0xffffffff80000000


def report(result, name):
    """The lines of a report, without the lines around it."""
    # The kernel ends a line with CR LF, to which a terminal adds another CR.
    log = result.log.replace("\r", "")
    match = re.search(rf"^--- {name}\n(.*?)^--- end {name}$", log, re.MULTILINE | re.DOTALL)
    assert match, f"there is no report {name}:\n{result.tail()}"
    return match[1].splitlines()


def symbols():
    """The addresses that the linker script defines."""
    lines = subprocess.run(
        [tool("llvm-nm"), BUILD / "quarry.elf"], check=True, capture_output=True, text=True, timeout=60).stdout
    return {name: int(value, 16) for value, _, name in (line.split() for line in lines.splitlines())}


@pytest.mark.parametrize("kind", ["kernel", "iso"])
def test_memmap_takes_memory_away(boot, kind):
    result = boot(memory="64M", boot=kind, arguments="memmap=1M$32M,0x10000#40M memmap=64K!41M report=iomem")
    result.expect_end(SUCCESS)
    lines = report(result, "iomem")
    assert "02000000-020fffff : Reserved" in lines
    assert "02800000-0280ffff : ACPI Tables" in lines
    assert "02900000-0290ffff : Persistent Memory (legacy)" in lines
    # No page of them is managed, and none is lost besides but for tables: two pages of 2 MiB are now in pieces.
    plain = boot(memory="64M", boot=kind, arguments="selftest=no")
    managed = r"page frames: (\d+) managed"
    assert plain.number(managed) - result.number(managed) == (MEGABYTE + 0x20000) // PAGE + 2


def test_memmap_without_a_start_is_a_limit(boot):
    result = boot(memory="128M", arguments="memmap=48M selftest=no")
    result.expect_end(SUCCESS)
    assert result.number(r"page frames: (\d+) managed") * PAGE < 48 << 20
    result.expect(r"beyond the limit on the command line")


def test_words_that_mean_nothing_are_named_and_the_rest_holds(boot):
    words = ["memmap=1M$32M,2M%16M", "mem=0", "memtest=often", "report=iomen,iomem", "memmap"]
    result = boot(memory="64M", arguments=" ".join([*words, "selftest=no"]))
    result.expect_end(SUCCESS)
    for name in [*words[:3], "iomen", "memmap"]:
        result.expect(rf'warning command line: .*"{re.escape(name)}"')
    assert "02000000-020fffff : Reserved" in report(result, "iomem")
    assert not re.search(r"memtest:", result.log)


def test_memmap_over_the_kernel_is_refused(boot):
    result = boot(memory="64M", arguments="memmap=1M$1M")
    result.expect_end(BRING_UP_FAILED)
    result.expect(r"fatal +bring-up failed: the kernel image cannot be mapped")


def test_memtest_of_good_memory(boot):
    result = boot(memory="64M", arguments="memtest=3")
    result.expect_end(SUCCESS)
    result.expect(r"memtest: 3 passes over", r"memtest: no bad memory")
    patterns = re.findall(r"0x[0-9a-f]+-0x[0-9a-f]+ pattern 0x([0-9a-f]{16})", result.log)
    assert sorted(set(patterns), key=patterns.index) == ["5" * 16, "f" * 16, "0" * 16]


def test_memtest_of_memory_that_is_not_there(boot):
    # Said to be RAM by the user alone: what is written there is gone. Above 4 GiB, where no page table lies.
    result = boot(memory="64M", arguments="memmap=2M@5G memtest=2 report=iomem")
    result.expect_end(SUCCESS)
    result.expect(
        r"warning +0x000140000000-0x0001401fffff bad, does not hold pattern 0xffffffffffffffff",
        r"warning memtest: 2 MiB reserved as bad")
    lines = report(result, "iomem")
    place = lines.index("140000000-1401fffff : System RAM")
    assert lines[place + 1] == "  140000000-1401fffff : bad memory"
    result.expect(r"zone Normal: empty")


@pytest.mark.parametrize("memory", ["64M", "5G"])
def test_iomem(boot, memory):
    result = boot(memory=memory, arguments="report=iomem selftest=no")
    result.expect_end(SUCCESS)
    lines = report(result, "iomem")
    found = [re.fullmatch(r"(  )?([0-9a-f]{8,})-([0-9a-f]{8,}) : (\S.*)", line) for line in lines]
    assert all(found), lines
    ranges = [(bool(match[1]), int(match[2], 16), int(match[3], 16) + 1, match[4]) for match in found]

    top = [entry for entry in ranges if not entry[0]]
    assert all(one[2] <= other[1] for one, other in zip(top, top[1:]))
    memory_lines = re.findall(r"info +0x([0-9a-f]+)-0x([0-9a-f]+) available, ", result.log)
    assert [(int(a, 16), int(b, 16) + 1) for a, b in memory_lines] == [
        (start, end) for _, start, end, name in top if name == "System RAM"]

    nested = {name: (start, end) for is_nested, start, end, name in ranges if is_nested}
    assert {"low memory", "frame table", "zones", "page tables", "kernel root"} <= set(nested)
    address = {name: value - IMAGE_BASE for name, value in symbols().items() if name.startswith("image_")}
    assert nested["Kernel code"] == (address["image_text_start"], address["image_text_end"])
    assert nested["Kernel rodata"] == (address["image_text_end"], address["image_rodata_end"])
    assert nested["Kernel data"] == (address["image_data_start"], address["image_bss_start"])
    assert nested["Kernel bss"] == (address["image_bss_start"], address["image_data_end"])


@pytest.mark.parametrize("pages", [1, 64, 1 << 30])
def test_frees_of_areas_are_put_off(boot, pages):
    boot(memory="128M", arguments=f"vmalloc_purge={pages}").expect_end(SUCCESS)
