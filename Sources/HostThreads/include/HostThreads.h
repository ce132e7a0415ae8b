// Thread-local storage for the simulated machine: which machine, and which of its CPUs, this host thread is, and how
// often its interrupts were disabled.
#pragma once

extern _Thread_local void *host_thread_machine;
extern _Thread_local long host_thread_cpu;
extern _Thread_local long host_thread_interrupt_depth;

static inline void *host_thread_get_machine(void) { return host_thread_machine; }
static inline void host_thread_set_machine(void *machine) { host_thread_machine = machine; }
static inline long host_thread_get_cpu(void) { return host_thread_cpu; }
static inline void host_thread_set_cpu(long cpu) { host_thread_cpu = cpu; }
static inline long host_thread_get_interrupt_depth(void) { return host_thread_interrupt_depth; }
static inline void host_thread_set_interrupt_depth(long depth) { host_thread_interrupt_depth = depth; }

void host_thread_yield(void);
