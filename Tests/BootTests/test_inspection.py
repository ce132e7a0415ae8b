"""The monitor's commands about an address, typed at the prompt, beside what QEMU's monitor says of the same machine."""

import re
import socket

import pexpect
import pytest

from booting import describe_machine
from qemu import SUCCESS, status_of
from toolchain import BUILD

PROMPT = "quarry> "
WORDS = "selftest=no exercise nokaslr monitor"


class Session:
    """A kernel at its prompt, and QEMU's monitor of the machine."""

    def __init__(self, directory):
        path = directory / "qemu"
        machine = describe_machine(BUILD / "boot-tests" / "inspection.log", memory="128M", arguments=WORDS)
        command = machine.argv(monitor=f"unix:{path},server=on,wait=off")
        self.kernel = pexpect.spawn(command[0], command[1:], timeout=60, encoding="ascii")
        self.kernel.expect_exact(PROMPT)
        self.qemu = socket.socket(socket.AF_UNIX)
        self.qemu.settimeout(60)
        self.qemu.connect(str(path))
        self._read_monitor()

    def ask(self, line):
        """The lines that the kernel answers."""
        self.kernel.sendline(line)
        self.kernel.expect_exact(PROMPT)
        text = self.kernel.before.replace("\r", "")
        return text.partition("\n")[2].splitlines()

    def ask_qemu(self, line):
        self.qemu.sendall(line.encode() + b"\n")
        return self._read_monitor()

    def _read_monitor(self):
        text = b""
        while not text.endswith(b"(qemu) "):
            text += self.qemu.recv(65536)
        # The echo of what was typed is full of cursor movements.
        return re.sub(r"\x1b\[[0-9]*[A-Z]", "", text.decode()).replace("\r", "")

    def end(self):
        self.kernel.sendline("poweroff")
        self.kernel.expect(pexpect.EOF)
        self.kernel.close()
        assert self.kernel.exitstatus == status_of(SUCCESS)
        self.qemu.close()


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    session = Session(tmp_path_factory.mktemp("monitor"))
    yield session
    session.end()


def address_of(session, report, pattern):
    text = "\n".join(session.ask(report))
    found = re.search(pattern, text, re.MULTILINE)
    assert found, text
    return int(found[1], 16)


@pytest.fixture(scope="module")
def places(session):
    """An address of each kind."""
    device = address_of(session, "vmallocinfo", r"^0x(\w+)-\S+ +\d+ ioremap phys=0x00000000fee00000 ioremap$")
    large = address_of(session, "vmallocinfo", r"^0x(\w+)-\S+ +\d+ exercise_large pages=512 vmalloc N0=512$")
    stack = address_of(session, "stacks", r"^main .{12}0x\w+ 0x(\w+)") - 100
    table = address_of(session, "pagetables", r"^---\[ Frame Table \]---\n0x(\w+)-")
    code = address_of(session, "pagetables", r"^0x(\w+)-\S+ +\S+ +ro +GLB x  pte$")
    return {"direct map": 0xffff888001234567, "object alias": 0x00007f0001234567, "device": device, "large": large,
            "stack": stack, "frame table": table, "code": code}


def test_translations_are_qemus(session, places):
    for name, address in places.items():
        lines = session.ask(f"translate {address:#x}")
        found = re.fullmatch(rf"0x{address:016x} is physical 0x(\w+): (4K|2M|1G) page, r\S+", lines[-1])
        assert found, f"{name}: {lines}"
        answer = session.ask_qemu(f"gva2gpa {address:#x}")
        assert int(re.search(r"gpa: (0x[0-9a-f]+)", answer)[1], 16) == int(found[1], 16), f"{name}: {answer}"
        # The raw entry of the last level holds the page's address, by the CPU's manual.
        raw = int(re.search(r"\] (0x\w{16}) ", lines[-2])[1], 16)
        size = {"4K": 1 << 12, "2M": 1 << 21, "1G": 1 << 30}[found[2]]
        assert raw & 1 and raw & 0xffffffffff000 & -size == int(found[1], 16) & -size
    assert "Unmapped" in session.ask_qemu("gva2gpa 0xffff900000000000")
    assert session.ask("translate 0xffff900000000000")[-1] == "0xffff900000000000 leads to no memory"


