"""TLS from clients: versions, certificates, names, sessions, who may come in, what is told of it."""
import re
import ssl
import subprocess

import pytest

from harness import (Client, Reply, bootstrap, cluster, difference, direct, hcm, http_listener,
                     refused, route, wait_for)
from harness import certs
from harness.config import file_log

INSPECTOR = {"name": "envoy.filters.listener.tls_inspector", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"}}
SSL = r"listener\..*\.ssl\."


def tls_listener(socket, routes=None, name="ingress", filters=(), **fields):
    made = http_listener(name=name, routes=routes or [direct(200, "well")], **fields)
    made["filter_chains"][0]["transport_socket"] = socket
    if filters:
        made["listener_filters"] = list(filters)
    return made


def chain(names, body, socket=None, **match):
    """A filter chain that answers with its own body."""
    made = {"filters": [hcm(routes=[direct(200, body)])],
            "filter_chain_match": {"server_names": names, **match} if names else match}
    if socket:
        made["transport_socket"] = socket
    return made


# what is spoken

def test_https(start, ca, web):
    proxy = start(bootstrap([tls_listener(certs.downstream(web))]))
    with Client(proxy.port(), tls=certs.client_context(ca), name="a.test") as client:
        assert client.sock.version() == "TLSv1.3"
        assert client.get("/").text == "well"
        assert client.get("/").text == "well"


def test_files(start, ca, tmp_path):
    own = ca.issue("own", dns=["a.test"]).write(tmp_path)
    proxy = start(bootstrap([tls_listener(certs.downstream(own, files=True))]))
    with Client(proxy.port(), tls=certs.client_context(ca), name="a.test") as client:
        assert client.get("/").status == 200


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_one_version(start, ca, web, version):
    params = {"tls_minimum_protocol_version": version, "tls_maximum_protocol_version": version}
    proxy = start(bootstrap([tls_listener(certs.downstream(web, tls_params=params))]))
    with Client(proxy.port(), tls=certs.client_context(ca), name="a.test") as client:
        assert client.sock.version() == version.replace("_", ".")
        assert client.get("/").status == 200


def test_old_versions_are_refused(start, ca, web):
    proxy = start(bootstrap([tls_listener(certs.downstream(web))]))
    old = certs.client_context(ca)
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    assert "PROTOCOL_VERSION" in refused(proxy.port(), old).upper().replace(" ", "_")


def test_cipher_order_is_the_servers(start, ca, web):
    proxy = start(bootstrap([tls_listener(certs.downstream(web))]))
    mine = certs.client_context(ca)
    mine.maximum_version = ssl.TLSVersion.TLSv1_2
    mine.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256")
    with Client(proxy.port(), tls=mine, name="a.test") as client:
        assert client.sock.cipher()[0] == "ECDHE-ECDSA-AES128-GCM-SHA256"


@pytest.mark.parametrize("ours, theirs, chosen", [
    (["h2", "http/1.1"], ["http/1.1", "h2"], "h2"),
    (["http/1.1"], ["h2", "http/1.1"], "http/1.1"),
    (["http/1.1"], ["foo"], None),
    ([], ["http/1.1"], None)])
def test_alpn(start, ca, web, ours, theirs, chosen):
    proxy = start(bootstrap([tls_listener(certs.downstream(web, alpn_protocols=ours))]))
    context = certs.client_context(ca, alpn=theirs)
    with Client(proxy.port(), tls=context, name="a.test") as client:
        assert client.sock.selected_alpn_protocol() == chosen


def test_http2_by_alpn(start, ca, web, tmp_path):
    own = tls_listener(certs.downstream(web, alpn_protocols=["h2", "http/1.1"]))
    proxy = start(bootstrap([own]))
    (tmp_path / "ca.pem").write_text(ca.pem)
    ran = subprocess.run(["curl", "-sS", "--http2", "--cacert", tmp_path / "ca.pem", "--resolve",
                          f"a.test:{proxy.port()}:127.0.0.1", "-w", " %{http_version}",
                          f"https://a.test:{proxy.port()}/"], capture_output=True, text=True)
    assert ran.stdout == "well 2", ran.stderr


def test_large_bodies(start, ca, web, origin):
    proxy = start(bootstrap([tls_listener(certs.downstream(web), routes=[route("/", "one")])],
                            [cluster("one", origin)]))
    body = bytes(range(256)) * 8192
    with Client(proxy.port(), tls=certs.client_context(ca), name="a.test") as client:
        client.request("POST", "/", body=body)
        assert origin.last.body == body


def test_plain_text_on_a_tls_port(start, web):
    proxy = start(bootstrap([tls_listener(certs.downstream(web))]))
    with Client(proxy.port()) as client:
        client.send("GET / HTTP/1.1\r\n\r\n")
        assert client.closed()
    wait_for(lambda: proxy.total(SSL + "connection_error"))


# which certificate

def subject(port, context, name):
    with Client(port, tls=context, name=name) as client:
        return dict(pair[0] for pair in client.sock.getpeercert()["subject"])["commonName"]


def test_certificate_by_name(start, ca):
    many = [ca.issue("first", dns=["a.test"]), ca.issue("second", dns=["b.test"]),
            ca.issue("star", dns=["*.w.test"])]
    proxy = start(bootstrap([tls_listener(certs.downstream(*many))]))
    context = certs.client_context(ca)
    assert subject(proxy.port(), context, "a.test") == "first"
    assert subject(proxy.port(), context, "b.test") == "second"
    assert subject(proxy.port(), context, "x.w.test") == "star"
    assert subject(proxy.port(), context, "none.test") == "first"


def test_certificate_by_ability(start, ca):
    many = [ca.issue("rsa", key="rsa2048", dns=["a.test"]), ca.issue("ec", dns=["a.test"])]
    proxy = start(bootstrap([tls_listener(certs.downstream(*many))]))
    context = certs.client_context(ca)
    assert subject(proxy.port(), context, "a.test") == "ec"
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    assert subject(proxy.port(), context, "a.test") == "rsa"


def test_certificate_that_the_client_can_check(start, ca):
    """What it asks for by name and could not check goes to nobody: the first of all does."""
    many = [ca.issue("rsa", key="rsa2048", dns=["b.test"]), ca.issue("p521", key="p521", dns=["a.test"])]
    port = start(bootstrap([tls_listener(certs.downstream(*many))])).port()

    def shown(*args):
        ran = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *args],
                             input="", capture_output=True, text=True, timeout=20, check=False)
        return re.search(r"^subject=.*CN = (\w+)", ran.stdout, re.M)[1]

    name = ["-servername", "a.test"]
    assert shown(*name, "-tls1_3") == "p521"
    assert shown(*name, "-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256") == "rsa"
    assert shown(*name, "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256") == "rsa"
    assert shown(*name, "-tls1_2", "-curves", "X25519:P-256") == "rsa"
    # in TLS 1.3 the groups are those of the key exchange alone
    assert shown("-noservername", "-tls1_3", "-curves", "X25519") == "p521"


