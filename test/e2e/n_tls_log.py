"""Operators of access logs about TLS: what is told of certificates on both sides of both sides."""
import datetime

import pytest

from harness import Client, bootstrap, cluster, difference, direct, http_listener, route
from harness import certs
from harness.config import file_log
from harness.tls import tls_origin

UPN = "1.3.6.1.4.1.311.20.2.3"


def logged(start, closing, ca, folder, certificate, operators, version=None, untrusted=False,
           visits=1):
    """The values of operators for the last of some requests, by name: through TLS on both sides."""
    own = ca.issue("web", dns=["a.test"], uris=["spiffe://d/web"], ips=["1.2.3.4", "::1"],
                   emails=["w@a.test"], others=[(UPN, "web@a.test")])
    origin = closing(tls_origin(certs.server_context(ca.issue("origin", dns=["o.test"]), folder)))
    log = folder / "log"
    made = http_listener(routes=[route("/", "one")], access_log=[
        file_log(log, "|".join(f"%{name}%" for name in operators) + "\n")])
    made["filter_chains"][0]["transport_socket"] = certs.downstream(
        own, validation_context=ca.validation_context(**(
            {"trust_chain_verification": "ACCEPT_UNTRUSTED"} if untrusted else {})))
    proxy = start(bootstrap([made], [cluster("one", origin, transport_socket=certs.upstream(
        own, outer={"sni": "O.Test:1"}))]))
    context = certs.client_context(None, certificate, folder)
    if version == 2:
        context.maximum_version = context.maximum_version.TLSv1_2
    session = None
    for _ in range(visits):
        with Client(proxy.port(), tls=context, name="a.test", session=session) as client:
            assert client.get("/").status == 200
            reused, session = client.sock.session_reused, client.sock.session
    assert reused == (visits > 1)
    proxy.stop()
    return dict(zip(operators, log.read_text().splitlines()[-1].split("|")))


PEER = ["DOWNSTREAM_PEER_OTHERNAME_SAN", "DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256",
        "DOWNSTREAM_PEER_ISSUER_SERIAL", "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256",
        "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1", "DOWNSTREAM_PEER_CHAIN_SERIALS"]


def test_points_of_handshakes(start, closing, ca, tmp_path):
    pairs = ["DS_CX_BEG:DS_HS_END", "DS_HS_END:DS_RX_BEG", "DS_CX_BEG:DS_RX_BEG",
             "US_CX_BEG:US_CX_END", "US_CX_END:US_HS_END", "US_CX_BEG:US_HS_END",
             "US_HS_END:US_TX_BEG"]
    got = logged(start, closing, ca, tmp_path, ca.issue("client"),
                 [f"COMMON_DURATION({pair}:us)" for pair in pairs])
    assert all(value.isdigit() for value in got.values()), got
    ours, rest, all_ours, below, above, all_theirs, _ = map(int, got.values())
    assert 0 < ours <= all_ours and abs(ours + rest - all_ours) < 5
    assert 0 < above <= all_theirs and abs(below + above - all_theirs) < 5


@difference("A handshake took some time, and not less than none.",
            envoy="counts from when the request began, which was later", xylem="from the connection's "
            "begin, as in the log of a listener")
def test_duration_of_the_handshake(start, closing, ca, tmp_path, kind):
    took, = logged(start, closing, ca, tmp_path, ca.issue("client"),
                   ["DOWNSTREAM_HANDSHAKE_DURATION"]).values()
    assert int(took) >= 0 if kind == "xylem" else int(took) <= 0


def sha1(certificate):
    from cryptography.hazmat.primitives import hashes
    return certificate.certificate.fingerprint(hashes.SHA1()).hex()


@pytest.mark.parametrize("version", [2, 3])
def test_chain_of_a_client(start, closing, ca, tmp_path, version):
    middle = certs.Authority("middle", above=ca)
    leaf = middle.issue("leaf", others=[(UPN, "me@c.test"), ("1.2.3.4", "you")])
    assert list(logged(start, closing, ca, tmp_path, leaf, PEER, version).values()) == [
        "me@c.test,you", middle.sha256, middle.serial, f"{leaf.sha256},{middle.sha256}",
        f"{sha1(leaf)},{sha1(middle)}", f"{leaf.serial},{middle.serial}"]


