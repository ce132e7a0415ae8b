"""That `make fuzz` reports what it finds, and that the inputs that are kept are few and small."""

import pytest

import fuzz
from toolchain import Failure


@pytest.fixture
def findings(tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz, "ROOT", tmp_path)
    monkeypatch.setattr(fuzz, "FINDINGS", tmp_path / "findings")
    return tmp_path / "findings"


def program(directory, *lines):
    path = directory / "program"
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path


def test_a_program_that_finds_nothing(findings, tmp_path, capfd):
    assert fuzz.fuzz("frame-operations", program(tmp_path, "exit 0"), [])
    assert "to repeat" not in capfd.readouterr().out


def test_a_finding_is_reported_with_the_command_that_repeats_it(findings, tmp_path, capfd):
    crash = program(tmp_path, 'echo input > "${1#-artifact_prefix=}crash-1"', "exit 77")
    assert not fuzz.fuzz("frame-operations", crash, [])
    assert "Tools/fuzz.py --input findings/frame-operations-crash-1 frame-operations" in capfd.readouterr().out
    # One that is there already is not reported again; the status still tells.
    assert not fuzz.fuzz("frame-operations", program(tmp_path, "exit 1"), [])
    assert "to repeat" not in capfd.readouterr().out


@pytest.mark.parametrize("arguments, said", [
    (["no-such-target"], "unknown target no-such-target"),
    (["--input", "file"], "--input needs the target"),
    (["--input", "no-such-file", "firmware-map"], "there is no input no-such-file"),
    (["--seconds", "0"], "--seconds"),
])
def test_wrong_arguments(arguments, said):
    with pytest.raises(Failure, match=said):
        fuzz.main(arguments)


def test_a_target_fails_when_one_of_its_programs_does(monkeypatch, findings, tmp_path):
    monkeypatch.setattr(fuzz, "build", lambda targets: {"firmware-map": program(tmp_path, "exit 1")})
    assert fuzz.main(["--replay", "firmware-map"]) == 1
    monkeypatch.setattr(fuzz, "build", lambda targets: {"firmware-map": program(tmp_path, "exit 0")})
    assert fuzz.main(["--replay", "firmware-map"]) == 0


def test_kept_inputs():
    assert sorted(path.name for path in fuzz.CORPUS.iterdir()) == sorted(fuzz.TARGETS)
    inputs = [path for target in fuzz.TARGETS for path in (fuzz.CORPUS / target).iterdir()]
    assert sum(path.stat().st_size for path in inputs) < 100_000
    for entry, _ in fuzz.TARGETS.values():
        assert (fuzz.ENTRIES / f"{entry}.swift").is_file()