@pytest.mark.parametrize("ours, theirs", [
    (["ECDHE-RSA-AES128-GCM-SHA256"], ["-tls1_2"]),
    (["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA"], ["-tls1_1"])],
    ids=["list", "version"])
def test_certificate_that_no_cipher_needs(start, ca, ours, theirs):
    """A key on a curve is of no use with ciphers that are not ours, or of a later version."""
    curve = ca.issue("curve", dns=["a.test"])
    rsa = ca.issue("rsa", dns=["a.test"], key="rsa2048")
    proxy = start(bootstrap([tls_listener(certs.downstream(curve, rsa, tls_params={
        "tls_minimum_protocol_version": "TLSv1_0", "cipher_suites": ours}))]))
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{proxy.port()}", "-servername", "a.test",
         "-cipher", "DEFAULT:@SECLEVEL=0", *theirs],
        input="", capture_output=True, text=True, timeout=20, check=False)
    assert "Cipher is ECDHE-RSA" in done.stdout, done.stdout + done.stderr


def test_certificate_by_common_name(start, ca):
    """A common name counts where there are no other names at all."""
    many = [ca.issue("first", dns=["x.test"]), ca.issue("a.test", uris=["x:y"]), ca.issue("b.test")]
    port = start(bootstrap([tls_listener(certs.downstream(*many))])).port()
    assert subject(port, certs.client_context(ca), "a.test") == "first"
    assert subject(port, certs.client_context(ca), "b.test") == "b.test"


