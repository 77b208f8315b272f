#!/usr/bin/env python3
"""Counts what ran: from meson's testlog.json files and from JUnit files.

usage: tally.py [--show-failures] FILE...     prints "PASSED FAILED SKIPPED"
       tally.py --failed FILE.xml             prints the names of the scenarios that failed

A TAP test counts by its lines, any other as one. A test that ended badly counts at least one failure.
With --show-failures the whole output of each failed meson test goes to standard error.
"""
import json
import re
import sys
import xml.etree.ElementTree

GOOD = ("OK", "EXPECTEDFAIL")
TAP_LINE = re.compile(r"^(not )?ok\b(.*)$", re.M)


def count_test(test):
    """(passed, failed, skipped) of one line of testlog.json."""
    if test["result"] == "SKIP":
        return 0, 0, 1
    points = TAP_LINE.findall(test.get("stdout") or "")
    skipped = sum("# skip" in rest.lower() for bad, rest in points)
    failed = sum(bool(bad) for bad, rest in points)
    passed = len(points) - failed - skipped
    if test["result"] not in GOOD:
        failed = max(failed, 1)
    elif not points:
        passed = 1
    return passed, failed, skipped


def count_log(path, show):
    totals = [0, 0, 0]
    with open(path, encoding="utf-8") as log:
        for line in log:
            test = json.loads(line)
            counts = count_test(test)
            totals = [a + b for a, b in zip(totals, counts)]
            if show and counts[1]:
                print(f"==== {test['name']}: {test['result']}", file=sys.stderr)
                print(test.get("stdout") or "", test.get("stderr") or "", file=sys.stderr)
    return totals


def is_bad(case):
    return case.find("failure") is not None or case.find("error") is not None


def count_junit(path):
    """(passed, failed, skipped) of a JUnit file."""
    totals = [0, 0, 0]
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        totals[1 if is_bad(case) else 2 if case.find("skipped") is not None else 0] += 1
    return totals


def failed_names(path):
    """What pytest calls the scenarios of a JUnit file that failed."""
    return [f"{case.get('classname')}.py::{case.get('name')}"
            for case in xml.etree.ElementTree.parse(path).iter("testcase") if is_bad(case)]


def main():
    if sys.argv[1:2] == ["--failed"]:
        print(*failed_names(sys.argv[2]), sep="\n", end="")
        return
    show = "--show-failures" in sys.argv
    totals = [0, 0, 0]
    for path in sys.argv[1:]:
        if path.startswith("--"):
            continue
        counts = count_junit(path) if path.endswith(".xml") else count_log(path, show)
        totals = [a + b for a, b in zip(totals, counts)]
    print(*totals)


if __name__ == "__main__":
    main()
