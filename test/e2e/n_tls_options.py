"""Options of TLS beyond the usual: policies, fingerprints of clients, bundles of trust domains."""
import base64
import re
import subprocess

import pytest

from harness import Client, Origin, bootstrap, cluster, difference, direct, http_listener, route, wait_for
from harness import certs
from harness.client import free_port
from harness.config import file_log

SSL = r"listener\..*\.ssl\."


def tls_listener(socket, filters=(), **fields):
    made = http_listener(routes=fields.pop("routes", [direct(200, "well")]), **fields)
    made["filter_chains"][0]["transport_socket"] = socket
    if filters:
        made["listener_filters"] = list(filters)
    return made


def s_client(port, *args):
    """(protocol, cipher) of a handshake, or None."""
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername",
                           "a.test", *args], input="", capture_output=True, text=True, timeout=20,
                          check=False)
    found = re.search(r"New, (\S+), Cipher is (\S+)", done.stdout)
    return None if found is None or found[1] == "(NONE)" else found.groups()


# compliance_policies

CHACHA = "TLS_CHACHA20_POLY1305_SHA256"
FIPS = {"compliance_policies": ["FIPS_202205"]}
LOOSE = {"tls_minimum_protocol_version": "TLSv1_0", "tls_maximum_protocol_version": "TLSv1_2",
         "cipher_suites": ["ECDHE-ECDSA-CHACHA20-POLY1305"], "ecdh_curves": ["X25519"],
         "signature_algorithms": ["ecdsa_secp521r1_sha512"]}


