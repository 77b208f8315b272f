"""Timeouts: of a route, a stream, a head, a connection. Small bounds, no claims of speed."""
import pytest

from harness import Reply, bootstrap, cluster, difference, direct, http_listener, route, wait_for
from harness.config import file_log, router_filter

INTERNAL = {"use_remote_address": True, "internal_address_config": {
    "cidr_ranges": [{"address_prefix": "127.0.0.0", "prefix_len": 8}]}}


def held(origin):
    origin.reply = Reply(never=True)


def test_route_timeout_is_504_ut(start, origin, tmp_path):
    held(origin)
    path = tmp_path / "log"
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one", timeout="0.3s")], access_log=[
            file_log(path, "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n")])],
        [cluster("one", origin)]))
    answer = proxy.get("/")
    assert (answer.status, answer.text) == (504, "upstream request timeout")
    assert proxy.stat("cluster.one.upstream_rq_timeout") == 1
    wait_for(lambda: not origin.open_connections, what="the upstream connection to close")
    proxy.stop()
    assert path.read_text() == "504 UT response_timeout\n"


def test_route_timeout_0_waits_for_the_origin(start, origin):
    hold = origin.hold()
    origin.reply = Reply(hold=hold)
    proxy = start(bootstrap([http_listener(routes=[
        route("/quick", "one", timeout="0.1s"), route("/", "one", timeout="0s")])],
        [cluster("one", origin)]))
    with proxy.client() as client:
        client.write_request()
        origin.wait_requests(1)
        assert proxy.get("/quick").status == 504
        hold.release()
        assert client.response().status == 200


def test_expected_timeout_is_told_to_the_origin(start, origin):
    proxy = start(bootstrap([http_listener(routes=[
        route("/set", "one", timeout="7s"), route("/never", "one", timeout="0s"),
        route("/", "one")])], [cluster("one", origin)]))
    proxy.get("/set")
    assert origin.last.header("x-envoy-expected-rq-timeout-ms") == "7000"
    proxy.get("/")
    assert origin.last.header("x-envoy-expected-rq-timeout-ms") == "15000"
    proxy.get("/never")
    assert origin.last.header("x-envoy-expected-rq-timeout-ms") is None


SOON, COMMON = "0.0009s", "common_http_protocol_options"
TLS_INSPECTOR = {"name": "tls", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"}}
LIMITS = {
    "timeout": {"of_route": {"timeout": SOON}},
    "route's idle_timeout": {"of_route": {"idle_timeout": SOON}},
    "route's max_stream_duration": {"of_route": {"max_stream_duration": {"max_stream_duration": SOON}}},
    "per_try_timeout": {"of_route": {"retry_policy": {"retry_on": "5xx", "per_try_timeout": SOON}}},
    "per_try_idle_timeout": {"of_route": {"retry_policy": {"retry_on": "5xx",
                                                           "per_try_idle_timeout": SOON}}},
    "stream_idle_timeout": {"stream_idle_timeout": SOON},
    "request_timeout": {"request_timeout": SOON},
    "request_headers_timeout": {"request_headers_timeout": SOON},
    "delayed_close_timeout": {"delayed_close_timeout": SOON},
    "idle_timeout": {COMMON: {"idle_timeout": SOON}},
    "max_stream_duration": {COMMON: {"max_stream_duration": SOON}},
    "cluster's idle_timeout": {"of_cluster": {"idle_timeout": SOON}},
    "cluster's max_connection_duration": {"of_cluster": {"max_connection_duration": SOON}},
    "cluster's max_stream_duration": {"of_cluster": {"max_stream_duration": SOON}},
    "listener_filters_timeout": {"listener": {"listener_filters_timeout": SOON,
                                              "listener_filters": [TLS_INSPECTOR]}},
}


@pytest.mark.parametrize("limit", LIMITS)
def test_less_than_a_millisecond_is_no_limit(start, origin, closing, limit):
    """As 0 is: durations are cut to milliseconds."""
    fields = dict(LIMITS[limit])
    of_route, of_cluster = fields.pop("of_route", {}), fields.pop("of_cluster", None)
    hold = origin.hold()
    origin.on["/"] = Reply(hold=hold)
    held(origin)
    proxy = start(bootstrap(
        [http_listener(name="clock", routes=[route("/", "two", timeout="0.05s")]),
         http_listener(routes=[route("/", "one", **{"timeout": "0s", **of_route})], **fields)],
        [cluster("one", origin, http={COMMON: of_cluster} if of_cluster else None),
         cluster("two", origin)]))

    def pause():
        assert proxy.get("/never", name="clock").status == 504

    with proxy.client() as client:
        for _ in range(2):
            pause()
            client.send("POST / HTTP/1.1\r\nHost: a.test\r\n")
            pause()
            client.send("Content-Length: 2\r\n\r\na")
            pause()
            client.send("b")
            pause()
            hold.release()
            assert client.response().status == 200
    assert proxy.stat("cluster.one.upstream_cx_total") == 1
    assert proxy.stat("cluster.one.upstream_rq_total") == 2


def test_the_rest_of_a_millisecond_is_left_out(start, origin):
    proxy = start(bootstrap([http_listener(routes=[route("/", "one", timeout="7.0009s")])],
                            [cluster("one", origin)]))
    proxy.get("/")
    assert origin.last.header("x-envoy-expected-rq-timeout-ms") == "7000"


def test_timeout_after_the_head_resets_the_stream(start, origin):
    hold = origin.hold()
    origin.reply = Reply(chunks=[b"one", b"two"], hold_body=hold)
    proxy = start(bootstrap([http_listener(routes=[route("/", "one", timeout="0.3s")],
                                           delayed_close_timeout="0.1s")],
                            [cluster("one", origin)]))
    with proxy.client() as client:
        client.write_request()
        data = client.rest()
    assert data.startswith(b"HTTP/1.1 200 OK")
    assert not data.endswith(b"0\r\n\r\n")
    assert proxy.stat("cluster.one.upstream_rq_timeout") == 1


def test_stream_idle_timeout_while_the_origin_is_silent(start, origin):
    held(origin)
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one", timeout="0s")], stream_idle_timeout="0.3s")],
        [cluster("one", origin)]))
    answer = proxy.get("/")
    assert (answer.status, answer.text) == (504, "stream timeout")
    assert proxy.stat("http.ingress.downstream_rq_idle_timeout") == 1


