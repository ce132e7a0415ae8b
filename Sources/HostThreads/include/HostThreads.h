// Thread-local storage for the simulated machine: which machine, and which of its CPUs, this host thread is.
#pragma once

extern _Thread_local void *host_thread_machine;
extern _Thread_local long host_thread_cpu;

static inline void *host_thread_get_machine(void) { return host_thread_machine; }
static inline void host_thread_set_machine(void *machine) { host_thread_machine = machine; }
static inline long host_thread_get_cpu(void) { return host_thread_cpu; }
static inline void host_thread_set_cpu(long cpu) { host_thread_cpu = cpu; }
