// swift-tools-version: 6.3
import PackageDescription

// A package of its own, so that users of the library never resolve what belongs to its benchmarks. toolset.json, which
// Tools/host_bench.py passes, builds this package and the library in Embedded mode: generic code is then specialised
// across modules, as it is in the kernel.

let dependencies: [Target.Dependency] = ["HostSupport", .product(name: "Quarry", package: "quarry")]
let settings: [SwiftSetting] = [.strictMemorySafety(), .treatAllWarnings(as: .error)]

let package = Package(
    name: "quarry-benchmarks",
    dependencies: [.package(name: "quarry", path: "..")],
    targets: [
        .target(name: "HostSupport"),
        // What the programs share: the machine, the draws, and the lines that they print.
        .target(name: "WorkloadSupport", dependencies: dependencies, swiftSettings: settings),
        .executableTarget(
            name: "PageFrameWorkloads", dependencies: dependencies + ["WorkloadSupport"], swiftSettings: settings),
        .executableTarget(
            name: "SlabWorkloads", dependencies: dependencies + ["WorkloadSupport"], swiftSettings: settings),
        .executableTarget(
            name: "RangeWorkloads", dependencies: dependencies + ["WorkloadSupport"], swiftSettings: settings),
    ]
)
