"""The dialect of istiod and of its agent: what they do in their own way, and what a proxy must do for
its requests not to be lost there. Named after the protocol reference; Q18 is in w_secrets.py."""
import json

import pytest

from harness import Stub, Traffic, difference, direct, route, wait_for
from harness.config import cluster
from harness.stub import resource, type_url
from harness.xds import (ADS, DELTA, H2, STATE_OF_THE_WORLD, ads_bootstrap, eds_cluster, endpoints,
                         listener, names_of, rds_listener, routes, static_cluster, wanted)

KINDS = ["cds", "eds", "lds", "rds"]
FOREVER = {"initial_fetch_timeout": "0s"}
QUICK = {"retry_policy": {"retry_back_off": {"base_interval": "0.1s", "max_interval": "0.2s"}}}
BAD_ROUTES = routes({"match": {"safe_regex": {"regex": "/("}}, "direct_response": {"status": 200}})
NODE = {
    "id": "sidecar~10.1.2.3~web-7d4b-x2.shop~shop.svc.cluster.local", "cluster": "web.shop",
    "locality": {"region": "r1", "zone": "z2", "sub_zone": "s3"},
    "metadata": {"ISTIO_VERSION": "release-1.31-0123abc", "CLUSTER_ID": "Kubernetes",
                 "INSTANCE_IPS": "10.1.2.3,fe80::1", "LABELS": {"app": "web", "version": "v1"},
                 "PROXY_CONFIG": {"binaryPath": "/usr/local/bin/envoy", "concurrency": 2,
                                  "proxyMetadata": {"A": ""}, "drainDuration": "45s"},
                 "APP_CONTAINERS": "web", "GENERATOR": None, "PLATFORM_METADATA": {},
                 "list": [1, True, "x", None, {"y": []}]}}

in_delta = pytest.mark.parametrize("dialect", [DELTA], indirect=True)
in_the_world = pytest.mark.parametrize("dialect", [STATE_OF_THE_WORLD], indirect=True)


def agents(control, api_type=DELTA, node=None, **fields):
    """A bootstrap as the agent writes it: delta, the node once a stream, no limit of waiting."""
    made = ads_bootstrap(control, api_type=api_type, cds_fields=FOREVER, lds_fields=FOREVER,
                         grpc=fields.pop("grpc", QUICK), **fields)
    made["dynamic_resources"]["ads_config"]["set_node_on_first_message_only"] = True
    if node:
        made["node"] = node
        control.node = node["id"]
    return made


def waiting_cluster(name):
    return eds_cluster(name, eds_fields=FOREVER)


def small_world(origin):
    return [rds_listener(), routes(route("/", "one")), waiting_cluster("one"), endpoints("one", origin)]


@pytest.fixture
def world(stub, start, origin, dialect):
    """One resource of each type, accepted."""
    control = stub(*small_world(origin))
    proxy = start(agents(control, dialect))
    for kind in KINDS:
        control.wait(kind)
    return control, proxy


def changes(request):
    return {"resource_names_subscribe": request.get("resource_names_subscribe", []),
            "resource_names_unsubscribe": request.get("resource_names_unsubscribe", [])}


def changes_nothing(request):
    return not any(changes(request).values())


def test_Q01_delta_by_default_and_the_state_of_the_world_still(world, dialect):
    control, proxy = world
    assert proxy.get("/").text == "origin"
    method = "DeltaAggregatedResources" if dialect == DELTA else "StreamAggregatedResources"
    assert [e["method"].rpartition("/")[2] for e in control.events(event="open")] == [method]


def test_Q02_the_node_goes_out_as_the_bootstrap_has_it(stub, start, origin, dialect):
    """istiod ends a stream without an id of its form; metadata is read back by it, so all of it
    arrives, word by word, and once a stream."""
    control = stub(*small_world(origin))
    proxy = start(agents(control, dialect, NODE))
    assert proxy.get("/").text == "origin"
    lines = [json.loads(line) for line in control.ask("/requests").text.splitlines()]
    told = lines[0]["message"]["node"]
    assert {name: told[name] for name in NODE} == NODE
    assert {line["message"].get("node", {}).get("id") for line in lines[1:]} <= {None}


