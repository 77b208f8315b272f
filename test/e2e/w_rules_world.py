"""Rules of removal, warming, order and reconnecting, named after the protocol reference, in both
dialects."""
import os
import resource as resource_limits
import socket
from pathlib import Path

import pytest

from harness import Client, Reply, Traffic, difference, direct, route, wait_for
from harness.config import hcm, http_listener, socket_address
from harness.client import free_port
from harness.origin import Hold
from harness.stub import resource
from harness.xds import (STATE_OF_THE_WORLD, eds_cluster, endpoints, listener, names_of,
                         rds_listener, routes, static_cluster)

KINDS = ["cds", "eds", "lds", "rds"]


only_world = pytest.mark.parametrize("dialect", [STATE_OF_THE_WORLD], indirect=True)


@pytest.fixture
def world(stub, start, origin, ads_bootstrap):
    control = stub(rds_listener(), routes(route("/", "one")), eds_cluster("one"),
                   endpoints("one", origin))
    proxy = start(ads_bootstrap(control))
    for kind in KINDS:
        control.wait(kind)
    return control, proxy


def refuses(port):
    try:
        Client(port).close()
    except ConnectionRefusedError:
        return True
    return False


def test_R01_a_listener_that_is_absent_is_deleted(world):
    control, proxy = world
    port = proxy.port()
    control.remove("lds", "ingress")
    control.wait("lds")
    wait_for(lambda: refuses(port), what="the listener to close")
    assert proxy.listeners() == []


def test_R01_an_empty_response_deletes_all_clusters(world):
    control, proxy = world
    control.change(remove=[("cds", "one"), ("eds", "one")])
    control.wait("cds")
    wait_for(lambda: proxy.get("/").status == 503, what="the cluster to go")
    assert proxy.stat("cluster_manager.active_clusters") == 1


@only_world
@pytest.mark.parametrize("kind_of_resource", ["rds", "eds"])
def test_R02_absence_of_routes_and_endpoints_changes_nothing(world, kind_of_resource):
    control, proxy = world
    control.send(kind_of_resource, version_info="empty", resources=[])
    control.wait(kind_of_resource)
    assert proxy.get("/").text == "origin"


def test_R04_a_resource_that_never_comes_is_given_up(stub, start, ads_bootstrap, silent):
    control = stub(slow_routes("0.3s"))
    silent(control, "rds")
    proxy = start(ads_bootstrap(control))
    proxy.wait_stat("http.ingress.rds.routes.init_fetch_timeout", 1)
    assert proxy.get("/").status == 404
    control.put(routes(direct(200, "late")))
    control.clear_faults()
    control.wait("rds")
    wait_for(lambda: proxy.get("/").text == "late", what="the late routes")


def slow_routes(timeout):
    """A listener that waits for its routes for so long."""
    made = rds_listener()
    source = made["filter_chains"][0]["filters"][0]["typed_config"]["rds"]["config_source"]
    source["initial_fetch_timeout"] = timeout
    return made


def test_R07_a_port_can_move_between_listeners(world):
    control, proxy = world
    port = proxy.port()
    control.change(put=[listener("other", socket_address(port), routes=[direct(200, "other")])],
                   remove=[("lds", "ingress")])
    control.wait("lds")

    def served():
        with Client(port) as client:
            return client.get("/").text == "other"
    wait_for(served, what="the other listener on the same port")


def test_R08_a_route_outlives_its_cluster(world):
    control, proxy = world
    with proxy.client() as client:
        assert client.get("/").text == "origin"
        control.remove("cds", "one")
        control.wait("cds")
        wait_for(lambda: client.get("/").status == 503, what="503 without the cluster")
        assert proxy.stat("http.ingress.no_cluster") >= 1
        control.put(eds_cluster("one"))
        control.wait("cds")
        wait_for(lambda: client.get("/").text == "origin", what="the cluster to be back")


def test_R09_static_resources_stay_as_they_are(stub, start, origins, ads_bootstrap):
    mine, theirs = origins("mine", "theirs")
    from harness.config import cluster
    control = stub(listener("second", routes=[direct(200)]), static_cluster("fixed", theirs))
    proxy = start(ads_bootstrap(
        control, clusters=[cluster("fixed", mine)],
        listeners=[http_listener("ingress", routes=[route("/", "fixed")])]))
    control.wait("lds")
    assert proxy.get("/").text == "mine"
    control.change(remove=[("cds", "fixed"), ("lds", "second")])
    control.wait("lds")
    assert proxy.get("/").text == "mine"


