"""Fields that the API does not have, and those that Xylem does not have: flags say what becomes of
them, in the bootstrap and in what a control plane sends."""
import base64
import json

import pytest

from harness import bootstrap, cluster, direct, http_listener, vhost, wait_for
from harness.proxy import run_once
from harness.stub import type_url
from harness.xds import ads_bootstrap, eds_cluster, endpoints, rds_listener, routes, static_cluster

UNKNOWN = b"\xc0\x3e\x01"  # field number 1000, a number


def length(data):
    return bytes([len(data)]) + data


CLUSTER = b"\x0a" + length(b"odd") + b"\x22" + length(b"\x08\x01")  # name, connect_timeout: 1s
ODD_CLUSTER = CLUSTER + UNKNOWN
STATIC = [("", False), ("--allow-unknown-static-fields", True), ("--allow-unknown-fields", True),
          ("--reject-unknown-dynamic-fields", False), ("--ignore-unknown-dynamic-fields", False)]


def validate(kind, path, *flags):
    code, out, err = run_once(kind, ["-c", str(path), "--mode", "validate",
                                     *(flag for flag in flags if flag)], path.parent)
    return code, out + err


@pytest.mark.parametrize("flag, accepted", STATIC)
def test_O11_unknown_names_in_the_bootstrap(kind, tmp_path, flag, accepted):
    path = tmp_path / "bootstrap.yaml"
    path.write_text(json.dumps(bootstrap([], [cluster("one", nosuch=1)])))
    code, text = validate(kind, path, flag)
    assert code == (0 if accepted else 1), text
    assert accepted or "nosuch" in text


@pytest.mark.parametrize("flag, accepted", STATIC)
@pytest.mark.parametrize("where", ["top", "cluster"])
def test_O11_unknown_numbers_in_the_bootstrap(kind, tmp_path, where, flag, accepted):
    made = b"\x12" + length(b"\x12" + length(ODD_CLUSTER if where == "cluster" else CLUSTER))
    path = tmp_path / "bootstrap.pb"
    path.write_bytes(made + (UNKNOWN if where == "top" else b""))
    code, text = validate(kind, path, flag)
    assert code == (0 if accepted else 1), text


def serve_odd_cluster(control):
    (control.folder / "odd.yaml").write_text(json.dumps({
        "type_url": type_url("cds"), "name": "odd",
        "raw": base64.b64encode(ODD_CLUSTER).decode()}))
    control.put()


@pytest.mark.parametrize("flags, accepted, counted", [
    ([], True, 1), (["--ignore-unknown-dynamic-fields"], True, 0),
    (["--reject-unknown-dynamic-fields"], False, 0), (["--allow-unknown-static-fields"], True, 1),
    (["--allow-unknown-fields"], True, 1),
    (["--reject-unknown-dynamic-fields", "--ignore-unknown-dynamic-fields"], False, 0),
])
def test_O11_unknown_numbers_from_a_control_plane(kind, stub, start, flags, accepted, counted):
    control = stub(rds_listener(), routes(direct(200, "good")), eds_cluster("one"),
                   endpoints("one", 1))
    proxy = start(ads_bootstrap(control), args=flags)
    serve_odd_cluster(control)
    if accepted:
        proxy.wait_stat("cluster_manager.cds.update_success", 2)
        assert "odd::" in proxy.admin("/clusters").text
    else:
        assert "1000" in control.wait("cds", "NACKED")["nack_reason"] or kind == "envoy"
    assert proxy.stat("server.dynamic_unknown_fields") == counted
    assert proxy.get("/").text == "good"


