"""Adding and removing headers at four levels, append actions, formats."""
import base64
import json
import re

import pytest

from harness import (Reply, bootstrap, cluster, difference, direct, http_listener, route, vhost)
from harness.config import add_header, router_filter
from harness.h2peer import H2Client, H2Origin
from harness.proxy import run_once


def levels(key, most_specific_wins=None):
    """Header adds of one name at route configuration, virtual host, route and weighted cluster."""
    entry = {"name": "one", "weight": 1,
             "request_headers_to_add": [add_header(key, "cluster")],
             "response_headers_to_add": [add_header(key, "cluster")]}
    one = route("/", weighted_clusters={"clusters": [entry]},
                request_headers_to_add=[add_header(key, "route")],
                response_headers_to_add=[add_header(key, "route")])
    host = vhost("all", ["*"], one, request_headers_to_add=[add_header(key, "vhost")],
                 response_headers_to_add=[add_header(key, "vhost")])
    extra = {"request_headers_to_add": [add_header(key, "config")],
             "response_headers_to_add": [add_header(key, "config")]}
    if most_specific_wins is not None:
        extra["most_specific_header_mutations_wins"] = most_specific_wins
    return http_listener(vhosts=[host], route_config=extra)


def test_four_levels_from_the_inside_out(start, origin):
    proxy = start(bootstrap([levels("x-level")], [cluster("one", origin)]))
    answer = proxy.get("/", headers={"x-level": "client"})
    order = ["cluster", "route", "vhost", "config"]
    assert ",".join(origin.last.all("x-level")) == ",".join(["client", *order])
    assert answer.all("x-level") == order


def test_four_levels_from_the_outside_in(start, origin):
    proxy = start(bootstrap([levels("x-level", most_specific_wins=True)],
                            [cluster("one", origin)]))
    answer = proxy.get("/")
    assert origin.last.all("x-level") == ["cluster", "config", "vhost", "route"]
    assert answer.all("x-level") == ["cluster", "config", "vhost", "route"]


