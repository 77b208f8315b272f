"""Admin pages: status, listeners, clusters, logging, help, methods."""
import json
import re
import socket

import pytest

from harness import (Client, bootstrap, cluster, difference, direct, endpoint, http_listener, route,
                     wait_for)


@pytest.fixture
def proxy(start, origin):
    return start(bootstrap([http_listener(routes=[route("/", "one")])],
                           [cluster("one", origin), cluster("empty")],
                           node={"id": "node-1", "cluster": "front"}))


def test_ready(proxy):
    answer = proxy.admin("/ready")
    assert (answer.status, answer.text) == (200, "LIVE\n")
    assert answer.header("content-type") == "text/plain; charset=UTF-8"
    assert answer.header("cache-control") == "no-cache, max-age=0"
    assert answer.header("x-content-type-options") == "nosniff"


def test_server_info(proxy):
    answer = proxy.admin("/server_info")
    assert answer.header("content-type") == "application/json"
    info = json.loads(answer.body)
    assert info["state"] == "LIVE"
    assert re.fullmatch(r"[0-9a-f]+/\d+\.\d+\.\d+(-dev)?/\w+/\w+/\w+", info["version"])
    assert re.fullmatch(r"\d+s", info["uptime_current_epoch"])
    assert re.fullmatch(r"\d+s", info["uptime_all_epochs"])
    assert info["node"]["id"] == "node-1"
    assert info["node"]["cluster"] == "front"
    options = info["command_line_options"]
    assert options["concurrency"] == 1
    assert options["config_path"].endswith("bootstrap.yaml")
    assert (options["mode"], options["drain_time"]) == ("Serve", "600s")
    assert options["base_id"] == "0"
    assert options["disable_hot_restart"] is True


def test_listeners_text_and_json(proxy):
    port = proxy.port()
    assert proxy.admin("/listeners").text == f"ingress::127.0.0.1:{port}\n"
    assert proxy.json("/listeners?format=json") == {"listener_statuses": [{
        "name": "ingress", "local_address": {
            "socket_address": {"address": "127.0.0.1", "port_value": port}}}]}


def test_clusters_text(proxy, origin):
    proxy.get("/")
    text = proxy.admin("/clusters").text
    host = f"one::127.0.0.1:{origin.port}::"
    for line in ["one::observability_name::one", "one::default_priority::max_connections::1024",
                 "one::high_priority::max_requests::1024", "one::added_via_api::false",
                 host + "cx_active::1", host + "cx_connect_fail::0", host + "cx_total::1",
                 host + "rq_active::0", host + "rq_error::0", host + "rq_success::1",
                 host + "rq_timeout::0", host + "rq_total::1", host + "hostname::",
                 host + "health_flags::healthy", host + "weight::1", host + "region::",
                 host + "zone::", host + "sub_zone::", host + "canary::false",
                 host + "priority::0", host + "success_rate::-1",
                 host + "local_origin_success_rate::-1", "empty::added_via_api::false"]:
        assert line + "\n" in text, line


def test_clusters_json(proxy, origin):
    proxy.get("/")
    statuses = {s["name"]: s for s in proxy.json("/clusters?format=json")["cluster_statuses"]}
    assert set(statuses) == {"one", "empty"}
    one = statuses["one"]
    assert one["observability_name"] == "one"
    assert "added_via_api" not in one
    assert {t["max_connections"] for t in one["circuit_breakers"]["thresholds"]} == {1024}
    host, = one["host_statuses"]
    assert host["address"] == {"socket_address": {"address": "127.0.0.1",
                                                  "port_value": origin.port}}
    assert host["health_status"] == {"eds_health_status": "HEALTHY"}
    assert (host["weight"], host["locality"]) == (1, {})
    stats = {s["name"]: s for s in host["stats"]}
    assert stats["rq_total"] == {"name": "rq_total", "value": "1"}
    assert stats["cx_active"] == {"name": "cx_active", "value": "1", "type": "GAUGE"}
    assert stats["rq_error"] == {"name": "rq_error"}


def test_clusters_show_declared_health(start, origins):
    a, b = origins("a", "b")
    proxy = start(bootstrap([], [cluster("one", endpoint(a, health_status="UNHEALTHY"),
                                         endpoint(b, health_status="DEGRADED"))]))
    text = proxy.admin("/clusters").text
    assert f"one::127.0.0.1:{a.port}::health_flags::/failed_eds_health\n" in text
    assert f"one::127.0.0.1:{b.port}::health_flags::/degraded_eds_health\n" in text
    status, = proxy.json("/clusters?format=json")["cluster_statuses"]
    assert [h["health_status"]["eds_health_status"] for h in status["host_statuses"]] == [
        "UNHEALTHY", "DEGRADED"]


