"""Access logs: Envoy's default line, formats, stdout, reopening, flushing at the end."""
import json
import os
import re
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from harness import (Reply, bootstrap, cluster, difference, direct, http_listener, refused_port,
                     route, vhost, wait_for)
from harness.config import file_log
from harness.xds import ads_bootstrap, listener

DEFAULT = re.compile(
    r'\[(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)\] "(?P<line>[^"]*)" (?P<code>\d+) '
    r'(?P<flags>\S+) (?P<received>\d+) (?P<sent>\d+) (?P<duration>\d+) (?P<service>\S+) '
    r'"(?P<xff>[^"]*)" "(?P<agent>[^"]*)" "(?P<id>[^"]*)" "(?P<authority>[^"]*)" '
    r'"(?P<host>[^"]*)"\Z')


@pytest.fixture
def logged(start, origin, tmp_path):
    """logged(fmt) gives (proxy, read): read() stops the proxy and returns the lines."""
    path = tmp_path / "access.log"

    def run(fmt=None, routes=None, **fields):
        proxy = start(bootstrap(
            [http_listener(routes=routes or [route("/", "one", name="named")],
                           access_log=[file_log(path, fmt)], **fields)],
            [cluster("one", origin)]))

        def read():
            proxy.stop()
            return path.read_text().splitlines()
        return proxy, read
    return run


def test_default_line(logged, origin):
    proxy, read = logged()
    proxy.request("POST", "/p?q=1", body=b"12345", headers={"User-Agent": "test/1"})
    line, = read()
    seen = DEFAULT.match(line)
    assert seen, line
    assert seen["line"] == "POST /p?q=1 HTTP/1.1"
    assert (seen["code"], seen["flags"], seen["received"], seen["sent"]) == ("200", "-", "5", "6")
    assert seen["service"].isdigit()
    assert (seen["xff"], seen["agent"], seen["authority"]) == ("-", "test/1", "a.test")
    assert seen["id"] == origin.last.header("x-request-id")
    assert seen["host"] == f"127.0.0.1:{origin.port}"


def test_default_line_of_a_direct_response(logged):
    proxy, read = logged(routes=[direct(404, "gone")])
    proxy.get("/")
    seen = DEFAULT.match(read()[0])
    assert (seen["code"], seen["flags"], seen["sent"]) == ("404", "-", "4")
    assert (seen["service"], seen["host"], seen["agent"]) == ("-", "-", "-")


def test_default_line_shows_the_original_path(logged):
    proxy, read = logged(routes=[route("/old", "one", prefix_rewrite="/new")])
    proxy.get("/old/x")
    assert '"GET /old/x HTTP/1.1"' in read()[0]


OPERATORS = {
    "%REQ(X-A)%": "a", "%REQ(X-NONE)%": "-", "%REQ(X-NONE?X-A)%": "a", "%RESP(X-R)%": "r",
    "%REQ(X-LONG):3%": "abc", "%PROTOCOL%": "HTTP/1.1", "%RESPONSE_CODE%": "200",
    "%RESPONSE_CODE_DETAILS%": "via_upstream", "%RESPONSE_FLAGS%": "-", "%BYTES_RECEIVED%": "0",
    "%BYTES_SENT%": "6", "%UPSTREAM_CLUSTER%": "one", "%ROUTE_NAME%": "named",
    "%START_TIME(%Y)%": r"20\d\d", "%START_TIME(%s)%": r"\d{10}",
    "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
    "%DURATION%": r"\d+", "%REQUEST_DURATION%": r"\d+", "%RESPONSE_DURATION%": r"\d+",
    "%RESPONSE_TX_DURATION%": r"\d+",
    "%DOWNSTREAM_REMOTE_ADDRESS%": r"127\.0\.0\.1:\d+",
    "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%": r"127\.0\.0\.1",
    "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%": r"127\.0\.0\.1:\d+",
    "%DOWNSTREAM_LOCAL_ADDRESS%": r"127\.0\.0\.1:\d+",
    "%UPSTREAM_HOST%": r"127\.0\.0\.1:\d+", "%UPSTREAM_LOCAL_ADDRESS%": r"127\.0\.0\.1:\d+",
    "%UPSTREAM_REMOTE_ADDRESS%": r"127\.0\.0\.1:\d+",
    "%UPSTREAM_REQUEST_ATTEMPT_COUNT%": "1", "%CONNECTION_ID%": r"\d+",
    "%REQUESTED_SERVER_NAME%": "-", "%CONNECTION_TERMINATION_DETAILS%": "-",
    "%UPSTREAM_TRANSPORT_FAILURE_REASON%": "-", "%HOSTNAME%": r"\S+", "%%": "%",
    "%REQ(:AUTHORITY)%": r"a\.test", "%VIRTUAL_CLUSTER_NAME%": "-", "%FILTER_CHAIN_NAME%": "-",
}


