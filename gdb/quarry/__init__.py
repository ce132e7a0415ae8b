"""Quarry's memory in a debugger: one concept a file; commands.py lists what `quarry` does."""


def load():
    """Registers everything with gdb."""
    from quarry import commands, frames, panic, printers

    commands.register()
    printers.register()
    frames.register()
    panic.register()
