#!/usr/bin/env python3
"""Makes docs/rules-shown.md: for each rule of docs/rules.md its tests, dialects, mutants, and who passed.

Usage: test/e2e/rules_shown.py build/e2e.xml    the results of a run against both proxies
"""
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).resolve().parent
TREE = HERE.parents[1]
PAGE = TREE / "docs/rules-shown.md"
RULE = r"[SADWRMTOQ]\d\d"
WORLD, DELTA = "world", "delta"
# Which dialect a file speaks; the scenarios of others say it in their parameters.
FILES = {"v_rules_delta": DELTA}
TOP = """\
# Rules, and who keeps them

Made by `test/e2e/rules_shown.py` from `docs/rules.md`, the heads of `test/mutants/` and the results of a run of
all scenarios against both proxies. *Dialects*: the state of the world, delta; none where a rule is about neither.
*Xylem* and *Envoy*: scenarios that passed, of those that ran, all parameters counted; a scenario that marks a
difference passes when Envoy does what the mark says (`differences-from-envoy.md`). Rules without a scenario are
shown by the unit tests that `docs/rules.md` names.

| Rule | Dialects | Xylem | Envoy | Mutants |
|---|---|---|---|---|
"""


def scenarios():
    """rule -> [(file, function)], in the order of the page."""
    found = defaultdict(list)
    for line in (TREE / "docs/rules.md").read_text().splitlines():
        rule = re.match(rf"\| ({RULE}) \|", line)
        if rule:
            found[rule[1]] += re.findall(r"`(\w+)\.py` (\w+)", line)
    return found


def mutants():
    found = defaultdict(list)
    for path in sorted((TREE / "test/mutants").glob("*.patch")):
        head = re.search(r"^Rule: (.*)$", path.read_text(), re.M)
        for rule in re.findall(rf"\b{RULE}\b", head[1] if head else ""):
            found[rule].append(path.stem)
    return found


def results(path):
    """(file, function) -> [(parameters, passed)], of what was not skipped."""
    found = defaultdict(list)
    for case in ElementTree.parse(path).iter("testcase"):
        if case.find("skipped") is not None:
            continue
        function, _, parameters = case.get("name").partition("[")
        passed = case.find("failure") is None and case.find("error") is None
        key = case.get("classname").rpartition(".")[2], function.removeprefix("test_")
        found[key].append((parameters.rstrip("]").split("-"), passed))
    return found


def dialects(file, runs):
    if file in FILES:
        return {FILES[file]}
    words = {word for parameters, _ in runs for word in parameters}
    told = {"GRPC": WORLD, "DELTA_GRPC": DELTA, WORLD: WORLD, DELTA: DELTA}
    return {told[word] for word in words if word in told}


def cell(runs, kind):
    mine = [passed for parameters, passed in runs if kind in parameters]
    return f"{sum(mine)} of {len(mine)}" if mine else "–"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    ran, broken, out = results(sys.argv[1]), mutants(), TOP
    for rule, named in scenarios().items():
        runs = [run for key in named for run in ran[key]]
        spoken = {d for file, name in named for d in dialects(file, ran[file, name])}
        names = ", ".join(f"`{name}`" for name in broken[rule])
        out += (f"| {rule} | {', '.join(d for d in (WORLD, DELTA) if d in spoken) or '–'} | "
                f"{cell(runs, 'xylem')} | {cell(runs, 'envoy')} | {names} |\n")
    PAGE.write_text(out)


if __name__ == "__main__":
    main()
