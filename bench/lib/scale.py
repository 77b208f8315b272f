"""Scale: many clusters, routes and endpoints over ADS, beside Envoy; xylem-stub serves both.

A change is pushed as one response that the stub is told word by word; its clock and the prober's are
the same (CLOCK_MONOTONIC), so "push → served" runs from the moment the stub hands the response to
gRPC to the moment the first changed answer is in the prober's hands.
"""
import array
import base64
import json
import random
import statistics
import tempfile
import time
import urllib.request

import measure
import peers
import ratios
import wire
from processes import (LOAD_CPU, PROXY_CPU, Bench, BenchError, Process, behind_the_load, free_port,
                       go_first, say, tool, wait_for, yield_to_others)

from harness import certs
from harness.config import add_header, direct, route, socket_address
from harness.stub import Stub, type_url
from harness.world import World
from harness.xds import (DELTA, STATE_OF_THE_WORLD, ads_bootstrap, eds_cluster, endpoints, listener,
                         rds_listener, static_cluster)

NAMES = ("xylem", "envoy")
KINDS = ("endpoint", "route", "cluster", "new cluster", "listener", "secret")
TURNS, CPU_TURNS = 50, 10
PATIENCE = 60.0


def available():
    return [name for name in NAMES if peers.program(name)]


class Control(Stub):
    """The stub, telling each response word by word."""

    number = 0
    seq = 0
    dialect = STATE_OF_THE_WORLD

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.kinds = {}     # kind -> the nonces of what was pushed, in order
        self.sent, self.answered = {}, {}

    def push(self, kind, body):
        """Send these resources (wire.resources) as one response of a type; its nonce."""
        Control.number += 1
        nonce = f"b-{Control.number}"
        data = wire.response(type_url(kind), nonce, nonce, body)
        self.fault(type=type_url(kind), send={
            "version_info": nonce, "nonce": nonce, "type_url": type_url(kind),
            "raw": base64.b64encode(data).decode()})
        self.kinds.setdefault(kind, []).append(nonce)
        return nonce

    def answered_by(self, nonce):
        """In the state of the world who answers the last of several that have come answers them all."""
        if self.dialect == DELTA:
            return [nonce]
        pushed = next(nonces for nonces in self.kinds.values() if nonce in nonces)
        return pushed[:pushed.index(nonce) + 1]

    def read_events(self):
        """Takes in what the stub has noted since, which it keeps up to a number of bytes: of an answer
        that names ten thousand resources not for long."""
        for event in map(json.loads, self.ask(f"/events?since={self.seq}").text.splitlines()):
            self.seq = max(self.seq, event["seq"])
            nonce = event.get("nonce") or event.get("response_nonce") or ""
            if not nonce.startswith("b-"):
                continue
            if event["kind"] == "literal":
                self.sent[nonce] = event["mono_us"]
            elif event["kind"] == "request" and event.get("meaning") != "change":
                for one in self.answered_by(nonce):
                    self.answered.setdefault(one, (event["mono_us"], event.get("meaning")))

    def told(self, nonces, bound=120.0):
        """nonce -> (sent, answered) in microseconds of the monotonic clock, once all are answered."""
        wanted = set(nonces)

        def read():
            self.read_events()
            return set(self.answered) >= wanted
        wait_for(read, f"answers to {len(wanted)} pushes", bound, 0.05)
        bad = [n for n in wanted if self.answered[n][1] == "nack"]
        if bad:
            raise AssertionError(f"refused: {bad}")
        return {n: (self.sent[n], self.answered[n][0]) for n in wanted}


def start_proxy(bench, name, control, args=(), env=None, label=""):
    folder = bench.home(f"{name}{label}")
    config = folder / "bootstrap.json"
    config.write_text(json.dumps(ads_bootstrap(control, api_type=control.dialect)))
    (folder / "admin").unlink(missing_ok=True)
    words = [peers.program(name), "-c", config, "--concurrency", "1", "--disable-hot-restart", "-l",
             "error", "--admin-address-path", folder / "admin", *args]
    return bench.add(Process(name, folder, words, PROXY_CPU, env))


