"""A crash: where the kernel stops for it, and all that can be said of it.

A kernel that ends writes its exit code to a port and QEMU is gone. So gdb stops it at `fatal_report_end`, when its own report
is complete and nothing has been taken down yet.
"""

import gdb

from quarry import areas, backtrace, exceptions, log, memory, stacks, symbols, whatis
from quarry.errors import Trouble

STOP = "fatal_report_end"
SWIFT_TRAP = b"\x0f\x0b"


class FatalStop(gdb.Breakpoint):
    """Stops where the kernel has reported its end; says what to ask."""

    def __init__(self):
        # Of the ordinary type: it can be set before a machine is connected, and QEMU's gdb server writes nothing for it.
        super().__init__(f"*{memory.address_of(STOP):#x}", internal=True)
        self.silent = True

    def stop(self):
        print("The kernel has died: `quarry panic` says why.")
        return True


_stop = []


def _new_objfile(_=None):
    """The breakpoint is set once the kernel's symbols are there."""
    if _stop:
        return
    try:
        memory.address_of(STOP)
        _stop.append(FatalStop())
    except (Trouble, gdb.error):
        pass


def register():
    gdb.events.new_objfile.connect(_new_objfile)
    _new_objfile()


def report():
    """The lines of `quarry panic`."""
    frame = exceptions.current()
    pc = memory.register("pc")
    if frame is None and symbols.find(pc) is None:
        raise Trouble("the machine is not in the kernel's code: nothing to report")
    yield from _reason(frame, pc)
    if frame is None:
        yield stacks.describe_pointer(memory.register("rsp"))
        yield "registers, now:"
        yield from _registers(_Now())
        yield "backtrace:"
        rip, frame_pointer, stack_pointer = pc, memory.register("rbp"), memory.register("rsp")
    else:
        yield stacks.describe_pointer(frame["rsp"])
        yield "registers, as the exception found them:"
        yield from _registers(frame)
        yield "backtrace:"
        rip, frame_pointer, stack_pointer = frame["rip"], frame["rbp"], frame["rsp"]
    for line in backtrace.lines(rip, frame_pointer, stack_pointer):
        yield f"  {line}"
    yield "stack:"
    yield from _stack(stack_pointer)
    yield from _log()


def _reason(frame, pc):
    said = log.fatal_lines()
    for line in said:
        yield f"reason: {line}" if line is said[0] else f"        {line}"
    if frame is None:
        if not said:
            place = "has ended" if pc == memory.address_of(STOP) else "is running, or has ended without an exception"
            yield f"reason: no exception is being handled: the kernel {place}"
        return
    vector, error = frame["vector"], frame["error_code"]
    name = frame.name
    if vector == 6 and _is_swift_trap(frame["rip"]):
        name = "Swift runtime trap (ud2: an overflow, a failed precondition, an index out of range)"
    yield f"exception: {name}, vector {vector}, error code {error:#x}"
    yield f"at {symbols.describe(frame['rip'])}"
    if vector == 14:
        yield from _page_fault(memory.register("cr2"), error)
    elif vector == 8:
        yield f"last page-fault address: {memory.register('cr2'):#x}, {whatis.title(memory.register('cr2'))}"
    elif vector in (12, 13) and error == 0:
        yield from _not_canonical(frame)


def _is_swift_trap(rip):
    try:
        return memory.read(rip, 2) == SWIFT_TRAP
    except Trouble:
        return False


def _page_fault(address, error):
    access, cause, mode = exceptions.page_fault_words(error)
    yield f"{mode} {access} {cause}"
    for line in whatis.describe(address):
        yield f"  {line}"
    verdict = _verdict(address, error)
    if verdict:
        yield f"this is {verdict}"


def _verdict(address, error):
    """What the access was, in the words of whoever looks for the mistake."""
    if error & 8:
        return "a damaged page table"
    if address < 4096:
        return "a call of a null pointer" if error & 16 else "a use of a null pointer"
    if error & 1:
        if error & 16:
            return "execution of data"
        return "a write to what may only be read" if error & 2 else None
    try:
        for stack in stacks.stacks():
            if stack.start - 4096 <= address < stack.start:
                return f"an overflow of stack \"{stack.name}\", or a stray pointer below it"
        place, area = areas.describe(address)
    except Trouble:
        return None
    found = whatis.region(address)
    if not found or found[0] != "vmalloc space" or area is None:
        return None
    if place.startswith("freed"):
        return "a use of memory after it was freed"
    if place.startswith("in the guard page above"):
        return "an access beyond the end of an area"
    if place.startswith("in the guard page below"):
        return "an access before the start of an area"
    return None


def _not_canonical(frame):
    from quarry.tables import Walker

    walker = Walker()
    for name in exceptions.REGISTERS:
        if name not in ("vector", "error_code", "cs", "rflags", "ss") and not walker.is_canonical(frame[name]):
            yield f"{name} {frame[name]:#018x}: not a canonical address"


class _Now:
    """The registers as they are, where no exception has kept others."""

    def __getitem__(self, name):
        return memory.register({"rip": "pc", "rflags": "eflags"}.get(name, name))


def _registers(frame):
    order = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
             "rip")
    for start in range(0, len(order), 3):
        yield "  " + "  ".join(f"{name:3s} 0x{frame[name]:016x}" for name in order[start:start + 3])
    yield f"  rflags {frame['rflags']:#x}  cs {frame['cs']:#x}  ss {frame['ss']:#x}"
    yield "  " + "  ".join(f"{name} {memory.register(name):#x}" for name in ("cr0", "cr2", "cr3", "cr4"))


def _stack(pointer, words=16):
    """What lies at the stack pointer, return addresses by name."""
    for index in range(words):
        place = (pointer & ~7) + 8 * index
        try:
            word = memory.read64(place)
        except Trouble:
            return
        found = symbols.find(word)
        yield f"  0x{place:016x}: 0x{word:016x}" + (f"  {found[0]}+{found[1]:#x}" if found else "")


def _log():
    lines = list(log.tail(20))
    if lines:
        yield "log, the last lines:"
        for line in lines:
            yield f"  {line}"


