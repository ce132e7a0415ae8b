"""Checks of page frames and failures on purpose, as the command line chooses them."""

import re

import pytest

from qemu import SUCCESS

OUT_OF_MEMORY, BRING_UP_FAILED = 0x1B, 0x21
TEST = r"test page frame checks: {}: ok"


def test_no_check_is_on_unless_it_is_asked_for(boot):
    result = boot(memory="64M")
    result.expect_end(SUCCESS)
    result.expect(TEST.format("a request fails on purpose, once"))
    assert "page frame checks, and so" not in result.log
    assert "is found: ok" not in result.log


@pytest.mark.parametrize("memory", ["64M", "512M"])
def test_the_self_tests_pass_with_every_freed_frame_filled_and_every_owner_noted(boot, memory):
    result = boot(memory=memory, arguments="page_poison=1 init_on_alloc=1 init_on_free=1 page_owner=on", timeout=180)
    result.expect_end(SUCCESS)
    assert re.fullmatch(r"quarry: [1-9]\d* passed, 0 failed", result.last_line.strip()), result.tail()
    result.expect(
        r"page_poison yes, init_on_alloc yes, init_on_free yes, page_owner yes, debug_guardpage no",
        r"page_poison takes precedence over init_on_free",
        TEST.format("a write to a freed frame is found"), TEST.format("a frame is zeroed for whoever asks"),
        TEST.format("who has a block is known, and who freed it"))


def test_the_self_tests_pass_with_frames_zeroed_and_guarded(boot):
    result = boot(memory="128M", arguments="init_on_free=1 debug_guardpage=on page_poison=0")
    result.expect_end(SUCCESS)
    assert re.fullmatch(r"quarry: [1-9]\d* passed, 0 failed", result.last_line.strip()), result.tail()
    result.expect(
        r"page_poison no, init_on_alloc no, init_on_free yes, page_owner no, debug_guardpage yes",
        TEST.format("a freed frame is zeroed"), TEST.format("a write behind a block is found"))


def test_values_that_mean_nothing_are_named(boot):
    result = boot(memory="64M", arguments="selftest=no page_poison=maybe fail_page_alloc=3 fail_page_alloc")
    result.expect_end(SUCCESS)
    result.expect(
        r'command line: "page_poison=maybe" is neither on nor off', r'"fail_page_alloc=3" is not a number',
        r'"fail_page_alloc" needs a value')


def test_each_request_of_a_boot_may_fail(boot):
    """From the first until a boot passes all of them: each failure is said, and ends the boot in words or not at all."""
    ends = []
    for number in range(1, 60):
        result = boot(memory="64M", arguments=f"selftest=no fail_page_alloc=nth:{number}")
        # What is promised and not allocated is said in vmalloc's words.
        if not re.search("page allocation failure|vmalloc error", result.log):
            break
        ends.append(result.status)
        assert result.status in {2 * value + 1 for value in (BRING_UP_FAILED, OUT_OF_MEMORY)}, result.tail()
        result.expect(r"too little memory for page tables and allocators|no memory for the main stack")
        result.expect(
            r"kernel: page allocation failure: order:\d+, mode:0x[0-9a-f]+\(GFP_"
            r"|vmalloc error: size \d+, page order 0, failed to allocate pages")
        result.expect_backtrace()
    else:
        pytest.fail("no boot came to its end")
    result.expect_end(SUCCESS)
    assert len(ends) >= 3


# Linux's report (see docs/page-frames.md), without what needs processes, files and swap.
FAILURE_REPORT = r"""kernel: page allocation failure: order:0, mode:0xa20\(GFP_ATOMIC\), nodemask=\(null\)
CPU: 0
backtrace:
(?:  #\d+ .*\n)+Mem-Info:
 slab_reclaimable:\d+ slab_unreclaimable:\d+
 pagetables:\d+
 free:\d+ free_pcp:\d+ free_cma:0
(?:Node 0 DMA(?:32)? free:\d+kB boost:0kB min:\d+kB low:\d+kB high:\d+kB reserved_highatomic:0KB present:\d+kB@managed:\d+kB free_pcp:\d+kB local_pcp:\d+kB free_cma:0kB
lowmem_reserve\[\]: \d+ \d+ \d+
){2}(?:Node 0 DMA(?:32)?:(?: \d+\*\d+kB(?: \([UMEHCI]+\))?){11} = \d+kB
){2}\d+ pages RAM
\d+ pages reserved
""".replace("@", " ")


def test_memory_that_runs_out_is_reported_as_linux_does(boot):
    result = boot(memory="64M", arguments="crash=exhaust-atomic")
    result.expect_end(OUT_OF_MEMORY)
    result.log = result.log.replace("\r", "")
    result.expect(r"GFP_ATOMIC order 0: 1\d{4} pages then failed")
    assert re.search(FAILURE_REPORT, result.log), result.tail()
    # The first ten, and the thousandth of all.
    assert len(re.findall(FAILURE_REPORT, result.log)) == 11
    result.expect(r"warn_alloc: 989 callbacks suppressed")
    # The sums agree.
    free = result.number(r"\n free:(\d+) ")
    zones = [int(kib) for kib in re.findall(r"Node 0 \w+ free:(\d+)kB", result.log.partition("Mem-Info:")[2])[:2]]
    blocks = [int(kib) for kib in re.findall(r"= (\d+)kB", result.log.partition("Mem-Info:")[2])[:2]]
    assert sum(zones) == 4 * free and zones == blocks
    assert result.number(r"\n(\d+) pages RAM") * 4096 > (62 << 20)


def test_the_reports_of_page_frames_are_printed_on_request(boot):
    result = boot(memory="64M", arguments="report=buddyinfo,pagetypeinfo,page_owner page_owner=on selftest=no")
    result.expect_end(SUCCESS)
    log = result.log.replace("\r", "")
    parts = {name: log.partition(f"--- {name}\n")[2].partition(f"--- end {name}\n")[0]
             for name in ("buddyinfo", "pagetypeinfo", "page_owner")}
    assert re.fullmatch(r"(Node 0, zone +\w+(?: +\d+){11} \n){2}", parts["buddyinfo"])
    assert parts["pagetypeinfo"].startswith("Page block order: 9\nPages per block:  512\n")
    owner = (r"Page allocated via order \d+, mask 0x[0-9a-f]+\(\S+\), cpu 0, ts \d+, free_ts \d+\n"
             r"PFN \d+ type \w+ Block \d+ type \w+\n(?: 0x[0-9a-f]{16} .*\n)+\n")
    assert re.fullmatch(f"(?:{owner})+", parts["page_owner"])
    assert len(re.findall(owner, parts["page_owner"])) > 5
