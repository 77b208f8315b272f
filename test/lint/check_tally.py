#!/usr/bin/env python3
"""./check counts right: a failure that is not counted would be lost."""
import json
import pathlib
import subprocess
import sys
import tempfile

import lint

TALLY = lint.TREE / "tools/tally.py"
JUNIT = """<testsuites><testsuite><testcase name="a"/><testcase name="b"><failure/></testcase>
<testcase name="c"><error/></testcase><testcase name="d"><skipped/></testcase></testsuite></testsuites>"""


def entry(result, stdout=""):
    return json.dumps({"name": "t", "result": result, "stdout": stdout, "stderr": ""}) + "\n"


CASES = [
    ("TAP lines", "log.json", entry("OK", "ok 1 - a\nok 2 - b\n1..2\n"), "2 0 0"),
    ("a failing TAP line", "log.json", entry("FAIL", "ok 1\nnot ok 2\n1..2\n"), "1 1 0"),
    ("a skipped TAP line", "log.json", entry("OK", "ok 1\nok 2 # SKIP x\n1..2\n"), "1 0 1"),
    ("a crash after good lines", "log.json", entry("ERROR", "ok 1\n"), "1 1 0"),
    ("a time-out without output", "log.json", entry("TIMEOUT"), "0 1 0"),
    ("a plain test", "log.json", entry("OK", "fine\n"), "1 0 0"),
    ("a skipped test", "log.json", entry("SKIP"), "0 0 1"),
    ("two tests", "log.json", entry("OK") + entry("FAIL"), "1 1 0"),
    ("a JUnit file", "e2e.xml", JUNIT, "1 2 1"),
]


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, file, text, expected) in enumerate(CASES, 1):
            path = pathlib.Path(folder) / file
            path.write_text(text)
            run = subprocess.run([sys.executable, TALLY, path], capture_output=True, text=True)
            good = run.stdout.strip() == expected
            failed += not good
            print(f"{'ok' if good else 'not ok'} {number} - {name}")
            if not good:
                print(f"# expected {expected}, got {run.stdout}{run.stderr}")
    print(f"1..{len(CASES)}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
