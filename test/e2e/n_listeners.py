"""Addresses of listeners and upstreams: UDS, IPv6, several at once."""
import json
import socket

import pytest

from harness import (Client, Origin, bootstrap, cluster, difference, direct, http_listener, route,
                     wait_for)
from harness.client import free_port
from harness.config import add_header, file_log, hcm, socket_address
from harness.proxy import run_once


def ipv6_works():
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
        return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not ipv6_works(), reason="no ::1 here")


def test_listener_on_a_unix_socket(start, tmp_path):
    path = str(tmp_path / "in.sock")
    start(bootstrap([http_listener(routes=[direct(200, "uds")],
                                   address={"pipe": {"path": path}})]))
    with Client(path) as client:
        assert client.get("/").text == "uds"


def test_both_ends_of_a_unix_socket_are_its_path(start, origin, tmp_path):
    path = str(tmp_path / "in.sock")
    log = [file_log(tmp_path / "log", "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% "
                                      "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%\n")]
    proxy = start(bootstrap([http_listener(
        routes=[route("/", "one")], address={"pipe": {"path": path}}, use_remote_address=True,
        append_x_forwarded_port=True, access_log=log)], [cluster("one", origin)]))
    with Client(path) as client:
        assert client.get("/").status == 200
        assert origin.last.header("x-forwarded-port") is None
        assert client.get("/", headers={"x-forwarded-port": "7"}).status == 200
        assert origin.last.header("x-forwarded-port") == "7"
    proxy.stop()
    assert (tmp_path / "log").read_text() == f"{path} {path} {path}\n" * 2


def test_unix_socket_mode(start, tmp_path):
    path = tmp_path / "in.sock"
    start(bootstrap([http_listener(routes=[direct(200)],
                                   address={"pipe": {"path": str(path), "mode": 0o600}})]))
    assert path.stat().st_mode & 0o777 == 0o600


@difference("whoever listens there would lose its clients without a word, and a file its bytes",
            envoy="takes the path over", xylem="refuses: cannot bind")
@pytest.mark.parametrize("what", ["socket", "file"])
def test_a_path_that_somebody_uses(kind, start, closing, tmp_path, what):
    path = tmp_path / "in.sock"
    made = bootstrap([http_listener(routes=[direct(200, "mine")],
                                    address={"pipe": {"path": str(path)}})])
    if what == "socket":
        closing(Origin("other", path=str(path)))
    else:
        path.write_text("kept")
    if kind == "envoy":
        start(made)
        with Client(str(path)) as client:
            assert client.get("/").text == "mine"
        return
    (tmp_path / "bootstrap.json").write_text(json.dumps(made))
    code, out, err = run_once(kind, ["-c", "bootstrap.json"], tmp_path)
    assert code == 1
    assert f"cannot bind '{path}': Address already in use" in out + err
    if what == "file":
        assert path.read_text() == "kept"
    else:
        with Client(str(path)) as client:
            assert client.get("/").text == "other"


def test_a_path_that_nobody_uses_any_more(start, tmp_path):
    path = tmp_path / "in.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    start(bootstrap([http_listener(routes=[direct(200, "mine")],
                                   address={"pipe": {"path": str(path)}})]))
    with Client(str(path)) as client:
        assert client.get("/").text == "mine"


def test_origin_on_a_unix_socket(start, closing, tmp_path):
    origin = closing(Origin("uds origin", path=str(tmp_path / "origin.sock")))
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")])],
                            [cluster("one", origin)]))
    assert proxy.get("/").text == "uds origin"


def test_the_admin_address_is_no_listeners(kind, tmp_path):
    """Else the admin pages would answer who asks for the listener."""
    address = socket_address(free_port())
    made = bootstrap([http_listener(routes=[direct(200)], address=address)],
                     admin={"address": address})
    (tmp_path / "bootstrap.json").write_text(json.dumps(made))
    code, out, err = run_once(kind, ["-c", "bootstrap.json", "--disable-hot-restart"], tmp_path)
    port = address["socket_address"]["port_value"]
    assert code == 1
    assert f"cannot bind '127.0.0.1:{port}': Address already in use" in out + err


def test_of_two_listeners_one_listens(start):
    """Both may bind, since neither listens yet. The other one is not said to serve."""
    port = free_port()
    proxy = start(bootstrap([
        http_listener("one", routes=[direct(200, "one")], address=socket_address(port),
                      listener={"enable_reuse_port": False}),
        http_listener("any", routes=[direct(200, "any")], address=socket_address(port, "0.0.0.0"),
                      listener={"enable_reuse_port": False})]))
    with Client(port) as client:
        assert client.get("/").text == "one"
    assert [status["name"] for status in proxy.listeners()] == ["one"]
    proxy.wait_stat("listener_manager.listener_create_success", 1)
    assert {name: proxy.stat(f"listener_manager.{name}") for name in (
        "listener_added", "listener_create_failure", "total_listeners_active")} == {
            "listener_added": 2, "listener_create_failure": 1, "total_listeners_active": 1}
    assert "cannot listen" in proxy.log()


