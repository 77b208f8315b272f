"""/config_dump: sections, masks, names, resources."""
import pytest

from harness import (bootstrap, cluster, difference, direct, endpoint, http_listener, route,
                     wait_for)
from harness.stub import resource
from harness.xds import (ads_bootstrap, eds_cluster, endpoints, listener, rds_listener, routes,
                         static_cluster)

ADMIN = "type.googleapis.com/envoy.admin.v3."


@pytest.fixture
def config(origin):
    return bootstrap([http_listener("first", routes=[route("/", "one")]),
                      http_listener("second", routes=[direct(200)])],
                     [cluster("one", origin), cluster("two", origin)],
                     node={"id": "node-1", "metadata": {"key": ["v", 1, True, None]}})


@pytest.fixture
def proxy(start, config):
    return start(config)


def short(configs):
    return [c["@type"].removeprefix(ADMIN) for c in configs]


def test_sections_and_their_order(proxy):
    types = short(proxy.config_dump())
    assert types[:2] == ["BootstrapConfigDump", "ClustersConfigDump"]
    assert [t for t in types if t != "EcdsConfigDump"] == [
        "BootstrapConfigDump", "ClustersConfigDump", "ListenersConfigDump",
        "ScopedRoutesConfigDump", "RoutesConfigDump", "SecretsConfigDump"]


def test_bootstrap_is_echoed(proxy, config):
    first = proxy.config_dump()[0]["bootstrap"]
    assert first["node"]["id"] == "node-1"
    assert first["node"]["metadata"] == {"key": ["v", 1, True, None]}
    assert first["node"]["user_agent_name"]
    assert first["static_resources"]["clusters"][0]["name"] == "one"
    assert first["static_resources"]["clusters"][0]["connect_timeout"] == "5s"
    assert first["static_resources"]["clusters"][0]["type"] == "STATIC"


def test_static_clusters(proxy, origin):
    dump = proxy.config_dump()[1]
    assert "dynamic_active_clusters" not in dump
    entries = dump["static_clusters"]
    assert sorted(e["cluster"]["name"] for e in entries) == ["one", "two"]
    for entry in entries:
        assert entry["last_updated"].endswith("Z")
        assert entry["cluster"]["@type"] == "type.googleapis.com/envoy.config.cluster.v3.Cluster"
        host, = entry["cluster"]["load_assignment"]["endpoints"][0]["lb_endpoints"]
        assert host["endpoint"]["address"]["socket_address"]["port_value"] == origin.port


def test_static_listeners(proxy, config):
    dump = next(c for c in proxy.config_dump() if c["@type"].endswith("ListenersConfigDump"))
    entries = {e["listener"]["name"]: e["listener"] for e in dump["static_listeners"]}
    assert set(entries) == {"first", "second"}
    one = entries["first"]
    assert one["@type"] == "type.googleapis.com/envoy.config.listener.v3.Listener"
    manager = one["filter_chains"][0]["filters"][0]
    wanted = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
    assert manager == wanted


def test_static_routes(proxy):
    dump = next(c for c in proxy.config_dump() if c["@type"].endswith(".RoutesConfigDump"))
    entries = dump["static_route_configs"]
    assert len(entries) == 2
    assert all(e["route_config"]["name"] == "local" for e in entries)


def test_endpoints_are_there_on_request(proxy, origin):
    assert "EndpointsConfigDump" not in short(proxy.config_dump())
    dump = next(c for c in proxy.config_dump("?include_eds")
                if c["@type"].endswith("EndpointsConfigDump"))
    entries = {e["endpoint_config"]["cluster_name"]: e["endpoint_config"]
               for e in dump["static_endpoint_configs"]}
    assert {"one", "two"} <= set(entries)
    host, = entries["one"]["endpoints"][0]["lb_endpoints"]
    assert host["endpoint"]["address"]["socket_address"]["port_value"] == origin.port
    assert host["health_status"] == "HEALTHY"


def test_resource_chooses_one_list(proxy):
    dump = proxy.config_dump("?resource=static_clusters")
    assert sorted(e["cluster"]["name"] for e in dump) == ["one", "two"]
    assert {e["@type"] for e in dump} == {ADMIN + "ClustersConfigDump.StaticCluster"}


def test_resource_bootstrap_is_refused(proxy):
    answer = proxy.admin("/config_dump?resource=bootstrap")
    assert (answer.status, answer.text) == (
        400, "bootstrap is not a repeated field. Use ?mask=bootstrap to get only this field")


def test_unknown_resource_is_404(proxy):
    answer = proxy.admin("/config_dump?resource=nosuch")
    assert (answer.status, answer.text) == (404, "nosuch not found in config dump")


def test_mask_keeps_only_its_fields(proxy):
    section, = proxy.config_dump("?mask=static_clusters")
    assert sorted(section) == ["@type", "static_clusters"]
    assert proxy.config_dump("?mask=bootstrap.node.id") == [
        {"@type": ADMIN + "BootstrapConfigDump", "bootstrap": {"node": {"id": "node-1"}}}]


def test_mask_cannot_enter_a_list(proxy):
    answer = proxy.admin("/config_dump?mask=static_clusters.cluster.name")
    assert (answer.status, answer.text) == (
        400, "FieldMask static_clusters.cluster.name could not be successfully applied to any "
             "configs.")


