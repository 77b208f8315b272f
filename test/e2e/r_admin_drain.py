"""Draining by hand: clients are refused, those that are there are served."""
import pytest

from harness import Client, bootstrap, direct, http_listener, wait_for


def refused(port):
    try:
        with Client(port, 2):
            return False
    except ConnectionRefusedError:
        return True


def says_close(port):
    with Client(port) as client:
        return client.get("/").header("connection") == "close"


@pytest.fixture
def two(start):
    """A proxy with an inbound and an outbound listener, and the ports of both."""
    def run(*args):
        proxy = start(bootstrap([
            http_listener("in", routes=[direct(200, "in")],
                          listener={"traffic_direction": "INBOUND"}),
            http_listener("out", routes=[direct(200, "out")],
                          listener={"traffic_direction": "OUTBOUND"})]), concurrency=2,
            args=list(args))
        return proxy, proxy.port("in"), proxy.port("out")
    return run


def test_drained_listeners_refuse(two):
    proxy, inside, outside = two()
    with Client(inside) as client:
        assert client.get("/").text == "in"
        assert proxy.admin("/drain_listeners", "POST").text == "OK\n"
        wait_for(lambda: refused(inside) and refused(outside), what="the listeners to close")
        answer = client.get("/")
        assert (answer.text, answer.header("connection")) == ("in", None)
    assert proxy.stat("listener_manager.listener_stopped") == 2
    assert proxy.admin("/ready").text == "LIVE\n"


def test_drained_inbound_listeners_refuse(two):
    proxy, inside, outside = two()
    for _ in range(2):
        assert proxy.admin("/drain_listeners?inboundonly", "POST").text == "OK\n"
        wait_for(lambda: refused(inside), what="the inbound listener to close")
        assert not says_close(outside)
        proxy.wait_stat("listener_manager.listener_stopped", 1)
    assert proxy.admin("/drain_listeners", "POST").text == "OK\n"
    wait_for(lambda: refused(outside), what="the other listener to close")
    proxy.wait_stat("listener_manager.listener_stopped", 2)


def test_gracefully_drained_listeners_refuse_in_the_end(two):
    proxy, inside, outside = two("--drain-time-s", "1")
    assert proxy.admin("/drain_listeners?graceful", "POST").text == "OK\n"
    wait_for(lambda: refused(inside) and refused(outside), what="the listeners to close")
    proxy.wait_stat("listener_manager.listener_stopped", 2)


def test_skip_exit_leaves_listeners_open(two):
    proxy, inside, outside = two("--drain-time-s", "1")
    assert proxy.admin("/drain_listeners?graceful&skip_exit", "POST").text == "OK\n"
    assert proxy.admin("/drain_listeners?graceful&skip_exit", "POST").text == "OK\n"
    wait_for(lambda: says_close(inside) and says_close(outside), what="every answer to say close")
    assert proxy.stat("listener_manager.listener_stopped") == 0


def test_graceful_drain_of_inbound_listeners(two):
    proxy, inside, outside = two("--drain-strategy", "immediate")
    assert proxy.admin("/drain_listeners?graceful&skip_exit&inboundonly", "POST").text == "OK\n"
    wait_for(lambda: says_close(inside), what="answers to say close")
    assert not says_close(outside)


def test_gradual_drain_closes_nothing_at_first(two):
    proxy, inside, _ = two("--drain-time-s", "100000")
    assert proxy.admin("/drain_listeners?graceful", "POST").text == "OK\n"
    assert not says_close(inside)


def test_failed_health_closes_at_once(two):
    proxy, inside, outside = two()
    assert proxy.admin("/healthcheck/fail", "POST").text == "OK\n"
    wait_for(lambda: says_close(inside) and says_close(outside), what="answers to say close")
    assert (proxy.admin("/ready").status, proxy.admin("/ready").text) == (503, "DRAINING\n")
    assert proxy.admin("/healthcheck/ok", "POST").text == "OK\n"
    wait_for(lambda: not says_close(inside), what="answers to keep connections again")
    assert proxy.admin("/ready").text == "LIVE\n"


def test_failed_health_leaves_modify_only_listeners(start):
    proxy = start(bootstrap([
        http_listener(routes=[direct(200)]),
        http_listener("modify", routes=[direct(200)], listener={"drain_type": "MODIFY_ONLY"})]))
    assert proxy.admin("/healthcheck/fail", "POST").text == "OK\n"
    wait_for(lambda: says_close(proxy.port()), what="answers to say close")
    assert not says_close(proxy.port("modify"))
