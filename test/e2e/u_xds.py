"""Configuration over ADS: every type comes, changes and goes while requests flow."""
import re
import socket

import pytest

from harness import Client, Traffic, difference, direct, route, vhost, wait_for, xds
from harness.config import add_header, bootstrap, endpoint, socket_address
from harness.stub import resource
from harness.xds import (DELTA, api_source, eds_cluster, endpoints, listener, names_of,
                         rds_listener, routes, static_cluster, xds_cluster)


@pytest.fixture
def world(stub, start, origin, ads_bootstrap):
    """A stub that serves one of each type, and a proxy that runs on it."""
    control = stub(rds_listener(), routes(route("/", "one")), eds_cluster("one"),
                   endpoints("one", origin))
    proxy = start(ads_bootstrap(control))
    return control, proxy


def test_boot_over_ads(world, origin):
    control, proxy = world
    assert proxy.get("/").text == "origin"
    for kind in ["cds", "eds", "lds", "rds"]:
        assert control.wait(kind)["acks"] == 1
    stats = proxy.stats()
    assert stats["listener_manager.lds.update_success"] == 1
    assert stats["cluster_manager.cds.update_success"] == 1
    assert stats["cluster.one.update_success"] == 1
    assert stats["http.ingress.rds.routes.update_success"] == 1
    assert stats["control_plane.connected_state"] == 1


def test_the_stream_is_counted_on_its_cluster(world):
    """A connection and a request of the control plane's cluster, as any other."""
    control, proxy = world
    control.wait("rds")
    stats = proxy.stats("^cluster.xds")
    for name in ["upstream_cx_total", "upstream_cx_active", "upstream_cx_http2_total",
                 "upstream_rq_total", "upstream_rq_active", "upstream_rq_pending_total"]:
        assert stats[f"cluster.xds.{name}"] == 1, name
    sent, received = (f"cluster.xds.upstream_cx_{way}_bytes_total" for way in ["tx", "rx"])
    assert stats[sent] > 500 and stats[received] > 500
    rows = proxy.admin("/clusters").text
    for name in ["cx_total", "cx_active", "rq_total", "rq_active"]:
        assert f"xds::127.0.0.1:{control.xds_port}::{name}::1\n" in rows, name
    control.put(routes(direct(200, "more")))
    proxy.wait_stat(received, lambda n: n > stats[received])
    proxy.wait_stat(sent, lambda n: n > stats[sent])  # the ACK


def test_inline_routes_over_lds(stub, start, ads_bootstrap):
    control = stub(listener(routes=[direct(200, "inline")]))
    proxy = start(ads_bootstrap(control))
    assert proxy.get("/").text == "inline"
    with Traffic(proxy.port(), expect=["inline", "changed"]) as traffic:
        traffic.go_on()
        control.put(listener("second", routes=[direct(200, "second")]))
        control.wait("lds")
        assert proxy.get("/", name="second").text == "second"
        traffic.go_on()


def test_routes_change_under_traffic(world):
    control, proxy = world
    with Traffic(proxy.port(), expect=["origin", "two", "three"]) as traffic:
        traffic.go_on()
        control.put(routes(direct(200, "two")))
        control.wait("rds")
        traffic.wait_only("two")
        control.put(routes(direct(404, prefix="/x"), direct(200, "three")))
        control.wait("rds")
        traffic.wait_only("three")
        control.put(routes(route("/", "one")))
        traffic.wait_only("origin")
    assert proxy.stat("http.ingress.downstream_cx_destroy") <= 2


def test_endpoints_change_under_traffic(world, origins):
    control, proxy = world
    two, three = origins("two", "three")
    with Traffic(proxy.port(), expect=["origin", "two", "three"]) as traffic:
        control.put(endpoints("one", two))
        control.wait("eds")
        traffic.wait_only("two")
        control.put(endpoints("one", two, three))
        control.wait("eds")
        traffic.wait_only("two", "three")
        control.put(endpoints("one", three))
        traffic.wait_only("three")
    assert proxy.stat("cluster.one.membership_total") == 1


