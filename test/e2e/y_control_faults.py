"""A control plane that misbehaves: whatever it sends, traffic goes on, and in the end all is as it
says. In both dialects."""
import json

import pytest

from harness import Stub, Traffic, direct, route, wait_for
from harness.xds import (DELTA, eds_cluster, endpoints, listener, rds_listener, routes,
                         static_cluster)


@pytest.fixture
def world(stub, start, origins, ads_bootstrap):
    """A proxy that serves "one" of two origins, under load."""
    one, two = origins("one", "two")
    control = stub(rds_listener(), routes(route("/", "web")), eds_cluster("web"),
                   endpoints("web", one))
    proxy = start(ads_bootstrap(control))
    assert proxy.get("/").text == "one"
    return control, proxy, one, two


@pytest.fixture
def load(world):
    with Traffic(world[1].port(), expect=["one", "two"]) as traffic:
        yield traffic


def test_responses_that_come_twice(world, load):
    control, proxy, _, two = world
    control.fault(again=3)
    control.put(endpoints("web", two))
    load.wait_only("two")
    assert len(control.events("eds", "literal")) == 3
    assert proxy.stat("cluster.web.update_rejected") == 0


def test_responses_that_overtake_each_other(world, load):
    control, proxy, one, two = world
    control.fault(type="cds", late=True, times=1)
    control.put(static_cluster("other", two), routes(route("/", "other")), endpoints("web", two))
    load.wait_only("two")
    wait_for(lambda: control.events("cds", "literal"), what="the late response")
    proxy.wait_stat("cluster_manager.active_clusters", 3)
    control.put(endpoints("web", one), routes(route("/", "web")))
    load.wait_only("one")


def test_a_response_that_is_lost_comes_with_the_next_stream(world, load):
    control, proxy, _, two = world
    fault = control.fault(type="eds", drop=True)
    control.put(endpoints("web", two))
    wait_for(lambda: control.events("eds", "dropped"), what="the loss")
    assert proxy.get("/").text == "one"
    control.ask(f"/fault?id={fault['id']}", "DELETE")
    control.end_streams()
    load.wait_only("two")


@pytest.mark.parametrize("dialect", [DELTA], indirect=True)
def test_removed_and_added_in_one_response(world, load):
    control, proxy, _, two = world
    control.fault(type="eds", readd=["web"], times=1)
    control.put(endpoints("web", two))
    entry = control.wait("eds", "NACKED")
    assert "duplicate name web" in entry["nack_reason"]
    assert proxy.get("/").text == "one"
    control.end_streams()
    load.wait_only("two")


def test_a_delayed_answer(world, load):
    control, proxy, _, two = world
    control.fault(type="eds", delay_ms=500)
    control.put(endpoints("web", two))
    load.go_on()
    load.wait_only("two")
    told, sent = [control.events(kind, event)[-1]["mono_us"]
                  for kind, event in ((None, "publish"), ("eds", "response"))]
    assert sent - told >= 500_000
    assert proxy.stat("cluster.web.update_failure") == 0


def test_answers_that_leave_endpoints_out(world, load):
    """Some of the clusters' endpoints alone: the others keep theirs, and get what comes later."""
    control, proxy, one, two = world
    control.put(eds_cluster("other"), endpoints("other", one), rds_listener(),
                routes(route("/other", "other"), route("/", "web")))
    wait_for(lambda: proxy.get("/other").text == "one", what="the other cluster")
    fault = control.fault(type="eds", omit=["web"])
    control.put(endpoints("web", two), endpoints("other", two))
    wait_for(lambda: proxy.get("/other").text == "two", what="half of the change")
    assert proxy.get("/").text == "one"
    control.ask(f"/fault?id={fault['id']}", "DELETE")
    control.end_streams()
    load.wait_only("two")


def test_a_nonce_that_is_old(world, load):
    """The nonce of the response before: it is answered with what it has, and nothing is lost."""
    control, _, one, two = world
    old = control.status("eds")["nonce"]
    control.fault(type="eds", nonce=old, times=1)
    control.put(endpoints("web", two))
    load.wait_only("two")
    assert control.requests("eds")[-1]["response_nonce"] == old
    control.put(endpoints("web", one))
    load.wait_only("one")


def test_a_response_of_another_type(world, load):
    control, _, _, two = world
    control.fault(type="eds", resource_type_url="type.googleapis.com/google.protobuf.Struct", times=1)
    control.put(endpoints("web", two))
    control.wait("eds", "NACKED")
    load.go_on()
    control.put(endpoints("web", two, two))
    load.wait_only("two")