def test_M01_a_new_cluster_is_unknown_until_its_endpoints_come(world, origins, silent):
    control, proxy = world
    two, = origins("two")
    silent(control, "eds")
    control.put(eds_cluster("two"), routes(route("/two", "two"), route("/", "one")))
    control.wait("rds")
    proxy.wait_stat("cluster_manager.warming_clusters", 1)
    wait_for(lambda: proxy.get("/two").status == 503, what="503 while warming")
    assert proxy.get("/").text == "origin"
    control.put(endpoints("two", two))
    control.clear_faults()
    control.wait("eds")
    wait_for(lambda: proxy.get("/two").text == "two", what="the warm cluster")


def test_M02_the_old_cluster_serves_until_the_new_one_is_warm(world, origins, silent):
    control, proxy = world
    two, = origins("two")
    silent(control, "eds")
    with Traffic(proxy.port(), expect=["origin", "two"]) as traffic:
        changed = eds_cluster("one")
        changed["eds_cluster_config"]["service_name"] = "elsewhere"
        control.put(changed)
        proxy.wait_stat("cluster_manager.warming_clusters", 1)
        traffic.go_on()
        assert set(traffic.bodies[-10:]) == {"origin"}
        assert proxy.stat("cluster.one.update_success") == 1
        control.put(endpoints("elsewhere", two))
        control.clear_faults()
        traffic.wait_only("two")
    assert proxy.stat("cluster.one.update_success") == 2


@difference("Rule M03: a server need not send unchanged endpoints again when a cluster changes.",
            envoy="keeps the changed cluster warming until the endpoints are sent again or the "
                  "fetch times out", xylem="uses the endpoints it has")
def test_M03_a_changed_cluster_keeps_endpoints_that_are_not_sent_again(world, kind):
    control, proxy = world
    control.fault(type="eds", hold=True)
    with Traffic(proxy.port(), expect=["origin"]) as traffic:
        control.put(eds_cluster("one", connect_timeout="3s"))
        if kind == "xylem":
            control.wait("cds")
            proxy.wait_stat("cluster_manager.cluster_modified", 1)
            proxy.wait_stat("cluster_manager.warming_clusters", 0)
        traffic.go_on()
    assert proxy.get("/").text == "origin"


def test_M04_a_dns_cluster_is_used_once_it_is_resolved(world, origin):
    control, proxy = world
    ends = {"cluster_name": "named", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {
        "socket_address": {"address": "localhost", "port_value": origin.port}}}}]}]}
    control.put(resource("cds", {"name": "named", "type": "STRICT_DNS", "connect_timeout": "1s",
                                 "dns_lookup_family": "V4_ONLY", "load_assignment": ends}))
    control.wait("cds")
    proxy.wait_stat("cluster.named.membership_healthy", 1)
    control.put(routes(direct(200, "x", prefix="/x"), route("/", "named")))
    control.wait("rds")
    wait_for(lambda: proxy.get("/x").text == "x", what="the new routes")
    assert proxy.get("/").text == "origin"


def test_M05_a_listener_waits_for_its_routes(world, silent):
    control, proxy = world
    silent(control, "rds")
    control.put(rds_listener("second", routes="more"))
    control.wait("lds")
    proxy.wait_stat("listener_manager.total_listeners_warming", 1)
    assert [status["name"] for status in proxy.listeners()] == ["ingress"]
    control.put(routes(direct(200, "more"), name="more"))
    control.clear_faults()
    control.wait("rds")
    assert proxy.get("/", name="second").text == "more"
    assert proxy.stat("listener_manager.total_listeners_warming") == 0


def test_M05_known_routes_are_used_without_asking_again(world):
    control, proxy = world
    count = len(control.requests("rds"))
    control.put(rds_listener("second"))
    control.wait("lds")
    assert proxy.get("/", name="second").text == "origin"
    assert len(control.requests("rds")) == count


