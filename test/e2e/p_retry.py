"""Retries: what is tried again, how often, when, and what client, origin, statistics and log see."""
import pytest

from harness import Reply, bootstrap, cluster, difference, http_listener, route
from harness.config import endpoint
from harness.origin import refused_port
from harness.retries import QUICK, Setup

INTERNAL = {"use_remote_address": True, "internal_address_config": {
    "cidr_ranges": [{"address_prefix": "127.0.0.0", "prefix_len": 8}]}}
BEFORE = "upstream connect error or disconnect/reset before headers. "
HEADERS = ["x-envoy-retry-on", "x-envoy-retry-grpc-on", "x-envoy-max-retries",
           "x-envoy-retriable-status-codes", "x-envoy-retriable-header-names",
           "x-envoy-hedge-on-per-try-timeout", "x-envoy-upstream-rq-per-try-timeout-ms"]


@pytest.fixture
def setup(start, tmp_path, origin):
    def make(policy=None, targets=None, **kw):
        return Setup(start, tmp_path, targets or [origin], policy, **kw)
    return make


def broken(status=503, **kw):
    return Reply(status=status, reason="Broken", **kw)


def test_answer_is_retried(setup, origin):
    s = setup({"retry_on": "5xx"})
    origin.queue = [broken()]
    answer = s.proxy.get("/")
    assert (answer.status, answer.text) == (200, "origin")
    assert answer.header("x-envoy-attempt-count") == "2"
    assert [r.header("x-envoy-attempt-count") for r in origin.requests] == ["1", "2"]
    assert [r.header("x-envoy-is-timeout-retry") for r in origin.requests] == [None, "false"]
    first, second = (int(r.header("x-envoy-expected-rq-timeout-ms")) for r in origin.requests)
    assert first == 15000 and second <= 15000
    for name, count in [("upstream_rq_retry", 1), ("upstream_rq_retry_success", 1),
                        ("upstream_rq_retry_limit_exceeded", 0), ("upstream_rq_200", 1),
                        ("upstream_rq_retry_backoff_exponential", 1), ("upstream_rq_503", 0),
                        ("retry.upstream_rq_503", 1), ("retry.upstream_rq_5xx", 1),
                        ("retry.upstream_rq_completed", 1), ("upstream_rq_total", 2)]:
        assert s.stat(name) == count, name
    assert s.lines() == ["200 - via_upstream 2"]


def test_retries_are_limited(setup, origin):
    s = setup({"retry_on": "5xx", "num_retries": 2})
    origin.reply = broken(body=b"last")
    answer = s.proxy.get("/")
    assert (answer.status, answer.text) == (503, "last")
    assert answer.header("x-envoy-attempt-count") == "3"
    assert s.stat("upstream_rq_retry") == 2
    assert s.stat("upstream_rq_retry_limit_exceeded") == 1
    assert s.stat("upstream_rq_retry_success") == 0
    assert s.stat("upstream_rq_503") == 1 and s.stat("retry.upstream_rq_503") == 2
    assert s.lines() == ["503 URX via_upstream 3"]


def test_num_retries_0(setup, origin):
    s = setup({"retry_on": "5xx", "num_retries": 0})
    origin.reply = broken()
    assert s.proxy.get("/").status == 503
    assert s.lines() == ["503 URX via_upstream 1"]


@pytest.mark.parametrize("words, status, retried", [
    ("5xx", 500, True), ("5xx", 599, True), ("5xx", 404, False),
    (" nonsense , 5xx", 503, True), ("nonsense", 503, False), ("5XX", 503, False), ("", 503, False),
    ("gateway-error", 502, True), ("gateway-error", 504, True), ("gateway-error", 500, False),
    ("gateway-error", 505, False), ("retriable-4xx", 409, True), ("retriable-4xx", 404, False),
    ("reset,connect-failure,refused-stream", 503, False),
    ("retriable-status-codes", 503, False)])
def test_which_status_is_retried(setup, origin, words, status, retried):
    s = setup({"retry_on": words})
    origin.queue = [broken(status)]
    assert s.proxy.get("/").status == (200 if retried else status)
    assert len(origin.requests) == 1 + retried


@pytest.mark.parametrize("code, retried", [(404, True), (500, False), (200, True)])
def test_retriable_status_codes(setup, origin, code, retried):
    s = setup({"retry_on": "retriable-status-codes", "retriable_status_codes": [404, 200]})
    origin.queue = [broken(code)]
    s.proxy.get("/")
    assert len(origin.requests) == 1 + retried


@pytest.mark.parametrize("value, retried", [("abc", True), ("xabc", False)])
def test_retriable_headers(setup, origin, value, retried):
    s = setup({"retry_on": "retriable-headers", "retriable_headers": [
        {"name": "X-Again", "string_match": {"prefix": "ab"}}]})
    origin.queue = [Reply(headers=[("x-again", value)])]
    assert s.proxy.get("/").status == 200
    assert len(origin.requests) == 1 + retried


