"""The command line and the bootstrap: what is read, merged, validated and refused."""
import json
import os
import re
import resource
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from harness import (Client, Proxy, bootstrap, cluster, difference, direct, http_listener, route,
                     wait_for)
from harness.config import socket_address
from harness.proxy import binary, run_once


def validate(kind, tmp_path, config, *args, name="bootstrap.yaml"):
    """Run --mode validate: (exit code, everything it printed)."""
    path = tmp_path / name
    path.write_text(config if isinstance(config, str) else json.dumps(config))
    code, out, err = run_once(kind, ["-c", str(path), "--mode", "validate", *args], tmp_path)
    return code, out + err


GOOD = bootstrap([http_listener(routes=[direct(200, "ok")])])


def test_mode_validate_ok(kind, tmp_path):
    code, text = validate(kind, tmp_path, GOOD)
    assert code == 0
    assert "OK" in text
    assert "bootstrap.yaml" in text


def begin(kind, tmp_path, stderr):
    """A process of its own, and the file that says where its admin interface is."""
    path, admin = tmp_path / "bootstrap.json", tmp_path / "admin"
    path.write_text(json.dumps(GOOD))
    admin.unlink(missing_ok=True)
    return subprocess.Popen(
        [str(binary(kind)), "-c", str(path), "--admin-address-path", str(admin), "--concurrency", "1",
         "--use-dynamic-base-id"], cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=stderr), admin


def serves(admin):
    with Client(int(admin.read_text().rpartition(":")[2])) as client:
        return client.get("/ready").status == 200


def test_nobody_reads_the_log(kind, tmp_path):
    """As in `proxy 2>&1 | head`: what is written to a pipe that nobody reads ends nothing."""
    reader, writer = os.pipe()
    os.close(reader)
    process, admin = begin(kind, tmp_path, writer)
    with process:
        os.close(writer)
        try:
            wait_for(lambda: process.poll() is not None or admin.exists(), what="the start")
            wait_for(lambda: process.poll() is not None or serves(admin), what="life")
            assert process.poll() is None
        finally:
            process.terminate()
        assert process.wait(20) == 0


def test_an_end_at_any_moment_of_the_start(kind, tmp_path):
    """By the signal, or as by a process that serves already; nothing else."""
    for wait in range(30):
        process, admin = begin(kind, tmp_path, subprocess.DEVNULL)
        with process:
            wait_for(lambda p=process, a=admin: p.poll() is not None or a.exists(), what="the start")
            for _ in range(wait * 1000):
                pass
            process.terminate()
            assert process.wait(20) in (0, -signal.SIGTERM)


def test_mode_validate_error(kind, tmp_path):
    bad = bootstrap([http_listener(routes=[route("/", "absent")])])
    code, text = validate(kind, tmp_path, bad)
    assert code == 1
    assert "absent" in text


def test_missing_file(kind, tmp_path):
    code, out, err = run_once(kind, ["-c", "nosuch.yaml"], tmp_path)
    assert code == 1
    assert "nosuch.yaml" in out + err


def test_no_configuration_at_all(kind, tmp_path):
    code, _, _ = run_once(kind, [], tmp_path)
    assert code == 1


def test_unknown_field_is_refused(kind, tmp_path):
    code, text = validate(kind, tmp_path, {**GOOD, "static_resource": {}})
    assert code == 1
    assert "static_resource" in text


def test_unknown_field_deep_inside_is_refused(kind, tmp_path):
    bad = bootstrap([], [cluster("one", connect_timeot="1s")])
    code, text = validate(kind, tmp_path, bad)
    assert code == 1
    assert "connect_timeot" in text


def test_unknown_fields_may_be_allowed(kind, tmp_path):
    bad = bootstrap([], [cluster("one", nosuch="1s")])
    code, text = validate(kind, tmp_path, bad, "--allow-unknown-static-fields")
    assert code == 0, text


def test_unknown_flag_is_an_error(kind, tmp_path):
    code, out, err = run_once(kind, ["--no-such-flag"], tmp_path)
    assert code == 1
    assert "no-such-flag" in out + err


