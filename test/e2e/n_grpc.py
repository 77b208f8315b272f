"""gRPC through the proxy: what the proxy itself says of calls, and how long they may take."""
import grpc
import pytest

from harness import bootstrap, cluster, direct, http_listener, refused_port, route
from harness.grpc_echo import SERVICE, Echo, method, serve
from harness.h2peer import H2Client, H2Origin, H2Reply
from harness.waiting import wait_for

HTTP2 = {"explicit_http_config": {"http2_protocol_options": {}}}
DURATION = "http.ingress.downstream_rq_max_duration_reached"


@pytest.fixture
def echo(closing):
    handler = Echo()
    server = serve(handler)
    yield handler
    handler.cancelled.set()
    server.stop(0).wait()


@pytest.fixture
def proxy(start, echo):
    return start(bootstrap([http_listener(routes=[route("/", "echo", timeout="0s")])],
                           [cluster("echo", echo.port, http=HTTP2)]))


def test_local_reply_is_a_grpc_status(start, closing):
    port, kept = refused_port()
    closing(kept)
    proxy = start(bootstrap([http_listener(routes=[route("/test", "down")])],
                            [cluster("down", port, http=HTTP2)]))
    with grpc.insecure_channel(f"127.0.0.1:{proxy.port()}") as channel:
        with pytest.raises(grpc.RpcError) as failed:
            method(channel, "unary")(b"", timeout=10)
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "reset reason" in failed.value.details()
    with H2Client(proxy.port()) as client:
        answer = client.request("POST", "/nowhere", [("content-type", "application/grpc")], b"")
        assert answer.status == 200 and answer.trailers is None
        assert answer.header("content-type") == "application/grpc"
        assert answer.header("grpc-status") == "12"     # no route: unimplemented
        assert answer.body == b""


def test_trailers_only_answer(start, closing):
    origin = closing(H2Origin())
    origin.reply = H2Reply(headers=[("content-type", "application/grpc"), ("grpc-status", "5"),
                                    ("grpc-message", "gone")], body=b"")
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")])],
                            [cluster("one", origin, http=HTTP2)]))
    with grpc.insecure_channel(f"127.0.0.1:{proxy.port()}") as channel:
        with pytest.raises(grpc.RpcError) as failed:
            method(channel, "unary")(b"", timeout=10)
    assert failed.value.code() is grpc.StatusCode.NOT_FOUND
    assert failed.value.details() == "gone"


def call_of(**kw):
    return H2Reply(**{"headers": [("content-type", "application/grpc")], "body": b"x", **kw})


def only_trailers(status):
    return call_of(headers=[("content-type", "application/grpc"), ("grpc-status", status)], body=b"")


ENDS = {
    "ok": (call_of(trailers=[("grpc-status", "0")]), "success"),
    "the client's fault": (call_of(trailers=[("grpc-status", "5")]), "success"),
    "the server's fault": (call_of(trailers=[("grpc-status", "13")]), "error"),
    "unknown": (call_of(trailers=[("grpc-status", "2")]), "error"),
    "no number": (call_of(trailers=[("grpc-status", "x")]), "error"),
    "no number of gRPC": (call_of(trailers=[("grpc-status", "17")]), "error"),
    "empty": (call_of(trailers=[("grpc-status", "")]), "error"),
    "trailers of something else": (call_of(trailers=[("a", "0")]), "error"),
    "no trailers": (call_of(), "error"),
    "trailers alone, 0": (only_trailers("0"), "success"),
    "trailers alone, 5": (only_trailers("5"), "success"),
    "trailers alone, 14": (only_trailers("14"), "error"),
    "head alone": (call_of(body=b""), "error"),
    "500": (call_of(status=500, trailers=[("grpc-status", "0")]), "error"),
    "404": (call_of(status=404, trailers=[("grpc-status", "0")]), "success"),
    "reset": (call_of(reset=8), "error"),
    "reset in the body": (call_of(reset=8, partial=True), "error"),
    "timeout": (H2Reply(never=True), "error"),
    "timeout in the body": (call_of(open=True), None),
}


