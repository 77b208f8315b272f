"""Whole route tables, made at random: Xylem answers and forwards each request as Envoy does."""
import pytest

from harness import Origin, Reply, bootstrap, cluster, http_listener
from harness.h2peer import H2Client, H2Origin, H2Reply, Stream
from harness.route_tables import Maker

HTTP2 = {"explicit_http_config": {"http2_protocol_options": {}}}
CLUSTERS = ["c0", "c1", "c2"]
REQUESTS = 100
TIMED = {"date", "x-envoy-upstream-service-time", "x-request-id"}


@pytest.fixture
def upstreams(request, closing):
    """An origin a cluster, each with headers that routes add to, overwrite and remove."""
    extra = [("x-many", "1"), ("x-many", "2"), ("cache-control", "a"), ("cache-control", "b"),
             ("server", "origin")]
    made = []
    for name in CLUSTERS:
        if getattr(request, "param", "1") == "2":
            one = closing(H2Origin())
            one.name = name
            one.reply = H2Reply(headers=[("x-origin", name), *extra], body=name.encode())
        else:
            one = closing(Origin(name))
            one.reply = Reply(headers=[("x-origin", name), *extra])
        made.append(one)
    return made


def fields(headers):
    """Headers in the order of their names; those that tell the time or are random by name alone."""
    return sorted(((name.lower(), "..." if name.lower() in TIMED else value)
                   for name, value in headers), key=lambda pair: pair[0])


def asked(request):
    """A request as an origin got it; HTTP/2's pseudo headers are among the headers."""
    if isinstance(request, Stream):
        return fields(request.headers)
    return request.method, request.target, fields(request.headers)


def seen(proxy, upstreams, request, downstream="1"):
    """What the client got, and what the origin did."""
    method, path, host, headers = request
    before = [len(one.requests) for one in upstreams]
    if downstream == "2":
        with H2Client(proxy.port()) as client:
            answer = client.request(method, path, [(k.lower(), v) for k, v in headers],
                                    authority=host)
    else:
        with proxy.client() as client:
            answer = client.request(method, path, host=host, headers=headers)
    got = [(one.name, asked(r))
           for one, count in zip(upstreams, before) for r in one.requests[count:]]
    return {"status": answer.status, "headers": fields(answer.headers or []), "body": answer.body,
            "origin": got}


def differences(start_both, upstreams, seed, count, downstream="1"):
    """[(request, Envoy's, Xylem's)] of the requests that differ."""
    maker = Maker(seed, CLUSTERS)
    http = HTTP2 if isinstance(upstreams[0], H2Origin) else None
    config = bootstrap([http_listener(**maker.manager())],
                       [cluster(one.name, one, http=http) for one in upstreams])
    requests = [maker.request() for _ in range(count)]
    tables = []
    for kind in ("envoy", "xylem"):
        proxy = start_both(config, kind=kind)
        tables.append([seen(proxy, upstreams, request, downstream) for request in requests])
        proxy.stop()
    return [(request, envoy, xylem) for request, envoy, xylem in zip(requests, *tables)
            if envoy != xylem]


@pytest.mark.parametrize("downstream,upstreams", [("1", "1"), ("2", "1"), ("1", "2"), ("2", "2")],
                         indirect=["upstreams"])
@pytest.mark.parametrize("seed", range(6))
def test_random_tables_are_served_as_by_envoy(start_both, upstreams, downstream, seed):
    found = differences(start_both, upstreams, seed, REQUESTS, downstream)
    assert not found, f"{len(found)} of {REQUESTS} differ, the first: {found[0]}"