def test_version(kind, tmp_path):
    code, out, err = run_once(kind, ["--version"], tmp_path)
    assert code == 0
    after = (out + err).partition("version:")[2].strip().splitlines()[0]
    parts = after.split("/")
    assert len(parts) == 5
    assert [int(p) for p in parts[1].split(".")][:1] == [1]
    assert parts[4] == "BoringSSL"


def test_help(kind, tmp_path):
    code, out, err = run_once(kind, ["--help"], tmp_path)
    assert code == 0
    for flag in ["--config-path", "--config-yaml", "--concurrency", "--mode", "--drain-time-s",
                 "--service-node", "--admin-address-path", "--component-log-level"]:
        assert flag in out + err, flag


EVERY_FLAG = [
    "--stats-tag", "a:b", "--enable-core-dump", "--socket-mode", "600", "--socket-path",
    "@nothing", "--disable-extensions", "", "--cpuset-threads", "--enable-mutex-tracing",
    "--disable-hot-restart", "--parent-shutdown-time-s", "9", "--drain-strategy", "immediate",
    "--drain-time-s", "9", "--file-flush-min-size-kb", "1", "--file-flush-interval-msec", "500",
    "--service-zone", "z", "--service-node", "n", "--service-cluster", "c", "--restart-epoch", "0",
    "--enable-fine-grain-logging", "--component-log-level", "misc:error",
    "-l", "info", "--local-address-ip-version", "v4", "--log-stacktrace-single-entry",
    "--skip-deprecated-logs", "--ignore-unknown-dynamic-fields", "--allow-unknown-fields",
    "--concurrency", "1", "--skip-hot-restart-parent-stats", "--skip-hot-restart-on-no-parent",
    "--base-id", "0",
]


def test_every_flag_of_envoy_is_accepted(kind, tmp_path):
    flags = [f for f in EVERY_FLAG if kind == "xylem" or f != "--enable-fine-grain-logging"]
    position = flags.index("--disable-extensions")
    del flags[position:position + 2]
    code, text = validate(kind, tmp_path, GOOD, *flags)
    assert code == 0, text


def test_config_yaml_alone(start, kind, tmp_path):
    code, out, err = run_once(kind, ["--config-yaml", json.dumps(GOOD), "--mode", "validate"],
                              tmp_path)
    assert code == 0, out + err


def test_config_yaml_is_merged_over_the_file(start):
    proxy = start(bootstrap([http_listener("one", routes=[direct(200, "one")])],
                            node={"id": "file", "cluster": "kept"}),
                  args=["--config-yaml", json.dumps({
                      "node": {"id": "yaml"},
                      "static_resources": {"listeners": [
                          http_listener("two", routes=[direct(200, "two")])]}})])
    assert proxy.get("/", name="one").text == "one"
    assert proxy.get("/", name="two").text == "two"
    node = proxy.json("/server_info")["node"]
    assert (node["id"], node["cluster"]) == ("yaml", "kept")


def test_flags_override_the_node(start):
    proxy = start(bootstrap([], node={"id": "file", "cluster": "file", "locality": {
        "region": "r", "zone": "file"}}),
        args=["--service-node", "n", "--service-cluster", "c", "--service-zone", "z"])
    node = proxy.json("/server_info")["node"]
    assert (node["id"], node["cluster"], node["locality"]) == (
        "n", "c", {"region": "r", "zone": "z", "sub_zone": ""})


def test_json_bootstrap(start):
    proxy = start(bootstrap([http_listener(routes=[direct(200, "json")])]), suffix="json")
    assert proxy.get("/").text == "json"


def test_yaml_bootstrap_with_comments_anchors_and_blocks(start):
    proxy = start('''
# A bootstrap as people write it.
admin:
  address: &any
    socket_address: {address: 127.0.0.1, port_value: 0}
static_resources:
  listeners:
  - name: ingress
    address: *any
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: /}
                direct_response:
                  status: 200
                  body:
                    inline_string: |
                      two
                      lines
''')
    assert proxy.get("/").text == "two\nlines\n"


