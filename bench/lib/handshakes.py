"""handshakes: CPU of a TLS handshake, full, resumed and with a client's certificate, beside the peers
and beside the server's half of it in memory, and behind a socket with nothing else (bench/handshake/).

What a request over a connection of its own takes, less what one over a kept connection takes. The proxy
answers itself. TLS 1.3, X25519, ECDSA P-256, tickets, one worker each.
"""
import json
import subprocess

import measure
import peers
import ratios
from processes import PROXY_CPU, BenchError, Process, cpus, free_port, say, tool, wait_for

from harness import certs
from harness.config import bootstrap, direct, http_listener, socket_address

SORTS = {"full": {}, "resumed": {"resume": True}, "mutual": {}}
RATE = 613      # the kernel tells user from system by ticks (250/s): what comes in step with them misleads
SHARE = 0.85

NGINX = """\
daemon off;
master_process off;
error_log {folder}/error.log;
pid {folder}/nginx.pid;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
    server {{
        listen 127.0.0.1:{port} ssl backlog=4096;
        ssl_certificate {chain};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.3;
        ssl_ecdh_curve X25519;
        {mutual}
        location / {{ return 200; }}
    }}
}}
"""

HAPROXY = """\
global
    nbthread 1
    maxconn 9000
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 15s
frontend front
    bind 127.0.0.1:{port} ssl crt {both} ssl-min-ver TLSv1.3 curves X25519 {mutual}
    http-request return status 200
"""


class Files:
    """The authority, the server's certificate and the client's, as files."""

    def __init__(self, folder):
        self.ca = certs.Authority("ca").write(folder)
        self.server = self.ca.issue("bench.test", dns=["bench.test"]).write(folder)
        self.client = self.ca.issue("client", uris=["spiffe://bench/client"]).write(folder)
        self.both = folder / "both.pem"
        self.both.write_text(self.server.chain + self.server.key)

    def of_client(self):
        return {"cert": self.client.chain_path, "key": self.client.key_path}


def envoy_like(name, port, folder, files, mutual):
    more = {"validation_context": files.ca.validation_context(),
            "outer": {"require_client_certificate": True}} if mutual else {}
    listener = http_listener("front", socket_address(port), routes=[direct(200)])
    listener["filter_chains"][0]["transport_socket"] = certs.downstream(files.server, **more)
    made = folder / f"{name}.json"
    made.write_text(json.dumps(bootstrap([listener])))
    return [peers.program(name), "-c", made, "--concurrency", "1", "--disable-hot-restart", "-l",
            "error", "--admin-address-path", folder / "admin"]


def command(name, port, folder, files, mutual):
    if name == "floor":
        return [*serve(files), "--serve", port, *(["--ca", files.ca.chain_path] if mutual else [])]
    if name == "nginx":
        made = folder / "nginx.conf"
        made.write_text(NGINX.format(
            folder=folder, port=port, chain=files.server.chain_path, key=files.server.key_path,
            mutual=f"ssl_client_certificate {files.ca.chain_path}; ssl_verify_client on;"
                   if mutual else ""))
        return [peers.program("nginx"), "-p", folder, "-c", made]
    if name == "haproxy":
        made = folder / "haproxy.cfg"
        made.write_text(HAPROXY.format(
            port=port, both=files.both,
            mutual=f"ca-file {files.ca.chain_path} verify required" if mutual else ""))
        return [peers.program("haproxy"), "-f", made, "-db"]
    return envoy_like(name, port, folder, files, mutual)


def start(bench, name, files, sort):
    folder, port = bench.home(f"{name}-{sort}"), free_port()
    words = command(name, port, folder, files, sort == "mutual")
    return bench.add(Process(name, folder, words, PROXY_CPU)).wait_port(port, 60)


def contender(bench, proxy, files, sort):
    """A sample: CPU and user CPU of a handshake."""
    load = {"rate": RATE, "seconds": 1.2, "connections": 64, "tls": True, "host": "bench.test",
            "ca": files.ca.chain_path, **SORTS[sort]}
    if sort == "mutual":
        load.update(files.of_client())

    def once(**more):
        before = measure.user_ns(proxy.pid)
        told = ratios.sample(bench, proxy, proxy.port, **{**load, **more})
        told["user_us"] = (measure.user_ns(proxy.pid) - before) / told["good"] / 1000
        return told

    def take():
        own, kept = once(close=True), once(connections=8)
        if (own["resumed"] > own["full"]) != (sort == "resumed"):
            raise BenchError(f"{proxy.name}, {sort}: {own}")
        return {"cpu_us": own["cpu_us"] - kept["cpu_us"], "user_us": own["user_us"] - kept["user_us"],
                "noisy": own["noisy"] or kept["noisy"]}
    return take


def serve(files):
    return [tool("handshake"), "--cert", files.server.chain_path, "--key", files.server.key_path]


def half(files, sort, count, *more):
    """The command that does the same handshakes in memory."""
    words = [*serve(files), "--count", count, *more]
    if sort == "resumed":
        words += ["--resume"]
    if sort == "mutual":
        words += ["--ca", files.ca.chain_path, "--client-cert", files.client.chain_path,
                  "--client-key", files.client.key_path]
    return words


