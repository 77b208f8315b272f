"""Connections: keep-alive, reuse, pipelining, versions, forms of the target, half-close."""
import contextlib
import resource
import time

import pytest

from harness import (Reply, bootstrap, cluster, difference, direct, http_listener, route,
                     wait_for)
from harness.h2peer import H2Origin, H2Reply
from harness.proxy import sanitized


@pytest.fixture
def proxy(start, origin):
    return start(bootstrap([http_listener(routes=[route("/", "one")])],
                           [cluster("one", origin)]))


def test_keep_alive_reuses_both_connections(proxy, origin):
    with proxy.client() as client:
        for number in range(10):
            assert client.get(f"/{number}").status == 200
    assert [r.target for r in origin.requests] == [f"/{n}" for n in range(10)]
    assert len(origin.connections) == 1
    stats = proxy.stats()
    assert stats["http.ingress.downstream_cx_total"] == 1
    assert stats["cluster.one.upstream_cx_total"] == 1
    assert stats["cluster.one.upstream_rq_total"] == 10


def test_upstream_connection_outlives_the_client(proxy, origin):
    for _ in range(5):
        assert proxy.get("/").status == 200
    assert len(origin.connections) == 1


def test_two_requests_at_once_open_two_upstream_connections(proxy, origin):
    hold = origin.hold()
    origin.reply = Reply(hold=hold)
    with proxy.client() as one, proxy.client() as two:
        one.write_request()
        two.write_request()
        origin.wait_requests(2)
        assert len(origin.connections) == 2
        hold.release()
        assert one.response().status == two.response().status == 200


def test_pipelined_requests_are_answered_in_order(proxy, origin):
    for n in range(5):
        origin.on[f"/{n}"] = Reply(body=b"answer %d" % n)
    with proxy.client() as client:
        client.send("".join(f"GET /{n} HTTP/1.1\r\nHost: a.test\r\n\r\n" for n in range(5)))
        assert [client.response().text for _ in range(5)] == [f"answer {n}" for n in range(5)]


