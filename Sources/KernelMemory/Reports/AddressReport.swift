import BootMemory
import MemoryPrimitives
import PageFrames
import Paging
import Slab
import VirtualMemory

extension KernelMemory {
    /// Writes all that is known of an address: its region, how it is mapped, and whose it is, from the area or the part of the
    /// image down to the frame behind it, its block, and the object in that. A number below all regions that is a physical
    /// address is described as such.
    ///
    /// - Complexity: O(objects of a slab + sections + log areas). Takes the locks of a zone and of the frame caches, and tries
    ///   that of the areas: not for callers that hold one.
    @inline(never)
    public func writeDescription<Writer: ReportWriter>(of address: VirtualAddress, to writer: inout Writer) {
        writer.write(pointer: address.rawValue)
        let region = AddressRegion(of: address, layout, pageTables.value.features)
        region.write(to: &writer)
        writer.endLine()
        if region == .notCanonical { return }
        if region == .userSpace, isPhysical(address.rawValue) {
            writer.write("as a physical address:")
            writer.endLine()
            return writeMemory(at: PhysicalAddress(address.rawValue), to: &writer)
        }
        writeMapping(of: address, to: &writer)
        switch region {
        case .areas: writeArea(around: address, to: &writer)
        case .image: writeImagePart(of: address, to: &writer)
        case .frameTable: writeDescriptor(at: address, to: &writer)
        default: break
        }
        if let physical = region.physical ?? pageTables.value.translation(of: address) {
            writeMemory(at: physical, to: &writer)
        }
    }

    /// Whether a number that is no virtual address of the kernel's could be that of memory, or of what the map names.
    func isPhysical(_ number: UInt) -> Bool {
        for index in 0..<firmwareMap.value.count where firmwareMap.value[index].range.end.rawValue > number {
            return true
        }
        return false
    }

    @inline(never)
    private func writeMapping<Writer: ReportWriter>(of address: VirtualAddress, to writer: inout Writer) {
        switch pageTables.value.lookup(address) {
        case .mapped(let page):
            writer.write("mapped: ")
            writer.write(page.size == .size4KiB ? "4K" : page.size == .size2MiB ? "2M" : "1G")
            writer.write(" page, ")
            writer.write(page.permissions)
            writer.write(", physical 0x")
            writer.write(hex: page.physical.rawValue, digits: 12)
        case .demand(let permissions):
            writer.write("not mapped: a page is due at the first touch, ")
            writer.write(permissions)
        case .guardPage: writer.write("not mapped: a guard page")
        case .none: writer.write("not mapped")
        }
        writer.endLine()
    }

    @inline(never)
    private func writeArea<Writer: ReportWriter>(around address: VirtualAddress, to writer: inout Writer) {
        vmalloc.value.writeArea(around: address, to: &writer)
        if let guardedPool { guardedPool.value.writeObject(around: address, to: &writer) }
    }

    @inline(never)
    private func writeImagePart<Writer: ReportWriter>(of address: VirtualAddress, to writer: inout Writer) {
        let image = image.value
        if image.code.virtual?.contains(address) == true {
            writer.write("the image's code: ")
            writer.write(symbolAt: address.rawValue)
        } else if image.constants.virtual?.contains(address) == true {
            writer.write("the image's constants")
        } else if image.sealed?.contains(address) == true {
            writer.write("the image's sealed data")
        } else if image.data.virtual?.contains(address) == true {
            writer.write("the image's data")
        } else {
            writer.write("no part of the image")
        }
        writer.endLine()
    }

    @inline(never)
    private func writeDescriptor<Writer: ReportWriter>(at address: VirtualAddress, to writer: inout Writer) {
        // Where the allocator reaches the table: here, or, where memory is simulated, as all other memory.
        var frame = frames.value.frame(ofDescriptorAt: address.rawValue)
        if frame == nil, let physical = pageTables.value.translation(of: address) {
            frame = frames.value.frame(ofDescriptorAt: directMap.virtualAddress(of: physical).rawValue)
        }
        guard let frame else {
            writer.write("of no frame's descriptor")
            return writer.endLine()
        }
        writer.write("the descriptor of page frame 0x")
        writer.write(hex: frame.rawValue)
        writer.endLine()
    }

