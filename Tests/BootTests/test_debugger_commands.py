"""gdb's `quarry` commands, in a stopped kernel, against the kernel's own reports and QEMU's monitor.

A boot stops right after its reports: what the commands then read is what was reported. Numbers are compared, not text.
"""

import re

import pytest

from debugger_session import KERNELS, LITERALS, MISTAKES, PLACES, reported, stopped

TRANSLATION = re.compile(r"^([0-9a-f]{16}): ([0-9a-f]{16}) ([XGPDACTUW-]{9})$", re.MULTILINE)


@pytest.fixture(params=KERNELS)
def session(request):
    return stopped(request.param)


def numbers(line):
    return [int(word) for word in re.findall(r"\b\d+\b", line)]


def test_no_command_ends_in_a_traceback(session):
    _, output, _ = session
    assert "Traceback" not in output and "Python Exception" not in output, output[output.find("Traceback") - 2000:]


def test_buddy_is_the_report(session):
    parts, _, result = session
    ours = [numbers(line) for line in parts["buddy"].splitlines() if line.startswith("Node")]
    theirs = [numbers(line) for line in reported(result.log, "buddyinfo")]
    assert ours == theirs and len(ours) >= 2 and sum(ours[1][1:]) > 0


def test_slabs_is_the_report(session):
    parts, _, result = session

    def rows(lines):
        return {line.split()[0]: numbers(line.partition(" ")[2]) for line in lines if re.match(r"\S+ +\d+ +\d+ ", line)}

    ours, theirs = rows(parts["slabs"].splitlines()), rows(reported(result.log, "slabinfo"))
    assert ours.keys() == theirs.keys() and len(ours) > 50
    for name, row in ours.items():
        # Ours has neither tunables nor sharedavail.
        active, total, size, per_slab, pages, _, _, _, active_slabs, slabs, _ = theirs[name]
        assert row == [active, total, size, per_slab, pages, active_slabs, slabs], name
    assert any(row[0] for row in ours.values())
    assert re.search(r"slab at 0x\w+: \d+ of \d+ objects free in it", parts["one-slab"])


def test_areas_is_the_report(session):
    parts, _, result = session

    def rows(lines):
        return [(line.split()[0], line.split()[1], re.findall(r"\bpages=(\d+)|phys=0x(\w+)", line))
                for line in lines if line.startswith("0x")]

    ours, theirs = rows(parts["areas"].splitlines()), rows(reported(result.log, "vmallocinfo"))
    assert ours == theirs and ours


def test_stacks_is_the_report(session):
    parts, _, result = session
    row = re.compile(r"^(\S.*?) +0x(\w{16}) 0x(\w{16}) *(\d+) +(\d+) +(-|\d+) +(\d+)$")

    def rows(lines):
        return {m[1]: m.groups()[1:] for m in (row.match(line) for line in lines) if m}

    ours, theirs = rows(parts["stacks"].splitlines()), rows(reported(result.log, "stacks"))
    assert ours.keys() == theirs.keys() and "main" in ours and "page fault" in ours
    for name in ours:
        # How deep it is, and how deep it was, changes until the breakpoint: below the report's own frames.
        assert ours[name][:4] == theirs[name][:4], name
        assert name == "main" or ours[name][4:] == theirs[name][4:], name
        assert int(ours[name][5]) >= int(theirs[name][5])

    def figures(lines):
        return numbers(next(line for line in lines if line.startswith("grown")))

    assert figures(parts["stacks"].splitlines()) == figures(reported(result.log, "stacks"))


def test_ptdump_is_the_report(session):
    parts, _, result = session

    def rows(lines):
        return [line.split() for line in lines if line.startswith("0x")]

    ours = [row for row in rows(parts["ptdump"].splitlines()) if row[-1] != "retired"]
    assert ours == rows(reported(result.log, "page_tables"))


def pages(text):
    return {int(page[1], 16): (int(page[2], 16), page[3]) for page in TRANSLATION.finditer(text)}


def behind(tlb, address):
    """(physical address, flags) of what QEMU's monitor says is mapped at an address; None for nothing."""
    for shift in (12, 21, 30):
        start = address >> shift << shift
        if start in tlb and (shift > 12) == ("P" in tlb[start][1]):
            return tlb[start][0] + address - start, tlb[start][1]
    return None


