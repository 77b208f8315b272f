"""What a route does: clusters by header and weight, redirects, rewrites, direct responses."""
import json

import pytest

from harness import (Reply, bootstrap, cluster, difference, direct, http_listener, redirect, route,
                     vhost, wait_for)
from harness.proxy import run_once


def test_cluster_header_names_the_cluster(start, origins):
    one, two = origins("one", "two")
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", cluster_header="x-cluster")])],
        [cluster("one", one), cluster("two", two)]))
    assert proxy.get("/", headers={"X-Cluster": "one"}).text == "one"
    assert proxy.get("/", headers={"X-Cluster": "two"}).text == "two"
    assert proxy.get("/", headers={"X-Cluster": "three"}).status == 503
    assert proxy.get("/").status == 503


@pytest.mark.parametrize("action", [
    {"cluster_header": "Host"},
    {"weighted_clusters": {"clusters": [{"cluster_header": "host", "weight": 1}]}},
    {"weighted_clusters": {"header_name": "Host", "clusters": [
        {"name": "1", "weight": 1}, {"name": "2", "weight": 1}]}}],
    ids=["cluster_header", "cluster_header of a weight", "header_name"])
def test_host_is_a_header_like_others(start, origins, action):
    """... though HTTP/2 calls it :authority."""
    one, two = origins("one", "two")
    proxy = start(bootstrap([http_listener(routes=[route("/", **action)])],
                            [cluster("1", one), cluster("2", two)]))
    hosts = ["0", "1"] if "header_name" in str(action) else ["1", "2"]
    with proxy.client() as client:
        got = [client.get("/", host=host).text for host in hosts * 8]
    assert got == ["one", "two"] * 8


def weighted(**weights):
    return {"clusters": [{"name": name, "weight": weight} for name, weight in weights.items()]}


def counts(proxy, total):
    seen = {}
    with proxy.client() as client:
        for _ in range(total):
            text = client.get("/").text
            seen[text] = seen.get(text, 0) + 1
    return seen


def test_weighted_clusters_share_by_weight(start, origins):
    one, two = origins("one", "two")
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", weighted_clusters=weighted(one=20, two=80))])],
        [cluster("one", one), cluster("two", two)]))
    seen = counts(proxy, 1000)
    # 20 % of 1000: standard deviation 12.6, bound at six of them
    assert 124 <= seen["one"] <= 276
    assert seen["one"] + seen["two"] == 1000


def test_weight_0_gets_nothing(start, origins):
    one, two = origins("one", "two")
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", weighted_clusters=weighted(one=0, two=3))])],
        [cluster("one", one), cluster("two", two)]))
    assert counts(proxy, 50) == {"two": 50}


@pytest.mark.parametrize("values, obeyed", [
    (["0"], True), (["+0"], True), (["0x"], False), (["0", "0"], False)])
def test_a_header_may_choose_the_weighted_cluster(start, origins, values, obeyed):
    """One header with a number; otherwise chance."""
    one, two = origins("one", "two")
    made = {**weighted(one=1, two=3), "header_name": "x-pick"}
    proxy = start(bootstrap([http_listener(routes=[route("/", weighted_clusters=made)])],
                            [cluster("one", one), cluster("two", two)]))
    with proxy.client() as client:
        got = {client.get("/", headers=[("x-pick", v) for v in values]).text for _ in range(40)}
    assert got == ({"one"} if obeyed else {"one", "two"})


def test_weighted_cluster_has_its_own_headers_and_host(start, origins):
    one, = origins("one")
    one.reply = Reply(headers=[("x-drop", "1")])
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", weighted_clusters={"clusters": [{
            "name": "one", "weight": 1, "host_rewrite_literal": "w.test",
            "request_headers_to_add": [{"header": {"key": "x-w", "value": "1"}}],
            "request_headers_to_remove": ["x-gone"],
            "response_headers_to_add": [{"header": {"key": "x-r", "value": "2"}}],
            "response_headers_to_remove": ["x-drop"]}]})])], [cluster("one", one)]))
    answer = proxy.get("/", headers={"x-gone": "1"})
    assert one.last.header("x-w") == "1"
    assert one.last.header("x-gone") is None
    assert one.last.header("host") == "w.test"
    assert answer.header("x-r") == "2"
    assert answer.header("x-drop") is None


