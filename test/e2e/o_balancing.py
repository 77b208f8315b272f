"""Load balancers and the health that the configuration declares."""
import pytest

from harness import (Reply, bootstrap, cluster, difference, endpoint, http_listener, route,
                     wait_for, xds)
from harness.stub import resource


def spread(proxy, total, **kw):
    seen = {}
    with proxy.client() as client:
        for _ in range(total):
            text = client.get("/", **kw).text
            seen[text] = seen.get(text, 0) + 1
    return seen


def through(start, *targets, **fields):
    return start(bootstrap([http_listener(routes=[route("/", "one")])],
                           [cluster("one", *targets, **fields)]))


def policy_list(type_name, **config):
    return {"policies": [{"typed_extension_config": {"name": "it", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.load_balancing_policies." + type_name,
        **config}}}]}


def test_round_robin_takes_turns(start, origins):
    proxy = through(start, *origins("a", "b", "c"))
    assert spread(proxy, 30) == {"a": 10, "b": 10, "c": 10}


def test_round_robin_follows_weights(start, origins):
    a, b, c = origins("a", "b", "c")
    proxy = through(start, endpoint(a, load_balancing_weight=1), endpoint(
        b, load_balancing_weight=2), endpoint(c, load_balancing_weight=3))
    assert spread(proxy, 60) == {"a": 10, "b": 20, "c": 30}


def test_round_robin_with_weights_is_smooth(start, origins):
    a, b = origins("a", "b")
    proxy = through(start, endpoint(a, load_balancing_weight=1),
                    endpoint(b, load_balancing_weight=3))
    with proxy.client() as client:
        order = [client.get("/").text for _ in range(40)]
    for begin in range(0, 40, 4):
        assert order[begin:begin + 4].count("a") == 1


def test_least_request_avoids_the_busy_endpoint(start, origins):
    a, b = origins("a", "b")
    holds = {origin.name: origin.hold() for origin in (a, b)}
    for origin in (a, b):
        origin.on["/held"] = Reply(hold=holds[origin.name])
    proxy = through(start, a, b, lb_policy="LEAST_REQUEST",
                    least_request_lb_config={"choice_count": 10})
    with proxy.client() as held:
        held.write_request(path="/held")
        wait_for(lambda: a.requests or b.requests, 10, "the request at an origin")
        busy = "a" if a.requests else "b"
        seen = spread(proxy, 20)
        # 10 draws out of two: the busy one wins only when all draws hit it (0.1 %)
        assert seen.get(busy, 0) <= 2
        for hold in holds.values():
            hold.release()
        assert held.response().status == 200


def test_a_full_scan_finds_the_idle_endpoint(start, origins):
    group = origins(*"abcdef")
    for origin in group:
        origin.on["/held"] = Reply(hold=origin.hold())
    proxy = through(start, *group, load_balancing_policy=policy_list(
        "least_request.v3.LeastRequest", selection_method="FULL_SCAN"))
    clients = [proxy.client() for _ in group[1:]]
    for count, client in enumerate(clients, 1):
        # each of them goes where none is yet: two choices of six would soon miss
        client.write_request(path="/held")
        wait_for(lambda n=count: sum(len(o.requests) for o in group) == n, 10, "it at an origin")
    idle, = [origin for origin in group if not origin.requests]
    assert spread(proxy, 20) == {idle.name: 20}
    for origin in group:
        origin.on["/held"].hold.release()
    for client in clients:
        assert client.response().status == 200
        client.close()


def test_random_reaches_everyone(start, origins):
    proxy = through(start, *origins("a", "b", "c"), lb_policy="RANDOM")
    seen = spread(proxy, 300)
    assert set(seen) == {"a", "b", "c"}
    assert min(seen.values()) >= 50  # binomial: mean 100, deviation 8.2


