"""HTTP/2 on either side, and every pair of versions."""
import re
import subprocess

import pytest

from harness import (Reply, bootstrap, cluster, difference, direct, http_listener, route, wait_for,
                     xds)
from harness.config import file_log
from harness.h2peer import H2Client, H2Origin, H2Reply, Stream
from harness.origin import Origin
from harness.waiting import pause

GOAWAY = b"\0\0\x08\x07\0\0\0\0\0" + bytes(8)      # no error, none of the other side's streams
HTTP2 = {"explicit_http_config": {"http2_protocol_options": {}}}


@pytest.fixture
def h2_origin(closing):
    return closing(H2Origin())


@pytest.fixture
def proxy(start, origin, h2_origin):
    return start(bootstrap(
        [http_listener(routes=[route("/h1", "one"), route("/h2", "two"),
                               direct(200, "well", prefix="/direct")])],
        [cluster("one", origin), cluster("two", h2_origin, http=HTTP2)]))


class Side:
    """The origin behind /h1 or /h2, asked and told alike."""

    def __init__(self, version, h1, h2):
        self.path = f"/{version}"
        self.h2 = version == "h2"
        self.peer = h2 if self.h2 else h1

    def reply(self, status=200, headers=(), body=b"origin", trailers=None, interim=None):
        if self.h2:
            self.peer.reply = H2Reply(status=status, headers=list(headers), body=body,
                                      trailers=trailers,
                                      interim=[(":status", str(interim))] if interim else None)
        elif trailers:
            self.peer.reply = Reply(status=status, headers=list(headers), chunks=[body],
                                    trailers=trailers)
        else:
            raw = f"HTTP/1.1 {interim} Early\r\nlink: x\r\n\r\n".encode() if interim else b""
            self.peer.reply = Reply(status=status, headers=list(headers), body=body, interim=raw)

    def last(self):
        return self.peer.last


@pytest.fixture(params=["h1", "h2"])
def side(request, origin, h2_origin):
    return Side(request.param, origin, h2_origin)


def test_a_request_by_http2(proxy):
    with H2Client(proxy.port()) as client:
        answer = client.request(path="/direct")
    assert (answer.status, answer.body) == (200, b"well")
    assert answer.header("server") == "envoy"
    stats = proxy.stats()
    assert stats["http.ingress.downstream_cx_http2_total"] == 1
    assert stats["http.ingress.downstream_rq_http2_total"] == 1
    assert stats["http.ingress.downstream_cx_http1_total"] == 0


def test_both_versions_on_one_port(proxy):
    with H2Client(proxy.port()) as client:
        assert client.request(path="/direct").body == b"well"
    assert proxy.get("/direct").text == "well"


def test_get_and_head(proxy, side):
    side.reply(headers=[("x-from", "origin")], body=b"hello")
    with H2Client(proxy.port()) as client:
        answer = client.request(path=side.path)
        assert (answer.status, answer.body, answer.header("x-from")) == (200, b"hello", "origin")
        head = client.request("HEAD", side.path)
        assert (head.status, head.body) == (200, b"")


def test_http1_client(proxy, side):
    side.reply(body=b"hello")
    assert proxy.get(side.path).body == b"hello"
    assert proxy.request("POST", side.path, body=b"x" * 100000).status == 200
    assert len(side.last().body) == 100000


def test_a_body_with_a_length(proxy, side):
    with H2Client(proxy.port()) as client:
        answer = client.request("POST", side.path, [("content-length", "5")], b"hello")
    assert answer.status == 200
    assert side.last().body == b"hello"
    assert side.last().header("content-length") == "5"


def test_large_bodies_both_ways(proxy, side):
    size = 10 << 20
    side.reply(body=b"y" * size)
    with H2Client(proxy.port(), bound=30.0) as client:
        answer = client.request("POST", side.path, body=b"x" * size)
        assert answer.body == b"y" * size
    assert side.last().body == b"x" * size


def test_trailers_of_the_response(proxy, h2_origin):
    h2_origin.reply = H2Reply(body=b"b", trailers=[("x-end", "1")])
    with H2Client(proxy.port()) as client:
        answer = client.request(path="/h2")
    assert answer.body == b"b" and answer.trailers == [("x-end", "1")]
    assert proxy.stat("cluster.two.http2.trailers") == 0    # only those of requests count


