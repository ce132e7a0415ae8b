"""Pictures of memory, drawn from the kernel's reports: parsing, the model, SVG, and a page that stands alone."""
