import Testing
@testable import Slab
