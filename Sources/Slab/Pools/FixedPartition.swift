import MemoryPrimitives

/// Why a partition cannot be made.
public enum PartitionError: Error, Sendable {
    /// The block size is 0, no multiple of 8, or so large that the bytes of all blocks overflow.
    case badBlockSize
    /// No block, or more than `FixedPartition.largestBlockCount`.
    case badBlockCount
    /// The storage does not begin at a multiple of 8.
    case misalignedStorage
    /// The storage has fewer bytes than `FixedPartition.byteCount(blockSize:blockCount:)` says.
    case storageTooSmall
}

/// Blocks of one size in storage that the caller provides: for code that must neither fragment memory nor ever find that
/// there is none but for what it has taken itself. Nothing is allocated, and every call takes the same time.
///
///     | block 0 | block 1 | ... | list of the free blocks | a byte for each block |
///
/// What the partition knows of its blocks lies behind them, not in them: who writes to a block that he has put back does
/// no harm to others.
///
/// All calls may come from any context, interrupt handlers included, and from several CPUs at once.
@safe
public struct FixedPartition<P: Platform>: ~Copyable, @unchecked Sendable {
    /// Bytes of a block.
    public let blockSize: UInt
    /// The number of blocks, free ones among them.
    public let blockCount: Int
    private let base: UInt
    private let lock: SpinLock<P>
    private let free: UnsafeMutablePointer<UInt32>
    private let isTaken: UnsafeMutablePointer<Bool>
    /// How many are free: in storage, as the partition itself is only borrowed.
    private let count: UnsafeMutablePointer<Int>

    /// The most blocks of a partition.
    public static var largestBlockCount: Int { Int(Int32.max) }

    /// Bytes of storage that so many blocks need, with what is known of them. 0 where there can be no such partition.
    public static func byteCount(blockSize: UInt, blockCount: Int) -> UInt {
        guard blockCount > 0, blockCount <= largestBlockCount else { return 0 }
        let (blocks, overflow) = blockSize.multipliedReportingOverflow(by: UInt(blockCount))
        let (sum, isTooLarge) = blocks.addingReportingOverflow(noteByteCount(blockCount))
        return overflow || isTooLarge || blockSize == 0 || blockSize & 7 != 0 ? 0 : sum
    }

    private static func noteByteCount(_ blockCount: Int) -> UInt { 8 + 5 * UInt(blockCount) }

    /// Cuts the storage into blocks, all of them free.
    /// - Parameters:
    ///   - storage: at a multiple of 8, and for nothing else as long as there is the partition.
    ///   - blockSize: bytes, a multiple of 8. Blocks are aligned as the storage and the size are.
    ///   - blockCount: how many blocks; the storage must have room for them.
    /// - Throws: what is wrong. - Complexity: O(blocks).
    @unsafe
    public init(
        in storage: UnsafeMutableRawBufferPointer, blockSize: UInt, blockCount: Int
    ) throws(PartitionError) {
        guard blockCount > 0, blockCount <= Self.largestBlockCount else { throw .badBlockCount }
        let needed = Self.byteCount(blockSize: blockSize, blockCount: blockCount)
        if needed == 0 { throw .badBlockSize }
        guard let start = storage.baseAddress, UInt(storage.count) >= needed else {
            throw .storageTooSmall
        }
        if UInt(bitPattern: start) & 7 != 0 { throw .misalignedStorage }
        lock = SpinLock()
        base = UInt(bitPattern: start)
        self.blockSize = blockSize
        self.blockCount = blockCount
        // Behind the blocks, whose size is a multiple of 8; all within `needed` bytes.
        let notes = unsafe start + Int(blockSize) * blockCount
        unsafe count = notes.bindMemory(to: Int.self, capacity: 1)
        unsafe count.initialize(to: blockCount)
        unsafe free = (notes + 8).bindMemory(to: UInt32.self, capacity: blockCount)
        unsafe isTaken = (notes + 8 + 4 * blockCount).bindMemory(to: Bool.self, capacity: blockCount)
        for index in 0..<blockCount {
            // The lowest comes first.
            unsafe free[index] = UInt32(blockCount - 1 - index)
            unsafe isTaken[index] = false
        }
    }

    /// The blocks that can be had. A snapshot.
    public var freeCount: Int { lock.withLock { unsafe count.pointee } }

    /// A block that is the caller's until `put`; nil where all are taken. - Complexity: O(1).
    public borrowing func get() -> UnsafeMutableRawPointer? {
        unsafe lock.withLock {
            // The partition's own notes, under its lock, at positions below `blockCount`.
            let left = unsafe count.pointee &- 1
            if left < 0 { return nil }
            unsafe count.pointee = left
            let index = unsafe Int(free[left])
            unsafe isTaken[index] = true
            return unsafe UnsafeMutableRawPointer(bitPattern: base &+ UInt(index) &* blockSize)
        }
    }

    /// Gives a block back.
    ///
    /// It is an error to put what is no block of the partition (`wildFree`), an address within one (`misalignedFree`), or a
    /// block that is free (`doubleFree`): that is reported, and nothing changes.
    /// - Returns: whether the block was taken back. - Complexity: O(1).
    @discardableResult
    public borrowing func put(_ block: UnsafeMutableRawPointer?) -> Bool {
        let address = UInt(bitPattern: block)
        let offset = address &- base
        guard offset < blockSize &* UInt(blockCount) else {
            return refuse(address, .wildFree, "that is no block of the partition")
        }
        let index = Int(offset / blockSize)
        guard offset == UInt(index) &* blockSize else {
            return refuse(address, .misalignedFree, "the address lies within a block of this size")
        }
        let isPut = lock.withLock {
            // As above.
            guard unsafe isTaken[index] else { return false }
            unsafe isTaken[index] = false
            unsafe free[count.pointee] = UInt32(index)
            unsafe count.pointee &+= 1
            return true
        }
        return isPut ? true : refuse(address, .doubleFree, "the block of this size is free")
    }

    @inline(never)
    private func refuse(_ address: UInt, _ kind: MemoryViolation.Kind, _ detail: StaticString) -> Bool {
        P.report(MemoryViolation(kind, in: "FixedPartition.put", at: address, detail, blockSize))
        return false
    }
}