def camel(value):
    """The same configuration with lowerCamelCase keys."""
    if isinstance(value, list):
        return [camel(v) for v in value]
    if not isinstance(value, dict):
        return value
    made = {}
    for key, inner in value.items():
        head, *rest = key.split("_")
        made[head + "".join(part.capitalize() for part in rest)] = camel(inner)
    return made


def test_lower_camel_case_keys(start, origin):
    proxy = start(camel(bootstrap(
        [http_listener(routes=[route("/", "one", prefix_rewrite="/x")])],
        [cluster("one", origin)])))
    assert proxy.get("/a").status == 200
    assert origin.last.target == "/xa"


def test_numbers_durations_and_enums_in_every_spelling(start, origin):
    config = bootstrap([http_listener(routes=[route("/", "one", timeout="1.5s")],
                                      max_request_headers_kb="60")],
                       [cluster("one", origin, type=0, connect_timeout="0.250s",
                                lb_policy="ROUND_ROBIN", per_connection_buffer_limit_bytes=32768)])
    assert start(config).get("/").text == "origin"


def test_typed_struct_configuration(start):
    config = bootstrap([http_listener(routes=[direct(200, "struct")])])
    chain = config["static_resources"]["listeners"][0]["filter_chains"][0]
    manager = chain["filters"][0]["typed_config"]
    url = manager.pop("@type")
    chain["filters"][0]["typed_config"] = {
        "@type": "type.googleapis.com/xds.type.v3.TypedStruct", "type_url": url, "value": manager}
    assert start(config).get("/").text == "struct"


@difference("Protobuf text has no place in the tools around a bootstrap and would need a parser of "
            "its own; YAML, JSON and binary say the same.",
            envoy="reads a bootstrap in protobuf text", xylem="refuses it by name")
def test_protobuf_text_bootstrap(kind, tmp_path):
    path = tmp_path / "bootstrap.pb_text"
    path.write_text('node { id: "a" }\n')
    code, out, err = run_once(kind, ["-c", str(path), "--mode", "validate"], tmp_path)
    assert code == (1 if kind == "xylem" else 0)
    if kind == "xylem":
        assert "protobuf text is not read; use YAML, JSON or .pb" in out + err


@difference("Filters that Envoy once knew by name alone still load by name, so that older and "
            "shorter configurations work.",
            envoy="refuses: didn't find a registered implementation with an unknown type URL",
            xylem="loads the filter with its default configuration")
def test_filter_by_name_alone(kind, tmp_path):
    config = bootstrap([http_listener(routes=[direct(200)], filters=[
        {"name": "envoy.filters.http.router"}])])
    code, text = validate(kind, tmp_path, config)
    assert code == (0 if kind == "xylem" else 1), text


