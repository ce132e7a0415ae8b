"""The symbol table that is linked into the kernel."""

import pytest

from symbol_table import assembly, functions, readable


def test_only_functions_of_the_upper_half_are_listed_once_and_in_order():
    listing = "\n".join([
        "ffffffff80102000 t later",
        "0000000000100000 T boot_entry",
        "ffffffff80101000 t .Ltmp0",
        "ffffffff80101000 T first",
        "ffffffff80101000 T image_text_start",
        "ffffffff80101000 W weak_alias",
        "ffffffff80103000 D data",
        "                 U undefined",
    ])
    assert functions(listing) == [(0xFFFFFFFF80101000, "first"), (0xFFFFFFFF80102000, "later")]


@pytest.mark.parametrize(("demangled", "expected"), [
    ("kernel_main", "kernel_main"),
    ("BootAllocator.allocate(byteCount:alignment:)", "BootAllocator.allocate(byteCount:alignment:)"),
    ("specialized PageFrameAllocator.allocate(order:flags:)", "PageFrameAllocator.allocate(order:flags:)"),
    ("generic specialization <Kernel.X86Platform> of Slab.Kmalloc.free(_:)", "Slab.Kmalloc.free(_:)"),
    (
        "function signature specialization <Arg[0] = Dead> of generic specialization <A<B>> of C.f(_:) -> (D) -> E",
        "C.f(_:)",
    ),
    ("static Log.write(_: Level) -> ()", "Log.write(_: Level)"),
    ("closure #1 (A) -> B in SpinLock<X86Platform>.withLock(_:)", "closure #1 (A)"),
])
def test_names_are_shortened(demangled, expected):
    assert readable(demangled) == expected


def test_a_very_long_name_is_cut():
    assert len(readable("f" * 500)) == 96


def test_the_table_holds_offsets_from_the_image_base_and_each_name_once():
    text = assembly([(0xFFFFFFFF80100000, "f"), (0xFFFFFFFF80100010, 'g "quoted"'), (0xFFFFFFFF80100020, "f")])
    assert ".quad 3" in text
    assert [line.split()[1] for line in text.splitlines() if ".long" in line] == [
        "0x100000", "0x100010", "0x100020", "0", "2", "0"]
    assert text.count(".asciz") == 2
    assert '.asciz "g \\"quoted\\""' in text


def test_an_empty_table_has_its_labels():
    text = assembly([])
    assert all(f"symbol_table_{part}:" in text for part in ("count", "addresses", "names", "strings"))
