"""gRPC through the proxy, with gRPC's own client and server: the cases of its interoperability tests,
on methods whose messages are plain bytes."""
import concurrent.futures
import threading

import grpc
import pytest

from harness import bootstrap, cluster, http_listener, refused_port, route
from harness.h2peer import H2Client, H2Origin, H2Reply
from harness.waiting import wait_for

HTTP2 = {"explicit_http_config": {"http2_protocol_options": {}}}
SERVICE = "test.Echo"
DURATION = "http.ingress.downstream_rq_max_duration_reached"


class Echo(grpc.GenericRpcHandler):
    """unary: the message back; down: a message for each byte; up: all of them joined; both: one by
    one; status: the code and text that the metadata asks for; wait: until it is cancelled."""

    def __init__(self):
        self.metadata = None
        self.cancelled = threading.Event()
        self.deadline = None

    def service(self, details):
        name = details.method.rpartition("/")[2]
        handlers = {
            "unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "down": grpc.unary_stream_rpc_method_handler(self.down),
            "up": grpc.stream_unary_rpc_method_handler(self.up),
            "both": grpc.stream_stream_rpc_method_handler(self.both),
            "status": grpc.unary_unary_rpc_method_handler(self.status),
            "wait": grpc.unary_unary_rpc_method_handler(self.wait),
        }
        return handlers.get(name)

    def note(self, context):
        self.metadata = dict(context.invocation_metadata())
        self.deadline = context.time_remaining()

    def unary(self, message, context):
        self.note(context)
        if "x-echo-bin" in self.metadata:
            context.send_initial_metadata([("x-echo", self.metadata.get("x-echo", ""))])
            context.set_trailing_metadata([("x-echo-bin", self.metadata["x-echo-bin"])])
        return message

    def down(self, message, context):
        for byte in message:
            yield bytes([byte]) * 1000

    def up(self, messages, context):
        return b"".join(messages)

    def both(self, messages, context):
        yield from messages

    def status(self, message, context):
        metadata = dict(context.invocation_metadata())
        context.abort(grpc.StatusCode[metadata["code"]], metadata["text"])

    def wait(self, message, context):
        self.note(context)
        context.add_callback(self.cancelled.set)
        self.cancelled.wait(20)
        return b""


@pytest.fixture
def echo(closing):
    handler = Echo()
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((handler,))
    handler.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield handler
    handler.cancelled.set()
    server.stop(0).wait()


@pytest.fixture
def proxy(start, echo):
    return start(bootstrap([http_listener(routes=[route("/", "echo", timeout="0s")])],
                           [cluster("echo", echo.port, http=HTTP2)]))


@pytest.fixture
def channel(proxy):
    with grpc.insecure_channel(f"127.0.0.1:{proxy.port()}") as made:
        yield made


def method(channel, name):
    kind = {"down": channel.unary_stream, "up": channel.stream_unary,
            "both": channel.stream_stream}.get(name, channel.unary_unary)
    return kind(f"/{SERVICE}/{name}")


def test_empty_and_large_unary(channel):
    unary = method(channel, "unary")
    assert unary(b"", timeout=10) == b""
    large = bytes(range(256)) * 12000
    assert unary(large, timeout=20) == large


def test_streams(channel):
    assert [m[:1] for m in method(channel, "down")(b"abcde", timeout=10)] == \
        [b"a", b"b", b"c", b"d", b"e"]
    assert method(channel, "up")(iter([b"a" * 30000] * 20), timeout=10) == b"a" * 600000


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


def test_status_code_and_special_message(channel):
    text = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
    with pytest.raises(grpc.RpcError) as failed:
        method(channel, "status")(b"", timeout=10,
                                  metadata=[("code", "UNKNOWN"), ("text", "plain text")])
    assert failed.value.code() is grpc.StatusCode.UNKNOWN
    assert failed.value.details() == "plain text"
    assert text  # metadata carries ASCII alone; the bytes of grpc-message are the server's


def test_unimplemented(channel):
    with pytest.raises(grpc.RpcError) as failed:
        method(channel, "nothing")(b"", timeout=10)
    assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


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


def test_grpc_to_http1_client(proxy):
    """An HTTP/1.1 client gets the trailers too, where they are enabled; here only the answer."""
    frame = b"\0\0\0\0\2hi"
    answer = proxy.request("POST", f"/{SERVICE}/unary", body=frame,
                           headers=[("content-type", "application/grpc"), ("te", "trailers")])
    assert answer.status == 200 and answer.body == frame


def call_with(start, echo, deadline, stat, **action):
    """The status that `wait` ends with on a route with this action, which is counted there."""
    proxy = start(bootstrap([http_listener(routes=[route("/", "echo", **action)])],
                            [cluster("echo", echo.port, http=HTTP2)]))
    with grpc.insecure_channel(f"127.0.0.1:{proxy.port()}") as channel:
        for _ in range(20):
            echo.cancelled.clear()
            with pytest.raises(grpc.RpcError) as failed:
                method(channel, "wait")(b"", timeout=deadline)
            if failed.value.details() != "Deadline Exceeded":
                break  # else the server, who was told the time, too, was first
    wait_for(lambda: proxy.stats()[stat] >= 1, 10, f"{stat} after {failed.value!r}")
    return failed.value


def test_route_timeout(start, echo):
    error = call_with(start, echo, 20, "cluster.echo.upstream_rq_timeout",
                      timeout="0.2s")
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert error.details() == "upstream request timeout"


def test_grpc_timeout_header_with_a_maximum(start, echo):
    error = call_with(start, echo, 20, DURATION, timeout="0s", max_stream_duration={
        "grpc_timeout_header_max": "0.3s"})
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert error.details() == "downstream duration timeout"


def test_grpc_timeout_header_with_an_offset(start, echo):
    # The client sends what is left of its 30 s: a busy machine may eat much of the 3 that remain
    error = call_with(start, echo, 30, DURATION, timeout="0s", max_stream_duration={
        "grpc_timeout_header_max": "60s", "grpc_timeout_header_offset": "27s"})
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert error.details() == "downstream duration timeout"


def test_max_stream_duration(start, echo):
    error = call_with(start, echo, 20, DURATION, timeout="0s",
                      max_stream_duration={"max_stream_duration": "0.2s"})
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_old_grpc_timeout(start, echo):
    error = call_with(start, echo, 20, "cluster.echo.upstream_rq_timeout",
                      timeout="20s", max_grpc_timeout="0.3s")
    assert error.code() is grpc.StatusCode.UNAVAILABLE
