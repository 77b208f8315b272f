"""Ratios: the proxies one after the other, in the same minutes, in changing order.

A round measures every contender once. A ratio is the median over the rounds of the quotient within a
round, with the 95 % interval of a bootstrap. A round is measured again when another machine on this
host took more than 1 % of the time, or the load was not what it should be.
"""
import statistics
import tempfile
import time

import measure
import peers
from processes import Bench, BenchError, say

RATE = 6000
HOUSE = "xylem"


def sample(bench, process, port, **load):
    """One run of load against a port; CPU of the process meanwhile."""
    steal, begun = measure.steal_ticks(), time.monotonic()
    before = measure.cpu_ns(process.pid) if process else 0
    told = bench.load("run", port, **load)
    used = measure.cpu_ns(process.pid) - before if process else 0
    took = time.monotonic() - begun
    if told["closed"] or sum(told["statuses"]) != told["statuses"][2]:
        raise BenchError(f"{process.name if process else 'origin'}: {told}")
    told["cpu_us"] = used / told["good"] / 1000
    told["noisy"] = ((measure.steal_ticks() - steal) / took > 2 or told["late_p99_us"] > 20000
                     or told["good"] < 0.995 * told["due"])
    return told


def rounds(title, contenders, count):
    """contenders: key -> function that gives a sample. key -> samples of the good rounds."""
    found = {key: [] for key in contenders}
    bad = 0
    for function in contenders.values():
        function()      # connections are made, branches and caches are warm
    while len(next(iter(found.values()))) < count:
        done = len(next(iter(found.values())))
        keys = list(contenders)
        turn = done % len(keys)
        keys = (keys[turn:] + keys[:turn])[::1 if done % 2 else -1]
        samples = {key: contenders[key]() for key in keys}
        if any(s["noisy"] for s in samples.values()) and bad < count // 2:
            bad += 1
            continue
        for key, one in samples.items():
            found[key].append(one)
        if done % 4 == 0:
            say(f"  {title}: round {done + 1} of {count}")
    return found


def medians(found, field, scale=1.0):
    return {key: statistics.median(s[field] for s in samples) * scale
            for key, samples in found.items()}


def ratio(found, one, other, field):
    """(median, low, high) of the quotient within each round."""
    return measure.bootstrap([a[field] / b[field] for a, b in zip(found[one], found[other])])


def spread(value):
    return {HOUSE: value[1:]}


def available():
    return [name for name in peers.NAMES if peers.program(name)]


def against(report, section, what, found, field, names, limit=1.0):
    """One row: our ratio to each of the others; below `limit` to every peer is the goal."""
    values, spreads = {}, {}
    for name in names:
        if name != HOUSE and name in found:
            value = ratio(found, HOUSE, name, field)
            values[name], spreads[name] = value[0], value[1:]
    rivals = [v for n, v in values.items() if n in peers.PEERS]
    report.add(section, what, values, "ours / theirs", f"< {limit:g} to every peer",
               max(rivals) < limit if rivals else None, spreads)


def with_bench(function):
    """Gives function a Bench, and ends what it started."""
    with tempfile.TemporaryDirectory(prefix="xylem-bench-") as folder:
        bench = Bench(folder)
        try:
            function(bench)
        finally:
            bench.stop()


def contender(bench, proxy, **load):
    return lambda: sample(bench, proxy, proxy.port, **load)


# cpu: per request, bare and with features

def cpu(report, options):
    def run(bench):
        origin = bench.origin()
        load = {"rate": RATE, "seconds": 1.2}
        bare = {n: peers.start(bench, n, origin.port) for n in available()}
        full = {n: peers.start(bench, n, origin.port, features=True)
                for n in available() if n != "floor"}
        found = rounds("cpu", {**{n: contender(bench, p, **load) for n, p in bare.items()},
                               **{f"{n}+": contender(bench, p, **load)
                                  for n, p in full.items()}}, options.rounds)
        cpu_rows(report, found)
        calls_rows(report, bench, bare, load)
    with_bench(run)


def cpu_rows(report, found):
    names = [n for n in found if not n.endswith("+")]
    report.add("cpu", f"CPU a request, bare, {RATE:,}/s, 16 connections",
               medians({n: found[n] for n in names}, "cpu_us"), "µs")
    against(report, "cpu", "... ratio", found, "cpu_us", [n for n in names if n != "floor"])
    value = ratio(found, HOUSE, "floor", "cpu_us")
    report.add("cpu", "... ratio to the floor", {HOUSE: value[0]}, "", "≤ 1.15",
               value[0] <= 1.15, spread(value))
    report.add("cpu", "CPU a request with features", medians(
        {n[:-1]: s for n, s in found.items() if n.endswith("+")}, "cpu_us"), "µs")
    rivals = [n for n in names if n in peers.PEERS]
    if rivals:
        best = min(rivals, key=lambda n: statistics.median(s["cpu_us"] for s in found[n]))
        value = ratio(found, HOUSE + "+", best, "cpu_us")
        report.add("cpu", f"... ours with features to the best bare peer ({best})",
                   {HOUSE: value[0]}, "", "≤ 1.10", value[0] <= 1.10, spread(value))
    report.pictures["cpu"] = {
        "title": f"CPU a request at {RATE:,} requests a second (µs, one worker)",
        "bars": {n.replace("+", " with features"): v
                 for n, v in medians(found, "cpu_us").items()}}


