"""What TLS libraries and proxies were broken by: the rows of docs/threat-model.md, against both."""
import base64
import datetime
import functools
import re
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from harness import (Client, Origin, bootstrap, cluster, difference, direct, hcm, http_listener,
                     refused, route, wait_for)
from harness import certs
from harness.config import file_log
from harness.proxy import sanitized

SSL = r"listener\..*\.ssl\."
INSPECTOR = {"name": "envoy.filters.listener.tls_inspector", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"}}
VERSIONS = pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])


def tls_listener(socket, routes=None, filters=(), **fields):
    made = http_listener(routes=routes or [direct(200, "well")], **fields)
    made["filter_chains"][0]["transport_socket"] = socket
    if filters:
        made["listener_filters"] = list(filters)
    return made


def mutual(ca, web, **validation):
    return certs.downstream(web, validation_context=ca.validation_context(**validation),
                            outer={"require_client_certificate": True})


def inline(data):
    return {"inline_bytes": base64.b64encode(data).decode()}


def only(version):
    return {"tls_minimum_protocol_version": version, "tls_maximum_protocol_version": version}


def s_client(port, *args, text="", bound=20):
    return subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername",
                           "a.test", *args], input=text, capture_output=True, text=True,
                          timeout=bound, check=False)


# clients that come back

def test_a_certificate_that_ends_lets_nobody_in(start, ca, web, tmp_path):
    """Who was let in with it before is refused once it has ended."""
    proxy = start(bootstrap([tls_listener(certs.downstream(
        web, validation_context=ca.validation_context(),
        outer={"require_client_certificate": True}))]), concurrency=1)
    end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=5)
    context = certs.client_context(ca, ca.issue("brief", not_after=end), tmp_path)
    assert not refused(proxy.port(), context)
    assert not refused(proxy.port(), context)
    wait_for(lambda: refused(proxy.port(), context), bound=30, what="its end")
    wait_for(lambda: proxy.total(SSL + "fail_verify_error"))


# sessions

