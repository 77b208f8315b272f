"""Access logs of listeners: one entry a connection, also of those that never became one of HTTP."""
import socket
import struct

import pytest

from harness import Client, bootstrap, certs, difference, direct, http_listener, wait_for
from harness.config import file_log

FORMAT = ("%ACCESS_LOG_TYPE% %PROTOCOL% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %RESPONSE_FLAGS% "
          "%BYTES_RECEIVED% %BYTES_SENT% %DOWNSTREAM_TRANSPORT_FAILURE_REASON% %REQ(:PATH)% "
          "%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %FILTER_CHAIN_NAME% "
          "%DOWNSTREAM_TLS_VERSION% %UPSTREAM_HOST% %UPSTREAM_REQUEST_ATTEMPT_COUNT%\n")


@pytest.fixture
def logged(start, tmp_path):
    """logged(chain fields) gives (proxy, read): read(n) waits for n lines of the listener's log."""
    path = tmp_path / "listener.log"

    def run(listener=None, text=FORMAT, **chain):
        made = http_listener(routes=[direct(200, "well")],
                             listener={"access_log": [file_log(path, text)], **(listener or {})})
        made["filter_chains"][0].update({"name": "chain", **chain})
        proxy = start(bootstrap([made]), args=("--file-flush-interval-msec", "50"))

        def read(n):
            def lines():
                seen = path.read_text().splitlines() if path.exists() else []
                return seen if len(seen) >= n else None
            return wait_for(lines, what=f"{n} lines")
        return proxy, read
    return run


def peer(sock):
    return "%s:%d" % sock.getsockname()[:2]


def test_a_connection(logged):
    proxy, read = logged()
    with proxy.client() as client:
        mine = peer(client.sock)
        client.get("/a")
        client.get("/b")
    line, = read(1)
    fields = line.split()
    assert fields[5] == "66" and int(fields[6]) > 200
    assert fields[:5] + fields[7:] == [
        "NotSet", "HTTP/1.1", "0", "-", "-", "-", "-", mine, f"127.0.0.1:{proxy.port()}", "chain",
        "-", "-", "0"]


def test_a_connection_without_a_request(logged):
    proxy, read = logged()
    with proxy.client() as client:
        mine = peer(client.sock)
        wait_for(lambda: proxy.stats("http.ingress").get(
            "http.ingress.downstream_cx_active") == 1, what="the connection")
    assert read(1)[0].split() == [
        "NotSet", "-", "0", "-", "-", "0", "0", "-", "-", mine, f"127.0.0.1:{proxy.port()}",
        "chain", "-", "-", "0"]


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@pytest.mark.parametrize("said, protocol, flags", [
    (b"BAD\r\n\r\n", "-", "DPE"), (b"GET / HTTP/1.1\r\nHost: a\r\n\r\nBAD\r\n\r\n", "-", "DPE"),
    (b"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1", "-"), (PREFACE + b"junk" * 5, "-", "DPE"),
    (PREFACE + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)), "HTTP/2", "-")],
    ids=["bad", "good and bad", "no host", "bad HTTP/2", "HTTP/2"])
def test_protocol_of_a_connection(logged, said, protocol, flags):
    """Of HTTP/2 from the preface on; of who breaks the rules it is not told."""
    proxy, read = logged()
    with socket.create_connection(("127.0.0.1", proxy.port()), 10) as client:
        client.sendall(said)
        assert client.recv(1000)
    fields = read(1)[0].split()
    assert (fields[1], fields[4]) == (protocol, flags)


ENDS = {
    "silent": ({"idle_timeout": "0.2s"}, b"", None, "on_idle_timeout|Normal"),
    "too long": ({"max_connection_duration": "0.2s"}, b"", None, "duration_timeout|Normal"),
    "leaves": ({}, b"", "close", "-|Normal"), "resets": ({}, b"", "reset", "-|RemoteReset"),
    "asks and leaves": ({}, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "close", "-|Normal"),
    "is done": ({}, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "leave",
                "deferred_close_on_drained_connection|Normal")}


@pytest.mark.parametrize("case", ENDS)
def test_how_a_connection_ended(start, tmp_path, case):
    options, said, how, wanted = ENDS[case]
    path, ends = tmp_path / "log", "%DOWNSTREAM_LOCAL_CLOSE_REASON%|%DOWNSTREAM_DETECTED_CLOSE_TYPE%\n"
    proxy = start(bootstrap([http_listener(
        routes=[direct(200)], common_http_protocol_options=options,
        access_log=[file_log(path, "request " + ends)],
        listener={"access_log": [file_log(path, ends)]})]))
    with socket.create_connection(("127.0.0.1", proxy.port()), 10) as client:
        client.sendall(said)
        if said:
            assert client.recv(1000)
        if how == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if how in ("close", "reset"):
            proxy.wait_stat("http.ingress.downstream_cx_active", 1)
        elif not how:
            assert client.recv(1000) == b""
    proxy.wait_stat("http.ingress.downstream_cx_active", 0)
    proxy.stop()
    assert path.read_text().splitlines() == ["request -|Normal"] * bool(said) + [wanted]