def test_pipelined_request_behind_a_body(proxy, origin):
    with proxy.client() as client:
        client.send("POST /1 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc"
                    "GET /2 HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert client.response().status == 200
        assert client.response().status == 200
    assert [(r.target, r.body) for r in origin.requests] == [("/1", b"abc"), ("/2", b"")]


def test_connection_close_of_the_client_is_honoured(proxy):
    with proxy.client() as client:
        answer = client.get("/", headers={"Connection": "close"})
        assert answer.header("connection") == "close"
        assert client.closed()


def test_connection_close_of_the_origin_stays_upstream(proxy, origin):
    origin.reply = Reply(headers=[("connection", "close")], close=True)
    with proxy.client() as client:
        for _ in range(3):
            answer = client.get("/")
            assert answer.status == 200
            assert answer.header("connection") is None
    assert len(origin.connections) == 3


def test_origin_that_closed_while_idle_costs_nothing(proxy, origin):
    assert proxy.get("/").status == 200
    origin.close_connections()
    proxy.wait_stat("cluster.one.upstream_cx_active", 0)
    assert proxy.get("/").status == 200


def test_http_1_0_is_refused_with_426(proxy, origin):
    with proxy.client() as client:
        client.send("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n")
        answer = client.response()
        assert answer.status == 426
        assert answer.header("connection") == "close"
        assert client.closed()
    assert origin.requests == []


@pytest.fixture
def old(start, origin):
    return start(bootstrap(
        [http_listener(routes=[route("/", "one")], http_protocol_options={
            "accept_http_10": True, "default_host_for_http_10": "old.test"})],
        [cluster("one", origin)]))


def test_accept_http_10_answers_and_closes(old, origin):
    with old.client() as client:
        client.send("GET /old HTTP/1.0\r\n\r\n")
        answer = client.response()
        assert answer.status == 200
        assert answer.header("connection") == "close"
        assert client.closed()
    assert (origin.last.version, origin.last.header("host")) == ("HTTP/1.1", "old.test")


def test_accept_http_10_with_keep_alive(old, origin):
    with old.client() as client:
        for _ in range(2):
            client.send("GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n")
            answer = client.response()
            assert answer.header("connection") == "keep-alive"
            assert answer.text == "origin"


def test_http_10_client_gets_no_chunks(old, origin):
    origin.reply = Reply(chunks=[b"one", b"two"])
    with old.client() as client:
        client.send("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n")
        answer = client.response()
        assert not answer.chunked
        assert answer.body == b"onetwo"


@difference("RFC 9110 10.1.1: an expectation of HTTP/1.0 is ignored, and 6.2 and 15.2: such a client "
            "knows no interim answers.", envoy="answers 100", xylem="answers once")
def test_http_10_expects_nothing(old, origin, kind):
    with old.client() as client:
        client.send("POST / HTTP/1.0\r\nHost: a.test\r\nContent-Length: 2\r\n"
                    "Expect: 100-continue\r\n\r\nhi")
        if kind == "envoy":
            assert client.interim().status == 100
        assert client.response().status == 200
    assert origin.last.header("expect") is None
    old.wait_stat("http.ingress.downstream_rq_1xx", kind == "envoy")


LENGTHLESS = {"204": ("GET", Reply(status=204)), "304": ("GET", Reply(status=304)),
              "HEAD": ("HEAD", Reply(chunks=[b"a"]))}


@difference("RFC 9112 6.3: an answer without a body ends with its head, whatever the version; a "
            "connection that was asked for again may stay.",
            envoy="closes the connection of an HTTP/1.0 client that has asked for keep-alive after "
                  "an answer that has neither a body nor a length", xylem="keeps it")
@pytest.mark.parametrize("case", LENGTHLESS)
def test_keep_alive_of_http_10_without_a_body(old, origin, kind, case):
    method, origin.reply = LENGTHLESS[case]
    with old.client() as client:
        client.send(f"{method} / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n")
        answer = client.response(to=method)
        assert answer.header("connection") == ("keep-alive" if kind == "xylem" else "close")


def test_absolute_form_replaces_host(proxy, origin):
    with proxy.client() as client:
        client.send("GET http://b.test:81/path?q HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert client.response().status == 200
    assert origin.last.target == "/path?q"
    assert origin.last.all("host") == ["b.test:81"]


def test_absolute_form_without_a_path(proxy, origin):
    with proxy.client() as client:
        client.send("GET http://b.test HTTP/1.1\r\nHost: b.test\r\n\r\n")
        assert client.response().status == 200
    assert origin.last.target == "/"


def test_hop_by_hop_headers_stay_here(proxy, origin):
    origin.reply = Reply(headers=[("Keep-Alive", "timeout=5"), ("Connection", "x-hop"),
                                  ("x-hop", "1")])
    answer = proxy.get("/", headers={"Connection": "x-private", "X-Private": "1",
                                     "Keep-Alive": "300", "Proxy-Connection": "keep-alive",
                                     "TE": "trailers, deflate"})
    assert answer.status == 200
    assert origin.last.header("x-private") is None
    assert origin.last.header("keep-alive") is None
    assert origin.last.header("proxy-connection") is None
    assert answer.header("keep-alive") is None


def test_a_header_of_a_long_name_that_connection_names_stays_here(proxy, origin):
    name = "x-" + "n" * 300
    others = ",".join(f"x-{n}" for n in range(8))
    answer = proxy.get("/", headers={"Connection": f"{name.upper()}, {others}", name: "1"})
    assert answer.status == 200
    assert origin.last.header(name) is None


def test_upgrade_that_is_not_configured_is_403(proxy, origin):
    with proxy.client() as client:
        answer = client.get("/", headers={"Connection": "upgrade", "Upgrade": "websocket"})
        assert answer.status == 403
    assert origin.requests == []


def test_half_close_after_the_answer_ends_the_connection(proxy):
    with proxy.client() as client:
        assert client.get("/").status == 200
        client.half_close()
        assert client.closed()


def test_client_that_leaves_cancels_the_request(proxy, origin):
    origin.reply = Reply(never=True)
    client = proxy.client()
    client.write_request()
    origin.wait_requests(1)
    client.close()
    wait_for(lambda: not origin.open_connections, what="the upstream connection to close")
    proxy.wait_stat("http.ingress.downstream_cx_active", 0)
    assert proxy.stat("cluster.one.upstream_rq_active") == 0


def test_blank_lines_before_a_request_are_skipped(proxy):
    with proxy.client() as client:
        client.send("\r\n\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert client.response().status == 200


def test_max_requests_per_connection_closes_downstream(start):
    proxy = start(bootstrap([http_listener(
        routes=[direct(200)], common_http_protocol_options={"max_requests_per_connection": 2})]))
    with proxy.client() as client:
        assert client.get("/").header("connection") is None
        assert client.get("/").header("connection") == "close"
        assert client.closed()


def test_max_requests_per_connection_renews_upstream(start, origin):
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one")])],
        [cluster("one", origin, http={
            "common_http_protocol_options": {"max_requests_per_connection": 2}})]))
    for _ in range(6):
        assert proxy.get("/").status == 200
    assert [wire.requests for wire in origin.connections] == [2, 2, 2]


INTERIM = b"HTTP/1.1 103 Early Hints\r\nlink: </%d>\r\n\r\n"


@pytest.mark.parametrize("code", [b"102", b"103", b"104", b"150"])
def test_interim_answers_of_the_origin_are_dropped(proxy, origin, code):
    origin.reply = Reply(interim=b"HTTP/1.1 " + code + b" Wait\r\nlink: </a>\r\n\r\n")
    answer = proxy.get("/")
    assert (answer.status, answer.text, answer.interim) == (200, "origin", [])


MANY = 3000


@pytest.mark.parametrize("version", [1, 2])
def test_an_origin_may_say_for_long_that_it_is_at_work(start, origin, closing, version):
    """Each of its interim answers is forgotten before the next comes, and only the first is
    counted."""
    http, text = None, "x" * 3900       # HTTP/2 says the same again in a byte
    if version == 2:
        origin = closing(H2Origin())
        origin.reply = H2Reply(interim=[(":status", "102"), ("x", text)], interims=MANY)
        http = {"explicit_http_config": {"http2_protocol_options": {}}}
    else:
        origin.reply = Reply(interim=f"HTTP/1.1 102 Wait\r\nx: {text}\r\n\r\n".encode() * MANY)
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")])],
                            [cluster("one", origin, http=http)]))
    before = proxy.memory_kib(peak=True)
    answer = proxy.get("/")
    assert (answer.status, answer.text) == (200, "origin")
    assert proxy.stat("cluster.one.upstream_rq_102") == 1
    assert sanitized() or proxy.memory_kib(peak=True) - before < 6000


