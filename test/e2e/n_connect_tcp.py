"""What goes to a TCP origin that asks for more than a CONNECT: a POST whose body is the stream, and
the header of the PROXY protocol before it."""
import pytest

from harness import bootstrap, cluster, http_listener, route
from harness.config import file_log
from harness.h2peer import H2Client, Stream
from n_upgrade import LOG, Tunnel, connect, connect_route, log_file, logged, plain, raw

FIXTURES = [log_file, raw]
VERSION_2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\1\x7f\0\0\1"


def post_route(to, prefix="/", connect_config=None, **fields):
    return route(prefix, to, upgrade_configs=[
        {"upgrade_type": "CONNECT", "connect_config": {"allow_post": True,
                                                       **(connect_config or {})}}], **fields)


@pytest.fixture
def proxy(start, raw, log_file):
    return start(bootstrap(
        [http_listener(routes=[post_route("one", "/post"),
                               post_route("one", "/timeout", timeout="0.3s"),
                               post_route("one", "/v1", {"proxy_protocol_config": {}}),
                               connect_route("v2.test:80", "one", connect_config={
                                   "proxy_protocol_config": {"version": "V2"}})],
                       http2_protocol_options={"allow_connect": True},
                       access_log=[file_log(log_file, LOG)])],
        [cluster("one", raw)]))


def post(proxy, path, body=b"", **fields):
    client = proxy.client()
    client.write_request("POST", path, body=body, **fields)
    return client


def test_post(proxy, raw, log_file):
    client = post(proxy, "/post", b"hello")
    peer = raw.accept()
    assert peer.rest() == b"hello"
    peer.send(b"an answer")
    peer.close()
    reply = client.response()
    assert (reply.status, reply.body) == (200, b"an answer")
    assert reply.header("transfer-encoding") == "chunked"
    stats = proxy.stats()
    assert stats["http.ingress.downstream_cx_upgrades_total"] == 0
    assert stats["cluster.one.upstream_rq_200"] == 1
    assert stats["cluster.one.upstream_cx_http1_total"] == 0
    client.close()
    assert logged(proxy, log_file) == "POST 200 via_upstream - 5 9 -"


def test_post_of_nothing(proxy, raw):
    client = post(proxy, "/post")
    peer = raw.accept()
    assert peer.rest() == b""
    peer.close()
    assert client.response().status == 200


def test_post_goes_both_ways_at_once(proxy, raw):
    client = proxy.client()
    client.write_request("POST", "/post", headers=[("Transfer-Encoding", "chunked")])
    client.send(b"5\r\nhello\r\n")
    peer = raw.accept()
    peer.expect(b"hello")
    peer.send(b"first")
    assert client.response(to="HEAD").status == 200  # the head alone
    assert client._exactly(10) == b"5\r\nfirst\r\n"
    client.send(b"3\r\nabc\r\n0\r\n\r\n")
    assert peer.rest() == b"abc"
    peer.close()
    assert client._exactly(5) == b"0\r\n\r\n"


def test_post_over_http2(proxy, raw):
    with H2Client(proxy.port()) as client:
        number = client.conn.get_next_available_stream_id()
        client.conn.send_headers(number, [(":method", "POST"), (":scheme", "http"),
                                          (":authority", "a.test"), (":path", "/post")])
        stream = client.streams[number] = Stream()
        client.flush()
        client.data(number, b"hello")
        peer = raw.accept()
        peer.expect(b"hello")
        peer.send(b"first")
        client.wait(lambda: len(stream.body) == 5)
        assert stream.status == 200
        client.conn.send_headers(number, [("x-trailer", "1")], end_stream=True)
        client.flush()
        assert peer.rest() == b""  # trailers end it
        peer.send(b"last")
        peer.close()
        client.wait(lambda: stream.over)
        assert stream.body == b"firstlast"


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_other_methods_are_requests(proxy, raw, method):
    client = proxy.client()
    client.write_request(method, "/post/x")
    assert raw.accept().head()[0] == f"{method} /post/x HTTP/1.1"
    client.close()


def test_the_timeout_of_a_post(proxy, raw, log_file):
    client = post(proxy, "/timeout", b"hello")
    peer = raw.accept()
    assert peer.rest() == b"hello"
    client.rest()
    assert peer.closed()
    assert logged(proxy, log_file).split()[:2] == ["POST", "200"]


def test_proxy_protocol_of_a_post(proxy, raw):
    client = post(proxy, "/v1", b"hello")
    peer = raw.accept()
    port = client.sock.getsockname()[1]
    assert peer.rest() == f"PROXY TCP4 127.0.0.1 127.0.0.1 {port} {proxy.port()}\r\nhello".encode()
    peer.close()
    assert client.response().status == 200


def ports(sock, proxy):
    return b"".join(port.to_bytes(2, "big") for port in (sock.getsockname()[1], proxy.port()))


def test_proxy_protocol_of_a_connect(proxy, raw):
    """The connection's own addresses, whatever a header says."""
    client = connect(proxy, "v2.test:80", [("X-Forwarded-For", "10.1.1.1")])
    peer = raw.accept()
    peer.expect(VERSION_2 + ports(client.sock, proxy))  # though the client has sent nothing
    assert client.response(to="HEAD").status == 200
    client.send(b"abc")
    peer.expect(b"abc")


def test_proxy_protocol_over_http2(proxy, raw, closing):
    tunnel = closing(Tunnel(proxy.port(), plain("v2.test:80")))
    peer = raw.accept()
    peer.expect(VERSION_2 + ports(tunnel.client.sock, proxy))
    assert tunnel.status() == 200
    tunnel.send(b"abc", end=True)
    assert peer.rest() == b"abc"
