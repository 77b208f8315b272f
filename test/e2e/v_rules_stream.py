"""Rules of the xDS transport, in both dialects: streams, nonces, versions, ACK, NACK, names.

Each scenario is named after the rule of the protocol reference that it shows. What delta says in
other words is in v_rules_delta.py.
"""
import base64

import pytest
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2

from harness import Traffic, difference, direct, route, wait_for
from harness.config import load_assignment
from harness.stub import resource, type_url
from harness.xds import (STATE_OF_THE_WORLD, eds_cluster, endpoints, listener, names_of,
                         rds_listener, routes, static_cluster, wanted)

KINDS = ["cds", "eds", "lds", "rds"]
BAD_ROUTES = routes({"match": {"safe_regex": {"regex": "/("}}, "direct_response": {"status": 200}})


def only_world(why):
    """A rule of the state of the world; why: what delta has in its place."""
    return pytest.mark.parametrize("dialect", [STATE_OF_THE_WORLD], indirect=True)


@pytest.fixture
def world(one_of_each):
    return one_of_each


def meanings(requests):
    return [r["meaning"] for r in requests]


def test_S01_first_request_of_a_stream_carries_the_node(world):
    control, _ = world
    requests = control.requests()
    assert requests[0]["has_node"]
    assert {r["node"] for r in requests} == {"test"}


def test_S02_first_request_of_a_type_is_empty(world):
    control, _ = world
    for kind in KINDS:
        first = control.requests(kind)[0]
        assert first["meaning"] == "first"
        assert not first.get("version_info") and not first.get("response_nonce")


def test_S03_later_requests_carry_the_newest_nonce_of_their_type(world):
    control, _ = world
    for number in range(3):
        control.put(routes(direct(200, f"v{number + 2}")))
        control.wait("rds")
    for kind in KINDS:
        sent = [r["nonce"] for r in control.responses(kind)]
        told = [r["response_nonce"] for r in control.requests(kind)[1:]]
        assert told == sent
    assert "stale" not in meanings(control.requests())


def test_S04_S05_after_a_reconnect_the_nonce_is_empty_and_the_version_stays(world, dialect):
    control, proxy = world
    before = {kind: control.status(kind)["version_acked"] for kind in KINDS}
    count = {kind: len(control.requests(kind)) for kind in KINDS}
    stream = control.requests()[-1]["stream"]
    control.end_streams()
    for kind in KINDS:
        first = control.wait_requests(kind, count[kind] + 1)[count[kind]]
        assert first["stream"] != stream
        assert not first.get("response_nonce")
        if dialect == STATE_OF_THE_WORLD:  # D02: a version for each resource
            assert first["version_info"] == before[kind]
        else:
            assert len(first["initial_resource_versions"]) == 1
    assert proxy.get("/").text == "v1"


def test_S06_versions_and_nonces_belong_to_a_type(world, dialect):
    control, _ = world
    control.put(routes(direct(200, "v2")))
    control.wait("rds")
    for kind in KINDS:
        last = control.requests(kind)[-1]
        answered = control.responses(kind)[-1]
        assert last["response_nonce"] == answered["nonce"]
        if dialect == STATE_OF_THE_WORLD:  # D15
            assert last["version_info"] == answered["version_info"]


def test_S07_one_stream_carries_all_types(world):
    control, _ = world
    assert len(control.events(event="open")) == 1
    assert {r["type"] for r in control.requests()} >= {type_url(kind) for kind in KINDS}


def test_S08_the_client_does_not_wait_for_answers(stub, start, origin, ads_bootstrap):
    control = stub(rds_listener(), routes(direct(200, "routes")), static_cluster("one", origin))
    control.fault(type="cds", hold=True)
    proxy = start(ads_bootstrap(control, cds_fields={"initial_fetch_timeout": "0.3s"}))
    assert proxy.get("/").text == "routes"
    assert control.responses("cds") == []