def test_an_unknown_number_is_counted_once(stub, start):
    control = stub(rds_listener(), routes(direct(200, "good")), eds_cluster("one"),
                   endpoints("one", 1))
    proxy = start(ads_bootstrap(control))
    serve_odd_cluster(control)
    proxy.wait_stat("cluster_manager.cds.update_success", 2)
    other = ODD_CLUSTER.replace(b"odd", b"two")
    (control.folder / "two.yaml").write_text(json.dumps({
        "type_url": type_url("cds"), "name": "two", "raw": base64.b64encode(other).decode()}))
    control.put()
    wait_for(lambda: "two::" in proxy.admin("/clusters").text, what="the other one")
    assert proxy.stat("server.dynamic_unknown_fields") == 1


# Deprecated, and obeyed; and how many there are.
DEPRECATED = {
    "cds": (eds_cluster("one", http2_protocol_options={}, max_requests_per_connection=5), 2),
    "rds": (routes({**direct(200, "good"), "match": {"prefix": "/", "headers": [
        {"name": "a", "exact_match": "b"}]}}, direct(200, "good")), 1),
}


@pytest.mark.parametrize("by", DEPRECATED)
@pytest.mark.parametrize("flags, logged", [([], True), (["--skip-deprecated-logs"], False)])
def test_what_is_deprecated_is_told(stub, start, by, flags, logged):
    made, count = DEPRECATED[by]
    control = stub(rds_listener(), routes(direct(200, "good")), eds_cluster("one"),
                   endpoints("one", 1))
    proxy = start(ads_bootstrap(control), args=flags)
    assert proxy.stat("runtime.deprecated_feature_use") == 0
    control.put(made)
    proxy.wait_stat("runtime.deprecated_feature_use", count)
    assert proxy.stat("runtime.deprecated_feature_seen_since_process_start") == count
    assert ("deprecated" in proxy.log().lower()) == logged
    assert proxy.get("/").text == "good"


def test_what_is_deprecated_in_a_file_is_told(start, tmp_path):
    made = static_cluster("one", 1, max_requests_per_connection=5)
    file = tmp_path / "cds.json"
    file.write_text(json.dumps({"resources": [made]}))
    source = {"resource_api_version": "V3", "path_config_source": {"path": str(file)}}
    proxy = start(bootstrap([], [], node={"id": "a", "cluster": "b"},
                            dynamic_resources={"cds_config": source}))
    proxy.wait_stat("runtime.deprecated_feature_use", 1)


LIMITS = [{"actions": [{"remote_address": {}}]}]

# What Xylem does not implement yet: one field of each kind of resource.
IGNORED = {
    "track_timeout_budgets": ("cds", eds_cluster("one", track_timeout_budgets=True)),
    "enable_mptcp": ("lds", rds_listener(listener={"enable_mptcp": True})),
    "filter_chains[0].filters[0].typed_config.proxy_status_config": (
        "lds", rds_listener(proxy_status_config={})),
    "virtual_hosts[0].rate_limits": ("rds", routes(virtual_hosts=[
        vhost("all", ["*"], direct(200, "good"), rate_limits=LIMITS)])),
}


def ignored(proxy):
    """{(type, name): {path: class}} of the last element of /config_dump."""
    last = proxy.config_dump()[-1]
    if last["@type"] != "type.googleapis.com/google.protobuf.Struct":
        return {}
    return {(entry["resource"].rpartition(".")[2], entry.get("name")):
            {field["path"]: field["class"] for field in entry["fields"]}
            for entry in last["value"]["ignored_fields"]}


@pytest.mark.only("xylem", "Envoy implements these fields, and has no such list")
@pytest.mark.parametrize("path", IGNORED)
def test_what_is_not_implemented_is_listed(stub, start, path):
    _, made = IGNORED[path]
    control = stub(rds_listener(), routes(direct(200, "good")), eds_cluster("one"),
                   endpoints("one", 1))
    proxy = start(ads_bootstrap(control))
    before = proxy.stat("xylem.config.fields_ignored")
    assert ignored(proxy) == {}
    control.put(made)
    proxy.wait_stat("xylem.config.fields_ignored", before + 1)
    assert list(ignored(proxy).values()) == [{path: "ignored"}]
    control.put(rds_listener(), routes(direct(200, "good")), eds_cluster("one"))
    wait_for(lambda: ignored(proxy) == {}, what="the list to be empty again")


