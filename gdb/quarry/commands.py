"""The commands: `quarry NAME [ARGUMENT]`. Each prints an answer, or one line that says what was expected."""

import gdb

from quarry import areas, buddy, layout, log, memory, panic, slabs, stacks, tables, whatis
from quarry.errors import Trouble


def _address(function):
    return lambda text: function(memory.parse_number(text))


def _nothing(function):
    def run(text):
        if text:
            raise Trouble(f"expected no argument, not {text!r}")
        return function()

    return run


# name: (what is expected after it, what it does, the lines of its answer)
COMMANDS = {
    "vtop": ("ADDRESS", "each level of the page tables that an address leads through, decoded", _address(tables.vtop)),
    "ptdump": ("", "all that is mapped, runs of equal pages merged, as the report page_tables", _nothing(tables.ptdump)),
    "buddy": ("", "the free blocks of each zone, as the report buddyinfo", _nothing(buddy.report)),
    "slabs": ("[NAME]", "the slab caches, as the report slabinfo; of one, each slab", slabs.report),
    "areas": ("", "the areas of the vmalloc space, as the report vmallocinfo", _nothing(areas.report)),
    "stacks": ("", "the kernel stacks and how deep they are, as the report stacks", _nothing(stacks.report)),
    "whatis": ("ADDRESS", "what an address belongs to: frame, slab object, area, stack, function", _address(whatis.describe)),
    "log": ("[COUNT]", "the kernel's log, or its last lines, whatever loglevel= says", log.report),
    "panic": ("", "all of a crash: reason, registers, explanation, backtrace, stack, log", _nothing(panic.report)),
}


def run(name, text):
    """Prints the answer of a command."""
    # Numbers of the layout are the same as long as the machine is; another boot has others.
    layout.forget()
    try:
        for line in COMMANDS[name][2](text.strip()):
            print(line)
    except Trouble as trouble:
        print(f"quarry {name}: {trouble}")


class Command(gdb.Command):
    def __init__(self, name):
        argument, summary, _ = COMMANDS[name]
        self.name = name
        self.__doc__ = f"quarry {name} {argument}".rstrip() + f"\n\nShows {summary}."
        super().__init__(f"quarry {name}", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, text, _):
        run(self.name, text)


class Prefix(gdb.Command):
    """Quarry's memory: `quarry help` lists what can be asked."""

    def __init__(self):
        super().__init__("quarry", gdb.COMMAND_DATA, gdb.COMPLETE_NONE, prefix=True)

    def invoke(self, text, _):
        if text:
            print(f"quarry: there is no command {text.split()[0]!r}; `quarry help` lists them")
        else:
            show_help()


class Help(gdb.Command):
    """Lists the commands."""

    def __init__(self):
        super().__init__("quarry help", gdb.COMMAND_DATA, gdb.COMPLETE_NONE)

    def invoke(self, text, _):
        name = text.strip()
        if not name:
            show_help()
        elif name in COMMANDS:
            argument, summary, _ = COMMANDS[name]
            print(f"quarry {name} {argument}".rstrip() + f"\n  shows {summary}")
        else:
            print(f"quarry help: there is no command {name!r}; `quarry help` lists them")


def show_help():
    for name, (argument, summary, _) in COMMANDS.items():
        print(f"quarry {name + ' ' + argument:16s} {summary}")


def register():
    Prefix()
    Help()
    for name in COMMANDS:
        Command(name)