@difference("Rule S09: a response of a type that nobody asked for is dropped and answers nothing.",
            envoy="in the state-of-the-world protocol, drops it, then sends a request without a "
                  "type, which servers refuse by ending the stream",
            xylem="drops it and says nothing")
def test_S09_a_type_nobody_asked_for_is_dropped(world, tell, kind, dialect):
    control, proxy = world
    secret = type_url("sds")
    count = len(control.requests())
    tell(control, "cds", "1", {"@type": secret, "name": "x"}, type_url=secret, nonce="odd-1")
    control.put(routes(direct(200, "v2")))
    control.wait("rds")
    wait_for(lambda: proxy.get("/").text == "v2", what="the new routes")
    told = [r["type"] for r in control.requests()[count:] if r.get("response_nonce") == "odd-1"]
    if (kind, dialect) == ("envoy", STATE_OF_THE_WORLD):
        assert told == [""]
        return
    assert len(control.events(event="open")) == 1
    assert told == []


@pytest.mark.parametrize("prefix", ["other.com/", ""])
def test_S09_a_type_is_all_of_its_url(world, tell, prefix):
    control, proxy = world
    count = len(control.requests())
    tell(control, "cds", "1", routes(direct(200, "odd")), nonce="odd-1",
         type_url=prefix + type_url("rds").rpartition("/")[2])
    control.put(routes(direct(200, "v2")))
    control.wait("rds")
    wait_for(lambda: proxy.get("/").text == "v2", what="the new routes")
    assert not [r for r in control.requests()[count:] if r.get("response_nonce") == "odd-1"]


def test_S10_a_resource_of_another_type_is_refused(world, tell):
    control, proxy = world
    tell(control, "rds", "bad", {"@type": type_url("cds"), "name": "routes"})
    told = control.wait("rds", "NACKED")["nack_reason"]
    assert "does not match the message-wide type URL" in told
    assert proxy.get("/").text == "v1"


def test_S11_resources_not_asked_for_are_ignored(world, tell):
    control, proxy = world
    tell(control, "rds", "more", routes(direct(200, "v2")),
         routes(direct(200, "other"), name="nobody-asked"))
    assert control.wait("rds")["status"] == "ACKED"
    wait_for(lambda: proxy.get("/").text == "v2", what="the wanted routes")
    names = [c["route_config"]["name"] for c in proxy.config_dump()
             if "dynamic_route_configs" in c for c in c["dynamic_route_configs"]]
    assert names == ["routes"]


@pytest.mark.parametrize("kind_of_resource", ["cds", "lds"])
def test_S12_one_name_twice_is_refused(world, tell, kind_of_resource, origin):
    control, proxy = world
    twice = {"cds": static_cluster("two", origin),
             "lds": listener("two", routes=[direct(200)])}[kind_of_resource]
    kept = {"cds": eds_cluster("one"), "lds": rds_listener()}[kind_of_resource]
    tell(control, kind_of_resource, "twice", kept, twice, twice)
    assert "two" in control.wait(kind_of_resource, "NACKED")["nack_reason"]
    assert proxy.get("/").text == "v1"


@only_world("duplicates of any type are refused")
@pytest.mark.parametrize("kind_of_resource", ["eds", "rds"])
def test_S12_of_what_is_asked_for_by_name_the_first_counts(world, tell, kind_of_resource, origins):
    control, proxy = world
    first, second = origins("first", "second")
    made = {"eds": [endpoints("one", first), endpoints("one", second)],
            "rds": [routes(direct(200, "first")), routes(direct(200, "second"))]}
    control.put(routes(route("/", "one")))
    control.wait("rds")
    tell(control, kind_of_resource, "twice", *made[kind_of_resource])
    control.wait(kind_of_resource)
    wait_for(lambda: proxy.get("/").text == "first", what="the first one")


