"""What the stack check cannot read from the code: where indirect calls lead, what bounds recursion, which stacks exist.

`make check` holds each line against the image: a name that fits nothing, a call that no line explains and a recursion
that no line bounds are problems. Names are as a backtrace prints them; `*` in one stands for anything.
"""

import dataclasses

from stack_depth import Bound

SHRINKERS = ["closure #? in ShrinkerList.register(_:)"]
GUARDED_OBJECTS = ["closure #? in GuardedPool.calls(of:)"]
ALLOCATION_WATCHER = ["closure #1 in PageFrameAllocator.setWatcher(_:in:)"]
LEAK_WATCHER = ["closure #? in PageFrameAllocator.setWatcher(_:in:)"]

# Of floors 0 to 5, which have no objects (check_floors.py), those that call closures.
FLOORS_WITH_CLOSURES = [
    "PageFrameAllocator.*", "SlabCache.*", "GuardedPool.*", "Vmalloc.*", "LargeBlocks.*", "ShrinkerList.*",
    "outlined *",
]

# Caller: the functions that its indirect calls may reach.
INDIRECT_CALLS = {
    # Closures that are handed down, and called before the function that made them returns.
    "BootAllocator.forEachFreeRange(_:)": ["* closure #1 in PageFrameAllocator.takeRanges(of:)"],
    "MultibootInformation.walk(_:_:_:)": ["* closure #1 in FirmwareMap.fill(from:commandLine:malformed:)"],
    "MultibootInformation.forEachModule(_:)": ["* closure #? in BootReservations.fill(_:from:_:_:)"],
    "Word.forEachMemoryMapRequest(_:malformed:)": ["* closure #1 in FirmwareMap.apply(_:malformed:)"],
    "SwiftObjectTests.Shape.value.getter": ["* closure #1 in SwiftObjectTests.shapes(_:)"],
    "CallbackList.unregister(_:)": ["closure #1 in CallbackList.unregister(_:)"],
    "PagingTests.withLargePage(_:_:)": ["closure #1 in PagingTests.*"],
    # Callbacks that are registered and called later.
    "ShrinkRound.*": SHRINKERS,
    "ShrinkerList.visit(_:_:_:)": SHRINKERS,
    "FrameMoverList.move(from:to:order:)": ["closure #1 in FrameMoverList.register(_:name:)"],
    "SlabCache.construct(_:_:)": ["closure #1 in CacheTests.objects(_:)"],
    "LeakDetector.note(_:)": ["closure #1 in KernelMemory.startLeakDetection(_:_:_:_:_:)"],
    "Exceptions.*": ["closure #? in CrashTest.misuseStack(_:)"],
    "PageFaultHandler.handle(_:)": ["closure #? in CrashTest.misuseStack(_:)"],
    "Interrupts.handle(_:)": ["closure #? in CrashTest.misuseStack(_:)"],
    "exception_dispatch": ["closure #1 in CrashTest.waitInHandler()", "closure #1 in ExceptionTests.contexts(_:)",
                           "closure #1 in DemandTests.handlers(_:)"],
    # Guarded objects and the leak detector, which the floors below call through what they were given at bring-up.
    "Kmalloc.sizeUncommon(_:in:)": GUARDED_OBJECTS,
    "Kmalloc.guardedMemory(at:byteCount:)": GUARDED_OBJECTS,
    "GuardedSampling.free(_:from:in:)": GUARDED_OBJECTS,
    "SlabCache.freeWatched(_:)": GUARDED_OBJECTS + LEAK_WATCHER,
    "SlabCache.allocateWatched(_:_:)": GUARDED_OBJECTS + LEAK_WATCHER + ["closure #1 in CacheTests.objects(_:)"],
    "GuardedPool.free(_:from:in:)": LEAK_WATCHER,
    "SlabCache.reportGuarded()": GUARDED_OBJECTS,
    "SlabCache.checkGuarded()": GUARDED_OBJECTS,
    "LargeBlocks.allocate(_:_:from:)": LEAK_WATCHER,
    "PageFrameAllocator.*": LEAK_WATCHER,
    "Vmalloc.*": LEAK_WATCHER,
    "KernelStacks.*": LEAK_WATCHER,
    "StackBenchmarks.*": LEAK_WATCHER,
    # The deinitialiser of the object's class.
    "_swift_embedded_invoke_heap_object_destroy": ["*.__deallocating_deinit"],
    # They execute what is no function, and end in a fault.
    "CrashTest.*": [],
    # What the person at the prompt says: nobody knows what it needs.
    "FaultCommand.execute(_:)": [],
    # A return instruction, or nothing at all.
    "probe_fetch": [],
    # The code that the test has written, which returns at once.
    "DeviceMappingTests.code(_:)": [],
    # To another stack: see STACK_SWITCHES.
    "switch_stack": [],
}