def in_memory(files, sort, *more):
    """A sample of the server's half, with nothing around it, or nothing but sleep."""
    def take():
        done = subprocess.run(
            ["taskset", "-c", str(cpus()[PROXY_CPU]), *map(str, half(files, sort, 1000, *more))],
            capture_output=True, text=True, check=True)
        told = json.loads(done.stdout)
        return {"user_us": told["cpu_us"], "cpu_us": told["cpu_us"], "noisy": False}
    return take


# Instructions: the same on every run

FEW, MANY = 60, 180


def instructions_in_memory(bench, files, sort):
    """Of the server's half. The program warms up with a twentieth and two: so they are 1.05 n + 2."""
    def run(count):
        out = bench.home(f"callgrind-{sort}-{count}")
        words = measure.valgrind(out, *half(files, sort, count)[:1])
        words.remove("--instr-atstart=no")
        words[-1:-1] = ["--collect-atstart=no", "--toggle-collect=server_*"]
        subprocess.run([*map(str, words), *map(str, half(files, sort, count)[1:])], check=True,
                       capture_output=True)
        return sum(measure.totals(path) for path in out.glob("callgrind.out*")), count * 21 // 20
    (few, n), (many, m) = run(FEW), run(MANY)
    return (many - few) / (m - n)


def instructions(bench, files, sort):
    """Of the worker's thread: a request on a connection of its own less one on a kept one."""
    folder, port = bench.home(f"callgrind-{sort}"), free_port()
    words = command("xylem", port, folder, files, sort == "mutual")
    proxy = bench.add(Process("xylem", folder, [*measure.valgrind(folder, words[0]), *words[1:],
                                                "--no-sandbox"])).wait_port(port, 120)
    load = {"rate": 60, "tls": True, "host": "bench.test", "ca": files.ca.chain_path, **SORTS[sort]}
    if sort == "mutual":
        load.update(files.of_client())

    def run(requests, **more):
        told = bench.load("run", port, seconds=requests / 60, **{**load, **more})
        return told["good"]

    def counted(number, **more):
        good = run(MANY, **more)
        measure.callgrind_control(proxy.pid, "-d")
        wait_for(lambda: measure.instructions_by_thread(folder, number), "the dump")
        return max(measure.instructions_by_thread(folder, number).values()) / good
    measure.callgrind_control(proxy.pid, "--instr=on")
    counted(1, connections=4, close=True)
    return counted(2, connections=4, close=True) - counted(3, connections=1)


def exact_rows(report, bench, files, sort):
    ours, memory = instructions(bench, files, sort), instructions_in_memory(bench, files, sort)
    report.add("handshakes", f"instructions of a handshake, {sort}",
               {"xylem": ours, "memory": memory})
    report.add("handshakes", f"... {sort}, instructions: the server's half in memory to ours",
               {"xylem": memory / ours}, "", f"≥ {SHARE}", memory / ours >= SHARE)


def handshakes(report, options):
    for sort in SORTS:
        ratios.with_bench(lambda bench, sort=sort: one_sort(report, options, bench, sort))


def one_sort(report, options, bench, sort):
    files = Files(bench.home("certs"))
    names = [n for n in ratios.available() if n != "floor"]
    found = ratios.rounds(sort, {
        **{n: contender(bench, start(bench, n, files, sort), files, sort) for n in [*names, "floor"]},
        "memory": in_memory(files, sort), "paced": in_memory(files, sort, "--rate", RATE)},
        options.rounds)
    section = "handshakes"
    report.add(section, f"CPU of a handshake, {sort}, {RATE}/s",
               ratios.medians({n: found[n] for n in names}, "cpu_us"), "µs")
    ratios.against(report, section, f"... {sort}, ratio", found, "cpu_us", names)
    floor = ratios.ratio(found, "xylem", "floor", "cpu_us")
    report.add(section, f"... {sort}, ratio to the floor", {"xylem": floor[0]}, spread=ratios.spread(floor))
    # Ticks of 10 ms: of all rounds together
    user = {n: sum(s["user_us"] for s in found[n]) / len(found[n])
            for n in [*names, "floor", "memory", "paced"]}
    share, paced = user["memory"] / user["xylem"], user["paced"] / user["xylem"]
    say(f"  {sort}: in memory {user['memory']:.1f} µs, ours {user['xylem']:.1f} µs of user CPU")
    report.add(section, f"user CPU of a handshake, {sort}", user, "µs")
    report.add(section, f"... {sort}, the server's half in memory to ours", {"xylem": share}, "",
               f"≥ {SHARE}", share >= SHARE)
    report.add(section, f"... {sort}, the same at {RATE}/s, with sleep between", {"xylem": paced})
    report.add(section, f"... {sort}, the same library behind a socket, with nothing else, to ours",
               {"xylem": user["floor"] / user["xylem"]})
    report.add(section, f"... {sort}, the half in memory to that", {"xylem": user["memory"] / user["floor"]})
    exact_rows(report, bench, files, sort)
