"""The control channel over TLS, which the stub itself speaks: streams and polls, certificates from
files and secrets that change while it is open, servers and clients that nobody believes."""
import json

import pytest

from harness import Stub, Traffic, bootstrap, certs, direct, route, wait_for, xds
from harness.certs import downstream, sds, upstream
from harness.config import cluster, endpoint, load_assignment
from harness.dns import DnsServer, cares
from harness.stub import tls_args, type_url
from harness.tls import TlsClient, tls_front
from harness.xds import H2, api_source, listener, static_cluster


@pytest.fixture(scope="module")
def leaves(ca):
    return {name: ca.issue(name, dns=["a.test"]) for name in ("server", "next", "me", "other")}


@pytest.fixture
def secure(stub, tmp_path, ca, leaves):
    """secure(*resources): the stub behind mTLS, as "server"."""
    return lambda *resources, args=(): stub(
        *resources, args=[*tls_args(tmp_path / "stub-tls", leaves["server"], ca), *args])


def client_socket(ca, certificate, folder):
    """What a client of the stub says of itself, in files."""
    (folder / "mine").mkdir(exist_ok=True)
    (folder / "mine" / "ca.pem").write_text(ca.pem)
    certificate.write(folder / "mine")
    return upstream(certificate, files=True, validation_context={
        "trusted_ca": {"filename": str(folder / "mine" / "ca.pem")}})


def over_tls(config, socket, name="xds"):
    """The bootstrap, with this transport socket on the way to its control plane."""
    for one in config["static_resources"]["clusters"]:
        if one["name"] == name:
            one["transport_socket"] = socket
    return config


def handshakes(control):
    return control.events(event="handshake")


def shown(control):
    """The serial numbers of the certificates that clients presented."""
    return [one["client_serial"] for one in handshakes(control) if "error" not in one]


def test_streams_over_mtls(secure, start, origin, tmp_path, ca, leaves, ads_bootstrap):
    control = secure(listener(routes=[route("/", "one")]), static_cluster("one", origin))
    socket = client_socket(ca, leaves["me"], tmp_path)
    proxy = start(over_tls(ads_bootstrap(control), socket))
    assert proxy.get("/").text == "origin"
    first, = handshakes(control)
    assert (first["version"], first["alpn"]) == ("TLSv1.2", "h2")
    assert first["client_serial"] == leaves["me"].serial
    control.put(listener(routes=[direct(200, "v2")]))
    control.wait("lds")
    wait_for(lambda: proxy.get("/").text == "v2", what="the change")
    assert proxy.stat("cluster.xds.ssl.handshake") == 1


def rest(cluster_name="xds"):
    return {"resource_api_version": "V3", "api_config_source": {
        "api_type": "REST", "transport_api_version": "V3", "cluster_names": [cluster_name],
        "refresh_delay": "0.1s", "request_timeout": "5s"}}


def test_polls_over_mtls(secure, start, origin, tmp_path, ca, leaves):
    control = secure(listener(routes=[route("/", "one")]), static_cluster("one", origin))
    socket = client_socket(ca, leaves["me"], tmp_path)
    proxy = start(over_tls(bootstrap(
        [], [cluster("xds", control.xds_port)], node={"id": "test", "cluster": "e2e"},
        dynamic_resources={"cds_config": rest(), "lds_config": rest()}), socket))
    assert proxy.get("/").text == "origin"
    assert set(shown(control)) == {leaves["me"].serial}
    control.put(listener(routes=[direct(200, "v2")]))
    wait_for(lambda: proxy.get("/").text == "v2", what="the change")
    assert control.events("lds", "poll")


def test_a_name_of_two_addresses(secure, start, origin, tmp_path, closing, ca, leaves,
                                 ads_bootstrap):
    """The first address refuses: the stub is at the second alone."""
    control = secure(listener(routes=[route("/", "one")]), static_cluster("one", origin))
    server = closing(DnsServer(a=["127.0.0.2", "127.0.0.1"]))
    config = over_tls(ads_bootstrap(control), client_socket(ca, leaves["me"], tmp_path))
    for one in config["static_resources"]["clusters"]:
        if one["name"] == "xds":
            there = endpoint(("a.test", control.xds_port))
            one.update(type="LOGICAL_DNS", dns_lookup_family="V4_ONLY",
                       typed_dns_resolver_config=cares(server),
                       load_assignment=load_assignment("xds", there))
    proxy = start(config)
    assert proxy.get("/").text == "origin"
    assert proxy.stat("cluster.xds.upstream_cx_total") == 2
    assert proxy.stat("cluster.xds.upstream_cx_connect_fail") == 0
    assert len(handshakes(control)) == 1


