"""Statistics: names, text, JSON, filters, Prometheus."""
import json
import re

import pytest

from harness import Reply, bootstrap, cluster, difference, direct, http_listener, route, wait_for


@pytest.fixture
def proxy(start, origin):
    return start(bootstrap([http_listener(routes=[
        direct(404, prefix="/missing"), route("/", "one")])], [cluster("one", origin)],
        stats_flush_interval="0.1s"))


def test_counts_of_one_request(proxy):
    proxy.request("POST", "/", body=b"12345")
    proxy.get("/missing")
    stats = proxy.stats()
    expected = {
        "http.ingress.downstream_cx_total": 2, "http.ingress.downstream_rq_total": 2,
        "http.ingress.downstream_rq_2xx": 1, "http.ingress.downstream_rq_4xx": 1,
        "http.ingress.downstream_rq_5xx": 0, "http.ingress.downstream_rq_completed": 2,
        "http.ingress.downstream_rq_http1_total": 2, "http.ingress.downstream_cx_http1_total": 2,
        "http.ingress.rq_direct_response": 1, "http.ingress.rq_total": 2,
        "cluster.one.upstream_cx_total": 1, "cluster.one.upstream_cx_active": 1,
        "cluster.one.upstream_cx_http1_total": 1, "cluster.one.upstream_rq_total": 1,
        "cluster.one.upstream_rq_completed": 1, "cluster.one.upstream_rq_200": 1,
        "cluster.one.upstream_rq_2xx": 1, "cluster.one.upstream_rq_active": 0,
        "cluster.one.upstream_rq_pending_total": 1, "cluster.one.external.upstream_rq_200": 1,
        "cluster.one.external.upstream_rq_2xx": 1, "cluster.one.membership_total": 1,
        "cluster_manager.active_clusters": 1, "cluster_manager.cluster_added": 1,
        "listener_manager.total_listeners_active": 1, "listener_manager.workers_started": 1,
        "listener_manager.listener_create_success": 1, "server.live": 1, "server.state": 0,
        "server.concurrency": 1,
    }
    seen = {name: stats.get(name, None) for name in expected}
    assert seen == expected


@pytest.mark.parametrize("status", [600, 999])
def test_a_status_that_is_none_of_http(proxy, origin, status):
    """No error of the host, and of no class."""
    origin.reply = Reply(status)
    with proxy.client() as client:
        client.write_request()
        proxy.wait_stat("cluster.one.upstream_rq_unknown", 1)
    counts = r"^cluster\.one\.(external\.)?upstream_rq_(\dxx|\d{3}|unknown|completed)$"
    assert proxy.stats().matching(counts) == {
        "cluster.one.upstream_rq_completed": 1, "cluster.one.external.upstream_rq_completed": 1,
        "cluster.one.upstream_rq_unknown": 1, "cluster.one.external.upstream_rq_unknown": 1}
    clusters = proxy.admin("/clusters").text
    assert "::rq_error::0\n" in clusters and "::rq_success::1\n" in clusters
    assert "envoy_cluster_upstream_rq_unknown{" in proxy.admin("/stats/prometheus").text


def test_bytes_are_counted(proxy):
    proxy.request("POST", "/", body=b"x" * 1000)
    proxy.wait_stat("http.ingress.downstream_cx_destroy", 1)
    stats = proxy.stats()
    assert stats["http.ingress.downstream_cx_rx_bytes_total"] > 1000
    assert stats["cluster.one.upstream_cx_tx_bytes_total"] > 1000
    assert stats["cluster.one.upstream_cx_rx_bytes_total"] > 6


def test_text_is_sorted_and_ends_with_histograms(proxy):
    proxy.get("/")
    lines = proxy.admin("/stats").text.splitlines()
    plain = [line for line in lines if re.fullmatch(r"[^:]+: \d+", line)]
    names = [line.rpartition(": ")[0] for line in plain]
    assert names == sorted(names)
    rest = [line for line in lines if line not in set(plain)]
    assert all(re.match(r'\S+: ("|P0\(|No recorded values)', line) for line in rest), rest[:3]


