// From the boot loader's 32-bit protected mode to Swift at the upper-half address.
//
//   boot loader --> boot_entry (32-bit, paging off) --> checks --> boot tables --> boot_entry_64 --> kernel_main
//
// On entry (Multiboot 1, 3.2): eax = magic, ebx = physical address of the Multiboot information, interrupts off.
// Held throughout: ebp = magic, ebx = information. edi is 1 where the CPU has NX.

        .set MULTIBOOT_BOOTLOADER_MAGIC, 0x2badb002

        .set COM1, 0x3f8
        .set DEBUG_EXIT_PORT, 0xf4
        .set EXIT_NOT_MULTIBOOT, 0x18
        .set EXIT_CPU_LACKS_FEATURE, 0x19
        .set EXIT_TOO_LITTLE_MEMORY, 0x1a

        .set MSR_EFER, 0xc0000080
        .set EFER_LME, 1 << 8
        .set EFER_NXE, 1 << 11
        .set CR0_PE, 1 << 0
        .set CR0_MP, 1 << 1
        .set CR0_EM, 1 << 2
        .set CR0_NE, 1 << 5
        .set CR0_WP, 1 << 16
        .set CR0_PG, 1 << 31
        .set CR4_PSE, 1 << 4
        .set CR4_PAE, 1 << 5
        .set CR4_LA57, 1 << 12

        .set PAGE_PRESENT_WRITABLE, 3
        .set PAGE_LARGE, 1 << 7
        .set DIRECT_MAP_SLOT, 273               // 0xffff_8880_0000_0000 >> 39 & 511
        .set BOOT_DIRECTORIES, 4                // 4 GiB in 2 MiB pages

        .section .boot.text, "ax"
        .code32
        .globl boot_entry
        .type boot_entry, @function
boot_entry:
        cli
        cld
        movl %eax, %ebp
        movl $boot_stack_32_end, %esp
        pushl $2                                // the loader's flags are its own: no AC, no DF, no IF
        popfl
        call serial_start

        cmpl $MULTIBOOT_BOOTLOADER_MAGIC, %ebp
        movl $message_magic, %esi
        movb $EXIT_NOT_MULTIBOOT, %cl
        jne stop

        // Is there RAM under all of the image? A loader need not ask, and variables without initial values are in no file.
        testl $1, (%ebx)                        // is mem_upper there? (Multiboot 1, 3.3): KiB above the first MiB
        jz 1f
        movl 8(%ebx), %eax
        addl $1024, %eax
        cmpl $image_kib, %eax
        movl $message_memory, %esi
        movb $EXIT_TOO_LITTLE_MEMORY, %cl
        jb stop
1:
        // A CPU has CPUID when software can flip EFLAGS.ID (Intel SDM vol. 1, 20.1.2).
        pushfl
        popl %eax
        movl %eax, %edx
        xorl $(1 << 21), %eax
        pushl %eax
        popfl
        pushfl
        popl %eax
        pushl %edx
        popfl                                   // as they were
        xorl %edx, %eax
        testl $(1 << 21), %eax
        movl $message_cpuid, %esi
        movb $EXIT_CPU_LACKS_FEATURE, %cl
        jz stop

        rdtsc                                   // every CPU with long mode has it; without CPUID not even this is sure
        movl %eax, boot_time_low
        movl %edx, boot_time_high
        pushl %ebx                              // cpuid writes ebx
        movl $0x80000000, %eax
        cpuid
        cmpl $0x80000001, %eax
        movl $message_long_mode, %esi
        movb $EXIT_CPU_LACKS_FEATURE, %cl
        jb stop
        movl $1, %eax
        cpuid
        testl $(1 << 6), %edx
        movl $message_pae, %esi
        movb $EXIT_CPU_LACKS_FEATURE, %cl
        jz stop
        movl $0x80000001, %eax
        cpuid
        testl $(1 << 29), %edx
        movl $message_long_mode, %esi
        movb $EXIT_CPU_LACKS_FEATURE, %cl
        jz stop
        xorl %edi, %edi
        testl $(1 << 20), %edx
        setnz %al
        movzbl %al, %edi
        popl %ebx

        call wants_five_levels
        call build_boot_tables

        // Whether tables have five levels can be changed while paging is off only (Intel SDM vol. 3, 4.1.1).
        movl $(CR4_PSE | CR4_PAE), %eax
        movl $boot_pml4, %edx
        cmpl $0, boot_five_levels
        je 1f
        orl $CR4_LA57, %eax
        movl $boot_pml5, %edx
