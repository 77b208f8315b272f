"""Clusters of names with a DNS server that the scenario speaks for."""
import contextlib
import fcntl
import json
import socket
import struct

import pytest

from harness import (Origin, Reply, bootstrap, cluster, difference, http_listener, route,
                     wait_for)
from harness.dns import (AAAA, NXDOMAIN, SERVFAIL, DnsServer, cares, message, question,
                         record)
from harness.origin import Hold
from harness.proxy import run_once
from harness.stub import resource
from harness.xds import ads_bootstrap, listener


@pytest.fixture
def dns(closing):
    """dns(name=value, ...) runs a server that knows NAME.test."""
    return lambda **names: closing(DnsServer(**names))


def assignment(port, *names):
    return {"cluster_name": "one", "endpoints": [{"lb_endpoints": [
        {"endpoint": {"address": {"socket_address": {"address": f"{name}.test",
                                                     "port_value": port}}}}
        for name in names]}]}


def named(server, port, *names, kind="STRICT_DNS", resolver=None, **fields):
    """A cluster of names that asks the server."""
    return cluster("one", load_assignment=assignment(port, *names), type=kind, **{
        "dns_lookup_family": "V4_ONLY", "dns_refresh_rate": "0.05s",
        "typed_dns_resolver_config": cares(server, **(resolver or {})), **fields})


def listening(*clusters, **fields):
    return bootstrap([http_listener(routes=[route("/", "one")])], list(clusters), **fields)


def hosts(proxy):
    """The addresses of the cluster, in order."""
    status = proxy.json("/clusters?format=json")["cluster_statuses"]
    mine = next(s for s in status if s["name"] == "one")
    return [h["address"]["socket_address"]["address"] for h in mine.get("host_statuses", [])]


KINDS = ["STRICT_DNS", "LOGICAL_DNS"]


@pytest.mark.parametrize("kind_of_cluster", KINDS)
def test_the_named_server_is_asked(start, dns, origin, kind_of_cluster):
    server = dns(a=["127.0.0.1"])
    proxy = start(listening(named(server, origin.port, "a", kind=kind_of_cluster)))
    assert proxy.get("/").text == "origin"
    assert server.count("a") >= 1
    assert server.count("a", AAAA) == 0


def test_the_server_of_the_bootstrap_serves_clusters_that_name_none(start, dns, origin):
    server, own = dns(a=["127.0.0.1"]), dns(a=["127.0.0.2"])
    made = named(server, origin.port, "a")
    del made["typed_dns_resolver_config"]
    other = dict(named(own, origin.port, "a"), name="two")
    proxy = start(listening(made, other, typed_dns_resolver_config=cares(server)))
    assert proxy.get("/").text == "origin"
    assert hosts(proxy) == ["127.0.0.1"]
    assert server.count("a") >= 1 and own.count("a") >= 1


OLD = {
    "dns_resolution_config": lambda where: {"dns_resolution_config": {"resolvers": [where]}},
    "dns_resolvers": lambda where: {"dns_resolvers": [where]},
}


@pytest.mark.parametrize("field", OLD)
def test_the_older_fields_name_a_server_too(start, dns, origin, field):
    server = dns(a=["127.0.0.1"])
    where = {"socket_address": {"address": server.address, "port_value": server.port}}
    made = named(server, origin.port, "a")
    del made["typed_dns_resolver_config"]
    assert start(listening({**made, **OLD[field](where)})).get("/").text == "origin"
    assert server.count("a") >= 1


def test_names_may_be_asked_for_over_tcp(start, dns, origin):
    server = dns(a=["127.0.0.1"])
    proxy = start(listening(named(server, origin.port, "a", resolver={
        "dns_resolver_options": {"use_tcp_for_dns_lookups": True,
                                 "no_default_search_domain": True}})))
    assert proxy.get("/").text == "origin"
    assert server.tcp_asked >= 1


