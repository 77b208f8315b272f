"""Many clients ask for much and read nothing: what they hold is what the buffers allow.

SLOW_READERS=1000 asks for more of them than CI does."""
import os
import time

import pytest

from harness import (Client, Origin, Reply, bootstrap, cluster, difference, http_listener, route,
                     wait_for)
from harness.h2peer import H2Client, H2Origin, H2Reply
from harness.waiting import pause

READERS = int(os.environ.get("SLOW_READERS", "150"))
LIMIT = 32 * 1024       # of a connection, on either side
SIZE = 10 << 20
PIECE = b"x" * 65536
STAYS = 5 * 1024        # KiB: what a few requests take, and code that ran for the first time
OWN = 24 * 1024         # of a client besides its buffers: two connections and a stream
WINDOW = 65535
HTTP2 = {"explicit_http_config": {"http2_protocol_options": {
    "initial_stream_window_size": WINDOW, "initial_connection_window_size": 16 << 20}}}


async def much(wire):
    """Answers SIZE bytes, no more of them in memory than the kernel takes."""
    await wire.until(b"\r\n\r\n")
    await wire.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % SIZE)
    for _ in range(SIZE // len(PIECE)):
        await wire.write(PIECE)


def settled(proxy):
    """Waits until nothing more is read from the origins; the figure."""
    end, before = time.monotonic() + 60, None
    while time.monotonic() < end:
        now = sum(proxy.stats()[f"cluster.{name}.upstream_cx_rx_bytes_total"]
                  for name in ("one", "two"))
        if now == before:
            return now
        before = now
        pause(0.3)      # in which nothing may be read
    raise AssertionError("the origins are read for ever")


class Readers:
    """A proxy between origins that answer SIZE bytes and clients that read none of it. All come at
    once; an origin on a busy machine takes its time to accept them."""

    def __init__(self, start, closing, client, upstream):
        self.closing, self.client, self.path = closing, client, f"/{upstream}"
        h1, h2 = closing(Origin(handler=much)), closing(H2Origin())
        h2.reply = H2Reply(body=PIECE * (SIZE // len(PIECE)))
        listener = {"per_connection_buffer_limit_bytes": LIMIT}
        limits = {**listener, "connect_timeout": "60s", "circuit_breakers": {"thresholds": [{
            "max_connections": 5000, "max_requests": 5000, "max_pending_requests": 5000}]}}
        self.proxy = start(bootstrap(
            [http_listener(routes=[route("/h1", "one", timeout="0s"), route("/h2", "two", timeout="0s")],
                           listener=listener,
                           http2_protocol_options={"initial_stream_window_size": WINDOW})],
            [cluster("one", h1, **limits), cluster("two", h2, http=HTTP2, **limits)]))
        self.clients = []
        self.connect(1)     # the first meets all that is made once
        settled(self.proxy)
        self.before = self.proxy.memory_kib()

    def connect(self, streams):
        """One more connection, with so many readers."""
        if self.client == "h1":
            one = self.closing(Client(self.proxy.port()))
            one.write_request("GET", self.path)
        else:
            one = self.closing(H2Client(self.proxy.port()))
            for _ in range(streams):
                one.open(path=self.path)
        self.clients.append(one)

    def hold(self, connections, streams):
        """What all of them hold: bytes of memory and bytes that were read for them."""
        for _ in range(connections):
            self.connect(streams)
        n = 1 + connections * streams
        self.proxy.wait_stat("http.ingress.downstream_rq_active", n, bound=60)
        read = settled(self.proxy)
        grown = self.proxy.grown_kib(self.before) * 1024
        assert self.proxy.stats()["http.ingress.downstream_rq_active"] == n    # nobody gave up
        return grown, read

    def close(self):
        for one in self.clients:
            one.close()
        self.proxy.wait_stat("http.ingress.downstream_rq_active", 0, bound=60)


def configured(kind, connections, readers, client, upstream):
    """What the configuration lets them hold: a limit for each connection, also of HTTP/1 to the origin,
    and each stream, and what may come of a stream of HTTP/2 after it was told to stop."""
    if kind == "envoy":     # buffers end some 16 KiB late
        return readers * (6 * LIMIT + OWN)
    more = WINDOW if upstream == "h2" else LIMIT if client == "h2" else 0
    return connections * LIMIT + readers * (LIMIT + OWN + more)


def check(readers, kind, connections, streams, upstream):
    grown, read = readers.hold(connections, streams)
    n = connections * streams
    print(f"{kind}: {connections} {readers.client} connections x {streams} of {upstream}: "
          f"{grown // n} bytes of memory a reader, {read // n} read")
    assert grown < configured(kind, connections, n, readers.client, upstream)
    readers.close()


@difference("A limit of a connection's buffers is what an operator counts with.",
            envoy="holds more than twice of it for a reader, since buffers end some 16 KiB late",
            xylem="holds both limits and what the connections themselves take, no more")
@pytest.mark.parametrize("upstream", ["h1", "h2"])
@pytest.mark.parametrize("client", ["h1", "h2"])
def test_many_slow_readers(start, closing, client, upstream, kind):
    check(Readers(start, closing, client, upstream), kind, READERS, 1, upstream)


@pytest.mark.parametrize("upstream", ["h1", "h2"])
@pytest.mark.parametrize("connections, streams", [(10, 100), (1000, 1)])
def test_a_thousand_slow_readers_over_http2(start, closing, connections, streams, upstream, kind):
    check(Readers(start, closing, "h2", upstream), kind, connections, streams, upstream)


@difference("What many slow readers held, once they have gone.", envoy="is kept by its allocator",
            xylem="goes back to the system some seconds later")
@pytest.mark.parametrize("client, upstream", [("h1", "h1"), ("h2", "h2")])
def test_what_they_held_comes_back(start, closing, client, upstream, kind):
    readers = Readers(start, closing, client, upstream)
    readers.hold(READERS, 1)
    readers.close()
    if kind == "envoy":
        assert readers.proxy.grown_kib(readers.before) > STAYS
    else:
        wait_for(lambda: readers.proxy.grown_kib(readers.before) <= STAYS, bound=60,
                 what="the memory to come back")


def test_bodies_in_drops(start, closing, origin):
    """Each byte is a read of its own; what is kept for a retry is bytes, not the reads."""
    connections, drops = 100, 200
    origin.reply = Reply(never=True)
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one", timeout="0s", retry_policy={"retry_on": "5xx"})])],
        [cluster("one", origin)]))
    clients = [closing(proxy.client()) for _ in range(connections)]
    for client in clients:
        client.write_request("POST", "/", headers=[("transfer-encoding", "chunked")])
    wait_for(lambda: len(origin.requests) == connections, what="the requests")
    before = proxy.memory_kib()
    for _ in range(drops):
        for client in clients:
            client.send(b"1\r\nx\r\n")
    proxy.wait_stat("http.ingress.downstream_cx_rx_bytes_total",
                    lambda n: n >= 6 * drops * connections)
    assert proxy.grown_kib(before) < STAYS
