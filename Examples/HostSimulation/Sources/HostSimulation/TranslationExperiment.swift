import Quarry
import SimulatedKernel
import SimulatedMachine

/// Page tables and TLB: memory that appears when it is touched, and what happens where a flush is left out.
struct TranslationExperiment {
    let kernel: SimulatedKernel
    private var machine: SimulatedMachine { kernel.machine }

    func run() throws {
        print("\n== Page tables")
        try kernel.run {
            try touch(kernel.vmalloc)
            try free(losingFlushes: false)
            try free(losingFlushes: true)
        }
    }

    /// 256 pages are reserved; their frames come with page faults.
    private func touch(_ vmalloc: Permanent<Vmalloc<SimulatedPlatform>>) throws {
        guard let area = vmalloc.value.vmalloc(1 << 20) else { throw Finding("no area of 1 MiB") }
        let faults = kernel.resolvedFaultCount
        var present = [vmalloc.value.find_vm_area(area)?.presentPages ?? 0]
        for page in 0..<256 as Range<UInt> { try machine.store(UInt64(page), to: area + page << 12) }
        present.append(vmalloc.value.find_vm_area(area)?.presentPages ?? 0)
        print(
            """
            vmalloc of 256 pages: \(present[0]) pages there before a touch, \(present[1]) after 256 stores, \
            \(kernel.resolvedFaultCount - faults) page faults
            """)
        for page in 0..<256 as Range<UInt> {
            try expect(machine.load(area + page << 12) == UInt64(page), "page \(page) holds another one's word")
        }
        vmalloc.value.vfree(area)
    }

    /// A page is freed, and its frame given to someone else. Whoever still has its old translation in the TLB reads there.
    private func free(losingFlushes: Bool) throws {
        guard let area = kernel.vmalloc.value.allocate(4096, populate: true) else { throw Finding("no area of a page") }
        try machine.store(0x5ec2e7, to: area)
        print("\nA page at 0x\(String(area.rawValue, radix: 16)) is written, and freed", terminator: "")
        print(losingFlushes ? "; the TLB is not flushed." : ", and the TLB flushed.")
        machine.losesFlushes = losingFlushes
        kernel.vmalloc.value.vfree(area)
        kernel.vmalloc.value.vm_unmap_aliases()
        machine.losesFlushes = false
        do throws(SimulatedFault) {
            let word = try machine.load(area)
            print("A load there answers 0x\(String(word, radix: 16)), though no table maps the page any more:")
        } catch {
            print("A load there faults, as it must: \(error.reason)")
        }
        let stale = machine.takeStaleTranslations()
        for translation in stale {
            print("  caught: stale translation (\(translation.kind)) on CPU \(translation.cpu)")
        }
        try expect(stale.isEmpty != losingFlushes, "a stale translation was \(stale.isEmpty ? "missed" : "imagined")")
        // The machine forgets now what it should have forgotten then.
        SimulatedPlatform.flushAllPages()
    }
}
