"""The reports of slabs and of the use of memory, and that the readers of Linux's files accept them."""

import re
import shutil
import subprocess

import pytest

from qemu import SUCCESS

CACHE = r"([\w-]+) +(\d+) +(\d+) +(\d+) +(\d+) +(\d+) : tunables    0    0    0 : slabdata +(\d+) +(\d+)      0"
LINE = r"(\w+): +(\d+) kB"


def reports(boot, words=""):
    result = boot(memory="64M", arguments=f"report=slabinfo,meminfo selftest=no {words}".strip())
    result.expect_end(SUCCESS)
    log = result.log.replace("\r", "")
    return {name: log.partition(f"--- {name}\n")[2].partition(f"--- end {name}\n")[0]
            for name in ("slabinfo", "meminfo")}


@pytest.mark.parametrize("words", ["", "kfence.sample_interval=1"])
def test_slabinfo_and_meminfo_agree(boot, words):
    text = reports(boot, words)
    lines = text["slabinfo"].splitlines()
    assert lines[0] == "slabinfo - version: 2.1"
    assert lines[1].startswith("# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunab")
    caches = [re.fullmatch(CACHE, line) for line in lines[2:]]
    assert all(caches) and len(caches) > 50
    pages = 0
    for cache in caches:
        active, total, size, per_slab, pages_per_slab, active_slabs, slabs = (int(cache[n]) for n in range(2, 9))
        assert active <= total == per_slab * slabs and active_slabs <= slabs
        assert size * per_slab <= pages_per_slab * 4096
        pages += pages_per_slab * slabs
    memory = {found[1]: int(found[2]) for found in re.finditer(LINE, text["meminfo"])}
    assert 0 < pages * 4 <= memory["Slab"] == memory["SReclaimable"] + memory["SUnreclaim"]
    assert memory["MemFree"] < memory["MemTotal"] < 65536
    # The main stack's top page, and the frames by which it can grow.
    assert memory["KernelStack"] == memory["VmallocUsed"] == 20
    assert memory["PageTables"] > 0


def read_by(tool, path, contents, directory):
    """What a tool of procps prints where `contents` stand at `path`: in a mount namespace of its own."""
    if not shutil.which(tool[0]) or subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode != 0:
        pytest.skip(f"no {tool[0]}, or no user namespaces")
    file = directory / "contents"
    file.write_text(contents)
    script = 'mount --bind "$1" "$2" || exit 77; shift 2; exec "$@"'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", str(file), path, *tool], capture_output=True, text=True, timeout=60,
        env={"TERM": "dumb", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    if done.returncode == 77:
        pytest.skip(f"cannot mount at {path}")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_slabtop_and_vmstat_read_slabinfo(boot, tmp_path):
    text = reports(boot)["slabinfo"]
    caches = {found[1]: found for found in re.finditer(CACHE, text)}
    top = read_by(["slabtop", "-o", "-s", "n"], "/proc/slabinfo", text, tmp_path)
    objects = sum(int(cache[3]) for cache in caches.values())
    assert re.search(rf"Active / Total Objects \(% used\)\s+: \d+ / {objects} ", top), top
    assert re.search(r"Active / Total Slabs \(% used\)\s+: (\d+) / (\d+) ", top), top
    for name, cache in caches.items():
        if int(cache[3]) > 0:
            assert re.search(rf"^ *{cache[3]} +{cache[2]} .* {cache[8]} +{cache[5]} .* {name}\s*$", top, re.MULTILINE), top
    listing = read_by(["vmstat", "-m"], "/proc/slabinfo", text, tmp_path)
    for name, cache in caches.items():
        assert re.search(rf"^{name} +{cache[2]} +{cache[3]} +{cache[4]} +{cache[5]}$", listing, re.MULTILINE), listing


def test_free_reads_meminfo(boot, tmp_path):
    text = reports(boot)["meminfo"]
    memory = {found[1]: int(found[2]) for found in re.finditer(LINE, text)}
    output = read_by(["free", "-k"], "/proc/meminfo", text, tmp_path)
    fields = re.search(r"^Mem: +(\d+) +\d+ +(\d+) +\d+ +\d+ +(\d+)$", output, re.MULTILINE)
    assert fields, output
    assert [int(field) for field in fields.groups()] == [
        memory["MemTotal"], memory["MemFree"], memory["MemAvailable"]]
