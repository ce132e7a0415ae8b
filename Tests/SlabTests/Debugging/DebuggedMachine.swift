import MemoryPrimitives
import PageFrames

@testable import Slab

extension SlabOptions {
    /// What `slub_debug=` chooses, beside other things.
    init(slubDebug value: StaticString?, _ change: (inout SlabOptions) -> Void = { _ in }) {
        self.init()
        if let value { debugging = DebugSelection(value.buffer) { _ in } }
        change(&self)
    }
}

extension StaticString {
    /// The bytes, which live as long as the program.
    var buffer: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: utf8Start, count: utf8CodeUnitCount) }
}

extension CacheName {
    var text: String { String(decoding: (0..<byteCount).map { self[$0] }, as: UTF8.self) }
}

extension UnsafeMutableRawPointer {
    subscript(offset: Int) -> UInt8 {
        get { load(fromByteOffset: offset, as: UInt8.self) }
        nonmutating set { storeBytes(of: newValue, toByteOffset: offset, as: UInt8.self) }
    }

    func bytes(_ range: Range<Int>) -> [UInt8] { range.map { self[$0] } }
}
