#!/usr/bin/env python3
"""Our C is as clang-format writes it (tools/format puts it right)."""
import difflib
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import lint

# Others format differently: one version for all.
CLANG_FORMAT = shutil.which("clang-format-14") or "clang-format"


COLUMNS = 100


# Files of the tree that are formatted: found by a few runs over many, since starting one takes long.
formatted = set()


def find_formatted(paths):
    def unformatted(part):
        command = [CLANG_FORMAT, "--dry-run", *part]
        run = subprocess.run(command, capture_output=True, text=True, cwd=lint.TREE, check=True)
        return {line.split(":")[0] for line in run.stderr.splitlines() if ": warning: " in line}

    jobs = os.cpu_count() or 1
    with ThreadPoolExecutor(jobs) as pool:
        wrong = set().union(*pool.map(unformatted, (paths[n::jobs] for n in range(jobs))))
    formatted.update(set(paths) - wrong)


def check(path, text):
    found = [
        f"{path}:{number}: {len(line)} columns; at most {COLUMNS}"
        for number, line in enumerate(text.splitlines(), 1)
        if len(line) > COLUMNS
    ]
    if path in formatted:
        return found
    run = subprocess.run(
        [CLANG_FORMAT, f"--assume-filename={lint.TREE / path}"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
    )
    if run.stdout == text:
        return found
    lines = difflib.unified_diff(text.splitlines(), run.stdout.splitlines(), lineterm="", n=0)
    first = [line for line in lines if line[:1] in "+-"][2:6]
    return [*found, f"{path}: run tools/format", *("    " + line for line in first)]


CASES = [
    ("our style", "src/a.c", "int f(void)\n{\n    return 1;\n}\n", None),
    ("a long comment", "src/a.c", "/* " + "a " * 50 + "*/\n", "105 columns"),
    ("another style", "src/a.c", "int f(void) { return 1; }\n", "run tools/format"),
]

if __name__ == "__main__":
    files = list(lint.files(".c", ".h", ".cc"))
    find_formatted(files)
    lint.run(check, CASES, files)
