#define _GNU_SOURCE
#include "HostSupport.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#define CALLGRIND_START_INSTRUMENTATION
#define CALLGRIND_STOP_INSTRUMENTATION
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_DUMP_STATS_AT(label) (void)(label)
#endif

uintptr_t host_map(uintptr_t byte_count, uintptr_t alignment) {
    uintptr_t slack = byte_count + alignment;
    void *mapping = mmap(0, slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED) return 0;
    uintptr_t base = (uintptr_t)mapping, start = (base + alignment - 1) & ~(alignment - 1);
    if (start > base) munmap(mapping, start - base);
    if (base + slack > start + byte_count)
        munmap((void *)(start + byte_count), base + slack - start - byte_count);
    for (uintptr_t page = start; page < start + byte_count; page += 4096) *(volatile char *)page = 0;
    return start;
}

void host_unmap(uintptr_t address, uintptr_t byte_count) { munmap((void *)address, byte_count); }

uint64_t host_nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void host_exit(int status) { exit(status); }

int host_counts(void) { return RUNNING_ON_VALGRIND != 0; }

void host_count_start(void) {
    CALLGRIND_START_INSTRUMENTATION;
    CALLGRIND_ZERO_STATS;
}

void host_count_stop(const uint8_t *label) {
    CALLGRIND_DUMP_STATS_AT((const char *)label);
    CALLGRIND_STOP_INSTRUMENTATION;
}

_Thread_local intptr_t host_thread_cpu = 0;
_Thread_local uintptr_t host_thread_interrupts = 1;
_Thread_local uintptr_t host_thread_depth = 0;

struct host_thread_start {
    void (*body)(void *context);
    void *context;
};

static void *host_thread_main(void *argument) {
    struct host_thread_start *start = argument;
    host_thread_cpu = 1;
    start->body(start->context);
    return 0;
}

int host_run_two(void (*first)(void *context), void (*second)(void *context), void *context) {
    struct host_thread_start start = {second, context};
    pthread_t thread;
    int error = pthread_create(&thread, 0, host_thread_main, &start);
    if (error) return error;
    first(context);
    return pthread_join(thread, 0);
}

void host_relax(void) {
    static _Thread_local unsigned count = 0;
    if (++count % 64 == 0) sched_yield();
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}
