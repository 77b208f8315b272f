"""Whole route tables, made at random: Xylem answers and forwards each request as Envoy does."""
import pytest

from harness import Origin, Reply, bootstrap, cluster, http_listener
from harness.route_tables import Maker

CLUSTERS = ["c0", "c1", "c2"]
REQUESTS = 100
TIMED = {"date", "x-envoy-upstream-service-time", "x-request-id"}


@pytest.fixture
def upstreams(closing):
    """An origin a cluster, each with headers that routes add to, overwrite and remove."""
    made = [closing(Origin(name)) for name in CLUSTERS]
    for one in made:
        one.reply = Reply(headers=[("x-origin", one.name), ("x-many", "1"), ("x-many", "2"),
                                   ("cache-control", "a"), ("cache-control", "b"),
                                   ("server", "origin")])
    return made


def fields(headers):
    """Headers in the order of their names; those that tell the time or are random by name alone."""
    return sorted(((name.lower(), "..." if name.lower() in TIMED else value)
                   for name, value in headers), key=lambda pair: pair[0])


def seen(proxy, upstreams, request):
    """What the client got, and what the origin did."""
    method, path, host, headers = request
    before = [len(one.requests) for one in upstreams]
    with proxy.client() as client:
        answer = client.request(method, path, host=host, headers=headers)
    got = [(one.name, r.method, r.target, fields(r.headers))
           for one, count in zip(upstreams, before) for r in one.requests[count:]]
    return {"status": answer.status, "headers": fields(answer.headers), "body": answer.body,
            "origin": got}



def differences(start_both, upstreams, seed, count):
    """[(request, Envoy's, Xylem's)] of the requests that differ."""
    maker = Maker(seed, CLUSTERS)
    config = bootstrap([http_listener(**maker.manager())],
                       [cluster(one.name, one) for one in upstreams])
    requests = [maker.request() for _ in range(count)]
    tables = []
    for kind in ("envoy", "xylem"):
        proxy = start_both(config, kind=kind)
        tables.append([seen(proxy, upstreams, request) for request in requests])
        proxy.stop()
    return [(request, envoy, xylem) for request, envoy, xylem in zip(requests, *tables)
            if envoy != xylem]


@pytest.mark.parametrize("seed", range(6))
def test_random_tables_are_served_as_by_envoy(start_both, upstreams, seed):
    found = differences(start_both, upstreams, seed, REQUESTS)
    assert not found, f"{len(found)} of {REQUESTS} differ, the first: {found[0]}"
