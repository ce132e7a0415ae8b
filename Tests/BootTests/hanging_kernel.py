"""A kernel that never ends: what runs kernels must notice."""

import struct

LOAD_ADDRESS = 0x100000
LAST_WORDS = "last words"


def hanging_kernel(path, talks_on):
    """Writes a 32-bit Multiboot 1 ELF that says its last words on the serial port and hangs, or says them for ever."""
    header_magic = 0x1BADB002
    multiboot = struct.pack("<III", header_magic, 0, -header_magic & 0xFFFF_FFFF)
    headers = 52 + 32
    entry = LOAD_ADDRESS + headers + len(multiboot)
    code_size = 20
    code = bytes([
        0xFA,  # cli
        0x66, 0xBA, 0xF8, 0x03,  # mov $0x3f8,%dx
        0xBE, *struct.pack("<I", entry + code_size),  # mov $text,%esi
        0xAC,  # next: lods (%esi),%al
        0x84, 0xC0,  # test %al,%al
        0x74, 0x03,  # je after
        0xEE,  # out %al,(%dx)
        0xEB, 0xF8,  # jmp next
        0xEB, 0xF1 if talks_on else 0xFE,  # after: jmp to the mov of %esi, or here
    ])
    assert len(code) == code_size
    content = multiboot + code + f"{LAST_WORDS}\n".encode() + b"\0"
    size = headers + len(content)
    elf = struct.pack(
        "<16sHHIIIIIHHHHHH", b"\x7fELF\x01\x01\x01", 2, 3, 1, entry, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    segment = struct.pack("<IIIIIIII", 1, 0, LOAD_ADDRESS, LOAD_ADDRESS, size, size, 7, 4096)
    path.write_bytes(elf + segment + content)
    return path
