import BootMemory
import KernelMemory
import MemoryPrimitives

/// Why the memory of a PC could not be brought up.
public enum MultibootBringUpError: Error, Sendable {
    /// The layout's direct map begins at no multiple of 1 GiB, or where the boot tables have the identity map or the image.
    case directMapNotReachable
    /// The boot loader's information cannot be read, or tells of no memory.
    case information(BootInformationError)
    /// The memory that there is cannot be brought up.
    case memory(BringUpError)

    public var reason: StaticString {
        switch self {
        case .directMapNotReachable: "the layout's direct map begins where the boot tables cannot show memory"
        case .information(.informationUnreadable): "the boot loader's information cannot be read"
        case .information(.noMemoryInformation): "the boot loader tells of no memory"
        case .memory(let error): error.reason
        }
    }
}

extension KernelMemory {
    /// Brings up every allocator of the machine that boot/entry.S has entered, from what the boot loader says of it.
    ///
    /// Once, from `kernel_main`, before interrupts are enabled. It is made of public parts alone, for a kernel that wants a step
    /// done in another way: what it needs besides `bringUp(_:map:information:boot:observer:)` are `BootTables`, `BootStorage`,
    /// `KernelImage.running` and `TableSwitch`.
    /// - Parameters:
    ///   - information: what boot/entry.S passes: the physical address of the Multiboot information.
    ///   - layout: where the regions are to lie; `image` is where linker.ld puts it.
    ///   - cpu: what `CPUFeatures.start()` returned.
    ///   - configure: is given the description to change before it is used: debugging, stacks, watermarks and so on.
    /// - Throws: what is missing; the machine is then of no use.
    @inline(never)
    public static func bringUp(
        multiboot information: UInt32, layout: AddressSpaceLayout, cpu: CPUFeatures,
        configure: (inout MachineDescription) -> Void = { _ in }
    ) throws(MultibootBringUpError) -> Permanent<KernelMemory<P>> {
        if !BootTables.showMemory(at: layout.directMap.start) { throw .directMapNotReachable }
        let information = try read(information)
        let map = try memoryMap(from: information, cpu)
        var machine = MachineDescription(
            reachableLimit: BootTables.limit, directMap: DirectMap(base: layout.directMap.start.rawValue),
            layout: layout, image: .running, features: cpu.paging)
        configure(&machine)
        // The storage is for this alone.
        let boot = unsafe BootAllocator(
            memoryStorage: BootStorage.memoryRegions, reservedStorage: BootStorage.reservedRegions)
        var observer = TableSwitch<P>()
        do throws(BringUpError) {
            return try bringUp(machine, map: map, information: information, boot: boot, observer: &observer)
        } catch {
            throw .memory(error)
        }
    }

    @inline(never)
    private static func read(_ address: UInt32) throws(MultibootBringUpError) -> MultibootInformation {
        do throws(BootInformationError) {
            return try MultibootInformation(
                at: PhysicalAddress(UInt(address)), through: BootTables.directMap, mappedBelow: BootTables.limit)
        } catch {
            throw .information(error)
        }
    }

    /// The memory, as the boot loader tells of it and as `mem=` and `memmap=` on its command line change it.
    @inline(never)
    private static func memoryMap(
        from information: MultibootInformation, _ cpu: CPUFeatures
    ) throws(MultibootBringUpError) -> FirmwareMap {
        // The storage is for this alone, all three.
        var map = unsafe FirmwareMap(
            storage: BootStorage.mapRegions, adjustments: BootStorage.mapAdjustments,
            physicalAddressBits: Int(cpu.physicalAddressBits))
        let line = unsafe BootStorage.commandLine
        let length = unsafe information.copyCommandLine(into: line)
        let commandLine = unsafe CommandLine(
            UnsafeRawBufferPointer(rebasing: line[0..<length]),
            dropsFirstWord: information.commandLineStartsWithFileName)
        do throws(BootInformationError) {
            _ = try map.fill(from: information, commandLine: commandLine)
        } catch {
            throw .information(error)
        }
        return map
    }
}
