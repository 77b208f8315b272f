"""Many clients ask for much and read nothing: what they hold is what the buffers allow.

SLOW_READERS=1000 asks for more of them than CI does."""
import os
import time

import pytest

from harness import Client, Origin, bootstrap, cluster, difference, http_listener, route
from harness.h2peer import H2Client, H2Origin, H2Reply

READERS = int(os.environ.get("SLOW_READERS", "150"))
LIMIT = 32 * 1024       # of a connection, on either side
SIZE = 10 << 20
PIECE = b"x" * 65536
OWN = 24 * 1024         # of a client besides its buffers: two connections and a stream
HTTP2 = {"explicit_http_config": {"http2_protocol_options": {
    "initial_stream_window_size": 65535, "initial_connection_window_size": 65535}}}


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
        time.sleep(0.3)
    raise AssertionError("the origins are read for ever")


@difference("A limit of a connection's buffers is what an operator counts with.",
            envoy="holds more than twice of it for a reader, since buffers end some 16 KiB late",
            xylem="holds both limits and what the connections themselves take, no more")
@pytest.mark.parametrize("upstream", ["h1", "h2"])
@pytest.mark.parametrize("client", ["h1", "h2"])
def test_many_slow_readers(start, closing, client, upstream, kind):
    h1, h2 = closing(Origin(handler=much)), closing(H2Origin())
    h2.reply = H2Reply(body=PIECE * (SIZE // len(PIECE)))
    limits = {"per_connection_buffer_limit_bytes": LIMIT}
    proxy = start(bootstrap(
        [http_listener(routes=[route("/h1", "one"), route("/h2", "two")], listener=limits,
                       http2_protocol_options={"initial_stream_window_size": 65535})],
        [cluster("one", h1, **limits,
                 circuit_breakers={"thresholds": [{"max_connections": 5000, "max_requests": 5000,
                                                   "max_pending_requests": 5000}]}),
         cluster("two", h2, http=HTTP2, **limits)]))
    clients = []
    before = None
    for n in range(READERS + 1):
        if n == 1:                  # the first has met all that is made once
            settled(proxy)
            before = proxy.memory_kib()
        if client == "h1":
            one = closing(Client(proxy.port()))
            one.write_request("GET", f"/{upstream}")
        else:
            one = closing(H2Client(proxy.port()))
            one.open(path=f"/{upstream}")
        clients.append(one)
    proxy.wait_stat("http.ingress.downstream_rq_active", READERS + 1)
    read = settled(proxy)
    grown = proxy.grown_kib(before) * 1024
    print(f"{kind}: {client} of {upstream}: {grown // READERS} bytes of memory a reader, "
          f"{read // READERS} read")
    assert proxy.stats()["http.ingress.downstream_rq_active"] == READERS + 1    # nobody gave up
    assert grown < READERS * {"xylem": 2 * LIMIT + OWN, "envoy": 6 * LIMIT + OWN}[kind]
    for one in clients:
        one.close()
    proxy.wait_stat("http.ingress.downstream_rq_active", 0)