def test_entries_that_lead_nowhere_are_named(session):
    area = address_of(session, "vmallocinfo", r"^0x(\w+)-\S+ +266240 ")
    due = [line for line in session.ask("pagetables") if line.endswith(" pte demand")]
    first = next(int(line[2:18], 16) for line in due if area <= int(line[2:18], 16) < area + 266240)
    assert "zeroed memory, due at the first touch: writable" in session.ask(f"translate {first:#x}")[-2]
    assert session.ask(f"whatis {first:#x}")[1] == "not mapped: a page is due at the first touch, rw-g-"
    stack = address_of(session, "vmallocinfo", r"^0x(\w+)-\S+ +24576 exercise pages=") + 4096
    assert "a page of a stack, due when the stack grows: writable" in session.ask(f"translate {stack:#x}")[-2]
    assert session.ask("translate 0x8000000000000000") == ["0x8000000000000000: not a canonical address"]


def test_ranges_are_those_of_qemus_tlb(session):
    """Each page that the CPU's tables map, by QEMU's own walk, lies in a line that allows as much, and no other does."""
    runs = []
    for line in session.ask("pagetables"):
        found = re.fullmatch(r"0x(\w{16})-0x(\w{16})   .{9}[KMG] (USR |    )(RW |ro ).{20}(NX |x  )(pte|pmd|pud)(.*)", line)
        if found and found[7] == "":
            runs.append((int(found[1], 16), int(found[2], 16), found[4] == "RW ", found[6]))
    assert len(runs) > 20
    mapped = 0
    for address, flags in re.findall(r"^([0-9a-f]{16}): [0-9a-f]+ (\S+)$", session.ask_qemu("info tlb"), re.MULTILINE):
        start = int(address, 16)
        # QEMU prints addresses of five levels without the bits above.
        if start >> 56 == 0 and start >> 55:
            start |= 0xff << 56
        run = [run for run in runs if run[0] <= start < run[1]]
        assert len(run) == 1, f"{address} {flags}"
        assert ("W" in flags) == run[0][2] and ("P" in flags) == (run[0][3] != "pte"), f"{address} {flags} {run}"
        mapped += {"pte": 1 << 12, "pmd": 1 << 21, "pud": 1 << 30}[run[0][3]]
    assert mapped == sum(run[1] - run[0] for run in runs)


def test_the_range_around_an_address_is_the_whole_lists(session, places):
    lines = session.ask("pagetables")
    for address in places.values():
        heading, run = session.ask(f"pagetables {address:#x}")
        assert run in lines and heading in lines[:lines.index(run)]
        assert int(run[2:18], 16) <= address < int(run[21:37], 16)
    hole = session.ask("pagetables 0x1000")
    assert hole[0] == "---[ User Space ]---" and hole[1].endswith(" nothing is mapped")


def test_whatis_knows_each_kind(session, places):
    def ask(name):
        return "\n".join(session.ask(f"whatis {places[name]:#x}"))

    assert re.search(r"^in the device area \"ioremap\" .*, at offset 0 of 4096$", ask("device"), re.MULTILINE)
    assert "not in the firmware's map" in ask("device")
    assert re.search(r"^in the vmalloc area \"exercise large\" .*, at offset 0 of 5242880$", ask("large"), re.MULTILINE)
    assert re.search(r"^stack \"main\": 100 bytes below its top; \d+ of \d+ bytes are there$", ask("stack"), re.MULTILINE)
    assert "reserved since boot: frame table" in ask("frame table")
    assert re.search(r"^the image's code: \S+\+0x[0-9a-f]+/0x[0-9a-f]+$", ask("code"), re.MULTILINE)
    direct, alias = ask("direct map"), ask("object alias")
    assert "the direct map of memory" in direct and "the object alias of memory" in alias
    assert direct.partition("physical 0x")[2] == alias.partition("physical 0x")[2]
    # An object that the exercise has, by its cache's slab.
    assert "page: pfn:0x1234 " in direct and "zone DMA32, page block 9 (" in direct


def test_stacks_of_the_image_and_wrong_input(session):
    lines = session.ask("stacks")
    found = next(re.match(r"(\S.*?) +0x(\w{16}) 0x(\w{16})", line) for line in lines if " 0xffffffff8" in line)
    name, limit, top = found[1], int(found[2], 16), int(found[3], 16)
    answer = session.ask(f"whatis {top - 16:#x}")
    assert answer[-1] == f'stack "{name}": 16 bytes below its top, of {top - limit}'
    assert session.ask(f"whatis {limit - 8:#x}")[-1].startswith("stack \"")
    assert session.ask("whatis") == ["whatis: expected an address, such as 0xffffffff80100000"]
    assert session.ask("translate here") == ['translate: expected an address, such as 0xffffffff80100000, not "here"']
    assert session.ask("pagetables 1 2") == ['pagetables: expected no more arguments, not "2"']