def test_endpoint_health_changes_under_traffic(world, origins):
    control, proxy = world
    two, three = origins("two", "three")
    with Traffic(proxy.port(), expect=["origin", "two", "three"]) as traffic:
        control.put(endpoints("one", two, three))
        traffic.wait_only("two", "three")
        control.put(endpoints("one", endpoint(two, health_status="UNHEALTHY"), three))
        traffic.wait_only("three")
        control.put(endpoints("one", two, endpoint(three, health_status="DRAINING")))
        traffic.wait_only("two")


def test_cluster_is_added_and_used(world, origins):
    control, proxy = world
    two, = origins("two")
    with Traffic(proxy.port(), expect=["origin", "two"]) as traffic:
        control.put(eds_cluster("two"), endpoints("two", two))
        control.wait("cds")
        proxy.wait_stat("cluster_manager.active_clusters", 3)
        control.put(routes(route("/", "two")))
        traffic.wait_only("two")
        control.remove("cds", "one")
        control.wait("cds")
        proxy.wait_stat("cluster_manager.active_clusters", 2)
        traffic.go_on()
    assert proxy.stat("cluster_manager.cluster_removed") == 1


def test_cluster_changes_under_traffic(stub, start, origin, ads_bootstrap):
    control = stub(rds_listener(), routes(route("/", "one")), static_cluster("one", origin))
    proxy = start(ads_bootstrap(control))
    with Traffic(proxy.port(), expect=["origin"]) as traffic:
        for change in [{"connect_timeout": "4s"}, {"connect_timeout": "3s", "lb_policy": "RANDOM"}]:
            control.put(static_cluster("one", origin, **change))
            control.wait("cds")
            proxy.wait_stat("cluster_manager.warming_clusters", 0)
            traffic.go_on()
    assert proxy.stat("cluster_manager.cluster_modified") == 2


def test_cluster_changes_from_eds_to_static(world, origins):
    control, proxy = world
    two, = origins("two")
    with Traffic(proxy.port(), expect=["origin", "two"]) as traffic:
        control.put(static_cluster("one", two))
        control.wait("cds")
        traffic.wait_only("two")
        control.put(eds_cluster("one"))
        control.wait("cds")
        traffic.wait_only("origin")


def test_listener_is_added_and_removed_under_traffic(world):
    control, proxy = world
    with Traffic(proxy.port(), expect=["origin"]) as traffic:
        control.put(listener("second", routes=[direct(200, "second")]))
        control.wait("lds")
        port = proxy.port("second")
        with Client(port) as client:
            assert client.get("/").text == "second"
        control.remove("lds", "second")
        control.wait("lds")
        wait_for(lambda: refuses(port), what="the second listener to close")
        traffic.go_on()
    assert proxy.stat("listener_manager.listener_removed") == 1


def refuses(port):
    try:
        Client(port).close()
    except ConnectionRefusedError:
        return True
    return False


def test_removed_listener_lets_a_request_finish(stub, start, origin, ads_bootstrap):
    hold = origin.hold()
    origin.reply.hold = hold
    control = stub(rds_listener(), routes(route("/", "one")), static_cluster("one", origin))
    proxy = start(ads_bootstrap(control))
    with proxy.client() as client:
        client.write_request()
        origin.wait_requests(1)
        port = proxy.port()
        control.remove("lds", "ingress")
        control.wait("lds")
        wait_for(lambda: refuses(port), what="the listener to close")
        hold.release()
        answer = client.response()
        assert (answer.status, answer.text) == (200, "origin")


def test_route_table_is_shared_by_two_listeners(stub, start, ads_bootstrap):
    control = stub(rds_listener("one"), rds_listener("two"), routes(direct(200, "v1")))
    proxy = start(ads_bootstrap(control))
    assert proxy.get("/", name="one").text == proxy.get("/", name="two").text == "v1"
    with Traffic(proxy.port("one")) as first, Traffic(proxy.port("two")) as second:
        control.put(routes(direct(200, "v2")))
        first.wait_only("v2")
        second.wait_only("v2")
    asked = [names_of(e) for e in control.events("rds")]
    assert [names for names in asked if names][-1] == ["routes"]
    assert len(control.events(event="open")) == 1


