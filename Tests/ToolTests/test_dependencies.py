"""The dependency step, on a machine whose package tools are stand-ins that note what they are asked."""

import os
import pathlib
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "Tools" / "install_dependencies.sh"


@pytest.fixture
def machine(tmp_path):
    """Runs the step where `missing` packages are not installed and Swift is of `swift`'s version, nil for none."""

    def run(missing=(), swift="6.3.1", user=0):
        def stand_in(name, script):
            (tmp_path / name).write_text(f"#!/bin/bash\n{script}\n")
            (tmp_path / name).chmod(0o755)

        lacking = " ".join(missing)
        stand_in("dpkg-query", f'[[ " {lacking} " == *" ${{@: -1}} "* ]] && exit 1; echo -n "install ok installed"')
        stand_in("apt-get", f'echo "apt-get $*" >> {tmp_path}/asked')
        stand_in("sudo", f'echo -n "sudo " >> {tmp_path}/asked; "$@"')
        stand_in("id", f"echo {user}")
        if swift:
            stand_in("swift", f'echo "Swift version {swift} (swift-{swift}-RELEASE)"')
        for name in ("bash", "env", "sed", "sort", "head"):
            if not (tmp_path / name).exists():
                (tmp_path / name).symlink_to(f"/usr/bin/{name}")
        done = subprocess.run(
            [SCRIPT, "test"], env={**os.environ, "PATH": str(tmp_path)}, capture_output=True, text=True, timeout=20)
        asked = (tmp_path / "asked").read_text() if (tmp_path / "asked").exists() else ""
        return done, asked

    return run


def test_nothing_missing_is_silent(machine):
    done, asked = machine()
    assert (done.returncode, done.stdout, done.stderr, asked) == (0, "", "", "")


def test_what_is_missing_is_named_and_installed(machine):
    done, asked = machine(missing=["lld", "python3-pexpect"])
    assert done.returncode == 0
    assert "lld python3-pexpect" in done.stdout
    assert [line.split()[1] for line in asked.splitlines()] == ["update", "install"]
    assert asked.splitlines()[1].endswith(" lld python3-pexpect")
    assert "sudo" not in asked


def test_an_ordinary_user_installs_through_sudo(machine):
    _, asked = machine(missing=["gdb"], user=1000)
    assert asked.count("sudo ") == 2


@pytest.mark.parametrize("version", ["6.2.4", "5.10", None])
def test_a_swift_that_is_old_or_missing_gets_one_line(machine, version):
    done, _ = machine(swift=version)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "Swift 6.3" in done.stderr


@pytest.mark.parametrize("version", ["6.3", "6.3.1", "6.10", "7.0"])
def test_a_newer_swift_will_do(machine, version):
    assert machine(swift=version)[0].returncode == 0
