"""docs/debugging.md and gdb/step-mapping.gdb: what the guided session prints stands in the page, and the flags' names are those
of the Swift sources.
"""

import functools
import json
import re
import subprocess

from debug_kernel import StoppedMachine, gdb_command
from qemu import Machine
from toolchain import BUILD, ROOT

SCRIPT = ROOT / "gdb" / "step-mapping.gdb"
PAGE = ROOT / "docs" / "debugging.md"
# Addresses of code, and line numbers, change with every build.
CODE = re.compile(r"0xffffffff8[0-9a-f]{7}")
OFFSET = re.compile(r"(\S)\+0x[0-9a-f]+")


def essential(text):
    """The lines of the session that say something of the tables, whatever the code's addresses and the frames' are."""
    lines = []
    for line in text.splitlines():
        line = OFFSET.sub(r"\1", CODE.sub("CODE", line.strip()))
        line = re.sub(r"\bat \S+\.swift:\d+", "at SOURCE", line)
        line = re.sub(r"\[\d+\]", "[N]", re.sub(r"\d+ entries", "N entries", line))
        if re.match(r"(\d\. |-- |P(ML5|ML4|DPT|D|T)\b|before|after|physical|0x\w{16}|no translation|#\d)", line):
            # Which frames bring-up takes, and so where the frame table lies, depends on the image's size.
            lines.append(re.sub(r"0x0*[0-9a-f]{5,7}\b", "FRAME", re.sub(r"0x[0-9a-f]{16}", "ENTRY", line)))
    return lines


@functools.cache
def session():
    """What the guided session prints."""
    machine = Machine(memory="64M", arguments="nokaslr", kernel=BUILD / "debug" / "quarry-multiboot.elf")
    log = BUILD / "boot-tests" / "debugger-guide.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with StoppedMachine(machine, log) as stopped:
        gdb = subprocess.run(
            gdb_command(BUILD / "debug" / "quarry.elf", stopped.socket, [], [], SCRIPT), capture_output=True, text=True,
            timeout=120, stdin=subprocess.DEVNULL)
    assert "Traceback" not in gdb.stderr and "Error" not in gdb.stderr, gdb.stderr
    # Before it gdb says that the machine is stopped.
    return gdb.stdout[gdb.stdout.index("1. "):]


def test_the_transcript_in_the_page_is_what_the_session_prints():
    printed = essential(session())
    page = PAGE.read_text().partition("<!-- transcript -->")[2].partition("<!-- end of transcript -->")[0]
    assert len(printed) > 50, printed
    assert essential(page) == printed


def test_the_session_shows_each_level_come_to_be():
    lines = session().splitlines()
    after = [line for line in lines if line.strip().startswith("after ")]
    assert len(after) == 4
    assert all("table at" in line for line in after[:3]) and "page of 4 KiB" in after[3]
    before = [line for line in lines if line.strip().startswith("before ")]
    assert all(line.endswith("empty") for line in before)
    reads = [line for line in lines if line.startswith("-- the 8 bytes")]
    assert "cannot be read" in reads[0] and "the translation works" in reads[-1]


# Run in gdb: values that have no place in a machine, as gdb would show their members.
PRINTED = """
from quarry import printers

class Type:
    def __init__(self, name):
        self.name = name

class Value:
    def __init__(self, kind, **fields):
        self.type, self.fields = Type(kind), fields
    def __getitem__(self, name):
        return self.fields[name]

def number(kind, value):
    return Value(kind, _value=value)

def raw(kind, value, of="UInt"):
    return Value(kind, rawValue=number(of, value))

def descriptor(state, order, owner=0, tag=0, extra=0):
    return Value(
        "FrameDescriptor", owner=number("UInt", owner), order=number("UInt8", order), state=raw("FrameState", state, "UInt8"),
        tag=number("UInt16", tag), extraReferences=number("UInt32", extra))

for value in (
        number("UInt64", -1), number("UInt8", -1), number("Int8", -1), number("Int", 5), number("Bool", -1), number("Bool", 0),
        raw("VirtualAddress", -4096), raw("PhysicalAddress", 0x1000), raw("PageFrameNumber", 0x103C),
        raw("PageTableEntry", 0), raw("PageTableEntry", 0x8000000001053163 - (1 << 64)),
        raw("PageTableEntry", 0x0040000003FDA223), raw("PageTableEntry", 0x000FFFFFFFFFF400),
        raw("PageTableEntry", 0x800FFFFFFFFFF362 - (1 << 64)), raw("PageTableEntry", 0x801FFFFFFFFFF162 - (1 << 64)),
        raw("AllocationFlags", 0xDC0, "UInt32"), raw("AllocationFlags", 0, "UInt32"), raw("AllocationFlags", 1 << 30, "UInt32"),
        raw("PagePermissions", 0x13, "UInt16"), raw("PagePermissions", 0x73, "UInt16"), raw("CacheFlags", 12, "UInt32"),
        raw("FrameState", 5, "UInt8"), raw("FrameState", 99, "UInt8"), descriptor(0, 0), descriptor(32, 2, 0x1000, 7),
        descriptor(2, 3, extra=2)):
    print(printers.lookup(value).to_string())
print(printers.lookup(Value("Unknown")))
"""
EXPECTED = """
18446744073709551615
255
-1
5
true
false
0xfffffffffffff000
0x1000
0x103c (physical 0x103c000)
0x0000000000000000 (empty)
0x8000000001053163 (present, 0x1053000, rw-g-)
0x0040000003fda223 (table at 0x3fda000, 4 entries in use)
0x000ffffffffff400 (guard page: nobody may touch it)
0x800ffffffffff362 (on demand: rw-g-, a zeroed page at the first touch; its frame is promised)
0x801ffffffffff162 (stack page: rw-g-, due when the stack grows; its frame is promised)
io | fs | zero | directReclaim | wakeReclaimer
none
0x40000000
read | write | global
read | write | global, uc
poison | redZone
page table
damaged (state 99)
interior
slab, order 2, owner 0x1000, tag 0x7
allocated, order 3, 3 references
None
"""


