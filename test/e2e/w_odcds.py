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


def test_O08_absence_removes_nothing(stub, start, origin):
    """In the state of the world, of clusters that requests alone have asked for."""
    control = stub(front(odcds()), static_cluster("one", origin), static_cluster("two", origin))
    proxy = start(xds.ads_bootstrap(control, cds=False))
    assert get(proxy, "one").status == get(proxy, "two").status == 200
    control.change(put=[static_cluster("two", origin, connect_timeout="3s")],
                   remove=[("cds", "one")])
    control.wait("cds")
    proxy.wait_stat("cluster_manager.cluster_modified", 1)
    assert get(proxy, "one").status == get(proxy, "two").status == 200
    assert proxy.stat("cluster_manager.cluster_removed") == 0


@pytest.mark.parametrize("gone", ["filter", "listener"])
def test_O08_a_name_outlives_who_asked_for_it(stub, start, origins, source, gone):
    """It stays subscribed, so that the cluster changes and goes as any other."""
    one, two = origins(2)
    control = stub(front(odcds(source)), static_cluster("one", one),
                   listener("plain", routes=[by_header()]))
    proxy = start(xds.ads_bootstrap(control, api_type=DELTA, cds=False),
                  args=["--drain-time-s", "1"])
    assert get(proxy, "one").status == 200
    if gone == "filter":
        control.put(listener(routes=[by_header()]))
    else:
        control.remove("lds", "ingress")
    control.wait("lds")
    proxy.wait_stat("listener_manager.total_listeners_draining", 0)

    def plain():
        return proxy.get(headers=[("x-cluster", "one")], name="plain")

    assert plain().text == "origin0"
    control.put(static_cluster("one", two))
    control.wait("cds")
    wait_for(lambda: plain().text == "origin1", what="the change")
    control.remove("cds", "one")
    control.wait("cds")
    wait_for(lambda: plain().status == 503, what="the end")
    assert asked(control) == ["one"]
    assert not any(r.get("resource_names_unsubscribe") for r in control.requests("cds"))


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


@difference("Clusters on demand from a file or a server that is polled, which cannot be asked for a name.",
            envoy="takes them, and ends with a panic or answers 503 when a request wants one",
            xylem="refuses them by name")
@pytest.mark.parametrize("source", [
    {"path_config_source": {"path": "/dev/null"}},
    {"api_config_source": {"api_type": "REST", "transport_api_version": "V3",
                           "cluster_names": ["xds"], "refresh_delay": "0.1s"}},
], ids=["a-file", "polled"])
@pytest.mark.only("xylem", "Envoy ends")
def test_O08_sources_that_cannot_be_asked(stub, start, source):
    control = stub(front(odcds(source)))
    start(xds.ads_bootstrap(control, api_type=DELTA, cds=False))
    assert "come over ads or gRPC" in control.wait("lds", "NACKED")["nack_reason"]


@difference("Clusters on demand over a stream of their own in the state-of-the-world protocol.",
            envoy="ends with a segmentation fault at the first request for one",
            xylem="asks for them")
@pytest.mark.only("xylem", "Envoy ends")
def test_O08_by_the_state_of_the_world_over_a_stream(stub, start, origin):
    control = stub(front(odcds(api_source(STATE_OF_THE_WORLD))), static_cluster("one", origin),
                   static_cluster("two", origin))
    proxy = start(xds.ads_bootstrap(control, cds=False))
    for name in ("one", "two", "one"):
        assert get(proxy, name).status == 200
    assert sorted(asked(control)[-2:]) == ["one", "two"]


@pytest.mark.parametrize("config, why", [
    ({**odcds(), "resources_locator": "xdstp://a/b"}, "resources_locator"),
], ids=["xdstp"])
@difference("Clusters on demand beside a collection of clusters (resources_locator).",
            envoy="asks for the collection at once", xylem="refuses it by name")
@pytest.mark.only("xylem", "Envoy takes it")
def test_O08_what_is_not_done_is_refused(stub, start, config, why):
    control = stub(front(config))
    start(xds.ads_bootstrap(control, api_type=DELTA, cds=False))
    assert why in control.wait("lds", "NACKED")["nack_reason"]
