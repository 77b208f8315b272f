"""Upgrades and WebSocket, between both versions of HTTP. CONNECT: n_connect.py."""
import pytest

from harness import bootstrap, cluster, difference, direct, http_listener, route, vhost, wait_for
from harness.config import file_log, router_filter
from harness.h2peer import H2Client, H2Origin, Stream
from harness.stub import resource
from harness.tunnels import (BINARY, CLOSE, PING, PONG, TEXT, RawOrigin, WebSocket, accept_key)
from harness.xds import rds_listener, static_cluster

HTTP2 = {"explicit_http_config": {"http2_protocol_options": {}}}
CONNECT_PROTOCOL = 8  # of SETTINGS
CONNECT_ERROR = 10
HEAD = b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
HELD = b"GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n"
LOG = ("%REQ(:METHOD)% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %RESPONSE_FLAGS% "
       "%BYTES_RECEIVED% %BYTES_SENT% %UPSTREAM_PROTOCOL%\n")


def connect_match(authority):
    return {"connect_matcher": {}, "headers": [
        {"name": ":authority", "string_match": {"exact": authority}}]}


def connect_route(authority, to, **config):
    return route(match=connect_match(authority), to=to, upgrade_configs=[
        {"upgrade_type": "CONNECT", **config}])


ROUTES = [
    connect_route("tcp.test:80", "one", connect_config={}),
    connect_route("h1.test:80", "one"),
    connect_route("h2.test:80", "two"),
    route(match=connect_match("unset.test:80"), to="one"),
    route("/h2", "two"),
    route("/off", "one", upgrade_configs=[{"upgrade_type": "websocket", "enabled": False}]),
    route("/foo", "one", upgrade_configs=[{"upgrade_type": "foo"}]),
    route("/timeout", "one", timeout="0.3s"),
    route("/idle", "one", idle_timeout="0.3s"),
    direct(200, "direct", prefix="/direct"),
    route("/", "one"),
]
UPGRADES = [{"upgrade_type": "websocket"}, {"upgrade_type": "off", "enabled": False}]


@pytest.fixture
def raw(closing):
    return closing(RawOrigin())


@pytest.fixture
def h2_origin(closing):
    made = closing(H2Origin(settings={CONNECT_PROTOCOL: 1}))
    made.reply.never = True
    return made


@pytest.fixture
def log_file(tmp_path):
    return tmp_path / "access.log"


@pytest.fixture
def proxy(start, raw, h2_origin, log_file):
    return start(bootstrap(
        [http_listener(routes=ROUTES, upgrade_configs=UPGRADES,
                       http2_protocol_options={"allow_connect": True},
                       access_log=[file_log(log_file, LOG)]),
         http_listener("bare", routes=ROUTES)],
        [cluster("one", raw), cluster("two", h2_origin, http=HTTP2)]))


def logged(proxy, log_file):
    """The first line of the access log; both write it at the latest when they end."""
    proxy.stop()
    return log_file.read_text().splitlines()[0]


def ask(proxy, path="/", protocol="websocket", headers=(), early=b"", name="ingress",
        method="GET"):
    client = proxy.client(name)
    client.write_request(method, path, headers=[("Connection", "Upgrade"), ("Upgrade", protocol),
                                                *headers])
    client.send(early)
    return client


def connect(proxy, authority, headers=(), early=b"", name="ingress"):
    client = proxy.client(name)
    client.write_request("CONNECT", authority, host=authority, headers=headers)
    client.send(early)
    return client


def opened(proxy, raw, path="/"):
    """Both ends of an open tunnel."""
    client = ask(proxy, path)
    peer = raw.accept()
    peer.head()
    peer.switch()
    assert client.response().status == 101
    return client, peer


