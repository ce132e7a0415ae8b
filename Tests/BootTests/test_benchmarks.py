"""`bench` on the command line: rows where instructions are counted, an end of its own where they are not."""

from qemu import SUCCESS

CALIBRATION_OFF, TOO_LITTLE_MEMORY = 0x22, 0x1A


def test_where_instructions_are_counted_rows_are_printed(boot):
    result = boot(cpu="qemu64,+rdrand", arguments="bench", counts_instructions=True)
    result.expect_end(SUCCESS)
    result.expect(
        r"bench calibration 1000 nops\t1000", r"bench row alloc_pages order 0 hot alloc\tmedian\t\d+",
        r"bench row alloc_pages order 9 batch50 rand free\tmean\t\d+\.\d\d", r"bench end")
    assert "self tests" not in result.log


def test_a_counter_that_counts_time_is_refused(boot):
    result = boot(arguments="bench")
    result.expect_end(CALIBRATION_OFF)
    result.expect(r"fatal.*calibration is off", r"make bench")
    assert "bench row" not in result.log


def test_too_little_memory_is_said(boot):
    result = boot(memory="64M", arguments="bench", counts_instructions=True)
    result.expect_end(TOO_LITTLE_MEMORY)
    result.expect(r"too little memory for the benchmarks")
