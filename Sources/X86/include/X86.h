// Single x86-64 instructions, and the addresses of what the linker script and boot/ define. Nothing here decides
// anything. On other hosts the functions trap: the Kernel target compiles there too, and never runs.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#define X86_INLINE static inline __attribute__((always_inline))

#if defined(__x86_64__)
#define X86_ASM(...) __asm__ volatile(__VA_ARGS__)
#else
#define X86_ASM(...) __builtin_trap()
#endif

// Ports.
X86_INLINE void x86_out8(uint16_t port, uint8_t value) { X86_ASM("outb %0, %1" ::"a"(value), "Nd"(port)); }
X86_INLINE uint8_t x86_in8(uint16_t port) {
    uint8_t value = 0;
    X86_ASM("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
X86_INLINE void x86_out16(uint16_t port, uint16_t value) { X86_ASM("outw %0, %1" ::"a"(value), "Nd"(port)); }
X86_INLINE void x86_out32(uint16_t port, uint32_t value) { X86_ASM("outl %0, %1" ::"a"(value), "Nd"(port)); }
X86_INLINE void x86_out8_string(uint16_t port, const uint8_t *bytes, uint64_t count) {
    X86_ASM("rep outsb" : "+S"(bytes), "+c"(count) : "d"(port) : "memory");
}

// Interrupts.
X86_INLINE uint64_t x86_save_and_disable_interrupts(void) {
    uint64_t flags = 0;
    X86_ASM("pushfq; popq %0; cli" : "=r"(flags)::"memory");
    return flags;
}
X86_INLINE void x86_disable_interrupts(void) { X86_ASM("cli" ::: "memory"); }
X86_INLINE void x86_enable_interrupts(void) { X86_ASM("sti" ::: "memory"); }
X86_INLINE void x86_halt(void) { X86_ASM("hlt" ::: "memory"); }
// The CPU takes no interrupt between the two (Intel SDM vol. 2, STI): one that is pending ends the halt.
X86_INLINE void x86_enable_interrupts_and_halt(void) { X86_ASM("sti; hlt" ::: "memory"); }
X86_INLINE void x86_pause(void) { X86_ASM("pause"); }

X86_INLINE void x86_breakpoint(void) { X86_ASM("int3"); }
X86_INLINE void x86_divide_by_zero(void) { X86_ASM("xorl %%eax, %%eax; xorl %%edx, %%edx; divl %%eax" ::: "eax", "edx"); }
// As an NMI and a machine check arrive, which push no error code.
X86_INLINE void x86_raise_vector2(void) { X86_ASM("int $2"); }
X86_INLINE void x86_raise_vector18(void) { X86_ASM("int $18"); }
X86_INLINE void x86_raise_vector37(void) { X86_ASM("int $37"); }
// With a stack pointer that is not canonical an exception cannot be delivered: #SS, then a double fault.
X86_INLINE void x86_raise_double_fault(void) {
    X86_ASM("movabsq $0x8000000000000000, %%rsp; ud2" ::: "memory");
}

// Control registers and model-specific registers.
X86_INLINE uint64_t x86_read_cr0(void) { uint64_t v = 0; X86_ASM("movq %%cr0, %0" : "=r"(v)); return v; }
X86_INLINE uint64_t x86_read_cr2(void) { uint64_t v = 0; X86_ASM("movq %%cr2, %0" : "=r"(v)); return v; }
X86_INLINE uint64_t x86_read_cr3(void) { uint64_t v = 0; X86_ASM("movq %%cr3, %0" : "=r"(v)); return v; }
X86_INLINE uint64_t x86_read_cr4(void) { uint64_t v = 0; X86_ASM("movq %%cr4, %0" : "=r"(v)); return v; }
X86_INLINE void x86_write_cr0(uint64_t v) { X86_ASM("movq %0, %%cr0" ::"r"(v) : "memory"); }
X86_INLINE void x86_write_cr3(uint64_t v) { X86_ASM("movq %0, %%cr3" ::"r"(v) : "memory"); }
X86_INLINE void x86_write_cr4(uint64_t v) { X86_ASM("movq %0, %%cr4" ::"r"(v) : "memory"); }
X86_INLINE uint64_t x86_read_msr(uint32_t msr) {
    uint32_t low = 0, high = 0;
    X86_ASM("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}
X86_INLINE void x86_write_msr(uint32_t msr, uint64_t value) {
    X86_ASM("wrmsr" ::"a"((uint32_t)value), "d"((uint32_t)(value >> 32)), "c"(msr) : "memory");
}
X86_INLINE void x86_invalidate_page(uintptr_t address) { X86_ASM("invlpg (%0)" ::"r"(address) : "memory"); }

// Descriptor tables.
struct x86_table_pointer {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

X86_INLINE void x86_load_gdt(uintptr_t base, uint16_t limit) {
    struct x86_table_pointer pointer = {limit, base};
    // The code segment's descriptor may have moved: reload it by a far return, and the data segments by hand.
    X86_ASM("lgdt %0\n\t"
            "pushq $8\n\t"
            "leaq 1f(%%rip), %%rax\n\t"
            "pushq %%rax\n\t"
            "lretq\n"
            "1:\n\t"
            "movl $16, %%eax\n\t"
            "movw %%ax, %%ds\n\t"
            "movw %%ax, %%es\n\t"
            "movw %%ax, %%ss" ::"m"(pointer)
            : "rax", "memory");
}
X86_INLINE void x86_load_idt(uintptr_t base, uint16_t limit) {
    struct x86_table_pointer pointer = {limit, base};
    X86_ASM("lidt %0" ::"m"(pointer));
}
X86_INLINE void x86_load_task_register(uint16_t selector) { X86_ASM("ltr %0" ::"r"(selector)); }

// Clearing pages. By string stores, which CPUs with ERMS do in large pieces; or in boot/clear_pages.S.
X86_INLINE void x86_clear_by_strings(void *start, uint64_t byte_count) {
    uint64_t count = byte_count / 8;
    X86_ASM("rep stosq" : "+D"(start), "+c"(count) : "a"(0) : "memory");
}
void clear_pages_by_vectors(void *start, uint64_t page_count);

// Identification, time, random numbers.
struct x86_cpuid_result {
    uint32_t eax, ebx, ecx, edx;
};
X86_INLINE struct x86_cpuid_result x86_cpuid(uint32_t leaf, uint32_t subleaf) {
    struct x86_cpuid_result r = {0, 0, 0, 0};
    X86_ASM("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
    return r;
}
X86_INLINE uint64_t x86_read_time_stamp(void) {
    uint32_t low = 0, high = 0;
    X86_ASM("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}
X86_INLINE bool x86_read_random(uint64_t *value) {
    bool valid = false;
    X86_ASM("rdrand %0; setc %1" : "=r"(*value), "=qm"(valid)::"cc");
    return valid;
}

// Counting instructions, for Sources/Kernel/Benchmarks: no memory access moves across a sample, and its three
// instructions are the same whichever register the value is kept in, so that an empty pair always costs the same.
X86_INLINE uint64_t x86_sample_time_stamp(void) {
    uint64_t value = 0;
    X86_ASM("rdtsc; shlq $32, %%rdx; leaq (%%rax, %%rdx), %0" : "=r"(value)::"rax", "rdx", "cc", "memory");
    return value;
}
X86_INLINE void x86_thousand_nops(void) { X86_ASM(".rept 1000; nop; .endr"); }
X86_INLINE void x86_count_down_from_thousand(void) {
    X86_ASM("movl $1000, %%ecx; 1: decl %%ecx; jnz 1b" ::: "ecx", "cc");
}
X86_INLINE void x86_store_words(uintptr_t to, uintptr_t count) {
    X86_ASM("movq %0, %%rdi; movq %1, %%rcx; xorl %%eax, %%eax; rep stosq" ::"r"(to), "r"(count)
            : "rdi", "rcx", "rax", "cc", "memory");
}
X86_INLINE void x86_copy_words(uintptr_t to, uintptr_t from, uintptr_t count) {
    X86_ASM("movq %0, %%rdi; movq %1, %%rsi; movq %2, %%rcx; rep movsq" ::"r"(to), "r"(from), "r"(count)
            : "rdi", "rsi", "rcx", "memory");
}

X86_INLINE void x86_copy_bytes(uintptr_t to, const uint8_t *from, uintptr_t count) {
    uintptr_t words = count >> 3;
    X86_ASM("rep movsq; movl %k3, %%ecx; andl $7, %%ecx; rep movsb"
            : "+D"(to), "+S"(from), "+c"(words)
            : "r"(count)
            : "cc", "memory");
}

// The value, in a way that keeps the compiler from knowing which it is.
X86_INLINE uintptr_t x86_hide(uintptr_t value) { X86_ASM("" : "+r"(value)); return value; }

// Registers that a report wants.
X86_INLINE uintptr_t x86_frame_pointer(void) { return (uintptr_t)__builtin_frame_address(0); }
X86_INLINE uintptr_t x86_stack_pointer(void) { uintptr_t v = 0; X86_ASM("movq %%rsp, %0" : "=r"(v)); return v; }

// The registers that a called function gives back as they were, for who looks for addresses in them.
X86_INLINE void x86_store_saved_registers(void *to) {
    X86_ASM("movq %%rbx, 0(%0); movq %%rbp, 8(%0); movq %%r12, 16(%0); movq %%r13, 24(%0); movq %%r14, 32(%0); "
            "movq %%r15, 40(%0)" ::"r"(to)
            : "memory");
}
// Has the compiler think that this memory is read here.
X86_INLINE void x86_keep(const void *memory) { X86_ASM("" ::"r"(memory) : "memory"); }

// Memory as a program sees it: never optimised away, moved or merged. What memtest, self tests and crash tests touch with.
X86_INLINE uint8_t x86_load8(uintptr_t address) { return *(volatile uint8_t *)address; }
X86_INLINE void x86_store8(uintptr_t address, uint8_t value) { *(volatile uint8_t *)address = value; }
X86_INLINE uint32_t x86_load32(uintptr_t address) { return *(volatile uint32_t *)address; }
X86_INLINE void x86_store32(uintptr_t address, uint32_t value) { *(volatile uint32_t *)address = value; }
X86_INLINE uint64_t x86_load64(uintptr_t address) { return *(volatile uint64_t *)address; }
X86_INLINE void x86_store64(uintptr_t address, uint64_t value) { *(volatile uint64_t *)address = value; }
// Not a call in C, which may take for granted that nobody calls address 0.
X86_INLINE void x86_call(uintptr_t address) {
    X86_ASM("call *%0" ::"r"(address)
            : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "cc", "memory");
}
// The same of a function that returns a number.
X86_INLINE uint32_t x86_call_value(uintptr_t address) {
    uint32_t value = 0;
    X86_ASM("call *%1" : "=&a"(value)
            : "r"(address)
            : "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "cc", "memory");
    return value;
}

// A load by way of the frame pointer, which is one of the stack segment: #SS where the address is not canonical. The frame
// pointer is the caller's again only afterwards, so that no backtrace gets past a fault here.
X86_INLINE void x86_load_beside_frame(uintptr_t address) {
    X86_ASM("pushq %%rbp; movq %0, %%rbp; movb (%%rbp), %%al; popq %%rbp" ::"r"(address) : "rax", "memory");
}

// What linker.ld and boot/ define.
#define X86_ADDRESS_OF(name, symbol) \
    extern char symbol[]; \
    X86_INLINE uintptr_t name(void) { return (uintptr_t)symbol; }

X86_ADDRESS_OF(image_load_start_address, image_load_start)
X86_ADDRESS_OF(image_load_end_address, image_load_end)
X86_ADDRESS_OF(image_boot_start_address, boot_start)
X86_ADDRESS_OF(image_boot_end_address, boot_end)
X86_ADDRESS_OF(boot_pml4_in_image_address, boot_pml4_in_image)
X86_ADDRESS_OF(boot_pdpt_low_in_image_address, boot_pdpt_low_in_image)
X86_ADDRESS_OF(boot_pdpt_drawn_in_image_address, boot_pdpt_drawn_in_image)
X86_ADDRESS_OF(image_text_start_address, image_text_start)
X86_ADDRESS_OF(image_text_end_address, image_text_end)
X86_ADDRESS_OF(image_rodata_start_address, image_rodata_start)
X86_ADDRESS_OF(image_rodata_end_address, image_rodata_end)
X86_ADDRESS_OF(image_data_start_address, image_data_start)
X86_ADDRESS_OF(image_bss_start_address, image_bss_start)
X86_ADDRESS_OF(image_data_end_address, image_data_end)
X86_ADDRESS_OF(image_sealed_start_address, image_sealed_start)
X86_ADDRESS_OF(image_sealed_end_address, image_sealed_end)

X86_ADDRESS_OF(boot_stack_guard_address, boot_stack_guard)
X86_ADDRESS_OF(boot_stack_end_address, boot_stack_end)
X86_ADDRESS_OF(double_fault_stack_guard_address, double_fault_stack_guard)
X86_ADDRESS_OF(double_fault_stack_end_address, double_fault_stack_end)
X86_ADDRESS_OF(page_fault_stack_guard_address, page_fault_stack_guard)
X86_ADDRESS_OF(page_fault_stack_end_address, page_fault_stack_end)
X86_ADDRESS_OF(nmi_stack_guard_address, nmi_stack_guard)
X86_ADDRESS_OF(nmi_stack_end_address, nmi_stack_end)
X86_ADDRESS_OF(machine_check_stack_guard_address, machine_check_stack_guard)
X86_ADDRESS_OF(machine_check_stack_end_address, machine_check_stack_end)
X86_ADDRESS_OF(interrupt_stack_guard_address, interrupt_stack_guard)
X86_ADDRESS_OF(interrupt_stack_end_address, interrupt_stack_end)
X86_ADDRESS_OF(stacks_end_guard_address, stacks_end_guard)

X86_ADDRESS_OF(stack_protector_canary_address, __stack_chk_guard)

X86_ADDRESS_OF(descriptor_gdt_address, descriptor_gdt)
X86_ADDRESS_OF(descriptor_tss_address, descriptor_tss)
X86_ADDRESS_OF(descriptor_idt_address, descriptor_idt)
X86_ADDRESS_OF(exception_stubs_address, exception_stubs)
X86_ADDRESS_OF(interrupt_stubs_address, interrupt_stubs)

X86_ADDRESS_OF(direct_map_base_address, direct_map_base)
X86_ADDRESS_OF(vmalloc_base_address, vmalloc_base)
X86_ADDRESS_OF(frame_table_base_address, frame_table_base)
X86_ADDRESS_OF(object_alias_base_address, object_alias_base)
X86_ADDRESS_OF(debugger_layout_count_address, debugger_layout_count)
X86_ADDRESS_OF(debugger_layout_address, debugger_layout)
X86_ADDRESS_OF(debugger_layout_end_address, debugger_layout_end)

// boot/log.S.
X86_ADDRESS_OF(log_ring_address, log_ring)
X86_ADDRESS_OF(log_ring_memory_end_address, log_ring_memory_end)
X86_ADDRESS_OF(log_ring_start_address, log_ring_start)
X86_ADDRESS_OF(log_ring_end_address, log_ring_end)

X86_ADDRESS_OF(symbol_table_count_address, symbol_table_count)
X86_ADDRESS_OF(symbol_table_addresses_address, symbol_table_addresses)
X86_ADDRESS_OF(symbol_table_names_address, symbol_table_names)
X86_ADDRESS_OF(symbol_table_strings_address, symbol_table_strings)

// boot/probe.S: accesses that may fault, and their instructions.
bool probe_load(uintptr_t address, uint64_t *value);
bool probe_store(uintptr_t address, uint64_t value);
bool probe_fetch(uintptr_t address);
X86_ADDRESS_OF(probe_load_access_address, probe_load_access)
X86_ADDRESS_OF(probe_store_access_address, probe_store_access)
X86_ADDRESS_OF(probe_fetch_return_address, probe_fetch_return)
X86_ADDRESS_OF(probe_failed_address, probe_failed)

// boot/interrupts.S: runs body(argument) on the stack that ends at top, and comes back.
void switch_stack(uintptr_t top, void (*body)(uintptr_t), uintptr_t argument);