def test_many_resources_at_once(stub, start, origin, ads_bootstrap):
    control = stub(
        rds_listener(),
        routes(*[route(f"/c{n}/", f"c{n}") for n in range(100)]),
        *[eds_cluster(f"c{n}") for n in range(100)],
        *[endpoints(f"c{n}", origin) for n in range(100)])
    proxy = start(ads_bootstrap(control))
    for n in (0, 50, 99):
        assert proxy.get(f"/c{n}/x").text == "origin"
    assert proxy.stat("cluster_manager.active_clusters") == 101


def test_virtual_hosts_come_and_go(world):
    control, proxy = world

    def table(*hosts):
        return resource("rds", {"name": "routes", "virtual_hosts": [
            vhost(host, [f"{host}.test"], direct(200, host)) for host in hosts]})
    with Traffic(proxy.port(), expect=["origin", "a"]) as traffic:
        control.put(table("a", "b"))
        traffic.wait_only("a")
        assert proxy.get("/", host="b.test").text == "b"
        control.put(table("a", "c"))
        control.wait("rds")
        wait_for(lambda: proxy.get("/", host="c.test").text == "c", what="host c")
        assert proxy.get("/", host="b.test").status == 404
        traffic.go_on()


def test_running_request_keeps_its_route(stub, start, origin, ads_bootstrap):
    hold = origin.hold()
    origin.on["/slow"] = type(origin.reply)(hold=hold)
    control = stub(
        rds_listener(), static_cluster("one", origin),
        routes(route("/", "one", response_headers_to_add=[add_header("x-v", "1")])))
    proxy = start(ads_bootstrap(control))
    with proxy.client() as client:
        client.write_request(path="/slow")
        origin.wait_requests(1)
        control.put(routes(route("/", "one", response_headers_to_add=[add_header("x-v", "2")])))
        control.wait("rds")
        wait_for(lambda: proxy.get("/").header("x-v") == "2", what="the new routes")
        hold.release()
        assert client.response().header("x-v") == "1"
        assert client.get("/").header("x-v") == "2"


def test_change_of_the_manager_takes_effect_without_closing(world):
    """A listener update that only touches the connection manager."""
    control, proxy = world
    port = proxy.port()
    control.put(rds_listener(server_name="renamed"))
    control.wait("lds")
    wait_for(lambda: proxy.get("/").header("server") == "renamed", what="the new manager")
    assert proxy.port() == port


def test_config_dump_shows_dynamic_resources(world, dialect):
    control, proxy = world

    def accepted(kind, version):
        """Of a type in the one dialect, of a resource in the other."""
        return version == control.status(kind)["version_acked"] or version and dialect == DELTA

    for kind in ["cds", "eds", "lds", "rds"]:
        control.wait(kind)
    dump = {c["@type"].rpartition(".")[2]: c for c in proxy.config_dump("?include_eds")}
    active, = dump["ClustersConfigDump"]["dynamic_active_clusters"]
    assert accepted("cds", active["version_info"])
    assert active["cluster"] == control.served[("cds", "one")]
    made, = dump["ListenersConfigDump"]["dynamic_listeners"]
    assert made["name"] == "ingress"
    assert accepted("lds", made["active_state"]["version_info"])
    assert made["active_state"]["listener"]["name"] == "ingress"
    table, = dump["RoutesConfigDump"]["dynamic_route_configs"]
    assert accepted("rds", table["version_info"])
    assert table["route_config"] == control.served[("rds", "routes")]
    ends = dump["EndpointsConfigDump"]["dynamic_endpoint_configs"]
    assert [e["endpoint_config"]["cluster_name"] for e in ends] == ["one"]
    assert proxy.json("/clusters?format=json")["cluster_statuses"]
    assert "one::added_via_api::true\n" in proxy.admin("/clusters").text


def test_listener_that_goes_and_comes_back_at_once(stub, start, ads_bootstrap):
    control = stub()
    proxy = start(ads_bootstrap(control), concurrency=2)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = socket_address(probe.getsockname()[1])

    def ask(before):
        """The answer, once it is none of a worker that has not heard of the change yet."""
        def answer():
            with Client(address["socket_address"]["port_value"]) as client:
                return client.get("/").text
        return wait_for(lambda: (text := answer()) != before and text, what="the change")
    for number in range(20):
        control.put(listener(address=address, routes=[direct(200, f"{number}")]))
        control.remove("lds", "ingress")
        control.put(listener(address=address, routes=[direct(200, f"{number} again")]))
        control.wait("lds")
        for _ in range(8):
            wait_for(lambda: "ingress" in [x["name"] for x in proxy.listeners()], what="listener")
            assert ask(f"{number - 1} again") == f"{number} again"


def test_each_type_from_a_stream_of_its_own(stub, start, origins, dialect):
    one, two = origins("one", "two")
    control = stub()
    source = api_source(dialect)
    made = rds_listener()
    made["filter_chains"][0]["filters"][0]["typed_config"]["rds"]["config_source"] = source
    control.put(made, routes(route("/", "web")), endpoints("web", one), resource("cds", {
        "name": "web", "type": "EDS", "eds_cluster_config": {"eds_config": source}}))
    proxy = start(bootstrap([], [xds_cluster(control)], node={"id": "test", "cluster": "e2e"},
                            dynamic_resources={"cds_config": source, "lds_config": source}))
    assert proxy.get("/").text == "one"
    assert len(control.events(event="open")) == 4
    with Traffic(proxy.port(), expect=["one", "two"]) as traffic:
        control.put(endpoints("web", two))
        traffic.wait_only("two")
    control.put(routes(direct(200, "routes")))
    control.wait("rds")
    wait_for(lambda: proxy.get("/").text == "routes", what="the new routes")
    control.remove("lds", "ingress")
    wait_for(lambda: proxy.listeners() == [], what="the listener to go")


def xxh64(text):
    """XXH64 of at most 31 bytes, by its specification."""
    ones = (1 << 64) - 1
    p1, p2, p3, p4, p5 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9,
                          0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)
    data = text.encode()
    assert len(data) < 32

    def turn(value, by):
        return (value << by | value >> (64 - by)) & ones

    value = (p5 + len(data)) & ones
    while len(data) >= 8:
        lane = turn(int.from_bytes(data[:8], "little") * p2 & ones, 31) * p1 & ones
        value = (turn(value ^ lane, 27) * p1 + p4) & ones
        data = data[8:]
    if len(data) >= 4:
        value ^= int.from_bytes(data[:4], "little") * p1 & ones
        value = (turn(value, 23) * p2 + p3) & ones
        data = data[4:]
    for byte in data:
        value = turn(value ^ byte * p5 & ones, 11) * p1 & ones
    value = (value ^ value >> 33) * p2 & ones
    value = (value ^ value >> 29) * p3 & ones
    return value ^ value >> 32


def test_version_statistics_are_hashes_of_the_version(world):
    """Two proxies with the same version can be told by a gauge: xxHash64 of the string."""
    control, proxy = world
    proxy.wait_stat("cluster.one.update_success", 1)
    stats = proxy.stats()
    for kind, name in {"cds": "cluster_manager.cds", "eds": "cluster.one",
                       "lds": "listener_manager.lds", "rds": "http.ingress.rds.routes"}.items():
        acked = wait_for(lambda k=kind: control.status(k).get("version_acked"), what=f"{kind}'s ACK")
        assert stats[name + ".version"] == xxh64(acked), name


