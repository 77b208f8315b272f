"""What a proxy knows of gRPC: the operators of access logs, and the filters grpc_stats, grpc_web and
grpc_http1_bridge."""
import struct
from base64 import b64encode

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


# ---- grpc_web ----

WEB, WEB_TEXT = "application/grpc-web", "application/grpc-web-text"
EXTENSION = "type.googleapis.com/envoy.extensions.filters.http."


def web_filter():
    return {"name": "envoy.filters.http.grpc_web",
            "typed_config": {"@type": EXTENSION + "grpc_web.v3.GrpcWeb"}}


@pytest.fixture(params=["http1", "http2"])
def web(request, behind, tmp_path):
    """web(type, accept, body): the answer to a call from a browser of this version of HTTP."""
    proxy = behind([web_filter()], log="%RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %GRPC_STATUS% "
                                       "%REQ(CONTENT-TYPE)% %TRAILER(GRPC-STATUS)%\n")

    def run(content_type=WEB, accept=None, body=frame(b"one"), path="/a.B/M", more=()):
        headers = [("content-type", content_type), *more]
        if accept:
            headers.append(("accept", accept))
        client = proxy.client() if request.param == "http1" else H2Client(proxy.port())
        with client:
            return client.request("POST", path, headers=headers, body=body)

    def read():
        proxy.stop()
        return (tmp_path / "log").read_text().splitlines()
    run.proxy, run.read = proxy, read
    return run


def base64(*frames):
    return b"".join(b64encode(f) for f in frames)


END = frame(b"grpc-status:0\r\nx-t:1\r\n", 0x80)
FULL = answer(b"hello", b"you", trailers=[("grpc-status", "0"), ("x-t", "1")])


@pytest.mark.parametrize("content_type", [WEB, WEB + "+proto"])
def test_web_binary(web, upstream, content_type):
    upstream.reply = FULL
    got = web(content_type, body=frame(b"one") + frame(b"two"))
    assert (got.status, got.header("content-type")) == (200, WEB + "+proto")
    assert got.body == frame(b"hello") + frame(b"you") + END
    assert not got.trailers and got.header("grpc-status") is None
    sent = upstream.last
    assert sent.body == frame(b"one") + frame(b"two")
    assert sent.header("content-type") == "application/grpc"
    assert sent.header("te") == "trailers"
    assert sent.header("grpc-accept-encoding") == "identity"
    assert sent.header("content-length") is None


@pytest.mark.parametrize("text", [WEB_TEXT, WEB_TEXT + "+proto"])
def test_web_text(web, upstream, text):
    upstream.reply = FULL
    got = web(text, text, base64(frame(b"one!") + frame(b"two")))
    assert got.header("content-type") == WEB_TEXT + "+proto"
    assert got.body == base64(frame(b"hello"), frame(b"you"), END)
    assert upstream.last.body == frame(b"one!") + frame(b"two")
    got = web(text, "*/*", b"", more=[("grpc-accept-encoding", "gzip")])
    assert got.header("content-type") == WEB + "+proto"
    assert got.body == frame(b"hello") + frame(b"you") + END
    assert upstream.last.header("grpc-accept-encoding") == "gzip"
    got = web(WEB, text)
    assert got.body == base64(frame(b"hello"), frame(b"you"), END)


def test_web_large_text(web, upstream):
    large = bytes(range(256)) * 4000
    upstream.reply = answer(large)
    got = web(WEB_TEXT, WEB_TEXT, base64(frame(large)))
    assert upstream.last.body == frame(large)
    assert got.body == base64(frame(large), frame(b"grpc-status:0\r\n", 0x80))


def test_web_text_byte_by_byte(behind, upstream):
    proxy = behind([web_filter()])
    text = base64(frame(b"one!"))
    with proxy.client() as client:
        client.write_request("POST", "/a.B/M", headers=[
            ("content-type", WEB_TEXT), ("transfer-encoding", "chunked")])
        for at in range(len(text)):
            client.send(b"1\r\n%c\r\n" % text[at])
        client.send(b"0\r\n\r\n")
        assert client.response("POST").status == 200
    assert upstream.last.body == frame(b"one!")


@pytest.mark.parametrize("body, size", [
    (b"!!!!", False), (b"AAA", True), (b"AAAAA", True), (b"AAF=", False), (b"A===", False)])