@pytest.mark.parametrize("policy", ["ROUND_ROBIN", "LEAST_REQUEST", "RANDOM"])
@pytest.mark.parametrize("status", ["UNHEALTHY", "DRAINING", "TIMEOUT"])
def test_endpoints_declared_unfit_get_nothing(start, origins, policy, status):
    good, bad, other = origins("good", "bad", "other")
    proxy = through(start, good, endpoint(bad, health_status=status), other, lb_policy=policy)
    assert set(spread(proxy, 30)) == {"good", "other"}


def test_degraded_endpoints_wait_for_their_turn(start, origins):
    a, b, c, weak = origins("a", "b", "c", "weak")
    proxy = through(start, a, b, c, endpoint(weak, health_status="DEGRADED"))
    assert spread(proxy, 30) == {"a": 10, "b": 10, "c": 10}


def test_degraded_endpoints_help_when_half_is_degraded(start, origins):
    good, weak = origins("good", "weak")
    proxy = through(start, good, endpoint(weak, health_status="DEGRADED"))
    seen = spread(proxy, 500)
    # half healthy times the factor 1.4 is 70 %: mean 350, deviation 10.2
    assert 288 <= seen["good"] <= 412


def test_all_unhealthy_panics_and_uses_everyone(start, origins):
    a, b = origins("a", "b")
    proxy = through(start, endpoint(a, health_status="UNHEALTHY"),
                    endpoint(b, health_status="UNHEALTHY"))
    assert spread(proxy, 20) == {"a": 10, "b": 10}
    assert proxy.stat("cluster.one.lb_healthy_panic") == 20


def test_panic_threshold_0_answers_503(start, origins):
    a, = origins("a")
    proxy = through(start, endpoint(a, health_status="UNHEALTHY"),
                    common_lb_config={"healthy_panic_threshold": {"value": 0}})
    answer = proxy.get("/")
    assert (answer.status, answer.text) == (503, "no healthy upstream")


def prioritized(start, *groups, policy=None, **fields):
    """A cluster with a group of endpoints for each priority, the first one first."""
    return start(bootstrap(
        [http_listener(routes=[route("/", "one")])],
        [cluster("one", load_assignment={"cluster_name": "one", "policy": policy or {}, "endpoints": [
            {"priority": at, "lb_endpoints": group} for at, group in enumerate(groups)]},
            **fields)]))


def test_draining_endpoints_make_nobody_panic(start, origins):
    a, b, c = origins("a", "b", "c")
    proxy = through(start, endpoint(a, health_status="DRAINING"),
                    endpoint(b, health_status="DRAINING"), c)
    assert spread(proxy, 30) == {"c": 30}
    assert proxy.stat("cluster.one.lb_healthy_panic") == 0
    assert proxy.stat("cluster.one.membership_excluded") == 2


def test_draining_endpoints_send_nothing_to_the_next_priority(start, origins):
    a, b, good, bad, second = origins("a", "b", "good", "bad", "second")
    proxy = prioritized(start, [endpoint(a, health_status="DRAINING"),
                                endpoint(b, health_status="DRAINING"), endpoint(good),
                                endpoint(bad, health_status="UNHEALTHY")], [endpoint(second)])
    seen = spread(proxy, 500)
    assert set(seen) == {"good", "second"}
    # one of two times the factor 1.4 is 70 %: mean 350, deviation 10.2
    assert 288 <= seen["good"] <= 412


def test_all_draining_share_by_number(start, origins):
    a, b, second = origins("a", "b", "second")
    proxy = prioritized(start, [endpoint(a, health_status="DRAINING"),
                                endpoint(b, health_status="DRAINING")],
                        [endpoint(second, health_status="UNHEALTHY")])
    seen = spread(proxy, 500)
    # 67 to 33 percent: mean 165, deviation 10.5
    assert 102 <= seen["second"] <= 228
    assert proxy.stat("cluster.one.lb_healthy_panic") == 500


