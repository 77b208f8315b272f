"""Broken configurations: each is refused, with exactly the message of its table."""
import re

import pytest
from broken import table

from harness import difference
from harness.proxy import run_once

BOOTSTRAPS = {entry.name: entry for entry in table.read(table.FOLDER / "bootstraps.yaml")[0]}
PREFIX = re.compile(r"^\[\d{4}-\d\d-\d\d [^\]]*\](\[[^\]]*\])* (\[[^\]]*\] )?")


def said(output, path):
    """What the program printed, without times, and with the file's name alone."""
    lines = [PREFIX.sub("", line) for line in output.replace(str(path), path.name).splitlines()]
    return "\n".join(lines) + "\n"


def refuse(kind, entry, tmp_path):
    path = tmp_path / "bootstrap.yaml"
    path.write_text(entry.text())
    code, out, err = run_once(kind, ["-c", str(path), "--mode", "validate", "-l", "critical"],
                              tmp_path)
    return code, said(out + err, path)


@difference("A configuration that says something impossible is refused, not served halfway.",
            envoy="accepts the entries of test/e2e/broken/bootstraps.yaml marked `envoy: accepts`",
            xylem="refuses them by field path")
@pytest.mark.parametrize("name", BOOTSTRAPS)
def test_broken_bootstrap(kind, name, tmp_path):
    entry = BOOTSTRAPS[name]
    code, text = refuse(kind, entry, tmp_path)
    accepted = kind == "envoy" and "envoy" in entry.fields
    assert code == (0 if accepted else 1), text
    if kind == "xylem" and "message" in entry.fields:
        assert text == entry.fields["message"]


def test_the_table_has_60_entries():
    assert len(BOOTSTRAPS) >= 60
