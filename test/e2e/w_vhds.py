"""Virtual hosts that the control plane is asked for when a request names their host (rule O08)."""
import pytest

from harness import direct, difference, route, vhost, wait_for, xds
from harness.config import file_log, router_filter
from harness.stub import resource
from harness.xds import DELTA, api_source, listener, names_of, rds_listener, static_cluster

ON_DEMAND = "type.googleapis.com/envoy.extensions.filters.http.on_demand.v3.OnDemand"
ADS = {"ads": {}, "resource_api_version": "V3"}
OTHER_SERVER = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0.5s"}


def on_demand(**fields):
    return {"name": "envoy.filters.http.on_demand", "typed_config": {"@type": ON_DEMAND, **fields}}


def table(*vhosts, source=None, name="routes"):
    return resource("rds", {"name": name, "virtual_hosts": list(vhosts),
                            "vhds": {"config_source": source or ADS}})


def virtual(host, body=None, domains=None, name=None, routes=None):
    made = vhost(name or f"routes/{host}", domains or [host],
                 *(routes or [direct(200, body or host)]))
    return resource("vhds", made)


def front(**manager):
    return rds_listener(filters=[on_demand(), router_filter()], **manager)


def get(proxy, host, **kw):
    return proxy.get(host=host, **kw)


def asked(control):
    return [n for r in control.requests("vhds") for n in names_of(r) or []]


@pytest.fixture(params=["ads", "own"])
def source(request):
    return ADS if request.param == "ads" else api_source(DELTA)


def test_O08_a_virtual_host_comes_when_a_request_names_it(stub, start, kind, source):
    control = stub(front(), table(vhost("here", ["here.test"], direct(200, "here")), source=source),
                   virtual("a.test"), virtual("b.test:81"))
    proxy = start(xds.ads_bootstrap(control, api_type=DELTA))
    for host in ("here.test", "a.test", "A.Test", "b.test:81", "a.test"):
        answer = get(proxy, host)
        assert (answer.status, answer.text) == (200, host.lower().removesuffix(".test")
                                                if host == "here.test" else host.lower())
    if kind == "xylem":    # Envoy asks for all at first
        assert asked(control) == ["routes/a.test", "routes/b.test:81"]


def test_O08_what_comes_is_shown_and_used_by_all(stub, start):
    control = stub(front(), table(), virtual("a.test"))
    proxy = start(xds.ads_bootstrap(control, api_type=DELTA), concurrency=2)
    for _ in range(6):
        assert get(proxy, "a.test").text == "a.test"
    assert proxy.stat("http.ingress.rds.vhds.routes.update_success") >= 1
    assert proxy.stat("http.ingress.rds.vhds.routes.config_reload") >= 1
    [shown] = proxy.config_dump("?resource=dynamic_route_configs")
    assert [v["name"] for v in shown["route_config"]["virtual_hosts"]] == ["routes/a.test"]


def test_O08_a_virtual_host_changes_and_goes(stub, start, kind):
    control = stub(front(), table(), virtual("a.test", "one"))
    proxy = start(xds.ads_bootstrap(control, api_type=DELTA))
    with proxy.client() as client:
        assert client.get("/", host="a.test").text == "one"
        control.put(virtual("a.test", "two"))
        control.wait("vhds")
        wait_for(lambda: client.get("/", host="a.test").text == "two", what="the change")
        control.put(table(vhost("here", ["here.test"], direct(200, "here"))))
        control.wait("rds")
        wait_for(lambda: client.get("/", host="here.test").status == 200, what="the new table")
        assert client.get("/", host="a.test").text == "two"
        if kind == "xylem":    # Envoy lets a request for it wait for ever
            control.remove("vhds", "routes/a.test")
            control.wait("vhds")
            wait_for(lambda: client.get("/", host="a.test").status == 404, what="its end")
            control.put(virtual("a.test", "three"))
            control.wait("vhds")
            wait_for(lambda: client.get("/", host="a.test").text == "three", what="its return")


@difference("A host that the server has no virtual host for.",
            envoy="a request for it waits until the client or the stream's idle timeout ends it",
            xylem="404 as soon as the server says so, and from then on at once")
@pytest.mark.only("xylem", "Envoy does not answer")
def test_O08_an_absent_virtual_host_is_404(stub, start, tmp_path, source):
    log = tmp_path / "log"
    control = stub(front(access_log=[
        file_log(log, "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n")]),
        table(source=source))
    proxy = start(xds.ads_bootstrap(control, api_type=DELTA))
    assert get(proxy, "no.test").status == 404
    assert get(proxy, "no.test").status == 404
    assert asked(control) == ["routes/no.test"]
    control.put(virtual("no.test"))
    control.wait("vhds")
    wait_for(lambda: get(proxy, "no.test").status == 200, what="the virtual host")
    proxy.stop()
    assert log.read_text().splitlines()[:2] == ["404 NR route_not_found"] * 2


@pytest.mark.only("xylem", "Envoy does not answer")
def test_O08_a_silent_server_of_virtual_hosts(stub, start):
    """The first answer is waited for as long as the source says."""
    control = stub(front(), table(source=OTHER_SERVER))
    control.fault(type="vhds", drop=True)
    proxy = start(xds.ads_bootstrap(control, api_type=DELTA))
    assert get(proxy, "a.test").status == 404
    proxy.wait_stat("xylem.config.on_demand.absent", 1)


