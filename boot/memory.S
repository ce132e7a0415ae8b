// memset, memcpy, memmove and memcmp, which the compiler calls by name. A rep string instruction of eight bytes an
// iteration is the fast way on hardware with fast strings, and the cheapest by count under emulation.

        .text
        .globl memset
        .type memset, @function
memset:                                         // rdi = memory, esi = byte, rdx = count; returns memory
        movq %rdi, %r8
        movzbl %sil, %eax
        movabsq $0x0101010101010101, %rcx
        imulq %rcx, %rax
        movq %rdx, %rcx
        shrq $3, %rcx
        rep stosq
        movl %edx, %ecx
        andl $7, %ecx
        rep stosb
        movq %r8, %rax
        ret
        .size memset, . - memset

        .globl memcpy, memmove
        .type memmove, @function
        .type memcpy, @function
memmove:                                        // rdi = to, rsi = from, rdx = count; returns to
        movq %rdi, %rax
        subq %rsi, %rax
        cmpq %rdx, %rax
        jb 1f                                   // to lies within from ..< from + count: go down
memcpy:
        movq %rdi, %rax
        movq %rdx, %rcx
        shrq $3, %rcx
        rep movsq
        movl %edx, %ecx
        andl $7, %ecx
        rep movsb
        ret
1:      movq %rdi, %rax
        movq %rdx, %rcx
        leaq -1(%rdi, %rdx), %rdi
        leaq -1(%rsi, %rdx), %rsi
        std
        rep movsb
        cld
        ret
        .size memmove, . - memmove

        .globl memcmp
        .type memcmp, @function
memcmp:                                         // rdi, rsi = memory, rdx = count; returns difference of the first
        xorl %eax, %eax                         // bytes that differ
1:      testq %rdx, %rdx
        jz 2f
        movzbl (%rdi), %eax
        movzbl (%rsi), %ecx
        subl %ecx, %eax
        jnz 2f
        incq %rdi
        incq %rsi
        decq %rdx
        jmp 1b
2:      ret
        .size memcmp, . - memcmp
