"""The SPIFFE validator: a bundle of authorities for each trust domain, in the configuration or in a
map that is read again when its file changes."""
import base64
import json

import pytest
from cryptography.hazmat.primitives import serialization

from harness import Client, bootstrap, certs, difference, direct, http_listener, wait_for

SSL = r"listener\..*\.ssl\."


@pytest.fixture(scope="module")
def away():
    """The authority of another trust domain."""
    return certs.Authority("away")


def x5c(authority):
    return base64.b64encode(authority.certificate.public_bytes(serialization.Encoding.DER)).decode()


def bundles(**domains):
    """A map of bundles as JSON: a list of authorities for each trust domain."""
    return json.dumps({"trust_domains": {name: {"spiffe_sequence": 1, "keys": [
        {"kty": "EC", "use": "x509-svid", "x5c": [x5c(one)]} for one in authorities]}
        for name, authorities in domains.items()}})


def spiffe_listener(web, outer=None, **config):
    validator = {"name": "envoy.tls.cert_validator.spiffe", "typed_config": {
        "@type": certs.TLS + "SPIFFECertValidatorConfig", **config}}
    made = http_listener(routes=[direct(200, "well")])
    made["filter_chains"][0]["transport_socket"] = certs.downstream(
        web, validation_context={"custom_validator_config": validator}, outer=outer or {})
    return made


@pytest.fixture
def comes_in(tmp_path):
    """comes_in(proxy, certificate): is a client with it let in? None: with none."""
    def ask(proxy, certificate):
        context = certs.client_context(None, certificate, tmp_path / "clients")
        try:
            with Client(proxy.port(), tls=context, name="a.test") as client:
                return client.get("/").status == 200
        except (OSError, AssertionError):
            return False
    return ask


def domains(**authorities):
    return [{"name": name, "trust_bundle": {"inline_string": one.pem}}
            for name, one in authorities.items()]


@pytest.fixture(params=["trust_domains", "trust_bundles"])
def told(request):
    """told(domain=authority, ...): the same in both ways to say it."""
    if request.param == "trust_domains":
        return lambda **all: {"trust_domains": domains(**all)}
    return lambda **all: {"trust_bundles": {
        "inline_string": bundles(**{name: [one] for name, one in all.items()})}}


def test_a_domain_has_its_authority(start, web, ca, away, told, comes_in):
    """No authority says who belongs to another one's domain."""
    proxy = start(bootstrap([spiffe_listener(web, **told(here=ca, there=away))]))
    assert comes_in(proxy, ca.issue("a", uris=["spiffe://here/a"]))
    assert comes_in(proxy, away.issue("b", uris=["spiffe://there/b"]))
    assert not comes_in(proxy, ca.issue("c", uris=["spiffe://there/c"]))
    assert not comes_in(proxy, away.issue("d", uris=["spiffe://here/d"]))
    assert not comes_in(proxy, ca.issue("e", uris=["spiffe://nowhere/e"]))
    wait_for(lambda: sum(proxy.stats().matching(SSL + "fail_verify_error").values()) == 3)


def test_what_is_no_svid(start, web, ca, told, comes_in):
    """The first URI counts, and it must be a SPIFFE ID; an authority is no workload."""
    proxy = start(bootstrap([spiffe_listener(web, **told(here=ca))]))
    assert not comes_in(proxy, ca.issue("none", dns=["a.test"]))
    assert not comes_in(proxy, ca.issue("bare", uris=["spiffe://here"]))
    assert not comes_in(proxy, ca.issue("http", uris=["https://here/a"]))
    assert not comes_in(proxy, ca.issue("second", uris=["spiffe://there/a", "spiffe://here/a"]))
    assert comes_in(proxy, ca.issue("first", uris=["spiffe://here/a", "spiffe://there/a"]))
    assert not comes_in(proxy, ca.issue("authority", ca=True, uris=["spiffe://here/a"]))


@pytest.mark.parametrize("required", [True, False])
def test_a_client_needs_a_certificate(start, web, ca, told, comes_in, required):
    """Whether it is said or not."""
    proxy = start(bootstrap([spiffe_listener(
        web, {"require_client_certificate": required}, **told(here=ca))]))
    assert not comes_in(proxy, None)
    assert comes_in(proxy, ca.issue("a", uris=["spiffe://here/a"]))


def move(path, text):
    new = path.with_name("new")
    new.write_text(text)
    new.rename(path)


def write(path, text):
    path.write_text(text)