def test_servers_take_turns_where_asked(start, dns, origin):
    """One after the other with rotate_nameservers; the first alone without."""
    first, second, one, two = (dns(a=["127.0.0.1"]) for _ in range(4))

    def both(a, b):
        return {"resolvers": [cares(s)["typed_config"]["resolvers"][0] for s in (a, b)]}
    proxy = start(listening(
        named(first, origin.port, "a", resolver=dict(both(first, second),
                                                     rotate_nameservers=True)),
        {**named(one, origin.port, "a", resolver=both(one, two)), "name": "two"}))
    assert proxy.get("/").text == "origin"
    wait_for(lambda: first.count("a") >= 2 and second.count("a") >= 2, what="both to be asked")
    wait_for(lambda: one.count("a") >= 2, what="the first to be asked")
    assert two.count("a") == 0


def has_ipv4_outside():
    """Has an interface other than the loopback an IPv4 address?"""
    siocgifaddr = 0x8915
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _, name in socket.if_nameindex():
            if name == "lo":
                continue
            with contextlib.suppress(OSError):
                fcntl.ioctl(sock, siocgifaddr, struct.pack("256s", name.encode()))
                return True
    return False


def test_families_that_no_interface_has_are_left_out(start, dns, origin):
    server = dns(a=["127.0.0.1"])
    proxy = start(listening(named(server, origin.port, "a",
                                  resolver={"filter_unroutable_families": True})))
    assert hosts(proxy) == (["127.0.0.1"] if has_ipv4_outside() else [])


def test_edns0_says_how_much_fits(start, dns, origin):
    seen = []

    def answer(query, kind):
        seen.append(query[12 + len(question(query)[2]):])
        return message(query, record("127.0.0.1", 60))
    server = dns(a=answer)
    proxy = start(listening(named(server, origin.port, "a", resolver={
        "edns0_max_payload_size": 1400, "dns_resolver_options": {}})))
    assert proxy.get("/").text == "origin"
    assert seen[0][:5] == b"\0" + struct.pack("!HH", 41, 1400)  # the root's OPT record


def test_tries_of_a_silent_server_are_counted(start, dns, origin):
    server = dns(a=None)
    proxy = start(listening(named(server, origin.port, "a", dns_refresh_rate="3600s", resolver={
        "query_timeout_seconds": 1, "query_tries": 2})), ready=False)
    proxy.wait_stat("cluster.one.update_failure", 1)
    assert server.count("a") == 2


@pytest.mark.parametrize("kind_of_cluster", KINDS)
def test_a_changed_answer_moves_the_cluster(start, dns, closing, kind_of_cluster):
    one = closing(Origin("one"))
    two = closing(Origin("two", address="127.0.0.2", port=one.port))
    server = dns(a=["127.0.0.1"])
    proxy = start(listening(named(server, one.port, "a", kind=kind_of_cluster)))
    assert proxy.get("/").text == "one"
    server["a"] = ["127.0.0.2"]
    wait_for(lambda: proxy.get("/").text == "two", what="the new address")
    assert two.requests


def test_an_answer_lasts_for_its_ttl_where_that_counts(start, dns, origin):
    server = dns(a=["127.0.0.1"], b=["127.0.0.1"])
    proxy = start(listening(
        named(server, origin.port, "a", respect_dns_ttl=True),
        {**named(server, origin.port, "b"), "name": "two"}))
    wait_for(lambda: server.count("b") >= 5, what="names that are asked for at their rate")
    assert server.count("a") == 1
    server.ttl = 1
    assert proxy.get("/").text == "origin"


def test_a_short_ttl_is_asked_for_sooner_than_the_rate(start, dns, closing):
    one = closing(Origin("one"))
    closing(Origin("two", address="127.0.0.2", port=one.port))
    server = dns(a=["127.0.0.1"])
    server.ttl = 1
    proxy = start(listening(named(server, one.port, "a", respect_dns_ttl=True,
                                  dns_refresh_rate="3600s")))
    assert proxy.get("/").text == "one"
    server["a"] = ["127.0.0.2"]
    wait_for(lambda: proxy.get("/").text == "two", what="the new address")


