"""Requests that must be refused before the origin sees a byte: framing and smuggling."""
import pytest

from harness import Reply, bootstrap, cluster, difference, http_listener, route

HOST = b"Host: a.test\r\n"


@pytest.fixture
def proxy(start, origin):
    return start(bootstrap([http_listener(routes=[route("/", "one")],
                                          delayed_close_timeout="0.05s")],
                           [cluster("one", origin)]))


def refused(proxy, origin, message, status):
    """The message gets this status, then the connection closes; the origin sees nothing."""
    with proxy.client() as client:
        client.send(message)
        answer = client.response()
        assert answer.status == status, answer
        assert client.closed()
    assert origin.received == b""
    assert proxy.get("/after").text == "origin"


LENGTHS = {
    "two equal lines": b"Content-Length: 3\r\nContent-Length: 3\r\n",
    "two different lines": b"Content-Length: 3\r\nContent-Length: 4\r\n",
    "a list": b"Content-Length: 3, 3\r\n",
    "a plus sign": b"Content-Length: +3\r\n",
    "a minus sign": b"Content-Length: -3\r\n",
    "hexadecimal": b"Content-Length: 0x3\r\n",
    "a space inside": b"Content-Length: 1 2\r\n",
    "empty": b"Content-Length:\r\n",
    "letters": b"Content-Length: three\r\n",
    "overflow": b"Content-Length: 99999999999999999999999\r\n",
    "2 to the 64": b"Content-Length: 18446744073709551616\r\n",
}


@pytest.mark.parametrize("case", LENGTHS)
def test_content_length_must_be_one_number(proxy, origin, case):
    refused(proxy, origin, b"POST / HTTP/1.1\r\n" + HOST + LENGTHS[case] + b"\r\nabc", 400)


CODINGS = {
    "identity": b"Transfer-Encoding: identity\r\n",
    "gzip first": b"Transfer-Encoding: gzip, chunked\r\n",
    "chunked twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "chunked, chunked": b"Transfer-Encoding: chunked, chunked\r\n",
    "leading comma": b"Transfer-Encoding: ,chunked\r\n",
    "xchunked": b"Transfer-Encoding: xchunked\r\n",
    "quoted": b"Transfer-Encoding: \"chunked\"\r\n",
    "empty": b"Transfer-Encoding:\r\n",
    "parameter": b"Transfer-Encoding: chunked;q=1\r\n",
}


@pytest.mark.parametrize("case", CODINGS)
def test_transfer_encoding_must_be_chunked(proxy, origin, case):
    message = b"POST / HTTP/1.1\r\n" + HOST + CODINGS[case] + b"\r\n0\r\n\r\n"
    refused(proxy, origin, message, 501)


