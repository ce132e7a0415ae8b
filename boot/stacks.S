// The stacks that exist before memory management does, each above a guard page that the kernel's own page tables leave
// unmapped: the boot stack, and one stack for each exception that must not trust the stack it interrupts, and one for
// devices' interrupts.

        .macro stack name, size
        .globl \name\()_guard, \name, \name\()_end
        .balign 4096
\name\()_guard:
        .skip 4096
\name:
        .skip \size
\name\()_end:
        .endm

        .section .stacks, "aw", @nobits
        stack boot_stack, 32768
        stack double_fault_stack, 16384
        stack page_fault_stack, 16384
        stack nmi_stack, 16384
        stack machine_check_stack, 16384
        stack interrupt_stack, 16384
        .balign 4096
        .globl stacks_end_guard
stacks_end_guard:
        .skip 4096
