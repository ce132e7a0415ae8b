"""The reports of slabs and of the use of memory of a kernel that has done nothing yet (test_reports.py has the others)."""

import re

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
