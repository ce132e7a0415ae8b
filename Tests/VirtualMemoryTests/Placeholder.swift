import Testing
@testable import VirtualMemory
