// The Multiboot 1 header (Multiboot Specification 0.6.96, 3.1.1). QEMU's -kernel takes it from the 32-bit ELF, GRUB from
// the 64-bit one; both load by the ELF program headers, so that the address fields are not needed.

        .set MULTIBOOT_HEADER_MAGIC, 0x1badb002
        .set ALIGN_MODULES, 1 << 0
        .set WANT_MEMORY_INFORMATION, 1 << 1
        .set HEADER_FLAGS, ALIGN_MODULES | WANT_MEMORY_INFORMATION

        .section .multiboot, "a"
        .balign 4
        .long MULTIBOOT_HEADER_MAGIC
        .long HEADER_FLAGS
        .long -(MULTIBOOT_HEADER_MAGIC + HEADER_FLAGS)
