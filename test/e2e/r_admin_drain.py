"""Draining by hand: clients are refused, those that are there are served."""
from harness import Client, bootstrap, direct, http_listener, wait_for


def refused(port):
    try:
        with Client(port, 2):
            return False
    except ConnectionRefusedError:
        return True


def test_drained_listeners_refuse(start):
    proxy = start(bootstrap([http_listener(routes=[direct(200, "here")])]), concurrency=2)
    port = proxy.port()
    with Client(port) as client:
        assert client.get("/").text == "here"
        assert proxy.admin("/drain_listeners", "POST").text == "OK\n"
        wait_for(lambda: refused(port), what="the listener to close")


def test_drained_inbound_listeners_refuse(start):
    proxy = start(bootstrap([
        http_listener("in", routes=[direct(200, "in")], listener={"traffic_direction": "INBOUND"}),
        http_listener("out", routes=[direct(200, "out")])]), concurrency=2)
    inside, outside = proxy.port("in"), proxy.port("out")
    assert proxy.admin("/drain_listeners?inboundonly", "POST").text == "OK\n"
    wait_for(lambda: refused(inside), what="the inbound listener to close")
    with Client(outside) as client:
        assert client.get("/").text == "out"


def test_gracefully_drained_listeners_refuse_in_the_end(start):
    proxy = start(bootstrap([http_listener(routes=[direct(200, "here")])]),
                  args=["--drain-time-s", "1"])
    port = proxy.port()
    assert proxy.admin("/drain_listeners?graceful", "POST").text == "OK\n"
    wait_for(lambda: refused(port), what="the listener to close")
