// swift-tools-version: 6.3
import PackageDescription

// A package of its own, so that users of the library never resolve what belongs to its tools.

let settings: [SwiftSetting] = [.strictMemorySafety(), .treatAllWarnings(as: .error)]
let quarry: [Target.Dependency] = [
    .product(name: "Quarry", package: "quarry"), .product(name: "SimulatedMachine", package: "quarry"),
]

let package = Package(
    name: "quarry-replay",
    dependencies: [
        .package(name: "quarry", path: "../.."),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    ],
    targets: [
        .target(name: "TraceReplay", dependencies: quarry, swiftSettings: settings),
        .executableTarget(
            name: "quarry-replay",
            dependencies: ["TraceReplay", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            swiftSettings: settings),
        .testTarget(
            name: "TraceReplayTests", dependencies: ["TraceReplay", "quarry-replay"] + quarry,
            swiftSettings: [.treatAllWarnings(as: .error)]),
    ]
)
