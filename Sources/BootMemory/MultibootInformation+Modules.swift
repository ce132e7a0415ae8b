import MemoryPrimitives

/// A file that the boot loader loaded beside the kernel.
public struct BootModule: Equatable, Sendable {
    /// Its contents.
    public var range: PhysicalRange
    /// Where its name or command line lies, without the NUL; nil where there is none that can be read.
    public var name: PhysicalRange?

    /// A module that lies in `range`, and whose name lies in `name`.
    public init(range: PhysicalRange, name: PhysicalRange?) {
        self.range = range
        self.name = name
    }
}

extension MultibootInformation {
    private static var moduleEntryByteCount: UInt { 16 }

    /// Where the entries of the list of modules lie that are read; nil where there is none, or where it cannot all be read.
    var moduleListRange: PhysicalRange? {
        guard let count = field(Offset.moduleCount, validIf: Flag.modules), count > 0,
            let address = field(Offset.moduleAddress, validIf: Flag.modules)
        else { return nil }
        let entries = min(UInt(count), UInt(Self.maximumModules))
        return reader.range(at: UInt(address), byteCount: entries &* Self.moduleEntryByteCount)
    }

    /// Calls `body` with each module.
    /// - Returns: the number of modules that were dropped because they end before they start, do not lie in mapped
    ///   memory, or are too many.
    public func forEachModule(_ body: (BootModule) -> Void) -> Int {
        guard let count = field(Offset.moduleCount, validIf: Flag.modules), count > 0 else { return 0 }
        guard let list = moduleListRange else { return Int(count) }
        let entries = Int(list.byteCount / Self.moduleEntryByteCount)
        var dropped = Int(count) &- entries
        for index in 0..<entries {
            let entry = list.start.rawValue &+ UInt(index) &* Self.moduleEntryByteCount
            if let module = module(at: entry) { body(module) } else { dropped &+= 1 }
        }
        return dropped
    }

    /// The number of modules that `forEachModule` drops; they are not reserved either.
    /// - Complexity: linear in the number of modules that are read and in the lengths of their names.
    public var droppedModuleCount: Int { forEachModule { _ in } }

    /// The module whose entry (`start, end, string, reserved`, each a UInt32) lies at `entry`.
    private func module(at entry: UInt) -> BootModule? {
        guard let start = reader.load(UInt32.self, at: entry), let end = reader.load(UInt32.self, at: entry &+ 4),
            let name = reader.load(UInt32.self, at: entry &+ 8), start <= end,
            let range = reader.range(at: UInt(start), byteCount: UInt(end &- start))
        else { return nil }
        return BootModule(range: range, name: reader.string(at: UInt(name), maximum: Self.maximumCommandLine))
    }
}
