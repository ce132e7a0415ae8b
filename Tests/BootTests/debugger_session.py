"""A kernel, stopped right after its reports, in which gdb is asked every `quarry` command: what test_debugger_commands.py judges."""

import functools
import re

from booting import run_under_gdb
from toolchain import BUILD

REPORTS = ("buddyinfo", "slabinfo", "vmallocinfo", "stacks", "page_tables")
STOP = "hbreak *exception_dispatch if *(long *)($rdi + 120) == 3"
KERNELS = {
    "debug": {"kernel_directory": BUILD / "debug", "memory": "64M", "arguments": ""},
    "four-levels": {"kernel_directory": BUILD, "memory": "64M", "arguments": "no5lvl nokaslr"},
    "large-pages": {"kernel_directory": BUILD, "memory": "5G", "arguments": "kfence.sample_interval=1"},
}

# Addresses that gdb works out, and what whatis says of them: (expression, patterns).
PLACES = {
    "code": ("&kernel_main", [r"the image's code", r"function kernel_main\+0x0"]),
    "constants": ("&symbol_table_count", [r"the image's constants", r"symbol symbol_table_count"]),
    "sealed": ("&direct_map_base", [r"the image's sealed data", r"symbol direct_map_base"]),
    "boot-stack": ("&boot_stack_end", None),
    "image-stack": ("(long) &page_fault_stack_end - 8", [r"stack \"page fault\" of the image, depth 8 of 16384"]),
    "image-guard": ("(long) &page_fault_stack_guard + 8", [r"the guard page below stack \"page fault\""]),
    "stack": ("$rsp", [r"in stack area \"main\" 0x\w+-0x\w+, depth \d+ of 16384", r"page frame 0x\w+: allocated, .* order 0"]),
    "stack-guard": ("$limit - 8", [r"in the guard page below stack area \"main\"", r"8 bytes away"]),
    "stack-due": ("$limit", [r"in stack area \"main\"", r"not mapped: stack page"]),
    "object": ("$object", [r"the direct map, physical", r"slab object: \S+, object \d+ at \S+, allocated, byte 0 of",
                         r"page frame 0x\w+: slab"]),
    "object-alias": ("$object - $direct + $alias", [r"the object alias", r"slab object: \S+, object \d+"]),
    "object-inside": ("$object + 9", [r"slab object: \S+, .* byte 9 of"]),
    "table": ("$direct + $table", [r"the direct map", r"page frame 0x\w+: page table, block of order 0"]),
    "boot-memory": ("$direct + ((long) &kernel_main & 0x7fffffff)", [r"the direct map, physical 0x1\w+", r"page frame 0x1\w+: (reserved|absent)"]),
    "descriptor": ("$descriptor", [r"the frame table, offset", r"descriptor of frame 0x\w+: page frame \w+: slab"]),
    "no-area": ("$limit + 0x100000000", [r"in no area; \d+ bytes above"]),
    "null": ("0x10", [r"the null page", r"not mapped: empty"]),
    "user": ("0x400000", [r"user space", r"not mapped: empty"]),
    "not-canonical": ("0x8000000000000000", [r"not a canonical address"]),
    "unmapped": ("$direct + 0xf00000000", None),
}
# With `nokaslr`, as literal numbers that the monitor takes: direct map, large page, alias, stack, due page, guard page, image.
LITERALS = (
    0xFFFF888000100010, 0xFFFF888000400123, 0x7F0000100010, 0xFFFFC90000004FF8, 0xFFFFC90000001008, 0xFFFFC90000000008,
    0xFFFFFFFF8010B004, 0xFFFFFFFFC0000000, 0x1000)
