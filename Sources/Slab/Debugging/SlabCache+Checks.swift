import MemoryPrimitives
import PageFrames

// What is looked at, and written, around an object of a watched cache: see `SlotParts`. All with `debugging`'s lock held.
extension SlabCache {
    var parts: SlotParts { SlotParts(layout, flags) }

    /// Whether free objects are filled. Objects that are to keep their contents are not.
    var poisonsObjects: Bool { flags.contains(.poison) && flags.isDisjoint(with: .typesafe | .keepsContents) }

    /// Looks at what lies around an object and, where it is free, at the object: reports each part that has been written
    /// and restores it.
    /// - Returns: the number of such parts. - Complexity: O(bytes of the slot).
    @inline(never)
    func checkSurroundings(of object: UInt, isFree: Bool, in call: StaticString) -> Int {
        let parts = parts
        let check = PartCheck(object: object, call: call)
        var found = 0
        if flags.contains(.redZone) {
            let zone = isFree ? SlabBytes.freeRedZone : SlabBytes.usedRedZone
            found += verify(check, "Left Redzone", .underrun, 0 &- parts.objectOffset, 0, zone)
            found += verify(check, "Right Redzone", .overrun, parts.objectSize, parts.redZoneEnd, zone)
            if !isFree {
                found += verify(check, "kmalloc Redzone", .overrun, requestedSize(of: object), parts.objectSize, zone)
            }
        } else if flags.contains(.poison) {
            found += verify(
                check, "Alignment padding", .overrun, parts.objectSize, parts.redZoneEnd, SlabBytes.padding)
        }
        if isFree, poisonsObjects {
            found += checkPoison(check, byteCount: parts.objectSize)
        }
        if flags.contains(.poison) {
            found += verify(
                check, "Object padding", .overrun, parts.paddingOffset, parts.paddingEnd, SlabBytes.padding)
        }
        return found
    }

    /// Looks at what `fillFree` has left of an object, or of the part of it that its user asked for.
    func checkPoison(_ check: PartCheck, byteCount: UInt) -> Int {
        let last = byteCount &- 1
        return verify(check, "Poison", .writeAfterFree, 0, last, SlabBytes.poison)
            + verify(check, "End Poison", .writeAfterFree, last, byteCount, SlabBytes.lastPoison)
    }

    /// The object that is looked at, and for which call.
    struct PartCheck {
        let object: UInt
        let call: StaticString
    }

    /// Compares a part of the slot, counted from the object, with what it is filled with. - Returns: 1 where it differs.
    private func verify(
        _ check: PartCheck, _ name: StaticString, _ kind: MemoryViolation.Kind, _ start: UInt, _ end: UInt,
        _ expected: UInt8
    ) -> Int {
        guard
            let damage = SlabBytes.damage(check.object &+ start, end &- start, expecting: expected)
        else { return 0 }
        report(damage, kind, name, of: check, expecting: expected)
        return 1
    }

    /// Reports bytes that have been written, and restores them.
    @inline(never)
    func report(
        _ damage: SlabBytes.Damage, _ kind: MemoryViolation.Kind, _ name: StaticString, of check: PartCheck,
        expecting expected: UInt8
    ) {
        var violation = MemoryViolation(
            kind, in: check.call, at: damage.start, from: check.object, name, byte: damage.found,
            byteCount: damage.end &- damage.start)
        violation.expectedByte = expected
        debugging.value.report(violation)
        SlabBytes.fill(damage.start, damage.end &- damage.start, with: expected)
        debugging.value.countRepair()
    }

    /// Fills the red zones as of an object that is free, or allocated for so many bytes.
    func fillRedZones(of object: UInt, isFree: Bool, _ requested: UInt) {
        guard flags.contains(.redZone) else { return }
        let parts = parts
        let zone = isFree ? SlabBytes.freeRedZone : SlabBytes.usedRedZone
        SlabBytes.fill(object &- parts.objectOffset, parts.objectOffset, with: zone)
        SlabBytes.fill(object &+ requested, parts.redZoneEnd &- requested, with: zone)
        // The slot has room for it there, aligned to 8.
        unsafe UnsafeMutablePointer<UInt>(bitPattern: object &+ parts.requestOffset).unsafelyUnwrapped.pointee =
            requested
    }

    /// Fills a free object.
    func fillFree(_ object: UInt) { fillFree(object, byteCount: layout.objectSize) }

    /// Fills so many bytes of an object, more than 0.
    func fillFree(_ object: UInt, byteCount: UInt) {
        let last = byteCount &- 1
        SlabBytes.fill(object, last, with: SlabBytes.poison)
        SlabBytes.fill(object &+ last, 1, with: SlabBytes.lastPoison)
    }

    /// The bytes that the user of an allocated object asked for; all of it where that is not noted down.
    func requestedSize(of object: UInt) -> UInt {
        guard flags.contains(.redZone) else { return layout.objectSize }
        // As in `fillRedZones`. Who wrote beyond the red zone may have written this.
        let noted = unsafe UnsafePointer<UInt>(bitPattern: object &+ parts.requestOffset).unsafelyUnwrapped.pointee
        return min(noted, layout.objectSize)
    }

    /// Notes down who allocates or frees an object, which nobody else has just now. Inlined, so that of the few callers
    /// that a trace has room for more are the user's.
    @inline(__always)
    func noteUser(of object: UInt, _ event: ObjectTrack.Event) {
        guard flags.contains(.storeUser), let track = unsafe track(of: object, event) else { return }
        unsafe track.pointee = ObjectTrack()
        // The slot's own memory, as `track(of:_:)` says.
        unsafe P.captureTrace(into: &track.pointee.trace)
        unsafe track.pointee.time = P.cycleCounter
        unsafe track.pointee.cpu = UInt32(truncatingIfNeeded: P.currentCPU)
        unsafe track.pointee.isKnown = 1
    }

    /// Where it stands who allocated or freed an object; nil where that is not kept.
    func track(of object: UInt, _ event: ObjectTrack.Event) -> UnsafeMutablePointer<ObjectTrack>? {
        guard flags.contains(.storeUser) else { return nil }
        // The slot has room for two behind the right red zone, aligned to 8.
        let first = unsafe UnsafeMutablePointer<ObjectTrack>(bitPattern: object &+ parts.tracksOffset)
        return unsafe first.unsafelyUnwrapped + event.rawValue
    }
}
