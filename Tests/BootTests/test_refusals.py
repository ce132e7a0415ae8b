"""A machine that the kernel cannot run on is told so in words, with an exit value of its own."""

import pytest

NOT_MULTIBOOT, LACKS_FEATURE, TOO_LITTLE_MEMORY = 0x18, 0x19, 0x1A


@pytest.mark.parametrize(("cpu", "words"), [("qemu64,-lm", "long mode"), ("qemu64,-pae", "PAE")])
def test_a_cpu_that_lacks_a_feature(boot, cpu, words):
    result = boot(memory="64M", cpu=cpu)
    result.expect_end(LACKS_FEATURE)
    result.expect(rf"cannot boot:.*{words}")


def test_a_cpu_without_cpuid(stopped_boot):
    # No CPU in QEMU lacks it: the comparison of EFLAGS before and after the ID bit flips is made to see no change.
    _, result = stopped_boot(
        ["hbreak *(unsigned long)&boot_entry", "continue", "delete",
         # xor %edx,%eax; test $0x200000,%eax
         "find /b1 (unsigned long)&boot_entry, +256, 0x31, 0xd0, 0xa9, 0, 0, 0x20, 0", "hbreak *$_", "continue",
         "set $eax = $edx", "continue"],
        memory="64M")
    result.expect_end(LACKS_FEATURE)
    result.expect(r"cannot boot: the CPU lacks CPUID")


def test_too_little_memory_for_the_image(boot):
    result = boot(memory="2M")
    result.expect_end(TOO_LITTLE_MEMORY)
    result.expect(r"cannot boot: too little memory for the kernel's image")


@pytest.mark.parametrize("description", [
    {"memory": "3M"}, {"memory": "64M", "arguments": "mem=2M"}, {"memory": "64M", "arguments": "mem=1M"},
], ids=["3M", "mem=2M", "mem=1M"])
def test_too_little_memory(boot, description):
    result = boot(**description)
    result.expect_end(TOO_LITTLE_MEMORY)
    result.expect(r"too little memory: .* free after the image, at least")


def test_a_boot_loader_that_is_not_multiboot_1(stopped_boot):
    _, result = stopped_boot(
        ["hbreak *(unsigned long)&boot_entry", "continue", "set $eax = 0x36d76289", "continue"], memory="64M")
    result.expect_end(NOT_MULTIBOOT)
    result.expect(r"cannot boot:.*Multiboot")
