"""What the lint tests share: the files of the tree, and a TAP report that begins with a self test.

A lint is a function check(path, text) -> list of "path:line: sentence", and a list of cases
(name, path, text, expected): expected is a piece of a complaint, or None where there is none.
"""
import pathlib
import subprocess
import sys

TREE = pathlib.Path(__file__).resolve().parent.parent.parent
GENERATED = ("api/protos/",)


def files(*suffixes):
    """The hand-written files of the tree, by suffix; all of them without one."""
    run = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=TREE,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in sorted(set(run.stdout.splitlines())):
        if (not suffixes or name.endswith(suffixes)) and not name.startswith(GENERATED):
            if (TREE / name).is_file():
                yield name


def read(name):
    return (TREE / name).read_text(encoding="utf-8", errors="replace")


def run(check, cases, names):
    """Runs the self test, then the check on the named files; prints TAP and exits."""
    number = failed = 0

    def report(good, name, complaints=()):
        nonlocal number, failed
        number += 1
        failed += not good
        print(f"{'ok' if good else 'not ok'} {number} - {name}")
        for line in () if good else complaints:
            print(f"# {line}")

    for name, path, text, expected in cases:
        found = check(path, text)
        if expected is None:
            report(not found, f"self test: accepts {name}", found)
        else:
            report(any(expected in c for c in found), f"self test: notices {name}", found)
    complaints = [c for name in names for c in check(name, read(name))]
    report(not complaints, "the tree", complaints)
    print(f"1..{number}")
    sys.exit(1 if failed else 0)


def report(cases):
    """Prints TAP for pairs (name, complaint or None), and exits."""
    number = failed = 0
    for number, (name, complaint) in enumerate(cases, 1):
        failed += complaint is not None
        print(f"{'ok' if complaint is None else 'not ok'} {number} - {name}")
        if complaint is not None:
            print(f"# {complaint!r}")
    print(f"1..{number}")
    sys.exit(1 if failed else 0)