@pytest.mark.parametrize("headers, retried", [({}, False), ({"x-may": "yes"}, True)])
def test_retriable_request_headers(setup, origin, headers, retried):
    s = setup({"retry_on": "5xx", "retriable_request_headers": [
        {"name": "x-may", "string_match": {"exact": "yes"}}]})
    origin.queue = [broken()]
    assert s.proxy.get("/", headers=headers).status == (200 if retried else 503)


@pytest.mark.parametrize("words, retried", [("5xx", False), ("envoy-ratelimited", True)])
def test_what_was_limited_by_its_rate(setup, origin, words, retried):
    s = setup({"retry_on": words})
    origin.queue = [broken(headers=[("x-envoy-ratelimited", "true")])]
    assert s.proxy.get("/").status == (200 if retried else 503)


def test_what_was_overloaded_is_retried(setup, origin):
    s = setup({"retry_on": "5xx"})
    origin.queue = [broken(headers=[("x-envoy-overloaded", "true")])]
    assert s.proxy.get("/").status == 200


GRPC = [("cancelled", 1), ("deadline-exceeded", 4), ("resource-exhausted", 8), ("internal", 13),
        ("unavailable", 14)]


@pytest.mark.parametrize("word, code", GRPC)
def test_grpc_status_is_retried(setup, origin, word, code):
    s = setup({"retry_on": word})
    head = [("content-type", "application/grpc"), ("grpc-status", str(code))]
    origin.queue = [Reply(headers=head)]
    answer = s.proxy.request("POST", "/", headers={"content-type": "application/grpc"}, body=b"")
    assert answer.header("grpc-status") is None and len(origin.requests) == 2
    others = [str(c) for w, c in GRPC if w != word]
    for other in others:
        origin.queue = [Reply(headers=head[:1] + [("grpc-status", other)])]
        answer = s.proxy.request("POST", "/", body=b"")
        assert answer.header("grpc-status") == other
    assert len(origin.requests) == 2 + len(others)


@pytest.mark.parametrize("words, retried", [
    ("connect-failure", True), ("reset-before-request", True), ("reset", True), ("5xx", True),
    ("gateway-error", True), ("refused-stream", False), ("retriable-4xx", False)])
def test_no_connection(setup, words, retried):
    port, socket = refused_port()
    with socket:
        s = setup({"retry_on": words}, targets=[port])
        answer = s.proxy.get("/")
    assert answer.status == 503
    assert answer.text == BEFORE + ("retried and the latest " if retried else "") + \
        "reset reason: remote connection failure"
    assert answer.header("x-envoy-attempt-count") == str(1 + retried)
    assert s.stat("upstream_rq_retry") == retried
    assert s.stat("upstream_rq_retry_limit_exceeded") == retried
    flags = "URX,UF" if retried else "UF"
    assert s.lines()[0].startswith(f"503 {flags} upstream_reset_before_response_started{{remote_")


@pytest.mark.parametrize("words, retried", [
    ("connect-failure", False), ("reset-before-request", False), ("reset", True), ("5xx", True),
    ("gateway-error", True), ("refused-stream", False)])
def test_connection_lost(setup, origin, words, retried):
    s = setup({"retry_on": words})
    origin.reply = Reply(cut=0)
    answer = s.proxy.get("/")
    assert answer.text == BEFORE + ("retried and the latest " if retried else "") + \
        "reset reason: connection termination"
    assert len(origin.requests) == 1 + retried
    flags = "URX,UC" if retried else "UC"
    assert s.lines() == [f"503 {flags} upstream_reset_before_response_started"
                         f"{{connection_termination}} {1 + retried}"]


def test_answer_that_has_begun_is_not_retried(setup, origin):
    s = setup({"retry_on": "reset,5xx"}, hcm={"delayed_close_timeout": "0.1s"})
    origin.queue = [Reply(chunks=[b"one", b"two"], cut=60)]
    with s.proxy.client() as client:
        client.write_request()
        assert client.rest().startswith(b"HTTP/1.1 200 OK")
    assert len(origin.requests) == 1