def test_histogram_text(proxy):
    proxy.get("/")

    def line():
        text = proxy.admin("/stats?filter=^http.ingress.downstream_rq_time$").text
        return text if "P50" in text else None
    text = wait_for(line, 10, "the histogram's interval to end")
    assert re.match(r"http\.ingress\.downstream_rq_time: P0\(\S+,\S+\) P25\(\S+,\S+\) "
                    r"P50\(\S+,\S+\) P75\(\S+,\S+\) P90\(\S+,\S+\) P95\(\S+,\S+\) "
                    r"P99\(\S+,\S+\) P99\.5\(\S+,\S+\) P99\.9\(\S+,\S+\) P100\(\S+,\S+\)\n", text)


def test_filter(proxy):
    assert proxy.admin("/stats?filter=^server.live$").text == "server.live: 1\n"
    text = proxy.admin("/stats?filter=upstream_cx_(total|active)$").text
    assert text == "cluster.one.upstream_cx_active: 0\ncluster.one.upstream_cx_total: 0\n"
    assert proxy.admin("/stats?filter=nosuchname").text == ""


def test_bad_filter_is_400(proxy):
    answer = proxy.admin("/stats?filter=(")
    assert answer.status == 400
    assert "Invalid re2 regex" in answer.text


def test_usedonly_means_written(proxy):
    text = proxy.admin("/stats?usedonly").text
    assert "server.state: 0\n" in text
    assert "cluster.one.upstream_rq_total" not in text
    proxy.get("/")
    text = proxy.admin("/stats?usedonly").text
    assert "cluster.one.upstream_rq_total: 1\n" in text
    assert "cluster.one.upstream_rq_timeout" not in text


def test_type_chooses(proxy):
    text = proxy.admin("/stats?type=Gauges").text
    assert "server.live: 1\n" in text
    assert "downstream_rq_total" not in text
    assert "downstream_rq_total: 0\n" in proxy.admin("/stats?type=Counters").text


def test_json(proxy):
    proxy.get("/")
    answer = proxy.admin("/stats?format=json&filter=downstream_rq_total$")
    assert answer.header("content-type") == "application/json"
    stats = json.loads(answer.body)["stats"]
    assert {"name": "http.ingress.downstream_rq_total", "value": 1} in stats


def test_json_histograms(proxy):
    proxy.get("/")
    stats = proxy.json("/stats?format=json&filter=downstream_rq_time$")["stats"]
    histograms = next(s["histograms"] for s in stats if "histograms" in s)
    assert histograms["supported_quantiles"] == [0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100]
    computed = {h["name"]: h["values"] for h in histograms["computed_quantiles"]}
    assert len(computed["http.ingress.downstream_rq_time"]) == 10


def test_tags_of_the_command_line(start):
    """They come first, and of one name the first counts."""
    tags = ["zone:eu", "a:b:c", "a:second"]
    proxy = start(bootstrap(stats_config={"stats_tags": [
        {"tag_name": "zone", "fixed_value": "us"}, {"tag_name": "last", "fixed_value": "x"}]}),
        args=[word for tag in tags for word in ("--stats-tag", tag)])
    assert 'envoy_server_live{zone="eu",a="b:c",last="x"} 1\n' in proxy.admin(
        "/stats/prometheus").text
    told = proxy.admin("/server_info").text
    assert json.loads(told)["command_line_options"]["stats_tag"] == tags
    assert '"stats_tag": [\n   "zone:eu",\n   "a:b:c",\n   "a:second"\n  ],\n' in told


@pytest.mark.parametrize("path", ["/stats/prometheus", "/stats?format=prometheus"])
def test_prometheus(proxy, path):
    proxy.get("/")
    answer = proxy.admin(path)
    assert answer.header("content-type") == "text/plain; charset=UTF-8"
    text = answer.text
    for line in [
            "# TYPE envoy_server_live gauge\nenvoy_server_live{} 1\n",
            'envoy_http_downstream_rq_total{envoy_http_conn_manager_prefix="ingress"} 1\n',
            'envoy_http_downstream_rq_xx{envoy_response_code_class="2",'
            'envoy_http_conn_manager_prefix="ingress"} 1\n',
            'envoy_cluster_upstream_rq{envoy_response_code="200",envoy_cluster_name="one"} 1\n',
            'envoy_cluster_upstream_cx_total{envoy_cluster_name="one"} 1\n',
            "# TYPE envoy_cluster_upstream_cx_total counter\n",
            "# TYPE envoy_http_downstream_rq_time histogram\n"]:
        assert line in text, line
    assert "# HELP" not in text
    assert text.count("# TYPE envoy_cluster_upstream_rq_xx ") == 1


