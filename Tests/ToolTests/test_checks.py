"""The checks on symbols, segments and the floors' objects, on listings that are wrong and listings that are right."""

from check_floors import forbidden_paths
from check_kernel import instruction_problems, segment_problems, symbol_problems
from disassembly import measure, parse

HEADERS = """
Program Headers:
  Type           Offset   VirtAddr           PhysAddr           FileSiz  MemSiz   Flg Align
  LOAD           0x001000 0x0000000000100000 0x0000000000100000 0x0002eb 0x0002eb R E 0x1000
  LOAD           0x002000 0x0000000000101000 0x0000000000101000 0x000000 0x008000 RW  0x1000
"""


def problems_of(listing):
    functions = parse(listing)
    return instruction_problems(functions, [measure(function) for function in functions])


def test_a_large_frame_a_vector_register_and_a_dynamic_frame_are_named():
    problems = problems_of("\n".join([
        "ffffffff80100000 <large>:", "ffffffff80100000:\tsub    $0x408,%rsp", "ffffffff80100007:\tret", "",
        "ffffffff80100010 <vector>:", "ffffffff80100010:\tmovaps %xmm0,%xmm1", "ffffffff80100013:\tret", "",
        "ffffffff80100020 <dynamic>:", "ffffffff80100020:\tsub    %rax,%rsp", "ffffffff80100023:\tret", "",
        "ffffffff80100030 <red>:", "ffffffff80100030:\tmov    %rax,-0x10(%rsp)", "ffffffff80100033:\tret", "",
        "ffffffff80100040 <fine>:", "ffffffff80100040:\tsub    $0x400,%rsp", "ffffffff80100043:\tret",
    ]))
    assert [problem.split()[0] for problem in problems] == ["large", "vector", "dynamic", "red"]


def test_only_the_function_that_saves_its_vector_register_may_use_one():
    listing = "ffffffff80100000 <{}>:\nffffffff80100000:\tmovaps %xmm0,(%rdi)\nffffffff80100003:\tret"
    assert problems_of(listing.format("clear_pages_by_vectors")) == []
    assert len(problems_of(listing.format("clear_pages"))) == 1


def test_a_string_in_the_image_is_found():
    assert symbol_problems("ffffffff80100000 T $ss11_StringGutsV5countSivg")
    assert not symbol_problems("ffffffff80100000 T kernel_main")


def test_a_segment_that_is_writable_and_executable_is_found():
    assert segment_problems(HEADERS) == []
    assert segment_problems(HEADERS.replace("RW  0x1000", "RWE 0x1000")) == ["load segment 1 is writable and executable"]


def test_an_image_without_segments_does_not_pass():
    assert segment_problems("There are no program headers in this file.")


SYMBOLS = """
0000000000000000 l    d  .text.$e4Slab1fyyF	0000000000000000 .text.$e4Slab1fyyF
0000000000000000 g     F .text.$e4Slab1fyyF	0000000000000010 $e4Slab1fyyF
0000000000000000  w    F .text.swift_slowAlloc	0000000000000010 .hidden swift_slowAlloc
0000000000000000 l     O .data.rel.ro	0000000000000008 table
0000000000000000         *UND*	0000000000000000 posix_memalign
"""


def relocations(**sections):
    return "\n".join(
        f"\nRELOCATION RECORDS FOR [{section}]:\nOFFSET           TYPE              VALUE\n"
        f"0000000000000005 R_X86_64_PLT32    {name}-0x0000000000000004\n" for section, name in sections.items())


def test_the_runtime_copies_in_an_object_are_no_proof_of_use():
    assert forbidden_paths(SYMBOLS, relocations(**{".text.swift_slowAlloc": "posix_memalign"})) == []


def test_a_call_of_the_runtime_is_found():
    listing = relocations(**{".text.$e4Slab1fyyF": "swift_slowAlloc", ".text.swift_slowAlloc": "posix_memalign"})
    assert forbidden_paths(SYMBOLS, listing) == [["$e4Slab1fyyF", "swift_slowAlloc"]]


def test_a_use_through_data_is_found():
    listing = relocations(**{".text.$e4Slab1fyyF": ".data.rel.ro", ".data.rel.ro": "posix_memalign"})
    assert forbidden_paths(SYMBOLS, listing) == [["$e4Slab1fyyF", ".data.rel.ro", "posix_memalign"]]
