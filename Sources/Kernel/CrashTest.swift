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
        kmallocExhaustion, nullRead, stackSegment, wildCall, constantsAliasWrite, executeConstants, executeStack,
        executeVmalloc,
        executeCodeAlias, userPageRead, areaOverflow, writeAfterVfree, useAfterVunmap, unalignedVfree, interiorVfree,
        wildVfree, vfreeOfStack, vunmapOfVmalloc, readOnlyMapWrite, setReadOnlyWrite, setExecutableWrite,
        setExecutableAliasWrite, writableCode, deviceOfMemory, devicePages,
        kernelStackOverflow, pageFaultStackOverflow, doubleFaultStackOverflow, interruptStackOverflow,
        machineCheckStackOverflow, stackGuardLeading, stackGuardTrailing, stackGuardForeign, stackUnderflow,
        corruptStack,
        bootStackCanary, stackCanary, nestedFault, stackReserveEmpty, overflowInFaultLock, overflowInRangesLock,
        overflowInTablesLock, overflowInCacheLock, overflowInFrameCacheLock, overflowInZoneLock,
        deviceInterruptStackOverflow

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
        case .nullRead: "null-read"
        case .stackSegment: "stack-segment"
        case .wildCall: "wild-call"
        case .constantsAliasWrite: "rodata-alias-write"
        case .executeConstants: "exec-rodata"
        case .executeStack: "exec-stack"
        case .executeVmalloc: "exec-vmalloc"
        case .executeCodeAlias: "exec-text-alias"
        case .userPageRead: "smap-read"
        case .areaOverflow: "vmalloc-linear-overflow"
        case .writeAfterVfree: "write-after-vfree"
        case .useAfterVunmap: "use-after-vunmap"
        case .unalignedVfree: "unaligned-vfree"
        case .interiorVfree: "interior-vfree"
        case .wildVfree: "wild-vfree"
        case .vfreeOfStack: "vfree-of-stack"
        case .vunmapOfVmalloc: "vunmap-of-vmalloc"
        case .readOnlyMapWrite: "vmap-ro-write"
        case .setReadOnlyWrite: "set-memory-ro-write"
        case .setExecutableWrite: "set-memory-x-write"
        case .setExecutableAliasWrite: "set-memory-x-alias-write"
        case .writableCode: "writable-code"
        case .deviceOfMemory: "ioremap-ram"
        case .devicePages: "device-pages"
        case .kernelStackOverflow: "kernel-stack-overflow"
        case .pageFaultStackOverflow: "page-fault-stack-overflow"
        case .doubleFaultStackOverflow: "double-fault-stack-overflow"
        case .interruptStackOverflow: "nmi-stack-overflow"
        case .machineCheckStackOverflow: "machine-check-stack-overflow"
        case .deviceInterruptStackOverflow: "interrupt-stack-overflow"
        case .stackGuardLeading: "stack-guard-leading"
        case .stackGuardTrailing: "stack-guard-trailing"
        case .stackGuardForeign: "stack-guard-foreign"
        case .stackUnderflow: "stack-underflow"
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
        case .nullRead: _ = x86_load8(0)
        case .stackSegment: x86_load_beside_frame(0x8000_0000_0000_0000)
        case .wildCall: x86_call(0x8000_0000_0000_0000)
        case .constantsAliasWrite: x86_store8(Self.alias(of: image_rodata_start_address()), 0)
        case .executeConstants: x86_call(image_rodata_start_address())
        case .executeStack: Self.execute(at: x86_stack_pointer() - 256)
        case .executeCodeAlias: x86_call(Self.aliasOfCode)
        case .executeNull: x86_call(0)
        case .swiftTrap: Self.overflow(.max)
        case .doubleFault: x86_raise_double_fault()
        case .wildAccess: _ = x86_load8(KernelLayout.current.areas.end.rawValue - 0x1234)
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
            unsafe memory.value.kmalloc.value.free(
                UnsafeMutableRawPointer(bitPattern: memory.value.directMap.base &+ 0xf_0000))
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
        case .deviceOfMemory: Self.mapMemoryAsDevice(memory)
        case .devicePages: Self.showDevicePages(memory)
        case .outOfMemory: Self.exhaustWithObjects()
        case .userPageRead: Self.touchUserPage(memory, .read)
        case .userPageAccess: Self.touchUserPage(memory, .write)
        case .userPageExecution: Self.touchUserPage(memory, .execute)
        default: misuseArea(memory)
        }
    }
}