def get(port, path, bound=60.0):
    """Status and headers of one GET, or None while it cannot be had."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=bound) as answer:
            return answer.status, dict(answer.headers)
    except (OSError, ValueError):
        return None


def wait_served(proxy, port, path, bound=300.0):
    def served():
        proxy.check()
        return get(port, path)
    return wait_for(served, f"{proxy.name} to serve {path}", bound, 0.005)


class Place:
    """A stub with a world of a size, and the port of its listener."""

    def __init__(self, bench, size, names=("a", "b"), dialect=STATE_OF_THE_WORLD, **stub):
        self.bench = bench
        self.origin = bench.origin(*names)
        self.world = World(size, self.origin.ports)
        self.port, self.tls_port = free_port(), free_port()
        self.ca = certs.Authority("ca")
        self.control = Control(bench.home("stub"), self.resources(), **stub)
        self.control.dialect = dialect
        bench.add(self.control)
        self.control.start(120)
        yield_to_others(self.control.process.pid)

    def resources(self):
        """The world; a static cluster whose endpoint can be moved; a listener with a certificate;
        endpoints of clusters that are not there yet."""
        plain = rds_listener(address=socket_address(self.port))
        return [plain, self.secure(), self.secret(0), self.table(), self.moving(0),
                *self.world.clusters(), *self.world.endpoints(),
                *[endpoints(f"new{turn}", *self.origin.ports) for turn in range(1, TURNS + CPU_TURNS + 1)]]

    def secure(self):
        made = listener("secure", socket_address(self.tls_port), routes=[direct(
            200, response_headers_to_add=[add_header("x-cert", "%DOWNSTREAM_LOCAL_SUBJECT%")])])
        made["filter_chains"][0]["transport_socket"] = certs.downstream(
            tls_certificate_sds_secret_configs=[certs.sds("cert")])
        return made

    def secret(self, turn):
        return self.ca.issue(f"t{turn}").secret("cert")

    def table(self, **middle):
        return self.world.table(first=[
            route("/moving/", "moving"),
            route("/new/", "moving", response_headers_to_add=[add_header("x-new", "t0.")])], **middle)

    def moving(self, turn):
        return static_cluster("moving", self.origin.ports[turn % 2])


def with_place(size, function, **more):
    with tempfile.TemporaryDirectory(prefix="xylem-bench-") as folder:
        bench = Bench(folder)
        try:
            function(Place(bench, size, **more))
        finally:
            bench.stop()


# start: cold, with a full control plane; memory; what comes back

def start(report, options):
    sizes = (options.size // 10, options.size)
    wall, cpu, pss, back = {}, {}, {}, {True: {}, False: {}}

    def one(place, name, number):
        size = place.world.size
        begun = time.monotonic()
        proxy = start_proxy(place.bench, name, place.control, label=number)
        wait_served(proxy, place.port, f"/c{size - 1}/")
        wall.setdefault((name, size), []).append(time.monotonic() - begun)
        cpu.setdefault((name, size), []).append(measure.cpu_ns(proxy.pid) / 1e9)
        say(f"  {name} {size:,}: {wall[name, size][-1]:.2f} s, CPU {cpu[name, size][-1]:.2f} s")
        return proxy

    def at_size(place):
        for name in available():
            for number in range(3 if name == "xylem" else 2):
                proxy = one(place, name, number)
                if number == 0:
                    pss[name, place.world.size] = measure.settled_pss_kib(proxy.pid,
                                                                           idle=measure.IDLE)
                place.bench.end(proxy)
            place.control.seq = 0
        if place.world.size == max(sizes):
            for name in available():
                for together, found in back.items():
                    found[name] = shrink(place, name, together)

    for size in sizes:
        with_place(size, at_size)
    for size in sizes:
        names = available()
        report.add("start", f"{size:,} clusters, endpoint sets, routes: start to the last served",
                   {n: statistics.median(wall[n, size]) for n in names}, "s")
        report.add("start", f"... CPU meanwhile, {size:,}", {n: statistics.median(cpu[n, size]) for n in names},
                   "s", "≤ 0.5" if size == 10000 else None,
                   statistics.median(cpu["xylem", size]) <= 0.5 if size == 10000 else None)
        report.add("start", f"... Pss with {size:,}", {n: pss[n, size] / 1024 for n in names}, "MiB")
    each = {n: (pss[n, sizes[1]] - pss[n, sizes[0]]) / (sizes[1] - sizes[0]) for n in available()}
    report.add("start", "Pss for one cluster, its route and 2 endpoints", each, "KiB", "≤ 2.5",
               each["xylem"] <= 2.5)
    for together, found in back.items():
        part = {name: 100 * (full - after) / (full - pss[name, sizes[0]])
                for name, (full, after) in found.items()}
        report.add("start", "of nine tenths that were removed, memory that came back; "
                   + ("the others had come together" if together else "the others are each tenth"),
                   part, "%", "≥ 90", part["xylem"] >= 90)
    report.pictures["memory"] = {
        "title": "Memory for one cluster, its route and 2 endpoints (KiB)", "bars": each}


def shrink(place, name, together):
    """(Pss in KiB full, and with a tenth); the stub's world is as before afterwards. together: those
    that stay lie side by side in the response that brought them, which the stub sorts by name."""
    world, few = place.world, place.world.size // 10
    by_name = sorted(world.numbers, key=str)
    stay = by_name[:few] if together else by_name[::10]
    proxy = start_proxy(place.bench, name, place.control, label=f"shrink-{together}")
    wait_served(proxy, place.port, f"/c{world.size - 1}/")
    full = measure.settled_pss_kib(proxy.pid, idle=measure.IDLE)
    small = World(few, place.origin.ports, stay)
    place.control.push("rds", wire.resources("rds", [
        small.table(first=[route("/moving/", "moving")])]))
    nonce = place.control.push("cds", wire.resources("cds", [place.moving(0), *small.clusters()]))
    place.control.told([nonce])
    gone = f"/c{max(set(world.numbers) - set(stay))}/"
    wait_for(lambda: get(place.port, gone) is None, f"{name} to forget", 60, 0.1)
    after = measure.settled_pss_kib(proxy.pid, idle=measure.IDLE)
    place.bench.end(proxy)
    say(f"  {name}: Pss {full / 1024:.1f} MiB, with a tenth {after / 1024:.1f} MiB")
    return full, after


# push: from the push to the first changed answer

class Changes:
    """kind -> (path, what a turn pushes: [(type, bytes)], text that the changed answer holds)"""


    def __init__(self, place):
        self.place, self.middle = place, place.world.middle
        self.delta = place.control.dialect == DELTA
        self.others = b"" if self.delta else wire.resources("cds", place.world.clusters())
        self.table = wire.message("rds", place.table(
            response_headers_to_add=[add_header("x-turn", "t0.")]))
        hosts = self.table.virtual_hosts[0].routes
        self.header = next(r for r in hosts if r.match.prefix == f"/c{self.middle}/")
        path = f"/c{self.middle}/"
        self.kinds = {
            "endpoint": (path, self.endpoint, lambda turn: f"x-origin: {'ab'[turn % 2]}"),
            "route": (path, self.route, lambda turn: f"x-turn: t{turn}."),
            "cluster": ("/moving/", self.cluster, lambda turn: f"x-origin: {'ab'[turn % 2]}"),
            "new cluster": ("/new/", self.new_cluster, lambda turn: f"x-new: t{turn}."),
            "listener": (path, self.listener, lambda turn: f"server: t{turn}."),
            "secret": ("/", self.secret, lambda turn: f"x-cert: CN=t{turn},")}

    def probe(self, kind):
        """Who looks for the change."""
        place, path = self.place, self.kinds[kind][0]
        if kind == "secret":
            return place.bench.talker("probe", place.tls_port, path=path, fresh=True, tls=True)
        more = {"fresh": True} if kind == "listener" else {}
        return place.bench.talker("probe", place.port, path=path, **more)

    def entry(self, made, name, turn):
        """A message as an entry of a response in the dialect of the place."""
        return wire.delta_resource(made, name, f"t{turn}") if self.delta else wire.resource(made)

    def endpoint(self, turn, cluster=None):
        name = cluster or f"c{self.middle}"
        made = endpoints(name, self.place.origin.ports[turn % 2])
        return [("eds", self.entry(wire.message("eds", made), name, turn))]

    def route(self, turn):
        self.header.response_headers_to_add[0].header.value = f"t{turn}."
        return [("rds", self.entry(self.table, self.table.name, turn))]

    def cluster(self, turn):
        made = wire.message("cds", self.place.moving(turn))
        return [("cds", self.entry(made, "moving", turn) + self.others)]

    def new_cluster(self, turn):
        """A cluster whose endpoints are still to be asked for, and at once the route to it."""
        name = f"new{turn}"
        made = wire.message("cds", eds_cluster(name))
        moving = b"" if self.delta else wire.resources("cds", [self.place.moving(0)])
        to = next(r for r in self.table.virtual_hosts[0].routes if r.match.prefix == "/new/")
        to.route.cluster = name
        to.response_headers_to_add[0].header.value = f"t{turn}."
        return [("cds", self.entry(made, name, turn) + moving + self.others),
                ("rds", self.entry(self.table, self.table.name, turn))]

    def listener(self, turn):
        made = rds_listener(address=socket_address(self.place.port), server_name=f"t{turn}.")
        others = b"" if self.delta else wire.resources("lds", [self.place.secure()])
        return [("lds", self.entry(wire.message("lds", made), "ingress", turn) + others)]

    def secret(self, turn):
        return [("sds", self.entry(wire.message("sds", self.place.secret(turn)), "cert", turn))]


def push(report, options):
    push_in(report, options, "push", STATE_OF_THE_WORLD)


def push_delta(report, options):
    push_in(report, options, "push_delta", DELTA)


def push_in(report, options, section, dialect):
    times, cpu, acks, failed = {}, {}, {}, {}
    by = " by delta" if dialect == DELTA else ""

    def at_size(place):
        for name in available():
            proxy = start_proxy(place.bench, name, place.control)
            wait_served(proxy, place.port, f"/c{place.world.size - 1}/")
            measure.settled_pss_kib(proxy.pid)
            place.control.seq = 0
            changes = Changes(place)
            for kind in KINDS:
                key = (name, kind)
                times[key], acks[key], failed[key] = push_kind(place, changes, kind)
                cpu[key] = push_cpu(place, proxy, changes.kinds[kind][1])
                say(f"  {name} {kind}: p50 {statistics.median(times[key]):.1f} ms, p99 "
                    f"{measure.percentile(times[key], 0.99):.1f} ms, CPU {cpu[key]:.2f} ms, "
                    f"requests failed in {failed[key]} changes")
            place.bench.end(proxy)
    with_place(options.size, at_size, dialect=dialect)
    for kind in KINDS:
        small = kind in ("endpoint", "secret") or dialect == DELTA and kind in ("cluster", "listener")
        for part, label in ((0.5, "p50"), (0.99, "p99")):
            values = {n: measure.percentile(times[n, kind], part) for n in available()}
            goal = small and label == "p99"
            report.add(section, f"one {kind} of {options.size:,}{by}: push → served, {label}",
                       values, "ms", "≤ 5" if goal else None,
                       values["xylem"] <= 5 if goal else None)
        report.add(section, f"... CPU a change of one {kind}{by}",
                   {n: cpu[n, kind] for n in available()}, "ms")
        report.add(section, f"... of {TURNS} changes of one {kind}{by}: with failed requests",
                   {n: failed[n, kind] for n in available()}, "", "0", failed["xylem", kind] == 0)
    for kind in ("route",) if dialect == DELTA else ("route", "cluster"):
        values = {n: cpu[n, kind] * 1000 / options.size for n in available()}
        report.add(section, f"CPU of an unchanged {kind} that is sent again", values, "µs", "≤ 1",
                   values["xylem"] <= 1)
    report.pictures[section] = {
        "title": f"One change in {options.size:,}{by}: push to served, median (ms)",
        "bars": {f"{n}, {k}": statistics.median(times[n, k])
                 for k in KINDS for n in available()}}


def push_kind(place, changes, kind):
    """(milliseconds to served of each change, to the ACK, changes during which requests failed)"""
    _, resources, text = changes.kinds[kind]
    probe = changes.probe(kind)
    seen, nonces, failed = [], [], 0
    for turn in range(1, TURNS + 1):
        made = resources(turn)
        probe.tell(text(turn))
        nonces.append(behind_the_load(lambda parts=made: [place.control.push(*one) for one in parts]))
        answer = probe.answer()
        seen.append(answer["seen_ns"])
        failed += answer["failed"] > 0
    told = place.control.told([n for turn in nonces for n in turn])
    place.bench.end(probe)
    served = [(s / 1000 - told[n[-1]][0]) / 1000 for s, n in zip(seen, nonces)]
    acked = [(told[n[-1]][1] - told[n[-1]][0]) / 1000 for n in nonces]
    return served, acked, failed


def push_cpu(place, proxy, resources):
    """CPU of a change without a prober: the process does nothing else. What it does in the same
    time without a change is taken off."""
    turns = CPU_TURNS
    begun, before = time.monotonic(), measure.cpu_ns(proxy.pid)
    nonces = [place.control.push(*one) for turn in range(TURNS + 1, TURNS + 1 + turns)
              for one in resources(turn)]
    place.control.told(nonces)
    time.sleep(0.5)
    used, took = measure.cpu_ns(proxy.pid) - before, time.monotonic() - begun
    before = measure.cpu_ns(proxy.pid)
    time.sleep(2)
    idle = (measure.cpu_ns(proxy.pid) - before) / 2 * took
    return max(0.0, used - idle) / turns / 1e6


# churn: updates under load

class Churned(Changes):
    """Of which only the endpoints are made."""

    def __init__(self, place):      # pylint: disable=super-init-not-called
        self.place, self.middle = place, place.world.middle
        self.delta = place.control.dialect == DELTA


def churn(report, options):
    churn_in(report, options, "churn", STATE_OF_THE_WORLD)


def churn_delta(report, options):
    churn_in(report, options, "churn_delta", DELTA)


def churn_in(report, options, section, dialect):
    found = {}

    def at_size(place):
        go_first(place.origin.pid)
        for name in available():
            proxy = start_proxy(place.bench, name, place.control)
            wait_served(proxy, place.port, f"/c{place.world.size - 1}/")
            place.control.seq = 0
            # Enough for a ratio of ours, two minutes at 100; of theirs, which are late for long, a few.
            for _ in range(options.rounds if name == ratios.HOUSE else 3):
                for rate in (10, 100):
                    found.setdefault((name, rate), []).append(
                        churn_pair(place, proxy, rate, options.seconds))
            place.bench.end(proxy)
    with_place(options.size, at_size, dialect=dialect)
    names = available()
    by = " by delta" if dialect == DELTA else ""
    for rate in (10, 100):
        pairs = {n: [[measure.percentile(half, 0.99) for half in pair["halves"]]
                     for pair in found[n, rate]] for n in names}
        values = {n: measure.bootstrap([busy / calm for calm, busy in pairs[n]]) for n in names}
        ratio = {n: value[0] for n, value in values.items()}
        report.add(section, f"{rate} endpoint updates a second{by} in {options.size:,} clusters: p99 "
                   "against none", ratio, "ratio", "≤ 1.10" if rate == 100 else None,
                   ratio["xylem"] <= 1.10 if rate == 100 else None,
                   {n: value[1:] for n, value in values.items()})
        for number, what in enumerate((f"with none beside {rate}", f"at {rate}")):
            report.add(section, f"... p99 {what}{by}, of all turns", {n: measure.percentile(
                [v for pair in found[n, rate] for v in pair["halves"][number]], 0.99)
                for n in names}, "µs")
        failed = {n: sum(c["failed"] + c["closed"] for c in found[n, rate]) for n in names}
        report.add(section, f"... failed requests and closed connections at {rate}{by}", failed, "",
                   "0", failed["xylem"] == 0)
        lag = {n: max(measure.percentile(c["lag_ms"], 0.99) for c in found[n, rate]) for n in names}
        report.add(section, f"... ACK behind the push at {rate}{by}, p99", lag, "ms", "≤ 50",
                   lag["xylem"] <= 50)


def churn_pair(place, proxy, rate, seconds):
    """One run of load: its first half without updates, its second with so many a second."""
    each = place.bench.home("load") / "each"
    words = [tool("load"), "run", "--port", place.port, "--rate", 1000, "--seconds", 2 * seconds,
             "--path", f"/c{place.world.middle}/", "--each", each]
    load = Process("load", place.bench.home("load"), words, LOAD_CPU, stdout=-1, text=True)
    go_first(load.pid)
    middle = time.monotonic() + seconds
    nonces = behind_the_load(lambda: change_endpoints(place, rate, middle, seconds - 0.2))
    told = json.loads(load.popen.communicate()[0])
    told["halves"] = halves(each, int(middle * 1e9))
    told["lag_ms"] = behind_by(place, proxy, nonces)
    calm, busy = (measure.percentile(half, 0.99) for half in told["halves"])
    say(f"  {proxy.name}, {rate} updates a second ({len(nonces)} done): p99 {calm:.0f} µs without, "
        f"{busy:.0f} with, failed {told['failed']}")
    return told


def halves(each, middle):
    """Latencies in µs of the requests that were due before and after a moment."""
    moments = array.array("Q", each.read_bytes())
    found = [], []
    for due, answered in zip(moments[::2], moments[1::2]):
        found[due >= middle].append((answered - due) / 1000)
    return found


def behind_by(place, proxy, nonces):
    """How many milliseconds after each push its answer came."""
    try:
        answers = place.control.told(nonces, PATIENCE) if nonces else {}
    except BenchError:
        if proxy.name == ratios.HOUSE:
            raise
        say(f"  {proxy.name}: has not answered {len(nonces)} updates {PATIENCE:g} s later")
        return [PATIENCE * 1000]
    return [(b - a) / 1000 for a, b in answers.values()]


def change_endpoints(place, rate, begin, seconds):
    """So many updates a second for so long, each at a random moment of its turn, so that they are not
    in step with the requests: their nonces."""
    changes, nonces, chance = Churned(place), [], random.Random(1)
    each = max(1, rate // 10)
    for number in range(int(rate * seconds)):
        time.sleep(max(0.0, begin + (number + chance.random()) / rate - time.monotonic()))
        cluster = f"c{number * 7 % place.world.size}"
        nonces += [place.control.push(*one) for one in changes.endpoint(number, cluster)]
        if number % each == 0:
            place.control.read_events()
    return nonces


# manager: an HTTP connection manager changes under 200 live connections

def manager(report, options):
    closed, behind = {}, {}

    def at_size(place):
        for name in available():
            proxy = start_proxy(place.bench, name, place.control, ["--drain-time-s", "5"])
            wait_served(proxy, place.port, "/c0/")
            hold = place.bench.talker("hold", place.port, connections=200, path="/c0/")
            hold.answer()
            control, asks = place.control, 0
            for turn in range(5):
                nonce = control.push(*Changes(place).listener(turn)[0])
                control.told([nonce])
                wait_for(lambda t=turn: (get(place.port, "/c0/") or (0, {}))[1].get("server")
                         == f"t{t}.", "the change", 10)
                asked = hold.ask(f"ask server: t{turn}.")
                asks += asked["asked"]
                behind[name] = behind.get(name, 0) + asked["asked"] - asked["with"]
            end = time.monotonic() + 8      # the drain time passes
            while time.monotonic() < end and hold.ask("ask x")["answered"]:
                time.sleep(0.5)
            closed[name] = hold.ask("ask x")["closed"]
            say(f"  {name}: {closed[name]} of 200 closed; {behind[name]} of {asks} answers old")
            place.bench.end(hold)
            place.bench.end(proxy)
    with_place(10, at_size)
    report.add("manager", "5 changes of a connection manager: of 200 live connections closed",
               closed, "", "0", closed["xylem"] == 0)
    report.add("manager", "... of 1,000 next requests that did not see the change", behind, "", "0",
               behind["xylem"] == 0)
