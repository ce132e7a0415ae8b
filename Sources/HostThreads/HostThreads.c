#include "HostThreads.h"

#include <sched.h>

_Thread_local void *host_thread_machine = 0;
_Thread_local long host_thread_cpu = 0;
_Thread_local long host_thread_interrupt_depth = 0;

void host_thread_yield(void) { sched_yield(); }