REDIRECTS = {
    "host": ({"host_redirect": "new.test"}, "http://new.test/a/b?q=1", 301),
    "host with port": ({"host_redirect": "new.test:81"}, "http://new.test:81/a/b?q=1", 301),
    "path": ({"path_redirect": "/new"}, "http://a.test/new?q=1", 301),
    "path with query": ({"path_redirect": "/new?x=2"}, "http://a.test/new?x=2", 301),
    "prefix": ({"prefix_rewrite": "/z"}, "http://a.test/z/b?q=1", 301),
    "no prefix": ({"prefix_rewrite": ""}, "http://a.test/a/b?q=1", 301),
    "regex": ({"regex_rewrite": {"pattern": {"regex": "^/a/(.*)$"}, "substitution": "/\\1/a"}},
              "http://a.test/b/a?q=1", 301),
    "https": ({"https_redirect": True}, "https://a.test/a/b?q=1", 301),
    "scheme": ({"scheme_redirect": "https"}, "https://a.test/a/b?q=1", 301),
    "port": ({"port_redirect": 8443}, "http://a.test:8443/a/b?q=1", 301),
    "https and port": ({"https_redirect": True, "port_redirect": 8443},
                       "https://a.test:8443/a/b?q=1", 301),
    "strip query": ({"strip_query": True, "host_redirect": "n.test"}, "http://n.test/a/b", 301),
    "found": ({"host_redirect": "n.test", "response_code": "FOUND"}, "http://n.test/a/b?q=1", 302),
    "see other": ({"host_redirect": "n.test", "response_code": "SEE_OTHER"},
                  "http://n.test/a/b?q=1", 303),
    "temporary": ({"host_redirect": "n.test", "response_code": "TEMPORARY_REDIRECT"},
                  "http://n.test/a/b?q=1", 307),
    "permanent": ({"host_redirect": "n.test", "response_code": "PERMANENT_REDIRECT"},
                  "http://n.test/a/b?q=1", 308),
    "all at once": ({"scheme_redirect": "https", "host_redirect": "n.test", "port_redirect": 444,
                     "path_redirect": "/p", "response_code": "FOUND"},
                    "https://n.test:444/p?q=1", 302),
}


@pytest.mark.parametrize("case", REDIRECTS)
def test_redirects(start, case):
    fields, location, status = REDIRECTS[case]
    proxy = start(bootstrap([http_listener(routes=[redirect("/a", **fields)])]))
    answer = proxy.get("/a/b?q=1")
    assert (answer.status, answer.header("location")) == (status, location)
    assert answer.body == b""


def test_redirect_to_https_drops_the_default_port(start):
    proxy = start(bootstrap([http_listener(routes=[redirect(https_redirect=True)])]))
    assert proxy.get("/", host="a.test:80").header("location") == "https://a.test/"
    assert proxy.get("/", host="a.test:8080").header("location") == "https://a.test:8080/"


@pytest.mark.parametrize("status, body", [(200, "text"), (204, None), (404, "gone"), (503, "")])
def test_direct_responses(start, status, body):
    proxy = start(bootstrap([http_listener(routes=[direct(status, body or None)])]))
    with proxy.client() as client:
        for _ in range(2):
            answer = client.get("/")
            assert (answer.status, answer.text) == (status, body or "")


@pytest.mark.parametrize("source", ["inline_string", "filename"])
def test_direct_response_without_limit(start, tmp_path, source):
    """max_direct_response_body_size_bytes: 0 is no limit."""
    (tmp_path / "body").write_text("x" * 5000)
    proxy = start(bootstrap([http_listener(
        routes=[{"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {
            source: str(tmp_path / "body") if source == "filename" else "x" * 5000}}}],
        route_config={"max_direct_response_body_size_bytes": 0})]))
    assert proxy.get("/").text == "x" * 5000