MISTAKES = {
    "quarry vtop": r"quarry vtop: expected an address",
    "quarry vtop zork": r"quarry vtop: 'zork' is no address",
    "quarry whatis 1 +": r"quarry whatis: '1 \+' is no address",
    "quarry whatis \"a\"": r"quarry whatis: ",
    "quarry slabs nosuch": r"quarry slabs: there is no slab cache 'nosuch'",
    "quarry buddy 1": r"quarry buddy: expected no argument, not '1'",
    "quarry log many": r"quarry log: expected how many of the last lines, not 'many'",
    "quarry log 0": r"quarry log: expected how many of the last lines, not '0'",
    "quarry nosuch": r"quarry: there is no command 'nosuch'",
    "quarry help nosuch": r"quarry help: there is no command 'nosuch'",
}
VARIABLES = "; ".join((
    "from quarry import areas, layout, memory, slabs, tables",
    "gdb.set_convenience_variable('object', next(s.base + i * c.slot_size + c.object_offset for c in slabs.caches()"
    " for _, s in c.slabs() for i in range(c.object_count) if s.state(i) == 'allocated'))",
    "gdb.set_convenience_variable('limit', next(a.usable_start for a in areas.areas() if a.kind_number == 1))",
    "path = tables.Walker().path(int(gdb.parse_and_eval('$rsp')) & memory.MASK)",
    "gdb.set_convenience_variable('table', path[-1][1])",
    "gdb.set_convenience_variable('direct', memory.direct_map_base())",
    "gdb.set_convenience_variable('alias', memory.word_of('object_alias_base'))",
    "frame = int(gdb.parse_and_eval('$object - $direct')) >> 12",
    "gdb.set_convenience_variable('guard', next((a for a, _, e in tables.Walker().walk() if e & 0x601 == 0x400), 0))",
    "origin = memory.read64(layout.note('frame_table.origins') + 8 * (frame >> 9))",
    "gdb.set_convenience_variable('descriptor', origin + 16 * frame)",
))


def section(name):
    return f"echo \\n@@{name}\\n"


@functools.cache
def stopped(kernel):
    """What all commands say in one boot of a kernel: ({section: text}, all of gdb's output, BootResult)."""
    description = dict(KERNELS[kernel])
    arguments = f"report={','.join(REPORTS)} crash=breakpoint {description.pop('arguments')}"
    commands = [section("early"), "quarry buddy", "quarry vtop 0xfff0",
                "hbreak *kernel_main", "continue", section("boot-vtop"), "quarry vtop kernel_main",
                section("boot-log"), "quarry log", section("boot-tlb"), "ask info tlb", section("boot-ptdump"),
                "quarry ptdump", STOP, "continue"]
    for command in ("buddy", "slabs", "areas", "stacks", "ptdump"):
        commands += [section(command), f"quarry {command}"]
    commands += [section("one-slab"), "quarry slabs vm_area", section("tlb"), "ask info tlb", f"python {VARIABLES}"]
    for name, (expression, _) in PLACES.items():
        commands += [section(f"vtop {name}"), f"quarry vtop {expression}"]
        commands += [section(f"whatis {name}"), f"quarry whatis {expression}"]
    commands += [section("vtop-guard"), "quarry vtop $guard"]
    for literal in LITERALS if "nokaslr" in arguments else ():
        commands += [section(f"literal {literal}"), f"quarry vtop {literal:#x}", f"ask gva2gpa {literal:#x}"]
    for mistake in MISTAKES:
        commands += [section(f"mistake {mistake}"), mistake]
    commands += [section("help"), "quarry help", "quarry help vtop", section("log"), "quarry log", section("log-tail"),
                 "quarry log 3", section("bt"), "bt", "continue", section("panic"), "quarry panic", section("end"), "kill"]
    output, result = run_under_gdb(
        BUILD / "boot-tests" / f"debugger-commands-{kernel}.log", commands, arguments=arguments, **description)
    parts = re.split(r"^@@(.*)\n", output, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2])), output, result


def reported(log, name):
    """The lines of the kernel's report."""
    found = re.search(rf"^--- {name}\n(.*?)^--- end {name}", log, re.MULTILINE | re.DOTALL)
    assert found, f"the log has no report {name}"
    return found[1].splitlines()
