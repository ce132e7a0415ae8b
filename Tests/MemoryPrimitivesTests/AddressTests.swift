import Testing

import MemoryPrimitives

@Suite struct AddressTests {
    @Test func roundsToPowersOfTwo() {
        #expect(PhysicalAddress(0x1fff).roundedDown(to: 4096) == PhysicalAddress(0x1000))
        #expect(PhysicalAddress(0x1001).roundedUp(to: 4096) == PhysicalAddress(0x2000))
        #expect(PhysicalAddress(0x1000).roundedUp(to: 4096) == PhysicalAddress(0x1000))
        #expect(PhysicalAddress(.max).roundedUp(to: 4096) == nil)
    }

    @Test(arguments: [
        (0, true), (0x0000_7fff_ffff_ffff, true), (0x0000_8000_0000_0000, false),
        (0xffff_7fff_ffff_ffff, false), (0xffff_8000_0000_0000, true), (UInt.max, true),
    ])
    func canonicalAddressesHaveEqualUpperBits(address: UInt, expected: Bool) {
        #expect(VirtualAddress(address).isCanonical == expected)
    }

    @Test func rangesThatWrapAreRefused() {
        #expect(PhysicalRange(PhysicalAddress(.max - 1), byteCount: 3) == nil)
        #expect(PhysicalRange(PhysicalAddress(8), byteCount: 0)?.isEmpty == true)
    }

    @Test func wholePagesTrimsAndEnclosingPagesWidens() {
        let range = PhysicalRange(PhysicalAddress(0x1234), PhysicalAddress(0x4567))
        #expect(range.wholePages() == PhysicalRange(PhysicalAddress(0x2000), PhysicalAddress(0x4000)))
        #expect(range.enclosingPages() == PhysicalRange(PhysicalAddress(0x1000), PhysicalAddress(0x5000)))
        #expect(PhysicalRange(PhysicalAddress(0x1234), PhysicalAddress(0x1fff)).wholePages() == nil)
    }
}