def test_logging_lists_and_sets(proxy):
    answer = proxy.admin("/logging", "POST")
    assert answer.status == 200
    assert answer.text.startswith("active loggers:\n")
    assert "  http: warning\n" in answer.text
    assert "  http: debug\n" in proxy.admin("/logging?level=debug", "POST").text
    text = proxy.admin("/logging?http=error", "POST").text
    assert "  http: error\n" in text and "  config: debug\n" in text
    text = proxy.admin("/logging?paths=http:info,config:off", "POST").text
    assert "  http: info\n" in text and "  config: off\n" in text


@pytest.mark.parametrize("query", ["?level=loud", "?nosuch=info", "?level=info&http=info"])
def test_logging_refuses(proxy, query):
    answer = proxy.admin("/logging" + query, "POST")
    assert answer.status == 400
    assert answer.text


def test_help_names_every_page(proxy):
    answer = proxy.admin("/help")
    assert answer.status == 200
    assert answer.text.startswith("admin commands are:\n")
    for page in ["/clusters", "/config_dump", "/help", "/listeners", "/ready", "/server_info",
                 "/stats", "/stats/prometheus"]:
        assert re.search(rf"^  {page}(: |\n)", answer.text, re.M), page
    for page in ["/logging", "/quitquitquit"]:
        assert re.search(rf"^  {page} \(POST\): ", answer.text, re.M), page


def test_unknown_page_is_404_with_the_help(proxy):
    answer = proxy.admin("/nosuch")
    assert answer.status == 404
    assert answer.text.startswith("invalid path. admin commands are:\n")


@pytest.mark.parametrize("page", ["/quitquitquit", "/logging?level=debug", "/reset_counters"])
def test_wrong_method_is_405_and_does_nothing(proxy, page):
    answer = proxy.admin(page)
    assert (answer.status, answer.text) == (405, "Method GET not allowed, POST required.")
    assert proxy.running()


def test_quitquitquit_ends_with_0(proxy):
    try:
        answer = proxy.admin("/quitquitquit", "POST")
        assert (answer.status, answer.text) == (200, "OK\n")
    except AssertionError as error:
        assert "closed" in str(error)
    assert proxy.wait_exit() == 0


def test_reset_counters(proxy):
    proxy.get("/")
    assert proxy.stat("http.ingress.downstream_rq_total") == 1
    assert proxy.admin("/reset_counters", "POST").text == "OK\n"
    assert proxy.stat("http.ingress.downstream_rq_total") == 0


def test_double_slashes_are_merged(proxy):
    assert proxy.admin("//ready").text == "LIVE\n"
    assert proxy.admin("//stats?filter=^server.live$").text == "server.live: 1\n"


def test_raw_regex_characters_in_the_target(proxy):
    answer = proxy.admin(r"/stats?usedonly&filter=^(server\.state|listener_manager"
                         r"\.workers_started)")
    assert answer.text == "listener_manager.workers_started: 1\nserver.state: 0\n"


def test_admin_keeps_connections_alive(proxy):
    with Client(proxy.admin_target) as client:
        assert [client.get("/ready").text for _ in range(3)] == ["LIVE\n"] * 3


@difference("A body after the answer to HEAD is read as the next answer (RFC 9110 9.3.2).",
            envoy="the admin server sends the page's body to HEAD", xylem="headers alone")
def test_admin_head_has_no_body(proxy, kind):
    with Client(proxy.admin_target) as client:
        assert client.request("HEAD", "/ready").status == 200
        if kind == "xylem":
            assert client.get("/ready").text == "LIVE\n"


def test_admin_on_a_unix_socket(start, tmp_path):
    path = tmp_path / "admin.sock"
    proxy = start(bootstrap([http_listener(routes=[direct(200)])], admin={
        "address": {"pipe": {"path": str(path)}}}), ready=False)
    wait_for(lambda: Client(str(path)).get("/ready").text == "LIVE\n", what="admin on the socket")
    assert proxy.admin_file.read_text() == str(path)


@pytest.mark.parametrize("mode", [0o600, 0o777])
def test_who_may_use_the_admin_socket(start, tmp_path, mode):
    path = tmp_path / "admin.sock"
    start(bootstrap(admin={"address": {"pipe": {"path": str(path), "mode": mode}}}), ready=False)
    wait_for(lambda: path.stat().st_mode & 0o777 == mode, what="the mode of the socket")


def test_admin_through_the_data_plane(start):
    """The pages can be reached through a listener whose cluster is the admin port itself."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "admin")])], [cluster("admin", port)],
        admin={"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}))
    assert proxy.get("/ready").text == "LIVE\n"
    assert "envoy_server_live" in proxy.get("/stats/prometheus").text


def test_healthcheck_fail_and_ok(proxy):
    assert proxy.admin("/healthcheck/fail", "POST").text == "OK\n"
    assert proxy.admin("/ready").status == 503
    assert proxy.admin("/ready").text == "DRAINING\n"
    assert proxy.admin("/healthcheck/ok", "POST").text == "OK\n"
    assert proxy.admin("/ready").text == "LIVE\n"
