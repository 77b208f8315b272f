"""Statistics: names, text, JSON, filters, Prometheus."""
import json
import re

import pytest

from harness import bootstrap, cluster, direct, http_listener, route, wait_for


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