def test_interim_answer_ends_retries(setup, origin):
    s = setup({"retry_on": "5xx"})
    origin.queue = [broken(interim=b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")]
    with s.proxy.client() as client:
        client.write_request()
        assert client.response().status == 503
    assert len(origin.requests) == 1


@pytest.mark.parametrize("words, retried", [("5xx", True), ("reset-before-request", False)])
@pytest.mark.parametrize("field, stat", [
    ("per_try_timeout", "upstream_rq_per_try_timeout"),
    ("per_try_idle_timeout", "upstream_rq_per_try_idle_timeout")])
def test_per_try_timeouts(setup, origin, field, stat, words, retried):
    s = setup({"retry_on": words, field: "0.2s"})
    origin.reply = Reply(never=True)
    answer = s.proxy.get("/")
    assert (answer.status, answer.text) == (504, "upstream request timeout")
    told = [r.header("x-envoy-expected-rq-timeout-ms") for r in origin.requests]
    if field == "per_try_timeout":
        assert told == ["200"] * (1 + retried)
    assert [r.header("x-envoy-is-timeout-retry") for r in origin.requests] == \
        [None, "true"][:1 + retried]
    assert s.stat(stat) == 1 + retried and s.stat("upstream_rq_timeout") == 0
    assert s.stat("upstream_rq_504") == 1
    flags = "URX,UT" if retried else "UT"
    assert s.lines() == [f"504 {flags} {stat.replace('rq_', '')} {1 + retried}"]


def test_per_try_timeout_needs_no_condition(setup, origin):
    s = setup({"per_try_timeout": "0.2s"})
    origin.reply = Reply(never=True)
    assert s.proxy.get("/").status == 504
    assert s.lines() == ["504 UT upstream_per_try_timeout 1"]


def test_per_try_timeout_as_long_as_the_route_is_none(setup, origin):
    s = setup({"retry_on": "5xx", "per_try_timeout": "7s"}, timeout="7s")
    origin.queue = [broken()]
    assert s.proxy.get("/").status == 200
    assert origin.requests[0].header("x-envoy-expected-rq-timeout-ms") == "7000"


def test_per_try_idle_timeout_after_the_head(setup, origin):
    s = setup({"retry_on": "5xx", "per_try_idle_timeout": "0.3s"},
              hcm={"delayed_close_timeout": "0.1s"})
    origin.queue = [Reply(chunks=[b"one", b"two"], hold_body=origin.hold())]
    with s.proxy.client() as client:
        client.write_request()
        assert b"0\r\n\r\n" not in client.rest()
    assert s.stat("upstream_rq_per_try_idle_timeout") == 1 and len(origin.requests) == 1


def test_route_timeout_during_back_off(setup, origin):
    s = setup({"retry_on": "5xx", "retry_back_off": {"base_interval": "1000s"}}, timeout="0.4s")
    origin.queue = [broken()]
    answer = s.proxy.get("/")
    assert (answer.status, answer.text) == (504, "upstream request timeout")
    assert s.stat("upstream_rq_timeout") == 0 and s.stat("upstream_rq_retry") == 0
    assert s.stat("circuit_breakers.default.rq_retry_open") == 0
    assert s.lines() == ["504 UT response_timeout 1"]


@difference("A request that is complete is one whose timeout runs, whatever the attempts do just then.",
            envoy="a request that ends during a back-off has no timeout of its route",
            xylem="its timeout begins when it ends")
def test_request_that_ends_during_back_off(setup, origin, kind):
    s = setup({"retry_on": "5xx", "retry_back_off": {"base_interval": "0.5s"}}, timeout="1s",
              hcm={"stream_idle_timeout": "3s"}, breakers={"max_retries": 1})
    origin.queue = [broken(early=True), Reply(never=True)]
    with s.proxy.client() as client:
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\nhalf")
        s.proxy.wait_stat("cluster.one.retry.upstream_rq_503", 1)
        client.send("-full")
        assert client.response().status == 504
    s.proxy.wait_stat("cluster.one.upstream_rq_active", 0)
    assert s.lines()[0].startswith("504 UT response_timeout " if kind == "xylem" else
                                   "504 SI stream_idle_timeout ")


def test_client_that_leaves_during_back_off(setup, origin):
    s = setup({"retry_on": "5xx", "retry_back_off": {"base_interval": "1000s"}},
              breakers={"max_retries": 1, "track_remaining": True})
    origin.queue = [broken()]
    with s.proxy.client() as client:
        client.write_request()
        s.proxy.wait_stat("cluster.one.circuit_breakers.default.rq_retry_open", 1)
        assert s.stat("circuit_breakers.default.remaining_retries") == 0
    s.proxy.wait_stat("cluster.one.circuit_breakers.default.rq_retry_open", 0)
    assert s.stat("circuit_breakers.default.remaining_retries") == 1
    assert len(origin.requests) == 1


def test_back_off_that_the_answer_asks_for(setup, origin):
    s = setup({"retry_on": "5xx", "retry_back_off": {"base_interval": "1000s"},
               "rate_limited_retry_back_off": {"reset_headers": [
                   {"name": "X-Absent", "format": "UNIX_TIMESTAMP"},
                   {"name": "Retry-After", "format": "SECONDS"}]}})
    origin.queue = [broken(headers=[("retry-after", "1")])]
    assert s.proxy.get("/").status == 200
    assert s.stat("upstream_rq_retry_backoff_ratelimited") == 1
    assert s.stat("upstream_rq_retry_backoff_exponential") == 0


def test_back_off_beyond_the_bound_is_not_obeyed(setup, origin):
    s = setup({"retry_on": "5xx", "rate_limited_retry_back_off": {
        "max_interval": "5s", "reset_headers": [{"name": "retry-after", "format": "SECONDS"}]}})
    origin.queue = [broken(headers=[("retry-after", "6")])]
    assert s.proxy.get("/").status == 200
    assert s.stat("upstream_rq_retry_backoff_exponential") == 1


# --- the body ---

@pytest.mark.parametrize("body", [b"hello", b"x" * 300000])
def test_body_is_sent_again(setup, origin, body):
    s = setup({"retry_on": "5xx", "num_retries": 3})
    origin.queue = [broken(), broken()]
    assert s.proxy.request("POST", "/", body=body).status == 200
    assert [r.body for r in origin.requests] == [body] * 3
    assert s.stat("retry_or_shadow_abandoned") == 0


def test_body_in_chunks_and_trailers_are_sent_again(setup, origin):
    s = setup({"retry_on": "5xx"}, hcm={"http_protocol_options": {"enable_trailers": True}})
    origin.queue = [broken()]
    with s.proxy.client() as client:
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "5\r\nhello\r\n")
        client.send("1\r\n!\r\n0\r\nx-t: v\r\n\r\n")
        assert client.response().status == 200
    assert [r.body for r in origin.requests] == [b"hello!"] * 2


def test_body_that_comes_during_back_off(setup, origin):
    s = setup({"retry_on": "5xx", "retry_back_off": {"base_interval": "1s"}},
              breakers={"max_retries": 1})
    origin.queue = [broken(early=True)]
    with s.proxy.client() as client:
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\nhalf")
        s.proxy.wait_stat("cluster.one.retry.upstream_rq_503", 1)
        client.send("-full")
        assert client.response().status == 200
    assert origin.requests[-1].body == b"half-full"


@pytest.mark.parametrize("of_route, of_vhost, of_listener, kept", [
    ({}, {}, {}, True),
    ({}, {}, {"per_connection_buffer_limit_bytes": 50}, False),
    ({}, {"per_request_buffer_limit_bytes": 50}, {}, False),
    ({}, {"per_request_buffer_limit_bytes": 0}, {}, False),
    ({}, {"per_request_buffer_limit_bytes": 200}, {"per_connection_buffer_limit_bytes": 50}, True),
    ({}, {"request_body_buffer_limit": 50}, {}, False),
    ({}, {"request_body_buffer_limit": 200}, {"per_connection_buffer_limit_bytes": 50}, True),
    ({"per_request_buffer_limit_bytes": 200}, {"per_request_buffer_limit_bytes": 50}, {}, True),
    ({"request_body_buffer_limit": 50}, {"request_body_buffer_limit": 200}, {}, False)])
def test_limits_of_what_is_kept(setup, origin, of_route, of_vhost, of_listener, kept):
    s = setup({"retry_on": "5xx"}, route_fields=of_route, virtual_host=of_vhost,
              listener=of_listener)
    origin.queue = [broken()]
    answer = s.proxy.request("POST", "/", body=b"x" * 100)
    assert answer.status == (200 if kept else 503)
    assert [len(r.body) for r in origin.requests] == [100] * (1 + kept)
    assert s.stat("retry_or_shadow_abandoned") == (not kept)
    assert s.lines()[0].startswith("200 - " if kept else "503 - ")


def test_too_much_during_back_off(setup, origin):
    s = setup({"retry_on": "5xx", "retry_back_off": {"base_interval": "1000s"}},
              virtual_host={"per_request_buffer_limit_bytes": 50})
    origin.queue = [broken(early=True)]
    with s.proxy.client() as client:
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 200\r\n\r\nhalf")
        s.proxy.wait_stat("cluster.one.retry.upstream_rq_503", 1)
        client.send("x" * 100)
        answer = client.response()
    assert answer.status == 507
    assert answer.text == "exceeded request buffer limit while retrying upstream"
    assert s.stat("retry_or_shadow_abandoned") == 1
    assert s.stat("circuit_breakers.default.rq_retry_open") == 0
    assert s.lines() == ["507 - request_payload_exceeded_retry_buffer_limit 1"]


# --- where it is sent ---

def predicate(name, **config):
    """previous_hosts.v3.PreviousHostsPredicate, and its like"""
    return {"name": name, "typed_config": {
        "@type": f"type.googleapis.com/envoy.extensions.retry.host.{name}", **config}}


def labels(**fields):
    return {"filter_metadata": {"envoy.lb": fields}}


PREVIOUS = predicate("previous_hosts.v3.PreviousHostsPredicate")
OMIT_CANARY = predicate("omit_canary_hosts.v3.OmitCanaryHostsPredicate")


def omit(**fields):
    return predicate("omit_host_metadata.v3.OmitHostMetadataConfig", metadata_match=labels(**fields))


def pick_policy(*predicates):
    return {"retry_on": "5xx", "host_selection_retry_max_attempts": 50,
            "retry_host_predicate": list(predicates)}


def test_another_host_is_picked(setup, origins):
    bad, good = origins(2)
    bad.reply = broken()
    s = setup(pick_policy(PREVIOUS), targets=[bad, good])
    for _ in range(20):
        assert s.proxy.get("/").status == 200
    assert len(good.requests) == 20 and 0 < len(bad.requests) <= 20


def test_however_many_hosts_were_tried(setup, origins):
    """One of many is good: it is found in the end, since none is asked twice."""
    hosts = origins(24)
    for host in hosts[1:]:
        host.reply = broken()
    s = setup({**pick_policy(PREVIOUS), "num_retries": 23, "host_selection_retry_max_attempts": 1000},
              targets=hosts, of_cluster={"lb_policy": "RANDOM"})
    for _ in range(20):
        assert s.proxy.get("/").status == 200


MANY = {"a": "x", "n": 1.5, "b": True, "s": {"p": {"q": ["r", 1]}}, "z": None}


@pytest.mark.parametrize("predicates, metadata, left_out", [
    ([OMIT_CANARY], labels(canary=True), True),
    ([OMIT_CANARY], labels(canary=False), False),
    ([OMIT_CANARY], labels(canary="true"), False),
    ([OMIT_CANARY], {"filter_metadata": {"other": {"canary": True}}}, False),
    ([omit(a="x")], labels(a="x"), True), ([omit(a="x")], labels(a="x", b="y"), True),
    ([omit(a="x", b="y")], labels(a="x"), False), ([omit(a="x")], labels(a="y"), False),
    ([omit(a="x")], labels(a=["y", "x"]), True), ([omit(a=["x"])], labels(a=["x"]), False),
    ([omit(a=1)], labels(a="1"), False),
    ([omit(a="x")], {}, False), ([omit()], labels(a="x"), False),
    ([omit(**MANY)], labels(**MANY), True), ([omit(**MANY)], labels(**{**MANY, "n": 2}), False),
    ([omit(**MANY)], labels(**{**MANY, "s": {"p": {"q": ["r", 1], "t": 1}}}), False),
    ([omit(**MANY)], labels(**{**MANY, "s": {"p": {"q": ["r"]}}}), False),
    ([omit(a="x"), omit(a="y")], labels(a="x"), True),
    ([OMIT_CANARY, omit(a="x")], labels(a="x"), True)])
def test_hosts_that_later_attempts_leave_out(setup, origins, predicates, metadata, left_out):
    one, two = origins(2)
    one.reply = two.reply = broken()
    s = setup({**pick_policy(*predicates), "num_retries": 12},
              targets=[endpoint(one, metadata=metadata), endpoint(two)])
    assert s.proxy.get("/").status == 503
    first = one if one.requests and one.requests[0].header("x-envoy-attempt-count") == "1" else two
    later = len(one.requests) - (first is one)
    assert (later == 0) == left_out
    assert len(one.requests) + len(two.requests) == 13


def test_canaries_are_told_of(setup, origin, origins):
    canary, = origins(1)
    s = setup(targets=[endpoint(canary, metadata=labels(canary=True)), origin])
    text = s.proxy.admin("/clusters").text
    assert f"one::127.0.0.1:{canary.port}::canary::true\n" in text
    assert f"one::127.0.0.1:{origin.port}::canary::false\n" in text


def test_another_priority_is_picked(start, origins):
    first, second = origins(2)
    first.reply = broken()
    proxy = start(bootstrap([http_listener(routes=[route("/", "one", retry_policy={
        "retry_on": "5xx", "retry_back_off": QUICK, "retry_priority": {
            "name": "previous", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.retry.priority.previous_priorities."
                         "v3.PreviousPrioritiesConfig", "update_frequency": 1}}})])],
        [cluster("one", load_assignment={"cluster_name": "one", "endpoints": [
            {"priority": 0, "lb_endpoints": [endpoint(first)]},
            {"priority": 1, "lb_endpoints": [endpoint(second)]}]})]))
    for _ in range(5):
        assert proxy.get("/").status == 200
    assert len(first.requests) == len(second.requests) == 5