class Tunnel:
    """A stream of HTTP/2 that asks for a tunnel."""

    def __init__(self, port, pseudo, headers=()):
        self.client = H2Client(port)
        self.client.wait(lambda: self.client.conn.remote_settings.get(3))
        self.id = self.client.conn.get_next_available_stream_id()
        self.client.conn.send_headers(self.id, [*pseudo, *headers])
        self.stream = self.client.streams[self.id] = Stream()
        self.client.flush()

    def close(self):
        self.client.close()

    def send(self, data, end=False):
        self.client.data(self.id, data, end=end)

    def status(self):
        self.client.wait(lambda: self.stream.headers or self.stream.over)
        return self.stream.status

    def expect(self, body):
        self.client.wait(lambda: len(self.stream.body) >= len(body))
        assert self.stream.body == body


def extended(path="/", protocol="websocket"):
    return [(":method", "CONNECT"), (":protocol", protocol), (":scheme", "http"),
            (":authority", "a.test"), (":path", path)]


def plain(authority):
    return [(":method", "CONNECT"), (":authority", authority)]


@pytest.fixture
def h2_ask(proxy, closing):
    def make(pseudo, headers=(), name="ingress"):
        return closing(Tunnel(proxy.port(name), pseudo, headers))
    return make


def answer(origin, *headers, body=b"", end=False, nth=1):
    """The HTTP/2 origin answers its nth request."""
    origin.wait_requests(nth)
    stream = origin.requests[nth - 1]

    def send():
        if headers:
            stream.wire.conn.send_headers(stream.stream_id, list(headers))
        if body or end:
            stream.wire.conn.send_data(stream.stream_id, body, end_stream=end)
        stream.wire.flush()
    origin.call(send)
    return stream


# --- upgrades, HTTP/1.1 on both sides ---

