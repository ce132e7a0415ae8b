"""What gdb/step-mapping.gdb does between its explanations: it follows one address through the tables while they come to be."""

import gdb

from quarry import entries, memory, symbols
from quarry.errors import Trouble
from quarry.tables import Walker


def stop_at(name):
    """Runs to the first instruction of a function, by the linker's name or its readable one; of several with that name to the
    one that is reached first.
    """
    places = [memory.address_of(name)] if name.isidentifier() else symbols.addresses(name)
    if not places:
        raise Trouble(f"this kernel has no function {name}: the guided session is for the one that `make debug` builds")
    stops = [gdb.Breakpoint(f"*{place:#x}", type=gdb.BP_HARDWARE_BREAKPOINT, internal=True) for place in places]
    for stop in stops:
        stop.silent = True
    _continue()
    for stop in stops:
        stop.delete()
    print(f"-- stopped in {symbols.describe(memory.register('pc'))}")


def pass_prologue():
    """Runs to the first line of the function that has just been entered."""
    place = gdb.selected_frame().find_sal()
    if place.symtab is None:
        raise Trouble("gdb knows no source of this function")
    stop = gdb.Breakpoint(f"{place.symtab.filename}:{place.line + 1}", type=gdb.BP_HARDWARE_BREAKPOINT, internal=True)
    stop.silent = True
    _continue()
    stop.delete()


def target(expression):
    """Names the address that is followed."""
    gdb.set_convenience_variable("target", memory.parse_number(expression))


def _target():
    return int(gdb.parse_and_eval("$target")) & memory.MASK


def show_access():
    """What the CPU would find at the address now."""
    try:
        word = memory.read64(_target())
        print(f"-- the 8 bytes at {_target():#x} are {word:#x}: the translation works")
    except Trouble:
        print(f"-- the 8 bytes at {_target():#x} cannot be read: there is no translation")


def show_path():
    """The entries on the way to the address, as far as they lead."""
    for level, table, index, entry in Walker().path(_target()):
        print(f"     {entries.LEVEL_NAMES[level]:4s} {table:#x}[{index}] = {entry:#018x}  {entries.describe(entry, level)}")


def next_level():
    """Runs until the entry at which the walk ends is written, and shows it before and after."""
    level, table, index, before = Walker().path(_target())[-1]
    name = entries.LEVEL_NAMES[level]
    print(f"-- the walk ends at {name} {table:#x}[{index}]: {entries.describe(before, level)}")
    place = memory.direct_map_base() + table + 8 * index
    watch = gdb.Breakpoint(
        f"*(unsigned long *) {place:#x}", type=gdb.BP_WATCHPOINT, wp_class=gdb.WP_WRITE, internal=True)
    watch.silent = True
    _continue()
    watch.delete()
    after = memory.read64(place)
    print(f"-- written by {symbols.describe(memory.register('pc'))}")
    print(f"     before {before:#018x}  {entries.describe(before, level)}")
    print(f"     after  {after:#018x}  {entries.describe(after, level)}")


def _continue():
    # What gdb says of where it stopped is said in other words.
    gdb.execute("continue", to_string=True)
