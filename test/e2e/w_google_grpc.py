"""Control planes that are named by where they are, without a cluster: google_grpc (rule O13)."""
import grpc
import pytest

from harness import Stub, bootstrap, certs, difference, direct, wait_for
from harness.certs import downstream, sds
from harness.config import hcm, socket_address
from harness.snapshots import SnapshotServer
from harness.stub import tls_args
from harness.tls import TlsClient
from harness.xds import ADS, DELTA, STATE_OF_THE_WORLD, listener

PREFIX = "grpc.control."


def service(uri, args=None, **fields):
    made = {"target_uri": uri, "stat_prefix": "control", **fields}
    if args:
        made["channel_args"] = {"args": {
            k: {"int_value": v} if isinstance(v, int) else {"string_value": v}
            for k, v in args.items()}}
    return {"google_grpc": made}


def from_services(*services, dialect=STATE_OF_THE_WORLD, **fields):
    """A bootstrap of nothing but a control plane."""
    return bootstrap([], [], node={"id": "test", "cluster": "e2e"}, dynamic_resources={
        "ads_config": {"api_type": dialect, "transport_api_version": "V3",
                       "grpc_services": list(services)},
        "cds_config": ADS, "lds_config": ADS}, **fields)


def source(made, dialect=STATE_OF_THE_WORLD):
    return {"resource_api_version": "V3", "api_config_source": {
        "api_type": dialect, "transport_api_version": "V3", "grpc_services": [made]}}


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "localhost:{}", "dns:localhost:{}",
                                  "dns:///localhost:{}", "ipv4:127.0.0.1:1,127.0.0.1:{}"])
def test_O13_a_control_plane_without_a_cluster(stub, start, form, dialect):
    control = stub(listener(routes=[direct(200, "v1")]))
    proxy = start(from_services(service(form.format(control.xds_port)), dialect=dialect))
    assert proxy.get("/").text == "v1"
    control.put(listener(routes=[direct(200, "v2")]))
    control.wait("lds")
    wait_for(lambda: proxy.get("/").text == "v2", what="the change")
    stats = proxy.stats()
    assert stats["control_plane.connected_state"] == 1
    assert stats[PREFIX + "google_grpc_client_creation"] == 1
    assert stats[PREFIX + "streams_total"] == 1
    assert stats[PREFIX + "streams_closed_14"] == 0
    assert stats["cluster_manager.active_clusters"] == 0


@pytest.mark.parametrize("form, credentials", [
    ("unix:{}", None), ("unix://{}", None), ("unix:{}", {"local_credentials": {}}),
], ids=["path", "url", "local"])
def test_O13_on_a_path(closing, start, tmp_path, form, credentials, dialect):
    path = tmp_path / "xds.sock"
    closing(Stub(tmp_path / "stub", [listener(routes=[direct(200, "v1")])],
                 args=["--listen", f"unix:{path}"])).start()
    fields = {"channel_credentials": credentials} if credentials else {}
    proxy = start(from_services(service(form.format(path), **fields), dialect=dialect))
    assert proxy.get("/").text == "v1"


def test_O13_the_stream_comes_back(stub, start, dialect):
    control = stub(listener(routes=[direct(200, "v1")]))
    proxy = start(from_services(service(f"127.0.0.1:{control.xds_port}", {
        "grpc.initial_reconnect_backoff_ms": 100, "grpc.max_reconnect_backoff_ms": 200,
        "grpc.min_reconnect_backoff_ms": 1000}), dialect=dialect))
    assert proxy.get("/").text == "v1"
    control.end_streams()
    wait_for(lambda: len(control.events(None, "open")) >= 2, what="the stream")
    control.stop()
    proxy.wait_stat("control_plane.connected_state", 0)
    control.put(listener(routes=[direct(200, "v2")]))
    control.start()
    wait_for(lambda: proxy.get("/").text == "v2", bound=20, what="the change")
    assert proxy.stat(PREFIX + "streams_total") >= 3


# Over TLS

@pytest.fixture(scope="module")
def leaves(ca):
    return {name: ca.issue(name, dns=["a.test"]) for name in ("server", "me", "next")}