    /// What is known of a byte of memory: who has had it since boot, or what its frame is used for.
    @inline(never)
    private func writeMemory<Writer: ReportWriter>(at physical: PhysicalAddress, to writer: inout Writer) {
        writeKind(of: physical, to: &writer)
        guard boot.value.isMemory(physical) else { return }
        if let owner = boot.value.owner(of: physical) {
            writer.write("reserved since boot: ")
            writer.write(owner.name)
            return writer.endLine()
        }
        let frame = PageFrameNumber(containing: physical)
        frames.value.writePlace(of: frame, to: &writer)
        frames.value.writeReport(on: frame, to: &writer)
        let address = directMap.virtualAddress(of: physical).rawValue
        if kmalloc.value.writeOwner(of: address, to: &writer) {
            kmalloc.value.writeObject(around: address, to: &writer)
        }
    }

    /// "physical 0x000003fc1040: System RAM", as `iomem` has it.
    @inline(never)
    private func writeKind<Writer: ReportWriter>(of physical: PhysicalAddress, to writer: inout Writer) {
        writer.write("physical 0x")
        writer.write(hex: physical.rawValue, digits: 12)
        writer.write(": ")
        for index in 0..<firmwareMap.value.count where firmwareMap.value[index].range.contains(physical) {
            writer.write(firmwareMap.value[index].kind.resourceName)
            return writer.endLine()
        }
        writer.write("not in the firmware's map")
        writer.endLine()
    }
}

extension PageTables {
    /// Where an address leads; nil where nothing is mapped.
    fileprivate func translation(of address: VirtualAddress) -> PhysicalAddress? { translate(address)?.physical }
}

/// A part of the address space, of which all addresses are of one kind.
enum AddressRegion: Equatable {
    case notCanonical
    case nullPage
    case userSpace
    case objectAlias(PhysicalAddress)
    case directMap(PhysicalAddress)
    case areas
    case frameTable
    case image
    case none

    @inline(never)
    init(of address: VirtualAddress, _ layout: AddressSpaceLayout, _ features: PagingFeatures) {
        if !features.isCanonical(address.rawValue) {
            self = .notCanonical
        } else if layout.objectAlias.contains(address) {
            self = .objectAlias(PhysicalAddress(address.distance(from: layout.objectAlias.start)))
        } else if layout.directMap.contains(address) {
            self = .directMap(PhysicalAddress(address.distance(from: layout.directMap.start)))
        } else if layout.areas.contains(address) {
            self = .areas
        } else if layout.frameTable.contains(address) {
            self = .frameTable
        } else if layout.image.contains(address) {
            self = .image
        } else if address.rawValue == 0 {
            self = .nullPage
        } else {
            self = address.rawValue >> 63 == 0 ? .userSpace : .none
        }
    }

    /// What the address is the alias of.
    var physical: PhysicalAddress? {
        switch self {
        case .objectAlias(let physical), .directMap(let physical): physical
        default: nil
        }
    }

    @inline(never)
    func write<Writer: ReportWriter>(to writer: inout Writer) {
        switch self {
        case .notCanonical: writer.write(": not a canonical address")
        case .nullPage: writer.write(": the null pointer")
        case .userSpace: writer.write(": user space, of which the kernel uses nothing there")
        case .objectAlias: writer.write(": the object alias of memory")
        case .directMap: writer.write(": the direct map of memory")
        case .areas: writer.write(": the vmalloc space")
        case .frameTable: writer.write(": the frame table's region")
        case .image: writer.write(": the kernel image's region")
        case .none: writer.write(": in no region")
        }
    }
}
