"""How many bytes a request was on either wire, as access logs tell it."""
import json

import pytest

from harness import Reply, bootstrap, cluster, difference, http_listener, refused_port, route
from harness.config import file_log
from harness.h2peer import H2Client, H2Origin

SIDES = ["DOWNSTREAM", "UPSTREAM"]
OPERATORS = [f"{side}_{what}_{way}" for side in SIDES
             for what in ("WIRE_BYTES", "HEADER_BYTES", "DECOMPRESSED_HEADER_BYTES")
             for way in ("SENT", "RECEIVED")]


def world(origin, folder, http=None, **manager):
    log = file_log(folder / "log")
    log["typed_config"]["log_format"] = {"json_format": {o: f"%{o}%" for o in OPERATORS}}
    retry = {"retry_on": "5xx", "num_retries": 2}
    options = {"enable_trailers": True}
    return bootstrap(
        [http_listener(routes=[route("/twice", "one", retry_policy=retry), route("/", "one")],
                       access_log=[log], http_protocol_options=options, **manager)],
        [cluster("one", origin,
                 http=http or {"explicit_http_config": {"http_protocol_options": options}})])


def logged(proxy, folder):
    proxy.stop()
    return [json.loads(line) for line in (folder / "log").read_text().splitlines()]


def fields(head):
    """Of names, values, colons and ends of lines; blanks around a value are none of them."""
    lines = head.split(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    split = [line.split(b":", 1) for line in lines]
    return sum(len(name) + len(value.strip()) + 3 for name, value in split)


def sent_fields(head):
    """Of those that the proxy writes, the blank behind the colon too."""
    return len(head) - head.index(b"\r\n") - len("\r\n" "\r\n")


def figures(side, sent, received, sent_heads, received_heads):
    """What the operators of one side are, of the bytes that its peer got and sent."""
    compressed = {f"{side}_{what}_SENT": sum(map(sent_fields, sent_heads))
                  for what in ("HEADER_BYTES", "DECOMPRESSED_HEADER_BYTES")}
    return compressed | {f"{side}_{what}_RECEIVED": sum(map(fields, received_heads))
                         for what in ("HEADER_BYTES", "DECOMPRESSED_HEADER_BYTES")} | {
        f"{side}_WIRE_BYTES_SENT": sent, f"{side}_WIRE_BYTES_RECEIVED": received}


ANSWER = b"HTTP/1.1 200 Fine\r\ncontent-length: 6\r\nx-a:    1  \r\n\r\norigin"
REQUESTS = {
    "get": b"GET / HTTP/1.1\r\nhost: a.test\r\nX-A:  b \r\nx-e:\r\n\r\n",
    "head": b"HEAD / HTTP/1.1\r\nhost: a.test\r\n\r\n",
    "post": b"POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 5\r\n\r\nabcde",
    "chunks": b"POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n"
              b"3\r\nabc\r\n0\r\n\r\n",
    "last": b"GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n"}


@pytest.mark.parametrize("name", REQUESTS)
def test_http1(start, origin, tmp_path, name):
    request, method = REQUESTS[name], REQUESTS[name].split()[0].decode()
    answer = ANSWER.split(b"\r\n\r\n")[0] + b"\r\n\r\n" if method == "HEAD" else ANSWER
    origin.reply = Reply(raw=answer)
    proxy = start(world(origin, tmp_path))
    with proxy.client() as client:
        client.send(request)
        got = client.response(to=method)
    line, = logged(proxy, tmp_path)
    seen = origin.last
    body = b"3\r\nabc\r\n0\r\n\r\n" if seen.chunks else seen.body
    assert line == figures(
        "DOWNSTREAM", len(got.raw_head) + len(got.body), len(request),
        [got.raw_head], [request]) | figures(
        "UPSTREAM", len(seen.head) + len(body), len(answer), [seen.head], [answer])


def test_an_answer_of_the_proxy(start, tmp_path):
    port, _kept = refused_port()
    proxy = start(world(port, tmp_path))
    with proxy.client() as client:
        got = client.get("/")
    line, = logged(proxy, tmp_path)
    assert got.status == 503
    assert line["DOWNSTREAM_WIRE_BYTES_SENT"] == len(got.raw_head) + len(got.body)
    assert line["DOWNSTREAM_HEADER_BYTES_SENT"] == sent_fields(got.raw_head)
    assert all(line[name] == 0 for name in OPERATORS if name.startswith("UPSTREAM"))


@pytest.mark.parametrize("rest", [
    b"content-length: 0\r\n\r\n", b"content-length: 4\r\n\r\nbusy",
    b"transfer-encoding: chunked\r\n\r\n4\r\nbusy\r\n0\r\n\r\n"], ids=["none", "length", "chunks"])
def test_attempts_add_up(start, origin, tmp_path, rest):
    """Bodies of answers that are tried again included, as far as they have come."""
    origin.reply = Reply(raw=b"HTTP/1.1 503 No\r\n" + rest)
    proxy = start(world(origin, tmp_path))
    assert proxy.get("/twice").status == 503
    line, = logged(proxy, tmp_path)
    heads = [request.head for request in origin.requests]
    assert len(heads) == 3
    assert line["UPSTREAM_WIRE_BYTES_SENT"] == sum(map(len, heads))
    assert line["UPSTREAM_HEADER_BYTES_SENT"] == sum(map(sent_fields, heads))
    assert line["UPSTREAM_WIRE_BYTES_RECEIVED"] == 3 * len(origin.reply.raw)
    assert line["UPSTREAM_HEADER_BYTES_RECEIVED"] == 3 * fields(origin.reply.raw)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\nx-a: ", b"HTTP/1.1 200 OK\r\n"])
def test_a_head_that_breaks_off(start, origin, tmp_path, answer):
    origin.reply = Reply(raw=answer, close=True)
    proxy = start(world(origin, tmp_path))
    assert proxy.get("/").status == 502
    line, = logged(proxy, tmp_path)
    assert line["UPSTREAM_WIRE_BYTES_RECEIVED"] == len(answer)
    assert line["UPSTREAM_HEADER_BYTES_RECEIVED"] == 0


def test_trailers_and_interim_answers(start, origin, tmp_path):
    origin.reply = Reply(raw=b"HTTP/1.1 103 Early\r\nlink: a\r\n\r\nHTTP/1.1 200 OK\r\n"
                             b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx-t: 1\r\n\r\n")
    proxy = start(world(origin, tmp_path))
    assert proxy.get("/").trailers == [("x-t", "1")]
    line, = logged(proxy, tmp_path)
    assert line["UPSTREAM_WIRE_BYTES_RECEIVED"] == len(origin.reply.raw)
    assert line["UPSTREAM_HEADER_BYTES_RECEIVED"] == len(
        "link:a\r\n" "transfer-encoding:chunked\r\n" "x-t:1\r\n")


@difference("HTTP/1 compresses nothing: a field has one size.",
            envoy="leaves trailers out of what was decompressed, counts interim answers and former "
                  "attempts twice, and an empty field where there is none",
            xylem="tells one figure")
def test_decompressed(start, origin, tmp_path, kind):
    origin.on["/none"] = Reply(raw=b"HTTP/1.1 204 No\r\n\r\n")
    origin.on["/trailers"] = Reply(chunks=[b"a"], trailers=[("x-t", "1")])
    proxy = start(world(origin, tmp_path))
    with proxy.client() as client:
        client.get("/none")
        client.get("/trailers")
    none, trailers = logged(proxy, tmp_path)
    assert none["UPSTREAM_HEADER_BYTES_RECEIVED"] == {"envoy": 3, "xylem": 0}[kind]
    assert (trailers["UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED"] ==
            trailers["UPSTREAM_HEADER_BYTES_RECEIVED"]) == (kind == "xylem")


@difference("What a client sends ahead is of the request that it belongs to.",
            envoy="counts what comes in one piece as the first request's, and what is left again as "
                  "the next one's", xylem="counts each request's own")
def test_requests_in_one_piece(start, origin, tmp_path, kind):
    request = REQUESTS["head"]
    proxy = start(world(origin, tmp_path))
    with proxy.client() as client:
        client.send(request * 2)
        client.response(to="HEAD")
        client.response(to="HEAD")
    first, second = logged(proxy, tmp_path)
    assert second["DOWNSTREAM_WIRE_BYTES_RECEIVED"] == len(request)
    assert first["DOWNSTREAM_WIRE_BYTES_RECEIVED"] == {"envoy": 2, "xylem": 1}[kind] * len(request)


@difference("The frames of an answer may be made after it was logged, and how long a header block is "
            "hangs on those before it: half a figure is none.",
            envoy="tells them", xylem="-, and null in JSON")
def test_http2(start, tmp_path, closing, kind):
    origin = closing(H2Origin())
    proxy = start(world(origin, tmp_path, {"explicit_http_config": {"http2_protocol_options": {}}}))
    with H2Client(proxy.port()) as client:
        assert client.request().headers
    line, = logged(proxy, tmp_path)
    assert all((line[name] is None) == (kind == "xylem") for name in OPERATORS), line


@pytest.mark.parametrize("request_head, framed, said", [
    (b"GET / HTTP/1.1\r\n", True, None), (b"GET / HTTP/1.1\r\nconnection: close\r\n", True, "close"),
    (b"GET / HTTP/1.0\r\n", True, "close"),
    (b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n", True, "keep-alive"),
    (b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n", False, "close"),
    (b"GET / HTTP/1.1\r\n", False, None)])
def test_connection_of_an_answer(start, origin, tmp_path, request_head, framed, said):
    """What is said of the connection is of the answer's head, in logs too."""
    origin.reply = Reply(framed=framed)
    log = file_log(tmp_path / "log", "%RESP(connection)% %RESPONSE_HEADERS_BYTES%\n")
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")], access_log=[log],
                                           http_protocol_options={"accept_http_10": True})],
                            [cluster("one", origin)]))
    with proxy.client() as client:
        client.send(request_head + b"host: a.test\r\n\r\n")
        answer = client.response()
    proxy.stop()
    size = len(":status200") + sum(len(name) + len(value) for name, value in answer.headers
                                   if name != "transfer-encoding")
    assert answer.header("connection") == said
    assert (tmp_path / "log").read_text() == f"{said or '-'} {size}\n"


