// swift-tools-version: 6.3
import PackageDescription

// A kernel that takes Quarry as any package would. `Tools/build_kernel.py --package` builds the product for the bare machine.

let package = Package(
    name: "adopting-kernel",
    products: [.library(name: "AdoptingKernel", type: .static, targets: ["AdoptingKernel"])],
    dependencies: [.package(name: "quarry", path: "../..")],
    targets: [
        .target(
            name: "AdoptingKernel",
            dependencies: [
                .product(name: "Quarry", package: "quarry"), .product(name: "QuarryX86", package: "quarry"),
            ],
            swiftSettings: [.strictMemorySafety(), .treatAllWarnings(as: .error)])
    ]
)