def test_a_handshake_that_takes_too_long(logged):
    proxy, read = logged(text="%CONNECTION_TERMINATION_DETAILS%|%RESPONSE_FLAGS%|"
                              "%DOWNSTREAM_LOCAL_CLOSE_REASON%\n",
                         transport_socket_connect_timeout="0.1s",
                         transport_socket=certs.downstream(
                             certs.Authority("ca").issue("web", dns=["a.test"])))
    with socket.create_connection(("127.0.0.1", proxy.port()), 10) as client:
        assert client.recv(100) == b""
    assert read(1) == ["transport socket timeout was reached|-|transport_socket_timeout"]


def test_a_handshake_that_fails(logged):
    proxy, read = logged(transport_socket=certs.downstream(
        certs.Authority("ca").issue("web", dns=["a.test"])))
    with socket.create_connection(("127.0.0.1", proxy.port()), 10) as client:
        mine = peer(client)
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert client.recv(100) == b""
    fields = read(1)[0].split()
    assert fields[7].startswith("TLS_error:|") and fields[7].endswith(":HTTP_REQUEST:TLS_error_end")
    assert fields[:7] == ["NotSet", "-", "0", "-", "-", "0", "0"]
    assert fields[9:12] == [mine, f"127.0.0.1:{proxy.port()}", "chain"]


@pytest.mark.parametrize("said", [b"", b"\x16\3\1\2\0\1"])
def test_a_handshake_that_is_reset(logged, said):
    proxy, read = logged(transport_socket=certs.downstream(
        certs.Authority("ca").issue("web", dns=["a.test"])))
    with socket.create_connection(("127.0.0.1", proxy.port()), 10) as client:
        client.sendall(said)
        proxy.wait_stat("http.ingress.downstream_cx_active", 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert read(1)[0].split()[7] == RESET


RESET = "TLS_error:|33554536:system_library:OPENSSL_internal:Connection_reset_by_peer:TLS_error_end"


def test_a_connection_over_tls(logged):
    ca = certs.Authority("ca")
    proxy, read = logged(transport_socket=certs.downstream(ca.issue("web", dns=["a.test"])))
    with Client(proxy.port(), tls=certs.client_context(ca), name="a.test") as client:
        client.get("/")
    fields = read(1)[0].split()
    assert (fields[1], fields[5], fields[7], fields[12]) == ("HTTP/1.1", "32", "-", "TLSv1.3")


def test_no_chain_matches(logged):
    proxy, read = logged(filter_chain_match={
        "source_prefix_ranges": [{"address_prefix": "10.9.9.9", "prefix_len": 32}]})
    with socket.create_connection(("127.0.0.1", proxy.port()), 10) as client:
        mine = peer(client)
        assert client.recv(100) == b""
    assert read(1)[0].split() == [
        "NotSet", "-", "0", "filter_chain_not_found", "NR", "0", "0", "-", "-", mine,
        f"127.0.0.1:{proxy.port()}", "-", "-", "-", "0"]


def test_an_open_connection_is_told_of_at_the_end(logged):
    proxy, read = logged()
    with proxy.client() as client:
        client.get("/")
        proxy.stop()
    assert read(1)[0].split()[1] == "HTTP/1.1"


# --- what a listener filter did not let through

BEFORE = ("%ACCESS_LOG_TYPE% %PROTOCOL% %RESPONSE_CODE_DETAILS% %RESPONSE_FLAGS% %BYTES_RECEIVED% "
          "%BYTES_SENT% %FILTER_CHAIN_NAME% %REQUESTED_SERVER_NAME% %DOWNSTREAM_REMOTE_ADDRESS% "
          "%DOWNSTREAM_LOCAL_ADDRESS% %DURATION%\n")
HELLO = b"\x16\x03\x01"


def inspector(**fields):
    return {"name": "envoy.filters.listener.tls_inspector", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3."
                 "TlsInspector", **fields}}


def dropped(run, data=b"", listener=None, close=False, **fields):
    """The line of a connection that says so and is dropped, and how long it was there."""
    proxy, read = run({"listener_filters": [inspector(**fields)], **(listener or {})}, BEFORE)
    with socket.create_connection(("127.0.0.1", proxy.port()), 10) as client:
        mine = peer(client)
        client.sendall(data)
        if close:
            proxy.wait_stat("listener.127.0.0.1_0.downstream_pre_cx_active", 1)
        else:
            try:
                assert client.recv(100) == b""
            except ConnectionResetError:
                pass  # there were bytes that nobody took
    fields = read(1)[0].split()
    assert fields[:10] == ["NotSet", "-", "-", "-", "0", "0", "-", "-", mine,
                           f"127.0.0.1:{proxy.port()}"]
    return int(fields[10])


