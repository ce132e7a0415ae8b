"""The monitor's commands, as a person at a terminal sees them: `make shell`."""

import re

import pytest

from monitor_session import PROMPT, Session


@pytest.fixture(scope="module")
def session():
    """One session that most tests share: each leaves it at a fresh prompt, with nothing held."""
    found = Session("session", "--arguments", "kmemleak=on")
    yield found
    found.close()


def test_reports_are_commands(session):
    assert session.ask("buddyinfo")[0].startswith("Node 0, zone")
    assert session.ask("pagetypeinfo")[0].startswith("Page block order: 9")
    assert session.ask("slabinfo")[0] == "slabinfo - version: 2.1"
    assert any("System RAM" in line for line in session.ask("iomem"))
    assert any(line.startswith("interrupt ") for line in session.ask("stacks"))
    assert len(session.ask("page_tables")) > 10
    assert any("main" in line or "stack" in line for line in session.ask("vmallocinfo"))


def test_dmesg_has_the_log_from_its_beginning(session):
    lines = session.ask("dmesg")
    assert "Quarry: a kernel memory subsystem" in lines[0]
    # Also what `loglevel=4` has kept from the serial line.
    assert any(re.match(r"\[ *\d+\] info +ready: ", line) for line in lines)


def test_dmesg_keeps_the_last_lines(session):
    for _ in range(150):
        assert session.ask("test layout:")[-1] == "test: 3 passed, 0 failed"
    lines = session.ask("dmesg")
    assert 65536 - 200 < sum(len(line) + 1 for line in lines) <= 65536
    assert re.match(r"\[ *\d+\] info +test layout: ", lines[0])
    assert re.match(r"\[ *\d+\] info +test layout: .*: ok", lines[-1])
    ticks = [int(re.match(r"\[ *(\d+)\]", line)[1]) for line in lines]
    assert ticks == sorted(ticks)


def test_any_number_can_be_asked_about(session):
    numbers = ["0", "1", "0xfff", "0xfee00000", "0x7fffffffffff", "0x800000000000", "0xffffffffffffff", "0x8000000000000000",
               "0xfeffffffffffffff", "0xff00000000000000", "0xffff800000000000", "0xffffffff80000001", "0xffffffffffffffff"]
    for number in numbers:
        assert session.ask(f"whatis {number}")[0].startswith(f"0x{int(number, 0):016x}: "), number
        assert f"0x{int(number, 0):016x}" in session.ask(f"translate {number}")[-1], number
        assert session.ask(f"pagetables {number}")[0].startswith(("---[ ", "0x")), number
    for command in ("whatis", "translate", "pagetables"):
        expected = f"{command}: expected an address, such as 0xffffffff80100000"
        for word in ("99999999999999999999", "0x10000000000000000", "-1", "0x"):
            assert session.ask(f"{command} {word}") == [f'{expected}, not "{word}"']


def test_sizes_that_no_memory_has_are_refused(session):
    for kind in ("kmalloc", "vmalloc", "huge"):
        for size in ("0xffffffffffffffff", "0xfffffffffffff001", "0x7fffffffffffffff", "15E"):
            assert session.ask(f"alloc {kind} x {size}")[-1] == "alloc: no memory for that; nothing has changed"
        assert session.ask(f"alloc {kind} x 99999999999999999999")[0].startswith(f"alloc: expected a size in bytes, at least 1, not")
    assert session.ask("alloc") == ["nothing is held"]