ACTIONS = {
    "APPEND_IF_EXISTS_OR_ADD": (["old", "new"], ["new"]),
    "ADD_IF_ABSENT": (["old"], ["new"]),
    "OVERWRITE_IF_EXISTS_OR_ADD": (["new"], ["new"]),
    "OVERWRITE_IF_EXISTS": (["new"], []),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_append_actions(start, origin, action):
    existing, absent = ACTIONS[action]
    origin.on["/with"] = Reply(headers=[("x-r", "old")])
    proxy = start(bootstrap([http_listener(routes=[route(
        "/", "one", request_headers_to_add=[add_header("x-q", "new", action)],
        response_headers_to_add=[add_header("x-r", "new", action)])])],
        [cluster("one", origin)]))
    answer = proxy.get("/with", headers={"X-Q": "old"})
    assert (origin.last.all("x-q"), answer.all("x-r")) == (existing, existing)
    answer = proxy.get("/without")
    assert (origin.last.all("x-q"), answer.all("x-r")) == (absent, absent)


def test_removal_at_every_level(start, origin):
    origin.reply = Reply(headers=[("x-a", "1"), ("x-b", "1"), ("x-c", "1"), ("x-d", "1")])
    proxy = start(bootstrap([http_listener(
        vhosts=[vhost("all", ["*"], route(
            "/", "one", request_headers_to_remove=["X-C"], response_headers_to_remove=["X-C"]),
            request_headers_to_remove=["x-b"], response_headers_to_remove=["x-b"])],
        route_config={"request_headers_to_remove": ["x-a"],
                      "response_headers_to_remove": ["x-a"]})], [cluster("one", origin)]))
    answer = proxy.get("/", headers={"x-a": "1", "x-b": "1", "x-c": "1", "x-d": "1"})
    assert [origin.last.header(f"x-{c}") for c in "abcd"] == [None, None, None, "1"]
    assert [answer.header(f"x-{c}") for c in "abcd"] == [None, None, None, "1"]


def test_add_comes_after_remove(start, origin):
    proxy = start(bootstrap([http_listener(routes=[route(
        "/", "one", request_headers_to_remove=["x-a"],
        request_headers_to_add=[add_header("x-a", "new")])])], [cluster("one", origin)]))
    proxy.get("/", headers={"x-a": "old"})
    assert origin.last.all("x-a") == ["new"]


FORMATS = {
    "%REQ(X-In)%": r"in",
    "%REQ(X-None?X-In)%": r"in",
    "%REQ(X-In):1%": r"i",
    "%REQ(:METHOD)% %REQ(:PATH)%": r"GET /f\?q=1",
    "%PROTOCOL%": r"HTTP/1\.1",
    "%DOWNSTREAM_REMOTE_ADDRESS%": r"127\.0\.0\.1:\d+",
    "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%": r"127\.0\.0\.1",
    "%DOWNSTREAM_LOCAL_ADDRESS%": r"127\.0\.0\.1:\d+",
    "%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%": r"127\.0\.0\.1",
    "%UPSTREAM_CLUSTER%": r"one",
    "%ROUTE_NAME%": r"named",
    "%START_TIME(%Y)%": r"20\d\d",
    "%UPSTREAM_REQUEST_ATTEMPT_COUNT%": r"1",
    "100%%": r"100%",
    "a %REQ(X-In)% b": r"a in b",
}


@pytest.mark.parametrize("fmt", FORMATS)
def test_formats_in_request_headers(start, origin, fmt):
    proxy = start(bootstrap([http_listener(routes=[route(
        "/", "one", name="named", request_headers_to_add=[add_header("x-out", fmt)])])],
        [cluster("one", origin)]))
    proxy.get("/f?q=1", headers={"X-In": "in"})
    assert re.fullmatch(FORMATS[fmt], origin.last.header("x-out"))


def test_empty_value_is_not_added_unless_kept(start, origin):
    empty = add_header("x-none", "%REQ(X-None)%")
    kept = {**add_header("x-kept", "%REQ(X-None)%"), "keep_empty_value": True}
    proxy = start(bootstrap([http_listener(routes=[route(
        "/", "one", request_headers_to_add=[empty, kept])])], [cluster("one", origin)]))
    proxy.get("/")
    assert origin.last.header("x-none") is None
    assert origin.last.header("x-kept") == ""


def test_formats_in_response_headers(start, origin):
    origin.reply = Reply(headers=[("x-from", "origin")])
    proxy = start(bootstrap([http_listener(routes=[route("/", "one", response_headers_to_add=[
        add_header("x-code", "%RESPONSE_CODE%"), add_header("x-copy", "%RESP(x-from)%"),
        add_header("x-host", "%UPSTREAM_HOST%"), add_header("x-flags", "%RESPONSE_FLAGS%")])])],
        [cluster("one", origin)]))
    answer = proxy.get("/")
    assert answer.header("x-code") == "200"
    assert answer.header("x-copy") == "origin"
    assert answer.header("x-host") == f"127.0.0.1:{origin.port}"
    assert answer.header("x-flags") == "-"


def test_formats_in_headers_of_replies_without_an_origin(start):
    formats = "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% [%RESP(content-type)%]"
    added = {"response_headers_to_add": [add_header("x-told", formats)]}
    proxy = start(bootstrap([http_listener(routes=[
        direct(201, "x", match={"prefix": "/direct"}, **added), route("/", "one", **added)])],
        [cluster("one")]))
    assert proxy.get("/direct").header("x-told") == "0 - direct_response []"
    assert proxy.get("/").header("x-told") == "0 UH no_healthy_upstream []"


def test_response_headers_are_added_to_direct_responses(start):
    proxy = start(bootstrap([http_listener(routes=[
        direct(200, "x", response_headers_to_add=[add_header("x-d", "1")])])]))
    assert proxy.get("/").header("x-d") == "1"


def test_names_are_sent_in_lower_case(start, origin):
    origin.reply = Reply(headers=[("X-Mixed-Case", "1")])
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")])],
                            [cluster("one", origin)]))
    answer = proxy.get("/", headers={"X-Other-Case": "1"})
    assert b"\r\nx-mixed-case: 1\r\n" in answer.raw_head
    assert b"\r\nx-other-case: 1\r\n" in origin.last.head


def test_values_pass_unchanged_but_for_outer_space(start, origin):
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")])],
                            [cluster("one", origin)]))
    with proxy.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a.test\r\nX-A: \t a  \"b\", c\t \r\nX-E:\r\n"
                    b"X-U: \xc3\xa9\xff\r\n\r\n")
        assert client.response().status == 200
    assert b"\r\nx-a: a  \"b\", c\r\n" in origin.last.head
    assert origin.last.header("x-e") == ""
    assert b"\r\nx-u: \xc3\xa9\xff\r\n" in origin.last.head


