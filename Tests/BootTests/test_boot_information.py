"""What the boot loader says need not be there, nor be true: gdb changes it before the kernel's first instruction.

On entry ebx holds the physical address of the Multiboot information (Multiboot Specification 0.6.96, 3.3).
"""

import pytest

from qemu import SUCCESS

NO_MEMORY_MAP = 0x20
PAGE = 4096
AT_ENTRY = ["hbreak *(unsigned long)&boot_entry", "continue", "delete"]
WITHOUT_MAP = "set *(int *)$ebx &= ~0x40"
WITHOUT_MAP_AND_LIMITS = "set *(int *)$ebx &= ~0x41"
ENDLESS_MAP = "set *(int *)($ebx + 44) = 0x7fffffff"


def test_without_a_memory_map_the_limits_of_memory_are_used(stopped_boot):
    _, result = stopped_boot([*AT_ENTRY, WITHOUT_MAP, "continue"], memory="64M")
    result.expect_end(SUCCESS)
    result.expect(r"warn.*memory map: no map", r"warn.*memory map: taken from mem_lower and mem_upper")
    assert 0.85 * (64 << 20) < result.number(r"page frames: (\d+) managed") * PAGE < 64 << 20


def test_without_a_memory_map_and_limits_the_kernel_says_so(stopped_boot):
    _, result = stopped_boot([*AT_ENTRY, WITHOUT_MAP_AND_LIMITS, "continue"], memory="64M")
    result.expect_end(NO_MEMORY_MAP)
    result.expect(r"fatal.*the boot loader gives no memory map and no memory limits")


def test_a_memory_map_that_claims_to_be_longer_than_it_is(stopped_boot):
    _, result = stopped_boot([*AT_ENTRY, ENDLESS_MAP, "continue"], memory="64M")
    result.expect_end(SUCCESS)
    result.expect(r"warn.*memory map: ")
    assert 0.85 * (64 << 20) < result.number(r"page frames: (\d+) managed") * PAGE < 64 << 20


@pytest.mark.parametrize("byte_count", [1, 3 * PAGE + 5, 8 << 20])
def test_a_boot_module_is_reserved(boot, tmp_path, byte_count):
    module = tmp_path / "module"
    module.write_bytes(b"\xa5" * byte_count)
    result = boot(memory="64M", module=module)
    result.expect_end(SUCCESS)
    result.expect(r"info\s+reserved:")
    first = result.number(r"0x([0-9a-f]+)-0x[0-9a-f]+ module, ", base=16)
    last = result.number(r"0x[0-9a-f]+-0x([0-9a-f]+) module, ", base=16)
    assert first % PAGE == 0 and last + 1 - first == -(-byte_count // PAGE) * PAGE
