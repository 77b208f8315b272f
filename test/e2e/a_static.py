"""The first steps: a listener, a cluster, a request."""
from harness import bootstrap, cluster, http_listener, route


def test_get_passes_to_the_origin_and_back(start, origin):
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")])],
                            [cluster("one", origin)]))
    with proxy.client() as client:
        answer = client.get("/hello?x=1", headers={"X-Custom": "value"})
        assert (answer.status, answer.reason, answer.text) == (200, "OK", "origin")
        assert answer.header("content-length") == "6"
        assert answer.header("server") == "envoy"
    seen = origin.last
    assert (seen.method, seen.target, seen.version) == ("GET", "/hello?x=1", "HTTP/1.1")
    assert seen.header("host") == "a.test"
    assert seen.header("x-custom") == "value"
    assert seen.body == b""