def test_an_extension_that_nobody_has(world, load):
    """It spoils the one cluster; those beside it come."""
    control, proxy, _, two = world
    strange = {"name": "no.such", "typed_config": {"@type": "type.googleapis.com/google.protobuf.Struct",
                                                   "value": {}}}
    control.put(static_cluster("bad", two, transport_socket=strange), static_cluster("good", two))
    entry = control.wait("cds", "NACKED")
    assert "no.such" in entry["nack_reason"]
    proxy.wait_stat("cluster_manager.active_clusters", 3)
    load.go_on()


@pytest.mark.parametrize("status", [0, 8, 13, 14, 16])
def test_a_stream_that_is_closed_with_a_status(world, load, status):
    control, _, _, two = world
    control.end_streams(status)
    control.put(endpoints("web", two))
    load.wait_only("two")


def test_a_server_that_comes_back_with_other_versions(world, load):
    """It has forgotten what it told, and says something else."""
    control, _, _, two = world
    control.kill()
    load.go_on()
    control.put(endpoints("web", two))
    control.start()
    load.wait_only("two")


def test_a_connection_that_is_half_open(world, load):
    """It reads and writes no more, and is not closed: nothing that serves is lost by it, and all
    goes on when it does."""
    control, _, _, two = world
    control.fault(freeze=True)
    control.put(endpoints("web", two))
    load.go_on(50)
    assert set(load.bodies[-20:]) == {"one"}
    control.fault(freeze=False)
    load.wait_only("two")


def test_fields_that_no_api_has(world, load):
    control, proxy, _, two = world
    control.fault(unknown_field=True)
    control.put(endpoints("web", two), static_cluster("more", two))
    load.wait_only("two")
    control.wait("cds")
    assert proxy.stat("server.dynamic_unknown_fields") >= 1


def test_bytes_that_are_no_message(world, load):
    control, proxy, _, two = world
    control.fault(type="cds", garble=["bad"], times=1)
    control.put(static_cluster("bad", two))
    control.wait("cds", "NACKED")
    load.go_on()
    assert proxy.stat("cluster_manager.cds.update_rejected") == 1
    control.put(static_cluster("bad", two, connect_timeout="2s"))
    control.wait("cds")
    proxy.wait_stat("cluster_manager.active_clusters", 3)


def test_an_oversized_message(world, load):
    control, proxy, _, two = world
    control.fault(type="eds", pad_bytes=8 << 20, times=1)
    control.put(endpoints("web", two))
    load.wait_only("two")
    assert proxy.stat("cluster.xds.upstream_cx_rx_bytes_total") > 8 << 20


def test_a_server_that_flaps(world, load):
    control, proxy, one, two = world
    control.fault(type="eds", end_after=14, times=4)
    for n, target in enumerate([two, one, two, one]):
        control.put(endpoints("web", target))
        wait_for(lambda n=n: len(control.events(event="close")) > n, bound=30, what="the end")
    control.put(endpoints("web", two))
    load.wait_only("two")
    proxy.wait_stat("control_plane.connected_state", 1)


def test_what_was_recorded_is_replayed(stub, start, origins, ads_bootstrap, tmp_path, closing):
    one, two = origins("one", "two")
    told = tmp_path / "told"
    control = stub(rds_listener(), routes(route("/", "web")), eds_cluster("web"),
                   endpoints("web", one), args=["--transcript", str(told)])
    proxy = start(ads_bootstrap(control))
    assert proxy.get("/").text == "one"
    control.put(endpoints("web", two), static_cluster("more", two))
    wait_for(lambda: proxy.get("/").text == "two", what="the change")
    control.wait("cds")
    proxy.stop()
    control.stop()
    again = closing(Stub(tmp_path / "again", replay=told)).start()
    other = start(ads_bootstrap(again))
    wait_for(lambda: other.get("/").text == "two", what="the end of the recording")
    other.wait_stat("cluster_manager.active_clusters", 3)
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    recorded = [one["version"] for one in lines if one["type"].endswith(".Cluster")]
    assert [e["version_info"] for e in again.events("cds", "literal")] == recorded


def test_goaway_moves_the_stream_and_loses_nothing(stub, start, origin, ads_bootstrap):
    control = stub(listener(routes=[route("/", "one")]), static_cluster("one", origin),
                   args=["--goaway-ms", "300"])
    proxy = start(ads_bootstrap(control, grpc={"retry_policy": {
        "retry_back_off": {"base_interval": "0.1s", "max_interval": "0.2s"}}}))
    with Traffic(proxy.port()) as traffic:
        wait_for(lambda: len(control.events(None, "open")) >= 3, what="two new streams")
        traffic.go_on()
    control.put(listener(routes=[direct(200, "changed")]))
    wait_for(lambda: proxy.get("/").text == "changed", what="the change")