@pytest.mark.only("xylem", "Envoy does not answer")
@pytest.mark.parametrize("made", [
    virtual("b.test", domains=["b.test", "a.test"]),
    virtual("b.test", routes=[{"match": {"prefix": "/"}, "route": {}}]),
], ids=["a-domain-twice", "not-valid"])
def test_O08_a_bad_virtual_host_spoils_itself_alone(stub, start, made):
    control = stub(front(), table(), virtual("a.test"), made)
    proxy = start(xds.ads_bootstrap(control, api_type=DELTA))
    assert get(proxy, "a.test").status == 200
    assert get(proxy, "b.test").status == 404
    assert "routes/b.test" in control.wait("vhds", "NACKED")["nack_reason"]
    assert get(proxy, "a.test").status == 200
    control.put(virtual("b.test"))
    control.wait("vhds")
    wait_for(lambda: get(proxy, "b.test").status == 200, what="the good one")


@pytest.mark.parametrize("body", [None, b"x" * 3000], ids=["no-body", "body"])
def test_O08_filters_are_those_of_the_virtual_host_that_came(stub, start, origin, kind, body):
    """One that stands before the filter that waits, and is on for this virtual host alone."""
    if body and kind == "envoy":
        pytest.skip("Envoy begins anew without a body only")
    clusters = {"source": ADS, "timeout": "5s"}
    first = {**on_demand(odcds=clusters), "name": "first", "disabled": True}
    made = virtual("a.test", routes=[route("/", to="late")])
    made["typed_per_filter_config"] = {"first": {
        "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
        "config": {"@type": ON_DEMAND.replace("OnDemand", "PerRouteConfig"), "odcds": clusters}}}
    control = stub(rds_listener(filters=[first, on_demand(), router_filter()]), table(), made,
                   static_cluster("late", origin))
    proxy = start(xds.ads_bootstrap(control, api_type=DELTA, cds=False))
    answer = proxy.request("POST" if body else "GET", "/", host="a.test", body=body)
    assert answer.status == 200


def test_O08_then_its_cluster_is_asked_for(stub, start, origin):
    """A virtual host comes, and names a cluster that has to come, too."""
    filters = [on_demand(odcds={"source": ADS, "timeout": "5s"}), router_filter()]
    control = stub(rds_listener(filters=filters), table(),
                   virtual("a.test", routes=[route("/", to="late")]),
                   static_cluster("late", origin))
    proxy = start(xds.ads_bootstrap(control, api_type=DELTA, cds=False))
    assert get(proxy, "a.test").status == 200


@difference("Virtual hosts that no request has asked for.",
            envoy="asks for all at first, and takes what the server sends unasked",
            xylem="asks for the hosts that requests name, by the filter on_demand, and no more")
def test_O08_only_what_requests_name_is_asked_for(stub, start, kind):
    control = stub(rds_listener(), table(), virtual("a.test"))
    proxy = start(xds.ads_bootstrap(control, api_type=DELTA))
    if kind == "envoy":
        wait_for(lambda: get(proxy, "a.test").status == 200, what="what was pushed")
    else:
        assert get(proxy, "a.test").status == 404
        assert asked(control) == []


def test_O08_without_the_filter_nothing_is_asked_for(stub, start):
    control = stub(rds_listener(), table(vhost("here", ["here.test"], direct(200, "here"))))
    proxy = start(xds.ads_bootstrap(control, api_type=DELTA))
    assert get(proxy, "here.test").status == 200
    assert get(proxy, "a.test").status == 404
    assert asked(control) == []


@pytest.mark.only("xylem", "Envoy keeps the routes of a listener that drains")
def test_O08_hosts_of_routes_that_are_gone_are_not_asked_for(stub, start):
    control = stub(front(), table(), virtual("a.test"))
    proxy = start(xds.ads_bootstrap(control, api_type=DELTA))
    assert get(proxy, "a.test").status == 200
    assert get(proxy, "no.test").status == 404
    control.put(xds.listener(routes=[direct(200, "plain")]))
    wait_for(lambda: proxy.stat("xylem.config.on_demand.names") == 0, what="their end")
    wait_for(lambda: any(r.get("resource_names_unsubscribe") == ["routes/a.test", "routes/no.test"]
                         for r in control.requests("vhds")), what="the unsubscription")


@pytest.mark.only("xylem", "its own bound")
def test_O08_hosts_that_clients_make_up_are_bounded(stub, start):
    control = stub(front(), table(), virtual("a.test"))
    proxy = start(xds.ads_bootstrap(control, api_type=DELTA))
    with proxy.client() as client:
        for n in range(4200):
            assert client.get("/", host=f"made-up-{n}").status == 404
        assert client.get("/", host="a.test").status == 200
        assert client.get("/", host="x" * 600).status == 404
    stats = proxy.stats()
    assert stats["xylem.config.on_demand.names"] == 4096
    assert stats["xylem.config.on_demand.refused"] == 1


@pytest.mark.only("xylem", "Envoy takes it and gets nothing")
def test_O08_virtual_hosts_come_by_delta_alone(stub, start):
    control = stub(front(), table())
    start(xds.ads_bootstrap(control), ready=False)
    assert "vhds.config_source: virtual hosts come by delta" in \
        control.wait("rds", "NACKED")["nack_reason"]


@pytest.mark.only("xylem", "its own refusal")
def test_O08_virtual_hosts_of_a_table_that_stands_in_the_listener(stub, start):
    control = stub(listener(vhosts=[], route_config={"vhds": {"config_source": ADS}}))
    start(xds.ads_bootstrap(control, api_type=DELTA))
    assert "route_config: vhds: " in control.wait("lds", "NACKED")["nack_reason"]
