"""What a proxy knows of gRPC: the operators of access logs, and the filters grpc_stats, grpc_web and
grpc_http1_bridge."""
import struct

import pytest

from harness import bootstrap, cluster, difference, direct, http_listener, route, wait_for
from harness.config import file_log, router_filter
from harness.h2peer import H2Client, H2Origin, H2Reply

HTTP2 = {"explicit_http_config": {"http2_protocol_options": {}}}
GRPC = ("content-type", "application/grpc")


def frame(message, flags=0):
    return bytes([flags]) + struct.pack(">I", len(message)) + message


def answer(*messages, trailers=(("grpc-status", "0"),), status=200, headers=(GRPC,)):
    return H2Reply(status, list(headers), b"".join(frame(m) for m in messages),
                   None if trailers is None else list(trailers))


@pytest.fixture
def upstream(closing):
    made = closing(H2Origin())
    made.reply = answer(b"hello")
    return made


@pytest.fixture
def behind(start, upstream, tmp_path):
    """behind(filters, log=...) starts a proxy with these filters before the router."""
    def run(filters=(), log=None, **fields):
        if log:
            fields["access_log"] = [file_log(tmp_path / "log", log)]
        return start(bootstrap(
            [http_listener(filters=[*filters, router_filter()],
                           **{"routes": [route("/", "one")], **fields})],
            [cluster("one", upstream, http=HTTP2)]))
    return run


def call(client, path="/a.B/M", body=frame(b"one"), headers=(GRPC,)):
    return client.request("POST", path, headers=list(headers), body=body)


# ---- access logs ----

STATUS = "%GRPC_STATUS% %GRPC_STATUS(CAMEL_STRING)% %GRPC_STATUS(SNAKE_STRING)% " \
    "%GRPC_STATUS(NUMBER)% %GRPC_STATUS_NUMBER%\n"


def test_status_operators(behind, upstream, tmp_path):
    proxy = behind(log=STATUS)
    seen = []
    with H2Client(proxy.port()) as client:
        for reply, line in [
                (answer(b"x"), "OK OK OK 0 0"),
                (answer(trailers=None, headers=(GRPC, ("grpc-status", "5"))),
                 "NotFound NotFound NOT_FOUND 5 5"),
                (answer(trailers=[("grpc-status", "99")]), "99 99 99 99 99"),
                (answer(trailers=[("grpc-status", "zz")]), "-1 -1 -1 -1 -1"),
                (answer(trailers=[("x", "y")]), "Unknown Unknown UNKNOWN 2 2"),
                (answer(trailers=None, status=503), "Unavailable Unavailable UNAVAILABLE 14 14"),
                (H2Reply(reset=8), "Unavailable Unavailable UNAVAILABLE 14 14")]:
            upstream.reply = reply
            call(client)
            seen.append(line)
        upstream.reply = answer(b"x")
        for other in ("application/grpc;x=1", "application/grpc-web", "text/plain"):
            call(client, headers=[("content-type", other)])
            seen.append("- - - - -")
    proxy.stop()
    assert (tmp_path / "log").read_text().splitlines() == seen


def test_status_filter(start, upstream, tmp_path):
    def log(name, **fields):
        return {**file_log(tmp_path / name, "%REQ(:PATH)%\n"),
                "filter": {"grpc_status_filter": fields}}
    proxy = start(bootstrap(
        [http_listener(routes=[direct(200, "x", prefix="/direct"), route("/", "one")],
                       access_log=[log("ok", statuses=["OK"]),
                                   log("unknown", statuses=["UNKNOWN"]),
                                   log("others", statuses=["OK", "UNKNOWN"], exclude=True)])],
        [cluster("one", upstream, http=HTTP2)]))
    with H2Client(proxy.port()) as client:
        call(client, "/ok/1")
        call(client, "/direct/1")
        call(client, "/plain/1", headers=[])
        upstream.reply = answer(trailers=[("x", "y")])
        call(client, "/unknown/1")
        call(client, "/unknown/2", headers=[])
        upstream.reply = answer(trailers=[("grpc-status", "99")])
        call(client, "/others/1")
        upstream.reply = answer(status=404, trailers=None)
        call(client, "/others/2", headers=[])
    proxy.stop()
    read = {name: (tmp_path / name).read_text().split() for name in ("ok", "unknown", "others")}
    assert read == {"ok": ["/ok/1", "/plain/1"],
                    "unknown": ["/direct/1", "/unknown/1", "/unknown/2"],
                    "others": ["/others/1", "/others/2"]}


