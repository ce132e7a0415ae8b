// What the workloads need from the host besides Swift: memory, a clock, exit, valgrind's counter, threads, and a way to
// hide a value from the optimiser.

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

// Threads, each of them a CPU of a machine: which one, its interrupt flag, and how many locks it holds.
extern _Thread_local intptr_t host_thread_cpu;
extern _Thread_local uintptr_t host_thread_interrupts;
extern _Thread_local uintptr_t host_thread_depth;

static inline intptr_t host_thread_get_cpu(void) { return host_thread_cpu; }
static inline uintptr_t host_thread_get_interrupts(void) { return host_thread_interrupts; }
static inline void host_thread_set_interrupts(uintptr_t flag) { host_thread_interrupts = flag; }
static inline uintptr_t host_thread_get_depth(void) { return host_thread_depth; }
static inline void host_thread_set_depth(uintptr_t depth) { host_thread_depth = depth; }

// Runs both functions at once, the first on CPU 0 and the second on CPU 1, and waits for both. 0 where that succeeds.
int host_run_two(void (*first)(void *context), void (*second)(void *context), void *context);

// In a loop that waits for another thread, which may have to be given a processor first.
void host_relax(void);

// A number that two threads share: what was written before the store is seen after the load.
static inline uintptr_t host_load_acquire(const uintptr_t *place) { return __atomic_load_n(place, __ATOMIC_ACQUIRE); }
static inline void host_store_release(uintptr_t *place, uintptr_t value) {
    __atomic_store_n(place, value, __ATOMIC_RELEASE);
}