def test_M06_the_old_listener_serves_while_the_new_one_warms(world, silent):
    control, proxy = world
    silent(control, "rds")
    with Traffic(proxy.port(), expect=["origin"]) as traffic:
        control.put(rds_listener(routes="more"))
        control.wait("lds")
        proxy.wait_stat("listener_manager.total_listeners_warming", 1)
        traffic.go_on()
        assert proxy.get("/").text == "origin"
    control.put(routes(direct(200, "more"), name="more"))
    control.clear_faults()
    control.wait("rds")
    wait_for(lambda: proxy.get("/").text == "more", what="the new listener")


def test_M07_a_changed_listener_keeps_its_socket(world):
    control, proxy = world
    port = proxy.port()
    for number in range(5):
        control.put(rds_listener(server_name=f"s{number}"))
        control.wait("lds")
        with Client(port) as client:
            assert client.get("/").text == "origin"
    assert proxy.port() == port


def test_M08_connections_of_a_removed_listener_are_drained(stub, start, ads_bootstrap):
    control = stub(listener(routes=[direct(200, "x")]))
    proxy = start(ads_bootstrap(control), args=["--drain-time-s", "1"])
    with proxy.client() as client:
        assert client.get("/").text == "x"
        control.remove("lds", "ingress")
        control.wait("lds")
        client.rest()
    proxy.wait_stat("listener_manager.total_listeners_draining", 0)


def test_M08_connections_of_an_address_that_was_left_are_drained(stub, start, ads_bootstrap):
    one, other = free_port(), free_port()
    control = stub(listener(address=socket_address(one), routes=[direct(200, "one")]))
    proxy = start(ads_bootstrap(control), args=["--drain-time-s", "1"])
    with proxy.client() as client:
        assert client.get("/").text == "one"
        control.put(listener(address=socket_address(other), routes=[direct(200, "other")]))
        control.wait("lds")
        wait_for(lambda: refuses(one), what="the old address to close")
        client.rest()
    with Client(other) as client:
        assert client.get("/").text == "other"


def test_M05_a_listener_that_warms_refuses_connections(stub, start, ads_bootstrap, silent):
    """Who connects too early is told so, and does not wait for what may never come."""
    static, warm = free_port(), free_port()
    control = stub(rds_listener("warm", address=socket_address(warm)))
    silent(control, "rds")
    proxy = start(ads_bootstrap(control, listeners=[http_listener(
        "static", address=socket_address(static), routes=[direct(200, "static")])]), ready=False)
    wait_for(lambda: control.requests("rds"), what="the request for routes")
    assert proxy.admin("/ready").status == 503
    assert refuses(static)
    assert refuses(warm)
    control.put(routes(direct(200, "warm")))
    control.clear_faults()
    wait_for(lambda: proxy.admin("/ready").status == 200, what="the proxy to be live")
    for port, text in ((static, "static"), (warm, "warm")):
        with Client(port) as client:
            assert client.get("/").text == text
    late = free_port()
    silent(control, "rds")
    control.put(rds_listener("late", routes="late", address=socket_address(late)))
    control.wait("lds")
    assert refuses(late)
    control.put(routes(direct(200, "late"), name="late"))
    control.clear_faults()
    wait_for(lambda: not refuses(late), what="the listener to be warm")
    with Client(late) as client:
        assert client.get("/").text == "late"


@difference("a port that is free again serves without a restart",
            envoy="gives the listener up for good", xylem="tries again, five times a second")
def test_M05_somebody_else_listens_first(stub, start, kind, ads_bootstrap, silent):
    """An address that is bound is not kept: who listens on it first has it."""
    port = free_port()
    control = stub(rds_listener("late", address=socket_address(port)))
    silent(control, "rds")
    proxy = start(ads_bootstrap(control), ready=False)
    wait_for(lambda: control.requests("rds"), what="the request for routes")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        control.put(routes(direct(200, "late")))
        control.clear_faults()
        wait_for(lambda: proxy.admin("/ready").status == 200, what="the proxy to be live")
        proxy.wait_stat("listener_manager.listener_create_failure", 1)
        proxy.wait_stat("listener_manager.total_listeners_active", 0)
        assert proxy.listeners() == []
        assert "cannot listen" in proxy.log()
    if kind == "xylem":
        wait_for(lambda: not refuses(port), what="the listener")
        with Client(port) as client:
            assert client.get("/").text == "late"
        proxy.wait_stat("listener_manager.total_listeners_active", 1)
        assert [status["name"] for status in proxy.listeners()] == ["late"]
    else:
        assert refuses(port)
    assert proxy.stat("listener_manager.listener_create_failure") == 1


