"""The proxies that are compared: the same work asked of each, one worker each.

Bare: forward everything to one origin over kept connections, no log. With features: what Envoy does
by itself or is usually asked for: statistics, a request id, an access log line to a file, one header
set and one removed each way, time-outs. `routes`: that many prefix routes /rN/ before the last, "/".
`pair`: the versions of HTTP on both sides; to HTTP/2 nginx passes gRPC alone.
"""
import json
import re
import subprocess
import sysconfig
from pathlib import Path

from processes import BUILD, PROXY_CPU, BenchError, Process, free_port, installed, tool, wait_for

from harness.config import (add_header, bootstrap, cluster, file_log, http_listener, route,
                            socket_address)

NAMES = ("xylem", "floor", "haproxy", "nginx", "envoy")
PEERS = ("haproxy", "nginx", "envoy", "nghttpx")
H1, H2 = "HTTP/1", "HTTP/2"


def envoy_program():
    return Path(sysconfig.get_path("purelib")) / "envoy" / "_bin" / "envoy"


def program(name):
    """The program of a proxy, or None where it is not installed."""
    if name == "xylem":
        return BUILD / "xylem"
    if name == "floor":
        return tool("floor")
    if name == "envoy":
        return envoy_program() if envoy_program().exists() else None
    return installed(name)


def version(name):
    if name in ("xylem", "envoy"):
        text = subprocess.run([program(name), "--version"], capture_output=True, text=True,
                              check=False).stdout
        commit, number, _, build = re.search(r"version: (\w+)/([\w.]+)/(\w+)/(\w+)", text).groups()
        return f"{number if name == 'envoy' else commit[:12]} ({build})"
    if name == "floor":
        return "bench/floor"
    text = subprocess.run([program(name), "--version" if name == "nghttpx" else "-v"], capture_output=True, text=True, check=False)
    return re.search(r"\d+\.[\w.~+-]+", text.stdout + text.stderr).group(0)


def versions():
    return {name: version(name) for name in (*NAMES, "nghttpx") if program(name)}


def speaks(name, pair, grpc):
    """Whether a proxy can do that, and is there."""
    if not program(name) or name == "floor":
        return False
    return name != "nginx" or pair[1] == H1 or (grpc and pair[0] == H2)


# Configurations

def routes_of(count):
    return [route(f"/r{n}/", "origin") for n in range(count)]


def envoy_config(port, origin, folder, features, routes, pair):
    every = route("/", "origin")
    more = {"generate_request_id": False}
    breakers = {"thresholds": [{name: 100000 for name in (
        "max_connections", "max_pending_requests", "max_requests")}]}
    if features:
        every = route("/", "origin", timeout="15s",
                      request_headers_to_add=[add_header("x-added", "request")],
                      request_headers_to_remove=["x-unwanted"],
                      response_headers_to_add=[add_header("x-served-by", "bench")],
                      response_headers_to_remove=["x-origin"])
        more = {"generate_request_id": True, "stream_idle_timeout": "60s",
                "request_timeout": "60s", "access_log": [file_log(folder / "access.log")]}
    listener = http_listener("front", socket_address(port), routes=[*routes_of(routes), every],
                             **more)
    http2 = {"explicit_http_config": {"http2_protocol_options": {}}} if pair[1] == H2 else None
    ports = origin if isinstance(origin, list) else [origin]
    return bootstrap([listener], [cluster("origin", *ports, http=http2,
                                          circuit_breakers=breakers)])


def envoy_like(name, port, origin, folder, features, routes, pair):
    made = folder / f"{name}.json"
    made.write_text(json.dumps(envoy_config(port, origin, folder, features, routes, pair)))
    return [program(name), "-c", made, "--concurrency", "1", "--disable-hot-restart", "-l", "error",
            "--admin-address-path", folder / "admin"]


HAPROXY = """\
global
    nbthread 1
    maxconn 9000
    {log_global}
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 15s
    http-reuse always
    {log}
frontend front
    bind 127.0.0.1:{port} {front}
    {features}
    {rules}
    default_backend origin
backend origin
    server one 127.0.0.1:{origin} {back}
    {response}
"""
HAPROXY_FEATURES = """unique-id-format %{+X}o%ci%cp%ts%rt%pid
    unique-id-header x-request-id
    option forwardfor
    http-request set-header x-forwarded-proto http
    http-request set-header x-added request
    http-request del-header x-unwanted"""