def test_trailers_of_the_request(proxy, h2_origin):
    with H2Client(proxy.port()) as client:
        assert client.request("POST", "/h2", body=b"b", trailers=[("x-end", "1")]).status == 200
    assert h2_origin.last.trailers == [("x-end", "1")]
    assert proxy.stat("http2.trailers") == 1


def test_a_reset_of_what_has_ended_is_not_counted(proxy):
    with H2Client(proxy.port()) as client:
        assert client.request(path="/direct").status == 200
        client.raw(b"\0\0\4\3\0\0\0\0\1\0\0\0\10")
        assert client.request(path="/direct").status == 200
    assert proxy.stat("http2.rx_reset") == 0


def test_many_streams_share_one_upstream_connection(proxy, h2_origin):
    with H2Client(proxy.port()) as client:
        streams = [client.open(path=f"/h2/{n}") for n in range(50)]
        assert all(client.answer(s).status == 200 for s in streams)
    assert len(h2_origin.wires) == 1
    stats = proxy.stats()
    assert stats["cluster.two.upstream_cx_http2_total"] == 1
    assert stats["cluster.two.upstream_rq_total"] == 50


def test_gauges(proxy, h2_origin):
    # Envoy's windows take in the whole body, so only one that stays open keeps the stream upstream.
    h2_origin.reply = H2Reply(body=b"x" * 5_000_000, open=True)
    with H2Client(proxy.port()) as client:
        client.reading = False
        stream = client.open(path="/h2")
        client.wait(lambda: len(client.streams[stream].body) == 65535)
        proxy.wait_stat("http2.streams_active", 1)
        stats = proxy.stats()
        assert 0 < stats["http2.pending_send_bytes"] < 5_000_000
        assert stats["cluster.two.http2.streams_active"] == 1
        client.reset(stream)
        proxy.wait_stat("cluster.two.http2.streams_active", 0)
        stats = proxy.stats()
    assert stats["http2.streams_active"] == stats["http2.pending_send_bytes"] == 0
    assert stats["http2.outbound_frames_active"] == 0


def test_reset_by_the_client_reaches_the_origin(proxy, h2_origin):
    h2_origin.reply = H2Reply(never=True)
    with H2Client(proxy.port()) as client:
        stream = client.open(path="/h2")
        h2_origin.wait_requests(1)
        client.reset(stream)
        wait_for(lambda: h2_origin.last.reset is not None, 10, "the reset at the origin")
        h2_origin.reply = H2Reply()
        assert client.request(path="/h2").status == 200
    assert len(h2_origin.wires) == 1
    assert proxy.stats()["http.ingress.downstream_rq_rx_reset"] == 1


RESET = "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n"


def reset_and_log(start, h2_origin, log, code):
    """The line of a request that its client has reset."""
    h2_origin.reply = H2Reply(never=True)
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")],
                                           access_log=[file_log(log, RESET)])],
                            [cluster("one", h2_origin, http=HTTP2)]))
    with H2Client(proxy.port()) as client:
        stream = client.open()
        h2_origin.wait_requests(1)
        client.reset(stream, code)
        proxy.wait_stat("http.ingress.downstream_rq_rx_reset", 1)
    proxy.stop()
    return log.read_text()


@pytest.mark.parametrize("code, line", [(1, "DPE http2.remote_reset"), (2, "DR http2.remote_reset"),
                                        (7, "DR http2.remote_refuse"), (8, "DR http2.remote_reset")])
def test_flags_of_a_reset(start, h2_origin, tmp_path, code, line):
    assert reset_and_log(start, h2_origin, tmp_path / "log", code) == f"{line}\n"


@pytest.mark.parametrize("fields, line", [
    ([(f"x-{n}", "1") for n in range(101)], "DR http2.too_many_headers"),
    ([("x", "1" * 70000)], "DR http2.header_list_size_too_large"),
    ([("a_b", "1")], "DR http2.unexpected_underscore"),
    ([("Upper", "1")], "DPE http2.invalid.header.field"),
    ([("content-length", "x")], "DPE http2.invalid.header.field"),
    ([("host", "a@b")], "DPE http2.invalid.header.field")],
    ids=["count", "size", "underscore", "name", "length", "host"])
