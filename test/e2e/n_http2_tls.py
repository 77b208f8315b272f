"""HTTP/2 as the TLS handshake chooses it, on either side."""
import asyncio

import pytest

from harness import Client, bootstrap, certs, cluster, direct, http_listener, route
from harness.h2peer import H2Client, H2Origin, H2Reply
from harness.origin import loop_thread

HTTP2 = {"explicit_http_config": {"http2_protocol_options": {}}}
OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def tls_cluster(name, origin, **http):
    made = cluster(name, origin)
    made["transport_socket"] = certs.upstream(outer={"sni": "a.test"})
    made["typed_extension_protocol_options"] = {
        OPTIONS: {"@type": "type.googleapis.com/" + OPTIONS, **http}}
    return made


def test_body_and_trailers_by_alpn(start, closing, ca, web):
    origin = closing(H2Origin())
    origin.reply = H2Reply(body=b"y" * 3_000_000, trailers=[("x-end", "1")])
    listener = http_listener(routes=[route("/", "one")])
    listener["filter_chains"][0]["transport_socket"] = certs.downstream(
        web, alpn_protocols=["h2", "http/1.1"])
    proxy = start(bootstrap([listener], [cluster("one", origin, http=HTTP2)]))
    with H2Client(proxy.port(), tls=certs.client_context(ca, alpn=["h2"])) as client:
        assert client.sock.selected_alpn_protocol() == "h2"
        answer = client.request("POST", body=b"x" * 3_000_000)
        assert answer.body == b"y" * 3_000_000 and answer.trailers == [("x-end", "1")]
    assert origin.last.body == b"x" * 3_000_000
    assert proxy.stats()["http.ingress.downstream_cx_http2_total"] == 1


@pytest.mark.parametrize("offered", [["h2"], ["http/1.1"], ["x", "http/1.1"]])
def test_protocols_with_commas_between(start, ca, web, offered):
    listener = http_listener(routes=[direct(200)])
    listener["filter_chains"][0]["transport_socket"] = certs.downstream(
        web, alpn_protocols=["h2,http/1.1"])
    proxy = start(bootstrap([listener]))
    with Client(proxy.port(), tls=certs.client_context(ca, alpn=offered), name="a.test") as client:
        assert client.sock.selected_alpn_protocol() == offered[-1]


def test_auto_config_takes_http2(start, closing, web, tmp_path):
    origin = closing(H2Origin(tls=certs.server_context(web, tmp_path, alpn=["h2", "http/1.1"])))
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")])],
                            [tls_cluster("one", origin, auto_config={})]))
    assert [proxy.get("/").status for _ in range(3)] == [200] * 3
    assert len(origin.wires) == 1
    assert proxy.stats()["cluster.one.upstream_cx_http2_total"] == 1


def test_explicit_http2_offers_it(start, closing, web, tmp_path):
    origin = closing(H2Origin(tls=certs.server_context(web, tmp_path, alpn=["h2"])))
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")])],
                            [tls_cluster("one", origin, **HTTP2)]))
    assert proxy.get("/").status == 200


def test_auto_config_takes_http1(start, closing, web, tmp_path):
    context = certs.server_context(web, tmp_path, alpn=["http/1.1"])

    async def serve(reader, writer):
        while line := await reader.readline():
            if line == b"\r\n":
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nh1")
        writer.close()

    async def listen():
        return await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)


    server = loop_thread().run(listen())
    port = server.sockets[0].getsockname()[1]
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")])],
                            [tls_cluster("one", port, auto_config={})]))
    assert [proxy.get("/").text for _ in range(3)] == ["h1"] * 3
    stats = proxy.stats()
    assert stats["cluster.one.upstream_cx_http1_total"] >= 1
    assert stats["cluster.one.upstream_cx_http2_total"] == 0
    loop_thread().loop.call_soon_threadsafe(server.close)