@needs_ipv6
def test_listener_on_ipv6(start):
    proxy = start(bootstrap([http_listener(routes=[direct(200, "v6")],
                                           address=socket_address(0, "::1"))]))
    with Client(("::1", proxy.port())) as client:
        assert client.get("/").text == "v6"


@needs_ipv6
def test_origin_on_ipv6(start, closing):
    origin = closing(Origin("v6 origin", address="::1"))
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")])],
                            [cluster("one", origin)]))
    assert proxy.get("/").text == "v6 origin"


@needs_ipv6
def test_ipv4_compat_takes_both_families(start):
    address = {"socket_address": {"address": "::", "port_value": 0, "ipv4_compat": True}}
    proxy = start(bootstrap([http_listener(routes=[direct(200, "both")], address=address)]))
    for target in [("127.0.0.1", proxy.port()), ("::1", proxy.port())]:
        with Client(target) as client:
            assert client.get("/").text == "both"


@needs_ipv6
def test_ipv4_compat_of_the_admin_address(start):
    proxy = start(bootstrap(admin={"address": {"socket_address": {
        "address": "::", "port_value": 0, "ipv4_compat": True}}}))
    for address in ("127.0.0.1", "::1"):
        with Client((address, proxy.admin_target[1])) as client:
            assert client.get("/ready").status == 200


@needs_ipv6
def test_an_ipv4_client_of_an_ipv6_socket_has_its_ipv4_address(start, origin):
    address = {"socket_address": {"address": "::", "port_value": 0, "ipv4_compat": True}}
    shown = [add_header("seen", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% "
                                "%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%")]
    loopback = {"cidr_ranges": [{"address_prefix": "127.0.0.0", "prefix_len": 8}]}
    manager = hcm(routes=[route("/", "one")], use_remote_address=True,
                  internal_address_config=loopback, route_config={"response_headers_to_add": shown})
    proxy = start(bootstrap([{"name": "ingress", "address": address, "filter_chains": [
        {"filter_chain_match": {"source_prefix_ranges": loopback["cidr_ranges"]},
         "filters": [manager]}]}], [cluster("one", origin)]))
    answer = proxy.get("/")
    assert (answer.status, answer.header("seen")) == (200, "127.0.0.1 127.0.0.1")
    assert origin.last.header("x-envoy-internal") == "true"
    assert "ffff" not in origin.last.header("x-forwarded-for")
    with Client(("::1", proxy.port())) as client:
        assert client.closed()


def test_additional_addresses(start):
    proxy = start(bootstrap([http_listener(routes=[direct(200, "many")], listener={
        "additional_addresses": [{"address": socket_address()}, {"address": socket_address()}]})]))
    ports = proxy.ports()
    assert len(set(ports)) == 3
    for port in ports:
        with Client(port) as client:
            assert client.get("/").text == "many"


def test_filter_chains_are_chosen_by_destination_port(start):
    proxy = start(bootstrap([{
        "name": "ingress", "address": socket_address(),
        "additional_addresses": [{"address": socket_address()}],
        "filter_chains": [{"filter_chain_match": {"destination_port": 1},
                           "filters": [hcm(routes=[direct(200, "never")])]}],
        "default_filter_chain": {"filters": [hcm(routes=[direct(200, "default")])]}}]))
    for port in proxy.ports():
        with Client(port) as client:
            assert client.get("/").text == "default"


def test_filter_chains_are_chosen_by_source(start):
    proxy = start(bootstrap([{
        "name": "ingress", "address": socket_address(),
        "filter_chains": [
            {"filter_chain_match": {"source_prefix_ranges": [
                {"address_prefix": "127.0.0.0", "prefix_len": 8}]},
             "filters": [hcm(routes=[direct(200, "loopback")])]},
            {"filters": [hcm(routes=[direct(200, "rest")])]}]}]))
    assert proxy.get("/").text == "loopback"


def test_no_filter_chain_closes_and_counts(start):
    proxy = start(bootstrap([{
        "name": "ingress", "address": socket_address(),
        "filter_chains": [{"filter_chain_match": {"destination_port": 1},
                           "filters": [hcm(routes=[direct(200)])]}]}]))
    with proxy.client() as client:
        assert client.closed()
    address = f"127.0.0.1_{proxy.port()}"
    wait_for(lambda: sum(proxy.stats().matching(
        r"^listener\..*no_filter_chain_match$").values()) == 1, what=f"the counter of {address}")


