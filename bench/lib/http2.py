"""HTTP/2: what a request and an idle connection cost on it, exactly (for exact.py) and beside the peers.

Three pairs of versions. From HTTP/2 to HTTP/2 go unary gRPC calls: POST, a message, an answer with
trailers; from or to HTTP/1 a GET, since gRPC needs HTTP/2 on both sides.
"""
import contextlib
from pathlib import Path

import measure
import peers
import ratios
from peers import H1, H2
from processes import BenchError, say, tool, wait_for

PAIRS = {"HTTP/2 to HTTP/2": (H2, H2), "HTTP/2 to HTTP/1": (H2, H1), "HTTP/1 to HTTP/2": (H1, H2)}
BATCH = 10
VARIED = 6000       # answers that differ in a header, which fills the tables of headers
NAMES = ("xylem", "haproxy", "nginx", "nghttpx", "envoy")


def load_of(pair):
    """Options of the generator."""
    if pair[0] == H1:
        return {}
    return {"grpc": True} if pair[1] == H2 else {"http2": True}


def speakers(pair):
    return [n for n in NAMES if peers.speaks(n, pair, load_of(pair).get("grpc"))]


class Steps:
    """`load steps`: all streams of all connections send a request, then all answers are awaited."""

    def __init__(self, bench, port, pair, connections=1, streams=1, **more):
        more |= {"streams": streams} if streams > 1 else {}
        self.talker = bench.talker("steps", port, connections=connections, **load_of(pair), **more)
        self.connections, self.width = connections, connections * streams
        self.bench = bench
        self.talker.answer()        # all are connected

    def run(self, requests):
        told = self.talker.ask(f"run {requests // self.width}")
        if told != {"answered": requests // self.width * self.width, "failed": 0}:
            raise BenchError(f"of {requests} requests: {told}")

    def run_in_one_turn(self, proxy, origin):
        """A request of each, such that the proxy finds all of them ready at once, and later all
        answers: what it holds for them is then as much as these clients can ever make it hold."""
        with contextlib.ExitStack() as held:
            with measure.stopped(origin):
                with measure.stopped(proxy):
                    self.talker.tell("run 1")
                    wait_for(lambda: measure.unread(proxy.port) == self.connections, "all requests")
                wait_for(lambda: rests(proxy), "the proxy to send them on")
                held.enter_context(measure.stopped(proxy))
            wait_for(lambda: measure.unread(origin.port) == 0 and rests(origin), "all answers")
        self.talker.answer()

    def end(self):
        self.bench.end(self.talker)


def rests(process):
    """It has read all that it was sent, and its threads wait for more."""
    tasks = Path(f"/proc/{process.pid}/task").iterdir()
    return (measure.unread(process.port) == 0
            and all(") S " in (task / "stat").read_text() for task in tasks))


def widths(pair):
    """What is asked for at a time, as text -> (connections, streams)."""
    if pair[0] == H1:
        return {"": (1, 1)}
    return {"": (1, 1), f", {BATCH} streams at a time": (1, BATCH)}


def calls_wanted(name):
    """Data calls: two a request on each side; over HTTP/2 the streams of a batch share them."""
    if "at a time" not in name:
        return 4
    return sum(2 if side == H1 else 2 / BATCH for side in PAIRS[name.split(",")[0]])


# Exact figures: parts of exact.Exact

def calls(exact, bench):
    for title, pair in PAIRS.items():
        proxy = peers.start(bench, "xylem", bench.origin().port, pair=pair)
        for how, (connections, streams) in widths(pair).items():
            client, few, many = Steps(bench, proxy.port, pair, connections, streams), 400, 4400
            client.run(few)
            readings = [measure.strace(bench, proxy.pid, lambda n=n, c=client: c.run(n))
                        for n in (few, many)]
            if None in readings:
                exact.skipped["http2_calls"] = "strace is not permitted"
                return
            data, control, _, each = measure.calls_per(*readings, many - few)
            exact.put(f"{title}{how}: data calls a request", round(data, 3))
            exact.put(f"{title}{how}: epoll_ctl a request", round(control, 4))
            say(f"  {title}{how}: {data:.3f} data calls, {control:.3f} epoll_ctl, others "
                f"{ {k: round(v, 3) for k, v in sorted(each.items()) if v > 0.0005} }")
            client.end()
        bench.stop()


def instructions(exact, bench, names=("xylem",)):
    for title, pair in PAIRS.items():
        for name in names:
            if not peers.speaks(name, pair, load_of(pair).get("grpc")):
                continue
            folder = bench.home(f"callgrind-{name}-{pair[0][-1]}-{pair[1][-1]}")
            proxy = peers.start(bench, name, bench.origin().port, pair=pair,
                                wrap=lambda _, program, f=folder: measure.valgrind(f, program))
            done = 0
            for how, (connections, streams) in widths(pair).items():
                client = Steps(bench, proxy.port, pair, connections, streams)
                each = counted(proxy, folder, client, done)
                done += 3
                exact.put(f"{title}{how}: instructions a request", round(each, 1), name)
                say(f"  {name}: {title}{how}: {each:,.0f} instructions a request")
                client.end()
            bench.stop()


def counted(proxy, folder, client, done, few=200, many=1200):
    """Instructions a request of the thread that does most; done: dumps that there are."""
    client.run(300)
    measure.callgrind_control(proxy.pid, "--instr=on")
    client.run(100)
    counts = []
    for number, requests in enumerate((0, few, many), done + 1):
        client.run(requests)
        measure.callgrind_control(proxy.pid, "-d")
        wait_for(lambda n=number: measure.instructions_by_thread(folder, n), "the dump")
        counts.append(measure.instructions_by_thread(folder, number))
    worker = max(counts[2], key=lambda t: counts[2][t] - counts[1].get(t, 0))
    return (counts[2][worker] - counts[1].get(worker, 0)) / (many - few)


def heap(exact, bench, worker, without_new_decades):
    for title, pair in PAIRS.items():
        origin = bench.origin()
        read, proxy = heap_of(bench, origin.port, pair)
        connections, streams = (4, BATCH) if pair[0] == H2 else (4 * BATCH, 1)
        client = Steps(bench, proxy.port, pair, connections, streams, path=f"/vary={VARIED}")
        client.run(VARIED + 1600)
        client.run_in_one_turn(proxy, origin)
        client.run(1600)

        def count(read=read, proxy=proxy, client=client):
            before = read.rows()
            client.run(8000)
            return read.calls_by_thread(proxy.pid, before).get(worker, 0)
        exact.put(f"{title}: heap allocations of the worker in 8,000 requests",
                  without_new_decades(proxy, count))
        bench.stop()
    idle_downstream(exact, bench)
    idle_upstream(exact, bench)


def heap_of(bench, origin, pair):
    read = measure.Heap(bench.folder / f"heap-{pair[0][-1]}-{pair[1][-1]}")
    proxy = peers.start(bench, "xylem", origin, env=read.env(tool("libcount_heap.so")), pair=pair)
    return read, proxy


def at_rest(bench, origin, pair):
    """The same, once the descriptors of the API are gone, 2.6 MiB: nobody asks for them here."""
    read, proxy = heap_of(bench, origin, pair)
    full = read.settled()
    wait_for(lambda: read.settled() < full - (1 << 20), "the descriptors to go")
    return read, proxy


def idle_downstream(exact, bench):
    """Live heap by the number of connections, each of which has had one call, one after the other."""
    pair = (H2, H2)
    read, proxy = at_rest(bench, bench.origin().port, pair)
    points, held = [], 0
    for count in (100, 300, 600, 1000):
        bench.talker("hold", proxy.port, connections=count - held, at_once=1,
                     **load_of(pair)).answer()
        held = count
        points.append((count, read.settled()))
    exact.put("heap bytes an idle HTTP/2 connection, downstream", round(measure.slope(points)[0], 1))
    bench.stop()


def idle_upstream(exact, bench):
    """So many hosts, asked in turn: each has a connection then, and its pool."""
    pair, hosts = (H1, H2), 400
    origin = bench.origin(*map(str, range(hosts)))
    read, proxy = at_rest(bench, origin.ports, pair)
    client, points, done = Steps(bench, proxy.port, pair), [], 0
    for count in (50, 150, 300, hosts):
        client.run(count - done)
        done = count
        points.append((count, read.settled()))
    exact.put("heap bytes an idle HTTP/2 connection, upstream, with its pool",
              round(measure.slope(points)[0], 1))
    bench.stop()


# Beside the peers

RATE, CONNECTIONS, HELD = 6000, 4, (0, 500, 1000, 2000)
RESTED = 12.0   # seconds without a stream, after which a connection has given back what it does not need


def http2(report, options):
    for title, pair in PAIRS.items():
        ratios.with_bench(lambda bench, t=title, p=pair: cpu(report, options, bench, t, p))
    ratios.with_bench(lambda bench: idle(report, bench))


def cpu(report, options, bench, title, pair):
    origin = bench.origin()
    many = {"connections": CONNECTIONS, "streams": BATCH} if pair[0] == H2 else {}
    load = {"rate": RATE, "seconds": 1.2, **load_of(pair), **many}
    proxies = {n: peers.start(bench, n, origin.port, pair=pair) for n in speakers(pair)}
    found = ratios.rounds(title, {n: ratios.contender(bench, p, **load)
                                  for n, p in proxies.items()}, options.rounds)
    report.add("http2", f"{title}: CPU a request at {RATE:,}/s", ratios.medians(found, "cpu_us"),
               "µs")
    ratios.against(report, "http2", f"{title}: ... ratio", found, "cpu_us", list(proxies))


def idle(report, bench):
    """Pss by the number of held connections, each after one call; least squares."""
    each, pair = {}, (H2, H2)
    for name in speakers(pair):
        proxy = peers.start(bench, name, bench.origin().port, pair=pair)
        points = []
        for count in HELD:
            hold = bench.talker("hold", proxy.port, connections=count, at_once=20, **load_of(pair))
            if hold.answer()["held"] != count:
                raise BenchError(f"{name} does not hold {count} connections")
            points.append((count, measure.settled_pss_kib(proxy.pid, idle=RESTED)))
            bench.end(hold)
        each[name] = measure.slope(points)[0]
        say(f"  {name}: {points}")
        bench.stop()
    report.add("http2", "Pss of an idle connection, HTTP/2 on both sides", each, "KiB",
               "below every peer", each["xylem"] < min([v for n, v in each.items()
                                                        if n != "xylem"], default=1e9))
