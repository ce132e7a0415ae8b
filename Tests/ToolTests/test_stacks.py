"""The stack check, on small images that the compiler makes: what it must find deep, and what it must complain of."""

import pathlib
import types

import pytest

from check_kernel import instruction_problems
from disassembly import measure, parse
from stack_check import StackCheck
from stack_depth import Bound
from stack_report import check_image, main, report
from stack_tables import Entry
from toolchain import TRIPLE, Failure, run, tool

STACK = """
        .bss
        .globl stack, stack_end
stack:  .skip 4096
stack_end:
"""
FLAGS = [
    f"--target={TRIPLE}", "-ffreestanding", "-mno-red-zone", "-fno-omit-frame-pointer", "-mcmodel=kernel", "-O1",
]


def tables(**changes):
    values = {
        "INDIRECT_CALLS": {}, "STACK_SWITCHES": {}, "UNCALLED": set(), "IMPOSSIBLE_CALLS": {}, "EXCLUDED_BELOW": {},
        "RECURSION": {}, "EXCEPTION_BYTES": 56, "EXCEPTION_PATH": ["exception_stub_*", "dispatch"], "OF_ONE_VECTOR": {},
        "RAISED": {}, "VECTORS": range(32), "INTERRUPT_STACKS": {}, "STACKS": {"main": ("stack", "stack_end")},
        "ENTRIES": [Entry("main", "entry", 8)], "SHOWN": [], **changes,
    }
    return types.SimpleNamespace(**values)


def link(directory, c="", assembly=""):
    """An image of functions in C, which calls do not disappear from, and of assembly."""
    objects = []
    for name, text in (("code.c", "#define KEPT __attribute__((noinline))\n" + c), ("more.S", STACK + assembly)):
        source = pathlib.Path(directory) / name
        source.write_text(text)
        objects.append(source.with_suffix(".o"))
        run([tool("clang"), *FLAGS, "-c", source, "-o", objects[-1]])
    image = pathlib.Path(directory) / "image.elf"
    run([
        tool("ld.lld"), "-Ttext=0xffffffff80100000", "--section-start=.bss=0xffffffff80200000", "-e", "entry",
        "-o", image, *objects])
    return image


def check(directory, c="", assembly="", **changes):
    return check_image(link(directory, c, assembly), tables(**changes))


def names(path):
    return [node.name for node in path]


USE = "void use(void *p) { __asm__ volatile(\"\" :: \"r\"(p) : \"memory\"); }\n"


def with_local(size, extra=""):
    return f"KEPT {USE} KEPT void deep(void) {{ char local[{size}]; use(local); }}\n" + \
        f"KEPT void middle(void) {{ deep(); __asm__ volatile(\"\"); }}\n" + \
        f"void entry(void) {{ middle(); __asm__ volatile(\"\"); {extra} }}\n"


def test_the_deepest_path_is_found_and_its_bytes_are_those_of_its_frames(tmp_path):
    found = check(tmp_path, with_local(512))
    (use,) = found.uses
    assert found.problems == []
    path = found.depths.path(use.key)
    assert names(path) == ["entry", "middle", "deep", "use"]
    # The entry's own 8 bytes, each frame, and a return address for each call.
    assert use.byte_count == 8 + sum(node.byte_count for node in path) + 8 * (len(path) - 1)
    assert use.byte_count > 512
    assert use.size == 4096


def test_a_planted_local_of_2048_bytes_fails_the_check_of_frames(tmp_path):
    listing = run(
        [tool("objdump"), "-d", "--no-show-raw-insn", link(tmp_path, with_local(2048))], capture_output=True).stdout
    functions = parse(listing)
    problems = instruction_problems(functions, [measure(function) for function in functions])
    assert len(problems) == 1 and problems[0].startswith("deep has a frame of 20")
    assert check(tmp_path, with_local(2048)).problems == [], "a stack of 4 KiB still holds it"


def test_frames_that_are_each_small_enough_and_together_too_deep_fail(tmp_path):
    found = check(
        tmp_path, with_local(1000, "char a[1000]; use(a);").replace("deep(); ", "char b[1000]; use(b); deep(); "),
        STACKS={"main": 3000})
    assert len(found.problems) == 1
    assert "stack \"main\" of 3000 bytes" in found.problems[0]


EXCEPTIONS = """
        .text
        .globl exception_stub_0, exception_stub_14
exception_stub_0:
        pushq $0
        jmp dispatch
exception_stub_14:
        jmp dispatch
dispatch:
        subq $104, %rsp
        call fatal
        call fault_handler
        addq $104, %rsp
        iretq
fatal:  subq $200, %rsp
        ud2
fault_handler:
        subq $2000, %rsp
        addq $2000, %rsp
        ret
"""