def test_mask_within_a_resource(proxy):
    dump = proxy.config_dump("?resource=static_clusters&mask=cluster.name")
    assert sorted(e["cluster"]["name"] for e in dump) == ["one", "two"]
    assert all(set(e) == {"@type", "cluster"} for e in dump)


def test_bad_mask_is_400(proxy):
    answer = proxy.admin("/config_dump?resource=static_clusters&mask=cluster.nosuch")
    assert answer.status == 400


def test_name_regex_chooses_by_name(proxy):
    dump = proxy.config_dump("?resource=static_clusters&name_regex=t.*")
    assert [e["cluster"]["name"] for e in dump] == ["two"]
    assert proxy.json("/config_dump?resource=static_clusters&name_regex=t") == {}
    listeners = proxy.config_dump("?resource=static_listeners&name_regex=.*irs.*")
    assert [e["listener"]["name"] for e in listeners] == ["first"]


def test_bad_name_regex_is_400(proxy):
    answer = proxy.admin("/config_dump?name_regex=[")
    assert answer.status == 400


def test_json_is_printed_with_one_space(proxy):
    text = proxy.admin("/config_dump").text
    assert text.startswith('{\n "configs": [\n  {\n   "@type": ')
    assert text.endswith(" ]\n}\n")


def test_declared_health_is_in_the_endpoints(start, origins):
    a, b = origins("a", "b")
    proxy = start(bootstrap([], [cluster("one", endpoint(a, health_status="UNHEALTHY"), b)]))
    dump = next(c for c in proxy.config_dump("?include_eds")
                if c["@type"].endswith("EndpointsConfigDump"))
    hosts = dump["static_endpoint_configs"][0]["endpoint_config"]["endpoints"][0]["lb_endpoints"]
    assert [h["health_status"] for h in hosts] == ["UNHEALTHY", "HEALTHY"]


BAD = {  # kind: where its entry is, a resource that is refused, and the field that is to blame
    "cds": ("dynamic_active_clusters", eds_cluster("one", lb_policy="MAGLEV"), "lb_policy"),
    "eds": ("dynamic_endpoint_configs", resource("eds", {"cluster_name": "one", "endpoints": [
        {"lb_endpoints": [{"endpoint": {"address": {"socket_address": {
            "address": "no.address", "port_value": 1}}}}]}]}), "endpoints[0].lb_endpoints[0]"),
    "lds": ("dynamic_listeners", rds_listener(address={"socket_address": {
        "address": "no.address", "port_value": 1}}), "address"),
    "rds": ("dynamic_route_configs", routes({"match": {"safe_regex": {"regex": "("}},
                                             "direct_response": {"status": 200}}),
            "virtual_hosts[0].routes[0].match.safe_regex"),
}


@difference("A resource that is refused tells why, whatever its type.",
            envoy="tells the error_state of listeners alone", xylem="of every type")
@pytest.mark.parametrize("what", BAD)
def test_error_state_of_every_type(stub, start, origin, kind, what):
    control = stub(rds_listener(), routes(route("/", "one")), eds_cluster("one"),
                   endpoints("one", origin))
    proxy = start(ads_bootstrap(control))
    field, bad, path = BAD[what]
    if kind == "envoy" and what == "cds":
        bad = eds_cluster("one", connect_timeout="-1s")
    control.put(bad)
    control.wait(what, "NACKED")

    def entry():
        found = [d[field] for d in proxy.config_dump("?include_eds") if field in d]
        return found[0][0] if found else None

    if kind == "envoy":
        assert ("error_state" in entry()) == (what == "lds")
        return
    state = wait_for(lambda: (entry() or {}).get("error_state"), what="the error")
    assert path in state["details"]
    assert state["failed_configuration"]["@type"] == bad["@type"]
    assert state["last_update_attempt"] and state["version_info"]
    assert proxy.stat(f"xylem.config.rejected.{what}") == 1
    told = [line for line in proxy.log().splitlines() if f"{what} '" in line]
    assert len(told) == 1 and path in told[0]
    control.put(rds_listener(), routes(route("/", "one")), eds_cluster("one"),
                endpoints("one", origin))
    wait_for(lambda: "error_state" not in entry(), what="the error to go")


@difference("A control plane looks for the version that it sent last: what has come with it unchanged "
            "is there at that version.",
            envoy="tells the version at which a cluster or a listener was loaded",
            xylem="tells the newest version that had it")
def test_version_of_what_comes_unchanged(start, stub, origin, kind):
    """In the state-of-the-world protocol all of a type has one version."""
    control = stub(listener("first", routes=[direct(200)]), static_cluster("one", origin))
    proxy = start(ads_bootstrap(control))
    before = versions(proxy)
    control.put(listener("second", routes=[direct(200)]), static_cluster("two", origin))
    control.wait("lds")
    control.wait("cds")
    wait_for(lambda: len(versions(proxy)) == 4)
    after = versions(proxy)
    for old, new in (("one", "two"), ("first", "second")):
        assert after[new] != before[old]
        assert after[old] == (after[new] if kind == "xylem" else before[old])


def versions(proxy):
    """Of what serves, by name."""
    shown = proxy.config_dump()
    made = {e["cluster"]["name"]: e["version_info"] for c in shown
            for e in c.get("dynamic_active_clusters", [])}
    return made | {e["name"]: e["active_state"]["version_info"] for c in shown
                   for e in c.get("dynamic_listeners", []) if "active_state" in e}
