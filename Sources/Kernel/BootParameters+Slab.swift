import BootMemory
import Slab

extension BootParameters {
    /// The words that choose how slabs work and what is checked of them, by Linux's names.
    mutating func applyToSlab(_ word: Word) throws(CommandLineError) -> Bool {
        if word.hasKey("kfence.sample_interval") {
            slab.sampleInterval = try word.number()
        } else if word.hasKey("kfence.num_objects") {
            slab.guardedObjectCount = try word.number()
        } else {
            return false
        }
        return true
    }
}
