"""A control plane whose resources find no memory: it is told so, and what served before serves on."""
import re

import pytest

from harness import Client, Traffic, direct, route, wait_for
from harness.config import add_header
from harness.shim import Shim, check_end
from harness.xds import (DELTA, ads_bootstrap, eds_cluster, endpoints, listener, rds_listener,
                         routes, static_cluster)

pytestmark = pytest.mark.only("xylem", "the shim knows whose allocations are Xylem's")

LARGE = 4 * 1024 * 1024  # what goes beside a resource is less, what it is decoded into more
MOST = 100  # allocations of an update that fail; less than 200 all do
SMALL = 16408  # what is no control plane's to size: a chunk, into which heads are written, is the largest


@pytest.fixture
def shim(tmp_path):
    return Shim(tmp_path)


def table(n, answer):
    """n routes, of which the last is the one that serves."""
    return routes(*[route(f"/never{i}", "one", response_headers_to_add=[
        add_header("x-long", "y" * 40)]) for i in range(n)], direct(200, answer))


def change_of(kind, n, origin):
    """The n-th version of a resource of that kind, other than the one before."""
    seconds = f"{3 + n % 50}s"
    return {
        "cluster": lambda: ("cds", [eds_cluster("one", connect_timeout=seconds)]),
        "new cluster": lambda: ("cds", [eds_cluster(f"new{n}"), endpoints(f"new{n}", origin)]),
        "static cluster": lambda: ("cds", [static_cluster(
            "plain", origin, connect_timeout=seconds)]),
        "endpoints": lambda: ("eds", [endpoints("one", *[origin] * (2 - n % 2))]),
        "listener": lambda: ("lds", [rds_listener(server_name=f"v{n}")]),
        "new listener": lambda: ("lds", [listener("second", routes=[direct(200, f"v{n}")])]),
        "routes": lambda: ("rds", [table(3, f"v{n}")]),
        "long table": lambda: ("rds", [table(400, f"v{n}")]),
        "many clusters": lambda: ("cds", [
            static_cluster(f"many{i}", origin, connect_timeout=seconds) for i in range(60)]),
    }[kind]()


KINDS = ["cluster", "new cluster", "static cluster", "endpoints", "listener", "new listener",
         "routes", "long table", "many clusters"]


def push(control, kind, resources):
    """Serves the resources; the entry of how the proxy took them."""
    control.put(*resources)
    return control.wait(kind, status=None)


class Ends:
    """The proxy, and the ends that small allocations of its own are allowed to bring."""

    def __init__(self, start, boot, shim):
        self.start = lambda: start(boot, env=shim.env)
        self.count = 0
        self.run()

    def run(self):
        self.proxy = self.start()
        self.target = self.proxy.port()

    def answer(self):
        """The status of an answer."""
        with Client(self.target) as client:
            return client.get("/").status

    def wait(self, condition, what):
        """Waits for the condition, or the end."""
        return wait_for(lambda: not self.proxy.running() or condition(), what=what)

    def check(self, what):
        """If it ended, then for no more than a small allocation, and there is a new one."""
        if self.proxy.running():
            return
        check_end(self.proxy, what)
        size = int(re.search(r"out of memory \((\d+) bytes\)", self.proxy.log())[1])
        assert size <= SMALL, f"{what}: no room for {size} bytes"
        self.count += 1
        self.run()


@pytest.mark.parametrize("what", KINDS)
def test_any_allocation_of_an_update(stub, start, shim, origin, ads_bootstrap, what):
    """Each allocation after a push fails in turn, of thousands one in some: the update is taken or
    refused, and what serves serves; only where a small one of the proxy's own fails it ends, and
    says so."""
    control = stub(rds_listener(), table(3, "first"), eds_cluster("one"), endpoints("one", origin))
    ends = Ends(start, ads_bootstrap(control), shim)
    shim["heap_seen"] = 0
    assert push(control, *change_of(what, 0, origin))["status"] == "ACKED"
    total = shim["heap_seen"]
    taken = {"ACKED": 0, "NACKED": 0}
    for n in range(1, total + 1, max(1, total // MOST)):
        kind, resources = change_of(what, n, origin)
        shim["heap_at"] = n
        control.put(*resources)
        entry = ends.wait(lambda: control.answer(kind), "an answer to the push")
        if entry is not True:
            assert entry["status"] == "ACKED" or "memory" in entry["nack_reason"], entry
            taken[entry["status"]] += 1
            ends.wait(lambda: ends.answer() == 200, "an answer")
        shim["heap_at"] = 0
        ends.check(f"{what}: allocation {n} of {total}")
    assert push(control, *change_of(what, total + 1, origin))["status"] == "ACKED"
    assert ends.answer() == 200
    assert sum(taken.values()), "no update got an answer"
    print(f"{what}: {total} allocations, {taken}, {ends.count} ends")


def too_large(kind, origin, version):
    """A resource or a response of half a megabyte."""
    return {
        "rds": lambda: [table(4000, version)],
        "lds": lambda: [listener("second", routes=[
            direct(200, version, prefix=f"/{n}") for n in range(5000)])],
        "eds": lambda: [endpoints("one", *[
            (f"127.0.0.{version[1:]}", n) for n in range(1, 12000)])],
        "cds": lambda: [static_cluster(f"{version}-{n}", origin, alt_stat_name="s" * 2000)
                        for n in range(700)],
    }[kind]()


@pytest.mark.parametrize("sort", ["cds", "eds", "lds", "rds"])
def test_what_is_too_large_is_refused(stub, start, shim, origin, ads_bootstrap, sort):
    """No room for what a control plane sends: a NACK that says so, for this alone; no request
    fails; with room it is taken."""
    control = stub(rds_listener(), table(3, "first"), eds_cluster("one"), endpoints("one", origin))
    proxy = start(ads_bootstrap(control), env=shim.env)
    with Traffic(proxy.port(), expect=["first"]) as traffic:
        shim["heap_large"] = LARGE
        control.put(*too_large(sort, origin, "v2"))
        refused = control.wait(sort, "NACKED")
        what = "response" if sort == "cds" else "resource"
        assert re.search(rf"out of memory for a {what} of \d{{6,}} bytes", refused["nack_reason"])
        assert shim["injected"] > 0
        traffic.go_on()
        assert not control.status("rds" if sort != "rds" else "lds").get("nack_reason")
        shim["heap_large"] = 0
    control.put(*too_large(sort, origin, "v3"))
    control.wait(sort)
    assert proxy.running()