# Functions that begin a stack of their own, through switch_stack, and which.
STACK_SWITCHES = {
    "closure #1 in MainStack.enter(_:_:)": "monitor",
    "closure #2 in MainStack.enter(_:_:)": "main",
    "closure #1 in PageFaultHandler.reportOverflow(_:_:)": "double fault",
    "closure #1 in Tracer.drain(_:)": "boot",
    "closure #1 in ExitCode.exit()": "boot",
    "closure #1 in StackTests.stacks(_:)": "test",
    "closure #1 in StackTests.growth(_:)": "test",
    "closure #1 in StackTests.underLocks(_:)": "test",
    "closure #1 in CrashTest.misuseStack(_:)": "test",
    "closure #1 in CrashTest.overflowInLock(_:)": "test",
}

# Functions whose address is taken and that no code calls by it.
UNCALLED = {
    # The interrupt descriptor table names them.
    "exception_stub_*", "interrupt_stub_*",
    # Where a probe goes on whose access has faulted: in place of one of its own returns.
    "probe_failed",
    # The methods of the standard library's classes; the kernel calls none of them by way of the class.
    "*ArrayStorage*.canStoreElements(ofDynamicType:)", "_*Storage*.__allocating_init*",
    "swift_deletedMethodError",
}

# Calls that the code has and that are never made: (caller, callee): why.
IMPOSSIBLE_CALLS = {
    **{(caller, "swift_release"): "the closures that the floors are given capture nothing: there is no object to release"
       for caller in FLOORS_WITH_CLOSURES},
}

# What is not called, however deep below, by a function that says so with its request: {function: (callees, why)}.
EXCLUDED_BELOW = {
    "LeakDetector.grow(order:_:)": (
        ["PageFrameAllocator.reclaim(for:)", "PageFrameAllocator.reclaimIfAsked(flags:)", "AllocationFailureLog.write(_:)",
         "LeakDetector.note(_:)"],
        "it asks with .noWait or before there is a shrinker, .noWarn and .noLeakTrace"),
    "PageFrameAllocator.allocateReadily(flags:)": (
        ["PageFrameAllocator.allocateSlow(order:flags:)", *LEAK_WATCHER],
        "it asks without .noFail, which alone tries again where a frame is damaged, and with .noLeakTrace"),
    "LeakDetector.giveRecordsBack()": (LEAK_WATCHER, "the detector is off then, and the watcher gone"),
    "PageFrameAllocator.reportInUse(_:order:_:)": (
        ["AllocationFailureLog.write(_:)"], "its own attempts are with .noWarn"),
}

