"""The first steps: a listener, a cluster, a request."""
import pytest

from harness import Reply, bootstrap, cluster, difference, direct, http_listener, route


def test_get_passes_to_the_origin_and_back(start, origin):
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")])],
                            [cluster("one", origin)]))
    with proxy.client() as client:
        answer = client.get("/hello?x=1", headers={"X-Custom": "value"})
        assert (answer.status, answer.reason, answer.text) == (200, "OK", "origin")
        assert answer.header("content-length") == "6"
        assert answer.header("server") == "envoy"
        assert answer.header("date")
    seen = origin.last
    assert (seen.method, seen.target, seen.version) == ("GET", "/hello?x=1", "HTTP/1.1")
    assert seen.header("host") == "a.test"
    assert seen.header("x-custom") == "value"
    assert seen.body == b""


def test_direct_response_needs_no_cluster(start):
    proxy = start(bootstrap([http_listener(routes=[direct(200, "hello\n")])]))
    answer = proxy.get("/")
    assert (answer.status, answer.text) == (200, "hello\n")
    assert answer.header("content-type") == "text/plain"
    assert answer.header("content-length") == "6"


def test_status_and_headers_of_the_origin_arrive(start, origin):
    origin.reply.status, origin.reply.reason = 418, "Short and stout"
    origin.reply.headers = [("X-One", "1"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"),
                            ("Content-Type", "text/x-tea")]
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")])],
                            [cluster("one", origin)]))
    answer = proxy.get("/")
    assert answer.status == 418
    assert answer.header("x-one") == "1"
    assert answer.all("set-cookie") == ["a=1", "b=2"]
    assert answer.header("content-type") == "text/x-tea"


@pytest.mark.parametrize("status, reason", [
    (206, "Partial Content"), (208, "Already Reported"), (218, "Unknown"), (306, "Unknown"),
    (418, "Unknown"), (425, "Too Early"), (431, "Request Header Fields Too Large"),
    (432, "Unknown"), (511, "Network Authentication Required"), (512, "Unknown"),
    (599, "Last Unassigned Server Error Code")])
def test_reasons_are_the_proxys(start, origin, status, reason):
    origin.reply = Reply(status, reason="whatever")
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")])],
                            [cluster("one", origin)]))
    answer = proxy.get("/")
    assert (answer.status, answer.reason) == (status, reason)


@difference("The words that RFC 2518 and RFC 8297 give them.",
            envoy="calls 102 and 103 Unknown", xylem="Processing, Early Hints")
@pytest.mark.parametrize("status, reason", [(102, "Processing"), (103, "Early Hints")])
def test_reasons_of_interim_answers(start, origin, kind, status, reason):
    origin.reply = Reply(interim=b"HTTP/1.1 %d whatever\r\n\r\n" % status)
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")], proxy_100_continue=True)],
                            [cluster("one", origin)]))
    interim, = proxy.get("/").interim
    assert (interim.status, interim.reason) == (status, reason if kind == "xylem" else "Unknown")


def test_two_listeners_serve_at_once(start, origins):
    one, two = origins("one", "two")
    proxy = start(bootstrap(
        [http_listener("first", routes=[route("/", "one")]),
         http_listener("second", routes=[route("/", "two")])],
        [cluster("one", one), cluster("two", two)]))
    assert proxy.get("/", name="first").text == "one"
    assert proxy.get("/", name="second").text == "two"


def test_two_workers_share_a_listener(start, origin):
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")])],
                            [cluster("one", origin)]), concurrency=2)
    for _ in range(20):
        assert proxy.get("/").text == "origin"
    assert proxy.stat("http.ingress.downstream_rq_total") == 20


def test_sigterm_ends_with_exit_code_0(start, origin):
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")])],
                            [cluster("one", origin)]))
    proxy.get("/")
    proxy.process.terminate()
    assert proxy.wait_exit() == 0
