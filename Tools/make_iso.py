#!/usr/bin/env python3
"""Makes a bootable image with GRUB: `make_iso.py [--arguments WORDS] [--output FILE]`.

The menu is boot/grub.cfg with the kernel's command line put in place of @ARGUMENTS@.
"""

import argparse
import pathlib
import re
import subprocess

from toolchain import BUILD, ROOT, Failure, entry_point, run, tool

GRUB_MODULES = pathlib.Path("/usr/lib/grub/i386-pc")


def menu(template, arguments):
    """The GRUB menu that boots with `arguments`; refuses what GRUB's shell would read as something else.

    `memmap=` needs characters that mean something to that shell: words with them go into single quotes, within which
    nothing does.
    """
    if re.search(r"[^A-Za-z0-9_=.,:/+@%$#!-]", arguments.replace(" ", "")):
        raise Failure(f"ARGS={arguments!r} holds characters that a GRUB menu would not pass on as they are")
    words = [f"'{word}'" if re.search(r"[$#!]", word) else word for word in arguments.split(" ")]
    return template.replace("@ARGUMENTS@", " ".join(words))


def make_iso(output, arguments="", kernel=BUILD / "quarry.elf"):
    """Writes the image; its tree stays beside it for inspection."""
    if not kernel.exists():
        raise Failure(f"{kernel} is missing: `make kernel` builds it")
    tree = output.parent / "iso" if output.stem == "quarry" else output.with_suffix("")
    (tree / "boot" / "grub").mkdir(parents=True, exist_ok=True)
    template = (ROOT / "boot" / "grub.cfg").read_text()
    (tree / "boot" / "grub" / "grub.cfg").write_text(menu(template, arguments))
    run([tool("llvm-objcopy"), "--strip-debug", kernel, tree / "boot" / "quarry.elf"])
    command = [tool("grub-mkrescue"), "-d", GRUB_MODULES, "-o", output, tree]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise Failure(f"grub-mkrescue failed:\n{done.stderr.strip()}")
    return output


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arguments", default="")
    parser.add_argument("--output", type=pathlib.Path, default=BUILD / "quarry.iso")
    options = parser.parse_args(arguments)
    print(f"iso: {make_iso(options.output.resolve(), options.arguments)}")
    return 0


if __name__ == "__main__":
    entry_point(main)