@pytest.mark.parametrize("stream_error", [True, False], ids=["stream", "connection"])
def test_flags_of_a_refused_head(start, tmp_path, fields, line, stream_error):
    log = tmp_path / "log"
    proxy = start(bootstrap([http_listener(
        routes=[direct(200, "well")], access_log=[file_log(log, RESET)],
        http2_protocol_options={"override_stream_error_on_invalid_http_message": stream_error},
        common_http_protocol_options={"headers_with_underscores_action": "REJECT_REQUEST"})], []))
    with H2Client(proxy.port()) as client:
        stream = client.open(headers=fields)
        if stream_error or "DR" in line:
            assert client.answer(stream).reset == (1 if "DPE" in line else 2)
        else:
            client.wait_closed()
    proxy.stop()
    assert log.read_text() == f"{line}\n"


def test_details_of_a_flood(start, h2_origin, tmp_path):
    log = tmp_path / "log"
    h2_origin.reply = H2Reply(never=True)
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")],
                                           access_log=[file_log(log, RESET)])],
                            [cluster("one", h2_origin, http=HTTP2)]))
    with H2Client(proxy.port()) as client:
        client.open()
        h2_origin.wait_requests(1)
        client.raw(b"\0\0\5\2\0\0\0\0\1\0\0\0\3\1" * 300)
        client.wait_closed()
    proxy.stop()
    assert log.read_text() == "DPE codec_error:Too_many_PRIORITY_frames\n"


@difference("A log that tells no reason reads like a request that was served.",
            envoy="logs neither flag nor details of a request that its client resets with NO_ERROR",
            xylem="logs it like any other reset")
def test_a_reset_without_error(start, h2_origin, tmp_path, kind):
    assert reset_and_log(start, h2_origin, tmp_path / "log", 0) == \
        ("DR http2.remote_reset\n" if kind == "xylem" else "- -\n")


def test_reset_by_the_origin_before_its_answer(proxy, h2_origin):
    h2_origin.reply = H2Reply(reset=8)
    with H2Client(proxy.port()) as client:
        answer = client.request(path="/h2")
    assert answer.status == 503
    assert answer.body == (b"upstream connect error or disconnect/reset before headers. "
                           b"reset reason: remote reset")


def test_reset_by_the_origin_in_its_answer(proxy, h2_origin):
    h2_origin.reply = H2Reply(body=b"half", reset=8, partial=True)
    with H2Client(proxy.port()) as client:
        answer = client.request(path="/h2")
        assert answer.status == 200 and answer.reset is not None and not answer.ended
        h2_origin.reply = H2Reply()
        assert client.request(path="/h2").status == 200


@difference("CANCEL says that nobody waits for the rest; INTERNAL_ERROR speaks of a fault of the proxy.",
            envoy="gives up a request, or an answer that has begun, with INTERNAL_ERROR",
            xylem="with CANCEL")
def test_code_of_what_is_given_up(start, h2_origin, kind):
    proxy = start(bootstrap([http_listener(routes=[route("/", "one", timeout="0.3s")])],
                            [cluster("one", h2_origin, http=HTTP2)]))
    h2_origin.reply = H2Reply(open=True)
    with H2Client(proxy.port()) as client:
        answer = client.request()
    assert answer.status == 200
    wait_for(lambda: h2_origin.last.reset is not None, 10, "the reset at the origin")
    assert [answer.reset, h2_origin.last.reset] == ([8, 8] if kind == "xylem" else [2, 2])


def test_early_answer(proxy, h2_origin):
    h2_origin.reply = H2Reply(status=413, body=b"no", early=True)
    with H2Client(proxy.port()) as client:
        stream = client.open("POST", "/h2", end=False)
        answer = client.answer(stream)
        assert (answer.status, answer.body) == (413, b"no")
        h2_origin.reply = H2Reply()
        assert client.request(path="/h2").status == 200


def test_goaway_of_the_origin_loses_nothing(proxy, h2_origin):
    h2_origin.reply = H2Reply(goaway=True)
    with H2Client(proxy.port()) as client:
        for _ in range(5):
            assert client.request(path="/h2").status == 200
    assert proxy.stats()["cluster.two.upstream_cx_close_notify"] >= 4