def test_issuer_that_the_client_does_not_show(start, closing, ca, tmp_path):
    leaf = ca.issue("leaf")
    assert list(logged(start, closing, ca, tmp_path, leaf, PEER).values()) == [
        "-", ca.sha256, ca.serial, leaf.sha256, sha1(leaf), leaf.serial]


def test_issuer_that_nobody_verified(start, closing, ca, tmp_path):
    leaf = certs.Authority("middle", above=certs.Authority("other")).issue("leaf")
    seen = logged(start, closing, ca, tmp_path, leaf, PEER, untrusted=True)
    assert seen[PEER[1]] == seen[PEER[2]] == "-"
    assert seen[PEER[5]].startswith(leaf.serial + ",")


@difference("Whoever comes back has the certificate, and so the issuer, of the first time.",
            envoy="tells no issuer of a resumed session", xylem="tells it")
@pytest.mark.parametrize("version", [2, 3])
def test_issuer_of_a_client_that_comes_back(start, closing, ca, tmp_path, kind, version):
    leaf = ca.issue("leaf")
    seen = logged(start, closing, ca, tmp_path, leaf, PEER, version, visits=2)
    assert seen[PEER[2]] == (ca.serial if kind == "xylem" else "-")
    assert seen[PEER[5]] == leaf.serial


def test_no_certificate_of_a_client(start, closing, ca, tmp_path):
    assert set(logged(start, closing, ca, tmp_path, None, PEER).values()) == {"-"}


OWN = {"DOWNSTREAM_LOCAL_IP_SAN": "1.2.3.4,::1", "DOWNSTREAM_LOCAL_EMAIL_SAN": "w@a.test",
       "DOWNSTREAM_LOCAL_OTHERNAME_SAN": "web@a.test", "DOWNSTREAM_TLS_GROUP": "X25519",
       "UPSTREAM_LOCAL_URI_SAN": "spiffe://d/web", "UPSTREAM_LOCAL_DNS_SAN": "a.test",
       "UPSTREAM_LOCAL_IP_SAN": "1.2.3.4,::1", "UPSTREAM_TLS_GROUP": "X25519",
       "UPSTREAM_SERVER_NAME": "O.Test:1"}


def test_own_certificates(start, closing, ca, tmp_path):
    assert logged(start, closing, ca, tmp_path, None, list(OWN)) == OWN


FORMATS = {"": "%Y-%m-%dT%H:%M:%S.000Z", "()": "%Y-%m-%dT%H:%M:%S.000Z", "(%Y/%m/%d)": "%Y/%m/%d",
           "(%s)": "%s", "(%s.%3f)": "%s.000", "(%H %E3S)": "%H %S.000"}


@pytest.mark.parametrize("form", FORMATS)
def test_dates(start, closing, ca, tmp_path, form):
    """In the default form or in one of strftime's; the end may be the end of time (where Envoy
    makes fractions of seconds up)."""
    first, last = (2000, 2200) if "3" in form else (1960, 9999)
    begin = datetime.datetime(first, 2, 29, 1, 2, 3, tzinfo=datetime.timezone.utc)
    end = datetime.datetime(last, 12, 31, 23, 59, 59, tzinfo=datetime.timezone.utc)
    leaf = ca.issue("leaf", not_before=begin, not_after=end)
    names = [f"DOWNSTREAM_PEER_CERT_V_START{form}", f"DOWNSTREAM_PEER_CERT_V_END{form}"]
    seen = logged(start, closing, ca, tmp_path, leaf, names)
    wanted = FORMATS[form]
    assert list(seen.values()) == [
        at.strftime(wanted.replace("%s", str(int(at.timestamp())))) for at in (begin, end)]


