"""Admin pages whose texts, statuses and types are API: the same table against both proxies."""
import json
import re

import pytest

from harness import bootstrap, cluster, difference, http_listener, route, wait_for

TEXT = "text/plain; charset=UTF-8"
PLAIN = "text/plain"
JSON = "application/json"
USAGE = ("usage: /logging?<name>=<level> (change single level)\n"
         "usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)\n"
         "usage: /logging?level=<level> (change all levels)\n"
         "usage: /logging?group=<group_name>:<level> (change group of loggers)\n"
         "levels: trace debug info warning error critical off \nactive loggers:\n")
BUCKETS = ("usage: /stats?histogram_buckets="
           "(cumulative|disjoint|detailed|summary|prometheusnative)\n")
INVERTED = "invert_filter can only be used if filter is also provided"
MASK = "FieldMask {} could not be successfully applied to any configs."


@pytest.fixture
def proxy(start, origin):
    return start(bootstrap([http_listener(routes=[route("/", "one")])],
                           [cluster("one", origin), cluster("empty", alt_stat_name="a:b")],
                           stats_flush_interval="0.1s"))


def compare(proxy, table, method="GET"):
    """table: target -> (status, content type, body)."""
    wrong = {}
    for target, expected in table.items():
        answer = proxy.admin(target, method)
        got = (answer.status, answer.header("content-type"), answer.text)
        if got != expected:
            wrong[target] = (got, expected)
    assert not wrong


def test_refusals_of_stats(proxy):
    compare(proxy, {
        "/stats?format=xml": (
            400, TEXT, "usage: /stats?format=(html|active-html|json|prometheus|text)\n\n"),
        "/stats?type=foo": (400, TEXT, "invalid &type= param"),
        "/stats?type=counters": (400, TEXT, "invalid &type= param"),
        "/stats?filter=(": (400, TEXT, "Invalid re2 regex: missing ): ("),
        "/stats?filter=%ff": (400, TEXT, "Invalid re2 regex: invalid UTF-8"),
        "/stats?invert_filter&filter=": (400, TEXT, INVERTED),
        "/stats/prometheus?invert_filter=0&histogram_buckets=foo": (400, TEXT, INVERTED),
        "/stats?hidden=showonly": (400, TEXT, "usage: /stats?hidden=(include|only|exclude)\n\n"),
        "/stats?hidden=foo": (400, TEXT, "usage: /stats?hidden=(include|only|exclude)\n\n"),
        "/stats?histogram_buckets=foo": (400, TEXT, BUCKETS),
        "/stats?histogram_buckets=prometheusnative": (
            400, TEXT, "Invalid histogram_buckets type for non prometheus stats type"),
        "/stats/prometheus?histogram_buckets=foo": (400, TEXT, BUCKETS),
        "/stats/prometheus?histogram_buckets=disjoint": (
            400, TEXT, "unsupported prometheus histogram bucket mode"),
        "/stats/prometheus?filter=(": (400, TEXT, "Invalid re2 regex: missing ): ("),
        "/stats/prometheus?type=foo": (400, TEXT, "invalid &type= param"),
        "/stats?format=json&filter=nosuch": (200, JSON, '{"stats":[]}'),
        "/stats?filter=nosuch": (200, TEXT, ""),
        "/stats?filter=server.live$&invert_filter&type=TextReadouts": (200, TEXT, ""),
        "/stats?filter=server.live$&hidden=only": (200, TEXT, ""),
        "/stats/prometheus?filter=server.live$": (
            200, TEXT, "# TYPE envoy_server_live gauge\nenvoy_server_live{} 1\n")})


def test_refusals_of_config_dump(proxy):
    compare(proxy, {
        "/config_dump?name_regex=[": (
            400, PLAIN, "INVALID_ARGUMENT: Error while parsing name_regex from [: missing ]: ["),
        "/config_dump?mask=foo": (400, PLAIN, MASK.format("foo")),
        "/config_dump?mask=bootstrap.nosuch": (400, PLAIN, MASK.format("bootstrap.nosuch")),
        "/config_dump?mask=static_clusters,bootstrap": (
            400, PLAIN, MASK.format("static_clusters,bootstrap")),
        "/config_dump?mask=staticClusters": (400, PLAIN, MASK.format("staticClusters")),
        "/config_dump?resource=version_info": (
            400, PLAIN, "version_info is not a repeated field. Use ?mask=version_info to get only "
                        "this field"),
        "/config_dump?resource=static_endpoint_configs": (
            404, PLAIN, "static_endpoint_configs not found in config dump"),
        "/config_dump?resource=dynamic_active_clusters": (200, JSON, "{}\n"),
        "/config_dump?resource=static_secrets": (200, JSON, "{}\n"),
        "/config_dump?resource=dynamic_route_configs&mask=foo": (200, JSON, "{}\n"),
        "/config_dump?resource=static_clusters&name_regex=on": (200, JSON, "{}\n")})