@difference("Names of hosts are the same in capitals (RFC 4343, RFC 6066).",
            envoy="shows the first certificate", xylem="shows the one with the name")
@pytest.mark.parametrize("own, asked", [("A.TEST", "a.test"), ("a.test", "A.TEST")])
def test_certificate_by_name_in_capitals(start, ca, kind, own, asked):
    many = [ca.issue("first", dns=["x.test"]), ca.issue("second", dns=[own])]
    port = start(bootstrap([tls_listener(certs.downstream(*many))])).port()
    assert subject(port, certs.client_context(ca), asked) == (
        "first" if kind == "envoy" else "second")


def staple_of(port, folder, ca):
    (folder / "ca.pem").write_text(ca.pem)
    ran = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername",
                          "a.test", "-status", "-CAfile", folder / "ca.pem"],
                         input="", capture_output=True, text=True)
    return ran.stdout


def test_staple(start, ca, web, tmp_path):
    import base64
    socket = certs.downstream(web)
    own = socket["typed_config"]["common_tls_context"]["tls_certificates"][0]
    own["ocsp_staple"] = {"inline_bytes": base64.b64encode(ca.ocsp(web)).decode()}
    proxy = start(bootstrap([tls_listener(socket)]))
    assert "OCSP Response Status: successful" in staple_of(proxy.port(), tmp_path, ca)
    wait_for(lambda: proxy.total(SSL + "ocsp_staple_responses"))


# which chain

def sni_listener(ca, *chains, filters=(INSPECTOR,)):
    made = http_listener()
    made["filter_chains"] = list(chains)
    made["listener_filters"] = list(filters)
    return made


def test_chain_by_name(start, ca, web):
    socket = certs.downstream(web)
    proxy = start(bootstrap([sni_listener(
        ca, chain(["a.test"], "a", socket), chain(["*.w.test"], "star", socket),
        chain([], "plain", transport_protocol="raw_buffer"))]))
    context = certs.client_context()
    for name, body in [("a.test", "a"), ("A.TEST", "a"), ("x.w.test", "star"),
                       ("x.y.w.test", "star")]:
        with Client(proxy.port(), tls=context, name=name) as client:
            assert client.get("/").text == body
    with Client(proxy.port()) as client:
        assert client.get("/").text == "plain"
    assert refused(proxy.port(), context, "other.test")
    wait_for(lambda: proxy.total(r"no_filter_chain_match"))
    assert proxy.stat("tls_inspector.tls_found") == 5
    assert proxy.stat("tls_inspector.sni_found") == 5
    assert proxy.stat("tls_inspector.tls_not_found") == 1


def test_chain_by_protocol(start, ca, web):
    socket = certs.downstream(web, alpn_protocols=["http/1.1"])
    proxy = start(bootstrap([sni_listener(
        ca, chain([], "alpn", socket, transport_protocol="tls", application_protocols=["http/1.1"]),
        chain([], "tls", socket, transport_protocol="tls"))]))
    with Client(proxy.port(), tls=certs.client_context(alpn=["http/1.1"]), name="a") as client:
        assert client.get("/").text == "alpn"
    with Client(proxy.port(), tls=certs.client_context(), name="a") as client:
        assert client.get("/").text == "tls"


