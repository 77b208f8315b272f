"""A host at several addresses: a connection tries them in turn (happy eyeballs)."""
import json
import time

import pytest

from harness import (Origin, Reply, SilentPort, bootstrap, certs, cluster, difference, endpoint,
                     http_listener, refused_port, route, wait_for)
from harness.config import file_log, load_assignment, socket_address
from harness.dns import DnsServer, cares
from harness.origin import Hold
from harness.proxy import run_once
from harness.stub import resource

LINE = ("%RESPONSE_CODE% %RESPONSE_FLAGS% %UPSTREAM_HOST% %UPSTREAM_REMOTE_ADDRESS% "
        "%UPSTREAM_TRANSPORT_FAILURE_REASON%\n")


@pytest.fixture
def named(start, closing, tmp_path):
    """named(port, addresses) starts a proxy whose cluster is a name of those addresses."""
    def run(port, addresses, **fields):
        server = closing(DnsServer(a=addresses))
        made = cluster("one", **{
            "type": "LOGICAL_DNS", "dns_lookup_family": "V4_ONLY",
            "typed_dns_resolver_config": cares(server), "dns_refresh_rate": "0.05s",
            "load_assignment": {"cluster_name": "one", "endpoints": [
                {"lb_endpoints": [endpoint(("a.test", port))]}]}, **fields})
        log = [file_log(tmp_path / "log", LINE)]
        proxy = start(bootstrap([http_listener(routes=[route("/", "one")], access_log=log)],
                                [made]))
        proxy.dns = server
        return proxy
    return run


def bound(closing):
    port, sock = refused_port()
    closing(sock)
    return port


def last_line(tmp_path):
    return wait_for(lambda: (tmp_path / "log").read_text().splitlines(), what="a line")[-1]


@pytest.mark.parametrize("family", ["V4_ONLY", "AUTO"])
def test_an_address_that_refuses(named, origin, tmp_path, family):
    proxy = named(origin.port, ["127.0.0.2", "127.0.0.1"], dns_lookup_family=family)
    for _ in range(3):
        assert proxy.get("/").text == "origin"
    assert proxy.stat("cluster.one.upstream_cx_total") == 2
    assert proxy.stat("cluster.one.upstream_cx_http1_total") == 1
    assert proxy.stat("cluster.one.upstream_cx_connect_fail") == 0
    assert proxy.stat("cluster.one.upstream_cx_active") == 1
    assert proxy.stat("cluster.one.membership_total") == 1
    port = origin.port
    assert last_line(tmp_path) == f"200 - 127.0.0.2:{port} 127.0.0.1:{port} -"


def test_an_origin_of_the_other_family(named, closing, tmp_path):
    origin = closing(Origin(address="::1"))
    proxy = named(origin.port, ["127.0.0.1", "::1"], dns_lookup_family="ALL")
    for _ in range(3):
        assert proxy.get("/").status == 200
    assert last_line(tmp_path).split()[3] == f"[::1]:{origin.port}"


def test_families_take_turns(named, closing):
    """The first of the other family is tried before the second of the first."""
    origin = closing(Origin(address="::1"))
    proxy = named(origin.port, ["127.0.0.2", "127.0.0.3", "127.0.0.4", "::1"],
                  dns_lookup_family="ALL")
    assert proxy.get("/").status == 200
    assert proxy.stat("cluster.one.upstream_cx_total") <= 2


def test_an_address_that_hangs(named, closing, origin):
    closing(SilentPort("127.0.0.2", origin.port))
    proxy = named(origin.port, ["127.0.0.2", "127.0.0.1"], connect_timeout="10s")
    begun = time.monotonic()
    assert proxy.get("/").text == "origin"
    assert 0.29 <= time.monotonic() - begun < 5
    assert proxy.stat("cluster.one.upstream_cx_total") == 2


def test_all_refuse(named, closing, tmp_path):
    port = bound(closing)
    proxy = named(port, ["127.0.0.2", "127.0.0.3"])
    assert proxy.get("/").status == 503
    assert proxy.stat("cluster.one.upstream_cx_total") == 2
    assert proxy.stat("cluster.one.upstream_cx_connect_fail") == 1
    assert last_line(tmp_path) == (f"503 UF 127.0.0.2:{port} - "
                                   "delayed_connect_error:_Connection_refused")


def test_the_time_to_connect_is_for_all(named, closing):
    one = closing(SilentPort("127.0.0.2"))
    closing(SilentPort("127.0.0.3", one.port))
    proxy = named(one.port, ["127.0.0.2", "127.0.0.3"], connect_timeout="0.5s")
    begun = time.monotonic()
    assert proxy.get("/").status == 503
    assert 0.49 <= time.monotonic() - begun < 5
    assert proxy.stat("cluster.one.upstream_cx_total") == 2
    assert proxy.stat("cluster.one.upstream_cx_connect_timeout") == 1
    assert proxy.stat("cluster.one.upstream_cx_connect_fail") == 1