def test_stream_idle_timeout_while_the_client_is_silent(start, origin):
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one", timeout="0s")], stream_idle_timeout="0.3s")],
        [cluster("one", origin)]))
    with proxy.client() as client:
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nhalf")
        answer = client.response()
        assert (answer.status, answer.text) == (408, "stream timeout")


def test_route_idle_timeout_overrides_the_stream_one(start, origin):
    held(origin)
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one", timeout="0s", idle_timeout="0.2s")],
                       stream_idle_timeout="100s")], [cluster("one", origin)]))
    assert proxy.get("/").status == 504


def test_request_timeout_bounds_the_whole_request(start, origin):
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")], request_timeout="0.3s")],
                            [cluster("one", origin)]))
    with proxy.client() as client:
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nhalf")
        answer = client.response()
        assert (answer.status, answer.text) == (408, "request timeout")
    assert proxy.stat("http.ingress.downstream_rq_timeout") == 1


def test_request_headers_timeout_bounds_the_head(start):
    proxy = start(bootstrap([http_listener(routes=[direct(200)],
                                           request_headers_timeout="0.3s")]))
    with proxy.client() as client:
        client.send("GET / HTTP/1.1\r\nHost: a.te")
        answer = client.response()
        assert answer.status == 408
    assert proxy.stat("http.ingress.downstream_rq_header_timeout") == 1


EMPTY_LINES = {
    "request_headers_timeout": ({"request_headers_timeout": "0.3s"}, "request header timeout",
                                "downstream_rq_header_timeout"),
    "request_timeout": ({"request_timeout": "0.3s"}, "request timeout", "downstream_rq_timeout"),
    "stream_idle_timeout": ({"stream_idle_timeout": "0.3s"}, "stream timeout",
                            "downstream_rq_idle_timeout"),
    "max_stream_duration": ({"common_http_protocol_options": {"max_stream_duration": "0.3s"}},
                            "downstream duration timeout", "downstream_rq_max_duration_reached"),
}


