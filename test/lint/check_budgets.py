#!/usr/bin/env python3
"""A file has at most 800 lines, a function at most 60 between its braces."""
import re

import lint

FILE_LINES = 800
FUNCTION_LINES = 60
C_SUFFIXES = (".c", ".h", ".cc")


def functions(lines):
    """(line of the opening brace, name, lines between the braces).

    In our format only a function's braces stand alone in the first column."""
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line.startswith("}") and start:
            yield start, name_before(lines, start), number - start - 1
            start = None


def name_before(lines, brace):
    for line in reversed(lines[max(0, brace - 12) : brace - 1]):
        match = re.search(r"(\w+)\(", line) if line and not line[0].isspace() else None
        if match:
            return match[1]
    return "function"


def check(path, text):
    lines = text.splitlines()
    found = []
    if len(lines) > FILE_LINES:
        found.append(f"{path}: {len(lines)} lines; at most {FILE_LINES}")
    if path.endswith(C_SUFFIXES):
        found += [
            f"{path}:{start}: {name}() has {size} lines; at most {FUNCTION_LINES}"
            for start, name, size in functions(lines)
            if size > FUNCTION_LINES
        ]
    return found


def function(lines, head="static int f(int a)\n"):
    return head + "{\n" + "    g();\n" * lines + "}\n"


CASES = [
    ("a function of 60 lines", "a.c", function(60), None),
    ("a function of 61 lines", "a.c", function(61), "f() has 61 lines"),
    (
        "a long function after others",
        "a.c",
        function(3) + "\nstruct x {\n    int a;\n};\n\n" + function(70, "void h(int a,\n       int b)\n"),
        "h() has 70 lines",
    ),
    ("a long table", "a.c", "static int a[] = {\n" + "    1,\n" * 99 + "};\n", None),
    ("a file of 801 lines", "a.py", "x\n" * 801, "801 lines"),
]

if __name__ == "__main__":
    lint.run(
        check,
        CASES,
        [n for n in lint.files(*C_SUFFIXES, ".py", ".sh", ".build", "deps", "venv", "check", "fresh", "mutants")],
    )
