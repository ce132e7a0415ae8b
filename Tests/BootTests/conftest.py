import pathlib
import re
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "Tools"))

from toolchain import BUILD  # noqa: E402


@pytest.fixture
def boot(request):
    """Boots a machine and waits for its end: `boot(memory="64M", arguments="crash=null") -> BootResult`."""
    from booting import run_machine

    name = re.sub(r"[^A-Za-z0-9.]+", "-", request.node.name).strip("-")
    return lambda **description: run_machine(BUILD / "boot-tests" / f"{name}.log", **description)


@pytest.fixture
def stopped_boot(request):
    """A machine stopped before its first instruction and gdb commands for it: (gdb's output, BootResult)."""
    from booting import run_under_gdb

    name = re.sub(r"[^A-Za-z0-9.]+", "-", request.node.name).strip("-")
    return lambda commands, **description: run_under_gdb(
        BUILD / "boot-tests" / f"{name}.log", commands, **description)


@pytest.fixture
def start_monitor():
    """Starts monitors at terminals of their own, which end with the test: `start_monitor(name, *options) -> Session`."""
    from monitor_session import Session

    sessions = []

    def begin(name, *options):
        sessions.append(Session(name, *options))
        return sessions[-1]

    yield begin
    for session in sessions:
        session.close()
