import MemoryPrimitives

/// Where an address lies among the areas; for reports.
public struct AddressDescription: Sendable {
    /// Where an address can lie.
    public enum Place: UInt8, Sendable {
        /// In the part of `area` that its owner may touch.
        case usable
        /// In the guard pages at the low end of `area`: what grows down has overflown.
        case guardBelow
        /// In the guard pages at the high end of `area`: someone ran past its end.
        case guardAbove
        /// In no area, but `area` was there until it was freed.
        case freed
        /// In no area; `area` is the nearest one, and lies above the address.
        case belowArea
        /// In no area; `area` is the nearest one, and lies below the address.
        case aboveArea
        /// Within the space, which holds no areas at all.
        case noAreas
        /// Outside the space that areas are taken from.
        case outsideSpace
    }

    /// Where the address lies.
    public let place: Place
    /// The area that `place` speaks of; nil in the last two cases.
    public let area: Area?
    /// Bytes between the address and the nearest byte that the owner of `area` may touch: 0 within, 1 beside it.
    public let distance: UInt

    init(_ place: Place, _ area: Area? = nil, distance: UInt = 0) {
        self.place = place
        self.area = area
        self.distance = distance
    }

    /// The place of `address` relative to `area`, which contains it or is the nearest one.
    init(of address: VirtualAddress, near area: Area) {
        let usable = area.usable
        self.area = area
        if address < usable.start {
            place = area.range.contains(address) ? .guardBelow : .belowArea
            distance = usable.start.distance(from: address)
        } else if address < usable.end {
            place = .usable
            distance = 0
        } else {
            place = area.range.contains(address) ? .guardAbove : .aboveArea
            distance = address.distance(from: usable.end) &+ 1
        }
    }
}
