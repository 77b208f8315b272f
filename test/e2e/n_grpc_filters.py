"""What a proxy knows of gRPC: the operators of access logs, and the filters grpc_stats, grpc_web and
grpc_http1_bridge."""
import struct

import pytest

from harness import bootstrap, cluster, direct, http_listener, route
from harness.config import file_log, router_filter
from harness.h2peer import H2Client, H2Origin, H2Reply

HTTP2 = {"explicit_http_config": {"http2_protocol_options": {}}}
GRPC = ("content-type", "application/grpc")


def frame(message, flags=0):
    return bytes([flags]) + struct.pack(">I", len(message)) + message


def answer(*messages, trailers=(("grpc-status", "0"),), status=200, headers=(GRPC,)):
    return H2Reply(status, list(headers), b"".join(frame(m) for m in messages),
                   None if trailers is None else list(trailers))


@pytest.fixture
def upstream(closing):
    made = closing(H2Origin())
    made.reply = answer(b"hello")
    return made


@pytest.fixture
def behind(start, upstream, tmp_path):
    """behind(filters, log=...) starts a proxy with these filters before the router."""
    def run(filters=(), log=None, **fields):
        if log:
            fields["access_log"] = [file_log(tmp_path / "log", log)]
        return start(bootstrap(
            [http_listener(filters=[*filters, router_filter()],
                           **{"routes": [route("/", "one")], **fields})],
            [cluster("one", upstream, http=HTTP2)]))
    return run


def call(client, path="/a.B/M", body=frame(b"one"), headers=(GRPC,)):
    return client.request("POST", path, headers=list(headers), body=body)


# ---- access logs ----

STATUS = "%GRPC_STATUS% %GRPC_STATUS(CAMEL_STRING)% %GRPC_STATUS(SNAKE_STRING)% " \
    "%GRPC_STATUS(NUMBER)% %GRPC_STATUS_NUMBER%\n"


def test_status_operators(behind, upstream, tmp_path):
    proxy = behind(log=STATUS)
    seen = []
    with H2Client(proxy.port()) as client:
        for reply, line in [
                (answer(b"x"), "OK OK OK 0 0"),
                (answer(trailers=None, headers=(GRPC, ("grpc-status", "5"))),
                 "NotFound NotFound NOT_FOUND 5 5"),
                (answer(trailers=[("grpc-status", "99")]), "99 99 99 99 99"),
                (answer(trailers=[("grpc-status", "zz")]), "-1 -1 -1 -1 -1"),
                (answer(trailers=[("x", "y")]), "Unknown Unknown UNKNOWN 2 2"),
                (answer(trailers=None, status=503), "Unavailable Unavailable UNAVAILABLE 14 14"),
                (H2Reply(reset=8), "Unavailable Unavailable UNAVAILABLE 14 14")]:
            upstream.reply = reply
            call(client)
            seen.append(line)
        upstream.reply = answer(b"x")
        for other in ("application/grpc;x=1", "application/grpc-web", "text/plain"):
            call(client, headers=[("content-type", other)])
            seen.append("- - - - -")
    proxy.stop()
    assert (tmp_path / "log").read_text().splitlines() == seen


def test_status_filter(start, upstream, tmp_path):
    def log(name, **fields):
        return {**file_log(tmp_path / name, "%REQ(:PATH)%\n"),
                "filter": {"grpc_status_filter": fields}}
    proxy = start(bootstrap(
        [http_listener(routes=[direct(200, "x", prefix="/direct"), route("/", "one")],
                       access_log=[log("ok", statuses=["OK"]),
                                   log("unknown", statuses=["UNKNOWN"]),
                                   log("others", statuses=["OK", "UNKNOWN"], exclude=True)])],
        [cluster("one", upstream, http=HTTP2)]))
    with H2Client(proxy.port()) as client:
        call(client, "/ok/1")
        call(client, "/direct/1")
        call(client, "/plain/1", headers=[])
        upstream.reply = answer(trailers=[("x", "y")])
        call(client, "/unknown/1")
        call(client, "/unknown/2", headers=[])
        upstream.reply = answer(trailers=[("grpc-status", "99")])
        call(client, "/others/1")
        upstream.reply = answer(status=404, trailers=None)
        call(client, "/others/2", headers=[])
    proxy.stop()
    read = {name: (tmp_path / name).read_text().split() for name in ("ok", "unknown", "others")}
    assert read == {"ok": ["/ok/1", "/plain/1"],
                    "unknown": ["/direct/1", "/unknown/1", "/unknown/2"],
                    "others": ["/others/1", "/others/2"]}


def test_local_replies_follow_the_content_type(behind):
    proxy = behind(routes=[direct(200, "ok", prefix="/200"),
                           direct(500, "x", match={"prefix": "/m", "grpc": {}})])
    with H2Client(proxy.port()) as client:
        for content_type, grpc in (("application/grpc", True), ("application/grpc+proto", True),
                                   ("application/grpc;x=1", False),
                                   ("application/grpc-web", False)):
            got = call(client, "/200", headers=[("content-type", content_type)])
            assert got.header("grpc-status") == ("2" if grpc else None), content_type
            assert got.body == (b"" if grpc else b"ok")
            got = call(client, "/m", headers=[("content-type", content_type)])
            assert got.status == (200 if grpc else 404)