def test_goaway_of_the_client_ends_no_stream(proxy, side):
    """What it has asked for goes on both ways, also what comes after several such frames."""
    side.reply(body=b"y" * 200_000)
    with H2Client(proxy.port()) as client:
        first = client.open("POST", side.path, end=False)
        client.data(first, b"x" * 10_000)
        second = client.open("POST", side.path, end=False)
        client.raw(GOAWAY)
        client.data(first, b"x" * 20_000, end=True)
        assert client.answer(first).status == 200
        client.raw(GOAWAY)
        client.data(second, b"x" * 100_000, end=True)
        answer = client.answer(second)
        assert answer.status == 200 and answer.ended
        assert len(answer.body) == len(client.streams[first].body) == 200_000
        assert sorted(len(r.body) for r in side.peer.requests) == [30_000, 100_000]
        assert not any(code for code, _ in client.goaways)


def test_expect_is_answered(proxy, side):
    with H2Client(proxy.port()) as client:
        answer = client.request("POST", side.path, [("expect", "100-continue")], b"hello")
        assert answer.status == 200
        assert [dict(i)[":status"] for i in answer.interim] == ["100"]
    assert side.last().body == b"hello"


def test_cookies_are_joined(proxy, origin):
    with H2Client(proxy.port()) as client:
        client.request(path="/h1", headers=[("cookie", "a=1"), ("cookie", "b=2")])
    assert origin.last.header("cookie") == "a=1; b=2"


@difference("Where a line of fields stands says nothing.",
            envoy="puts the joined cookies behind the other fields of the client",
            xylem="leaves them where the first stood")
def test_place_of_joined_cookies(proxy, origin, kind):
    with H2Client(proxy.port()) as client:
        client.request(path="/h1", headers=[("cookie", "a=1"), ("x", "1"), ("cookie", "b=2")])
    seen = [name for name, _ in origin.last.headers if name in ("cookie", "x")]
    assert seen == (["cookie", "x"] if kind == "xylem" else ["x", "cookie"])


def test_hop_by_hop_headers_do_not_cross(proxy, origin, h2_origin):
    origin.reply = Reply(headers=[("connection", "x-hop"), ("x-hop", "1"), ("keep-alive", "3")])
    with H2Client(proxy.port()) as client:
        answer = client.request(path="/h1")
    names = [name for name, _ in answer.headers]
    assert "connection" not in names and "keep-alive" not in names
    assert "transfer-encoding" not in names
    proxy.request("GET", "/h2", headers=[("Connection", "x-hop"), ("x-hop", "1"), ("TE", "trailers")])
    names = [name for name, _ in h2_origin.last.headers]
    assert "connection" not in names and "x-hop" not in names


def test_max_requests_per_connection(start, origin):
    proxy = start(bootstrap([http_listener(
        routes=[route("/", "one")], drain_timeout="0.2s",
        common_http_protocol_options={"max_requests_per_connection": 3})], [cluster("one", origin)]))
    with H2Client(proxy.port()) as client:
        assert [client.request().status for _ in range(3)] == [200] * 3
        client.wait_closed()
        assert client.goaways and all(code == 0 for code, _ in client.goaways)
    assert proxy.stats()["http.ingress.downstream_cx_max_requests_reached"] == 1


def test_codec_type_http2_refuses_http1(start, origin):
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")], codec_type="HTTP2")],
                            [cluster("one", origin)]))
    with H2Client(proxy.port()) as client:
        assert client.request().status == 200
    with proxy.client() as client:
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        data = client.rest()
    assert b"HTTP/1.1" not in data
    assert proxy.stats()["http.ingress.downstream_cx_protocol_error"] == 1


def test_max_concurrent_streams_are_told(start, origin):
    proxy = start(bootstrap([http_listener(
        routes=[route("/", "one")],
        http2_protocol_options={"max_concurrent_streams": 7, "initial_stream_window_size": 70000,
                                "initial_connection_window_size": 80000})],
        [cluster("one", origin)]))
    with H2Client(proxy.port()) as client:
        assert client.request().status == 200
        settings = client.conn.remote_settings
        assert settings.max_concurrent_streams == 7
        assert settings.initial_window_size == 70000
        assert client.conn.outbound_flow_control_window >= 79000


@difference("Envoy's own guide for edge proxies asks for these limits; without them one "
            "connection may ask for 2,147,483,647 streams of 16 MiB each",
            envoy="max_concurrent_streams 1024 and windows of 16 and 24 MiB by default",
            xylem="100, 64 KiB and 1 MiB by default")
