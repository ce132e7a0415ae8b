#include "HostThreads.h"

_Thread_local void *host_thread_machine = 0;
_Thread_local long host_thread_cpu = 0;