def test_operators(logged, origin):
    origin.reply = Reply(headers=[("x-r", "r")])
    proxy, read = logged("|".join(OPERATORS) + "\n")
    proxy.get("/", headers={"x-a": "a", "x-long": "abcdef"})
    values = read()[0].split("|")
    wrong = {op: value for (op, pattern), value in zip(OPERATORS.items(), values, strict=True)
             if not re.fullmatch(pattern, value)}
    assert wrong == {}


def test_a_log_of_nothing(start, tmp_path):
    """An empty format writes nothing; the older field means the default by it."""
    paths = {name: tmp_path / name for name in ("string", "bytes", "old")}
    logs = [file_log(paths["string"], ""),
            file_log(paths["bytes"], log_format={"text_format_source": {"inline_bytes": ""}}),
            file_log(paths["old"], format="")]
    proxy = start(bootstrap([http_listener(routes=[direct(200)], access_log=logs)]))
    proxy.get("/p")
    proxy.stop()
    assert (paths["string"].read_text(), paths["bytes"].read_text()) == ("", "")
    assert '"GET /p HTTP/1.1" 200' in paths["old"].read_text()


@pytest.mark.parametrize("watched", [{}, {"watched_directory": {}}])
def test_format_in_a_file(start, tmp_path, watched):
    (tmp_path / "format").write_text("file %REQ(:PATH)%\n")
    watched = {name: {"path": str(tmp_path)} for name in watched}
    log = file_log(tmp_path / "log", log_format={
        "text_format_source": {"filename": str(tmp_path / "format"), **watched}})
    proxy = start(bootstrap([http_listener(routes=[direct(200)], access_log=[log])]))
    proxy.get("/p")
    proxy.stop()
    assert (tmp_path / "log").read_text() == "file /p\n"


def test_format_in_a_variable(start, tmp_path):
    log = file_log(tmp_path / "log", log_format={
        "text_format_source": {"environment_variable": "LINE_OF_A_LOG"}})
    proxy = start(bootstrap([http_listener(routes=[direct(200)], access_log=[log])]),
                  env={"LINE_OF_A_LOG": "variable %REQ(:PATH)%\n"})
    proxy.get("/p")
    proxy.stop()
    assert (tmp_path / "log").read_text() == "variable /p\n"


def test_json_format(start, tmp_path):
    path = tmp_path / "log"
    log = file_log(path)
    log["typed_config"]["log_format"] = {"json_format": {
        "code": "%RESPONSE_CODE%", "path": "%REQ(:PATH)%", "none": "%REQ(X-NONE)%",
        "text": "x %PROTOCOL% y", "nested": {"method": "%REQ(:METHOD)%"}}}
    proxy = start(bootstrap([http_listener(routes=[direct(200)], access_log=[log])]))
    proxy.get("/p")
    proxy.stop()
    assert json.loads(path.read_text()) == {
        "code": 200, "path": "/p", "none": None, "text": "x HTTP/1.1 y",
        "nested": {"method": "GET"}}


ODD_BYTES = {
    b"\xe9": "\xe9", b"\xe2\x82": "\xe2\x82", b"\xc0\xaf": "\xc0\xaf",
    b"\xed\xa0\x80": "\xed\xa0\x80", b"\xff \xe2\x82\xac\"": "\xff \xe2\x82\xac\"",
    b"\xe2\x82\xac \xc2\x80 /<&\"": "\u20ac \u0080 /<&\""}