def test_web_bad_text(web, body, size):
    got = web(WEB_TEXT, WEB_TEXT, body)
    assert (got.status, got.body) == (400, b"")
    assert got.header("content-type") == WEB_TEXT + "+proto"
    assert got.header("grpc-status") == "13"
    assert got.header("grpc-message") == "Bad gRPC-web request, invalid base64 data."
    assert got.header("content-length") == "0"
    details = "grpc_base_64_decode_failed" + ("_bad_size" if size else "")
    assert web.read() == [f"400 {details} Internal application/grpc -"]


def test_web_other_types_pass(web, upstream):
    for content_type in (WEB + "+json", WEB + "; x", "application/grpc", "text/plain"):
        got = web(content_type, WEB_TEXT)
        assert got.header("content-type") == "application/grpc"
        assert got.body == frame(b"hello")
        assert upstream.last.header("content-type") == content_type
    assert not counted(web.proxy, "grpc-web")


def test_web_answers_that_are_not_grpc(web, upstream):
    rows = [(H2Reply(503, [("content-type", "text/plain"), ("content-length", "9")], b"some%text"),
             "14", "some%25text"),
            (H2Reply(500, [], b"foo", [("x", "y")]), "2", "foo"),
            (H2Reply(200, [("content-type", "text/html")], b"<>"), "2", "<>"),
            (H2Reply(403, [("content-type", "application/grpc")], b"\xff"), "7", "%FF"),
            (H2Reply(404, [], b""), None, None),
            (H2Reply(reset=8), "14", "upstream connect error or disconnect/reset before headers. "
                                     "reset reason: remote reset")]
    for reply, status, message in rows:
        upstream.reply = reply
        got = web(WEB)
        assert got.status == (503 if reply.reset else reply.status)
        assert got.header("content-type") == WEB + "+proto"
        assert (got.header("grpc-status"), got.header("grpc-message")) == (status, message)
        assert got.body == b""


def test_web_long_answer_that_is_not_grpc(web, upstream):
    upstream.reply = H2Reply(200, [("content-type", "text/html")], b"x" * 100000)
    assert web(WEB).header("grpc-message") == "x" * 16384


def test_web_trailers_only(web, upstream):
    upstream.reply = answer(headers=(GRPC, ("grpc-status", "7"), ("grpc-message", "no")),
                            trailers=None)
    got = web(WEB_TEXT, WEB_TEXT, b"")
    assert (got.status, got.body) == (200, b"")
    assert got.header("content-type") == WEB_TEXT + "+proto"
    assert (got.header("grpc-status"), got.header("grpc-message")) == ("7", "no")


def test_web_server_of_its_own(web, upstream):
    body = frame(b"x") + frame(b"grpc-status:0\r\n", 0x80)
    upstream.reply = H2Reply(200, [("content-type", "application/GRPC-web+proto ;x")], body)
    got = web(WEB)
    assert got.body == body and got.header("content-type") == WEB + "+proto"


def test_web_statistics_and_log(web, upstream):
    upstream.reply = FULL
    web()
    upstream.reply = answer(b"x", trailers=[("grpc-status", "3")])
    web(path="//a.B//M?x")
    web(path="/only")
    upstream.reply = answer(headers=(GRPC, ("grpc-status", "7")), trailers=None)
    web()
    assert counted(web.proxy, "grpc-web") == named("a.B.M", {
        "0": 1, "3": 1, "7": 1, "success": 1, "failure": 2, "total": 3})
    assert web.read() == ["200 via_upstream Unknown application/grpc -"] * 3 + \
        ["200 via_upstream PermissionDenied application/grpc -"]


@difference("Clients that make base64 frame by frame put one padded text after the other; whether that "
            "is read must not hang on how the network cuts it.",
            envoy="reads padding inside of a body where a read happens to end after it, else refuses "
                  "the body",
            xylem="reads it wherever a text ends")
def test_web_text_of_several_texts(web, upstream, kind):
    got = web(WEB_TEXT, WEB_TEXT, base64(frame(b"ab"), frame(b"c")))
    assert got.status == (200 if kind == "xylem" else 400)
    if kind == "xylem":
        assert upstream.last.body == frame(b"ab") + frame(b"c")


@difference("What the client asked for in base64 must be base64.",
            envoy="passes on the bytes of a frame whose flag gRPC does not know, then repeats some "
                  "of them in base64",
            xylem="writes every frame in base64")