def test_a_client_that_says_nothing(logged):
    assert dropped(logged, listener={"listener_filters_timeout": "0.2s"}) >= 190


def test_a_hello_that_does_not_end(logged):
    assert dropped(logged, HELLO, {"listener_filters_timeout": "0.2s"}) >= 190


def test_a_client_that_leaves_early(logged):
    dropped(logged, HELLO, close=True)


def test_a_hello_that_is_none(logged):
    dropped(logged, HELLO + b"\0\5hello" + bytes(100),
            close_connection_on_client_hello_parsing_errors=True)


@pytest.mark.parametrize("data", [
    b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", b"\x16GET / HTTP/1.1\r\n\r\n",
    b"\x14\3\3\0\1\1" + bytes(20), b"\x15\3\3\0\2\2\x28"],
    ids=["text", "half", "change-cipher-spec", "alert"])
def test_bytes_that_are_no_hello(logged, data):
    """Of a listener that was told to let nothing else in."""
    dropped(logged, data, close_connection_on_client_hello_parsing_errors=True)


def test_a_hello_that_is_too_large(logged):
    dropped(logged, HELLO + b"\x10\0\1\0\x0f\xf0" + bytes(1000), max_client_hello_size=256)


def test_a_name_that_no_chain_has(logged):
    proxy, read = logged({"listener_filters": [inspector()]}, BEFORE,
                         filter_chain_match={"server_names": ["a.test"]})
    with pytest.raises(OSError):
        Client(proxy.port(), tls=certs.client_context(certs.Authority("ca")), name="other.test")
    assert read(1)[0].split()[2:8] == ["filter_chain_not_found", "NR", "0", "0", "-", "other.test"]


# --- log_type_filter

def typed_log(path, *types, **fields):
    log = file_log(path, "%ACCESS_LOG_TYPE%\n")
    log["filter"] = {"log_type_filter": {"types": types, **fields}}
    return log


def test_types_of_lines(start, tmp_path):
    names = ("start", "end", "not_start", "connection", "no_connection")
    path = {name: tmp_path / name for name in names}
    proxy = start(bootstrap([http_listener(
        routes=[direct(200, "well")], flush_access_log_on_new_request=True,
        access_log=[typed_log(path["start"], "DownstreamStart"),
                    typed_log(path["end"], "DownstreamEnd", "TcpConnectionEnd"),
                    typed_log(path["not_start"], "DownstreamStart", exclude=True)],
        listener={"access_log": [typed_log(path["connection"], "NotSet"),
                                 typed_log(path["no_connection"], "NotSet", exclude=True)]})]))
    proxy.get("/")
    proxy.stop()
    assert {name: path[name].read_text().split() for name in names} == {
        "start": ["DownstreamStart"], "end": ["DownstreamEnd"], "not_start": ["DownstreamEnd"],
        "connection": ["NotSet"], "no_connection": []}


def test_a_type_in_a_header(start):
    """A head is no line of a log."""
    proxy = start(bootstrap([http_listener(routes=[direct(200, "well", response_headers_to_add=[
        {"header": {"key": "x-type", "value": "%ACCESS_LOG_TYPE%"}}])])]))
    assert proxy.get("/").header("x-type") == "NotSet"


@difference("What goes to a chain of plain text on purpose has not failed: the inspector looks for a "
            "hello, and there is none.",
            envoy="tells what its TLS library said of the plain text as the transport's failure",
            xylem="tells no failure")
def test_plain_text_behind_the_inspector(logged, kind):
    proxy, read = logged({"listener_filters": [inspector()]},
                         "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%\n")
    proxy.get("/")
    said = "TLS_error|error:1000009c:SSL_routines:OPENSSL_internal:HTTP_REQUEST:TLS_error_end"
    assert read(1) == [said if kind == "envoy" else "-"]


@difference("The name is told of handshakes that take place here, and of connections that no chain took.",
            envoy="tells the name that the inspector has read", xylem="tells none")
def test_a_hello_that_a_chain_of_plain_text_gets(logged, kind):
    proxy, read = logged({"listener_filters": [inspector()]}, "%REQUESTED_SERVER_NAME%\n")
    with pytest.raises(OSError):
        Client(proxy.port(), tls=certs.client_context(certs.Authority("ca")), name="a.test")
    assert read(1) == ["a.test" if kind == "envoy" else "-"]
