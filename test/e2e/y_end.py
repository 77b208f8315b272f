"""The end of the process: whatever is under way, SIGTERM ends it in order, with exit code 0.

Run under AddressSanitizer these scenarios also show that nothing is freed twice, used after it was
freed, or left behind.
"""
import os
import signal
import socket
import struct

import pytest

from harness import Reply, bootstrap, cluster, direct, http_listener, route, wait_for
from harness.config import file_log
from harness.xds import ads_bootstrap, eds_cluster, endpoints, rds_listener, routes


def end(proxy):
    proxy.process.send_signal(signal.SIGTERM)
    assert proxy.wait_exit(20) == 0, proxy.log()


def one_cluster(origin, **fields):
    return bootstrap([http_listener(routes=[route("/", "one", timeout="0s")])],
                     [cluster("one", origin, **fields)])


def test_while_a_client_does_not_read(start, origin):
    origin.reply = Reply(body=b"x" * 20_000_000)
    proxy = start(one_cluster(origin), concurrency=2)
    with proxy.client() as one, proxy.client() as two:
        one.write_request()
        two.write_request()
        origin.wait_requests(2)
        proxy.wait_stat("cluster.one.upstream_cx_rx_bytes_total", lambda n: n > 2_000_000)
        end(proxy)


def test_while_requests_wait_for_a_connection(start, origin):
    origin.reply = Reply(never=True)
    proxy = start(one_cluster(origin, circuit_breakers={"thresholds": [{"max_connections": 1}]}))
    with proxy.client() as one, proxy.client() as two, proxy.client() as three:
        one.write_request()
        origin.wait_requests(1)
        two.write_request()
        three.write_request()
        proxy.wait_stat("cluster.one.upstream_rq_pending_active", 2)
        end(proxy)


def test_in_the_middle_of_a_request(start, origin):
    proxy = start(one_cluster(origin))
    with proxy.client() as one, proxy.client() as two:
        one.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100\r\n\r\nabc")
        two.send("GET / HT")
        proxy.wait_stat("http.ingress.downstream_rq_active", 2)
        end(proxy)


@pytest.mark.parametrize("page", ["/server_info", "/config_dump?include_eds", "/stats",
                                  "/clusters"])
def test_while_admin_pages_are_made(start, origin, page):
    proxy = start(one_cluster(origin))
    clients = [proxy.admin_client() for _ in range(8)]
    for client in clients:
        client.send(f"GET {page} HTTP/1.1\r\nHost: admin\r\n\r\n" * 50)
    end(proxy)
    for client in clients:
        client.close()


def test_while_the_control_plane_cannot_be_reached(stub, start, origin):
    control = stub()
    control.kill()
    proxy = start(ads_bootstrap(control), ready=False)
    proxy.admin("/ready")  # an answer says that the main loop runs, and signals are caught
    end(proxy)


class Stalled:
    """A control plane that allows 2 GiB to be sent, and reads none of it."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.xds_port = self.listener.getsockname()[1]

    def accept(self):
        self.peer, _ = self.listener.accept()
        window = struct.pack(">HI", 4, 2**31 - 1)  # SETTINGS_INITIAL_WINDOW_SIZE
        self.peer.sendall(b"\0\0\x06\x04\0\0\0\0\0" + window +
                          b"\0\0\x04\x08\0\0\0\0\0" + struct.pack(">I", 2**31 - 65536))

    def close(self):
        self.peer.close()
        self.listener.close()


def test_while_the_control_plane_does_not_read(start, closing):
    """The first request lies between Xylem and the peer: nobody waits for it to leave."""
    control = closing(Stalled())
    made = ads_bootstrap(control)
    made["node"]["metadata"] = {"large": "x" * 12_000_000}
    proxy = start(made, ready=False)
    control.accept()
    proxy.wait_stat("cluster.xds.upstream_cx_tx_bytes_total", lambda n: n > 100_000)
    end(proxy)


@pytest.mark.parametrize("kept", ["cds", "eds", "lds", "rds"])
def test_while_the_start_waits(stub, start, origin, kept):
    """Warming, before there are listeners."""
    control = stub(rds_listener(), routes(route("/", "one")), eds_cluster("one"),
                   endpoints("one", origin))
    control.fault(type=kept, drop=True)
    proxy = start(ads_bootstrap(control, cds_fields={"initial_fetch_timeout": "0s"},
                                lds_fields={"initial_fetch_timeout": "0s"}), ready=False)
    control.wait_requests(kept, 1)
    end(proxy)


def test_when_the_start_is_over(stub, start, origin):
    """At any moment around the last answer: listeners are made, workers begin."""
    control = stub(rds_listener(), routes(route("/", "one")), eds_cluster("one"),
                   endpoints("one", origin))
    for n in range(8):
        control.fault(type="rds", delay_ms=2 * n)
        proxy = start(ads_bootstrap(control), ready=False, concurrency=2)
        wait_for(lambda: len(control.responses("rds")) > n, what="the routes to be sent")
        end(proxy)
        control.clear_faults()


def test_while_updates_come(stub, start, origin):
    control = stub(rds_listener(), routes(route("/", "c0")),
                   *[eds_cluster(f"c{n}") for n in range(200)],
                   *[endpoints(f"c{n}", origin) for n in range(200)])
    proxy = start(ads_bootstrap(control), concurrency=2)
    for n in range(20):
        control.put(routes(route("/", f"c{n}")))
    end(proxy)


@pytest.mark.only("xylem", "Envoy's start already waits for the reader")
def test_while_nobody_reads_the_access_log(start, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    proxy = start(bootstrap([http_listener(
        routes=[direct(200, "here")], access_log=[file_log(str(pipe))])]))
    with proxy.client() as client:
        for _ in range(100):
            assert client.get("/").text == "here"
    end(proxy)
