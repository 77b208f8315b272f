#!/usr/bin/env python3
"""bench/lib judges right: a figure that gets worse, or vanishes, is noticed."""
import contextlib
import io
import json
import pathlib
import sys
import tempfile

import lint

sys.path.insert(0, str(lint.TREE / "bench/lib"))
import exact  # noqa: E402
import peers  # noqa: E402
import report  # noqa: E402

NAMES = {       # of each part, one
    "calls": "data calls a request",
    "heap": "heap bytes an idle H1 connection",
    "http2_calls": "HTTP/2 to HTTP/1: epoll_ctl a request",
    "http2_heap": "heap bytes an idle HTTP/2 connection, downstream",
    "instructions": "instructions a request, with features",
    "http2_instructions": "HTTP/2 to HTTP/2: instructions a request",
    "bytes": "heap bytes a route",
    "changes": "one route changed in 100: instructions, update",
}
LARGE = "one route changed in 10,000: instructions, update"


def gated(found, skipped, parts):
    """What the gate says of made-up figures: (code, text)."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as out:
        exact.EXPECTED = pathlib.Path(folder) / "expected.json"
        exact.EXPECTED.write_text(json.dumps({**{n: 100 for n in NAMES.values()}, LARGE: 100}))
        code = exact.gate({name: {"xylem": value} for name, value in found.items()}, skipped, parts)
    return code, out.getvalue()


def gate_cases():
    """(what, figures found, parts skipped, parts asked, code, a line)."""
    for part, name in NAMES.items():
        yield f"{part} alone", {name: 100}, {}, [part], 0, f"ok 1 - {name}: 100, expected 100\n1..1"
        yield f"{part} lost", {}, {}, [part], 1, f"not ok 1 - {name}: was not measured"
        yield f"{part} skipped", {}, {part: "why"}, [part], 0, f"ok 1 - {part} # SKIP why"
        yield f"{part} worse", {name: 200}, {}, [part], 1, f"not ok 1 - {name}: 200, expected 100"
        yield f"{part} better", {name: 1}, {}, [part], 0, f"# {name} got better"
    yield "one of two lost", {NAMES["bytes"]: 100}, {}, ["bytes", "heap"], 1, "not ok 2"
    yield "all lost", {}, {}, list(NAMES), 1, f"1..{len(NAMES)}"
    yield "a figure nobody knows", {"new": 1}, {}, ["calls"], 1, "not ok 1 - new: 1; no expected"
    yield "nothing asked", {}, {}, [], 1, "nothing was measured"


def stored_runs():
    """Two sections measured with two Xylems, the first stored before the second was run."""
    with tempfile.TemporaryDirectory() as folder:
        report.RESULTS = pathlib.Path(folder)
        for section, version in (("cpu", "aaa (RELEASE)"), ("bulk", "bbb (RELEASE)")):
            run = report.Report()
            run.load()
            run.add(section, "a row", {"xylem": 1})
            run.stamp(section, {"xylem": version, "nginx": "1." + version[:3]})
            run.save()
        return (report.RESULTS / "results.md").read_text()


def cases():
    """(name, complaint or None)."""
    for name, found, skipped, parts, code, line in gate_cases():
        got = gated(found, skipped, parts)
        yield f"the gate: {name}", None if got[0] == code and line in got[1] else got
    stored = json.loads(lint.read("bench/expected.json"))
    strange = [n for n in stored if exact.part_of(n) not in exact.PARTS]
    text = stored_runs()
    lines = [line for line in text.splitlines() if line.startswith(("### ", "| nginx"))]
    good = ["| nginx | 1.aaa, 1.bbb |", "### cpu (", "### bulk ("]
    right = [a.startswith(b) for a, b in zip(lines, good, strict=True)]
    right += [lines[1].endswith(" xylem aaa)"), lines[2].endswith(" xylem bbb)")]
    yield "results: each section keeps its version", None if all(right) else lines
    yield "each expected figure has a part", strange or None
    yield from (("nghttpx and the floor are measured bare",
                 None if peers.kinds(name) == (False,) else name) for name in ("floor", "nghttpx"))
    yield "others have features, too", None if peers.kinds("haproxy") == (False, True) else "haproxy"


if __name__ == "__main__":
    lint.report(cases())
