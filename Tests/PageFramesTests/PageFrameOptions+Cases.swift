import PageFrames
import Testing

extension PageFrameOptions {
    /// Every frame can be had, and each call goes to the zones: what is counted is exact.
    static var exact: PageFrameOptions { PageFrameOptions(frameCaches: false, minimumFreeKiB: 0) }

    static var cached: PageFrameOptions { PageFrameOptions(minimumFreeKiB: 0) }
    static var reserved: PageFrameOptions { PageFrameOptions(frameCaches: false) }

    /// As a kernel has it.
    static var usual: PageFrameOptions { PageFrameOptions() }

    /// With and without caches, with and without reserves.
    static var combinations: [PageFrameOptions] { [exact, cached, reserved, usual] }
}

extension PageFrameOptions: CustomTestStringConvertible {
    public var testDescription: String {
        "\(frameCaches ? "frame caches" : "no caches"), \(minimumFreeKiB == 0 ? "no reserves" : "reserves")"
    }
}
