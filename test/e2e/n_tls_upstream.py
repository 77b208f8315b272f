"""TLS to origins: what is sent, who is believed, what a failure looks like."""
import socket
import ssl
import struct
from pathlib import Path

import pytest
import yaml

from harness import Origin, bootstrap, cluster, endpoint, http_listener, route, wait_for
from harness import certs
from harness.config import file_log
from harness.dns import DnsServer, cares
from harness.tls import TlsServer
from harness.tunnels import RawOrigin

INTRODUCTION = Path(__file__).parent / "introduction.yaml"


class Names:
    """What clients asked an origin for."""

    def __init__(self, context):
        self.seen = []
        context.sni_callback = lambda _, name, __: self.seen.append(name)


@pytest.fixture
def secure(closing, web, tmp_path):
    """secure(**server_context) runs an origin that speaks TLS and notes the names asked for."""
    def run(certificate=web, name="origin", **fields):
        context = certs.server_context(certificate, tmp_path, **fields)
        names = Names(context)
        made = closing(Origin(name, ssl=context))
        made.names = names.seen
        return made
    return run


AUTO_NAMES = {"upstream_http_protocol_options": {"auto_sni": True, "auto_san_validation": True}}


def through(start, origin, socket, tmp_path=None, line="", listener=None, **fields):
    logs = [file_log(tmp_path / "log", line + "\n")] if tmp_path else []
    return start(bootstrap(
        [http_listener(routes=[route("/", "one")], access_log=logs, **(listener or {}))],
        [cluster("one", origin, transport_socket=socket, **fields)]))


def test_https_origin(start, secure, ca):
    origin = secure(alpn=["http/1.1"])
    proxy = through(start, origin, certs.upstream(validation_context=ca.validation_context(),
                                                  outer={"sni": "a.test"}))
    for _ in range(3):
        assert proxy.get("/").status == 200
    assert origin.names == ["a.test"]
    assert proxy.stat("cluster.one.ssl.handshake") == 1
    assert proxy.stat("cluster.one.ssl.versions.TLSv1.2") == 1
    assert proxy.stat("cluster.one.upstream_cx_total") == 1


def test_reset_in_the_handshake(start, closing, tmp_path):
    origin = closing(RawOrigin())
    proxy = through(start, origin, certs.upstream(), tmp_path,
                    "%UPSTREAM_TRANSPORT_FAILURE_REASON% %RESPONSE_FLAGS%")
    with proxy.client() as client:
        client.write_request()
        peer = origin.accept().sock
        assert peer.recv(5000)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        assert client.response().status == 503
    assert proxy.stat("cluster.one.upstream_cx_connect_fail") == 1
    proxy.stop()
    assert (tmp_path / "log").read_text() == (
        "TLS_error:|33554536:system_library:OPENSSL_internal:Connection_reset_by_peer:TLS_error_end "
        "UF\n")


def test_no_name(start, secure):
    origin = secure()
    assert through(start, origin, certs.upstream()).get("/").status == 200
    assert origin.names == [None]


FAILURE = "%RESPONSE_FLAGS%|%UPSTREAM_TRANSPORT_FAILURE_REASON%"
VERIFY = ("TLS_error:|268435581:SSL_routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:"
          "verify_cert_failed:_")


@pytest.mark.parametrize("what, reason, stat", [
    ("stranger", "X509_verify_cert:_certificate_verification_error_at_depth_0:"
                 "_unable_to_get_local_issuer_certificate", "fail_verify_error"),
    ("name", "SAN_matcher,_certificate_SANs_are_[a.test,_spiffe://d/web]", "fail_verify_san"),
    ("hash", "cert_hash_and_spki", "fail_verify_cert_hash")])
def test_origin_is_not_believed(start, secure, ca, tmp_path, what, reason, stat):
    rules = {"stranger": certs.Authority("other").validation_context(),
             "name": ca.validation_context(match_typed_subject_alt_names=[
                 {"san_type": "DNS", "matcher": {"exact": "z.test"}}]),
             "hash": ca.validation_context(verify_certificate_hash=["00" * 32])}[what]
    origin = secure()
    proxy = through(start, origin, certs.upstream(validation_context=rules), tmp_path, FAILURE)
    answer = proxy.get("/")
    assert answer.status == 503
    assert answer.text.endswith("reset reason: remote connection failure")
    assert origin.requests == []
    wait_for(lambda: proxy.stat("cluster.one.ssl." + stat))
    proxy.stop()
    assert (tmp_path / "log").read_text() == f"UF|{VERIFY}{reason}:TLS_error_end\n"