ODD_SPELLINGS = {
    "a duration as its message": ("connect_timeout: {seconds: 3}", {"connect_timeout": "3s"}),
    "a wrapper as its message": ("per_connection_buffer_limit_bytes: {value: 7}",
                                 {"per_connection_buffer_limit_bytes": 7}),
    "a number as text": ('per_connection_buffer_limit_bytes: "7"',
                         {"per_connection_buffer_limit_bytes": 7}),
    "a number with an exponent": ("per_connection_buffer_limit_bytes: 1e3",
                                  {"per_connection_buffer_limit_bytes": 1000}),
    "an enum in lower case": ("lb_policy: random", {"lb_policy": "RANDOM"}),
    "an enum by number": ("lb_policy: 3", {"lb_policy": "RANDOM"}),
    "an enum by number as text": ('lb_policy: "3"', {"lb_policy": "RANDOM"}),
    "yes": ("respect_dns_ttl: yes", {"respect_dns_ttl": True}),
    "yes in quotes": ('respect_dns_ttl: "yes"', {"respect_dns_ttl": True}),
    "lower camel case": ("connectTimeout: 3s", {"connect_timeout": "3s"}),
    "null in a list": ("load_assignment: {cluster_name: a, endpoints: [null]}",
                       {"load_assignment": {"cluster_name": "a", "endpoints": [{}]}}),
    "null in a map": ("metadata: {filter_metadata: {a: null}}",
                      {"metadata": {"filter_metadata": {"a": {}}}}),
    "null for a field": ("lb_policy: null", {}),
    "one for a list of one": ("load_assignment: {cluster_name: a, endpoints: {priority: 0}}",
                              {"load_assignment": {"cluster_name": "a", "endpoints": [{}]}}),
    "a text for a list of one": ("lrs_report_endpoint_metrics: cpu",
                                 {"lrs_report_endpoint_metrics": ["cpu"]}),
    "lists in a list": ("lrs_report_endpoint_metrics: [[a, [b]], c]",
                        {"lrs_report_endpoint_metrics": ["a", "b", "c"]}),
    "t": ("respect_dns_ttl: t", {"respect_dns_ttl": True}),
    "1 in quotes": ('respect_dns_ttl: "1"', {"respect_dns_ttl": True}),
    "yes in any case": ("respect_dns_ttl: yEs", {"respect_dns_ttl": True}),
    "f in quotes": ('track_cluster_stats: {timeout_budgets: "f"}', {"track_cluster_stats": {}}),
    "a fraction in octal": ("common_lb_config: {healthy_panic_threshold: {value: 010}}",
                            {"common_lb_config": {"healthy_panic_threshold": {"value": 8}}}),
    "an anchor and its alias": ("alt_stat_name: &a one, metadata: {filter_metadata: {b: {c: *a}}}",
                                {"alt_stat_name": "one",
                                 "metadata": {"filter_metadata": {"b": {"c": "one"}}}}),
    "numbers in a struct": ("metadata: {filter_metadata: {a: {b: 1, c: true, d: null, e: 5000000000}}}",
                            {"metadata": {"filter_metadata": {"a": {
                                "b": 1, "c": True, "d": None, "e": "5000000000"}}}}),
}


@pytest.mark.parametrize("case", ODD_SPELLINGS)
def test_odd_spellings_mean_the_same(start, case):
    text, expected = ODD_SPELLINGS[case]
    proxy = start("admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}\n"
                  "static_resources:\n  clusters:\n  - {name: a, " + text + "}\n")
    seen = proxy.config_dump()[0]["bootstrap"]["static_resources"]["clusters"]
    assert seen == [{"name": "a", **expected}]


@difference("A tag of YAML says what a value is.",
            envoy="reads a number that is tagged as a text (!!str 1) as a number",
            xylem="takes the text")
def test_a_tagged_text(kind, tmp_path):
    code, text = validate(kind, tmp_path, "node: {id: !!str 1}\n")
    assert code == (0 if kind == "xylem" else 1), text


def test_a_nul_in_a_name(start):
    """What has such a name works, and its statistics have "_" there."""
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "c")], stat_prefix="p\0q")],
        [cluster("c", alt_stat_name="x\0y")]))
    assert proxy.get("/").status == 503
    wait_for(lambda: proxy.stat("cluster.x_y.upstream_cx_none_healthy") == 1)
    assert proxy.stat("http.p_q.downstream_rq_5xx") == 1


@difference("A cluster is found by its name, in pages and logs too, which end at a NUL for many readers.",
            envoy="takes a cluster whose name has a NUL", xylem="refuses it")
def test_a_nul_in_the_name_of_a_cluster(kind, tmp_path):
    code, text = validate(kind, tmp_path, bootstrap([http_listener(routes=[direct(200)])],
                                                    [cluster("a\0b")]))
    assert code == (1 if kind == "xylem" else 0), text
    assert kind == "envoy" or "name: expected 1 to 4096 characters, none of them NUL" in text


def test_unknown_filter_is_refused_by_name(kind, tmp_path):
    config = bootstrap([http_listener(routes=[direct(200)], filters=[
        {"name": "my.filter", "typed_config": {
            "@type": "type.googleapis.com/google.protobuf.Struct", "value": {}}}])])
    code, text = validate(kind, tmp_path, config)
    assert code == 1
    assert "my.filter" in text


def test_admin_address_file_holds_host_and_port(start):
    proxy = start(bootstrap())
    host, _, port = proxy.admin_file.read_text().strip().rpartition(":")
    assert host == "127.0.0.1" and int(port) > 0


