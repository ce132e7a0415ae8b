import MemoryPrimitives
import Paging

@testable import KernelMemory

extension KernelImage {
    private static func make(
        boot: Range<UInt>, code: Range<UInt>, constants: Range<UInt>, data: Range<UInt>, guards: [UInt]
    ) -> KernelImage {
        let base = AddressSpaceLayout.x86FourLevel.image.start
        func physical(_ range: Range<UInt>) -> PhysicalRange {
            PhysicalRange(PhysicalAddress(range.lowerBound), PhysicalAddress(range.upperBound))
        }
        func segment(_ range: Range<UInt>, _ permissions: PagePermissions) -> ImageSegment {
            ImageSegment(
                physical: physical(range), virtualStart: base + range.lowerBound, permissions: permissions)
        }
        var guardPages = InlineArray<8, VirtualAddress?>(repeating: nil)
        for (index, address) in guards.enumerated() { guardPages[index] = base + address }
        return KernelImage(
            loaded: physical(boot.lowerBound..<data.upperBound), bootPart: physical(boot),
            code: segment(code, .readExecute), constants: segment(constants, .readOnly),
            data: segment(data, .readWrite), guardPages: guardPages)
    }

    /// 1.25 MiB of small pages, across a boundary of 2 MiB. Guard pages at that boundary and at the end.
    static let small = make(
        boot: 0x10_0000..<0x11_4000, code: 0x11_4000..<0x19_0000, constants: 0x19_0000..<0x1b_3000,
        data: 0x1b_3000..<0x24_0000, guards: [0x1b_5000, 0x20_0000, 0x23_f000])

    /// 15 MiB with large pages in each segment, of which guard pages split one.
    static let large = make(
        boot: 0x10_0000..<0x11_4000, code: 0x11_4000..<0x60_1000, constants: 0x60_1000..<0x90_0000,
        data: 0x90_0000..<0x101_0000, guards: [0xa0_0000, 0xc5_5000, 0xdf_f000])

    var guards: [UInt] {
        (0..<8).compactMap { guardPages[$0].map { $0.rawValue - AddressSpaceLayout.x86FourLevel.image.start.rawValue } }
    }
}

extension PhysicalRange {
    var addresses: Range<UInt> { start.rawValue..<end.rawValue }
}