CUT = {"closed inside": (b"GET / HTTP/1.1\r\nhost: a.te", {}),
       "too large": (b"GET / HTTP/1.1\r\nhost: a.test\r\nx: " + b"y" * 3000,
                     {"max_request_headers_kb": 1}),
       "too late": (b"GET / HTTP/1.1\r\nhost: a.test\r\n", {"request_headers_timeout": "0.2s"})}


@pytest.mark.parametrize("case", CUT)
def test_a_head_that_is_not_taken(start, origin, tmp_path, case):
    head, fields_of_manager = CUT[case]
    proxy = start(world(origin, tmp_path, **fields_of_manager))
    with proxy.client() as client:
        client.send(head)
        if case == "closed inside":
            proxy.wait_stat("http.ingress.downstream_rq_active", 1)
        else:
            assert client.response().status in (408, 431)
    proxy.wait_stat("http.ingress.downstream_cx_destroy", 1)
    line, = logged(proxy, tmp_path)
    assert line["DOWNSTREAM_WIRE_BYTES_RECEIVED"] == len(head)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\ncontent-le", b"HTTP/1.1 ",
                                    b"HTTP/1.1 200 OK\r\nx: " + b"y" * 3000])
def test_a_head_of_an_origin_that_is_not_taken(start, origin, tmp_path, answer):
    origin.reply = Reply(raw=answer, close=True)
    limit = {"common_http_protocol_options": {"max_response_headers_kb": 1},
             "explicit_http_config": {"http_protocol_options": {}}}
    proxy = start(world(origin, tmp_path, http=limit))
    assert proxy.get("/").status == 502
    line, = logged(proxy, tmp_path)
    assert line["UPSTREAM_WIRE_BYTES_RECEIVED"] == len(answer)