def test_hello_in_pieces(start, ca, web):
    """The first bytes come one by one."""
    proxy = start(bootstrap([sni_listener(ca, chain(["a.test"], "a", certs.downstream(web)))]))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = certs.client_context().wrap_bio(incoming, outgoing, server_hostname="a.test")
    with Client(proxy.port()) as client:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                for byte in outgoing.read():
                    client.send(bytes([byte]))
                incoming.write(client.sock.recv(65536))
        tls.write(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        client.send(outgoing.read())
        incoming.write(client.rest())
        assert tls.read(10000).endswith(b"\r\n\r\na")


def test_without_inspector_no_name_matches(start, ca, web):
    """E 2020-8660: what was not looked at is not TLS."""
    proxy = start(bootstrap([sni_listener(ca, chain(["a.test"], "a", certs.downstream(web)),
                                          filters=())]))
    assert refused(proxy.port(), certs.client_context())
    wait_for(lambda: proxy.total(r"no_filter_chain_match"))


def test_silent_client_is_timed_out(start, ca, web):
    own = sni_listener(ca, chain(["a.test"], "a", certs.downstream(web)))
    own["listener_filters_timeout"] = "0.1s"
    proxy = start(bootstrap([own]))
    with Client(proxy.port()) as client:
        assert client.closed()
    wait_for(lambda: proxy.total(r"downstream_pre_cx_timeout"))


def test_silent_client_in_the_handshake(start, web):
    own = tls_listener(certs.downstream(web))
    own["filter_chains"][0]["transport_socket_connect_timeout"] = "0.1s"
    proxy = start(bootstrap([own]))
    with Client(proxy.port()) as client:
        assert client.closed()
    wait_for(lambda: proxy.total("downstream_cx_transport_socket_connect_timeout"))


# sessions

@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_resumption(start, ca, web, version):
    params = {"tls_minimum_protocol_version": version, "tls_maximum_protocol_version": version}
    proxy = start(bootstrap([tls_listener(certs.downstream(web, tls_params=params))]))
    context = certs.client_context(ca)
    with Client(proxy.port(), tls=context, name="a.test") as client:
        client.get("/")
        session = client.sock.session
    with Client(proxy.port(), tls=context, name="a.test", session=session) as client:
        assert client.get("/").status == 200
        assert client.sock.session_reused
    wait_for(lambda: proxy.total(SSL + "session_reused"))


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_no_resumption_across_chains(start, ca, web, caller, tmp_path, version):
    """E 2022-21654: a session of a chain that asks for nothing opens no chain that asks."""
    import base64
    keys = {"keys": [{"inline_bytes": base64.b64encode(bytes(80)).decode()}]}
    params = {"tls_minimum_protocol_version": version, "tls_maximum_protocol_version": version}
    free = certs.downstream(web, tls_params=params, outer={"session_ticket_keys": keys})
    strict = certs.downstream(web, tls_params=params, validation_context=ca.validation_context(),
                              outer={"session_ticket_keys": keys,
                                     "require_client_certificate": True})
    proxy = start(bootstrap([sni_listener(ca, chain(["a.test"], "free", free),
                                          chain(["b.test"], "strict", strict))]))
    context = certs.client_context(ca)
    with Client(proxy.port(), tls=context, name="a.test") as client:
        client.get("/")
        session = client.sock.session
    with Client(proxy.port(), tls=context, name="a.test", session=session) as client:
        assert client.get("/").text == "free" and client.sock.session_reused
    try:
        with Client(proxy.port(), tls=context, name="b.test", session=session) as client:
            assert not client.sock.session_reused
            client.get("/")
        raise AssertionError("let in without a certificate")
    except (OSError, AssertionError) as error:
        assert "let in" not in str(error)


def test_renegotiation_is_refused(start, ca, web):
    """A client that begins anew in TLS 1.2 costs itself its connection, and us one handshake."""
    proxy = start(bootstrap([tls_listener(certs.downstream(web))]))
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{proxy.port()}", "-tls1_2"],
                          input="R\n", capture_output=True, text=True, timeout=20, check=False)
    assert "RENEGOTIATING" in done.stdout + done.stderr
    assert "no renegotiation" in done.stderr, done.stderr
    assert proxy.total(SSL + "handshake") == 1
    with Client(proxy.port(), tls=certs.client_context(ca), name="a.test") as client:
        assert client.get("/").text == "well"


# who may come in

