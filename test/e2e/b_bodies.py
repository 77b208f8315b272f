"""Bodies, framing and responses without a body."""
import pytest

from harness import Reply, bootstrap, cluster, http_listener, route


@pytest.fixture
def proxy(start, origin):
    return start(bootstrap([http_listener(routes=[route("/", "one")])],
                           [cluster("one", origin)]))


def test_post_with_a_length(proxy, origin):
    answer = proxy.request("POST", "/form", body=b"name=value")
    assert answer.status == 200
    assert origin.last.body == b"name=value"
    assert origin.last.header("content-length") == "10"
    assert origin.last.header("transfer-encoding") is None


def test_post_of_an_empty_body(proxy, origin):
    assert proxy.request("POST", "/", body=b"").status == 200
    assert origin.last.body == b""
    assert origin.last.header("content-length") == "0"


def test_chunked_request_stays_chunked(proxy, origin):
    with proxy.client() as client:
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\n\r\n")
        assert client.response().status == 200
    assert origin.last.header("transfer-encoding") == "chunked"
    assert origin.last.body == b"hello world"


def test_chunked_request_in_single_bytes(proxy, origin):
    message = (b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
               b"5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n")
    with proxy.client() as client:
        for byte in message:
            client.send(bytes([byte]))
        assert client.response().status == 200
    assert origin.last.body == b"hello0123456789"


def test_chunked_response_stays_chunked(proxy, origin):
    origin.reply = Reply(chunks=[b"one", b"two", b"x" * 3000])
    answer = proxy.get("/")
    assert answer.chunked
    assert answer.body == b"onetwo" + b"x" * 3000


def test_response_without_length_becomes_chunked(proxy, origin):
    origin.reply = Reply(framed=False, body=b"until the close")
    answer = proxy.get("/")
    assert answer.chunked
    assert answer.body == b"until the close"


def test_large_bodies_pass_both_ways(proxy, origin):
    body = bytes(range(256)) * 8192
    origin.reply = Reply(body=body[::-1])
    answer = proxy.request("POST", "/", body=body)
    assert answer.body == body[::-1]
    assert origin.last.body == body


def test_response_head_arrives_before_the_body_ends(proxy, origin):
    hold = origin.hold()
    origin.reply = Reply(chunks=[b"first", b"second"], hold_body=hold)
    with proxy.client() as client:
        client.write_request()
        while b"first" not in client.buffer:
            assert client._fill()
        assert b"second" not in client.buffer
        hold.release()
        assert client.response().body == b"firstsecond"


def test_request_body_arrives_before_it_ends(proxy, origin):
    with proxy.client() as client:
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nfirst")
        seen = origin.wait_requests(1)
        assert not seen.complete
        client.send("later")
        assert client.response().status == 200
    assert seen.body == b"firstlater"


def test_request_trailers_are_dropped_by_default(proxy, origin):
    with proxy.client() as client:
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "2\r\nhi\r\n0\r\nx-sum: 1\r\n\r\n")
        assert client.response().status == 200
    assert origin.last.body == b"hi"
    assert origin.last.trailers == []


def test_response_trailers_are_dropped_by_default(proxy, origin):
    origin.reply = Reply(chunks=[b"hi"], trailers=[("x-sum", "1")])
    answer = proxy.get("/")
    assert (answer.body, answer.trailers) == (b"hi", [])


@pytest.mark.parametrize("trailers", [[("x_sum", "1")], [(f"x-{n}", "1") for n in range(9)]])
def test_trailers_that_are_dropped_break_no_rule(start, origin, trailers):
    """What nobody gets is not judged by how many lines it has, nor by their names."""
    rules = {"max_headers_count": 8, "headers_with_underscores_action": "REJECT_REQUEST"}
    origin.reply = Reply(chunks=[b"ok"], trailers=trailers)
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one")], common_http_protocol_options=rules)],
        [cluster("one", origin, http={"common_http_protocol_options": rules})]))
    lines = "".join(f"{name}: {value}\r\n" for name, value in trailers)
    with proxy.client() as client:
        for _ in range(2):
            client.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
                        f"2\r\nhi\r\n0\r\n{lines}\r\n")
            answer = client.response()
            assert (answer.status, answer.text, answer.trailers) == (200, "ok", [])
    assert origin.last.trailers == []