def test_over_tls(named, closing, ca, web, tmp_path):
    """One refuses to connect, one the handshake."""
    origin = closing(Origin(ssl=certs.server_context(web, tmp_path)))

    async def no_tls(wire):
        await wire.until(b"\x01")
        await wire.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    closing(Origin(address="127.0.0.3", port=origin.port, handler=no_tls))
    proxy = named(origin.port, ["127.0.0.2", "127.0.0.3", "127.0.0.1"],
                  transport_socket=certs.upstream(validation_context=ca.validation_context()))
    for _ in range(3):
        assert proxy.get("/").status == 200
    assert proxy.stat("cluster.one.upstream_cx_total") == 3
    assert proxy.stat("cluster.one.ssl.handshake") == 1
    assert last_line(tmp_path).split()[3] == f"127.0.0.1:{origin.port}"


def test_other_addresses_are_another_host(named, origin):
    """A request that is under way goes on; the next has a new connection."""
    hold = Hold()
    origin.on["/held"] = Reply(hold=hold)
    proxy = named(origin.port, ["127.0.0.2", "127.0.0.1"])
    with proxy.client() as client:
        client.write_request("GET", "/held")
        wait_for(lambda: hold.reached, what="the request at the origin")
        proxy.dns["a"] = ["127.0.0.2"]
        wait_for(lambda: proxy.get("/").status == 503, what="the shorter answer")
        hold.release()
        assert client.response().text == "origin"
    assert proxy.stat("cluster.one.membership_change") == 2
    proxy.dns["a"] = ["127.0.0.2", "127.0.0.1"]
    wait_for(lambda: proxy.get("/").status == 200, what="the longer answer")
    assert proxy.stat("cluster.one.membership_change") == 3


def place(address, port):
    return {"address": socket_address(port, address)}


def dumped(proxy):
    sections = proxy.json("/config_dump?include_eds")["configs"]
    section = next(s for s in sections if s["@type"].endswith("EndpointsConfigDump"))
    made = section["static_endpoint_configs"][0]["endpoint_config"]["endpoints"][0]
    return made["lb_endpoints"][0]["endpoint"]


def test_the_dump_names_all(named, origin):
    proxy = named(origin.port, ["127.0.0.2", "127.0.0.1", "127.0.0.3"])
    assert dumped(proxy)["address"] == socket_address(origin.port, "127.0.0.2")
    assert dumped(proxy)["additional_addresses"] == [place("127.0.0.1", origin.port),
                                                     place("127.0.0.3", origin.port)]


def test_additional_addresses(start, closing, origin):
    """The same for an endpoint that says so itself, at another port even."""
    made = endpoint(bound(closing), additional_addresses=[place("127.0.0.1", origin.port)])
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")])], [cluster("one", made)]))
    for _ in range(3):
        assert proxy.get("/").text == "origin"
    assert proxy.stat("cluster.one.upstream_cx_total") == 2
    assert dumped(proxy)["additional_addresses"] == [place("127.0.0.1", origin.port)]


@pytest.mark.parametrize("other, why", [(place("a.test", 80), "malformed IP address: a.test"),
                                        ({}, "ddress")])
def test_an_additional_address_that_is_none(kind, tmp_path, other, why):
    made = endpoint(1, additional_addresses=[other])
    path = tmp_path / "b.yaml"
    path.write_text(json.dumps(bootstrap([], [cluster("one", made)])))
    code, out, err = run_once(kind, ["-c", str(path), "--mode", "validate"], tmp_path)
    assert code == 1
    assert why in out + err


@difference("Envoy compares an endpoint's own address, not the others.",
            envoy="goes on with the additional addresses that the endpoint came with",
            xylem="takes the new ones")
def test_additional_addresses_that_change(start, closing, origin, kind, tmp_path):
    file, port = tmp_path / "eds.json", bound(closing)

    def tell(version, *others):
        made = endpoint(port, additional_addresses=[place("127.0.0.1", other) for other in others])
        new = tmp_path / "new"
        new.write_text(json.dumps({"version_info": version, "resources": [
            resource("eds", load_assignment("one", made))]}))
        new.rename(file)
    tell("1", port)
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one")])],
        [cluster("one", type="EDS", eds_cluster_config={"eds_config": {
            "resource_api_version": "V3", "path_config_source": {"path": str(file)}}})],
        node={"id": "test", "cluster": "e2e"}))
    assert proxy.get("/").status == 503
    tell("2", origin.port)
    wait_for(lambda: proxy.stat("cluster.one.update_success") == 2, what="the new endpoint")
    if kind == "envoy":
        assert proxy.get("/").status == 503
    else:
        wait_for(lambda: proxy.get("/").text == "origin", what="the new address")