@pytest.mark.parametrize("kind_of_cluster", KINDS)
@pytest.mark.parametrize("first", [NXDOMAIN, SERVFAIL])
def test_a_name_may_come_into_being(start, dns, origin, kind_of_cluster, first):
    server = dns(a=first)
    proxy = start(listening(named(server, origin.port, "a", kind=kind_of_cluster, resolver={
        "query_tries": 1})))
    assert proxy.get("/").status == 503
    server["a"] = ["127.0.0.1"]
    wait_for(lambda: proxy.get("/").text == "origin", what="the name")


@pytest.mark.parametrize("kind_of_cluster", KINDS)
def test_a_failure_keeps_what_was_known(start, dns, origin, kind_of_cluster):
    server = dns(a=["127.0.0.1"])
    proxy = start(listening(named(server, origin.port, "a", kind=kind_of_cluster, resolver={
        "query_tries": 1})))
    assert proxy.get("/").text == "origin"
    server["a"] = SERVFAIL
    proxy.wait_stat("cluster.one.update_failure", lambda n: n >= 3)
    assert proxy.get("/").text == "origin"


def test_a_failure_has_a_rate_of_its_own(start, dns, origin):
    server = dns(a=SERVFAIL)
    proxy = start(listening(named(
        server, origin.port, "a", dns_refresh_rate="3600s",
        dns_failure_refresh_rate={"base_interval": "0.02s", "max_interval": "0.05s"},
        resolver={"query_tries": 1})))
    proxy.wait_stat("cluster.one.update_failure", lambda n: n >= 5)
    server["a"] = ["127.0.0.1"]
    wait_for(lambda: proxy.get("/").text == "origin", what="the good answer")


FAMILIES = {
    "V4_ONLY": ["127.0.0.1", "127.0.0.2"],
    "V6_ONLY": ["::1"],
    "V4_PREFERRED": ["127.0.0.1", "127.0.0.2"],
    "AUTO": ["::1"],
    "ALL": ["127.0.0.1", "127.0.0.2", "::1"],
}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_family_chooses_the_addresses(start, dns, origin, family):
    server = dns(a=["127.0.0.1", "127.0.0.2", "::1"])
    proxy = start(listening(named(server, origin.port, "a", dns_lookup_family=family)))
    assert sorted(hosts(proxy)) == FAMILIES[family]
    assert proxy.stat("cluster.one.membership_total") == len(FAMILIES[family])


ONLY = {
    "V4_PREFERRED, IPv6 alone": ("V4_PREFERRED", ["::1"]),
    "AUTO, IPv4 alone": ("AUTO", ["127.0.0.1"]),
    "ALL, IPv4 alone": ("ALL", ["127.0.0.1"]),
    "V4_ONLY, IPv6 alone": ("V4_ONLY", []),
}


@pytest.mark.parametrize("case", ONLY)
def test_the_other_family_stands_in(start, dns, origin, case):
    family, expected = ONLY[case]
    server = dns(a=["::1"] if "IPv6" in case else ["127.0.0.1"])
    proxy = start(listening(named(server, origin.port, "a", dns_lookup_family=family)))
    assert hosts(proxy) == expected


def test_an_address_that_stands_twice_counts_once(start, dns, origin):
    server = dns(a=["127.0.0.1", "127.0.0.1"])
    proxy = start(listening(named(server, origin.port, "a")))
    assert hosts(proxy) == ["127.0.0.1"]


@difference("Two names of one address are one host: its requests, its health and its limits are "
            "the address's, and a second try shall go elsewhere.",
            envoy="counts the address once for each name", xylem="counts it once")
def test_names_of_one_address_are_one_host(start, dns, origin, kind):
    server = dns(a=["127.0.0.1"], b=["127.0.0.1"])
    proxy = start(listening(named(server, origin.port, "a", "b")))
    assert proxy.get("/").text == "origin"
    expected = 1 if kind == "xylem" else 2
    wait_for(lambda: proxy.stat("cluster.one.membership_total") == expected, what="both names")