@difference("previous_priorities with an update_frequency of 0, which it is where nothing is said.",
            envoy="takes it, and ends at the first request of the route", xylem="refuses it by name")
@pytest.mark.parametrize("said", [{}, {"update_frequency": 0}], ids=["nothing", "zero"])
def test_priorities_that_are_never_updated(start, origin, kind, said):
    config = bootstrap([http_listener(routes=[route("/", "one", retry_policy={
        "retry_on": "5xx", "retry_priority": {"name": "previous", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3."
                     "PreviousPrioritiesConfig", **said}}})])], [cluster("one", origin)])
    if kind == "xylem":
        with pytest.raises(RuntimeError, match="update_frequency: value must be greater than 0"):
            start(config)
        return
    proxy = start(config)
    with pytest.raises((AssertionError, OSError)):
        proxy.get("/")
    assert proxy.wait_exit(20) != 0


@difference("The origin is told what the client asked for. Envoy takes the name of the host that was "
            "tried before for the client's, and adds it to x-forwarded-host.",
            envoy="x-envoy-original-host: a.host", xylem="x-envoy-original-host: a.test")
def test_host_names_of_later_attempts(setup, origins, kind):
    a, b = origins(2)
    a.reply = b.reply = broken()
    s = setup({"retry_on": "5xx"}, targets=[endpoint(a, hostname="a.host"),
                                            endpoint(b, hostname="b.host")],
              auto_host_rewrite=True, append_x_forwarded_host=True)
    assert s.proxy.get("/").status == 503
    first, last = sorted([a.last, b.last], key=lambda r: r.header("x-envoy-attempt-count"))
    names = (first.header("host"), last.header("host"))
    assert sorted(names) == ["a.host", "b.host"]
    assert first.header("x-envoy-original-host") == first.header("x-forwarded-host") == "a.test"
    if kind == "envoy":
        assert last.header("x-envoy-original-host") == names[0]
        assert last.header("x-forwarded-host") == f"a.test,{names[0]}"
    else:
        assert last.header("x-envoy-original-host") == "a.test"
        assert last.header("x-forwarded-host") == "a.test"


