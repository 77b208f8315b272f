"""The cases of gRPC's interoperability tests through the proxy, with its own client and server, in plain
text and with TLS on both sides; messages are plain bytes."""
import threading

import grpc
import pytest

from harness import bootstrap, certs, cluster, http_listener, route
from harness.grpc_echo import Echo, method, serve
from harness.waiting import wait_for

HTTP2 = {"explicit_http_config": {"http2_protocol_options": {}}}


@pytest.fixture
def echo(tls, web):
    handler = Echo()
    pair = (web.key.encode(), web.chain.encode())
    server = serve(handler, grpc.ssl_server_credentials([pair]) if tls else None)
    yield handler
    handler.cancelled.set()
    server.stop(0).wait()


@pytest.fixture
def proxy(start, echo, tls, ca, web):
    listener = http_listener(routes=[route("/", "echo", timeout="0s")])
    upstream = cluster("echo", echo.port, http=HTTP2)
    if tls:
        listener["filter_chains"][0]["transport_socket"] = certs.downstream(
            web, alpn_protocols=["h2"])
        upstream["transport_socket"] = certs.upstream(
            outer={"sni": "a.test"}, validation_context=ca.validation_context())
    return start(bootstrap([listener], [upstream]))


@pytest.fixture
def channel(proxy, tls, ca):
    address = f"127.0.0.1:{proxy.port()}"
    if tls:
        made = grpc.secure_channel(
            address, grpc.ssl_channel_credentials(ca.pem.encode()),
            [("grpc.ssl_target_name_override", "a.test")])
    else:
        made = grpc.insecure_channel(address)
    with made:
        yield made


def test_empty_and_large_unary(channel):
    unary = method(channel, "unary")
    assert unary(b"", timeout=10) == b""
    large = bytes(range(256)) * 12000
    assert unary(large, timeout=20) == large


def test_streams(channel):
    assert [m[:1] for m in method(channel, "down")(b"abcde", timeout=10)] == \
        [b"a", b"b", b"c", b"d", b"e"]
    assert method(channel, "up")(iter([b"a" * 30000] * 20), timeout=10) == b"a" * 600000


def test_empty_stream(channel):
    assert not list(method(channel, "both")(iter([]), timeout=10))


def test_ping_pong(channel):
    ready = [threading.Event() for _ in range(6)]

    def messages():
        for n in range(5):
            ready[n].wait(10)
            yield b"%d" % n

    ready[0].set()
    for n, answer in enumerate(method(channel, "both")(messages(), timeout=20)):
        assert answer == b"%d" % n
        ready[n + 1].set()


def test_metadata(channel, echo):
    answer, call = method(channel, "unary").with_call(
        b"m", timeout=10, metadata=[("x-echo", "text"), ("x-echo-bin", b"\0\xff\1")])
    assert answer == b"m"
    assert dict(call.initial_metadata())["x-echo"] == "text"
    assert dict(call.trailing_metadata())["x-echo-bin"] == b"\0\xff\1"
    assert echo.metadata["te"] == "trailers" if "te" in echo.metadata else True


def test_status_codes(channel):
    for code in grpc.StatusCode:
        if code is grpc.StatusCode.OK:
            continue
        with pytest.raises(grpc.RpcError) as failed:
            method(channel, "status")(b"plain text", timeout=10, metadata=[("code", code.name)])
        assert failed.value.code() is code
        assert failed.value.details() == "plain text"


def test_special_message(channel):
    text = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
    with pytest.raises(grpc.RpcError) as failed:
        method(channel, "status")(text.encode(), timeout=10, metadata=[("code", "UNKNOWN")])
    assert failed.value.code() is grpc.StatusCode.UNKNOWN
    assert failed.value.details() == text


def test_unimplemented_method_and_service(channel):
    for service in ("test.Echo", "test.Nothing"):
        with pytest.raises(grpc.RpcError) as failed:
            method(channel, "nothing", service)(b"", timeout=10)
        assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_cancel_after_begin(channel, echo):
    held = threading.Event()

    def messages():
        held.wait(10)
        yield b"never"

    call = method(channel, "both")(messages(), timeout=20)
    wait_for(lambda: echo.metadata is not None, 10, "the call at the server")
    call.cancel()
    assert call.code() is grpc.StatusCode.CANCELLED
    assert echo.cancelled.wait(10)
    held.set()


def test_cancel_after_first_response(channel, echo):
    held = threading.Event()

    def messages():
        yield b"one"
        held.wait(10)

    call = method(channel, "both")(messages(), timeout=20)
    assert next(call) == b"one"
    call.cancel()
    assert call.code() is grpc.StatusCode.CANCELLED
    assert echo.cancelled.wait(10)
    held.set()


def test_cancel(channel, echo):
    call = method(channel, "wait").future(b"", timeout=20)
    wait_for(lambda: echo.metadata is not None, 10, "the call at the server")
    call.cancel()
    assert echo.cancelled.wait(10)
    assert method(channel, "unary")(b"x", timeout=10) == b"x"


def test_deadline(channel, echo):
    with pytest.raises(grpc.RpcError) as failed:
        method(channel, "wait")(b"", timeout=0.3)
    assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert echo.cancelled.wait(10)


def test_many_calls_at_once(channel, proxy):
    unary = method(channel, "unary")
    calls = [unary.future(b"%d" % n, timeout=20) for n in range(200)]
    assert [c.result() for c in calls] == [b"%d" % n for n in range(200)]
    assert proxy.stats()["cluster.echo.upstream_rq_total"] == 200
