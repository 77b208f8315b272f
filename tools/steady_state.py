#!/usr/bin/env python3
"""What one request costs in the steady state: one worker, 16 keep-alive HTTP/1.1 connections.

Counts, exact: data calls (read and write of any kind) and epoll_ctl a request, seen by strace as the
difference of two runs; heap allocations a request, seen by a counting allocator that is loaded
before libc. They must be 4, 0 and 0; the output is TAP.

Then, unless --counts-only: CPU a request (user and system, all threads) at a fixed rate beside
nginx as a keep-alive proxy to the same origin, in alternating rounds; the median of each and the
median ratio. Needs nginx and h2load.
"""
import argparse
import json
import re
import selectors
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONNECTIONS = 16
TRIES = 10
BODY = b"x" * 128
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)
DATA_CALLS = ("read", "readv", "recvfrom", "recvmsg", "write", "writev", "sendto", "sendmsg",
              "splice")
TYPE = "type.googleapis.com/envoy.extensions.filters"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition, what, bound=10.0):
    end = time.monotonic() + bound
    while not (value := condition()):
        if time.monotonic() > end:
            sys.exit(f"steady_state: waited {bound:g} s in vain for {what}")
        time.sleep(0.01)
    return value


def accepts(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def serve(port):
    """A small origin: 128 bytes for every request. For the counts; speed does not matter."""
    select = selectors.DefaultSelector()
    door = socket.create_server(("127.0.0.1", port), backlog=128)
    select.register(door, selectors.EVENT_READ)
    while True:
        for key, _ in select.select():
            if key.fileobj is door:
                select.register(door.accept()[0], selectors.EVENT_READ)
                continue
            data = key.fileobj.recv(65536)
            if data:
                key.fileobj.sendall(ANSWER * data.count(b"\r\n\r\n"))
            else:
                select.unregister(key.fileobj)
                key.fileobj.close()


class Clients:
    """Keep-alive connections that all send a request, then all read the answer."""

    def __init__(self, port):
        self.sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)]

    def send(self):
        for one in self.sockets:
            one.sendall(b"GET /steady HTTP/1.1\r\nhost: steady.test\r\n\r\n")

    def receive(self):
        for one in self.sockets:
            data = b""
            while not data.endswith(BODY):
                more = one.recv(65536)
                if not more:
                    sys.exit("steady_state: the proxy closed a connection")
                data += more
            if not data.startswith(b"HTTP/1.1 200"):
                sys.exit(f"steady_state: wrong answer {data[:200]!r}")

    def run(self, requests):
        for _ in range(requests // CONNECTIONS):
            self.send()
            self.receive()


def histogram_decades(admin):
    """Which powers of ten each histogram has met: it gets memory for one when it records the first
    value of it, a handful of allocations for as long as the proxy lives."""
    path = "/stats?format=json&usedonly&histogram_buckets=detailed"
    with urllib.request.urlopen(f"http://{admin}{path}", timeout=10) as page:
        found = json.load(page)["stats"][-1]["histograms"]["details"]
    lows = [(one["name"], bucket["lower_bound"]) for one in found for bucket in one["totals"]]
    return {(name, low and len(str(int(low)))) for name, low in lows}


def xylem_config(port, origin):
    def address(number):
        return {"socket_address": {"address": "127.0.0.1", "port_value": number}}
    manager = {
        "@type": f"{TYPE}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "steady",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "route": {"cluster": "origin"}}]}]},
        "http_filters": [{"name": "envoy.filters.http.router",
                          "typed_config": {"@type": f"{TYPE}.http.router.v3.Router"}}]}
    return {"admin": {"address": address(0)}, "static_resources": {
        "listeners": [{"name": "front", "address": address(port), "filter_chains": [{"filters": [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}]}],
        "clusters": [{"name": "origin", "type": "STATIC", "load_assignment": {
            "cluster_name": "origin", "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": address(origin)}}]}]}}]}}


NGINX = """\
daemon off;
master_process off;
error_log {folder}/error.log;
pid {folder}/pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
    {more}
}}
"""
NGINX_ORIGIN = "server {{ listen 127.0.0.1:{port} reuseport; location / {{ return 200 '{body}'; }} }}"
NGINX_PROXY = """\
    upstream origin {{ server 127.0.0.1:{origin}; keepalive 64; keepalive_requests 100000000; }}
    server {{ listen 127.0.0.1:{port} reuseport; location / {{
        proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
        proxy_set_header Host $host; proxy_set_header X-Request-Id $request_id;
        proxy_set_header X-Forwarded-Proto $scheme; }} }}
"""