# --- whose policy, whose word ---

def test_policy_of_the_virtual_host(setup, origin):
    s = setup(vhost_policy={"retry_on": "5xx"})
    origin.queue = [broken()]
    assert s.proxy.get("/").status == 200


def test_policy_of_the_route_replaces_it(setup, origin):
    s = setup({"retry_on": "retriable-4xx"}, vhost_policy={"retry_on": "5xx", "num_retries": 3})
    origin.queue = [broken()]
    assert s.proxy.get("/").status == 503


def test_headers_of_an_internal_client(setup, origin):
    s = setup(hcm=INTERNAL)
    origin.queue = [broken()] * 3
    sent = dict(zip(HEADERS, ["5xx", "internal", "3", "404", "x-a", "true", "5000"]))
    del sent["x-envoy-hedge-on-per-try-timeout"]
    answer = s.proxy.get("/", headers=sent)
    assert answer.status == 200 and answer.header("x-envoy-attempt-count") == "4"
    for request in origin.requests:
        assert request.header("x-envoy-expected-rq-timeout-ms") == "5000"
        assert not [h for h in HEADERS if request.header(h)]


@pytest.mark.parametrize("headers, reply, retried", [
    ({"x-envoy-retry-on": "5xx"}, broken(), True),
    ({"x-envoy-retry-on": "internal"}, Reply(headers=[("grpc-status", "13")]), False),
    ({"x-envoy-retry-grpc-on": "internal"}, Reply(headers=[("grpc-status", "13")]), True),
    ({"x-envoy-retry-grpc-on": "5xx"}, broken(), False),
    ({"x-envoy-retry-on": "5xx", "x-envoy-max-retries": "0"}, broken(), False),
    ({"x-envoy-retry-on": "5xx", "x-envoy-max-retries": "3x"}, broken(), True),
    ({"x-envoy-retry-on": "5xx", "x-envoy-max-retries": "+0"}, broken(), False),
    ({"x-envoy-retry-on": "5xx", "x-envoy-max-retries": "4294967296"}, broken(), False),
    ({"x-envoy-retry-on": "retriable-status-codes", "x-envoy-retriable-status-codes": "x, 404"},
     broken(404), True),
    ({"x-envoy-retry-on": "retriable-status-codes", "x-envoy-retriable-status-codes": "+404"},
     broken(404), True),
    ({"x-envoy-retry-on": "retriable-headers", "x-envoy-retriable-header-names": "y, X-A"},
     Reply(headers=[("x-a", "b")]), True),
    ({"x-envoy-retriable-status-codes": "404"}, broken(404), False)])
