"""Reads `objdump -d` and answers what the checks on the kernel ask: forbidden instructions, red zone, frame sizes."""

import dataclasses
import re

FUNCTION = re.compile(r"^([0-9a-f]+) <(.+)>:$")
INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\s+(\S.*?)\s*$")
PREFIXES = {"lock", "rep", "repz", "repnz", "repe", "repne", "data16", "addr32", "cs", "ds", "es", "ss", "notrack", "bnd"}
VECTOR_REGISTER = re.compile(r"%([xyz]mm\d+|mm\d|st\b|k[0-7]\b)")
VECTOR_MNEMONICS = {"emms", "ldmxcsr", "stmxcsr", "wait", "vzeroupper", "vzeroall"}
BELOW_STACK = re.compile(r"-0x([0-9a-f]+)\(%rsp")
BELOW_FRAME = re.compile(r"-0x([0-9a-f]+)\(%rbp\)")
IMMEDIATE_TO_STACK = re.compile(r"^\$(-?)0x([0-9a-f]+),%rsp$")
TARGET = re.compile(r"^([0-9a-f]+)\b")
COMPARISONS = {"cmp", "cmpq", "test", "testq"}
WORD = 8
# What fills the room between functions.
PADDING = ("int3", "nop", "xchg", "cs", "data16")
# How far before a jump by a table the table's address is added.
JUMP_TABLE_DISTANCE = 6

# The functions that load the stack pointer on purpose, and with what: the assembly that leaves a stack and comes
# back to it (boot/interrupts.S), and the crash test that takes the stack away to bring about a double fault.
STACK_SWITCHES = {
    "switch_stack": {"%rdi,%rsp", "%rbx,%rsp"},
    "exception_common": {"%rbx,%rsp"},
    "CrashTest.act()": {"$0x8000000000000000,%rsp"},
    "CrashTest.misuseStack(_:)": {"$0x8000000000000000,%rsp"},
}


@dataclasses.dataclass
class Instruction:
    address: int
    mnemonic: str
    operands: str


@dataclasses.dataclass
class Function:
    name: str
    instructions: list
    # Where the next function begins; None for the last one.
    end: int | None = None


def parse(listing):
    """The functions of a listing made with `objdump -d --no-show-raw-insn`."""
    functions = []
    for line in listing.splitlines():
        header = FUNCTION.match(line)
        if header:
            if functions:
                functions[-1].end = int(header[1], 16)
            functions.append(Function(header[2], []))
            continue
        match = INSTRUCTION.match(line)
        if not match or not functions:
            continue
        words = match[2].split("#")[0].split()
        while len(words) > 1 and words[0] in PREFIXES:
            words = words[1:]
        functions[-1].instructions.append(Instruction(int(match[1], 16), words[0], " ".join(words[1:])))
    return functions


def uses_vector_or_x87(instruction):
    """Whether the instruction touches SSE, AVX, MMX or x87 state, none of which the kernel saves."""
    return (
        instruction.mnemonic.startswith("f")
        or instruction.mnemonic in VECTOR_MNEMONICS
        or VECTOR_REGISTER.search(instruction.operands) is not None
    )


def moves_stack_pointer(instruction):
    """Whether the last operand is the stack pointer and the instruction writes it."""
    return (
        instruction.mnemonic not in COMPARISONS
        and instruction.operands.endswith((",%rsp", ",%esp", ",%sp")))


@dataclasses.dataclass
class Call:
    """A call, or a jump that leaves the function, with what the function has on its stack then."""

    address: int
    depth: int
    # None where it goes through a register or memory.
    target: int | None
    is_jump: bool = False


@dataclasses.dataclass
class Frame:
    """What a function takes of its stack, below the return address."""

    byte_count: int = 0
    below_frame_pointer: int = 0
    is_dynamic: bool = False
    calls: list = dataclasses.field(default_factory=list)


