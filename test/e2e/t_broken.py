"""Broken configurations: each is refused, with exactly the message of its table."""
import re

import pytest
from broken import table

from harness import difference, direct
from harness.proxy import run_once
from harness.stub import type_url
from harness.xds import ads_bootstrap, eds_cluster, endpoints, rds_listener, routes

BOOTSTRAPS = {entry.name: entry for entry in table.read(table.FOLDER / "bootstraps.yaml")[0]}
RESOURCES = {entry.name: entry for entry in table.read(table.FOLDER / "resources.yaml")[0]}
PREFIX = re.compile(r"^\[\d{4}-\d\d-\d\d [^\]]*\](\[[^\]]*\])* (\[[^\]]*\] )?")


def said(output, path):
    """What the program printed, without times, and with the file's name alone."""
    lines = [PREFIX.sub("", line) for line in output.replace(str(path), path.name).splitlines()]
    return "\n".join(lines) + "\n"


def refuse(kind, entry, folder):
    """Give a bootstrap to the program: (exit code, what it said)."""
    path = folder / "bootstrap.yaml"
    path.write_text(entry.text())
    code, out, err = run_once(kind, ["-c", str(path), "--mode", "validate", "-l", "critical"],
                              folder)
    return code, said(out + err, path)


def serve_broken(control, entry):
    """Serve the entry's resource beside (or in place of) the good ones."""
    kind = entry.fields["type"]
    if kind in ("rds", "eds"):
        control.served.pop((kind, {"rds": "routes", "eds": "one"}[kind]))
    (control.folder / "broken.yaml").write_text(
        f'"@type": {type_url(kind)}\n' + entry.fields["config"])
    control.put()
    return kind


@difference("A configuration that says something impossible is refused, not served halfway.",
            envoy="accepts some entries of test/e2e/broken/bootstraps.yaml, listed below",
            xylem="refuses them by field path")
@pytest.mark.parametrize("name", BOOTSTRAPS)
def test_broken_bootstrap(kind, name, tmp_path):
    entry = BOOTSTRAPS[name]
    code, text = refuse(kind, entry, tmp_path)
    accepted = kind == "envoy" and "envoy" in entry.fields
    assert code == (0 if accepted else 1), text
    if kind == "xylem" and "message" in entry.fields:
        assert text == entry.fields["message"]


@pytest.mark.parametrize("name", RESOURCES)
def test_broken_resource(kind, name, stub, start):
    entry = RESOURCES[name]
    control = stub(rds_listener(), routes(direct(200, "good")), eds_cluster("one"),
                   endpoints("one", 1))
    proxy = start(ads_bootstrap(control))
    wrong = serve_broken(control, entry)
    reason = control.wait(wrong, "NACKED")["nack_reason"]
    if kind == "xylem" and "message" in entry.fields:
        assert reason + "\n" == entry.fields["message"]
    assert proxy.get("/").text == "good"


def test_the_tables_have_60_entries():
    assert len(BOOTSTRAPS) >= 60
    assert len(RESOURCES) >= 20
