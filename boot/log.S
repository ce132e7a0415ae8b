// The last of what was logged, for `dmesg` and for a debugger: Sources/Kernel/LogRing.swift writes it.
//
// `log_ring` is 64 KiB of text, lines that end with a line feed. `log_ring_end` counts all bytes that were ever written,
// and `log_ring_start` those that are gone: byte n of the log, start <= n < end, lies at log_ring + n % 65536, and byte
// `log_ring_start` begins a line.

        .section .bss.log_ring, "aw", @nobits
        .balign 4096
        .globl log_ring, log_ring_memory_end, log_ring_start, log_ring_end
        .type log_ring, @object
log_ring:
        .skip 65536
log_ring_memory_end:
        .size log_ring, 65536
        .type log_ring_start, @object
log_ring_start:
        .skip 8
        .size log_ring_start, 8
        .type log_ring_end, @object
log_ring_end:
        .skip 8
        .size log_ring_end, 8
