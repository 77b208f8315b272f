"""Path normalisation: one reading for the route and the origin."""
import pytest

from harness import bootstrap, cluster, difference, direct, http_listener, route
from harness.config import file_log


@pytest.fixture
def through(start, origin):
    def run(**fields):
        return start(bootstrap([http_listener(
            routes=[direct(403, "admin", prefix="/admin"), route("/", "one")], **fields)],
            [cluster("one", origin)]))
    return run


PATHS = [
    ("/a/../admin", None), ("/./admin", None), ("/a/%2e%2E/admin", None), ("/x/..\\admin", None),
    ("\\admin" , 400), ("/a/b/../c", "/a/c"), ("/a/./b/", "/a/b/"), ("/..", "/"), ("/a/..", "/"),
    ("/%61dmin", None), ("/%7Euser", "/~user"), ("/a%20b", "/a%20b"), ("/a?x=../b", "/a?x=../b"),
    ("/a//b", "/a//b"), ("/a/..;/b", "/b"), ("/a%2fb", "/a%2fb"), ("/%00", 400),
    ("/a/%%32e%%32e/admin", "/a/%252e%252e/admin"), ("/a%2%46b", "/a%252Fb"), ("/a%", "/a%"),
]


@pytest.mark.parametrize("path, expected", PATHS)
def test_normalize_path(through, origin, path, expected):
    proxy = through(normalize_path=True)
    answer = proxy.get(path)
    if expected is None:
        assert (answer.status, answer.text) == (403, "admin")
    elif isinstance(expected, int):
        assert answer.status == expected
    else:
        assert answer.status == 200
        assert origin.last.target == expected


def test_paths_are_left_alone_by_default(through, origin):
    proxy = through()
    for path in ["/a/../admin", "/./x", "/a//b", "/%61dmin", "/a%2fb"]:
        assert proxy.get(path).status == 200
        assert origin.last.target == path


@pytest.mark.parametrize("path, expected", [
    ("/a//b", "/a/b"), ("//admin", None), ("/a///b////c", "/a/b/c"), ("/a/?x=//", "/a/?x=//")])
def test_merge_slashes(through, origin, path, expected):
    answer = through(merge_slashes=True).get(path)
    if expected is None:
        assert answer.status == 403
    else:
        assert (answer.status, origin.last.target) == (200, expected)


ODD_PATHS = {"/a//": "/a/", "//": "/", "/a/%2e;x/b": "/a/b"}


@difference("Of two spellings of one path an origin may take either for the other: they are one here.",
            envoy="leaves // alone, and %2e with parameters", xylem="/, and no such segment")
@pytest.mark.parametrize("path", ODD_PATHS)
def test_odd_paths_are_normalised(through, origin, kind, path):
    assert through(merge_slashes=True, normalize_path=True).get(path).status == 200
    of_envoy = {"//": "//", "/a/%2e;x/b": "/a/.;x/b"}
    seen = ODD_PATHS[path] if kind == "xylem" else of_envoy.get(path, ODD_PATHS[path])
    assert origin.last.target == seen


@difference("A line of a log that tells why a request was refused tells of what it was.",
            envoy="logs a path that is refused for its escaped slashes as if they were none",
            xylem="logs it as it came")
def test_a_refused_path_is_logged_as_it_came(start, kind, tmp_path):
    proxy = start(bootstrap([http_listener(
        routes=[direct(200)], path_with_escaped_slashes_action="REJECT_REQUEST",
        access_log=[file_log(tmp_path / "log", "%REQ(:PATH)%\n")])]))
    assert proxy.get("/a%2Fb").status == 400
    proxy.stop()
    assert (tmp_path / "log").read_text() == ("/a%2Fb\n" if kind == "xylem" else "/a/b\n")


ESCAPED = {
    "KEEP_UNCHANGED": (200, None, "/a%2Fb"),
    "REJECT_REQUEST": (400, None, None),
    "UNESCAPE_AND_REDIRECT": (307, "/a/b", None),
    "UNESCAPE_AND_FORWARD": (200, None, "/a/b"),
}


@pytest.mark.parametrize("action", ESCAPED)
def test_path_with_escaped_slashes_action(through, origin, action):
    status, location, seen = ESCAPED[action]
    answer = through(path_with_escaped_slashes_action=action).get("/a%2Fb")
    assert (answer.status, answer.header("location")) == (status, location)
    assert [r.target for r in origin.requests] == ([seen] if seen else [])


def test_a_client_of_grpc_is_not_redirected(through, origin):
    """It would follow nowhere: the request is refused, as by REJECT."""
    proxy = through(path_with_escaped_slashes_action="UNESCAPE_AND_REDIRECT")
    with proxy.client() as client:
        answer = client.get("/a%2Fb", headers={"content-type": "application/grpc"})
        assert (answer.status, answer.header("location")) == (200, None)
        assert answer.header("grpc-status") == "13"
        assert client.closed()
    assert origin.requests == []
    assert proxy.stat("http.ingress.downstream_rq_failed_path_normalization") == 1


LEAD_AWAY = {"/%2Fb.test/a?q=//": ("//b.test/a?q=//", "/b.test/a?q=//"),
             "/%5Cb.test": ("/\\b.test", "/b.test"),
             "/%2F%5C%2Fb": ("//\\/b", "/b"),
             "/a%2F%2Fb": ("/a//b", "/a//b")}


@difference("A Location that begins with two slashes, or with a slash and a backslash, names another "
            "host: whoever finds a link to it has been led away by our answer.",
            envoy="with UNESCAPE_AND_REDIRECT, redirects /%2Fb.test to //b.test",
            xylem="redirects to /b.test")
@pytest.mark.parametrize("path", LEAD_AWAY)
def test_an_unescaped_path_leads_to_no_other_host(through, kind, path):
    proxy = through(path_with_escaped_slashes_action="UNESCAPE_AND_REDIRECT")
    answer = proxy.get(path)
    assert (answer.status, answer.header("location")) == (307, LEAD_AWAY[path][kind == "xylem"])


def test_escaped_backslash_counts_as_a_slash(through, origin):
    proxy = through(path_with_escaped_slashes_action="UNESCAPE_AND_FORWARD", normalize_path=True)
    assert proxy.get("/x/..%5cadmin").status == 403
    assert proxy.get("/x%2f..%2fadmin").status == 403
    assert origin.requests == []


def test_normalised_path_is_what_rewrites_see(start, origin):
    proxy = start(bootstrap([http_listener(
        routes=[route("/api/", "one", prefix_rewrite="/v1/")], normalize_path=True)],
        [cluster("one", origin)]))
    assert proxy.get("/x/../api/y").status == 200
    assert origin.last.target == "/v1/y"
    assert proxy.get("/api/../z").status == 404


@difference("What a request is refused for is known before its route, whatever else is in its head.",
            envoy="adds the response headers of its route where the client sent x-forwarded-proto",
            xylem="matches no route")
def test_a_refused_path_has_no_route(start, origin, kind):
    told = [{"header": {"key": "x-route", "value": "yes"}}]
    proxy = start(bootstrap([http_listener(
        routes=[route("/", "one")], route_config={"response_headers_to_add": told})],
        [cluster("one", origin)]))
    for sent, header in ({}, None), ({"x-forwarded-proto": "http"}, "yes"):
        answer = proxy.get("/a#b", headers=sent)
        assert (answer.status, answer.header("x-route")) == (
            400, header if kind == "envoy" else None)
