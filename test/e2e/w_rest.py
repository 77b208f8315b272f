"""Configuration that is polled over HTTP: rule O04."""
import http.server
import json
import threading

import pytest

from harness import bootstrap, cluster, difference, direct, route, wait_for
from harness.config import load_assignment
from harness.stub import type_url
from harness.xds import listener, rds_listener, routes, static_cluster
from w_srds import front, scope, table

PATHS = {"/v3/discovery:clusters": "cds", "/v3/discovery:listeners": "lds",
         "/v3/discovery:routes": "rds", "/v3/discovery:endpoints": "eds",
         "/v3/discovery:scoped-routes": "srds"}


class RestServer:
    """A control plane that is polled: what it serves by type, and what it was asked."""

    def __init__(self):
        self.served = {kind: [] for kind in PATHS.values()}
        self.version = "v1"
        self.versions = {}      # by type, where it is another one
        self.asked = []
        self.status = 200
        self.body = None
        self.may_be_unmodified = False
        self.hold = threading.Event()
        self.hold.set()
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                server.asked.append((PATHS[self.path], body, dict(self.headers)))
                server.hold.wait(10)
                self.answer(*server.reply(PATHS[self.path], body))

            def answer(self, status, body):
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.http.server_address[1]
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()

    def reply(self, kind, asked):
        if self.status != 200 or self.body is not None:
            return self.status, self.body or b""
        version = self.versions.get(kind, self.version)
        if self.may_be_unmodified and asked.get("version_info") == version:
            return 304, b""
        names = asked.get("resource_names") if kind == "eds" else None
        served = [one for one in self.served[kind] if not names or one["cluster_name"] in names]
        return 200, json.dumps({"version_info": version, "type_url": type_url(kind),
                                "resources": served}).encode()

    def serve(self, version, **served):
        self.served.update(served)
        self.version = version

    def of(self, kind):
        return [body for asked, body, _ in self.asked if asked == kind]

    def wait_polls(self, kind, more=2):
        target = len(self.of(kind)) + more
        wait_for(lambda: len(self.of(kind)) >= target, what=f"{more} polls of {kind}")

    def close(self):
        self.hold.set()
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server(closing):
    return closing(RestServer())


def rest(**fields):
    return {"resource_api_version": "V3", "api_config_source": {
        "api_type": "REST", "transport_api_version": "V3", "cluster_names": ["rest"],
        "refresh_delay": "0.1s", "request_timeout": "1s", **fields}}


def config(server, **fields):
    return bootstrap([], [cluster("rest", server.port)],
                     node={"id": "test", "cluster": "e2e"},
                     dynamic_resources={"cds_config": rest(**fields), "lds_config": rest(**fields)})


def test_O04_listeners_and_clusters_are_polled(server, start, origin):
    server.serve("v1", cds=[static_cluster("one", origin)], lds=[listener(routes=[route("/", "one")])])
    proxy = start(config(server))
    assert proxy.get("/").text == "origin"
    kind, body, headers = server.asked[0]
    assert kind == "cds" and body["type_url"] == type_url("cds")
    assert body["node"]["id"] == "test" and not body.get("version_info")
    assert not body.get("resource_names")
    lower = {name.lower(): value for name, value in headers.items()}
    assert lower["content-type"] == "application/json" and lower["host"] == "rest"
    server.wait_polls("cds")
    assert server.of("cds")[-1]["version_info"] == "v1"
    server.serve("v2", lds=[listener(routes=[direct(200, "changed")])], cds=[])
    wait_for(lambda: proxy.get("/").text == "changed", what="the change")
    wait_for(lambda: proxy.stat("cluster_manager.active_clusters") == 1, what="the cluster to go")
    assert proxy.stat("cluster_manager.cds.update_success") >= 2


def test_O04_routes_and_endpoints_are_asked_for_by_name(server, start, origins):
    one, two = origins("one", "two")
    made = {"@type": type_url("cds"), "name": "web", "type": "EDS",
            "eds_cluster_config": {"eds_config": rest()}}

    def endpoints(origin):
        return {"@type": type_url("eds"), "cluster_name": "web", "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": {"socket_address": {
                "address": "127.0.0.1", "port_value": origin.port}}}}]}]}

    served = rds_listener()
    manager = served["filter_chains"][0]["filters"][0]["typed_config"]
    manager["rds"]["config_source"] = rest()
    server.serve("v1", cds=[made], eds=[endpoints(one)], lds=[served],
                 rds=[routes(route("/", "web"))])
    proxy = start(config(server))
    wait_for(lambda: proxy.get("/").text == "one", what="the first endpoints")
    assert server.of("eds")[0]["resource_names"] == ["web"]
    assert server.of("rds")[0]["resource_names"] == ["routes"]
    server.serve("v2", eds=[endpoints(two)])
    wait_for(lambda: proxy.get("/").text == "two", what="the new endpoints")


