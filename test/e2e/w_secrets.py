"""Secrets: over ADS, over streams of their own, from files and the bootstrap; new ones, bad ones,
missing ones (rules M17, O07, Q18 and traps of SDS)."""
import json
import ssl
import subprocess
import sys
import threading

import pytest

from harness import certs, difference, direct, route, wait_for, xds
from harness.certs import downstream, sds, upstream
from harness.config import bootstrap, cluster, endpoint
from harness.proxy import REPOSITORY, run_once, sanitized
from harness.stub import type_url
from harness.tls import TlsClient, tls_front, tls_origin
from harness.xds import (STATE_OF_THE_WORLD, api_source, eds_cluster, endpoints, listener, names_of,
                         static_cluster, xds_cluster)

RAW = "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"
READY = "listener.127.0.0.1_0.server_ssl_socket_factory"


@pytest.fixture(scope="module")
def leaves(ca):
    """Certificates of one authority, by name."""
    return {name: ca.issue(name, dns=["a.test"], uris=[f"spiffe://td/{name}"])
            for name in ("one", "two", "three", "client", "other")}


def waits(source=None, timeout="0s"):
    return {**(source or {"ads": {}, "resource_api_version": "V3"}),
            "initial_fetch_timeout": timeout}


def tls_listener(name="ingress", secret="web", source=None, socket=None, **manager):
    made = listener(name, routes=manager.pop("routes", [direct(200, name)]), **manager)
    made["filter_chains"][0]["transport_socket"] = socket or downstream(
        tls_certificate_sds_secret_configs=[sds(secret, source)])
    return made


def served(proxy, ca, name="ingress", **kw):
    """The serial number of the certificate that a new connection sees; its answer must be 200."""
    with TlsClient(proxy.port(name), certs.client_context(ca), **kw) as client:
        assert client.get("/").status == 200
        return client.peer_serial


def wait_served(proxy, ca, certificate, **kw):
    wait_for(lambda: served(proxy, ca, **kw) == certificate.serial,
             what=f"the certificate {certificate.name}")


def refused(proxy, name="ingress"):
    """A new connection is closed without a handshake."""
    try:
        TlsClient(proxy.port(name), certs.client_context()).close()
    except (ssl.SSLError, ConnectionError):
        return True
    return False


def streams(control, kind="sds"):
    return {e["stream"] for e in control.requests(kind)}


def test_secrets_over_ads(stub, start, ca, leaves, ads_bootstrap):
    """Both names in one subscription; the listener waits for both; a client is verified."""
    socket = downstream(outer={"require_client_certificate": True},
                        tls_certificate_sds_secret_configs=[sds("web")],
                        validation_context_sds_secret_config=sds("root"))
    control = stub(tls_listener(socket=socket), leaves["one"].secret("web"),
                   ca.validation_secret("root"))
    proxy = start(ads_bootstrap(control))
    control.wait("sds")
    assert len(control.events(event="open")) == 1
    assert set().union(*map(names_of, control.requests("sds"))) == {"web", "root"}
    context = certs.client_context(ca, leaves["client"], proxy.folder)
    with TlsClient(proxy.port(), context) as client:
        assert client.get("/").text == "ingress"
        assert client.peer_serial == leaves["one"].serial
    with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
        served(proxy, ca)
    assert proxy.stat(f"{READY}.ssl_context_update_by_sds") >= 2