@pytest.mark.parametrize("begin", [b"\r\n", b"\r"], ids=["empty line", "half of one"])
@pytest.mark.parametrize("name", EMPTY_LINES)
def test_empty_lines_begin_a_request(start, name, begin):
    options, text, stat = EMPTY_LINES[name]
    proxy = start(bootstrap([http_listener(routes=[direct(200)], **options)]))
    with proxy.client() as client:
        client.send(begin)
        answer = client.response()
        assert (answer.status, answer.text) == (408, text)
    assert proxy.stat(f"http.ingress.{stat}") == 1


def test_an_empty_line_behind_a_body_begins_the_next_request(start, origin):
    """Old clients send one. It is part of no body, and of the time that the next head has."""
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")],
                                           request_headers_timeout="0.3s")],
                            [cluster("one", origin)]))
    post = b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nab\r\n"
    with proxy.client() as client:
        for _ in range(2):
            client.send(post)
            assert client.response().status == 200
        assert client.response().status == 408
        assert client.closed()
    assert proxy.stat("http.ingress.downstream_rq_total") == 3


def test_an_empty_line_and_no_more_is_logged(start, tmp_path):
    log = file_log(tmp_path / "log", "%REQ(:METHOD)% %RESPONSE_CODE% %RESPONSE_FLAGS% "
                                     "%RESPONSE_CODE_DETAILS%\n")
    proxy = start(bootstrap([http_listener(routes=[direct(200)], access_log=[log])]))
    with proxy.client() as client:
        client.send(b"\r\n")
        proxy.wait_stat("http.ingress.downstream_rq_total", 1)
    wait_for(lambda: (tmp_path / "log").read_text() == "- 0 DC downstream_remote_disconnect\n",
             what="the line")


def test_downstream_idle_timeout_closes_a_silent_connection(start):
    proxy = start(bootstrap([http_listener(
        routes=[direct(200)], drain_timeout="0.1s", delayed_close_timeout="0.1s",
        common_http_protocol_options={"idle_timeout": "0.3s"})]))
    with proxy.client() as client:
        assert client.get("/").status == 200
        assert client.closed()
    proxy.wait_stat("http.ingress.downstream_cx_idle_timeout", 1)


@pytest.mark.parametrize("limit,stat", [("idle_timeout", "downstream_cx_idle_timeout"), (
    "max_connection_duration", "downstream_cx_max_duration_reached")])
def test_a_silent_client_is_given_no_time_to_drain(start, limit, stat):
    proxy = start(bootstrap([http_listener(
        routes=[direct(200)], drain_timeout="100s", delayed_close_timeout="100s",
        common_http_protocol_options={limit: "0.2s"})]))
    with proxy.client() as client:
        assert client.closed()
    proxy.wait_stat(f"http.ingress.{stat}", 1)


def test_upstream_idle_timeout_closes_a_pooled_connection(start, origin):
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one")])],
        [cluster("one", origin, http={"common_http_protocol_options": {"idle_timeout": "0.2s"}})]))
    assert proxy.get("/").status == 200
    wait_for(lambda: not origin.open_connections, what="the pooled connection to close")
    proxy.wait_stat("cluster.one.upstream_cx_idle_timeout", 1)
    assert proxy.get("/").status == 200
    assert len(origin.connections) == 2


def test_max_connection_duration_drains_the_connection(start):
    proxy = start(bootstrap([http_listener(
        routes=[direct(200)], drain_timeout="0.1s", delayed_close_timeout="0.1s",
        common_http_protocol_options={"max_connection_duration": "0.2s"})]))
    with proxy.client() as client:
        assert client.get("/").status == 200
        client.rest()
    proxy.wait_stat("http.ingress.downstream_cx_max_duration_reached", 1)


@pytest.mark.parametrize("header", ["x-envoy-upstream-rq-timeout-ms"])
def test_internal_request_may_set_its_timeout(start, origin, header):
    held(origin)
    proxy = start(bootstrap([http_listener(
        routes=[route("/", "one")], **INTERNAL)], [cluster("one", origin)]))
    assert proxy.get("/", headers={header: "200"}).status == 504


TIMEOUTS = [("+900", "900"), ("9223372036854775807", "9223372036854775807"),
            ("9223372036854775808", None), ("18446744073709551615", None), ("-5", None),
            ("5 1", None)]


@pytest.mark.parametrize("said, obeyed", TIMEOUTS)
@pytest.mark.parametrize("header", ["x-envoy-upstream-rq-timeout-ms",
                                    "x-envoy-upstream-rq-per-try-timeout-ms"])