def test_client_certificate(start, secure, ca, tmp_path):
    origin = secure(ca=ca)
    own = ca.issue("proxy", dns=["p.test"])
    assert through(start, origin, certs.upstream()).get("/").status == 503
    line = "%UPSTREAM_TLS_VERSION%|%UPSTREAM_TLS_CIPHER%|%UPSTREAM_PEER_SUBJECT%|" \
           "%UPSTREAM_PEER_ISSUER%|%UPSTREAM_PEER_DNS_SAN%|%UPSTREAM_PEER_URI_SAN%"
    proxy = through(start, origin, certs.upstream(own), tmp_path, line)
    assert proxy.get("/").status == 200
    proxy.stop()
    assert (tmp_path / "log").read_text() == (
        "TLSv1.2|ECDHE-ECDSA-AES256-GCM-SHA384|CN=web,O=xylem tests|CN=ca,O=xylem tests|a.test|"
        "spiffe://d/web\n")


def test_name_of_the_request(start, secure, ca):
    """auto_sni and auto_san_validation: a pool for each name."""
    origin = secure()
    proxy = through(start, origin, certs.upstream(validation_context=ca.validation_context()),
                    http=AUTO_NAMES)
    assert proxy.get("/", host="a.test").status == 200
    assert proxy.get("/", host="a.test:80").status == 200
    assert proxy.get("/", host="b.test").status == 503
    assert proxy.get("/", host="a.test").status == 200
    assert origin.names == ["a.test", "b.test"]


@pytest.mark.parametrize("host, sent, status", [
    ("[::1]", None, 200), ("[::1]:443", None, 200), ("[::2]", None, 503),
    ("127.0.0.1:80", None, 200), ("[127.0.0.1]", None, 200), ("127.0.0.2", None, 503),
    ("a.test:65535", "a.test", 200), ("a.test:65536", "a.test:65536", 503),
    ("a.test:", "a.test:", 503), ("a.test:08", "a.test", 200), ("A.TEST", "A.TEST", 200),
    ("[a.test]", "[a.test]", 503)])
def test_names_that_hosts_mean(start, secure, ca, host, sent, status):
    """An address is sent by nobody, and found without its brackets."""
    origin = secure(ca.issue("all", dns=["a.test"], ips=["::1", "127.0.0.1"]))
    socket = certs.upstream(validation_context=ca.validation_context())
    proxy = start(bootstrap(
        [http_listener(routes=[route("/rewritten", "one", host_rewrite_literal=host),
                               route("/", "one")])],
        [cluster("one", origin, transport_socket=socket, http=AUTO_NAMES)]))
    assert proxy.get("/", host=host).status == status
    assert proxy.get("/rewritten", host="x.test").status == status
    assert set(origin.names) == {sent}


def test_names_of_another_header(start, secure, ca):
    """The first line of it; an empty one says nothing."""
    origin = secure(ca.issue("all", dns=["a.test", "b.test"]))
    proxy = through(start, origin, certs.upstream(validation_context=ca.validation_context()),
                    http={"upstream_http_protocol_options": {
                        "auto_sni": True, "auto_san_validation": True,
                        "override_auto_sni_header": "X-Name"}})
    for lines in ["b.test"], ["b.test", "c.test"], [""], ["", "c.test"], []:
        answer = proxy.get("/", host="a.test", headers=[("x-name", one) for one in lines])
        assert answer.status == 200
        origin.close_connections()
        proxy.wait_stat("cluster.one.upstream_cx_active", 0)
    assert origin.names == ["b.test", "b.test", "a.test", "a.test", "a.test"]


EVIL = certs.Authority("evil").issue("evil", dns=["a.test"])


@pytest.mark.parametrize("rules, status", [
    (None, 503), ({}, 503), ({"verify_certificate_hash": ["00" * 32]}, 503),
    ({"verify_certificate_hash": [EVIL.sha256]}, 200),
    ({"trust_chain_verification": "ACCEPT_UNTRUSTED"}, 200)],
    ids=["no context", "empty context", "another's pin", "pin", "untrusted"])
def test_a_name_and_nobody_to_trust(start, secure, rules, status):
    """A name that anybody can write into a certificate of their own says nothing."""
    origin = secure(EVIL)
    socket = certs.upstream() if rules is None else certs.upstream(validation_context=rules)
    proxy = through(start, origin, socket, http=AUTO_NAMES)
    assert proxy.get("/", host="a.test").status == status
    assert len(origin.requests) == (status == 200)


@pytest.mark.parametrize("host", ["a.test", "b.test"])
def test_what_is_said_where_there_is_nobody_to_trust(start, secure, tmp_path, host):
    proxy = through(start, secure(EVIL), certs.upstream(), tmp_path, FAILURE, http=AUTO_NAMES)
    assert proxy.get("/", host=host).status == 503
    for name in ("error", "san", "cert_hash"):
        assert proxy.stat("cluster.one.ssl.fail_verify_" + name) == 0
    proxy.stop()
    assert (tmp_path / "log").read_text() == (
        f"UF|{VERIFY.removesuffix('verify_cert_failed:_')}TLS_error_end\n")


