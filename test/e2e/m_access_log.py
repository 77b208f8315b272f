"""Access logs: Envoy's default line, formats, stdout, reopening, flushing at the end."""
import json
import re
import signal

import pytest

from harness import Reply, bootstrap, cluster, direct, http_listener, route, wait_for
from harness.config import file_log

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
