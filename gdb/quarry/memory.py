"""Reading the machine: virtual memory as the CPU sees it, physical memory as it is, control registers, symbols.

Physical reads use a mode of QEMU's gdb server (`Qqemu.PhyMemMode`). Where the server is another, they go through the direct
map, or through the boot tables' view of low memory.
"""

import contextlib
import struct

import gdb

from quarry.errors import Trouble

IMAGE_BASE = 0xFFFF_FFFF_8000_0000
# Where the boot tables show the first 4 GiB, and where the direct map lies with `nokaslr`.
BOOT_DIRECT_MAP = 0xFFFF_8880_0000_0000
MASK = (1 << 64) - 1


def _inferior():
    inferior = gdb.selected_inferior()
    if not inferior.pid:
        raise Trouble("no machine is connected: `make debug` starts one, or `target remote` reaches one")
    return inferior


def read(address, count):
    """`count` bytes at a virtual address, translated by the tables that the CPU uses now."""
    try:
        return bytes(_inferior().read_memory(address & MASK, count))
    except (gdb.MemoryError, gdb.error, OverflowError):
        raise Trouble(f"the memory at {address & MASK:#x} cannot be read: nothing is mapped there") from None


def read8(address):
    return read(address, 1)[0]


def read16(address):
    return struct.unpack("<H", read(address, 2))[0]


def read32(address):
    return struct.unpack("<I", read(address, 4))[0]


def read64(address):
    return struct.unpack("<Q", read(address, 8))[0]


def read_words(address, count):
    return struct.unpack(f"<{count}Q", read(address, 8 * count))


def read_text(address, limit=256):
    """The bytes up to a NUL."""
    text = b""
    while len(text) < limit:
        # Not beyond the page: the next one need not be there.
        piece = read(address + len(text), min(64, 4096 - (address + len(text)) % 4096))
        text += piece
        if b"\0" in piece:
            break
    return text.split(b"\0")[0][:limit].decode("ascii", "replace")


def static_string(address):
    """A Swift StaticString in memory: a pointer, a count, and flags of which bit 0 says that it is a character."""
    pointer, count = read_words(address, 2)
    if read8(address + 16) & 1:
        return chr(pointer & 0x1F_FFFF)
    return read(pointer, min(count, 256)).decode("ascii", "replace") if count else ""


# Physical memory.

def _set_physical_mode(on):
    """True where the server knows the mode and has changed it."""
    try:
        answer = _inferior().connection.send_packet(f"Qqemu.PhyMemMode:{int(on)}")
    except (AttributeError, gdb.error):
        return False
    return answer == b"OK" or answer == "OK"


@contextlib.contextmanager
def _physical_mode():
    changed = _set_physical_mode(True)
    try:
        yield changed
    finally:
        if changed:
            _set_physical_mode(False)


def read_physical(address, count):
    """`count` bytes of physical memory."""
    with _physical_mode() as direct:
        if direct:
            try:
                return bytes(_inferior().read_memory(address, count))
            except (gdb.MemoryError, gdb.error, OverflowError):
                raise Trouble(f"there is no physical memory at {address:#x}") from None
    return read(direct_map_base() + address, count)


def direct_map_base():
    """Where physical address 0 is mapped: where this boot has chosen, or the boot tables' place before."""
    base = word_of("direct_map_base")
    return base or BOOT_DIRECT_MAP


# Registers.

def register(name):
    """A register's value as an unsigned number."""
    _inferior()
    try:
        value = gdb.selected_frame().read_register(name) if name != "pc" else gdb.selected_frame().pc()
        return int(value) & MASK
    except (gdb.error, ValueError):
        pass
    try:
        # Types with fields (flags) convert once they are cast.
        return int(gdb.parse_and_eval(f"(unsigned long) ${name}")) & MASK
    except gdb.error:
        raise Trouble(f"the register {name} cannot be read: is the machine stopped?") from None


# Symbols.

def address_of(name):
    """Where a symbol of the kernel lies; Trouble where the file that gdb has read knows none of that name."""
    try:
        return int(gdb.parse_and_eval(f"(unsigned long) &'{name}'")) & MASK
    except gdb.error:
        raise Trouble(f"gdb knows no symbol {name}: start it on build/quarry.elf or build/debug/quarry.elf") from None


def word_of(name):
    """The 64-bit word that a symbol names; 0 where it is not mapped yet."""
    try:
        return read64(address_of(name))
    except Trouble:
        return 0


# Numbers that a user types.

def parse_number(text):
    """The value of an expression: 0xffff888000100000, $rsp, &direct_map_base."""
    if not text.strip():
        raise Trouble("expected an address, as 0xffff888000100000, $rsp or &kernel_main")
    try:
        value = gdb.parse_and_eval(text)
    except gdb.error as error:
        raise Trouble(f"{text!r} is no address: {error}") from None
    try:
        return int(value) & MASK
    except (gdb.error, ValueError, OverflowError):
        pass
    try:
        return int(value.address) & MASK
    except (gdb.error, TypeError, ValueError):
        raise Trouble(f"{text!r} is no address") from None