def test_local_replies_follow_the_content_type(behind):
    proxy = behind(routes=[direct(200, "ok", prefix="/200"),
                           direct(500, "x", match={"prefix": "/m", "grpc": {}})])
    with H2Client(proxy.port()) as client:
        for content_type, grpc in (("application/grpc", True), ("application/grpc+proto", True),
                                   ("application/grpc;x=1", False),
                                   ("application/grpc-web", False)):
            got = call(client, "/200", headers=[("content-type", content_type)])
            assert got.header("grpc-status") == ("2" if grpc else None), content_type
            assert got.body == (b"" if grpc else b"ok")
            got = call(client, "/m", headers=[("content-type", content_type)])
            assert got.status == (200 if grpc else 404)


# ---- grpc_stats ----

def stats_filter(**fields):
    return {"name": "envoy.filters.http.grpc_stats", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.grpc_stats.v3.FilterConfig",
        **fields}}


def counted(proxy, under="grpc"):
    """The counters below cluster.one.UNDER, each with its value."""
    prefix = f"cluster.one.{under}."
    lines = proxy.admin("/stats?usedonly&type=Counters").text.splitlines()
    pairs = (line.removeprefix(prefix).split(": ") for line in lines if line.startswith(prefix))
    return {name: int(value) for name, value in pairs}


def make_calls(client, upstream):
    call(client, "/a.B/M", frame(b"one") + frame(b"two"))
    call(client, "//x///y/?q=1")
    call(client, "/only")
    call(client, "/a/b/c")
    call(client, "/a.B/M", headers=[("content-type", "application/grpc;x")])
    call(client, "/a.B/M", headers=[("content-type", "text/plain")])
    upstream.reply = answer(headers=(GRPC, ("grpc-status", "5")), trailers=None)
    call(client, "/a.B/M")
    upstream.reply = answer(b"x", trailers=[("x", "y")])
    call(client, "/a.B/N")
    upstream.reply = H2Reply(status=503)
    call(client, "/a.B/N")
    upstream.reply = H2Reply(reset=8)
    call(client, "/a.B/M")


METHOD_M = {"0": 1, "5": 1, "14": 1, "success": 1, "failure": 2, "total": 3,
            "request_message_count": 4, "response_message_count": 1}
METHOD_Y = {"0": 1, "success": 1, "total": 1, "request_message_count": 1,
            "response_message_count": 1}
METHOD_N = {"request_message_count": 2, "response_message_count": 1}


def named(method, counts):
    return {f"{method}.{name}": value for name, value in counts.items()}


def joined(*all_counts):
    names = {name for counts in all_counts for name in counts}
    return {name: sum(counts.get(name, 0) for counts in all_counts) for name in names}


@pytest.mark.parametrize("fields, expected", [
    ({"stats_for_all_methods": True},
     {**named("a.B.M", METHOD_M), **named("a.B.N", METHOD_N), **named("x.y", METHOD_Y)}),
    ({"stats_for_all_methods": True, "replace_dots_in_grpc_service_name": True},
     {**named("a_B.M", METHOD_M), **named("a_B.N", METHOD_N), **named("x.y", METHOD_Y)}),
    ({"individual_method_stats_allowlist": {"services": [
        {"name": "z", "method_names": ["z"]}, {"name": "a.B", "method_names": ["O", "M"]}]}},
     {**named("a.B.M", METHOD_M), **joined(METHOD_N, METHOD_Y)}),
    ({}, joined(METHOD_M, METHOD_N, METHOD_Y)),
    ({"stats_for_all_methods": False}, joined(METHOD_M, METHOD_N, METHOD_Y)),
], ids=["all", "dots", "listed", "none", "false"])
def test_calls_are_counted(behind, upstream, fields, expected):
    proxy = behind([stats_filter(**fields)])
    with H2Client(proxy.port()) as client:
        make_calls(client, upstream)
    assert counted(proxy) == expected


def test_time_of_calls(behind):
    proxy = behind([stats_filter(stats_for_all_methods=True, enable_upstream_stats=True)])
    with H2Client(proxy.port()) as client:
        call(client, "/S/M")
    name = "envoy_cluster_grpc_upstream_rq_time_count{envoy_grpc_bridge_method=\"M\"," \
        "envoy_grpc_bridge_service=\"S\",envoy_cluster_name=\"one\"} 1"
    wait_for(lambda: name in proxy.admin("/stats/prometheus").text.splitlines(), 20, name)


