// swift-tools-version: 6.3
import PackageDescription

// A plain host manifest: what makes a build freestanding stands in toolset.json, which the Makefile passes. Each floor
// of docs/architecture.md is a target, so that the compiler enforces that nothing imports upwards.

let strict: [SwiftSetting] = [
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .treatWarning("EmbeddedRestrictions", as: .error),
    .enableExperimentalFeature("Lifetimes"),
]

func floor(_ name: String, on dependencies: [Target.Dependency], _ settings: [SwiftSetting] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict + settings)
}

func tests(of name: String, as suite: String? = nil, with dependencies: [Target.Dependency] = []) -> Target {
    .testTarget(
        name: (suite ?? name) + "Tests",
        dependencies: [.target(name: name), "SimulatedMachine", "TestSupport"] + dependencies,
        swiftSettings: [.treatAllWarnings(as: .error)])
}

let package = Package(
    name: "quarry",
    products: [
        .library(
            name: "Quarry",
            targets: [
                "MemoryPrimitives", "BootMemory", "PageFrames", "Paging", "Slab", "VirtualMemory", "DeviceMemory",
                "LeakDetection", "KernelMemory", "Quarry",
            ]),
        .library(name: "QuarryX86", targets: ["QuarryX86"]),
        .library(name: "SimulatedMachine", targets: ["SimulatedMachine", "SimulatedKernel"]),
    ],
    targets: [
        // Floors 0 to 5: no platform, no privileged instruction.
        floor("MemoryPrimitives", on: []),
        floor("BootMemory", on: ["MemoryPrimitives"]),
        floor("PageFrames", on: ["MemoryPrimitives", "BootMemory"]),
        floor("Paging", on: ["MemoryPrimitives", "BootMemory", "PageFrames"]),
        floor("Slab", on: ["MemoryPrimitives", "PageFrames"]),
        floor("VirtualMemory", on: ["MemoryPrimitives", "PageFrames", "Paging", "Slab"]),
        floor("DeviceMemory", on: ["MemoryPrimitives", "PageFrames", "Slab"]),
        floor("LeakDetection", on: ["MemoryPrimitives", "BootMemory", "PageFrames", "Paging"]),
        floor(
            "KernelMemory",
            on: [
                "MemoryPrimitives", "BootMemory", "PageFrames", "Paging", "Slab", "VirtualMemory", "DeviceMemory",
                "LeakDetection",
            ]),

        // All of them by one import.
        floor(
            "Quarry",
            on: [
                "MemoryPrimitives", "BootMemory", "PageFrames", "Paging", "Slab", "VirtualMemory", "DeviceMemory",
                "LeakDetection", "KernelMemory",
            ]),

        // Beside them: what a kernel on x86-64 needs before it can bring them up.
        .target(name: "X86"),
        floor(
            "QuarryX86",
            on: ["MemoryPrimitives", "BootMemory", "Paging", "KernelMemory", "X86"],
            [.enableExperimentalFeature("Extern")]
        ),

        // Sequences of changes that the kernel's self tests and the host's tests make alike.
        floor("TableSequence", on: ["MemoryPrimitives", "Paging"]),

        // The kernel's prompt as far as it is about text: lines, keys, history, completion.
        floor("Monitor", on: ["MemoryPrimitives", "BootMemory"]),

        // Floor 6: the freestanding program. Host builds compile it too, which keeps it honest, and never link it.
        floor(
            "Kernel", on: ["KernelMemory", "TableSequence", "Monitor", "QuarryX86", "X86"],
            [.enableExperimentalFeature("Extern")]),

        // The host's platform, and what is tested on it.
        .target(name: "HostThreads"),
        .target(
            name: "SimulatedMachine", dependencies: ["MemoryPrimitives", "HostThreads"],
            swiftSettings: [.strictMemorySafety(), .treatAllWarnings(as: .error)]),
        .target(
            name: "SimulatedKernel",
            dependencies: [
                "MemoryPrimitives", "BootMemory", "PageFrames", "Paging", "Slab", "VirtualMemory", "KernelMemory",
                "SimulatedMachine",
            ],
            swiftSettings: [.strictMemorySafety(), .treatAllWarnings(as: .error)]),
        // What `make fuzz` feeds with inputs, and tests with those that are kept.
        .target(
            name: "FuzzTargets",
            dependencies: ["BootMemory", "PageFrames", "Paging", "Slab", "VirtualMemory", "SimulatedMachine"],
            path: "Tests/FuzzTargets", swiftSettings: [.strictMemorySafety(), .treatAllWarnings(as: .error)]),
        // What several test targets need.
        .target(
            name: "TestSupport", dependencies: ["SimulatedMachine"], path: "Tests/TestSupport",
            swiftSettings: [.treatAllWarnings(as: .error)]),
        tests(of: "MemoryPrimitives"),
        tests(of: "BootMemory"),
        tests(of: "PageFrames"),
        .testTarget(
            name: "PageFrameCheckTests", dependencies: ["PageFrames", "SimulatedMachine"],
            swiftSettings: [.treatAllWarnings(as: .error)]),
        tests(of: "PageFrames", as: "PageFrameScenario", with: ["FuzzTargets"]),
        .testTarget(
            name: "PageFrameCallTests", dependencies: ["PageFrames", "SimulatedMachine", "TestSupport"],
            swiftSettings: [.treatAllWarnings(as: .error)]),
        tests(of: "Paging", with: ["TableSequence"]),
        tests(of: "Slab"),
        tests(of: "VirtualMemory"),
        tests(of: "DeviceMemory"),
        tests(of: "LeakDetection", with: ["Slab", "VirtualMemory"]),
        tests(of: "KernelMemory"),
        tests(of: "SimulatedKernel", with: ["Quarry"]),
        tests(of: "Monitor"),
    ]
)
