#!/usr/bin/env python3
"""Envoy itself as the client of the stub: over ADS in both dialects and over the services of single
types it gets what the folder holds, follows changes, and is read rightly when it rejects something.

usage: check_envoy.py XYLEM_STUB       (skipped where Envoy is not in the environment of this Python)
"""
import http.server
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.error
import urllib.request

ENVOY = pathlib.Path(sys.executable).parent / "envoy"
HCM = ("type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3."
       "HttpConnectionManager")
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
HTTP2 = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def call(method, url, body=None):
    """(status, text)"""
    data = body.encode() if isinstance(body, str) else body
    request = urllib.request.Request(url, data=data, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def until(what, check, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            got = check()
        except (OSError, urllib.error.URLError):
            got = None
        if got:
            return got
        time.sleep(0.02)
    raise AssertionError(f"never: {what}")


class Origin(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"origin"
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def grpc(kind):
    return {"api_type": kind, "transport_api_version": "V3", "set_node_on_first_message_only": True,
            "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}]}


class Scene:
    """A stub, an origin and an Envoy."""

    def __init__(self, binary, home, kind, aggregated):
        self.home = pathlib.Path(home)
        self.folder = self.home / "resources"
        self.folder.mkdir()
        self.source = {"resource_api_version": "V3"}
        self.source.update({"ads": {}} if aggregated else {"api_config_source": grpc(kind)})
        self.origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
        threading.Thread(target=self.origin.serve_forever, daemon=True).start()
        self.write_all("one")
        self.stub = self.start_stub(binary)
        self.envoy = self.start_envoy(kind, aggregated)

    def write(self, name, resource):
        (self.folder / name).write_text(json.dumps(resource))

    def write_all(self, word):
        self.write("cds.json", {"@type": "Cluster", "name": "c", "type": "EDS", "connect_timeout": "1s",
                                "eds_cluster_config": {"eds_config": self.source}})
        address = {"socket_address": {"address": "127.0.0.1", "port_value": self.origin.server_port}}
        self.write("eds.json", {"@type": "ClusterLoadAssignment", "cluster_name": "c", "endpoints": [
            {"lb_endpoints": [{"endpoint": {"address": address}}]}]})
        manager = {"@type": HCM, "stat_prefix": "h",
                   "rds": {"route_config_name": "r", "config_source": self.source},
                   "http_filters": [{"name": "router", "typed_config": {"@type": ROUTER}}]}
        self.write("lds.json", {"@type": "Listener", "name": "l",
                                "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
                                "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}]})
        self.write("rds.json", self.routes(word))

    @staticmethod
    def routes(word, cluster="c"):
        direct = {"match": {"prefix": "/direct"},
                  "direct_response": {"status": 200, "body": {"inline_string": word}}}
        proxied = {"match": {"prefix": "/"}, "route": {"cluster": cluster}}
        return {"@type": "RouteConfiguration", "name": "r", "virtual_hosts": [
            {"name": "v", "domains": ["*"], "routes": [direct, proxied]}]}

    def start_stub(self, binary):
        ready = self.home / "ready"
        process = subprocess.Popen([binary, self.folder, "--ready-file", ready],
                                   stdout=(self.home / "stub.log").open("w"), stderr=subprocess.STDOUT)
        until("the stub is ready", lambda: ready.exists() or process.poll() is not None)
        state = json.loads(ready.read_text())
        self.xds, self.control = state["xds_port"], f"http://127.0.0.1:{state['control_port']}"
        return process

    def start_envoy(self, kind, aggregated):
        address = {"socket_address": {"address": "127.0.0.1", "port_value": self.xds}}
        cluster = {"name": "xds", "connect_timeout": "1s",
                   "typed_extension_protocol_options": {HTTP2: {
                       "@type": f"type.googleapis.com/{HTTP2}",
                       "explicit_http_config": {"http2_protocol_options": {}}}},
                   "load_assignment": {"cluster_name": "xds", "endpoints": [
                       {"lb_endpoints": [{"endpoint": {"address": address}}]}]}}
        dynamic = {"cds_config": self.source, "lds_config": self.source}
        if aggregated:
            dynamic["ads_config"] = grpc(kind)
        admin = self.home / "admin"
        bootstrap = {"node": {"id": "n1", "cluster": "test"}, "dynamic_resources": dynamic,
                     "static_resources": {"clusters": [cluster]},
                     "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}}}
        (self.home / "envoy.json").write_text(json.dumps(bootstrap))
        process = subprocess.Popen([ENVOY, "-c", self.home / "envoy.json", "--concurrency", "1",
                                    "--use-dynamic-base-id", "--admin-address-path", admin],
                                   stdout=(self.home / "envoy.log").open("w"), stderr=subprocess.STDOUT)
        until("Envoy's admin port", lambda: admin.exists() and admin.read_text())
        self.admin = f"http://{admin.read_text()}"
        self.port = until("the listener", self.find_listener)
        return process

    def find_listener(self):
        listeners = json.loads(call("GET", f"{self.admin}/listeners?format=json")[1])
        for status in listeners.get("listener_statuses", []):
            return status["local_address"]["socket_address"]["port_value"]
        return None

    def get(self, path):
        return call("GET", f"http://127.0.0.1:{self.port}{path}")

    def ask(self, method, path, body=None):
        status, text = call(method, self.control + path, body)
        return status, json.loads(text)

    def wait(self, kind, status="ACKED", version="", timeout=10):
        return self.ask("POST", f"/wait?node=n1&type={kind}&status={status}&version={version}"
                                f"&timeout={timeout}")

    def stop(self):
        self.envoy.send_signal(signal.SIGTERM)
        self.envoy.wait(30)
        self.stub.send_signal(signal.SIGTERM)
        ended = self.stub.wait(30)
        self.origin.shutdown()
        self.origin.server_close()
        return ended


def serves(s):
    for kind in ("cds", "eds", "lds", "rds"):
        assert s.wait(kind)[0] == 200, kind
    until("the listener serves", lambda: s.get("/direct")[1] == "one")
    assert s.get("/x") == (200, "origin")


def follows_the_folder(s):
    seen = s.ask("GET", "/status")[1]["next_event"] - 1
    s.write("rds.json", s.routes("two"))
    status, _ = call("GET", f"{s.control}/events?kind=publish&since={seen}&timeout=10")
    assert status == 200
    assert s.wait("rds")[0] == 200
    until("the change serves", lambda: s.get("/direct")[1] == "two")


def keeps_the_last_good_set(s):
    (s.folder / "rds.json").write_text('{"@type": "RouteConfiguration", "nme": "r"}')
    status, answer = s.ask("POST", "/reload")
    assert status == 400 and "rds.json:1:" in answer["problem"], answer
    assert 'did you mean "name"?' in answer["problem"], answer
    assert s.get("/direct")[1] == "two"
    s.write("rds.json", s.routes("three"))
    assert s.ask("POST", "/reload")[0] == 200
    assert s.wait("rds")[0] == 200


def tells_a_rejection(s):
    status, put = s.ask("PUT", "/resources/rds/r", '{"name": "q"}')
    assert status == 400 and put["error"].endswith('its name is "q", not "r"'), put
    bad = {"virtual_hosts": [{"name": "v", "domains": []}]}
    status, put = s.ask("PUT", "/resources/rds/r", json.dumps(bad))
    assert status == 200
    status, answer = s.wait("rds", "NACKED", put["version"])
    assert status == 200 and "Domains" in answer["nack_reason"], answer
    assert s.wait("rds", timeout=0.1)[0] == 408
    assert s.get("/direct")[1] == "three"
    assert "resource: r\n  field:    virtual_hosts[0].domains\n" in (s.home / "stub.log").read_text()
    assert s.ask("DELETE", "/resources")[0] == 200
    assert s.wait("rds")[0] == 200


def holds_and_releases(s):
    _, rule = s.ask("POST", "/fault?type=rds&hold=true")
    s.ask("PUT", "/resources/rds/r", json.dumps(s.routes("four")))
    assert s.wait("rds", "SENT", timeout=0.2)[0] == 408
    assert s.ask("DELETE", f"/fault?id={rule['id']}")[1] == {"removed": 1}
    assert s.wait("rds")[0] == 200


def sends_the_same_twice(s):
    s.ask("POST", "/fault?type=cds&duplicate=d&times=1")
    s.ask("PUT", "/resources/cds/d", '{"type": "STATIC", "connect_timeout": "1s", "name": "d"}')
    status, answer = s.wait("cds", "NACKED")
    assert status == 200 and "duplicate" in answer["nack_reason"], answer
    s.ask("DELETE", "/resources/cds/d")
    assert s.wait("cds")[0] == 200


def ends_streams(s):
    seen = s.ask("GET", "/status")[1]["next_event"] - 1
    status, answer = s.ask("POST", "/fault", "end: {status: 14, message: go away}")
    assert status == 200 and answer["streams"] >= 1
    status, lines = call("GET", f"{s.control}/requests?since={seen}&type=cds&meaning=first&timeout=20")
    assert status == 200
    first = json.loads(lines.splitlines()[0])
    assert first["has_node"] and first["message"]["node"]["id"] == "n1", first
    assert first["response_nonce"] == "", first
    held = first.get("version_info") or first.get("initial_resource_versions")
    assert held, first


def sends_by_hand(s):
    body = {"type": "rds", "send": {"resources": [s.routes("five")]}}
    if s.delta:
        name = {"name": "r", "version": "x", "resource": s.routes("five")}
        body["send"]["resources"] = [name]
    until("the stream is back", lambda: s.ask("POST", "/fault", json.dumps(body))[1]["streams"] == 1)
    until("the response by hand serves", lambda: s.get("/direct")[1] == "five")


STEPS = [serves, follows_the_folder, keeps_the_last_good_set, tells_a_rejection, holds_and_releases,
         sends_the_same_twice, ends_streams, sends_by_hand]
SCENES = [("GRPC", True), ("DELTA_GRPC", True), ("GRPC", False), ("DELTA_GRPC", False)]


def play(binary, kind, aggregated):
    """One scene; the first step that fails ends it."""
    with tempfile.TemporaryDirectory() as home:
        s = Scene(binary, home, kind, aggregated)
        s.delta = kind.startswith("DELTA")
        try:
            for step in STEPS:
                yield step.__name__, None, step(s)
        except Exception:  # a failed step is reported with the logs
            logs = (s.home / "stub.log").read_text() + (s.home / "envoy.log").read_text()[-3000:]
            yield step.__name__, traceback.format_exc() + logs, None
        yield "the_stub_ends_with_0", None if s.stop() == 0 else "it did not", None


def main():
    number = bad = 0
    if not ENVOY.exists():
        print("1..0 # SKIP Envoy is not installed")
        return 0
    for kind, aggregated in SCENES:
        for name, problem, _ in play(sys.argv[1], kind, aggregated):
            number += 1
            bad += problem is not None
            scene = f"{kind}, {'ADS' if aggregated else 'single types'}"
            print(f"{'not ok' if problem else 'ok'} {number} - {scene}: {name}")
            if problem:
                print("".join(f"# {line}\n" for line in problem.splitlines()))
    print(f"1..{number}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