def test_Q03_a_nack_changes_no_subscription(world, dialect):
    """istiod reads a NACK before anything else in it, and drops what else it says."""
    control, proxy = world
    control.fault(freeze=True)
    control.put(BAD_ROUTES, rds_listener(), rds_listener("second", "more"),
                routes(direct(200, "more"), name="more"))
    control.fault(freeze=False)
    wait_for(lambda: any("more" in (names_of(r) or []) for r in control.requests("rds")),
             what="the second routes to be asked for")
    refusals = wait_for(lambda: [r for r in control.requests("rds") if r.get("error_detail")],
                        what="a NACK")
    for request in refusals:
        before = [r for r in control.requests("rds") if r["seq"] < request["seq"]]
        assert (changes_nothing(request) if dialect == DELTA
                else sorted(names_of(request)) == sorted(names_of(before[-1]))), request
    wait_for(lambda: proxy.get("/", name="second").text == "more", what="the second listener")
    assert proxy.get("/").text == "origin"


@in_delta
def test_Q04_names_change_in_messages_of_their_own(stub, start, origin, dialect):
    """By delta istiod drops a request with an old nonce as a whole, its names too; one without a
    nonce is never old."""
    control = stub(*small_world(origin))
    proxy = start(agents(control, dialect))
    for kind in KINDS:
        control.wait(kind)
    control.fault(type="eds", delay_ms=100)
    for number in range(5):
        control.change(put=[waiting_cluster(f"new{number}"), endpoints(f"new{number}", origin),
                            endpoints("one", *[origin] * (number + 1))],
                       remove=[("cds", f"new{number - 1}")] if number else [])
        control.wait("cds")
    wait_for(lambda: "new4" in str(control.status("eds")), what="the last endpoints")
    for request in control.requests():
        if request.get("response_nonce"):
            assert changes_nothing(request), request
    assert "stale" not in {r["meaning"] for r in control.requests()}
    assert proxy.get("/").text == "origin"


@in_delta
def test_Q05_each_request_has_one_purpose(stub, start, origin, dialect):
    """istiod logs an error for a request that says nothing, and for an ACK that says more."""
    control = stub(*small_world(origin))
    proxy = start(agents(control, dialect))
    for kind in KINDS:
        control.wait(kind)
    control.change(put=[waiting_cluster("two"), endpoints("two", origin), rds_listener(routes="more"),
                        routes(route("/", "two"), name="more")], remove=[("cds", "one")])
    wait_for(lambda: "one" in [n for r in control.requests("eds")
                               for n in r.get("resource_names_unsubscribe", [])], what="one to go")
    control.end_streams()
    wait_for(lambda: len(control.events(event="open")) == 2, what="a new stream")
    wait_for(lambda: {r["type"] for r in control.requests() if r["stream"] == 2}
             >= {type_url(kind) for kind in KINDS}, what="all types again")
    wait_for(lambda: proxy.get("/").text == "origin", what="the new cluster")
    for request in control.requests():
        if request["meaning"] in ("ack", "nack"):
            assert changes_nothing(request), request
        elif request["meaning"] != "first":
            assert not changes_nothing(request), request


@in_the_world
def test_Q06_an_ack_carries_all_names(stub, start, origin, origins, dialect):
    """In the state of the world istiod passes over a request whose nonce is old; its names are lost
    unless the next ACK has them."""
    two, three = origins("two", "three")
    control = stub(*small_world(origin))
    proxy = start(agents(control, dialect))
    for kind in KINDS:
        control.wait(kind)
    control.fault(type="eds", delay_ms=200)
    control.put(endpoints("one", two))
    control.put(waiting_cluster("three"), endpoints("three", three))
    wait_for(lambda: proxy.stat("cluster_manager.active_clusters") == 3, what="the new cluster")
    wait_for(lambda: sorted(names_of([r for r in control.requests("eds")
                                      if r["meaning"] == "ack"][-1])) == ["one", "three"],
             what="an ACK with both")
    control.put(routes(route("/three", "three"), route("/", "one")))
    wait_for(lambda: proxy.get("/three").text == "three", what="the new cluster to serve")
    assert proxy.get("/").text == "two"


