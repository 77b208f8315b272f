"""Filters whose configuration comes as a resource of its own (rule O06)."""
import json

import pytest

from harness import difference, route, wait_for, xds
from harness.config import ROUTER, bootstrap, file_log, router_filter
from harness.stub import resource
from harness.xds import DELTA, STATE_OF_THE_WORLD, api_source, listener, names_of, static_cluster

BUFFER = "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer"
STATS = "extension_config_discovery.http_filter.last"
TIME = "x-envoy-upstream-service-time"


def discovered(name="last", types=(ROUTER,), source=None, timeout="0s", **fields):
    source = source or {"ads": {}, "resource_api_version": "V3"}
    return {"name": name, "config_discovery": {
        "config_source": {**source, "initial_fetch_timeout": timeout},
        "type_urls": list(types), **fields}}


def router(quiet=False):
    """A router; a quiet one tells the client nothing of the upstream's time."""
    return {"@type": ROUTER, "suppress_envoy_headers": quiet}


def extension(config, name="last"):
    return resource("ecds", {"name": name, "typed_config": config})


def world(origin, *filters, name="ingress", **manager):
    """A listener with these filters, and the cluster that it sends to."""
    return [listener(name, routes=[route(to="web")], filters=list(filters) or [discovered()],
                     **manager), static_cluster("web", origin)]


def told(response):
    assert response.status == 200, response
    return TIME in dict(response.headers)


def dumped(proxy):
    found = [c for c in proxy.config_dump() if c["@type"].endswith("EcdsConfigDump")]
    return [e for c in found for e in c.get("ecds_filters", [])]


def test_O06_a_listener_waits_for_its_filter(stub, start, origin, ads_bootstrap):
    control = stub(*world(origin))
    proxy = start(ads_bootstrap(control), ready=False)
    control.wait_requests("ecds", 1)
    waiting = proxy.json("/init_dump")["unready_targets_dumps"]
    assert [t for one in waiting for t in one["target_names"]] == [
        "shared target FilterConfigSubscription init last"]
    assert proxy.admin("/ready").status == 503
    control.put(extension(router()))
    control.wait("ecds")
    assert told(proxy.get())
    stats = proxy.stats()
    assert stats[f"{STATS}.config_fail"] == 0
    assert stats[f"{STATS}.config_reload"] >= 1
    assert stats[f"{STATS}.update_success"] >= 1
    assert stats[f"{STATS}.init_fetch_timeout"] == 0
    [entry] = dumped(proxy)
    assert entry["ecds_filter"]["name"] == "last"
    assert entry["ecds_filter"]["typed_config"]["@type"] == ROUTER
    assert entry["version_info"] and entry["last_updated"]


def test_O06_the_dump_can_be_asked_for_it(stub, start, origin, ads_bootstrap):
    control = stub(*world(origin), extension(router(True)))
    proxy = start(ads_bootstrap(control))
    [entry] = proxy.config_dump("?resource=ecds_filters")
    assert entry["@type"] == "type.googleapis.com/envoy.admin.v3.EcdsConfigDump.EcdsFilterConfig"
    assert entry["ecds_filter"]["typed_config"]["suppress_envoy_headers"] is True
    [section] = proxy.config_dump("?mask=ecds_filters")
    assert len(section["ecds_filters"]) == 1
    kinds = [c["@type"].rpartition(".")[2] for c in proxy.config_dump()]
    assert kinds.index("EcdsConfigDump") == kinds.index("ClustersConfigDump") + 1


def test_O06_an_update_is_used_from_the_next_request(stub, start, origin, ads_bootstrap):
    control = stub(*world(origin), extension(router()))
    proxy = start(ads_bootstrap(control))
    with proxy.client() as client:
        assert told(client.get("/"))
        for quiet in (True, False, True):
            control.put(extension(router(quiet)))
            control.wait("ecds")
            wait_for(lambda q=quiet: told(client.get("/")) is not q, what="the new filter")
    stats = proxy.stats()
    assert stats["listener_manager.listener_modified"] == 0
    assert stats["http.ingress.downstream_cx_total"] == 1
    assert stats[f"{STATS}.config_reload"] >= 4


@pytest.mark.parametrize("config, why", [
    ({"@type": BUFFER, "max_request_bytes": 1},
     "Error: filter config has type URL envoy.extensions.filters.http.buffer.v3.Buffer but expect "
     "envoy.extensions.filters.http.router.v3.Router."),
    ({"@type": ROUTER, "strict_check_headers": ["x-nothing"]}, None),
], ids=["another-type", "not-valid"])
def test_O06_a_refused_update_leaves_the_last_good_one(stub, start, origin, ads_bootstrap, config,
                                                      why):
    control = stub(*world(origin), extension(router(True)))
    proxy = start(ads_bootstrap(control))
    control.put(extension(config))
    entry = control.wait("ecds", "NACKED")
    assert why is None or why in entry["nack_reason"]
    assert not told(proxy.get())
    assert proxy.stat(f"{STATS}.config_fail") == 1
    assert proxy.stat(f"{STATS}.update_rejected") == 1
    [entry] = dumped(proxy)
    assert entry["ecds_filter"]["typed_config"]["suppress_envoy_headers"] is True
    control.put(extension(router()))
    control.wait("ecds")
    assert told(proxy.get())