def test_memory_is_held_by_name(session):
    session.ask("slab shrink kmalloc-64")
    before = session.ask("meminfo")
    wanted = [
        ("pages p 3", "p: pages, 32 KiB at 0x"), ("kmalloc k 100 atomic zero", "k: kmalloc, 100 bytes at 0x"),
        ("object o 200", "o: object, 200 bytes at 0x"), ("vmalloc v 1M", "v: vmalloc, 1 MiB at 0x"),
        ("huge h 4M", "h: huge, 4 MiB at 0x"), ("stack s 32K", "s: stack, 32 KiB at 0x"), ("dma d 64K", "d: dma, 64 KiB at 0x"),
    ]
    for words, line in wanted:
        answer = session.ask(f"alloc {words}")
        assert len(answer) == 1 and answer[0].startswith(line), answer
    assert [line.split(":")[0] for line in session.ask("alloc")] == list("pkovhsd")
    assert session.ask("alloc kmalloc k 8") == ['alloc: expected a name by which nothing is held, not "k"']
    assert session.ask("check") == ["check: every allocator and all page tables are as they must be"]
    session.type("free \t")
    session.terminal.expect_exact("p  k  o  v  h  s  d")
    session.terminal.expect_exact(PROMPT + "free ")
    assert session.ask("k") == []
    assert [line.split(":")[0] for line in session.ask("alloc")] == list("povhsd")
    assert session.ask("free *") == []
    assert session.ask("alloc") == ["nothing is held"]
    free = re.compile(r"MemFree: +(\d+) kB")
    assert abs(int(free.search("\n".join(before))[1]) - session.number("meminfo", free)) <= 512


def test_a_fault_brings_a_page(session):
    answer = session.ask("alloc vmalloc v 1M")[0]
    address = answer.split(" at ")[1]
    assert session.ask(f"fault {address}")[0].startswith(f"fault: {address}: a page came with the fault; physical 0x")
    assert session.ask(f"fault {address} write")[0].startswith(f"fault: {address}: the page was there, no fault; physical 0x")
    session.ask("free v")


def test_lost_memory_is_looked_for(session):
    assert re.match(r"kmemleak: \d+ allocations looked through, 0 of them lost", session.ask("kmemleak scan")[-1])
    assert session.ask("kmemleak dump") == []
    address = session.ask("alloc kmalloc k 100")[0].split(" at ")[1]
    assert any(address[2:] in line for line in session.ask(f"kmemleak dump {address}"))
    assert session.ask("kmemleak clear") == []
    session.ask("free k")


def test_benchmarks_and_tests_by_name(session):
    assert session.ask("bench")[0] == "group frames"
    lines = session.ask("bench kmalloc(64) const")
    assert "ticks of the time stamp counter" in lines[0]
    assert any(re.match(r"bench row kmalloc\(64\) const hot alloc\tmedian\t\d+|bench row kmalloc\(64\) const hot alloc", line)
               for line in lines)
    for group, row in [("frames", "alloc_pages"), ("kmalloc", "kmalloc(8)"), ("caches", "kmem_cache"), ("vmalloc", "vmalloc")]:
        rows = session.ask(f"bench {group}")[1:]
        shaped = [line for line in rows if re.fullmatch(r"bench row .*\t(median|mean)\t\d+(\.\d\d)?", line)]
        # `vmalloc` says one thing more.
        assert len(shaped) > 5 and len(rows) - len(shaped) <= 1, rows
        assert any(row in line for line in rows)
    assert session.ask("bench demand")[-1] == "bench: expected at least 1200 MiB of free memory for that group"
    assert "  page frames: zones are respected" in ["  " + line.strip() for line in session.ask("test")]
    lines = session.ask("test all")
    assert re.match(r"test: [5-9]\d passed, 0 failed", lines[-1]), lines


def test_stress_ends_with_its_time_or_with_a_key(session):
    line = session.ask("stress 1")[-1]
    match = re.match(r"stress: the time is up after \d+ s: (\d+) steps, (\d+) allocations, \d+ refused, (\d+) checks", line)
    assert match and int(match[1]) > int(match[2]) > 0 and int(match[3]) > 0, line
    session.type("stress 600\r")
    session.type("\x03")
    assert session.answer()[-1].startswith("stress: a key was pressed after ")
    assert session.ask("check") == ["check: every allocator and all page tables are as they must be"]
    # It leaves ranges that wait to be free, which are nothing to the tests.
    assert re.match(r"test: [4-9] passed, 0 failed", session.ask("test vmalloc:")[-1])


def test_an_interrupt_waits_while_a_lock_is_held(session):
    # Also at boot, where all self tests run with interrupts off but for this one.
    assert session.ask("test interrupts:")[-1] == "test: 1 passed, 0 failed"
    assert session.ask("check") == ["check: every allocator and all page tables are as they must be"]


