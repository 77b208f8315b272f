"""Retries over HTTP/2 and of tunnels; what becomes of a stream that the upstream has refused."""
import pytest

from harness import bootstrap, cluster, difference, http_listener, route, wait_for
from harness.config import file_log, vhost
from harness.h2peer import H2Client, H2Origin, H2Reply
from harness.tunnels import RawOrigin

HTTP2 = {"explicit_http_config": {"http2_protocol_options": {}}}
LOG = "%RESPONSE_CODE% %RESPONSE_FLAGS% %UPSTREAM_REQUEST_ATTEMPT_COUNT%\n"
REFUSED = 7
ENOUGH = 4      # times: the first one, and three more on Xylem's own account


class Setup:
    def __init__(self, start, tmp_path, origin, policy, http=HTTP2, match=None, **action):
        self.log = tmp_path / "log"
        if policy is not None:
            action["retry_policy"] = {"retry_back_off": {"base_interval": "0.001s"}, **policy}
        match = match or {"prefix": "/"}
        ingress = http_listener(
            vhosts=[vhost("v", ["*"], route(match=match, to="one", **action),
                          include_request_attempt_count=True)],
            access_log=[file_log(self.log, LOG)],
            http2_protocol_options={"allow_connect": True},
            upgrade_configs=[{"upgrade_type": "websocket"}, {"upgrade_type": "CONNECT"}])
        self.proxy = start(bootstrap([ingress], [cluster("one", origin, http=http)]))

    def stat(self, name):
        return self.proxy.stats().get("cluster.one." + name)

    def h2(self):
        return H2Client(self.proxy.port())

    def lines(self):
        self.proxy.stop()
        return self.log.read_text().splitlines()


@pytest.fixture
def h2_origin(closing):
    return closing(H2Origin())


@pytest.fixture
def setup(start, tmp_path, h2_origin):
    def make(policy=None, origin=None, **kw):
        return Setup(start, tmp_path, origin or h2_origin, policy, **kw)
    return make


def counts(origin):
    return [r.header("x-envoy-attempt-count") for r in origin.requests]


@pytest.mark.parametrize("words", ["refused-stream", "5xx", "reset", "gateway-error"])
def test_refused_stream_is_retried(setup, h2_origin, words):
    s = setup({"retry_on": words})
    h2_origin.queue = [H2Reply(reset=REFUSED)]
    with s.h2() as client:
        answer = client.request("POST", "/", body=b"x" * 100000)
    assert (answer.status, answer.body) == (200, b"origin")
    assert [len(r.body) for r in h2_origin.requests] == [100000] * 2
    assert counts(h2_origin) == ["1", "2"]
    assert s.stat("upstream_rq_retry") == 1 and s.stat("upstream_cx_total") == 1
    assert s.lines() == ["200 - 2"]


@difference("What the origin says that it has not touched can go out once more at no risk, without a "
            "policy that asks for it (RFC 9113 8.7), as long as none of its body is gone.",
            envoy="503, unless the policy has refused-stream",
            xylem="sends it again, up to three times")
@pytest.mark.parametrize("policy", [None, {"retry_on": "retriable-4xx"}])
@pytest.mark.parametrize("trailers", [None, [("x-t", "v")]])
def test_refused_stream_goes_out_again(setup, h2_origin, policy, trailers, kind):
    s = setup(policy)
    h2_origin.queue = [H2Reply(reset=REFUSED)]
    with s.h2() as client:
        answer = client.request("POST", "/", trailers=trailers)
    if kind == "envoy":
        assert answer.status == 503
        return
    assert (answer.status, answer.body) == (200, b"origin")
    assert [r.trailers for r in h2_origin.requests] == [trailers] * 2
    assert counts(h2_origin) == ["1", "1"] and s.stat("upstream_rq_retry") == 0
    assert s.lines() == ["200 - 1"]


def test_refused_stream_whose_body_is_gone(setup, h2_origin):
    s = setup()
    h2_origin.reply = H2Reply(reset=REFUSED)
    with s.h2() as client:
        assert client.request("POST", "/", body=b"hello").status == 503
    assert [r.body for r in h2_origin.requests] == [b"hello"]


def test_streams_that_are_always_refused(setup, h2_origin, kind):
    s = setup()
    h2_origin.reply = H2Reply(reset=REFUSED)
    with s.h2() as client:
        answer = client.request()
        assert answer.status == 503 and b"remote refused stream reset" in answer.body
    assert len(h2_origin.requests) == (ENOUGH if kind == "xylem" else 1)
    assert s.lines() == ["503 UR 1"]


def test_answer_of_a_stream_is_retried(setup, h2_origin):
    s = setup({"retry_on": "5xx", "num_retries": 2})
    h2_origin.queue = [H2Reply(status=503, body=b"x" * 100000), H2Reply(reset=8)]
    with s.h2() as client:
        assert client.request("POST", "/", body=b"hello", trailers=[("x-t", "v")]).status == 200
    assert [(r.body, r.trailers) for r in h2_origin.requests] == [(b"hello", [("x-t", "v")])] * 3
    assert s.stat("upstream_cx_total") == 1
    assert s.lines() == ["200 - 3"]