def test_other_pages(proxy):
    compare(proxy, {
        "/clusters?filter=(": (400, TEXT, "Invalid re2 regex"),
        "/clusters?filter=nosuch": (200, TEXT, ""),
        "/clusters?filter=nosuch&format=json": (200, JSON, "{}\n"),
        "/certs": (200, JSON, '{\n "certificates": []\n}\n'),
        "/hot_restart_version": (200, TEXT, "disabled"),
        "/init_dump": (200, JSON, "{}\n"),
        "/init_dump?mask=nosuch": (200, JSON, "{}\n"),
        "/contention": (200, TEXT, "Mutex contention tracing is not enabled. To enable, run Envoy "
                                   "with flag --enable-mutex-tracing."),
        "/drain_listeners": (405, TEXT, "Method GET not allowed, POST required."),
        "/ready?anything": (200, TEXT, "LIVE\n")})


def test_posts(proxy):
    compare(proxy, {
        "/runtime_modify": (
            400, TEXT, "usage: /runtime_modify?key1=value1&key2=value2&keyN=valueN\n"
                       "       or send the parameters as form values\n"
                       "use an empty value to remove a previously added override"),
        "/runtime_modify?a=b": (503, TEXT, "No admin layer specified"),
        "/runtime_modify?=b": (503, TEXT, "No admin layer specified"),
        "/heapprofiler": (501, TEXT, "The current build does not support heap profiler"),
        "/heapprofiler?enable=y": (501, TEXT, "The current build does not support heap profiler"),
        "/cpuprofiler": (400, TEXT, "?enable=<y|n>\n"),
        "/cpuprofiler?enable=n": (200, TEXT, "OK\n"),
        "/allocprofiler": (400, TEXT, "?enable=<y|n>\n"),
        "/reopen_logs": (200, TEXT, "OK\n"),
        "/reset_counters": (200, TEXT, "OK\n"),
        "/stats/recentlookups/clear": (200, TEXT, "OK\n"),
        "/ready": (200, TEXT, "LIVE\n")}, "POST")


FAULTS = {"filter=(&invert_filter": "Invalid re2 regex: missing ): (", "invert_filter": INVERTED,
          "histogram_buckets=x": BUCKETS, "type=x": "invalid &type= param",
          "hidden=x": "usage: /stats?hidden=(include|only|exclude)\n\n",
          "format=x": "usage: /stats?format=(html|active-html|json|prometheus|text)\n\n"}


@pytest.mark.parametrize("page", ["/stats", "/stats/prometheus"])
def test_of_several_faults_the_first_is_told(proxy, page):
    """In this order, whatever the query's."""
    faults = list(FAULTS)
    compare(proxy, {f"{page}?{later}&{faults[i]}": (400, TEXT, FAULTS[faults[i]])
                    for i in range(len(faults)) for later in faults[i:]})


@difference("A page has one name: what a filter before the admin port lets through by its path is this page "
            "and no other.",
            envoy="normalises paths first, and knows none of absolute targets",
            xylem="takes the path as it stands there, and that of an absolute target")
def test_paths_that_are_written_in_another_way(proxy, kind):
    got = [proxy.admin(path).status for path in
           ("/st%61ts", "/./stats", "/stats/../ready", "http://x/ready")]
    assert got == ([200, 200, 200, 404] if kind == "envoy" else [404, 404, 404, 200])


@difference("Whether any filter is discovered changes by itself: no filter is an answer.",
            envoy="404 for the resource ecds_filters while no filter is discovered",
            xylem="200 and an empty object")
def test_no_discovered_filters(proxy, kind):
    answer = proxy.admin("/config_dump?resource=ecds_filters")
    assert (answer.status, answer.text.strip()) == (200, "{}") if kind == "xylem" else \
        answer.status == 404


@difference("Whoever may run a profiler on the machine has better ones than pages could be.",
            envoy="writes profiles of its heap and allocations", xylem="501")
def test_profiles(proxy, kind):
    for page, method in (("/heap_dump", "GET"), ("/peak_heap_dump", "GET"),
                         ("/memory/tcmalloc", "GET"), ("/allocprofiler?enable=y", "POST")):
        answer = proxy.admin(page, method)
        assert answer.status == {"envoy": 200, "xylem": 501}[kind], page


@pytest.mark.parametrize("query, error", [
    ("=x", "error: unknown logger level"), ("=info", "error: unknown logger name"),
    ("=x&level=info", "error: invalid number of parameters"),
    ("=info&=debug", "error: unknown logger name"),
    ("level=loud", "error: unknown logger level"), ("nosuch=info", "error: unknown logger name"),
    ("http=warn", "error: unknown logger level"),
    ("level=info&http=info", "error: invalid number of parameters"),
    ("paths=http:foo", "error: unknown logger level"),
    ("paths=foo:info", "error: unknown logger name"),
    ("paths=foo", "error: empty logger name or empty logger level"),
    ("group=http:info", "error: group parameter requires fine-grain logging to be enabled")])
def test_refusals_of_logging(proxy, query, error):
    answer = proxy.admin("/logging?" + query, "POST")
    assert answer.status == 400
    assert answer.text.startswith(f"{error}\n\n{USAGE}")
    assert "  http: warning\n" in answer.text


