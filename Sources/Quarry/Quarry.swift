// One import for all floors: `import Quarry`. Who wants to see which floor a file stands on imports the floors by name.

@_exported import BootMemory
@_exported import DeviceMemory
@_exported import KernelMemory
@_exported import LeakDetection
@_exported import MemoryPrimitives
@_exported import PageFrames
@_exported import Paging
@_exported import Slab
@_exported import Tracing
@_exported import VirtualMemory
