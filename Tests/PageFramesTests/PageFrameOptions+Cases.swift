import PageFrames
import Testing

extension PageFrameOptions {
    /// - Parameters:
    ///   - frameCaches: whether each CPU keeps free blocks.
    ///   - reserves: whether ordinary requests leave as much as Linux's formula says; else they can have every frame.
    static func with(frameCaches: Bool, reserves: Bool) -> PageFrameOptions {
        var options = PageFrameOptions()
        options.frameCaches = frameCaches
        options.minimumFreeKiB = reserves ? nil : 0
        return options
    }

    /// Every frame can be had, and each call goes to the zones: what is counted is exact.
    static var exact: PageFrameOptions { with(frameCaches: false, reserves: false) }

    static var cached: PageFrameOptions { with(frameCaches: true, reserves: false) }
    static var reserved: PageFrameOptions { with(frameCaches: false, reserves: true) }

    /// As a kernel has it.
    static var usual: PageFrameOptions { with(frameCaches: true, reserves: true) }

    /// With and without caches, with and without reserves.
    static var combinations: [PageFrameOptions] { [exact, cached, reserved, usual] }
}

extension PageFrameOptions: CustomTestStringConvertible {
    public var testDescription: String {
        "\(frameCaches ? "frame caches" : "no caches"), \(minimumFreeKiB == 0 ? "no reserves" : "reserves")"
    }
}
