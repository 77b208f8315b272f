"""Whom to believe: what chains of certificates are checked against, and who is asked for one."""
import json

import pytest

from harness import bootstrap, cluster, difference, direct, http_listener, refused, route, wait_for
from harness import certs
from harness.config import file_log
from harness.proxy import run_once
from harness.tls import tls_origin

SSL = r"listener\..*\.ssl\."
REQUIRED = {"require_client_certificate": True}


def tls_listener(socket, **fields):
    made = http_listener(routes=[direct(200, "well")], **fields)
    made["filter_chains"][0]["transport_socket"] = socket
    return made


def below(ca, count, **fields):
    """The lowest of so many authorities, each below the next."""
    for at in range(count):
        ca = certs.Authority(f"middle {at}", above=ca, **fields)
    return ca


# how long a chain may be

@pytest.mark.parametrize("depth, longest", [(0, 0), (1, 0), (2, 1), (3, 2), (None, 3)])
def test_max_verify_depth(start, ca, web, tmp_path, depth, longest):
    """How many authorities there may be between a leaf and one that is trusted."""
    limit = {} if depth is None else {"max_verify_depth": depth}
    proxy = start(bootstrap([tls_listener(certs.downstream(
        web, validation_context=ca.validation_context(**limit), outer=REQUIRED))]))
    for count in range(4):
        leaf = below(ca, count).issue("leaf", dns=["c.test"])
        error = refused(proxy.port(), certs.client_context(ca, leaf, tmp_path / str(count)))
        assert (error is None) == (count <= longest), f"{count}: {error}"


@difference("A chain that long is a mistake that each handshake would send and no client verifies.",
            envoy="presents chains of any length",
            xylem="refuses a certificate_chain of more than 64")
@pytest.mark.parametrize("length", [64, 65])
def test_how_long_a_chain_may_be(kind, tmp_path, ca, web, length):
    pair = {**web.tls_certificate(), "certificate_chain": {"inline_string": web.chain * length}}
    path = tmp_path / "bootstrap.json"
    path.write_text(json.dumps(bootstrap([tls_listener(certs.downstream(tls_certificates=[pair]))])))
    code, out, err = run_once(kind, ["-c", str(path), "--mode", "validate", "-l", "critical"],
                              tmp_path)
    assert code == (0 if kind == "envoy" or length <= 64 else 1), out + err


# (name of the authority below the narrow one, or None; name of the leaf; good)
PATHS = [(None, "leaf", True), (None, "narrow", True), ("low", "leaf", False), ("low", "low", False),
         ("narrow", "leaf", True), ("narrow", "narrow", True)]


def path_leaf(ca, low, name):
    narrow = certs.Authority("narrow", above=ca, path_length=0)
    issuer = certs.Authority(low, above=narrow) if low else narrow
    return issuer.issue(name, dns=["c.test"])


@pytest.mark.parametrize("low, name, good", PATHS)
def test_path_length_of_clients(start, ca, web, tmp_path, low, name, good):
    """RFC 5280 4.2.1.9: an authority that may have none below it, whatever the names are. One with
    the name of its issuer does not count (it is a new key of the same), but a leaf is no authority."""
    proxy = start(bootstrap([tls_listener(certs.downstream(
        web, validation_context=ca.validation_context(), outer=REQUIRED))]))
    error = refused(proxy.port(), certs.client_context(ca, path_leaf(ca, low, name), tmp_path))
    assert (error is None) == good, error
    wait_for(lambda: proxy.total(SSL + "fail_verify_error") == (not good))


@pytest.mark.parametrize("low, name, good", PATHS)
def test_path_length_of_origins(start, closing, ca, tmp_path, low, name, good):
    origin = closing(tls_origin(certs.server_context(path_leaf(ca, low, name), tmp_path)))
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")])], [cluster(
        "one", origin, transport_socket=certs.upstream(validation_context=ca.validation_context()))]))
    assert proxy.get("/").status == (200 if good else 503)


# who is asked for a certificate

def rules(ca, caller):
    names = [{"san_type": "DNS", "matcher": {"exact": "c.test"}}]
    return {"authority": ca.validation_context(),
            "names": ca.validation_context(match_typed_subject_alt_names=names),
            "old names": ca.validation_context(match_subject_alt_names=[{"exact": "c.test"}]),
            "hash": {"verify_certificate_hash": [caller.sha256]},
            "key": {"verify_certificate_spki": [caller.spki]},
            "hash and authority": ca.validation_context(verify_certificate_hash=[caller.sha256])}


@pytest.mark.parametrize("untrusted", [False, True], ids=["trusted", "untrusted"])
@pytest.mark.parametrize("rule", rules(certs.Authority(), certs.Authority()))
def test_names_and_pins_need_a_certificate(start, ca, web, caller, tmp_path, rule, untrusted):
    """Without require_client_certificate: whoever shows none has none of the names."""
    context = rules(ca, caller)[rule]
    if untrusted:
        context["trust_chain_verification"] = "ACCEPT_UNTRUSTED"
    proxy = start(bootstrap([tls_listener(certs.downstream(web, validation_context=context))]))
    needed = rule != "authority" and not untrusted
    assert bool(refused(proxy.port(), certs.client_context(ca))) == needed
    assert proxy.total(SSL + "fail_verify_no_cert") == needed
    assert not refused(proxy.port(), certs.client_context(ca, caller, tmp_path))
    other = certs.client_context(ca, certs.Authority("other").issue("o"), tmp_path / "other")
    assert bool(refused(proxy.port(), other)) == (not untrusted)


@pytest.mark.parametrize("context", [{}, {"max_verify_depth": 1},
                                     {"trust_chain_verification": "ACCEPT_UNTRUSTED"}],
                         ids=lambda context: next(iter(context), "empty"))
def test_nobody_is_asked_in_vain(start, ca, web, tmp_path, context):
    """What could not be checked is not asked for, unless anything is good enough: else anybody could
    be anyone in the log and in x-forwarded-client-cert."""
    log = tmp_path / "log"
    proxy = start(bootstrap([tls_listener(
        certs.downstream(web, validation_context=context),
        access_log=[file_log(log, "%DOWNSTREAM_PEER_SUBJECT% %DOWNSTREAM_PEER_URI_SAN%\n")])]))
    forged = certs.Authority("other").issue("x", uris=["spiffe://d/admin"])
    assert not refused(proxy.port(), certs.client_context(ca, forged, tmp_path / "x"))
    proxy.stop()
    anything = "trust_chain_verification" in context
    assert log.read_text() == ("CN=x,O=xylem tests spiffe://d/admin\n" if anything else "- -\n")


def test_dates_and_nobody_to_trust(start, web):
    with pytest.raises(RuntimeError, match="validity period is always ignored without trusted CA"):
        start(bootstrap([tls_listener(certs.downstream(
            web, validation_context={"allow_expired_certificate": True}))]))


@difference("Clients are to show a certificate, and nothing says which are good.",
            envoy="asks for none and lets everybody in",
            xylem="refuses such a configuration")
@pytest.mark.parametrize("context", [None, {}, {"max_verify_depth": 1}], ids=["none", "empty", "depth"])
def test_a_certificate_is_required_and_nothing_checks_it(start, ca, web, kind, context):
    config = bootstrap([tls_listener(certs.downstream(web, outer=REQUIRED, **(
        {} if context is None else {"validation_context": context})))])
    if kind == "xylem":
        with pytest.raises(RuntimeError, match="require_client_certificate: any certificate would do"):
            start(config)
    else:
        assert not refused(start(config).port(), certs.client_context(ca))


@difference("Clients are to show a certificate, good or not.",
            envoy="does not insist where there is no trusted_ca",
            xylem="insists")
