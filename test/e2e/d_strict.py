"""Requests that must be refused before the origin sees a byte: framing and smuggling."""
import pytest

from harness import Reply, bootstrap, cluster, difference, http_listener, route, wait_for
from harness.config import file_log

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
    "connection names ten": (b"GET / HTTP/1.1\r\n" + HOST + b"Connection: a,b,c,d,e\r\n"
                             b"Connection: f,g,,h,i, ,\r\n\r\n", 400),
    "connection names x-forwarded-for": (b"GET / HTTP/1.1\r\n" + HOST
                                         + b"Connection: X-Forwarded-For\r\n\r\n", 400),
    "ftp scheme": (b"GET ftp://a.test/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "target without a host": (b"GET http://:80/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "target with an empty port": (b"GET http://a.test:/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "target with port 65536": (b"GET http://a.test:65536/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "target with no port behind IPv6": (b"GET http://[::1]:/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "target with a fragment alone": (b"GET http://a.test#f HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "CONNECT without a port": (b"CONNECT a.test HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "CONNECT to IPv6 without a port": (b"CONNECT [::1] HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "CONNECT to port 65536": (b"CONNECT a.test:65536 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
}


@pytest.mark.parametrize("case", STARTS)
def test_malformed_starts_are_refused(proxy, origin, case):
    message, status = STARTS[case]
    refused(proxy, origin, message, status)


@pytest.mark.parametrize("name", [":path", ":method", "x-forwarded-for", "x-forwarded-host"])
def test_connection_must_not_name_what_trust_stands_on(proxy, origin, name):
    with proxy.client() as client:
        client.write_request(headers={"Connection": name})
        answer = client.response()
        assert (answer.status, answer.text) == (400, "Bad Request")
        assert client.closed()
    assert origin.received == b""


def test_what_connection_must_not_name_is_a_protocol_error(start, origin, tmp_path):
    """The head is refused before it counts as one: nothing of it is logged."""
    log = [file_log(tmp_path / "log", "%REQ(:METHOD)% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n")]
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")], access_log=log)],
                            [cluster("one", origin)]))
    assert proxy.get("/", headers={"Connection": "x-forwarded-for"}).status == 400
    for name in ["cx_protocol_error", "rq_response_before_rq_complete", "rq_rx_reset", "rq_4xx"]:
        proxy.wait_stat(f"http.ingress.downstream_{name}", 1)
    proxy.stop()
    assert (tmp_path / "log").read_text() == "- DPE http1.connection_header_rejected\n"


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


def lenient(proxy, origin, kind, message, seen):
    """Xylem refuses the message with 400; Envoy forwards it, and the origin sees this."""
    if kind == "xylem":
        refused(proxy, origin, message, 400)
        return
    with proxy.client() as client:
        client.send(message)
        assert client.response().status == 200
    assert seen in origin.last.head + origin.last.body


LINE_ENDS = {
    "every line": (b"GET /x HTTP/1.1\nHost: a.test\n\n", b"host: a.test\r\n"),
    "the request line": (b"GET /x HTTP/1.1\n" + HOST + b"\r\n", b"GET /x"),
    "a header line": (b"GET /x HTTP/1.1\r\n" + HOST + b"X-A: 1\nX-B: 2\r\n\r\n",
                      b"x-a: 1\r\nx-b: 2\r\n"),
    "the empty line": (b"GET /x HTTP/1.1\r\n" + HOST + b"\n", b"GET /x"),
    "before the request": (b"\nGET /x HTTP/1.1\r\n" + HOST + b"\r\n", b"GET /x"),
}


@difference("LF without CR ends a line for one reader and not for another, so that headers can be "
            "smuggled; RFC 9112 2.2 lets a recipient take it and does not ask for it.",
            envoy="ends the line", xylem="400, connection closed")
@pytest.mark.parametrize("case", LINE_ENDS)
def test_lines_that_end_in_lf_alone(proxy, origin, kind, case):
    lenient(proxy, origin, kind, *LINE_ENDS[case])


