"""Rules of the incremental dialect, named after the protocol reference."""
import pytest

from harness import Traffic, difference, direct, route, wait_for
from harness.xds import (DELTA, ads_bootstrap, eds_cluster, endpoints, listener, rds_listener,
                         routes, static_cluster)

KINDS = ["cds", "eds", "lds", "rds"]


def delta_bootstrap(control, **fields):
    return ads_bootstrap(control, api_type=DELTA, **fields)


@pytest.fixture
def dialect():
    return DELTA


@pytest.fixture
def world(one_of_each):
    return one_of_each


def subscribed(request):
    return request.get("resource_names_subscribe", [])


def unsubscribed(request):
    return request.get("resource_names_unsubscribe", [])


def firsts(control, counts, bound=20):
    """The first request of each type after so many."""
    return {kind: control.wait_requests(kind, counts[kind] + 1, bound)[counts[kind]]
            for kind in KINDS}



def test_D01_an_answer_carries_the_nonce_and_a_change_carries_none(world, origin):
    control, proxy = world
    control.put(eds_cluster("two"), endpoints("two", origin))
    wait_for(lambda: any("two" in subscribed(r) for r in control.requests("eds")),
             what="the request for the endpoints of two")
    control.wait("eds")
    for request in control.requests():
        if request["meaning"] in ("ack", "nack"):
            assert request["response_nonce"]
            assert not subscribed(request) and not unsubscribed(request)
        else:
            assert not request.get("response_nonce")
    assert "stale" not in {r["meaning"] for r in control.requests()}


def test_D02_D03_D17_D18_a_new_stream_is_told_what_is_held(world, origin):
    control, proxy = world
    control.put(eds_cluster("two"), endpoints("two", origin))
    control.wait("eds")
    for kind in KINDS:
        assert not control.requests(kind)[0].get("initial_resource_versions")
    counts = {kind: len(control.requests(kind)) for kind in KINDS}
    control.end_streams()
    told = firsts(control, counts)
    assert set(told["cds"]["initial_resource_versions"]) == {"one", "two"}
    assert set(told["lds"]["initial_resource_versions"]) == {"ingress"}
    assert set(told["eds"]["initial_resource_versions"]) == {"one", "two"}
    assert set(told["rds"]["initial_resource_versions"]) == {"routes"}
    assert all(v for r in told.values() for v in r["initial_resource_versions"].values())
    assert subscribed(told["cds"]) in ([], ["*"]) and subscribed(told["lds"]) in ([], ["*"])
    assert sorted(subscribed(told["eds"])) == ["one", "two"]
    assert subscribed(told["rds"]) == ["routes"]
    later = [r for kind in KINDS for r in control.requests(kind)[counts[kind] + 1:]]
    assert not any(r.get("initial_resource_versions") for r in later)


def test_D04_the_version_of_the_system_decides_nothing(world):
    control, proxy = world
    for number in (2, 3):
        control.send("rds", system_version_info="same", resources=[
            {"name": "routes", "version": f"{number}",
             "resource": routes(direct(200, f"v{number}"))}])
        control.wait("rds")
        wait_for(lambda: proxy.get("/").text == f"v{number}", what="the new routes")


def test_D05_R03_a_response_may_only_remove(world):
    control, proxy = world
    control.send("cds", removed_resources=["one"], resources=[])
    control.wait("cds")
    wait_for(lambda: proxy.stat("cluster_manager.active_clusters") == 1, what="the cluster to go")
    control.send("lds", removed_resources=["ingress"], resources=[])
    control.wait("lds")
    wait_for(lambda: proxy.listeners() == [], what="the listener to go")


@pytest.mark.parametrize("removed", [[], ["routes"]], ids=["twice", "added_and_removed"])
def test_D06_one_name_twice_is_refused(world, removed):
    control, proxy = world
    one = {"name": "routes", "version": "9", "resource": routes(direct(200, "v9"))}
    control.send("rds", resources=[one] * (1 if removed else 2), removed_resources=removed)
    assert "duplicate name routes" in control.wait("rds", "NACKED")["nack_reason"]
    assert proxy.get("/").text == "v1"


def test_D07_a_name_wanted_again_is_subscribed_again(world, origin):
    control, proxy = world
    control.remove("cds", "one")
    control.wait("cds")
    wait_for(lambda: any("one" in unsubscribed(r) for r in control.requests("eds")),
             what="the endpoints to be unsubscribed")
    count = len(control.requests("eds"))
    control.put(eds_cluster("one"), routes(route("/", "one")))
    wait_for(lambda: any("one" in subscribed(r) for r in control.requests("eds")[count:]),
             what="the endpoints to be subscribed again")
    wait_for(lambda: proxy.get("/").text == "origin", what="the cluster with endpoints")


def test_D11_what_a_response_does_not_name_stays(world, origin):
    control, proxy = world
    control.put(static_cluster("two", origin))
    control.wait("cds")
    control.put(routes(route("/", "one")))
    control.wait("rds")
    wait_for(lambda: proxy.get("/").text == "origin", what="the cluster that was not named")
    assert proxy.stat("cluster_manager.active_clusters") == 3


