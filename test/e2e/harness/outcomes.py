"""One world and one traffic with every outcome an HTTP/1 request can have.

The same calls run against two proxies, so that what they counted can be compared.
"""
from .config import (bootstrap, cluster, direct, file_log, http_listener, redirect, route, vhost)
from .origin import Reply, SilentPort, refused_port
from .waiting import wait_for

HEADERS = [("user-agent", "outcomes")]


class Outcomes:
    """The origins, the configuration and the traffic."""

    def __init__(self, closing, origin, folder):
        self.origin = origin
        self.refused, self.guard = refused_port()
        closing(self.guard)
        self.silent = closing(SilentPort())
        self.folder = folder
        self.hold = origin.hold()
        origin.on.update({
            "/301": Reply(301, "Moved", [("location", "/x")]), "/404": Reply(404, "Not Found"),
            "/503": Reply(503, "Unavailable"), "/204": Reply(204, "No Content"),
            "/418": Reply(418, "Teapot"), "/never": Reply(never=True),
            "/canary": Reply(headers=[("x-envoy-upstream-canary", "true")]),
            "/cut": Reply(cut=0), "/half": Reply(body=b"x" * 100, cut=120),
            "/bad": Reply(raw=b"nonsense\r\n\r\n"), "/close": Reply(close=True),
            "/chunks": Reply(chunks=[b"one", b"two"], trailers=[("x-t", "1")]),
            "/interim": Reply(interim=b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"),
            "/held": Reply(hold=self.hold), "/left": Reply(never=True)})

    def config(self):
        """A bootstrap; the same text for every proxy."""
        routes = [
            route("/never", "one", timeout="0.2s"),
            route("/refused", "refused"), route("/narrow", "narrow"),
            route("/silent", "silent"), route("/empty", "empty"),
            route("/nowhere", "nowhere"), route("/tiny", "tiny", prefix_rewrite="/held"),
            {**route("/scored", "one", prefix_rewrite="/"), "stat_prefix": "scored"},
            direct(200, "direct", prefix="/direct"), direct(403, "no", prefix="/denied"),
            redirect("/redirect", path_redirect="/elsewhere"),
            route("/", "one", name="rest")]
        hosts = [vhost("main", ["a.test", "b.test"], *routes, virtual_clusters=[
            {"name": "reads", "headers": [{"name": ":method", "string_match": {"exact": "GET"}}]}]),
            vhost("secure", ["secure.test"], route("/", "one"), require_tls="ALL")]
        one, none = ({"thresholds": [limit]} for limit in [
            {"max_requests": 1}, {"max_pending_requests": 0}])
        return bootstrap(
            [http_listener(vhosts=hosts, route_config={"validate_clusters": False},
                           access_log=[file_log(self.folder / "log")],
                           delayed_close_timeout="0.1s", max_request_headers_kb=8,
                           generate_request_id=True)],
            [cluster("one", self.origin), cluster("refused", self.refused),
             cluster("silent", self.silent.port, connect_timeout="0.2s"), cluster("empty"),
             cluster("tiny", self.origin, circuit_breakers=one),
             cluster("narrow", self.origin, circuit_breakers=none)],
            node={"id": "node", "cluster": "front", "locality": {"zone": "z1"}},
            stats_flush_interval="0.1s")

    def run(self, proxy):
        """Send everything, one request after another."""
        for path in ["/", "/204", "/301", "/404", "/418", "/503", "/canary", "/chunks",
                     "/interim", "/close", "/direct", "/denied", "/redirect", "/refused", "/silent",
                     "/empty", "/nowhere", "/never", "/cut", "/bad",
                     "/scored", "/narrow"]:
            proxy.get(path, headers=HEADERS)
        proxy.get("/", host="nobody.test")
        proxy.get("/", host="secure.test")
        proxy.request("HEAD", "/")
        proxy.request("POST", "/", body=b"x" * 1000)
        proxy.request("POST", "/", body=b"abc", headers=[("expect", "100-continue")])
        self._broken(proxy)
        self._overflow(proxy)
        self._gone(proxy)
        proxy.wait_stat("http.ingress.downstream_cx_active", 0)
        proxy.wait_stat("http.ingress.downstream_rq_active", 0)

    def _broken(self, proxy):
        for text in ["nonsense\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
                     "GET / HTTP/1.1\r\nhost: a.test\r\nx: " + "y" * 9000 + "\r\n\r\n",
                     "GET / HTTP/1.1\r\nhost: a.test\r\ncontent-length: x\r\n\r\n"]:
            with proxy.client() as client:
                client.send(text)
                client.rest()
        with proxy.client() as client:
            client.write_request(path="/half")
            client.rest()

    def _overflow(self, proxy):
        with proxy.client() as first:
            seen = self.hold.reached
            first.write_request(path="/tiny")
            wait_for(lambda: self.hold.reached > seen, what="the held request")
            assert proxy.get("/tiny").status == 503
            self.hold.release()
            assert first.response().status == 200
        proxy.wait_stat("cluster.tiny.upstream_rq_active", 0)

    def _gone(self, proxy):
        count = len(self.origin.requests)
        with proxy.client() as client:
            client.write_request(path="/left")
            self.origin.wait_requests(count + 1)
