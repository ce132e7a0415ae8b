/// Makes sure that what is drawn is what every other allocator was given: numbers that were computed elsewhere.
///
/// Draws do not depend on the allocator, so that this needs none, and costs the measured loops nothing.
package enum DrawChecks {
    /// The blocks of a batch.
    package static var batchCount: Int { 100_000 }

    package static func run() {
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
        let order = FreeOrder(.random, count: batchCount)
        expect(
            order[0] == 40145 && order[1] == 6750 && order[2] == 24706 && order[3] == 23919, "the random permutation")
        order.deallocate()
    }
}
