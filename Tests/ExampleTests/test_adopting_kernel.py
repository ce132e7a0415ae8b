"""That Examples/AdoptingKernel is what it says: a small kernel that takes Quarry by its products alone, and that boots.

`Tools/run_tests.py examples` builds it first.
"""

import re
import subprocess

import pytest

import build_kernel
import run_kernel
from booting import run_machine
from qemu import SUCCESS, Machine, status_of
from toolchain import BUILD, ROOT, TRIPLE, Failure, tool

EXAMPLE = ROOT / "Examples" / "AdoptingKernel"
SOURCES = sorted((EXAMPLE / "Sources").rglob("*"))
KERNEL = BUILD / "examples" / "AdoptingKernel-multiboot.elf"
# What the kernel prints of each number that it has checked.
LINE = re.compile(r"^(\S.*?) +(\d+)$", re.MULTILINE)
ROUND = {
    "frames in a block of order 3": 8, "bytes in an object of 100": 112,
    "sum of the squares below 100": sum(n * n for n in range(100)), "sessions that have not ended": 0,
    "pages that 256 stores brought": 256, "pages that are there at once": 16,
    "pages of a stack of which 6000 bytes were used": 2,
}
BRING_UP_FAILED = 0x21


def boot(name, **description):
    return run_machine(BUILD / "boot-tests" / f"adopting-{name}.log", kernel=KERNEL, **description)


def test_is_small_and_takes_products_alone():
    files = [path for path in SOURCES if path.is_file()]
    assert files and all(path.suffix == ".swift" and not path.is_symlink() for path in files)
    text = "".join(path.read_text() for path in files)
    assert len(text.splitlines()) < 150
    assert set(re.findall(r"^(?:@\w+ )?import (?:\w+ )?(\w+)", text, re.MULTILINE)) == {"Quarry", "QuarryX86"}
    manifest = (EXAMPLE / "Package.swift").read_text()
    assert set(re.findall(r'\.product\(name: "(\w+)", package: "quarry"\)', manifest)) == {"Quarry", "QuarryX86"}
    assert len(re.findall(r"\.target\(", manifest)) == 1 and "Sources" not in manifest and "unsafeFlags" not in manifest


@pytest.mark.parametrize(
    ("cpu", "memory", "machine"), [("max", "512M", "pc"), ("qemu64", "64M", "q35"), ("qemu64,-nx", "5G", "pc")])
def test_boots(cpu, memory, machine):
    faults = BUILD / "boot-tests" / f"adopting-{cpu}-exceptions.log"
    faults.unlink(missing_ok=True)
    result = boot(cpu, cpu=cpu, memory=memory, machine=machine, extra=("-d", "int", "-D", str(faults)))
    result.expect_end(SUCCESS)
    assert result.last_line == "adopting kernel: done"
    numbers = [(text, int(number)) for text, number in LINE.findall(result.log)]
    counted = [number for text, number in numbers if text == "page faults"]
    # A megabyte begins anywhere in a group of 16 pages: it lies in 16 of them, or in 17.
    assert len(counted) == 2 and all(number in (16, 17) for number in counted)
    (last, free), rest = numbers[-1], [line for line in numbers[:-1] if line[0] != "page faults"]
    assert rest == list(ROUND.items()) * 2
    assert last == "free frames after all of it again" and 0 < free << 12 < (6 << 30)

    # QEMU has counted the exceptions, and seen where they were: in the areas of this kernel's own layout.
    seen = [int(address, 16) for address in re.findall(r"v=0e .*CR2=([0-9a-f]{16})", faults.read_text())]
    assert all(0xFFFF_B000_0000_0000 <= address < 0xFFFF_B100_0000_0000 for address in seen)
    # One more is the stack's second page, which the second round finds there: it gets the first one's stack.
    assert len(seen) == sum(counted) + 1
    assert not re.findall(r"v=(?!0e)", faults.read_text())


def test_too_little_memory_is_said():
    result = boot("little", memory="2M")
    result.expect_end(BRING_UP_FAILED)
    assert result.last_line == "adopting kernel: too little memory"
    # The command line takes memory away, too.
    result = boot("mem", memory="64M", arguments="mem=2M")
    result.expect_end(BRING_UP_FAILED)
    assert result.last_line == "adopting kernel: too little memory"


def test_a_cpu_without_long_mode_is_refused():
    result = boot("cpu", cpu="qemu64,-lm")
    assert result.status not in (0, status_of(SUCCESS))
    result.expect("cannot boot: the CPU lacks long mode")


def test_a_hang_shows_the_end_of_the_log(tmp_path, capsys, monkeypatch):
    """A machine that never gets to its kernel: QEMU waits for a debugger."""
    (tmp_path / "log").write_text("")
    argv = Machine.argv
    monkeypatch.setattr(Machine, "argv", lambda self: [*argv(self), "-S"])
    status = run_kernel.main(["--kernel", str(KERNEL), "--log", str(tmp_path / "log"), "--timeout", "2"])
    assert status == run_kernel.TIMED_OUT
    assert "no end within 2 s; the log's last lines:" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "message"), [
    (["--product", "AdoptingKernel"], "go together"),
    (["--package", str(EXAMPLE)], "go together"),
    (["--package", "/nowhere", "--product", "Kernel"], "/nowhere holds no Package.swift"),
    (["--package", str(EXAMPLE), "--product", "AdoptingKernel", "--linker-script", "none.ld"], "no linker script none.ld"),
])
def test_wrong_words_are_named(arguments, message, tmp_path):
    with pytest.raises(Failure, match=message):
        build_kernel.main([*arguments, "--output", str(tmp_path)])


def test_handlers_that_are_missing_are_named(tmp_path):
    """The table in docs/adopting.md: what a kernel must have, and what it may leave out."""
    objects = sorted((BUILD / "examples" / "boot").glob("*.o"))
    assert objects
    result = subprocess.run(
        # All of it, what nothing refers to included.
        [tool("ld.lld"), "-T", ROOT / "linker.ld", "-z", "max-page-size=4096", "-o", tmp_path / "kernel.elf", *objects],
        capture_output=True, text=True, timeout=60, check=False)
    missing = set(re.findall(r"undefined symbol: (\w+)", result.stderr))
    page = (ROOT / "docs" / "adopting.md").read_text()
    table = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|.*\| (yes|no)\b", page, re.MULTILINE)
    names = {name: must == "yes" for cell, must in table for name in re.findall(r"`(\w+)`", cell)}
    assert {name for name, must in names.items() if must} == missing - {"swift_runtime_fill_random"}
    assert len(names) == 7 and "kernel_main" in missing


def test_a_platform_that_lacks_a_requirement_is_told_which(tmp_path):
    built = EXAMPLE / ".build-kernel" / TRIPLE / "release"
    source = tmp_path / "Machine.swift"
    source.write_text("import Quarry\nimport QuarryX86\nenum Machine: X86Uniprocessor {}\n")
    result = subprocess.run(
        [tool("swiftc"), "-typecheck", "-target", TRIPLE, "-enable-experimental-feature", "Embedded", "-wmo",
         "-I", built / "Modules", "-Xcc", f"-fmodule-map-file={built / 'X86.build' / 'module.modulemap'}", source],
        capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode != 0
    assert "type 'Machine' does not conform to protocol 'Platform'" in result.stderr
    assert "protocol requires function 'report' with type '(MemoryViolation) -> ()'" in result.stderr
    # Nothing else is required.
    assert result.stderr.count("note: protocol requires") == 1


