import MemoryPrimitives

/// How much memory a check table takes, and how it is divided.
///
///     slots of all sections | section's part | section's part | ...
///     a part: bits of poisoned frames, then their histories where those are kept
struct CheckTableLayout {
    let checks: FrameChecks
    let sectionCount: UInt
    /// The sections that there is room for.
    let capacity: UInt

    /// - Parameters:
    ///   - sectionCount: no frame of this section or above is managed.
    ///   - capacity: the sections that have frames to be handed out.
    init(_ checks: FrameChecks, sectionCount: UInt, capacity: UInt) {
        self.checks = checks
        self.sectionCount = sectionCount
        self.capacity = capacity
    }

    /// One bit for each frame of a section.
    static var poisonByteCount: Int { Int(bitPattern: Section.frameCount) / 8 }

    /// The bytes for one section; 0 where nothing is noted down.
    var sectionByteCount: Int {
        if checks.contains(.owners) {
            return Self.poisonByteCount + Int(Section.frameCount) * MemoryLayout<FrameHistory>.stride
        }
        return checks.contains(.poison) ? Self.poisonByteCount : 0
    }

    /// Where the sections' parts begin.
    var poolOffset: Int { sectionByteCount == 0 ? 0 : (Int(sectionCount) * 4 + 63) & ~63 }

    /// The bytes for the table; 0 where nothing is noted down. A multiple of the page size.
    var byteCount: UInt { (UInt(poolOffset) + capacity * UInt(sectionByteCount)).pageMultiple }

    /// - Parameter memory: `byteCount` bytes, aligned to 64, never given back. The slots alone are written now.
    @unsafe
    @inline(never)
    func place<P: Platform>(in memory: UnsafeMutableRawPointer) -> CheckTable<P> {
        if sectionByteCount > 0 {
            unsafe memory.initializeMemory(as: UInt32.self, repeating: 0, count: Int(sectionCount))
        }
        return unsafe CheckTable(self, in: memory)
    }
}
