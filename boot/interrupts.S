// Entry and exit of the 32 exceptions and of devices' interrupts, and the switch from one stack to another.
//
// Each stub makes the stack look alike (an error code, pushed by the CPU or as zero; the vector) and saves all general
// registers: together with what the CPU pushed that is the ExceptionFrame that exception_dispatch receives.

        .macro stub vector, has_error_code
        .balign 16
exception_stub_\vector:
        .if \has_error_code == 0
        pushq $0
        .endif
        pushq $\vector
        jmp exception_common
        .endm

        .text
        .altmacro
        .set vector, 0
        .rept 32
        // 8, 10 to 14, 17, 21, 29 and 30 push an error code (Intel SDM vol. 3, table 6-1; AMD APM vol. 2, 8.2).
        .set has_error_code, (0x60227d00 >> vector) & 1
        stub %vector, %has_error_code
        .set vector, vector + 1
        .endr

        .type exception_common, @function
exception_common:
        pushq %rax
        pushq %rbx
        pushq %rcx
        pushq %rdx
        pushq %rsi
        pushq %rdi
        pushq %rbp
        pushq %r8
        pushq %r9
        pushq %r10
        pushq %r11
        pushq %r12
        pushq %r13
        pushq %r14
        pushq %r15
        cld
        movq %rsp, %rdi
        movq %rsp, %rbx                         // kept across the call
        andq $-16, %rsp
        pushq 136(%rbx)                         // rip: a backtrace goes on in the function that was interrupted,
        pushq %rbp                              // and then in its callers
        movq %rsp, %rbp
        call exception_dispatch
        movq %rbx, %rsp
        popq %r15
        popq %r14
        popq %r13
        popq %r12
        popq %r11
        popq %r10
        popq %r9
        popq %r8
        popq %rbp
        popq %rdi
        popq %rsi
        popq %rdx
        popq %rcx
        popq %rbx
        popq %rax
        addq $16, %rsp
        iretq
        .size exception_common, . - exception_common

// The 16 lines of the interrupt controllers. They come to a stack of their own, and save what a function may change.
        .macro interrupt_stub line
        .balign 16
interrupt_stub_\line:
        pushq $\line
        jmp interrupt_common
        .endm

        .set line, 0
        .rept 16
        interrupt_stub %line
        .set line, line + 1
        .endr

        .type interrupt_common, @function
interrupt_common:
        pushq %rax
        pushq %rcx
        pushq %rdx
        pushq %rsi
        pushq %rdi
        pushq %r8
        pushq %r9
        pushq %r10
        pushq %r11
        cld
        movq 72(%rsp), %rdi                     // the line
        pushq $0                                // what aligns the stack: the CPU has aligned it, before it pushed
        pushq 88(%rsp)                          // rip: a backtrace goes on in the function that was interrupted,
        pushq %rbp                              // and then in its callers
        movq %rsp, %rbp
        call interrupt_dispatch
        popq %rbp
        addq $16, %rsp
        popq %r11
        popq %r10
        popq %r9
        popq %r8
        popq %rdi
        popq %rsi
        popq %rdx
        popq %rcx
        popq %rax
        addq $8, %rsp
        iretq
        .size interrupt_common, . - interrupt_common

// For a kernel that lets no line through, and so has no handler of its own.
        .weak interrupt_dispatch
        .type interrupt_dispatch, @function
interrupt_dispatch:
        ret
        .size interrupt_dispatch, . - interrupt_dispatch

// void switch_stack(uintptr_t top, void (*body)(uintptr_t), uintptr_t argument): runs body on the stack that ends at
// top and comes back. The new stack's first frame links to the old one, so that a backtrace crosses over.
        .globl switch_stack
        .type switch_stack, @function
switch_stack:
        pushq %rbp
        movq %rsp, %rbp
        pushq %rbx
        movq %rsp, %rbx
        movq %rdi, %rsp
        pushq 8(%rbp)                           // return address
        pushq (%rbp)                            // caller's frame
        movq %rsp, %rbp
        movq %rdx, %rdi
        call *%rsi
        movq %rbx, %rsp
        popq %rbx
        popq %rbp
        ret
        .size switch_stack, . - switch_stack

        .section .rodata
        .balign 8
        .globl exception_stubs
exception_stubs:
        .set vector, 0
        .macro stub_address vector
        .quad exception_stub_\vector
        .endm
        .rept 32
        stub_address %vector
        .set vector, vector + 1
        .endr

        .globl interrupt_stubs
interrupt_stubs:
        .set line, 0
        .macro interrupt_stub_address line
        .quad interrupt_stub_\line
        .endm
        .rept 16
        interrupt_stub_address %line
        .set line, line + 1
        .endr

// The tables that the CPU reads. DescriptorTables.swift fills them, and they are sealed once bring-up is done.
        .section .sealed, "aw", @nobits
        .balign 16
        .globl descriptor_gdt, descriptor_tss, descriptor_idt
descriptor_gdt:
        .skip 8 * 7
        .balign 16
descriptor_tss:
        .skip 104
        .balign 16
descriptor_idt:
        .skip 16 * (32 + 16)