MORE_FORMATS = {
    "%Z": "UTC", "%z": "+0000", "%E3f": "000", "%E*f": "0", "%E*S": "03", "%E0S": "03", "%E0f": "",
    "%E12S": "03.000000000000", "%E99S": "03." + "0" * 18, "%Ez": "+00:00", "%E*z": "+00:00:00",
    "%E4Y": "2024", "%ET": "T", "%:z": "+00:00", "%::z": "+00:00:00", "%:::z": "+00", "%-d": "5",
    "%_d": " 5", "%^a": "MON", "%05d": "00005", "%Ey": "24", "%Od": "05", "%%3f": "%000",
    "%%%3f": "%000", "%%%%3f": "%%000", "%%s": "%1707094923", "%e": " 5", "a%%b": "a%b",
    "%%%%": "%%", "%Q": "%Q", "%E5Q": "%E5Q", "%F %T": "2024-02-05 01:02:03", "%f": "000000000",
    "%-H:%M": "1:02", "%H%": "01%", "%::": "%::"}


def test_odd_forms_of_dates(start, closing, ca, tmp_path):
    begin = datetime.datetime(2024, 2, 5, 1, 2, 3, tzinfo=datetime.timezone.utc)
    leaf = ca.issue("leaf", not_before=begin)
    names = [f"DOWNSTREAM_PEER_CERT_V_START({form})" for form in MORE_FORMATS]
    seen = logged(start, closing, ca, tmp_path, leaf, names)
    assert dict(zip(MORE_FORMATS, seen.values())) == MORE_FORMATS


@pytest.mark.parametrize("version", [2, 3])
def test_a_client_that_was_refused(start, ca, tmp_path, version):
    """The log of the connection tells who it was and why."""
    log = tmp_path / "log"
    made = http_listener(routes=[direct(200)])
    made["filter_chains"][0]["transport_socket"] = certs.downstream(
        ca.issue("web"), validation_context=ca.validation_context())
    made["access_log"] = [file_log(log, "|".join(f"%{name}%" for name in [
        "DOWNSTREAM_PEER_SUBJECT", "DOWNSTREAM_PEER_SERIAL", "DOWNSTREAM_PEER_DNS_SAN",
        "DOWNSTREAM_PEER_ISSUER_SERIAL", "DOWNSTREAM_TRANSPORT_FAILURE_REASON"]) + "\n")]
    proxy = start(bootstrap([made]))
    leaf = certs.Authority("other").issue("leaf", dns=["x.test"])
    context = certs.client_context(None, leaf, tmp_path)
    if version == 2:
        context.maximum_version = context.maximum_version.TLSv1_2
    with pytest.raises((OSError, AssertionError)):
        with Client(proxy.port(), tls=context, name="a.test") as client:
            client.get("/")
    proxy.stop()
    who = log.read_text().split("|")
    assert who[:4] == ["CN=leaf,O=xylem tests", leaf.serial, "x.test", "-"]
    assert "certificate_verification_error_at_depth_0" in who[5]


CRL_FAILED = "certificate_verification_error_at_depth_0:_certificate_revocation_check_against_" \
             "provided_CRLs_failed:_"


@pytest.mark.parametrize("what", ["certificate_revoked", "unable_to_get_certificate_CRL",
                                  "CRL_has_expired"])
def test_a_client_that_a_list_refused(start, ca, tmp_path, what):
    leaf, log = ca.issue("leaf", dns=["x.test"]), tmp_path / "log"
    crl = {"certificate_revoked": lambda: ca.crl(leaf),
           "unable_to_get_certificate_CRL": lambda: certs.Authority("other").crl(),
           "CRL_has_expired": lambda: ca.crl(days=-0.5)}[what]()
    made = http_listener(routes=[direct(200)])
    made["filter_chains"][0]["transport_socket"] = certs.downstream(
        ca.issue("web"), validation_context=ca.validation_context(crl={"inline_string": crl}))
    made["access_log"] = [file_log(log, "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%\n")]
    proxy = start(bootstrap([made]))
    with pytest.raises((OSError, AssertionError)):
        with Client(proxy.port(), tls=certs.client_context(None, leaf, tmp_path)) as client:
            client.get("/")
    proxy.stop()
    assert CRL_FAILED + what in log.read_text()
