#!/usr/bin/env python3
"""The tools tell what went wrong: a target or a test that did not run is no success."""
import contextlib
import importlib.machinery
import importlib.util
import io
import pathlib
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


def cases():
    yield from fuzz_cases()


if __name__ == "__main__":
    lint.report(cases())