def test_listener_without_bind_to_port_takes_no_port(start):
    proxy = start(bootstrap([
        http_listener("ingress", routes=[direct(200, "bound")]),
        http_listener("hidden", routes=[direct(200)], listener={"bind_to_port": False})]))
    assert proxy.get("/").text == "bound"


def test_connection_limit_of_a_listener(start):
    limit = {"envoy.resource_limits.listener.ingress.connection_limit": 1}
    proxy = start(bootstrap([http_listener(routes=[direct(200)])], layered_runtime={
        "layers": [{"name": "static", "static_layer": limit}]}))
    with proxy.client() as one:
        assert one.get("/").status == 200
        with proxy.client() as two:
            assert two.closed()
        proxy.wait_stat("listener.127.0.0.1_0.downstream_cx_overflow", 1)
    proxy.wait_stat("listener.127.0.0.1_0.downstream_cx_active", 0)
    assert proxy.get("/").status == 200


MONITOR = "envoy.resource_monitors.global_downstream_max_connections"
CONNECTIONS = ("type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3."
               "DownstreamConnectionsConfig")


def connections_at_most(count, name=MONITOR):
    return {"name": name, "typed_config": {
        "@type": CONNECTIONS, "max_active_downstream_connections": count}}


def test_connection_limit_of_the_process(start):
    """All listeners together, on all workers; not one that ignores it, nor the admin address."""
    proxy = start(bootstrap([
        http_listener("one", routes=[direct(200)]), http_listener("two", routes=[direct(200)]),
        http_listener("free", routes=[direct(200)], listener={"ignore_global_conn_limit": True})],
        overload_manager={"resource_monitors": [connections_at_most(2)]}), concurrency=2)
    with proxy.client("one") as one, proxy.client("two") as two:
        assert one.get("/").status == two.get("/").status == 200
        for name in ("one", "two"):
            with proxy.client(name) as three:
                assert three.closed()
        with proxy.client("free") as free:
            assert free.get("/").status == 200
        wait_for(lambda: sum(proxy.stats().matching(
            r"^listener\..*downstream_global_cx_overflow$").values()) == 2)
    wait_for(lambda: sum(proxy.stats().matching(
        r"^listener\.127.*downstream_cx_active$").values()) == 0)
    with proxy.client("one") as one, proxy.client("one") as two:
        assert one.get("/").status == two.get("/").status == 200


def test_connections_are_limited_once(kind, tmp_path):
    twice = {"resource_monitors": [connections_at_most(2), connections_at_most(3)]}
    (tmp_path / "bootstrap.yaml").write_text(json.dumps(bootstrap(overload_manager=twice)))
    code, out, err = run_once(kind, ["-c", "bootstrap.yaml", "--mode", "validate"], tmp_path)
    assert code == 1
    assert f"Duplicate resource monitor {MONITOR}" in out + err


@pytest.mark.only("xylem", "Envoy counts the admin address too, and shuts the operator out")
def test_connection_limit_by_the_old_runtime_key(start):
    proxy = start(bootstrap([http_listener(routes=[direct(200)])], layered_runtime={
        "layers": [{"name": "static", "static_layer": {
            "overload": {"global_downstream_max_connections": 1}}}]}))
    with proxy.client() as one:
        assert one.get("/").status == 200
        with proxy.client() as two:
            assert two.closed()
        proxy.wait_stat("listener.127.0.0.1_0.downstream_global_cx_overflow", 1)


@pytest.mark.parametrize("one, other", [
    ({"server_names": [""]}, {}), ({"application_protocols": [""]}, {}),
    ({"server_names": [".a.test"]}, {"server_names": ["*.a.test"]})])
def test_chains_that_mean_the_same(start, one, other):
    """An empty name is as none, and a dot before a name is a wildcard."""
    made = http_listener(routes=[direct(200)])
    made["filter_chains"] = [{**made["filter_chains"][0], "filter_chain_match": match}
                             for match in (one, other)]
    with pytest.raises(RuntimeError, match="overlapping matching rules"):
        start(bootstrap([made]))


@difference("A chain that says which addresses it is for is more particular than one that says nothing.",
            envoy="takes either, by the process",
            xylem="takes the chain that names them")
def test_chain_for_all_addresses(start, kind):
    chains = []
    for name, match in (("silent", {}), ("all", {"prefix_ranges": [
            {"address_prefix": "0.0.0.0", "prefix_len": 0}]})):
        made = http_listener(routes=[direct(200, name)])["filter_chains"][0]
        chains.append({**made, "name": name, "filter_chain_match": match})
    proxy = start(bootstrap([{**http_listener(), "filter_chains": chains}]))
    assert proxy.get("/").text in ("all", "silent" if kind == "envoy" else "all")