@pytest.mark.parametrize("case", ENDS)
def test_what_a_call_says_of_its_host(start, closing, case):
    """Its end counts, and not the status of HTTP, which is 200 for most errors."""
    origin = closing(H2Origin())
    origin.reply, counted = ENDS[case]
    proxy = start(bootstrap([http_listener(routes=[route("/", "one", timeout="0.5s")])],
                            [cluster("one", origin, http=HTTP2)]))
    with H2Client(proxy.port()) as client:
        client.request("POST", "/a.b/c", [("content-type", "application/grpc")], b"")
    page = proxy.admin("/clusters").text
    said = {kind: int(page.split(f"::rq_{kind}::")[1].split("\n")[0]) for kind in ("success", "error")}
    assert said == {"success": int(counted == "success"), "error": int(counted == "error")}
    assert proxy.stat("http.ingress.rq_reset_after_downstream_response_started") == (
        case == "reset in the body")


def test_grpc_to_http1_client(proxy):
    """An HTTP/1.1 client gets the trailers too, where they are enabled; here only the answer."""
    frame = b"\0\0\0\0\2hi"
    answer = proxy.request("POST", f"/{SERVICE}/unary", body=frame,
                           headers=[("content-type", "application/grpc"), ("te", "trailers")])
    assert answer.status == 200 and answer.body == frame


def call_with(start, closing, deadline, stat, **action):
    """The status of a call that is never answered, on a route with this action, which is counted there.
    A server of gRPC, who is told the time too, might be first."""
    silent = closing(H2Origin())
    silent.reply = H2Reply(never=True)
    proxy = start(bootstrap([http_listener(routes=[route("/", "echo", **action)])],
                            [cluster("echo", silent, http=HTTP2)]))
    with grpc.insecure_channel(f"127.0.0.1:{proxy.port()}") as channel:
        with pytest.raises(grpc.RpcError) as failed:
            method(channel, "wait")(b"", timeout=deadline)
    wait_for(lambda: proxy.stats()[stat] >= 1, 10, f"{stat} after {failed.value!r}")
    return failed.value


def test_route_timeout(start, closing):
    error = call_with(start, closing, 20, "cluster.echo.upstream_rq_timeout",
                      timeout="0.2s")
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert error.details() == "upstream request timeout"


def test_grpc_timeout_header_with_a_maximum(start, closing):
    error = call_with(start, closing, 20, DURATION, timeout="0s", max_stream_duration={
        "grpc_timeout_header_max": "0.3s"})
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert error.details() == "downstream duration timeout"


def test_grpc_timeout_header_with_an_offset(start, closing):
    # The client sends what is left of its 30 s: a busy machine may eat much of the 6 that remain
    error = call_with(start, closing, 30, DURATION, timeout="0s", max_stream_duration={
        "grpc_timeout_header_max": "60s", "grpc_timeout_header_offset": "24s"})
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert error.details() == "downstream duration timeout"


@pytest.mark.parametrize("timeout, limits", [
    ("0m", {"grpc_timeout_header_max": "0s"}),
    ("500m", {"grpc_timeout_header_max": "3s", "grpc_timeout_header_offset": "1s"})])
def test_deadline_that_is_over(start, closing, kind, timeout, limits):
    """However quick the origin is, which may see that there is no time. A quick one may overtake the
    timer of Envoy, so that it has one that never answers."""
    origin = closing(H2Origin())
    origin.reply = H2Reply(never=kind == "envoy")
    proxy = start(bootstrap([http_listener(routes=[
        route("/", "one", max_stream_duration=limits)])], [cluster("one", origin, http=HTTP2)]))
    with H2Client(proxy.port()) as client:
        answer = client.request("POST", "/a.b/c", [("content-type", "application/grpc"),
                                                   ("grpc-timeout", timeout)], b"")
    assert (answer.status, answer.header("grpc-status")) == (200, "4")
    assert all(request.header("grpc-timeout") == "0m" for request in origin.requests)


def test_max_stream_duration(start, closing):
    error = call_with(start, closing, 20, DURATION, timeout="0s",
                      max_stream_duration={"max_stream_duration": "0.2s"})
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_max_stream_duration_of_the_manager(start, echo):
    """It counts where the route has none of its own."""
    proxy = start(bootstrap([http_listener(
        routes=[route("/", "echo", timeout="0s")],
        common_http_protocol_options={"max_stream_duration": "0.3s"})],
        [cluster("echo", echo.port, http=HTTP2)]))
    with grpc.insecure_channel(f"127.0.0.1:{proxy.port()}") as channel:
        with pytest.raises(grpc.RpcError) as failed:
            method(channel, "wait")(b"", timeout=20)
    assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert failed.value.details() == "downstream duration timeout"
    proxy.wait_stat(DURATION, 1)


