"""Many clusters and routes over ADS: the cost of a change follows the change.

--scale N: clusters and routes (1,000; ./check --all also runs it with 10,000).
"""
import json
import re
import socket
import time
from pathlib import Path

import pytest

from harness import Client, route, wait_for
from harness.config import add_header
from harness.proxy import binary, sanitized
from harness.waiting import pause
from harness.world import World
from harness.xds import ads_bootstrap, eds_cluster, endpoints, routes

BOUND = 60.0
LARGE = 10000       # a smaller world is lost in what an allocator keeps anyway
SANITIZED = binary("xylem").exists() and sanitized()


def cpu_ms(proxy):
    tasks = Path(f"/proc/{proxy.process.pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6


def own_mib(proxy):
    """Memory that no file is behind: that of the libraries depends on who else maps them."""
    text = Path(f"/proc/{proxy.process.pid}/smaps_rollup").read_text()
    return int(re.search(r"^Anonymous:\s+(\d+)", text, re.M).group(1)) / 1024


@pytest.fixture
def world(request, stub, start, origins):
    made = World(request.config.getoption("--scale"), origins("one", "two"))
    control = stub(*made.resources())
    begun = time.monotonic()
    proxy = start(ads_bootstrap(control))
    with Client(proxy.port(bound=BOUND), BOUND) as client:
        assert client.get(f"/c{made.size - 1}/").status == 200
        took = time.monotonic() - begun
        print(f"\n{made.size} clusters and routes: served after {took:.2f} s, "
              f"CPU {cpu_ms(proxy):.0f} ms, memory {own_mib(proxy):.1f} MiB")
        yield made, control, proxy, client


def decoded(proxy):
    """What was decoded so far, by sort."""
    found = proxy.stats(r"^xylem\.config\.decoded\.").values
    return {name.rpartition(".")[2]: count for name, count in found.items()}


def clusters(proxy):
    """How many are active; of the long list of statistics only this one is asked for."""
    return proxy.stats("^cluster_manager.active_clusters")["cluster_manager.active_clusters"]


def changes(proxy, control, what, change, served):
    """Make one change, wait until it serves; what it decoded."""
    before, cpu, begun = decoded(proxy), cpu_ms(proxy), time.monotonic()
    control.put(change)
    published = time.monotonic()
    wait_for(served, BOUND, f"the changed {what}")
    took = (time.monotonic() - published) * 1000
    after = decoded(proxy)
    print(f"one {what} changed: the stub read its files in {(published - begun) * 1000:.0f} ms, "
          f"served {took:.0f} ms later, CPU {cpu_ms(proxy) - cpu:.0f} ms")
    return {name: count - before.get(name, 0) for name, count in after.items()
            if count != before.get(name, 0)}


@pytest.mark.only("xylem", "reads counters that Envoy does not have")
def test_one_change_decodes_one(world):
    made, control, proxy, client = world
    name, path = f"c{made.middle}", f"/c{made.middle}/"
    first = decoded(proxy)
    assert {k: first[k] for k in ("cds", "eds", "rds", "route")} == {
        "cds": made.size + 1, "eds": made.size, "rds": 1, "route": made.size}

    marked = made.table(response_headers_to_add=[add_header("x-changed", "yes")])
    assert changes(proxy, control, "route", marked,
                   lambda: client.get(path).header("x-changed")) == {
                       "rds": 1, "virtual_host": 1, "route": 1}

    second = made.origins[1]
    assert changes(proxy, control, "endpoint set", endpoints(name, second),
                   lambda: {client.get(path).text for _ in range(4)} == {"two"}) == {"eds": 1}

    assert changes(proxy, control, "cluster", eds_cluster(name, connect_timeout="7s"),
                   lambda: "modified: 1\n" in proxy.admin(
                       "/stats?filter=^cluster_manager.cluster_modified").text) == {"cds": 1}

    assert client.get(path).text == "two"
    assert client.get("/c0/").status == 200
    assert proxy.stat("http.ingress.downstream_cx_destroy") == 0


def allocated_mib(proxy):
    """What lives on its heap."""
    return int(json.loads(proxy.admin("/memory").text)["allocated"]) / (1 << 20)


@pytest.mark.only("xylem", "Envoy's memory does not come back")
@pytest.mark.skipif(SANITIZED, reason="the sanitizer keeps what is freed")
def test_memory_of_a_world_comes_back(world):
    """Nine tenths of the world go, and come, and go: the heap follows, and never grows from one time to
    the next. The stub serves by name, so that those which stay had come among the others: of a large
    world the process gives back what bench/README.md says for such a tenth."""
    made, control, proxy, client = world
    full, heap = own_mib(proxy), allocated_mib(proxy)
    few = made.size // 10
    short = routes(*[route(f"/c{n}/", f"c{n}") for n in range(few)])
    gone = [(kind, f"c{n}") for n in range(few, made.size) for kind in ("cds", "eds")]
    # A cluster with its route takes some 0.0023 MiB. The descriptors of the API may come and go meanwhile,
    # so that the second and third time are held against the first.
    bound = heap - (made.size - few) * 0.0015
    for _ in range(3):
        control.change(put=[short], remove=gone)
        wait_for(lambda: clusters(proxy) == few + 1, BOUND, "the clusters to go")
        wait_for(lambda: client.get(f"/c{made.middle}/").status == 404, BOUND, "the short table")
        wait_for(lambda: allocated_mib(proxy) < bound, BOUND, f"a heap below {bound:.1f} MiB")
        now = allocated_mib(proxy)
        if made.size >= LARGE:
            less = full - (made.size - few) * 0.0023 * 0.4
            wait_for(lambda: own_mib(proxy) < less, BOUND, f"less memory than {less:.1f} MiB")
        print(f"nine tenths removed: memory {full:.1f} MiB before, now {own_mib(proxy):.1f} MiB; heap "
              f"{heap:.1f}, now {now:.1f}")
        bound = min(bound, now + (made.size - few) * 0.0007)
        assert client.get("/c0/").status == 200
        control.put(*made.resources())
        wait_for(lambda: clusters(proxy) == made.size + 1, BOUND, "the clusters to come")
        wait_for(lambda: client.get(f"/c{made.middle}/").status == 200, BOUND, "the full table")


def test_slow_reader_gets_all_of_a_long_page(world):
    """/stats is far larger than the socket's buffers; the reader pauses before its last part."""
    _, _, proxy, _ = world
    size = len(proxy.admin("/stats", bound=BOUND).body)
    with socket.create_connection(proxy.admin_target, BOUND) as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        wire.sendall(b"GET /stats HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n")
        seen = 0
        while seen < size - 5_000_000 or seen < size / 4:
            seen += len(wire.recv(65536))
        pause(1.5)     # longer than delayed_close_timeout, which must not count here
        data = b""
        while more := wire.recv(65536):
            seen, data = seen + len(more), (data + more)[-5:]
    assert data == b"0\r\n\r\n" and seen >= size