def test_a_slow_name_holds_nobody_up(start, dns, origin):
    """STRICT_DNS serves from the first name that has addresses."""
    server = dns(fast=["127.0.0.1"], slow=None)
    proxy = start(listening(named(server, origin.port, "slow", "fast")), ready=False)
    wait_for(lambda: proxy.get("/").text == "origin", what="the fast name")
    assert hosts(proxy) == ["127.0.0.1"]
    server["slow"] = ["127.0.0.2"]
    wait_for(lambda: sorted(hosts(proxy)) == ["127.0.0.1", "127.0.0.2"], 20, "the slow name")


def test_a_name_that_goes_takes_its_addresses_along(start, dns, origin):
    server = dns(a=["127.0.0.1"], b=["127.0.0.2"])
    proxy = start(listening(named(server, origin.port, "a", "b")))
    wait_for(lambda: sorted(hosts(proxy)) == ["127.0.0.1", "127.0.0.2"], what="both names")
    server["b"] = NXDOMAIN
    wait_for(lambda: hosts(proxy) == ["127.0.0.1"], what="the name to go")
    for _ in range(4):
        assert proxy.get("/").text == "origin"


def test_logical_dns_uses_the_first_address(start, dns, closing):
    one = closing(Origin("one"))
    two = closing(Origin("two", address="127.0.0.2", port=one.port))
    server = dns(a=["127.0.0.1", "127.0.0.2"])
    proxy = start(listening(named(server, one.port, "a", kind="LOGICAL_DNS")))
    for _ in range(4):
        assert proxy.get("/").text == "one"
    assert not two.requests


def test_logical_dns_keeps_the_connections_that_it_has(start, dns, closing):
    """A changed answer is for new connections; a request that is under way goes on."""
    one = closing(Origin("one"))
    closing(Origin("two", address="127.0.0.2", port=one.port))
    server = dns(a=["127.0.0.1"])
    hold = Hold()
    one.on["/held"] = Reply(hold=hold)
    proxy = start(listening(named(server, one.port, "a", kind="LOGICAL_DNS")))
    with proxy.client() as client:
        client.write_request("GET", "/held")
        wait_for(lambda: hold.reached, what="the request at the origin")
        server["a"] = ["127.0.0.2"]
        wait_for(lambda: proxy.get("/").text == "two", what="the new address")
        hold.release()
        assert client.response().text == "one"


COUNTS = {
    "an address": (["127.0.0.1"], {"resolve_total": 1}),
    "no such name": (NXDOMAIN, {"resolve_total": 1, "not_found": 1}),
    "no address": ([], {"resolve_total": 1, "not_found": 1}),
    "a failure": (SERVFAIL, {"resolve_total": 1, "get_addr_failure": 1, "reinits": 1}),
    "silence": (None, {"resolve_total": 1, "timeouts": 2}),
}


@pytest.mark.parametrize("case", COUNTS)
def test_answers_are_counted(start, dns, origin, case):
    value, expected = COUNTS[case]
    proxy = start(listening(named(
        dns(a=value), origin.port, "a", dns_refresh_rate="3600s",
        resolver={"query_timeout_seconds": 1, "query_tries": 2})))
    names = ["resolve_total", "pending_resolutions", "not_found", "get_addr_failure", "timeouts",
             "reinits"]
    assert proxy.stats().matching(r"^dns\.cares\.") == {
        f"dns.cares.{name}": expected.get(name, 0) for name in names}


def extended(server, port, *names, one=False, other=None, **fields):
    """A cluster of names in the words of envoy.clusters.dns."""
    made = cluster("one", load_assignment=assignment(port, *names), cluster_type={
        "name": "envoy.clusters.dns", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster",
            "dns_lookup_family": "V4_ONLY", "dns_refresh_rate": "0.05s",
            "typed_dns_resolver_config": cares(server), **fields,
            **({"all_addresses_in_single_endpoint": True} if one else {})}}, **(other or {}))
    del made["type"]
    return made