def test_the_route_takes_the_managers_duration_away(start, echo):
    proxy = start(bootstrap([http_listener(
        routes=[route("/", "echo", timeout="0.6s", max_stream_duration={
            "max_stream_duration": "0s"})],
        common_http_protocol_options={"max_stream_duration": "0.3s"})],
        [cluster("echo", echo.port, http=HTTP2)]))
    with grpc.insecure_channel(f"127.0.0.1:{proxy.port()}") as channel:
        with pytest.raises(grpc.RpcError) as failed:
            method(channel, "wait")(b"", timeout=2)
    assert failed.value.details() in ("Deadline Exceeded", "upstream request timeout")
    assert proxy.stat(DURATION) == 0


def test_local_reply_to_head_has_no_message(start):
    """It stands for the body."""
    proxy = start(bootstrap([http_listener(routes=[direct(503, "no", prefix="/")])]))
    for method_name, message in [("HEAD", None), ("GET", "no")]:
        answer = proxy.request(method_name, "/", headers={"content-type": "application/grpc"})
        assert (answer.status, answer.header("grpc-status")) == (200, "14")
        assert answer.header("grpc-message") == message


BOTH = {"max_stream_duration": "7s", "grpc_timeout_header_max": "5s"}
ANY = {"grpc_timeout_header_max": "0s"}


@pytest.mark.parametrize("route_max, manager_max, sent, told", [
    (BOTH, None, None, "7000m"), (BOTH, None, "2S", "2000m"), (BOTH, None, "1H", "5000m"),
    (BOTH, None, "x", "7000m"), ({"max_stream_duration": "7s"}, None, "2S", "7000m"),
    ({"max_stream_duration": "0s"}, None, "2S", "2S"), ({"max_stream_duration": "0s"}, "9s", "2S", None),
    ({}, None, "2S", "2S"),
    ({}, "9s", "2S", "9000m"), (ANY, "9s", None, "9000m"), (ANY, "9s", "1H", "3600000m"),
    (ANY, None, None, None), (ANY, None, "x", "x"), (ANY, None, "99999999u", "100000m"),
    ({"grpc_timeout_header_max": "5s", "grpc_timeout_header_offset": "1s"}, None, "1H", "4000m"),
    (ANY, None, "+1S", "1000m"), (ANY, None, "1 S", "1000m"), (ANY, None, "000000001S", "1000m"),
    (ANY, None, "999999999u", "999999999u"), (ANY, None, "99999999H", "99999999H"),
    (ANY, None, "9999999H", "9999999H"),
    (None, "9s", "2S", "2S")])
def test_server_is_told_how_long_the_call_may_last(start, origin, route_max, manager_max, sent, told):
    """By grpc-timeout; a route with max_stream_duration, whatever is in it, has no other timeout."""
    common = {"common_http_protocol_options": {"max_stream_duration": manager_max}}
    action = {} if route_max is None else {"max_stream_duration": route_max}
    proxy = start(bootstrap([http_listener(routes=[route("/", "one", **action)],
                                           **(common if manager_max else {}))],
                            [cluster("one", origin)]))
    for kind, seen in [("application/grpc", told), ("text/plain", sent)]:
        headers = {"content-type": kind, **({"grpc-timeout": sent} if sent else {})}
        assert proxy.request("POST", "/", headers=headers, body=b"").status == 200
        assert origin.last.header("grpc-timeout") == seen
        assert (origin.last.header("x-envoy-expected-rq-timeout-ms") is None) == (
            route_max is not None)


def test_health_check_calls_pass(start, echo, closing):
    """A gRPC health check by a client is a request like any other."""
    proxy = start(bootstrap([http_listener(routes=[route("/", "echo")])],
                            [cluster("echo", echo.port, http=HTTP2)]))
    with grpc.insecure_channel(f"127.0.0.1:{proxy.port()}") as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        with pytest.raises(grpc.RpcError) as failed:
            check(b"", timeout=10)
    assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED  # so says the server
    assert proxy.stat("cluster.echo.upstream_rq_total") == 1


def test_old_grpc_timeout(start, closing):
    error = call_with(start, closing, 20, "cluster.echo.upstream_rq_timeout",
                      timeout="20s", max_grpc_timeout="0.3s")
    assert error.code() is grpc.StatusCode.UNAVAILABLE