def test_an_eds_cluster_may_have_a_load_assignment(world, origin):
    """Which nobody looks at."""
    control, proxy = world
    control.put(eds_cluster("two", load_assignment=load_assignment("two", 1)),
                endpoints("two", origin))
    control.wait("cds")
    control.put(routes(route("/", "two")))
    wait_for(lambda: proxy.get("/").text == "origin", what="its endpoints")


def test_S13_the_control_planes_name_is_shown(stub, start, ads_bootstrap):
    control = stub(listener(routes=[direct(200)]), args=["--identifier", "control-7"])
    proxy = start(ads_bootstrap(control))
    wait_for(lambda: 'control_plane.identifier: "control-7"' in proxy.admin("/stats").text,
             what="the identifier")


@pytest.mark.parametrize("version, accepted", [("V2", False), ("V3", True), ("AUTO", True)])
def test_S14_other_api_versions_are_refused(kind, stub, tmp_path, version, accepted, ads_bootstrap):
    import json

    from harness.proxy import run_once
    config = ads_bootstrap(stub())
    config["dynamic_resources"]["ads_config"]["transport_api_version"] = version
    path = tmp_path / "b.yaml"
    path.write_text(json.dumps(config))
    code, _, _ = run_once(kind, ["-c", str(path), "--mode", "validate"], tmp_path)
    assert code == (0 if accepted else 1)


def test_S14_api_versions_that_are_not_said_are_the_third(stub, start, ads_bootstrap):
    control = stub(listener(routes=[direct(200, "served")]))
    config = ads_bootstrap(control)
    del config["dynamic_resources"]["ads_config"]["transport_api_version"]
    for kind in ("lds_config", "cds_config"):
        config["dynamic_resources"][kind]["resource_api_version"] = "V2"
    assert start(config).get("/").text == "served"


def test_A01_each_response_is_answered_once(world, dialect):
    control, _ = world
    for number in range(5):
        control.put(routes(direct(200, f"v{number + 2}")))
        control.wait("rds")
    for kind in KINDS:
        nonces = [r["nonce"] for r in control.responses(kind)]
        answers = [r for r in control.requests(kind) if r["meaning"] in ("ack", "nack")]
        assert [a["response_nonce"] for a in answers] == nonces
        if dialect == STATE_OF_THE_WORLD:  # D15
            assert [a["version_info"] for a in answers] == [
                r["version_info"] for r in control.responses(kind)]


def test_A02_a_nack_carries_the_last_accepted_version(world, dialect):
    control, proxy = world
    accepted = control.status("rds")["version_acked"]
    control.put(BAD_ROUTES)
    entry = control.wait("rds", "NACKED")
    nack = control.requests("rds")[-1]
    assert nack["meaning"] == "nack"
    if dialect == STATE_OF_THE_WORLD:  # D15
        assert nack["version_info"] == accepted
    assert nack["response_nonce"] == entry["nonce"]
    assert nack["error_detail"]["message"]
    assert proxy.get("/").text == "v1"


def test_A02_a_nack_before_any_version_has_none(stub, start, ads_bootstrap):
    control = stub(rds_listener(), BAD_ROUTES)
    start(ads_bootstrap(control))
    control.wait("rds", "NACKED")
    count = len(control.requests("rds"))
    assert not control.requests("rds")[-1].get("version_info")
    control.end_streams()
    again = control.wait_requests("rds", count + 1)[count]
    assert not again.get("version_info") and not again.get("initial_resource_versions")


def test_A03_a_good_response_after_a_bad_one_is_acked(world, dialect):
    control, proxy = world
    control.put(BAD_ROUTES)
    control.wait("rds", "NACKED")
    control.put(routes(direct(200, "v3")))
    entry = control.wait("rds")
    last = control.requests("rds")[-1]
    assert last["response_nonce"] == entry["nonce"]
    if dialect == STATE_OF_THE_WORLD:  # D15
        assert last["version_info"] == entry["version_sent"]
    assert "error_detail" not in last
    wait_for(lambda: proxy.get("/").text == "v3", what="the good routes")