def test_printers_know_each_kind_of_value(tmp_path):
    script = tmp_path / "printed.py"
    script.write_text(PRINTED)
    command = [
        "gdb", "-q", "-nx", "-batch", "-ex", f"source {ROOT / 'gdb' / 'quarry.py'}", "-ex", f"source {script}"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    assert result.stdout.strip().splitlines() == EXPECTED.strip().splitlines(), result.stderr


def swift_flags(path, kind):
    """{bit: name} of the constants of a flag set in the sources."""
    pattern = re.compile(rf"static var (\w+): {kind} \{{ {kind}\(rawValue: (0x[0-9a-fA-F_]+|1 << \d+|\d+)\) \}}")
    return {eval(value.replace("_", "")): name for name, value in pattern.findall((ROOT / path).read_text())}  # noqa: S307


def test_flags_have_the_names_of_the_sources():
    command = [
        "gdb", "-q", "-nx", "-batch", "-ex", f"source {ROOT / 'gdb' / 'quarry.py'}", "-ex",
        "python import json; from quarry import printers; print(json.dumps(printers.FLAGS))"]
    output = subprocess.run(command, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL).stdout
    flags = json.loads(output.strip().splitlines()[-1])
    sources = {
        "PagePermissions": "Sources/Paging/PagePermissions.swift", "AllocationFlags": "Sources/PageFrames/AllocationFlags.swift",
        "CacheFlags": "Sources/Slab/CacheFlags.swift", "FaultAccess": "Sources/VirtualMemory/Fault.swift",
        "PageUsage": "Sources/Paging/PageTables+Usage.swift", "FrameChecks": "Sources/PageFrames/Checks/FrameChecks.swift"}
    assert sources.keys() == flags.keys()
    for kind, path in sources.items():
        assert {int(bit): name for bit, name in flags[kind].items()} == swift_flags(path, kind), kind


def test_values_are_printed_as_numbers_and_names(stopped_boot):
    output, _ = stopped_boot(
        ["python from quarry import guide", "python guide.stop_at('kernel_main')",
         "python guide.stop_at('FrameTableRegion.map(_:_:_:from:)')",
         "python guide.stop_at('PageTableCursor.descend(to:taking:user:)')", "python guide.pass_prologue()",
         "echo @@descend\\n", "info args", "echo @@commit\\n", "up", "print change", "print user", "up 2", "echo @@map\\n",
         "info args", "echo @@end\\n", "kill"],
        kernel_directory=BUILD / "debug", memory="64M", arguments="nokaslr")
    parts = dict(zip(*[iter(re.split(r"^@@(\w+)\n", output, flags=re.MULTILINE)[1:])] * 2))
    assert re.search(r"^physical = 0x[0-9a-f]+$", parts["map"], re.MULTILINE), output
    assert "permissions = read | write | global" in parts["map"]
    assert re.search(r"^target = 0$", parts["descend"], re.MULTILINE)
    assert re.search(r"^reserve = \{head = 0x[0-9a-f]+, count = 3\}$", parts["descend"], re.MULTILINE)
    assert "user = false" in parts["descend"]
    assert re.search(r"exactLevel = nil", parts["commit"]) and re.search(r"byteCount = \d+\b", parts["commit"])
    assert "_value" not in output