def test_default_limits(proxy, kind):
    with H2Client(proxy.port()) as client:
        assert client.request(path="/direct").status == 200
        settings = client.conn.remote_settings
        if kind == "xylem":
            assert settings.max_concurrent_streams == 100
            assert settings.initial_window_size == 65536
        else:
            assert settings.initial_window_size > 65536


@pytest.mark.parametrize("headers", [
    {":scheme": "ftp"}, {":path": "/caf\xe9"}, {"x": " blank first"}],
    ids=["scheme", "path", "blank"])
@difference("A scheme other than http and https, bytes beyond ASCII in a path, and blanks around a "
            "value are read by the next one who reads them in his own way; RFC 9113 calls the last "
            "malformed",
            envoy="passes all three on", xylem="resets the stream, or ends the connection")
def test_odd_fields(proxy, h2_origin, kind, headers):
    fields = {":method": "GET", ":scheme": "http", ":authority": "a.test", ":path": "/h2", **headers}
    if ":path" in headers:
        fields[":path"] = "/h2" + headers[":path"]
    with H2Client(proxy.port()) as client:
        stream = client.conn.get_next_available_stream_id()
        client.conn.send_headers(stream, list(fields.items()), end_stream=True)
        client.streams[stream] = Stream()
        client.flush()
        if kind == "envoy":
            assert client.answer(stream).status == 200
        else:
            while not client.streams[stream].over and client.read():
                pass
            assert client.streams[stream].headers is None
            assert not h2_origin.requests


def test_streams_run_out_at_the_origin(start, closing):
    origin = closing(H2Origin(settings={3: 2}))
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")])],
                            [cluster("one", origin, http=HTTP2)]))
    with H2Client(proxy.port()) as client:
        assert client.request().status == 200   # its SETTINGS are known now
        origin.reply = H2Reply(never=True)
        for _ in range(3):
            client.open()
        origin.wait_requests(4)
    assert len(origin.wires) == 2


def test_use_downstream_protocol(start, origin, h2_origin):
    http = {"use_downstream_protocol_config": {"http_protocol_options": {},
                                               "http2_protocol_options": {}}}
    made = [cluster("one", origin), cluster("two", h2_origin)]
    for one in made:
        one["typed_extension_protocol_options"] = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions":
                {"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3."
                          "HttpProtocolOptions", **http}}
    proxy = start(bootstrap([http_listener(routes=[route("/h1", "one"), route("/h2", "two")])],
                            made))
    assert proxy.get("/h1").status == 200
    with H2Client(proxy.port()) as client:
        assert client.request(path="/h2").status == 200
    stats = proxy.stats()
    assert stats["cluster.one.upstream_cx_http1_total"] == 1
    assert stats["cluster.two.upstream_cx_http2_total"] == 1


def test_keepalive_pings_the_origin(start, h2_origin):
    http = {"explicit_http_config": {"http2_protocol_options": {
        "connection_keepalive": {"interval": "0.1s", "timeout": "5s"}}}}
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")])],
                            [cluster("one", h2_origin, http=http)]))
    assert proxy.get("/").status == 200
    wait_for(lambda: h2_origin.wires[0].pings >= 2, 10, "PINGs at the origin")
    assert proxy.get("/").status == 200
    assert len(h2_origin.wires) == 1


def test_an_idle_client_is_not_pinged(start):
    """connection_idle_interval is for who begins streams."""
    proxy = start(bootstrap([http_listener(
        routes=[direct(200, "well")], http2_protocol_options={
            "connection_keepalive": {"connection_idle_interval": "0.1s", "timeout": "1s"}})], []))
    with H2Client(proxy.port()) as client:
        for _ in range(3):
            assert client.request().status == 200
            pause(0.2)      # longer than the interval
        assert client.pinged == 0