@pytest.mark.parametrize("drains", [False, True])
def test_health_of_a_priority_by_weights(start, origins, drains):
    good, bad, gone, second = origins("good", "bad", "gone", "second")
    first = [endpoint(good, load_balancing_weight=1),
             endpoint(bad, load_balancing_weight=3, health_status="UNHEALTHY")]
    if drains:
        first.append(endpoint(gone, load_balancing_weight=4, health_status="DRAINING"))
    proxy = prioritized(start, first, [endpoint(second)],
                        policy={"weighted_priority_health": True, "overprovisioning_factor": 100})
    seen = spread(proxy, 500)
    # a quarter: mean 125, deviation 9.7
    assert 67 <= seen["good"] <= 183
    assert set(seen) == {"good", "second"}


def test_a_factor_that_leaves_nothing(start, origins):
    a, b, bad, second = origins("a", "b", "bad", "second")
    proxy = prioritized(start, [endpoint(a), endpoint(b), endpoint(bad, health_status="UNHEALTHY")],
                        [endpoint(second), endpoint(bad, health_status="UNHEALTHY")],
                        policy={"overprovisioning_factor": 1})
    assert spread(proxy, 20) == {"a": 10, "b": 10}


def test_a_static_endpoint_that_stands_twice(start, origins):
    a, b = origins("a", "b")
    proxy = through(start, a, a, b)
    assert spread(proxy, 30) == {"a": 20, "b": 10}
    assert proxy.stat("cluster.one.membership_total") == 3


def test_second_priority_serves_when_the_first_is_unhealthy(start, origins):
    first, second = origins("first", "second")
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one")])],
        [cluster("one", load_assignment={"cluster_name": "one", "endpoints": [
            {"priority": 0, "lb_endpoints": [endpoint(first, health_status="UNHEALTHY")]},
            {"priority": 1, "lb_endpoints": [endpoint(second)]}]})]))
    assert spread(proxy, 10) == {"second": 10}


def test_several_localities_are_one_pool(start, origins):
    a, b, c = origins("a", "b", "c")
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one")])],
        [cluster("one", load_assignment={"cluster_name": "one", "endpoints": [
            {"locality": {"zone": "x"}, "lb_endpoints": [endpoint(a), endpoint(b)]},
            {"locality": {"zone": "y"}, "lb_endpoints": [endpoint(c)]}]})]))
    assert spread(proxy, 30) == {"a": 10, "b": 10, "c": 10}


def test_changes_of_membership_are_counted(stub, start, origins):
    a, b, c = origins("a", "b", "c")

    def ends(first, second):
        return resource("eds", {"cluster_name": "one", "endpoints": [
            {"priority": 0, "lb_endpoints": first}, {"priority": 1, "lb_endpoints": second}]})

    control = stub(xds.rds_listener(), xds.routes(route("/", "one")), xds.eds_cluster("one"),
                   ends([endpoint(a)], [endpoint(b)]))
    proxy = start(xds.ads_bootstrap(control))

    def put(*made):
        control.put(ends(*made))
        control.wait("eds")

    proxy.wait_stat("cluster.one.membership_change", 2)     # of two priorities
    put([endpoint(a, load_balancing_weight=7)], [endpoint(b)])
    proxy.wait_stat("cluster.one.max_host_weight", lambda seen: seen in (1, 7))
    put([endpoint(a, health_status="DRAINING")], [endpoint(b)])
    proxy.wait_stat("cluster.one.membership_healthy", 1)
    assert proxy.stat("cluster.one.membership_change") == 2
    put([endpoint(a)], [endpoint(b), endpoint(c)])
    proxy.wait_stat("cluster.one.membership_change", 3)
    put([endpoint(c)], [endpoint(b)])
    proxy.wait_stat("cluster.one.membership_change", 5)
    put([], [])
    proxy.wait_stat("cluster.one.membership_change", 7)
    assert proxy.stat("cluster.one.max_host_weight") == 1


@pytest.mark.parametrize("second", [
    {"hostname": "b.test"}, {"locality": {"zone": "y"}}, {"locality": {"zone": "x", "region": "r"}}])