def test_log_path_and_format(start, tmp_path):
    path = tmp_path / "own.log"
    proxy = start(bootstrap([http_listener(routes=[direct(200)])]), level="info",
                  args=["--log-path", str(path), "--log-format", "LOG %l %n %v"])
    proxy.stop()
    assert any(line.startswith("LOG info main ") for line in path.read_text().splitlines())


def test_log_format_with_widths(start, tmp_path):
    path = tmp_path / "own.log"
    proxy = start(bootstrap(), args=[
        "--log-path", str(path),
        "--log-format", "LOG|%-8n|%8n|%=9n|%3!l|%8!l|%-3l|%z|%^%$%&|%q%y|%5%|%+|%4+|%9v%"])
    proxy.stop()
    end = "caught ENVOY_SIGTERM"
    assert (f"LOG|main    |    main|  main   |war| warning|warning|+00:00||%q%y|%|{end}|{end}|{end}"
            in path.read_text().splitlines())


def test_log_format_of_nothing(start, tmp_path):
    path = tmp_path / "own.log"
    proxy = start(bootstrap(), args=["--log-path", str(path), "--log-format", ""])
    proxy.stop()
    assert set(path.read_text()) == {"\n"}


def test_component_log_level(start):
    proxy = start(bootstrap(), args=["--component-log-level", "http:debug,misc:error"])
    text = proxy.admin("/logging", "POST").text
    assert "  http: debug\n" in text and "  misc: error\n" in text


@pytest.mark.parametrize("args, problem", [
    (["-l", "loud"], "error: invalid log level specified 'loud'"),
    (["--component-log-level", "http:debug,misc:loud"],
     "error: invalid log level specified 'loud'"),
    (["--component-log-level", "misc:"], "error: invalid log level specified ''"),
    (["--component-log-level", "misc"],
     "error: component log level not correctly specified 'misc'"),
    (["--local-address-ip-version", "v9"], "error: unknown IP address version 'v9'"),
    (["--component-log-level", "http:debug,"],
     "error: component log level not correctly specified ''"),
    (["--use-dynamic-base-id", "--restart-epoch", "1"],
     "error: cannot use --restart-epoch=1 with --use-dynamic-base-id"),
    (["--stats-tag", "a"], "a"),
    (["--stats-tag", "a:"], "a:"),
    (["--stats-tag", "a b:c"], "a b"),
    (["--stats-tag", "a_b:c"], "a_b"),
    (["--stats-tag", "a:b.c"], "b.c"),
    (["--config-yaml", ""], "should be non-empty"),
    (["-c", ""], "should be non-empty"),
])
def test_flags_that_are_refused(kind, tmp_path, args, problem):
    config = [] if "" in args else ["--config-yaml", "{}"]
    code, out, err = run_once(kind, [*config, "--mode", "validate", *args], tmp_path)
    assert code == 1
    assert problem in out + err


@pytest.mark.parametrize("args", [
    ["--concurrency", "1", "--concurrency", "2"],
    ["-l", "info", "--log-level=info"],
    ["--disable-hot-restart", "--disable-hot-restart"],
])
def test_a_flag_that_is_given_twice(kind, tmp_path, args):
    code, _, _ = run_once(kind, ["--config-yaml", "{}", "--mode", "validate", *args], tmp_path)
    assert code == 1


def test_flags_that_may_be_repeated_or_empty(kind, tmp_path):
    path = tmp_path / "b.yaml"
    path.write_text("{}")
    code, out, err = run_once(kind, ["-c", str(path), "--config-yaml", "", "--mode", "validate",
                                     "--stats-tag", "a:b", "--stats-tag", "c:d", "--stats-tag", ":e f",
                                     "--component-log-level", "", "--log-path", "",
                                     "--base-id-path", "", "--local-address-ip-version", "v6"],
                              tmp_path)
    assert code == 0, out + err


