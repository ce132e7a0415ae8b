import Testing
@testable import BootMemory