@pytest.mark.parametrize("order", ["length first", "coding first"])
def test_length_and_coding_together_are_refused(proxy, origin, order):
    lines = [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"]
    if order == "coding first":
        lines.reverse()
    refused(proxy, origin, b"POST / HTTP/1.1\r\n" + HOST + b"".join(lines)
            + b"\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n", 400)


@difference("An empty Transfer-Encoding line after chunked makes two readers disagree on where "
            "the body ends; RFC 9112 allows refusal, so Xylem refuses.",
            envoy="reads the request as having no body and the body as the next request",
            xylem="501 or 400, connection closed")
def test_chunked_then_empty_transfer_encoding(proxy, origin, kind):
    with proxy.client() as client:
        client.send(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n"
                    b"Transfer-Encoding:\r\n\r\n0\r\n\r\n")
        answer = client.response()
        if kind == "xylem":
            assert answer.status in (400, 501)
            assert client.closed()
            assert origin.received == b""
        else:
            assert answer.status in (200, 400, 501)


FIELDS = {
    "no colon": b"broken\r\n",
    "empty name": b": value\r\n",
    "space before the colon": b"X-A : 1\r\n",
    "space inside the name": b"X A: 1\r\n",
    "NUL in the name": b"X\x00A: 1\r\n",
    "parenthesis in the name": b"X(A): 1\r\n",
    "byte 0x80 in the name": b"X\x80: 1\r\n",
    "NUL in the value": b"X-A: a\x00b\r\n",
    "DEL in the value": b"X-A: a\x7fb\r\n",
    "control byte in the value": b"X-A: a\x01b\r\n",
    "vertical tab before chunked": b"Transfer-Encoding: \x0bchunked\r\n",
}


@pytest.mark.parametrize("case", FIELDS)
def test_malformed_header_lines_are_refused(proxy, origin, case):
    refused(proxy, origin, b"GET / HTTP/1.1\r\n" + HOST + FIELDS[case] + b"\r\n", 400)


STARTS = {
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "NUL in the target": (b"GET /a\x00b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "high byte in the target": (b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "fragment": (b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "relative target": (b"GET a HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "star with GET": (b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "unknown method": (b"QUERY / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "lower-case method": (b"get / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "version 1.2": (b"GET / HTTP/1.2\r\n" + HOST + b"\r\n", 426),
    "version 2.0": (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 426),
    "no version": (b"GET /\r\n" + HOST + b"\r\n", 426),
    "bad version": (b"GET / HTTP/1.x\r\n" + HOST + b"\r\n", 400),
    "lower-case http": (b"GET / http/1.1\r\n" + HOST + b"\r\n", 400),
    "not HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "space in the target": (b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "control byte in the host": (b"GET / HTTP/1.1\r\nHost: a\x01b\r\n\r\n", 400),
    "slash in the host": (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    "connection names host": (b"GET / HTTP/1.1\r\n" + HOST + b"Connection: host\r\n\r\n", 400),
    "ftp scheme": (b"GET ftp://a.test/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
}


@pytest.mark.parametrize("case", STARTS)
def test_malformed_starts_are_refused(proxy, origin, case):
    message, status = STARTS[case]
    refused(proxy, origin, message, status)


CHUNKS = {
    "size with 0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "size with a sign": b"+5\r\nhello\r\n0\r\n\r\n",
    "size with an underscore": b"1_0\r\nhello\r\n0\r\n\r\n",
    "negative size": b"-5\r\nhello\r\n0\r\n\r\n",
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "letters": b"xyz\r\nhello\r\n0\r\n\r\n",
    "overflow": b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "LF alone after the size": b"5\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("case", CHUNKS)
def test_malformed_chunks_are_refused(proxy, origin, case):
    with proxy.client() as client:
        client.send(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
                    + CHUNKS[case])
        answer = client.response()
        assert answer.status == 400
        assert client.closed()
    assert not any(r.complete for r in origin.requests)
    assert proxy.get("/after").text == "origin"


@difference("RFC 9112 7.1 ends chunk data with CRLF; skipping other bytes lets a request hide in "
            "them.", envoy="skips the bytes between the chunk's data and CRLF",
            xylem="400, connection closed")
def test_bytes_after_chunk_data(proxy, origin, kind):
    with proxy.client() as client:
        client.send(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
                    b"5\r\nhelloEXTRA\r\n0\r\n\r\n")
        answer = client.response()
        if kind == "xylem":
            assert answer.status == 400
            assert not any(r.complete for r in origin.requests)
        else:
            assert (answer.status, origin.last.body) == (200, b"hello")


@difference("Two Host lines have no single meaning; RFC 9112 3.2 demands 400.",
            envoy="joins the lines with a comma and forwards them", xylem="400")
def test_two_host_lines(proxy, origin, kind):
    with proxy.client() as client:
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n")
        answer = client.response()
    assert answer.status == (400 if kind == "xylem" else 200)
    assert (origin.received == b"") == (kind == "xylem")


def test_good_request_before_a_bad_one_is_answered(proxy, origin):
    with proxy.client() as client:
        client.send(b"GET /good HTTP/1.1\r\n" + HOST + b"\r\nGET bad HTTP/1.1\r\n" + HOST + b"\r\n")
        assert client.response().status == 200
        assert client.response().status == 400
        assert client.closed()
    assert [r.target for r in origin.requests] == ["/good"]


def test_known_unusual_methods_pass(proxy, origin):
    for method in ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "PURGE"]:
        assert proxy.request(method, "/").status == 200
        assert origin.last.method == method


ANSWERS = {
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
    "bad length": b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\nab",
    "length and coding": b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked"
                         b"\r\n\r\n0\r\n\r\n",
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "bad status": b"HTTP/1.1 2x0 OK\r\ncontent-length: 0\r\n\r\n",
    "NUL in a value": b"HTTP/1.1 200 OK\r\nx: a\x00b\r\ncontent-length: 0\r\n\r\n",
    "bad name": b"HTTP/1.1 200 OK\r\nx y: ab\r\ncontent-length: 0\r\n\r\n",
}


@pytest.mark.parametrize("case", ANSWERS)
def test_malformed_answers_become_502(proxy, origin, case):
    origin.reply = Reply(raw=ANSWERS[case])
    answer = proxy.get("/")
    assert answer.status == 502
    assert answer.text == ("upstream connect error or disconnect/reset before headers. "
                           "reset reason: protocol error")
    assert proxy.stat("cluster.one.upstream_cx_protocol_error") == 1
    origin.reply = Reply()
    assert proxy.get("/").text == "origin"