def test_how_the_number_of_a_timeout_is_read(start, origin, header, said, obeyed):
    """What cannot be read leaves the route's. What is longer for a try than the whole is none."""
    whole = "3000"
    proxy = start(bootstrap([http_listener(
        routes=[route("/", "one", timeout="3s")], **INTERNAL)], [cluster("one", origin)]))
    proxy.get("/", headers={header: said})
    if obeyed is None or (len(obeyed) > 4 and "per-try" in header):
        obeyed = whole
    assert origin.last.header("x-envoy-expected-rq-timeout-ms") == obeyed
    assert origin.last.header(header) is None


@pytest.mark.parametrize("expected, timeout", [("700", "700"), ("x", "3000"), (None, "500")])
def test_the_timeout_that_another_proxy_expects(start, origin, expected, timeout):
    """Where it is said, even badly, the client's own is neither read nor removed."""
    filters = [router_filter(respect_expected_rq_timeout=True)]
    proxy = start(bootstrap([http_listener(
        routes=[route("/", "one", timeout="3s")], filters=filters, **INTERNAL)],
        [cluster("one", origin)]))
    own = "x-envoy-upstream-rq-timeout-ms"
    said = {} if expected is None else {"x-envoy-expected-rq-timeout-ms": expected}
    proxy.get("/", headers={own: "500", **said})
    assert origin.last.header("x-envoy-expected-rq-timeout-ms") == timeout
    assert origin.last.header(own) == (None if expected is None else "500")


@pytest.fixture
def internal(start, origin, tmp_path):
    """A proxy whose clients are internal ones."""
    def run(*args, **action):
        log = file_log(tmp_path / "log", "%RESPONSE_CODE% %RESPONSE_FLAGS% "
                                         "%RESPONSE_CODE_DETAILS% %BYTES_SENT%\n")
        return start(bootstrap([http_listener(
            routes=[route("/", "one", **action)], use_remote_address=True, access_log=[log],
            internal_address_config={"cidr_ranges": [
                {"address_prefix": "127.0.0.0", "prefix_len": 8}]})], [cluster("one", origin)]))
    return run


OF_ATTEMPT = "x-envoy-upstream-rq-per-try-timeout-ms"


@pytest.mark.parametrize("header", ["x-envoy-upstream-rq-timeout-ms", OF_ATTEMPT])
def test_internal_request_may_be_told_204_of_its_timeout(internal, origin, tmp_path, header):
    held(origin)
    proxy = internal()
    name = "x-envoy-upstream-rq-timeout-alt-response"
    answer = proxy.get("/", headers={header: "200", name: "any"})
    assert (answer.status, answer.text, answer.header("content-type")) == (204, "", None)
    assert answer.header("content-length") is None
    assert origin.last.header(name) is None
    counted = proxy.stats().matching(r"cluster\.one\.upstream_rq_[2-5]")
    assert {n.rpartition(".")[2]: v for n, v in counted.items() if v} == {
        "upstream_rq_204": 1, "upstream_rq_2xx": 1}
    proxy.stop()
    why = "upstream_per_try_timeout" if header == OF_ATTEMPT else "response_timeout"
    assert (tmp_path / "log").read_text() == f"204 UT {why} 0\n"


@pytest.mark.parametrize("wish", ["200", "0", "soon", ""])
def test_internal_request_may_bound_its_stream(internal, origin, tmp_path, wish):
    name = "x-envoy-upstream-stream-duration-ms"
    proxy = internal(timeout="1s" if wish != "200" else "9s")
    held(origin)
    answer = proxy.get("/", headers={name: wish})
    assert answer.status == 504
    assert origin.last.header(name) is None
    assert proxy.stat("cluster.one.upstream_rq_max_duration_reached") == (wish == "200")
    proxy.stop()
    assert (tmp_path / "log").read_text() == (
        "504 UMSDR upstream_max_stream_duration_reached 36\n" if wish == "200"
        else "504 UT response_timeout 24\n")


@difference("Whoever may send requests would make as many statistics as he has names, and none of "
            "them ever goes.",
            envoy="counts the requests of an internal client a second time under the name that it "
                  "gives (x-envoy-upstream-alt-stat-name)",
            xylem="takes the header and counts nothing by it")
