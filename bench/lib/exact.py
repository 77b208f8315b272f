"""exact: figures that come out the same on every run, whatever else the machine does.

Per request, one worker: instructions of the worker thread (callgrind, the difference of two request
counts after a warm-up, one request at a time), system calls (strace, the same way, 16 connections at
full speed), heap allocations (a counting allocator). Per resource and per idle connection: heap
bytes, least squares over several sizes. Per configuration change: instructions, heap bytes, resources
decoded, at several sizes of the world.

They are held against bench/expected.json: --gate says which got worse; --update writes it anew.
"""
import contextlib
import json
import re
import socket
import subprocess
import tempfile
import urllib.request

import http2
import measure
import peers
from processes import ROOT, Bench, BenchError, installed, say, tool, wait_for

EXPECTED = ROOT / "bench" / "expected.json"
CONNECTIONS, TRIES = 16, 10
REQUEST = b"GET /steady HTTP/1.1\r\nhost: steady.test\r\n\r\n"
WORKER = "wrk:worker_0"
PARTS = ("calls", "heap", "http2_calls", "http2_heap", "instructions", "http2_instructions", "bytes",
         "changes")
GATE_SIZES, ALL_SIZES = (100, 1000), (100, 1000, 10000)     # of the world that changes


class Clients:
    """Keep-alive connections that all send a request, then all read the answer."""

    def __init__(self, port, count=CONNECTIONS):
        self.sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
        for one in self.sockets:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self):
        for one in self.sockets:
            one.sendall(REQUEST)

    def receive(self):
        for one in self.sockets:
            data = b""
            while not data.endswith(b"x" * 128):
                more = one.recv(65536)
                if not more:
                    raise BenchError("the proxy closed a connection")
                data += more
            if not data.startswith(b"HTTP/1.1 200"):
                raise BenchError(f"wrong answer {data[:200]!r}")

    def run(self, requests):
        for _ in range(requests // len(self.sockets)):
            self.send()
            self.receive()

    def run_in_one_turn(self, proxy, origin):
        """A request on each, such that the proxy finds all of them ready at once, and later all
        answers: what it holds for them is then as much as these connections can ever make it hold."""
        with contextlib.ExitStack() as held:
            with measure.stopped(origin):
                with measure.stopped(proxy):
                    self.send()
                wait_for(lambda: measure.unread(origin.port) == len(self.sockets), "all requests")
                held.enter_context(measure.stopped(proxy))
            wait_for(lambda: measure.unread(origin.port, peer=True) == len(self.sockets),
                     "all answers")
        self.receive()

    def run_one_by_one(self):
        """A request on each, never two at once: one upstream connection serves all."""
        for one in self.sockets:
            one.sendall(REQUEST)
            if not one.recv(65536).startswith(b"HTTP/1.1 200"):
                raise BenchError("wrong answer")


def histogram_decades(proxy):
    """Which powers of ten each histogram has met: it gets memory for one when it records the first
    value of it, a handful of allocations for as long as the proxy lives."""
    admin = (proxy.folder / "admin").read_text().strip()
    path = "/stats?format=json&usedonly&histogram_buckets=detailed"
    with urllib.request.urlopen(f"http://{admin}{path}", timeout=10) as page:
        found = json.load(page)["stats"][-1]["histograms"]["details"]
    lows = [(one["name"], bucket["lower_bound"]) for one in found for bucket in one["totals"]]
    return {(name, low and len(str(int(low)))) for name, low in lows}


def without_new_decades(proxy, work):
    """What work() returns, of a run in which no histogram met a new power of ten: on a loaded
    machine an answer takes long now and then."""
    known = histogram_decades(proxy)
    for _ in range(TRIES):
        value, decades = work(), histogram_decades(proxy)
        if decades == known:
            return value
        known = decades
    raise BenchError(f"{TRIES} times a histogram met a new power of ten")


class Exact:
    """Collects name -> value; each part measures one sort."""

    def __init__(self, proxies=("xylem",), sizes=GATE_SIZES):
        self.proxies, self.sizes = proxies, sizes
        self.found, self.skipped = {}, {}       # name -> proxy -> value; part -> why

    def measure(self, parts):
        for part in parts:
            say(f"exact: {part}")
            for name in self.proxies if part in ("calls", "instructions") else ("xylem",):
                with tempfile.TemporaryDirectory(prefix="xylem-bench-") as folder:
                    bench = Bench(folder)
                    try:
                        getattr(self, part)(bench, name)
                    finally:
                        bench.stop()

    def put(self, name, value, proxy="xylem"):
        self.found.setdefault(name, {})[proxy] = value

    # Per request

    def calls(self, bench, name):
        few, many = 1600, 8000
        proxy = peers.start(bench, name, bench.origin().port)
        clients = Clients(proxy.port)
        clients.run(few)
        readings = [measure.strace(bench, proxy.pid, lambda n=n: clients.run(n))
                    for n in (few, many)]
        if None in readings:
            self.skipped["calls"] = "strace is not permitted"
            return
        data, control, _, each = measure.calls_per(*readings, many - few)
        self.put("data calls a request", round(data, 2), name)
        self.put("epoll_ctl a request", round(control, 4), name)
        say(f"  {name}: {data:.3f} data calls, {control:.3f} epoll_ctl, others "
            f"{ {k: round(v, 3) for k, v in sorted(each.items()) if v > 0.0005} }")

    def heap(self, bench, _):
        heap = measure.Heap(bench.folder / "heap")
        origin = bench.origin()
        proxy = peers.start(bench, "xylem", origin.port, env=heap.env(tool("libcount_heap.so")))
        full = heap.settled()
        clients, requests = Clients(proxy.port), 8000
        clients.run_in_one_turn(proxy, origin)
        clients.run(1600)

        def count():
            before = heap.rows()
            clients.run(requests)
            return heap.calls_by_thread(proxy.pid, before)
        counts = without_new_decades(proxy, count)
        self.put("heap allocations of the worker in 8,000 requests", counts.pop(WORKER, 0))
        # The flush of statistics, once in five seconds, allocates on the main thread.
        self.put("heap allocations of other threads meanwhile", sum(counts.values()))
        # The descriptors of the API, 2.6 MiB, go when nothing has asked for them for a while.
        wait_for(lambda: heap.settled() < full - (1 << 20), "the descriptors to go")
        self.idle_connections(heap, proxy)

    def idle_connections(self, heap, proxy):
        """Live heap bytes by the number of connections that have had one request."""
        groups, points = [], []
        for count in (100, 300, 600, 1000):
            groups.append(Clients(proxy.port, count - sum(len(g.sockets) for g in groups)))
            groups[-1].run_one_by_one()
            points.append((count, heap.settled()))
        self.put("heap bytes an idle H1 connection", measure.slope(points)[0])

    def instructions(self, bench, name):
        port = bench.origin().port
        for features in peers.kinds(name):
            each = self.instructions_each(bench, name, port, features)
            what = "instructions a request" + (", with features" if features else "")
            self.put(what, round(each, 1), name)
            say(f"  {name}: {each:,.0f} {what}")

    @staticmethod
    def instructions_each(bench, name, port, features):
        """Over one connection, one request at a time."""
        folder = bench.home("callgrind-features" if features else "callgrind")
        proxy = peers.start(bench, name, port, features,
                            wrap=lambda _, program: measure.valgrind(folder, program))
        return http2.counted(proxy, folder, Clients(proxy.port, 1), 0)

    # The same over HTTP/2

    def http2_calls(self, bench, _):
        http2.calls(self, bench)

    def http2_heap(self, bench, _):
        http2.heap(self, bench, WORKER, without_new_decades)

    def http2_instructions(self, bench, _):
        http2.instructions(self, bench, [n for n in http2.NAMES
                                         if n == "xylem" or n in self.proxies])

    # Per resource and per change

    @staticmethod
    def config_cost(*words):
        done = subprocess.run([str(tool("config_cost")), *map(str, words)], capture_output=True,
                              text=True, check=False)
        if done.returncode:
            raise BenchError(f"config_cost {words}: {done.stderr}")
        return json.loads(done.stdout)

    def bytes(self, bench, _):
        """Rows of (clusters, endpoints, routes, listeners) and the heap they take."""
        rows, live = [], []
        for clusters, endpoints, routes, listeners in (
                (500, 1, 1, 1), (1000, 1, 1, 1), (2000, 1, 1, 1), (1000, 5, 1, 1),
                (1000, 9, 1, 1), (500, 1, 1000, 1), (500, 1, 2000, 1), (500, 1, 1, 101),
                (500, 1, 1, 201), (1000, 2, 1000, 1), (2000, 2, 2000, 1)):
            live.append(self.config_cost(clusters, endpoints, routes, listeners)["live"])
            rows.append((clusters, clusters * endpoints, routes, listeners))
        found = measure.slopes(rows, live)
        for name, value in zip(("cluster", "endpoint", "route", "listener"), found):
            self.put(f"heap bytes a {name}", round(value, 1))
        # The goal's unit: what one more of the usual world takes, bounds of tables included.
        whole = measure.slope([(r[0], v) for r, v in list(zip(rows, live))[-2:]])[0]
        self.put("heap bytes a cluster with 2 endpoints and a route", round(whole, 1))

    def changes(self, bench, _):
        for size in self.sizes:
            folder = bench.home(f"changes-{size}")
            command = measure.valgrind(folder, tool("config_cost"), "--toggle-collect=nothing")
            command = [w for w in command if w != "--toggle-collect=nothing"]
            done = subprocess.run([*map(str, command), str(size)], capture_output=True, text=True,
                                  check=False)
            if done.returncode:
                raise BenchError(f"config_cost {size}: {done.stderr}")
            told, spent = json.loads(done.stdout), {}
            for path in folder.glob("callgrind.out*"):
                label = re.search(r"Client Request: (\w+) (\w+)", path.read_text(errors="replace"))
                if label:
                    spent[label.groups()] = (spent.get(label.groups(), 0)
                                             + measure.without_heap(path))
            for kind in [k for k in told if k != "live"]:
                self.change(size, kind, told[kind], spent)

    def change(self, size, kind, told, instructions):
        thing, by, dialect = kind.partition("_by_")
        what = (f"one {thing} changed{' by ' * bool(by)}{dialect}" if kind != "resend"
                else "one cluster of all resent")
        for phase in ("update", "commit", "adopt", "free"):
            if (kind, phase) not in instructions:
                raise BenchError(f"callgrind counted nothing under {kind} {phase}")
            self.put(f"{what} in {size:,}: instructions, {phase}",
                     round(instructions[kind, phase] / 8))
        self.put(f"{what} in {size:,}: heap bytes allocated",
                 round(sum(v for k, v in told.items() if k.endswith("_bytes"))))
        self.put(f"{what} in {size:,}: heap allocations",
                 round(sum(v for k, v in told.items() if k.endswith("_calls")), 1))
        self.put(f"{what} in {size:,}: resources decoded", told["decoded"])


# The stored table

def tolerance(name):
    """How much two runs may differ: a part of the value, and a number."""
    if "at a time: data calls" in name:
        return 0.05, 0      # one batch may come in two pieces
    if "data calls" in name:
        return 0, 0.02
    if "of other threads" in name:
        return 0, 80
    if "epoll_ctl" in name or "decoded" in name or "8,000 requests" in name:
        return 0, 0
    if name.startswith("HTTP/") and "instructions" in name:
        return 0.03, 50     # each second that ends meanwhile changes a date, and tables of headers
    if "instructions" in name:
        return 0.01, 50
    return 0.005, 2


def part_of(name):
    """The part that measures a figure."""
    if name.startswith("one "):
        return "changes"
    http2_too = "http2_" if name.startswith("HTTP/") or "HTTP/2 connection" in name else ""
    if "instructions" in name:
        return http2_too + "instructions"
    if "heap allocations" in name or "an idle" in name:
        return http2_too + "heap"
    return "bytes" if name.startswith("heap bytes") else http2_too + "calls"


def asked(name, parts, sizes):
    """Whether these parts measure the figure, with worlds of these sizes."""
    size = re.search(r" in ([\d,]+): ", name)
    return part_of(name) in parts and (not size or int(size[1].replace(",", "")) in sizes)


def judge(name, value, wanted):
    """Of one figure: (whether it is good, what to say, a remark or None)."""
    part, fixed = tolerance(name)
    if value is None:
        return False, f"was not measured, expected {wanted:g}", None
    if wanted is None:
        return False, f"{value:g}; no expected value: bench/run exact --update", None
    room = wanted * part + fixed
    better = f"{name} got better: bench/run exact --update" if value < wanted - room else None
    return value <= wanted + room, f"{value:g}, expected {wanted:g}", better


def gate(found, skipped, parts, sizes=GATE_SIZES):
    """TAP: one line for each figure; worse than expected is a failure, and so is one that these
    parts should have measured and did not; better is told."""
    expected = json.loads(EXPECTED.read_text())
    failed = number = 0
    names = [n for n, v in found.items() if "xylem" in v]
    names += [n for n in expected if n not in names and asked(n, parts, sizes)
              and part_of(n) not in skipped]
    for name in names:
        number += 1
        good, told, remark = judge(name, found.get(name, {}).get("xylem"), expected.get(name))
        failed += not good
        print(f"{'ok' if good else 'not ok'} {number} - {name}: {told}")
        if remark:
            print(f"# {remark}")
    for part, why in skipped.items():
        number += 1
        print(f"ok {number} - {part} # SKIP {why}")
    if not number:
        print("not ok 1 - nothing was measured")
    print(f"1..{max(number, 1)}")
    return 1 if failed or not number else 0


def update(found, skipped, parts, sizes):
    """Writes what was found, and forgets what these parts no longer measure."""
    stored = json.loads(EXPECTED.read_text()) if EXPECTED.exists() else {}
    for name in [n for n in stored if asked(n, parts, sizes) and part_of(n) not in skipped
                 and n not in found]:
        say(f"no longer measured, and forgotten: {name}")
        del stored[name]
    stored.update({name: values["xylem"] for name, values in found.items() if "xylem" in values})
    EXPECTED.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n")


# In the report

GOALS = {
    "data calls a request": ("4.00", lambda v: abs(v - 4) <= 0.02),
    "epoll_ctl a request": ("0.00", lambda v: v == 0),
    "heap allocations of the worker in 8,000 requests": ("0", lambda v: v == 0),
    "heap bytes an idle H1 connection": ("≤ 1,024", lambda v: v <= 1024),
    "heap bytes a cluster with 2 endpoints and a route": ("≤ 2,560", lambda v: v <= 2560),
    "heap bytes a route": ("≤ 300", lambda v: v <= 300),
    "heap bytes a endpoint": ("≤ 96", lambda v: v <= 96),
}


def http2_goal(name):
    if "heap allocations" in name or "epoll_ctl" in name:
        return "0", lambda v: v == 0
    if "data calls" in name:
        wanted = http2.calls_wanted(name)
        return f"{wanted:.2f}", lambda v: v <= wanted * 1.05
    return None, None


def exact(report, options):
    proxies = [n for n in (*peers.NAMES, "nghttpx") if peers.program(n) and n != "envoy"]
    run = Exact(proxies, ALL_SIZES)
    run.measure(PARTS)
    if options.update:
        update(run.found, run.skipped, PARTS, run.sizes)
    for name, values in run.found.items():
        goal, test = GOALS.get(name, (None, None))
        if name.startswith("HTTP/"):
            goal, test = http2_goal(name)
        if "decoded" in name:
            goal, test = "1", lambda v: v == 1
        report.add("exact", name, values, "", goal, test(values["xylem"]) if test else None)
    for what, why in run.skipped.items():
        report.note(f"exact: {what} not measured: {why}")


def main_gate(parts):
    missing = [n for n in ("strace", "valgrind") if not installed(n)]
    if missing:
        raise BenchError(f"not installed: {', '.join(missing)} (tools/deps test)")
    run = Exact()
    run.measure(parts)
    return run
