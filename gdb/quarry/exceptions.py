"""The registers that an exception found, on the stack where boot/interrupts.S has pushed them."""

import struct

from quarry import memory
from quarry.errors import Trouble

REGISTERS = (
    "r15", "r14", "r13", "r12", "r11", "r10", "r9", "r8", "rbp", "rdi", "rsi", "rdx", "rcx", "rbx", "rax", "vector",
    "error_code", "rip", "cs", "rflags", "rsp", "ss")
NAMES = {
    0: "divide error", 1: "debug exception", 2: "non-maskable interrupt", 3: "breakpoint", 4: "overflow",
    5: "bound range exceeded", 6: "invalid opcode", 7: "device not available", 8: "double fault", 10: "invalid TSS",
    11: "segment not present", 12: "stack-segment fault", 13: "general protection fault", 14: "page fault",
    16: "x87 floating-point error", 17: "alignment check", 18: "machine check", 19: "SIMD floating-point exception",
    20: "virtualization exception", 21: "control protection exception", 28: "hypervisor injection exception",
    29: "VMM communication exception", 30: "security exception",
}
MAXIMUM_DEPTH = 64


class ExceptionFrame:
    """The registers by name."""

    def __init__(self, address):
        self.address = address
        self.values = dict(zip(REGISTERS, struct.unpack("<22Q", memory.read(address, 8 * len(REGISTERS)))))

    def __getitem__(self, name):
        return self.values[name]

    @property
    def name(self):
        return NAMES.get(self["vector"], "reserved exception")


def current():
    """The exception that is being handled, of several the innermost; None where there is none.

    At exception_dispatch's first instruction the frame's address is its argument. Deeper, the chain of frame pointers leads
    to the link that exception_common has made: the interrupted rip, and right above it the registers.
    """
    pc = memory.register("pc")
    if pc == memory.address_of("exception_dispatch"):
        return ExceptionFrame(memory.register("rdi"))
    start = memory.address_of("exception_common")
    end = start + 256
    frame = memory.register("rbp")
    try:
        if start <= memory.read64(memory.register("rsp")) < end:
            frame_of_dispatch = memory.register("rbp")
            return _behind(frame_of_dispatch)
        for _ in range(MAXIMUM_DEPTH):
            following, caller = memory.read_words(frame, 2)
            if start <= caller < end:
                return _behind(following)
            if following in (0, frame):
                return None
            frame = following
    except Trouble:
        return None
    return None


def _behind(link):
    """The frame above exception_common's link, which keeps the stack aligned to 16."""
    rip = memory.read64(link + 8)
    for address in (link + 16, link + 24):
        frame = ExceptionFrame(address)
        if frame["rip"] == rip and frame["vector"] < 32:
            return frame
    return None


def page_fault_words(error):
    """(access, cause, mode) of a page fault's error code (Intel SDM vol. 3, 4.7)."""
    access = "instruction fetch from" if error & 16 else "write to" if error & 2 else "read of"
    if error & 8:
        cause = "a page whose entry has a reserved bit set"
    else:
        cause = "a page that forbids it" if error & 1 else "a page that is not present"
    return access, cause, "user" if error & 4 else "supervisor"