def test_the_xds_port_gives_nothing_but_resources(secure, tmp_path, ca, leaves):
    control = secure(listener(routes=[direct(200)]))
    context = certs.client_context(ca, leaves["me"], tmp_path)
    with TlsClient(control.xds_port, context) as client:
        elsewhere = client.get("/nodes")
        assert elsewhere.status == 404 and "/v3/discovery:" in elsewhere.text
        assert "/fault" not in elsewhere.text
        assert client.request("POST", "/fault", body=b"{}").status == 404
        polled = client.request("POST", "/v3/discovery:listeners", body=b'{"node": {"id": "n"}}')
        assert polled.status == 200
        assert [one["name"] for one in json.loads(polled.body)["resources"]] == ["ingress"]


@pytest.mark.parametrize("who", ["nobody", "stranger"])
def test_a_client_that_may_not_come_in(secure, start, tmp_path, ca, leaves, ads_bootstrap, who):
    control = secure(listener(routes=[direct(200)]))
    strange = certs.Authority("strange").issue("stranger")
    socket = {"nobody": upstream(validation_context=ca.validation_context()),
              "stranger": client_socket(ca, strange, tmp_path)}[who]
    proxy = start(over_tls(ads_bootstrap(control), socket), ready=False)
    wait_for(lambda: any("error" in one for one in handshakes(control)), what="a refusal")
    proxy.wait_stat("control_plane.connected_state", 0)
    assert not shown(control) and not control.requests()


def test_a_server_that_is_not_believed(secure, start, tmp_path, leaves, ads_bootstrap):
    control = secure(listener(routes=[direct(200)]))
    socket = client_socket(certs.Authority("elsewhere"), leaves["me"], tmp_path)
    proxy = start(over_tls(ads_bootstrap(control), socket), ready=False)
    wait_for(lambda: proxy.stat("cluster.xds.ssl.fail_verify_error") >= 1, what="the refusal")
    assert not control.requests()


AUTHORITY = {"authority": "xds.test"}
SNI, SAN = {"auto_sni": True}, {"auto_san_validation": True}
HOST_SNI, SNI_SAN = {"auto_host_sni": True}, {"auto_sni_san_validation": True}


class NamedChannel:
    """A control plane behind TLS for one name, and the bootstrap of who asks it for another."""

    def __init__(self, control, closing, certificate, folder):
        context = certs.server_context(certificate, folder, alpn=["h2"])
        self.names = []  # that clients sent
        context.sni_callback = lambda _, name, __: self.names.append(name)
        self.port = closing(tls_front(context, control.xds_port)).port

    def bootstrap(self, made, ca, names=None, outer=None, metadata=()):
        """names: of upstream_http_protocol_options; outer: of UpstreamTlsContext."""
        own = endpoint(self.port, hostname="ep.test")
        http = {**H2, **({"upstream_http_protocol_options": names} if names else {})}
        socket = upstream(validation_context=ca.validation_context(), outer=outer)
        made["static_resources"]["clusters"] = [
            cluster("xds", own, http=http, transport_socket=socket)]
        made["dynamic_resources"]["ads_config"]["grpc_services"][0]["initial_metadata"] = [
            {"key": key, "value": value} for key, value in metadata]
        return made