def test_an_exception_is_added_and_each_vector_takes_its_own_path(tmp_path):
    changes = {"OF_ONE_VECTOR": {"fault_handler": 14}, "INTERRUPT_STACKS": {14: "fault"}}
    stacks = {"main": ("stack", "stack_end"), "fault": 4096}
    found = check(tmp_path, with_local(512), EXCEPTIONS, STACKS=stacks, **changes)
    assert found.problems == []
    main_use, fault_use = found.uses
    # What the CPU pushes, the stub's word, dispatch's frame, a return address, and the frame of fatal.
    assert main_use.exception_bytes == 56 + 8 + 104 + 8 + 200
    assert (fault_use.stack, fault_use.byte_count) == ("fault", 56 + 104 + 8 + 2000)
    tight = {"main": main_use.byte_count + main_use.exception_bytes, "fault": 4096}
    assert check(tmp_path, with_local(512), EXCEPTIONS, STACKS=tight, **changes).problems == []
    tight["main"] -= 1
    assert len(check(tmp_path, with_local(512), EXCEPTIONS, STACKS=tight, **changes).problems) == 1


RECURSIVE = "KEPT " + USE + """
KEPT int odd(int n);
KEPT int even(int n) { char local[100]; use(local); return n ? odd(n - 1) + 1 : 0; }
KEPT int odd(int n) { char local[50]; use(local); return n ? even(n - 1) + 2 : 0; }
int entry(int n) { return even(n) + 1; }
"""


def test_recursion_that_no_table_bounds_is_named(tmp_path):
    assert check(tmp_path, RECURSIVE).problems == ["a recursion without a known bound: even + odd"]


def test_each_round_of_a_bounded_recursion_is_counted(tmp_path):
    def total(rounds):
        found = check(tmp_path, RECURSIVE, RECURSION={"even": Bound(rounds, "n is small")})
        assert found.problems == []
        return found.uses[0].byte_count

    # Both functions' frames and return addresses.
    round_bytes = total(2) - total(1)
    assert round_bytes > 166
    assert total(9) - total(1) == 8 * round_bytes


def test_a_bound_of_what_does_not_recur_is_a_problem(tmp_path):
    found = check(tmp_path, with_local(8), RECURSION={"middle": Bound(1, "once")})
    assert found.problems == ["the table bounds a recursion of middle, and there is none"]


def test_a_second_circle_beside_one_that_is_bounded_is_named(tmp_path):
    code = "KEPT " + USE + """
KEPT int even(int n);
KEPT int self(int n) { char local[90]; use(local); return n ? self(n - 1) + even(n - 1) + 1 : 0; }
KEPT int even(int n) { char local[100]; use(local); return n ? self(n - 1) + 1 : 0; }
int entry(int n) { return even(n) + 1; }
"""
    assert check(tmp_path, code, RECURSION={"even": Bound(3, "n is small")}).problems == [
        "a recursion without a known bound: self"]
    both = {"even": Bound(3, "n is small"), "self": Bound(2, "n is small")}
    assert check(tmp_path, code, RECURSION=both).problems == []


INDIRECT = "KEPT " + USE + """
KEPT void callee(void) { char local[700]; use(local); }
KEPT void call(void (*f)(void)) { f(); __asm__ volatile(""); }
void entry(void) { call(callee); __asm__ volatile(""); }
"""


def test_an_indirect_call_must_be_in_the_table(tmp_path):
    problems = check(tmp_path, INDIRECT).problems
    assert "call calls indirectly, and no table says whom" in problems
    assert "the address of callee is taken, and no table says who calls it" in problems


def test_what_an_indirect_call_reaches_is_counted(tmp_path):
    found = check(tmp_path, INDIRECT, INDIRECT_CALLS={"call": ["callee"]})
    assert found.problems == []
    assert names(found.depths.path(found.uses[0].key)) == ["entry", "call", "callee", "use"]


@pytest.mark.parametrize("table, complaint", [
    ({"call": ["callee", "nobody"]}, "the table says that call calls nobody, of which nobody takes the address"),
    ({"call": ["callee"], "use": []}, "the table says that use calls indirectly, and it does not"),
    ({"call": ["use"]}, "the table says that call calls use, of which nobody takes the address"),
])
def test_a_table_that_does_not_fit_the_image_is_a_problem(tmp_path, table, complaint):
    assert complaint in check(tmp_path, INDIRECT, INDIRECT_CALLS=table).problems


def test_an_address_taken_by_data_counts(tmp_path):
    pointer = "void callee(void); void (*const volatile table[])(void) = { callee };\n"
    code = pointer + INDIRECT.replace("call(callee)", "call(table[0])")
    assert check(tmp_path, code).problems != []
    assert check(tmp_path, code, INDIRECT_CALLS={"call": ["callee"]}).problems == []