class Bench:
    """The processes of one run, ended by their ids."""

    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.processes = []

    def start(self, name, command, **more):
        with open(self.folder / f"{name}.log", "wb") as log:
            made = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=log,
                                    stderr=log, cwd=self.folder, **more)
        self.processes.append(made)
        return made

    def stop(self):
        for one in reversed(self.processes):
            one.terminate()
        for one in self.processes:
            try:
                one.wait(10)
            except subprocess.TimeoutExpired:
                one.kill()
        self.processes = []

    def started(self, process, port, name):
        def ready():
            if process.poll() is not None:
                sys.exit(f"steady_state: {name} ended:\n"
                         + (self.folder / f"{name}.log").read_text(errors="replace"))
            return accepts(port)
        wait_for(ready, f"{name} to listen")
        return process, port

    def origin(self):
        port = free_port()
        return self.started(self.start("origin", [sys.executable, __file__, "--serve", port]), port,
                            "origin")

    def nginx(self, name, more, **values):
        port = free_port()
        home = self.folder / name
        home.mkdir()
        conf = home / "nginx.conf"
        conf.write_text(NGINX.format(folder=home, more=more.format(port=port, **values)))
        program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin")
        return self.started(self.start(name, [program, "-p", home, "-c", conf]), port, name)

    def xylem(self, origin, env=None):
        port = free_port()
        conf = self.folder / "xylem.json"
        conf.write_text(json.dumps(xylem_config(port, origin)))
        process = self.start("xylem", [self.options.proxy, "-c", conf, "--concurrency", "1",
                                       "--admin-address-path", self.folder / "admin"], env=env)
        return self.started(process, port, "xylem")


# Counts

def strace(bench, pid, work):
    """How often each system call was made by all threads while work ran."""
    out = bench.folder / "strace.out"
    tracer = bench.start("strace", ["strace", "-f", "-c", "-U", "calls,name", "-o", out, "-p", pid])
    log = bench.folder / "strace.log"
    wait_for(lambda: "attached" in log.read_text() or tracer.poll() is not None, "strace to attach")
    if tracer.poll() is not None:
        return None
    work()
    tracer.send_signal(signal.SIGINT)
    tracer.wait(10)
    return {m[2]: int(m[1]) for m in re.finditer(r"^ *(\d+) (\w+)$", out.read_text(), re.M)}


def read_slots(path):
    """Allocations by thread id."""
    data = path.read_bytes()
    return {thread: calls for thread, calls in struct.iter_unpack("<QQ", data) if thread}


def heap_counts(path, pid, admin, clients, requests):
    """Allocations by thread name, of a run in which no histogram met a new power of ten: on a loaded
    machine an answer takes long now and then."""
    known = histogram_decades(admin)
    for _ in range(TRIES):
        before = read_slots(path)
        clients.run(requests)
        after, decades = read_slots(path), histogram_decades(admin)
        if decades == known:
            break
        known = decades
    else:
        sys.exit(f"steady_state: {TRIES} times a histogram met a new power of ten")
    counts = {}
    for thread, calls in after.items():
        name = Path(f"/proc/{pid}/task/{thread}/comm").read_text().strip()
        counts[name] = counts.get(name, 0) + calls - before.get(thread, 0)
    return counts


class Tap:
    def __init__(self):
        self.count = self.failed = 0

    def check(self, good, text):
        self.count += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.count} - {text}", flush=True)

    def end(self):
        print(f"1..{self.count}", flush=True)
        return 1 if self.failed else 0


def count_calls(bench, process, clients, tap):
    few, many = 1600, 8000
    if not shutil.which("strace"):
        tap.check(False, "strace is not installed")
        return
    first = strace(bench, process.pid, lambda: clients.run(few))
    second = first and strace(bench, process.pid, lambda: clients.run(many))
    if not second:
        text = (bench.folder / "strace.log").read_text(errors="replace").strip().splitlines()
        tap.check("not permitted" in " ".join(text), f"calls # SKIP strace: {text[:1]}")
        return

    def a_request(names):
        return sum(second.get(n, 0) - first.get(n, 0) for n in names) / (many - few)
    data, control = a_request(DATA_CALLS), a_request(["epoll_ctl"])
    others = {n: round(a_request([n]), 3) for n in sorted(second)
              if n not in (*DATA_CALLS, "epoll_ctl", "total")}
    tap.check(abs(data - 4) <= 0.04, f"{data:.3f} data calls a request, wanted 4")
    tap.check(control == 0, f"{control:.3f} epoll_ctl a request, wanted 0")
    print(f"# other calls a request: {others}")