def test_another_name_or_locality_is_another_host(stub, start, origins, second):
    a, = origins("a")

    def ends(hostname="a.test", locality=None, **ep):
        return resource("eds", {"cluster_name": "one", "endpoints": [
            {"locality": locality or {"zone": "x"},
             "lb_endpoints": [endpoint(a, hostname=hostname, **ep)]}]})

    control = stub(xds.rds_listener(), xds.routes(route("/", "one")), xds.eds_cluster("one"), ends())
    proxy = start(xds.ads_bootstrap(control))
    assert proxy.get("/").status == 200
    control.put(ends(load_balancing_weight=7))
    proxy.wait_stat("cluster.one.update_success", 2)
    assert proxy.get("/").status == 200
    control.put(ends(**second))
    proxy.wait_stat("cluster.one.upstream_cx_destroy", 1)   # the connection of the host that was
    assert proxy.get("/").status == 200
    assert proxy.stat("cluster.one.membership_change") == 2
    assert proxy.stat("cluster.one.upstream_cx_total") == 2
    assert "::rq_total::1\n" in proxy.admin("/clusters").text


@difference("Whether an endpoint drains is told when it has come.",
            envoy="does not count an unhealthy endpoint as excluded that begins to drain",
            xylem="does")
def test_an_unhealthy_endpoint_drains(kind, stub, start, origins):
    a, b = origins("a", "b")

    def ends(status):
        return resource("eds", {"cluster_name": "one", "endpoints": [
            {"lb_endpoints": [endpoint(a), endpoint(b, health_status=status)]}]})

    control = stub(xds.rds_listener(), xds.routes(route("/", "one")), xds.eds_cluster("one"),
                   ends("UNHEALTHY"))
    proxy = start(xds.ads_bootstrap(control))
    proxy.wait_stat("cluster.one.membership_total", 2)
    control.put(ends("DRAINING"))
    if kind == "envoy":
        proxy.wait_stat("cluster.one.update_no_rebuild", 1)
        assert proxy.stat("cluster.one.membership_excluded") == 0
    else:
        proxy.wait_stat("cluster.one.membership_excluded", 1)


def test_membership_is_counted(start, origins):
    a, b, c = origins("a", "b", "c")
    proxy = through(start, a, endpoint(b, health_status="UNHEALTHY"),
                    endpoint(c, health_status="DEGRADED"))
    stats = proxy.stats(r"^cluster\.one\.membership")
    assert {name.rpartition("_")[2]: value for name, value in stats.values.items()
            if not name.endswith("change")} == {
        "total": 3, "healthy": 1, "degraded": 1, "excluded": 0}


def test_a_host_that_is_a_canary_is_counted_so(start, origins):
    a, b = origins("a", "b")
    b.reply = Reply(status=500)
    canary = {"metadata": {"filter_metadata": {"envoy.lb": {"canary": True}}}}
    proxy = through(start, endpoint(a, **canary), endpoint(b, **canary))
    for _ in range(4):
        proxy.get("/")
    stats = proxy.stats()
    assert stats["cluster.one.canary.upstream_rq_200"] == 2
    assert stats["cluster.one.canary.upstream_rq_500"] == 2
    assert stats["cluster.one.canary.upstream_rq_completed"] == 4


@difference("Each pair of zones is one more scope of each cluster, and nothing here routes by zone.",
            envoy="counts requests of a cluster also by the zones of the proxy and of the host",
            xylem="has no statistics of zones")
def test_statistics_of_zones(start, origin, kind):
    made = cluster("one", load_assignment={"cluster_name": "one", "endpoints": [
        {"locality": {"zone": "zb"}, "lb_endpoints": [endpoint(origin)]}]})
    config = bootstrap([http_listener(routes=[route("/", "one")])], [made])
    config["node"] = {"id": "n", "cluster": "c", "locality": {"zone": "za"}}
    proxy = start(config)
    assert proxy.get("/").status == 200
    proxy.wait_stat("cluster.one.upstream_rq_200", 1)
    names = {n for n in proxy.stats().values if n.startswith("cluster.one.zone.")}
    assert (names != set()) == (kind == "envoy")
    if kind == "envoy":
        assert {n.removeprefix("cluster.one.zone.za.zb.") for n in names} >= {
            "upstream_rq_200", "upstream_rq_2xx", "upstream_rq_completed"}
