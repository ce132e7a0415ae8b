"""Lets procps read a dump as if it were this machine's /proc: in a mount namespace, with the dump's files over those there."""

import functools
import os
import subprocess

import pytest

from toolchain import tool

# What procps reads, by its fixed path in /proc.
FILES = ("meminfo", "slabinfo", "stat", "vmstat")
MOUNT = 'directory=$1; shift; for file in {}; do mount --bind "$directory/$file" "/proc/$file" || exit 96; done; exec "$@"'


@functools.cache
def namespace():
    """How a process of ours gets mounts of its own: as any user in a namespace of users, or as root without one."""
    ways = [["unshare", "--map-root-user", "--mount"]]
    if os.getuid() == 0:
        ways.append(["unshare", "--mount", "--propagation", "private"])
    reasons = []
    for way in ways:
        tried = subprocess.run(
            way + ["mount", "--bind", "/proc/version", "/proc/meminfo"], capture_output=True, text=True, timeout=60)
        if tried.returncode == 0:
            return way
        reasons.append(f"{' '.join(way)}: {tried.stderr.strip()}")
    pytest.fail("procps cannot be given a dump to read: no mount namespace can be had\n" + "\n".join(reasons))


def read(command, dump):
    """What a tool of procps prints where the files of the directory `dump` stand in /proc. A failure shows what it said."""
    script = MOUNT.format(" ".join(FILES))
    done = subprocess.run(
        namespace() + ["sh", "-c", script, "sh", str(dump), tool(command[0]), *command[1:]], capture_output=True, text=True,
        timeout=60, env={"TERM": "dumb", "LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    assert done.returncode == 0, f"{command}: status {done.returncode}\n{done.stdout}{done.stderr}"
    assert done.stderr == "", f"{command}: {done.stderr}"
    return done.stdout
