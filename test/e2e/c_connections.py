"""Connections: keep-alive, reuse, pipelining, versions, forms of the target, half-close."""
import contextlib
import resource

import pytest

from harness import Reply, bootstrap, cluster, direct, http_listener, route, wait_for


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


def test_interim_103_is_forwarded_or_dropped_never_final(proxy, origin):
    origin.reply = Reply(interim=b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")
    answer = proxy.get("/")
    assert (answer.status, answer.text) == (200, "origin")


def test_soft_limit_of_descriptors_is_raised(start, origin):
    """More connections than the usual soft limit of open files allows."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    try:
        proxy = start(bootstrap([http_listener(routes=[route("/", "one")])],
                                [cluster("one", origin)]))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(proxy.client()) for _ in range(200)]
        assert [c.get("/").status for c in clients] == [200] * 200