def test_each_header(setup, origin, headers, reply, retried):
    s = setup(hcm=INTERNAL)
    origin.queue = [reply]
    s.proxy.get("/", headers=headers)
    assert len(origin.requests) == 1 + retried
    assert not [h for h in HEADERS for r in origin.requests if r.header(h)]


def test_headers_of_a_stranger_are_not_obeyed(setup, origin):
    s = setup()
    origin.queue = [broken()]
    sent = dict(zip(HEADERS, ["5xx", "internal", "3", "503", "x-a", "true", "50"]))
    assert s.proxy.get("/", headers=sent).status == 503
    assert not [h for h in HEADERS if origin.last.header(h)]


# --- hedging: a timeout of one attempt begins another beside it ---

HEDGE = {"hedge_policy": {"hedge_on_per_try_timeout": True}}


@pytest.fixture
def hedged(setup):
    def make(policy=None, **kw):
        return setup({"retry_on": "5xx", "per_try_timeout": "0.3s", **(policy or {})}, **HEDGE, **kw)
    return make


def test_first_of_two_attempts_answers(hedged, origin):
    s = hedged({"retry_on": "retriable-4xx"})
    hold = origin.hold()
    origin.queue = [Reply(hold=hold, body=b"first"), Reply(never=True)]
    with s.proxy.client() as client:
        client.write_request("POST", body=b"hello")
        origin.wait_requests(2)
        hold.release()
        answer = client.response()
    assert (answer.status, answer.text) == (200, "first")
    assert answer.header("x-envoy-attempt-count") == "2"
    assert [r.body for r in origin.requests] == [b"hello"] * 2
    assert [r.header("x-envoy-is-timeout-retry") for r in origin.requests] == [None, "true"]
    assert all(14000 < int(r.header("x-envoy-expected-rq-timeout-ms")) <= 15000
               for r in origin.requests)
    for name, count in [("upstream_rq_retry", 1), ("upstream_rq_retry_success", 0),
                        ("upstream_rq_per_try_timeout", 0), ("upstream_rq_200", 1),
                        ("upstream_rq_completed", 1), ("upstream_rq_total", 2)]:
        assert s.stat(name) == count, name
    s.proxy.wait_stat("cluster.one.upstream_rq_active", 0)
    assert s.stat("circuit_breakers.default.rq_retry_open") == 0
    assert s.lines() == ["200 - via_upstream 2"]


