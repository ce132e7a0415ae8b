// Accesses that may fault: `bool probe_load(uintptr_t address, uint64_t *value)` and the like, false where they do.
//
// Sources/Kernel/FaultProbe.swift knows the instructions by their names, and goes on at probe_failed.

        .text
        .globl probe_load, probe_load_access, probe_store, probe_store_access
        .globl probe_fetch, probe_fetch_return, probe_failed

        .type probe_load, @function
probe_load:
probe_load_access:
        movq (%rdi), %rax
        movq %rax, (%rsi)
        movl $1, %eax
        ret
        .size probe_load, . - probe_load

        .type probe_store, @function
probe_store:
probe_store_access:
        movq %rsi, (%rdi)
        movl $1, %eax
        ret
        .size probe_store, . - probe_store

// Calls a return instruction, which changes no register.
        .type probe_fetch, @function
probe_fetch:
        call *%rdi
probe_fetch_return:
        movl $1, %eax
        ret
        .size probe_fetch, . - probe_fetch

        .type probe_failed, @function
probe_failed:
        xorl %eax, %eax
        ret
        .size probe_failed, . - probe_failed