def test_no_early_data(start, web, tmp_path):
    """What is sent before the handshake can be sent again by anybody: no session allows it."""
    proxy = start(bootstrap([tls_listener(certs.downstream(web))]))
    session, early = tmp_path / "session", tmp_path / "early"
    early.write_text("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    s_client(proxy.port(), "-tls1_3", "-quiet", "-sess_out", session, text=request)
    shown = subprocess.run(["openssl", "sess_id", "-in", session, "-noout", "-text"],
                           capture_output=True, text=True, check=True)
    assert "Max Early Data: 0" in shown.stdout
    told = s_client(proxy.port(), "-tls1_3", "-sess_in", session, "-early_data", early)
    assert "Early data was not sent" in told.stdout + told.stderr
    wait_for(lambda: proxy.total(SSL + "session_reused"))


@VERSIONS
def test_ticket_keys(start, ca, web, version):
    """The first key writes, all read; what none of them wrote costs a full handshake, no more."""
    one, two = bytes([1]) * 80, bytes([2]) * 80

    def run(*keys):
        return start(bootstrap([tls_listener(certs.downstream(
            web, tls_params=only(version),
            outer={"session_ticket_keys": {"keys": [inline(key) for key in keys]}}))]))

    context = certs.client_context(ca)

    def visit(proxy, session=None):
        with Client(proxy.port(), tls=context, name="a.test", session=session) as client:
            assert client.get("/").status == 200
            return client.sock.session, client.sock.session_reused

    session, _ = visit(run(one))
    newer, reused = visit(run(two, one), session)
    assert reused
    assert not visit(run(two), session)[1]
    assert visit(run(two), newer)[1]


@pytest.mark.parametrize("size", [0, 79, 81])
def test_ticket_keys_of_another_length(start, web, size):
    with pytest.raises(RuntimeError, match="session ticket key length|session_ticket_keys|DataSource"):
        start(bootstrap([tls_listener(certs.downstream(
            web, outer={"session_ticket_keys": {"keys": [inline(bytes(size))]}}))]))


# who may come in

@difference("What is asked for is done: a client that names nobody is sent away.",
            envoy="lets in clients without a name, whatever require_sni says",
            xylem="closes in the handshake")
def test_require_sni(start, ca, web, kind):
    proxy = start(bootstrap([tls_listener(certs.downstream(web, outer={"require_sni": True}))]))
    error = refused(proxy.port(), certs.client_context(ca), name=None)
    assert bool(error) == (kind == "xylem")
    assert not refused(proxy.port(), certs.client_context(ca))


def test_uses_of_certificates(start, ca, web, closing, tmp_path):
    """2022-21657: what may only serve is no client, what may only ask is no server."""
    server = ca.issue("server", dns=["c.test"], client=False)
    client = ca.issue("client", dns=["c.test"], server=False)
    both = ca.issue("both", dns=["c.test"])
    proxy = start(bootstrap([tls_listener(mutual(ca, web))]))
    assert refused(proxy.port(), certs.client_context(ca, server, tmp_path / "1"))
    assert not refused(proxy.port(), certs.client_context(ca, client, tmp_path / "2"))
    assert not refused(proxy.port(), certs.client_context(ca, both, tmp_path / "3"))
    wait_for(lambda: proxy.total(SSL + "fail_verify_error"))
    for certificate, status in [(server, 200), (client, 503)]:
        origin = closing(Origin(ssl=certs.server_context(certificate, tmp_path / "4")))
        proxy = start(bootstrap([http_listener(routes=[route("/", "one")])], [cluster(
            "one", origin,
            transport_socket=certs.upstream(validation_context=ca.validation_context()))]))
        assert proxy.get("/").status == status
        assert len(origin.requests) == (status == 200)


REVOKED = "certificate revoked"
NO_LIST = "unknown ca|certificate unknown"


@pytest.mark.parametrize("leaf_only", [False, True], ids=["all", "leaf only"])
@pytest.mark.parametrize("revoked, lists, let_in", [
    ((), "both", (True, True)),
    (("leaf",), "both", (False, False)),
    (("middle",), "both", (False, True)),
    ((), "leaf", (False, True)),
    ((), "middle", (False, False)),
    (("leaf",), "leaf", (False, False))])
def test_revoked_at_each_depth(start, ca, web, tmp_path, revoked, lists, let_in, leaf_only):
    """A certificate is good if each above it is, too, and nobody is left out of the lists."""
    middle = certs.Authority("middle", above=ca)
    leaf = middle.issue("leaf", dns=["c.test"])
    texts = {"leaf": middle.crl(*[leaf] * ("leaf" in revoked)),
             "middle": ca.crl(*[middle] * ("middle" in revoked))}
    crl = "".join(texts[name] for name in texts if lists in ("both", name))
    proxy = start(bootstrap([tls_listener(mutual(
        ca, web, crl={"inline_string": crl}, only_verify_leaf_cert_crl=leaf_only))]))
    error = refused(proxy.port(), certs.client_context(ca, leaf, tmp_path))
    assert (error is None) == let_in[leaf_only], error
    wait_for(lambda: proxy.total(SSL + "fail_verify_error") == (error is not None))


NUL_RULES = {"exact": {"exact": "a.test"}, "prefix": {"prefix": "a.test"},
             "contains": {"contains": "a.test"},
             "regex": {"safe_regex": {"regex": "(?s)a\\.test.*"}}}


@difference("A NUL inside a name is there to be read in two ways (E 2025-66220): such a name is none.",
            envoy="lets it in where the bytes before or around the NUL match a prefix, a part or a regex",
            xylem="no rule matches it")
@pytest.mark.parametrize("rule", NUL_RULES)
def test_nul_inside_a_name(start, ca, web, kind, tmp_path, rule):
    odd = ca.issue("odd", dns=["a.test\0.evil.test"])
    proxy = start(bootstrap([tls_listener(mutual(ca, web, match_typed_subject_alt_names=[
        {"san_type": "DNS", "matcher": NUL_RULES[rule]}]))]))
    error = refused(proxy.port(), certs.client_context(ca, odd, tmp_path))
    if kind == "xylem" or rule == "exact":
        assert error
        wait_for(lambda: proxy.total(SSL + "fail_verify_san"))
    assert not refused(proxy.port(), certs.client_context(ca, ca.issue("good", dns=["a.test"]), tmp_path))


# keys

def test_encrypted_key(start, ca, web):
    own = web.tls_certificate(private_key={
        "inline_string": certs.key_pem(web.private, password="open")})

    def run(password):
        socket = certs.downstream(web)
        socket["typed_config"]["common_tls_context"]["tls_certificates"] = [
            {**own, **({"password": {"inline_string": password}} if password else {})}]
        return start(bootstrap([tls_listener(socket)]))

    assert not refused(run("open").port(), certs.client_context(ca))
    for password in ["wrong", None]:
        with pytest.raises(RuntimeError, match="Failed to load private key from <inline>") as caught:
            run(password)
        assert "wrong" not in str(caught.value)


@pytest.mark.parametrize("key, form", [
    ("p256", "pkcs8"), ("p256", "traditional"), ("rsa2048", "pkcs8"), ("rsa2048", "traditional"),
    ("ed25519", "pkcs8")])
def test_forms_of_keys(start, ca, key, form):
    own = ca.issue("own", key=key, dns=["a.test"])
    own.key = certs.key_pem(own.private, form)
    proxy = start(bootstrap([tls_listener(certs.downstream(own))]))
    assert not refused(proxy.port(), certs.client_context(ca))


@pytest.mark.parametrize("password", [None, "open"], ids=["bare", "password"])
@pytest.mark.parametrize("files", [False, True], ids=["inline", "file"])
def test_pkcs12(start, ca, web, tmp_path, password, files):
    path = tmp_path / "own.p12"
    path.write_bytes(web.pkcs12(password))

    def run(password):
        own = {"pkcs12": {"filename": str(path)} if files else inline(path.read_bytes())}
        if password:
            own["password"] = {"inline_string": password}
        socket = certs.downstream(web)
        socket["typed_config"]["common_tls_context"]["tls_certificates"] = [own]
        return start(bootstrap([tls_listener(socket)]))

    assert not refused(run(password).port(), certs.client_context(ca))
    if password:
        with pytest.raises(RuntimeError, match="Failed to load pkcs12 from"):
            run("wrong")


# staples

STAPLES = {"good": 7, "stale": -0.5}


@pytest.mark.parametrize("asks", [True, False], ids=["asks", "silent"])
@pytest.mark.parametrize("policy, staple, outcome", [
    ("LENIENT_STAPLING", None, "omitted"), ("LENIENT_STAPLING", "good", "responses"),
    ("LENIENT_STAPLING", "stale", "omitted"), ("STRICT_STAPLING", None, "omitted"),
    ("STRICT_STAPLING", "good", "responses"), ("STRICT_STAPLING", "stale", "failed"),
    ("MUST_STAPLE", "good", "responses"), ("MUST_STAPLE", "stale", "failed")])
def test_staple_policy(start, ca, web, policy, staple, outcome, asks):
    """N 2026-28755: a staple that is no good is never sent, and a policy that says no means it."""
    socket = certs.downstream(web, outer={"ocsp_staple_policy": policy})
    if staple:
        socket["typed_config"]["common_tls_context"]["tls_certificates"][0]["ocsp_staple"] = inline(
            ca.ocsp(web, days=STAPLES[staple]))
    proxy = start(bootstrap([tls_listener(socket)]))
    told = s_client(proxy.port(), *["-status"] * asks)
    assert ("OCSP Response Status: successful" in told.stdout) == (asks and outcome == "responses")
    fails = asks and outcome == "failed"
    assert ("BEGIN CERTIFICATE" not in told.stdout) == fails, told.stdout + told.stderr
    if asks:
        wait_for(lambda: proxy.total(SSL + "ocsp_staple_" + outcome))
    else:
        wait_for(lambda: proxy.total(SSL + "handshake"))
        assert proxy.total(SSL + "ocsp_staple_requests") == 0


def test_staple_of_another(start, ca, web):
    socket = certs.downstream(web)
    own = socket["typed_config"]["common_tls_context"]["tls_certificates"][0]
    own["ocsp_staple"] = inline(ca.ocsp(ca.issue("other", dns=["a.test"])))
    with pytest.raises(RuntimeError, match="OCSP response does not match its TLS certificate"):
        start(bootstrap([tls_listener(socket)]))
    own["ocsp_staple"] = inline(b"no staple")
    with pytest.raises(RuntimeError, match="OCSP"):
        start(bootstrap([tls_listener(socket)]))
    own["ocsp_staple"] = inline(ca.ocsp(web) + b"x")
    with pytest.raises(RuntimeError, match="Data contained more than a single OCSP response"):
        start(bootstrap([tls_listener(socket)]))


def test_must_staple_without_a_staple(start, ca, web):
    with pytest.raises(RuntimeError, match="Required OCSP response is missing from TLS context"):
        start(bootstrap([tls_listener(certs.downstream(
            web, outer={"ocsp_staple_policy": "MUST_STAPLE"}))]))
    with pytest.raises(RuntimeError, match="OCSP response is required for must-staple certificate"):
        start(bootstrap([tls_listener(certs.downstream(
            ca.issue("must", dns=["a.test"], must_staple=True)))]))


# the log of keys

@pytest.mark.parametrize("side", ["local", "remote"])
@pytest.mark.parametrize("ranges, logged", [
    ([], True), (["127.0.0.0/8"], True), (["10.0.0.0/8", "127.0.0.1/32"], True),
    (["10.0.0.0/8"], False), (["127.0.0.2/31"], False), (["::/0"], False)])
def test_key_log(start, ca, web, tmp_path, side, ranges, logged):
    """Secrets of connections are written for those whom the operator named, and for no others."""
    log = tmp_path / "keys"
    key_log = {"path": str(log)}
    if ranges:
        key_log[f"{side}_address_range"] = [
            {"address_prefix": one.split("/")[0], "prefix_len": int(one.split("/")[1])}
            for one in ranges]
    proxy = start(bootstrap([tls_listener(certs.downstream(web, key_log=key_log))]))
    assert not refused(proxy.port(), certs.client_context(ca))
    wait_for(lambda: proxy.total(SSL + "handshake"))
    proxy.stop()
    lines = log.read_text().splitlines() if log.exists() else []
    assert bool(lines) == logged
    assert all(re.fullmatch(r"[A-Z_0-9]+ [0-9a-f]{64} [0-9a-f]{64,96}", line) for line in lines)


# hostile certificates

@functools.cache
def long_key():
    return rsa.generate_private_key(65537, 8192)


def hostile(ca, sort):
    """Certificates of an authority that is trusted, made to cost: about 64 KB each."""
    now = datetime.datetime.now(datetime.timezone.utc)
    key = certs.make_key()
    if sort == "deep chain":
        above = ca
        for i in range(90):
            above = certs.Authority(f"middle{i}", above=above)
        return above.issue("deep", dns=["c.test"])
    if sort == "many names":
        return ca.issue("many", dns=[f"n{i}.c.test" for i in range(3900)] + ["c.test"])
    if sort == "many addresses":
        return ca.issue("many", ips=[f"10.{i >> 8}.{i & 255}.1" for i in range(9000)], dns=["c.test"])
    if sort == "long name":
        return ca.issue("long", uris=["spiffe://d/" + "x" * 60000], dns=["c.test"])
    made = x509.CertificateBuilder().issuer_name(ca.certificate.subject)
    made = made.serial_number(x509.random_serial_number()).not_valid_before(now - certs.DAY)
    made = made.not_valid_after(now + certs.DAY)
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, "c")]
    if sort == "long subject":
        subject = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, f"{i:064}") for i in range(700)]
    if sort == "long key":
        key = long_key()
    made = made.subject_name(x509.Name(subject)).public_key(key.public_key())
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("c.test")]), critical=False)
    if sort == "many extensions":
        for i in range(2000):
            made = made.add_extension(x509.UnrecognizedExtension(
                x509.ObjectIdentifier(f"1.3.6.1.4.1.99999.{i}"), b"\x05\x00" * 6), critical=False)
    return certs.Certificate(sort, made.sign(ca.private, hashes.SHA256()), key)


