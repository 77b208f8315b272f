"""Access logs of listeners: one entry a connection, also of those that never became one of HTTP."""
import socket

import pytest

from harness import Client, bootstrap, certs, direct, http_listener, wait_for
from harness.config import file_log

FORMAT = ("%ACCESS_LOG_TYPE% %PROTOCOL% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %RESPONSE_FLAGS% "
          "%BYTES_RECEIVED% %BYTES_SENT% %DOWNSTREAM_TRANSPORT_FAILURE_REASON% %REQ(:PATH)% "
          "%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %FILTER_CHAIN_NAME% "
          "%DOWNSTREAM_TLS_VERSION% %UPSTREAM_HOST% %UPSTREAM_REQUEST_ATTEMPT_COUNT%\n")


@pytest.fixture
def logged(start, tmp_path):
    """logged(chain fields) gives (proxy, read): read(n) waits for n lines of the listener's log."""
    path = tmp_path / "listener.log"

    def run(**chain):
        made = http_listener(routes=[direct(200, "well")],
                             listener={"access_log": [file_log(path, FORMAT)]})
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
