"""CONNECT that ends here, and that an origin takes, over both versions of HTTP."""
import pytest

from harness import (Reply, bootstrap, cluster, difference, http_listener, refused_port, route,
                     wait_for)
from harness.config import add_header, file_log
from n_upgrade import (CONNECT_ERROR, HELD, LOG, Tunnel, answer, connect, connect_route, extended,
                       h2_ask, h2_origin, log_file, logged, plain, proxy, raw)

FIXTURES = [h2_ask, h2_origin, log_file, proxy, raw]


def test_connect_ends_here(proxy, raw, log_file):
    client = connect(proxy, "tcp.test:80", early=b"early")
    peer = raw.accept()
    assert client.response(to="HEAD").status == 200
    peer.expect(b"early")
    peer.send(b"banner")
    assert client._exactly(6) == b"banner"
    assert proxy.stat("cluster.one.upstream_rq_active") == 1
    assert proxy.stat("http.ingress.downstream_cx_upgrades_active") == 1
    client.send(b"last")
    client.half_close()
    assert peer.rest() == b"last"
    client.close()
    proxy.wait_stat("http.ingress.downstream_cx_upgrades_active", 0)
    stats = proxy.stats()
    assert stats["cluster.one.upstream_rq_200"] == 1
    assert stats["cluster.one.upstream_cx_http1_total"] == 0
    assert logged(proxy, log_file) == "CONNECT 200 downstream_remote_disconnect DC 9 6 -"


def test_connect_whose_origin_speaks_first_and_ends(proxy, raw, log_file):
    client = connect(proxy, "tcp.test:80")
    peer = raw.accept()
    peer.send(b"220 ready")
    peer.half_close()
    assert client.response(to="HEAD").status == 200
    assert client.rest() == b"220 ready"
    assert peer.closed()
    client.close()
    assert logged(proxy, log_file) == "CONNECT 200 via_upstream - 0 9 -"


def test_connect_to_nobody(start, log_file, closing):
    port, kept = refused_port()
    closing(kept)
    proxy = start(bootstrap([http_listener(
        routes=[connect_route("tcp.test:80", "gone", connect_config={})],
        access_log=[file_log(log_file, LOG)])], [cluster("gone", port)]))
    client = connect(proxy, "tcp.test:80", early=HELD)
    reply = client.response()
    assert reply.status == 503 and reply.text.endswith("remote connection failure")
    assert client.closed()
    line = logged(proxy, log_file)  # the early bytes may come when all is over
    assert f" UF {len(HELD)} 98 -" in line or " UF 0 98 -" in line


@pytest.mark.parametrize("authority, status", [
    ("unset.test:80", 403), ("unknown.test:80", 404)])
def test_connect_without_its_upgrade(proxy, raw, authority, status):
    client = connect(proxy, authority, early=HELD)
    assert client.response().status == status
    assert client.closed() and raw.untouched()


def test_connect_that_an_origin_takes(proxy, raw):
    client = connect(proxy, "h1.test:80", headers=[("X-A", "b")], early=b"early")
    peer = raw.accept()
    first, fields = peer.head()
    assert first == "CONNECT h1.test:80 HTTP/1.1"
    assert (fields["host"], fields["x-a"]) == ("h1.test:80", "b")
    assert "content-length" not in fields and "transfer-encoding" not in fields
    assert peer.pending() == b""
    peer.send(b"HTTP/1.1 200 OK\r\nX-B: c\r\n\r\nfirst")
    reply = client.response(to="HEAD")
    assert (reply.status, reply.header("x-b")) == (200, "c")
    assert reply.header("connection") is None
    assert client._exactly(5) == b"first"
    peer.expect(b"early")
    client.close()
    assert peer.closed()


