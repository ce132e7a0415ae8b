// swift-tools-version: 6.3
import PackageDescription

// A package of its own, so that users of the library never resolve what belongs to its benchmarks. toolset.json, which
// Tools/host_bench.py passes, builds this package and the library in Embedded mode: generic code is then specialised
// across modules, as it is in the kernel.

let package = Package(
    name: "quarry-benchmarks",
    dependencies: [.package(name: "quarry", path: "..")],
    targets: [
        .target(name: "HostSupport"),
        .executableTarget(
            name: "PageFrameWorkloads",
            dependencies: ["HostSupport", .product(name: "Quarry", package: "quarry")],
            swiftSettings: [.strictMemorySafety(), .treatAllWarnings(as: .error)]),
    ]
)
