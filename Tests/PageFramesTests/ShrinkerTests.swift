import SimulatedMachine
import Testing

@testable import PageFrames

@Suite struct ShrinkerTests {
    @Test func withoutShrinkersNothingIsReturned() {
        let test = ShrinkerMachine()
        #expect(test.shrink(100) == 0)
        #expect(test.count == 0)
    }

    @Test func pressureIsInProportion() {
        let test = ShrinkerMachine()
        let caches = [test.add(600), test.add(300), test.add(0), test.add(100)]
        #expect(test.shrink(100) == 100)
        #expect(caches.map(\.left) == [540, 270, 0, 90])
        #expect(caches[2].asked.isEmpty, "an empty cache is not asked")
        #expect(caches[0].value.flagsSeen.withLock { $0 } == [AllocationFlags.kernel.rawValue])
    }

    @Test func noCacheEscapesAndNoneGivesMoreThanItsShareAndOne() {
        var random = SeededGenerator.fromEnvironment(default: 0x5348_5249)
        for _ in 0..<200 {
            let test = ShrinkerMachine()
            let sizes = (0..<16).map { _ in UInt.random(in: 0...1000, using: &random) }
            let caches = sizes.map { test.add($0) }
            let total = sizes.reduce(0, +)
            let target = UInt.random(in: 1...2000, using: &random)
            let returned = test.shrink(target)
            #expect(returned >= min(target, total) && returned <= min(target + 16, total))
            #expect(returned == zip(sizes, caches).reduce(0) { $0 + $1.0 - $1.1.left })
            if target <= total {
                for (size, cache) in zip(sizes, caches) { #expect(size - cache.left <= target * size / total + 1) }
            }
        }
    }

    @Test func stepsAreOf128Frames() {
        let test = ShrinkerMachine()
        let cache = test.add(1000)
        #expect(test.shrink(300) == 300)
        #expect(cache.asked == [128, 128, 44])
        #expect(test.shrink(0) == 0)
        #expect(cache.asked.count == 3)
    }

    @Test func whatOneFailsToGiveIsSoughtFromTheOthers() {
        let test = ShrinkerMachine()
        let liar = test.add(0) { $0.claim = 900 }
        let honest = test.add(100)
        #expect(test.shrink(50) == 50)
        #expect(liar.left == 0)
        #expect(honest.left == 50)
    }

    @Test func absurdAnswersAreSurvived() {
        let test = ShrinkerMachine()
        for _ in 0..<15 { _ = test.add(0) { $0.claim = .max } }
        let last = test.add(50) { $0.claim = .max }
        #expect(test.shrink(.max) == 50)
        #expect(last.left == 0)
    }

    @Test func smallGiftsAddUp() {
        let test = ShrinkerMachine()
        let cache = test.add(20) { $0.largestGift = 3 }
        #expect(test.shrink(10) == 10)
        #expect(cache.asked == [10, 7, 4, 1])
    }
}
