"""Clusters found by name."""
import pytest

from harness import Origin, bootstrap, cluster, difference, http_listener, route


def named(port, *names):
    return {"cluster_name": "one", "endpoints": [{"lb_endpoints": [
        {"endpoint": {"address": {"socket_address": {"address": name, "port_value": port}}}}
        for name in names]}]}


@pytest.mark.parametrize("kind_of_cluster", ["STRICT_DNS", "LOGICAL_DNS"])
def test_localhost_is_resolved(start, origin, kind_of_cluster):
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one")])],
        [cluster("one", type=kind_of_cluster, dns_lookup_family="V4_ONLY",
                 load_assignment=named(origin.port, "localhost"))]))
    assert proxy.get("/").text == "origin"
    assert proxy.stat("cluster.one.membership_healthy") == 1
    assert f"one::127.0.0.1:{origin.port}::hostname::localhost\n" in proxy.admin("/clusters").text


@pytest.mark.parametrize("kind_of_cluster", ["STRICT_DNS", "LOGICAL_DNS"])
def test_an_ip_address_needs_no_resolution(start, origin, kind_of_cluster):
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one")])],
        [cluster("one", type=kind_of_cluster, load_assignment=named(origin.port, "127.0.0.1"))]))
    assert proxy.get("/").text == "origin"


@pytest.mark.parametrize("kind_of_cluster", ["STRICT_DNS", "LOGICAL_DNS"])
def test_a_name_that_does_not_exist_gives_503(start, kind_of_cluster):
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one")])],
        [cluster("one", type=kind_of_cluster, dns_lookup_family="V4_ONLY",
                 load_assignment=named(80, "name.invalid"))]))
    answer = proxy.get("/")
    assert (answer.status, answer.text) == (503, "no healthy upstream")
    assert proxy.stat("cluster.one.update_attempt") >= 1


def test_strict_dns_mixes_names_and_addresses(start, closing):
    one = closing(Origin("one"))
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one")])],
        [cluster("one", type="STRICT_DNS", dns_lookup_family="V4_ONLY",
                 load_assignment=named(one.port, "localhost", "127.0.0.1"))]))
    for _ in range(4):
        assert proxy.get("/").text == "one"


def test_static_cluster_refuses_a_name(kind, tmp_path):
    import json

    from harness.proxy import run_once
    path = tmp_path / "b.yaml"
    path.write_text(json.dumps(bootstrap([], [cluster("one", load_assignment=named(
        80, "localhost"))])))
    code, out, err = run_once(kind, ["-c", str(path), "--mode", "validate"], tmp_path)
    assert code == 1
    assert "localhost" in out + err


@difference("An address is no name: the family is that of look-ups.",
            envoy="has no host of an IPv6 address with V4_ONLY", xylem="has it")
def test_an_address_of_another_family(start, origin, kind):
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one")])],
        [cluster("one", type="STRICT_DNS", dns_lookup_family="V4_ONLY",
                 load_assignment=named(origin.port, "::1"))]))
    assert proxy.stat("cluster.one.membership_total") == (0 if kind == "envoy" else 1)
