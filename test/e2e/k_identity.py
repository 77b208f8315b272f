"""Who is calling, who answers: x-forwarded-*, x-request-id, server, timing headers."""
import json
import re

import pytest

from harness import Reply, bootstrap, cluster, difference, direct, http_listener, route
from harness.proxy import run_once

LOOPBACK = {"cidr_ranges": [{"address_prefix": "127.0.0.0", "prefix_len": 8}]}
UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]4?[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\Z")


@pytest.fixture
def through(start, origin):
    """through(**hcm) starts a proxy in front of the origin with these manager fields."""
    def run(**fields):
        return start(bootstrap([http_listener(routes=[route("/", "one")], **fields)],
                               [cluster("one", origin)]))
    return run


def test_request_id_is_made(through, origin):
    proxy = through()
    proxy.get("/")
    first = origin.last.header("x-request-id")
    assert UUID4.match(first)
    proxy.get("/")
    assert origin.last.header("x-request-id") != first


def test_request_id_of_the_client_is_kept_inside(through, origin):
    through().get("/", headers={"x-request-id": "12345678-1234-4234-8234-123456789012"})
    assert origin.last.header("x-request-id") == "12345678-1234-4234-8234-123456789012"


def test_generate_request_id_off(through, origin):
    through(generate_request_id=False).get("/")
    assert origin.last.header("x-request-id") is None


def test_always_set_request_id_in_response(through, origin):
    answer = through(always_set_request_id_in_response=True).get("/")
    assert answer.header("x-request-id") == origin.last.header("x-request-id")


def test_an_interim_answer_has_the_request_id_too(through, origin):
    origin.reply = Reply(interim=b"HTTP/1.1 103 Early Hints\r\nlink: a\r\nconnection: close\r\n"
                                 b"x-request-id: origin\r\n\r\n")
    proxy = through(always_set_request_id_in_response=True, proxy_100_continue=True, via="me")
    answer = proxy.get("/")
    early, = answer.interim
    assert (early.status, early.header("link"), early.header("connection"), early.header("via")) == (
        103, "a", None, None)
    assert early.header("x-request-id") == answer.header("x-request-id")
    assert early.header("x-request-id") == origin.last.header("x-request-id")


@pytest.mark.parametrize("name", ["x-forwarded-client-cert", "cdn-loop"])
def test_lists_of_hops_are_one_line(through, origin, name):
    with through(forward_client_cert_details="ALWAYS_FORWARD_ONLY").client() as client:
        client.send(f"GET / HTTP/1.1\r\nHost: a.test\r\n{name}: By=a\r\n{name}: By=b\r\n\r\n")
        assert client.response().status == 200
    assert origin.last.all(name) == ["By=a,By=b"]


@pytest.mark.parametrize("generate", [True, False])
def test_an_empty_request_id_is_none(through, origin, generate):
    origin.reply = Reply(headers=[("x-request-id", "origin")])
    proxy = through(generate_request_id=generate, always_set_request_id_in_response=True)
    answer = proxy.get("/", headers={"x-request-id": ""})
    seen = origin.last.header("x-request-id")
    assert bool(UUID4.match(seen)) == generate
    assert answer.header("x-request-id") == seen


def test_who_asks_for_a_trace_is_told_its_request_id(through, origin):
    proxy = through(use_remote_address=True, internal_address_config=LOOPBACK)
    answer = proxy.get("/", headers={"x-envoy-force-trace": "1"})
    assert answer.header("x-request-id") == origin.last.header("x-request-id")
    assert proxy.get("/").header("x-request-id") is None
    outside = {"x-envoy-force-trace": "1", "x-forwarded-for": "8.8.8.8"}
    assert proxy.get("/", headers=outside).header("x-request-id") is None


INSIDE = ["127.0.0.1", "10.1.1.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "::1", "fd12::1"]
OUTSIDE = ["127.9.9.9", "172.32.0.1", "192.169.1.1", "100.64.0.1", "fc00::1", "fe80::1", "8.8.8.8"]


@pytest.mark.parametrize("config", [{}, {"unix_sockets": True}, None])
def test_who_is_internal_where_no_range_is_given(through, origin, config):
    """Private addresses, if there is an internal_address_config; else nobody."""
    proxy = through(**({} if config is None else {"internal_address_config": config}))
    found = []
    for address in INSIDE + OUTSIDE:
        proxy.get("/", headers={"x-forwarded-for": address})
        if origin.last.header("x-envoy-internal") == "true":
            found.append(address)
    assert found == ([] if config is None else INSIDE)


PORTS = {"edge": ({"use_remote_address": True}, None),
         "behind a hop": ({"use_remote_address": True, "xff_num_trusted_hops": 1}, "1"),
         "inside": ({}, "1")}


@pytest.mark.parametrize("case", PORTS)
def test_append_x_forwarded_port(through, origin, case):
    """The port of the listener; what a client says of it counts only behind a trusted hop."""
    fields, kept = PORTS[case]
    proxy = through(append_x_forwarded_port=True, **fields)
    own = str(proxy.port())
    for headers, expected in [({}, own), ({"x-forwarded-proto": "http"}, own),
                              ({"x-forwarded-port": "1"}, kept or own)]:
        proxy.get("/", headers=headers)
        assert origin.last.header("x-forwarded-port") == expected, headers


def test_external_request_id_is_replaced_at_the_edge(through, origin):
    proxy = through(use_remote_address=True, xff_num_trusted_hops=1)
    proxy.get("/", headers={"x-request-id": "mine", "x-forwarded-for": "8.8.8.8"})
    assert origin.last.header("x-request-id") != "mine"


def test_preserve_external_request_id(through, origin):
    proxy = through(use_remote_address=True, xff_num_trusted_hops=1,
                    preserve_external_request_id=True)
    proxy.get("/", headers={"x-request-id": "mine", "x-forwarded-for": "8.8.8.8"})
    assert origin.last.header("x-request-id") == "mine"


def test_forwarded_for_is_untouched_without_use_remote_address(through, origin):
    proxy = through()
    proxy.get("/")
    assert origin.last.header("x-forwarded-for") is None
    proxy.get("/", headers={"x-forwarded-for": "1.2.3.4"})
    assert origin.last.header("x-forwarded-for") == "1.2.3.4"


def test_forwarded_for_is_appended_with_use_remote_address(through, origin):
    proxy = through(use_remote_address=True)
    proxy.get("/", headers={"x-forwarded-for": "1.2.3.4"})
    parts = origin.last.header("x-forwarded-for").split(",")
    assert (parts[0], len(parts)) == ("1.2.3.4", 2)


def test_skip_xff_append(through, origin):
    through(use_remote_address=True, skip_xff_append=True).get(
        "/", headers={"x-forwarded-for": "1.2.3.4"})
    assert origin.last.header("x-forwarded-for") == "1.2.3.4"


def test_forwarded_proto_is_added(through, origin):
    through().get("/")
    assert origin.last.header("x-forwarded-proto") == "http"


def test_forwarded_proto_of_an_inner_client_is_kept(through, origin):
    through().get("/", headers={"x-forwarded-proto": "https"})
    assert origin.last.header("x-forwarded-proto") == "https"


def test_forwarded_proto_of_an_outer_client_is_replaced(through, origin):
    through(use_remote_address=True).get("/", headers={"x-forwarded-proto": "https"})
    assert origin.last.header("x-forwarded-proto") == "http"


ABSOLUTE = "GET https://b.test:81/x HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"


def test_an_absolute_target_tells_the_scheme(start):
    """What the client said of its request counts, not how the last hop travelled."""
    proxy = start(bootstrap([http_listener(routes=[
        {"match": {"prefix": "/"}, "redirect": {"path_redirect": "/new"}}])]))
    with proxy.client() as client:
        client.send(ABSOLUTE)
        assert client.response().header("location") == "https://b.test:81/new"
    assert proxy.get("/").header("location") == "http://a.test/new"
    answer = proxy.get("/", headers={"x-forwarded-proto": "https"})
    assert answer.header("location") == "https://a.test/new"


@pytest.mark.parametrize("hops, status", [(0, 403), (1, 200)])
def test_https_target_on_plaintext_at_the_edge(through, origin, hops, status):
    """A client that speaks plainly to the edge cannot ask for https."""
    proxy = through(use_remote_address=True, xff_num_trusted_hops=hops)
    with proxy.client() as client:
        client.send(ABSOLUTE)
        assert client.response().status == status
    assert len(origin.requests) == (status == 200)


def test_internal_headers_do_not_pass_from_outside(through, origin):
    through(use_remote_address=True, xff_num_trusted_hops=1).get("/", headers={
        "x-forwarded-for": "8.8.8.8", "x-envoy-internal": "true",
        "x-envoy-upstream-rq-timeout-ms": "1", "x-envoy-expected-rq-timeout-ms": "1",
        "x-envoy-upstream-stream-duration-ms": "9",
        "x-envoy-retry-on": "5xx", "x-envoy-original-path": "/x",
        "x-envoy-original-host": "x.test"})
    for name in ["x-envoy-internal", "x-envoy-upstream-rq-timeout-ms", "x-envoy-retry-on",
                 "x-envoy-original-path", "x-envoy-original-host",
                 "x-envoy-upstream-stream-duration-ms"]:
        assert origin.last.header(name) is None, name
    assert origin.last.header("x-envoy-expected-rq-timeout-ms") == "15000"
    assert origin.last.header("x-envoy-external-address") == "8.8.8.8"


INTERNAL_ONLY = {"x-a": "x-a", "X-A": "x-a", "host": "host", ":authority": "host"}


@pytest.mark.parametrize("fields, passes", [
    ({}, False), ({"internal_address_config": LOOPBACK}, True)], ids=["external", "internal"])
@pytest.mark.parametrize("name", INTERNAL_ONLY)
def test_headers_that_only_internal_clients_may_send(through, origin, name, fields, passes):
    through(use_remote_address=True, route_config={"internal_only_headers": [name]}, **fields).get(
        "/", headers={"x-a": "1"})
    assert (origin.last.header(INTERNAL_ONLY[name]) is not None) == passes


@difference("A method that is taken away leaves a request that cannot be sent.",
            envoy="takes the resource, and answers each such request with 503",
            xylem="refuses it with the path of the field")
def test_the_method_is_not_for_internal_clients_only(kind, tmp_path):
    (tmp_path / "b.yaml").write_text(json.dumps(bootstrap([http_listener(
        routes=[direct(200)], route_config={"internal_only_headers": [":method"]})])))
    code, out, err = run_once(kind, ["-c", "b.yaml", "--mode", "validate"], tmp_path)
    assert code == (0 if kind == "envoy" else 1), out + err
    assert kind == "envoy" or "internal_only_headers[0]: :method" in out + err


def test_upstream_service_time_is_a_number(through):
    assert through().get("/").header("x-envoy-upstream-service-time").isdigit()


def test_suppress_envoy_headers(start, origin):
    from harness.config import router_filter
    proxy = start(bootstrap([http_listener(
        routes=[route("/", "one")], filters=[router_filter(suppress_envoy_headers=True)])],
        [cluster("one", origin)]))
    answer = proxy.get("/")
    assert answer.header("x-envoy-upstream-service-time") is None
    assert origin.last.header("x-envoy-expected-rq-timeout-ms") is None


def test_direct_response_has_no_service_time(start):
    proxy = start(bootstrap([http_listener(routes=[direct(200)])]))
    assert proxy.get("/").header("x-envoy-upstream-service-time") is None


SERVERS = {"OVERWRITE": ("mine", "mine"), "APPEND_IF_ABSENT": ("origin/1", "mine"),
           "PASS_THROUGH": ("origin/1", None)}


@pytest.mark.parametrize("mode", SERVERS)
def test_server_header_transformation(through, origin, mode):
    origin.on["/with"] = Reply(headers=[("Server", "origin/1")])
    proxy = through(server_name="mine", server_header_transformation=mode)
    assert (proxy.get("/with").header("server"), proxy.get("/").header("server")) == SERVERS[mode]


def test_server_is_overwritten_by_default(through, origin):
    origin.reply = Reply(headers=[("Server", "origin/1")])
    assert through().get("/").header("server") == "envoy"


def test_date_of_the_origin_is_kept(through, origin):
    origin.reply = Reply(headers=[("Date", "Tue, 01 Jan 2030 00:00:00 GMT")])
    assert through().get("/").header("date") == "Tue, 01 Jan 2030 00:00:00 GMT"


def test_via_is_appended(through, origin):
    answer = through(via="xy").get("/", headers={"via": "1.1 first"})
    assert ",".join(origin.last.all("via")).replace(" ", "") == "1.1first,xy"
    assert answer.header("via") == "xy"


def test_add_user_agent(start, origin):
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")], add_user_agent=True)],
                            [cluster("one", origin)], node={"id": "n", "cluster": "front"}))
    proxy.get("/")
    assert origin.last.header("user-agent") == "front"
    assert origin.last.header("x-envoy-downstream-service-cluster") == "front"