@pytest.mark.parametrize("query", ["=", "a=&b=", "level=", "paths=,", "&&", "nosuch="])
def test_logging_without_a_value(proxy, query):
    answer = proxy.admin("/logging?" + query, "POST")
    assert (answer.status, answer.text[:17]) == (200, "active loggers:\n ")


def test_form_parameters(proxy):
    form = [("content-type", "application/x-www-form-urlencoded")]
    answer = proxy.admin("/logging", "POST", body=b"paths=http%3Aerror", headers=form)
    assert "  http: error\n" in answer.text
    answer = proxy.admin("/logging?http=info", "POST", body=b"http=off", headers=form)
    assert "  http: info\n" in answer.text


def test_help_is_the_same_text(proxy):
    answer = proxy.admin("/help")
    unknown = proxy.admin("/nosuch")
    assert (unknown.status, unknown.text) == (404, "invalid path. " + answer.text)
    assert proxy.admin("/ready/").status == 404
    commands = re.findall(r"^  (/[^ :]*)", answer.text, re.M)
    assert commands == sorted(commands)
    assert len(commands) == 33
    assert "      invert_filter: Invert the filter regex\n" in answer.text


def test_histograms_in_every_mode(proxy):
    proxy.get("/")
    proxy.get("/")
    name = "http.ingress.downstream_cx_length_ms"
    query = f"/stats?type=Histograms&filter=^{name}$&histogram_buckets="
    proxy.wait_stat("http.ingress.downstream_cx_destroy", 2)
    wait_for(lambda: "P50" in proxy.admin(query).text, 10, "the histogram to be merged")
    pair = r"\((nan|[\d.]+),[\d.]+\)"
    assert re.fullmatch(rf"{name}: P0{pair}( P[\d.]+{pair}){{9}}\n", proxy.admin(query).text)
    pair = r"\(\d,\d\)"
    for mode in ["cumulative", "disjoint"]:
        assert re.fullmatch(rf"{name}: B0.5{pair}( B[\d.e+]+{pair}){{18}}\n",
                            proxy.admin(query + mode).text)
        found = proxy.json(query + mode + "&format=json")["stats"][0]["histograms"]
        assert [h["name"] for h in found] == [name]
        assert list(found[0]["buckets"][0]) == ["upper_bound", "interval", "cumulative"]
    assert re.match(rf"{name}:\n  totals=[\d.,: ]+\n  intervals=[\d.,: ]*\n  summary=P0\(",
                    proxy.admin(query + "detailed").text)
    found = proxy.json(query + "detailed&format=json")["stats"][0]["histograms"]
    assert list(found) == ["supported_percentiles", "details"]
    assert list(found["details"][0]) == ["name", "totals", "intervals", "percentiles"]


def test_endpoints_are_printed_alike(proxy, origin):
    dump = proxy.config_dump("?include_eds&resource=static_endpoint_configs")
    entries = {e["endpoint_config"]["cluster_name"]: e["endpoint_config"] for e in dump}
    kind = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
    policy = {"overprovisioning_factor": 140}
    assert entries["empty"] == {"@type": kind, "cluster_name": "empty", "policy": policy}
    assert entries["one"] == {
        "@type": kind, "cluster_name": "one", "policy": policy, "endpoints": [{
            "locality": {}, "load_balancing_weight": 0, "lb_endpoints": [{
                "health_status": "HEALTHY", "load_balancing_weight": 1, "endpoint": {
                    "health_check_config": {}, "address": {"socket_address": {
                        "address": "127.0.0.1", "port_value": origin.port}}}}]}]}


def test_html(proxy):
    answer = proxy.admin("/stats?format=html&filter=server.live")
    assert answer.header("content-type") == "text/html; charset=UTF-8"
    assert "server.live" in answer.text


@difference("The admin pages have no authentication, and a browser carries requests of any site.",
            envoy="a page of another site can post to the admin server", xylem="403")
def test_a_browser_from_another_site_changes_nothing(proxy, kind):
    answer = proxy.admin("/logging?http=debug", "POST", headers=[("origin", "http://evil.test")])
    assert answer.status == (403 if kind == "xylem" else 200)
    levels = proxy.admin("/logging", "POST").text
    assert ("  http: warning\n" in levels) == (kind == "xylem")


@difference("A name that some site points at 127.0.0.1 makes a browser read the pages for it.",
            envoy="any name in Host is answered", xylem="403 to a browser, unless it names an address")
def test_a_name_that_points_here_reads_nothing(proxy, kind):
    answer = proxy.admin("/ready", headers=[("sec-fetch-site", "same-origin")])
    assert answer.status == (403 if kind == "xylem" else 200)
    assert proxy.admin("/ready").status == 200


def test_json_pages_are_json(proxy):
    for page in ["/server_info", "/config_dump", "/clusters?format=json", "/listeners?format=json",
                 "/memory", "/certs", "/runtime", "/init_dump", "/stats?format=json"]:
        answer = proxy.admin(page)
        assert answer.header("content-type") == JSON, page
        assert isinstance(json.loads(answer.body), dict), page
