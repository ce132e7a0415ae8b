import Testing
@testable import PageFrames
