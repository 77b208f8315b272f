"""Load balancers and the health that the configuration declares."""
import pytest

from harness import Reply, bootstrap, cluster, endpoint, http_listener, route, wait_for


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


def test_membership_is_counted(start, origins):
    a, b, c = origins("a", "b", "c")
    proxy = through(start, a, endpoint(b, health_status="UNHEALTHY"),
                    endpoint(c, health_status="DEGRADED"))
    stats = proxy.stats(r"^cluster\.one\.membership")
    assert {name.rpartition("_")[2]: value for name, value in stats.values.items()
            if not name.endswith("change")} == {
        "total": 3, "healthy": 1, "degraded": 1, "excluded": 0}