def test_repeated_headers_stay_apart(start, origin):
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")])],
                            [cluster("one", origin)]))
    proxy.get("/", headers=[("x-a", "1"), ("x-b", "2"), ("x-a", "3")])
    assert origin.last.all("x-a") == ["1", "3"]


@difference("a name that is no token would be written as another header, or as a broken line",
            envoy="accepts the resource", xylem="refuses it with the path of the field")
@pytest.mark.parametrize("name", ["a: b", "a b", "caf\u00e9"])
def test_added_header_must_have_a_name(kind, tmp_path, name):
    made = route("/", "one")
    made["request_headers_to_add"] = [add_header(name, "v")]
    (tmp_path / "bootstrap.yaml").write_text(json.dumps(bootstrap(
        [http_listener(routes=[made])], [cluster("one", 1)])))
    code, out, err = run_once(kind, ["-c", "bootstrap.yaml", "--mode", "validate"], tmp_path)
    assert code == (0 if kind == "envoy" else 1), out + err
    assert kind == "envoy" or "header.key: expected letters, digits" in out + err


def test_conditions_of_one_level_see_what_was_there_before_it(start, origin):
    proxy = start(bootstrap([http_listener(routes=[route("/", "one", request_headers_to_add=[
        add_header("x-new", "appended", "APPEND_IF_EXISTS_OR_ADD"),
        add_header("x-new", "overwritten", "OVERWRITE_IF_EXISTS"),
        add_header("x-new", "absent", "ADD_IF_ABSENT"),
        add_header("x-old", "appended", "APPEND_IF_EXISTS_OR_ADD"),
        add_header("x-old", "%REQ(x-old)% again", "OVERWRITE_IF_EXISTS"),
    ])])], [cluster("one", origin)]))
    proxy.get("/", headers={"x-old": "1"})
    assert origin.last.all("x-new") == ["appended", "absent"]
    assert origin.last.all("x-old") == ["1 again", "appended"]


JOINED = {
    "request": ["accept", "accept-encoding", "authorization", "cache-control", "content-type",
                "if-none-match", "origin", "referer", "user-agent", "via", "x-forwarded-host",
                "x-request-id", "x-envoy-original-path"],
    "apart": ["x-a", "cookie", "accept-language", "range", "etag", "vary", "forwarded"],
    "response": ["cache-control", "content-type", "etag", "expires", "vary", "via", "location",
                 "access-control-allow-origin", "grpc-status", "date"],
    "response, apart": ["x-a", "set-cookie", "accept", "link", "server-timing", "www-authenticate"],
}


def test_repeated_headers_of_known_names_become_one_line(start, origin):
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")],
                                           preserve_external_request_id=True)],
                            [cluster("one", origin)]))
    with proxy.client() as client:
        for name in JOINED["request"] + JOINED["apart"]:
            client.get("/", headers=[(name, "1"), ("x-b", "2"), (name, ""), (name, "3")])
            apart = name in JOINED["apart"]
            assert origin.last.all(name) == (["1", "", "3"] if apart else ["1,3"]), name
        for name in JOINED["response"] + JOINED["response, apart"]:
            origin.reply = Reply(headers=[(name, "1"), ("x-b", "2"), (name, ""), (name, "3")])
            apart = name in JOINED["response, apart"]
            assert client.get("/").all(name) == (["1", "", "3"] if apart else ["1,3"]), name


@pytest.fixture
def passing(start, origin):
    """A proxy that leaves the headers of an internal client and of the origin as they are."""
    return start(bootstrap([http_listener(
        routes=[route("/", "one")], filters=[router_filter(suppress_envoy_headers=True)],
        server_header_transformation="PASS_THROUGH", use_remote_address=True,
        internal_address_config={"cidr_ranges": [
            {"address_prefix": "127.0.0.0", "prefix_len": 8}]})], [cluster("one", origin)]))