def test_websocket(proxy, raw):
    """A handshake, messages of all sizes both ways, and the closing handshake."""
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    client = ask(proxy, "/chat", headers=[("Sec-WebSocket-Key", key),
                                          ("Sec-WebSocket-Version", "13")])
    peer = raw.accept()
    first, fields = peer.head()
    assert first == "GET /chat HTTP/1.1"
    assert (fields["connection"].lower(), fields["upgrade"]) == ("upgrade", "websocket")
    assert fields["sec-websocket-key"] == key
    peer.switch(more=f"Sec-WebSocket-Accept: {accept_key(key)}\r\n")
    reply = client.response()
    assert (reply.status, reply.header("upgrade")) == (101, "websocket")
    assert reply.header("connection").lower() == "upgrade"
    assert reply.header("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert reply.header("transfer-encoding") is None and reply.header("content-length") is None
    ours, theirs = WebSocket(client, True), WebSocket(peer, False)
    for sender, receiver in [(ours, theirs), (theirs, ours)]:
        for opcode, payload in [(TEXT, b"hello"), (PING, b""), (PONG, b"x"),
                                (BINARY, bytes(range(256)) * 800)]:
            sender.send(opcode, payload)
            assert receiver.read() == (opcode, payload)
    ours.send(CLOSE, b"\x03\xe8")
    assert theirs.read() == (CLOSE, b"\x03\xe8")
    theirs.send(CLOSE, b"\x03\xe8")
    assert ours.read() == (CLOSE, b"\x03\xe8")
    peer.close()
    assert client.closed()


def test_upgrade_is_counted_and_logged(proxy, raw, log_file):
    client, peer = opened(proxy, raw)
    stats = proxy.stats()
    assert stats["http.ingress.downstream_cx_upgrades_total"] == 1
    assert stats["http.ingress.downstream_cx_upgrades_active"] == 1
    assert stats["http.ingress.downstream_rq_1xx"] == 1
    assert stats["cluster.one.upstream_rq_active"] == 1
    client.send(b"four")
    peer.expect(b"four")
    peer.send(b"sixsix")
    client._exactly(6)
    client.close()
    assert peer.closed()
    proxy.wait_stat("http.ingress.downstream_cx_upgrades_active", 0)
    proxy.wait_stat("cluster.one.upstream_rq_active", 0)
    assert proxy.stat("cluster.one.upstream_rq_101") == 1
    assert logged(proxy, log_file) == "GET 101 downstream_remote_disconnect DC 4 6 HTTP/1.1"


def test_early_data_is_held_until_the_101(proxy, raw):
    client = ask(proxy, early=b"early")
    peer = raw.accept()
    peer.head()
    proxy.wait_stat("http.ingress.downstream_cx_rx_bytes_total", len(HEAD) + len(b"early"))
    assert peer.pending() == b""
    peer.switch(data=b"first")
    assert client.response().status == 101
    assert client._exactly(5) == b"first"
    peer.expect(b"early")


@pytest.mark.parametrize("status, body", [("403 No", b"no"), ("500 Bad", b"bad")])
def test_early_data_is_not_for_who_refuses(proxy, raw, status, body):
    client = ask(proxy, early=HELD)
    peer = raw.accept()
    peer.head()
    peer.send(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    reply = client.response()
    assert (reply.status, reply.body) == (int(status[:3]), body)
    assert reply.header("connection") == "close" and client.closed()
    assert peer.closed()
    assert raw.untouched()


@pytest.mark.parametrize("status", [200, 201, 302])
def test_what_a_websocket_origin_says_instead_has_no_body(proxy, raw, log_file, status):
    client = ask(proxy, early=HELD)
    peer = raw.accept()
    peer.head()
    peer.send(f"HTTP/1.1 {status} X\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello".encode())
    reply = client.response()
    assert (reply.status, reply.body, reply.header("x-a")) == (status, b"", "b")
    assert client.closed() and peer.closed()
    assert " websocket_handshake_unsuccessful " in logged(proxy, log_file)


REFUSED = [("/", "foo", "ingress"), ("/", "off", "ingress"), ("/off", "websocket", "ingress"),
           ("/", "websocket", "bare"), ("/foo", "websocket", "bare"),
           ("/", "websocket, foo", "ingress"), ("/direct", "foo", "ingress")]


@pytest.mark.parametrize("path, protocol, name", REFUSED)
def test_refused_upgrades(proxy, raw, path, protocol, name):
    client = ask(proxy, path, protocol, name=name, early=HELD)
    reply = client.response()
    assert (reply.status, reply.body, reply.header("connection")) == (403, b"", "close")
    assert client.closed()
    assert raw.untouched()
    assert proxy.stat("http.ingress.downstream_rq_ws_on_non_ws_route") == 1
    assert proxy.stat("http.ingress.downstream_cx_upgrades_total") == 0


@pytest.mark.parametrize("path, protocol, name", [
    ("/foo", "foo", "bare"), ("/foo", "websocket", "ingress"), ("/", "WebSocket", "ingress")])
def test_allowed_upgrades(proxy, raw, path, protocol, name):
    client = ask(proxy, path, protocol, name=name)
    peer = raw.accept()
    assert peer.head()[1]["upgrade"] == protocol
    peer.switch(protocol.lower(), data=b"x")
    assert client.response().status == 101
    assert client._exactly(1) == b"x"


def test_an_upgrade_without_a_route_is_404(start, raw):
    proxy = start(bootstrap([http_listener(routes=[route("/x", "one")], upgrade_configs=UPGRADES)],
                            [cluster("one", raw)]))
    for protocol in ["websocket", "foo"]:
        client = ask(proxy, protocol=protocol)
        assert client.response().status == 404
        assert client.closed()


def test_an_upgrade_may_be_answered_here(proxy):
    client = ask(proxy, "/direct", early=HELD)
    reply = client.response()
    assert (reply.status, reply.body) == (200, b"direct")
    assert client.closed()


def test_h2c_is_ignored(proxy, origin, start):
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")], upgrade_configs=UPGRADES)],
                            [cluster("one", origin)]))
    with proxy.client() as client:
        for named in ["Upgrade, HTTP2-Settings", "Upgrade"]:
            reply = client.get("/", headers={"Connection": named, "Upgrade": "h2c",
                                             "HTTP2-Settings": "AAMAAABk"})
            assert reply.status == 200
            assert origin.last.header("upgrade") is None
            assert origin.last.header("http2-settings") is None
    assert proxy.stat("http.ingress.downstream_cx_upgrades_total") == 0