@in_delta
def test_Q07_resources_without_a_version_are_told_by_their_names(stub, start, origin, dialect):
    """istiod sends none; it reads what is held off the keys, and takes away what is gone."""
    control = stub(waiting_cluster("one"), waiting_cluster("gone"), endpoints("one", origin),
                   endpoints("gone", origin), rds_listener(), routes(route("/", "one")))
    proxy = start(agents(control, dialect))
    for kind in KINDS:
        control.wait(kind)
    for kind, made in {"cds": {"one": waiting_cluster("one"), "gone": waiting_cluster("gone")},
                       "eds": {"one": endpoints("one", origin), "gone": endpoints("gone", origin)},
                       "lds": {"ingress": rds_listener()},
                       "rds": {"routes": routes(route("/", "one"))}}.items():
        control.send(kind, resources=[{"name": name, "resource": one} for name, one in made.items()])
        control.wait(kind)
    counts = {kind: len(control.requests(kind)) for kind in KINDS}
    control.fault(type="cds", hold=True)
    control.end_streams()
    held = {}
    for kind in KINDS:
        first = control.wait_requests(kind, counts[kind] + 1, 20)[counts[kind]]
        held[kind] = first.get("initial_resource_versions")
    assert held == {"cds": {"one": "", "gone": ""}, "eds": {"one": "", "gone": ""},
                    "lds": {"ingress": ""}, "rds": {"routes": ""}}
    control.send("cds", removed_resources=["gone"], resources=[])
    wait_for(lambda: proxy.stat("cluster_manager.active_clusters") == 2, what="the cluster to go")
    assert proxy.get("/").text == "origin"


@in_the_world
def test_Q08_an_answer_may_hold_the_new_names_alone(stub, start, origin, origins, dialect):
    """Also in the state of the world: what it leaves out stays."""
    two, = origins("two")
    control = stub(*small_world(origin))
    proxy = start(agents(control, dialect))
    for kind in KINDS:
        control.wait(kind)
    control.fault(type="eds", omit=["one"])
    control.fault(type="rds", omit=["routes"])
    control.put(waiting_cluster("two"), endpoints("two", two), rds_listener("second", "more"),
                routes(route("/", "two"), name="more"))
    wait_for(lambda: "second" in [one["name"] for one in proxy.listeners()], what="the new listener")
    wait_for(lambda: proxy.get("/", name="second").text == "two", what="the new names")
    assert proxy.get("/").text == "origin"


def test_Q09_what_istiod_does_not_know_comes_empty(stub, start, origin, dialect):
    """An empty configuration of that name is an answer: 404, 503, and nothing waits."""
    control = stub(
        rds_listener(), resource("rds", {"name": "routes"}), waiting_cluster("one"),
        resource("eds", {"cluster_name": "one"}), listener("second", routes=[route("/", "one")]))
    proxy = start(agents(control, dialect))
    assert proxy.get("/").status == 404
    answer = proxy.get("/", name="second")
    assert answer.status == 503 and answer.text == "no healthy upstream"
    control.put(routes(direct(200, "known")), endpoints("one", origin))
    wait_for(lambda: proxy.get("/").text == "known", what="the routes")
    wait_for(lambda: proxy.get("/", name="second").text == "origin", what="the endpoints")


def discovering(*names):
    """A listener with filters whose configuration comes apart."""
    types = ["envoy.extensions.filters.http.router.v3.Router",
             "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig"]
    return [{"name": name, "config_discovery": {
        "config_source": {**ADS, **FOREVER},
        "type_urls": [f"type.googleapis.com/{name}" for name in types]}} for name in names]


def extension(name, kind, **config):
    url = f"type.googleapis.com/envoy.extensions.filters.http.{kind}"
    return resource("ecds", {"name": name, "typed_config": {"@type": url, **config}})


