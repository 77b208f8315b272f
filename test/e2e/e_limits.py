"""Limits on what a client may send, and what the proxy says of broken upstreams."""
import pytest

from harness import (Reply, SilentPort, bootstrap, cluster, difference, direct, http_listener,
                     refused_port, route, vhost)
from harness.config import file_log

CONNECT_ERROR = "upstream connect error or disconnect/reset before headers. reset reason: "


@pytest.fixture
def proxy(start, origin):
    return start(bootstrap([http_listener(routes=[route("/", "one")],
                                          delayed_close_timeout="0.05s")],
                           [cluster("one", origin)]))


def test_head_over_60_kib_is_431(proxy, origin):
    with proxy.client() as client:
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\nX-Big: " + "x" * 62000 + "\r\n\r\n")
        answer = client.response()
        assert answer.status == 431
        assert client.closed()
    assert origin.requests == []


def test_head_just_below_60_kib_passes(proxy, origin):
    assert proxy.get("/", headers={"X-Big": "x" * 60000}).status == 200
    assert len(origin.last.header("x-big")) == 60000


def test_max_request_headers_kb_sets_the_limit(start, origin):
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")], max_request_headers_kb=8)],
                            [cluster("one", origin)]))
    assert proxy.get("/", headers={"X-Big": "x" * 7000}).status == 200
    assert proxy.get("/", headers={"X-Big": "x" * 9000}).status == 431


def test_endless_request_line_is_431(proxy, origin):
    with proxy.client() as client:
        client.send("GET /" + "a" * 70000)
        assert client.response().status == 431
    assert origin.requests == []


def test_100_header_lines_pass_and_101_do_not(proxy, origin):
    assert proxy.get("/", headers=[(f"x-{n}", "1") for n in range(99)]).status == 200
    assert proxy.get("/", headers=[(f"x-{n}", "1") for n in range(100)]).status == 431
    assert len(origin.requests) == 1


RESPONSE_HEADS = {"HTTP/1": (None, 81000, 82000), "20 KiB": (20, 20000, 20600)}


@pytest.mark.parametrize("case", RESPONSE_HEADS)
def test_limit_of_the_head_of_an_answer(start, origin, case):
    """80 KiB of an origin that speaks HTTP/1, unless max_response_headers_kb says another."""
    limit, good, bad = RESPONSE_HEADS[case]
    options = {"common_http_protocol_options": {"max_response_headers_kb": limit}} if limit else {}
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")])],
                            [cluster("one", origin, http=options)]))
    for size, status in [(good, 200), (bad, 502), (good, 200)]:
        origin.reply = Reply(headers=[("x-big", "x" * size)])
        assert proxy.get("/").status == status


def test_max_headers_count_sets_the_limit(start, origin):
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one")],
                       common_http_protocol_options={"max_headers_count": 10})],
        [cluster("one", origin)]))
    assert proxy.get("/", headers=[(f"x-{n}", "1") for n in range(9)]).status == 200
    assert proxy.get("/", headers=[(f"x-{n}", "1") for n in range(10)]).status == 431


@difference("Lines are counted before they are joined: the limit is judged on bytes that are still in "
            "the input, before anything is allocated for them.",
            envoy="counts the lines of a header that it joins (accept, x-forwarded-for, ...) as one",
            xylem="counts each line")
@pytest.mark.parametrize("name", ["accept", "x-forwarded-for"])
def test_lines_that_are_joined_are_counted_each(start, kind, origin, name):
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one")],
                       common_http_protocol_options={"max_headers_count": 10})],
        [cluster("one", origin)]))
    lines = [(name, f"10.0.0.{n}") for n in range(10)]
    assert proxy.get("/", headers=lines[1:]).status == 200
    assert proxy.get("/", headers=lines).status == (431 if kind == "xylem" else 200)


def test_answer_with_too_many_headers_is_502(proxy, origin):
    origin.reply = Reply(headers=[(f"x-{n}", "1") for n in range(101)])
    assert proxy.get("/").status == 502


def test_underscores_in_names_pass_by_default(proxy, origin):
    assert proxy.get("/", headers={"x_y": "1"}).status == 200
    assert origin.last.header("x_y") == "1"


@pytest.mark.parametrize("action, status", [("REJECT_REQUEST", 400), ("DROP_HEADER", 200)])
def test_headers_with_underscores_action(start, origin, action, status):
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one")],
                       common_http_protocol_options={"headers_with_underscores_action": action})],
        [cluster("one", origin)]))
    assert proxy.get("/", headers={"x_y": "1"}).status == status
    assert all(r.header("x_y") is None for r in origin.requests)


