import KernelMemory
import MemoryPrimitives
import VirtualMemory
import X86

extension LogMessage.Interpolation {
    /// Where an address lies among the vmalloc areas.
    mutating func appendInterpolation(area address: VirtualAddress) {
        guard let memory = unsafe Quarry.memory else { return appendInterpolation("the vmalloc space" as StaticString) }
        appendInterpolation(memory.value.vmalloc.value.describe(address))
    }

    mutating func appendInterpolation(_ description: AddressDescription) {
        let text: StaticString =
            switch description.place {
            case .usable: "in "
            case .guardBelow: "in the guard page below "
            case .guardAbove: "in the guard page above "
            case .freed: "freed: it was in "
            case .belowArea: "in no area, the nearest is above it: "
            case .aboveArea: "in no area, the nearest is below it: "
            case .noAreas: "in the vmalloc space, which has no areas"
            case .outsideSpace: "outside the vmalloc space"
            }
        appendInterpolation(text)
        guard let area = description.area else { return }
        appendInterpolation(area.kind.name)
        appendInterpolation(" area \"" as StaticString)
        appendInterpolation(area.name)
        appendInterpolation("\" " as StaticString)
        appendInterpolation(area.usable)
        if description.distance > 0 {
            appendInterpolation(", " as StaticString)
            appendInterpolation(description.distance)
            appendInterpolation(" bytes away" as StaticString)
        }
    }
}
