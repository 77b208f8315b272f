"""Names of the form xdstp://AUTHORITY/TYPE/ID?KEY=VALUE (xDS TP1): rule O12."""
import pytest

from harness import difference, direct, route, wait_for, xds
from harness.config import ROUTER, cluster, socket_address
from harness.stub import resource, type_url
from harness.xds import ADS, DELTA, STATE_OF_THE_WORLD, api_source, endpoints, names_of, rds_listener
from harness.xds import routes, static_cluster


def name_of(kind, path, authority="test"):
    return f"xdstp://{authority}/{type_url(kind).rpartition('/')[2]}/{path}"


ROUTES, ROUTES_AGAIN = name_of("rds", "a/b?y=2&x=1"), name_of("rds", "a/b?x=1&y=2")
ENDPOINTS, ENDPOINTS_AGAIN = name_of("eds", "a/b?y=2&x=1"), name_of("eds", "a/b?x=1&y=2")


def listener(name, body):
    made = xds.listener(name, routes=[direct(200, body)])
    return made


def collections(control, api_type=DELTA, source=None, **locators):
    made = xds.ads_bootstrap(control, api_type=api_type)
    dynamic = made["dynamic_resources"]
    for which, default in (("cds", name_of("cds", "front/*")), ("lds", name_of("lds", "front/*"))):
        dynamic[f"{which}_resources_locator"] = locators.get(which, default)
        if source:
            dynamic[f"{which}_config"] = source
    return made


def asked(control, kind):
    return [n for r in control.requests(kind) for n in names_of(r) or []]


def world(stub, rds, eds, origin):
    return stub(
        rds_listener(routes=rds), routes(route("/", "web"), name=ROUTES_AGAIN),
        resource("cds", {"name": "web", "type": "EDS", "connect_timeout": "5s",
                         "eds_cluster_config": {"eds_config": ADS, "service_name": eds}}),
        endpoints(ENDPOINTS_AGAIN, origin))


def test_O12_routes_and_endpoints(stub, start, ads_bootstrap, origin):
    control = world(stub, ROUTES_AGAIN, ENDPOINTS_AGAIN, origin)
    proxy = start(ads_bootstrap(control))
    assert proxy.get("/").text == "origin"
    assert set(asked(control, "rds")) == {ROUTES_AGAIN}
    assert set(asked(control, "eds")) == {ENDPOINTS_AGAIN}


@difference("A resource writes the parameters of its name in another order than whoever names it; both "
            "ask for it in alphabetical order.",
            envoy="refuses routes and endpoints that come so",
            xylem="takes them: two names that differ in nothing else are one")
def test_O12_the_order_of_parameters_is_no_matter(stub, start, ads_bootstrap, origin, kind):
    control = world(stub, ROUTES, ENDPOINTS, origin)
    proxy = start(ads_bootstrap(control))
    assert set(asked(control, "rds")) == {ROUTES_AGAIN}
    assert set(asked(control, "eds")) == {ENDPOINTS_AGAIN}
    if kind == "envoy":
        assert "Unexpected RDS configuration" in control.wait("rds", "NACKED")["nack_reason"]
    else:
        assert proxy.get("/").text == "origin"


@difference("The same of a filter whose configuration comes apart.",
            envoy="refuses the configuration", xylem="takes it")
def test_O12_the_order_of_a_filters_parameters(stub, start, ads_bootstrap, kind):
    name, again = name_of("ecds", "f?y=2&x=1"), name_of("ecds", "f?x=1&y=2")
    made = xds.listener(routes=[direct(200, "well")], filters=[{"name": name, "config_discovery": {
        "config_source": {**ADS, "initial_fetch_timeout": "0s"}, "type_urls": [ROUTER]}}])
    control = stub(made, resource("ecds", {"name": again, "typed_config": {"@type": ROUTER}}))
    proxy = start(ads_bootstrap(control), ready=False)
    answer = control.wait("ecds", None)
    assert set(asked(control, "ecds")) == {again}
    if kind == "envoy":
        assert "Unexpected resource name in ExtensionConfigDS" in answer["nack_reason"]
    else:
        assert proxy.get("/").text == "well"


