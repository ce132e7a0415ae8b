import MemoryPrimitives

/// A CPU that makes accesses on demand, and says whether it was let: the simulated one, or the one that the kernel runs on.
public protocol TableSequenceMachine {
    /// The word at an address; nil where the access faults.
    func load(_ address: VirtualAddress) -> UInt64?

    /// Writes a word. - Returns: false where the access faults.
    func store(_ word: UInt64, to address: VirtualAddress) -> Bool

    /// Executes what lies at an address, which is a return instruction where it is mapped. - Returns: false where the fetch
    /// faults.
    func fetch(_ address: VirtualAddress) -> Bool
}