def haproxy(port, origin, folder, features, routes, pair):
    if routes:      # a prefix tree, as its manual advises for long tables
        (folder / "routes.map").write_text("".join(f"/r{n}/ origin\n" for n in range(routes)))
    rules = f"use_backend %[path,map_beg({folder}/routes.map,origin)]" if routes else ""
    made = folder / "haproxy.cfg"
    made.write_text(HAPROXY.format(
        port=port, origin=origin, rules=rules, front="proto h2" if pair[0] == H2 else "",
        back="proto h2" if pair[1] == H2 else "",
        log_global="log 127.0.0.1:{} len 1024 local0".format(free_port()) if features else "",
        log="log global\n    option httplog" if features else "",
        features=HAPROXY_FEATURES if features else "",
        response="http-response set-header x-served-by bench\n"
                 "    http-response del-header x-origin" if features else ""))
    return [program("haproxy"), "-f", made, "-db"]


NGINX = """\
daemon off;
master_process off;
error_log {folder}/error.log;
pid {folder}/nginx.pid;
worker_rlimit_nofile 40000;
events {{ worker_connections 8192; }}
http {{
    access_log {log};
    keepalive_requests 100000000;
    keepalive_timeout 3600s;
    client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
    upstream origin {{ server 127.0.0.1:{origin}; keepalive 256; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096{front};
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $host;
        {features}
        {rules}
        location / {{ {back}://origin; }}
    }}
}}
"""
NGINX_FEATURES = """proxy_set_header X-Request-Id $request_id;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Added request;
        proxy_set_header X-Unwanted "";
        add_header X-Served-By bench;
        proxy_hide_header X-Origin;
        proxy_read_timeout 15s; proxy_send_timeout 15s; send_timeout 60s;"""


def nginx(port, origin, folder, features, routes, pair):
    rules = [f"location /r{n}/ {{ proxy_pass http://origin; }}" for n in range(routes)]
    made = folder / "nginx.conf"
    made.write_text(NGINX.format(
        folder=folder, port=port, origin=origin, front=" http2" if pair[0] == H2 else "",
        back="grpc_pass grpc" if pair[1] == H2 else "proxy_pass http", rules="\n        ".join(rules),
        log=folder / "access.log" if features else "off",
        features=NGINX_FEATURES if features else ""))
    return [program("nginx"), "-p", folder, "-c", made]


def kinds(name):
    """How a peer is measured: bare, and with features where it has them."""
    return (False,) if name in ("floor", "nghttpx") else (False, True)


def nghttpx(port, origin, folder, features, routes, pair):
    """One thread, no log. HTTP/1 and HTTP/2 with prior knowledge are told apart by the first bytes."""
    if features or routes:
        raise BenchError("nghttpx is measured bare")
    return [program("nghttpx"), f"--frontend=127.0.0.1,{port};no-tls",
            f"--backend=127.0.0.1,{origin};;proto={'h2' if pair[1] == H2 else 'http/1.1'}",
            "--workers=1", "--single-process", "--accesslog-file=/dev/null", f"--errorlog-file={folder}/error.log",
            "--log-level=ERROR", "--no-via", "--no-server-rewrite", "--backlog=4096",
            "--frontend-http2-read-timeout=3600s", "--frontend-keep-alive-timeout=3600s",
            "--conf=/dev/null"]


def command(name, *rest):
    known = {"haproxy": haproxy, "nginx": nginx, "nghttpx": nghttpx}
    return known[name](*rest) if name in known else envoy_like(name, *rest)


def start(bench, name, origin, features=False, routes=0, env=None, wrap=None, pair=(H1, H1)):
    """A proxy before the origin's port (Xylem: or a list of them), listening. wrap(folder, program): a command before it."""
    if not program(name):
        raise BenchError(f"{name} is not installed: tools/deps bench, tools/venv test")
    folder = bench.home(name + ("-features" if features else "") + (f"-{routes}" if routes else "")
                      + "".join("-" + p[-1] for p in pair if pair != (H1, H1)))
    if name == "floor":
        words = [*(wrap(folder, tool("floor")) if wrap else [tool("floor")]), origin]
        made = bench.add(Process(name, folder, words, PROXY_CPU, env))
        wait_for(lambda: made.log().strip(), "the floor's port")
        return made.wait_port(int(made.log().split()[0]))
    port = free_port()
    words = command(name, port, origin, folder, features, routes, pair)
    if wrap:
        words = [*wrap(folder, words[0]), *words[1:]]
    return bench.add(Process(name, folder, words, PROXY_CPU, env)).wait_port(port, 60)