def inodes(port):
    """Of the sockets that listen there."""
    return {line.split()[9] for line in Path("/proc/net/tcp").read_text().splitlines()
            if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"}


def test_M06_other_socket_options_are_another_socket(stub, start, ads_bootstrap):
    port = free_port()

    def made(text, options=(), **more):
        return resource("lds", {"name": "ingress", "address": socket_address(port),
                                "filter_chains": [{"filters": [hcm(routes=[direct(200, text)])]}],
                                "socket_options": list(options), **more})

    def option(name):
        return {"level": 1, "name": name, "int_value": 1, "state": "STATE_PREBIND"}

    control = stub(made("one"))
    proxy = start(ads_bootstrap(control))
    assert proxy.get("/").text == "one"
    first = inodes(port)
    control.put(made("two"))
    control.wait("lds")
    wait_for(lambda: proxy.get("/").text == "two", what="an update")
    assert inodes(port) == first
    control.put(made("three", [option(9)]))     # SO_KEEPALIVE
    control.wait("lds")
    wait_for(lambda: proxy.get("/").text == "three", what="the option")
    wait_for(lambda: not inodes(port) & first, what="the old sockets to close")
    second = inodes(port)
    control.put(made("four", [option(9999)]))
    assert "socket option" in control.wait("lds", "NACKED")["nack_reason"]
    control.put(made("five", [option(9)], enable_reuse_port=False))
    assert "Listener ingress: reuse port cannot be changed during an update" in \
        control.wait("lds", "NACKED")["nack_reason"]
    assert proxy.get("/").text == "three"
    assert inodes(port) == second


def one_descriptor_left(pid):
    """Takes all others; gives back the limits to be set again."""
    held = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    free = [n for n in range(max(held) + 3) if n not in held]
    return resource_limits.prlimit(pid, resource_limits.RLIMIT_NOFILE, (
        free[1], resource_limits.prlimit(pid, resource_limits.RLIMIT_NOFILE)[1]))


def test_M06_a_listener_waits_for_descriptors(stub, start, ads_bootstrap):
    """Too few are left when it comes: it serves once there are some again."""
    port = free_port()
    control = stub(listener(routes=[direct(200, "one")]))
    proxy = start(ads_bootstrap(control), concurrency=1)
    with proxy.client() as client:
        assert client.get("/").text == "one"
        before = one_descriptor_left(proxy.process.pid)
        control.put(listener("second", address=socket_address(port), routes=[direct(200, "two")]))
        answer = control.wait("lds", None)
        assert client.get("/").text == "one"    # the worker has heard of it, too
    resource_limits.prlimit(proxy.process.pid, resource_limits.RLIMIT_NOFILE, before)
    assert answer["status"] == "ACKED"
    with Client(port) as client:
        assert client.get("/").text == "two"


def chains(*second):
    """A listener whose first filter chain takes whoever comes here."""
    return resource("lds", {
        "name": "ingress", "address": socket_address(), "filter_chains": [
            {"name": "loopback", "filter_chain_match": {"source_prefix_ranges": [
                {"address_prefix": "127.0.0.0", "prefix_len": 8}]},
             "filters": [hcm(routes=[direct(200, "loopback")])]},
            *({"name": "rest", "filters": [hcm(routes=[direct(200, text)])]} for text in second)]})


def test_M09_untouched_filter_chains_keep_their_connections(stub, start, ads_bootstrap):
    control = stub(chains("one"))
    proxy = start(ads_bootstrap(control), args=["--drain-time-s", "1"])
    with Traffic(proxy.port(), expect=["loopback"]) as traffic:
        control.put(chains("two"))
        control.wait("lds")
        proxy.wait_stat("listener_manager.total_filter_chains_draining", 0)
        traffic.go_on()


def test_M10_routes_to_unknown_clusters_are_accepted(world):
    control, proxy = world
    control.put(routes(route("/", "nobody")))
    control.wait("rds")
    wait_for(lambda: proxy.get("/").status == 503, what="503")


def test_M11_M12_clusters_move_without_a_failed_request(world, origins):
    """Make before break, in one push: a new cluster, the routes to it, the old one gone."""
    control, proxy = world
    names = ["one", "two", "three", "four"]
    ends = dict(zip(names[1:], origins(*names[1:]), strict=True))
    with Traffic(proxy.port(), expect=["origin", *names[1:]]) as traffic:
        for old, new in zip(names, names[1:], strict=False):
            control.put(eds_cluster(new), endpoints(new, ends[new]))
            control.wait("cds")
            control.put(routes(route("/", new)))
            traffic.wait_only(new)
            control.change(remove=[("cds", old), ("eds", old)])
            control.wait("cds")
            traffic.go_on()


def test_M11_a_new_stream_asks_for_clusters_first(world):
    """What listeners and routes name is asked for before them, so that it is there before them."""
    control, _ = world
    stream = control.requests()[-1]["stream"]
    control.end_streams()
    control.wait_requests("rds", len(control.requests("rds")) + 1)
    order = [r["type"].rpartition(".")[2] for r in control.requests() if r["stream"] != stream]
    assert order[:4] == ["Cluster", "ClusterLoadAssignment", "Listener", "RouteConfiguration"]


def test_M12_requests_in_flight_outlive_their_cluster(world, origin):
    control, proxy = world
    origin.on["/slow"] = Reply(body=b"slow", hold=Hold())
    with proxy.client() as client:
        client.write_request("GET", "/slow")
        wait_for(lambda: origin.on["/slow"].hold.reached, what="the request at the origin")
        control.put(routes(direct(200, "moved")))
        control.change(remove=[("cds", "one"), ("eds", "one")])
        wait_for(lambda: proxy.stat("cluster_manager.active_clusters") == 1,
                 what="the cluster to go")
        wait_for(lambda: proxy.get("/").text == "moved", what="the new routes")
        origin.on["/slow"].hold.release()
        assert client.response().text == "slow"


def test_M13_endpoints_are_asked_for_once_with_all_names(stub, start, origin, ads_bootstrap,
                                                         dialect):
    names = [f"c{n}" for n in range(20)]
    control = stub(*[eds_cluster(n) for n in names], *[endpoints(n, origin) for n in names],
                   listener(routes=[route("/", "c0")]))
    proxy = start(ads_bootstrap(control))
    assert proxy.get("/").text == "origin"
    assert sorted(names_of(control.requests("eds")[0])) == sorted(names)


def test_M14_the_proxy_is_live_when_all_has_come(stub, start, origin, ads_bootstrap, silent):
    control = stub(rds_listener(), eds_cluster("one"), endpoints("one", origin))
    silent(control, "rds")
    proxy = start(ads_bootstrap(control), ready=False)
    control.wait("eds")
    wait_for(lambda: control.requests("rds"), what="the request for routes")
    assert proxy.admin("/ready").status == 503
    assert proxy.admin("/ready").text == "INITIALIZING\n"
    control.put(routes(route("/", "one")))
    control.clear_faults()
    wait_for(lambda: proxy.admin("/ready").status == 200, what="the proxy to be live")
    assert proxy.get("/").text == "origin"
    order = [r["type"].rpartition(".")[2] for r in control.requests() if r["meaning"] == "first"]
    assert order == ["Cluster", "ClusterLoadAssignment", "Listener", "RouteConfiguration"]


def test_M15_a_bad_first_update_lets_the_proxy_start(stub, start, ads_bootstrap):
    control = stub(resource("cds", {"name": "bad", "type": "EDS", "connect_timeout": "1s"}),
                   listener(routes=[direct(200, "up")]))
    proxy = start(ads_bootstrap(control, cds_fields={"initial_fetch_timeout": "0s"}))
    control.wait("cds", "NACKED")
    assert proxy.get("/").text == "up"


def test_M16_default_filter_chain_takes_what_matches_nothing(stub, start, ads_bootstrap):
    control = stub(resource("lds", {
        "name": "ingress", "address": socket_address(),
        "filter_chains": [{"filter_chain_match": {"destination_port": 1},
                           "filters": [hcm(routes=[direct(200, "never")])]}],
        "default_filter_chain": {"filters": [hcm(routes=[direct(200, "default")])]}}))
    assert start(ads_bootstrap(control)).get("/").text == "default"


def test_T01_startup_goes_on_when_the_first_fetch_takes_too_long(stub, start, ads_bootstrap):
    control = stub(listener(routes=[direct(200, "x")]))
    control.fault(type="cds", hold=True)
    proxy = start(ads_bootstrap(control, cds_fields={"initial_fetch_timeout": "0.2s"}))
    assert proxy.get("/").text == "x"
    assert proxy.stat("cluster_manager.cds.init_fetch_timeout") == 1


def test_T02_the_stream_comes_back(world):
    control, proxy = world
    for _ in range(2):
        streams = len(control.events(event="open"))
        control.end_streams()
        wait_for(lambda before=streams: len(control.events(event="open")) > before,
                 what="a new stream")
        wait_for(lambda: proxy.stat("control_plane.connected_state") == 1, what="connected")
    control.put(routes(direct(200, "after")))
    wait_for(lambda: proxy.get("/").text == "after", what="updates on the new stream")


def test_T03_a_lost_control_plane_changes_nothing(world):
    control, proxy = world
    with Traffic(proxy.port(), expect=["origin"]) as traffic:
        control.kill()
        proxy.wait_stat("control_plane.connected_state", 0)
        traffic.go_on(100)
    assert proxy.stat("cluster_manager.cluster_removed") == 0
    assert proxy.stat("listener_manager.listener_removed") == 0


def test_T04_a_restarted_control_plane_is_told_everything(world, dialect):
    control, proxy = world
    versions = {kind: control.status(kind)["version_acked"] for kind in KINDS}
    with Traffic(proxy.port(), expect=["origin", "after"]) as traffic:
        control.kill()
        control.start()
        for kind in KINDS:
            first = control.wait_requests(kind, 1, bound=20)[0]
            if dialect == STATE_OF_THE_WORLD:
                assert first["version_info"] == versions[kind]
            else:
                assert len(first["initial_resource_versions"]) == 1
        assert names_of(control.requests("rds")[0]) == ["routes"]
        assert names_of(control.requests("eds")[0]) == ["one"]
        proxy.wait_stat("control_plane.connected_state", 1)
        traffic.go_on()
        control.put(routes(direct(200, "after")))
        traffic.wait_only("after")


def test_T04_the_control_plane_may_come_after_the_proxy(stub, start, ads_bootstrap):
    control = stub(listener(routes=[direct(200, "x")]))
    control.kill()
    proxy = start(ads_bootstrap(control), ready=False)
    proxy.wait_stat("cluster.xds.upstream_cx_connect_fail", lambda n: n >= 1)
    control.start()
    assert wait_for(lambda: proxy.get("/").text, 20, "the first configuration") == "x"


def test_T05_a_silent_connection_is_noticed(stub, start, ads_bootstrap):
    """HTTP/2 PING on the control channel, where the cluster asks for it."""
    from harness.xds import xds_cluster
    control = stub(listener(routes=[direct(200, "x")]))
    config = ads_bootstrap(control)
    keepalive = {"explicit_http_config": {"http2_protocol_options": {
        "connection_keepalive": {"interval": "0.2s", "timeout": "0.2s"}}}}
    options = xds_cluster(control)["typed_extension_protocol_options"]
    options["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"].update(keepalive)
    config["static_resources"]["clusters"][0]["typed_extension_protocol_options"] = options
    proxy = start(config)
    import signal
    control.process.send_signal(signal.SIGSTOP)
    try:
        proxy.wait_stat("control_plane.connected_state", 0)
        assert proxy.get("/").text == "x"
    finally:
        control.process.send_signal(signal.SIGCONT)
    proxy.wait_stat("control_plane.connected_state", 1, bound=20)


def test_M08_what_drains_is_counted(stub, start, ads_bootstrap):
    """For the whole time that it may take, whether anybody is connected or not."""
    control = stub(chains("rest"), listener("second", routes=[direct(200, "second")]),
                   listener("third", routes=[direct(200, "third")]))
    proxy = start(ads_bootstrap(control), args=["--drain-time-s", "2"])
    control.change(remove=[("lds", "second"), ("lds", "third")])
    control.wait("lds")
    proxy.wait_stat("listener_manager.total_listeners_draining", 2)
    control.put(chains())
    control.wait("lds")
    proxy.wait_stat("listener_manager.total_filter_chains_draining", 1)
    proxy.wait_stat("listener_manager.total_listeners_draining", 0)
    proxy.wait_stat("listener_manager.total_filter_chains_draining", 0)