@pytest.mark.parametrize("grpc, fields, sent", [
    (AUTHORITY, {}, None),
    (AUTHORITY, {"names": SNI}, "xds.test"),
    (AUTHORITY, {"names": SAN}, None),
    (AUTHORITY, {"names": {**SNI, **SAN}}, "xds.test"),
    (AUTHORITY, {"names": {**SNI, **SAN}, "outer": {"sni": "sni.test"}}, "xds.test"),
    (AUTHORITY, {"names": SAN, "outer": {"sni": "sni.test"}}, "sni.test"),
    (AUTHORITY, {"names": {**SNI, **SAN}, "outer": HOST_SNI}, "xds.test"),
    (AUTHORITY, {"outer": HOST_SNI}, "ep.test"),
    (AUTHORITY, {"outer": {**HOST_SNI, **SNI_SAN}}, "ep.test"),
    ({"authority": "xds.test:15012"}, {"names": {**SNI, **SAN}}, "xds.test"),
    ({"authority": "[::1]:15012"}, {"names": {**SNI, **SAN}, "outer": HOST_SNI}, "ep.test"),
    ({}, {"names": {**SNI, **SAN}}, "xds"),
    (AUTHORITY, {"names": {**SNI, **SAN, "override_auto_sni_header": "x-name"},
                 "metadata": [("x-name", "ep.test")]}, "ep.test")])
def test_names_that_a_channel_sends(stub, start, closing, tmp_path, ca, ads_bootstrap, grpc,
                                    fields, sent):
    """They come from :authority and the endpoint, as for any request."""
    control = stub(listener(routes=[direct(200)]))
    server = ca.issue("server", dns=["xds.test", "xds", "ep.test"], ips=["::1"])
    channel = NamedChannel(control, closing, server, tmp_path)
    proxy = start(channel.bootstrap(ads_bootstrap(control, grpc=grpc), ca, **fields))
    assert proxy.get("/").status == 200
    assert set(channel.names) == {sent}


@pytest.mark.parametrize("fields", [
    {"names": SAN}, {"names": {**SNI, **SAN}}, {"outer": {**HOST_SNI, **SNI_SAN}},
    {"names": SNI, "outer": SNI_SAN},
    {"names": {**SAN, "override_auto_sni_header": "x-name"}, "metadata": [("x-name", "ep.test")]}])
def test_a_server_for_another_name(stub, start, closing, tmp_path, ca, ads_bootstrap, fields):
    control = stub(listener(routes=[direct(200)]))
    other = ca.issue("server", dns=["other.test"])
    channel = NamedChannel(control, closing, other, tmp_path)
    proxy = start(channel.bootstrap(ads_bootstrap(control, grpc=AUTHORITY), ca, **fields),
                  ready=False)
    wait_for(lambda: proxy.stat("cluster.xds.ssl.fail_verify_san") >= 1, what="the refusal")
    assert not control.requests() and not proxy.listeners()


def test_secrets_over_mtls_of_their_own(secure, start, tmp_path, ca, leaves):
    """A listener's certificate comes by gRPC, from a cluster that needs one itself."""
    control = secure(leaves["server"].secret("web"))
    socket = downstream(tls_certificate_sds_secret_configs=[
        sds("web", api_source("GRPC", "agent"))])
    made = listener(routes=[direct(200)])
    made.pop("@type")
    made["filter_chains"][0]["transport_socket"] = socket
    agent = cluster("agent", control.xds_port, http=H2,
                    transport_socket=client_socket(ca, leaves["me"], tmp_path))
    proxy = start(bootstrap([made], [agent], node={"id": "test", "cluster": "e2e"}))

    def served():
        with TlsClient(proxy.port(), certs.client_context(ca)) as client:
            assert client.get("/").status == 200
            return client.peer_serial

    assert served() == leaves["server"].serial
    assert shown(control) == [leaves["me"].serial]
    control.put(leaves["next"].secret("web"))
    wait_for(lambda: served() == leaves["next"].serial, what="the new certificate")


def secret_file(folder, secret):
    """A DiscoveryResponse in a file named after its one secret, replaced in one move."""
    new = folder / "new"
    new.write_text(json.dumps({"version_info": "1", "type_url": type_url("sds"),
                               "resources": [secret]}))
    return {"resource_api_version": "V3",
            "path_config_source": {"path": str(new.rename(folder / (secret["name"] + ".json")))}}


def secret_socket(me, root):
    return upstream(tls_certificate_sds_secret_configs=[sds("me", me)],
                    validation_context_sds_secret_config=sds("root", root))