def count_all(options):
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix="xylem-steady-") as name:
        bench = Bench(options, Path(name))
        heap = bench.folder / "heap"
        heap.touch()
        try:
            process, port = bench.xylem(bench.origin()[1], env={
                "LD_PRELOAD": str(options.count_heap), "COUNT_HEAP_FILE": str(heap)})
            clients = Clients(port)
            clients.run(1600)
            requests = 8000
            admin = (bench.folder / "admin").read_text().strip()
            counts = heap_counts(heap, process.pid, admin, clients, requests)
            worker = counts.pop("wrk:worker_0", 0)
            tap.check(worker == 0, f"{worker} heap allocations of the worker in {requests} "
                      "requests, wanted 0")
            # The flush of statistics, once in five seconds, allocates on the main thread.
            others = sum(counts.values())
            tap.check(others < requests / 100, f"{others} heap allocations of other threads "
                      f"meanwhile, not a request's: {counts}")
            count_calls(bench, process, clients, tap)
        finally:
            bench.stop()
    return tap.end()


# CPU beside nginx

def cpu_ns(pid):
    return sum(int((task / "schedstat").read_text().split()[0])
               for task in Path(f"/proc/{pid}/task").iterdir())


def round_of(options, process, port):
    """CPU microseconds a request of one round at the fixed rate."""
    requests = int(options.rate * options.seconds)
    before, begun = cpu_ns(process.pid), time.monotonic()
    done = subprocess.run(
        ["h2load", "--h1", "-c", str(CONNECTIONS), "-n", str(requests), "--rps",
         str(options.rate / CONNECTIONS), f"http://127.0.0.1:{port}/steady"],
        capture_output=True, text=True, check=True)
    took, used = time.monotonic() - begun, cpu_ns(process.pid) - before
    if f"{requests} succeeded" not in done.stdout:
        sys.exit(f"steady_state: h2load: {done.stdout}")
    return used / requests / 1000, requests / took


def compare(options):
    with tempfile.TemporaryDirectory(prefix="xylem-steady-") as name:
        bench = Bench(options, Path(name))
        try:
            origin = bench.nginx("origin", NGINX_ORIGIN, body=BODY.decode())[1]
            proxies = {"xylem": bench.xylem(origin),
                       "nginx": bench.nginx("nginx", NGINX_PROXY, origin=origin)}
            for process, port in proxies.values():
                round_of(options, process, port)
            seen = {name: [] for name in proxies}
            for number in range(options.rounds):
                order = list(proxies)[::1 if number % 2 else -1]
                for name in order:
                    cost, rate = round_of(options, *proxies[name])
                    seen[name].append(cost)
                    print(f"# round {number + 1} {name}: {cost:.2f} us a request at {rate:.0f}/s",
                          flush=True)
        finally:
            bench.stop()
    ratios = [a / b for a, b in zip(seen["xylem"], seen["nginx"])]
    print(f"# median CPU a request: xylem {statistics.median(seen['xylem']):.2f} us, "
          f"nginx {statistics.median(seen['nginx']):.2f} us, ratio {statistics.median(ratios):.3f} "
          f"({min(ratios):.3f} to {max(ratios):.3f}, {len(ratios)} pairs)")


def parse():
    parser = argparse.ArgumentParser(prog="steady_state", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proxy", type=Path, default=ROOT / "build" / "xylem")
    parser.add_argument("--count-heap", type=Path,
                        default=ROOT / "build" / "test" / "steady" / "libcount_heap.so")
    parser.add_argument("--counts-only", action="store_true", help="no comparison with nginx")
    parser.add_argument("--rounds", type=int, default=7, help="pairs of rounds (7)")
    parser.add_argument("--seconds", type=float, default=3, help="length of a round (3)")
    parser.add_argument("--rate", type=float, default=3000, help="requests a second (3000)")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.proxy, options.count_heap = options.proxy.resolve(), options.count_heap.resolve()
    return options


def main():
    options = parse()
    if options.serve:
        serve(options.serve)
    code = count_all(options)
    if not options.counts_only:
        compare(options)
    return code


if __name__ == "__main__":
    sys.exit(main())
