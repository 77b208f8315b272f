"""Choosing a virtual host."""
import pytest

from harness import bootstrap, direct, http_listener, vhost


@pytest.fixture
def proxy(start):
    return start(bootstrap([http_listener(vhosts=[
        vhost("exact", ["www.a.test", "other.test:8080"], direct(200, "exact")),
        vhost("suffix", ["*.a.test"], direct(200, "suffix")),
        vhost("longer", ["*.deep.a.test"], direct(200, "longer suffix")),
        vhost("prefix", ["www.*"], direct(200, "prefix")),
        vhost("longprefix", ["www.b.*"], direct(200, "longer prefix")),
        vhost("all", ["*"], direct(200, "any")),
    ])]))


CASES = [
    ("www.a.test", "exact"),
    ("WWW.A.Test", "exact"),
    ("other.test:8080", "exact"),
    ("other.test", "any"),
    ("other.test:81", "any"),
    ("b.a.test", "suffix"),
    ("B.A.TEST", "suffix"),
    ("c.b.a.test", "suffix"),
    (".a.test", "any"),
    ("a.test", "any"),
    ("x.deep.a.test", "longer suffix"),
    ("deep.a.test", "suffix"),
    ("www.x.test", "prefix"),
    ("www.b.test", "longer prefix"),
    ("www.b.a.test", "suffix"),
    ("www.a.test:80", "prefix"),
    ("none.test", "any"),
    ("b.a.test:80", "any"),
]


@pytest.mark.parametrize("host, expected", CASES)
def test_best_domain_wins(proxy, host, expected):
    assert proxy.get("/", host=host).text == expected


def test_without_a_match_there_is_no_route(start):
    proxy = start(bootstrap([http_listener(vhosts=[vhost("a", ["*.a.test"], direct(200))])]))
    assert proxy.get("/", host="a.test").status == 404
    assert proxy.get("/", host="b.a.test").status == 200


def test_ignore_port_in_host_matching(start):
    proxy = start(bootstrap([http_listener(
        vhosts=[vhost("a", ["a.test"], direct(200, "a"))],
        route_config={"ignore_port_in_host_matching": True})]))
    for host in ["a.test", "a.test:80", "a.test:12345", "a.test:"]:
        assert proxy.get("/", host=host).text == "a"


def test_virtual_hosts_may_share_a_name(start):
    proxy = start(bootstrap([http_listener(vhosts=[
        vhost("same", ["one.test"], direct(200, "one")),
        vhost("same", ["two.test"], direct(200, "two"))])]))
    assert proxy.get("/", host="one.test").text == "one"
    assert proxy.get("/", host="two.test").text == "two"


def test_strip_any_host_port(start, origin):
    from harness import cluster, route
    proxy = start(bootstrap([http_listener(
        vhosts=[vhost("a", ["a.test"], route("/", "one"))], strip_any_host_port=True)],
        [cluster("one", origin)]))
    assert proxy.get("/", host="a.test:99").text == "origin"
    assert origin.last.header("host") == "a.test"


def test_strip_any_host_port_wants_a_number(start):
    proxy = start(bootstrap([http_listener(vhosts=[
        vhost("a", ["a.test"], direct(200, "a")), vhost("any", ["*"], direct(200, "any"))],
        strip_any_host_port=True)]))
    assert [proxy.get("/", host=f"a.test:{port}").text for port in ["", "99999"]] == ["any", "a"]


def test_absolute_form_chooses_by_its_authority(proxy):
    with proxy.client() as client:
        client.send("GET http://www.a.test/ HTTP/1.1\r\nHost: none.test\r\n\r\n")
        assert client.response().text == "exact"


def test_require_tls_all_redirects_to_https(start):
    proxy = start(bootstrap([http_listener(
        vhosts=[vhost("a", ["*"], direct(200), require_tls="ALL")])]))
    answer = proxy.get("/p?q=1", host="a.test")
    assert (answer.status, answer.header("location")) == (301, "https://a.test/p?q=1")
