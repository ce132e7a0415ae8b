// What the workloads need from the host besides Swift: memory, a clock, exit, valgrind's counter, and a way to hide a
// value from the optimiser.

#pragma once

#include <stdint.h>

// Memory of its own, aligned, every page of it touched; address 0 where the host has none.
uintptr_t host_map(uintptr_t byte_count, uintptr_t alignment);
void host_unmap(uintptr_t address, uintptr_t byte_count);

uint64_t host_nanoseconds(void);
_Noreturn void host_exit(int status);

// Counting under `valgrind --tool=callgrind --instr-atstart=no`: what runs between start and stop is dumped under the
// label. Elsewhere these do nothing. The label ends with NUL.
int host_counts(void);
void host_count_start(void);
void host_count_stop(const uint8_t *label);

// The value, in a way that keeps the compiler from knowing which it is or that nobody looks at it.
static inline __attribute__((always_inline)) uintptr_t host_hide(uintptr_t value) {
    __asm__ volatile("" : "+r"(value)::"memory");
    return value;
}