def mutual(ca, web, **validation):
    return certs.downstream(web, validation_context=ca.validation_context(**validation),
                            outer={"require_client_certificate": True})


def test_mutual(start, ca, web, caller, tmp_path):
    proxy = start(bootstrap([tls_listener(mutual(ca, web))]))
    assert refused(proxy.port(), certs.client_context(ca))
    assert not refused(proxy.port(), certs.client_context(ca, caller, tmp_path))
    wait_for(lambda: proxy.total(SSL + "fail_verify_no_cert"))


@pytest.mark.parametrize("what, alert, stat", [
    ("stranger", "unknown ca", "fail_verify_error"),
    ("expired", "certificate expired", "fail_verify_error"),
    ("server only", "unsupported certificate", "fail_verify_error"),
    ("other name", "certificate unknown", "fail_verify_san"),
    ("revoked", "certificate revoked", "fail_verify_error")])
def test_bad_clients(start, ca, web, tmp_path, what, alert, stat):
    import datetime
    now = datetime.datetime.now(datetime.timezone.utc)
    bad = {"stranger": lambda: certs.Authority("other").issue("x", dns=["c.test"]),
           "expired": lambda: ca.issue("x", dns=["c.test"], not_before=now - 9 * certs.DAY,
                                       not_after=now - certs.DAY),
           "server only": lambda: ca.issue("x", dns=["c.test"], client=False),
           "other name": lambda: ca.issue("x", uris=["c.test"]),
           "revoked": lambda: ca.issue("x", dns=["c.test"])}[what]()
    rules = {"match_typed_subject_alt_names": [
        {"san_type": "DNS", "matcher": {"exact": "c.test"}}]}
    if what == "revoked":
        rules["crl"] = {"inline_string": ca.crl(bad)}
    proxy = start(bootstrap([tls_listener(mutual(ca, web, **rules))]))
    error = refused(proxy.port(), certs.client_context(ca, bad, tmp_path))
    # A client that has sent its request may see a reset instead of the alert
    assert alert in error or "reset" in error or "EOF" in error, error
    wait_for(lambda: proxy.total(SSL + stat))


@difference("A list of what is revoked that cannot be read revokes nothing: whoever it names would be "
            "let in.",
            envoy="accepts a crl that is none", xylem="refuses the resource")
def test_a_crl_that_is_none(start, ca, web, kind):
    config = bootstrap([tls_listener(mutual(ca, web, crl={"inline_string": "no list"}))])
    if kind == "envoy":
        start(config)
        return
    with pytest.raises(RuntimeError, match="Failed to load CRL"):
        start(config)


@difference("A list of what is revoked that has ended may lack who was revoked since: "
            "allow_expired_certificate speaks of certificates alone.",
            envoy="takes lists that have ended, too, with allow_expired_certificate",
            xylem="lets nobody in")
def test_an_old_crl_and_old_certificates(start, ca, web, tmp_path, kind):
    crl = {"inline_string": ca.crl(days=-0.5)}
    proxy = start(bootstrap([tls_listener(mutual(ca, web, crl=crl,
                                                 allow_expired_certificate=True))]))
    error = refused(proxy.port(), certs.client_context(
        ca, ca.issue("x", dns=["c.test"]), tmp_path))
    assert (error is None) == (kind == "envoy")


# what is told

@difference("A log that tells whom a client asked for is of use with one certificate, too.",
            envoy="shows %REQUESTED_SERVER_NAME% only with the TLS inspector", xylem="shows it")
