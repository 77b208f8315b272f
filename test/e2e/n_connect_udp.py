"""Upgrades to connect-udp: whom a client wants to reach stands in its path, and is the host."""
import pytest

from harness import bootstrap, cluster, difference, http_listener, route, vhost
from harness.config import add_header, file_log

BEGIN = "/.well-known/masque/udp"


@pytest.fixture
def proxy(start, origin, tmp_path):
    def to(name):
        return route("/", "one", request_headers_to_add=[add_header("x-host", name)])
    return start(bootstrap(
        [http_listener(vhosts=[vhost("dns", ["1.2.3.4:53"], to("dns")), vhost("all", ["*"], to("all"))],
                       upgrade_configs=[{"upgrade_type": "connect-udp"}],
                       access_log=[file_log(tmp_path / "log", "%RESPONSE_CODE_DETAILS%\n")]),
         http_listener("bare", routes=[to("bare")])],
        [cluster("one", origin)]))


def ask(proxy, path, protocol="connect-udp", method="GET", name="ingress"):
    with proxy.client(name) as client:
        client.write_request(method, path, headers=[
            ("Connection", "Upgrade"), ("Upgrade", protocol), ("Capsule-Protocol", "?1")])
        return client.response()


@pytest.mark.parametrize("path, host, name", [
    ("/1.2.3.4/53/", "1.2.3.4:53", "dns"), ("/1%2e2.3.4/5%33/", "1.2.3.4:53", "dns"),
    ("/1.2.3.4/54/", "1.2.3.4:54", "all"), ("/[::1]/53/", "[::1]:53", "all"),
    ("/fe80%3A%3A1/5/", "[fe80::1]:5", "all")])
def test_the_target_is_the_host(proxy, origin, path, host, name):
    for method in "GET", "POST":
        assert ask(proxy, BEGIN + path, method=method).status == 200  # the origin switches to nothing
        assert origin.last.target == BEGIN + path
        assert (origin.last.header("host"), origin.last.header("x-host")) == (host, name)
        assert origin.last.header("upgrade") == "connect-udp"


@pytest.mark.parametrize("path", [
    "/", BEGIN, BEGIN + "/", BEGIN + "/h/p", BEGIN + "//53/", BEGIN + "/h//", BEGIN + "/h/53//",
    BEGIN + "/h/53/x", BEGIN + "/h/53/?", BEGIN + "/%zz/53/", BEGIN + "/%/53/", "/a" + BEGIN + "/h/53/",
    BEGIN.upper() + "/h/53/"])
def test_a_path_that_names_nobody(proxy, origin, tmp_path, path):
    for protocol in "connect-udp", "Connect-UDP":
        for name in "ingress", "bare":
            answer = ask(proxy, path, protocol, name=name)
            assert (answer.status, answer.text) == (404, "The path is incorrect for CONNECT-UDP")
    assert ask(proxy, path, name="bare", protocol="other").status == 403
    proxy.stop()
    assert (tmp_path / "log").read_text() == "invalid_path\n" * 2
    assert not origin.requests


def test_who_may_not_is_refused(proxy):
    assert ask(proxy, BEGIN + "/h/53/", name="bare").status == 403


@difference("A host that is no host and port (RFC 3986 3.2) means one thing to routing and another to "
            "the origin.", envoy="forwards what the path spells", xylem="404")
@pytest.mark.parametrize("path", ["/a%20b/5/", "/h%2f/5/", "/a:b/1/"])
def test_a_target_that_is_no_host(proxy, kind, path):
    assert ask(proxy, BEGIN + path).status == {"envoy": 200, "xylem": 404}[kind]
