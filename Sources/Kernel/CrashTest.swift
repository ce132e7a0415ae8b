import BootMemory
import KernelMemory
import MemoryPrimitives
import PageFrames
import Slab
import VirtualMemory
import X86

/// Ways to end the kernel on purpose, one a boot: `crash=NAME`. Each must end in the report and with the exit code that
/// docs/boot.md promises; Tests/BootTests holds the kernel to it.
enum CrashTest: UInt8 {
    case stackOverflow, stackOverflowOfBootStack, constantsWrite, sealedWrite, codeWrite, codeAliasWrite, executeData,
        executeHeap,
        null, executeNull, guardPage, useAfterVfree, doubleKfree, wildKfree, interiorKfree, doubleFreePages,
        doubleVfree,
        swiftTrap, outOfMemory, doubleFault, wildAccess, generalProtection, breakpoint, divide, userPageAccess,
        userPageExecution, panic, writeAfterFree, overrun, exhaustAtomic, waitInAtomicContext, waitInHandler,
        guardedOverflow, guardedUnderflow, guardedUseAfterFree, guardedDoubleFree, guardedInteriorFree,
        guardedCorruption, objectOverflow, objectUnderflow, objectWriteAfterFree, objectReadAfterFree, pageKfree,
        crossCacheFree,
        kmallocExhaustion,
        kernelStackOverflow, pageFaultStackOverflow, doubleFaultStackOverflow, interruptStackOverflow,
        machineCheckStackOverflow, stackGuardLeading, stackGuardTrailing, stackGuardForeign, corruptStack,
        bootStackCanary, stackCanary, nestedFault, stackReserveEmpty, overflowInFaultLock, overflowInRangesLock,
        overflowInTablesLock, overflowInCacheLock, overflowInFrameCacheLock, overflowInZoneLock

    init?(named word: Word) {
        // Not allCases, which makes an array: there is no memory for one yet.
        var number: UInt8 = 0
        while let crash = Self(rawValue: number) {
            if word.hasValue(crash.name) {
                self = crash
                return
            }
            number += 1
        }
        return nil
    }

    var name: StaticString {
        switch self {
        case .stackOverflow: "stack-overflow"
        case .stackOverflowOfBootStack: "boot-stack-overflow"
        case .constantsWrite: "rodata-write"
        case .sealedWrite: "sealed-write"
        case .codeWrite: "text-write"
        case .codeAliasWrite: "text-alias-write"
        case .executeData: "exec-data"
        case .executeHeap: "exec-heap"
        case .null: "null"
        case .executeNull: "exec-null"
        case .guardPage: "guard-page"
        case .useAfterVfree: "use-after-vfree"
        case .doubleKfree: "double-kfree"
        case .wildKfree: "wild-kfree"
        case .interiorKfree: "interior-kfree"
        case .doubleFreePages: "double-free-pages"
        case .doubleVfree: "double-vfree"
        case .swiftTrap: "swift-trap"
        case .outOfMemory: "out-of-memory"
        case .doubleFault: "double-fault"
        case .wildAccess: "wild-access"
        case .generalProtection: "general-protection"
        case .breakpoint: "breakpoint"
        case .divide: "divide"
        case .userPageAccess: "smap"
        case .userPageExecution: "smep"
        case .panic: "panic"
        case .writeAfterFree: "write-after-free"
        case .overrun: "overrun"
        case .exhaustAtomic: "exhaust-atomic"
        case .waitInAtomicContext: "wait-in-atomic"
        case .waitInHandler: "wait-in-handler"
        case .guardedOverflow: "kfence-overflow"
        case .guardedUnderflow: "kfence-underflow"
        case .guardedUseAfterFree: "kfence-uaf"
        case .guardedDoubleFree: "kfence-double-free"
        case .guardedInteriorFree: "kfence-invalid-free"
        case .guardedCorruption: "kfence-corruption"
        case .objectOverflow: "slab-overflow"
        case .objectUnderflow: "slab-underflow"
        case .objectWriteAfterFree: "slab-write-after-free"
        case .objectReadAfterFree: "slab-read-after-free"
        case .pageKfree: "slab-free-page"
        case .crossCacheFree: "slab-wrong-cache"
        case .kmallocExhaustion: "slab-exhaustion"
        case .kernelStackOverflow: "kernel-stack-overflow"
        case .pageFaultStackOverflow: "page-fault-stack-overflow"
        case .doubleFaultStackOverflow: "double-fault-stack-overflow"
        case .interruptStackOverflow: "nmi-stack-overflow"
        case .machineCheckStackOverflow: "machine-check-stack-overflow"
        case .stackGuardLeading: "stack-guard-leading"
        case .stackGuardTrailing: "stack-guard-trailing"
        case .stackGuardForeign: "stack-guard-foreign"
        case .corruptStack: "corrupt-stack"
        case .bootStackCanary: "boot-stack-canary"
        case .stackCanary: "stack-canary"
        case .nestedFault: "nested-fault"
        case .stackReserveEmpty: "stack-reserve-empty"
        case .overflowInFaultLock: "stack-overflow-fault-lock"
        case .overflowInRangesLock: "stack-overflow-ranges-lock"
        case .overflowInTablesLock: "stack-overflow-tables-lock"
        case .overflowInCacheLock: "stack-overflow-cache-lock"
        case .overflowInFrameCacheLock: "stack-overflow-frame-cache-lock"
        case .overflowInZoneLock: "stack-overflow-zone-lock"
        }
    }