def test_web_text_of_a_strange_frame(web, upstream, kind):
    upstream.reply = H2Reply(200, [GRPC], frame(b"x") + frame(b"y", 4))
    got = web(WEB_TEXT, WEB_TEXT, b"")
    written = base64(frame(b"x"), frame(b"y", 4))
    assert (got.body == written) == (kind == "xylem")


# ---- grpc_http1_bridge ----

def bridge_filter(**fields):
    return {"name": "envoy.filters.http.grpc_http1_bridge", "typed_config": {
        "@type": EXTENSION + "grpc_http1_bridge.v3.Config", **fields}}


PROTOBUF = ("content-type", "application/x-protobuf")


def post(proxy, body=frame(b"one"), headers=(GRPC,), path="/a.B/M?x=1"):
    return proxy.request("POST", path, headers=list(headers), body=body)


def test_bridge(behind, upstream):
    proxy = behind([bridge_filter()])
    rows = [(answer(b"hello", b"x"), 200, "0", None),
            (answer(trailers=[("grpc-status", "13"), ("grpc-message", "bad")]), 503, "13", "bad"),
            (answer(b"a", trailers=[("grpc-status", "x")]), 503, "x", None),
            (answer(b"a", trailers=[("x", "y")]), 200, None, None)]
    for upstream.reply, status, grpc_status, message in rows:
        got = post(proxy)
        assert got.status == status and got.body == upstream.reply.body
        assert got.header("content-length") == str(len(upstream.reply.body))
        assert (got.header("grpc-status"), got.header("grpc-message")) == (grpc_status, message)
        assert upstream.last.header(":path") == "/a.B/M?x=1"
        assert upstream.last.body == frame(b"one")
    assert not counted(proxy)


def test_bridge_passes_what_is_complete(behind, upstream):
    proxy = behind([bridge_filter()])
    upstream.reply = answer(headers=(GRPC, ("grpc-status", "7")), trailers=None)
    got = post(proxy)
    assert (got.status, got.header("grpc-status"), got.body) == (200, "7", b"")
    upstream.reply = H2Reply(503, [("content-type", "text/plain")], b"sorry")
    got = post(proxy)
    assert (got.status, got.header("grpc-status"), got.body) == (503, None, b"sorry")
    upstream.reply = H2Reply(reset=8)
    got = post(proxy)
    assert (got.status, got.header("grpc-status")) == (200, "14")


def test_bridge_is_for_http1_and_grpc(behind, upstream):
    proxy = behind([bridge_filter()])
    upstream.reply = answer(b"x", trailers=[("grpc-status", "13")])
    with H2Client(proxy.port()) as client:
        got = call(client)
    assert (got.status, got.trailers) == (200, [("grpc-status", "13")])
    got = post(proxy, headers=[("content-type", "text/plain")])
    assert (got.status, got.header("grpc-status")) == (200, None)
    got = post(proxy, b"abc", [PROTOBUF])
    assert upstream.last.body == b"abc"
    assert upstream.last.header("content-type") == "application/x-protobuf"


def test_bridge_frames_protobuf(behind, upstream):
    proxy = behind([bridge_filter(upgrade_protobuf_to_grpc=True)])
    upstream.reply = answer(b"hello")
    got = post(proxy, b"abcdef", [PROTOBUF])
    assert (got.status, got.body, got.header("grpc-status")) == (200, b"hello", "0")
    assert got.header("content-length") == "5"
    assert upstream.last.body == frame(b"abcdef")
    assert upstream.last.header("content-type") == "application/grpc"
    assert upstream.last.header("content-length") is None
    large = bytes(range(256)) * 2000
    upstream.reply = answer(large)
    got = post(proxy, large, [PROTOBUF])
    assert got.body == large and upstream.last.body == frame(large)
    upstream.reply = answer(b"a", b"b")
    assert post(proxy, b"x", [PROTOBUF]).body == b"a" + frame(b"b")
    upstream.reply = H2Reply(503, [("content-type", "text/plain")], b"sorry about it")
    assert post(proxy, b"x", [PROTOBUF]).body == b"sorry about it"
    assert post(proxy, frame(b"own")).status == 503
    assert upstream.last.body == frame(b"own")