def follows(start, web, ca, away, comes_in, change, path, source):
    """The map in the file changes, twice to something good and once to something that is none."""
    move(path, bundles(here=[ca]))
    proxy = start(bootstrap([spiffe_listener(web, trust_bundles=source)]))
    mine, other = ca.issue("a", uris=["spiffe://here/a"]), away.issue("b", uris=["spiffe://there/b"])
    assert comes_in(proxy, mine) and not comes_in(proxy, other)
    change(path, bundles(here=[ca, away], there=[away]))
    wait_for(lambda: comes_in(proxy, other), what="the new domain")
    assert comes_in(proxy, mine)
    assert comes_in(proxy, away.issue("c", uris=["spiffe://here/c"]))
    change(path, '{"trust_domains": {}}')
    assert comes_in(proxy, mine)
    change(path, bundles(there=[away]))
    wait_for(lambda: not comes_in(proxy, mine), what="the old domain to go")
    assert comes_in(proxy, other)


def test_bundles_in_a_file_that_is_written(start, web, ca, away, tmp_path, comes_in):
    path = tmp_path / "bundles.json"
    follows(start, web, ca, away, comes_in, write, path, {"filename": str(path)})


def test_bundles_in_a_watched_directory(start, web, ca, away, tmp_path, comes_in):
    path = tmp_path / "bundles.json"
    follows(start, web, ca, away, comes_in, move, path, {
        "filename": str(path), "watched_directory": {"path": str(tmp_path)}})


@difference("Tools replace files by moves, so that nobody reads a half one.",
            envoy="does not see a map of bundles that is moved in place, without watched_directory",
            xylem="reads it")
def test_bundles_in_a_file_that_is_moved_in_place(start, web, ca, away, tmp_path, comes_in, kind):
    path = tmp_path / "bundles.json"
    if kind == "xylem":
        follows(start, web, ca, away, comes_in, move, path, {"filename": str(path)})


@pytest.mark.parametrize("text,words", [
    ("{", "Invalid JSON found in SPIFFE bundle"),
    ("{}", "No trust domains found in SPIFFE bundle"),
    ('{"trust_domains": {"a": {}}}', "No keys found in SPIFFE bundle for domain 'a'"),
    ('{"trust_domains": {"a": {"keys": []}}}', "No keys found in SPIFFE bundle for domain 'a'"),
    ('{"trust_domains": {"a": {"keys": [{"use": "jwt-svid"}]}}}',
     "missing or invalid 'use' field found in cert for domain 'a'"),
    ('{"trust_domains": {"a": {"keys": [{"use": "x509-svid"}]}}}',
     "missing or empty 'x5c' field found in keys for domain: 'a'"),
    ('{"trust_domains": {"a": {"keys": [{"use": "x509-svid", "x5c": ["?"]}]}}}',
     "Failed to create x509 object while loading certs in domain 'a'"),
    ('{"trust_domains": {"a": {"keys": [{"use": "x509-svid", "x5c": ["AAAA"]}]}}}', "domain|a")])
def test_bundles_that_are_none(start, web, text, words):
    with pytest.raises(RuntimeError, match=words):
        start(bootstrap([spiffe_listener(web, trust_bundles={"inline_string": text})]))


def test_certs_page(start, web, ca, told):
    proxy = start(bootstrap([spiffe_listener(web, **told(here=ca))]))
    shown = proxy.json("/certs")["certificates"][0]["ca_cert"]
    path = "here: <inline>" if "trust_domains" in told(here=ca) else ""
    assert [(one["serial_number"], one["path"]) for one in shown] == [(ca.serial, path)]


def test_certs_page_of_several_domains(start, web, ca, away):
    """Envoy puts the last domain before all paths."""
    proxy = start(bootstrap([spiffe_listener(web, trust_domains=domains(here=ca, away=away))]))
    shown = proxy.json("/certs")["certificates"][0]["ca_cert"]
    assert [(one["serial_number"], one["path"]) for one in shown] == [
        (ca.serial, "away: <inline>"), (away.serial, "away: <inline>")]


@difference("Of all that are trusted one number says what somebody must know: which ends first.",
            envoy="has a gauge for each authority, its number at the end of the name",
            xylem="has one gauge, of the first to end")
def test_when_authorities_end(start, web, ca, away, kind):
    proxy = start(bootstrap([spiffe_listener(web, trust_domains=domains(here=ca, away=away))]))
    assert len(proxy.stats().matching(r"unnamed_ca_cert")) == (2 if kind == "envoy" else 1)
