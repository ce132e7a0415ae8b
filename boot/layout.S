// Where the regions of the address space begin in this boot: KernelLayout.swift writes it down during bring-up, after
// which the words are sealed. A debugger finds them by name: `p/x *(long *)&direct_map_base`.

        .section .sealed, "aw", @nobits
        .balign 8
        .globl direct_map_base, vmalloc_base, frame_table_base, object_alias_base
        .type direct_map_base, @object
direct_map_base:
        .skip 8
        .size direct_map_base, 8
        .type vmalloc_base, @object
vmalloc_base:
        .skip 8
        .size vmalloc_base, 8
        .type frame_table_base, @object
frame_table_base:
        .skip 8
        .size frame_table_base, 8
        .type object_alias_base, @object
object_alias_base:
        .skip 8
        .size object_alias_base, 8

// Where the allocators' values lie and how they are laid out, for a debugger: DebuggerLayout.swift writes it down at the end
// of bring-up. First the number of notes; then, for each, the address of its name and its value.
        .globl debugger_layout_count, debugger_layout, debugger_layout_end
        .type debugger_layout_count, @object
debugger_layout_count:
        .skip 8
        .size debugger_layout_count, 8
        .type debugger_layout, @object
debugger_layout:
        .skip 16 * 128
        .size debugger_layout, 16 * 128
debugger_layout_end:
