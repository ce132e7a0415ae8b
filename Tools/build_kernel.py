#!/usr/bin/env python3
"""Builds a kernel: Swift modules, boot assembly, two links around the symbol table, and the Multiboot form.

    build_kernel.py [--configuration release|debug] [--output DIRECTORY]
    build_kernel.py --package PATH --product NAME [--configuration ...] [--output DIRECTORY] [--linker-script FILE]

The first builds Quarry's own kernel and leaves in DIRECTORY quarry.elf (64-bit, with symbols and DWARF) and
quarry-multiboot.elf (what `qemu -kernel` takes). The second builds that of another package, which depends on Quarry: NAME is
a static library of it, and becomes NAME.elf and NAME-multiboot.elf in DIRECTORY, or else in PATH/build.
"""

import argparse
import pathlib
import shutil

from symbol_table import assembly, demangle, functions, readable
from toolchain import BUILD, KERNEL_TARGETS, ROOT, TRIPLE, Failure, entry_point, run, tool

C_FLAGS = [
    f"--target={TRIPLE}", "-ffreestanding", "-mno-red-zone", "-mno-sse", "-mno-mmx", "-msoft-float",
    "-fno-omit-frame-pointer", "-fno-stack-protector", "-Wall", "-Wextra", "-Werror", "-g",
]
LINK_FLAGS = ["--gc-sections", "-z", "noexecstack", "-z", "max-page-size=4096", "--build-id=none"]
SCRATCH = ROOT / ".build-kernel"
SOURCES = ROOT / "Sources"
BOOT = ROOT / "boot"

# A table that is first empty, then of the right size, then of the right addresses, has settled by the third link.
MOST_LINKS = 4


def objects_directory(configuration):
    return SCRATCH / TRIPLE / configuration


def build_swift(configuration):
    if configuration == "debug":
        forget_stale_modules(objects_directory(configuration))
    run([
        tool("swift"), "build", "--build-system", "native", "--triple", TRIPLE,
        "--toolset", ROOT / "toolset.json", "-c", configuration, "--scratch-path", SCRATCH,
        "--package-path", ROOT, "--target", "Kernel",
    ])


def forget_stale_modules(directory, packages=(ROOT,)):
    """Makes the next build start afresh where a source has changed since the last one.

    An incremental debug build compiles a module again only when what it can see of another's interface has changed, while
    generic code of that other module was specialised into it: it would keep the old code.
    """
    stamp = directory / "sources-built"
    sources = [ROOT / "toolset.json"]
    for package in packages:
        sources += [package / "Package.swift", *(path for path in (package / "Sources").rglob("*") if path.is_file())]
    if not stamp.exists() or max(path.stat().st_mtime for path in sources) > stamp.stat().st_mtime:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        stamp.touch()


def module_objects(configuration, targets=KERNEL_TARGETS):
    """The objects of the sources that exist now; what a removed file left behind is not linked."""
    found = []
    for target in targets:
        for source in sorted((SOURCES / target).rglob("*")):
            if source.suffix not in (".swift", ".c", ".S"):
                continue
            name = source.relative_to(SOURCES / target).as_posix() + ".o"
            candidates = [
                objects_directory(configuration) / f"{target}.build" / name,
                objects_directory(configuration) / f"{target}.build" / (source.name + ".o"),
            ]
            existing = [path for path in candidates if path.exists()]
            if not existing:
                raise Failure(f"the build left no object of {source.relative_to(ROOT)}")
            found.append(existing[0])
    return found


def build_product(package, product, configuration):
    """Builds a package's static library with all that it depends on: the archive."""
    scratch = package / ".build-kernel"
    archive = scratch / TRIPLE / configuration / f"lib{product}.a"
    # Made anew: what a removed file left behind would stay in it.
    archive.unlink(missing_ok=True)
    if configuration == "debug":
        forget_stale_modules(archive.parent, [ROOT, package])
    run([
        tool("swift"), "build", "--build-system", "native", "--triple", TRIPLE,
        "--toolset", ROOT / "toolset.json", "-c", configuration, "--scratch-path", scratch,
        "--package-path", package, "--product", product,
    ])
    if not archive.exists():
        raise Failure(f"{product} is no static library: it needs `.library(name: \"{product}\", type: .static, ...)`")
    return archive