def test_name_of_the_endpoint(start, secure, ca):
    first, second = secure(name="first"), secure(name="second")
    socket = certs.upstream(outer={"auto_host_sni": True})
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one")])],
        [cluster("one", endpoint(first, hostname="x.test"), endpoint(second, hostname="y.test"),
                 transport_socket=socket)]))
    for _ in range(4):
        assert proxy.get("/").status == 200
    assert set(first.names) == {"x.test"} and set(second.names) == {"y.test"}


@pytest.mark.parametrize("names, host, sent", [
    ({"auto_sni": True}, "127.0.0.1", "ep.test"),
    ({"auto_sni": True}, "a.test", "a.test"),
    ({"auto_sni": True, "auto_san_validation": True}, "127.0.0.1", "ep.test"),
    ({"auto_sni": True, "auto_san_validation": True}, "a.test", "a.test"),
    ({"auto_san_validation": True}, "a.test", "ep.test"),
    ({"auto_san_validation": True}, "b.test", "ep.test")])
def test_name_of_the_endpoint_and_of_the_request(start, secure, ca, names, host, sent):
    """What is not sent of the request is looked for all the same."""
    origin = secure(ca.issue("both", dns=["a.test", "ep.test"], ips=["127.0.0.1"]))
    socket = certs.upstream(outer={"auto_host_sni": True},
                            validation_context=ca.validation_context())
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")])], [cluster(
        "one", endpoint(origin, hostname="ep.test"), transport_socket=socket,
        http={"upstream_http_protocol_options": names})]))
    assert proxy.get("/", host=host).status == (503 if host == "b.test" else 200)
    assert origin.names == [sent]


def test_sessions_are_resumed(start, secure, ca):
    origin = secure()
    proxy = through(start, origin, certs.upstream(outer={"sni": "a.test"}))
    for _ in range(3):
        assert proxy.get("/").status == 200
        origin.close_connections()
        wait_for(lambda: proxy.stat("cluster.one.upstream_cx_active") == 0)
    assert proxy.stat("cluster.one.ssl.session_reused") == 2


def test_plain_origin(start, closing, tmp_path):
    async def talk(wire):
        await wire.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    proxy = through(start, closing(Origin(handler=talk)), certs.upstream(), tmp_path, FAILURE)
    assert proxy.get("/").status == 503
    assert proxy.stat("cluster.one.ssl.connection_error") == 1
    proxy.stop()
    assert (tmp_path / "log").read_text() == (
        "UF|TLS_error:|268435703:SSL_routines:OPENSSL_internal:WRONG_VERSION_NUMBER:"
        "TLS_error_end\n")


def test_large_bodies(start, secure):
    origin = secure()
    proxy = through(start, origin, certs.upstream())
    body = bytes(range(256)) * 8192
    proxy.request("POST", "/", body=body)
    assert origin.last.body == body


def end_with_the_data(context, bodies):
    """An origin whose answer lasts until its end, which TLS tells in the same segment as the last
    bytes; TCP stays open until the peer has closed."""
    def serve(sock):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)

        def until(what):
            while True:
                try:
                    return what()
                except ssl.SSLWantReadError:
                    sock.sendall(outgoing.read())
                    incoming.write(sock.recv(65536))
        until(tls.do_handshake)
        until(lambda: tls.read(65536))
        tls.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + bodies)
        try:
            tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        sock.sendall(outgoing.read())
        while sock.recv(65536):
            pass
    return TlsServer(None, serve)


@pytest.mark.parametrize("size", [0, 1, 100000])
def test_end_that_tls_tells(start, closing, web, tmp_path, size):
    origin = closing(end_with_the_data(certs.server_context(web, tmp_path), b"x" * size))
    proxy = through(start, origin, certs.upstream())
    answer = proxy.get("/")
    assert answer.status == 200 and answer.body == b"x" * size
    proxy.wait_stat("cluster.one.upstream_cx_active", 0)


@pytest.mark.only("xylem", "Envoy 1.40 refuses this file: its router has no typed_config")
def test_introduction_runs_unchanged(start_both, closing, ca, tmp_path):
    """The configuration that every newcomer to Envoy copies: only where names lead is ours."""
    address = "127.77.0.1"
    context = certs.server_context(ca.issue("google", dns=["www.google.com"]), tmp_path)
    names = Names(context)
    try:
        origin = closing(Origin(address=address, port=443, ssl=context))
    except PermissionError:
        pytest.skip("port 443 is not ours")
    dns = closing(DnsServer())
    dns.names["google.com"] = [address]
    ours = {"admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
            "typed_dns_resolver_config": cares(dns)}
    proxy = start_both(INTRODUCTION.read_text(), "xylem",
                       args=["--config-yaml", yaml.safe_dump(ours)])
    assert proxy.get("/", name="listener_0").status == 200
    assert origin.last.header("host") == "www.google.com"
    assert names.seen == ["www.google.com"]