def test_access_log_names_the_protocols(start, h2_origin, tmp_path):
    log = tmp_path / "access.log"
    proxy = start(bootstrap([http_listener(
        routes=[route("/", "one")],
        access_log=[{"name": "a", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": str(log), "log_format": {"text_format_source": {
                "inline_string": "%PROTOCOL% %UPSTREAM_PROTOCOL% %RESPONSE_FLAGS% "
                                 "%RESPONSE_CODE_DETAILS%\n"}}}}])],
        [cluster("one", h2_origin, http=HTTP2)]))
    with H2Client(proxy.port()) as client:
        client.request()
        h2_origin.reply = H2Reply(never=True)
        stream = client.open()
        h2_origin.wait_requests(2)
        client.reset(stream)
        wait_for(lambda: proxy.stats()["http.ingress.downstream_rq_rx_reset"] == 1, 10, "the reset")
    wait_for(lambda: log.exists() and log.read_text().count("\n") == 2, 15, "two lines")
    first, second = log.read_text().splitlines()
    assert first == "HTTP/2 HTTP/2 - via_upstream"
    assert second.startswith("HTTP/2 HTTP/2 D"), second


def test_a_slow_reader_holds_little(start, origin, kind):
    origin.reply = Reply(body=b"x" * (64 << 20))
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one")],
                       listener={"per_connection_buffer_limit_bytes": 32768})],
        [cluster("one", origin, per_connection_buffer_limit_bytes=32768)]))
    with H2Client(proxy.port()) as client:
        client.reading = False
        stream = client.streams[client.open()]
        client.wait(lambda: len(stream.body) >= 65535)
        wait_for(lambda: proxy.stats()[
            "cluster.one.upstream_flow_control_paused_reading_total"] >= 1, 10, "the pause")
        got = proxy.stats()["cluster.one.upstream_cx_rx_bytes_total"]
    assert got < {"xylem": 1, "envoy": 32}[kind] << 20  # of 64; Envoy stops later at times


def test_too_many_headers_cost_the_stream(proxy):
    with H2Client(proxy.port()) as client:
        answer = client.request(path="/direct", headers=[(f"x-{n}", "1") for n in range(96)])
        assert answer.status == 200     # with the four pseudo headers, these are all there may be
        answer = client.request(path="/direct", headers=[(f"x-{n}", "1") for n in range(97)])
        assert answer.reset is not None
        assert client.request(path="/direct").status == 200
    assert proxy.stats()["http2.header_overflow"] == 1


def test_empty_frames_end_the_connection(proxy, h2_origin):
    with H2Client(proxy.port()) as client:
        stream = client.open("POST", "/h2", end=False)
        frame = b"\0\0\0\0\0" + stream.to_bytes(4, "big")
        client.raw(frame * 3)
        client.wait_closed()
    assert proxy.stats()["http2.inbound_empty_frames_flood"] == 1
    assert proxy.stats()["http.ingress.downstream_cx_protocol_error"] == 0   # a flood is none


def test_rapid_resets_end_the_connection(proxy, h2_origin):
    h2_origin.reply = H2Reply(never=True)
    with H2Client(proxy.port()) as client:
        for _ in range(600):
            stream = client.conn.get_next_available_stream_id()
            client.conn.send_headers(stream, [(":method", "GET"), (":scheme", "http"),
                                              (":authority", "a"), (":path", "/h2")], True)
            client.conn.reset_stream(stream)
            client.flush()
        client.wait_closed()
    assert proxy.stats()["http.ingress.downstream_rq_too_many_premature_resets"] == 1


def test_priority_frames_end_the_connection(proxy):
    with H2Client(proxy.port()) as client:
        client.request(path="/direct")
        client.raw(b"\0\0\5\2\0\0\0\0\1\0\0\0\3\1" * 300)
        client.wait_closed()
    assert proxy.stats()["http2.inbound_priority_frames_flood"] == 1


def test_h2load(proxy, h2_origin, origin):
    for path in ("direct", "h1", "h2"):
        out = subprocess.run(["h2load", "-n", "500", "-c", "3", "-m", "10",
                              f"http://127.0.0.1:{proxy.port()}/{path}"],
                             capture_output=True, text=True, timeout=60, check=True).stdout
        assert re.search(r"500 succeeded, 0 failed, 0 errored", out), out


def test_curl(proxy):
    out = subprocess.run(["curl", "-sv", "--http2-prior-knowledge",
                          f"http://127.0.0.1:{proxy.port()}/direct"],
                         capture_output=True, text=True, timeout=30, check=True)
    assert out.stdout == "well" and "< HTTP/2 200" in out.stderr


