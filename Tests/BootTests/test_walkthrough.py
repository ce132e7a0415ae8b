"""What docs/from-power-on-to-kmalloc.md quotes is what the kernel and gdb say. Numbers may differ, and nothing else."""

import re

from toolchain import ROOT

PAGE = ROOT / "docs" / "from-power-on-to-kmalloc.md"
MEMORY_CORRUPTION = 0x1C


def blocks(language):
    """The lines of each fenced block in that language."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return [block.splitlines() for block in found]


def masked(line):
    """The line with every number, decimal or hexadecimal, as `#`, and every gap as one space."""
    line = re.sub(r"0x[0-9a-f]+|\b[0-9a-f]*\d[0-9a-f]*\b", "#", line.replace("\r", ""))
    return re.sub(r"\s+", " ", line).strip()


def arguments():
    return re.search(r'ARGS="(.*?)"', PAGE.read_text())[1]


def is_in_order(quoted, said):
    """Whether the quoted lines come in what was said, one after the other, with others between them or not."""
    lines = iter(said)
    return all(line in lines for line in quoted)


def test_the_log_that_is_quoted_is_the_log(boot):
    result = boot(memory="64M", arguments=arguments())
    result.expect_end(MEMORY_CORRUPTION)
    said = [masked(line) for line in result.log.splitlines()]
    quoted = blocks("log")
    assert len(quoted) >= 8
    for block in quoted:
        assert is_in_order([masked(line) for line in block], said), f"the boot does not say:\n" + "\n".join(block)
    # The object's address stands in the prose, too.
    address = re.search(r"The object will be at `0x([0-9a-f]{16})`", PAGE.read_text())[1]
    frame = (int(address, 16) - result.bases.direct_map) >> 12
    assert result.number(r"Object 0x([0-9a-f]{16}) @offset", 16) == int(address, 16), "the object has moved"
    assert f"`{frame:#x}`, {frame}" in PAGE.read_text()
    assert result.bases.direct_map == 0xFFFF_8880_0000_0000


def test_the_commands_for_gdb_answer_what_is_said(stopped_boot):
    [block] = blocks("gdb")
    commands = [line.removeprefix("(gdb) ") for line in block if line.startswith("(gdb) ")]
    answers = [masked(line) for line in block if not line.startswith("(gdb) ")]
    assert len(commands) > 4 and len(answers) > 3
    output, _ = stopped_boot(
        ["hbreak *kernel_main", "continue", *commands, "kill"], memory="64M", arguments=arguments())
    said = [masked(line) for line in output.splitlines()]
    assert sorted(set(answers) - set(said)) == [], output


def test_a_line_that_nobody_says_is_found():
    said = [masked("[  123] info    zone DMA32: frames 4096-16268, 12 free"), masked("kmalloc-64   0 0 : tunables")]
    assert is_in_order([masked("[ 4] info  zone DMA32: frames 1-2, 0 free")], said)
    assert is_in_order([masked("[ 4] info  zone DMA32: frames 1-2, 0 free"), masked("kmalloc-64 1 1 : tunables")], said)
    assert not is_in_order([masked("[ 4] info  zone DMA32: frames 1-2, 0 used")], said)
    assert not is_in_order([said[1], said[0]], said)