def test_prometheus_histogram_buckets(proxy):
    proxy.get("/")
    pattern = (r'envoy_http_downstream_rq_time_bucket\{envoy_http_conn_manager_prefix="ingress",'
               r'le="([^"]+)"\} (\d+)\n')

    def buckets():
        found = re.findall(pattern, proxy.admin("/stats/prometheus").text)
        return found if found and found[-1][1] == "1" else None
    found = wait_for(buckets, 10, "the histogram to be merged")
    assert [le for le, _ in found] == [
        "0.5", "1", "5", "10", "25", "50", "100", "250", "500", "1000", "2500", "5000", "10000",
        "30000", "60000", "300000", "600000", "1800000", "3600000", "+Inf"]
    text = proxy.admin("/stats/prometheus?filter=downstream_rq_time").text
    assert 'downstream_rq_time_count{envoy_http_conn_manager_prefix="ingress"} 1\n' in text


def test_listener_statistics_carry_the_address(proxy):
    proxy.get("/")
    names = proxy.stats(r"^listener\.127").values
    assert names["listener.127.0.0.1_0.downstream_cx_total"] == 1
    assert names["listener.127.0.0.1_0.http.ingress.downstream_rq_2xx"] == 1


def test_stat_prefix_and_alt_stat_name(start, origin):
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one")], stat_prefix="front.door")],
        [cluster("one", origin, alt_stat_name="other:name")]))
    proxy.get("/")
    stats = proxy.stats()
    assert stats["http.front.door.downstream_rq_total"] == 1
    assert stats["cluster.other_name.upstream_rq_total"] == 1
    text = proxy.admin("/clusters").text
    assert "one::observability_name::other:name\n" in text


def configured(start, origin, **stats_config):
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")])], [cluster("one", origin)],
                            stats_flush_interval="0.1s", stats_config=stats_config))
    proxy.get("/")
    return proxy


def names(proxy):
    return {line.partition(": ")[0] for line in proxy.admin("/stats").text.splitlines()}


def test_inclusion_list(start, origin):
    proxy = configured(start, origin, stats_matcher={"inclusion_list": {"patterns": [
        {"prefix": "cluster.one.membership"}, {"suffix": ".rq_total"}, {"exact": "server.live"},
        {"safe_regex": {"regex": r"http\..*\.downstream_rq_2xx"}},
        {"contains": "LISTENERS_WARMING", "ignore_case": True}, {"suffix": "rq_time"}]}})
    assert names(proxy) == {
        "cluster.one.membership_change", "cluster.one.membership_degraded",
        "cluster.one.membership_excluded", "cluster.one.membership_healthy",
        "cluster.one.membership_total", "http.async-client.rq_total", "http.ingress.rq_total",
        "http.admin.downstream_rq_2xx", "http.ingress.downstream_rq_2xx", "server.live",
        "listener_manager.total_listeners_warming",
        "cluster.one.upstream_rq_time", "cluster.one.external.upstream_rq_time",
        "http.admin.downstream_rq_time", "http.ingress.downstream_rq_time"}
    families = re.findall("^# TYPE (\\S+)", proxy.admin("/stats/prometheus").text, re.M)
    assert "envoy_server_live" in families and "envoy_server_state" not in families


def test_exclusion_list(start, origin):
    proxy = configured(start, origin, stats_matcher={"exclusion_list": {"patterns": [
        {"prefix": "cluster."}, {"prefix": "http."}]}})
    assert not [n for n in names(proxy) if n.startswith(("cluster.", "http."))]
    assert {"cluster_manager.active_clusters", "server.live"} <= names(proxy)


@pytest.mark.parametrize("reject", [True, False])
def test_reject_all(start, origin, reject):
    proxy = configured(start, origin, stats_matcher={"reject_all": reject})
    assert bool(names(proxy)) != reject
    assert bool(proxy.admin("/stats/prometheus").text) != reject


