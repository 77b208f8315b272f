"""bench/run: measures, and writes bench/results/. See bench/README.md for what each figure means."""
import argparse
import importlib
import os
import signal
import sys
import time

import exact
import peers
from processes import LOAD_CPU, BenchError, cpus, say
from report import Report

# section -> the file with a function of its name
SECTIONS = {"exact": "exact", "cpu": "ratios", "latency": "ratios", "connections": "ratios",
            "bulk": "ratios", "routes": "ratios", "http2": "http2", "memory": "memory", "start": "scale",
            "push": "scale", "push_delta": "scale", "churn": "scale", "churn_delta": "scale",
            "manager": "scale", "hostile": "hostile", "handshakes": "handshakes"}


def section(name):
    """Some need Python packages that the gate does without."""
    return getattr(importlib.import_module(SECTIONS[name]), name)


def at_least(least):
    """A type of argparse: numbers from there on."""
    def read(text):
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"must be a number from {least} on, not {text}")
        return int(text)
    return read


def parse():
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION",
                        help=f"one of: {' '.join(SECTIONS)} (default: all)")
    parser.add_argument("--update", action="store_true",
                        help="exact: write bench/expected.json anew")
    parser.add_argument("--gate", metavar="PARTS", nargs="?", const=",".join(exact.PARTS),
                        help="exact, Xylem alone: TAP against bench/expected.json; parts: "
                             + ",".join(exact.PARTS))
    parser.add_argument("--rounds", type=at_least(1), default=12,
                        help="pairs of each ratio (12); of churn those of Xylem, the others have 3")
    parser.add_argument("--size", type=at_least(10), default=10000,
                        help="clusters and routes of start, push and churn (10000); with --keep, to "
                             "try them")
    parser.add_argument("--seconds", type=at_least(1), default=10,
                        help="of each half of a run of churn (10)")
    parser.add_argument("--keep", action="store_true", help="print only, store nothing")
    parser.add_argument("--parse-only", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    check(parser, options)
    return options


def check(parser, options):
    """Ends with a sentence if what was asked for does not exist or would be left undone."""
    for name in options.sections:
        if name not in SECTIONS:
            parser.error(f"no section {name}; there are: {' '.join(SECTIONS)}")
    if options.gate is not None:
        options.gate = options.gate.split(",")
        for part in options.gate:
            if part not in exact.PARTS:
                parser.error(f"--gate: no part {part}; there are: {' '.join(exact.PARTS)}")
        if options.sections not in ([], ["exact"]):
            parser.error("--gate measures the section exact and no other")
    elif options.update and options.sections and "exact" not in options.sections:
        parser.error("--update is for the section exact, which was not asked for")


def gate(options):
    parts = options.gate
    run = exact.main_gate(parts)
    if options.update:
        exact.update(run.found, run.skipped, parts, run.sizes)
    return exact.gate(run.found, run.skipped, parts)


def main():
    options = parse()
    if options.parse_only:
        return 0
    if options.gate:
        return gate(options)
    os.sched_setaffinity(0, {cpus()[LOAD_CPU % len(cpus())]})   # the proxy has the other to itself
    report = Report()
    report.load()
    begun = time.monotonic()
    for name in options.sections or SECTIONS:
        say(f"== {name} ({time.monotonic() - begun:.0f} s)")
        report.forget(name)
        section(name)(report, options)
        report.stamp(name, peers.versions())
        print(report.markdown(name), flush=True)
        if not options.keep:
            report.save()
    say(f"== done ({time.monotonic() - begun:.0f} s)")
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))     # what was started is ended
    try:
        sys.exit(main())
    except BenchError as error:
        say(f"bench: {error}")
        sys.exit(1)