VALUES = {
    "lone CR": (b"X-A: a\rb\r\n", b"x-a: ab\r\n"),
    "CR before CRLF": (b"X-A: a\r\r\n", b"x-a: a\r\n"),
}


@difference("RFC 9112 2.2 has a lone CR refused or made a space: dropping it makes another value.",
            envoy="drops the CR and forwards the value", xylem="400, connection closed")
@pytest.mark.parametrize("case", VALUES)
def test_lone_cr_in_a_value(proxy, origin, kind, case):
    line, seen = VALUES[case]
    lenient(proxy, origin, kind, b"GET / HTTP/1.1\r\n" + HOST + line + b"\r\n", seen)


@difference("RFC 9112 5.2 has a server refuse folded lines or join them; two readers disagree on "
            "where the value ends.", envoy="joins the lines", xylem="400, connection closed")
@pytest.mark.parametrize("blank", [b" ", b"\t"])
def test_folded_lines(proxy, origin, kind, blank):
    lenient(proxy, origin, kind, b"GET / HTTP/1.1\r\n" + HOST + b"X-A: a\r\n" + blank
            + b"b\r\n\r\n", b"x-a: a" + blank + b"b\r\n")


BLANKS = {
    "two spaces after the method": b"GET  /x HTTP/1.1",
    "two spaces before the version": b"GET /x  HTTP/1.1",
    "tab after the method": b"GET\t/x HTTP/1.1",
    "tab before the version": b"GET /x\tHTTP/1.1",
    "space after the version": b"GET /x HTTP/1.1 ",
}


@difference("RFC 9112 3 has single spaces in the request line; with others two readers may find "
            "two targets.",
            envoy="takes any run of spaces and tabs", xylem="400, connection closed")
@pytest.mark.parametrize("case", BLANKS)
def test_blanks_in_the_request_line(proxy, origin, kind, case):
    lenient(proxy, origin, kind, BLANKS[case] + b"\r\n" + HOST + b"\r\n",
            b"GET /x HTTP/1.1\r\n")


HOSTS = {
    "user information": b"u@a.test",
    "unclosed bracket": b"[::1",
    "text after the bracket": b"[::1]a",
    "bracket inside": b"a[b]",
    "letters as port": b"a.test:x",
    "6 digits as port": b"a.test:123456",
    "two colons": b"a:1:2",
}


@difference("A Host that is no host and port (RFC 9110 7.2, RFC 3986 3.2) means one thing to "
            "routing and another to the origin.", envoy="forwards it", xylem="400")
@pytest.mark.parametrize("case", HOSTS)
def test_host_must_be_host_and_port(proxy, origin, kind, case):
    line = b"Host: " + HOSTS[case] + b"\r\n"
    lenient(proxy, origin, kind, b"GET / HTTP/1.1\r\n" + line + b"\r\n", line.lower())


@pytest.mark.parametrize("authority", ["b.test", "b.test:0", "b.test:65535", "[::1]", "[::1]:80",
                                       "b.test:000000080", "1.2.3.4", "-b", "b..test."])