def test_no_route_is_404_without_a_body(start):
    proxy = start(bootstrap([http_listener(routes=[direct(200, prefix="/only")])]))
    answer = proxy.get("/other")
    assert (answer.status, answer.body) == (404, b"")
    assert proxy.stat("http.ingress.no_route") == 1


def test_no_virtual_host_is_404(start):
    proxy = start(bootstrap([http_listener(vhosts=[vhost("a", ["a.test"], direct(200))])]))
    assert proxy.get("/", host="b.test").status == 404


def logged(tmp_path, fmt="%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n"):
    path = tmp_path / "access.log"
    return path, [file_log(path, fmt)]


def lines_after_stop(proxy, path):
    proxy.stop()
    return path.read_text().splitlines()


def test_refused_connection_is_503_uf(start, tmp_path):
    port, keep = refused_port()
    path, log = logged(tmp_path)
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")], access_log=log)],
                            [cluster("one", port)]))
    answer = proxy.get("/")
    keep.close()
    assert answer.status == 503
    assert answer.header("content-type") == "text/plain"
    assert answer.text.startswith(CONNECT_ERROR + "remote connection failure")
    assert proxy.stat("cluster.one.upstream_cx_connect_fail") == 1
    line, = lines_after_stop(proxy, path)
    assert line.startswith("503 UF upstream_reset_before_response_started{")


def test_cluster_without_endpoints_is_503_uh(start, tmp_path):
    path, log = logged(tmp_path)
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")], access_log=log)],
                            [cluster("one")]))
    answer = proxy.get("/")
    assert (answer.status, answer.text) == (503, "no healthy upstream")
    assert proxy.stat("cluster.one.upstream_cx_none_healthy") == 1
    assert lines_after_stop(proxy, path) == ["503 UH no_healthy_upstream"]


def test_route_to_an_unknown_cluster_is_503_nc(start, tmp_path):
    path, log = logged(tmp_path)
    proxy = start(bootstrap([http_listener(
        routes=[route("/", "absent")], access_log=log,
        route_config={"validate_clusters": False})]))
    answer = proxy.get("/")
    assert (answer.status, answer.body) == (503, b"")
    assert proxy.stat("http.ingress.no_cluster") == 1
    assert lines_after_stop(proxy, path) == ["503 NC cluster_not_found"]


@pytest.mark.parametrize("code, status", [
    ("NOT_FOUND", 404), ("INTERNAL_SERVER_ERROR", 500), ("SERVICE_UNAVAILABLE", 503)])
def test_cluster_not_found_response_code(start, code, status):
    proxy = start(bootstrap([http_listener(
        routes=[route("/", "absent", cluster_not_found_response_code=code)],
        route_config={"validate_clusters": False})]))
    assert proxy.get("/").status == status


def test_origin_that_closes_before_answering_is_503_uc(start, origin, tmp_path):
    origin.reply = Reply(raw=b"", close=True)
    path, log = logged(tmp_path)
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")], access_log=log)],
                            [cluster("one", origin)]))
    answer = proxy.get("/")
    assert answer.status == 503
    assert answer.text == CONNECT_ERROR + "connection termination"
    line, = lines_after_stop(proxy, path)
    assert line.startswith("503 UC upstream_reset_before_response_started{connection_termination")


INTERIM = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"


@pytest.mark.parametrize("begun, status", [
    (b"", 503), (b"HTTP/1.1 200 OK\r\ncontent-le", 502),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", 200)])
def test_origin_that_closes_after_an_interim_answer(start, origin, tmp_path, begun, status):
    origin.reply = Reply(interim=INTERIM, raw=begun, close=True)
    path, log = logged(tmp_path)
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")], access_log=log)],
                            [cluster("one", origin)]))
    with proxy.client() as client:
        client.write_request(headers=[("connection", "close")])
        assert client.rest().startswith(b"HTTP/1.1 %d " % status)
    line, = lines_after_stop(proxy, path)
    assert line.startswith(f"{status} {'UC' if status == 503 else 'UPE'} ")


@difference("What comes before the answer is none yet: who waits for one is told of a failure as "
            "ever, and so are the statistics.",
            envoy="takes the response as begun with a 1xx: what fails then counts in no upstream_rq_ "
                  "statistic, and its details say after_response_started",
            xylem="counts the 503, details say before_response_started")
