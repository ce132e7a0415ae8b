import MemoryPrimitives
import PageFrames

/// The lines of a report on an area that could not be had, in Linux's words, and on a wrong free of one.
public enum AreaFailureReport {
    /// Writes who asked for what, and what was lacking; a kernel's stack trace comes next.
    ///
    ///     vmap allocation for size 20480 failed: use vmalloc=<size> to increase size
    ///     kernel: vmalloc error: size 20480, vm_struct allocation failed, mode:0xcc0(GFP_KERNEL), nodemask=(null)
    ///     CPU: 0
    /// - Parameters:
    ///   - failure: not one of frames alone, nor of what devices need.
    ///   - name: what Linux writes the process' name for.
    ///   - cpu: the CPU that asked.
    ///   - writer: where it goes.
    /// - Complexity: O(1).
    public static func writeHeading(
        _ failure: FailedAllocation, name: StaticString, cpu: Int, to writer: inout some ReportWriter
    ) {
        if failure.lack == .addresses {
            writer.write("vmap allocation for size ")
            writer.write(decimal: failure.byteCount)
            writer.write(" failed: use vmalloc=<size> to increase size")
            writer.endLine()
        }
        writer.write(name)
        writer.write(": vmalloc error: size ")
        writer.write(decimal: failure.byteCount)
        switch failure.lack {
        case .areaFrames, .frames, .deviceAddresses, .bounceSlots:
            writer.write(", page order 0, failed to allocate pages, mode:")
        case .addresses, .notes: writer.write(", vm_struct allocation failed, mode:")
        }
        writer.write(mode: AllocationFlags(rawValue: failure.flags))
        writer.write(", nodemask=(null)")
        writer.endLine()
        writer.write("CPU: ")
        writer.write(decimal: cpu.magnitude)
        writer.endLine()
    }

    /// Whether a violation is a wrong free of an area, of which `writeBadFree` has something to say.
    public static func isBadFree(_ violation: MemoryViolation) -> Bool {
        switch violation.kind {
        case .doubleFree, .wildFree, .misalignedFree: break
        default: return false
        }
        return calls(violation.call, "vfree") || calls(violation.call, "vunmap") || calls(violation.call, "vrealloc")
            || calls(violation.call, "vm_unmap_ram") || calls(violation.call, "KernelStack.free")
    }

    /// Writes what Linux says of such an address, which it calls bad where it is no page's.
    ///
    ///     Trying to vfree() nonexistent vm area (ffffc90000001000)
    ///     CPU: 0
    public static func writeBadFree(_ violation: MemoryViolation, cpu: Int, to writer: inout some ReportWriter) {
        let isPage = violation.address & (PageSize.byteCount &- 1) == 0
        writer.write(isPage ? "Trying to vfree() nonexistent vm area (" : "Trying to vfree() bad address (")
        writer.write(hex: violation.address, digits: 16)
        writer.write(")")
        writer.endLine()
        writer.write("CPU: ")
        writer.write(decimal: cpu.magnitude)
        writer.endLine()
    }

    private static func calls(_ call: StaticString, _ name: StaticString) -> Bool {
        if call.utf8CodeUnitCount != name.utf8CodeUnitCount { return false }
        // Both end where the count says, and live as long as the image.
        for index in 0..<name.utf8CodeUnitCount where unsafe call.utf8Start[index] != name.utf8Start[index] {
            return false
        }
        return true
    }
}

extension Vmalloc {
    /// Writes how full the address space is, and what stands behind the areas:
    ///
    ///     vmalloc: 3 areas, 700 pages reserved, 20 present, 0 lazily freed; 34359738368 kB of addresses, largest gap 34359735000 kB
    ///     page frames: 120000 free, 680 promised
    /// - Complexity: O(1). Takes the areas' lock: not for whoever holds it.
    public func writeFigures(to writer: inout some ReportWriter) {
        let figures = ranges.statistics
        writer.write("vmalloc: ")
        writer.write(decimal: figures.areas)
        writer.write(" areas, ")
        writer.write(decimal: figures.reservedPages)
        writer.write(" pages reserved, ")
        writer.write(decimal: figures.presentPages)
        writer.write(" present, ")
        writer.write(decimal: figures.retiredPages)
        writer.write(" lazily freed; ")
        writer.write(decimal: ranges.space.byteCount >> 10)
        writer.write(" kB of addresses, largest gap ")
        writer.write(decimal: ranges.largestGap >> 10)
        writer.write(" kB")
        writer.endLine()
        writer.write("page frames: ")
        writer.write(decimal: frames.value.freeFrames)
        writer.write(" free, ")
        writer.write(decimal: frames.value.promisedFrames)
        writer.write(" promised")
        writer.endLine()
    }
}
