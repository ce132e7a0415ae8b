// Clears pages by 16 bytes a store, for CPUs whose string stores are not fast. Every x86-64 CPU has SSE2 (AMD64
// Architecture Programmer's Manual vol. 1, 4.1.2); CR4.OSFXSR must be set.
//
// The one place of the kernel that uses a vector register. Nobody saves those on an interrupt, and nobody need: the
// register's value is kept on the stack and put back, so that whoever was interrupted, be it in here, finds its own.

        .text
        .globl clear_pages_by_vectors
        .type clear_pages_by_vectors, @function
clear_pages_by_vectors:                         // rdi = first page, rsi = number of pages, which is not 0
        subq $24, %rsp
        movups %xmm0, (%rsp)
        xorps %xmm0, %xmm0
        shlq $2, %rsi
1:      .set offset, 0
        .rept 64
        movaps %xmm0, offset(%rdi)
        .set offset, offset + 16
        .endr
        addq $1024, %rdi
        decq %rsi
        jnz 1b
        movups (%rsp), %xmm0
        addq $24, %rsp
        ret
        .size clear_pages_by_vectors, . - clear_pages_by_vectors

        .section .note.GNU-stack, "", @progbits