def build_boot(output, optimisation):
    objects = []
    (output / "boot").mkdir(parents=True, exist_ok=True)
    for source in sorted([*BOOT.glob("*.S"), *BOOT.glob("*.c")]):
        target = output / "boot" / (source.name + ".o")
        # `-I`: the boot code shares the headers of the C module with Swift.
        run([
            tool("clang"), *C_FLAGS, optimisation, "-I", SOURCES / "X86" / "include", "-c", source, "-o", target,
        ])
        objects.append(target)
    if not objects:
        raise Failure("boot/ holds no source")
    return objects


def link(objects, symbols, output, image, script):
    """One link with the table of `symbols`; the functions of the linked image, readable names included."""
    source, table = output / "symbols.S", output / "symbols.o"
    source.write_text(assembly(symbols))
    run([tool("clang"), f"--target={TRIPLE}", "-c", source, "-o", table])
    run([tool("ld.lld"), "-T", script, *LINK_FLAGS, "-o", image, *objects, table])
    listing = run([tool("llvm-nm"), "--defined-only", image], capture_output=True).stdout
    found = functions(listing)
    names = [readable(name) for name in demangle([name for _, name in found])]
    return [(address, name) for (address, _), name in zip(found, names)]


def link_until_settled(objects, output, image, script=ROOT / "linker.ld"):
    """Links until the table in the image is that of the image; fails rather than ship a table that lies."""
    table = []
    for _ in range(MOST_LINKS):
        linked = link(objects, table, output, image, script)
        if linked == table:
            return len(table)
        table = linked
    image.unlink()
    raise Failure(f"the symbol table does not settle in {MOST_LINKS} links: .symbols must lie behind .text")


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--configuration", choices=["release", "debug"], default="release")
    parser.add_argument("--output", type=pathlib.Path)
    parser.add_argument("--package", type=pathlib.Path, help="a package with a kernel of its own")
    parser.add_argument("--product", help="the static library that this kernel is")
    parser.add_argument("--linker-script", type=pathlib.Path, default=ROOT / "linker.ld")
    options = parser.parse_args(arguments)
    if (options.package is None) != (options.product is None):
        raise Failure("--package and --product go together")
    if options.package and not (options.package / "Package.swift").is_file():
        raise Failure(f"{options.package} holds no Package.swift")
    if not options.linker_script.is_file():
        raise Failure(f"there is no linker script {options.linker_script}")
    package = options.package.resolve() if options.package else None
    output = (options.output or (package / "build" if package else BUILD)).resolve()
    output.mkdir(parents=True, exist_ok=True)
    name = options.product or "quarry"
    image, multiboot = output / f"{name}.elf", output / f"{name}-multiboot.elf"
    # A build that fails leaves no older kernel behind for the tests to pass on.
    for stale in (image, multiboot):
        stale.unlink(missing_ok=True)

    objects = build_boot(output, "-O2" if options.configuration == "release" else "-Og")
    if package:
        # All of it: the boot code enters by names that nothing else refers to.
        objects += ["--whole-archive", build_product(package, options.product, options.configuration)]
    else:
        build_swift(options.configuration)
        objects += module_objects(options.configuration)
    unfinished = output / f"{name}.elf.unfinished"
    count = link_until_settled(objects, output, unfinished, options.linker_script)
    unfinished.replace(image)
    run([tool("llvm-objcopy"), "--strip-debug", "-O", "elf32-i386", image, multiboot])
    shown = image.relative_to(ROOT) if image.is_relative_to(ROOT) else image
    print(f"kernel: {shown}, {count} functions in its symbol table")
    return 0


if __name__ == "__main__":
    entry_point(main)
