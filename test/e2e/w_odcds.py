"""Clusters that the control plane is asked for when a request wants them (rule O08)."""
import threading
import time

import pytest

from harness import difference, route, wait_for, xds
from harness.config import file_log, router_filter
from harness.xds import DELTA, STATE_OF_THE_WORLD, api_source, listener, names_of, static_cluster

ON_DEMAND = "type.googleapis.com/envoy.extensions.filters.http.on_demand.v3."
ADS = {"ads": {}, "resource_api_version": "V3"}
NAME = "envoy.filters.http.on_demand"


def odcds(source=None, timeout="5s"):
    return {"source": source or ADS, "timeout": timeout}


def on_demand(clusters=None):
    return {"name": NAME, "typed_config": {
        "@type": ON_DEMAND + "OnDemand", **({"odcds": clusters} if clusters else {})}}


def by_header(**fields):
    return {"match": {"prefix": "/"}, "route": {"cluster_header": "x-cluster"}, **fields}


def front(clusters=None, routes=None, **manager):
    return listener(routes=routes or [by_header()], filters=[on_demand(clusters), router_filter()],
                    **manager)


def get(proxy, name, **kw):
    return proxy.get(headers=[("x-cluster", name)], **kw)


def asked(control):
    return [n for r in control.requests("cds") for n in names_of(r) or [] if n != "*"]


@pytest.fixture(params=["ads", "own"])
def source(request):
    """Where clusters are asked for: over ADS, or over a stream of their own."""
    return ADS if request.param == "ads" else api_source(DELTA)


def test_O08_a_cluster_comes_when_a_request_wants_it(stub, start, origin, source):
    control = stub(front(odcds(source)), static_cluster("one", origin),
                   static_cluster("two", origin))
    proxy = start(xds.ads_bootstrap(control, api_type=DELTA, cds=False))
    assert asked(control) == []
    for name in ("one", "two", "one"):
        assert get(proxy, name).status == 200
    assert asked(control) == ["one", "two"]
    assert proxy.stat("cluster_manager.active_clusters") == 3


def test_O08_beside_all_clusters(stub, start, origin):
    """The name is subscribed next to the wildcard."""
    control = stub(front(odcds()), static_cluster("known", origin))
    proxy = start(xds.ads_bootstrap(control, api_type=DELTA))
    assert get(proxy, "known").status == 200
    assert asked(control) == []
    assert get(proxy, "later").status == 503
    assert asked(control) == ["later"]
    control.put(static_cluster("later", origin))
    control.wait("cds")
    wait_for(lambda: get(proxy, "later").status == 200, what="the cluster")


def test_O08_by_the_state_of_the_world(stub, start, origin):
    control = stub(front(odcds()), static_cluster("one", origin), static_cluster("two", origin))
    proxy = start(xds.ads_bootstrap(control, cds=False))
    assert get(proxy, "one").status == 200
    assert get(proxy, "two").status == 200
    assert get(proxy, "one").status == 200
    assert sorted(asked(control)[-2:]) == ["one", "two"]


