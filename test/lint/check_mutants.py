#!/usr/bin/env python3
"""Each rule of docs/rules.md has a mutant that its test notices, and each way to attack is mapped.

A rule is a row `| S01 | ... |`; its mutants name it in the line `Rule:` of their head. A row of the table
of attacks is `| ids | what holds | tests | mutants |`: its tests and its mutants exist, and one at least of
each is named. Each mutant applies to the tree. tools/mutants shows that they are noticed.
"""
import functools
import re
import subprocess

import lint

RULES = "docs/rules.md"
MUTANTS = "test/mutants/"
RULE = r"[SADWRMTOQ]\d\d"
ATTACK = r"(?:E|H|N|O|V|Istio|http-garden)\b"


@functools.lru_cache(maxsize=None)
def rules():
    """The rules that hold."""
    return set(re.findall(rf"^\| ({RULE}) \|", lint.read(RULES), re.M))


def named(text):
    """The rules that a mutant's head names."""
    return re.findall(rf"\b{RULE}\b", re.search(r"^Rule:(.*)$|\Z", text, re.M)[1] or "")


@functools.lru_cache(maxsize=None)
def mutants():
    """Every mutant by its name: the rules that it breaks."""
    return {n[len(MUTANTS):-len(".patch")]: named(lint.read(n))
            for n in lint.files(".patch") if n.startswith(MUTANTS)}


@functools.lru_cache(maxsize=None)
def tests():
    """The names of all test functions, and of Check's tests."""
    found = set()
    for name in lint.files(".c", ".py"):
        if name.startswith("test/"):
            found.update(re.findall(r"START_TEST\((?:test_)?(\w+)\)", lint.read(name)))
            found.update(re.findall(r"^def test_(\w+)", lint.read(name), re.M))
    return found


def check_attack(where, cells):
    known = {"test": tests(), "mutant": mutants()}
    for kind, cell in zip(known, cells[2:], strict=True):
        names = re.findall(r"`([\w-]+)`", cell)
        if not names:
            yield f"{where}: names no {kind}"
        for name in names:
            if name not in known[kind]:
                yield f"{where}: no {kind} {name}"


def check_rules(path, text):
    broken = {rule for of in mutants().values() for rule in of}
    for number, line in enumerate(text.splitlines(), 1):
        cells = [c.strip() for c in line.strip("|").split("|")] if line.startswith("| ") else [""]
        if re.fullmatch(RULE, cells[0]) and cells[0] not in broken:
            yield f"{path}:{number}: no mutant breaks {cells[0]}"
        if re.match(ATTACK, cells[0]) and len(cells) != 4:
            yield f"{path}:{number}: expected four cells"
        elif re.match(ATTACK, cells[0]):
            yield from check_attack(f"{path}:{number}", cells)


def applies(text):
    done = subprocess.run(["git", "-c", "safe.directory=*", "apply", "--check", "-"], cwd=lint.TREE,
                          input=text, capture_output=True, text=True, check=False)
    return done.returncode == 0


def check_mutant(path, text):
    if "\n@@ " not in text:
        yield f"{path}:1: changes nothing"
    elif not applies(text):
        yield f"{path}:1: does not apply to the tree"
    for rule in named(text):
        if rule not in rules():
            yield f"{path}:1: no rule {rule} in {RULES}"


def check(path, text):
    return list((check_mutant if path.endswith(".patch") else check_rules)(path, text))


ONE_LINE = "test/unit/api/meson.build"
DIFF = "Rule: {0}\n\ndiff --git a/{1} b/{1}\n--- a/{1}\n+++ b/{1}\n@@ -1 +1 @@\n-{2}\n+int other;\n"


def mutant(rule, old=lint.read(ONE_LINE).rstrip("\n")):
    return DIFF.format(rule, ONE_LINE, old)


CASES = [
    ("a rule with a mutant", RULES, "| S01 | x | y |", None),
    ("a rule without", RULES, "| S99 | x | y |", "no mutant breaks S99"),
    ("an attack", RULES, "| E 2019-9900 | x | `every_byte_in_value` | `http-h1-control-byte` |", None),
    ("an attack without a mutant", RULES, "| H 1 | x | `every_byte_in_value` | |", "names no mutant"),
    ("an attack without a test", RULES, "| N 1 | x | none | `dot-segments` |", "names no test"),
    ("a mutant that is gone", RULES, "| O 1 | x | `every_byte_in_value` | `no-such` |", "no mutant no-such"),
    ("a test that is gone", RULES, "| V 1 | x | `no_such` | `dot-segments` |", "no test no_such"),
    ("a row that is cut", RULES, "| E 1 | x |", "expected four cells"),
    ("a mutant of two rules", "m.patch", mutant("S01 S02"), None),
    ("a mutant of a sentence", "m.patch", mutant("ranges exclude their end"), None),
    ("a mutant that has gone stale", "m.patch", mutant("x", "int old;"), "does not apply"),
    ("a mutant that has lost its change", "m.patch", "Rule: S01\nTest: unit a/b\n", "changes nothing"),
    ("a mutant of no rule", "m.patch", mutant("S99"), "no rule S99"),
]

if __name__ == "__main__":
    patches = [n for n in lint.files(".patch") if n.startswith(MUTANTS)]
    lint.run(check, CASES, [RULES, *patches])