def test_json_has_marks_as_they_are(start, tmp_path):
    """DEL and what HTML has brackets for need no escape; a header has no DEL, but a format may."""
    log = file_log(tmp_path / "log", log_format={"json_format": {
        "a": "\x7f<>&\u2028 %PROTOCOL%", "k\x7f": "\x7f"}})
    proxy = start(bootstrap([http_listener(routes=[direct(200)], access_log=[log])]))
    proxy.get("/")
    proxy.stop()
    assert (tmp_path / "log").read_text("utf-8") == (
        '{"a":"\x7f<>&\u2028 HTTP/1.1","k\x7f":"\x7f"}\n')


def test_json_keeps_bytes_that_are_no_text(start, tmp_path):
    path = tmp_path / "log"
    log = file_log(path)
    log["typed_config"]["log_format"] = {"json_format": {"a": "%REQ(a)%", "b": "\u20ac%REQ(a)%y"}}
    proxy = start(bootstrap([http_listener(routes=[direct(200)], access_log=[log])]))
    for value in ODD_BYTES:
        with proxy.client() as client:
            client.send(b"GET / HTTP/1.1\r\nHost: a.test\r\na: " + value + b"\r\n\r\n")
            assert client.response().status == 200
    proxy.stop()
    lines = path.read_text("utf-8").rstrip("\n").split("\n")
    assert [json.loads(line) for line in lines] == [
        {"a": text, "b": f"\u20ac{text}y"} for text in ODD_BYTES.values()]


def test_stdout_log(start, tmp_path):
    log = {"name": "envoy.access_loggers.stdout", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
        "log_format": {"text_format_source": {"inline_string": "LINE %REQ(:PATH)%\n"}}}}
    proxy = start(bootstrap([http_listener(routes=[direct(200)], access_log=[log])]))
    proxy.get("/stdout")
    proxy.stop()
    assert "LINE /stdout\n" in proxy.log()


def test_log_is_reopened_on_sigusr1(start, tmp_path):
    path = tmp_path / "log"
    proxy = start(bootstrap([http_listener(
        routes=[direct(200)], access_log=[file_log(path, "%REQ(:PATH)%\n")])]),
        args=["--file-flush-interval-msec", "50"])
    proxy.get("/one")
    wait_for(lambda: path.read_text() == "/one\n", what="the first line")
    path.rename(tmp_path / "log.1")
    proxy.process.send_signal(signal.SIGUSR1)
    proxy.wait_stat("filesystem.reopen_failed", 0)

    def moved():
        proxy.get("/two")
        return path.exists() and "/two\n" in path.read_text()
    wait_for(moved, what="lines in the new file")
    assert (tmp_path / "log.1").read_text().startswith("/one\n")


@pytest.mark.parametrize("args", [
    ["--file-flush-min-size-kb", "0", "--file-flush-interval-msec", "100000"],
    ["--file-flush-interval-msec", "0"]])
def test_no_line_waits(start, tmp_path, args):
    path = tmp_path / "log"
    proxy = start(bootstrap([http_listener(
        routes=[direct(200)], access_log=[file_log(path, "%REQ(:PATH)%\n")])]), args=args)
    lines = ""
    for line in ("/one", "/two"):
        proxy.get(line)
        lines += f"{line}\n"
        wait_for(lambda seen=lines: path.read_text() == seen, what="the line")


