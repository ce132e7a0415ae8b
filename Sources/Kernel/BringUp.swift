import BootMemory
import DeviceMemory
import KernelMemory
import MemoryPrimitives
import PageFrames
import Paging
import X86

/// The kernel's one set of allocators.
enum Quarry {
    nonisolated(unsafe) static var memory: Permanent<KernelMemory<X86Platform>>?
    nonisolated(unsafe) static var features: CPUFeatures?
}

/// From the boot loader's information to working allocators, each step logged in numbers that a person can check.
enum BringUp {
    /// - Returns: the parameters of the command line; the allocators are in `Quarry.memory`.
    static func run(information address: PhysicalAddress) -> BootParameters {
        let features = CPUFeatures.detect()
        unsafe Quarry.features = features
        RandomSource.start(hasHardware: features.randomNumbers)
        logCPU(features)
        let information = readInformation(address)
        if information.droppedModuleCount > 0 {
            Log.warning("boot modules: \(information.droppedModuleCount) of them cannot be and are left out")
        }
        let commandLine = readCommandLine(information)
        let parameters = BootParameters(commandLine)
        unsafe Log.level = parameters.logLevel
        features.enableProtections()
        CPUFeatures.setPageAttributes()
        unsafe X86State.hasFastStringStores = features.fastStringStores

        if parameters.crash == .bootStackCanary { ImageStack.boot.damageCanary() }
        let log = BringUpLog(memoryTestPasses: parameters.memoryTestPasses, frames: parameters.frames)
        let map = fillMap(features, from: information, commandLine)
        KernelLayout.choose(isDrawn: parameters.drawsLayout, map: map)
        bringUp(map, information, features, parameters, log)
        GuardedReport.logPool(parameters.slab)
        return parameters
    }

    // Out of line, so that what each step needs for its lines takes no room in the frames of the others.

    @inline(never)
    private static func bringUp(
        _ map: consuming FirmwareMap, _ information: MultibootInformation, _ features: CPUFeatures,
        _ parameters: BootParameters, _ observer: BringUpLog
    ) {
        let boot = unsafe BootAllocator(
            memoryStorage: BootStorage.memoryRegions, reservedStorage: BootStorage.reservedRegions)
        var log = observer
        do throws(BringUpError) {
            unsafe Quarry.memory = try KernelMemory<X86Platform>.bringUp(
                describe(features, parameters), map: map, information: information, boot: boot, observer: &log)
        } catch {
            fail(error)
        }
    }

    @inline(never)
    private static func describe(_ features: CPUFeatures, _ parameters: BootParameters) -> MachineDescription {
        let layout = KernelLayout.current
        var machine = MachineDescription(
            reachableLimit: BootTables.limit, directMap: DirectMap(base: layout.directMap.start.rawValue),
            layout: layout, image: .running,
            features: features.paging)
        machine.frames = parameters.frames
        machine.slab = parameters.slab
        machine.stacks = parameters.stacks
        machine.dma = parameters.dma
        machine.vmalloc = parameters.vmalloc
        machine.findsLeaks = parameters.leaks.isOn
        machine.purgeThreshold = parameters.purgeThreshold
        return machine
    }

    private static func readInformation(_ address: PhysicalAddress) -> MultibootInformation {
        do throws(BootInformationError) {
            return try MultibootInformation(at: address, through: BootTables.directMap, mappedBelow: BootTables.limit)
        } catch {
            FatalReport.panic("cannot read the Multiboot information at \(address)", .noMemoryMap)
        }
    }

    @inline(never)
    private static func readCommandLine(_ information: MultibootInformation) -> CommandLine {
        // BootStorage's buffer is this line's alone, and stays.
        let line = unsafe BootStorage.commandLine
        let length = unsafe information.copyCommandLine(into: line)
        let text = unsafe UnsafeRawBufferPointer(rebasing: line[0..<length])
        unsafe Log.info("command line: \"\(text)\"")
        return unsafe CommandLine(text, dropsFirstWord: information.commandLineStartsWithFileName)
    }

    /// Makes the map, and logs it as the boot loader reported it and as it is used.
    @inline(never)
    private static func fillMap(
        _ features: CPUFeatures, from information: MultibootInformation, _ commandLine: CommandLine
    ) -> FirmwareMap {
        var map = unsafe FirmwareMap(
            storage: BootStorage.mapRegions, adjustments: BootStorage.mapAdjustments,
            physicalAddressBits: Int(features.physicalAddressBits))
        Log.info("memory map as reported:")
        _ = information.forEachMapEntry { base, byteCount, type in
            let end = base &+ byteCount &- 1
            Log.info(
                """
                  \(hex: UInt(base), digits: 12)-\(hex: UInt(end), digits: 12) type \(UInt(type)), \
                \(MemoryKind(firmwareType: type).name)
                """)
        }
        if let limits = information.memoryLimits {
            Log.info("  mem_lower \(UInt(limits.lower)) KiB, mem_upper \(UInt(limits.upper)) KiB")
        }
        do throws(BootInformationError) {
            let result = try map.fill(
                from: information, commandLine: commandLine, malformed: { BootParameters.warn(of: $0) })
            if result.end != .complete { Log.warning("memory map: \(result.end.name)") }
            if result.source == .memoryLimits { Log.warning("memory map: taken from mem_lower and mem_upper") }
        } catch {
            FatalReport.panic("the boot loader gives no memory map and no memory limits", .noMemoryMap)
        }
        if map.adjustments.total > 0 { Log.info("memory map entries that are not used as reported:") }
        for index in 0..<map.adjustments.count {
            let adjustment = map.adjustments[index]
            Log.info("  \(adjustment.range) \(adjustment.kind.name): \(adjustment.reason.name)")
        }
        let unlisted = map.adjustments.total - map.adjustments.count
        if unlisted > 0 { Log.info("  and \(unlisted) adjustments more") }
        Log.info("memory map as used:")
        for index in 0..<map.count {
            Log.info("  \(map[index].range) \(map[index].kind.name), \(bytes: map[index].range.byteCount)")
        }
        Log.info("memory available: \(bytes: map.byteCount(of: .available))")
        return map
    }

    private static func logCPU(_ features: CPUFeatures) {
        Log.info(
            """
            CPU: \(features.physicalAddressBits) physical address bits, NX \(features.noExecute), 1 GiB pages \
            \(features.gigabytePages), global pages \(features.globalPages), SMEP \
            \(features.supervisorExecutionPrevention), SMAP \(features.supervisorAccessPrevention), UMIP \
            \(features.userInstructionPrevention), LA57 \(features.fiveLevelPaging), RDRAND \(features.randomNumbers)
            """)
        if !features.noExecute { Log.warning("CPU: without NX every page that can be read can be executed") }
        if !features.randomNumbers { Log.warning("CPU: without RDRAND random numbers are not secret") }
    }

    private static func fail(_ error: BringUpError) -> Never {
        if case .tooLittleMemory(let found) = error {
            FatalReport.panic(
                """
                too little memory: \(bytes: found) free after the image, at least \
                \(bytes: KernelMemory<X86Platform>.minimumMemory) are needed
                """, .tooLittleMemory)
        }
        FatalReport.panic("bring-up failed: \(error.reason)", .bringUpFailed)
    }
}