def measure(function):
    """Follows every path through the function and finds the deepest point of its stack."""
    frame = Frame()
    position = {instruction.address: index for index, instruction in enumerate(function.instructions)}
    unvisited = set(range(len(function.instructions)))
    # (instruction, depth, depth at which rbp was set); code behind a jump table is entered at the jump's depth.
    waiting = [(0, 0, 0)] if function.instructions else []
    behind_jump_tables = (0, 0)
    while waiting or unvisited:
        index, depth, base = waiting.pop() if waiting else (min(unvisited), *behind_jump_tables)
        while index in unvisited:
            unvisited.discard(index)
            instruction = function.instructions[index]
            mnemonic, operands = instruction.mnemonic, instruction.operands
            depth, base, dynamic = step(instruction, depth, base)
            is_switch = mnemonic in ("mov", "movabs") and operands in STACK_SWITCHES.get(function.name, ())
            frame.is_dynamic |= dynamic and not is_switch
            frame.byte_count = max(frame.byte_count, depth)
            frame.below_frame_pointer = max(frame.below_frame_pointer, depth - base)
            target = TARGET.match(operands)
            target = int(target[1], 16) if target else None
            if mnemonic.startswith("call"):
                frame.calls.append(Call(instruction.address, depth, target))
            if mnemonic.startswith("j"):
                if target in position:
                    waiting.append((position[target], depth, base))
                elif not operands.startswith("*"):
                    frame.calls.append(Call(instruction.address, depth, target, is_jump=True))
                else:
                    behind_jump_tables = (depth, base)
                    if not is_jump_table(function, index):
                        frame.calls.append(Call(instruction.address, depth, None, is_jump=True))
                if mnemonic == "jmp":
                    break
            if mnemonic.startswith(("ret", "iret", "ud2", "hlt")):
                break
            index += 1
            at_end = index == len(function.instructions) and function.end is not None
            if at_end and not mnemonic.startswith(("call", *PADDING)):
                # It runs on into the next function. (A call at the end is one that does not come back.)
                frame.calls.append(Call(instruction.address, depth, function.end, is_jump=True))
    return frame


def is_jump_table(function, index):
    """Whether the indirect jump at `index` goes to one of the function's own blocks: the compiler adds the table's
    address to an offset that it has loaded from the table."""
    jump = function.instructions[index]
    register = jump.operands.removeprefix("*")
    for earlier in reversed(function.instructions[max(0, index - JUMP_TABLE_DISTANCE):index]):
        if earlier.operands.endswith("," + register):
            return earlier.mnemonic == "add" and earlier.operands.startswith("%")
    return False


def step(instruction, depth, base):
    """One instruction's effect: (depth, depth at rbp, whether the stack moved to a place unknown here)."""
    mnemonic, operands = instruction.mnemonic, instruction.operands
    if mnemonic.startswith("pop") and operands == "%rsp":
        return depth, base, True
    if mnemonic.startswith("push"):
        return depth + WORD, base, False
    if mnemonic.startswith("pop"):
        return depth - WORD, base, False
    if mnemonic == "leave":
        return base - WORD, base, False
    if mnemonic == "mov" and operands == "%rsp,%rbp":
        return depth, depth, False
    if mnemonic == "mov" and operands == "%rbp,%rsp":
        return base, base, False
    if not moves_stack_pointer(instruction):
        return depth, base, False
    immediate = IMMEDIATE_TO_STACK.match(operands)
    if immediate:
        amount = int(immediate[2], 16) * (-1 if immediate[1] else 1)
        if amount >= 1 << 63:
            amount -= 1 << 64
        if mnemonic == "sub":
            return depth + amount, base, False
        if mnemonic == "add":
            return depth - amount, base, False
        if mnemonic == "and":
            return depth + (-amount - WORD), base, False
    moved = re.match(r"^(-?)0x([0-9a-f]+)\(%(rsp|rbp)\),%rsp$", operands)
    if mnemonic == "lea" and moved:
        amount = int(moved[2], 16) * (-1 if moved[1] else 1)
        return (depth if moved[3] == "rsp" else base) - amount, base, False
    return depth, base, True


def red_zone_uses(function, frame):
    """The instructions that touch memory below the stack pointer, by rsp itself or by rbp past the frame's end."""
    has_frame_pointer = any(
        instruction.mnemonic == "mov" and instruction.operands == "%rsp,%rbp" for instruction in function.instructions)
    found = []
    for instruction in function.instructions:
        if instruction.mnemonic == "lea" and moves_stack_pointer(instruction):
            continue
        if BELOW_STACK.search(instruction.operands):
            found.append(instruction)
            continue
        below = BELOW_FRAME.search(instruction.operands)
        if has_frame_pointer and below and int(below[1], 16) > frame.below_frame_pointer:
            found.append(instruction)
    return found