def test_A04_the_error_is_told_once(world):
    control, _ = world
    control.put(BAD_ROUTES)
    control.wait("rds", "NACKED")
    count = len(control.requests("rds"))
    control.put(rds_listener("second", routes="more"), routes(direct(200, "more"), name="more"))
    control.wait("lds")
    later = control.wait_requests("rds", count + 1)[count:]
    change = next(r for r in later if "more" in (names_of(r) or []))
    assert "error_detail" not in change


@only_world("D14: versions belong to resources")
def test_A05_a_nack_may_carry_the_version_it_refuses(world):
    """A new name at a version that was accepted for others: that version stays the accepted one."""
    control, _ = world
    control.put(rds_listener("second", routes="more"))
    control.wait("lds")
    wait_for(lambda: "more" in control.requests("rds")[-1]["resource_names"], what="the new name")
    version = control.status("rds")["version_acked"]
    control.send("rds", version_info=version, resources=[{**BAD_ROUTES, "name": "more"}])
    control.wait("rds", "NACKED")
    assert control.requests("rds")[-1]["version_info"] == version


def test_A06_a_nack_names_every_bad_resource(world, origin):
    control, _ = world
    bad = [resource("cds", {"name": name, "type": "EDS", "connect_timeout": "1s"})
           for name in ["bad-one", "bad-two"]]
    control.put(static_cluster("good", origin), *bad)
    reason = control.wait("cds", "NACKED")["nack_reason"]
    assert "bad-one" in reason and "bad-two" in reason
    assert control.status("cds")["nack_code"] in (3, 13)


def test_A07_good_resources_beside_bad_ones_are_applied(world, origins, dialect):
    control, proxy = world
    two, = origins("two")
    accepted = control.status("cds")["version_acked"]
    control.put(static_cluster("two", two),
                resource("cds", {"name": "bad", "type": "EDS", "connect_timeout": "1s"}))
    control.wait("cds", "NACKED")
    if dialect == STATE_OF_THE_WORLD:  # D14
        assert control.requests("cds")[-1]["version_info"] == accepted
    control.put(routes(route("/", "two")))
    control.wait("rds")
    wait_for(lambda: proxy.get("/").text == "two", what="the good cluster to serve")

@difference("Rule A07: good resources beside bad ones are applied, whatever their type.",
            envoy="takes no endpoints of a response in which some are not valid, and in the "
            "state-of-the-world protocol no routes",
            xylem="takes the good ones")
def test_A07_good_routes_and_endpoints_beside_bad_ones(stub, start, origins, ads_bootstrap, dialect,
                                                       kind):
    one, two = origins("one", "two")
    bad_routes = resource("rds", {"name": "bad", "virtual_hosts": [
        {"name": "a", "domains": ["*"]}, {"name": "b", "domains": ["*"]}]})
    bad_endpoints = resource("eds", {"cluster_name": "bad", "endpoints": [
        {"lb_endpoints": [{"load_balancing_weight": 0}]}]})
    control = stub(rds_listener(), rds_listener("other", "bad"), routes(route("/", "web")),
                   eds_cluster("web"), eds_cluster("bad"), endpoints("web", one),
                   endpoints("bad", one), routes(direct(200, "well"), name="bad"))
    proxy = start(ads_bootstrap(control))
    assert proxy.get("/").text == "one"
    control.put(endpoints("web", two), bad_endpoints,
                routes(direct(200, "new", prefix="/new"), route("/", "web")), bad_routes)
    control.wait("eds", "NACKED")
    control.wait("rds", "NACKED")
    if kind == "xylem":
        wait_for(lambda: (proxy.get("/").text, proxy.get("/new").text) == ("two", "new"))
        return
    assert proxy.get("/").text == "one"
    if dialect == STATE_OF_THE_WORLD:
        assert proxy.get("/new").text == "one"


