#!/usr/bin/env python3
"""Complains of public declarations whose documentation is missing or says too little: `check_documentation.py`.

- Each has a comment that begins with a sentence.
- What throws has a `- Throws:`.
- What returns a value says what: in a `- Returns:`, or in a first sentence that does not begin with what the call does.
- A call by a name that Linux gave it says its complexity, and which contexts may call it.

Links and parameters are the documentation compiler's business: see `build_docs.py`.
"""

import re
import sys

from symbol_graphs import GRAPHS, build_symbol_graphs, public_symbols
from toolchain import Failure, entry_point

CALLS = {"swift.func", "swift.method", "swift.type.method"}
FIELD = re.compile(r"^\s*- (Parameters?|Returns|Throws|Complexity|Precondition)\b")
# What a call does, as the first word of its sentence: then the sentence does not say what comes back.
ACTION = re.compile(r"^(?!This|Is|Has|Does|Was|As|Less|Always|Its|Bytes|Pages|Frames|Addresses|Words|Slots|Objects|"
                    r"Linux's|Whose|Ticks|Devices)[A-Z][a-z]+s\b")
LINUX_NAMES = re.compile(r"/LinuxNames[^/]*\.swift$")


def sentence(comment):
    """The comment's prose before the first field, in one line."""
    lines = []
    for line in comment:
        if FIELD.match(line):
            break
        lines.append(line.strip())
    return " ".join(line for line in lines if line)


def throws(declaration):
    """Whether the declared thing itself throws, and not only what it is given."""
    count = 1
    while count:
        declaration, count = re.subn(r"\([^()]*\)", "", declaration)
    return re.search(r"\bthrows\b", declaration) is not None


def problems_of(symbol):
    """What the comment of one declaration lacks, each in a few words."""
    text = "\n".join(symbol.comment)
    first = sentence(symbol.comment)
    if not text.strip():
        return ["has no documentation comment"]
    problems = [] if first else ["has no sentence before its parameters, results and errors"]
    if throws(symbol.declaration) and "- Throws:" not in text:
        problems.append("throws, and no `- Throws:` says what and when")
    if symbol.kind in CALLS and symbol.returns not in ("", "()", "Void") and "- Returns:" not in text \
            and ACTION.match(first):
        problems.append("returns a value, and nothing says what it is")
    if symbol.kind in CALLS and LINUX_NAMES.search("/" + symbol.file):
        if "- Complexity:" not in text:
            problems.append("is a call of Linux's, and no `- Complexity:` says what it costs")
        if "context" not in text:
            problems.append("is a call of Linux's, and nothing says which contexts may call it")
    return problems


def main(arguments):
    build_symbol_graphs()
    symbols = public_symbols(GRAPHS)
    count = 0
    for symbol in symbols:
        for problem in problems_of(symbol):
            print(f"{symbol.place}: {symbol.name} {problem}", file=sys.stderr)
            count += 1
    if count:
        raise Failure(f"{count} things are missing from the documentation of {len(symbols)} public declarations")
    print(f"documentation: {len(symbols)} public declarations say what they should")
    return 0


if __name__ == "__main__":
    entry_point(main)