@pytest.mark.parametrize("one", [False, True])
def test_the_extension_serves_as_the_types_do(start, dns, closing, one):
    first = closing(Origin("one"))
    closing(Origin("two", address="127.0.0.2", port=first.port))
    server = dns(a=["127.0.0.1", "127.0.0.3"])
    proxy = start(listening(extended(server, first.port, "a", one=one)))
    assert hosts(proxy) == (["127.0.0.1"] if one else ["127.0.0.1", "127.0.0.3"])
    server["a"] = ["127.0.0.2"]
    wait_for(lambda: hosts(proxy) == ["127.0.0.2"], what="the new address")
    assert proxy.get("/").text == "two"


def test_the_extension_has_words_of_its_own(start, dns, origin):
    """The fields of Cluster that it replaces do not count beside it."""
    server = dns(a=["127.0.0.1", "::1"])
    made = extended(server, origin.port, "a", other={
        "dns_lookup_family": "V6_ONLY", "dns_refresh_rate": "3600s"})
    proxy = start(listening(made))
    assert hosts(proxy) == ["127.0.0.1"]
    wait_for(lambda: server.count("a") >= 3, what="the rate of the extension")


@pytest.mark.parametrize("family", FAMILIES)
def test_the_family_of_the_extension(start, dns, origin, family):
    server = dns(a=["127.0.0.1", "127.0.0.2", "::1"])
    made = extended(server, origin.port, "a", dns_lookup_family=family)
    assert sorted(hosts(start(listening(made)))) == FAMILIES[family]


@pytest.mark.parametrize("answer", [NXDOMAIN, []], ids=["no such name", "no address"])
@pytest.mark.parametrize("extension", [False, True])
def test_one_logical_host_outlives_an_answer_without_address(start, dns, origin, answer, extension):
    """It is a failure, at the rate of failures; STRICT_DNS loses its host."""
    server = dns(a=["127.0.0.1"], b=["127.0.0.1"])
    rates = {"dns_refresh_rate": "0.05s", "dns_failure_refresh_rate": {"base_interval": "3600s"}}
    one = extended(server, origin.port, "a", one=True, **rates) if extension \
        else named(server, origin.port, "a", kind="LOGICAL_DNS", **rates)
    proxy = start(listening(one, {**named(server, origin.port, "b"), "name": "two"}))
    assert proxy.get("/").text == "origin"
    server["a"] = server["b"] = answer
    proxy.wait_stat("cluster.two.membership_total", 0)
    proxy.wait_stat("cluster.one.update_failure", 1)
    asked = server.count("a")
    assert proxy.get("/").text == "origin"
    assert proxy.stat("cluster.one.membership_total") == 1
    more = server.count("b") + 5
    wait_for(lambda: server.count("b") >= more, what="the other name")
    assert server.count("a") == asked


@pytest.mark.parametrize("kind_of_cluster, counted", [("LOGICAL_DNS", "update_failure"),
                                                      ("STRICT_DNS", "update_success")])
def test_an_empty_first_answer_is_counted(start, dns, origin, kind_of_cluster, counted):
    server = dns(a=NXDOMAIN)
    proxy = start(listening(named(server, origin.port, "a", kind=kind_of_cluster,
                                  dns_refresh_rate="3600s")))
    assert proxy.get("/").status == 503
    assert proxy.stats().matching(r"^cluster\.one\.update_(success|failure)$") == {
        "cluster.one.update_success": 0, "cluster.one.update_failure": 0,
        f"cluster.one.{counted}": 1}


@pytest.mark.parametrize("extension", [False, True])
def test_jitter_is_added_to_the_rate(start, dns, origin, extension):
    server = dns(a=["127.0.0.1"], b=["127.0.0.1"])
    plain = {**named(server, origin.port, "b"), "name": "two"}
    slow = extended(server, origin.port, "a", dns_jitter="360000s") \
        if extension else named(server, origin.port, "a", dns_jitter="360000s")
    start(listening(slow, plain))
    wait_for(lambda: server.count("b") >= 5, what="the name without jitter")
    assert server.count("a") == 1


