#!/usr/bin/env python3
"""Asks QEMU's monitor: `qemu_monitor.py SOCKET COMMAND` prints what the monitor answers.

Goes through QEMU's machine protocol, whose answers are complete however long they are: gdb's own `monitor` command
loses its way in the pages of `info tlb`.
"""

import json
import socket

from toolchain import Failure, entry_point


def ask(path, command, timeout=30):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        connection.connect(str(path))
        stream = connection.makefile("rw")
        stream.readline()  # the greeting
        answer = None
        for request in (
                {"execute": "qmp_capabilities"},
                {"execute": "human-monitor-command", "arguments": {"command-line": command}}):
            stream.write(json.dumps(request) + "\n")
            stream.flush()
            while True:
                message = json.loads(stream.readline())
                if "error" in message:
                    raise Failure(f"QEMU's monitor refuses {command!r}: {message['error']['desc']}")
                if "return" in message:
                    answer = message["return"]
                    break
        return answer


def main(arguments):
    path, *words = arguments
    print(ask(path, " ".join(words)))
    return 0


if __name__ == "__main__":
    entry_point(main)
