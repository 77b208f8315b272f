"""Circuit breakers: what is over the limit is answered at once."""
import contextlib
import re

import pytest

from harness import Reply, bootstrap, cluster, http_listener, route, wait_for
from harness.config import file_log


def limited(start, origin, tmp_path=None, **thresholds):
    log = [file_log(tmp_path / "log", "%RESPONSE_CODE% %RESPONSE_FLAGS%\n")] if tmp_path else []
    return start(bootstrap([http_listener(routes=[route("/", "one")], access_log=log)],
                           [cluster("one", origin, circuit_breakers={"thresholds": [
                               {"track_remaining": True, **thresholds}]})]))


def of_host(proxy, name):
    """A statistic of the one host of a cluster, as /clusters tells it."""
    return int(re.search(rf"^one::127.*::{name}::(\d+)$", proxy.admin("/clusters").text, re.M).group(1))


OVERFLOW = "upstream connect error or disconnect/reset before headers. reset reason: overflow"


def test_max_requests(start, origin, tmp_path):
    hold = origin.hold()
    origin.reply = Reply(hold=hold)
    proxy = limited(start, origin, tmp_path, max_requests=1)
    with proxy.client() as one:
        one.write_request()
        origin.wait_requests(1)
        answer = proxy.get("/")
        assert (answer.status, answer.text) == (503, OVERFLOW)
        assert answer.header("x-envoy-overloaded") == "true"
        stats = proxy.stats()
        assert stats["cluster.one.upstream_rq_active_overflow"] == 1
        assert stats["cluster.one.circuit_breakers.default.rq_open"] == 1
        assert stats["cluster.one.circuit_breakers.default.remaining_rq"] == 0
        hold.release()
        assert one.response().status == 200
    assert proxy.get("/").status == 200
    proxy.wait_stat("cluster.one.circuit_breakers.default.rq_open", 0)
    proxy.wait_stat("cluster.one.circuit_breakers.default.remaining_rq", 1)
    proxy.stop()
    assert sorted((tmp_path / "log").read_text().splitlines()) == ["200 -", "200 -", "503 UO"]


def test_max_connections_makes_requests_wait(start, origin):
    hold = origin.hold()
    origin.on["/held"] = Reply(hold=hold)
    proxy = limited(start, origin, max_connections=1)
    with proxy.client() as one, proxy.client() as two:
        one.write_request(path="/held")
        origin.wait_requests(1)
        two.write_request(path="/next")
        proxy.wait_stat("cluster.one.upstream_rq_pending_active", 1)
        assert proxy.stat("cluster.one.upstream_cx_overflow") >= 1
        hold.release()
        assert one.response().status == two.response().status == 200
    assert len(origin.connections) == 1


def test_max_pending_requests(start, origin):
    hold = origin.hold()
    origin.on["/held"] = Reply(hold=hold)
    proxy = limited(start, origin, max_connections=1, max_pending_requests=1)
    with proxy.client() as one, proxy.client() as two:
        one.write_request(path="/held")
        origin.wait_requests(1)
        two.write_request(path="/next")
        proxy.wait_stat("cluster.one.upstream_rq_pending_active", 1)
        assert of_host(proxy, "rq_pending_active") == 1
        answer = proxy.get("/third")
        assert (answer.status, answer.text) == (503, OVERFLOW)
        hold.release()
        assert one.response().status == two.response().status == 200
    assert of_host(proxy, "rq_pending_active") == of_host(proxy, "rq_error") == 0


def test_waiting_request_that_leaves_is_forgotten(start, origin):
    hold = origin.hold()
    origin.on["/held"] = Reply(hold=hold)
    proxy = limited(start, origin, max_connections=1)
    with proxy.client() as one:
        one.write_request(path="/held")
        origin.wait_requests(1)
        two = proxy.client()
        two.write_request(path="/gone")
        proxy.wait_stat("cluster.one.upstream_rq_pending_active", 1)
        two.close()
        proxy.wait_stat("cluster.one.upstream_rq_pending_active", 0)
        hold.release()
        assert one.response().status == 200
    assert [r.target for r in origin.requests] == ["/held"]


def test_defaults_are_1024(start, origin):
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")])],
                            [cluster("one", origin)]))
    text = proxy.admin("/clusters").text
    for name in ["max_connections", "max_pending_requests", "max_requests"]:
        assert f"one::default_priority::{name}::1024\n" in text
    assert "one::default_priority::max_retries::3\n" in text


@pytest.mark.parametrize("priority", ["DEFAULT", "HIGH"])
def test_thresholds_belong_to_a_priority(start, origin, priority):
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one", priority=priority)])],
        [cluster("one", origin, circuit_breakers={"thresholds": [
            {"priority": "HIGH", "max_requests": 0}]})]))
    assert proxy.get("/").status == (503 if priority == "HIGH" else 200)


@pytest.mark.parametrize("limit, host", [("max_requests", True), ("max_pending_requests", False)])
def test_host_of_an_overflow(start, origin, tmp_path, limit, host):
    log = [file_log(tmp_path / "log", "%RESPONSE_CODE% %RESPONSE_FLAGS% %UPSTREAM_HOST%\n")]
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")], access_log=log)],
                            [cluster("one", origin,
                                     circuit_breakers={"thresholds": [{limit: 0}]})]))
    for _ in range(2):      # the second finds the connection that the first one has made
        assert proxy.get("/").status == 503
    assert of_host(proxy, "rq_error") == (2 if host else 0)
    proxy.stop()
    told = f"127.0.0.1:{origin.port}" if host else "-"
    assert (tmp_path / "log").read_text() == 2 * f"503 UO {told}\n"


def test_a_connection_that_others_give_up(start, origins):
    """Who waits for a connection asks again whenever a request has ended."""
    a, b = origins("a", "b")
    holds = [a.hold() for _ in range(3)]
    a.on = {f"/{n}": Reply(hold=hold) for n, hold in enumerate(holds)}
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")])], [cluster(
        "one", a, b, circuit_breakers={"thresholds": [{"max_connections": 2}]})]))
    if proxy.get("/other").text == "a":
        assert proxy.get("/other").text == "b"
    with contextlib.ExitStack() as stack:   # a's turn
        clients = [stack.enter_context(proxy.client()) for _ in holds]
        for n, client in enumerate(clients):
            client.write_request(path=f"/{n}")
            if n:
                proxy.wait_stat("cluster.one.upstream_rq_pending_active", n)
            else:
                wait_for(lambda: holds[0].reached)
            assert proxy.get("/other").text == "b"
        b.close_connections()
        proxy.wait_stat("cluster.one.upstream_cx_active", 1)
        assert proxy.stat("cluster.one.upstream_cx_overflow") == 2
        holds[0].release()
        wait_for(lambda: holds[1].reached and holds[2].reached)
        assert proxy.stat("cluster.one.upstream_cx_overflow") == 2
        for hold, client in zip(holds, clients):
            hold.release()
            assert client.response().status == 200
