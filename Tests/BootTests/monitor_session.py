"""A terminal, or a pipe, with the kernel's monitor at its other end."""

import re
import subprocess
import sys

import pexpect

from toolchain import BUILD, ROOT

SHELL = [sys.executable, str(ROOT / "Tools" / "shell.py")]
PROMPT = "quarry> "
# One that is drawn again for the line behind it comes after a carriage return alone.
NEW_PROMPT = "\r\n" + PROMPT
TIMEOUT = 90
EDITING = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Session:
    """A terminal with the monitor at its other end."""

    def __init__(self, name, *options):
        path = BUILD / "boot-tests" / f"monitor-{name}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.log = open(path, "w", encoding="utf-8")
        self.terminal = pexpect.spawn(
            SHELL[0], [*SHELL[1:], *options], timeout=TIMEOUT, encoding="utf-8", codec_errors="replace", echo=False,
            dimensions=(50, 80))
        self.terminal.logfile_read = self.log
        self.terminal.expect_exact(NEW_PROMPT)

    def type(self, keys):
        self.terminal.send(keys)

    def answer(self):
        """The lines up to the next prompt, without the one that was being typed."""
        self.terminal.expect_exact(NEW_PROMPT)
        lines = EDITING.sub("", self.terminal.before).split("\r\n")
        return [line for line in lines[1:] if line]

    def ask(self, line):
        self.type(line + "\r")
        return self.answer()

    def number(self, report, pattern):
        text = "\n".join(self.ask(report))
        match = re.search(pattern, text)
        assert match, text
        return int(match[1])

    def end(self):
        """The status with which the shell ends, and all that came last."""
        self.terminal.expect(pexpect.EOF)
        text = self.terminal.before
        self.terminal.close()
        return self.terminal.exitstatus, text

    def close(self):
        self.terminal.close(force=True)
        self.log.close()


def pipe(text, *options, timeout=TIMEOUT):
    return subprocess.run(
        [*SHELL, *options], input=text, capture_output=True, text=True, timeout=timeout, errors="replace")