def init_only(kind, tmp_path, config, *args):
    """Run --mode init_only: (exit code, everything it printed)."""
    path = tmp_path / "bootstrap.json"
    path.write_text(json.dumps(config))
    code, out, err = run_once(kind, ["-c", str(path), "--mode", "init_only", "--disable-hot-restart",
                                     "--concurrency", "1", *args], tmp_path)
    return code, out + err


def test_mode_init_only(kind, tmp_path):
    """All that a start does: addresses are bound, whose socket files go at the end."""
    path = tmp_path / "in.sock"
    code, text = init_only(kind, tmp_path, bootstrap([http_listener(
        routes=[direct(200)], address={"pipe": {"path": str(path)}})]))
    assert code == 0, text
    assert "] exiting" in text
    assert "admin address: 127.0.0.1:" in text
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, text = init_only(kind, tmp_path, bootstrap([http_listener(
            routes=[direct(200)], address=socket_address(port))]))
    assert code == 1
    assert f"cannot bind '127.0.0.1:{port}'" in text


@pytest.mark.parametrize("path", ["", "/nonexistent/admin"])
def test_admin_address_is_not_written(kind, tmp_path, path):
    """A variable of a script that is empty, a folder that is not there: no reason not to serve."""
    code, text = init_only(kind, tmp_path, GOOD, "--admin-address-path", path)
    assert code == 0, text
    assert ("[critical][admin]" in text and path in text) == bool(path)


def test_concurrency(start):
    proxy = start(bootstrap([http_listener(routes=[direct(200)])]), concurrency=3)
    assert proxy.stat("server.concurrency") == 3


@difference("Statistics and pins have a place for each thread, without locks, made at the start.",
            envoy="takes any number", xylem="takes up to 128, and makes no more of its own accord")
def test_more_workers_than_may_be(kind, tmp_path):
    most = [0xffffffff] if kind == "xylem" else []  # Envoy would begin to make them
    for concurrency in [128, 129, *most]:
        args = ["--config-yaml", "{}", "--mode", "validate", "--concurrency", str(concurrency)]
        code, out, err = run_once(kind, args, tmp_path)
        if kind == "envoy" or concurrency == 128:
            assert code == 0
        else:
            assert code == 1
            assert f"--concurrency: expected at most 128, got {concurrency}" in out + err


@pytest.mark.only("xylem", "Envoy leaves it to chance what the log is written into")
@pytest.mark.parametrize("first", [0, 2])
def test_no_standard_descriptors(kind, tmp_path, first):
    """Whoever starts it has closed them: nothing else takes their numbers."""
    address = tmp_path / "admin"
    with subprocess.Popen([str(binary(kind)), "--config-yaml", json.dumps(bootstrap()),
                           "--admin-address-path", str(address)], cwd=tmp_path,
                          preexec_fn=lambda: os.closerange(first, 3)) as process:
        try:
            wait_for(address.exists, what="the admin address")
            fds = Path(f"/proc/{process.pid}/fd")
            assert [os.readlink(fds / str(n)) for n in range(first, 3)] == ["/dev/null"] * (3 - first)
        finally:
            process.kill()


@pytest.mark.only("xylem", "Envoy aborts, or waits for what cannot come")
def test_too_few_descriptors_to_start(kind, tmp_path):
    done = subprocess.run(
        [str(binary(kind)), "--config-yaml", json.dumps(bootstrap()), "--concurrency", "1"],
        cwd=tmp_path, capture_output=True, text=True, timeout=20, check=False,
        stdin=subprocess.DEVNULL,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8)))
    assert done.returncode == 1
    assert "at most 8 files may be open at a time" in done.stderr


def test_busy_address_is_an_error(kind, origin, tmp_path):
    config = bootstrap([http_listener(routes=[direct(200)],
                                      address=socket_address(origin.port))])
    path = tmp_path / "b.yaml"
    path.write_text(json.dumps(config))
    code, out, err = run_once(kind, ["-c", str(path), "--disable-hot-restart"], tmp_path)
    assert code == 1
    assert f"127.0.0.1:{origin.port}" in out + err