def test_direct_response_from_a_file_and_bytes(start, tmp_path):
    path = tmp_path / "body.html"
    path.write_text("from a file")
    proxy = start(bootstrap([http_listener(routes=[
        {"match": {"prefix": "/file"}, "direct_response": {
            "status": 200, "body": {"filename": str(path)}}},
        {"match": {"prefix": "/bytes"}, "direct_response": {
            "status": 200, "body": {"inline_bytes": "AAEC"}}}])]))
    assert proxy.get("/file").text == "from a file"
    assert proxy.get("/bytes").body == b"\x00\x01\x02"


@difference("The body of a direct response is part of the resource, which is read once. "
            "xylem.config.fields_ignored counts the field, /config_dump lists it.",
            envoy="reads a file with watched_directory again when it is moved in place",
            xylem="keeps what it has read")
def test_direct_response_from_a_watched_file(start, tmp_path, kind):
    file = tmp_path / "body"
    file.write_text("first")
    proxy = start(bootstrap([http_listener(routes=[{
        "match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {
            "filename": str(file), "watched_directory": {"path": str(tmp_path)}}}}])]))
    assert proxy.get("/").text == "first"
    (tmp_path / "new").write_text("second")
    (tmp_path / "new").rename(file)
    if kind == "envoy":
        wait_for(lambda: proxy.get("/").text == "second", what="the new file")
    else:
        [entry] = proxy.config_dump()[-1]["value"]["ignored_fields"]
        assert entry["fields"][0]["path"].endswith("direct_response.body.watched_directory")
        assert proxy.get("/").text == "first"


def test_direct_response_answers_a_post_before_its_body(start):
    proxy = start(bootstrap([http_listener(routes=[direct(200, "ok")],
                                           delayed_close_timeout="0.1s")]))
    with proxy.client() as client:
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000\r\n\r\n")
        assert client.response().text == "ok"
    assert proxy.request("POST", "/", body=b"x" * 1000).text == "ok"


REWRITES = {
    "prefix": ({"prefix": "/old/"}, {"prefix_rewrite": "/new/"}, "/old/x?q=1", "/new/x?q=1"),
    "prefix to root": ({"prefix": "/old"}, {"prefix_rewrite": "/"}, "/old/x", "//x"),
    "exact": ({"path": "/old"}, {"prefix_rewrite": "/new"}, "/old?q", "/new?q"),
    "separated": ({"path_separated_prefix": "/old"}, {"prefix_rewrite": "/new"}, "/old/x",
                  "/new/x"),
    "regex": ({"prefix": "/"}, {"regex_rewrite": {
        "pattern": {"regex": "^/service/([^/]+)(/.*)$"}, "substitution": "\\2/instance/\\1"}},
        "/service/foo/v1/api?q=1", "/v1/api/instance/foo?q=1"),
    "regex everywhere": ({"prefix": "/"}, {"regex_rewrite": {
        "pattern": {"regex": "one"}, "substitution": "two"}}, "/xone/one", "/xtwo/two"),
    "regex without a match": ({"prefix": "/"}, {"regex_rewrite": {
        "pattern": {"regex": "^/none"}, "substitution": "/x"}}, "/path", "/path"),
    "prefix to itself": ({"prefix": "/same"}, {"prefix_rewrite": "/same"}, "/same/x", "/same/x"),
    "case": ({"prefix": "/Old", "case_sensitive": False}, {"prefix_rewrite": "/new"}, "/oLD/x",
             "/new/x"),
}


@pytest.mark.parametrize("case", REWRITES)
def test_path_rewrites(start, origin, case):
    match, fields, path, expected = REWRITES[case]
    proxy = start(bootstrap([http_listener(routes=[route(match=match, to="one", **fields)])],
                            [cluster("one", origin)]))
    assert proxy.get(path).status == 200
    assert origin.last.target == expected
    assert origin.last.header("x-envoy-original-path") == path


def test_host_rewrite_literal(start, origin):
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one", host_rewrite_literal="inside.test")])],
        [cluster("one", origin)]))
    proxy.get("/", host="outside.test")
    assert origin.last.all("host") == ["inside.test"]