def test_methods_as_labels(behind):
    proxy = behind([stats_filter(individual_method_stats_allowlist={
        "services": [{"name": "S", "method_names": ["M"]}]})])
    with H2Client(proxy.port()) as client:
        call(client, "/S/M")
        call(client, "/S/N")
    lines = proxy.admin("/stats/prometheus").text.splitlines()
    assert "envoy_cluster_grpc_total{envoy_grpc_bridge_method=\"M\"," \
        "envoy_grpc_bridge_service=\"S\",envoy_cluster_name=\"one\"} 1" in lines
    assert "envoy_cluster_grpc_total{envoy_cluster_name=\"one\"} 1" in lines


CONNECT = ("content-type", "application/connect+json")


def test_connect_is_counted(behind, upstream):
    proxy = behind([stats_filter(stats_for_all_methods=True)])
    with H2Client(proxy.port()) as client:
        for method, end in (("good", b"{}"), ("bad", b'{"error": {"code": "internal"}}')):
            upstream.reply = H2Reply(headers=[CONNECT], body=frame(b"x") + frame(end, 2))
            call(client, f"/S/{method}", frame(b"1") + frame(b"2"), [CONNECT])
        upstream.reply = H2Reply(headers=[("content-type", "application/json")], body=b"{}")
        call(client, "/S/unary", b"{}", [("content-type", "application/json"),
                                         ("connect-protocol-version", "1")])
    assert counted(proxy) == {
        **named("S.good", {"success": 1, "total": 1, "request_message_count": 2,
                           "response_message_count": 1}),
        **named("S.bad", {"failure": 1, "total": 1, "request_message_count": 2,
                          "response_message_count": 1}),
        **named("S.unary", {"success": 1, "total": 1, "request_message_count": 1,
                            "response_message_count": 1})}


def test_state_in_the_access_log(behind, upstream, tmp_path):
    key = "envoy.filters.http.grpc_stats"
    proxy = behind([stats_filter(emit_filter_state=True)],
                   log=f"%FILTER_STATE({key})% %FILTER_STATE({key}:TYPED)% "
                       f"%FILTER_STATE({key}:PLAIN)% %FILTER_STATE({key}:PLAIN):2% "
                       f"%FILTER_STATE({key}:FIELD:request_message_count)% %FILTER_STATE(x)%\n")
    with H2Client(proxy.port()) as client:
        call(client, body=frame(b"one") + frame(b"two"))
        call(client, headers=[("content-type", "text/plain")])
        upstream.reply = H2Reply()
        call(client, headers=[("content-type", "text/plain")])
    proxy.stop()
    both, one = '{"requestMessageCount":"2","responseMessageCount":"1"}', \
        '{"responseMessageCount":"1"}'
    assert (tmp_path / "log").read_text().splitlines() == [
        f"{both} {both} 2,1 2, - -", f"{one} {one} 0,1 0, - -", "- - - - - -"]


@difference("A status is whatever the upstream writes: each text that it invents would be a "
            "statistic more, for ever.",
            envoy="cluster.NAME.grpc.SERVICE.METHOD.TEXT of any text of grpc-status",
            xylem="those that gRPC knows, 0 to 16, have their own; all others count as `other`")
def test_a_status_that_grpc_does_not_know(behind, upstream, kind):
    proxy = behind([stats_filter()])
    with H2Client(proxy.port()) as client:
        for status in ("99", "00", "zz"):
            upstream.reply = answer(trailers=[("grpc-status", status)])
            call(client)
    own = {"other": 3} if kind == "xylem" else {"99": 1, "00": 1, "zz": 1}
    assert counted(proxy) == {**own, "failure": 3, "total": 3, "request_message_count": 3}


@difference("With stats_for_all_methods clients choose the names: without a bound they choose how "
            "much memory the proxy has.",
            envoy="keeps statistics for every name, for ever",
            xylem="keeps 1,000 methods a cluster and worker, of at most 256 bytes; calls of others "
                  "count without a name and as cluster.NAME.grpc.method_limit_exceeded. Methods of "
                  "individual_method_stats_allowlist are always kept. grpc_web is bounded likewise")
def test_clients_choose_no_memory(behind, kind):
    proxy = behind([stats_filter(stats_for_all_methods=True)])
    with H2Client(proxy.port()) as client:
        for n in range(1010):
            call(client, f"/S/{n}")
        call(client, "/S/" + "x" * 300)
    seen = counted(proxy)
    methods = {name.split(".")[1] for name in seen if name.endswith(".total")}
    assert len(methods) == (1000 if kind == "xylem" else 1011)
    assert seen.get("method_limit_exceeded") == (11 if kind == "xylem" else None)
    assert sum(seen[name] for name in seen if name.endswith("total")) == 1011