LIES = {
    "cut short": lambda query, kind: message(query, record("127.0.0.2", 60))[:-3],
    "truncated, and cut short over TCP": lambda query, kind: message(
        query, record("127.0.0.2", 60), flags=0x8380)[:-3],
    "a loop of pointers": lambda query, kind: message(
        query, struct.pack("!H", 0xC000 | (12 + len(question(query)[2])))
        + record("127.0.0.2", 60)[2:]),
    "a pointer beyond the end": lambda query, kind: message(
        query, b"\xff\xff" + record("127.0.0.2", 60)[2:]),
    "another identifier": lambda query, kind: message(
        query, record("127.0.0.2", 60), identifier=(query[0] << 8 | query[1]) ^ 1),
    "another question": lambda query, kind: message(
        query.replace(b"\x01a", b"\x01b"), record("127.0.0.2", 60)),
    "more records counted than sent": lambda query, kind: message(
        query, record("127.0.0.2", 60), count=65535),
    "a header alone": lambda query, kind: query[:2] + b"\x81\x80" + bytes(8),
    "three bytes": lambda query, kind: query[:3],
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_a_failure(start, dns, origin, lie):
    """Nothing of it is used, what was known stays, and the next honest answer counts."""
    server = dns(a=["127.0.0.1"])
    proxy = start(listening(named(
        server, origin.port, "a", resolver={"query_timeout_seconds": 1, "query_tries": 1})))
    assert proxy.get("/").text == "origin"
    before = server.count("a")
    server["a"] = LIES[lie]
    wait_for(lambda: server.count("a") >= before + 3, what="some lies")
    assert proxy.get("/").text == "origin"
    assert hosts(proxy) == ["127.0.0.1"]
    server["a"] = ["127.0.0.1", "127.0.0.3"]
    wait_for(lambda: sorted(hosts(proxy)) == ["127.0.0.1", "127.0.0.3"], what="the truth")


def test_many_addresses_over_tcp(start, dns, origin):
    """What does not fit into a datagram is asked for again over TCP."""
    many = [f"127.0.{n >> 8}.{n & 255}" for n in range(1, 2001)]

    def answer(query, kind):
        over_tcp = server.tcp_asked > 0
        return message(query, *[record(a, 60) for a in many] if over_tcp else [],
                       flags=0x8180 if over_tcp else 0x8380)
    server = dns(a=answer)
    proxy = start(listening(named(server, origin.port, "a", dns_refresh_rate="60s")))
    proxy.wait_stat("cluster.one.membership_total", 2000)
    assert server.tcp_asked == 1


def test_a_cluster_of_the_control_plane_names_its_server(stub, start, dns, origin):
    server = dns(a=["127.0.0.1"])
    made = named(server, origin.port, "a")
    control = stub(resource("cds", made), listener(routes=[route("/", "one")]))
    proxy = start(ads_bootstrap(control))
    assert proxy.get("/").text == "origin"
    other = dns(a=["127.0.0.2"])
    control.put(resource("cds", named(other, origin.port, "a")))
    control.wait("cds")
    wait_for(lambda: other.count("a") >= 1, what="the other server to be asked")
    wait_for(lambda: hosts(proxy) == ["127.0.0.2"], what="its answer")


def refusal(kind, folder, made):
    path = folder / "b.yaml"
    path.write_text(json.dumps(listening(made)))
    code, out, err = run_once(kind, ["-c", str(path), "--mode", "validate"], folder)
    assert code == 1
    return out + err


def test_a_server_is_an_ip_address(kind, tmp_path, dns):
    made = named(dns(), 80, "a", resolver={"resolvers": [
        {"socket_address": {"address": "dns.test", "port_value": 53}}]})
    assert "malformed IP address: dns.test" in refusal(kind, tmp_path, made)


@difference("getaddrinfo blocks a thread for each name and tells no time to live.",
            envoy="uses it where it is asked for", xylem="refuses it by name: c-ares alone")
def test_another_resolver_is_refused(kind, tmp_path, dns):
    made = named(dns(), 80, "a")
    made["typed_dns_resolver_config"] = {
        "name": "envoy.network.dns_resolver.getaddrinfo", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.network.dns_resolver.getaddrinfo.v3."
                     "GetAddrInfoDnsResolverConfig"}}
    if kind == "xylem":
        assert "envoy.network.dns_resolver.getaddrinfo" in refusal(kind, tmp_path, made)