@pytest.mark.only("xylem", "Envoy implements these fields, and has no such flag")
@pytest.mark.parametrize("path", IGNORED)
def test_strict_refuses_what_is_not_implemented(stub, start, path):
    kind, made = IGNORED[path]
    control = stub(rds_listener(), routes(direct(200, "good")), eds_cluster("one"),
                   endpoints("one", 1))
    proxy = start(ads_bootstrap(control), args=["--strict"])
    control.put(made)
    reason = control.wait(kind, "NACKED")["nack_reason"]
    assert f"{path}: not implemented, and refused in strict mode" in reason
    assert proxy.get("/").text == "good"


STRICT = {
    "enable_dispatcher_stats": bootstrap(enable_dispatcher_stats=True),
    "track_timeout_budgets": bootstrap([], [cluster("one", track_timeout_budgets=True)]),
    "enable_mptcp": bootstrap([http_listener(routes=[direct(200)],
                                             listener={"enable_mptcp": True})]),
    "filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].rate_limits":
        bootstrap([http_listener(vhosts=[vhost("all", ["*"], direct(200), rate_limits=LIMITS)])]),
}


@pytest.mark.only("xylem", "Envoy implements these fields, and has no such flag")
@pytest.mark.parametrize("path", STRICT)
def test_strict_refuses_what_the_bootstrap_says_in_vain(kind, tmp_path, path):
    file = tmp_path / "bootstrap.yaml"
    file.write_text(json.dumps(STRICT[path], indent=1))
    assert validate(kind, file)[0] == 0
    code, text = validate(kind, file, "--strict")
    assert code == 1
    assert f"{path}: not implemented, and refused in strict mode" in text
    name = path.rpartition(".")[2]
    lines = file.read_text().splitlines()
    line = next(number for number, one in enumerate(lines, 1) if f'"{name}"' in one)
    assert f"bootstrap.yaml:{line}:" in text


@pytest.mark.only("xylem", "Envoy has no such list")
def test_the_list_does_not_break_readers_of_a_config_dump(start):
    from envoy.admin.v3 import config_dump_pb2
    from google.protobuf import json_format, struct_pb2
    import envoy.config.bootstrap.v3.bootstrap_pb2  # noqa: F401  (the types that are resolved)
    import envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2  # noqa: F401,E501
    import envoy.extensions.filters.http.router.v3.router_pb2  # noqa: F401
    proxy = start(bootstrap([http_listener(routes=[direct(200)], listener={"enable_mptcp": True})],
                            [cluster("one", 1, nosuch=1)], enable_dispatcher_stats=True),
                  args=["--allow-unknown-static-fields"])
    dump = json_format.Parse(proxy.admin("/config_dump").text, config_dump_pb2.ConfigDump())
    found = struct_pb2.Struct()
    assert dump.configs[-1].Unpack(found)
    listed = json_format.MessageToDict(found)["ignored_fields"]
    assert [(entry["resource"].rpartition(".")[2], entry.get("name"), entry["fields"])
            for entry in listed] == [
        ("Bootstrap", None, [
            {"path": "static_resources.clusters[0].nosuch", "class": "unknown",
             "detail": listed[0]["fields"][0]["detail"]},
            {"path": "enable_dispatcher_stats", "class": "ignored"}]),
        ("Listener", "ingress", [{"path": "enable_mptcp", "class": "ignored"}])]
    assert all(entry["last_updated"].startswith("20") for entry in listed)
    assert len(proxy.config_dump("?name_regex=ingress")[-1]["value"]["ignored_fields"]) == 1
    assert proxy.config_dump("?mask=bootstrap")[-1]["@type"].endswith("BootstrapConfigDump")