1:      movl %eax, %cr4
        movl %edx, %cr3
        movl $MSR_EFER, %ecx
        rdmsr
        orl $EFER_LME, %eax
        testl %edi, %edi
        jz 1f
        orl $EFER_NXE, %eax
1:      wrmsr
        movl %cr0, %eax
        andl $~CR0_EM, %eax
        orl $(CR0_PG | CR0_WP | CR0_NE | CR0_MP | CR0_PE), %eax
        movl %eax, %cr0
        lgdt boot_gdt_pointer
        ljmp $8, $boot_entry_64

// Sets boot_five_levels where the CPU has LA57 and the command line does not hold the word no5lvl.
wants_five_levels:
        movl $0, boot_five_levels
        pushl %ebx
        xorl %eax, %eax
        cpuid
        cmpl $7, %eax
        jb 4f
        movl $7, %eax
        xorl %ecx, %ecx
        cpuid
        testl $(1 << 16), %ecx
        jz 4f
        movl (%esp), %esi
        testl $(1 << 2), (%esi)                 // is there a command line? (Multiboot 1, 3.3)
        jz 3f
        movl 16(%esi), %esi
        movb $' ', %ah                          // what stands before esi
1:      cmpb $0, (%esi)
        je 3f
        cmpb $' ', %ah                          // up to a blank, each byte separates words
        ja 2f
        cmpl $0x6c356f6e, (%esi)                // "no5l"
        jne 2f
        cmpw $0x6c76, 4(%esi)                   // "vl"
        jne 2f
        cmpb $' ', 6(%esi)                      // a blank, another separator, or the end
        jbe 4f
2:      movb (%esi), %ah
        incl %esi
        jmp 1b
3:      movl $1, boot_five_levels
4:      popl %ebx
        ret

// Identity map, direct map and image map of the first 4 GiB (the image map of the first 2), all of the same tables.
// The kernel's own tables replace them before the buddy allocator starts.
build_boot_tables:
        pushl %edi
        xorl %eax, %eax
        movl $boot_tables, %edi
        movl $((boot_tables_end - boot_tables) / 4), %ecx
        rep stosl
        popl %edi

        movl $(boot_pdpt_low + PAGE_PRESENT_WRITABLE), %eax
        movl %eax, boot_pml4
        movl %eax, boot_pml4 + 8 * DIRECT_MAP_SLOT
        movl $(boot_pdpt_image + PAGE_PRESENT_WRITABLE), %eax
        movl %eax, boot_pml4 + 8 * 511
        movl $(boot_pml4 + PAGE_PRESENT_WRITABLE), %eax
        movl %eax, boot_pml5
        movl %eax, boot_pml5 + 8 * 511

        movl $(boot_directories + PAGE_PRESENT_WRITABLE), %eax
        movl %eax, boot_pdpt_image + 8 * 510
        xorl %ecx, %ecx
1:      movl %eax, boot_pdpt_low(, %ecx, 8)
        addl $4096, %eax
        incl %ecx
        cmpl $BOOT_DIRECTORIES, %ecx
        jb 1b

        movl $(PAGE_LARGE | PAGE_PRESENT_WRITABLE), %eax
        xorl %ecx, %ecx
2:      movl %eax, boot_directories(, %ecx, 8)
        addl $(2 << 20), %eax
        incl %ecx
        cmpl $(512 * BOOT_DIRECTORIES), %ecx
        jb 2b
        ret

// Says on the serial port what is missing, ends QEMU with the code in cl, and halts where there is no QEMU.
stop:
        movl $message_prefix, %edi
        xchgl %esi, %edi
        call serial_write
        movl %edi, %esi
        call serial_write
        movl $message_end, %esi
        call serial_write
        movb %cl, %al
        movw $DEBUG_EXIT_PORT, %dx
        outb %al, %dx
