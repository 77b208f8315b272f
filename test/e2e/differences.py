#!/usr/bin/env python3
"""Makes docs/differences-from-envoy.md from the @difference marks of the scenarios.

Usage: test/e2e/differences.py [--check]    (--check: fail when the committed page is not current)
"""
import ast
import sys
from pathlib import Path

from broken import table

ENTRIES = table.read(table.FOLDER / "bootstraps.yaml")[0]
HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "differences-from-envoy.md"
TOP = """\
# Differences from Envoy

Xylem does what Envoy 1.40 does: every scenario of `test/e2e` runs against both. Here is each
place where Xylem differs on purpose, and why. This page is made from the `@difference` marks of
the scenarios by `test/e2e/differences.py`; edit the marks, not the page.
"""


def words(name):
    return name.removeprefix("test_").replace("_", " ")


def marks(path):
    """(scenario's name, reason, envoy, xylem) for each mark of a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.FunctionDef):
            continue
        for call in node.decorator_list:
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "difference":
                named = {k.arg: ast.literal_eval(k.value) for k in call.keywords}
                yield (node.name, ast.literal_eval(call.args[0]), named.get("envoy"),
                       named.get("xylem"))


def page():
    out = [TOP]
    for path in sorted(HERE.glob("[a-z]_*.py")):
        for name, reason, envoy, xylem in marks(path):
            out.append(f"## {words(name).capitalize()}\n")
            out.append(reason + "\n")
            if envoy:
                out.append(f"- Envoy: {envoy}")
            if xylem:
                out.append(f"- Xylem: {xylem}")
            out.append(f"- Scenario: `test/e2e/{path.name}`, `{name}`\n")
            if name == "test_broken_bootstrap":
                out.append("What Envoy does with them:\n")
                out += [f"- {e.name}: {e.fields['envoy']}" for e in ENTRIES if "envoy" in e.fields]
                out.append("")
    return "\n".join(out)


def main():
    if "--check" in sys.argv[1:]:
        if not PAGE.exists() or PAGE.read_text() != page():
            print(f"{PAGE} is not current: run test/e2e/differences.py", file=sys.stderr)
            return 1
        return 0
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
