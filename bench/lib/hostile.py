"""hostile: what rude peers (rude.py) do to the requests of others, and to memory."""
import sys
import tempfile
from pathlib import Path

import measure
import peers
import ratios
from processes import LOAD_CPU, Bench, Process, go_first, say

RUDE = Path(__file__).with_name("rude.py")
SORTS = {"idle": "10,000 idle connections", "slow_heads": "500 slow heads",
         "slow_bodies": "500 slow bodies", "slow_readers": "200 slow readers of 1 MiB",
         "connections": "1,000 connections a second, closed at once",
         "requests": "10,000 requests a second, 100 at once on each of 20 connections"}
RATE, SECONDS = 1000, 0.6


def hostile(report, options):
    for sort, what in SORTS.items():
        worse, spread, taken = {}, {}, {}
        for name in [n for n in ("xylem", "envoy") if peers.program(n)]:
            with tempfile.TemporaryDirectory(prefix="xylem-bench-") as folder:
                bench = Bench(folder)
                try:
                    values, taken[name] = rounds(bench, name, sort, options.rounds)
                finally:
                    bench.stop()
            worse[name], *spread[name] = measure.bootstrap(values)
            say(f"  {sort}, {name}: p99 {worse[name]:.2f} × ({spread[name]}), {taken[name]:.1f} MiB")
        report.add("hostile", f"{what}: p99 of others, against none", worse, "ratio", "≤ 2",
                   worse["xylem"] <= 2, spread)
        report.add("hostile", f"... memory that {what} take", taken, "MiB")


def rounds(bench, name, sort, count):
    """(the quotients of the rounds, memory in MiB that the first of them took)"""
    origin = bench.origin()
    go_first(origin.pid)
    proxy = peers.start(bench, name, origin.port)
    rude = bench.add(Process("rude", bench.home("rude"), [sys.executable, RUDE, sort, proxy.port],
                             LOAD_CPU, stdin=-1, stdout=-1, text=True))

    def tell(line):
        rude.popen.stdin.write(line + "\n")
        rude.popen.stdin.flush()
        if not rude.popen.stdout.readline():
            rude.check()

    def p99():
        told = bench.load("run", proxy.port, first=True, rate=RATE, seconds=SECONDS, warm_up=0.1)
        if told["failed"]:
            say(f"  {name}, {sort}: {told['failed']} failed")
        return told["p99_us"]

    p99()
    values, before, taken = [], measure.pss_kib(proxy.pid), 0.0
    for number in range(count):
        quiet = p99()
        tell("on")
        values.append(p99() / quiet)
        if number == 0:
            taken = (measure.pss_kib(proxy.pid) - before) / 1024
        tell("off")
    return values, taken