@pytest.fixture
def secure(stub, tmp_path, ca, leaves):
    return lambda *resources: stub(
        *resources, args=tls_args(tmp_path / "stub-tls", leaves["server"], ca))


@pytest.fixture
def mine(tmp_path, ca, leaves):
    """ssl_credentials of "me", in files."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "ca.pem").write_text(ca.pem)
    leaves["me"].write(tmp_path / "mine", "me")
    return {"ssl_credentials": {
        "root_certs": {"filename": str(tmp_path / "mine" / "ca.pem")},
        "cert_chain": {"filename": str(leaves["me"].chain_path)},
        "private_key": {"filename": str(leaves["me"].key_path)}}}


NAME = {"grpc.ssl_target_name_override": "a.test"}


def shown(control):
    return [e["client_serial"] for e in control.events(event="handshake") if "error" not in e]


def test_O13_over_mtls(secure, start, mine, leaves, dialect):
    control = secure(listener(routes=[direct(200, "v1")]))
    proxy = start(from_services(service(f"127.0.0.1:{control.xds_port}", NAME,
                                        channel_credentials=mine), dialect=dialect))
    assert proxy.get("/").text == "v1"
    assert shown(control) == [leaves["me"].serial]
    control.put(listener(routes=[direct(200, "v2")]))
    control.wait("lds")
    wait_for(lambda: proxy.get("/").text == "v2", what="the change")


@pytest.mark.parametrize("what", ["another-name", "another-authority", "no-certificate"])
def test_O13_who_is_not_believed(secure, start, mine, tmp_path, what):
    control = secure(listener(routes=[direct(200)]))
    args, ssl = NAME, mine["ssl_credentials"]
    if what == "another-name":
        args = {"grpc.ssl_target_name_override": "b.test"}
    elif what == "another-authority":
        (tmp_path / "mine" / "ca.pem").write_text(certs.Authority("elsewhere").pem)
    else:
        del ssl["cert_chain"], ssl["private_key"]
    proxy = start(from_services(service(f"127.0.0.1:{control.xds_port}", args,
                                        channel_credentials=mine)), ready=False)
    proxy.wait_stat(PREFIX + "streams_total", lambda n: n >= 2, bound=20)
    assert not control.requests()


@difference("The files of a channel's credentials have changed.",
            envoy="goes on with those that it has read at first",
            xylem="reads them whenever it connects")
def test_O13_files_of_credentials_are_read_anew(secure, start, kind, mine, leaves, tmp_path):
    control = secure(listener(routes=[direct(200, "v1")]))
    proxy = start(from_services(service(f"127.0.0.1:{control.xds_port}", NAME,
                                        channel_credentials=mine)))
    assert proxy.get("/").text == "v1"
    leaves["next"].write(tmp_path / "mine", "me")
    control.stop()
    control.start()
    wait_for(lambda: shown(control), bound=30, what="a new connection")
    assert set(shown(control)) == {leaves["next" if kind == "xylem" else "me"].serial}


def test_O13_secrets_from_a_target_of_their_own(stub, start, leaves, ca):
    control = stub(leaves["server"].secret("web"))
    made = {"name": "ingress", "address": socket_address(), "filter_chains": [{
        "filters": [hcm(routes=[direct(200)])],
        "transport_socket": downstream(tls_certificate_sds_secret_configs=[
            sds("web", source(service(f"127.0.0.1:{control.xds_port}")))])}]}
    proxy = start(bootstrap([made], [], node={"id": "test", "cluster": "e2e"}))

    def served():
        with TlsClient(proxy.port(), certs.client_context(ca)) as client:
            assert client.get("/").status == 200
            return client.peer_serial

    assert served() == leaves["server"].serial
    control.put(leaves["next"].secret("web"))
    wait_for(lambda: served() == leaves["next"].serial, what="the new certificate")


def test_O13_what_goes_with_a_call(start, closing, ca, leaves, dialect):
    """A token, metadata and the name of the agent."""
    leaf = leaves["server"]
    server = closing(SnapshotServer(
        listener(routes=[direct(200, "v1")]), credentials=grpc.ssl_server_credentials(
            [(leaf.tls_certificate()["private_key"]["inline_string"].encode(),
              leaf.tls_certificate()["certificate_chain"]["inline_string"].encode())])))
    made = service(f"127.0.0.1:{server.xds_port}",
                   {**NAME, "grpc.primary_user_agent": "me/1", "grpc.keepalive_time_ms": 60000},
                   channel_credentials={"ssl_credentials": {
                       "root_certs": {"inline_string": ca.pem}}},
                   call_credentials=[{"access_token": "secret"}])
    made["initial_metadata"] = [{"key": "x-who", "value": "a proxy"}]
    proxy = start(from_services(made, dialect=dialect))
    assert proxy.get("/").text == "v1"
    got = server.metadata[0]
    assert got["authorization"] == "Bearer secret"
    assert got["x-who"] == "a proxy"
    assert "me/1 " in got["user-agent"]


# What is refused

@difference("A target_uri that no channel can be made for, or credentials that never connect.",
            envoy="starts, and tries for ever",
            xylem="refuses it by name")
@pytest.mark.parametrize("uri, fields, why", [
    ("xds:///server", {}, "google_grpc.target_uri: 'xds:///server': expected host:port"),
    ("http://127.0.0.1:1", {}, "google_grpc.target_uri"),
    ("127.0.0.1:1", {"channel_credentials": {"local_credentials": {}}}, "a Unix socket"),
    ("127.0.0.1:1", {"call_credentials": [{"access_token": "a"}]},
     "google_grpc.call_credentials: expected channel_credentials with them"),
], ids=["xds", "http", "local", "token"])
def test_O13_what_cannot_connect(start, kind, uri, fields, why):
    config = from_services(service(uri, **fields))
    if kind == "envoy":
        proxy = start(config, ready=False)
        proxy.wait_stat(PREFIX + "streams_closed_13", lambda n: n >= 1)
    else:
        with pytest.raises(RuntimeError, match=why):
            start(config)


@pytest.mark.parametrize("fields, why", [
    ({"credentials_factory_name": "nobody"}, "Unknown google grpc credentials factory: nobody"),
    ({"target_uri": ""}, "value length must be at least 1"),
    ({"stat_prefix": ""}, "value length must be at least 1"),
    ({"channel_credentials": {}}, "credential_specifier"),
    ({"channel_args": {"args": {"x": {}}}}, "value_specifier"),
], ids=["factory", "no-target", "no-prefix", "no-credentials", "no-value"])
def test_O13_what_both_refuse(start, fields, why):
    with pytest.raises(RuntimeError, match=why):
        start(from_services(service("127.0.0.1:1", **fields)))


@difference("Arguments of a channel that one connection cannot obey, and credentials of Google's.",
            envoy="takes them", xylem="refuses them by name")
@pytest.mark.only("xylem", "Envoy has them")
@pytest.mark.parametrize("args, fields, why", [
    ({"grpc.lb_policy_name": "x"}, {}, r"channel_args.args\[grpc.lb_policy_name\]: it is not"),
    (None, {"channel_credentials": {"google_default": {}}}, "google_default: not implemented"),
    (None, {"channel_credentials": {"ssl_credentials": {}},
            "call_credentials": [{"google_compute_engine": {}}]}, "google_compute_engine"),
], ids=["argument", "default", "engine"])
def test_O13_what_is_not_done_is_refused(start, args, fields, why):
    with pytest.raises(RuntimeError, match=why):
        start(from_services(service("127.0.0.1:1", args, **fields)))


@difference("An access log over google_grpc.",
            envoy="sends it", xylem="refuses it by name: a log goes to a cluster")
@pytest.mark.only("xylem", "Envoy has it")
def test_O13_an_access_log_goes_to_a_cluster(stub, start):
    log = {"name": "als", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.grpc.v3."
                 "HttpGrpcAccessLogConfig",
        "common_config": {"log_name": "l", "grpc_service": service("127.0.0.1:1")}}}
    control = stub(listener(routes=[direct(200)], access_log=[log]))
    start(from_services(service(f"127.0.0.1:{control.xds_port}"), dialect=DELTA))
    assert "google_grpc is not implemented here" in control.wait("lds", "NACKED")["nack_reason"]
