"""Statistics of what a control plane told: the same names and the same values as Envoy's after the
same updates, refusals and lost streams."""
import re

import pytest

from harness import Origin, Proxy, Stub, cluster, difference, direct, route, wait_for, xds
from harness.certs import Authority, downstream, sds
from harness.config import file_log
from harness.h2peer import H2Client, H2Origin
from harness.stub import resource
from r_admin_names import NOT_DETERMINED, ONLY_ENVOY, ONLY_XYLEM, read, without

HTTP2 = {"explicit_http_config": {"http2_protocol_options": {}}}

# What Envoy has of this world and we have not, and why.
NOT_COUNTED = {
    r"cluster\.xds\.(http2|internal)\..*|cluster\.xds\.upstream_rq_\dxx|cluster\.xds\.upstream_rq_\d+":
        "the control channel is gRPC's: its requests and frames are not the cluster's",
    r".*\.remaining_cx_pools": "pools are not limited, so nothing remains of a limit",
    r"(cluster\.two\.)?http2\.(header_count|header_list_size|cookie_count|cookie_size)":
        "four histograms a request would cost more than a request may",
    r"(cluster\.two\.)?http2\.(n|o)ghttp2_.*":
        "which of two libraries Envoy uses"}


class World:
    """One proxy with a control plane: clusters, a listener, routes, endpoints, a secret."""

    def __init__(self, kind, folder, closing, web):
        self.origin, self.h2 = closing(Origin()), closing(H2Origin())
        secure = xds.listener("secure", routes=[direct(200, "secure")], stat_prefix="secure")
        secure["filter_chains"][0]["transport_socket"] = downstream(
            tls_certificate_sds_secret_configs=[sds("web")])
        self.control = Stub(folder / "stub", [
            xds.rds_listener(access_log=[file_log(folder / "log")]), secure,
            xds.routes(route("/h2", "two"), route("/", "one")),
            xds.eds_cluster("one", circuit_breakers={"thresholds": [{"track_remaining": True}]}),
            resource("cds", cluster("two", self.h2, http=HTTP2)),
            xds.endpoints("one", self.origin), web.secret("web")]).start()
        closing(self.control)
        self.proxy = Proxy(kind, folder, xds.ads_bootstrap(self.control))
        closing(self.proxy)
        self.proxy.start()
        wait_for(lambda: "server.worker_0.watchdog_miss" in read(self.proxy), 10, "the worker")
        wait_for(lambda: self.proxy.get("/").status == 200, 10, "the endpoints")
        self.proxy.wait_stat("sds.web.update_success", 1)
        self.proxy.wait_stat("listener_manager.listener_create_success", 2)

    def traffic(self):
        with H2Client(self.proxy.port()) as client:
            for path in ("/", "/h2"):
                assert client.request(path=path).status == 200

    def updates(self):
        """One of each kind, then one that is refused, then a lost stream."""
        put, wait = self.control.put, self.control.wait
        put(xds.endpoints("one", self.origin, self.h2))
        self.proxy.wait_stat("cluster.one.membership_total", 2)
        put(resource("cds", cluster("three", self.origin)))
        self.proxy.wait_stat("cluster_manager.active_clusters", 4)
        put(xds.listener("third", routes=[direct(200)], stat_prefix="third"))
        self.proxy.wait_stat("listener_manager.listener_create_success", 3)
        put(xds.routes(route("/", "one")))
        self.proxy.wait_stat("http.ingress.rds.routes.update_success", 2)
        put(resource("cds", {"name": "three", "type": "EDS"}))
        wait("cds", "NACKED")
        put(resource("cds", cluster("three", self.origin)))
        self.proxy.wait_stat("cluster_manager.cds.update_success", 3)
        self.control.end_streams()
        self.proxy.wait_stat("cluster_manager.cds.update_failure", 1)
        for scope, count in {"cluster_manager.cds": 4, "listener_manager.lds": 3, "cluster.one": 3,
                             "http.ingress.rds.routes": 3, "sds.web": 2}.items():
            self.proxy.wait_stat(scope + ".update_success", count)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    things, seen = [], {}
    web = Authority("ca").issue("web", dns=["a.test"])

    def closing(thing):
        things.append(thing)
        return thing

    for kind in ["envoy", "xylem"]:
        world = World(kind, tmp_path_factory.mktemp(kind), closing, web)
        world.traffic()
        seen[kind] = {"before": read(world.proxy)}
        world.updates()
        seen[kind]["after"] = read(world.proxy)
    yield seen
    for thing in reversed(things):
        (getattr(thing, "stop", None) or thing.close)()


@difference("What has no meaning here has no statistics, and what costs each request more than it may.",
            envoy="counts the control channel's frames, pools that remain, and the sizes of the header "
                  "lists of HTTP/2",
            xylem="does not")
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_same_names(both, when):
    envoy = without(both["envoy"][when], [*ONLY_ENVOY, *NOT_COUNTED])
    xylem = without(both["xylem"][when], ONLY_XYLEM)
    assert (sorted(envoy - xylem), sorted(xylem - envoy)) == ([], [])
    assert len(envoy) > 800


COUNTED = re.compile(r".*\.(update_\w+|init_fetch_timeout|config_reload)|cluster_manager\.[a-z_]+"
                     r"|listener_manager\.[a-z_]+|cluster\.\w+\.(membership_.*|.*match_count)")
UNLIKE = [r".*\.update_time",
          r"cluster_manager\.cluster_modified"]    # Envoy counts one that is refused


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_same_counts(both, when):
    envoy, xylem = both["envoy"][when], both["xylem"][when]
    names = without({n for n in set(envoy) & set(xylem) if COUNTED.fullmatch(n)}, [*NOT_DETERMINED, *UNLIKE])
    assert {n: (envoy[n], xylem[n]) for n in sorted(names) if envoy[n] != xylem[n]} == {}
    assert len(names) > 60
