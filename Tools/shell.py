#!/usr/bin/env python3
"""Boots the kernel to its monitor's prompt, with the serial port as standard input and output.

At a terminal every key goes to the kernel, Ctrl-C too, but Ctrl-] ends this tool and the machine; the terminal is as it was
before at any end. Standard input that is no terminal is typed as fast as the kernel reads it, and its end switches the machine off:

    printf 'meminfo\\npoweroff\\n' | make -s shell

Ends with 0 when the machine was switched off or nobody reads standard output any more, with the kernel's exit value when it
ended otherwise, and with 124 when the time for input that is no terminal is up. However this tool ends, the machine does too.
"""

import argparse
import contextlib
import os
import pathlib
import select
import signal
import subprocess
import sys
import termios
import time
import tty

from machine_options import add_machine_options, machine_of
from qemu import SUCCESS, describe, status_of
from run_kernel import TIMED_OUT, tail
from toolchain import BUILD, entry_point

PROMPT = b"quarry> "
END_OF_INPUT, INTERRUPT, ESCAPE = b"\x04", b"\x03", b"\x1d"
CHUNK = 4096


@contextlib.contextmanager
def raw_terminal(descriptor):
    """The terminal sends every key at once, and as it is; afterwards it is as before."""
    if not os.isatty(descriptor):
        yield
        return
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor)
        # What the kernel and this tool write still ends its lines at the left.
        now = termios.tcgetattr(descriptor)
        now[1] |= termios.OPOST | termios.ONLCR
        termios.tcsetattr(descriptor, termios.TCSADRAIN, now)
        yield
    finally:
        # Where the terminal is gone there is nothing to put back.
        with contextlib.suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def stop(number, _):
    """A signal ends this tool by way of what ends the machine."""
    sys.exit(128 + number)


class Session:
    """What goes between standard input, the machine and standard output.

    A person's keys go to the kernel as they come. Other input goes line by line, each when there is a prompt for it: what a
    command takes for a key (`stress` ends with one) is not the next command's. Nothing goes before the first prompt: what a
    serial port receives before it is set up is lost.
    """

    def __init__(self, process, log, is_person):
        self.process, self.log, self.is_person = process, log, is_person
        self.source, self.sink = sys.stdin.fileno(), process.stdin.fileno()
        self.output = process.stdout.fileno()
        self.waiting = b""  # what has been read and is not to go yet
        self.going = b""  # what the machine has not taken yet
        self.is_ended = False
        self.held_back = b""  # a carriage return whose line feed may come next
        self.seen, self.has_begun, self.has_prompt = b"", False, False
        os.set_blocking(self.sink, False)

    def read(self):
        try:
            received = os.read(self.source, CHUNK)
        except OSError:  # the terminal is gone
            received = b""
        if not received:
            self.is_ended = True
            # A line that was not finished is one all the same.
            received = (b"\n" if self.waiting and not self.waiting.endswith(b"\n") else b"") + END_OF_INPUT
        if self.is_person and (ESCAPE in received or INTERRUPT in received and not self.has_begun):
            raise KeyboardInterrupt
        self.waiting += received

    def take(self):
        """Lets go what may go now."""
        if self.is_person and self.has_begun:
            self.going, self.waiting = self.going + self.waiting, b""
        elif self.has_prompt and not self.going:
            end = self.waiting.find(b"\n") + 1
            if end == 0 and not self.is_ended:
                return
            end = end or len(self.waiting)
            self.going, self.waiting = self.waiting[:end], self.waiting[end:]
            self.has_prompt = not self.going

    def type(self):
        try:
            self.going = self.going[os.write(self.sink, self.going):]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self.is_ended, self.going, self.waiting = True, b"", b""

    def show(self, received):
        # A prompt that is drawn again for a line begins with a carriage return alone.
        self.seen += received
        if b"\n" + PROMPT in self.seen:
            self.has_begun = self.has_prompt = True
            self.seen = b""
        self.seen = self.seen[-len(PROMPT):]
        self.log.write(received)
        self.log.flush()
        # A file's lines end with a line feed alone; a terminal is told the rest by its driver.
        text = (self.held_back + received).replace(b"\r\n", b"\n")
        self.held_back = b"\r" if text.endswith(b"\r") else b""
        sys.stdout.buffer.write(text.removesuffix(b"\r"))
        sys.stdout.buffer.flush()

    @property
    def wants_more(self):
        return not self.is_ended and (self.is_person or b"\n" not in self.waiting)

    def run(self, timeout):
        """QEMU's status at the end; None where the time ran out."""
        deadline = None if self.is_person else time.monotonic() + timeout
        while True:
            self.take()
            remaining = None if deadline is None else deadline - time.monotonic()
            if remaining is not None and remaining <= 0:
                return None
            ready, writable, _ = select.select(
                [self.output] + [self.source] * self.wants_more, [self.sink] * bool(self.going), [], remaining)
            if self.output in ready:
                received = os.read(self.output, 65536)
                if not received:
                    return self.process.wait(timeout=10)
                self.show(received)
            if self.source in ready:
                self.read()
            if writable:
                self.type()


def run(command, log_path, timeout):
    for number in (signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, stop)
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="ascii")
    is_person = os.isatty(sys.stdin.fileno())
    with raw_terminal(sys.stdin.fileno()), open(log_path, "wb") as log, subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True) as process:
        try:
            return Session(process, log, is_person).run(timeout)
        except BrokenPipeError:
            # Who reads has had enough (`| head`). What Python has not written yet goes nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        finally:
            if process.poll() is None:
                process.kill()


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_machine_options(parser)
    options = parser.parse_args(arguments)

    # Words that are given come last and count.
    machine = machine_of(options, f"monitor loglevel=4 {options.arguments}".strip())
    log_path = BUILD / "shell.log"
    status = run(machine.argv(), log_path, options.timeout)
    if status is None:
        print(f"\nshell: no end within {options.timeout:g} s; the log's last lines:\n{tail(log_path)}", file=sys.stderr)
        return TIMED_OUT
    # Status 0 is QEMU's when the machine was reset or switched off otherwise.
    if status in (0, status_of(SUCCESS)):
        return 0
    print(f"\nshell: the kernel ended with: {describe(status)}", file=sys.stderr)
    return status // 2 if status > 2 else 1


if __name__ == "__main__":
    entry_point(main)
