#!/usr/bin/env python3
"""The tools tell what went wrong: what did not run is no success, what was asked wrongly is not begun."""
import contextlib
import importlib.machinery
import importlib.util
import io
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import lint


def tool(name):
    """A tool as a module."""
    path = str(lint.TREE / "tools" / name)
    loader = importlib.machinery.SourceFileLoader(f"tool_{name}", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


# What a fuzz target does, and the sentence that is told; None: all is well. It gets -artifact_prefix.
WAITS = """
trap 'echo "stat::number_of_executed_units: {runs}"; exit 72' INT
echo begun
while :; do :; done
"""
TARGETS = [
    ("that runs to its time", WAITS.format(runs=9), None),
    ("that runs nothing", WAITS.format(runs=0), "ran nothing"),
    ("that is not there", None, "ended by itself with"),
    ("that ends", "echo 'stat::number_of_executed_units: 9'; echo why; exit 1", "| why"),
    ("that ends well too early", "echo 'stat::number_of_executed_units: 9'", "itself with 0"),
    ("that finds what is known", "echo SUMMARY; exit 77", "| SUMMARY"),
    ("that finds something", "for a in \"$@\"; do case $a in -artifact_prefix=*) "
                             ": >\"${a#*=}crash-1\";; esac; done; exit 77", "crash-1"),
]


def fuzz_cases():
    """(name, complaint or None)."""
    fuzz = tool("fuzz")
    for name, script, wanted in TARGETS:
        with tempfile.TemporaryDirectory() as folder:
            fuzz.TOP = fuzz.BUILD = pathlib.Path(folder)
            program = fuzz.BUILD / "target"
            if script is not None:
                program.write_text(script)
            fuzz.command = lambda _, *words, p=program: ["/bin/sh", str(p), *words]
            fuzz.corpus = lambda _: fuzz.BUILD
            with contextlib.redirect_stdout(io.StringIO()) as out:
                wrong = fuzz.fuzz("path", 0.2)
        good = wrong == (wanted is not None) and (wanted or "") in out.getvalue()
        yield f"fuzz: a target {name}", None if good else (wrong, out.getvalue())


def log_of(folder, *codes):
    """A log of meson with tests that ended so."""
    path = pathlib.Path(folder) / "testlog.json"
    path.write_text("".join(json.dumps({"name": "t", "returncode": code}) + "\n" for code in codes))
    return path


def mutant_cases():
    """What the outcome of a test says of a mutant: (name, complaint or None)."""
    mutants = tool("mutants")
    with tempfile.TemporaryDirectory() as folder:
        absent = pathlib.Path(folder) / "absent.json"
        strange = {
            "pytest that failed": (1, mutants.strange_pytest(1)),
            **{f"pytest's {code}": (code, mutants.strange_pytest(code)) for code in (2, 3, 4, 5)},
            "pytest that passed": (0, mutants.strange_pytest(0)),
            "a meson test that failed": (1, mutants.strange_meson(log_of(folder, 1))),
            "a meson test that crashed": (1, mutants.strange_meson(log_of(folder, -11))),
            "a meson test that passed": (0, mutants.strange_meson(log_of(folder, 0))),
            "no meson test": (0, mutants.strange_meson(absent)),
            "an empty log of meson": (1, mutants.strange_meson(log_of(folder))),
            "a program that did not start": (1, mutants.strange_meson(log_of(folder, 127))),
            "a hanging test": (None, None),
        }
    noticed = {"pytest that failed", "a meson test that failed", "a meson test that crashed"}
    for name, (code, why) in strange.items():
        done = mutants.Done(code, "")
        done.strange = why
        wrong = mutants.verdict(done, ("unit", "t"))
        word = "does not notice" if name.endswith("passed") else "is no word about"
        good = (wrong is None) == (name in noticed)
        yield f"mutants: {name} {'notices' if name in noticed else word} it", None if good else wrong


FAKE = """
broken() { echo "broken: $*"; }
meson() { echo '[{"suite": ["xylem:loopback"]}, {"suite": ["xylem:unit", "xylem:tsan"]}]'; }
"""


def check_cases():
    """What ./check makes of suites without results."""
    function = re.search(r"^nothing_ran\(\)\n{.*?^}\n", lint.read("check"), re.M | re.S)[0]
    for suites, wanted in (("fuzz", []), ("fuzz loopback", ["loopback"]), ("unit tsan", ["unit", "tsan"])):
        run = subprocess.run(["bash", "-c", f"{FAKE}{function}nothing_ran b {suites}"], text=True,
                             capture_output=True, check=False)
        good = run.stdout.splitlines() == [f"broken: b: suite {s} did not run" for s in wanted]
        yield f"check: of {suites} ran nothing", None if good else (run.stdout, run.stderr)


WRONG = [       # a command, and what its one sentence names
    ("check --bogus", "--bogus"),
    ("check foo", "foo"),
    ("check --only nix", "nix"),
    ("check --quick foo", "foo"),
    ("tools/mutants nosuch", "nosuch"),
    ("tools/mutants -j 0", "-j"),
    ("tools/fuzz nosuch --list", "nosuch"),
    ("tools/fuzz --jobs 0 --list", "--jobs"),
    ("tools/fuzz --seconds -5 --list", "--seconds"),
    *[(f"bench/lib/main.py --parse-only {words}", named) for words, named in (
        ("nosuch", "nosuch"), ("exact --gate foo", "foo"), ("--gate calls,", "no part"),
        ("cpu --gate calls", "--gate"), ("cpu --update", "--update"), ("churn --seconds 0", "--seconds"),
        ("--rounds -1", "--rounds"), ("--size 0", "--size"))],
]
RIGHT = ["exact --update", "--update", "--gate", "--gate calls,heap", "exact --gate", "cpu --rounds 3"]


def refused(words):
    """What a command says that must begin nothing."""
    words = words.split()
    name = str(lint.TREE / words[0])
    command = [name] if words[0] == "check" else [sys.executable, "-B", name]
    return subprocess.run([*command, *words[1:]], text=True, capture_output=True, check=False,
                          timeout=60)


def argument_cases():
    for words, named in WRONG:
        done = refused(words)
        good = done.returncode == 2 and named in done.stderr.splitlines()[-1]
        yield f"{words}: is refused", None if good else (done.returncode, done.stderr)
    for words in RIGHT:
        done = refused(f"bench/lib/main.py --parse-only {words}")
        yield f"bench/run {words}: is taken", done.stderr if done.returncode else None


def cases():
    yield from fuzz_cases()
    yield from mutant_cases()
    yield from check_cases()
    yield from argument_cases()


if __name__ == "__main__":
    lint.report(cases())
