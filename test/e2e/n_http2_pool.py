"""HTTP/2 to origins: which connection has a request, what waits, and what is counted at the end."""
import pytest

from harness import bootstrap, cluster, difference, http_listener, route, wait_for
from harness.h2peer import H2Client, H2Origin, H2Reply

GOAWAY = b"\0\0\x08\x07\0\0\0\0\0"
OF_A_STREAM = b"\0\0\0\x04\0\0\0\0\1"     # SETTINGS
OF_NO_STREAM = b"\0\0\1" + bytes(6) + b"x"     # DATA
BEHIND = "upstream connect error or disconnect/reset before headers. reset reason: "


@pytest.fixture
def h2_origin(closing):
    made = closing(H2Origin())
    made.reply = H2Reply(never=True)
    return made


@pytest.fixture
def run(start, h2_origin):
    """run(...) starts the proxy: options of HTTP/2, fields of the cluster."""
    def started(options=None, origin=h2_origin, **fields):
        http = {"explicit_http_config": {"http2_protocol_options": options or {}}}
        return start(bootstrap([http_listener(routes=[route("/", "one")])],
                               [cluster("one", origin, http=http, **fields)]))
    return started


def answer(origin, index, reply=None):
    """Answers the request that came as the index-th."""
    stream = origin.requests[index]
    wire = stream.wire
    origin.call(lambda: wire.origin.spawn(wire.answer(stream.stream_id, stream,
                                                      reply or H2Reply())))


def places(origin):
    """The number of each request's connection."""
    return [origin.wires.index(r.wire) for r in origin.requests]


def test_the_connection_that_had_room_last(run, h2_origin):
    """Requests go to the connection that was full last, not to the one that was used last."""
    proxy = run({"max_concurrent_streams": 2})
    with H2Client(proxy.port()) as client:
        streams = [client.open()]
        for n in (1, 2):
            h2_origin.wait_requests(n)
            streams.append(client.open())
        h2_origin.wait_requests(3)
        assert places(h2_origin) == [0, 0, 1]
        for n in (0, 2):
            answer(h2_origin, n)
            assert client.answer(streams[n]).status == 200
        client.open()
        h2_origin.wait_requests(4)
    assert places(h2_origin) == [0, 0, 1, 0]


@pytest.mark.parametrize("code, status, counts", [
    (8, 503, {"upstream_rq_rx_reset": 1}), (2, 503, {"upstream_rq_rx_reset": 1}),
    (1, 502, {"upstream_rq_tx_reset": 1}), (OF_NO_STREAM, 502, {"upstream_rq_tx_reset": 1}),
    (H2Reply(headers=[(f"x-{n}", "1") for n in range(120)]), 503, {"upstream_rq_rx_reset": 1}),
    (None, 503, {"upstream_rq_pending_failure_eject": 1})],
    ids=["cancel", "error", "protocol", "connection", "headers", "end"])
def test_counts_of_streams_that_end(run, h2_origin, code, status, counts):
    proxy = run()
    with H2Client(proxy.port()) as client:
        stream = client.open()
        h2_origin.wait_requests(1)
        if code is None:
            h2_origin.call(h2_origin.wires[0].writer.close)
        elif code is OF_NO_STREAM:
            h2_origin.call(lambda: h2_origin.wires[0].writer.write(code))
        else:
            answer(h2_origin, 0, code if isinstance(code, H2Reply) else H2Reply(reset=code))
        assert client.answer(stream).status == status
    seen = proxy.stats()
    for name in ("upstream_rq_rx_reset", "upstream_rq_tx_reset",
                 "upstream_rq_pending_failure_eject"):
        assert seen[f"cluster.one.{name}"] == counts.get(name, 0), name


def test_a_refused_stream_is_no_reset(start, h2_origin):
    h2_origin.queue = [H2Reply(reset=7)]
    h2_origin.reply = H2Reply()
    http = {"explicit_http_config": {"http2_protocol_options": {}}}
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one", retry_policy={"retry_on": "refused-stream"})])],
        [cluster("one", h2_origin, http=http)]))
    with H2Client(proxy.port()) as client:
        assert client.request().status == 200
    seen = proxy.stats()
    assert seen["cluster.one.upstream_rq_rx_reset"] == 0
    assert seen["cluster.one.http2.rx_reset"] == 1


@pytest.mark.parametrize("wrong", [GOAWAY + b"\x7f\xff\xff\xff" + bytes(4), OF_A_STREAM],
                         ids=["larger", "settings"])
