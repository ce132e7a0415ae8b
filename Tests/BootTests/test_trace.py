"""What the kernel traces, and how it comes out."""

import os
import re
import subprocess
import sys

from qemu import SUCCESS
from toolchain import BUILD, ROOT
from trace import count_events, summary

# Self tests with every call traced take longer.
TIMEOUT = 150

LINE = re.compile(
    r" +(kernel|allocator)-(\d+) +\[000\] (?:\.\.\.\.\.|d\.\.1\.) +(\d+)\.(\d{6}): (\w+): (.*)$")
KINDS = {
    "kmalloc": r"call_site=(\S+) ptr=(\w{16}) bytes_req=\d+ bytes_alloc=\d+ gfp_flags=\S+ node=-1 accounted=false",
    "kfree": r"call_site=(\S+) ptr=(\w{16})",
    "kmem_cache_alloc": r"call_site=(\S+) ptr=(\w{16}) bytes_req=\d+ bytes_alloc=\d+ gfp_flags=\S+ node=-1 accounted=false",
    "kmem_cache_free": r"call_site=(\S+) ptr=(\w{16}) name=\S+",
    "mm_page_alloc": r"page=(\w{16}) pfn=0x([0-9a-f]+) order=\d+ migratetype=\d gfp_flags=\S+",
    "mm_page_free": r"page=(\w{16}) pfn=0x([0-9a-f]+) order=\d+",
    "vmalloc": r"call_site=(\S+) ptr=(\w{16}) bytes_req=\d+ bytes_alloc=\d+ gfp_flags=\S+ backing=(?:populated|on_demand)",
    "vfree": r"call_site=(\S+) ptr=(\w{16})",
    "map": r"call_site=(\S+) ptr=(\w{16}) bytes=\d+ phys=0x[0-9a-f]+ prot=0x[0-9a-f]+ by=(?:vmap|ioremap|vmalloc|tables)",
    "unmap": r"call_site=(\S+) ptr=(\w{16}) bytes=\d+ by=(?:vunmap|iounmap|tables)",
    "page_fault_kernel": r"address=0x([0-9a-f]+) ip=(\S+) error_code=0x[0-9a-f]+",
}


def read(path):
    """[(depth, time, kind, match)] of a trace, every line of which is one that Linux could have written."""
    events = []
    for line in path.read_text(encoding="ascii").splitlines():
        if line.startswith("#"):
            continue
        match = LINE.match(line)
        assert match, line
        task, depth, seconds, micros, kind, fields = match.groups()
        assert (task == "kernel") == (depth == "0"), line
        found = re.fullmatch(KINDS[kind], fields)
        assert found, line
        events.append((int(depth), int(seconds) * 1_000_000 + int(micros), kind, found))
    return events


def wrong_frees(events, allocation, free):
    """Frees of what is free, by their callers; nothing is handed out twice, and enough is seen of both."""
    live, seen, wrong = set(), set(), []
    for _, _, kind, match in events:
        if kind not in allocation and kind not in free:
            continue
        places = [match[2]]
        if order := re.search(r"pfn=0x\w+ order=(\d+)", match[0]):
            first = int(match[2], 16)
            places = range(first, first + (1 << int(order[1])))
        if kind in allocation:
            assert live.isdisjoint(places), match[0]
            live.update(places)
            seen.update(places)
        else:
            # What was allocated before the trace began is nobody's.
            if any(place in seen and place not in live for place in places):
                wrong.append(match[1])
            live.difference_update(places)
    return wrong, len(seen)


