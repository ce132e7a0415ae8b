"""What `make bench` finds wrong with its figures: rows that are missing, and what is above its bound or grew."""

from bench_figures import BOOT_SIZES, CALIBRATION, boot_row_name, bound_calls, geometric_means


def calibration_problems(calibration):
    return [
        f"calibration: {name} counted as {calibration.get(name)}, not {expected}"
        for name, expected in CALIBRATION.items() if calibration.get(name) != expected]


# The statistics of the rows that Linux does not have.
FROM_SLABS_ROWS = {
    f"kmalloc({size}) from slabs {call}": "mean" for size in (64, 1024, 8192) for call in ("alloc", "free")}
DEMAND_ROWS = {
    "first touch": "median", "first touch with fault-around, per page": "mean", "first touch 2M, per page of 4K": "mean",
    **{name: "median" for size in ("4K", "16M", "1G")
       for name in (f"vmalloc {size} on demand", f"vfree {size} on demand, untouched")},
    **{f"kernel stack, {name}": "median"
       for name in ("ready, make", "ready, free", "new, make", "new, free", "growth fault")}}
BOOT_ROWS = {boot_row_name(size): "count" for size in BOOT_SIZES}


def row_problems(rows, linux):
    """Rows that are missing, unknown, or another statistic than Linux's."""
    expected = {**{name: statistic for name, (statistic, _) in linux.items()},
                **FROM_SLABS_ROWS, **DEMAND_ROWS, **BOOT_ROWS}
    found = {row.name: row.statistic for row in rows}
    problems = [f"missing row: {name}" for name in expected if name not in found]
    problems += [f"unknown row: {name}" for name in found if name not in expected]
    problems += [
        f"{name}: is a {found[name]}, and {expected[name]} is what it is compared with"
        for name in found if name in expected and found[name] != expected[name]]
    return problems


def bound_problems(rows, descriptor_bytes, bounds):
    """Calls, means, boots and descriptors above their bounds."""
    problems = []
    for call in bound_calls(rows):
        if call.instructions > call.limit(bounds):
            problems.append(
                f"{call.name}{' pair' if call.kind in ('hot', 'batch', 'vmalloc') else ''}: {call.instructions:.2f} is "
                f"{call.ratio:.3f} of Linux's {call.linux:.2f}, at most {call.limit(bounds):.2f}")
    problems += [
        f"{title}: {mean:.3f}, at most {float(limit):.3f}"
        for title, mean, limit, _ in geometric_means(rows, bounds) if mean > limit]
    if descriptor_bytes > bounds["descriptor bytes"]:
        problems.append(f"descriptor: {descriptor_bytes} bytes a frame, at most {bounds['descriptor bytes']}")
    problems += [
        f"{name}: {value:.2f}, at most {limit:g}" for name, value, limit in demand_bounds(rows, bounds) if value > limit]
    ratio = boot_ratio(rows)
    if ratio is not None and ratio > bounds["boot of 64G over 512M"]:
        problems.append(
            f"boot to \"page frames ready\": 64G takes {ratio:.2f} times 512M, at most "
            f"{bounds['boot of 64G over 512M']}")
    return problems


def demand_bounds(rows, bounds):
    """[(name, value, limit)] of memory that is mapped at its first touch."""
    by_name = {row.name: row.instructions for row in rows}
    found = [(name, by_name[name], limit) for name, limit in bounds["first touches"].items() if name in by_name]
    small, large = (by_name.get(f"vmalloc {size} on demand") for size in ("4K", "1G"))
    if small and large:
        found.append(("vmalloc on demand, 1G over 4K", large / small, bounds["vmalloc on demand, 1G over 4K"]))
    return found


def boot_ratio(rows):
    """How many times as long 64G takes as 512M; None where either is not there."""
    by_name = {row.name: row.instructions for row in rows}
    small, large = (by_name.get(boot_row_name(size)) for size in BOOT_SIZES)
    return large / small if small and large else None


def growth_problems(rows, reference, bound):
    """Rows that grew by more than `bound` over the checked-in figures, or that these do not have."""
    problems = []
    for row in rows:
        before = reference.get(row.name)
        if before is None:
            problems.append(f"{row.name}: not in instructions.json; `make bench-update` adds it")
        elif row.instructions > before * (1 + bound):
            problems.append(
                f"{row.name}: grew from {before:g} to {row.instructions:g}, "
                f"{100 * (row.instructions / before - 1):+.1f} %")
    found = {row.name for row in rows}
    return problems + [f"{name}: in instructions.json and not measured" for name in reference if name not in found]


def shrunken(rows, reference, bound):
    """A line for each row that shrank by more than `bound`: the checked-in figure would let it grow back unseen."""
    return [
        f"{row.name}: shrank from {reference[row.name]:g} to {row.instructions:g}"
        for row in rows if row.name in reference and row.instructions < reference[row.name] * (1 - bound)]