def test_trailers_pass_both_ways_when_enabled(start, origin):
    origin.reply = Reply(chunks=[b"hi"], trailers=[("x-answer", "2")])
    options = {"explicit_http_config": {"http_protocol_options": {"enable_trailers": True}}}
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one")],
                       http_protocol_options={"enable_trailers": True})],
        [cluster("one", origin, http=options)]))
    with proxy.client() as client:
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n")
        answer = client.response()
    assert origin.last.trailers == [("x-sum", "1")]
    assert answer.trailers == [("x-answer", "2")]


def test_expect_100_is_answered_at_once_and_removed(proxy, origin):
    with proxy.client() as client:
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n"
                    "Expect: 100-continue\r\n\r\n")
        assert client.interim().status == 100
        client.send("hello")
        assert client.response().status == 200
    assert origin.last.header("expect") is None
    assert origin.last.body == b"hello"


def test_other_expectations_are_forwarded(proxy, origin):
    assert proxy.get("/", headers={"Expect": "soon"}).status == 200
    assert origin.last.header("expect") == "soon"


def test_100_from_the_origin_does_not_reach_the_client(proxy, origin):
    origin.reply = Reply(early_continue=True)
    answer = proxy.request("POST", "/", body=b"x")
    assert answer.status == 200
    assert answer.interim == []


def test_head_has_the_length_and_no_body(proxy, origin):
    origin.reply = Reply(body=b"twelve bytes")
    with proxy.client() as client:
        answer = client.request("HEAD", "/")
        assert answer.status == 200
        assert answer.header("content-length") == "12"
        assert client.get("/").body == b"twelve bytes"


def test_head_of_a_chunked_answer(proxy, origin):
    origin.reply = Reply(chunks=[b"abc"])
    with proxy.client() as client:
        answer = client.request("HEAD", "/")
        assert answer.header("transfer-encoding") == "chunked"
        assert client.get("/").body == b"abc"


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body(proxy, origin, status):
    origin.on["/none"] = Reply(status=status, reason="None")
    with proxy.client() as client:
        answer = client.get("/none")
        assert answer.status == status
        assert answer.header("transfer-encoding") is None
        assert client.get("/").text == "origin"


def test_304_keeps_the_origin_length(proxy, origin):
    origin.reply = Reply(status=304, headers=[("content-length", "99"), ("etag", '"x"')])
    with proxy.client() as client:
        answer = client.get("/")
        assert answer.status == 304
        assert answer.header("etag") == '"x"'
        origin.reply = Reply()
        assert client.get("/").text == "origin"


def test_get_with_a_body_is_forwarded(proxy, origin):
    assert proxy.request("GET", "/", body=b"query").status == 200
    assert origin.last.body == b"query"


def test_early_response_while_the_body_still_comes(proxy, origin):
    origin.reply = Reply(status=413, early=True, body=b"too much")
    with proxy.client() as client:
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nfirst")
        answer = client.response()
        assert (answer.status, answer.body) == (413, b"too much")


def test_origin_that_closes_inside_the_body_resets_the_client(proxy, origin):
    origin.reply = Reply(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfive!", close=True)
    with proxy.client() as client:
        client.write_request()
        data = client.rest()
    assert data.startswith(b"HTTP/1.1 200")
    assert data.endswith(b"\r\n\r\nfive!") or data.endswith(b"\r\n\r\n")
    proxy.wait_stat("cluster.one.upstream_cx_destroy_remote_with_active_rq", 1)
