import BootMemory
import MemoryPrimitives
import PageFrames
import Slab

// The words for caches and kmalloc.
extension BootParameters {
    mutating func applyToSlab(_ word: Word) throws(CommandLineError) -> Bool {
        if word.hasKey("slub_debug") || word.hasKey("slab_debug") {
            // The command line stays where it is.
            slab.debugging = unsafe DebugSelection(word.value) { letter in Self.warn(ofLetter: letter) }
        } else if word.hasKey("slab_errors") {
            slab.continuesAfterErrors = try Self.continues(word)
        } else if word.hasKey("slab_random") {
            slab.randomOrder = try word.flag()
        } else if word.hasKey("slab_quarantine") {
            slab.quarantineByteCount = try word.size()
        } else if word.hasKey("failslab") {
            slab.failures = try Self.failurePlan(word)
        } else if word.hasKey("kfence.sample_interval") {
            slab.sampleInterval = try word.number()
        } else if word.hasKey("kfence.num_objects") {
            slab.guardedObjectCount = try word.number()
        } else {
            return false
        }
        return true
    }

    /// `panic` or `continue`.
    private static func continues(_ word: Word) throws(CommandLineError) -> Bool {
        if !word.hasValue { throw CommandLineError(kind: .valueMissing, word: word) }
        if word.hasValue("continue") { return true }
        if word.hasValue("panic") { return false }
        throw CommandLineError(kind: .notAChoice, word: word)
    }

    private static func failurePlan(_ word: Word) throws(CommandLineError) -> FailurePlan {
        // The command line stays where it is.
        guard let value = unsafe word.value else { throw CommandLineError(kind: .valueMissing, word: word) }
        guard let plan = unsafe FailurePlan(value) else { throw CommandLineError(kind: .notAChoice, word: word) }
        return plan
    }

    private static func warn(ofLetter letter: UInt8) {
        Log.warning("command line: slub_debug: the letter \(hex: UInt(letter)) means nothing; F, Z, P, U and T do")
    }
}
