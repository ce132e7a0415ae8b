"""The options with which the tools that boot the kernel are told what machine to boot it on."""

import pathlib

from make_iso import make_iso
from qemu import BOOTS, MACHINES, Machine


def add_machine_options(parser, memory="512M", arguments="", timeout=60):
    """Adds what `machine_of` reads, and `--timeout` in seconds."""
    parser.add_argument("--memory", default=memory)
    parser.add_argument("--cpu", default="max")
    parser.add_argument("--machine", choices=MACHINES, default="pc")
    parser.add_argument("--boot", choices=BOOTS, default="kernel")
    parser.add_argument("--arguments", default=arguments, help="words of the kernel's command line")
    parser.add_argument("--kernel", type=pathlib.Path, default=Machine.kernel, help="for BOOT=kernel")
    parser.add_argument("--timeout", type=float, default=timeout, help="in seconds")


def machine_of(options, arguments=None, extra=()):
    """The machine that was asked for, with another command line where `arguments` are given; its ISO image is made."""
    words = options.arguments if arguments is None else arguments
    machine = Machine(
        memory=options.memory, cpu=options.cpu, machine=options.machine, boot=options.boot, arguments=words,
        kernel=options.kernel, extra=extra)
    if options.boot == "iso":
        make_iso(machine.iso, words)
    return machine