def test_append_x_forwarded_host(start, origin):
    proxy = start(bootstrap([http_listener(routes=[route(
        "/", "one", host_rewrite_literal="inside.test", append_x_forwarded_host=True)])],
        [cluster("one", origin)]))
    proxy.get("/", host="outside.test")
    assert origin.last.header("x-forwarded-host") == "outside.test"


@pytest.mark.parametrize("before, after", [
    ("outside.test", "outside.test"), ("a,outside.test", "a,outside.test"),
    ("a", "a,outside.test"), ("outside.test,", "outside.test,"), (",", ",,outside.test"),
    ("a, outside.test", "a, outside.test,outside.test")])
def test_append_x_forwarded_host_to_others(start, origin, before, after):
    proxy = start(bootstrap([http_listener(routes=[route(
        "/", "one", host_rewrite_literal="inside.test", append_x_forwarded_host=True)])],
        [cluster("one", origin)]))
    proxy.get("/", host="outside.test", headers={"x-forwarded-host": before})
    assert origin.last.header("x-forwarded-host") == after


def test_host_rewrite_header(start, origin):
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one", host_rewrite_header="x-host")])],
        [cluster("one", origin)]))
    proxy.get("/", headers={"x-host": "by-header.test"})
    assert origin.last.header("host") == "by-header.test"
    proxy.get("/", host="plain.test")
    assert origin.last.header("host") == "plain.test"


def test_host_rewrite_header_that_is_the_host(start, origin):
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one", host_rewrite_header="Host")])],
        [cluster("one", origin)]))
    proxy.get("/", host="plain.test")
    assert origin.last.header("host") == "plain.test"
    assert origin.last.header("x-envoy-original-host") == "plain.test"


def test_host_rewrite_path_regex(start, origin):
    proxy = start(bootstrap([http_listener(routes=[route("/", "one", host_rewrite_path_regex={
        "pattern": {"regex": "^/([^/]+)/.*$"}, "substitution": "\\1"})])],
        [cluster("one", origin)]))
    proxy.get("/b.test/x")
    assert origin.last.header("host") == "b.test"


def test_auto_host_rewrite_uses_the_endpoint_name(start, origin):
    ends = {"cluster_name": "one", "endpoints": [{"lb_endpoints": [{"endpoint": {
        "address": {"socket_address": {"address": "localhost", "port_value": origin.port}}}}]}]}
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one", auto_host_rewrite=True)])],
        [cluster("one", type="STRICT_DNS", load_assignment=ends, dns_lookup_family="V4_ONLY")]))
    assert proxy.get("/", host="outside.test").status == 200
    assert origin.last.header("host") == "localhost"


def test_the_most_specific_virtual_host_and_route_act(start, origins):
    one, two = origins("one", "two")
    proxy = start(bootstrap([http_listener(vhosts=[
        vhost("a", ["a.test"], route("/x", "one"), route("/", "two")),
        vhost("rest", ["*"], direct(404, "rest"))])],
        [cluster("one", one), cluster("two", two)]))
    assert [proxy.get(path, host=host).text for host, path in [
        ("a.test", "/x/1"), ("a.test", "/y"), ("b.test", "/x")]] == ["one", "two", "rest"]


def test_regex_rewrite_that_leaves_nothing(start, origin):
    rewrite = {"pattern": {"regex": "^/api(.*)$"}, "substitution": "\\1"}
    proxy = start(bootstrap([http_listener(routes=[route("/", "one", regex_rewrite=rewrite)])],
                            [cluster("one", origin)]))
    assert proxy.get("/api?q=1").status == 200
    assert origin.last.target == "/api?q=1"
    assert origin.last.header("x-envoy-original-path") is None


ODD_TARGETS = {
    "another host": ({"pattern": {"regex": "^/api/(.*)$"}, "substitution": "\\1"},
                     "/api/http://b.test/", b"GET http://b.test/ HTTP/1.1",
                     b"GET /http://b.test/ HTTP/1.1"),
    "a space": ({"pattern": {"regex": "x"}, "substitution": "a b"}, "/x", b"GET /a b HTTP/1.1",
                b"GET /a%20b HTTP/1.1"),
}