def test_statistics_that_a_client_names(internal, origin, kind):
    name = "x-envoy-upstream-alt-stat-name"
    proxy = internal()
    assert proxy.get("/", headers={name: "mine"}).status == 200
    assert origin.last.header(name) is None
    named = proxy.stats().matching(r"cluster\.one\.mine\.upstream_rq_200")
    assert len(named) == (kind == "envoy")


def lasting(start, tmp_path, *targets, duration="0.3s", retry_on=None, **fields):
    """A cluster that bounds the time of a request, which the route does not."""
    policy = {"retry_policy": {"retry_on": retry_on, "num_retries": 1}} if retry_on else {}
    log = [file_log(tmp_path / "log", "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% "
                                      "%UPSTREAM_REQUEST_ATTEMPT_COUNT%\n")]
    return start(bootstrap(
        [http_listener(routes=[route("/", "one", timeout="0s", **policy)], access_log=log)],
        [cluster("one", *targets, common_http_protocol_options={"max_stream_duration": duration},
                 **fields)]))


def duration_stats(proxy):
    return {name.rpartition(".")[2]: value for name, value in proxy.stats().values.items()
            if name.startswith("cluster.one.upstream_rq_") and value and (
                name.endswith(("_max_duration_reached", "_retry", "_504")))}


LASTED = "upstream max stream duration reached"


@pytest.mark.parametrize("words, tries", [
    (None, 1), ("connect-failure,refused-stream,reset-before-request", 1),
    ("5xx", 2), ("gateway-error", 2), ("reset", 2)])
def test_max_stream_duration_of_a_cluster(start, origin, tmp_path, words, tries):
    held(origin)
    proxy = lasting(start, tmp_path, origin, retry_on=words)
    answer = proxy.get("/")
    assert (answer.status, answer.text) == (504, LASTED)
    assert len(origin.requests) == tries
    assert duration_stats(proxy) == {"upstream_rq_max_duration_reached": tries,
                                     **({"upstream_rq_retry": 1} if tries == 2 else {})}
    proxy.stop()
    flags = "URX,UMSDR" if tries == 2 else "UMSDR"
    assert (tmp_path / "log").read_text() == \
        f"504 {flags} upstream_max_stream_duration_reached {tries}\n"


def test_max_stream_duration_of_an_unfinished_request(start, origin, tmp_path):
    held(origin)
    proxy = lasting(start, tmp_path, origin)
    with proxy.client() as client:
        client.write_request("POST", headers=[("content-length", "10")], body=b"abc")
        answer = client.response()
    assert (answer.status, answer.text) == (408, LASTED)


def test_max_stream_duration_after_the_head(start, origin, tmp_path):
    origin.reply = Reply(chunks=[b"a", b"b"], hold_body=origin.hold())
    proxy = lasting(start, tmp_path, origin)
    with proxy.client() as client:
        client.write_request()
        data = client.rest()
    assert data.startswith(b"HTTP/1.1 200 OK")
    assert not data.endswith(b"0\r\n\r\n")
    assert duration_stats(proxy) == {"upstream_rq_max_duration_reached": 1}
    proxy.stop()
    assert (tmp_path / "log").read_text() == "200 UMSDR upstream_max_stream_duration_reached 1\n"


def test_max_stream_duration_begins_with_the_connection(start, origin, tmp_path):
    held(origin)
    proxy = lasting(start, tmp_path, origin, duration="0.5s",
                    circuit_breakers={"thresholds": [{"max_connections": 1}]})
    with proxy.client() as one, proxy.client() as two:
        one.write_request()
        origin.wait_requests(1)
        two.write_request()
        proxy.wait_stat("cluster.one.upstream_rq_pending_active", 1)
        assert one.response().status == 504
        origin.wait_requests(2)     # its turn has come, and its time begins
        assert two.response().status == 504
    assert duration_stats(proxy) == {"upstream_rq_max_duration_reached": 2}


def test_max_stream_duration_is_kept(start, origin, tmp_path):
    proxy = lasting(start, tmp_path, origin, duration="0.2s")
    with proxy.client() as client:
        for _ in range(3):
            assert client.get("/").status == 200
            wait_for(lambda: origin.requests, 5)
    hold = origin.hold()
    origin.reply = Reply(hold=hold)
    with proxy.client() as client:
        client.write_request()
        assert client.response().status == 504
    assert duration_stats(proxy) == {"upstream_rq_max_duration_reached": 1}
