"""A control plane of one's own: snapshots, as most servers of the field serve them."""
import pytest

from harness import Traffic, difference, route, wait_for
from harness.config import add_header
from harness.snapshots import SnapshotServer
from harness.xds import eds_cluster, endpoints, rds_listener, routes, static_cluster


def world(turn, origins, to=None, broken=False, comes_and_goes=False, **manager):
    """A snapshot in which each type changes with its turn."""
    to = to or f"c{turn % 3}"
    names = [to, "always"] if comes_and_goes else ["c0", "c1", "c2", "always"]
    made = route("/", to, response_headers_to_add=[add_header("x-turn", str(turn))])
    if broken:
        made["match"] = {"safe_regex": {"regex": "("}}
    return [rds_listener(**manager), routes(made, route("/always", "always")),
            *[eds_cluster(name, connect_timeout=f"{5 + turn % 2}s") for name in names],
            *[endpoints(name, origins[turn % len(origins)]) for name in names]]


@pytest.fixture
def server(closing):
    def run(*resources, **kw):
        return closing(SnapshotServer(*resources, **kw))
    return run


def turn_on(control, proxy, turn, *resources):
    """Serves these, and waits until they are accepted and served."""
    now = control.put(*resources)
    wait_for(lambda: control.has_accepted(now), 15, f"turn {turn}")
    wait_for(lambda: proxy.get("/").header("x-turn") == str(turn), 15, f"turn {turn}")


def test_snapshots_change_under_traffic(server, start, origins, ads_bootstrap):
    backends = origins("a", "b")
    control = server(*world(0, backends))
    proxy = start(ads_bootstrap(control))
    assert control.node == "test"
    with Traffic(proxy.port(), expect=["a", "b"]) as traffic:
        for turn in range(1, 13):
            turn_on(control, proxy, turn, *world(turn, backends))
            traffic.go_on()
    assert not control.refused
    assert proxy.stat("control_plane.connected_state") == 1


@difference("Make before break: a server that tells of all types at once need not get the order right.",
            envoy="answers 503 while the route names a cluster that has gone or has not come",
            xylem="fails no request")
def test_clusters_come_and_go_with_their_routes(server, start, origins, ads_bootstrap, kind):
    backends = origins("a", "b")
    control = server(*world(0, backends, comes_and_goes=True))
    proxy = start(ads_bootstrap(control), args=() if kind == "envoy" else ("--route-hold-ms", "60000"))
    with Traffic(proxy.port(), expect=["a", "b"]) as traffic:
        if kind == "envoy":
            traffic.stop()
        for turn in range(1, 13):
            turn_on(control, proxy, turn, *world(turn, backends, comes_and_goes=True))
            if kind == "xylem":
                traffic.go_on()
    assert not control.refused


def test_a_refused_snapshot_is_told_once(server, start, origins, ads_bootstrap):
    backends = origins("a", "b")
    control = server(*world(0, backends))
    proxy = start(ads_bootstrap(control))
    control.put(*world(0, backends, broken=True))
    wait_for(lambda: control.refused, 15, "the refusal")
    assert "missing ): (" in control.refused[0][1]
    assert proxy.get("/").header("x-turn") == "0"
    now = control.put(*world(4, backends))
    wait_for(lambda: control.has_accepted(now), 15, "the next one")
    wait_for(lambda: proxy.get("/").header("x-turn") == "4", 15, "the next one")
    assert len(control.refused) == 1


@pytest.mark.parametrize("length", range(3, 6))     # what is told of a resource ends elsewhere
def test_A06_a_refusal_is_text_however_long(server, start, origins, ads_bootstrap, length):
    backends = origins("a", "b")
    control = server(*world(0, backends))
    proxy = start(ads_bootstrap(control))
    bad = [static_cluster("\N{EURO SIGN}" * 300 + "x" * length + str(i), backends[0], lb_policy=9)
           for i in range(10)]
    control.put(*world(0, backends), *bad)
    wait_for(lambda: control.refused, 15, "the refusal")
    now = control.put(*world(4, backends))
    wait_for(lambda: control.has_accepted(now), 15, "the next one")
    assert len(control.streams) == 1 and len(control.refused) == 1


@difference("A server that answers a refusal with what was refused costs no processor and fills no log: "
            "the second time it waits half a second for its answer.",
            envoy="is answered at once, hundreds of times a second",
            xylem="is answered twice a second; the log tells it once")
def test_A14_a_server_that_insists(server, start, origins, ads_bootstrap, kind):
    backends = origins("a", "b")
    control = server(*world(0, backends), insists=True)
    proxy = start(ads_bootstrap(control))
    control.put(*world(0, backends, broken=True))
    wait_for(lambda: len(control.refused) >= 4, 15, "four refusals")
    first, second, third, fourth = [when for _, _, when in control.refused[:4]]
    if kind == "xylem":
        assert third - second >= 0.4 and fourth - third >= 0.4
        assert proxy.log().count("missing ): (") == 2   # of the resource, and of the response
    with Traffic(proxy.port(), expect=["a", "b"]):
        turn_on(control, proxy, 4, *world(4, backends))
    before = len(control.refused)
    turn_on(control, proxy, 5, *world(5, backends))
    assert len(control.refused) == before


def test_a_restart_with_the_same_world_changes_nothing(server, start, origins, ads_bootstrap):
    backends = origins("a", "b")
    control = server(*world(0, backends))
    proxy = start(ads_bootstrap(control))
    wait_for(lambda: len(control.accepted) >= 4, 15, "all types")
    before = proxy.stats()
    control.stop()
    with Traffic(proxy.port(), expect=["a"]) as traffic:
        traffic.go_on()
        again = server(*world(0, backends), port=control.xds_port)
        wait_for(lambda: again.streams and len(again.streams[0].watches) >= 4, 30, "all types")
        again.put(*world(0, backends), static_cluster("new", backends[0]))
        wait_for(lambda: proxy.stats().get("cluster.new.membership_total") == 1, 15, "its cluster")
        traffic.go_on()
    after = proxy.stats()
    for name in ("listener_manager.listener_modified", "cluster_manager.cluster_modified",
                 "cluster_manager.cluster_removed"):
        assert after[name] == before[name], name
