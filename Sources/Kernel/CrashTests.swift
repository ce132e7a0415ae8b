import KernelMemory
import MemoryPrimitives
import X86

/// Ways to end the kernel on purpose, one a boot: `crash=NAME`. Each must end in the report and with the exit code that
/// docs/boot.md promises; Tests/BootTests holds the kernel to it.
enum CrashTests {
    struct Crash {
        var name: StaticString
        var run: @convention(thin) () -> Void
    }

    static let count = 17

    static func crash(_ index: Int) -> (name: StaticString, run: () -> Void) {
        switch index {
        case 0: ("stack-overflow", stackOverflow)
        case 1: ("rodata-write", { x86_store8(image_rodata_start_address(), 0) })
        case 2: ("text-write", { x86_store8(image_text_start_address(), 0) })
        case 3: ("text-alias-write", textAliasWrite)
        case 4: ("exec-data", executeData)
        case 5: ("null", { x86_store8(8, 1) })
        case 6: ("exec-null", { x86_call(0) })
        case 7: ("guard-page", guardPage)
        case 8: ("use-after-vfree", useAfterVfree)
        case 9: ("double-kfree", doubleKfree)
        case 10: ("wild-kfree", wildKfree)
        case 11: ("double-free-pages", doubleFreePages)
        case 12: ("swift-trap", swiftTrap)
        case 13: ("out-of-memory", outOfMemory)
        case 14: ("double-fault", doubleFault)
        case 15: ("wild-access", { _ = x86_load8(0xffff_c97f_1234_5678) })
        default: ("general-protection", { _ = x86_load8(0x8000_0000_0000_0000) })
        }
    }
}
