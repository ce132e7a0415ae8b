"""`quarry panic` against the report with which the kernel itself died."""

import re

import pytest

from toolchain import BUILD

REGISTER = re.compile(r"\b(r[a-z0-9]{1,2}) +0x([0-9a-f]{16})")
CRASHES = {
    "null": [r"exception: page fault, vector 14", r"this is a use of a null pointer", r": the null page"],
    "use-after-vfree": [r"exception: page fault, vector 14", r"this is a use of memory after it was freed", r": freed: it was in"],
    "stack-overflow": [r"an overflow of stack", r"the guard page below"],
    "swift-trap": [r"exception: Swift runtime trap"],
    "double-kfree": [r"reason: .*double", r"registers, now:"],
}


def registers(text):
    return dict(REGISTER.findall(text))


@pytest.mark.parametrize(("crash", "directory"), [
    ("null", BUILD / "debug"), ("use-after-vfree", BUILD), ("stack-overflow", BUILD), ("swift-trap", BUILD),
    ("double-kfree", BUILD),
])
def test_panic_says_what_the_report_says(stopped_boot, crash, directory):
    output, result = stopped_boot(
        ["continue", "echo @@panic\\n", "quarry panic", "echo @@end\\n", "kill"], kernel_directory=directory, memory="64M",
        arguments=f"crash={crash}")
    assert "Traceback" not in output and "The kernel has died" in output, output
    said = output.partition("@@panic\n")[2].partition("@@end")[0]
    for pattern in CRASHES[crash]:
        assert re.search(pattern, said), said
    theirs = registers(result.log.partition("backtrace:")[0])
    ours = registers(said.partition("registers, as")[2].partition("backtrace:")[0])
    for name, value in theirs.items():
        assert ours.get(name) == value, f"{name}: {ours.get(name)}, not {value}\n{said}"
    frames = re.compile(r"^  #\d+ (0x\w+.*)$", re.MULTILINE)
    expected = frames.findall(result.log.partition("backtrace:")[2])
    found = frames.findall(said.partition("backtrace:")[2].partition("stack:")[0])
    # An end without an exception is reported from within: the frames of the report come before.
    assert expected and found[-len(expected) + 1:] == expected[1:], said
    fatal = re.findall(r"^\[ *\d+\] fatal +(.*)$", result.log, re.MULTILINE)
    for line in fatal:
        assert line in said, f"{line!r} is missing\n{said}"


def test_pages_that_are_due_at_their_first_touch_are_named(stopped_boot):
    """The crash leaves an area of three pages that nobody has touched, at an address that `nokaslr` fixes."""
    first = 0xFFFFC90000006000
    output, _ = stopped_boot(
        ["continue", f"quarry vtop {first + 8:#x}", f"quarry whatis {first + 0x1008:#x}", f"ask gva2gpa {first:#x}",
         f"quarry whatis {first + 0x3000:#x}", "quarry ptdump", "quarry areas", "kill"],
        memory="64M", arguments="nokaslr crash=interior-vfree")
    assert "Traceback" not in output, output
    assert re.search(r"PT .* on demand: rw-g-, a zeroed page at the first touch; its frame is promised", output), output
    assert "no translation: on demand" in output and "Unmapped" in output
    assert re.search(r'in vmalloc area "crash test" 0xffffc90000006000-0xffffc90000009000, offset 0x1008', output)
    assert re.search(r'in the guard page above vmalloc area "crash test"', output)
    assert re.search(r"^0xffffc90000006000-0xffffc90000008fff +12K rw-g- 4K demand$", output, re.MULTILINE)
    assert re.search(r"^0xffffc90000006000-0xffffc9000000a000 +16384 crash test vmalloc$", output, re.MULTILINE)
