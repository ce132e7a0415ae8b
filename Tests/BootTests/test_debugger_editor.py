"""What an editor does with .vscode: its tasks and its launch configuration, carried out without the editor."""

import json
import re
import subprocess

import pytest

from debug_kernel import COMMANDS, PORT, argument_parser
from toolchain import BUILD, ROOT, tool

TASKS = json.loads((ROOT / ".vscode" / "tasks.json").read_text())
LAUNCH = json.loads((ROOT / ".vscode" / "launch.json").read_text())
FREE_PORT = 14321


def substituted(word):
    return word.replace("${workspaceFolder}", str(ROOT)).replace("${input:commandLine}", "nokaslr")


def task(label):
    found = [task for task in TASKS["tasks"] if task["label"] == label]
    assert len(found) == 1, label
    return found[0]


def configuration():
    (only,) = LAUNCH["configurations"]
    return only


def test_the_task_is_what_the_tool_offers():
    start = task(configuration()["preLaunchTask"])
    tool_path, *arguments = [substituted(word) for word in start["args"]]
    assert tool_path == str(ROOT / "Tools" / "debug_kernel.py")
    options = argument_parser().parse_args(arguments)
    assert options.wait and configuration()["miDebuggerServerAddress"] == f"127.0.0.1:{options.port}" == f"127.0.0.1:{PORT}"
    assert options.arguments == "nokaslr"
    build = task(start["dependsOn"])
    assert [substituted(word) for word in build["args"]] == [
        str(ROOT / "Tools" / "build_kernel.py"), "--configuration", "debug", "--output", str(BUILD / "debug")]
    assert {entry["id"] for entry in TASKS["inputs"]} == {"commandLine"}


def test_the_configuration_names_files_that_are_there():
    launch = configuration()
    assert substituted(launch["program"]) == str(BUILD / "debug" / "quarry.elf")
    setup = [substituted(command["text"]) for command in launch["setupCommands"]]
    assert f"source {COMMANDS}" in setup and COMMANDS.exists()


def test_gdb_connects_as_the_editor_would():
    start = task(configuration()["preLaunchTask"])
    arguments = [substituted(word) for word in start["args"]]
    arguments[arguments.index("--port") + 1] = str(FREE_PORT)
    arguments[arguments.index("--memory") + 1] = "64M"
    machine = subprocess.Popen([start["command"], *arguments], stdout=subprocess.PIPE, text=True)
    try:
        for line in machine.stdout:
            if re.search(start["problemMatcher"]["background"]["endsPattern"], line):
                break
        else:
            pytest.fail("the task ended before the machine waited")
        launch = configuration()
        steps = [substituted(command["text"]) for command in launch["setupCommands"]]
        steps += [f"target remote 127.0.0.1:{FREE_PORT}"]
        steps += [substituted(command["text"]) for command in launch["postRemoteConnectCommands"]]
        steps += ["continue", "info symbol $pc", "quarry vtop kernel_main", "kill"]
        words = [tool("gdb"), "-q", "-nx", "-batch"]
        for step in steps:
            words += ["-ex", step]
        gdb = subprocess.run(
            [*words, substituted(launch["program"])], capture_output=True, text=True, timeout=60,
            stdin=subprocess.DEVNULL)
        assert "kernel_main" in gdb.stdout and "in a page of 2 MiB" in gdb.stdout, gdb.stdout + gdb.stderr
        # The debugger has ended the machine, and with it the task.
        assert machine.wait(timeout=10) == 0
    finally:
        machine.kill()
        machine.wait(timeout=10)
        machine.stdout.close()