def test_the_client_ends_the_tunnel(proxy, raw):
    client, peer = opened(proxy, raw)
    client.send(b"last")
    client.half_close()
    assert peer.rest() == b"last"
    assert client.closed()


def test_the_origin_ends_the_tunnel(proxy, raw, log_file):
    client, peer = opened(proxy, raw)
    peer.send(b"last")
    peer.half_close()
    assert client.rest() == b"last"
    assert peer.closed()
    client.close()
    assert logged(proxy, log_file) == ("GET 101 upstream_reset_after_response_started"
                                       "{connection_termination} UC 0 4 HTTP/1.1")


def test_the_origin_resets_the_tunnel(proxy, raw):
    client, peer = opened(proxy, raw)
    peer.reset()
    assert client.closed()
    proxy.wait_stat("http.ingress.downstream_cx_upgrades_active", 0)


def test_timeout_of_the_route_counts_until_the_101(proxy, raw):
    client = ask(proxy, "/timeout")
    raw.accept().head()
    reply = client.response()
    assert (reply.status, reply.text) == (504, "upstream request timeout")
    client, peer = opened(proxy, raw, "/timeout")
    client.sock.settimeout(0.7)  # over twice the timeout
    with pytest.raises(AssertionError, match="nothing came"):
        client.rest()
    client.sock.settimeout(10)
    peer.send(b"alive")
    assert client._exactly(5) == b"alive"


def test_idle_timeout_counts_before_and_after(proxy, raw):
    client = ask(proxy, "/idle")
    raw.accept().head()
    assert client.response().status == 408
    client, peer = opened(proxy, raw, "/idle")
    assert client.closed() and peer.closed()
    assert proxy.stat("http.ingress.downstream_rq_idle_timeout") == 2