HOSTILE = ["deep chain", "many names", "many addresses", "long name", "long subject",
           "many extensions", "long key"]


def peak_kib(proxy):
    status = Path(f"/proc/{proxy.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status).group(1))


@pytest.mark.parametrize("sort", HOSTILE)
def test_hostile_certificates(start, ca, web, kind, tmp_path, sort):
    """BoringSSL 2026-35189: no certificate takes more than 4 MiB, let in and told of in the log."""
    rules = {"match_typed_subject_alt_names": [
        {"san_type": "DNS", "matcher": {"exact": "c.test"}}]}
    log = tmp_path / "log"
    socket = mutual(ca, web, **rules)
    socket["typed_config"]["disable_stateless_session_resumption"] = True  # OpenSSL takes no such ticket
    proxy = start(bootstrap([tls_listener(socket, access_log=[file_log(
        log, "%DOWNSTREAM_PEER_SUBJECT% %DOWNSTREAM_PEER_DNS_SAN% %DOWNSTREAM_PEER_URI_SAN%\n")])]))
    plain = certs.client_context(ca, ca.issue("plain", dns=["c.test"]), tmp_path)
    assert not refused(proxy.port(), plain)
    bad = certs.client_context(ca, hostile(ca, sort), tmp_path)
    Path(f"/proc/{proxy.process.pid}/clear_refs").write_text("5")
    before = peak_kib(proxy)
    for _ in range(3):
        assert not refused(proxy.port(), bad)
    if kind == "xylem" and not sanitized():
        assert peak_kib(proxy) - before <= 4096
    assert not refused(proxy.port(), plain)


ODD = ['a\nb', 'q"uo;te,=', "\x01\x7f", "%0a%s%REQ(x)%", "x" * 5000]


@difference("A name writes no line of a log, whoever signed it.",
            envoy="escapes subjects and writes alternative names as they are",
            xylem="escapes both")
def test_log_of_odd_certificates(start, ca, web, kind, tmp_path):
    """2026-47220: the names of a certificate are what a client likes; each has one line."""
    log = tmp_path / "log"
    line = "|".join(f"%DOWNSTREAM_PEER_{name}%" for name in (
        "SUBJECT", "ISSUER", "URI_SAN", "DNS_SAN", "SERIAL", "CERT_V_END")) + "|end\n"
    proxy = start(bootstrap([tls_listener(mutual(ca, web), access_log=[file_log(log, line)])]))
    for name in ODD:
        made = ca.issue(name[:64], dns=[name])
        made.name = "odd"
        assert not refused(proxy.port(), certs.client_context(ca, made, tmp_path))
    proxy.stop()
    lines = log.read_bytes().decode("latin-1").split("\n")[:-1]
    if kind == "envoy":
        assert len(lines) == len(ODD) + 1
        return
    assert len(lines) == len(ODD)
    assert all(line.endswith("|end") and line.isprintable() for line in lines), lines
    assert lines[0].startswith("CN=a\\0Ab,O=xylem tests|CN=ca,O=xylem tests|-|a\\0Ab|")


# names that are sent on

def test_authorities_of_any_length(start, ca, closing, tmp_path):
    """E 2024-32475: a host that cannot be a name in TLS is not sent as one, and nothing else happens."""
    origin = closing(Origin(ssl=certs.server_context(ca.issue("web", dns=["a.test"]), tmp_path)))
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")])], [cluster(
        "one", origin, transport_socket=certs.upstream(),
        http={"upstream_http_protocol_options": {"auto_sni": True}})]))
    for size in [1, 63, 64, 254, 255, 256, 257, 1000, 20000, 50000, 70000]:
        with Client(proxy.port()) as client:
            answer = client.get("/", host="a" * size)
            assert answer.status in (200, 431, 503)
            if size <= 255:
                assert answer.status == 200
    assert proxy.get("/", host="a.test").status == 200


def chain(name, body, socket):
    return {"filters": [hcm(routes=[direct(200, body)])], "transport_socket": socket,
            "filter_chain_match": {"server_names": [name]}}


@VERSIONS
def test_each_chain_has_its_own_authority(start, ca, web, tmp_path, version):
    """E 2020-8664: who is known to one chain is a stranger to the next, resumed or not."""
    others = certs.Authority("others")
    made = http_listener()
    made["listener_filters"] = [INSPECTOR]
    made["filter_chains"] = [
        chain(f"{name}.test", name, certs.downstream(
            web, tls_params=only(version), validation_context=authority.validation_context(),
            outer={"require_client_certificate": True}))
        for name, authority in [("a", ca), ("b", others)]]
    proxy = start(bootstrap([made]))
    known = {name: certs.client_context(ca, authority.issue("c", dns=["c.test"]), tmp_path / name)
             for name, authority in [("a", ca), ("b", others)]}
    for ours in known:
        for theirs in known:
            error = refused(proxy.port(), known[ours], name=f"{theirs}.test")
            assert (error is None) == (ours == theirs), f"{ours} at {theirs}: {error}"
    wait_for(lambda: proxy.total(SSL + "fail_verify_error") == 2)
