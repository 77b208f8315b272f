"""What holds the whole process: connections in all, loops that do not come back, many rude peers."""
import subprocess
import threading

import pytest

from harness import Reply, config, difference
from harness.client import Client
from harness.proxy import binary, run_once
from harness.waiting import wait_for

MONITOR = "envoy.resource_monitors.global_downstream_max_connections"
MONITOR_TYPE = "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections." \
               "v3.DownstreamConnectionsConfig"
ABORT_TYPE = "type.googleapis.com/envoy.watchdog.v3.AbortActionConfig"
PROFILE_TYPE = "type.googleapis.com/envoy.extensions.watchdog.profile_action.v3." \
               "ProfileActionConfig"


def limited(most, listeners=1, **fields):
    made = [config.http_listener(f"in{i}", stat_prefix=f"in{i}", routes=[config.direct(200, "ok")])
            for i in range(listeners)]
    return config.bootstrap(made, overload_manager={"resource_monitors": [
        {"name": MONITOR, "typed_config": {"@type": MONITOR_TYPE,
                                           "max_active_downstream_connections": most}}]}, **fields)


def turned_away(port):
    """A connection that is closed without an answer."""
    with Client(port) as client:
        try:
            client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        except OSError:
            return True
        return client.rest() == b""


def admitted(port):
    with Client(port) as client:
        return served(client)


def served(client, path="/"):
    assert client.get(path).body == b"ok"
    return client


def test_connections_of_all_listeners(start, closing):
    """Three in all, whichever listener they came by; one that leaves makes room; admin is free."""
    proxy = start(limited(3, listeners=2))
    ports = [proxy.port("in0"), proxy.port("in1")]
    held = [served(closing(Client(ports[i % 2]))) for i in range(3)]
    for i in range(4):
        assert turned_away(ports[i % 2])
    for client in held:
        served(client)
    stats = proxy.stats("downstream_global_cx_overflow")
    assert sum(stats.matching(r"^listener\.127.*global_cx_overflow").values()) == 4
    held.pop().close()
    wait_for(lambda: admitted(ports[0]), what="room for one more")
    for client in held:
        served(client)


def test_connections_by_the_runtime(start, closing):
    """The key that came before the monitor."""
    boot = config.bootstrap(
        [config.http_listener(routes=[config.direct(200, "ok")])],
        layered_runtime={"layers": [{"name": "static", "static_layer": {
            "overload.global_downstream_max_connections": 2}}]})
    proxy = start(boot)
    port = proxy.port()
    held = [wait_for(lambda: served(closing(Client(port))), what="room: those of admin count too")
            for _ in range(2)]
    assert turned_away(port)
    held.pop().close()
    wait_for(lambda: admitted(port), what="room for one more")


def test_listeners_that_may_pass_the_limit(start, closing):
    """ignore_global_conn_limit: a door for the operator."""
    boot = limited(1)
    boot["static_resources"]["listeners"].append(config.http_listener(
        "open", stat_prefix="open", routes=[config.direct(200, "ok")],
        listener={"ignore_global_conn_limit": True}))
    proxy = start(boot)
    served(closing(proxy.client("in0")))
    assert turned_away(proxy.port("in0"))
    for _ in range(3):
        served(closing(proxy.client("open")))


def test_a_flood_of_connections(start, closing):
    """Hundreds that say nothing: the limit holds, those inside are served, memory is bounded."""
    proxy = start(limited(40), concurrency=2)
    port = proxy.port("in0")
    inside = [served(closing(Client(port))) for _ in range(40)]
    before = proxy.memory_kib()
    for _ in range(300):
        closing(Client(port))
    proxy.wait_stat("http.in0.downstream_cx_active", 40)
    wait_for(lambda: sum(proxy.stats("global_cx_overflow").values.values()) >= 300,
             what="300 that were turned away")
    for client in inside:
        served(client)
    assert proxy.stat("http.in0.downstream_cx_total") == 40
    assert proxy.grown_kib(before) < 4096


def test_peers_that_stall(start, closing):
    """A hundred heads and bodies that never end cost a hundred connections and nobody's answer."""
    proxy = start(config.bootstrap([config.http_listener(
        routes=[config.direct(200, "ok")], request_headers_timeout="0.3s", request_timeout="0.6s",
        stream_idle_timeout="0.6s")]))
    port = proxy.port()
    heads, bodies = [closing(Client(port)) for _ in range(50)], [closing(Client(port))
                                                               for _ in range(50)]
    for client in heads:
        client.send("GET / HTTP/1.1\r\nhost")
    for client in bodies:
        client.send("GET / HTTP/1.1\r\nhost: a\r\nx: " + "y" * 1000 + "\r\n")
    with Client(port) as other:
        for _ in range(20):
            served(other)
    for client in heads + bodies:
        assert client.response().status == 408
    proxy.wait_stat("http.ingress.downstream_rq_header_timeout", 100)
    proxy.wait_stat("http.ingress.downstream_cx_active", 0)