def test_a_failure_after_an_interim_answer_counts(start, origin, tmp_path, kind):
    origin.reply = Reply(interim=INTERIM, raw=b"", close=True)
    path, log = logged(tmp_path)
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")], access_log=log)],
                            [cluster("one", origin)]))
    assert proxy.get("/").status == 503
    assert proxy.stat("cluster.one.upstream_rq_503") == (kind == "xylem")
    when = "before" if kind == "xylem" else "after"
    assert lines_after_stop(proxy, path) == [
        f"503 UC upstream_reset_{when}_response_started{{connection_termination}}"]


def test_origin_that_closes_inside_the_head_is_an_error(proxy, origin):
    origin.reply = Reply(raw=b"HTTP/1.1 200 OK\r\ncontent-le", close=True)
    assert proxy.get("/").status in (502, 503)


def test_connect_timeout_is_503_uf(start, closing, tmp_path):
    silent = closing(SilentPort())
    path, log = logged(tmp_path)
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")], access_log=log)],
                            [cluster("one", silent.port, connect_timeout="0.1s")]))
    answer = proxy.get("/")
    assert answer.status == 503
    assert answer.text == CONNECT_ERROR + "connection timeout"
    assert proxy.stat("cluster.one.upstream_cx_connect_timeout") == 1
    line, = lines_after_stop(proxy, path)
    assert line.startswith("503 UF ")


UPSTREAM_LOG = ("%REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %UPSTREAM_HOST% %UPSTREAM_PROTOCOL% "
                "%UPSTREAM_CONNECTION_POOL_READY_DURATION% %UPSTREAM_DETECTED_CLOSE_TYPE% "
                "%UPSTREAM_LOCAL_ADDRESS% %UPSTREAM_WIRE_BYTES_SENT%\n")
WAITS = {
    "route timeout": ({"timeout": "0.3s"}, 504, "UT"),
    "idle timeout": ({"idle_timeout": "0.3s"}, 504, "SI"),
    "max_stream_duration": ({"max_stream_duration": {"max_stream_duration": "0.3s"}}, 504, "-"),
    "client leaves": ({}, 0, "DC"),
}


@pytest.mark.parametrize("silent", [True, False], ids=["no connection", "none free"])
@pytest.mark.parametrize("case", WAITS)
def test_a_host_that_was_waited_for(start, closing, origin, tmp_path, case, silent):
    """The log names it, and nothing is said against it: it has not seen the request."""
    fields, status, flags = WAITS[case]
    origin.reply = Reply(never=True)
    host = closing(SilentPort()) if silent else origin
    path, log = logged(tmp_path, UPSTREAM_LOG)
    proxy = start(bootstrap(
        [http_listener(routes=[route("/first", "one"), route("/", "one", **fields)], access_log=log)],
        [cluster("one", host.port, connect_timeout="60s",
                 circuit_breakers={"thresholds": [{"max_connections": 1}]})]))
    with proxy.client() as first, proxy.client() as client:
        first.write_request("GET", "/first")
        proxy.wait_stat("cluster.one.upstream_cx_total", 1)
        silent or origin.wait_requests(1)
        client.write_request("GET", "/")
        if status:
            assert client.response().status == status
        else:
            proxy.wait_stat("cluster.one.upstream_rq_pending_active", 2 if silent else 1)
            client.close()
            proxy.wait_stat("cluster.one.upstream_rq_pending_active", 1 if silent else 0)
        page = proxy.admin("/clusters").text
        assert f"127.0.0.1:{host.port}::rq_timeout::0\n" in page
        assert f"127.0.0.1:{host.port}::rq_error::0\n" in page
    assert f"/ {status} {flags} 127.0.0.1:{host.port} - - Normal - 0" in lines_after_stop(proxy, path)


def test_route_not_found_is_logged_as_nr(start, tmp_path):
    path, log = logged(tmp_path)
    proxy = start(bootstrap([http_listener(routes=[direct(200, prefix="/a")], access_log=log)]))
    proxy.get("/b")
    proxy.get("/a")
    assert lines_after_stop(proxy, path) == ["404 NR route_not_found", "200 - direct_response"]


def test_downstream_protocol_error_is_logged_as_dpe(start, tmp_path):
    path, log = logged(tmp_path, "%RESPONSE_CODE% %RESPONSE_FLAGS%\n")
    proxy = start(bootstrap([http_listener(routes=[direct(200)], access_log=log,
                                          delayed_close_timeout="0.05s")]))
    with proxy.client() as client:
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\nbad line\r\n\r\n")
        assert client.response().status == 400
        assert client.closed()
    proxy.wait_stat("http.ingress.downstream_cx_protocol_error", 1)
    assert lines_after_stop(proxy, path) == ["400 DPE"]