def test_Q10_a_filter_goes_with_its_listener(stub, start, dialect):
    """istiod never says that one is gone: who no longer names it, no longer asks for it."""
    small = extension("limit", "grpc_stats.v3.FilterConfig")
    control = stub(listener(routes=[direct(200, "v1")], filters=[
        *discovering("limit", "router")]), small, extension("router", "router.v3.Router"))
    proxy = start(agents(control, dialect), args=["--drain-time-s", "1"])
    assert proxy.get("/").text == "v1"
    control.put(listener(routes=[direct(200, "v2")], filters=discovering("router")))
    wait_for(lambda: proxy.get("/").text == "v2", what="the listener without it")
    wait_for(lambda: wanted(control, "ecds") == ["router"], what="its subscription to end")
    control.put(listener(routes=[direct(200, "v3")], filters=discovering("limit", "router")))
    wait_for(lambda: proxy.get("/").text == "v3", what="the listener with it again")


def test_Q11_clusters_that_come_again_keep_their_endpoints(world, tell):
    """On a new stream istiod sends all clusters, and the endpoints some time later."""
    control, proxy = world
    with Traffic(proxy.port(), expect=["origin"]) as traffic:
        control.fault(type="eds", hold=True)
        control.end_streams()
        wait_for(lambda: [r for r in control.requests("eds") if r["stream"] == 2], 20, "a new stream")
        tell(control, "cds", "again", waiting_cluster("one"))
        control.wait("cds")
        traffic.go_on(50)
        control.clear_faults()
        wait_for(lambda: control.status("eds").get("status") == "ACKED", what="the endpoints")
        traffic.go_on()


def test_Q12_a_push_in_istiods_order(stub, start, origin, dialect, tell):
    """Clusters, endpoints, listeners, routes, secrets, and types that no proxy asks for."""
    control = stub()
    proxy = start(agents(control, dialect), ready=False)
    made = {"cds": waiting_cluster("one"), "eds": endpoints("one", origin), "lds": rds_listener(),
            "rds": routes(route("/", "one"))}
    for kind, one in made.items():
        control.wait_requests(kind, 1)
        tell(control, kind, "1", one)
    url = "type.googleapis.com/istio.workload.v1.Address"
    control.fault(type=type_url("cds"), send={"type_url": url, "nonce": "w", "resources": []})
    wait_for(lambda: proxy.admin("/ready").status == 200, what="the proxy to be live")
    wait_for(lambda: proxy.get("/").text == "origin", what="the routes")    # by delta live without
    assert not [r for r in control.requests() if r["type"] == url]
    assert len(control.events(event="open")) == 1


@pytest.mark.parametrize("missing", ["cds", "eds", "lds", "rds"])
def test_Q13_without_a_limit_all_is_waited_for(stub, start, origin, dialect, missing):
    """An initial_fetch_timeout of 0: nothing is served from half a world."""
    control = stub(*small_world(origin))
    control.fault(type=missing, hold=True)
    proxy = start(agents(control, dialect), ready=False)
    control.wait_requests(missing, 1)
    wait_for(lambda: proxy.json("/server_info")["state"]
             == ("PRE_INITIALIZING" if missing in ("cds", "eds") else "INITIALIZING"), what="the stage")
    assert proxy.admin("/ready").status == 503
    control.clear_faults()
    wait_for(lambda: proxy.admin("/ready").status == 200, what="the proxy to be live")
    assert proxy.get("/").text == "origin"