def reconnect(control):
    """The server goes and is back at its port."""
    control.stop()
    control.start()


def test_secrets_from_files_that_change(secure, start, tmp_path, ca, leaves, ads_bootstrap):
    """What changes while connected ends nothing; the next connection presents the new one."""
    control = secure(listener(routes=[direct(200, "v1")]))
    socket = secret_socket(secret_file(tmp_path, leaves["me"].secret("me")),
                           secret_file(tmp_path, ca.validation_secret("root")))
    proxy = start(over_tls(ads_bootstrap(control), socket))
    assert proxy.get("/").text == "v1"
    secret_file(tmp_path, leaves["other"].secret("me"))
    wait_for(lambda: proxy.stat("sds.me.update_success") >= 2, what="the new secret")
    control.put(listener(routes=[direct(200, "v2")]))
    control.wait("lds")
    assert shown(control) == [leaves["me"].serial]
    reconnect(control)
    wait_for(lambda: shown(control), bound=30, what="a new connection")
    assert set(shown(control)) == {leaves["other"].serial}
    assert proxy.get("/").text == "v2"


def test_in_two_steps_as_istios_agent_does(secure, start, closing, tmp_path, ca, leaves,
                                           ads_bootstrap):
    """An agent on a path gives the secrets with which the control plane is reached; both are
    streams, and what the agent changes is presented at the next connection."""
    agent = closing(Stub(tmp_path / "agent", [leaves["me"].secret("me"),
                                              ca.validation_secret("root")],
                         args=["--listen", f"unix:{tmp_path}/sds.sock"])).start()
    control = secure(listener(routes=[direct(200, "v1")]))
    source = api_source("GRPC", "sds-grpc")
    config = over_tls(ads_bootstrap(control), secret_socket(source, source))
    config["static_resources"]["clusters"].append(
        cluster("sds-grpc", {"pipe": {"path": f"{tmp_path}/sds.sock"}}, http=H2))
    proxy = start(config)
    assert proxy.get("/").text == "v1"
    assert shown(control) == [leaves["me"].serial]
    with Traffic(proxy.port()) as traffic:
        agent.put(leaves["other"].secret("me"))
        agent.wait("sds")
        traffic.go_on()
        reconnect(control)
        wait_for(lambda: leaves["other"].serial in shown(control), bound=30, what="the new one")
        traffic.go_on()
    control.put(listener(routes=[direct(200, "v2")]))
    wait_for(lambda: proxy.get("/").text == "v2", bound=30, what="the change")


def test_the_servers_certificate_changes(secure, start, tmp_path, ca, leaves, ads_bootstrap):
    """Its files are read again: new connections see the new one, the stream goes on."""
    control = secure(listener(routes=[direct(200, "v1")]))
    socket = client_socket(ca, leaves["me"], tmp_path)
    proxy = start(over_tls(ads_bootstrap(control), socket))
    context = certs.client_context(ca, leaves["me"], tmp_path)

    def serial():
        with TlsClient(control.xds_port, context) as client:
            return client.peer_serial

    assert serial() == leaves["server"].serial
    leaves["next"].write(tmp_path / "stub-tls", "stub")
    assert serial() == leaves["next"].serial
    (tmp_path / "stub-tls" / "stub.key").write_text("no key")
    assert serial() == leaves["next"].serial
    control.put(listener(routes=[direct(200, "v2")]))
    control.wait("lds")
    assert proxy.get("/").text == "v2"
    assert len(control.events(event="open")) == 1


def test_goaway_within_tls(secure, start, tmp_path, ca, leaves, ads_bootstrap):
    """The stream moves to a new connection, with a handshake of its own."""
    control = secure(listener(routes=[direct(200, "v1")]), args=["--goaway-ms", "300"])
    socket = client_socket(ca, leaves["me"], tmp_path)
    proxy = start(over_tls(ads_bootstrap(control, grpc={"retry_policy": {"retry_back_off": {
        "base_interval": "0.1s", "max_interval": "0.2s"}}}), socket))
    with Traffic(proxy.port()) as traffic:
        wait_for(lambda: len(handshakes(control)) >= 2, bound=30, what="two connections")
        traffic.go_on()