def test_grpc_answer_without_a_body_is_retried(setup, h2_origin):
    s = setup({"retry_on": "unavailable"})
    grpc = ("content-type", "application/grpc")
    h2_origin.queue = [H2Reply(headers=[grpc, ("grpc-status", "14")], body=b"")]
    h2_origin.reply = H2Reply(headers=[grpc], trailers=[("grpc-status", "0")])
    with s.h2() as client:
        answer = client.request("POST", "/", headers=[grpc], body=b"\0\0\0\0\0")
    assert answer.trailers == [("grpc-status", "0")] and len(h2_origin.requests) == 2


def test_stream_that_has_begun_is_not_retried(setup, h2_origin):
    s = setup({"retry_on": "5xx,reset,refused-stream"})
    h2_origin.reply = H2Reply(reset=REFUSED, partial=True)
    with s.h2() as client:
        assert client.request().reset is not None
    assert len(h2_origin.requests) == 1


# --- tunnels ---

UPGRADE = (b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
CONNECT = b"CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\n\r\n"


def until(client, data):
    while data not in client.buffer:
        assert client._fill(), f"closed after {client.buffer!r}"


@pytest.fixture
def tunnel(setup, closing):
    raw = closing(RawOrigin())

    def make(policy, head=UPGRADE, early=b"", **kw):
        if head == CONNECT:
            kw["match"] = {"connect_matcher": {}}
        s = setup(policy, origin=raw, http=None, **kw)
        client = closing(s.proxy.client())
        client.send(head + early)
        return s, client, raw
    return make


@pytest.mark.parametrize("head, opens", [
    (UPGRADE, b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
              b"Upgrade: websocket\r\n\r\n"),
    (CONNECT, b"HTTP/1.1 200 OK\r\n\r\n")], ids=["upgrade", "connect"])
@pytest.mark.parametrize("bad", ["503", "end"])
def test_tunnel_that_does_not_open_is_retried(tunnel, head, opens, bad):
    s, client, raw = tunnel({"retry_on": "5xx"}, head)
    first = raw.accept()
    assert first.head()[1]["x-envoy-attempt-count"] == "1"
    if bad == "503":
        first.send(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
    else:
        first.close()
    second = raw.accept()
    assert second.head()[1]["x-envoy-attempt-count"] == "2"
    second.send(opens + b"hello")
    until(client, b"hello")
    client.send(b"ping")
    second.expect(b"ping")
    assert s.stat("upstream_rq_retry") == 1


@pytest.mark.parametrize("head, opens", [
    (UPGRADE, b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
              b"Upgrade: websocket\r\n\r\n"),
    (CONNECT, b"HTTP/1.1 200 OK\r\n\r\n")], ids=["upgrade", "connect"])
def test_early_data_goes_to_the_tunnel_that_opens(tunnel, head, opens):
    s, client, raw = tunnel({"retry_on": "5xx"}, head, b"early")
    first = raw.accept()
    first.head()
    first.send(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
    second = raw.accept()
    second.head()
    second.send(opens)
    second.expect(b"early")
    client.send(b"ping")
    second.expect(b"ping")


def test_open_tunnel_is_not_retried(tunnel):
    s, client, raw = tunnel({"retry_on": "5xx,reset"})
    first = raw.accept()
    first.head()
    first.switch()
    first.close()
    assert client.rest().startswith(b"HTTP/1.1 101 ")
    wait_for(lambda: s.stat("upstream_cx_active") == 0, what="the connection to end")
    assert raw.untouched()


def test_per_try_timeout_of_a_tunnel(tunnel):
    s, client, raw = tunnel({"retry_on": "5xx", "per_try_timeout": "0.3s"})
    first = raw.accept()
    first.head()
    second = raw.accept()       # the first has said nothing
    second.head()
    second.switch(data=b"hello")
    until(client, b"hello")
    s.proxy.wait_stat("cluster.one.upstream_rq_per_try_timeout", 1)


def test_one_of_two_tunnels_opens(start, closing):
    """They were begun beside each other, and what the client has sent since is too much to keep."""
    raw = closing(RawOrigin())
    policy = {"retry_on": "5xx", "num_retries": 3, "per_try_timeout": "0.3s",
              "retry_back_off": {"base_interval": "0.001s"}}
    way = {**route("/", "one", retry_policy=policy,
                   hedge_policy={"hedge_on_per_try_timeout": True}),
           "per_request_buffer_limit_bytes": 10}
    proxy = start(bootstrap([http_listener(routes=[way], upgrade_configs=[
        {"upgrade_type": "websocket"}])], [cluster("one", raw)]))
    with proxy.client() as client:
        client.send(UPGRADE)
        first = raw.accept()
        first.head()
        second = raw.accept()
        second.head()
        client.send(b"x" * 100)
        proxy.wait_stat("cluster.one.retry_or_shadow_abandoned", 1)
        first.switch()
        until(client, b"HTTP/1.1 101 ")
        second.switch()
        first.send(b"hello")
        until(client, b"hello")
        assert second.closed()
