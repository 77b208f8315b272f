"""CSDS on the admin listener: what the proxy holds of each resource, over gRPC and as JSON."""
import json
import queue

import grpc
import pytest
from envoy.admin.v3 import config_dump_shared_pb2 as shared
from envoy.config.cluster.v3 import cluster_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
import envoy.config.bootstrap.v3.bootstrap_pb2  # noqa: F401  (the types that are resolved)
import envoy.extensions.filters.http.router.v3.router_pb2  # noqa: F401
import envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2  # noqa: F401,E501
import envoy.extensions.upstreams.http.v3.http_protocol_options_pb2  # noqa: F401
from envoy.service.status.v3 import csds_pb2, csds_pb2_grpc
from google.protobuf import json_format

from harness import bootstrap, certs, cluster, difference, direct, http_listener, route, wait_for
from harness.stub import resource
from harness.xds import ads_bootstrap, eds_cluster, endpoints, rds_listener, routes

PATH = "/v3/discovery:client_status"
XYLEM = pytest.mark.only("xylem", "Envoy has no CSDS")
ACKED, NACKED, REQUESTED, UNKNOWN, ABSENT = (
    shared.ACKED, shared.NACKED, shared.REQUESTED, shared.UNKNOWN, shared.DOES_NOT_EXIST)


@pytest.fixture
def service(closing):
    """service(proxy): a stub of the service on the admin listener."""
    def make(proxy, **options):
        host, port = proxy.admin_target
        channel = closing(grpc.insecure_channel(f"{host}:{port}", options=[
            ("grpc.max_receive_message_length", -1)]))
        return csds_pb2_grpc.ClientStatusDiscoveryServiceStub(channel)
    return make


def by_name(config):
    return {(c.type_url.rpartition(".")[2], c.name): c for c in config.generic_xds_configs}


def fetch(stub, **request):
    return stub.FetchClientStatus(csds_pb2.ClientStatusRequest(**request), timeout=10)


def ask(proxy, request=None):
    answer = proxy.admin(PATH, "POST", body=b"" if request is None else json.dumps(request).encode(),
                         headers=[("content-type", "application/json")])
    return answer


@difference("A client's view of its resources is asked of the client: CSDS of Envoy's API, which gRPC's "
            "clients serve, too.",
            envoy="has no such service", xylem="serves it on the admin listener, over gRPC and JSON")
def test_who_serves_it(start, service, kind):
    proxy = start(bootstrap([http_listener(routes=[direct(200)])], node={"id": "n"}))
    if kind == "envoy":
        assert ask(proxy).status == 404
        return
    assert ask(proxy).status == 200
    config, = fetch(service(proxy)).config
    assert config.node.id == "n"


@XYLEM
def test_static_resources(start, service, origin):
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")])], [cluster("one", origin)],
                            node={"id": "n", "metadata": {"k": "v"}}))
    config, = fetch(service(proxy)).config
    assert config.node.metadata["k"] == "v"
    made = by_name(config)
    assert set(made) == {("Cluster", "one"), ("Listener", "ingress")}
    one = made["Cluster", "one"]
    assert one.type_url == "type.googleapis.com/envoy.config.cluster.v3.Cluster"
    assert one.is_static_resource and one.client_status == UNKNOWN
    assert one.last_updated.seconds > 1700000000
    echoed = cluster_pb2.Cluster()
    assert one.xds_config.Unpack(echoed)
    assert echoed.name == "one"


def world(stub, origin):
    return stub(
        resource("cds", cluster("good", origin)), eds_cluster("by-eds"),
        endpoints("by-eds", origin), rds_listener(), routes(route("/", "good")))


@XYLEM
def test_O10_what_is_held(start, service, stub, origin, ads_bootstrap):
    control = world(stub, origin)
    proxy = start(ads_bootstrap(control))
    wait_for(lambda: proxy.get("/").status == 200, what="the world")
    csds = service(proxy)
    made = by_name(fetch(csds).config[0])
    for key in (("Cluster", "good"), ("Cluster", "by-eds"), ("ClusterLoadAssignment", "by-eds"),
                ("Listener", "ingress"), ("RouteConfiguration", "routes")):
        assert made[key].client_status == ACKED, key
        assert made[key].version_info, key
        assert made[key].xds_config.value, key
        assert not made[key].is_static_resource
        assert not made[key].HasField("error_state"), key


