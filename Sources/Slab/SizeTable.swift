import MemoryPrimitives

/// Which cache serves a size: for 1 to 8 bytes, 9 to 16 and so on up to 8192, the address of its magazine on CPU 0. One
/// load finds it.
@safe
struct SizeTable<P: Platform>: @unchecked Sendable {
    private let magazines: UnsafeMutablePointer<UInt>

    private static var entryCount: Int { Int(SizeClass.largestByteCount / 8) }

    /// Bytes of memory that `init` needs, aligned to 8.
    static var byteCount: Int { entryCount * MemoryLayout<UInt>.stride }

    /// - Parameters:
    ///   - memory: `byteCount` bytes, never given back.
    ///   - magazinesOfClass: the address of the magazines of the cache that serves a size class.
    @unsafe
    init(in memory: UnsafeMutableRawPointer, _ magazinesOfClass: (SizeClass) -> UInt) {
        unsafe magazines = memory.bindMemory(to: UInt.self, capacity: Self.entryCount)
        var entry = 0
        for index in 0..<SizeClass.count {
            let sizeClass = SizeClass(index: index)
            let found = magazinesOfClass(sizeClass)
            while entry < Int(sizeClass.byteCount / 8) {
                unsafe (magazines + entry).initialize(to: found)
                entry += 1
            }
        }
    }

    /// The magazine for `byteCount` bytes, 1 to 8192, on a CPU.
    @inline(__always)
    func magazine(for byteCount: UInt, cpu: Int) -> Magazine<P> {
        // By the contract, within the table.
        Magazine(at: unsafe magazines[Int(bitPattern: (byteCount &- 1) &>> 3)], cpu: cpu)
    }
}