@pytest.mark.parametrize("source", [None, api_source(DELTA)], ids=["ads", "own"])
def test_O12_a_collection_of_listeners_and_clusters(stub, start, source, origin):
    control = stub(static_cluster(name_of("cds", "front/web"), origin),
                   static_cluster(name_of("cds", "back/web"), origin),
                   static_cluster("other", origin),
                   listener(name_of("lds", "front/one"), "one"),
                   listener(name_of("lds", "back/two"), "two"))
    proxy = start(collections(control, source=source))
    assert asked(control, "cds") == [name_of("cds", "front/*")]
    assert asked(control, "lds") == [name_of("lds", "front/*")]
    assert proxy.get("/", name=name_of("lds", "front/one")).text == "one"
    assert [s["name"] for s in proxy.listeners()] == [name_of("lds", "front/one")]
    shown = proxy.config_dump("?resource=dynamic_active_clusters")
    assert [c["cluster"]["name"] for c in shown] == [name_of("cds", "front/web")]
    control.put(listener(name_of("lds", "front/three"), "three"))
    wait_for(lambda: proxy.get("/", name=name_of("lds", "front/three")).text == "three",
             what="one more")
    control.remove("cds", name_of("cds", "front/web"))
    proxy.wait_stat("cluster_manager.cluster_removed", 1)


@difference("A collection that has no resources.",
            envoy="waits for the first of them until initial_fetch_timeout",
            xylem="takes a response without any as the answer")
@pytest.mark.only("xylem", "Envoy waits")
def test_O12_an_empty_collection_is_an_answer(stub, start):
    control = stub(static_cluster(name_of("cds", "back/web")), listener("plain", "plain"))
    proxy = start(collections(control))
    assert proxy.listeners() == []


def test_O12_parameters_are_part_of_a_collection(stub, start):
    control = stub(listener(name_of("lds", "front/one?x=1&y=2"), "one"),
                   listener(name_of("lds", "front/two"), "two"))
    proxy = start(collections(control, lds=name_of("lds", "front/*?y=2&x=1")))
    assert asked(control, "lds") == [name_of("lds", "front/*?x=1&y=2")]
    wait_for(lambda: [s["name"] for s in proxy.listeners()] ==
             [name_of("lds", "front/one?x=1&y=2")], what="the one listener")


@pytest.mark.parametrize("source, why", [
    ({"path_config_source": {"path": "/dev/null"}}, "Only ADS and gRPC in delta-xDS mode are"),
    (api_source(STATE_OF_THE_WORLD), "Unknown xdstp:// transport API type"),
], ids=["file", "state-of-the-world"])
def test_O12_collections_come_by_delta_alone(stub, start_both, kind, source, why):
    control = stub()
    with pytest.raises(RuntimeError, match=why):
        start_both(collections(control, source=source), kind)


def test_O12_a_collection_is_of_its_type(stub, start_both, kind):
    control = stub()
    with pytest.raises(RuntimeError, match="type does not match"):
        start_both(collections(control, cds=name_of("lds", "front/*")), kind)


@difference("A collection over ADS in the state-of-the-world protocol.",
            envoy="asks for it, and takes none of what comes",
            xylem="is refused at the start")
def test_O12_a_collection_in_the_state_of_the_world(stub, start_both, kind):
    control = stub(listener(name_of("lds", "front/one"), "one"))
    if kind == "xylem":
        with pytest.raises(RuntimeError, match="collections come by delta"):
            start_both(collections(control, STATE_OF_THE_WORLD), kind)
        return
    proxy = start_both(collections(control, STATE_OF_THE_WORLD), kind, ready=False)
    wait_for(lambda: asked(control, "cds"), what="the question")
    assert proxy.listeners() == []