def test_stream(boot):
    """Each event arrives, in order; allocations and frees go together, and the host can do it all again."""
    path = BUILD / "boot-tests" / "trace.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    result = boot(
        memory="64M", arguments="trace=on,com2", extra=("-serial", f"file:{path}"), timeout=TIMEOUT)
    result.expect_end(SUCCESS)
    events = read(path)
    written, sent, waiting, overwritten, dropped = summary(result.log)
    assert written == sent == len(events) > 1000 and (waiting, overwritten, dropped) == (0, 0, 0)
    assert count_events(path) == (len(events), 0)
    times = [time for _, time, _, _ in events]
    assert times == sorted(times)
    # The self tests free wrongly on purpose.
    wrong, seen = wrong_frees(events, ("kmalloc", "kmem_cache_alloc"), ("kfree", "kmem_cache_free"))
    assert seen > 1000 and all("isuse" in site or "Tests." in site for site in wrong) and len(wrong) <= 5, wrong
    wrong, seen = wrong_frees(events, ("mm_page_alloc",), ("mm_page_free",))
    assert seen > 1000 and len(wrong) <= 5, wrong
    sites = {match[1] for _, _, kind, match in events if kind in ("kmalloc", "vmalloc")}
    assert any(re.fullmatch(r"[\w.:()#]+\+0x[0-9a-f]+/0x[0-9a-f]+", site) for site in sites), sites
    assert not any(site.startswith(("Magazine.", "Kmalloc.", "Vmalloc.")) for site in sites), sites
    replay = subprocess.run(
        ["swift", "run", "--build-system", "native", "--package-path", str(ROOT / "Tools" / "Replay"), "-q",
         "quarry-replay", "--memory", "64M", "--check-every", "5000", "--keep-going",
         str(path)],
        capture_output=True, text=True, timeout=900, check=False)
    assert replay.returncode == 0, replay.stdout + replay.stderr
    # The same wrong frees, and no others.
    found = re.search(r"(\d+) violations", replay.stdout)
    assert found and 3 <= int(found[1]) <= 12, replay.stdout


def test_no_port(boot):
    """Without a second port what does not fit is dropped, and counted."""
    result = boot(memory="64M", arguments="trace=on,com2 trace_buf_size=4K", timeout=TIMEOUT)
    result.expect_end(SUCCESS)
    result.expect("no port at COM2")
    written, sent, waiting, _, dropped = summary(result.log)
    assert sent == 0 and written == waiting == 44 and dropped > 1000


def test_stuck_port(boot):
    """A port that takes no more bytes is given up after a while: no hang, and what was lost is counted."""
    pipe = BUILD / "boot-tests" / "stuck"
    for end in (".in", ".out"):
        pipe.with_suffix(end).unlink(missing_ok=True)
        os.mkfifo(pipe.with_suffix(end))
    result = boot(
        memory="64M", arguments="trace=on,com2 trace_buf_size=16K", extra=("-serial", f"pipe:{pipe}"),
        timeout=TIMEOUT)
    result.expect_end(SUCCESS)
    written, sent, _, _, dropped = summary(result.log)
    assert 0 < sent <= written and dropped > 1000


def test_report_and_selection(boot):
    """The ring is printed when the kernel ends, its oldest events overwritten; only what was selected is in it."""
    result = boot(
        memory="64M", arguments="trace=vmalloc,vfree,nonsense trace_buf_size=4K report=trace", timeout=TIMEOUT)
    result.expect_end(SUCCESS)
    result.expect('trace: unknown event "nonsense"')
    text = result.log.replace("\r", "").partition("--- trace\n")[2].partition("--- end trace")[0]
    assert text.startswith("# tracer: nop\n")
    kinds = {match[5] for match in map(LINE.match, text.splitlines()) if match}
    assert kinds == {"vmalloc", "vfree"}
    written, _, waiting, overwritten, dropped = summary(result.log)
    assert waiting == min(44, written)
    assert overwritten == written - waiting and dropped == 0


def test_monitor():
    """`trace` at the prompt: on, off, with some events, and shown."""
    lines = [
        "trace", "trace show", "trace on nonsense", "trace on kmalloc kfree", "alloc kmalloc here 192", "free here",
        "alloc vmalloc there 8192", "trace off", "alloc kmalloc later 192", "trace show", "trace on", "free there",
        "trace off", "trace maybe", "trace show", "poweroff",
    ]
    shell = subprocess.run(
        [sys.executable, str(ROOT / "Tools" / "shell.py")], input="\n".join(lines) + "\n", capture_output=True,
        text=True, timeout=TIMEOUT, errors="replace", check=False)
    text = shell.stdout.replace("\r", "")
    assert shell.returncode == 0, text
    assert "trace: off, 0 events written" in text
    assert 'trace: expected events such as kmalloc, not "nonsense"' in text
    assert 'trace: expected on, off or show, not "maybe"' in text
    shown = text.split("# tracer: nop\n")
    assert len(shown) == 4, text
    first = [match for match in map(LINE.match, shown[2].splitlines()) if match]
    assert [match[5] for match in first if match[1] == "kernel"][:2] == ["kmalloc", "kfree"]
    assert "bytes_req=192" in shown[2] and "vmalloc" not in {match[5] for match in first}
    assert re.search(r": vfree: call_site=\S+ ptr=", shown[3])
