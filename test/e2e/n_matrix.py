"""Every pair of HTTP versions, 1.0, 1.1 and 2, in plain text and with TLS on both sides, and all that a
message may do between them: one proxy and a few origins for all cells of a client."""
import hashlib

import pytest

from harness import Client, Origin, Reply, bootstrap, certs, cluster, http_listener, route, wait_for
from harness.h2peer import H2Client, H2Origin, H2Reply

HTTP2 = {"explicit_http_config": {"http2_protocol_options": {}}}
HTTP1 = {"explicit_http_config": {"http_protocol_options": {"enable_trailers": True}}}
LARGE = hashlib.shake_256(b"xylem").digest(10 << 20)
TRAILERS = [("x-end", "1"), ("x-sum", "abc")]
ORIGINS = ["1.0", "1.1", "2"]


class Answer:
    """What a client saw; complete: to its end."""

    def __init__(self, status, header, body, trailers, complete):
        self.status, self.header, self.body = status, header, body
        self.trailers, self.complete = trailers, complete


class ClientH1:
    def __init__(self, port, version, tls):
        self.version = version
        self.wire = Client(port, tls=tls, name="a.test" if tls else None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wire.close()

    def send(self, method, path, body=None, headers=(), streamed=False, trailers=None):
        headers = list(headers)
        if streamed or trailers:
            headers.append(("Transfer-Encoding", "chunked"))
            body = b"%x\r\n%s\r\n0\r\n" % (len(body), body) + b"".join(
                f"{k}: {v}\r\n".encode() for k, v in trailers or []) + b"\r\n"
        self.wire.write_request(method, path, headers=headers, body=body, version=self.version)

    def answer(self, method="GET"):
        try:
            got = self.wire.response(to=method)
        except AssertionError as error:
            assert "missing" in str(error) or "closed" in str(error), error
            return Answer(None, None, None, None, False)
        return Answer(got.status, got.header, got.body, got.trailers, True)

    def begin(self, method, path, length):
        """A head alone, whose body does not come."""
        self.wire.write_request(method, path, headers=[("Content-Length", str(length))],
                                version=self.version)

    def leave(self):
        self.wire.close()


class ClientH2:
    version = "2"

    def __init__(self, port, tls):
        self.wire = H2Client(port, tls=tls)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wire.close()

    def send(self, method, path, body=None, headers=(), streamed=False, trailers=None):
        headers = list(headers)
        if body is not None and not streamed and not trailers:
            headers.append(("content-length", str(len(body))))
        self.stream = self.wire.open(method, path, headers, end=body is None)
        if body is not None:
            self.wire.data(self.stream, body, end=trailers is None)
        if trailers is not None:
            self.wire.trailers(self.stream, trailers)

    def answer(self, method="GET"):
        got = self.wire.answer(self.stream)
        return Answer(got.status, got.header, got.body, got.trailers or [], got.ended)

    def begin(self, method, path, length):
        self.stream = self.wire.open(method, path, [("content-length", str(length))], end=False)

    def leave(self):
        self.wire.reset(self.stream)


class World:
    """A proxy, its origins by version, and the client's side."""

    def __init__(self, start, closing, version, tls, ca, web, folder):
        contexts = [certs.server_context(web, folder, alpn=[name]) if tls else None
                    for name in ("http/1.1", "h2")]
        self.h1, self.h2 = closing(Origin(ssl=contexts[0])), closing(H2Origin(tls=contexts[1]))
        listener = http_listener(
            routes=[route("/2", "two"), route("/", "one")],
            http_protocol_options={"accept_http_10": True, "default_host_for_http_10": "a.test",
                                   "enable_trailers": True})
        clusters = [cluster("one", self.h1, http=HTTP1), cluster("two", self.h2, http=HTTP2)]
        if tls:
            listener["filter_chains"][0]["transport_socket"] = certs.downstream(
                web, alpn_protocols=["h2", "http/1.1"])
            for made in clusters:
                made["transport_socket"] = certs.upstream(
                    outer={"sni": "a.test"}, validation_context=ca.validation_context())
        self.proxy = start(bootstrap([listener], clusters))
        self.version = version
        alpn = ["h2" if version == "2" else "http/1.1"]
        self.context = certs.client_context(ca, alpn=alpn) if tls else None

    def client(self):
        if self.version == "2":
            return ClientH2(self.proxy.port(), self.context)
        return ClientH1(self.proxy.port(), self.version, self.context)

    def last(self, origin):
        """The newest request at that origin: method, body, trailers."""
        got = self.h2.last if origin == "2" else self.h1.requests[-1]
        method = got.header(":method") if origin == "2" else got.method
        return method, got.body, got.trailers or []

    def reply(self, origin, body=b"origin", trailers=None, headers=(), early=False, cut=False):
        """How that origin answers from now on. cut: half of it, then it resets."""
        length = [("content-length", str(len(body)))]
        if origin == "2":
            self.h2.reply = H2Reply(
                body=body[:len(body) // 2] if cut else body, trailers=trailers, early=early,
                headers=(length if cut or not trailers else []) + list(headers),
                reset=2 if cut else None, partial=cut)
        elif origin == "1.0":
            self.h1.reply = Reply(raw=b"HTTP/1.0 200 OK\r\n\r\n" + body, close=True, early=early)
        elif trailers:
            self.h1.reply = Reply(chunks=[body], trailers=trailers, headers=list(headers))
        else:
            head = len(b"HTTP/1.1 200 OK\r\ncontent-length: \r\n\r\n") + len(length[0][1])
            self.h1.reply = Reply(body=body, headers=list(headers), early=early,
                                  cut=head + len(body) // 2 if cut else None)


@pytest.fixture(params=["1.0", "1.1", "2"], ids=["http10", "http11", "http2"])
def world(request, start, closing, tls, ca, web, tmp_path):
    return World(start, closing, request.param, tls, ca, web, tmp_path)


def ask(world, origin, method, **kw):
    with world.client() as client:
        client.send(method, f"/{origin}", **kw)
        return client.answer(method)


def test_methods_and_bodies(world):
    for origin in ORIGINS:
        world.reply(origin)
        assert ask(world, origin, "GET").body == b"origin"
        assert world.last(origin)[:2] == ("GET", b"")
        answer = ask(world, origin, "POST", body=b"with a length")
        assert (answer.status, answer.body) == (200, b"origin")
        assert world.last(origin)[:2] == ("POST", b"with a length")
        if world.version != "1.0":
            assert ask(world, origin, "POST", body=b"streamed", streamed=True).body == b"origin"
            assert world.last(origin)[1] == b"streamed"
    for origin in ["1.1", "2"]:
        world.reply(origin)
        answer = ask(world, origin, "HEAD")
        assert (answer.status, answer.body, answer.header("content-length")) == (200, b"", "6")
        assert world.last(origin)[0] == "HEAD"


def test_ten_mebibytes_each_way(world):
    for origin in ["1.1", "2"]:
        world.reply(origin, body=LARGE)
        answer = ask(world, origin, "POST", body=LARGE)
        assert answer.complete and answer.body == LARGE
        assert world.last(origin)[1] == LARGE


def test_trailers(world):
    for origin in ["1.1", "2"]:
        world.reply(origin, trailers=TRAILERS)
        answer = ask(world, origin, "GET")
        assert answer.body == b"origin"
        assert answer.trailers == ([] if world.version == "1.0" else TRAILERS)
        if world.version != "1.0":
            ask(world, origin, "POST", body=b"body", trailers=TRAILERS)
            assert world.last(origin)[1:] == (b"body", TRAILERS)


def test_expect(world):
    for origin in ["1.1", "2"] if world.version != "1.0" else []:
        world.reply(origin)
        with world.client() as client:
            client.send("POST", f"/{origin}", body=b"expected",
                        headers=[("expect", "100-continue")])
            assert client.answer().body == b"origin"
        assert world.last(origin)[1] == b"expected"


def test_early_answer(world):
    for origin in ["1.1", "2"]:
        world.reply(origin, early=True)
        with world.client() as client:
            client.begin("POST", f"/{origin}", 100000)
            answer = client.answer()
        assert (answer.status, answer.body, answer.complete) == (200, b"origin", True)


def test_origin_resets_in_its_answer(world):
    """Half an answer never looks whole, and the next one is."""
    for origin in ["1.1", "2"]:
        world.reply(origin, body=b"x" * 1000, cut=True)
        assert not ask(world, origin, "GET").complete
        world.reply(origin)
        assert ask(world, origin, "GET").body == b"origin"


def test_client_resets(world):
    """Its request ends at the origin's side, too, and in the figures."""
    for origin in ["1.1", "2"]:
        if origin == "2":
            world.h2.reply = H2Reply(never=True)
        else:
            world.h1.reply = Reply(never=True)
        name = {"1.1": "one", "2": "two"}[origin]
        with world.client() as client:
            client.send("GET", f"/{origin}")
            world.proxy.wait_stat(f"cluster.{name}.upstream_rq_active", 1)
            client.leave()
            world.proxy.wait_stat(f"cluster.{name}.upstream_rq_active", 0)
        if origin == "2":
            wait_for(lambda: world.h2.last.reset is not None, 10, "the reset at the origin")
        world.reply(origin)
        assert ask(world, origin, "GET").body == b"origin"


def test_goaway_of_the_origin(world):
    world.h2.reply = H2Reply(goaway=True)
    for _ in range(3):
        assert ask(world, "2", "GET").body == b"origin"
    assert len(world.h2.wires) == 3


def test_header_sizes_at_boundaries(world):
    """CVE-2019-18801: each boundary of a buffer, in both directions."""
    sizes = [(1 << n) + d for n in range(5, 15) for d in (-1, 0, 1)]
    with world.client() as client:
        for size in sizes if world.version != "1.0" else sizes[-3:]:
            for origin in ["1.1", "2"]:
                value = "v" * size
                world.reply(origin, headers=[("x-back", value)])
                with world.client() if world.version == "1.0" else _again(client) as one:
                    one.send("GET", f"/{origin}", headers=[("x-there", value)])
                    answer = one.answer()
                assert answer.header("x-back") == value
                got = world.h2.last if origin == "2" else world.h1.requests[-1]
                assert got.header("x-there") == value


class _again:
    """The same client, left open."""

    def __init__(self, client):
        self.client = client

    def __enter__(self):
        return self.client

    def __exit__(self, *_):
        pass
