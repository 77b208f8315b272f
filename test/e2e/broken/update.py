#!/usr/bin/env python3
"""Writes the messages of broken/bootstraps.yaml anew from what build/xylem says. Review the diff.

Usage: test/e2e/broken/update.py    ($XYLEM names another program)
"""
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from broken import table  # noqa: E402
from t_broken import refuse  # noqa: E402


def main():
    path = table.FOLDER / "bootstraps.yaml"
    entries, top = table.read(path)
    wrong = 0
    for entry in entries:
        with tempfile.TemporaryDirectory() as folder:
            code, text = refuse("xylem", entry, Path(folder))
        if code != 1:
            print(f"{entry.name}: exit code {code}, expected 1")
            wrong += 1
            continue
        entry.fields["message"] = text
    table.write(path, entries, top)
    print(f"{len(entries) - wrong} messages written, {wrong} entries not refused")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