def test_O06_a_filter_must_fit_its_place(stub, start, origin, ads_bootstrap):
    control = stub(*world(origin, discovered(), router_filter()))
    proxy = start(ads_bootstrap(control), ready=False)
    control.wait_requests("ecds", 1)
    control.put(extension(router()))
    assert "Error: terminal filter named last of type envoy.filters.http.router must be the last " \
           "filter in a http filter chain." in control.wait("ecds", "NACKED")["nack_reason"]
    assert proxy.get().status == 500


def test_O06_without_a_filter_the_answer_is_500(stub, start, origin, ads_bootstrap, silent,
                                                tmp_path):
    """The first answer does not come in time; the log tells why requests fail."""
    log = tmp_path / "log"
    control = stub(*world(origin, discovered(timeout="0.2s"), access_log=[
        file_log(log, "%RESPONSE_CODE% %RESPONSE_FLAGS%\n")]))
    silent(control, "ecds")
    proxy = start(ads_bootstrap(control))
    answer = proxy.get()
    assert (answer.status, answer.body) == (500, b"")
    assert proxy.stat(f"{STATS}.init_fetch_timeout") == 1
    assert proxy.stat(f"{STATS}.config_fail") == 1
    assert dumped(proxy) == []
    control.put(extension(router()))
    control.clear_faults()
    control.wait("ecds")
    wait_for(lambda: proxy.get().status == 200, what="the filter")
    proxy.stop()
    lines = log.read_text().splitlines()
    assert lines[0] == "500 NFCF" and lines[-1] == "200 -"


def test_O06_a_first_answer_that_is_refused_ends_the_waiting(stub, start, origin, ads_bootstrap):
    control = stub(*world(origin), extension({"@type": BUFFER, "max_request_bytes": 1}))
    proxy = start(ads_bootstrap(control))
    control.wait("ecds", "NACKED")
    assert proxy.get().status == 500


def test_O06_the_default_is_used_when_none_comes(stub, start, origin, ads_bootstrap, silent):
    control = stub(*world(origin, discovered(timeout="0.2s", default_config=router(True))))
    silent(control, "ecds")
    proxy = start(ads_bootstrap(control))
    assert proxy.stat(f"{STATS}.init_fetch_timeout") == 1
    assert not told(proxy.get())
    control.put(extension(router()))
    control.clear_faults()
    control.wait("ecds")
    wait_for(lambda: told(proxy.get()), what="the filter")


def test_O06_the_default_need_not_wait(stub, start, origin, ads_bootstrap):
    control = stub(*world(origin, discovered(
        default_config=router(True), apply_default_config_without_warming=True)))
    proxy = start(ads_bootstrap(control))
    assert not told(proxy.get())
    control.put(extension(router()))
    control.wait("ecds")
    assert told(proxy.get())


def test_O06_a_removed_one_leaves_the_default(stub, start, origin):
    """By delta; the state of the world has no word for it (rule R02)."""
    control = stub(*world(origin, discovered(default_config=router(True))), extension(router()))
    proxy = start(xds.ads_bootstrap(control, api_type=DELTA))
    assert told(proxy.get())
    before = proxy.stat(f"{STATS}.config_reload")
    control.remove("ecds", "last")
    control.wait("ecds")
    wait_for(lambda: not told(proxy.get()), what="the default")
    assert proxy.stat(f"{STATS}.config_reload") == before + 1
    assert dumped(proxy) == []
    control.put(extension(router()))
    control.wait("ecds")
    wait_for(lambda: told(proxy.get()), what="the filter again")


def test_O06_a_removed_one_without_default_ends_in_500(stub, start, origin):
    control = stub(*world(origin), extension(router()))
    proxy = start(xds.ads_bootstrap(control, api_type=DELTA))
    assert told(proxy.get())
    control.remove("ecds", "last")
    control.wait("ecds")
    wait_for(lambda: proxy.get().status == 500, what="500")


def test_O06_absence_is_not_removal(stub, start, origin):
    """Rule R02 for filters, in the state of the world."""
    control = stub(*world(origin), extension(router()), extension(router(), "other"))
    proxy = start(xds.ads_bootstrap(control))
    control.change(put=[static_cluster("more", origin)], remove=[("ecds", "last")])
    control.wait("cds")
    assert told(proxy.get())
    assert len(dumped(proxy)) == 1


