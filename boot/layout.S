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