1:      hlt
        jmp 1b

// 115200 baud, 8 data bits, no parity, FIFO on (16550D data sheet, 8.0).
serial_start:
        movl $serial_settings, %esi
1:      movzbl (%esi), %edx
        cmpl $0xff, %edx
        je 2f
        addl $COM1, %edx
        movb 1(%esi), %al
        outb %al, %dx
        addl $2, %esi
        jmp 1b
2:      ret

// Writes the NUL-terminated text at esi.
serial_write:
        movb (%esi), %ah
        testb %ah, %ah
        jz 3f
        movl $0x10000, %edx                     // a port with nothing behind it must not hold up the report
        pushl %ecx
        movl %edx, %ecx
1:      movw $(COM1 + 5), %dx
        inb %dx, %al
        testb $0x20, %al
        jnz 2f
        loop 1b
2:      popl %ecx
        movb %ah, %al
        movw $COM1, %dx
        outb %al, %dx
        incl %esi
        jmp serial_write
3:      ret

        .code64
boot_entry_64:
        movw $16, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %ss
        xorl %eax, %eax
        movw %ax, %fs
        movw %ax, %gs
        movabsq $boot_stack_end, %rsp
        movl %ebp, %edi                         // 1: the loader's magic
        movl %ebx, %esi                         // 2: physical address of the Multiboot information
        movl boot_time_high, %edx
        shlq $32, %rdx
        movl boot_time_low, %eax
        orq %rax, %rdx                          // 3: the time stamp counter at boot_entry
        xorl %ebp, %ebp                         // ends every backtrace
        // The stack protector's canary, before any function that uses it; the low byte stays 0, which ends strings.
        movabsq $0x9e3779b97f4a7c15, %rax
        imulq %rdx, %rax
        xorb %al, %al
        movabsq $__stack_chk_guard, %rcx
        movq %rax, (%rcx)
        movabsq $kernel_main, %rax
        pushq $0                                // it does not return; a return address of 0 ends every backtrace too
        jmp *%rax

        .section .boot.rodata, "a"
        .balign 8
boot_gdt:
        .quad 0
        .quad 0x00af9a000000ffff                // 8: 64-bit code
        .quad 0x00cf92000000ffff                // 16: data
boot_gdt_pointer:
        .word . - boot_gdt - 1
        .long boot_gdt

serial_settings:                                // pairs of register and value, up to 0xff
        .byte 1, 0x00, 3, 0x80, 0, 0x01, 1, 0x00, 3, 0x03, 2, 0xc7, 4, 0x0b, 0xff

message_prefix:
        .asciz "quarry: cannot boot: "
message_magic:
        .asciz "not started by a Multiboot 1 boot loader"
message_memory:
        .asciz "too little memory for the kernel's image"
message_cpuid:
        .asciz "the CPU lacks CPUID"
message_pae:
        .asciz "the CPU lacks PAE (physical address extension)"
message_long_mode:
        .asciz "the CPU lacks long mode (64-bit)"
message_end:
        .asciz "\r\n"

        .section .boot.bss, "aw", @nobits
        .balign 4096
        .globl boot_pml4, boot_pdpt_low, boot_pdpt_drawn
boot_tables:
boot_pml5:                                      // used where there are five levels
        .skip 4096
boot_pml4:
        .skip 4096
boot_pdpt_low:
        .skip 4096
boot_pdpt_image:
        .skip 4096
boot_pdpt_drawn:                                // for BootTables.swift
        .skip 4096
boot_directories:
        .skip 4096 * BOOT_DIRECTORIES
boot_tables_end:
boot_stack_32:
        .skip 256
boot_stack_32_end:
boot_five_levels:
        .skip 4
boot_time_low:
        .skip 4
boot_time_high:
        .skip 4

        .section .sealed, "aw", @nobits
        .balign 8
        .globl __stack_chk_guard
__stack_chk_guard:
        .skip 8