def test_O06_places_with_one_name_share_one_subscription(stub, start, origin, ads_bootstrap):
    quiet = discovered(default_config=router(True))
    control = stub(*world(origin, quiet, name="a"), *world(origin, name="b", stat_prefix="other"),
                   extension(router()))
    proxy = start(ads_bootstrap(control))
    assert told(proxy.get(name="a")) and told(proxy.get(name="b"))
    control.put(extension(router(True)))
    control.wait("ecds")
    wait_for(lambda: not told(proxy.get(name="a")) and not told(proxy.get(name="b")),
             what="both listeners")
    assert len(control.events("ecds", "open")) == len(control.events("cds", "open"))
    assert len(dumped(proxy)) == 1
    assert {n for r in control.requests("ecds") for n in names_of(r) or []} == {"last"}


def test_O06_what_is_there_serves_a_new_listener_at_once(stub, start, origin, ads_bootstrap):
    control = stub(*world(origin), extension(router()))
    proxy = start(ads_bootstrap(control))
    control.put(*world(origin, name="second"))
    control.wait("lds")
    assert told(proxy.get(name="second"))


@pytest.mark.parametrize("api_type", [STATE_OF_THE_WORLD, DELTA], ids=["world", "delta"])
def test_O06_each_filter_has_a_stream_of_its_own(stub, start, origin, api_type):
    control = stub(*world(origin, discovered(source=api_source(api_type))),
                   *world(origin, discovered("other", source=api_source(api_type)), name="two"),
                   extension(router()), extension(router(True), "other"))
    proxy = start(xds.ads_bootstrap(control))
    assert told(proxy.get()) and not told(proxy.get(name="two"))
    streams = {names_of(r)[0]: r["stream"] for r in control.requests("ecds") if names_of(r)}
    assert len(set(streams.values())) == 2
    opened = {e["stream"]: e["method"].rpartition("/")[2] for e in control.events(event="open")}
    word = "Delta" if api_type == DELTA else "Stream"
    assert {opened[s] for s in streams.values()} == {f"{word}ExtensionConfigs"}
    assert proxy.stat(f"{STATS}.control_plane.connected_state") == 1


def test_O06_from_a_file(start, origin, tmp_path):
    path, made = tmp_path / "filter.json", tmp_path / "next.json"

    def write(version, config):
        made.write_text(json.dumps({"version_info": version, "resources": [extension(config)]}))
        made.rename(path)

    write("1", router())
    source = {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}
    resources = world(origin, discovered(source=source))
    for one in resources:
        one.pop("@type")
    proxy = start(bootstrap(resources[:1], resources[1:], node={"id": "test", "cluster": "e2e"}))
    assert told(proxy.get())
    assert dumped(proxy)[0]["version_info"] == "1"
    write("2", router(True))
    wait_for(lambda: not told(proxy.get()), what="the new file")
    write("3", {"@type": BUFFER, "max_request_bytes": 1})
    proxy.wait_stat(f"{STATS}.update_rejected", 1)
    assert not told(proxy.get())


@difference("A file with the configurations of several filters.",
            envoy="refuses it for each of them",
            xylem="gives each place the one that it names")
def test_O06_a_file_of_several_filters(start, origin, tmp_path, kind):
    path = tmp_path / "filters.json"
    path.write_text(json.dumps({"version_info": "1", "resources": [
        extension(router(True)), extension(router(), "other")]}))
    source = {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}
    resources = world(origin, discovered(source=source, default_config=router()))
    for one in resources:
        one.pop("@type")
    proxy = start(bootstrap(resources[:1], resources[1:], node={"id": "test", "cluster": "e2e"}))
    assert told(proxy.get()) == (kind == "envoy")


@pytest.mark.parametrize("filters, why", [
    ([discovered(types=["type.googleapis.com/envoy.extensions.filters.http.nope.v3.Nope"])],
     "Error: no factory found for a required type URL envoy.extensions.filters.http.nope.v3.Nope."),
    ([discovered(apply_default_config_without_warming=True)],
     "Error: filter config last applied without warming but has no default config."),
    ([discovered(types=[ROUTER], default_config={"@type": BUFFER, "max_request_bytes": 1})],
     "Error: filter config has type URL envoy.extensions.filters.http.buffer.v3.Buffer but expect "
     "envoy.extensions.filters.http.router.v3.Router."),
    ([discovered(default_config=router()), router_filter()],
     "Error: terminal filter named last of type envoy.filters.http.router must be the last filter "
     "in a http filter chain."),
    ([discovered(types=[])], "value must contain at least 1 item(s)"),
], ids=["unknown-type", "no-default", "default-of-another-type", "default-not-last", "no-types"])
def test_O06_a_listener_that_asks_for_the_impossible(stub, start, origin, filters, why):
    control = stub(*world(origin, *filters))
    start(xds.ads_bootstrap(control))
    assert why in control.wait("lds", "NACKED")["nack_reason"]