def test_a_stream_of_its_own_ends_with_who_named_it(stub, start, origins, ads_bootstrap, dialect):
    one, two = origins("one", "two")

    def closed():
        return len([e for e in control.events(event="close")])

    own = resource("cds", {"name": "web", "type": "EDS",
                           "eds_cluster_config": {"eds_config": api_source(dialect)}})
    control = stub(rds_listener(), routes(route("/", "web")), own, endpoints("web", one))
    proxy = start(ads_bootstrap(control))
    assert proxy.get("/").text == "one"
    assert closed() == 0
    control.remove("cds", "web")
    wait_for(lambda: closed() == 1, what="the stream to end")
    control.put(own)
    wait_for(lambda: proxy.get("/").text == "one", what="the cluster to be back")
    control.end_streams()
    wait_for(lambda: closed() == 3, what="both streams to end")
    control.put(endpoints("web", two))
    wait_for(lambda: proxy.get("/").text == "two", what="both to be back")


SELF = {"self": {}, "resource_api_version": "V3"}


@difference("The API says what `self` means.", envoy="refuses a source that says self",
            xylem="asks the source that the parent came from")
@pytest.mark.parametrize("own", [False, True], ids=["ads", "own"])
def test_O05_self_is_where_the_parent_came_from(stub, start, origin, dialect, own, kind):
    """Endpoints of the cluster's source and routes of the listener's: ADS, or streams of their own."""
    control = stub(endpoints("web", origin), routes(route("/", "web")))
    made = rds_listener()
    made["filter_chains"][0]["filters"][0]["typed_config"]["rds"]["config_source"] = SELF
    control.put(made, resource("cds", {
        "name": "web", "type": "EDS", "eds_cluster_config": {"eds_config": SELF}}))
    config = xds.ads_bootstrap(control, api_type=dialect)
    if own:
        source = api_source(dialect)
        config["dynamic_resources"] = {"cds_config": source, "lds_config": source}
    proxy = start(config, ready=False)
    if kind == "envoy":
        wait_for(lambda: "Missing config source" in control.status("cds").get("nack_reason", ""),
                 what="a NACK")
        return
    wait_for(lambda: proxy.get("/").text == "origin", what="the endpoints")
    assert len({e["method"] for e in control.events(event="open")}) == (4 if own else 1)


def durations(proxy, scope):
    """How many updates had their time taken."""
    text = proxy.admin(f"/stats/prometheus?filter={re.escape(scope)}.update_duration").text
    found = re.search(r"_count(?:\{.*\})? (\d+)\n", text)
    return int(found.group(1)) if found else 0


def test_time_of_updates(stub, start, ads_bootstrap, origin):
    """Of those that were taken."""
    control = stub(rds_listener(), routes(route("/", "one")), static_cluster("one", origin))
    proxy = start(ads_bootstrap(control, stats_flush_interval="0.1s"))
    proxy.wait_stat("http.ingress.rds.routes.update_success", 1)
    control.put(routes(route("/", "one", match={"safe_regex": {"regex": "("}})))
    proxy.wait_stat("http.ingress.rds.routes.update_rejected", 1)
    control.put(routes(route("/more", "one")))
    proxy.wait_stat("http.ingress.rds.routes.update_success", 2)
    wait_for(lambda: durations(proxy, "http.ingress.rds.routes") == 2, what="those of routes")
    wait_for(lambda: durations(proxy, "cluster_manager.cds") == 1, what="those of clusters")


@difference("A histogram for each cluster, which says how long its endpoints took, would be a tenth "
            "of the memory of a cluster.",
            envoy="cluster.NAME.update_duration", xylem="no value is ever recorded there")
def test_time_of_updates_of_endpoints(world, kind):
    _, proxy = world
    proxy.wait_stat("cluster.one.update_success", 1)

    def line():
        text = proxy.admin("/stats?filter=cluster.one.update_duration").text
        return re.search("cluster.one.update_duration: (.*)", text).group(1)
    if kind == "envoy":
        wait_for(lambda: line() != "No recorded values", what="a recorded value")
    else:
        assert line() == "No recorded values"
