"""Make before break, without the server's help: routes wait for their clusters, clusters for their
routes, for as long as --route-hold-ms says."""
import pytest

from harness import Traffic, difference, route, vhost, wait_for
from harness.stub import resource
from harness.xds import eds_cluster, endpoints, rds_listener, static_cluster


def table(a, b):
    """Two virtual hosts, each with its cluster."""
    return resource("rds", {"name": "routes", "virtual_hosts": [
        vhost("a", ["a.test"], route("/", a)), vhost("b", ["b.test"], route("/", b))]})


@pytest.fixture
def world(stub, start, origins, ads_bootstrap, kind):
    """world(hold_ms) serves both hosts from "one"."""
    one, two = origins("one", "two")

    def make(hold_ms):
        control = stub(rds_listener(), table("one", "one"), static_cluster("one", one))
        args = ["--route-hold-ms", str(hold_ms)] if kind == "xylem" else []
        proxy = start(ads_bootstrap(control), args=args)
        control.wait("rds")
        return control, proxy, two
    return make


@difference("Make before break: a server that sends type after type need not get the order right.",
            envoy="answers 503 until the cluster is there",
            xylem="serves the old virtual host, and the others in their new form")
def test_a_changed_virtual_host_waits_for_its_cluster(world, kind):
    control, proxy, two = world(60000)
    port = proxy.port()
    with Traffic(port, host="a.test", expect=["one", "two"]) as traffic:
        if kind == "envoy":
            traffic.stop()
        control.put(table("two", "three"), static_cluster("three", two))
        control.wait("rds")
        wait_for(lambda: proxy.get("/", host="b.test").text == "two", what="the other host")
        assert (proxy.get("/", host="a.test").text == "one") == (kind == "xylem")
        control.fault(type="eds", hold=True)
        control.put(eds_cluster("two"), endpoints("two", two))
        proxy.wait_stat("cluster_manager.warming_clusters", 1)
        if kind == "xylem":
            [held] = proxy.json("/init_dump")["unready_targets_dumps"][1:]
            assert held == {"name": "held routes routes", "target_names": ["cds two"]}
        control.clear_faults()
        wait_for(lambda: proxy.get("/", host="a.test").text == "two", what="its cluster")
        if kind == "xylem":
            traffic.wait_only("two")


@difference("Make before break: a server that sends type after type need not get the order right.",
            envoy="answers 503 from the moment the cluster goes",
            xylem="keeps the cluster until its last route has gone")
def test_a_removed_cluster_lives_while_it_is_named(world, kind):
    control, proxy, two = world(60000)
    with Traffic(proxy.port(), host="a.test", expect=["one", "two"]) as traffic:
        if kind == "envoy":
            traffic.stop()
        control.change(put=[static_cluster("two", two)], remove=[("cds", "one")])
        control.wait("cds")
        proxy.wait_stat("cluster_manager.cluster_added", lambda n: n >= 2)
        assert (proxy.get("/", host="b.test").text == "one") == (kind == "xylem")
        control.put(table("two", "two"))
        control.wait("rds")
        wait_for(lambda: proxy.get("/", host="b.test").text == "two", what="the new routes")
        proxy.wait_stat("cluster_manager.cluster_removed", 1)
        if kind == "xylem":
            traffic.wait_only("two")


def test_nothing_is_held_for_longer(world, kind):
    control, proxy, _ = world(100)
    control.put(table("two", "one"))
    control.wait("rds")
    wait_for(lambda: proxy.get("/", host="a.test").status == 503, what="503: there is no cluster")
    assert proxy.get("/", host="b.test").text == "one"
    control.remove("cds", "one")
    control.wait("cds")
    wait_for(lambda: proxy.get("/", host="b.test").status == 503, what="503: the cluster is gone")
    if kind == "xylem":
        assert proxy.stat("xylem.config.holds") == 2
        assert proxy.stat("xylem.config.holds_expired") == 2


def test_a_removed_cluster_that_comes_back_badly_goes(world):
    control, proxy, _ = world(1000)
    control.remove("cds", "one")
    control.wait("cds")
    control.put(static_cluster("one", lb_policy=9))
    control.wait("cds", "NACKED")
    wait_for(lambda: proxy.get("/", host="b.test").status == 503, what="503: the cluster is gone")


def test_nothing_is_held_where_it_is_off(world):
    control, proxy, _ = world(0)
    control.put(table("two", "one"))
    control.wait("rds")
    wait_for(lambda: proxy.get("/", host="a.test").status == 503, what="503: there is no cluster")
    assert proxy.stat("xylem.config.holds") == 0