def test_who_was_let_in_is_judged_anew(stub, start, ca, leaves, ads_bootstrap):
    """By a new authority, and by a list of what is revoked, though they were let in before."""
    socket = downstream(outer={"require_client_certificate": True},
                        tls_certificate_sds_secret_configs=[sds("web")],
                        validation_context_sds_secret_config=sds("root"))
    control = stub(tls_listener(socket=socket), leaves["one"].secret("web"),
                   ca.validation_secret("root"))
    proxy = start(ads_bootstrap(control), concurrency=1)
    contexts = {name: certs.client_context(ca, leaves[name], proxy.folder)
                for name in ("client", "other")}

    def comes_in(name):
        try:
            with TlsClient(proxy.port(), contexts[name]) as client:
                return client.get("/").status == 200
        except (ssl.SSLError, OSError, AssertionError):
            return False

    assert comes_in("client") and comes_in("client") and comes_in("other")
    control.put(ca.validation_secret("root", crl={"inline_string": ca.crl(leaves["client"])}))
    control.wait("sds")
    wait_for(lambda: not comes_in("client"), what="the revoked one to be refused")
    assert comes_in("other")
    control.put(certs.Authority("strange").validation_secret("root"))
    control.wait("sds")
    wait_for(lambda: not comes_in("other"), what="all to be refused")
    control.put(ca.validation_secret("root"))
    control.wait("sds")
    wait_for(lambda: comes_in("client") and comes_in("other"), what="all to come in")


def test_M17_a_new_secret_is_for_new_connections(stub, start, ca, leaves, ads_bootstrap):
    control = stub(tls_listener(), leaves["one"].secret("web"))
    proxy = start(ads_bootstrap(control))
    with TlsClient(proxy.port(), certs.client_context(ca)) as client:
        assert client.get("/").status == 200
        control.put(leaves["two"].secret("web"))
        control.wait("sds")
        wait_served(proxy, ca, leaves["two"])
        assert client.get("/").status == 200
        assert client.peer_serial == leaves["one"].serial
    assert proxy.stat("listener_manager.listener_modified") == 0
    assert proxy.stat("listener_manager.total_filter_chains_draining") == 0
    assert proxy.stat("sds.web.update_success") >= 2


def test_rotation_under_load_fails_nothing(stub, start, ca, leaves, ads_bootstrap):
    """Keep-alive connections and one connection a request, while the secret changes often."""
    control = stub(tls_listener(), leaves["one"].secret("web"))
    proxy = start(ads_bootstrap(control), concurrency=2)
    port, context = proxy.port(), certs.client_context(ca)
    problems, counts, seen, stopping = [], [0, 0], set(), threading.Event()

    def keep():
        with TlsClient(port, context) as client:
            while not stopping.is_set():
                assert client.get("/").status == 200
                counts[0] += 1

    def new():
        while not stopping.is_set():
            with TlsClient(port, context) as client:
                assert client.get("/").status == 200
                seen.add(client.peer_serial)
                counts[1] += 1

    def run(what):
        try:
            what()
        except Exception as error:     # any kind is a failed request
            problems.append(repr(error))

    threads = [threading.Thread(target=run, args=(what,), daemon=True) for what in (keep, new)]
    for thread in threads:
        thread.start()
    names = ["two", "three", "one"] * 5
    for name in names:
        before = counts[1]
        control.put(leaves[name].secret("web"))
        control.wait("sds")
        wait_for(lambda: problems or counts[1] >= before + 5, what="connections")
    stopping.set()
    for thread in threads:
        thread.join(10)
    assert problems == []
    assert counts[0] > len(names)
    assert seen == {leaves[name].serial for name in ("one", "two", "three")}