def test_a_jump_to_another_function_keeps_no_return_address_of_its_own(tmp_path):
    code = """
        .text
        .globl entry
entry:  subq $64, %rsp
        addq $64, %rsp
        jmp tail
tail:   subq $160, %rsp
        addq $160, %rsp
        ret
"""
    assert check(tmp_path, assembly=code).uses[0].byte_count == 8 + 160


def test_a_function_that_runs_on_into_the_next_calls_it(tmp_path):
    code = """
        .text
        .globl entry, next
entry:  pushq %rax
next:   subq $160, %rsp
        ret
"""
    assert check(tmp_path, assembly=code).uses[0].byte_count == 8 + 8 + 160


def test_a_jump_table_is_no_call_and_another_jump_by_a_register_is_one(tmp_path):
    code = """
        .text
        .globl entry
entry:  leaq table(%rip), %rcx
        movslq (%rcx,%rdi,4), %rax
        addq %rcx, %rax
        jmp *%rax
1:      ret
        .section .rodata
table:  .long 1b - table
"""
    assert check(tmp_path, assembly=code).problems == []
    found = check(tmp_path, assembly=code.replace("addq %rcx, %rax", "movq %rdi, %rax"))
    assert found.problems == ["entry calls indirectly, and no table says whom"]


def test_a_call_that_is_never_made_is_left_out_and_must_be_there(tmp_path):
    out = {("middle", "deep"): "never"}
    assert check(tmp_path, with_local(512), IMPOSSIBLE_CALLS=out).uses[0].byte_count < 512
    out[("use", "deep")] = "never"
    assert check(tmp_path, with_local(512), IMPOSSIBLE_CALLS=out).problems == [
        "the table leaves out calls of deep by use, and there are none"]


def test_what_is_excluded_below_one_function_is_counted_below_others(tmp_path):
    code = "KEPT " + USE + """
KEPT void report(void) { char local[900]; use(local); }
KEPT void allocate(int quiet) { if (!quiet) report(); __asm__ volatile(""); }
KEPT void silent(void) { char local[300]; use(local); allocate(1); __asm__ volatile(""); }
void entry(void) { silent(); allocate(0); __asm__ volatile(""); }
"""
    plain = check(tmp_path, code)
    assert names(plain.depths.path(plain.uses[0].key)) == ["entry", "silent", "allocate", "report", "use"]
    found = check(tmp_path, code, EXCLUDED_BELOW={"silent": (["report"], "it is quiet")})
    assert found.problems == []
    assert names(found.depths.path(found.uses[0].key)) == ["entry", "allocate", "report", "use"]
    assert check(tmp_path, code, EXCLUDED_BELOW={"report": (["silent"], "")}).problems == [
        "the table excludes what report does not call: silent"]


def test_a_raised_exception_is_part_of_the_path(tmp_path):
    found = check(
        tmp_path, with_local(64), EXCEPTIONS, RAISED={"deep": 0}, OF_ONE_VECTOR={"fault_handler": 14},
        IMPOSSIBLE_CALLS={("dispatch", "fault_handler"): "of vector 14"})
    assert names(found.depths.path(found.uses[0].key))[-2:] == ["dispatch", "fatal"]
    # The handler is answered, and counted where it is raised; no other exception is on top.
    assert found.uses[0].exception_bytes == 56 + 104 + 8 + 200, "vector 14 stays on the stack here"


def test_an_entry_that_is_gone_is_a_problem(tmp_path):
    found = check(tmp_path, with_local(8), ENTRIES=[Entry("main", "entry", 8), Entry("main", "gone", 8)])
    assert found.problems == ["gone is to enter stack \"main\", and is not there"]


def test_the_report_names_stacks_paths_recursion_and_indirect_calls(tmp_path):
    found = check(
        tmp_path, RECURSIVE.replace("even(n) + 1", "even(n) + even(2 * n)"), RECURSION={"even": Bound(3, "n is small")})
    text = "\n".join(report(found))
    for part in ("The deepest path on stack \"main\", from entry", "even at most 3 times more: n is small",
                 "Every function: its frame"):
        assert part in text


def test_an_image_that_is_missing_ends_in_a_line(tmp_path):
    with pytest.raises(Failure, match="make kernel"):
        main([tmp_path / "none.elf"])


def test_a_name_with_brackets_is_no_pattern():
    listing = "ffffffff80100000 <f([UInt])>:\nffffffff80100000:\tret\n"
    found = StackCheck(parse(listing), set(), {}, tables(STACKS={"main": 64}, ENTRIES=[Entry("main", "f([UInt])", 0)]))
    assert found.problems == []
