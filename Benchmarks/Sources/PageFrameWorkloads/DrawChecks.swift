import WorkloadSupport

/// What workload A draws.
struct MixedDraws {
    let slots: Int
    /// The generator's state when the workload ends.
    let endState: UInt64

    /// - Parameters:
    ///   - frames: the frames that the fill asks for.
    ///   - fill: the checksum of the fill's orders.
    ///   - end: that of these and of each step's slot and order.
    init(slots: Int, frames: Int, fill: UInt64, end: UInt64) {
        var generator = Generator()
        var checksum = Checksum()
        var total = 0
        for _ in 0..<slots {
            let order = generator.order(upTo: 10)
            total += 1 << order
            checksum.add(order)
        }
        expect(total == frames, "the frames that the fill of workload A asks for")
        expect(checksum.value == fill, "the fill of workload A")
        for _ in 0..<MixedBlocks.unmeasured + MixedBlocks.measured {
            checksum.add(generator.below(slots))
            checksum.add(generator.order(upTo: 10))
        }
        expect(checksum.value == end, "the steps of workload A")
        self.slots = slots
        endState = generator.state
    }

    static func fitting() -> MixedDraws {
        MixedDraws(slots: 10_000, frames: 67_502, fill: 0xffd3_5dd6_ae97_f309, end: 0xd72c_65c6_15e2_8bd7)
    }

    /// More than there is: some requests must be refused.
    static func overfull() -> MixedDraws {
        MixedDraws(slots: 20_000, frames: 135_933, fill: 0x4a83_7b55_ee9b_eed3, end: 0xb33f_233e_b2f9_b44d)
    }
}