def test_repeated_headers_between_proxies_become_one_line(passing, origin):
    timeouts = ["x-envoy-expected-rq-timeout-ms", "x-envoy-upstream-rq-timeout-ms"]
    answered = ["server", "x-envoy-upstream-service-time"]
    origin.reply = Reply(headers=[(name, value) for value in "12" for name in answered])
    answer = passing.get("/", headers=[(name, value) for value in "12" for name in timeouts])
    assert [answer.all(name) for name in answered] == [["1,2"], ["1,2"]]
    assert [origin.last.all(name) for name in timeouts] == [["1,2"], []]  # no timeout of 1 ms


@difference("Headers that only Envoy's tracing and a few of its filters know are like any other here.",
            envoy="joins repeated lines of them", xylem="leaves them apart")
@pytest.mark.parametrize("name", ["authentication", "x-envoy-force-trace", "x-envoy-ip-tags",
                                  "x-envoy-original-url"])
def test_repeated_headers_of_names_that_only_envoy_knows(passing, origin, kind, name):
    passing.get("/", headers=[(name, "1"), (name, "2")])
    assert origin.last.all(name) == (["1,2"] if kind == "envoy" else ["1", "2"])


@pytest.mark.parametrize("name", [
    "x-envoy-upstream-rq-timeout-alt-response", "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-stream-duration-ms"])
def test_wishes_of_an_internal_client_are_not_the_origins(passing, origin, name):
    passing.get("/", headers={name: "9000"})
    assert origin.last.all(name) == []


@difference("A header may be given as bytes; what would end a line in them is a space.",
            envoy="ignores raw_value", xylem="adds it")
def test_raw_values_of_added_headers(start, origin, kind):
    raw = {"key": "x-raw", "raw_value": base64.b64encode(b"a\r\nx-b: c").decode()}
    proxy = start(bootstrap([http_listener(routes=[route(
        "/", "one", request_headers_to_add=[{"header": raw}])])], [cluster("one", origin)]))
    proxy.get("/")
    assert origin.last.all("x-raw") == ([] if kind == "envoy" else ["a  x-b: c"])
    assert origin.last.all("x-b") == []


@difference("Bytes behind the length that an answer says would be read as the next answer.",
            envoy="sends the whole body", xylem="sends what fits, and closes the connection")
def test_an_added_length_that_is_too_small(start, origin, kind):
    length = add_header("content-length", "2", "OVERWRITE_IF_EXISTS_OR_ADD")
    proxy = start(bootstrap([http_listener(routes=[route(
        "/", "one", response_headers_to_add=[length])])], [cluster("one", origin)]))
    with proxy.client() as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert client.rest().endswith(b"\r\n\r\n" + (b"origin" if kind == "envoy" else b"or"))


HOP_BY_HOP = [("connection", "x-a"), ("keep-alive", "timeout=5"), ("te", "gzip"),
              ("proxy-connection", "x"), ("transfer-encoding", "chunked"), ("upgrade", "foo")]


@difference("HTTP/2 has no fields of one connection (RFC 9113, section 8.2.2).",
            envoy="sends those that a route adds", xylem="leaves them out")
def test_added_fields_of_a_connection_towards_http2(start, closing, kind):
    origin = closing(H2Origin())
    proxy = start(bootstrap([http_listener(routes=[route("/", "one", request_headers_to_add=[
        add_header(*field) for field in HOP_BY_HOP],
        response_headers_to_add=[add_header("te", "gzip"), add_header("keep-alive", "x")])])], [cluster("one", origin, http={
            "explicit_http_config": {"http2_protocol_options": {}}})]))
    with H2Client(proxy.port()) as client:
        answer = client.request()
    names = {name for name, _ in HOP_BY_HOP}
    assert {name for name, _ in origin.last.headers} & names == (names if kind == "envoy" else set())
    assert answer.header("te") == ("gzip" if kind == "envoy" else None)
    assert answer.header("keep-alive") is None


def test_a_keep_alive_that_is_added(start, origin):
    """It speaks of the client's connection; the origin's of another."""
    origin.reply = Reply(headers=[("Connection", "keep-alive"), ("Keep-Alive", "timeout=9")])
    added = {"response_headers_to_add": [add_header("keep-alive", "timeout=5")]}
    proxy = start(bootstrap([http_listener(routes=[
        direct(200, "x", prefix="/direct", **added), route("/plain", "one"),
        route("/", "one", **added)])], [cluster("one", origin)]))
    with proxy.client() as client:
        got = [client.get(path).all("keep-alive") for path in ("/direct", "/", "/plain")]
    assert got == [["timeout=5"], ["timeout=5"], []]