def test_rotation_program(kind):
    """A few seconds of bench/rotation.py, which a release runs for five minutes."""
    if kind == "xylem" and sanitized():
        pytest.skip("the sanitizer keeps what is freed")
    if not (REPOSITORY / "build" / "bench" / "load").exists():
        pytest.skip("no load generator in this build")
    done = subprocess.run(
        [sys.executable, REPOSITORY / "bench" / "rotation.py", "--proxy", kind, "--seconds", "4",
         "--every", "0.25", "--rate", "50", "--growth", "50", "--late", "50"],
        capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_O07_each_secret_has_a_stream_of_its_own(stub, start, ca, leaves, dialect):
    """A source of its own: a stream for each name, of the service of secrets (Q18: istiod)."""
    control = stub(leaves["one"].secret("web"), ca.validation_secret("root"))
    source = api_source(dialect)
    socket = downstream(tls_certificate_sds_secret_configs=[sds("web", source)],
                        validation_context_sds_secret_config=sds("root", source))
    made = tls_listener(socket=socket)
    made.pop("@type")
    proxy = start(bootstrap([made], [xds_cluster(control)], node={"id": "test", "cluster": "e2e"}))
    assert served(proxy, ca) == leaves["one"].serial
    assert len(streams(control)) == len(control.events(event="open")) == 2
    asked = {e["stream"]: set() for e in control.requests("sds")}
    for one in control.requests("sds"):
        asked[one["stream"]] |= set(names_of(one))
    assert sorted(asked.values(), key=str) == sorted([{"web"}, {"root"}], key=str)
    control.put(leaves["two"].secret("web"))
    wait_served(proxy, ca, leaves["two"])
    assert proxy.stat("sds.web.control_plane.connected_state") == 1


def test_Q18_an_agent_behind_a_unix_socket(stub, start, closing, ca, leaves):
    """As istiod's agent: a cluster with a relative path, whose socket comes after the proxy."""
    control = stub(leaves["one"].secret("default"), ca.validation_secret("ROOTCA"))
    agent = cluster("sds-grpc", {"pipe": {"path": "./sds.sock"}}, http=xds.H2)
    source = waits(api_source("GRPC", "sds-grpc"))
    socket = downstream(tls_certificate_sds_secret_configs=[sds("default", source)],
                        combined_validation_context={
                            "default_validation_context": {"match_subject_alt_names": [
                                {"prefix": "spiffe://td/"}]},
                            "validation_context_sds_secret_config": sds("ROOTCA", source)},
                        outer={"require_client_certificate": True})
    made = tls_listener(socket=socket)
    made.pop("@type")
    proxy = start(bootstrap([made], [agent], node={"id": "test", "cluster": "e2e"}), ready=False)
    assert proxy.admin("/ready").status == 503
    closing(tls_front(None, control.xds_port, proxy.folder / "sds.sock"))
    wait_for(lambda: proxy.admin("/ready").status == 200, what="the secrets")
    port = proxy.port()
    with TlsClient(port, certs.client_context(ca, leaves["client"], proxy.folder)) as client:
        assert client.get("/").status == 200
        assert client.peer_serial == leaves["one"].serial
    stranger = ca.issue("stranger", uris=["spiffe://elsewhere/x"])
    with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
        with TlsClient(port, certs.client_context(ca, stranger, proxy.folder)) as client:
            client.get("/")


def test_two_listeners_share_a_secret(stub, start, ca, leaves, ads_bootstrap):
    control = stub(tls_listener("one"), tls_listener("two"), leaves["one"].secret("web"))
    proxy = start(ads_bootstrap(control))
    assert served(proxy, ca, "one") == served(proxy, ca, "two") == leaves["one"].serial
    control.put(leaves["two"].secret("web"))
    for name in ("one", "two"):
        wait_served(proxy, ca, leaves["two"], name=name)


def test_M05_a_listener_waits_for_its_secret(stub, start, ca, leaves, ads_bootstrap, silent):
    control = stub(tls_listener(source=waits()))
    silent(control, "sds")
    proxy = start(ads_bootstrap(control), ready=False)
    control.wait_requests("sds", 1)
    wait_for(lambda: "web" in proxy.admin("/init_dump").text, what="the listener to warm")
    assert proxy.admin("/ready").status == 503
    warming = proxy.config_dump()[-1]["dynamic_warming_secrets"]
    assert [(one["name"], one["version_info"]) for one in warming] == [("web", "uninitialized")]
    control.put(leaves["one"].secret("web"))
    control.clear_faults()
    assert served(proxy, ca) == leaves["one"].serial
    assert proxy.admin("/ready").status == 200


def test_T01_a_secret_that_does_not_come_in_time(stub, start, ca, leaves, ads_bootstrap, dialect):
    """The listener listens; its connections are closed and counted until the secret comes. In the
    incremental protocol the server says that there is none."""
    control = stub(tls_listener(source=waits(timeout="0.2s")))
    proxy = start(ads_bootstrap(control))
    assert refused(proxy)
    wait_for(lambda: proxy.stat(f"{READY}.downstream_context_secrets_not_ready") >= 1,
             what="the connection to be counted")
    assert proxy.stat("sds.web.init_fetch_timeout") == (dialect == STATE_OF_THE_WORLD)
    control.put(leaves["one"].secret("web"))
    wait_for(lambda: not refused(proxy), what="the secret")
    assert served(proxy, ca) == leaves["one"].serial


def mismatched(leaves, name="web"):
    """A secret whose key belongs to another certificate."""
    made = leaves["one"].secret(name)
    made["tls_certificate"]["private_key"] = {"inline_string": leaves["other"].key}
    return made


def test_a_bad_secret_is_refused_and_the_last_good_stays(stub, start, ca, leaves, ads_bootstrap):
    control = stub(tls_listener(), leaves["one"].secret("web"))
    proxy = start(ads_bootstrap(control))
    assert served(proxy, ca) == leaves["one"].serial
    control.put(mismatched(leaves))
    entry = control.wait("sds", "NACKED")
    assert "KEY_VALUES_MISMATCH" in json.dumps(entry)
    assert "PRIVATE KEY" not in json.dumps(entry)
    assert served(proxy, ca) == leaves["one"].serial
    assert proxy.stat("sds.web.update_rejected") == 1
    assert "PRIVATE KEY" not in proxy.log() + proxy.admin("/config_dump").text
    control.put(leaves["two"].secret("web"))
    control.wait("sds")
    wait_served(proxy, ca, leaves["two"])


@difference("one bad secret is no reason to hold back those beside it: Envoy refuses the whole "
            "response, so that no listener gets its secret",
            envoy="counts every secret of the response as rejected",
            xylem="refuses the bad one by its name and uses the others")
def test_a_bad_secret_blocks_only_its_own(stub, start, kind, ca, leaves, ads_bootstrap):
    control = stub(tls_listener("one", "good"), tls_listener("two", "bad"),
                   leaves["one"].secret("good"), mismatched(leaves, "bad"))
    proxy = start(ads_bootstrap(control))
    entry = control.wait("sds", "NACKED")
    if kind == "xylem":
        assert served(proxy, ca, "one") == leaves["one"].serial
        assert "bad:" in json.dumps(entry)
        assert proxy.stat("sds.good.update_rejected") == 0
    assert proxy.stat("sds.bad.update_rejected") == 1
    assert refused(proxy, "two")
    control.put(leaves["two"].secret("bad"))
    wait_for(lambda: not refused(proxy, "two"), what="the good one")
    assert served(proxy, ca, "two") == leaves["two"].serial
    if kind == "xylem":
        assert served(proxy, ca, "one") == leaves["one"].serial


@difference("A secret that is none of the kind that is asked for leaves the last good one in place: without "
            "what it is checked against, any certificate would do, or none.",
            envoy="lets everybody in as soon as a validation context's name stands for a certificate",
            xylem="refuses the secret")
def test_a_secret_of_another_kind(stub, start, kind, ca, leaves, tmp_path, ads_bootstrap):
    socket = downstream(leaves["one"], outer={"require_client_certificate": True},
                        validation_context_sds_secret_config=sds("peers"))
    control = stub(tls_listener(socket=socket), ca.validation_secret("peers"))
    proxy = start(ads_bootstrap(control))
    known = certs.client_context(ca, leaves["client"], tmp_path)

    def comes_in(context):
        try:
            with TlsClient(proxy.port(), context) as client:
                return client.get("/").status == 200
        except (OSError, AssertionError):
            return False

    assert comes_in(known) and not comes_in(certs.client_context())
    control.put(leaves["two"].secret("peers"))
    if kind == "xylem":
        assert control.wait("sds", "NACKED")
    else:
        wait_for(lambda: comes_in(certs.client_context()))
    assert comes_in(known) and comes_in(certs.client_context()) == (kind == "envoy")


def test_clusters_use_secrets(stub, start, closing, tmp_path, ca, leaves, ads_bootstrap):
    """A client certificate and an authority by SDS; the next connection presents the new one."""
    origin = closing(tls_origin(certs.server_context(leaves["one"], tmp_path, ca)))
    socket = upstream(tls_certificate_sds_secret_configs=[sds("client")],
                      combined_validation_context={
                          "default_validation_context": {"match_typed_subject_alt_names": [
                              {"san_type": "DNS", "matcher": {"exact": "a.test"}}]},
                          "validation_context_sds_secret_config": sds("root")})
    control = stub(listener(routes=[route("/", "up")]),
                   static_cluster("up", origin, transport_socket=socket,
                                  max_requests_per_connection=1),
                   leaves["client"].secret("client"), ca.validation_secret("root"))
    proxy = start(ads_bootstrap(control))
    assert proxy.get("/").text == leaves["client"].serial
    control.put(leaves["other"].secret("client"))
    control.wait("sds")
    wait_for(lambda: proxy.get("/").text == leaves["other"].serial, what="the new certificate")
    assert proxy.stat("cluster.up.client_ssl_socket_factory.ssl_context_update_by_sds") >= 3
    control.put(certs.Authority("strange").validation_secret("root"))
    control.wait("sds")
    wait_for(lambda: proxy.get("/").status == 503, what="the origin to be refused")


def test_endpoints_choose_their_transport_socket(stub, start, closing, origins, tmp_path, ca,
                                                 leaves, ads_bootstrap):
    """As istiod writes it: endpoints that say so in their metadata get mTLS, the others none; what
    an endpoint says may change."""
    plain, = origins("plain")
    secure = closing(tls_origin(certs.server_context(leaves["one"], tmp_path, ca)))
    mesh = {"filter_metadata": {"envoy.transport_socket_match": {"tlsMode": "istio", "other": 1}}}
    matches = [
        {"name": "tlsMode-istio", "match": {"tlsMode": "istio"}, "transport_socket": upstream(
            tls_certificate_sds_secret_configs=[sds("client")],
            validation_context_sds_secret_config=sds("root"))},
        {"name": "tlsMode-disabled", "match": {}, "transport_socket": {
            "name": "envoy.transport_sockets.raw_buffer", "typed_config": {"@type": RAW}}}]

    def ends(*made):
        return endpoints("up", *made)
    control = stub(listener(routes=[route("/", "up")]),
                   eds_cluster("up", transport_socket_matches=matches),
                   ends(endpoint(secure, metadata=mesh), plain),
                   leaves["client"].secret("client"), ca.validation_secret("root"))
    proxy = start(ads_bootstrap(control))
    seen = {proxy.get("/").text for _ in range(8)}
    assert seen == {"plain", leaves["client"].serial}
    control.put(leaves["other"].secret("client"))
    control.wait("sds")
    secure.cut()
    wait_for(lambda: proxy.get("/").text == leaves["other"].serial, what="the new certificate")
    # now nobody speaks TLS to the origin that insists on it
    control.put(ends(secure))
    control.wait("eds")
    secure.cut()
    wait_for(lambda: proxy.get("/").status == 503, what="plain text to be refused")
    control.put(ends(endpoint(secure, metadata=mesh)))
    control.wait("eds")
    wait_for(lambda: proxy.get("/").text == leaves["other"].serial, what="TLS again")


def test_secrets_of_the_bootstrap(start, ca, leaves):
    secret = leaves["one"].secret("web")
    secret.pop("@type")
    made = tls_listener(socket=downstream(tls_certificate_sds_secret_configs=[{"name": "web"}]))
    made.pop("@type")
    boot = bootstrap([made])
    boot["static_resources"]["secrets"] = [secret]
    proxy = start(boot)
    assert served(proxy, ca) == leaves["one"].serial
    shown = proxy.config_dump()[-1]["static_secrets"]
    assert [one["name"] for one in shown] == ["web"]
    assert shown[0]["secret"]["tls_certificate"]["private_key"] == {"inline_string": "[redacted]"}
    assert "PRIVATE KEY" not in proxy.admin("/config_dump").text


def with_secrets(*secrets, **common):
    made = tls_listener(socket=downstream(
        tls_certificate_sds_secret_configs=[{"name": "web"}], **common))
    made.pop("@type")
    boot = bootstrap([made])
    boot["static_resources"]["secrets"] = [
        {key: value for key, value in secret.items() if key != "@type"} for secret in secrets]
    return boot


def test_a_secret_of_the_bootstrap_that_nobody_names(start, ca, leaves):
    """Its files are not looked for."""
    nowhere = {"filename": "/no/such/file"}
    proxy = start(with_secrets(leaves["one"].secret("web"), {
        "name": "other", "tls_certificate": {"certificate_chain": nowhere, "private_key": nowhere}}))
    assert served(proxy, ca) == leaves["one"].serial


@difference("Two secrets of one name cannot be told apart by who reads the configuration, and over "
            "xDS one name is one secret, too.",
            envoy="keeps secrets of the bootstrap by their kind and name",
            xylem="refuses the second one")
def test_two_secrets_of_the_bootstrap_of_one_name(kind, tmp_path, ca, leaves):
    config = tmp_path / "b.json"
    config.write_text(json.dumps(with_secrets(
        leaves["one"].secret("web"), ca.validation_secret("web"),
        validation_context_sds_secret_config={"name": "web"})))
    code, out, err = run_once(kind, ["-c", str(config), "--mode", "validate"], tmp_path)
    assert code == (0 if kind == "envoy" else 1)
    if kind == "xylem":
        assert "static_resources.secrets[1]: Duplicated static secret name web" in out + err


def secret_file(folder, secret):
    """A DiscoveryResponse in a file named after its one secret, replaced in one move."""
    new = folder / "new"
    new.write_text(json.dumps({"version_info": "1", "type_url": type_url("sds"),
                               "resources": [secret]}))
    return new.rename(folder / (secret["name"] + ".json"))


def file_source(path, **more):
    return {"resource_api_version": "V3", "path_config_source": {"path": str(path), **more}}


def test_secrets_from_files(start, tmp_path, ca, leaves):
    """The file of the secret changes: sds_config.path_config_source with watched_directory."""
    source = file_source(secret_file(tmp_path, leaves["one"].secret("web")),
                         watched_directory={"path": str(tmp_path)})
    made = tls_listener(source=source)
    made.pop("@type")
    proxy = start(bootstrap([made], node={"id": "test", "cluster": "e2e"}))
    assert served(proxy, ca) == leaves["one"].serial
    secret_file(tmp_path, leaves["two"].secret("web"))
    wait_served(proxy, ca, leaves["two"])


def test_a_bad_file_of_secrets(start, kind, tmp_path, ca, leaves):
    """What cannot be read is counted with the secret; one without the secret is told, too."""
    path = secret_file(tmp_path, leaves["one"].secret("web"))
    made = tls_listener(source=file_source(path))
    made.pop("@type")
    proxy = start(bootstrap([made], node={"id": "test", "cluster": "e2e"}))
    assert proxy.stat("sds.web.update_attempt") == (attempts := 1)
    for count, text in enumerate(["{", ""], 1):
        (tmp_path / "new").write_text(text)
        (tmp_path / "new").rename(path)
        proxy.wait_stat("sds.web.update_failure", count)
        assert proxy.stat("sds.web.update_attempt") == attempts + count
    attempts += 2
    for count, text in enumerate(["{}", '{"resources": []}'], 1):
        (tmp_path / "new").write_text(text)
        (tmp_path / "new").rename(path)
        proxy.wait_stat("sds.web.update_rejected", count)
    secret_file(tmp_path, leaves["two"].secret("other")).rename(path)
    wait_for(lambda: ("no resource 'web'" if kind == "xylem" else "expecting web") in proxy.log())
    proxy.wait_stat("sds.web.update_rejected", 3)
    assert proxy.stat("sds.web.update_attempt") == attempts + 3
    assert served(proxy, ca) == leaves["one"].serial
    secret_file(tmp_path, leaves["two"].secret("web"))
    wait_served(proxy, ca, leaves["two"])


@difference("A file that holds a secret more has the wanted one all the same; over ADS nobody minds "
            "either.",
            envoy="refuses a file of more than one secret",
            xylem="takes the one that is wanted")
@pytest.mark.parametrize("order", [("web", "other"), ("other", "web")])
def test_a_file_of_two_secrets(kind, start, tmp_path, ca, leaves, order):
    path = tmp_path / "sds.json"
    path.write_text(json.dumps({"resources": [
        leaves["one" if name == "web" else "two"].secret(name) for name in order]}))
    made = tls_listener(source=file_source(path))
    made.pop("@type")
    proxy = start(bootstrap([made], node={"id": "test", "cluster": "e2e"}))
    if kind == "envoy":
        proxy.wait_stat("sds.web.update_rejected", 1)
        assert refused(proxy)
    else:
        wait_served(proxy, ca, leaves["one"])


def test_certificates_of_a_secret_in_files(start, tmp_path, ca, leaves):
    """The secret names files: they are read again when something moves into the watched folder."""
    folder = tmp_path / "certs"
    made = ca.issue("first", dns=["a.test"]).write(folder, "web")
    secret = made.secret("web", files=True, watched_directory={"path": str(folder)})
    (tmp_path / "sds").mkdir()
    one = tls_listener(source=file_source(secret_file(tmp_path / "sds", secret)))
    one.pop("@type")
    proxy = start(bootstrap([one], node={"id": "test", "cluster": "e2e"}))
    assert served(proxy, ca) == made.serial
    # chain and key fit only together: between the two moves the first pair serves
    second = ca.issue("second", dns=["a.test"]).write(folder, "web")
    wait_served(proxy, ca, second)
    # what cannot be used is counted, and the last good pair serves on
    (folder / "new").write_text("no key")
    (folder / "new").rename(second.key_path)
    wait_for(lambda: proxy.stat("sds.web.key_rotation_failed") >= 1, what="the failure")
    assert served(proxy, ca) == second.serial


def test_certs_page_and_days(stub, start, ca, leaves, ads_bootstrap):
    control = stub(tls_listener(), leaves["one"].secret("web"))
    proxy = start(ads_bootstrap(control))
    assert served(proxy, ca) == leaves["one"].serial
    shown = proxy.json("/certs")["certificates"]
    assert [one["cert_chain"][0]["serial_number"] for one in shown] == [leaves["one"].serial]
    leaf = shown[0]["cert_chain"][0]
    assert leaf["path"] == "<inline>"
    assert leaf["subject_alt_names"] == [{"dns": "a.test"}, {"uri": "spiffe://td/one"}]
    assert leaf["days_until_expiration"] in ("29", "30")
    assert leaf["expiration_time"] == \
        leaves["one"].certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
    wait_for(lambda: proxy.stat("server.days_until_first_cert_expiring") in (29, 30),
             what="the days")
    assert 'envoy_sds_update_success{envoy_xds_resource_name="web"} 1' in \
        proxy.admin("/stats/prometheus?filter=sds").text.splitlines()


def test_secrets_are_shown_without_what_is_private(stub, start, ca, leaves, ads_bootstrap):
    control = stub(tls_listener(), leaves["one"].secret("web"))
    proxy = start(ads_bootstrap(control))
    assert served(proxy, ca) == leaves["one"].serial
    secrets = proxy.config_dump()[-1]
    assert secrets["@type"].endswith("SecretsConfigDump")
    active = secrets["dynamic_active_secrets"]
    assert [one["name"] for one in active] == ["web"]
    body = active[0]["secret"]["tls_certificate"]
    assert body["certificate_chain"] == {"inline_string": leaves["one"].chain}
    assert body["private_key"] == {"inline_string": "[redacted]"}
    assert active[0]["version_info"]