@pytest.mark.parametrize("signal_name", ["SIGTERM", "SIGINT"])
def test_signals_end_cleanly(start, signal_name):
    proxy = start(bootstrap([http_listener(routes=[direct(200)])]))
    proxy.process.send_signal(getattr(signal, signal_name))
    assert proxy.wait_exit() == 0


class Loading(Proxy):
    """A proxy that reads its bootstrap from a pipe: it has begun, and is not ready."""

    def load(self):
        self.text = self.config_file.read_text()
        self.config_file.unlink()
        os.mkfifo(self.config_file)
        with open(self.log_file, "ab") as log:
            self.process = self.popen(stdout=log, stderr=log)
        self.pipe = wait_for(self.opened, 20, f"{self.kind} to open its bootstrap")
        return self

    def opened(self):
        try:
            return os.fdopen(os.open(self.config_file, os.O_WRONLY | os.O_NONBLOCK), "w")
        except OSError:
            return None

    def finish(self):
        with self.pipe:
            self.pipe.write(self.text)
        wait_for(self._live, 20, f"{self.kind} to be live")


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT])
def test_the_end_while_the_bootstrap_is_read(kind, tmp_path, closing, signo):
    proxy = closing(Loading(kind, tmp_path / "p", GOOD)).load()
    proxy.process.send_signal(signo)
    assert proxy.wait_exit(20) == -signo


@difference("A log that is rotated, or a terminal that goes, while a proxy starts is no reason to end.",
            envoy="dies of the signal", xylem="acts on it once it runs")
@pytest.mark.parametrize("signo", [signal.SIGHUP, signal.SIGUSR1])
def test_other_signals_while_the_bootstrap_is_read(kind, tmp_path, closing, signo):
    proxy = closing(Loading(kind, tmp_path / "p", GOOD, level="info")).load()
    proxy.process.send_signal(signo)
    if kind == "envoy":
        assert proxy.wait_exit(20) == -signo
        return
    proxy.finish()
    what = "caught SIGUSR1" if signo == signal.SIGUSR1 else "eating SIGHUP"
    wait_for(lambda: what in proxy.log(), 20, "the signal to be acted on")


class First(Loading):
    """The first process of a namespace of processes, as in a container."""

    def popen(self, **kw):
        self.command = ["unshare", "--user", "--map-root-user", "--pid", "--fork", *self.command]
        return super().popen(**kw)

    def first(self):
        pid = self.process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


@pytest.mark.only("xylem", "as the first process of a container Envoy hears nothing until it runs")
def test_the_end_of_a_first_process(kind, tmp_path, closing):
    if subprocess.run(["unshare", "--user", "--map-root-user", "--pid", "--fork", "true"],
                      capture_output=True).returncode:
        pytest.skip("no namespaces of processes here")
    proxy = closing(First(kind, tmp_path / "p", GOOD)).load()
    os.kill(proxy.first(), signal.SIGTERM)
    assert proxy.wait_exit(20) == 128 + signal.SIGTERM


def limits_of(proxy):
    """name -> (soft, hard), as the kernel tells them."""
    text = Path(f"/proc/{proxy.process.pid}/limits").read_text()
    return dict((m[1], (m[2], m[3])) for m in re.finditer(
        r"^(Max .*?)  +(\S+) +(\S+)", text, re.M))


class Limited(Proxy):
    """A proxy that starts with a soft limit of its own."""

    def popen(self, **kw):
        return super().popen(preexec_fn=lambda: resource.setrlimit(*self.limit), **kw)


@pytest.mark.only("xylem", "Envoy leaves the limits as they are")
def test_core_dumps_and_few_files(kind, tmp_path, closing):
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    made = closing(Limited(kind, tmp_path / "core", GOOD, args=["--enable-core-dump"]))
    made.limit = (resource.RLIMIT_CORE, (0, hard))
    soft, hard = limits_of(made.start())["Max core file size"]
    assert soft == hard
    made = closing(Limited(kind, tmp_path / "files", GOOD))
    made.limit = (resource.RLIMIT_NOFILE, (100, 200))
    assert limits_of(made.start())["Max open files"] == ("200", "200")
    assert "at most 200 files and connections may be open" in made.log()
    assert made.get("/").text == "ok"