@XYLEM
def test_O10_what_was_refused(start, service, stub, origin, ads_bootstrap):
    control = world(stub, origin)
    proxy = start(ads_bootstrap(control))
    wait_for(lambda: proxy.get("/").status == 200, what="the world")
    before = by_name(fetch(service(proxy)).config[0])["Cluster", "good"]
    control.put(resource("cds", cluster("good", origin, lb_policy="MAGLEV",
                                            lb_subset_config={"fallback_policy": 99})),
                resource("cds", cluster("never", origin, type="EDS")))

    def refused():
        made = by_name(fetch(service(proxy)).config[0])
        return made if made["Cluster", "good"].client_status == NACKED else None
    made = wait_for(refused, what="NACKED")
    good = made["Cluster", "good"]
    assert good.version_info == before.version_info
    assert good.xds_config == before.xds_config
    error = good.error_state
    assert "fallback_policy" in error.details or "lb_" in error.details
    assert error.version_info != before.version_info
    assert error.last_update_attempt.seconds > 1700000000
    failed = cluster_pb2.Cluster()
    assert error.failed_configuration.Unpack(failed) and failed.name == "good"
    assert good.client_status == NACKED


@XYLEM
def test_O10_what_is_awaited(start, service, stub, origin, ads_bootstrap):
    control = stub(resource("cds", cluster("good", origin)), rds_listener())
    proxy = start(ads_bootstrap(control), ready=False)
    csds = service(proxy)

    def awaited():
        return by_name(fetch(csds).config[0]).get(("RouteConfiguration", "routes"))
    made = wait_for(awaited, what="the routes to be asked for")
    assert made.client_status in (REQUESTED, ABSENT)
    assert not made.HasField("xds_config") and not made.HasField("last_updated")
    control.put(routes(direct(200)))
    wait_for(lambda: awaited().client_status == ACKED, what="ACKED")


@XYLEM
def test_a_stream(start, service, stub, origin):
    control = stub(resource("cds", cluster("good", origin)))
    proxy = start(ads_bootstrap(control))
    requests = queue.Queue()
    answers = service(proxy).StreamClientStatus(iter(requests.get, None), timeout=20)
    requests.put(csds_pb2.ClientStatusRequest())
    assert ("Cluster", "good") in by_name(next(answers).config[0])
    control.put(resource("cds", cluster("more", origin)))

    def seen():
        requests.put(csds_pb2.ClientStatusRequest())
        return ("Cluster", "more") in by_name(next(answers).config[0])
    wait_for(seen, what="the new cluster")
    for _ in range(3):
        requests.put(csds_pb2.ClientStatusRequest(exclude_resource_contents=True))
    for _ in range(3):
        assert not any(c.HasField("xds_config") for c in next(answers).config[0].generic_xds_configs)
    requests.put(None)
    assert list(answers) == []
    assert answers.code() == grpc.StatusCode.OK


MATCHERS = [
    ([], True),
    ([{"node_id": {"exact": "n1"}}], True),
    ([{"node_id": {"exact": "n2"}}], False),
    ([{"node_id": {"exact": "n2"}}, {"node_id": {"prefix": "n"}}], True),
    ([{"node_id": {"safe_regex": {"regex": "n[0-9]"}}}], True),
    ([{"node_metadatas": [{"path": [{"key": "a"}, {"key": "b"}],
                           "value": {"string_match": {"exact": "c"}}}]}], True),
    ([{"node_metadatas": [{"path": [{"key": "a"}, {"key": "x"}],
                           "value": {"string_match": {"exact": "c"}}}]}], False),
    ([{"node_metadatas": [{"path": [{"key": "n"}], "value": {
        "double_match": {"range": {"start": 1, "end": 2}}}}]}], True),
    ([{"node_metadatas": [{"path": [{"key": "n"}], "value": {"double_match": {"exact": 2}}}]}], False),
    ([{"node_metadatas": [{"path": [{"key": "t"}], "value": {"bool_match": True}}]}], True),
    ([{"node_metadatas": [{"path": [{"key": "none"}], "value": {"present_match": True}}]}], False),
    ([{"node_metadatas": [{"path": [{"key": "l"}], "value": {
        "list_match": {"one_of": {"string_match": {"suffix": "y"}}}}}]}], True),
    ([{"node_metadatas": [{"path": [{"key": "z"}], "value": {"null_match": {}}}]}], True),
    ([{"node_metadatas": [{"path": [{"key": "n"}], "value": {"or_match": {"value_matchers": [
        {"null_match": {}}, {"double_match": {"exact": 1}}]}}}]}], True),
    ([{"node_id": {"exact": "n1"}, "node_metadatas": [
        {"path": [{"key": "t"}], "value": {"bool_match": False}}]}], False),
]


@XYLEM
def test_node_matchers(start, service):
    proxy = start(bootstrap([http_listener(routes=[direct(200)])], node={
        "id": "n1", "metadata": {"a": {"b": "c"}, "n": 1, "t": True, "l": ["x", "xy"], "z": None}}))
    csds = service(proxy)
    for matchers, matches in MATCHERS:
        request = json_format.ParseDict({"node_matchers": matchers}, csds_pb2.ClientStatusRequest())
        assert bool(csds.FetchClientStatus(request, timeout=10).config) == matches, matchers
        assert bool(json.loads(ask(proxy, {"node_matchers": matchers}).body)) == matches, matchers