def test_second_of_two_attempts_answers(hedged, origin):
    s = hedged()
    origin.queue = [Reply(never=True), Reply(body=b"second")]
    assert s.proxy.get("/").text == "second"
    assert s.stat("upstream_rq_retry_success") == 1
    s.proxy.wait_stat("cluster.one.upstream_rq_active", 0)
    assert s.lines() == ["200 - via_upstream 2"]


def test_one_answer_ends_the_other_attempts(hedged, origin):
    s = hedged()
    hold = origin.hold()
    origin.queue = [Reply(never=True), Reply(chunks=[b"sec", b"ond"], hold_body=hold)]
    with s.proxy.client() as client:
        client.write_request()
        origin.wait_requests(2)
        s.proxy.wait_stat("cluster.one.upstream_rq_active", 1)     # before the answer has ended
        hold.release()
        assert client.response().text == "second"


@pytest.mark.parametrize("bad, stat", [(broken(), None), (Reply(cut=0), "upstream_rq_503")])
@pytest.mark.parametrize("first", [True, False])
def test_bad_answer_waits_for_the_other(hedged, origin, bad, stat, first):
    s = hedged({"num_retries": 1})
    holds = origin.hold(), origin.hold()
    bad.hold = holds[0 if first else 1]
    good = Reply(hold=holds[1 if first else 0], body=b"good")
    origin.queue = [bad, good] if first else [good, bad]
    with s.proxy.client() as client:
        client.write_request()
        origin.wait_requests(2)
        bad.hold.release()
        if stat:
            s.proxy.wait_stat("cluster.one." + stat, 1)
        else:
            s.proxy.wait_stat("cluster.one.upstream_rq_active", 1)
        good.hold.release()
        answer = client.response()
    assert (answer.status, answer.text) == (200, "good")
    assert s.stat("upstream_rq_retry") == 1 and s.stat("upstream_rq_200") == 1
    flags = "-" if first else "URX"
    assert s.lines() == [f"200 {flags} via_upstream 2"]


def test_all_attempts_are_bad(hedged, origin):
    s = hedged({"num_retries": 1})
    holds = origin.hold(), origin.hold()
    origin.queue = [broken(hold=holds[0], body=b"1"), broken(hold=holds[1], body=b"2")]
    with s.proxy.client() as client:
        client.write_request()
        origin.wait_requests(2)
        holds[0].release()
        s.proxy.wait_stat("cluster.one.upstream_rq_active", 1)
        holds[1].release()
        answer = client.response()
    assert (answer.status, answer.text) == (503, "2")
    assert s.lines() == ["503 URX via_upstream 2"]


def test_bad_answer_of_a_second_attempt_is_retried(hedged, origin):
    s = hedged({"num_retries": 2})
    origin.queue = [Reply(never=True), broken(), Reply(body=b"third")]
    answer = s.proxy.get("/")
    assert (answer.text, answer.header("x-envoy-attempt-count")) == ("third", "3")
    assert s.stat("upstream_rq_retry") == 2
    s.proxy.wait_stat("cluster.one.upstream_rq_active", 0)


@pytest.mark.parametrize("policy, flags", [({"num_retries": 0}, "URX"), ({"retry_on": ""}, "-")])
def test_attempt_goes_on_when_there_can_be_no_other(hedged, origin, policy, flags):
    s = hedged(policy)
    hold = origin.hold()
    origin.reply = Reply(hold=hold)
    with s.proxy.client() as client:
        client.write_request()
        origin.wait_requests(1)
        if flags == "URX":
            s.proxy.wait_stat("cluster.one.upstream_rq_retry_limit_exceeded", 1)
        hold.release()
        assert client.response().status == 200
    assert s.lines() == [f"200 {flags} via_upstream 1"]


