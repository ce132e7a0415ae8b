// swift-tools-version: 6.3
import PackageDescription

// A program for the host: Quarry's allocators over a simulated machine.

let package = Package(
    name: "host-simulation",
    dependencies: [
        .package(name: "quarry", path: "../.."),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    ],
    targets: [
        .executableTarget(
            name: "HostSimulation",
            dependencies: [
                .product(name: "Quarry", package: "quarry"), .product(name: "SimulatedMachine", package: "quarry"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: [.strictMemorySafety(), .treatAllWarnings(as: .error)])
    ]
)