    func run() -> Never {
        Log.warning("crash test: \(name)")
        act()
        FatalReport.panic("the crash test \(name) did not end the kernel", .selfTestsFailed)
    }

    @inline(never)
    private func act() {
        switch self {
        case .stackOverflow, .stackOverflowOfBootStack: _ = Self.recurse(1)
        case .constantsWrite: x86_store8(image_rodata_start_address(), 0)
        case .sealedWrite: x86_store8(descriptor_idt_address(), 0)
        case .codeWrite: x86_store8(image_text_start_address(), 0xc3)
        case .codeAliasWrite: x86_store8(Self.aliasOfCode, 0xc3)
        case .executeData: Self.execute(at: nmi_stack_end_address() - 64)
        case .null: x86_store8(8, 1)
        case .executeNull: x86_call(0)
        case .swiftTrap: Self.overflow(.max)
        case .doubleFault: x86_raise_double_fault()
        case .wildAccess: _ = x86_load8(AddressSpaceLayout.x86FourLevel.areas.end.rawValue - 0x1234)
        case .generalProtection: _ = x86_load8(0x8000_0000_0000_0000)
        case .breakpoint: x86_breakpoint()
        case .divide: x86_divide_by_zero()
        case .panic: FatalReport.panic("asked to")
        default:
            guard let memory = unsafe Quarry.memory else { return }
            act(on: memory)
        }
    }

    private func act(on memory: Permanent<KernelMemory<X86Platform>>) {
        switch self {
        case .executeHeap: Self.executeHeap(memory)
        case .guardPage: Self.touchGuardPage(memory)
        case .useAfterVfree: Self.useAfterVfree(memory)
        case .doubleKfree: Self.doubleKfree(memory)
        case .wildKfree:
            unsafe memory.value.kmalloc.value.free(UnsafeMutableRawPointer(bitPattern: 0xffff_8880_000f_0000 as UInt))
        case .interiorKfree: Self.interiorKfree(memory)
        case .doubleFreePages: Self.doubleFreePages(memory)
        case .doubleVfree: Self.doubleVfree(memory)
        case .writeAfterFree: Self.writeAfterFree(memory)
        case .overrun: Self.overrun(memory)
        case .exhaustAtomic: Self.exhaustAtomic(memory)
        case .waitInAtomicContext: Self.waitInAtomicContext(memory)
        case .waitInHandler: Self.waitInHandler()
        case .guardedOverflow, .guardedUnderflow, .guardedUseAfterFree, .guardedDoubleFree, .guardedInteriorFree,
            .guardedCorruption:
            misuseGuardedObject(memory)
        case .objectOverflow: Self.writeBeyondObject(memory, at: 64)
        case .objectUnderflow: Self.writeBeyondObject(memory, at: -1)
        case .objectWriteAfterFree: Self.writeToFreeObject(memory)
        case .objectReadAfterFree: Self.readFreeObject(memory)
        case .pageKfree: Self.kfreePage(memory)
        case .crossCacheFree: Self.freeToAnotherCache(memory)
        case .kmallocExhaustion: Self.exhaustKmalloc(memory)
        case .outOfMemory: Self.exhaustWithObjects()
        case .userPageAccess: Self.touchUserPage(memory, byExecuting: false)
        case .userPageExecution: Self.touchUserPage(memory, byExecuting: true)
        default: misuseStack(memory)
        }
    }
}
