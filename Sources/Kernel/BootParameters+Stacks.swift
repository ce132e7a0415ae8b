import BootMemory
import MemoryPrimitives
import VirtualMemory

// The words for kernel stacks.
extension BootParameters {
    mutating func applyToStacks(_ word: Word) throws(CommandLineError) -> Bool {
        if word.hasKey("kstack") {
            let size = try word.size()
            guard size % PageSize.byteCount == 0, StackOptions.pageCounts.contains(size / PageSize.byteCount) else {
                throw CommandLineError(kind: .notAStackSize, word: word)
            }
            stacks.pageCount = size / PageSize.byteCount
        } else if word.hasKey("stack_guard_gap") {
            let pages = try word.number()
            guard StackOptions.guardPageCounts.contains(pages) else {
                throw CommandLineError(kind: .notAGuardGap, word: word)
            }
            stacks.guardPageCount = UInt16(pages)
        } else {
            return false
        }
        return true
    }
}
