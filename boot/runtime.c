// What the Embedded Swift runtime asks of libc, handed to Swift. In C because Swift may not define `free`.

#include <stddef.h>
#include <stdint.h>

void *swift_runtime_allocate(size_t size, size_t alignment);
void swift_runtime_free(void *object);
void swift_runtime_fill_random(void *buffer, size_t size);

// A kernel that has none of its own says nothing, and ends where the stack is damaged as at any other trap: with ud2.
__attribute__((weak)) void swift_runtime_put(int byte) { (void)byte; }
__attribute__((weak)) _Noreturn void swift_runtime_stack_damaged(void) { __builtin_trap(); }

int posix_memalign(void **result, size_t alignment, size_t size) {
    *result = swift_runtime_allocate(size, alignment);
    return 0;                           // swift_runtime_allocate does not return without memory
}

void free(void *object) { swift_runtime_free(object); }

// What a -Onone runtime says before it traps.
int putchar(int byte) {
    swift_runtime_put(byte);
    return byte;
}

void arc4random_buf(void *buffer, size_t size) { swift_runtime_fill_random(buffer, size); }

// The compiler's stack protector found its canary overwritten.
_Noreturn void __stack_chk_fail(void) { swift_runtime_stack_damaged(); }