def test_a_wrong_frame_behind_goaway(run, h2_origin, wrong):
    """An origin that says GOAWAY and then what no origin may say leaves nobody waiting."""
    proxy = run()
    with H2Client(proxy.port()) as client:
        stream = client.open()
        h2_origin.wait_requests(1)
        write = h2_origin.wires[0].writer.write
        h2_origin.call(lambda: write(GOAWAY + b"\0\0\0\1" + bytes(4)))
        proxy.wait_stat("cluster.one.upstream_cx_close_notify", 1)
        h2_origin.call(lambda: write(wrong))
        seen = client.answer(stream)
    assert (seen.status, seen.body.decode()) == (502, BEHIND + "protocol error")
    proxy.wait_stat("cluster.one.upstream_cx_active", 0)


def test_an_origin_is_told_what_was_wrong(run, h2_origin):
    """The end of its connection alone would not say."""
    proxy = run()
    with H2Client(proxy.port()) as client:
        stream = client.open()
        h2_origin.wait_requests(1)
        wire = h2_origin.wires[0]
        h2_origin.call(lambda: wire.writer.write(OF_NO_STREAM))
        assert client.answer(stream).status == 502
        wait_for(lambda: wire.goaways, 10, "GOAWAY")
    assert wire.goaways == [1]


def test_an_origin_that_floods(run, h2_origin):
    proxy = run()
    with H2Client(proxy.port()) as client:
        stream = client.open()
        h2_origin.wait_requests(1)
        priority = b"\0\0\5\2\0\0\0\0\1" + b"\0\0\0\3\1"
        h2_origin.call(lambda: h2_origin.wires[0].writer.write(priority * 300))
        assert client.answer(stream).status == 502
    seen = proxy.stats()
    assert seen["cluster.one.http2.inbound_priority_frames_flood"] == 1
    assert seen["cluster.one.upstream_cx_protocol_error"] == 1
    assert seen["cluster.one.upstream_rq_tx_reset"] == 1


@difference("What waits has not been sent to anybody: the end of a connection is no reason to fail it.",
            envoy="gives what waits to the connection that ends, so that it fails with it",
            xylem="gives it to the next connection")
def test_what_waits_outlives_a_connection(run, h2_origin, kind):
    proxy = run({"max_concurrent_streams": 1}, circuit_breakers={
        "thresholds": [{"max_connections": 1}]})
    with H2Client(proxy.port()) as client:
        streams = [client.open()]
        h2_origin.wait_requests(1)
        streams += [client.open() for _ in range(2)]
        proxy.wait_stat("cluster.one.upstream_rq_pending_active", 2)
        h2_origin.reply = H2Reply()
        h2_origin.call(h2_origin.wires[0].writer.close)
        statuses = [client.answer(s).status for s in streams]
    assert statuses == [503, 200, 200] if kind == "xylem" else [503, 503, 503]


@difference("What an origin has told one connection holds for the next: streams beyond it are refused.",
            envoy="sends each new connection as much as its own limit allows, until it is told",
            xylem="keeps to what the last connection was told, from the start")
def test_the_limit_of_an_origin_is_remembered(run, closing, kind):
    origin = closing(H2Origin(settings={3: 1}))
    proxy = run(origin=origin)
    with H2Client(proxy.port()) as client:
        assert client.request().status == 200
        origin.reply = H2Reply(never=True)
        client.open()
        origin.wait_requests(2)
        flush, client.flush = client.flush, lambda: None
        streams = [client.open() for _ in range(2)]
        client.flush = flush
        client.flush()
        if kind == "xylem":
            origin.wait_requests(4)
            assert places(origin) == [0, 0, 1, 2]
        else:   # this origin ends a connection with more
            assert [client.answer(s).status for s in streams] == [503, 503]


def test_the_last_to_come_is_retried(start, h2_origin):
    """When a connection ends, those who came last have the first turn at the budget of retries."""
    http = {"explicit_http_config": {"http2_protocol_options": {}}}
    proxy = start(bootstrap(
        [http_listener(routes=[route("/", "one", retry_policy={"retry_on": "5xx"})])],
        [cluster("one", h2_origin, http=http, circuit_breakers={
            "thresholds": [{"max_retries": 1}]})]))
    with H2Client(proxy.port()) as client:
        streams = []
        for n in range(3):
            streams.append(client.open())
            h2_origin.wait_requests(n + 1)
        h2_origin.reply = H2Reply()
        h2_origin.call(h2_origin.wires[0].writer.close)
        assert [client.answer(s).status for s in streams] == [503, 503, 200]
    assert proxy.stat("cluster.one.upstream_rq_retry_overflow") == 2