def test_D13_an_empty_version_is_a_version(world):
    control, proxy = world
    control.send("rds", system_version_info="7", resources=[
        {"name": "routes", "resource": routes(direct(200, "no version"))}])
    control.wait("rds")
    wait_for(lambda: proxy.get("/").text == "no version", what="the routes without a version")
    counts = {kind: len(control.requests(kind)) for kind in KINDS}
    control.end_streams()
    held = firsts(control, counts)["rds"]["initial_resource_versions"]
    assert held == {"routes": ""}


@difference("Rule D14: what was applied is held, whatever stood beside it.",
            envoy="tells the next stream nothing of the good resources of a refused response",
            xylem="tells their versions")
def test_D14_a_nack_keeps_the_versions_of_what_was_applied(world, origin, kind):
    control, proxy = world
    before = {kind: len(control.requests(kind)) for kind in KINDS}
    control.end_streams()
    old = firsts(control, before)["cds"]["initial_resource_versions"]["one"]
    wait_for(lambda: proxy.stat("control_plane.connected_state") == 1, what="the new stream")
    bad = static_cluster("one", origin, connect_timeout="-1s")
    good = static_cluster("two", origin)
    control.send("cds", resources=[{"name": "one", "version": "bad", "resource": bad},
                                   {"name": "two", "version": "good", "resource": good}])
    control.wait("cds", "NACKED")
    before = {kind: len(control.requests(kind)) for kind in KINDS}
    control.end_streams()
    held = firsts(control, before)["cds"]["initial_resource_versions"]
    assert held == {"one": old, **({"two": "good"} if kind == "xylem" else {})}


def test_D15_requests_have_no_version_of_the_type(world):
    control, _ = world
    assert not any(r.get("version_info") for r in control.requests())


def test_D16_the_newest_version_is_told(world):
    control, _ = world
    for number in (2, 3):
        control.send("lds", resources=[{"name": "ingress", "version": str(number),
                                        "resource": rds_listener()}])
        control.wait("lds")
    counts = {kind: len(control.requests(kind)) for kind in KINDS}
    control.end_streams()
    assert firsts(control, counts)["lds"]["initial_resource_versions"] == {"ingress": "3"}


@difference("Rule R05: delta says in so many words that a resource does not exist.",
            envoy="waits for ever for routes that the server says it does not have",
            xylem="goes on at once: the listener serves 404")
def test_R05_removed_means_does_not_exist(stub, start, kind):
    control = stub(rds_listener())
    proxy = start(delta_bootstrap(control), ready=False)
    control.wait("rds")
    if kind == "xylem":
        wait_for(lambda: proxy.admin("/ready").status == 200, what="the proxy to be live")
        assert proxy.get("/").status == 404
    else:
        assert proxy.admin("/ready").status == 503
    control.put(routes(direct(200, "late")))
    control.wait("rds")
    wait_for(lambda: proxy.admin("/ready").status == 200, what="the proxy to be live")
    wait_for(lambda: proxy.get("/").text == "late", what="the late routes")


def test_R05_a_cluster_without_endpoints_does_not_wait(stub, start):
    control = stub(eds_cluster("one", eds_fields={"initial_fetch_timeout": "0s"}),
                   listener(routes=[route("/", "one")]))
    proxy = start(delta_bootstrap(control))
    assert proxy.get("/").status == 503
    assert proxy.stat("cluster_manager.warming_clusters") == 0


def test_R06_a_removed_name_is_not_held(world):
    control, proxy = world
    control.send("eds", removed_resources=["one"], resources=[])
    control.wait("eds")
    counts = {kind: len(control.requests(kind)) for kind in KINDS}
    control.end_streams()
    told = firsts(control, counts)["eds"]
    assert not told.get("initial_resource_versions")
    assert subscribed(told) == ["one"]


def test_W06_all_is_an_empty_first_list(world):
    control, _ = world
    for kind in ("cds", "lds"):
        first = control.requests(kind)[0]
        assert subscribed(first) in ([], ["*"]) and not unsubscribed(first)
        assert all(not subscribed(r) for r in control.requests(kind)[1:])


def test_T04_a_world_that_changes_while_the_stream_is_away(world, origins):
    control, proxy = world
    two, = origins("two")
    with Traffic(proxy.port(), expect=["v1", "two"]) as traffic:
        control.kill()
        traffic.go_on()
        control.change(put=[eds_cluster("two"), endpoints("two", two)],
                       remove=[("cds", "one"), ("eds", "one")])
        control.start()
        wait_for(lambda: {c["name"] for c in proxy.json("/clusters?format=json")[
            "cluster_statuses"]} == {"xds", "two"}, 20, "what went meanwhile to be removed")
        control.put(routes(route("/", "two")))
        traffic.wait_only("two")
