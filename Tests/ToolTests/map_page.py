"""The page of `make map` in a browser: what its tests share."""

from selenium.webdriver.common.by import By

from toolchain import BUILD

SHOTS = BUILD / "map-page"


def trace_of(model):
    """A trace that ends in the dump: blocks in use are allocated, others are allocated and freed again."""
    blocks = [run for run in model.dump.runs if run.use == "allocated"][:6]
    free = [run for run in model.dump.runs if run.use == "free" and run.order == 3][:3]
    steps = [("alloc", run) for run in free] + [("alloc", run) for run in blocks] + [("free", run) for run in free]
    text = "# tracer: nop\n"
    for index, (kind, run) in enumerate(steps):
        text += (f"kernel-0 [000] d..1. {index / 1000:.6f}: mm_page_{kind}: page=0x0 pfn={run.first:#x} "
                 f"order={run.order} migratetype=0 gfp_flags=GFP_KERNEL\n")
        text += f"kernel-0 [000] d..1. {index / 1000:.6f}: kmalloc: call_site=x ptr=0x{index:x}0 bytes_req=8 bytes_alloc=8\n"
    return text, steps


def one(page, selector):
    return page.find_element(By.CSS_SELECTOR, selector)