def test_readers_that_stall(start, closing, origin):
    """Answers that nobody reads are not collected: their origins wait. Others are served, and who
    reads at last gets all of it."""
    big, limit = b"0123456789abcdef" * (1 << 20), 32768
    origin.on["/big"] = Reply(body=big)
    proxy = start(config.bootstrap(
        [config.http_listener(routes=[config.direct(200, "ok", prefix="/ok"),
                                      config.route("/", to="origin")],
                              listener={"per_connection_buffer_limit_bytes": limit})],
        [config.cluster("origin", origin, per_connection_buffer_limit_bytes=limit)]))
    port = proxy.port()
    served(closing(Client(port)), "/ok")
    before = proxy.memory_kib()
    slow = [closing(Client(port)) for _ in range(8)]
    for client in slow:
        client.write_request("GET", "/big")
    proxy.wait_stat("http.ingress.downstream_rq_active", lambda n: n >= len(slow))
    with Client(port) as other:
        for _ in range(50):
            served(other, "/ok")
    assert proxy.grown_kib(before) < 4096 + len(slow) * 6 * limit // 1024
    for client in slow:
        answer = client.response()
        assert (answer.status, answer.body == big) == (200, True)


@difference("Envoy closes the connection of who sends so many requests ahead of the answers; Xylem "
            "lets them wait")
def test_a_flood_of_requests(start, closing, kind):
    """Thousands of small requests at once on each of some connections, whose answers are not read:
    no more is taken than the buffers allow, others are served, and all are answered in the end."""
    proxy = start(config.bootstrap([config.http_listener(
        routes=[config.direct(200, "ok")],
        listener={"per_connection_buffer_limit_bytes": 32768})]))
    port = proxy.port()
    served(closing(Client(port)))
    before = proxy.memory_kib()
    floods, n = [closing(Client(port)) for _ in range(8)], 2500
    writers = [threading.Thread(target=flood, args=(client, n)) for client in floods]
    for writer in writers:
        writer.start()
    with Client(port) as other:
        for _ in range(50):
            served(other)
    if kind == "xylem":
        for client in floods:
            for _ in range(n):
                assert client.response().body == b"ok"
    else:
        proxy.wait_stat("http1.response_flood", len(floods))
    assert proxy.grown_kib(before) < 8192 + len(floods) * 128
    for writer in writers:
        writer.join()
    with Client(port) as other:
        served(other)


def flood(client, n):
    try:
        client.sock.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n" * n)
    except OSError:
        pass    # who closes does not read


def test_ten_thousand_that_say_nothing(kind, start, closing, request):
    """As many idle connections as the limit allows cost little, and nobody else his answer."""
    count = 8000 if request.config.getoption("--scale") > 1000 else 2000
    proxy = start(limited(count + 10))
    port = proxy.port("in0")
    served(closing(Client(port)))
    before = proxy.memory_kib()
    idle = [served(closing(Client(port))) for _ in range(count)]
    with Client(port) as other:
        for _ in range(50):
            served(other)
    each = proxy.grown_kib(before) / count
    assert each < {"xylem": 4, "envoy": 40}[kind], f"{each} KiB a connection"
    assert proxy.stat("http.in0.downstream_cx_active") >= count
    for client in idle:
        client.close()
    proxy.wait_stat("http.in0.downstream_cx_active", lambda n: n <= 1)
    with Client(port) as other:
        served(other)


def test_watchdogs(start):
    """Both groups count under their names from the start on."""
    proxy = start(config.bootstrap(watchdogs={
        "main_thread_watchdog": {"miss_timeout": "5s", "megamiss_timeout": "6s"},
        "worker_watchdog": {"kill_timeout": "30s", "max_kill_timeout_jitter": "1s",
                            "multikill_timeout": "20s", "multikill_threshold": {"value": 50},
                            "actions": [{"event": "KILL", "config": {
                                "name": "envoy.watchdog.abort_action",
                                "typed_config": {"@type": ABORT_TYPE}}}]}}), concurrency=2)
    stats = proxy.stats("watchdog")
    for name in ["main_thread", "workers", "server.main_thread", "server.worker_0",
                 "server.worker_1"]:
        assert stats[f"{name}.watchdog_miss"] == 0
        assert stats[f"{name}.watchdog_mega_miss"] == 0


@difference("An action of a watchdog that would write a profile is not implemented.",
            envoy="has profile_action", xylem="has abort_action alone and refuses others by name")
def test_watchdog_actions(kind, tmp_path):
    """An action that is not there is refused by name."""
    boot = tmp_path / "boot.yaml"
    boot.write_text("""
watchdogs: {worker_watchdog: {actions: [{event: MISS, config: {name: some.action,
  typed_config: {"@type": "%s", profile_path: /tmp}}}]}}
""" % PROFILE_TYPE)
    code, _, err = run_once(kind, ["-c", str(boot), "--mode", "validate"], tmp_path)
    if kind == "xylem":
        assert code == 1
        assert "Didn't find a registered implementation for 'some.action'" in err


@pytest.mark.parametrize("action", ["{}", "{event: KILL}"])
def test_watchdog_action_without_a_config(kind, tmp_path, action):
    """There is nothing to make it of."""
    boot = tmp_path / "boot.yaml"
    boot.write_text(f"watchdogs: {{main_thread_watchdog: {{actions: [{action}]}}}}\n")
    code, _, err = run_once(kind, ["-c", str(boot), "--concurrency", "1"], tmp_path)
    assert code == 1
    assert "Didn't find a registered implementation for '" in err


def test_both_kinds_of_watchdog(kind, tmp_path):
    """The old field and the new one exclude each other."""
    boot = tmp_path / "boot.yaml"
    boot.write_text("watchdog: {miss_timeout: 1s}\nwatchdogs: {worker_watchdog: {}}\n")
    ran = subprocess.run([str(binary(kind)), "-c", str(boot), "--concurrency", "1"], cwd=tmp_path,
                         capture_output=True, text=True, timeout=20, check=False,
                         stdin=subprocess.DEVNULL)
    assert ran.returncode == 1
    assert "Only one of watchdog or watchdogs should be set!" in ran.stderr