def test_O08_many_requests_ask_once(stub, start, origin, source):
    """Requests for one name wait together; a body waits with its request."""
    control = stub(front(odcds(source)), static_cluster("one", origin))
    control.fault(type="cds", delay_ms=300)
    proxy = start(xds.ads_bootstrap(control, api_type=DELTA, cds=False), concurrency=2)
    answers = []

    def one():
        answers.append(proxy.request("POST", "/", headers=[("x-cluster", "one")],
                                     body=b"x" * 3000).status)

    threads = [threading.Thread(target=one, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert answers == [200] * 8
    assert asked(control) == ["one"]


def test_O08_an_absent_cluster_is_503(stub, start, tmp_path, source):
    log = tmp_path / "log"
    control = stub(front(odcds(source), access_log=[
        file_log(log, "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n")]))
    proxy = start(xds.ads_bootstrap(control, api_type=DELTA, cds=False))
    answer = get(proxy, "nothing")
    assert (answer.status, answer.body) == (503, b"")
    assert proxy.stat("http.ingress.no_cluster") == 1
    proxy.stop()
    assert log.read_text() == "503 NC cluster_not_found\n"


@difference("A server that has said that it has no such cluster tells when it has one.",
            envoy="lets each later request wait for the whole timeout",
            xylem="answers later requests at once")
def test_O08_an_absent_cluster_is_remembered(stub, start, origin, kind):
    control = stub(front(odcds(timeout="1s")))
    proxy = start(xds.ads_bootstrap(control, api_type=DELTA, cds=False))
    assert get(proxy, "late").status == 503
    begun = time.monotonic()
    assert get(proxy, "late").status == 503
    assert (time.monotonic() - begun >= 0.9) == (kind == "envoy")
    assert asked(control) == ["late"]
    control.put(static_cluster("late", origin))
    control.wait("cds")
    wait_for(lambda: get(proxy, "late").status == 200, what="the cluster")


def test_O08_a_silent_server_is_waited_for_until_the_timeout(stub, start, source):
    control = stub(front(odcds(source, timeout="0.5s")))
    control.fault(type="cds", drop=True)
    proxy = start(xds.ads_bootstrap(control, api_type=DELTA, cds=False))
    begun = time.monotonic()
    assert get(proxy, "one").status == 503
    assert 0.4 < time.monotonic() - begun < 4


def test_O08_a_client_that_leaves_waits_no_longer(stub, start, origin):
    control = stub(front(odcds(timeout="60s")), static_cluster("one", origin))
    control.fault(type="cds", delay_ms=500)
    proxy = start(xds.ads_bootstrap(control, api_type=DELTA, cds=False))
    with proxy.client() as client:
        client.send(b"GET / HTTP/1.1\r\nhost: a\r\nx-cluster: one\r\n\r\n")
        proxy.wait_stat("http.ingress.downstream_rq_active", 1)
    proxy.wait_stat("http.ingress.downstream_rq_active", 0)
    assert get(proxy, "one").status == 200


def test_O08_the_route_decides(stub, start, origin):
    """Per route: on where the filter is off, and off where it is on."""
    per_route = {"@type": ON_DEMAND + "PerRouteConfig"}
    control = stub(front(odcds(), routes=[
        {**by_header(typed_per_filter_config={NAME: per_route}), "match": {"prefix": "/off"}},
        by_header()]), static_cluster("one", origin))
    proxy = start(xds.ads_bootstrap(control, api_type=DELTA, cds=False))
    assert get(proxy, "one", path="/off").status == 503
    assert asked(control) == []
    assert get(proxy, "one").status == 200


def test_O08_a_route_may_name_the_cluster_itself(stub, start, origin):
    control = stub(front(odcds(), routes=[route("/", to="one")],
                         route_config={"validate_clusters": False}), static_cluster("one", origin))
    proxy = start(xds.ads_bootstrap(control, api_type=DELTA, cds=False))
    assert proxy.get().status == 200
    assert asked(control) == ["one"]


@pytest.mark.parametrize("name", ["*", "xdstp://a/b/c", "\xff\xfe", "x" * 600],
                         ids=["wildcard", "xdstp", "no-text", "long"])
@pytest.mark.only("xylem", "what it does with names is for it to say")
def test_O08_a_name_that_no_server_has_is_not_asked_for(stub, start, origin, name):
    control = stub(front(odcds(timeout="60s")), static_cluster("one", origin))
    proxy = start(xds.ads_bootstrap(control, api_type=DELTA, cds=False))
    assert get(proxy, name).status == 503
    assert proxy.stat("xylem.config.on_demand.refused") == 1
    assert asked(control) == []
    assert get(proxy, "one").status == 200


@pytest.mark.only("xylem", "its own bound")
def test_O08_names_that_clients_make_up_are_bounded(stub, start, origin):
    """More names than are remembered; those that were absent for the longest go."""
    control = stub(front(odcds()), static_cluster("one", origin))
    proxy = start(xds.ads_bootstrap(control, api_type=DELTA, cds=False))
    assert get(proxy, "one").status == 200
    with proxy.client() as client:
        for n in range(4200):
            assert client.get("/", headers=[("x-cluster", f"made-up-{n}")]).status == 503
    stats = proxy.stats()
    assert stats["xylem.config.on_demand.names"] == 4096
    assert stats["xylem.config.on_demand.forgotten"] == 4200 + 1 - 4096
    assert get(proxy, "one").status == 200


@pytest.mark.parametrize("config, why", [
    (odcds({"path_config_source": {"path": "/dev/null"}}), "clusters on demand come over ads or"),
    ({**odcds(), "resources_locator": "xdstp://a/b"}, "resources_locator"),
], ids=["a-file", "xdstp"])
@pytest.mark.only("xylem", "Envoy takes them")
def test_O08_what_is_not_done_is_refused(stub, start, config, why):
    control = stub(front(config))
    start(xds.ads_bootstrap(control, api_type=DELTA, cds=False))
    assert why in control.wait("lds", "NACKED")["nack_reason"]