def test_log_of_the_name_without_inspector(start, ca, web, tmp_path, kind):
    log = tmp_path / "log"
    proxy = start(bootstrap([tls_listener(
        certs.downstream(web), access_log=[file_log(log, "%REQUESTED_SERVER_NAME%\n")])]))
    with Client(proxy.port(), tls=certs.client_context(ca), name="a.test") as client:
        client.get("/")
    proxy.stop()
    assert log.read_text() == {"envoy": "-\n", "xylem": "a.test\n"}[kind]


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])
def test_log_of_a_client_that_left(start, ca, web, caller, origin, tmp_path, tls):
    """What is told of its connection is told after that is gone, too."""
    origin.reply = Reply(never=True)
    log = tmp_path / "log"
    line = "%REQUESTED_SERVER_NAME% %DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_PEER_SUBJECT% " \
           "%DOWNSTREAM_LOCAL_URI_SAN% %RESPONSE_FLAGS%\n"
    made = tls_listener(mutual(ca, web), routes=[route("/", "one")], filters=[INSPECTOR],
                        access_log=[file_log(log, line)])
    if not tls:
        del made["filter_chains"][0]["transport_socket"]
    proxy = start(bootstrap([made], [cluster("one", origin)]))
    context = certs.client_context(ca, caller, tmp_path) if tls else None
    client = Client(proxy.port(), tls=context, name="a.test")
    client.write_request()
    wait_for(lambda: origin.requests, what="the request")
    client.close()
    proxy.wait_stat("http.ingress.downstream_cx_destroy_remote", 1)
    proxy.stop()
    assert log.read_text() == ("a.test TLSv1.3 CN=caller,O=xylem tests spiffe://d/web DC\n" if tls
                               else "- - - - DC\n")


NAMES = {"a.test": "a.test", "A.Test": "a.test", "a\nb": "invalid:a_b", "a_b": "a_b",
         "1.2.3.4": "1.2.3.4", "a b\x01\xff\"%s": "invalid:a_b____s", "x" * 250: "x" * 250}


def test_log_of_odd_names(start, ca, web, tmp_path):
    """A name is what the client likes: no line of the log is ended or made by it (2024-45808)."""
    log = tmp_path / "log"
    proxy = start(bootstrap([tls_listener(certs.downstream(web), filters=[INSPECTOR], access_log=[
        file_log(log, "%REQUESTED_SERVER_NAME%\n")])]))
    for name in NAMES:
        subprocess.run([b"openssl", b"s_client", b"-connect", b"127.0.0.1:%d" % proxy.port(),
                        b"-quiet", b"-servername", name.encode("latin-1")],
                       input=b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                       capture_output=True, timeout=20, check=False)
    proxy.stop()
    assert log.read_bytes().decode("latin-1").splitlines() == list(NAMES.values())


def test_scheme(start, ca, web, origin):
    proxy = start(bootstrap([tls_listener(certs.downstream(web), routes=[route("/", "one")])],
                            [cluster("one", origin)]))
    with Client(proxy.port(), tls=certs.client_context(ca), name="a.test") as client:
        client.get("/")
    assert origin.last.header("x-forwarded-proto") == "https"


OPERATORS = ["DOWNSTREAM_TLS_VERSION", "DOWNSTREAM_TLS_CIPHER", "DOWNSTREAM_PEER_SUBJECT",
             "DOWNSTREAM_PEER_ISSUER", "DOWNSTREAM_PEER_URI_SAN", "DOWNSTREAM_PEER_DNS_SAN",
             "DOWNSTREAM_LOCAL_SUBJECT", "DOWNSTREAM_LOCAL_URI_SAN", "DOWNSTREAM_PEER_SERIAL",
             "DOWNSTREAM_PEER_FINGERPRINT_256"]


def test_log(start, ca, web, caller, tmp_path):
    log = tmp_path / "log"
    line = "|".join(f"%{name}%" for name in OPERATORS) + "\n"
    proxy = start(bootstrap([tls_listener(mutual(ca, web), access_log=[file_log(log, line)])]))
    with Client(proxy.port(), tls=certs.client_context(ca, caller, tmp_path), name="a.test") as c:
        c.get("/")
    proxy.stop()
    assert log.read_text().split("|") == [
        "TLSv1.3", "TLS_AES_256_GCM_SHA384", "CN=caller,O=xylem tests", "CN=ca,O=xylem tests",
        "spiffe://d/c", "c.test", "CN=web,O=xylem tests", "spiffe://d/web", caller.serial,
        caller.sha256 + "\n"]


XFCC = "x-forwarded-client-cert"
DETAILS = {"subject": True, "uri": True, "dns": True}