@pytest.mark.parametrize("client", ["h1", "h2"])
@pytest.mark.parametrize("path", ["/h1", "/h2"])
def test_host_of_an_answer(proxy, origin, h2_origin, client, path):
    """Only in a request it says whom it is for."""
    origin.reply = Reply(headers=[("host", "x.test")])
    h2_origin.reply = H2Reply(headers=[("host", "x.test")])
    if client == "h1":
        answer = proxy.get(path)
    else:
        with H2Client(proxy.port()) as one:
            answer = one.request(path=path)
        assert answer.header(":authority") is None
    assert (answer.status, answer.header("host")) == (200, "x.test")


@difference("RFC 9110 15 has no status below 100: what is none is not passed on.",
            envoy="passes 099 on", xylem="502")
def test_status_that_is_none(proxy, h2_origin, kind):
    h2_origin.reply = H2Reply(status="099")
    with H2Client(proxy.port()) as client:
        assert client.request(path="/h2").header(":status") == ("099" if kind == "envoy" else "502")


@difference("The words of TE have no case (RFC 9110 10.1.4).",
            envoy="knows trailers in lower case alone, and takes the field away",
            xylem="passes te: trailers on")
def test_te_in_capitals(proxy, origin, kind):
    with H2Client(proxy.port()) as client:
        assert client.request(path="/h1", headers=[("te", "Trailers")]).status == 200
    assert origin.last.header("te") == (None if kind == "envoy" else "trailers")


@difference("A connection whose client has said that it asks no more, and that has no stream left, is "
            "of no use to either side.",
            envoy="keeps it until the client closes, or its idle timeout",
            xylem="says GOAWAY, too, and closes it")
def test_a_client_that_asks_no_more(proxy, kind):
    subprocess.run(["nghttp", f"http://127.0.0.1:{proxy.port()}/direct"], check=True,
                   capture_output=True, timeout=20)
    side = {"xylem": "local", "envoy": "remote"}[kind]
    proxy.wait_stat(f"http.ingress.downstream_cx_destroy_{side}", 1)


def test_nghttp(proxy):
    out = subprocess.run(["nghttp", f"http://127.0.0.1:{proxy.port()}/direct"],
                         capture_output=True, text=True, timeout=30, check=True)
    assert out.stdout == "well"


@pytest.mark.parametrize("frame, code", [
    (b"\0\0\4\x08\0\0\0\0\0\x7f\xff\xff\xff", 3),
    (b"\0\0\1\0\1\0\0\0\1x", 5)], ids=["window", "ended"])
@difference("a client can only mend what it is told: the code says what was wrong, and the last "
            "stream what may be tried again",
            envoy="closes the connection without GOAWAY, or ignores the frame",
            xylem="GOAWAY with the code of RFC 9113, then closes")
def test_wrong_frames_are_named(proxy, kind, frame, code):
    with H2Client(proxy.port()) as client:
        assert client.request(path="/direct").status == 200
        client.raw(frame)
        client.conn.ping(b"12345678")
        client.flush()
        while client.pings == 0 and client.read():
            pass
        if kind == "xylem":
            assert [error for error, _ in client.goaways] == [code]
            assert client.closed
        else:
            assert code not in [error for error, _ in client.goaways]


def test_admin_by_http2(proxy):
    out = subprocess.run(["curl", "-s", "--http2-prior-knowledge", "-w", "%{http_version}",
                          "http://%s:%d/stats" % proxy.admin_target],
                         capture_output=True, text=True, timeout=30, check=True)
    assert "http.admin.downstream_cx_http2_total: 1" in out.stdout and out.stdout.endswith("2")


@difference("a client that hears GOAWAY asks elsewhere; one whose connection just ends does not know "
            "which of its requests were seen",
            envoy="closes an idle connection of a listener that is gone", xylem="says GOAWAY first")
def test_retired_listener_says_goaway(start, stub, h2_origin, kind):
    """A chain that goes drains its connections: GOAWAY, and what runs is finished."""
    control = stub(xds.listener(routes=[route("/", "one")]),
                   xds.static_cluster("one", h2_origin, http=HTTP2))
    proxy = start(xds.ads_bootstrap(control), args=["--drain-time-s", "1"])
    control.wait("lds")
    with H2Client(proxy.port()) as client:
        assert client.request().status == 200
        control.remove("lds", "ingress")
        client.wait_closed()
        assert bool(client.goaways) == (kind == "xylem")
        assert all(code == 0 for code, _ in client.goaways)
