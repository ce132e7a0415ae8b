import Testing
@testable import Paging
