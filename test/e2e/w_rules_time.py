"""Rules of time, in both dialects: times to live, heartbeats, and the rate of requests."""
import json
import time

import pytest

from harness import difference, direct, route, wait_for
from harness.config import cluster
from harness.stub import resource
from harness.xds import DELTA, STATE_OF_THE_WORLD, eds_cluster, endpoints, listener, rds_listener, routes

WRAPPER = "envoy.service.discovery.v3.Resource"


@pytest.fixture
def tell_of(tell):
    """tell_of(control, kind, (name, ttl, body), ...) sends resources at version v1 by hand, each
    with its time to live; a body of None makes a heartbeat."""
    def run(control, kind, *told, version="v1"):
        made = []
        for name, ttl, body in told:
            one = {"@type": WRAPPER, "name": name, "version": version}
            if ttl:
                one["ttl"] = ttl
            if body is not None:
                one["resource"] = body
            made.append(one)
        tell(control, kind, version, *made)
        control.wait(kind)
    return run


@pytest.fixture
def world(stub, start, origin, ads_bootstrap):
    """A route to a cluster that nobody has told of yet."""
    control = stub(rds_listener(), routes(route("/", "brief")))
    proxy = start(ads_bootstrap(control))
    control.wait("lds")
    brief = resource("cds", cluster("brief", origin))
    return control, proxy, brief


def test_T07_a_resource_goes_when_its_time_is_over(world, tell_of):
    control, proxy, brief = world
    tell_of(control, "cds", ("brief", "1s", brief))
    wait_for(lambda: proxy.get("/").text == "origin", what="the cluster")
    wait_for(lambda: proxy.get("/").status == 503, what="the cluster to go")
    assert proxy.stat("cluster_manager.cluster_removed") == 1
    tell_of(control, "cds", ("brief", None, brief), version="v2")
    wait_for(lambda: proxy.get("/").text == "origin", what="the cluster to be back")


def test_T07_a_new_time_replaces_the_old(world, tell_of):
    control, proxy, brief = world
    tell_of(control, "cds", ("brief", "1s", brief))
    tell_of(control, "cds", ("brief", None, brief), version="v2")
    keeps(proxy, 1.5)


def keeps(proxy, seconds, each=lambda: None):
    """Asks all the time for so long; every request must reach the origin."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        each()
        assert proxy.get("/").text == "origin"


@difference("Rule T08: a heartbeat changes nothing, also where a response says all there is.",
            envoy="in the state-of-the-world protocol, takes clusters and listeners away when a "
                  "response has only heartbeats", xylem="lets all live on")
def test_T08_a_heartbeat_lets_a_resource_live_on(world, tell_of, dialect, kind):
    control, proxy, brief = world
    tell_of(control, "cds", ("brief", "1s", brief))
    wait_for(lambda: proxy.get("/").text == "origin", what="the cluster")
    if kind == "envoy" and dialect == STATE_OF_THE_WORLD:
        tell_of(control, "cds", ("brief", "1000s", None))
        wait_for(lambda: proxy.get("/").status == 503, what="the cluster to go")
        return
    modified = proxy.stat("cluster_manager.cluster_modified")
    keeps(proxy, 2.5, lambda: tell_of(control, "cds", ("brief", "1s", None)))
    assert proxy.stat("cluster_manager.cluster_modified") == modified
    wait_for(lambda: proxy.get("/").status == 503, what="the cluster to go")


def for_a_second(name, made):
    return {"@type": f"type.googleapis.com/{WRAPPER}", "name": name, "ttl": "1s", "resource": made}


@difference("A control plane may give endpoints a time to live.",
            envoy="in the state-of-the-world protocol, ends with a segmentation fault, most of the "
                  "time, when the first time to live of endpoints is over", xylem="goes on")
@pytest.mark.parametrize("brief", ["cds", "eds"])
def test_T08_heartbeats_come_by_themselves(stub, start, origin, ads_bootstrap, dialect, kind, brief):
    """The stub tells of what lives shortly before its time is over; nothing is made anew by it. Once
    it is silent a cluster goes; endpoints stay, as they do when they are left out (R02)."""
    if (kind, dialect, brief) == ("envoy", STATE_OF_THE_WORLD, "eds"):
        return
    made = {"cds": eds_cluster("brief"), "eds": endpoints("brief", origin)}
    made[brief] = for_a_second("brief", made[brief])
    control = stub(rds_listener(), routes(route("/", "brief")), *made.values(),
                   args=["--heartbeats"])
    proxy = start(ads_bootstrap(control))
    wait_for(lambda: proxy.get("/").text == "origin", what="the cluster")
    modified = proxy.stat("cluster_manager.cluster_modified")
    told = control.responses(brief)
    keeps(proxy, 2.5)
    beats = control.responses(brief)[len(told):]
    assert len(beats) >= 3
    if brief == "eds" or dialect == DELTA:      # without what it is
        assert all(one["bytes"] < told[0]["bytes"] for one in beats)
    assert proxy.stat("cluster_manager.cluster_modified") == modified
    assert control.status(brief)["status"] in ("ACKED", "SENT")
    control.fault(type=brief, drop=True)
    wait_for(lambda: len(control.events(brief, "dropped")) >= 3, what="silence")
    if brief == "cds":
        wait_for(lambda: proxy.get("/").status == 503, what="the cluster to go")
    assert proxy.get("/").status == (503 if brief == "cds" else 200)


def test_T09_a_wrapped_resource_is_taken_out_of_its_wrapper(stub, start, origin, ads_bootstrap):
    wrapped = {"@type": f"type.googleapis.com/{WRAPPER}", "name": "brief", "ttl": "1s",
               "resource": resource("cds", cluster("brief", origin))}
    control = stub(rds_listener(), routes(route("/", "brief")), wrapped)
    proxy = start(ads_bootstrap(control))
    wait_for(lambda: proxy.get("/").text == "origin", what="the cluster")
    wait_for(lambda: proxy.get("/").status == 503, what="the cluster to go")


@pytest.mark.only("xylem", "Envoy 1.40 names no features")
def test_T10_the_node_says_what_it_can(stub, start, ads_bootstrap):
    control = stub(listener(routes=[direct(200)]))
    start(ads_bootstrap(control))
    told = json.loads(control.ask("/requests?type=cds&limit=1").text.splitlines()[0])
    features = told["message"]["node"]["client_features"]
    assert "xds.config.supports-resource-ttl" in features
    assert "xds.config.supports-resource-in-sotw" in features


def test_T06_requests_beyond_the_rate_wait_and_are_not_lost(stub, start, origin, ads_bootstrap):
    names = [f"c{i}" for i in range(3)]
    control = stub(rds_listener(), routes(*[route(f"/{name}", name) for name in names]),
                   *[eds_cluster(name) for name in names],
                   *[endpoints(name, origin) for name in names])
    config = ads_bootstrap(control)
    config["dynamic_resources"]["ads_config"]["rate_limit_settings"] = {
        "max_tokens": 2, "fill_rate": 10}
    proxy = start(config)
    for name in names:
        wait_for(lambda name=name: proxy.get(f"/{name}").text == "origin", what="all to come")
    assert proxy.stat("control_plane.rate_limit_enforced") >= 1
    proxy.wait_stat("control_plane.pending_requests", 0)
    control.put(endpoints("c0", origin, origin))
    control.wait("eds")
