"""Scoped routes: which route configuration serves a request is told by its headers (rule O09)."""
import json

import pytest

from harness import difference, direct, route, vhost, wait_for, xds
from harness.config import file_log, hcm, router_filter, socket_address
from harness.stub import resource
from harness.xds import ADS, DELTA, STATE_OF_THE_WORLD, api_source, names_of, routes, static_cluster

ON_DEMAND = {"name": "envoy.filters.http.on_demand", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.on_demand.v3.OnDemand"}}
BY_ELEMENT = {"header_value_extractor": {"name": "X-Scope", "element_separator": ";",
                                         "element": {"separator": "=", "key": "vip"}}}


def by_index(header, index=0, **fields):
    return {"header_value_extractor": {"name": header, "index": index, **fields}}


def front(*fragments, name="ingress", scopes=None, source=ADS, rds_source=ADS, scoped=None,
          **manager):
    """A listener with scoped routes; scopes: they stand in it."""
    made = {"name": "scopes", "scope_key_builder": {"fragments": list(fragments or [BY_ELEMENT])},
            "rds_config_source": rds_source}
    if scopes is None:
        made["scoped_rds"] = {"scoped_rds_config_source": source}
    else:
        made["scoped_route_configurations_list"] = {"scoped_route_configurations": scopes}
    made.update(scoped or {})
    filter_ = hcm(**manager)
    del filter_["typed_config"]["route_config"]
    filter_["typed_config"]["scoped_routes"] = {k: v for k, v in made.items() if v is not None}
    return resource("lds", {"name": name, "address": socket_address(),
                            "filter_chains": [{"filters": [filter_]}]})


def scope(name, key, rds=None, **fields):
    keys = key if isinstance(key, list) else [key]
    made = {"name": name, "key": {"fragments": [{"string_key": k} for k in keys]}, **fields}
    if rds:
        made["route_configuration_name"] = rds
    return resource("srds", made)


def table(name, body=None):
    return routes(direct(200, body or name), name=name)


def inline(body, *made):
    return {"name": body, "virtual_hosts": [vhost("all", ["*"], *(made or [direct(200, body)]))]}


def get(proxy, vip, **kw):
    return proxy.get("/", headers={"x-scope": f"vip={vip}"}, **kw)


def asked(control, kind="rds"):
    return [names_of(r) or [] for r in control.requests(kind)]


@pytest.mark.parametrize("name", ["Host", ":authority"])
def test_O09_a_scope_of_the_host(stub, start, ads_bootstrap, name):
    control = stub(front(by_index(name, element_separator=".")), scope("one", "a", "r1"),
                   scope("two", "b", "r2"), table("r1"), table("r2"))
    proxy = start(ads_bootstrap(control))
    assert [proxy.get("/", host=host).text for host in ("a.test", "b.test")] == ["r1", "r2"]
    assert proxy.get("/", host="c.test").status == 404


def test_O09_a_scope_says_which_routes_serve(stub, start, ads_bootstrap, tmp_path):
    log = tmp_path / "log"
    control = stub(front(access_log=[
        file_log(log, "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n")]),
        scope("one", "a", "r1"), scope("two", "b", "r2"), table("r1"), table("r2"))
    proxy = start(ads_bootstrap(control))
    assert [get(proxy, vip).text for vip in "ab"] == ["r1", "r2"]
    for value in ("vip=c", "vip", "VIP=a", "x=a", "", "vip=a=b"):
        assert proxy.get("/", headers={"x-scope": value}).status == 404, value
    assert proxy.get("/").status == 404
    assert proxy.get("/", headers={"x-scope": "x=y;vip=b;vip=a"}).text == "r2"
    proxy.stop()
    assert "404 NR route_not_found" in log.read_text().splitlines()


@pytest.mark.parametrize("value, status", [
    ("a,b,c", 200), ("x,b", 200), ("a", 404), ("a,,b", 404), (",b", 200), ("a,bb", 404)])
def test_O09_an_element_by_its_place(stub, start, value, status):
    control = stub(front(by_index("x-scope", 1, element_separator=",")), scope("one", "b", "r1"),
                   table("r1"))
    proxy = start(xds.ads_bootstrap(control))
    assert proxy.get("/", headers={"x-scope": value}).status == status


def test_O09_a_key_of_several_fragments(stub, start):
    control = stub(front(by_index("x-a"), by_index(":authority")),
                   scope("one", ["a", "b.test"], "r1"), scope("two", ["a"], "r2"),
                   scope("three", ["", "c.test"], "r3"), table("r1"), table("r2"), table("r3"))
    proxy = start(xds.ads_bootstrap(control))
    assert proxy.get("/", host="b.test", headers={"x-a": "a"}).text == "r1"
    assert proxy.get("/", host="c.test", headers={"x-a": ""}).text == "r3"
    assert proxy.get("/", host="x.test", headers={"x-a": "a"}).status == 404
    assert proxy.get("/", host="b.test").status == 404


def test_O09_a_scope_changes_and_goes(stub, start, ads_bootstrap):
    control = stub(front(), scope("one", "a", "r1"), table("r1"), table("r2"))
    proxy = start(ads_bootstrap(control))
    with proxy.client() as client:
        def now():
            answer = client.get("/", headers={"x-scope": "vip=a"})
            return answer.status, answer.text
        assert now() == (200, "r1")
        control.put(scope("one", "a", "r2"))
        wait_for(lambda: now() == (200, "r2"), what="other routes")
        control.put(scope("one", "b", "r2"))
        wait_for(lambda: now()[0] == 404, what="another key")
        control.put(scope("two", "a", "r1"))
        wait_for(lambda: now() == (200, "r1"), what="another scope of that key")
        control.put(table("r1", "new"))
        wait_for(lambda: now() == (200, "new"), what="a change of its routes")
        control.remove("srds", "two")
        wait_for(lambda: now()[0] == 404, what="its end")


@difference("Two scopes change their keys for each other's in one update.",
            envoy="one of the two is not found any more",
            xylem="each is found by its new key")
def test_O09_two_scopes_change_places(stub, start, ads_bootstrap, kind):
    control = stub(front(), scope("one", "a", "r1"), scope("two", "b", "r2"), table("r1"),
                   table("r2"))
    proxy = start(ads_bootstrap(control))
    control.put(scope("one", "b", "r1"), scope("two", "a", "r2"))
    control.wait("srds")
    wait_for(lambda: get(proxy, "a").text == "r2", what="the change")
    assert get(proxy, "b").status == (404 if kind == "envoy" else 200)


@difference("A response with a scope that cannot be, or whose key another has, beside good ones.",
            envoy="takes none of them; by delta the good ones are lost until they change",
            xylem="takes the good ones, as of clusters and listeners")
def test_O09_one_key_is_one_scopes(stub, start, ads_bootstrap, kind):
    control = stub(front(), scope("one", "a", "r1"), table("r1"))
    proxy = start(ads_bootstrap(control))
    assert get(proxy, "a").text == "r1"
    control.put(scope("three", "c", "r1"), scope("two", "a", "r1"))
    assert "scope key conflict found, first scope is 'one', second scope is 'two'" in \
        control.wait("srds", "NACKED")["nack_reason"]
    assert get(proxy, "c").status == (404 if kind == "envoy" else 200)
    assert get(proxy, "a").text == "r1"
    control.change(put=[scope("three", "d", "r1")], remove=[("srds", "two")])
    control.wait("srds")
    wait_for(lambda: get(proxy, "d").status == 200, what="what was not at fault")
    assert proxy.stat("http.ingress.scoped_rds.scopes.update_rejected") == 1


@difference("A scope is called \"*\", as all scopes are asked for.", envoy="takes it",
            xylem="refuses it by its name, and takes the others")
def test_O09_no_scope_is_called_as_all_are(stub, start, ads_bootstrap, kind):
    control = stub(front(), scope("one", "a", "r1"), table("r1"))
    proxy = start(ads_bootstrap(control))
    assert get(proxy, "a").text == "r1"
    control.put(scope("*", "c", "r1"), scope("two", "b", "r1"))
    if kind == "envoy":
        control.wait("srds")
        wait_for(lambda: get(proxy, "c").status == 200, what="the scope")
    else:
        assert "*: the name stands for all scopes" in control.wait("srds", "NACKED")["nack_reason"]
        assert get(proxy, "c").status == 404
    wait_for(lambda: get(proxy, "b").status == 200, what="the other")
    control.change(put=[scope("two", "d", "r1")], remove=[("srds", "*")])
    control.wait("srds")
    wait_for(lambda: get(proxy, "d").status == 200, what="what came last")
    assert get(proxy, "a").text == "r1"


@pytest.mark.parametrize("bad, why", [
    (scope("two", "b"), "route_configuration_name is empty."),
    (scope("two", []), "value must contain at least 1 item(s)"),
    (resource("srds", {"name": "two", "route_configuration_name": "r1"}), "value is required"),
    (resource("srds", {"name": "two", "key": {"fragments": [{}]},
                       "route_configuration_name": "r1"}), "is required"),
    (scope("two", "b", route_configuration=inline("x", route("/", to="nowhere"))),
     "route: unknown cluster 'nowhere'"),
], ids=["no-routes", "no-fragments", "no-key", "no-kind", "bad-routes"])
def test_O09_a_bad_scope_is_refused(stub, start, ads_bootstrap, bad, why):
    control = stub(front(), scope("one", "a", "r1"), table("r1"))
    proxy = start(ads_bootstrap(control))
    assert get(proxy, "a").text == "r1"
    control.put(bad)
    assert why in control.wait("srds", "NACKED")["nack_reason"]
    assert get(proxy, "a").text == "r1"
    control.put(scope("two", "b", "r1"))
    control.wait("srds")
    wait_for(lambda: get(proxy, "b").status == 200, what="the good one")


@pytest.mark.parametrize("scoped, why", [
    ({"name": ""}, "value length must be at least 1 characters"),
    ({"scope_key_builder": None}, "value is required"),
    ({"scope_key_builder": {"fragments": [by_index("x", 1)]}},
     "Index > 0 for empty string element separator."),
    ({"scope_key_builder": {"fragments": [{"header_value_extractor": {"name": "x"}}]}},
     "HeaderValueExtractor extract_type not set."),
    ({"scoped_rds": {}}, "value is required"),
    ({"scoped_rds": None}, "is required"),
], ids=["name", "no-builder", "index", "no-extract-type", "no-source", "no-specifier"])
def test_O09_bad_scoped_routes_are_refused(stub, start, scoped, why):
    control = stub(front(scoped=scoped))
    start(xds.ads_bootstrap(control), ready=False)
    assert why in control.wait("lds", "NACKED")["nack_reason"]


def test_O09_a_listener_waits_for_its_scopes_and_their_routes(stub, start, ads_bootstrap, silent,
                                                              tell):
    control = stub(front(), scope("one", "a", "r1"), scope("two", "b", "r2"), table("r2"))
    silent(control, "rds")
    proxy = start(ads_bootstrap(control), ready=False)
    control.wait("srds")
    wait_for(lambda: xds.wanted(control, "rds") == ["r1", "r2"], what="the request for routes")
    tell(control, "rds", "v1", table("r2"))
    control.wait("rds")
    assert "target ConfigSubscriptionCommonBase init target 'SRDS'" in proxy.admin("/init_dump").text
    assert proxy.admin("/ready").status == 503
    control.put(table("r1"))
    control.clear_faults()
    assert get(proxy, "a").text == "r1"
    assert proxy.admin("/init_dump").text.strip() == "{}"


def test_O09_no_scopes_are_an_answer(stub, start, ads_bootstrap):
    control = stub(front())
    proxy = start(ads_bootstrap(control))
    assert get(proxy, "a").status == 404
    control.put(scope("one", "a", "r1"), table("r1"))
    wait_for(lambda: get(proxy, "a").status == 200, what="the scope")


def test_O09_scopes_that_do_not_come_are_waited_for_in_time(stub, start, ads_bootstrap):
    control = stub(front(source={**ADS, "initial_fetch_timeout": "0.3s"}))
    control.fault(type="srds", drop=True)
    proxy = start(ads_bootstrap(control))
    assert get(proxy, "a").status == 404
    assert proxy.stat("http.ingress.scoped_rds.scopes.init_fetch_timeout") == 1


def test_O09_a_scope_without_its_routes_is_404_until_they_come(stub, start, ads_bootstrap):
    control = stub(front(), scope("one", "a", "r1"), table("r1"))
    proxy = start(ads_bootstrap(control))
    assert get(proxy, "a").status == 200
    control.put(scope("two", "b", "r2"))
    control.wait("srds")
    assert get(proxy, "b").status == 404
    control.put(table("r2"))
    wait_for(lambda: get(proxy, "b").text == "r2", what="its routes")


def test_O09_all_scopes_are_asked_for_as_one(stub, start, ads_bootstrap, dialect):
    control = stub(front(), scope("one", "a", "r1"), scope("two", "b", "r2"), table("r1"),
                   table("r2"))
    proxy = start(ads_bootstrap(control))
    control.wait("srds")
    assert [n for names in asked(control, "srds") for n in names] == []
    assert sorted(asked(control)[0]) == ["r1", "r2"]    # in one request
    control.put(scope("two", "b", "r1"))
    wait_for(lambda: get(proxy, "b").text == "r1", what="the change")
    control.remove("rds", "r2")
    if dialect == STATE_OF_THE_WORLD:
        wait_for(lambda: asked(control)[-1] == ["r1"], what="the end of what nobody names")
    else:
        wait_for(lambda: any(r.get("resource_names_unsubscribe") == ["r2"]
                             for r in control.requests("rds")), what="the unsubscription")


def test_O09_listeners_share_their_scopes(stub, start, ads_bootstrap):
    """The key is made as each says."""
    control = stub(front(), front(by_index("x-other"), name="other"), scope("one", "a", "r1"),
                   table("r1"))
    proxy = start(ads_bootstrap(control))
    assert get(proxy, "a").text == "r1"
    assert get(proxy, "a", name="other").status == 404
    assert proxy.get("/", name="other", headers={"x-other": "a"}).text == "r1"
    assert sum(not r.get("response_nonce") for r in control.requests("srds")) == 1
    control.remove("lds", "other")
    control.wait("lds")
    assert get(proxy, "a").text == "r1"
    control.put(scope("one", "b", "r1"))
    wait_for(lambda: get(proxy, "b").status == 200, what="the change")


@pytest.mark.parametrize("dialect", [DELTA], indirect=True)
def test_D09_O09_the_last_listener_ends_the_subscriptions(stub, start, ads_bootstrap, kind):
    control = stub(front(), scope("one", "a", "r1"), table("r1"))
    proxy = start(ads_bootstrap(control))
    assert get(proxy, "a").text == "r1"
    control.put(xds.rds_listener(routes="r2"), table("r2"))
    wait_for(lambda: proxy.get("/").text == "r2", what="routes without scopes")
    if kind == "xylem":    # Envoy does it once the old listener is drained
        wait_for(lambda: any(r.get("resource_names_unsubscribe") == ["r1"]
                             for r in control.requests("rds")), what="the unsubscription")
        wait_for(lambda: xds.wanted(control, "srds") == [] and control.requests("srds")[-1].get(
            "resource_names_unsubscribe") == ["*"], what="the end of all")
        count = len(control.requests("srds"))
        control.end_streams()    # nothing is held that only "all" had brought
        control.put(front())
        again = control.wait_requests("srds", count + 1)[count]
        assert not again.get("initial_resource_versions")
    control.put(front())
    wait_for(lambda: get(proxy, "a").text == "r1", what="scopes again")


def test_O09_a_scope_may_hold_its_routes(stub, start, ads_bootstrap):
    """They count more than those that it names."""
    control = stub(front(), scope("one", "a", route_configuration=inline("own")),
                   scope("two", "b", "r1", route_configuration=inline("both")), table("r1"))
    proxy = start(ads_bootstrap(control))
    assert [get(proxy, vip).text for vip in "ab"] == ["own", "both"]
    assert asked(control) == []
    control.put(scope("one", "a", route_configuration=inline("new")))
    wait_for(lambda: get(proxy, "a").text == "new", what="the change")
    assert proxy.stat("http.ingress.scoped_rds.scopes.active_scopes") == 0


def test_O09_scopes_that_stand_in_the_listener(stub, start):
    def one(name, key, body):
        made = scope(name, key, route_configuration=inline(body))
        del made["@type"]
        return made
    control = stub(front(scopes=[one("one", "a", "A"), one("two", "b", "B")]))
    proxy = start(xds.ads_bootstrap(control))
    assert [get(proxy, vip).text for vip in "ab"] == ["A", "B"]
    assert get(proxy, "c").status == 404
    [shown] = proxy.config_dump("?resource=inline_scoped_route_configs")
    assert shown["name"] == "scopes"
    assert [s["name"] for s in shown["scoped_route_configs"]] == ["one", "two"]
    control.put(front(scopes=[one("one", "a", "new")]))
    wait_for(lambda: get(proxy, "a").text == "new", what="the change")
    assert get(proxy, "b").status == 404


@pytest.mark.parametrize("fields, why", [
    ({"route_configuration_name": "r1"},
     "Fetching routes via RDS (route_configuration_name) is not supported with inline scoped"),
    ({}, "You must specify a route_configuration with inline scoped routes."),
    ({"route_configuration": inline("x", route("/", to="nowhere"))},
     "route: unknown cluster 'nowhere'"),
], ids=["rds", "none", "bad"])
def test_O09_bad_scopes_in_the_listener(stub, start, fields, why):
    made = {"name": "one", "key": {"fragments": [{"string_key": "a"}]}, **fields}
    control = stub(front(scopes=[made]))
    start(xds.ads_bootstrap(control), ready=False)
    assert why in control.wait("lds", "NACKED")["nack_reason"]


@difference("Two scopes in one listener have one key, or one name.",
            envoy="takes the last of them, or of one name none",
            xylem="refuses the listener, as both refuse such scopes from a server")
def test_O09_one_key_twice_in_the_listener(stub, start, kind):
    made = [{"name": name, "key": {"fragments": [{"string_key": "a"}]},
             "route_configuration": inline(name)} for name in ("one", "two")]
    control = stub(front(scopes=made))
    proxy = start(xds.ads_bootstrap(control), ready=False)
    if kind == "envoy":
        assert get(proxy, "a").text == "two"
    else:
        assert "scope key conflict found, first scope is 'one', second scope is 'two'" in \
            control.wait("lds", "NACKED")["nack_reason"]


def test_O09_a_scope_names_routes_and_nobody_says_whence(stub, start):
    control = stub(front(rds_source=None), scope("one", "a", route_configuration=inline("own")))
    proxy = start(xds.ads_bootstrap(control))
    assert get(proxy, "a").text == "own"
    control.put(scope("two", "b", "r1"))
    assert "Missing config source specifier" in control.wait("srds", "NACKED")["nack_reason"]


@pytest.mark.parametrize("api_type", [STATE_OF_THE_WORLD, DELTA])
def test_O09_scopes_have_a_stream_of_their_own(stub, start, api_type):
    control = stub(front(source=api_source(api_type), rds_source=api_source(api_type)),
                   scope("one", "a", "r1"), table("r1"))
    proxy = start(xds.ads_bootstrap(control))
    assert get(proxy, "a").text == "r1"
    control.put(scope("two", "b", "r1"))
    wait_for(lambda: get(proxy, "b").status == 200, what="a second")


def test_O09_scopes_from_a_file(stub, start, tmp_path):
    path = tmp_path / "scopes.json"

    def write(*made):
        new = tmp_path / "new"
        new.write_text(json.dumps({"version_info": "1", "resources": made}))
        new.rename(path)
    write(scope("one", "a", "r1"))
    control = stub(front(source={"path_config_source": {"path": str(path)}}), table("r1"))
    proxy = start(xds.ads_bootstrap(control))
    assert get(proxy, "a").text == "r1"
    write(scope("two", "b", "r1"))
    wait_for(lambda: get(proxy, "b").status == 200, what="the file's change")
    assert get(proxy, "a").status == 404


def test_O09_what_is_shown(stub, start, ads_bootstrap, kind):
    control = stub(front(), scope("one", "a", "r1"), scope("two", "b", "r2"),
                   scope("three", "c", "r3", on_demand=True), table("r1"), table("r2"))
    proxy = start(ads_bootstrap(control))
    [shown] = proxy.config_dump("?resource=dynamic_scoped_route_configs")
    assert shown["name"] == "scopes"
    assert sorted(s["name"] for s in shown["scoped_route_configs"]) == ["one", "three", "two"]
    assert shown["scoped_route_configs"][0]["@type"].endswith("ScopedRouteConfiguration")
    [shown] = proxy.config_dump("?resource=dynamic_scoped_route_configs&name_regex=t.*")
    assert sorted(s["name"] for s in shown["scoped_route_configs"]) == ["three", "two"]
    stats = proxy.stats("scoped_rds")
    expected = {"all_scopes": 3, "active_scopes": 2, "on_demand_scopes": 1, "config_reload": 1,
                "update_success": 1, "update_rejected": 0, "update_attempt": 2, "update_empty": 0}
    assert {n: stats[f"http.ingress.scoped_rds.scopes.{n}"] for n in expected} == expected
    if kind == "xylem":
        held = json.loads(proxy.admin("/v3/discovery:client_status", "POST", b"{}").text)
        found = {c["name"]: c["client_status"] for c in held["config"][0]["generic_xds_configs"]
                 if c["type_url"].endswith("ScopedRouteConfiguration")}
        assert found == {"one": "ACKED", "two": "ACKED", "three": "ACKED"}


def test_O09_routes_come_when_a_request_is_in_their_scope(stub, start, ads_bootstrap):
    control = stub(front(filters=[ON_DEMAND, router_filter()]),
                   scope("one", "a", "r1", on_demand=True), scope("two", "b", "r2"), table("r1"),
                   table("r2"))
    proxy = start(ads_bootstrap(control), concurrency=2)
    assert get(proxy, "b").text == "r2"
    assert asked(control)[0] == ["r2"]
    for _ in range(4):
        assert get(proxy, "a").text == "r1"
    assert get(proxy, "z").status == 404
    control.put(table("r1", "new"))
    wait_for(lambda: get(proxy, "a").text == "new", what="the change")
    assert proxy.stat("http.ingress.scoped_rds.scopes.active_scopes") == 2
    control.remove("srds", "one")
    wait_for(lambda: get(proxy, "a").status == 404, what="its end")
    assert proxy.stat("http.ingress.scoped_rds.scopes.active_scopes") == 1


def test_O09_without_the_filter_no_routes_come_on_demand(stub, start):
    control = stub(front(), scope("one", "a", "r1", on_demand=True), table("r1"))
    proxy = start(xds.ads_bootstrap(control))
    assert get(proxy, "a").status == 404
    assert asked(control) == []


@difference("The routes of a scope, asked for on demand, that the server does not have.",
            envoy="a request for them waits until the client or the stream's idle timeout ends it",
            xylem="404 when the server says so, or after the source's initial_fetch_timeout")
@pytest.mark.only("xylem", "Envoy does not answer")
@pytest.mark.parametrize("api_type", [STATE_OF_THE_WORLD, DELTA])
def test_O09_absent_routes_of_a_scope_are_404(stub, start, api_type):
    control = stub(front(filters=[ON_DEMAND, router_filter()],
                         rds_source={**ADS, "initial_fetch_timeout": "0.5s"}),
                   scope("one", "a", "r1", on_demand=True))
    proxy = start(xds.ads_bootstrap(control, api_type=api_type))
    assert get(proxy, "a").status == 404
    assert get(proxy, "a").status == 404
    control.put(table("r1"))
    wait_for(lambda: get(proxy, "a").status == 200, what="the routes")


@pytest.mark.only("xylem", "its own hold")
def test_O09_a_scopes_routes_are_held_for_their_cluster(stub, start, origin):
    """Make before break holds for the routes of a scope, too."""
    control = stub(front(), scope("one", "a", "r1"), table("r1"))
    proxy = start(xds.ads_bootstrap(control))
    assert get(proxy, "a").text == "r1"
    control.put(routes(route("/", to="late"), name="r1"))
    control.wait("rds")
    assert get(proxy, "a").text == "r1"
    control.put(static_cluster("late", origin))
    wait_for(lambda: get(proxy, "a").text != "r1", what="the new routes")
    assert get(proxy, "a").status == 200