@pytest.mark.parametrize("direction", ["down", "up"])
def test_a_slow_end_holds_the_other_back(proxy, raw, direction):
    """What is under way is bounded by buffers, and all of it arrives."""
    client, peer = opened(proxy, raw)
    sender, receiver = (peer, client) if direction == "down" else (client, peer)
    block, sent = bytes(range(256)) * 256, 0
    before = proxy.memory_kib()
    sender.sock.settimeout(1)
    with pytest.raises(TimeoutError):
        while sent < 256 << 20:
            sent += sender.sock.send(block[sent % len(block):])
    assert proxy.memory_kib() - before < 16 << 10
    at = 0
    while at < sent:
        data = receiver.sock.recv(1 << 20)
        size = len(data)
        start = at % len(block)
        assert data == (block * (size // len(block) + 2))[start:start + size]
        at += size
    sender.sock.settimeout(10)
    sender.send(b"more")
    assert receiver._exactly(4) == b"more"


@difference("RFC 9110 7.8: an origin may switch only to what the client has asked for.",
            envoy="opens the tunnel", xylem="502")
def test_101_to_another_protocol(proxy, raw, kind):
    client = ask(proxy)
    peer = raw.accept()
    peer.head()
    peer.switch("other")
    assert client.response().status == (502 if kind == "xylem" else 101)


@difference("An answer of 101 that names no protocol switches to none; RFC 9110 7.8 demands the "
            "name.", envoy="forwards the 101 and closes", xylem="502")
@pytest.mark.parametrize("tunnel", ["upgrade", "CONNECT"])
def test_101_without_a_protocol(proxy, raw, kind, tunnel):
    client = ask(proxy) if tunnel == "upgrade" else connect(proxy, "h1.test:80")
    peer = raw.accept()
    peer.head()
    peer.send(b"HTTP/1.1 101 Switching\r\n\r\n")
    assert client.response().status == (502 if kind == "xylem" else 101)
    assert client.closed()


@pytest.mark.parametrize("field", ["Content-Length: 3", "Transfer-Encoding: chunked"])
def test_101_with_a_length(proxy, raw, field):
    client = ask(proxy)
    peer = raw.accept()
    peer.head()
    peer.switch(more=field + "\r\n", data=b"abc")
    assert client.response().status == 502
    assert client.closed()


def test_101_with_a_length_of_nothing(proxy, raw):
    """Some servers say so: it is true of the head, and no news to the client."""
    client = ask(proxy)
    peer = raw.accept()
    peer.head()
    peer.switch(more="Content-Length: 0\r\n", data=b"abc")
    answer = client.response()
    assert (answer.status, answer.header("content-length")) == (101, None)
    assert client._exactly(3) == b"abc"


@difference("Connection speaks of one hop, and what it names with it; of a tunnel only its upgrade "
            "goes on (RFC 9110 7.6.1).",
            envoy="sends on Connection as it came, what it names, and a length of 0",
            xylem="sends `upgrade`, and none of them")
def test_what_connection_names_beside_an_upgrade(proxy, raw, kind):
    client = proxy.client()
    client.write_request("GET", "/", headers=[
        ("Connection", "Upgrade, X-Hop"), ("Upgrade", "websocket"), ("X-Hop", "1"),
        ("Content-Length", "0")])
    peer = raw.accept()
    _, fields = peer.head()
    seen = [fields.get(name) for name in ("connection", "x-hop", "content-length")]
    assert seen == (["upgrade", None, None] if kind == "xylem" else ["Upgrade, X-Hop", "1", "0"])
    peer.switch()
    assert client.response().header("connection") == ("upgrade" if kind == "xylem" else "Upgrade")


@pytest.mark.parametrize("path, status, line", [
    ("/off", 403, "upgrade_failed one 0"), ("/", 101, "downstream_remote_disconnect one 5")])
def test_log_of_a_tunnel(start, raw, log_file, path, status, line):
    """The cluster is named where it refuses; what a HEAD has opened sends bytes all the same."""
    proxy = start(bootstrap([http_listener(
        routes=ROUTES, upgrade_configs=UPGRADES, access_log=[file_log(
            log_file, "%RESPONSE_CODE_DETAILS% %UPSTREAM_CLUSTER% %BYTES_SENT%\n")])],
        [cluster("one", raw), cluster("two", raw)]))
    client = ask(proxy, path, method="HEAD")
    if status == 101:
        peer = raw.accept()
        peer.head()
        peer.switch(data=b"hello")
    assert client.response(to="HEAD").status == status
    if status == 101:
        assert client._exactly(5) == b"hello"
    client.close()
    proxy.wait_stat("http.ingress.downstream_cx_destroy", 1)
    assert logged(proxy, log_file) == line


def test_one_of_two_protocols_is_not_h2c(proxy, raw):
    """HTTP/2 in plain text is dropped where it is asked for alone; beside another nobody can
    tell what the tunnel would speak."""
    client = ask(proxy, protocol="h2c", headers=[("Upgrade", "websocket")])
    assert client.response().status == 403


BODIES = {"length": ("Content-Length", "5", b"hello"),
          "chunked": ("Transfer-Encoding", "chunked", b"5\r\nhello\r\n0\r\n\r\n")}


@difference("Which bytes behind the head are its body, and which the tunnel's? No protocol in use "
            "asks for an upgrade with a body, and two readers may not agree.",
            envoy="takes the body for the tunnel's first bytes", xylem="400")
@pytest.mark.parametrize("case", BODIES)
def test_upgrade_with_a_body(proxy, raw, kind, case):
    name, value, body = BODIES[case]
    client = ask(proxy, headers=[(name, value)], early=body, method="POST")
    if kind == "xylem":
        assert client.response().status == 400
        assert client.closed() and raw.untouched()
        return
    peer = raw.accept()
    peer.head()
    peer.switch()
    assert client.response().status == 101
    peer.expect(body)


@difference("RFC 9110 7.8: an upgrade in HTTP/1.0 is to be ignored.",
            envoy="asks the origin for it", xylem="ignores it")
def test_upgrade_in_http_10(start, raw, kind):
    proxy = start(bootstrap([http_listener(
        routes=[route("/", "one")], upgrade_configs=UPGRADES,
        http_protocol_options={"accept_http_10": True})], [cluster("one", raw)]))
    client = proxy.client()
    client.write_request(version="1.0", headers={"Connection": "Upgrade",
                                                 "Upgrade": "websocket"})
    assert ("upgrade" in raw.accept().head()[1]) == (kind == "envoy")


def test_filters_of_an_upgrade(start, raw):
    """A chain of its own, and the others' where there is none."""
    buffer_filter = {"name": "envoy.filters.http.buffer", "disabled": True, "is_optional": True,
                     "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http."
                                               "buffer.v3.Buffer", "max_request_bytes": 100}}
    proxy = start(bootstrap([http_listener(
        routes=[route("/", "one")], filters=[buffer_filter, router_filter()],
        upgrade_configs=[{"upgrade_type": "websocket", "filters": [router_filter()]},
                         {"upgrade_type": "foo"}])], [cluster("one", raw)]))
    for protocol in ["websocket", "foo"]:
        client = ask(proxy, protocol=protocol)
        peer = raw.accept()
        peer.head()
        peer.switch(protocol)
        assert client.response().status == 101
        client.send(b"data")
        peer.expect(b"data")


@pytest.mark.parametrize("asked", ["websocket", "CONNECT", "TCP"])
def test_a_tunnel_outlives_its_configuration(stub, start, ads_bootstrap, raw, asked):
    """Routes and the connection manager change and the cluster goes: what is open stays open."""
    tcp = {"connect_config": {}} if asked == "TCP" else {}

    def table(*routes):
        return resource("rds", {"name": "routes", "virtual_hosts": [vhost("a", ["*"], *routes)]})
    control = stub(rds_listener(upgrade_configs=UPGRADES),
                   table(route("/ws", "one"), connect_route("a.test:80", "one", **tcp),
                         direct(200, "old")), static_cluster("one", raw))
    proxy = start(ads_bootstrap(control))
    if asked == "websocket":
        client, peer = opened(proxy, raw, "/ws")
    else:
        client = connect(proxy, "a.test:80")
        peer = raw.accept()
        if asked == "CONNECT":
            peer.head()
            peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        assert client.response(to="HEAD").status == 200

    def passes():
        client.send(b"up")
        peer.expect(b"up")
        peer.send(b"down")
        assert client._exactly(4) == b"down"
    control.put(table(direct(200, "new")))
    wait_for(lambda: proxy.get("/").text == "new", what="the new routes")
    passes()
    control.put(rds_listener(upgrade_configs=UPGRADES, server_name="changed"))
    wait_for(lambda: proxy.get("/").header("server") == "changed", what="the new manager")
    control.change(remove=[("cds", "one")])
    wait_for(lambda: b"one::added_via_api" not in proxy.admin("/clusters").body, what="the cluster to go")
    passes()
    peer.close()
    assert client.closed()


# --- between the versions ---

def test_extended_connect_is_announced(proxy, closing):
    for name, value in [("ingress", 1), ("bare", 0)]:
        client = closing(H2Client(proxy.port(name)))
        client.wait(lambda client=client: client.conn.remote_settings.get(3))
        assert client.conn.remote_settings.enable_connect_protocol == value


def test_extended_connect_to_an_upgrade(h2_ask, raw, proxy, log_file):
    tunnel = h2_ask(extended("/chat"), [("sec-websocket-version", "13")])
    tunnel.send(b"early")
    peer = raw.accept()
    first, fields = peer.head()
    assert first == "GET /chat HTTP/1.1"
    assert (fields["connection"].lower(), fields["upgrade"]) == ("upgrade", "websocket")
    assert fields["sec-websocket-version"] == "13"
    assert peer.pending() == b""
    peer.switch(more="X-A: b\r\n", data=b"first")
    assert tunnel.status() == 200
    assert tunnel.stream.header("x-a") == "b"
    assert tunnel.stream.header("upgrade") is None and tunnel.stream.header("connection") is None
    tunnel.expect(b"first")
    peer.expect(b"early")
    assert proxy.stat("http.ingress.downstream_cx_upgrades_active") == 1
    tunnel.client.reset(tunnel.id)
    assert peer.closed()
    assert logged(proxy, log_file) == "GET 101 http2.remote_reset DR 5 5 HTTP/1.1"


@difference("RFC 8441 section 5: END_STREAM is the end of the connection, in either direction.",
            envoy="does not tell the origin, and resets the stream (CONNECT_ERROR) at its end",
            xylem="ends the connection's half, and the stream at the origin's end")
def test_the_ends_of_an_extended_connect(h2_ask, raw, kind):
    tunnel = h2_ask(extended())
    peer = raw.accept()
    peer.head()
    peer.switch()
    assert tunnel.status() == 200
    tunnel.send(b"last", end=True)
    peer.expect(b"last")
    if kind == "xylem":
        assert peer.closed()
    peer.send(b"bye")
    peer.close()
    stream = tunnel.client.answer(tunnel.id)
    if kind == "xylem":
        assert (stream.body, stream.ended, stream.reset) == (b"bye", True, None)
    else:
        assert stream.reset == CONNECT_ERROR


def test_extended_connect_that_the_origin_refuses(h2_ask, raw):
    tunnel = h2_ask(extended())
    tunnel.send(HELD)
    peer = raw.accept()
    peer.head()
    peer.send(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
    assert tunnel.status() == 403
    assert tunnel.client.answer(tunnel.id).body == b"no"
    assert peer.closed()


def test_extended_connect_that_is_not_configured(h2_ask, raw):
    assert h2_ask(extended(protocol="foo")).status() == 403
    assert h2_ask(extended("/off")).status() == 403
    assert raw.untouched()


@difference("A stream that asked for too much is no reason to part with the others.",
            envoy="says GOAWAY after a refused upgrade", xylem="says nothing")
def test_the_connection_of_a_refused_extended_connect(h2_ask, raw, kind):
    tunnel = h2_ask(extended(protocol="foo"))
    assert tunnel.status() == 403
    tunnel.client.conn.ping(b"whatever")
    tunnel.client.flush()
    tunnel.client.wait(lambda: tunnel.client.pings)
    assert bool(tunnel.client.goaways) == (kind == "envoy")


def test_upgrade_to_extended_connect(proxy, h2_origin, log_file):
    client = ask(proxy, "/h2", headers=[("Sec-WebSocket-Version", "13")], early=b"early")
    h2_origin.wait_requests(1)
    stream = h2_origin.last
    assert dict(stream.headers)[":method"] == "CONNECT"
    assert stream.header(":protocol") == "websocket"
    assert (stream.header(":path"), stream.header(":scheme")) == ("/h2", "http")
    assert stream.header("sec-websocket-version") == "13"
    assert stream.header("upgrade") is None and stream.header("connection") is None
    assert (stream.body, stream.ended) == (b"", False)
    answer(h2_origin, (":status", "200"), ("x-a", "b"), body=b"first")
    reply = client.response()
    assert (reply.status, reply.header("upgrade"), reply.header("x-a")) == (101, "websocket", "b")
    assert reply.header("connection").lower() == "upgrade"
    assert client._exactly(5) == b"first"
    wait_for(lambda: stream.body == b"early", what="what came early")
    answer(h2_origin, body=b"end", end=True)
    assert client.rest() == b"end"
    client.close()
    assert logged(proxy, log_file) == "GET 101 via_upstream - 5 8 HTTP/2"


@pytest.mark.parametrize("status", ["403", "201"])
def test_upgrade_that_an_http2_origin_refuses(proxy, h2_origin, status):
    client = ask(proxy, "/h2", early=HELD)
    stream = answer(h2_origin, (":status", status), ("content-length", "2"), body=b"no", end=True)
    reply = client.response()
    assert (reply.status, reply.body) == (int(status), b"no")
    assert client.closed()
    wait_for(lambda: stream.over, what="its end")
    assert stream.body == b""


def test_the_client_of_an_upgrade_to_http2_goes(proxy, h2_origin):
    client = ask(proxy, "/h2")
    stream = answer(h2_origin, (":status", "200"))
    assert client.response().status == 101
    client.close()
    wait_for(lambda: stream.reset is not None, what="a reset")


@difference("RFC 8441 section 3 forbids it to who has not said that he knows it.",
            envoy="sends it all the same",
            xylem="502, once the origin's SETTINGS are known")
def test_upgrade_to_an_http2_origin_that_knows_none(start, closing, kind):
    origin = closing(H2Origin())
    proxy = start(bootstrap([http_listener(routes=[route("/", "two")], upgrade_configs=UPGRADES)],
                            [cluster("two", origin, http=HTTP2)]))
    assert proxy.get("/").status == 200
    client = ask(proxy)
    if kind == "xylem":
        assert client.response().status == 502
    else:
        origin.wait_requests(2)
        assert origin.last.header(":protocol") == "websocket"


def test_extended_connect_on_both_sides(h2_ask, h2_origin):
    tunnel = h2_ask(extended("/h2"))
    tunnel.send(b"early")
    h2_origin.wait_requests(1)
    assert h2_origin.last.header(":protocol") == "websocket"
    assert h2_origin.last.body == b""
    stream = answer(h2_origin, (":status", "200"))
    assert tunnel.status() == 200
    tunnel.send(b"last", end=True)
    wait_for(lambda: stream.ended, what="the client's end")
    assert stream.body == b"earlylast"
    answer(h2_origin, body=b"late", end=True)
    assert tunnel.client.answer(tunnel.id).body == b"late"


# --- what is logged

@pytest.mark.parametrize("authority", ["", "a.test:80", "tcp.test:80"])
def test_a_line_when_a_tunnel_opens(start, raw, log_file, authority):
    text = "%ACCESS_LOG_TYPE% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %BYTES_SENT%\n"
    proxy = start(bootstrap(
        [http_listener(routes=[connect_route("a.test:80", "one"),
                               connect_route("tcp.test:80", "one", connect_config={}),
                               route("/", "one")],
                       upgrade_configs=UPGRADES, access_log=[file_log(log_file, text)],
                       access_log_options={"flush_log_on_tunnel_successfully_established": True})],
        [cluster("one", raw)]))
    if not authority:
        client, peer = opened(proxy, raw)
    else:
        client = connect(proxy, authority)
        peer = raw.accept()
        if authority == "a.test:80":
            peer.head()
            peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        assert client.response(to="HEAD").status == 200
    peer.send(b"hello")
    assert client._exactly(5) == b"hello"
    client.close()
    proxy.stop()
    status = "200" if authority else "101"
    first, last = log_file.read_text().splitlines()
    assert first == f"DownstreamTunnelSuccessfullyEstablished {status} via_upstream 0"
    assert last.split()[:2] == ["DownstreamEnd", status] and last.endswith(" 5")


def test_no_such_line_of_a_tunnel_that_is_refused(start, raw, log_file):
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one")], upgrade_configs=UPGRADES,
                       access_log=[file_log(log_file, "%ACCESS_LOG_TYPE% %RESPONSE_CODE%\n")],
                       access_log_options={"flush_log_on_tunnel_successfully_established": True})],
        [cluster("one", raw)]))
    client = ask(proxy)
    peer = raw.accept()
    peer.head()
    peer.send(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
    assert client.response().status == 403
    client.close()
    proxy.stop()
    assert log_file.read_text().splitlines() == ["DownstreamEnd 403"]