# What is entered again while it runs, how often at most, and why no more often.
RECURSION = {
    "swift_runtime_stack_damaged": Bound(1, "FatalReport.begin ends a report within a report"),
    "ViolationReport.handle(_:)": Bound(1, "FatalReport.begin ends a report within a report"),
    "PageFrameAllocator.reportInUse(_:order:_:)": Bound(1, "its own attempts are without .noFail, and end at the next"),
    "FreeIndex.leadsAstray(_:_:_:_:)": Bound(3, "once a level of the index, of which there are four at most"),
    "swift_release": Bound(2, "objects hold no others that hold others; a list is taken apart by a loop"),
    "CacheName.append(decimal:)": Bound(19, "once a digit of a 64-bit number"),
    "LeakState.insert(_:)": Bound(1, "the tail that it inserts lies where nothing is any more"),
    "PageTables.check(_:_:_:_:)": Bound(4, "once a level, of which there are five at most"),
    "PageTables.clearMarks(_:_:)": Bound(4, "once a level, of which there are five at most"),
    "TableWalk.visit(_:_:_:_:_:_:)": Bound(4, "once a level, of which there are five at most"),
    "CrashTest.recurse(_:)": Bound(0, "runs out of stack on purpose"),
    "StackTests.use(downTo:)": Bound(0, "goes down as far as it is told, which leaves what an exception needs"),
    "SwiftObjectTests.Shape.value.getter": Bound(13, "the shapes of the test nest that deep"),
}


@dataclasses.dataclass
class Entry:
    """Where a stack is entered: by `function`, with `byte_count` bytes on it already."""

    stack: str
    function: str
    byte_count: int


# What the CPU pushes for an exception: up to 8 bytes to align the stack, five words, and an error code, which else the
# stub pushes, and is counted there.
EXCEPTION_BYTES = 8 + 5 * 8 + 8
# What the CPU pushes for an interrupt, with the alignment.
INTERRUPT_BYTES = 8 + 5 * 8
# What switch_stack pushes on the new stack, and its return address.
SWITCH_BYTES = 3 * 8

# The way of every exception, and what lies on the way of one vector alone.
EXCEPTION_PATH = ["exception_stub_*", "exception_common", "exception_dispatch"]
OF_ONE_VECTOR = {
    "PageFaultHandler.handle(_:)": 14,
    "Exceptions.doubleFault(_:)": 8,
    "closure #1 in CrashTest.waitInHandler()": 3,
    "closure #1 in ExceptionTests.contexts(_:)": 3,
    "closure #1 in DemandTests.handlers(_:)": 3,
}
# Functions that raise an exception which is answered: as if they called it.
RAISED = {"ExceptionTests.contexts(_:)": 3, "DemandTests.handlers(_:)": 3, "CrashTest.waitInHandler()": 3}

VECTORS = range(32)
# Vectors with a stack of their own in the interrupt stack table (DescriptorTables.swift).
INTERRUPT_STACKS = {2: "NMI", 8: "double fault", 14: "page fault", 18: "machine check"}

# Stacks of boot/stacks.S by the symbols at their ends, and those of KernelStack by their size.
STACKS = {
    "boot": ("boot_stack", "boot_stack_end"),
    "double fault": ("double_fault_stack", "double_fault_stack_end"),
    "page fault": ("page_fault_stack", "page_fault_stack_end"),
    "NMI": ("nmi_stack", "nmi_stack_end"),
    "machine check": ("machine_check_stack", "machine_check_stack_end"),
    "interrupt": ("interrupt_stack", "interrupt_stack_end"),
    "main": 16384,
    "monitor": 24576,
    "test": 16384,
}

ENTRIES = [
    # boot/entry.S pushes a return address of 0.
    Entry("boot", "kernel_main", 8),
    # Devices' interrupts have a stack of their own: they add nothing to the one that they interrupt. Exceptions are counted
    # on top as on any other.
    Entry("interrupt", "interrupt_stub_*", INTERRUPT_BYTES),
    *(Entry(stack, function, SWITCH_BYTES) for function, stack in STACK_SWITCHES.items()),
]

# Parts of the way below the entries that the report shows by themselves.
SHOWN = ["BringUp.run(information:)", "Benchmarks.run(_:)", "CrashTest.run()", "*Tests.run(_:)"]