def test_an_absolute_target_tells_the_host(proxy, origin, authority):
    with proxy.client() as client:
        client.send(f"GET http://{authority}/x HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert client.response().status == 200
    assert (origin.last.target, origin.last.all("host")) == ("/x", [authority])


@pytest.mark.parametrize("form", ["GET http://{}/x", "CONNECT {}"])
@pytest.mark.parametrize("authority", [
    "b_c:80", "b%41:80", "b~c:80", "b+c:80", "*:80", "b:65536", "[::g]:80", "[]:80", "[a]:80",
    "[1::2::3]:80", "[::1%25lo]:80", "[v1.x]:80", ":80", "b:8a"])
def test_a_target_names_a_host_that_there_can_be(proxy, origin, authority, form):
    refused(proxy, origin, form.format(authority) + " HTTP/1.1\r\nHost: a.test\r\n\r\n", 400)


@pytest.mark.parametrize("target", ["http://b.test/x", "https://b.test", "http://b_c/x", "*"])
def test_absolute_targets_may_be_forbidden(start, origin, target):
    proxy = start(bootstrap([http_listener(routes=[
        route(match={"safe_regex": {"regex": ".*"}}, to="one")],
        http_protocol_options={"allow_absolute_url": False})], [cluster("one", origin)]))
    with proxy.client() as client:
        client.send(f"GET {target} HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert client.response().status == 404
        assert client.get("/after").text == "origin"
    assert [r.target for r in origin.requests] == ["/after"]


CHUNK_LINES = {
    "space after the size": b"5 \r\nhello\r\n0\r\n\r\n",
    "tab after the size": b"5\t\r\nhello\r\n0\r\n\r\n",
    "space before an extension": b"5 ;a=b\r\nhello\r\n0\r\n\r\n",
    "17 digits": b"00000000000000005\r\nhello\r\n0\r\n\r\n",
    "extension of 5 kB": b"5;a=" + b"x" * 5000 + b"\r\nhello\r\n0\r\n\r\n",
    "control byte in an extension": b"5;a=\x01\r\nhello\r\n0\r\n\r\n",
    "LF alone after the data": b"5\r\nhello\n0\r\n\r\n",
    "LF alone at the end": b"5\r\nhello\r\n0\r\n\n",
    "LF alone after a trailer": b"5\r\nhello\r\n0\r\nx-a: 1\n\r\n",
}


@difference("Chunk lines are where requests are smuggled: Xylem takes what RFC 9112 7.1 writes, "
            "with at most 16 digits and 4 KiB in a line, and nothing else.",
            envoy="skips what it does not understand", xylem="400, connection closed")
@pytest.mark.parametrize("case", CHUNK_LINES)
def test_chunk_lines_are_read_to_the_letter(proxy, origin, kind, case):
    with proxy.client() as client:
        client.send(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
                    + CHUNK_LINES[case])
        answer = client.response()
        if kind == "xylem":
            assert answer.status == 400
            assert client.closed()
            assert not any(r.complete for r in origin.requests)
        else:
            assert (answer.status, origin.last.body) == (200, b"hello")


# What frames or routes a message, or speaks of the connection, and two that say who asks.
TRAILERS = ["content-length: 1", "host: b.test", "transfer-encoding: chunked", "connection: x-a",
            "keep-alive: a", "proxy-connection: a", "upgrade: a", "te: a", "trailer: a",
            "expect: a", "authorization: a", "cookie: a"]


@difference("RFC 9110 6.5.1 forbids fields that frame, route or authenticate a message in "
            "trailers: an origin that merges them would read another message.",
            envoy="forwards them", xylem="drops them and forwards the other trailers")
def test_trailers_do_not_frame_or_route(start, origin, kind):
    options = {"explicit_http_config": {"http_protocol_options": {"enable_trailers": True}}}
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")],
                                          http_protocol_options={"enable_trailers": True})],
                            [cluster("one", origin, http=options)]))
    with proxy.client() as client:
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "2\r\nhi\r\n0\r\n" + "".join(f"{t}\r\n" for t in TRAILERS)
                    + "x-sum: 1\r\n\r\n")
        assert client.response().status == 200
    names = {name for name, _ in origin.last.trailers}
    assert names == ({"x-sum"} if kind == "xylem"
                     else {"x-sum", *(t.partition(":")[0] for t in TRAILERS)})


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


TUNNELS = {
    "CONNECT": (b"CONNECT a.test:443 HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    "upgrade": (b"GET / HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\n"
                b"Upgrade: websocket\r\n\r\n", 403),
}


