import MemoryPrimitives

/// The areas by the page that their ranges start at: where most are asked for, to be freed above all. A look-up there needs no
/// way down the tree.
///
/// A table of places, one of which a page's number chooses; what was put there last is found, all else is in the tree. All
/// that is here is in the tree, too.
@safe
struct AreaStarts {
    private static var count: Int { 1024 }

    /// Bytes of memory that `init` needs.
    static var byteCount: Int { count * MemoryLayout<AreaReference?>.stride }

    private let places: UnsafeMutablePointer<AreaReference?>

    /// - Parameter memory: `byteCount` bytes, aligned to 8, used for nothing else.
    @unsafe
    init(in memory: UnsafeMutableRawPointer) {
        unsafe places = memory.bindMemory(to: AreaReference?.self, capacity: Self.count)
        unsafe places.initialize(repeating: nil, count: Self.count)
    }

    /// Neighbouring areas of any size come to lie in different places.
    @inline(__always)
    private func place(_ address: VirtualAddress) -> UnsafeMutablePointer<AreaReference?> {
        let page = address.rawValue &>> PageSize.shift
        // The mask keeps it within.
        return unsafe places + Int(bitPattern: (page ^ page &>> 10) & UInt(bitPattern: Self.count &- 1))
    }

    /// An area whose range contains `address`, where its start is known here.
    @inline(__always)
    func area(at address: VirtualAddress) -> AreaReference? {
        guard let area = unsafe place(address).pointee, area.start <= address, address < area.end else { return nil }
        return area
    }

    /// Puts an area in its place. - Complexity: O(1).
    @inline(__always)
    func note(_ area: AreaReference) { unsafe place(area.start).pointee = area }

    /// Takes an area out that goes. - Complexity: O(1).
    @inline(__always)
    func forget(_ area: AreaReference) {
        let place = unsafe place(area.start)
        if unsafe place.pointee == area { unsafe place.pointee = nil }
    }

}