@difference("a rewrite does not make a request line that origins read differently: the path begins "
            "with a slash and holds no spaces", envoy="sends what the rewrite made",
            xylem="adds the slash, writes %20")
@pytest.mark.parametrize("case", ODD_TARGETS)
def test_rewritten_target_stays_a_path(start, origin, kind, case):
    rewrite, path, envoy, xylem = ODD_TARGETS[case]
    proxy = start(bootstrap([http_listener(routes=[route("/", "one", regex_rewrite=rewrite)])],
                            [cluster("one", origin)]))
    assert proxy.get(path).status == 200
    assert origin.last.head.split(b"\r\n")[0] == (envoy if kind == "envoy" else xylem)


@pytest.mark.parametrize("status", [200, 201, 300, 302, 304, 399, 404])
def test_direct_response_that_speaks_of_a_place_names_the_requests_own(start, status):
    proxy = start(bootstrap([http_listener(routes=[direct(status)])]))
    place = proxy.get("/a?b=c").header("location")
    assert place == ("http://a.test/a?b=c" if status == 201 or 300 <= status < 400 else None)


def test_redirect_to_a_path_without_a_slash_gets_one(start):
    proxy = start(bootstrap([http_listener(routes=[redirect("/", regex_rewrite={
        "pattern": {"regex": "/"}, "substitution": "-"})])]))
    assert proxy.get("/a/b").header("location") == "http://a.test/-a-b"


def test_headers_of_a_redirect_to_https_stay_as_they_are(start):
    add = [{"header": {"key": "x-added", "value": "%RESP(:STATUS)%"}}]
    proxy = start(bootstrap([http_listener(
        vhosts=[vhost("a", ["a.test"], redirect("/"), require_tls="ALL"),
                vhost("b", ["b.test"], redirect("/"))],
        route_config={"response_headers_to_add": add})]))
    assert proxy.get("/").header("x-added") is None
    assert proxy.get("/", host="b.test").header("x-added") == "301"


@pytest.mark.parametrize("path", ["/proc/self/environ", "/dev/zero"])
def test_direct_response_shows_nothing_of_the_kernel(kind, tmp_path, path):
    made = direct(200)
    made["direct_response"]["body"] = {"filename": path}
    (tmp_path / "bootstrap.yaml").write_text(json.dumps(bootstrap([http_listener(routes=[made])])))
    code, out, err = run_once(kind, ["-c", "bootstrap.yaml", "--mode", "validate"], tmp_path)
    assert code == 1
    assert f"Invalid path: {path}" in out + err


@difference("A client reads no body behind these, so that it would read the next answer there.",
            envoy="sends the body", xylem="sends none")
@pytest.mark.parametrize("status", [204, 304])
def test_direct_response_that_has_no_body(start, kind, status):
    proxy = start(bootstrap([http_listener(routes=[direct(status, "text")])]))
    with proxy.client() as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert client.rest().endswith(b"\r\n\r\ntext" if kind == "envoy" else b"\r\n\r\n")


@pytest.mark.parametrize("made", [
    direct(204), direct(200, ""), {"match": {"prefix": "/"}, "redirect": {"host_redirect": "b"}},
    {"match": {"prefix": "/"}, "route": {"cluster": "none"}}],
    ids=["204", "200", "redirect", "no cluster"])
def test_an_answer_without_a_body_has_no_type(start, made):
    """... though the route adds one, as it may for a direct response that has a body."""
    types = {"response_headers_to_add": [{"header": {"key": "content-type", "value": "text/html"}},
                                         {"header": {"key": "x-a", "value": "1"}}]}
    proxy = start(bootstrap([http_listener(routes=[
        {**direct(200, "body", prefix="/body"), **types}, {**made, **types}],
        route_config={"validate_clusters": False})]))
    assert proxy.get("/body").header("content-type") == "text/html"
    answer = proxy.get("/")
    assert (answer.body, answer.header("content-type"), answer.header("x-a")) == (b"", None, "1")