def test_histogram_bucket_settings(start, origin):
    proxy = configured(start, origin, histogram_bucket_settings=[
        {"match": {"prefix": "cluster.one.upstream_cx"}, "buckets": [1, 100.5, 7]},
        {"match": {"suffix": "rq_time"}, "buckets": [3]}])
    text = proxy.admin("/stats/prometheus?filter=^(cluster|http)").text

    def bounds(family):
        return re.findall(family + r'_bucket\{.*,le="([^"]+)"\}', text)

    assert bounds("envoy_cluster_upstream_cx_connect_ms") == ["1", "7", "100.5", "+Inf"]
    assert bounds("envoy_cluster_upstream_rq_time") == ["3", "+Inf"]
    assert len(bounds("envoy_cluster_upstream_rq_per_cx")) == 20
    query = "/stats?filter=one.upstream_cx_connect_ms&histogram_buckets=cumulative"
    wait_for(lambda: re.fullmatch(r"cluster\.one\.upstream_cx_connect_ms: B1\(\d,1\) "
                                  r"B7\(\d,1\) B100.5\(\d,1\)\n", proxy.admin(query).text),
             10, "the histogram with its own bounds")


def test_a_tag_of_the_name_of_a_default_one(start, origin):
    """The default comes first; what the own rule would find is not taken."""
    proxy = configured(start, origin, stats_tags=[
        {"tag_name": "envoy.cluster_name", "regex": r"^cluster\.((on)e\.)"},
        {"tag_name": "own", "regex": r"^cluster\.((o)ne\.)"}])
    text = proxy.admin("/stats/prometheus?filter=^cluster.one.upstream_cx_total").text
    assert 'envoy_cluster_upstream_cx_total{envoy_cluster_name="one",own="o"} 1\n' in text


@pytest.mark.parametrize("config", [
    {"stats_matcher": {"inclusion_list": {"patterns": [{"safe_regex": {"regex": "("}}]}}},
    {"histogram_bucket_settings": [{"buckets": [1]}]},
    {"stats_matcher": {}}])
def test_broken_stats_config_is_refused(start, config):
    with pytest.raises(RuntimeError, match="ended with 1"):
        start(bootstrap([http_listener(routes=[direct(200)])], [], stats_config=config))


def test_buckets_count_as_envoy_counts(start, origin):
    """A histogram of known values: how many requests a connection carried."""
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")])], [cluster("one", origin)],
                            stats_flush_interval="0.1s"))
    sizes = [1, 1, 2, 4, 5, 6, 9, 10, 11, 24, 25, 26, 49, 50, 51]
    with proxy.client() as client:
        for size in sizes:
            for i in range(size):
                origin.reply = Reply(close=i == size - 1)
                assert client.get("/").status == 200
            proxy.wait_stat("cluster.one.upstream_cx_active", 0)
    query = "?filter=upstream_rq_per_cx"
    wait_for(lambda: f"}} {len(sizes)}\n" in proxy.admin("/stats/prometheus" + query).text, 10,
             "the histogram to be merged")
    counts = re.findall(r'le="([^"]+)"\} (\d+)', proxy.admin("/stats/prometheus" + query).text)
    assert dict(counts[:8]) == {"0.5": "0", "1": "2", "5": "5", "10": "8", "25": "11", "50": "14",
                                "100": "15", "250": "15"}
    text = proxy.admin("/stats" + query + "&histogram_buckets=detailed").text
    assert ("totals=1,0.1:2, 2,0.1:1, 4,0.1:1, 5,0.1:1, 6,0.1:1, 9,0.1:1, 10,1:1, 11,1:1, 24,1:1, "
            "25,1:1, 26,1:1, 49,1:1, 50,1:1, 51,1:1\n") in text


@difference("The sum of what was recorded is known exactly: averages come out right.",
            envoy="adds up the middles of the histogram's steps", xylem="the exact sum")
def test_sum_of_a_histogram(start, origin, kind):
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")])], [cluster("one", origin)],
                            stats_flush_interval="0.1s"))
    origin.reply = Reply(close=True)
    proxy.get("/")

    def total():
        text = proxy.admin("/stats/prometheus?filter=upstream_rq_per_cx").text
        found = re.search(r"_sum\{.*\} (\S+)\n.*_count\{.*\} 1\n", text)
        return found and float(found.group(1))
    assert (wait_for(total, 10, "the histogram to be merged") == 1) == (kind == "xylem")