@pytest.mark.parametrize("more", [{}, LOOSE], ids=["alone", "overrides"])
def test_fips_policy(start, web, more):
    """The policy says which versions, ciphers and curves there are, whatever else is configured."""
    proxy = start(bootstrap([tls_listener(certs.downstream(web, tls_params={**FIPS, **more}))]))
    port = proxy.port()
    assert s_client(port) == ("TLSv1.3", "TLS_AES_256_GCM_SHA384")
    assert s_client(port, "-tls1_3", "-ciphersuites", CHACHA) is None
    assert s_client(port, "-tls1_3", "-curves", "X25519") is None
    assert s_client(port, "-tls1_3", "-curves", "P-384") == ("TLSv1.3", "TLS_AES_256_GCM_SHA384")
    assert s_client(port, "-tls1_2") == ("TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256")
    assert s_client(port, "-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305") is None
    assert s_client(port, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA") is None
    assert s_client(port, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0") is None


@pytest.mark.parametrize("curves", [["P-224"], ["X25519", "X25519"], ["P-256", "prime256v1"]])
def test_curves_that_are_refused(start, web, curves):
    """One that is weak, and one twice."""
    with pytest.raises(RuntimeError, match="Failed to initialize ECDH curves"):
        start(bootstrap([tls_listener(certs.downstream(web, tls_params={"ecdh_curves": curves}))]))


@pytest.mark.parametrize("change", [lambda pin: pin[:-2] + chr(ord(pin[-2]) + 1) + "=",
                                    lambda pin: pin.replace("+", "-").replace("/", "_")])
def test_a_pin_that_is_written_in_another_way(start, ca, web, change):
    pin = change("+/" * 21 + "8=")
    with pytest.raises(RuntimeError, match="Invalid base64-encoded SHA-256"):
        start(bootstrap([tls_listener(certs.downstream(
            web, validation_context=ca.validation_context(verify_certificate_spki=[pin])))]))


NEWER = [{"cipher_suites": ["ECDHE-ECDSA-AES128-SHA256"]}, {"ecdh_curves": ["X25519MLKEM768"]},
         {"ecdh_curves": ["MLKEM1024"]}, {"signature_algorithms": ["mldsa65"]},
         {"signature_algorithms": ["rsa_pkcs1_sha256_legacy"]}]


@difference("What the library for TLS does not have is refused rather than left out.",
            envoy="has newer key exchanges and signatures in its library: X25519MLKEM768, MLKEM1024, "
            "mldsa65, rsa_pkcs1_sha256_legacy, and the cipher ECDHE-ECDSA-AES128-SHA256",
            xylem="refuses the resource that names one")
@pytest.mark.parametrize("params", NEWER)
def test_newer_algorithms(start, web, kind, params):
    config = bootstrap([tls_listener(certs.downstream(web, tls_params=params))])
    if kind == "envoy":
        start(config)
        return
    with pytest.raises(RuntimeError, match="Failed to initialize"):
        start(config)


def test_lists_of_nothing(start, web):
    """A list with nothing but an empty name is as none."""
    proxy = start(bootstrap([tls_listener(certs.downstream(web, tls_params={
        "cipher_suites": [""], "ecdh_curves": [""], "signature_algorithms": [""]}))]))
    assert s_client(proxy.port(), "-tls1_2", "-curves", "X25519:P-256")[0] == "TLSv1.2"


@difference("The library at hand has no list of the ciphers of TLS 1.3: where it would choose one that the "
            "policy forbids, TLS 1.2 is spoken, whose ciphers are listed.",
            envoy="speaks TLS 1.3 with AES to a client that likes ChaCha20 better",
            xylem="speaks TLS 1.2 with AES")
def test_fips_policy_and_a_client_that_likes_chacha(start, web, kind):
    proxy = start(bootstrap([tls_listener(certs.downstream(web, tls_params=FIPS))]))
    spoken = s_client(proxy.port(), "-ciphersuites", f"{CHACHA}:TLS_AES_128_GCM_SHA256")
    assert spoken == (("TLSv1.3", "TLS_AES_128_GCM_SHA256") if kind == "envoy"
                      else ("TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"))


@pytest.mark.parametrize("suites, status", [(CHACHA, 503), ("TLS_AES_128_GCM_SHA256", 200)])
def test_fips_policy_to_an_origin(start, closing, web, tmp_path, suites, status):
    web.write(tmp_path)
    port = free_port()
    server = subprocess.Popen(
        ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", web.chain_path, "-key",
         web.key_path, "-www", "-tls1_3", "-ciphersuites", suites],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        while "ACCEPT" not in server.stdout.readline():
            assert server.poll() is None
        proxy = start(bootstrap([http_listener(routes=[route("/", "one")])], [cluster(
            "one", port, transport_socket=certs.upstream(tls_params=FIPS))]))
        assert proxy.get("/").status == status
        if status == 503:
            wait_for(lambda: proxy.stat("cluster.one.ssl.connection_error"))
    finally:
        server.kill()
        server.wait()


# statistics

OF_TLS = r"\.ssl\.|ssl_socket_factory|draining|days_until|transport_socket|_ssl_|^tls_inspector"


def test_names_of_statistics(start_both, closing, ca, web, tmp_path):
    """Name by name, of a listener and a cluster that both speak TLS, once something was said."""
    origin = closing(Origin(ssl=certs.server_context(web, tmp_path)))
    names = {}
    for kind in ("xylem", "envoy"):
        proxy = start_both(bootstrap(
            [tls_listener(certs.downstream(web, validation_context=ca.validation_context()),
                          [{"name": "inspector", "typed_config": {"@type": INSPECTOR}}],
                          routes=[route("/", "one")])],
            [cluster("one", origin, transport_socket=certs.upstream(
                web, validation_context=ca.validation_context()))]), kind)
        with Client(proxy.port(), tls=certs.client_context(ca), name="a.test") as client:
            assert client.get("/").status == 200
        names[kind] = {line.partition(":")[0] for line in proxy.admin("/stats").text.splitlines()}
        names[kind] = {name for name in names[kind] if re.search(OF_TLS, name)}
    assert len(names["xylem"]) > 50
    assert names["xylem"] ^ names["envoy"] == set()


@difference("Certificates that no secret names share a gauge: what somebody must know is which ends first.",
            envoy="tells of the last of them", xylem="tells of the first to end")
def test_when_certificates_end(start, ca, web, kind):
    """A gauge for each named certificate, and one for those without a name."""
    soon = ca.issue("soon", dns=["b.test"], days=3)
    named = ca.issue("named", dns=["c.test"], days=5)

    def ends(certificate):
        return int(certificate.certificate.not_valid_after_utc.timestamp())

    made = tls_listener(certs.downstream(soon, web, validation_context=ca.validation_context()))
    other = tls_listener(certs.downstream(
        tls_certificate_sds_secret_configs=[{"name": "my.own"}],
        validation_context_sds_secret_config={"name": "roots"}), name="other")
    config = bootstrap([made, other])
    config["static_resources"]["secrets"] = [
        {"name": "my.own", "tls_certificate": named.tls_certificate()},
        {"name": "roots", "validation_context": ca.validation_context()}]
    proxy = start(config)
    found = {name.partition(".ssl.certificate.")[2]: value for name, value
             in proxy.stats().matching(r"\.ssl\.certificate\.").items()}
    end = ".expiration_unix_time_seconds"
    assert found == {f"unnamed_cert_e3b0c442{end}": ends(soon if kind == "xylem" else web),
                     f"my.own{end}": ends(named),
                     f"unnamed_ca_cert_e3b0c442{end}": ends(ca), f"roots{end}": ends(ca)}
    assert proxy.stat("server.days_until_first_cert_expiring") in (2, 3)
    families = [line.rpartition(" ")[0] for line in
                proxy.admin("/stats/prometheus?filter=expiration").text.splitlines()]
    family, label = "envoy_listener_ssl_certificate_expiration_unix_time_seconds", "envoy_tls_certificate"
    assert f'{family}{{{label}="roots",envoy_listener_address="127.0.0.1_0"}}' in families


def test_each_certificate_of_a_bundle_is_told(start, ca, web):
    """The first to end of a bundle counts, wherever it stands."""
    soon, other = certs.Authority("soon", days=5), certs.Authority("other", days=15)
    bundle = {"trusted_ca": {"inline_string": ca.pem + soon.pem + other.pem}}
    proxy = start(bootstrap([tls_listener(certs.downstream(web, validation_context=bundle))]))
    shown = proxy.json("/certs")["certificates"][0]["ca_cert"]
    assert [one["serial_number"] for one in shown] == [ca.serial, soon.serial, other.serial]
    assert proxy.admin("/certs").text.count(r'"\u003cinline\u003e"') == 4
    assert list(proxy.stats().matching(r"unnamed_ca_cert_e3b0c442").values()) == [
        int(soon.certificate.not_valid_after_utc.timestamp())]
    wait_for(lambda: proxy.stat("server.days_until_first_cert_expiring") in (4, 5), what="the days")


@difference("/certs tells of each certificate when its response of OCSP ends; a number of all is not made yet.",
            envoy="tells how long the first of them lasts",
            xylem="has server.seconds_until_first_ocsp_response_expiring, which stays 0")
def test_seconds_until_a_staple_ends(start, ca, web, kind):
    pair = {**web.tls_certificate(), "ocsp_staple": {
        "inline_bytes": base64.b64encode(ca.ocsp(web)).decode()}}
    proxy = start(bootstrap([tls_listener(certs.downstream(tls_certificates=[pair]))]))
    assert "ocsp_details" in proxy.json("/certs")["certificates"][0]["cert_chain"][0]
    name = "server.seconds_until_first_ocsp_response_expiring"
    if kind == "envoy":
        wait_for(lambda: proxy.stat(name) > 6 * 86400, 10, "the seconds")
    else:
        assert proxy.stat(name) == 0


@difference("The names of secrets are parts of statistics as all other names are.",
            envoy="leaves \":\" in the gauges that tell when certificates end, though nowhere else",
            xylem="has \"_\" for it")
def test_gauge_of_a_secret_with_a_colon(start, web, kind):
    config = bootstrap([tls_listener(certs.downstream(
        tls_certificate_sds_secret_configs=[{"name": "kubernetes://web"}]))])
    config["static_resources"]["secrets"] = [
        {"name": "kubernetes://web", "tls_certificate": web.tls_certificate()}]
    names = list(start(config).stats().matching(r"\.ssl\.certificate\."))
    assert len(names) == 1 and (
        ".kubernetes://web." if kind == "envoy" else ".kubernetes_web.") in names[0]


# fingerprints

INSPECTOR = "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"
BOTH = "%TLS_JA3_FINGERPRINT% %TLS_JA4_FINGERPRINT%\n"


@pytest.mark.parametrize("ja3", [True, False, None])
@pytest.mark.parametrize("ja4", [True, False, None])
def test_fingerprints(start, ca, web, tmp_path, ja3, ja4):
    """Off unless asked for; the same client has the same one, another client another."""
    inspector = {"@type": INSPECTOR}
    if ja3 is not None:
        inspector["enable_ja3_fingerprinting"] = ja3
    if ja4 is not None:
        inspector["enable_ja4_fingerprinting"] = ja4
    log = tmp_path / "log"
    proxy = start(bootstrap([tls_listener(
        certs.downstream(web, alpn_protocols=["http/1.1"]),
        [{"name": "envoy.filters.listener.tls_inspector", "typed_config": inspector}],
        access_log=[file_log(log, BOTH)])]))
    one, other = certs.client_context(ca), certs.client_context(ca, alpn=["http/1.1"])
    for context in (one, one, other):
        with Client(proxy.port(), tls=context, name="a.test") as client:
            assert client.get("/").status == 200
    proxy.stop()
    first, again, second = [line.split() for line in log.read_text().splitlines()]
    assert first == again
    for place, wanted, form in [(0, ja3, "[0-9a-f]{32}"),
                                (1, ja4, "t13d[0-9]{4}(00|h1)_[0-9a-f]{12}_[0-9a-f]{12}")]:
        if wanted:
            assert re.fullmatch(form, first[place]) and re.fullmatch(form, second[place])
            assert first[place] != second[place]
        else:
            assert first[place] == second[place] == "-"


def test_fingerprints_are_envoys(start_both, ca, web, tmp_path):
    """The same client at both proxies."""
    told = {}
    for kind in ("xylem", "envoy"):
        log = tmp_path / kind
        inspector = {"@type": INSPECTOR, "enable_ja3_fingerprinting": True,
                     "enable_ja4_fingerprinting": True}
        proxy = start_both(bootstrap([tls_listener(
            certs.downstream(web, alpn_protocols=["h2", "http/1.1"]),
            [{"name": "envoy.filters.listener.tls_inspector", "typed_config": inspector}],
            access_log=[file_log(log, BOTH)])]), kind)
        for alpn in ([], ["http/1.1"], ["x", "http/1.1"]):
            context = certs.client_context(ca, alpn=alpn)
            with Client(proxy.port(), tls=context, name="a.test") as client:
                assert client.get("/").status == 200
        proxy.stop()
        told[kind] = log.read_text().splitlines()
    assert told["xylem"] == told["envoy"] and len(set(told["xylem"])) == 3


@pytest.mark.parametrize("policy", [[7], ["NONE"]])
def test_unknown_policy(start, web, policy):
    with pytest.raises(RuntimeError, match="compliance policy|compliance_policies|unknown enum"):
        start(bootstrap([tls_listener(certs.downstream(
            web, tls_params={"compliance_policies": policy}))]))


PROVIDER = {"instance_name": "p", "certificate_name": "c"}


@difference("A context that names a provider of certificates means to be safe by it; Envoy has no "
            "such provider, and an authority that is not there verifies nobody.",
            envoy="takes ca_certificate_provider_instance and asks clients for nothing",
            xylem="refuses it by name")
def test_authorities_of_a_provider(start, web, kind):
    made = tls_listener(certs.downstream(web, validation_context={
        "ca_certificate_provider_instance": PROVIDER}))
    if kind == "envoy":
        proxy = start(bootstrap([made]))
        with Client(proxy.port(), tls=certs.client_context(), name="a.test") as client:
            assert client.get("/").status == 200
        return
    with pytest.raises(RuntimeError, match="ca_certificate_provider_instance"):
        start(bootstrap([made]))


def test_certificates_of_a_provider(start):
    """There are none, so that there is nothing to present."""
    with pytest.raises(RuntimeError):
        start(bootstrap([tls_listener(certs.downstream(
            tls_certificate_provider_instance=PROVIDER))]))


def test_providers_that_nobody_names(start, web, ca):
    """A bootstrap that is made for clients of gRPC, too."""
    config = bootstrap([tls_listener(certs.downstream(web))])
    config["certificate_provider_instances"] = {"p": {"name": "file", "typed_config": {
        "@type": certs.TLS + "UpstreamTlsContext"}}}
    proxy = start(config)
    with Client(proxy.port(), tls=certs.client_context(ca), name="a.test") as client:
        assert client.get("/").text == "well"
