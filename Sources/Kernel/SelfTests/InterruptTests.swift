import KernelMemory
import MemoryPrimitives
import QuarryX86
import Synchronization
import X86

/// Interrupts of a device: the serial port, which makes one when it is asked to.
enum InterruptTests {
    typealias Memory = Permanent<KernelMemory<X86Platform>>

    static func run(_ memory: Memory) {
        SelfTest.run("interrupts: none comes while a lock of memory management is held") { underLocks(memory) }
    }

    private static func underLocks(_ memory: Memory) {
        let areOn = X86Platform.areInterruptsEnabled
        if !areOn { SerialInput.start() }
        var number: UInt8 = 0
        while let lock = MemoryLock(rawValue: number) {
            interrupt(lock, memory)
            number += 1
        }
        SerialPort.setReceiveInterrupts(on: areOn)
        if !areOn { SerialInput.stop() }
        PageFrameTests.checkInvariants(memory)
    }

    /// Has an interrupt come while a lock is held, and answered behind it.
    @inline(never)
    private static func interrupt(_ lock: MemoryLock, _ memory: Memory) {
        let before = answered
        var isWaiting = false
        var within = before
        memory.value.withHeld(lock, for: memory.value.layout.areas.start) {
            isWaiting = requestInterrupt()
            within = answered
        }
        SelfTest.expect(isWaiting, "an interrupt waits")
        SelfTest.expect(within, equals: before, lock.name)
        var patience = 100_000
        while answered == before, patience > 0 { patience -= 1 }
        SelfTest.expect(answered > before, "it comes when the lock is released")
        SelfTest.expect(!InterruptController.isWaiting(InterruptController.serialLine), "it does not come again")
        // Takes the port's line down, so that the next request is one.
        SerialPort.setReceiveInterrupts(on: false)
    }

    private static var answered: UInt { Interrupts.answered.load(ordering: .relaxed) }

    /// - Returns: whether the interrupt has been raised; it is once the port has sent what it was given.
    @inline(never)
    private static func requestInterrupt() -> Bool {
        SerialPort.requestInterrupt()
        var patience = 10_000
        while !InterruptController.isWaiting(InterruptController.serialLine), patience > 0 { patience -= 1 }
        return patience > 0
    }
}