def test_any_certificate_is_required(start, ca, web, kind, caller, tmp_path):
    proxy = start(bootstrap([tls_listener(certs.downstream(
        web, outer=REQUIRED, validation_context={
            "verify_certificate_hash": [ca.sha256], "trust_chain_verification": "ACCEPT_UNTRUSTED"}))]))
    assert not refused(proxy.port(), certs.client_context(ca, caller, tmp_path))
    assert bool(refused(proxy.port(), certs.client_context(ca))) == (kind == "xylem")


# keys

@pytest.mark.parametrize("enforce", [None, True, False])
def test_a_key_that_may_not_sign(start, closing, ca, tmp_path, enforce):
    """An RSA key for encryption alone, in TLS 1.2 with ECDHE: whatever enforce_rsa_key_usage says."""
    leaf = ca.issue("leaf", key="rsa2048", dns=["a.test"], signs=False)
    context = certs.server_context(leaf, tmp_path)
    context.maximum_version = context.maximum_version.TLSv1_2
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")])], [cluster(
        "one", closing(tls_origin(context)), transport_socket=certs.upstream(
            validation_context=ca.validation_context(),
            outer={} if enforce is None else {"enforce_rsa_key_usage": enforce}))]))
    assert proxy.get("/").status == 503


def test_a_client_whose_key_may_not_sign(start, ca, web, tmp_path):
    leaf = ca.issue("leaf", key="rsa2048", dns=["c.test"], signs=False)
    proxy = start(bootstrap([tls_listener(certs.downstream(
        web, validation_context=ca.validation_context(), outer=REQUIRED))]))
    context = certs.client_context(ca, leaf, tmp_path)
    assert refused(proxy.port(), context)
    context.maximum_version = context.maximum_version.TLSv1_2
    assert refused(proxy.port(), context)


# names

@difference("RFC 9525 6.3: a star stands for a whole label or is none.",
            envoy="believes a*.test to be any name whose first label begins with a",
            xylem="believes it to be none")
@pytest.mark.parametrize("how", ["matcher", "sni"])
def test_a_star_in_a_label(start, closing, ca, kind, tmp_path, how):
    origin = closing(tls_origin(certs.server_context(ca.issue("l", dns=["a*.test"]), tmp_path)))
    names = [{"san_type": "DNS", "matcher": {"exact": "ab.test"}}]
    socket = certs.upstream(validation_context=ca.validation_context(
        **{"match_typed_subject_alt_names": names} if how == "matcher" else {}),
        outer={} if how == "matcher" else {"sni": "ab.test", "auto_sni_san_validation": True})
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")])],
                            [cluster("one", origin, transport_socket=socket)]))
    assert proxy.get("/").status == (200 if kind == "envoy" else 503)


def test_the_name_asked_for_and_nobody_to_trust(start, web):
    """A name that anybody can write says nothing."""
    with pytest.raises(RuntimeError, match="'auto_sni_san_validation' was configured without "
                                           "configuring a trusted CA"):
        start(bootstrap([], [cluster("one", 1, transport_socket=certs.upstream(
            validation_context={"verify_certificate_spki": [web.spki]},
            outer={"sni": "a.test", "auto_sni_san_validation": True}))]))


UPN = "1.3.6.1.4.1.311.20.2.3"


@pytest.mark.parametrize("oid", [UPN, "msUPN"])
def test_an_other_name_by_number_or_name(start, ca, web, tmp_path, oid):
    proxy = start(bootstrap([tls_listener(certs.downstream(
        web, validation_context=ca.validation_context(match_typed_subject_alt_names=[
            {"san_type": "OTHER_NAME", "oid": oid, "matcher": {"exact": "me@c.test"}}])))]))
    for kind, name, good in [(UPN, "me@c.test", True), (UPN, "you@c.test", False),
                             ("1.2.3.4", "me@c.test", False)]:
        leaf = ca.issue("leaf", others=[(kind, name)])
        error = refused(proxy.port(), certs.client_context(ca, leaf, tmp_path))
        assert (error is None) == good, f"{kind} {name}: {error}"