def test_A08_a_bad_resource_keeps_its_last_good_version(stub, start, origin, ads_bootstrap):
    control = stub(listener(routes=[route("/", "one")]), static_cluster("one", origin))
    proxy = start(ads_bootstrap(control))
    with Traffic(proxy.port(), expect=["origin"]) as traffic:
        control.put(resource("cds", {"name": "one", "type": "EDS", "connect_timeout": "1s"}))
        control.wait("cds", "NACKED")
        traffic.go_on()
        control.put(resource("lds", {"name": "ingress", "address": {
            "socket_address": {"address": "127.0.0.1", "port_value": 0}}}))
        control.wait("lds", "NACKED")
        traffic.go_on()


@pytest.mark.parametrize("value", [b"\xff\xff\xff", b""])     # no field, no name
@only_world("a name outside of the resource")
def test_A07_what_cannot_be_read_is_refused(world, value):
    control, proxy = world
    response = discovery_pb2.DiscoveryResponse(
        version_info="e1", type_url=type_url("eds"), nonce="n1",
        resources=[any_pb2.Any(type_url=type_url("eds"), value=value)])
    control.send("eds", raw=base64.b64encode(response.SerializeToString()).decode())
    wait_for(lambda: control.requests("eds")[-1]["response_nonce"] == "n1", what="the answer")
    assert control.requests("eds")[-1]["error_detail"]["message"]
    assert proxy.get("/").text == "v1"


def test_A08_a_bad_new_resource_is_as_if_it_were_not_there(world):
    control, proxy = world
    control.put(resource("cds", {"name": "bad", "type": "EDS", "connect_timeout": "1s"}))
    control.wait("cds", "NACKED")
    control.put(routes(route("/", "bad")))
    control.wait("rds")
    wait_for(lambda: proxy.get("/").status == 503, what="the route to the missing cluster")


@difference("Rules A09 and A10: an ACK says that a resource was accepted, at once; whether it "
            "serves yet is told elsewhere.",
            envoy="holds the ACK of clusters back until all of them are warm",
            xylem="ACKs at once")
def test_A09_A10_the_answer_does_not_wait_for_warming(world, silent, kind):
    control, proxy = world
    silent(control, "rds")
    silent(control, "eds")
    control.put(rds_listener("waiting", routes="waiting"))
    control.wait("lds")
    proxy.wait_stat("listener_manager.total_listeners_warming", 1)
    control.put(eds_cluster("waiting"))
    proxy.wait_stat("cluster_manager.warming_clusters", 1)
    if kind == "xylem":
        control.wait("cds")
        assert proxy.stat("cluster_manager.warming_clusters") == 1
    else:
        assert control.status("cds")["status"] == "SENT"


def test_A11_an_error_for_a_resource_keeps_what_is_held(world, tell):
    control, proxy = world
    tell(control, "rds", "e1", resource_errors=[
        {"resource_name": {"name": "routes"}, "error_detail": {"code": 13, "message": "no"}}])
    control.wait("rds")
    assert proxy.get("/").text == "v1"


def test_A11_what_comes_beside_its_error_is_used(world, tell):
    control, proxy = world
    tell(control, "lds", "e1", rds_listener(server_name="new"), resource_errors=[
        {"resource_name": {"name": "ingress"}, "error_detail": {"code": 13, "message": "no"}}])
    control.wait("lds")
    wait_for(lambda: proxy.get("/").header("server") == "new", what="the new listener")


@only_world("what is not named stays")
def test_A11_an_error_does_not_bring_back_what_is_gone(world, tell):
    control, proxy = world
    name = {"resource_name": {"name": "ingress"}}
    tell(control, "lds", "e1", resource_errors=[
        {**name, "error_detail": {"code": 5, "message": "none"}},
        {**name, "error_detail": {"code": 13, "message": "no"}}])
    control.wait("lds")
    proxy.wait_stat("listener_manager.total_listeners_active", 0)