def held(proxy, path):
    """How many descriptors of the proxy lead to a file."""
    links = []
    for fd in Path(f"/proc/{proxy.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            links.append(os.readlink(fd))
    return links.count(str(path))


def test_log_is_open_before_its_first_line(start, tmp_path):
    """However few descriptors there are by then."""
    path, admin = tmp_path / "log", tmp_path / "admin"
    config = bootstrap([http_listener(routes=[direct(200)], access_log=[file_log(path)])])
    config["admin"]["access_log"] = [file_log(admin)]
    proxy = start(config)
    assert held(proxy, path) == 1
    assert held(proxy, admin) == 1


def test_idle_log_is_reopened_on_sigusr1(start, tmp_path):
    """Whoever compresses the old one does not wait for the next request."""
    path, moved = tmp_path / "log", tmp_path / "log.1"
    proxy = start(bootstrap([http_listener(routes=[direct(200)], access_log=[file_log(path)])]),
                  args=["--file-flush-interval-msec", "50"])
    proxy.get("/")
    wait_for(path.read_text, what="the first line")
    path.rename(moved)
    proxy.process.send_signal(signal.SIGUSR1)
    wait_for(path.exists, what="the new file")
    wait_for(lambda: held(proxy, moved) == 0, what="the old file to be closed")


@difference("A rotation that goes wrong is no reason to lose lines.",
            envoy="closes the old file, and drops lines until the new one can be opened",
            xylem="goes on in the old file until the new one can be opened")
def test_log_that_cannot_be_reopened(start, kind, tmp_path):
    path, moved = tmp_path / "log", tmp_path / "log.1"
    proxy = start(bootstrap([http_listener(
        routes=[direct(200)], access_log=[file_log(path, "%REQ(:PATH)%\n")])]),
        args=["--file-flush-interval-msec", "50"])
    proxy.get("/1")
    wait_for(path.read_text, what="the first line")
    path.rename(moved)
    path.mkdir()
    proxy.process.send_signal(signal.SIGUSR1)
    wait_for(lambda: proxy.stat("filesystem.reopen_failed") > 0, what="the file to be missed")
    for _ in range(2):
        failed = proxy.stat("filesystem.reopen_failed")
        proxy.get("/2")
        proxy.wait_stat("filesystem.reopen_failed", failed.__lt__)
    if kind == "xylem":
        wait_for(lambda: moved.read_text() == "/1\n/2\n/2\n", what="the lines in the old file")
        assert "writing on into the old file" in proxy.log()
    path.rmdir()

    def in_the_new_file():
        proxy.get("/4")
        return path.exists() and "/4\n" in path.read_text()
    wait_for(in_the_new_file, what="lines in the new file")
    proxy.stop()
    assert ("/2\n" in moved.read_text() + path.read_text()) == (kind == "xylem")


@difference("A control plane that names new files for ever must not cost a descriptor for each.",
            envoy="keeps the file open for the life of the process",
            xylem="closes it once nothing names it and its lines are written")
def test_file_of_a_log_that_has_gone(stub, start, kind, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    control = stub(listener(routes=[direct(200)], access_log=[file_log(first)]))
    proxy = start(ads_bootstrap(control), args=["--file-flush-interval-msec", "50"])
    proxy.get("/")
    wait_for(first.read_text, what="the first line")
    control.put(listener(routes=[direct(200)], access_log=[file_log(second)]))
    wait_for(lambda: held(proxy, second) == 1, what="the new log")
    if kind == "envoy":
        assert held(proxy, first) == 1
    else:
        wait_for(lambda: held(proxy, first) == 0, what="the old log to be closed")


def test_log_is_written_without_waiting_for_the_end(start, tmp_path):
    path = tmp_path / "log"
    proxy = start(bootstrap([http_listener(
        routes=[direct(200)], access_log=[file_log(path, "%REQ(:PATH)%\n")])]),
        args=["--file-flush-interval-msec", "50"])
    proxy.get("/now")
    wait_for(lambda: path.read_text() == "/now\n", what="the line in the file")


def test_one_line_for_each_request_in_order(logged):
    proxy, read = logged("%REQ(:PATH)%\n", routes=[direct(200)])
    with proxy.client() as client:
        for number in range(50):
            client.get(f"/{number}")
    assert read() == [f"/{n}" for n in range(50)]


def test_client_that_leaves_is_logged_as_dc(logged, origin):
    origin.reply = Reply(never=True)
    proxy, read = logged("%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n")
    client = proxy.client()
    client.write_request()
    origin.wait_requests(1)
    client.close()
    proxy.wait_stat("http.ingress.downstream_cx_active", 0)
    assert read() == ["0 DC downstream_remote_disconnect"]


def test_status_filter_chooses_lines(start, tmp_path):
    path = tmp_path / "log"
    log = {**file_log(path, "%REQ(:PATH)%\n"), "filter": {"status_code_filter": {"comparison": {
        "op": "GE", "value": {"default_value": 400, "runtime_key": "none"}}}}}
    proxy = start(bootstrap([http_listener(
        routes=[direct(200, prefix="/good"), direct(500, prefix="/bad")], access_log=[log])]))
    for path_name in ["/good", "/bad"]:
        proxy.get(path_name)
    proxy.stop()
    assert path.read_text() == "/bad\n"


def one_line(start, origin, tmp_path, operators, path="/", routes=None, headers=()):
    """What each operator printed for one request."""
    log = tmp_path / "log"
    proxy = start(bootstrap([http_listener(
        routes=routes or [route("/", "one")], generate_request_id=False,
        access_log=[file_log(log, "\n".join(f"%{op}%" for op in operators) + "\n")])],
        [cluster("one", origin)]))
    proxy.get(path, headers=headers)
    proxy.stop()
    return dict(zip(operators, log.read_text().splitlines(), strict=True)), proxy


def test_paths_and_query_parameters(start, origin, tmp_path):
    expected = {
        "PATH": "/p/a?a=1&b=2%203&a=9&c", "PATH(NQ)": "/p/a", "PATH(WQ)": "/p/a?a=1&b=2%203&a=9&c",
        "PATH(WQ:ORIG)": "/p/a?a=1&b=2%203&a=9&c", "PATH(WQ:PATH)": "/q/a?a=1&b=2%203&a=9&c",
        "PATH(NQ:PATH)": "/q/a", "PATH(NQ:ORIG_OR_PATH):4": "/p/a", "PATH:3": "/p/",
        "QUERY_PARAM(a)": "1", "QUERY_PARAM(b)": "2 3", "QUERY_PARAM(b):2": "2 ",
        "QUERY_PARAM(c)": "", "QUERY_PARAM(d)": "-"}
    got, _ = one_line(start, origin, tmp_path, list(expected), "/p/a?a=1&b=2%203&a=9&c",
                      [route("/p", "one", prefix_rewrite="/q")])
    assert got == expected


def test_path_that_was_not_rewritten(start, origin, tmp_path):
    expected = {"PATH": "/n", "PATH(WQ:ORIG)": "-", "PATH(NQ:ORIG)": "-", "PATH(WQ:PATH)": "/n",
                "QUERY_PARAM(a)": "-"}
    assert one_line(start, origin, tmp_path, list(expected), "/n")[0] == expected


def test_addresses_in_parts(start, origin, tmp_path):
    operators = [f"{name}{suffix}" for name in [
        "UPSTREAM_LOCAL", "UPSTREAM_REMOTE", "DOWNSTREAM_DIRECT_REMOTE", "DOWNSTREAM_DIRECT_LOCAL"]
        for suffix in ["_ADDRESS", "_ADDRESS_WITHOUT_PORT", "_PORT"]]
    got, _ = one_line(start, origin, tmp_path, [
        *operators, "UPSTREAM_HOST_NAME", "UPSTREAM_HOST_NAME_WITHOUT_PORT"])
    for name in ["UPSTREAM_LOCAL", "UPSTREAM_REMOTE", "DOWNSTREAM_DIRECT_REMOTE",
                 "DOWNSTREAM_DIRECT_LOCAL"]:
        assert got[name + "_ADDRESS_WITHOUT_PORT"] == "127.0.0.1"
        assert got[name + "_ADDRESS"] == "127.0.0.1:" + got[name + "_PORT"]
    assert got["UPSTREAM_REMOTE_PORT"] == str(origin.port)
    assert got["UPSTREAM_HOST_NAME"] == f"127.0.0.1:{origin.port}"
    assert got["UPSTREAM_HOST_NAME_WITHOUT_PORT"] == "127.0.0.1"


def test_durations_between_two_points(start, origin, tmp_path):
    points = ["DS_RX_BEG", "DS_RX_END", "US_TX_BEG", "US_TX_END", "US_RX_BEG", "US_RX_END",
              "DS_TX_BEG", "DS_TX_END"]
    operators = [f"COMMON_DURATION({a}:{b}:us)" for a, b in zip(points, points[2:])]
    got, _ = one_line(start, origin, tmp_path, [
        *operators, "COMMON_DURATION(DS_RX_BEG:DS_TX_END)", "COMMON_DURATION(DS_RX_BEG:DS_TX_END:ms)",
        "COMMON_DURATION(DS_RX_BEG:DS_TX_END:ns)", "COMMON_DURATION(US_RX_BEG:nowhere)"])
    assert all(got[op].isdigit() for op in operators), got
    assert got["COMMON_DURATION(DS_RX_BEG:DS_TX_END)"] == \
        got["COMMON_DURATION(DS_RX_BEG:DS_TX_END:ms)"]
    assert int(got["COMMON_DURATION(DS_RX_BEG:DS_TX_END:ns)"]) > 1000
    assert got["COMMON_DURATION(US_RX_BEG:nowhere)"] == "-"


def test_points_of_connections(start, origin, tmp_path):
    """Without TLS there is no handshake; a connection that is used again began before."""
    pairs = ["DS_CX_BEG:DS_RX_BEG", "DS_RX_BEG:US_CX_BEG", "US_CX_BEG:US_CX_END",
             "US_CX_END:US_TX_BEG", "US_CX_BEG:US_HS_END", "DS_CX_BEG:DS_HS_END"]
    log = file_log(tmp_path / "log", " ".join(f"%COMMON_DURATION({p}:us)%" for p in pairs) +
                   " %DOWNSTREAM_HANDSHAKE_DURATION%\n")
    made = http_listener(routes=[direct(200, prefix="/direct"), route("/", "one")], access_log=[log])
    made["access_log"] = [file_log(tmp_path / "of the listener",
                                   "%COMMON_DURATION(DS_CX_BEG:DS_RX_BEG)%\n")]
    proxy = start(bootstrap([made], [cluster("one", origin)]))
    with proxy.client() as client:
        for path in "/", "/", "/direct":
            client.get(path)
    proxy.stop()
    first, again, answered = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    assert all(value.isdigit() for value in first[:4]) and first[4:] == ["-", "-", "-"]
    assert again[1] == "-" and again[2] == first[2] and again[4:] == ["-", "-", "-"]
    assert int(again[0]) > int(first[0]) and int(again[3]) > int(first[3])
    assert answered[0].isdigit() and answered[1:] == ["-"] * 6
    assert (tmp_path / "of the listener").read_text() == "0\n"


def test_stream_id_is_the_request_id(start, origin, tmp_path):
    name = "9c3a6a4c-0000-4000-8000-000000000000"
    got, _ = one_line(start, origin, tmp_path, ["STREAM_ID"], headers=[("x-request-id", name)])
    assert got == {"STREAM_ID": name}
    log = tmp_path / "none"
    log.mkdir()
    assert one_line(start, origin, log, ["STREAM_ID"])[0] == {"STREAM_ID": "-"}


def test_local_times(start, origin, tmp_path):
    got, _ = one_line(start, origin, tmp_path, ["START_TIME_LOCAL", "EMIT_TIME_LOCAL",
                                                "EMIT_TIME_LOCAL(%Y)", "START_TIME"])
    local = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d{4}"
    assert re.fullmatch(local, got["START_TIME_LOCAL"])
    assert re.fullmatch(local, got["EMIT_TIME_LOCAL"])
    assert re.fullmatch(r"\d{4}", got["EMIT_TIME_LOCAL(%Y)"])
    assert re.fullmatch(local[:-len("[+-]\\d{4}")] + "Z", got["START_TIME"])


def test_details_with_and_without_spaces(start, origin, tmp_path):
    got, _ = one_line(start, origin, tmp_path, [
        "RESPONSE_CODE_DETAILS", "RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)"])
    assert set(got.values()) == {"via_upstream"}


@pytest.mark.parametrize("operator, message", [
    ("COMMON_DURATION", "COMMON_DURATION requires parameters"),
    ("COMMON_DURATION(DS_RX_BEG)", "Invalid common duration configuration: DS_RX_BEG."),
    ("COMMON_DURATION(a:b:ms:d)", "Invalid common duration configuration: a:b:ms:d."),
    ("COMMON_DURATION(DS_RX_BEG:US_TX_BEG:xs)", "Invalid common duration precision: xs."),
    ("COMMON_DURATION(DS_RX_BEG:DS_RX_END):3",
     "COMMON_DURATION does not allow length to be specified."),
    ("RESPONSE_CODE_DETAILS:3", "RESPONSE_CODE_DETAILS does not allow length to be specified."),
    ("PATH(XX)", "Invalid PATH option: 'XX', only 'WQ'/'NQ' are allowed"),
    ("PATH(WQ:YY)", "Invalid PATH option: 'YY', only 'ORIG'/'PATH'/'ORIG_OR_PATH' are allowed"),
    ("QUERY_PARAM()", "QUERY_PARAM requires parameters"),
    ("DYNAMIC_METADATA", "DYNAMIC_METADATA requires parameters"),
    ("REQUEST_HEADER", "REQUEST_HEADER requires parameters")])
def test_broken_operators_are_told(start, tmp_path, operator, message):
    with pytest.raises(RuntimeError, match=re.escape(message)):
        start(bootstrap([http_listener(routes=[direct(200)], access_log=[
            file_log(tmp_path / "log", f"%{operator}%\n")])]))


def test_a_virtual_cluster_has_a_name_and_the_rest_has_none(start, tmp_path):
    log = tmp_path / "log"
    named = [{"name": "vc", "headers": [{"name": ":path", "string_match": {"prefix": "/vc"}}]}]
    proxy = start(bootstrap([http_listener(
        vhosts=[vhost("v", ["*"], route("/", "none"), virtual_clusters=named)],
        access_log=[file_log(log, "%VIRTUAL_CLUSTER_NAME%\n")])], [cluster("none")]))
    for path in ["/vc", "/other"]:
        proxy.get(path)
    proxy.stop()
    assert log.read_text().split() == ["vc", "-"]


def test_an_upstream_that_was_never_reached(start, tmp_path, closing):
    """It has been chosen, and that is all: no connection, and so no protocol."""
    port, kept = refused_port()
    closing(kept)
    expected = {"UPSTREAM_HOST": f"127.0.0.1:{port}", "UPSTREAM_PROTOCOL": "-",
                "UPSTREAM_REMOTE_ADDRESS": "-", "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": "-",
                "UPSTREAM_REMOTE_PORT": "-", "UPSTREAM_LOCAL_ADDRESS": "-",
                "UPSTREAM_HOST_NAME": f"127.0.0.1:{port}"}
    assert one_line(start, port, tmp_path, list(expected))[0] == expected


def test_bytes_of_the_headers_of_a_request(logged):
    """Names and values, as they are when the line is made: with what the proxy has added."""
    proxy, read = logged("%REQUEST_HEADERS_BYTES%\n")
    proxy.get("/p?q", headers={"x-a": "abc"})
    headers = {":method": "GET", ":path": "/p?q", ":authority": "a.test", ":scheme": "http",
               "x-a": "abc", "x-forwarded-proto": "http", "x-request-id": "i" * 36,
               "x-envoy-expected-rq-timeout-ms": "15000"}
    assert read() == [str(sum(len(name) + len(value) for name, value in headers.items()))]


def test_a_variable_that_is_not_set(start, origin, tmp_path):
    log = tmp_path / "log"
    made = file_log(log)
    made["typed_config"]["log_format"] = {
        "json_format": {"a": "%ENVIRONMENT(NO_SUCH_VARIABLE)%"}, "omit_empty_values": True}
    proxy = start(bootstrap([http_listener(routes=[direct(200)], access_log=[made])]))
    proxy.get("/")
    proxy.stop()
    assert json.loads(log.read_text()) == {"a": "-"}


OTHER_NAMES = {
    "REQUEST_HEADER(x-a)": "abc", "REQUEST_HEADER(x-none?x-a):2": "ab", "RESPONSE_HEADER(x-r)": "r",
    "RESPONSE_HEADER(x-none)": "-", "RESPONSE_TRAILER(x-t)": "t", "RESPONSE_TRAILER(x-none)": "-",
    "DYNAMIC_METADATA(a.filter:key)": "-", "DYNAMIC_METADATA(a.filter:key:more):3": "-",
    "SPAN_ID": "-", "TRACE_ID": "-"}


def test_other_names_and_what_no_filter_has_set(start, origin, tmp_path):
    origin.reply = Reply(headers=[("x-r", "r")], chunks=[b"1"], trailers=[("x-t", "t")])
    log = tmp_path / "log"
    proxy = start(bootstrap([http_listener(
        routes=[route("/", "one")], access_log=[file_log(
            log, "\n".join(f"%{op}%" for op in OTHER_NAMES) + "\n")])],
        [cluster("one", origin, http={"explicit_http_config": {
            "http_protocol_options": {"enable_trailers": True}}})]))
    proxy.get("/", headers={"x-a": "abc"})
    proxy.stop()
    assert dict(zip(OTHER_NAMES, log.read_text().splitlines(), strict=True)) == OTHER_NAMES


LIFE = "%ACCESS_LOG_TYPE% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %ROUTE_NAME% " \
       "%REQ(:PATH)% %RESP(CONTENT-TYPE)% %DURATION%\n"


def test_a_line_when_a_request_begins(logged, origin):
    proxy, read = logged(LIFE, flush_access_log_on_new_request=True)
    proxy.get("/x")
    begun, ended = read()
    assert begun == "DownstreamStart 0 - named /x - 0"
    assert ended.startswith("DownstreamEnd 200 via_upstream named /x - ")


@difference("Which of weighted clusters it is to be is for the router to say, after all filters.",
            envoy="names the route's cluster when a request begins",
            xylem="names none in that line")
def test_no_cluster_before_the_router(logged, kind):
    proxy, read = logged("%UPSTREAM_CLUSTER%\n", flush_access_log_on_new_request=True)
    proxy.get("/")
    assert read() == ["one" if kind == "envoy" else "-", "one"]


def test_the_options_have_the_same_words(logged, origin):
    proxy, read = logged(LIFE, access_log_options={"flush_access_log_on_new_request": True})
    proxy.get("/x")
    assert [line.split()[0] for line in read()] == ["DownstreamStart", "DownstreamEnd"]


def test_lines_while_a_request_lasts(logged, origin, tmp_path):
    hold = origin.hold()
    origin.reply = Reply(hold=hold)
    proxy, read = logged(LIFE, access_log_options={
        "access_log_flush_interval": "0.01s"})
    with proxy.client() as client:
        client.write_request(path="/x")
        origin.wait_requests(1)
        wait_for(lambda: (tmp_path / "access.log").read_text().count("DownstreamPeriodic 0 - named /x - ") >= 2,
                 15, "two lines of a request that lasts")
        hold.release()
        assert client.response().status == 200
    lines = read()
    assert [line.split()[0] for line in lines] == ["DownstreamPeriodic"] * (len(lines) - 1) + [
        "DownstreamEnd"]
    times = [int(line.split()[-1]) for line in lines]
    assert times == sorted(times) and times[1] >= 10


def test_a_filter_judges_early_lines(start, origin, tmp_path):
    log = file_log(tmp_path / "access.log", LIFE)
    log["filter"] = {"status_code_filter": {"comparison": {
        "op": "GE", "value": {"default_value": 200, "runtime_key": "none"}}}}
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one")], access_log=[log],
                       flush_access_log_on_new_request=True)], [cluster("one", origin)]))
    proxy.get("/x")
    proxy.stop()
    line, = (tmp_path / "access.log").read_text().splitlines()
    assert line.startswith("DownstreamEnd 200")
