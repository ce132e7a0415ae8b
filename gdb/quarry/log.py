"""The kernel's log, from the ring that holds its last 64 KiB (boot/log.S): all lines, whatever the serial line shows."""

from quarry import memory
from quarry.errors import Trouble

FATAL = " fatal "


def lines():
    """The lines that are still there, the oldest first."""
    ring = memory.address_of("log_ring")
    size = memory.address_of("log_ring_memory_end") - ring
    start, end = memory.word_of("log_ring_start"), memory.word_of("log_ring_end")
    if not start <= end <= start + size:
        raise Trouble(f"the log's ring is damaged: it says that bytes {start} to {end} are there")
    data = memory.read(ring, size)
    text = bytes(data[place % size] for place in range(start, end)).decode("ascii", "replace")
    return text.splitlines()


def tail(count):
    """The last lines; none where there is no log."""
    try:
        return lines()[-count:]
    except Trouble:
        return []


def fatal_lines():
    """What the kernel's own report says, without the time."""
    return [line.partition(FATAL)[2].strip() for line in tail(1 << 16) if FATAL in line.partition("]")[2][:16]]


def report(text=""):
    """The lines of `quarry log [COUNT]`."""
    if text and (not text.isdigit() or not int(text)):
        raise Trouble(f"expected how many of the last lines, not {text!r}")
    found = lines()
    if not found:
        raise Trouble("the log is empty: the kernel has written nothing yet")
    yield from found[-int(text):] if text else found
