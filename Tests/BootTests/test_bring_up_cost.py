"""What bring-up costs, in instructions: counted by QEMU, and so the same at each run."""

import pytest

from qemu import SUCCESS

# One tick of the time stamp counter an instruction.
COUNTED = ("-icount", "shift=0,sleep=off")


def instructions(boot, memory, cpu):
    result = boot(memory=memory, cpu=cpu, arguments="selftest=no", extra=COUNTED)
    result.expect_end(SUCCESS)
    return result.number(r"\[ *(\d+)\] info +page frames ready")


@pytest.mark.parametrize("cpu", ["qemu64,+rdrand", "max"])
def test_64_gigabytes_come_up_at_most_at_four_times_the_cost_of_512_megabytes(boot, cpu):
    # Without pages of 1 GiB, 64 GiB take 64 tables of the direct map, and each of their entries is written and audited.
    small = instructions(boot, "512M", cpu)
    large = instructions(boot, "64G", cpu)
    assert large <= 4 * small, f"{large} instructions at 64 GiB, {small} at 512 MiB"