def own_element(caller):
    return (f'By=spiffe://d/web;Hash={caller.sha256};Subject="CN=caller,O=xylem tests";'
            "URI=spiffe://d/c;DNS=c.test")


@pytest.mark.parametrize("mode, with_cert, without", [
    ("SANITIZE", None, None),
    ("FORWARD_ONLY", "Hash=old", None),
    ("APPEND_FORWARD", "Hash=old,{own}", None),
    ("SANITIZE_SET", "{own}", None),
    ("ALWAYS_FORWARD_ONLY", "Hash=old", "Hash=old")])
def test_forward_client_cert(start, ca, web, caller, origin, tmp_path, mode, with_cert, without):
    socket = certs.downstream(web, validation_context=ca.validation_context())
    proxy = start(bootstrap([tls_listener(
        socket, routes=[route("/", "one")], forward_client_cert_details=mode,
        set_current_client_cert_details=DETAILS)], [cluster("one", origin)]))
    for certificate, expected in [(caller, with_cert), (None, without)]:
        context = certs.client_context(ca, certificate, tmp_path)
        with Client(proxy.port(), tls=context, name="a.test") as client:
            client.get("/", headers={XFCC: "Hash=old"})
        want = expected and expected.format(own=own_element(caller))
        assert origin.last.header(XFCC) == want


@difference("the format of the header demands quotes: a name may not end the element it stands in",
            envoy="passes the name as it is", xylem="quotes it")
def test_forward_client_cert_with_odd_names(start, ca, web, kind, origin, tmp_path):
    odd = ca.issue("odd", dns=['d;By="x",.test', 'e\\";By=y.test'])
    socket = certs.downstream(web, validation_context=ca.validation_context())
    proxy = start(bootstrap([tls_listener(
        socket, routes=[route("/", "one")], forward_client_cert_details="SANITIZE_SET",
        set_current_client_cert_details={"dns": True})], [cluster("one", origin)]))
    with Client(proxy.port(), tls=certs.client_context(ca, odd, tmp_path), name="a.test") as client:
        client.get("/")
    name = origin.last.header(XFCC).partition("DNS=")[2]
    assert name == ('d;By="x",.test;DNS=e\\";By=y.test' if kind == "envoy" else
                    '"d;By=\\"x\\",.test";DNS="e\\\\\\";By=y.test"')


def test_forward_client_cert_with_quotes_in_the_subject(start, ca, web, origin, tmp_path):
    """A subject comes escaped; what is escaped twice ends the value for who reads backslashes."""
    odd = ca.issue('o"dd\\";URI=spiffe://d/admin', dns=["c.test"])
    socket = certs.downstream(web, validation_context=ca.validation_context())
    proxy = start(bootstrap([tls_listener(
        socket, routes=[route("/", "one")], forward_client_cert_details="SANITIZE_SET",
        set_current_client_cert_details={"subject": True})], [cluster("one", origin)]))
    odd.name = "odd"
    with Client(proxy.port(), tls=certs.client_context(ca, odd, tmp_path), name="a.test") as client:
        client.get("/")
    subject = origin.last.header(XFCC).partition(";Subject=")[2]
    assert subject == '"CN=o\\"dd\\\\\\"\\;URI=spiffe://d/admin,O=xylem tests"'


@pytest.mark.parametrize("stats", [
    r"handshake: 1", r"versions\.TLSv1\.3: 1", r"curves\.X25519: 1",
    r"ciphers\.TLS_AES_256_GCM_SHA384: 1", r"no_certificate: 1", r"connection_error: 0"])
def test_statistics(start, ca, web, stats):
    proxy = start(bootstrap([tls_listener(certs.downstream(web))]))
    context = certs.client_context(ca)
    with Client(proxy.port(), tls=context, name="a.test") as client:
        client.get("/")
    assert re.search(SSL + stats + "$", proxy.admin("/stats").text, re.M)
    assert re.search(r"^http\..*\.downstream_cx_ssl_total: 1$", proxy.admin("/stats").text, re.M)
