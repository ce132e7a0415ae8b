import Testing
@testable import KernelMemory