@in_delta
def test_Q14_an_agent_on_a_path_is_spoken_to_on_one_stream(stub, start, closing, origin, tmp_path,
                                                            dialect):
    """The path is relative; a second stream would close the first. The socket comes late."""
    config = agents(stub(), dialect, NODE)
    own = [c for c in config["static_resources"]["clusters"] if c["name"] == "xds"]
    own[0].update(cluster("xds", {"pipe": {"path": "./XDS"}}, http=H2))
    proxy = start(config, ready=False)
    control = closing(Stub(tmp_path / "agent", small_world(origin),
                           args=["--listen", f"unix:{proxy.folder}/XDS"]))
    control.node = NODE["id"]
    control.start()
    wait_for(lambda: proxy.admin("/ready").status == 200, bound=30, what="the agent's word")
    with Traffic(proxy.port(), expect=["origin"]) as traffic:
        for number in (2, 3):
            control.end_streams()
            wait_for(lambda n=number: len(control.events(event="open")) == n, bound=30,
                     what="a new stream")
            wait_for(lambda: control.status("rds").get("status") == "ACKED", what="all again")
        traffic.go_on()
    events = control.events(event="open") + control.events(event="close")
    kinds = [e["kind"] for e in sorted(events, key=lambda e: e["seq"])]
    assert kinds == ["open", "close", "open", "close", "open"]
    assert {r["type"] for r in control.requests()} == {type_url(kind) for kind in KINDS}


def test_Q15_listeners_are_asked_for_in_an_empty_world(stub, start, dialect):
    """The agent begins its own subscriptions when it sees that request."""
    control = stub()
    start(agents(control, dialect), ready=False)
    first, = control.wait_requests("lds", 1)[:1]
    assert first["meaning"] == "first" and names_of(first) in ([], ["*"], None)


def test_Q16_a_stream_that_ends_now_and_then_is_not_noticed(stub, start, origin, dialect):
    """istiod ends each connection after half an hour."""
    control = stub(*small_world(origin), args=["--goaway-ms", "300"])
    proxy = start(agents(control, dialect))
    with Traffic(proxy.port(), expect=["origin"]) as traffic:
        wait_for(lambda: len(control.events(event="open")) >= 4, bound=30, what="three new streams")
        traffic.go_on()
    assert proxy.stat("listener_manager.listener_modified") == 0
    assert proxy.stat("cluster_manager.cluster_modified") == 0
    assert proxy.stat("cluster_manager.warming_clusters") == 0


@difference("A listener whose filter nobody can run is refused by the name of what it asks for.",
            envoy="runs Wasm, and answers 500 when the code is refused",
            xylem="has no Wasm, and refuses the listener")
def test_Q17_a_filter_of_wasm_in_a_file(stub, start, tmp_path, dialect, kind):
    """The agent fetches code and names the file; one that cannot be had it refuses by itself."""
    url = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"
    (tmp_path / "code.wasm").write_bytes(b"no module")
    wasm = resource("ecds", {"name": "plugin", "typed_config": {"@type": url, "config": {
        "fail_open": False, "vm_config": {"runtime": "envoy.wasm.runtime.v8", "code": {
            "local": {"filename": f"{tmp_path}/code.wasm"}}}}}})
    plugin, router = discovering("plugin", "router")
    plugin["config_discovery"]["type_urls"] = [url]
    control = stub(listener("first", routes=[direct(200, "v1")], filters=[plugin, router]),
                   listener("second", routes=[direct(200, "v1")], filters=[router]),
                   wasm, extension("router", "router.v3.Router"))
    proxy = start(agents(control, dialect), ready=False)
    refused = "lds" if kind == "xylem" else "ecds"
    told = wait_for(lambda: [r["error_detail"] for r in control.requests(refused)
                             if r.get("error_detail")], what="a NACK")
    assert url.rpartition("/")[2] in str(told) or kind == "envoy", told
    wait_for(lambda: proxy.admin("/ready").status == 200, what="the proxy to be live")
    assert proxy.get("/", name="second").text == "v1"
    if kind == "envoy":
        assert proxy.get("/", name="first").status == 500
    else:
        assert [one["name"] for one in proxy.listeners()] == ["second"]


def test_Q19_a_response_of_more_than_four_mebibytes(stub, start, origin, dialect):
    """gRPC's own limit does not hold on the control channel."""
    control = stub(*small_world(origin))
    proxy = start(agents(control, dialect))
    for kind in KINDS:
        control.wait(kind)
    body = "x" * 4000
    many = [route(f"/{n}/{body}", "one") for n in range(1500)]
    control.put(routes(*many, direct(200, "six MiB")))
    assert control.wait("rds")["status"] == "ACKED"
    wait_for(lambda: proxy.get("/").text == "six MiB", what="the large table")
