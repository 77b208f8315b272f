"""transport_socket_matcher of a cluster: which endpoint is reached by which transport socket, by a
tree of matchers on what endpoints and localities say of themselves."""
import pytest

from harness import bootstrap, certs, difference, http_listener, route, wait_for
from harness.certs import upstream
from harness.config import endpoint
from harness.tls import tls_origin
from harness.xds import eds_cluster, endpoints, listener

P = "type.googleapis.com/envoy.extensions.matching.common_inputs.transport_socket.v3."
RAW = {"name": "envoy.transport_sockets.raw_buffer", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"}}
MATCH = "envoy.transport_socket_match"
NAMES = [{"name": "tls", "transport_socket": upstream()}, {"name": "plain", "transport_socket": RAW}]


def then(name):
    return {"action": {"name": "use", "typed_config": {
        "@type": P + "TransportSocketNameAction", "name": name}}}


def said(*path, of="Endpoint", by=MATCH):
    """What the endpoint or its locality says there."""
    made = {"@type": P + of + "MetadataInput", "path": [{"key": key} for key in path]}
    return {"name": "said", "typed_config": {**made, **({"filter": by} if by else {})}}


def exact(where, otherwise=None, **values):
    return tree("exact_match_map", where, otherwise, **values)


def tree(kind, where, otherwise=None, **values):
    made = {"matcher_tree": {"input": where, kind: {"map": values}}}
    return {**made, **({"on_no_match": otherwise} if otherwise else {})}


def single(value, where=None, **how):
    return {"single_predicate": {"input": where or said("mode"), "value_match": how or {"exact": value}}}


def rules(*made, otherwise=None):
    """Pairs of a predicate and what follows."""
    listed = {"matcher_list": {"matchers": [
        {"predicate": predicate, "on_match": follows} for predicate, follows in made]}}
    return {**listed, **({"on_no_match": otherwise} if otherwise else {})}


def told(by=MATCH, **fields):
    return {"filter_metadata": {by: fields}}


TLS = then("tls")
MODE = said("mode")
# matcher, what the endpoint says, what its locality says, is it TLS?
ROWS = {
    "exact": (exact(MODE, on=TLS), told(mode="on"), None, True),
    "another_value": (exact(MODE, on=TLS), told(mode="off"), None, False),
    "a_value_with_more": (exact(MODE, o=TLS), told(mode="on"), None, False),
    "nothing_said": (exact(MODE, on=TLS), None, None, False),
    "otherwise": (exact(MODE, TLS, off=then("plain")), told(mode="x"), None, True),
    "nothing_said_otherwise": (exact(MODE, TLS, off=then("plain")), None, None, True),
    "plain_by_name": (exact(MODE, TLS, off=then("plain")), told(mode="off"), None, False),
    "no_such_name": (exact(MODE, on=then("nosuch")), told(mode="on"), None, False),
    "deep": (exact(said("a", "b"), on=TLS), told(a={"b": "on"}), None, True),
    "not_so_deep": (exact(said("a", "b"), on=TLS), told(a="on"), None, False),
    "a_number": (exact(MODE, **{"1": TLS}), told(mode=1), None, True),
    "a_boolean": (exact(MODE, true=TLS), told(mode=True), None, True),
    "a_fraction": (exact(MODE, **{"1.5": TLS}), told(mode=1.5), None, True),
    "a_mapping": (exact(MODE, TLS, on=then("plain")), told(mode={"a": "on"}), None, True),
    "a_whole": (exact(said(), on=TLS), told(mode="on"), None, False),
    "default_filter": (exact(said("mode", by=None), on=TLS), told("envoy.lb", mode="on"), None, True),
    "no_default_filter": (exact(said("mode", by=None), on=TLS), told(mode="on"), None, False),
    "locality": (exact(said("mode", of="Locality"), on=TLS), None, told(mode="on"), True),
    "not_its_locality": (exact(MODE, on=TLS), None, told(mode="on"), False),
    "prefix": (tree("prefix_match_map", MODE, None, o=TLS), told(mode="on"), None, True),
    "longest_prefix": (tree("prefix_match_map", MODE, None, o=then("plain"), on=TLS),
                       told(mode="on"), None, True),
    "no_prefix": (tree("prefix_match_map", MODE, None, x=TLS), told(mode="on"), None, False),
    "nested": (exact(MODE, on={"matcher": exact(said("more"), yes=TLS)}),
               told(mode="on", more="yes"), None, True),
    "nested_without": (exact(MODE, TLS, on={"matcher": exact(said("more"), yes=TLS)}),
                       told(mode="on", more="no"), None, True),
    "list": (rules((single("off"), then("plain")), (single("on"), TLS)), told(mode="on"), None, True),
    "list_first": (rules((single("on"), then("plain")), (single("on"), TLS)), told(mode="on"), None,
                   False),
    "list_otherwise": (rules((single("off"), then("plain")), otherwise=TLS), told(mode="on"), None,
                       True),
    "contains": (rules((single("", None, contains="N", ignore_case=True), TLS)), told(mode="on"),
                 None, True),
    "regex": (rules((single("", None, safe_regex={"google_re2": {}, "regex": "o."}), TLS)),
              told(mode="on"), None, True),
    "and": (rules(({"and_matcher": {"predicate": [single("on"), single("yes", said("more"))]}}, TLS)),
            told(mode="on", more="yes"), None, True),
    "and_not_both": (rules(({"and_matcher": {"predicate": [
        single("on"), single("yes", said("more"))]}}, TLS)), told(mode="on", more="no"), None, False),
    "or": (rules(({"or_matcher": {"predicate": [single("x"), single("on")]}}, TLS)), told(mode="on"),
           None, True),
    "not": (rules(({"not_matcher": single("off")}, TLS)), told(mode="on"), None, True),
    "not_of_nothing": (rules(({"not_matcher": single("off")}, TLS)), None, None, True),
    "empty": ({}, told(mode="on"), None, False),
}


def cluster_of(name, target, matcher, endpoint, locality):
    end = {"endpoint": {"address": {"socket_address": {
        "address": "127.0.0.1", "port_value": target.port}}}}
    if endpoint:
        end["metadata"] = endpoint
    group = {"lb_endpoints": [end], "locality": {"zone": "z"}}
    if locality:
        group["metadata"] = locality
    return {"name": name, "type": "STATIC", "connect_timeout": "5s", "transport_socket_matches": NAMES,
            "transport_socket_matcher": matcher,
            "load_assignment": {"cluster_name": name, "endpoints": [group]}}


def test_by_what_is_said(start, closing, tmp_path, web):
    """All rows in one proxy: each a cluster, whose origin speaks TLS alone."""
    origin = closing(tls_origin(certs.server_context(web, tmp_path)))
    proxy = start(bootstrap(
        [http_listener(routes=[route(f"/{name}/", name) for name in ROWS])],
        [cluster_of(name, origin, *row[:3]) for name, row in ROWS.items()]))
    found = {name: proxy.get(f"/{name}/").status == 200 for name in ROWS}
    assert found == {name: row[3] for name, row in ROWS.items()}


@difference("Which text a list or a mapping is depends on who writes it.",
            envoy="compares lists and mappings by what it makes of them as JSON",
            xylem="takes them for nothing that can be compared")
def test_what_has_no_text(start, closing, tmp_path, web, kind):
    origin = closing(tls_origin(certs.server_context(web, tmp_path)))
    rows = {"list": (exact(MODE, **{'["on"]': TLS}), told(mode=["on"]), None),
            "mapping": (exact(MODE, **{'{"a":"on"}': TLS}), told(mode={"a": "on"}), None)}
    proxy = start(bootstrap(
        [http_listener(routes=[route(f"/{name}/", name) for name in rows])],
        [cluster_of(name, origin, *row) for name, row in rows.items()]))
    found = {proxy.get(f"/{name}/").status == 200 for name in rows}
    assert found == {kind == "envoy"}


def test_endpoints_change_what_they_say(stub, start, closing, tmp_path, web, ads_bootstrap):
    """The matcher reads what comes with the newest endpoints, and a new matcher those that are there."""
    origin = closing(tls_origin(certs.server_context(web, tmp_path)))

    def up(matcher):
        return eds_cluster("up", transport_socket_matches=NAMES, transport_socket_matcher=matcher)

    def ends(mode):
        return endpoints("up", endpoint(origin, metadata=told(mode=mode)))

    control = stub(listener(routes=[route("/", "up")]), up(exact(MODE, on=TLS)), ends("on"))
    proxy = start(ads_bootstrap(control))
    assert proxy.get("/").status == 200
    control.put(ends("off"))
    control.wait("eds")
    origin.cut()
    wait_for(lambda: proxy.get("/").status == 503, what="plain text")
    control.put(up(exact(MODE, off=TLS)))
    wait_for(lambda: proxy.get("/").status == 200, bound=30, what="the new matcher")


@pytest.mark.parametrize("matcher,words", [
    ({"matcher_tree": {"input": MODE}}, "tree_type|one of|is required"),
    (exact({"name": "i", "typed_config": {
        "@type": "type.googleapis.com/google.protobuf.Struct", "value": {}}}, on=TLS),
     "Didn't find a registered implementation for 'i'"),
    (exact(MODE, on={"action": {"name": "a", "typed_config": {
        "@type": P + "EndpointMetadataInput", "path": [{"key": "k"}]}}}),
     "Didn't find a registered implementation for 'a'")])
def test_matchers_that_are_none(start, matcher, words):
    made = {"name": "up", "type": "STATIC", "transport_socket_matches": NAMES,
            "transport_socket_matcher": matcher}
    with pytest.raises(RuntimeError, match=words):
        start(bootstrap([http_listener(routes=[route("/", "up")])], [made]))


def test_a_name_that_stands_twice(start):
    made = {"name": "up", "type": "STATIC", "transport_socket_matches": [*NAMES, NAMES[0]],
            "transport_socket_matcher": exact(MODE, on=TLS)}
    with pytest.raises(RuntimeError, match="Duplicate transport socket name 'tls' found in"):
        start(bootstrap([http_listener(routes=[route("/", "up")])], [made]))


@difference("keep_matching, which has a match passed over and matching go on.",
            envoy="ends the matching there, with the cluster's own transport socket",
            xylem="refuses it by name")
@pytest.mark.parametrize("made", [
    rules((single("on"), {**then("plain"), "keep_matching": True}), (single("on"), TLS)),
    exact(MODE, TLS, on={**then("plain"), "keep_matching": True}),
], ids=["list", "map"])
def test_matches_that_are_passed_over(start, closing, tmp_path, web, kind, made):
    origin = closing(tls_origin(certs.server_context(web, tmp_path)))
    config = bootstrap([http_listener(routes=[route("/", "one")])],
                       [cluster_of("one", origin, made, told(mode="on"), None)])
    if kind == "xylem":
        with pytest.raises(RuntimeError, match="keep_matching"):
            start(config)
    else:
        assert start(config).get("/").status != 200


@difference("The state of a request's filters as what a matcher of transport sockets looks at.",
            envoy="asks it for each connection", xylem="refuses it by name: it has no such state")
@pytest.mark.only("xylem", "Envoy has it")
def test_the_state_of_filters(start, origin):
    state = {"name": "state", "typed_config": {"@type": P + "FilterStateInput", "key": "k"}}
    with pytest.raises(RuntimeError, match="FilterStateInput is not implemented"):
        start(bootstrap([http_listener(routes=[route("/", "one")])],
                        [cluster_of("one", origin, exact(state, on=TLS), None, None)]))