def test_a_client_that_reads_no_interim_answers(start, origin, kind):
    """Nothing piles up for it."""
    text = "x" * 3900
    origin.reply = Reply(interim=f"HTTP/1.1 103 Hint\r\nx: {text}\r\n\r\n".encode() * 4 * MANY)
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")], proxy_100_continue=True,
                                           listener={"per_connection_buffer_limit_bytes": 65536})],
                            [cluster("one", origin)]))
    before = proxy.memory_kib(peak=True)
    with proxy.client() as client:
        client.write_request()
        origin.wait_requests(1)
        proxy.wait_stat("cluster.one.upstream_rq_200", 1)
        answer = client.response()
    assert (answer.status, answer.text) == (200, "origin")
    assert (len(answer.interim) > 1) == (kind == "xylem")
    assert sanitized() or proxy.memory_kib(peak=True) - before < 6000


def test_proxy_100_continue_forwards_interim_answers(start, origin):
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")], proxy_100_continue=True)],
                            [cluster("one", origin)]))
    origin.reply = Reply(interim=INTERIM % 1)
    answer = proxy.get("/")
    assert (answer.status, answer.text) == (200, "origin")
    assert [(i.status, i.header("link")) for i in answer.interim] == [(103, "</1>")]


@difference("A proxy that forwards interim answers must forward all of them (RFC 9110 15.2).",
            envoy="with proxy_100_continue, forwards the first 1xx of a request and drops the rest",
            xylem="with proxy_100_continue, forwards every 1xx, as long as the client reads them")