def test_each_way_of_checking_lets_memory_be_held(start_monitor):
    words = "dma_debug kmemleak=on page_owner=on kfence.sample_interval=1 slub_debug=FZPU page_poison=1"
    session = start_monitor("checks", "--memory", "64M", "--arguments", words)
    for kind, size in [("dma", "64K"), ("dma", "100"), ("object", "64"), ("kmalloc", "300"), ("stack", "16K"), ("pages", "3")]:
        for name in ("first", "second"):
            assert session.ask(f"alloc {kind} {name} {size}")[-1].startswith(f"{name}: {kind}, ")
        assert session.ask("free first") == [] and session.ask("free second") == []
    assert session.ask("stress 2")[-1].startswith("stress: the time is up after")
    assert session.ask("check") == ["check: every allocator and all page tables are as they must be"]


def counters(session):
    """What is in use, by the reports: free frames by two of them, objects of each cache, areas, frames of each kind."""
    meminfo = dict(re.findall(r"(\S+): +(\d+)", "\n".join(session.ask("meminfo"))))
    rows = [line.split("zone")[1].split()[1:] for line in session.ask("buddyinfo")]
    slabs = {line.split()[0]: int(line.split()[1]) for line in session.ask("slabinfo")[2:]}
    return {
        "free": sum(int(blocks) << order for row in rows for order, blocks in enumerate(row)),
        **{name: int(meminfo[name]) for name in ("MemFree", "Slab", "PageTables", "KernelStack", "VmallocUsed", "Committed_AS")},
        "objects": slabs, "areas": sorted(session.ask("vmallocinfo")),
    }


def test_all_memory_can_be_held_and_given_back(start_monitor):
    session = start_monitor("exhaustion", "--memory", "64M")
    # What the first round leaves behind (a slab of notes, say) the second one finds.
    found = []
    for _ in range(3):
        number, refused = 0, []
        for kind, size in [("pages", 10), ("vmalloc", "1M"), ("huge", "2M"), ("dma", "256K"), ("pages", 4), ("stack", "16K"),
                           ("kmalloc", "8K"), ("object", 500), ("pages", 0)]:
            for _ in range(20):
                answer = session.ask(f"alloc {kind} n{number} {size}")
                if answer[-1] == "alloc: no memory for that; nothing has changed":
                    refused.append(kind)
                    break
                assert answer[-1].startswith(f"n{number}: {kind}"), answer
                number += 1
        # Neither a large block nor an area of a MiB, nor what comes from blocks of eight frames.
        assert {"vmalloc", "pages"} <= set(refused) and number > 20, refused
        assert session.ask("check") == ["check: every allocator and all page tables are as they must be"]
        low = counters(session)
        session.ask("free *")
        found.append(counters(session))
        assert found[-1]["free"] > low["free"] + (20 << 8)
        assert found[-1]["objects"].keys() <= low["objects"].keys()
    assert found[1] == found[2] and found[0]["objects"] == found[1]["objects"]
    assert session.ask("check") == ["check: every allocator and all page tables are as they must be"]
    # Nothing is left to hold by, either.
    assert session.ask("alloc") == ["nothing is held"]
    session.type("\x04")
    assert session.end()[0] == 0


def test_so_many_names_and_no_more(start_monitor):
    session = start_monitor("names", "--memory", "64M")
    before = session.ask("slabinfo")
    for number in range(128):
        assert session.ask(f"alloc kmalloc name-{number} 8")[0].startswith(f"name-{number}: kmalloc, 8 bytes at 0x")
    full = ["alloc: 128 allocations are held, which is all there can be"]
    assert session.ask("alloc kmalloc more 8") == full and session.ask("alloc vmalloc more 8") == full
    assert session.ask("free name-64") == [] and session.ask("alloc pages more 0")[0].startswith("more: pages")
    assert session.ask("alloc kmalloc again 8") == full
    assert session.ask("free *") == [] and session.ask("alloc") == ["nothing is held"]
    active = [{line.split()[0]: line.split()[1] for line in report} for report in (before, session.ask("slabinfo"))]
    assert active[0] == active[1]