@difference("Rule A11: NOT_FOUND for one resource says at once that it does not exist.",
            envoy="ignores resource_errors and waits for the fetch to time out",
            xylem="goes on without the resource")
def test_A11_not_found_ends_the_waiting(world, tell, silent, kind):
    control, proxy = world
    silent(control, "rds")
    control.put(rds_listener("second", routes="more"))
    control.wait("lds")
    proxy.wait_stat("listener_manager.total_listeners_warming", 1)
    tell(control, "rds", "e1", resource_errors=[
        {"resource_name": {"name": "more"}, "error_detail": {"code": 5, "message": "none"}}])
    control.wait("rds")
    if kind == "xylem":
        assert proxy.get("/", name="second").status == 404
    else:
        assert proxy.stat("listener_manager.total_listeners_warming") == 1
    assert proxy.get("/").text == "v1"


def test_A12_updates_are_counted(world):
    control, proxy = world
    control.put(BAD_ROUTES)
    control.wait("rds", "NACKED")
    prefix = "http.ingress.rds.routes."
    proxy.wait_stat(prefix + "update_rejected", 1)
    stats = proxy.stats()
    assert stats[prefix + "update_success"] == 1
    assert stats[prefix + "update_attempt"] >= 2
    assert stats[prefix + "update_failure"] == 0
    assert stats[prefix + "version"] > 0
    version = control.status("rds")["version_acked"]
    assert f'{prefix}version_text: "{version}"\n' in proxy.admin("/stats").text
    control.end_streams()
    proxy.wait_stat(prefix + "update_failure", lambda n: n >= 1)


def test_A13_an_unreadable_response_is_no_ack(world):
    control, proxy = world
    streams = len(control.events(event="open"))
    control.send("rds", raw="//////8=")
    wait_for(lambda: len(control.events(event="open")) > streams, what="a new stream")
    assert proxy.get("/").text == "v1"
    control.put(routes(direct(200, "v2")))
    wait_for(lambda: proxy.get("/").text == "v2", what="updates on the new stream")


@only_world("D01, D07: a request says what changed")
def test_W01_each_request_carries_all_names(world):
    control, _ = world
    control.put(rds_listener("second", routes="more"), routes(direct(200, "more"), name="more"))
    wait_for(lambda: sorted(control.requests("rds")[-1]["resource_names"]) == ["more", "routes"],
             what="a request with both names")


def test_W01_a_name_nobody_needs_is_dropped(stub, start, ads_bootstrap):
    control = stub(rds_listener(), routes(direct(200, "v1")))
    start(ads_bootstrap(control), args=["--drain-time-s", "1"])
    control.put(rds_listener("second", routes="more"), routes(direct(200, "more"), name="more"))
    wait_for(lambda: wanted(control, "rds") == ["more", "routes"], what="both names")
    control.change(remove=[("lds", "second"), ("rds", "more")])
    wait_for(lambda: wanted(control, "rds") == ["routes"], what="the name that is left")


def test_W02_a_new_cluster_extends_the_eds_request(world, origin, dialect):
    control, _ = world
    nonce = control.responses("eds")[-1]["nonce"]
    count = len(control.requests("eds"))
    control.put(eds_cluster("two"), endpoints("two", origin))
    requests = control.wait_requests("eds", count + 1)[count:]
    more = next(r for r in requests if "two" in (names_of(r) or []))
    assert wanted(control, "eds") == ["one", "two"]
    assert "error_detail" not in more
    if dialect != STATE_OF_THE_WORLD:  # D01
        return
    assert sorted(more["resource_names"]) == ["one", "two"]
    assert more["response_nonce"]
    if more["response_nonce"] == nonce:
        assert more["version_info"]