def test_proxy_100_continue_forwards_every_interim_answer(start, origin, kind):
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")], proxy_100_continue=True)],
                            [cluster("one", origin)]))
    origin.reply = Reply(interim=INTERIM % 1 + INTERIM % 2)
    links = [i.header("link") for i in proxy.get("/").interim]
    assert links == (["</1>", "</2>"] if kind == "xylem" else ["</1>"])


@difference("An answer of 101 that no request asked for would turn the connection over to another "
            "protocol; RFC 9110 7.8 forbids it.",
            envoy="forwards the 101", xylem="502, and the upstream connection is closed")
def test_101_that_nobody_asked_for(proxy, origin, kind):
    origin.reply = Reply(raw=b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n"
                             b"upgrade: other\r\n\r\n")
    answer = proxy.get("/")
    assert answer.status == (502 if kind == "xylem" else 101)


@difference("A header that Connection names is meant for the next hop alone; RFC 9110 7.6.1 "
            "demands that a proxy removes it, in answers as in requests.",
            envoy="removes Connection and forwards what it names", xylem="removes both")
def test_headers_that_connection_of_an_answer_names(proxy, origin, kind):
    origin.reply = Reply(headers=[("connection", "x-hop"), ("x-hop", "1"), ("x-end", "2")])
    answer = proxy.get("/")
    assert (answer.header("connection"), answer.header("x-end")) == (None, "2")
    assert answer.header("x-hop") == (None if kind == "xylem" else "1")


@difference("After the last answer of a connection nothing more is sent: FIN tells the client at "
            "once, while what still comes from it is read until delayed_close_timeout.",
            envoy="waits for the client or for delayed_close_timeout, then closes",
            xylem="sends FIN with the answer")
def test_end_of_a_closing_connection_is_told_at_once(start, origin, kind):
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")],
                                          delayed_close_timeout="0.5s")],
                            [cluster("one", origin)]))
    with proxy.client() as client:
        client.send("GET bad HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert client.response().status == 400
        begin = time.monotonic()
        assert client.closed()
        took = time.monotonic() - begin
    assert took < 0.4 if kind == "xylem" else took > 0.3


@pytest.mark.parametrize("method, body", [("GET", None), ("POST", b"all of it")])
def test_who_sends_no_more_is_not_waited_for(start, origin, method, body):
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")],
                                           delayed_close_timeout="60s")],
                            [cluster("one", origin)]))
    with proxy.client() as client:
        answer = client.request(method, "/", body=body, headers=[("connection", "close")])
        assert (answer.status, answer.text) == (200, "origin")
        proxy.wait_stat("http.ingress.downstream_cx_active", 0)
        assert proxy.stat("http.ingress.downstream_cx_destroy_local") == 1
        assert client.closed()


@pytest.mark.parametrize("request_line, host", [
    ("GET /", ""), ("GET /%00", "Host: a.test\r\n"), ("QUERY /", "Host: a.test\r\n")])
@pytest.mark.parametrize("keeps", [False, True])
def test_a_wrong_request_may_end_alone(start, origin, keeps, request_line, host):
    """stream_error_on_invalid_http_message: the request fails, its connection goes on."""
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")], normalize_path=True,
                                           stream_error_on_invalid_http_message=keeps)],
                            [cluster("one", origin)]))
    with proxy.client() as client:
        client.send(f"{request_line} HTTP/1.1\r\n{host}\r\n")
        answer = client.response()
        assert (answer.status, answer.header("connection")) == (400, None if keeps else "close")
        if keeps:
            assert client.get().text == "origin"
        else:
            assert client.closed()
    assert len(origin.requests) == keeps


@pytest.mark.parametrize("status, fields, closes", [
    (400, {}, True), (404, {}, False),
    (400, {"override_stream_error_on_invalid_http_message": True}, False)])
@pytest.mark.parametrize("content_type", ["text/plain", "application/grpc"])
def test_400_of_our_own_ends_the_connection(start, status, fields, closes, content_type):
    """Whoever asks so badly is not to be read further, whatever it was that said 400."""
    proxy = start(bootstrap([http_listener(routes=[direct(status, "no", prefix="/")],
                                           http_protocol_options=fields)]))
    with proxy.client() as client:
        answer = client.get(headers={"content-type": content_type})
        assert (answer.header("connection") == "close") == closes
        if not closes:
            assert client.get().status == status
