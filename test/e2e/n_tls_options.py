"""Options of TLS beyond the usual: policies, fingerprints of clients, bundles of trust domains."""
import re
import subprocess

import pytest

from harness import bootstrap, cluster, difference, direct, http_listener, route, wait_for
from harness import certs

SSL = r"listener\..*\.ssl\."


@pytest.fixture(scope="module")
def ca():
    return certs.Authority("ca")


@pytest.fixture(scope="module")
def web(ca):
    return ca.issue("web", dns=["a.test"])


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


def free_port():
    import socket
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("policy", [[7], ["NONE"]])
def test_unknown_policy(start, web, policy):
    with pytest.raises(RuntimeError, match="compliance policy|compliance_policies|unknown enum"):
        start(bootstrap([tls_listener(certs.downstream(
            web, tls_params={"compliance_policies": policy}))]))
