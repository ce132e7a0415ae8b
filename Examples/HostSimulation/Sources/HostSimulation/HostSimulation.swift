import ArgumentParser
import Quarry
import SimulatedKernel
import SimulatedMachine

@main
struct HostSimulation: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows a kernel's allocators at work in a simulated machine.",
        discussion: "The same seed, memory and number of operations give the same output.")

    @Option(help: "What all random choices follow from.")
    var seed: UInt64 = 1

    @Option(help: "The machine's memory, in MiB: 16 to 4096.")
    var memory: UInt = 64

    @Option(help: "How many times kmalloc or kfree is called: 1 to 1000000.")
    var operations: Int = 20_000

    func validate() throws {
        if !(16...4096).contains(memory) {
            throw ValidationError("--memory must be 16 to 4096 MiB, and is \(memory)")
        }
        if !(1...1_000_000).contains(operations) {
            throw ValidationError("--operations must be 1 to 1000000, and is \(operations)")
        }
    }

    func run() throws {
        let kernel: SimulatedKernel
        do throws(BringUpError) {
            kernel = try SimulatedKernel(memory: memory << 20, seed: seed)
        } catch {
            throw ValidationError("the machine does not come up: \(error.reason)")
        }
        print("seed \(seed), \(memory) MiB")
        try BuddyExperiment(kernel: kernel).run()
        try ObjectExperiment(kernel: kernel, operations: operations, seed: seed).run()
        try TranslationExperiment(kernel: kernel).run()
        try kernel.checkInvariants()
        let violations = kernel.machine.takeViolations()
        print("\nat the end: \(violations.count) violations, and every allocator's own check passes")
        if !violations.isEmpty { throw ExitCode.failure }
    }
}

/// What an experiment found that cannot be: the allocators are wrong, or the experiment is.
struct Finding: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

func expect(_ holds: Bool, _ rule: @autoclosure () -> String) throws(Finding) {
    if !holds { throw Finding(rule()) }
}
