"""The kernel comes up and passes its own tests on each kind of machine."""

import re

import pytest

from qemu import SUCCESS, byte_count
from toolchain import BUILD

# Each memory size, chipset, CPU and way of booting occurs, and each size on both chipsets or in both ways of booting.
MACHINES = [
    ("64M", "pc", "max", "kernel"),
    ("64M", "q35", "qemu64", "iso"),
    ("64M", "pc", "qemu64,-nx", "kernel"),
    ("512M", "pc", "max", "iso"),
    ("512M", "q35", "max,-pdpe1gb", "kernel"),
    ("512M", "pc", "qemu64", "kernel"),
    ("5G", "pc", "qemu64", "kernel"),
    ("5G", "q35", "max", "iso"),
    ("5G", "pc", "max,-pdpe1gb", "kernel"),
    ("64G", "pc", "max", "kernel"),
    ("64G", "q35", "qemu64,-nx", "kernel"),
    ("64G", "q35", "max,-pdpe1gb", "iso"),
]
PAGE = 4096
HOLE_END = 4 << 30


@pytest.mark.parametrize(("memory", "machine", "cpu", "kind"), MACHINES, ids=["-".join(m) for m in MACHINES])
def test_boots_and_passes_its_self_tests(boot, memory, machine, cpu, kind):
    result = boot(memory=memory, machine=machine, cpu=cpu, boot=kind)
    result.expect_end(SUCCESS)
    assert re.fullmatch(r"quarry: [1-9]\d* passed, 0 failed", result.last_line.strip()), result.tail()

    # What was given to the machine is what is managed, but for the image, tables and the firmware's part.
    managed = result.number(r"page frames: (\d+) managed") * PAGE
    assert byte_count(memory) * 0.85 < managed < byte_count(memory)
    above_hole = re.search(r"zone Normal: frames (\d+)-\d+", result.log)
    assert (above_hole is not None) == (byte_count(memory) > HOLE_END), "the zone above 4 GiB is there when RAM is"
    if above_hole:
        assert int(above_hole[1]) * PAGE >= HOLE_END

    # The largest pages that the CPU has, and no page both writable and executable where it has NX.
    gigabyte_pages = result.number(r"audit:.*?(\d+) pages of 1 GiB")
    assert (gigabyte_pages > 0) == (cpu == "max" and byte_count(memory) > HOLE_END)
    if "-nx" not in cpu:
        assert result.number(r"audit:.*?(\d+) both") == 0
        result.expect(r"audit:.*\b0 bad entries")
    else:
        result.expect(r"without NX")


@pytest.mark.parametrize(("cpu", "arguments", "levels"), [
    ("max", "", 5), ("max", "no5lvl", 4), ("max", "loglevel=6 no5lvl selftest=no", 4), ("max", "no5lvlx xno5lvl", 5),
    ("max,-la57", "", 4), ("qemu64", "", 4),
])
def test_tables_have_five_levels_where_the_cpu_does_and_nobody_objects(boot, cpu, arguments, levels):
    result = boot(memory="64M", cpu=cpu, arguments=arguments if "selftest" in arguments else f"{arguments} selftest=no")
    result.expect_end(SUCCESS)
    assert result.number(r"page tables: root \S+, \d+ tables of (\d) levels") == levels
    result.expect(r"audit: \d+ tables.* 0 both, .*0 bad entries")


def test_a_memory_limit_is_kept(boot):
    result = boot(memory="512M", arguments="mem=128M")
    result.expect_end(SUCCESS)
    assert result.number(r"page frames: (\d+) managed") * PAGE < 128 << 20


@pytest.mark.parametrize(("memory", "cpu"), [("512M", "max"), ("512M", "qemu64"), ("5G", "max")])
def test_a_contiguous_area_can_be_had_as_a_whole(boot, memory, cpu):
    result = boot(memory=memory, cpu=cpu, arguments="cma=100M")
    result.expect_end(SUCCESS)
    result.expect(r"cma: 0x[0-9a-f]+-0x[0-9a-f]+, 100 MiB")
    result.expect(r"all of the area, after movable contents filled it: ok")


@pytest.mark.parametrize("size", ["300M", "1T", "0xffffffffffffffff"])
def test_a_contiguous_area_that_cannot_be_is_named(boot, size):
    result = boot(memory="512M", arguments=f"cma={size} selftest=no")
    result.expect_end(SUCCESS)
    result.expect(r"warn.*cma:.*no area is kept")


def test_unknown_words_of_the_command_line_are_named(boot):
    result = boot(memory="64M", arguments="frobnicate=3 selftest=no")
    result.expect_end(SUCCESS)
    result.expect(r"warn.*unknown word.*frobnicate")


@pytest.mark.parametrize("kind", ["kernel", "iso"])
def test_the_command_line_arrives(boot, kind):
    result = boot(memory="64M", boot=kind, arguments="mem=48M selftest=no")
    result.expect_end(SUCCESS)
    result.expect(r"command line:.*mem=48M")


def test_the_unoptimised_kernel_passes_its_self_tests(boot):
    # Unoptimised Swift keeps what the optimiser removes: lazy globals, array literals, boxes.
    result = boot(memory="64M", kernel=BUILD / "debug" / "quarry-multiboot.elf")
    result.expect_end(SUCCESS)
    assert re.fullmatch(r"quarry: [1-9]\d* passed, 0 failed", result.last_line.strip()), result.tail()
