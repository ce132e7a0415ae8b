"""Loads the commands, pretty-printers and names of gdb/quarry into gdb: `source gdb/quarry.py`, or `gdb -x`."""

import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import quarry  # noqa: E402

quarry.load()