def test_bridge_takes_the_route_of_grpc(behind, upstream):
    proxy = behind([bridge_filter(upgrade_protobuf_to_grpc=True)], routes=[
        route(match={"prefix": "/", "grpc": {}}, to="one"), direct(404, "no route")])
    upstream.reply = answer(b"x")
    assert post(proxy, b"x", [PROTOBUF]).body == b"x"
    assert post(proxy, b"x", [("content-type", "text/plain")]).status == 404


def test_bridge_ignores_the_query(behind, upstream):
    proxy = behind([bridge_filter(upgrade_protobuf_to_grpc=True, ignore_query_parameters=True)],
                   routes=[route(match={"prefix": "/a.B", "query_parameters": [
                       {"name": "x", "string_match": {"exact": "1"}}]}, to="one"),
                           direct(404, "no route")])
    assert post(proxy).status == 200
    assert upstream.last.header(":path") == "/a.B/M"
    with H2Client(proxy.port()) as client:
        call(client, "/a.B/M?x=1")
    assert upstream.last.header(":path") == "/a.B/M?x=1"


@difference("A body without frames that is called gRPC is one that no server can read.",
            envoy="calls the body of an HTTP/2 client application/grpc and adds no frame",
            xylem="leaves clients of HTTP/2 alone, whom the filter does not serve")
def test_bridge_upgrades_http1_alone(behind, upstream, kind):
    proxy = behind([bridge_filter(upgrade_protobuf_to_grpc=True)])
    with H2Client(proxy.port()) as client:
        call(client, body=b"abc", headers=[PROTOBUF])
    assert upstream.last.body == b"abc"
    assert upstream.last.header("content-type") == \
        ("application/x-protobuf" if kind == "xylem" else "application/grpc")


@difference("Only a body of gRPC begins with the five bytes that are not the client's.",
            envoy="cuts five bytes off the front of any answer to an upgraded request that comes in "
                  "more than one piece",
            xylem="cuts them off an answer of gRPC")
def test_bridge_cuts_frames_alone(behind, upstream, kind):
    proxy = behind([bridge_filter(upgrade_protobuf_to_grpc=True)])
    body = b"12345" + b"x" * 40000
    upstream.reply = H2Reply(503, [("content-type", "text/plain")], body)
    got = post(proxy, b"abc", [PROTOBUF])
    assert got.body == (body if kind == "xylem" else body[5:])


FAILED = "upstream connect error or disconnect/reset before headers. reset reason: remote reset"


def test_answers_that_fail_while_they_are_held(behind, upstream, tmp_path):
    """Of what a filter still collects nothing was sent: the client hears of the failure."""
    proxy = behind([web_filter(), bridge_filter(upgrade_protobuf_to_grpc=True)],
                   "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %BYTES_SENT%\n",
                   routes=[route("/slow", "one", timeout="0.3s"), route("/", "one")])
    html = ("content-type", "text/html")
    upstream.reply = H2Reply(200, [GRPC, ("x", "1")], frame(b"hel"), reset=8, partial=True)
    seen = [post(proxy, b"abc", [PROTOBUF]), post(proxy)]
    upstream.reply = H2Reply(200, [html, ("x", "1")], b"<p", reset=8, partial=True)
    seen.append(post(proxy, headers=[("content-type", WEB)]))
    upstream.reply = H2Reply(200, [GRPC, ("x", "1")], frame(b"hel"), open=True)
    seen += [post(proxy, b"abc", [PROTOBUF], "/slow"), post(proxy, path="/slow")]
    upstream.reply = H2Reply(200, [html, ("x", "1")], b"<p", open=True)
    seen.append(post(proxy, headers=[("content-type", WEB)], path="/slow"))
    late = "upstream request timeout"
    assert [(s.status, s.header("grpc-status"), s.body.decode()) for s in seen] == [
        (503, None, FAILED), (200, "14", ""), (503, None, FAILED),
        (504, None, late), (200, "14", ""), (504, None, late)]
    assert [s.header("x") for s in seen] == [None] * 6
    assert seen[1].header("grpc-message") == FAILED
    assert proxy.stat("http.ingress.downstream_rq_tx_reset") == 0
    proxy.stop()
    reset, slow = "UR upstream_reset_after_response_started{remote_reset}", "UT response_timeout"
    assert (tmp_path / "log").read_text().splitlines() == [
        f"503 {reset} {len(FAILED)}", f"200 {reset} 0", f"503 {reset} {len(FAILED)}",
        f"504 {slow} {len(late)}", f"200 {slow} 0", f"504 {slow} {len(late)}"]