def test_route_timeout_ends_all_attempts(hedged, origin):
    s = hedged({"num_retries": 1}, timeout="1s")
    origin.reply = Reply(never=True)
    assert s.proxy.get("/").status == 504
    assert s.stat("upstream_rq_timeout") == 2 and s.stat("upstream_rq_504") == 2
    s.proxy.wait_stat("cluster.one.upstream_rq_active", 0)
    assert s.lines() == ["504 URX,UT response_timeout 2"]


def test_client_that_leaves_ends_all_attempts(hedged, origin):
    s = hedged()
    origin.reply = Reply(never=True)
    with s.proxy.client() as client:
        client.write_request()
        origin.wait_requests(2)
    s.proxy.wait_stat("cluster.one.upstream_rq_active", 0)


@pytest.mark.parametrize("of_route, of_vhost, header, obeyed", [
    (None, True, None, True), (False, True, None, False), (None, False, "true", True),
    (True, None, "false", False), (True, None, "yes", True)])
def test_who_asks_for_hedging(setup, origin, of_route, of_vhost, header, obeyed):
    def policy(on):
        return {} if on is None else {"hedge_policy": {"hedge_on_per_try_timeout": on}}
    s = setup({"retry_on": "5xx", "per_try_timeout": "0.3s"}, hcm=INTERNAL, **policy(of_route),
              virtual_host=policy(of_vhost))
    hold = origin.hold()
    origin.queue = [Reply(hold=hold, body=b"first"), Reply(never=True)]
    headers = {"x-envoy-hedge-on-per-try-timeout": header} if header else {}
    with s.proxy.client() as client:
        client.write_request(headers=headers)
        origin.wait_requests(2)
        hold.release()
        assert client.response().status == (200 if obeyed else 504)
    assert not [h for h in HEADERS for r in origin.requests if r.header(h)]


# --- circuit breakers ---

@pytest.mark.parametrize("breakers, allowed", [
    ({"max_retries": 2}, 2), ({"max_retries": 0}, 0), ({}, 3),
    ({"max_retries": 1, "retry_budget": {}}, 3),
    ({"max_retries": 1, "retry_budget": {"min_retry_concurrency": 2}}, 2),
    ({"retry_budget": {"budget_percent": {"value": 100}, "min_retry_concurrency": 0}}, 1)])
def test_retries_at_once(setup, origin, breakers, allowed):
    s = setup({"retry_on": "5xx", "retry_back_off": {"base_interval": "1000s"}},
              breakers={"track_remaining": True, **breakers})
    origin.reply = broken()
    clients = [s.proxy.client() for _ in range(allowed)]
    for at, client in enumerate(clients):
        client.write_request()
        s.proxy.wait_stat("cluster.one.retry.upstream_rq_503", at + 1)
    answer = s.proxy.get("/")
    assert answer.status == 503 and s.stat("upstream_rq_retry_overflow") == 1
    if allowed and "retry_budget" not in breakers:
        assert s.stat("circuit_breakers.default.rq_retry_open") == 1
    assert s.stat("circuit_breakers.default.remaining_retries") == 0
    for client in clients:
        client.close()
    if allowed and "retry_budget" not in breakers:
        s.proxy.wait_stat("cluster.one.circuit_breakers.default.rq_retry_open", 0)
    assert "503 UO via_upstream 1" in s.lines()


def test_budget_follows_active_requests(setup, origin):
    s = setup({"retry_on": "5xx", "retry_back_off": {"base_interval": "1000s"}},
              breakers={"retry_budget": {"budget_percent": {"value": 50},
                                         "min_retry_concurrency": 0}})
    hold = origin.hold()
    origin.queue = [Reply(hold=hold)] * 4
    origin.reply = broken()
    clients = [s.proxy.client() for _ in range(4)]
    for at, client in enumerate(clients):
        client.write_request()
        origin.wait_requests(at + 1)
    more = [s.proxy.client() for _ in range(2)]
    for at, client in enumerate(more):
        client.write_request()
        s.proxy.wait_stat("cluster.one.retry.upstream_rq_503", at + 1)
    assert s.proxy.get("/").status == 503
    assert s.stat("upstream_rq_retry_overflow") == 1
    hold.release()
    for client in clients:
        assert client.response().status == 200
    for client in clients + more:
        client.close()


def test_counted_in_the_virtual_cluster_and_the_route(setup, origin):
    s = setup({"retry_on": "5xx"}, route_fields={"stat_prefix": "r"}, virtual_host={
        "virtual_clusters": [{"name": "all", "headers": [{"name": ":path", "string_match":
                                                          {"prefix": "/"}}]}]})
    origin.queue = [broken()]
    s.proxy.get("/")
    origin.reply = broken()
    s.proxy.get("/")
    for scope in ["vhost.v.vcluster.all.", "vhost.v.route.r."]:
        for name, count in [("upstream_rq_retry", 2), ("upstream_rq_retry_success", 1),
                            ("upstream_rq_retry_limit_exceeded", 1), ("upstream_rq_total", 4),
                            ("upstream_rq_retry_overflow", 0)]:
            assert s.proxy.stat(scope + name) == count, scope + name