def calls_rows(report, bench, proxies, load):
    """System calls at the rate, not at full speed: what waits for the next event is counted."""
    data, others = {}, {}
    for name, proxy in proxies.items():
        told = {}

        def work(proxy=proxy, told=told):
            told.update(bench.load("run", proxy.port, **{**load, "seconds": 2}))
        counted = measure.strace(bench, proxy.pid, work)
        if counted is None:
            report.note("cpu: system calls not counted: strace is not permitted")
            return
        data[name], control, rest, _ = measure.calls_per({}, counted, told["good"])
        others[name] = control + rest
    report.add("cpu", f"data calls a request at {RATE:,}/s", data, "", "4.00",
               abs(data[HOUSE] - 4) < 0.05)
    report.add("cpu", f"other system calls a request at {RATE:,}/s", others, "", "≤ 0.5",
               others[HOUSE] <= 0.5)


# latency: what a proxy adds

def latency(report, options):
    def run(bench):
        origin = bench.origin()
        proxies = {n: peers.start(bench, n, origin.port) for n in available()}
        first = {n: sample(bench, p, p.port, rate=RATE, seconds=1)["cpu_us"]
                 for n, p in proxies.items()}
        rate = round(0.3 * 1e6 / max(first.values()), -2)
        load = {"rate": rate, "seconds": 1.5, "warm_up": 0.2}
        found = rounds("latency", {
            "direct": lambda: sample(bench, None, origin.port, **load),
            **{n: contender(bench, p, **load) for n, p in proxies.items()}}, options.rounds)
        say(f"  direct: {medians(found, 'p50_us')['direct']:.0f} µs")
        for field, name in (("p50_us", "p50"), ("p99_us", "p99")):
            added = {n: [{field: max(1.0, s[field] - d[field])}
                         for s, d in zip(found[n], found["direct"])] for n in proxies}
            report.add("latency", f"added at {rate:,.0f}/s (30 % of the slowest's knee), {name}",
                       medians(added, field), "µs")
            against(report, "latency", f"... ratio, {name}", added, field,
                    [n for n in proxies if n != "floor"])
    with_bench(run)


# A connection for every request; large bodies

def connections(report, options):
    def run(bench):
        origin = bench.origin()
        proxies = {n: peers.start(bench, n, origin.port) for n in available()}
        found = rounds("connections", {
            n: contender(bench, p, rate=1000, seconds=1, connections=64, close=True)
            for n, p in proxies.items()}, options.rounds)
        report.add("connections", "CPU a request with a connection of its own, 1,000/s",
                   medians(found, "cpu_us"), "µs")
        against(report, "connections", "... ratio", found, "cpu_us",
                [n for n in proxies if n != "floor"])
    with_bench(run)


def bulk(report, options):
    def run(bench):
        origin = bench.origin()
        size = 1 << 20
        proxies = {n: peers.start(bench, n, origin.port) for n in available()}
        found = rounds("bulk", {
            n: contender(bench, p, rate=150, seconds=1.2, path=f"/size={size}")
            for n, p in proxies.items()}, options.rounds)
        report.add("bulk", "CPU of a 1 MiB answer, 150/s", medians(found, "cpu_us", 1000 / size),
                   "ns a byte")
        against(report, "bulk", "... ratio", found, "cpu_us",
                [n for n in proxies if n != "floor"])
    with_bench(run)


# routes: does the place in the table matter?

def routes(report, options):
    def run(bench):
        origin = bench.origin()
        load = {"rate": 3000, "seconds": 1}
        for count in (100, 1000, 10000):
            contenders = {}
            for name in [n for n in available() if n != "floor"]:
                proxy = peers.start(bench, name, origin.port, routes=count)
                contenders[f"{name} first"] = contender(bench, proxy, path="/r0/x", **load)
                contenders[f"{name} last"] = contender(bench, proxy, path=f"/r{count - 1}/x",
                                                       **load)
            found = rounds(f"{count:,} routes", contenders,
                           options.rounds if count == 10000 else min(5, options.rounds))
            values, spreads = {}, {}
            for name in [k[:-6] for k in contenders if k.endswith(" first")]:
                value = ratio(found, f"{name} last", f"{name} first", "cpu_us")
                values[name], spreads[name] = value[0], value[1:]
            report.add("routes", f"last of {count:,} prefix routes against the first, CPU",
                       values, "ratio", "≤ 1.05", values[HOUSE] <= 1.05, spreads)
            bench.stop()
            origin = bench.origin()
    with_bench(run)
