import BootMemory
import MemoryPrimitives

/// Static memory for what is needed before there is an allocator.
///
/// Each buffer is for one owner, once: it is not to be asked for twice.
public enum BootStorage {
    nonisolated(unsafe) private static var mapBytes = InlineArray<1024, UInt64>(repeating: 0)
    nonisolated(unsafe) private static var adjustmentBytes = InlineArray<256, UInt64>(repeating: 0)
    nonisolated(unsafe) private static var memoryBytes = InlineArray<384, UInt64>(repeating: 0)
    nonisolated(unsafe) private static var reservedBytes = InlineArray<384, UInt64>(repeating: 0)
    nonisolated(unsafe) private static var commandLineBytes = InlineArray<512, UInt64>(repeating: 0)

    public static var mapRegions: UnsafeMutableBufferPointer<FirmwareRegion> {
        unsafe buffer(&mapBytes, byteCount: MemoryLayout.size(ofValue: mapBytes))
    }
    public static var mapAdjustments: UnsafeMutableBufferPointer<MapAdjustment> {
        unsafe buffer(&adjustmentBytes, byteCount: MemoryLayout.size(ofValue: adjustmentBytes))
    }
    public static var memoryRegions: UnsafeMutableBufferPointer<Region> {
        unsafe buffer(&memoryBytes, byteCount: MemoryLayout.size(ofValue: memoryBytes))
    }
    public static var reservedRegions: UnsafeMutableBufferPointer<Region> {
        unsafe buffer(&reservedBytes, byteCount: MemoryLayout.size(ofValue: reservedBytes))
    }
    public static var commandLine: UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(
            start: &commandLineBytes, count: MemoryLayout.size(ofValue: commandLineBytes))
    }

    /// A global's address does not change, and its bytes are used in this one way only.
    private static func buffer<Element>(
        _ start: UnsafeMutableRawPointer, byteCount: Int
    ) -> UnsafeMutableBufferPointer<Element> {
        let capacity = byteCount / MemoryLayout<Element>.stride
        return unsafe UnsafeMutableBufferPointer(
            start: start.bindMemory(to: Element.self, capacity: capacity), count: capacity)
    }
}