def test_W03_a_change_of_names_is_not_read_as_a_nack(world, origins):
    """A new name is asked for while a response is on its way; the response is ACKed anyway."""
    control, proxy = world
    two, three = origins("two", "three")
    control.fault(type="eds", delay_ms=200)
    control.put(endpoints("one", two))
    control.put(eds_cluster("three"), endpoints("three", three))
    wait_for(lambda: control.status("eds")["status"] == "ACKED"
             and wanted(control, "eds") == ["one", "three"], what="both names, and an ACK")
    assert not [r for r in control.requests("eds") if r["meaning"] == "nack"]
    control.put(routes(route("/three", "three"), route("/", "one")))
    control.wait("rds")
    wait_for(lambda: proxy.get("/").text == "two", what="the new endpoint")
    wait_for(lambda: proxy.get("/three").text == "three", what="the new cluster")


def test_W04_listeners_and_clusters_are_asked_for_by_wildcard(world):
    control, _ = world
    for kind in ["cds", "lds"]:
        assert not names_of(control.requests(kind)[0]) or wanted(control, kind) == ["*"]


def test_W05_an_empty_list_asks_for_nothing(world, tell, origin):
    """The last name is dropped (in the state of the world by a request without names, which is no
    wildcard then)."""
    control, proxy = world
    control.remove("cds", "one")
    control.wait("cds")
    wait_for(lambda: wanted(control, "eds") == [], what="the EDS name to be dropped")
    tell(control, "eds", "unasked", endpoints("one", origin))
    control.put(routes(direct(200, "v2")))
    control.wait("rds")
    wait_for(lambda: proxy.get("/").text == "v2", what="the responses to be read")
    assert not any("dynamic_endpoint_configs" in c
                   for c in proxy.config_dump("?include_eds"))


def test_W07_other_types_are_never_asked_for_without_names(stub, start, ads_bootstrap):
    control = stub(listener(routes=[direct(200)]))
    proxy = start(ads_bootstrap(control))
    control.wait("lds")
    assert proxy.get("/").status == 200
    assert control.requests("eds") == control.requests("rds") == []


def test_W08_what_nobody_needs_is_forgotten(world):
    control, proxy = world
    control.remove("cds", "one")
    control.wait("cds")
    wait_for(lambda: wanted(control, "eds") == [], what="the EDS name to be dropped")
    assert not any("dynamic_active_clusters" in c for c in proxy.config_dump())


def test_W09_a_missing_resource_may_come_later(stub, start, tell, silent, ads_bootstrap):
    control = stub(rds_listener())
    silent(control, "rds")
    proxy = start(ads_bootstrap(control), ready=False)
    control.wait("lds")
    wait_for(lambda: control.requests("rds"), what="the request for routes")
    tell(control, "rds", "none", resource_errors=[
        {"resource_name": {"name": "routes"}, "error_detail": {"code": 5, "message": "not yet"}}])
    control.wait("rds")
    control.clear_faults()
    control.put(routes(direct(200, "late")))
    control.wait("rds")
    wait_for(lambda: proxy.get("/").text == "late", what="the late routes")


def test_W10_names_may_come_in_several_responses(world, tell, silent, origins):
    control, proxy = world
    silent(control, "eds")
    two, three = origins("two", "three")
    control.put(eds_cluster("two"), eds_cluster("three"))
    proxy.wait_stat("cluster_manager.warming_clusters", 2)
    wait_for(lambda: len(wanted(control, "eds")) == 3, what="the request for both")
    tell(control, "eds", "x1", endpoints("three", three))
    control.wait("eds")
    assert proxy.stat("cluster_manager.warming_clusters") == 1
    tell(control, "eds", "x2", endpoints("two", two))
    control.wait("eds")
    proxy.wait_stat("cluster_manager.warming_clusters", 0)
    control.put(routes(route("/two", "two"), route("/three", "three")))
    control.wait("rds")
    wait_for(lambda: proxy.get("/two").text == "two", what="cluster two")
    assert proxy.get("/three").text == "three"