def test_connect_that_an_origin_refuses(proxy, raw):
    client = connect(proxy, "h1.test:80", early=HELD)
    peer = raw.accept()
    peer.head()
    peer.send(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
    reply = client.response()
    assert (reply.status, reply.body) == (403, b"no")
    assert client.closed() and peer.closed()
    assert raw.untouched()


@difference("RFC 9110 9.3.6: the client must ignore a length or a coding of an answer that opens "
            "a tunnel; one that does not would read the tunnel as a body.",
            envoy="passes content-length on", xylem="takes it away")
def test_2xx_to_connect_with_a_length(proxy, raw, kind):
    client = connect(proxy, "h1.test:80")
    peer = raw.accept()
    peer.head()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef")
    reply = client.response(to="HEAD")
    assert reply.header("content-length") == (None if kind == "xylem" else "3")
    assert client._exactly(6) == b"abcdef"


def test_2xx_to_connect_with_a_coding(proxy, raw):
    client = connect(proxy, "h1.test:80")
    peer = raw.accept()
    peer.head()
    peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    assert client.response(to="HEAD").header("transfer-encoding") is None
    assert client._exactly(13) == b"3\r\nabc\r\n0\r\n\r\n"


CONNECT_BODIES = {"length": ([("Content-Length", "5")], b"hello", 400),
                  "chunked": ([("Transfer-Encoding", "chunked")], b"0\r\n\r\n", 501)}


@pytest.mark.parametrize("case", CONNECT_BODIES)
@pytest.mark.parametrize("authority", ["tcp.test:80", "h1.test:80"])
def test_connect_with_a_body(proxy, raw, case, authority):
    headers, body, status = CONNECT_BODIES[case]
    client = connect(proxy, authority, headers, body)
    assert client.response().status == status
    assert client.closed() and raw.untouched()


@difference("An upgrade is of the connection that a CONNECT turns into a tunnel anyway.",
            envoy="forwards Connection and Upgrade", xylem="removes both")
def test_connect_with_an_upgrade(proxy, raw, kind):
    client = connect(proxy, "h1.test:80", [("Connection", "Upgrade"), ("Upgrade", "websocket")])
    peer = raw.accept()
    assert ("upgrade" in peer.head()[1]) == (kind == "envoy")
    peer.send(b"HTTP/1.1 200 OK\r\n\r\nx")
    assert client.response(to="HEAD").status == 200
    assert client._exactly(1) == b"x"


def test_connect_to_an_http2_origin(proxy, h2_origin):
    client = connect(proxy, "h2.test:80", early=b"early")
    h2_origin.wait_requests(1)
    stream = h2_origin.last
    pseudo = {name: value for name, value in stream.headers if name.startswith(":")}
    assert pseudo == {":method": "CONNECT", ":authority": "h2.test:80"}
    assert stream.body == b""
    answer(h2_origin, (":status", "200"), body=b"first")
    assert client.response(to="HEAD").status == 200
    assert client._exactly(5) == b"first"
    wait_for(lambda: stream.body == b"early", what="what came early")


def test_http2_connect_ends_here(h2_ask, raw):
    """Each half ends by itself."""
    tunnel = h2_ask(plain("tcp.test:80"))
    tunnel.send(b"early")
    peer = raw.accept()
    peer.expect(b"early")
    assert tunnel.status() == 200
    tunnel.send(b"last", end=True)
    assert peer.rest() == b"last"
    peer.send(b"late")
    tunnel.expect(b"late")
    peer.close()
    stream = tunnel.client.answer(tunnel.id)
    assert (stream.body, stream.ended, stream.reset) == (b"late", True, None)


def test_http2_connect_that_an_origin_takes(h2_ask, raw):
    tunnel = h2_ask(plain("h1.test:80"))
    tunnel.send(b"early")
    peer = raw.accept()
    first, fields = peer.head()
    assert (first, fields["host"]) == ("CONNECT h1.test:80 HTTP/1.1", "h1.test:80")
    assert peer.pending() == b""
    peer.send(b"HTTP/1.1 200 OK\r\n\r\nfirst")
    assert tunnel.status() == 200
    tunnel.expect(b"first")
    peer.expect(b"early")


def test_http2_connect_on_both_sides(h2_ask, h2_origin):
    tunnel = h2_ask(plain("h2.test:80"))
    tunnel.send(b"early")
    h2_origin.wait_requests(1)
    assert h2_origin.last.header(":path") is None
    stream = answer(h2_origin, (":status", "200"), body=b"first")
    assert tunnel.status() == 200
    tunnel.expect(b"first")
    wait_for(lambda: stream.body == b"early", what="what came early")


@pytest.mark.parametrize("authority, status", [
    ("unset.test:80", 403), ("unknown.test:80", 404)])
def test_http2_connect_without_its_upgrade(h2_ask, raw, authority, status):
    assert h2_ask(plain(authority)).status() == status
    assert raw.untouched()


@difference("A tunnel has no length: whoever counts to it reads something else than who does not.",
            envoy="ignores it in CONNECT, forwards it with an extended CONNECT", xylem="400")
@pytest.mark.parametrize("pseudo", [plain("h1.test:80"), extended()], ids=["plain", "extended"])
def test_http2_connect_with_a_length(h2_ask, raw, kind, pseudo):
    tunnel = h2_ask(pseudo, [("content-length", "5")])
    if kind == "xylem":
        assert tunnel.status() == 400
        assert raw.untouched()
    else:
        raw.accept().head()


def test_the_origin_of_an_http2_connect_resets(h2_ask, raw):
    tunnel = h2_ask(plain("tcp.test:80"))
    peer = raw.accept()
    assert tunnel.status() == 200
    peer.reset()
    assert tunnel.client.answer(tunnel.id).reset == CONNECT_ERROR


@pytest.mark.parametrize("own, status", [("connect-udp", 101), ("CONNECT", 403)])
def test_a_way_for_udp_is_matched_as_a_connect(start, origin, own, status):
    """RFC 9298 comes as an upgrade; where CONNECT has its route, it takes that, before others."""
    path = "/.well-known/masque/udp/10.0.0.1/53/"
    origin.on[path] = Reply(101, "Switching Protocols", framed=False,
                            headers=[("connection", "upgrade"), ("upgrade", "connect-udp")])
    proxy = start(bootstrap([http_listener(routes=[
        {"match": {"connect_matcher": {}},
         "route": {"cluster": "one", "upgrade_configs": [{"upgrade_type": own}]}},
        route("/", "one")])], [cluster("one", origin)]))
    with proxy.client() as client:
        client.send(f"GET {path} HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\n"
                    "Upgrade: Connect-UDP\r\n\r\n")
        assert client.response().status == status
    assert proxy.get("/").text == "origin"


# --- the port, which virtual hosts do not see

ANY, DOT = {"strip_any_host_port": True}, {"strip_trailing_host_dot": True}
PORTS = {
    "any": (ANY, "a.test:443", "a.test:443"),
    "a number": (ANY, "a.test:0443", "a.test:443"),
    "the dot": (DOT, "a.test.:443", "a.test:443"),
    "both": ({**ANY, **DOT}, "a.test.:443", "a.test:443"),
    "IPv6": (ANY, "[::1]:443", "[::1]:443"),
}
REWRITES = {
    "literal": ({"host_rewrite_literal": "b.test"}, "b.test"),
    "weight": ({"weighted_clusters": {"clusters": [
        {"name": "one", "weight": 1, "host_rewrite_literal": "b.test"}]}}, "b.test:443"),
}


def stripping(start, raw, options, action=None):
    """The route says in a header which authority it saw."""
    made = route("/", match={"connect_matcher": {}}, request_headers_to_add=[
        add_header("x-saw", "%REQ(:authority)%")], **(action or {"to": "one"}))
    return start(bootstrap([http_listener(
        routes=[made, {**made, "match": {"prefix": "/"}}], http2_protocol_options={
            "allow_connect": True}, upgrade_configs=[
                {"upgrade_type": "CONNECT"}, {"upgrade_type": "websocket"}], **options)],
        [cluster("one", raw)]))


@pytest.mark.parametrize("case", PORTS)
def test_the_origin_of_a_connect_gets_the_port(start, raw, case, closing):
    options, authority, expected = PORTS[case]
    proxy = stripping(start, raw, options)
    for client in (lambda: connect(proxy, authority),
                   lambda: Tunnel(proxy.port(), plain(authority))):
        closing(client())
        first, fields = raw.accept().head()
        assert (first, fields["host"]) == (f"CONNECT {expected} HTTP/1.1", expected)
        assert fields["x-saw"] == (expected.removesuffix(":443") if "strip_any_host_port" in options
                                   else expected)


def test_the_origin_of_an_upgrade_over_http2_gets_the_port(start, raw, closing):
    proxy = stripping(start, raw, ANY)
    asked = [(n, "a.test:443" if n == ":authority" else v) for n, v in extended()]
    closing(Tunnel(proxy.port(), asked))
    assert raw.accept().head()[1]["host"] == "a.test:443"


def test_the_origin_of_an_upgrade_over_http1_gets_no_port(start, raw, closing):
    proxy = stripping(start, raw, ANY)
    client = closing(proxy.client())
    client.write_request(host="a.test:443", headers=[("Connection", "Upgrade"),
                                                     ("Upgrade", "websocket")])
    assert raw.accept().head()[1]["host"] == "a.test"


@pytest.mark.parametrize("case", REWRITES)
def test_the_port_of_a_host_that_is_rewritten(start, raw, closing, case):
    action, expected = REWRITES[case]
    proxy = stripping(start, raw, ANY, {"to": "one" if case == "literal" else None, **action})
    closing(connect(proxy, "a.test:443"))
    first, fields = raw.accept().head()
    assert first == f"CONNECT {expected} HTTP/1.1"
    assert fields.get("x-envoy-original-host") == (
        "a.test:443" if case == "literal" else None)


# --- routes that lead nowhere

ADDED = {"response_headers_to_add": [add_header("x-a", "1")]}
NOWHERE = {
    "redirect": {"redirect": {"host_redirect": "b.test"}},
    "direct": {"direct_response": {"status": 302}},
}


@pytest.mark.parametrize("case", NOWHERE)
def test_connect_is_led_to_no_place(start, case, closing):
    """Which would need a path."""
    made = {"match": {"connect_matcher": {}}, **NOWHERE[case], **ADDED}
    proxy = start(bootstrap([http_listener(
        routes=[made], upgrade_configs=[{"upgrade_type": "CONNECT"}])]))
    answer = closing(connect(proxy, "a.test:80")).response()
    assert answer.status in (301, 302)
    assert (answer.header("location"), answer.header("x-a")) == (None, "1")


@pytest.mark.parametrize("case", NOWHERE)
def test_headers_of_a_refused_connect(start, case, closing):
    """What a redirect or a direct response adds is of that alone."""
    made = {"match": {"connect_matcher": {}}, **NOWHERE[case], **ADDED}
    proxy = start(bootstrap([http_listener(routes=[made])]))
    answer = closing(connect(proxy, "a.test:80")).response()
    assert (answer.status, answer.header("x-a")) == (403, None)


@pytest.mark.parametrize("name, cluster_name", [("/", "-"), ("/one", "/one"), ("/none", "-")])
def test_cluster_of_a_refused_upgrade(start, raw, log_file, name, cluster_name):
    """The log knows clusters, not what a client calls one."""
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", cluster_header=":path")],
                       access_log=[file_log(log_file, "%UPSTREAM_CLUSTER%\n")])],
        [cluster("/one", raw)]))
    with proxy.client() as client:
        client.write_request(path=name, headers=[("Connection", "Upgrade"), ("Upgrade", "q")])
        assert client.response().status == 403
    assert logged(proxy, log_file) == cluster_name
