"""Each check on the kernel's code must be able to fail, and must let ordinary code pass."""

import pytest

from disassembly import measure, parse, red_zone_uses, uses_vector_or_x87


def function(*instructions, name="f"):
    """A function of the given instructions, one byte each, as `objdump` would list it."""
    lines = [f"ffffffff80100000 <{name}>:"]
    lines += [f"ffffffff801000{index:02x}:\t{text}" for index, text in enumerate(instructions)]
    (parsed,) = parse("\n".join(lines))
    return parsed


@pytest.mark.parametrize("text", [
    "movups %xmm0,(%rdi)", "vaddps %ymm1,%ymm2,%ymm3", "movq   %mm0,(%rax)", "fldl   0x8(%rsp)", "fstp   %st(1)",
    "fxsave (%rdi)", "emms", "ldmxcsr (%rax)", "kmovw  %k1,%eax", "lock fadd %st,%st(1)", "vpxord %zmm16,%zmm16,%zmm16",
])
def test_vector_and_x87_instructions_are_found(text):
    assert uses_vector_or_x87(function(text).instructions[0])


@pytest.mark.parametrize("text", [
    "mov    %rax,(%rdi)", "rep stos %al,%es:(%rdi)", "cs nopw 0x0(%rax,%rax,1)", "lock xadd %rax,(%rdi)",
    "call   ffffffff80100000 <fma_xmm0>", "mov    %fs:0x28,%rax", "lea    0x10(%rip),%rax        # 0 <xmm0>",
])
def test_integer_instructions_pass(text):
    assert not uses_vector_or_x87(function(text).instructions[0])


def red_zone(*instructions):
    parsed = function(*instructions)
    return red_zone_uses(parsed, measure(parsed))


def test_an_access_below_the_stack_pointer_is_found():
    assert len(red_zone("mov    %rax,-0x8(%rsp)", "ret")) == 1


def test_an_access_below_the_frame_is_found_through_the_frame_pointer():
    prologue = ["push   %rbp", "mov    %rsp,%rbp", "sub    $0x10,%rsp"]
    assert not red_zone(*prologue, "mov    %rax,-0x10(%rbp)", "leave", "ret")
    assert len(red_zone(*prologue, "mov    %rax,-0x18(%rbp)", "leave", "ret")) == 1


def test_moving_the_stack_pointer_is_no_access():
    assert not red_zone("lea    -0x28(%rsp),%rsp", "mov    %rax,0x8(%rsp)", "ret")


def test_a_frame_counts_pushes_and_the_area_below_them():
    frame = measure(function("push   %rbp", "push   %rbx", "sub    $0x408,%rsp", "add    $0x408,%rsp", "ret"))
    assert (frame.byte_count, frame.is_dynamic) == (0x418, False)


def test_a_frame_is_that_of_the_deepest_path_not_the_sum_of_all():
    frame = measure(function(
        "je     ffffffff80100004 <f+0x4>", "sub    $0x100,%rsp", "add    $0x100,%rsp", "ret",
        "sub    $0x80,%rsp", "add    $0x80,%rsp", "ret"))
    assert frame.byte_count == 0x100


def test_code_behind_a_jump_table_is_measured_at_the_depth_of_the_jump():
    frame = measure(function("sub    $0x100,%rsp", "jmp    *%rax", "push   %rax", "call   0 <g>", "pop    %rax", "ret"))
    assert frame.byte_count == 0x108


def test_leave_and_lea_take_the_frame_down():
    frame = measure(function(
        "push   %rbp", "mov    %rsp,%rbp", "push   %rbx", "sub    $0x20,%rsp", "lea    -0x8(%rbp),%rsp", "pop    %rbx",
        "pop    %rbp", "push   %rax", "ret"))
    assert frame.byte_count == 0x30


@pytest.mark.parametrize("text", [
    "sub    %rax,%rsp", "add    %rcx,%rsp", "mov    %rdi,%rsp", "mov    0x8(%rdi),%rsp", "mov    $0x1000,%rsp",
    "lea    (%rsp,%rax,8),%rsp", "xchg   %rax,%rsp", "mov    %eax,%esp", "pop    %rsp",
])
def test_a_frame_of_unknown_size_is_found(text):
    assert measure(function(text, "ret")).is_dynamic


@pytest.mark.parametrize(("name", "text"), [
    ("switch_stack", "mov    %rdi,%rsp"), ("switch_stack", "mov    %rbx,%rsp"),
    ("exception_common", "mov    %rbx,%rsp"), ("CrashTest.act()", "movabs $0x8000000000000000,%rsp"),
])
def test_only_the_functions_that_switch_stacks_may_load_the_stack_pointer(name, text):
    assert not measure(function(text, "ret", name=name)).is_dynamic
    assert measure(function(text, "ret", name="f")).is_dynamic
    assert measure(function("mov    %rax,%rsp", "ret", name=name)).is_dynamic
    assert measure(function("sub    %rax,%rsp", "ret", name=name)).is_dynamic


@pytest.mark.parametrize("text", ["mov    %rbp,%rsp", "lea    0x0(%rbp),%rsp", "lea    -0x8(%rbp),%rsp"])
def test_an_epilogue_through_the_frame_pointer_is_understood(text):
    parsed = function("push   %rbp", "mov    %rsp,%rbp", "push   %rbx", text, "pop    %rbp", "ret")
    assert not measure(parsed).is_dynamic


def test_comparing_the_stack_pointer_does_not_move_it():
    assert not measure(function("cmp    %rax,%rsp", "test   %rsp,%rsp", "ret")).is_dynamic


def test_a_subtraction_of_a_negative_number_is_understood():
    assert measure(function("add    $0xffffffffffffff80,%rsp", "sub    $0xffffffffffffff80,%rsp", "ret")).byte_count == 128
