import KernelMemory
import MemoryPrimitives
import PageFrames
import Paging
import VirtualMemory
import X86

// Ends that misuse of areas and of permissions brings about: what Linux's LKDTM has of them, and vfree's bad addresses.
extension CrashTest {
    private static var page: UInt { PageSize.byteCount }

    @inline(never)
    func misuseArea(_ memory: Memory) {
        switch self {
        case .executeVmalloc, .areaOverflow, .writeAfterVfree: Self.accessArea(memory, self)
        case .unalignedVfree, .interiorVfree, .wildVfree, .vfreeOfStack, .vunmapOfVmalloc:
            Self.freeWrongly(memory, self)
        case .useAfterVunmap, .readOnlyMapWrite: Self.misuseMap(memory, self)
        case .setReadOnlyWrite, .setExecutableWrite, .setExecutableAliasWrite, .writableCode:
            Self.changePermissions(memory, self)
        default: misuseStack(memory)
        }
    }

    @inline(never)
    private static func accessArea(_ memory: Memory, _ crash: CrashTest) {
        let vmalloc = memory.value.vmalloc
        guard let first = vmalloc.value.allocate(page, name: "first"),
            let second = vmalloc.value.allocate(page, name: "second")
        else { return }
        switch crash {
        case .executeVmalloc: execute(at: first.rawValue)
        case .areaOverflow:
            // From the lower one on upwards, as memset does it: the byte behind its end must be the last.
            x86_store8(second.rawValue, 0)
            var address = min(first, second).rawValue
            let end = address + 3 * page
            while address < end {
                x86_store8(address, 0xaa)
                address += 1
            }
        default:
            x86_store8(first.rawValue + 5, 1)
            vmalloc.value.free(first)
            x86_store8(first.rawValue + 5, 2)
        }
    }

    @inline(never)
    private static func freeWrongly(_ memory: Memory, _ crash: CrashTest) {
        let vmalloc = memory.value.vmalloc
        guard let area = vmalloc.value.allocate(3 * page, name: "crash test") else { return }
        switch crash {
        case .unalignedVfree: vmalloc.value.vfree(area + 8)
        case .interiorVfree: vmalloc.value.vfree(area + page)
        case .wildVfree: vmalloc.value.vfree(vmalloc.value.ranges.space.end - (1 << 30))
        case .vunmapOfVmalloc: vmalloc.value.vunmap(area)
        default:
            guard let stack = KernelStack<X86Platform>(name: "crash test", from: memory.value.stacks) else { return }
            vmalloc.value.vfree(stack.limit)
        }
    }

    @inline(never)
    private static func misuseMap(_ memory: Memory, _ crash: CrashTest) {
        guard var frame = memory.value.frames.value.allocate(order: 0, flags: .kernel) else { return }
        let permissions: PagePermissions = crash == .readOnlyMapWrite ? .readOnly : .readWrite
        let address = unsafe withUnsafePointer(to: &frame) { frame in
            // One frame, which nobody changes meanwhile.
            unsafe memory.value.vmalloc.value.vmap(UnsafeBufferPointer(start: frame, count: 1), permissions)
        }
        guard let address else { return }
        _ = x86_load8(address.rawValue)
        if crash == .useAfterVunmap { memory.value.vmalloc.value.vunmap(address) }
        x86_store8(address.rawValue + 3, 1)
    }

    @inline(never)
    private static func changePermissions(_ memory: Memory, _ crash: CrashTest) {
        let vmalloc = memory.value.vmalloc
        guard let area = vmalloc.value.allocate(page, populate: true, name: "crash test"),
            let frame = vmalloc.value.vmalloc_to_page(area)
        else { return }
        putReturn(at: area.rawValue)
        let alias = memory.value.directMap.virtualAddress(of: frame.address).rawValue
        do throws(PagingError) {
            try memory.value.set_memory_ro(area.rawValue, 1)
            if crash == .setReadOnlyWrite { return x86_store8(area.rawValue + 9, 1) }
            try memory.value.set_memory_x(area.rawValue, 1)
            x86_call(area.rawValue)
        } catch { return }
        switch crash {
        case .setExecutableWrite: x86_store8(area.rawValue, 0xcc)
        case .setExecutableAliasWrite: x86_store8(alias, 0xcc)
        default:
            Self.askForWritableCode(memory, area, frame)
            x86_store8(area.rawValue, 0xcc)
        }
    }

    /// Asks for pages that are writable and executable in each way that there is, of which each must be refused.
    @inline(never)
    private static func askForWritableCode(_ memory: Memory, _ code: VirtualAddress, _ frame: PageFrameNumber) {
        func isRefused(_ body: () throws(PagingError) -> Void) -> Bool {
            do throws(PagingError) {
                try body()
                return false
            } catch { return error == .writableAndExecutable }
        }
        guard let data = memory.value.vmalloc.value.allocate(page, populate: true, name: "data") else { return }
        let isCodeKept = isRefused { () throws(PagingError) in try memory.value.set_memory_rw(code.rawValue, 1) }
        let isDataKept = isRefused { () throws(PagingError) in try memory.value.set_memory_x(data.rawValue, 1) }
        var frame = frame
        let mapped = unsafe withUnsafePointer(to: &frame) { frame in
            // One frame, which nobody changes meanwhile.
            unsafe memory.value.vmalloc.value.vmap(
                UnsafeBufferPointer(start: frame, count: 1), .readWrite.union(.execute))
        }
        Log.info(
            """
            writable code is refused: set_memory_rw \(isCodeKept), set_memory_x \(isDataKept), vmap \(mapped == nil)
            """)
    }

    /// Puts a return instruction at `address`.
    private static func putReturn(at address: UInt) { x86_store8(address, 0xc3) }

    enum UserPageAccess { case read, write, execute }

    /// A page that user code may touch, and the kernel only where the CPU has no SMAP or SMEP.
    @inline(never)
    static func touchUserPage(_ memory: Memory, _ access: UserPageAccess) {
        guard let frame = memory.value.frames.value.allocate(order: 0, flags: .zero) else { return }
        let address = VirtualAddress(0x40_0000)
        putReturn(at: memory.value.directMap.virtualAddress(of: frame.address).rawValue)
        var source = BuddyTableSource<X86Platform>(frames: memory.value.frames)
        do throws(PagingError) {
            try memory.value.pageTables.value.map(
                address, to: frame.address,
                permissions: access == .execute ? .read | .execute | .user : .read | .write | .user,
                using: &source)
        } catch { return }
        switch access {
        case .read: _ = x86_load8(address.rawValue)
        case .write: x86_store8(address.rawValue, 1)
        case .execute: x86_call(address.rawValue)
        }
        let feature: StaticString = access == .execute ? "SMEP" : "SMAP"
        FatalReport.panic("the access went through: without \(feature) user memory is the kernel's to use")
    }
}
