/// Makes sure that what is drawn is what every other allocator was given: numbers that were computed elsewhere.
///
/// Draws do not depend on the allocator, so that this needs none, and costs the measured loops nothing.
enum DrawChecks {
    static func run() {
        checkGenerator()
        checkPermutation()
    }

    private static func checkGenerator() {
        var generator = Generator()
        expect(generator.next() == 0x0d83_b3e2_9a21_487a, "the 1st number drawn")
        expect(generator.next() == 0x54c4_4c79_f1fe_9d67, "the 2nd number drawn")
        expect(generator.next() == 0xa845_f342_007a_0e78, "the 3rd number drawn")
        expect(generator.next() == 0x7d6e_0b87_8a79_4779, "the 4th number drawn")
        generator = Generator()
        var orders: UInt64 = 0
        // 4 1 0 1 0 0 0 1 0 0 10 0 2 0 3 1, a hexadecimal digit each.
        for _ in 0..<16 { orders = orders << 4 | UInt64(generator.order(upTo: 10)) }
        expect(orders == 0x4101_0001_00a0_2031, "the first 16 orders")
        generator = Generator()
        var sizes = Checksum()
        for _ in 0..<8 { sizes.add(Int(generator.size())) }
        var expected = Checksum()
        expected.add(10)
        expected.add(381)
        expected.add(206)
        expected.add(718)
        expected.add(233)
        expected.add(13)
        expected.add(30)
        expected.add(10)
        expect(sizes.value == expected.value, "the first 8 sizes")
    }

    private static func checkPermutation() {
        let order = FreeOrder(.random, count: BatchWorkload.count)
        expect(
            order[0] == 40145 && order[1] == 6750 && order[2] == 24706 && order[3] == 23919, "the random permutation")
        order.deallocate()
    }
}

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