@pytest.mark.parametrize("case", TUNNELS)
def test_bytes_behind_a_refused_tunnel_are_dropped(proxy, origin, case):
    """What a client says into a tunnel before it is opened is no request when it is refused."""
    head, status = TUNNELS[case]
    refused(proxy, origin, head + b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n", status)


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
    "not HTTP, and no line": b"220 mail",
    "not HTTP after an interim answer": b"HTTP/1.1 103 Early Hints\r\n\r\nabc",
    "first line folded": b"HTTP/1.1 200 OK\r\n x: ab\r\ncontent-length: 0\r\n\r\n",
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


LENIENT_ANSWERS = {
    "two spaces before the status": (b"HTTP/1.1  200 OK\r\ncontent-length: 0\r\n\r\n", 200),
    "HTTP/2.0": (b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n", 200),
    "status of four digits": (b"HTTP/1.1 1000 OK\r\ncontent-length: 0\r\n\r\n", 1000),
    "lone CR in a value": (b"HTTP/1.1 200 OK\r\nx: a\rb\r\ncontent-length: 0\r\n\r\n", 200),
}


@difference("RFC 9112 4 writes the status line, and RFC 9112 2.2 has a lone CR refused: an answer "
            "that breaks them is not understood, so it is not passed on.",
            envoy="passes it on", xylem="502, and the upstream connection is closed")
@pytest.mark.parametrize("case", LENIENT_ANSWERS)
def test_answers_are_read_to_the_letter(proxy, origin, kind, case):
    raw, status = LENIENT_ANSWERS[case]
    origin.reply = Reply(raw=raw)
    with proxy.client() as client:
        client.write_request()
        if kind == "xylem":
            assert client.response().status == 502
        else:
            wait_for(lambda: b"\r\n\r\n" in client.pending(), what="an answer")
            assert client.pending().startswith(b"HTTP/1.1 %d " % status)


@difference("RFC 9110 6.5.1 forbids fields that frame a message or speak of the connection in "
            "trailers, in answers as in requests.",
            envoy="forwards them", xylem="drops them and forwards the other trailers")
def test_trailers_of_an_answer_do_not_frame(start, origin, kind):
    options = {"explicit_http_config": {"http_protocol_options": {"enable_trailers": True}}}
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")],
                                          http_protocol_options={"enable_trailers": True})],
                            [cluster("one", origin, http=options)]))
    origin.reply = Reply(chunks=[b"a"], trailers=[("content-length", "3"), ("x-sum", "1")])
    names = [name for name, _ in proxy.get("/").trailers]
    assert names == (["x-sum"] if kind == "xylem" else ["content-length", "x-sum"])


@difference("A version that is neither 1.0 nor 1.1 has rules that nobody here knows.",
            envoy="with accept_http_10, takes any other version for HTTP/1.0",
            xylem="answers 426, as without")
@pytest.mark.parametrize("version", ["HTTP/1.2", "HTTP/2.0", "HTTP/0.9"])
def test_other_versions_are_not_http_10(start, origin, kind, version):
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")],
                                           http_protocol_options={"accept_http_10": True})],
                            [cluster("one", origin)]))
    with proxy.client() as client:
        client.send(b"GET / " + version.encode() + b"\r\n" + HOST + b"\r\n")
        assert client.response().status == (426 if kind == "xylem" else 200)
    assert len(origin.requests) == int(kind == "envoy")


@difference("RFC 9112 6.1: chunked in HTTP/1.0 means faulty framing: an older proxy on the way "
            "may have passed it on unread.",
            envoy="with accept_http_10, reads the chunks and forwards them in HTTP/1.1",
            xylem="400, connection closed")
def test_transfer_encoding_in_http_10(start, origin, kind):
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")],
                                          http_protocol_options={"accept_http_10": True})],
                            [cluster("one", origin)]))
    with proxy.client() as client:
        client.send(b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        assert client.response().status == (400 if kind == "xylem" else 200)
    assert (origin.received == b"") == (kind == "xylem")


@difference("HTTP/0.9 has no headers; what a request line without a version means is a guess, so "
            "it is a protocol error like any other.",
            envoy="with accept_http_10, reads it as HTTP/1.0 and answers HTTP/1.0 400 with no body "
                  "(without a Host)",
            xylem="400 Bad Request, connection closed")
def test_http_09(start, origin, kind):
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")],
                                          http_protocol_options={"accept_http_10": True})],
                            [cluster("one", origin)]))
    with proxy.client() as client:
        client.send(b"GET /\r\n\r\n")
        answer = client.response()
        assert (answer.status, answer.version) == (400, "1.1" if kind == "xylem" else "1.0")
    assert origin.received == b""
