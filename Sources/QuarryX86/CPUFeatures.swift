import Paging
import X86

/// What this CPU offers, of what memory management cares about (Intel SDM vol. 2, CPUID).
public struct CPUFeatures {
    public var noExecute: Bool
    public var gigabytePages: Bool
    public var globalPages: Bool
    public var supervisorExecutionPrevention: Bool
    public var supervisorAccessPrevention: Bool
    public var userInstructionPrevention: Bool
    public var fiveLevelPaging: Bool
    /// Tables have five levels, as boot/entry.S has chosen before paging was on.
    public var usesFiveLevels: Bool
    public var randomNumbers: Bool
    /// `rep stos` moves large pieces (ERMS).
    public var fastStringStores: Bool
    public var physicalAddressBits: UInt

    public static func detect() -> CPUFeatures {
        let basic = x86_cpuid(0, 0).eax
        let one = x86_cpuid(1, 0)
        let seven = basic >= 7 ? x86_cpuid(7, 0) : x86_cpuid_result(eax: 0, ebx: 0, ecx: 0, edx: 0)
        let extended = x86_cpuid(0x8000_0000, 0).eax
        let extendedOne = x86_cpuid(0x8000_0001, 0)
        let bits = extended >= 0x8000_0008 ? UInt(x86_cpuid(0x8000_0008, 0).eax & 0xff) : 36
        return CPUFeatures(
            noExecute: extendedOne.edx >> 20 & 1 != 0,
            gigabytePages: extendedOne.edx >> 26 & 1 != 0,
            globalPages: one.edx >> 13 & 1 != 0,
            supervisorExecutionPrevention: seven.ebx >> 7 & 1 != 0,
            supervisorAccessPrevention: seven.ebx >> 20 & 1 != 0,
            userInstructionPrevention: seven.ecx >> 2 & 1 != 0,
            fiveLevelPaging: seven.ecx >> 16 & 1 != 0,
            usesFiveLevels: x86_read_cr4() >> 12 & 1 != 0,
            randomNumbers: one.ecx >> 30 & 1 != 0,
            fastStringStores: seven.ebx >> 9 & 1 != 0,
            // More than 52 would be beyond what a page-table entry can hold.
            physicalAddressBits: min(bits, 52))
    }

    /// What page tables may use: what is there, once `enableProtections()` has switched it on.
    public var paging: PagingFeatures {
        PagingFeatures(
            noExecute: noExecute, gigabytePages: gigabytePages, globalPages: globalPages,
            physicalAddressBits: physicalAddressBits, fiveLevels: usesFiveLevels)
    }

    /// Finds out what the CPU offers, and switches on what floors 0 to 5 and `X86Uniprocessor` count on: protections, the
    /// page attribute table, machine checks, random numbers.
    ///
    /// Once, before bring-up.
    public static func start() -> CPUFeatures {
        let features = detect()
        enableMachineChecks()
        features.enableProtections()
        setPageAttributes()
        RandomSource.start(hasHardware: features.randomNumbers)
        unsafe X86State.hasFastStringStores = features.fastStringStores
        return features
    }

    /// Lets machine checks through: with CR4.MCE clear one would shut the CPU down without a word.
    public static func enableMachineChecks() {
        if x86_cpuid(1, 0).edx >> 7 & 1 != 0 { x86_write_cr4(x86_read_cr4() | 1 << 6) }
    }

    /// The page attribute table that `CacheMode` counts on: as after reset, but for entry 5, which is write-combining
    /// instead of write-through once more (Intel SDM vol. 3, 12.12). No page uses that entry yet, so that nothing is
    /// cached as it was.
    public static var pageAttributes: UInt64 { 0x0007_0106_0007_0406 }
    public static var pageAttributeRegister: UInt32 { 0x277 }

    /// Every CPU with long mode has the table.
    public static func setPageAttributes() { x86_write_msr(pageAttributeRegister, pageAttributes) }

    /// Turns on the protections that are there: WP, global pages, SMEP, SMAP, UMIP; and the SSE registers, of which
    /// clearing pages uses one.
    ///
    /// NX was switched on before paging was. SMAP needs no `stac` anywhere: the kernel owns no user page.
    public func enableProtections() {
        x86_write_cr0(x86_read_cr0() | 1 << 16)
        // CR0: monitor the coprocessor, do not emulate it. CR4: OSFXSR (Intel SDM vol. 3, 13.1.3).
        x86_write_cr0(x86_read_cr0() & ~(1 << 2) | 1 << 1)
        var cr4 = x86_read_cr4() | 1 << 9
        if globalPages { cr4 |= 1 << 7 }
        if userInstructionPrevention { cr4 |= 1 << 11 }
        if supervisorExecutionPrevention { cr4 |= 1 << 20 }
        if supervisorAccessPrevention { cr4 |= 1 << 21 }
        x86_write_cr4(cr4)
    }
}