@XYLEM
def test_refused_questions(start, service):
    proxy = start(bootstrap([http_listener(routes=[direct(200)])], node={"id": "n"}))
    csds = service(proxy)
    for matchers, text in [([{"node_metadatas": [{"value": {"bool_match": True}}]}],
                            "node_matchers[0].node_metadatas[0].path: is required"),
                           ([{"node_id": {"safe_regex": {"regex": "("}}}], "node_matchers[0].node_id.")]:
        request = json_format.ParseDict({"node_matchers": matchers}, csds_pb2.ClientStatusRequest())
        with pytest.raises(grpc.RpcError) as error:
            csds.FetchClientStatus(request, timeout=10)
        assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert text in error.value.details()
        answer = ask(proxy, {"node_matchers": matchers})
        assert answer.status == 400 and text in answer.text
    assert ask(proxy, {"nonsense": 1}).status == 400
    assert proxy.admin(PATH, "POST", body=b"{").status == 400
    assert proxy.admin(PATH).status == 405
    host, port = proxy.admin_target
    with grpc.insecure_channel(f"{host}:{port}") as channel:
        call = channel.unary_unary("/envoy.service.status.v3.ClientStatusDiscoveryService/Other")
        with pytest.raises(grpc.RpcError) as error:
            call(b"", timeout=10)
        assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED
        call = channel.unary_unary(
            "/envoy.service.status.v3.ClientStatusDiscoveryService/FetchClientStatus")
        with pytest.raises(grpc.RpcError) as error:
            call(b"x" * 100000, timeout=10)
        assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        with pytest.raises(grpc.RpcError) as error:
            call(b"\xff\xff", timeout=10)
        assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


@XYLEM
def test_as_json(start, service, stub, origin):
    proxy = start(ads_bootstrap(world(stub, origin)))
    wait_for(lambda: proxy.get("/").status == 200, what="the world")
    text = ask(proxy).body
    made = json.loads(text)["config"][0]
    names = {c["name"]: c for c in made["generic_xds_configs"]}
    assert names["good"]["client_status"] == "ACKED"
    assert names["good"]["xds_config"]["name"] == "good"
    parsed = json_format.Parse(text, csds_pb2.ClientStatusResponse())
    assert parsed == fetch(service(proxy))
    assert "xds_config" not in json.loads(
        ask(proxy, {"exclude_resource_contents": True}).body)["config"][0]["generic_xds_configs"][0]


@XYLEM
def test_keys_stay_private(start, service, stub):
    ca = certs.Authority("ca")
    web = ca.issue("web", dns=["a.test"])
    config = bootstrap([http_listener(routes=[direct(200)])], node={"id": "n"})
    config["static_resources"]["listeners"][0]["filter_chains"][0]["transport_socket"] = \
        certs.downstream(web)
    secret = web.secret("mine")
    del secret["@type"]
    config["static_resources"]["secrets"] = [secret]
    proxy = start(config)
    answer = fetch(service(proxy))
    secret = by_name(answer.config[0])["Secret", "mine"]
    shown = secret_pb2.Secret()
    assert secret.xds_config.Unpack(shown)
    assert shown.tls_certificate.certificate_chain.inline_string
    assert shown.tls_certificate.private_key.inline_string == "[redacted]"
    assert b"PRIVATE KEY" not in answer.SerializeToString()
    assert "PRIVATE KEY" not in ask(proxy).text
    listener = by_name(answer.config[0])["Listener", "ingress"]
    assert b"[redacted]" in listener.xds_config.value


@XYLEM
def test_a_large_world(start, service, stub, origin):
    """Answers are made in slices: pages and requests are answered meanwhile."""
    names = [f"cluster-{n:05}" for n in range(3000)]
    control = stub(*(resource("cds", cluster(name, origin)) for name in names))
    proxy = start(ads_bootstrap(control))
    wait_for(lambda: proxy.stat("cluster_manager.active_clusters") >= 3000, what="the clusters")
    csds = service(proxy)
    future = csds.FetchClientStatus.future(csds_pb2.ClientStatusRequest(), timeout=30)
    assert proxy.admin("/ready").status == 200
    made = by_name(future.result().config[0])
    assert [name for _, name in sorted(made) if name.startswith("cluster-")] == names
    text = ask(proxy).body
    assert len(json.loads(text)["config"][0]["generic_xds_configs"]) == len(made)


@XYLEM
def test_who_leaves_meanwhile(start, service, stub, origin):
    names = [f"cluster-{n:05}" for n in range(1000)]
    control = stub(*(resource("cds", cluster(name, origin)) for name in names))
    proxy = start(ads_bootstrap(control))
    csds = service(proxy)
    for _ in range(20):
        future = csds.FetchClientStatus.future(csds_pb2.ClientStatusRequest())
        future.cancel()
    assert fetch(csds).config[0].generic_xds_configs