def test_O04_a_new_name_at_a_version_that_is_held(server, start, origins):
    """A server that answers 304 to who holds its version: the endpoints of a cluster that comes
    later are told all the same."""
    one, two = origins("one", "two")
    made = [{"@type": type_url("cds"), "name": name, "type": "EDS",
             "eds_cluster_config": {"eds_config": rest()}} for name in ("one", "two")]
    ends = [{"@type": type_url("eds"), **load_assignment(o.name, o)} for o in (one, two)]
    server.may_be_unmodified = True
    served = rds_listener()
    manager = served["filter_chains"][0]["filters"][0]["typed_config"]
    manager["rds"]["config_source"] = rest()
    server.serve("v1", cds=made[:1], eds=ends, lds=[served],
                 rds=[routes(route("/two", "two"), route("/", "one"))])
    proxy = start(config(server))
    wait_for(lambda: proxy.get("/").text == "one", what="the first endpoints")
    server.wait_polls("eds")
    server.versions["cds"] = "v2"
    server.served["cds"] = made
    wait_for(lambda: proxy.get("/two").text == "two", what="the endpoints of the second")


def test_O09_scopes_are_polled(server, start):
    server.serve("v1", lds=[front(source=rest(), rds_source=rest())],
                 srds=[scope("one", "a", "r1")], rds=[table("r1")])
    proxy = start(config(server))
    wait_for(lambda: proxy.get("/", headers={"x-scope": "vip=a"}).text == "r1", what="the scope")
    assert not server.of("srds")[0].get("resource_names")
    assert server.of("rds")[0]["resource_names"] == ["r1"]
    server.serve("v2", srds=[scope("one", "b", "r1")])
    wait_for(lambda: proxy.get("/", headers={"x-scope": "vip=b"}).text == "r1", what="the change")


@difference("A server is asked once a type, however many clusters there are, and each request costs it "
            "and us the same.",
            envoy="polls for the endpoints of each cluster by themselves",
            xylem="asks for all of a source in one request")
def test_O04_endpoints_of_many_clusters(server, start, kind):
    made = [{"@type": type_url("cds"), "name": name, "type": "EDS",
             "eds_cluster_config": {"eds_config": rest()}} for name in ("a", "b")]
    server.serve("v1", cds=made, eds=[])
    start(config(server), ready=False)
    asked = {"envoy": [["a"], ["b"]], "xylem": [["a", "b"]]}[kind]
    for names in asked:
        wait_for(lambda n=names: n in [sorted(body["resource_names"]) for body in server.of("eds")],
                 what=f"a poll for {names}")


@pytest.mark.parametrize("status,body", [(304, None), (500, b"{}"), (200, b"{nonsense"),
                                         (200, b""),
                                         (200, b'{"resources": [{"@type": "no/such"}]}')])
def test_O04_a_poll_that_brings_nothing_changes_nothing(server, start, status, body):
    server.serve("v1", lds=[listener(routes=[direct(200, "kept")])])
    proxy = start(config(server))
    assert proxy.get("/").text == "kept"
    server.status, server.body = status, body
    server.wait_polls("lds")
    assert proxy.get("/").text == "kept"
    counts = proxy.stats("listener_manager.lds")
    failed = counts.get("listener_manager.lds.update_failure")
    rejected = counts.get("listener_manager.lds.update_rejected")
    assert (failed > 0) == (status == 500) and (rejected > 0) == (body not in (None, b"{}"))
    server.status, server.body = 200, None
    server.serve("v2", lds=[listener(routes=[direct(200, "back")])])
    wait_for(lambda: proxy.get("/").text == "back", what="the next good answer")


def test_O04_one_request_at_a_time_that_ends_in_time(server, start):
    server.serve("v1", lds=[listener(routes=[direct(200, "kept")])])
    proxy = start(config(server, request_timeout="0.3s"))
    assert proxy.get("/").text == "kept"
    server.hold.clear()
    before = len(server.asked)
    wait_for(lambda: proxy.stat("listener_manager.lds.update_failure") >= 2, what="timeouts")
    assert proxy.get("/").text == "kept"
    assert len(server.asked) - before <= 2 * (proxy.stat("listener_manager.lds.update_attempt") + 2)
    server.hold.set()


def test_O04_the_server_may_come_later(server, start, closing):
    server.hold.clear()
    server.serve("v1", lds=[listener(routes=[direct(200, "late")])])
    proxy = start(config(server, request_timeout="0.2s"), ready=False)
    wait_for(lambda: proxy.stat("cluster_manager.cds.update_failure") >= 1, what="a failure")
    assert proxy.admin("/ready").status == 503
    server.hold.set()
    wait_for(lambda: proxy.get("/").text == "late", what="the listener")


@pytest.mark.parametrize("fields,words", [
    ({"refresh_delay": None}, "refresh_delay is required for REST"),
    ({"cluster_names": ["a", "b"]}, "cluster"), ({"cluster_names": ["nosuch"]}, "nosuch")])
def test_O04_what_a_source_must_say(server, start, fields, words):
    source = config(server)
    api = source["dynamic_resources"]["cds_config"]["api_config_source"]
    api.update(fields)
    for name in [name for name, value in api.items() if value is None]:
        del api[name]
    with pytest.raises(RuntimeError, match=words):
        start(source)


def test_O04_the_stub_can_be_polled(stub, start, origin):
    control = stub(static_cluster("one", origin), listener(routes=[route("/", "one")]))
    source = bootstrap([], [cluster("rest", control.control_port)],
                       node={"id": "test", "cluster": "e2e"},
                       dynamic_resources={"cds_config": rest(), "lds_config": rest()})
    proxy = start(source)
    assert proxy.get("/").text == "origin"
    control.put(listener(routes=[direct(200, "changed")]))
    wait_for(lambda: proxy.get("/").text == "changed", what="the change")
    polls = control.events("lds", "poll")
    assert polls[0]["version_info"] == "" and polls[-1]["version_info"]