def test_vtop_is_what_the_monitor_says(session):
    parts, output, _ = session
    tlb = pages(parts["tlb"])
    assert len(tlb) > 100
    mapped = 0
    for name in PLACES:
        text = parts[f"vtop {name}"]
        address = int(re.match(r"0x([0-9a-f]{16}) through", text)[1], 16)
        found = behind(tlb, address)
        physical = re.search(r"^  physical 0x([0-9a-f]+), r([w-])([x-])([g-])([u-]), in a page of", text, re.MULTILINE)
        if found is None:
            assert not physical and re.search("no translation|not a canonical", text), f"{name}:\n{text}"
            continue
        assert physical and int(physical[1], 16) == found[0], f"{name}:\n{text}"
        flags = found[1]
        assert (physical[2] == "w", physical[3] == "x") == ("W" in flags, "X" not in flags), name
        mapped += 1
    assert mapped >= 9


def test_vtop_works_on_the_boot_tables(session):
    parts, _, _ = session
    text = parts["boot-vtop"]
    address = int(text[2:18], 16)
    found = behind(pages(parts["boot-tlb"]), address)
    physical = re.search(r"^  physical 0x([0-9a-f]+), .* in a page of 2 MiB", text, re.MULTILINE)
    assert found and int(physical[1], 16) == found[0], text
    assert "quarry buddy: the kernel has not come that far" in parts["early"]
    assert "quarry vtop: paging is off" in parts["early"]
    assert "quarry log: the log is empty" in parts["boot-log"]
    assert re.search(r"^0x0000000000000000-\S+ +\d+K rwx-- (2M|1G) wb 0x0", parts["boot-ptdump"], re.MULTILINE)


def test_the_levels_are_those_of_the_cpu():
    for kernel, levels, names in (("debug", 5, "PML5"), ("four-levels", 4, "PML4")):
        text = stopped(kernel)[0]["vtop stack"]
        assert f"through {levels} levels" in text and text.splitlines()[1].split()[0] == names


def test_pages_of_each_size_are_named():
    text = stopped("large-pages")[0]
    assert re.search(r" 1G wb ", text["ptdump"]) and re.search(r" 2M wb ", text["ptdump"])
    assert "page of 1 GiB" in text["vtop boot-memory"] + text["vtop object"] + stopped("large-pages")[1]
    assert "stack page: " in text["vtop stack-due"]
    assert "guard page: nobody may touch it" in text["vtop-guard"] and "no translation: guard" in text["vtop-guard"]


def test_vtop_is_what_the_monitor_translates_one_by_one():
    parts = stopped("four-levels")[0]
    mapped = []
    for literal in LITERALS:
        text = parts[f"literal {literal}"]
        theirs = re.search(r"^gpa: 0x([0-9a-f]+)$", text, re.MULTILINE)
        ours = re.search(r"^  physical 0x([0-9a-f]+),", text, re.MULTILINE)
        assert (theirs and int(theirs[1], 16)) == (ours and int(ours[1], 16)), text
        assert theirs or "Unmapped" in text
        mapped.append(bool(theirs))
    assert mapped == [True, True, True, True, False, False, True, False, False]


def test_whatis_names_each_kind_of_address(session):
    parts, _, _ = session
    for name, (_, patterns) in PLACES.items():
        for pattern in patterns or ():
            assert re.search(pattern, parts[f"whatis {name}"]), f"{name}:\n{parts[f'whatis {name}']}"


def test_mistakes_get_one_clear_line(session):
    parts, _, _ = session
    for mistake, pattern in MISTAKES.items():
        lines = [line for line in parts[f"mistake {mistake}"].splitlines() if line.strip()]
        assert len(lines) == 1 and re.match(pattern, lines[0]), f"{mistake}: {lines}"


def test_help_lists_the_commands(session):
    parts, _, _ = session
    for name in ("vtop", "ptdump", "buddy", "slabs", "areas", "stacks", "whatis", "log", "panic"):
        assert re.search(rf"^quarry {name}\b", parts["help"], re.MULTILINE)


def test_log_is_what_the_serial_line_had(session):
    parts, _, result = session
    ours = [line for line in parts["log"].splitlines() if line]
    serial = result.log.splitlines()
    assert len(ours) > 20 and "ready:" in parts["log"]
    # Each of its lines that has a time came over the serial line.
    assert all(line in serial for line in ours if line.startswith("["))
    assert [line for line in parts["log-tail"].splitlines() if line] == ours[-3:]


def test_backtraces_have_readable_names(session):
    parts, _, result = session
    assert "$e" not in parts["bt"].replace("$eflags", "") and re.search(r"exception_dispatch", parts["bt"])
    ours = re.findall(r"^  #\d+ (0x\w+ .*)$", parts["panic"].partition("backtrace:")[2], re.MULTILINE)
    theirs = re.findall(r"^  #\d+ (0x\w+ .*)$", result.log.partition("backtrace:")[2], re.MULTILINE)
    assert ours == theirs and len(ours) >= 3
    assert "The kernel has died" in parts["bt"]
    assert re.search(r"exception: breakpoint, vector 3", parts["panic"])
