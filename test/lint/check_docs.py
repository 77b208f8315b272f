#!/usr/bin/env python3
"""What the documents name exists: functions, files, scenarios, the tests of mutants."""
import functools
import re

import lint

FOLDERS = r"(?:src|test|bench|docs|tools|deploy|control-plane-stub)/"


@functools.lru_cache(maxsize=None)
def tree():
    return set(lint.files())


@functools.lru_cache(maxsize=None)
def words(*suffixes):
    """Every name in the sources of that kind."""
    return {w for n in lint.files(*suffixes) for w in re.findall(r"\w+", lint.read(n))}


def is_path(path):
    return path in tree() or any(n.startswith(path.rstrip("/") + "/") for n in tree())


def check_document(path, text):
    for number, line in enumerate(text.splitlines(), 1):
        for name in re.findall(r"`([a-z_0-9]+)\(\)`", line):
            if name not in words(".c", ".h", ".cc"):
                yield f"{path}:{number}: no function {name}()"
        for name in re.findall(rf"`({FOLDERS}[\w./-]+)`", line):
            if not re.search("[A-Z]{4}", name) and not is_path(name):  # LETTERS stand for a name
                yield f"{path}:{number}: no file {name}"
        for file, name in re.findall(r"`(\w+\.py)`,? `?(\w+_\w+)", line):
            if path == "docs/rules.md" and f"test_{name}" not in words(".py"):
                yield f"{path}:{number}: no scenario {name} in {file}"


def check_mutant(path, text):
    match = re.search(r"^Test: (unit|loopback|e2e) (\S+)$", text, re.M)
    if not match:
        yield f"{path}:1: names no test"
        return
    kind, name = match.groups()
    room, _, stem = name.partition("/")
    where = {
        "unit": [f"test/unit/{room}/test_{stem}.c", f"test/unit/{room}/check_{stem}.py"],
        "loopback": [f"test/loopback/test_{stem}.c"],
        "e2e": [f"test/e2e/{name.split('::')[0]}"],
    }[kind]
    if not any(w in tree() for w in where):
        yield f"{path}:1: no test {name}"
    if "::" in name and name.split("::")[1].split("[")[0] not in words(".py"):
        yield f"{path}:1: no scenario {name}"
    for file in re.findall(r"^--- a/(\S+)$", text, re.M):
        if file not in tree():
            yield f"{path}:1: no file {file}"


def check(path, text):
    return list((check_mutant if path.endswith(".patch") else check_document)(path, text))


CASES = [
    ("a document", "docs/a.md", "`stream_new()` is in `src/dataplane/http/`.", None),
    ("a place for a name", "docs/a.md", "`test/unit/ROOM/test_STEM.c`", None),
    ("a function that is gone", "docs/a.md", "First `no_such_function()`.", "no function"),
    ("a file that is gone", "docs/a.md", "See `src/nowhere/x.c`.", "no file"),
    ("a scenario that is gone", "docs/rules.md", "| S01 | x | `v.py` S01_no_such_thing |", "no scenario"),
    ("a mutant", "m.patch", "Rule: x\nTest: unit base/map\n\n--- a/src/base/map.c\n", None),
    ("a mutant without a test", "m.patch", "Rule: x\n", "names no test"),
    ("a mutant whose test is gone", "m.patch", "Test: unit base/none\n", "no test"),
    ("a mutant whose file is gone", "m.patch", "Test: unit base/map\n\n--- a/src/none.c\n", "no file"),
]

if __name__ == "__main__":
    documents = [n for n in lint.files(".md") if not n.startswith("bench/results/")]
    mutants = [n for n in lint.files(".patch") if n.startswith("test/mutants/")]
    lint.run(check, CASES, documents + mutants)
