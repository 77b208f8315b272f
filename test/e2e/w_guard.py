"""--min-world-share: a control plane that comes back nearly empty is not believed at once."""
import pytest

from harness import direct, route, wait_for
from harness.xds import listener, static_cluster

pytestmark = pytest.mark.only("xylem", "Envoy believes whatever comes")
NAMES = ["one", "two", "three", "four"]


@pytest.fixture
def run(stub, start, origin, ads_bootstrap):
    """run(args): four clusters and their listener are served, at least half of them guarded."""
    def make(*args):
        control = stub(listener(routes=[route(f"/{name}", name) for name in NAMES]),
                       *[static_cluster(name, origin) for name in NAMES])
        proxy = start(ads_bootstrap(control), args=["--min-world-share", "50", *args])
        control.wait("cds")
        assert all(proxy.get(f"/{name}").text == "origin" for name in NAMES)
        return control, proxy
    return make


def come_back(control, *keep):
    """The control plane ends, and comes back with less."""
    control.stop()
    control.change(remove=[("cds", name) for name in NAMES if name not in keep])
    control.start()


def held_back(proxy):
    return proxy.stats(r"^xylem\.guard").get("xylem.guard.holding")


def test_an_empty_world_is_held_back(run):
    control, proxy = run()
    control.stop()
    control.change(remove=[("lds", "ingress"), *[("cds", name) for name in NAMES]])
    control.start()
    wait_for(lambda: held_back(proxy) == 2, what="clusters and listeners to be held back")
    assert all(proxy.get(f"/{name}").text == "origin" for name in NAMES)
    told = control.status("cds")
    assert told["status"] == "NACKED" and "--min-world-share 50" in str(told)
    assert "0 of 4 clusters would be left" in proxy.log()


def test_half_of_the_world_is_enough(run):
    control, proxy = run()
    come_back(control, "one", "two")
    wait_for(lambda: proxy.get("/three").status == 503, what="a cluster to go")
    assert proxy.get("/one").text == "origin" and held_back(proxy) == 0


def test_a_response_that_leaves_enough_ends_it(run, origin, dialect):
    control, proxy = run()
    come_back(control, "one")
    wait_for(lambda: held_back(proxy), what="the world to be held back")
    control.put(*[static_cluster(name, origin) for name in NAMES])
    control.wait("cds")
    wait_for(lambda: held_back(proxy) == 0, what="the guard to end")
    assert all(proxy.get(f"/{name}").text == "origin" for name in NAMES)


def test_time_ends_it(run):
    control, proxy = run("--world-hold-s", "1")
    come_back(control, "one")
    wait_for(lambda: held_back(proxy), what="the world to be held back")
    assert proxy.get("/two").text == "origin"
    wait_for(lambda: proxy.get("/two").status == 503, what="the smaller world")
    assert proxy.get("/one").text == "origin"
    wait_for(lambda: held_back(proxy) == 0, what="the gauge")


def test_a_stream_that_has_shown_the_world_is_believed(run):
    control, proxy = run()
    control.change(remove=[("cds", name) for name in NAMES[1:]])
    wait_for(lambda: proxy.get("/two").status == 503, what="the clusters to go")
    assert proxy.stat("xylem.guard.held_back") == 0


def test_a_percentage(start, stub, ads_bootstrap):
    control = stub(listener(routes=[direct(200)]))
    with pytest.raises(RuntimeError, match="expected a percentage up to 100, got 101"):
        start(ads_bootstrap(control), args=["--min-world-share", "101"])
