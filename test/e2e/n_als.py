"""Access logs over gRPC: what an entry says, when entries leave, what becomes of them while the
service does not answer."""
import socket

import pytest
from google.protobuf import json_format

from harness import (Client, Reply, bootstrap, certs, cluster, difference, direct, http_listener,
                     refused_port, route, wait_for)
from harness.als import AlsServer
from harness.config import FILE_LOG, endpoint
from harness.h2peer import H2Client, H2Origin, H2Reply

ALS = "type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig"
TCP = ALS.replace("HttpGrpc", "TcpGrpc")
HTTP2 = {"explicit_http_config": {"http2_protocol_options": {}}}
STATS = "access_logs.grpc_access_log."
INSPECTOR = {"name": "envoy.filters.listener.tls_inspector", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3."
             "TlsInspector"}}
NODE = {"id": "n1", "cluster": "c1", "metadata": {"k": "v"}, "locality": {"zone": "z"}}
# What no two runs, or no two proxies, have in common.
VARIES = ("duration", "startTime", "streamId", "downstreamWireBytesSent",
          "downstreamWireBytesReceived", "upstreamWireBytesSent", "upstreamWireBytesReceived",
          "timeToLastRxByte", "timeToFirstUpstreamTxByte", "timeToLastUpstreamTxByte",
          "timeToFirstUpstreamRxByte", "timeToLastUpstreamRxByte",
          "timeToFirstDownstreamTxByte", "timeToLastDownstreamTxByte")
VARIES_REQUEST = ("requestId", "upstreamHeaderBytesSent", "downstreamHeaderBytesReceived")
VARIES_RESPONSE = ("upstreamHeaderBytesReceived", "downstreamHeaderBytesSent")


@pytest.fixture
def als(closing):
    return closing(AlsServer())


def als_log(interval="0.1s", more=None, **common):
    return {"name": "envoy.access_loggers.http_grpc", "typed_config": {
        "@type": ALS, **(more or {}),
        "common_config": {"log_name": "log", "transport_api_version": "V3",
                          "grpc_service": {"envoy_grpc": {"cluster_name": "als"}},
                          "buffer_flush_interval": interval, **common}}}


def tcp_log(**fields):
    log = als_log(**fields)
    log["typed_config"]["@type"] = TCP
    return log


def logged(als, *logs, routes=None, clusters=(), **fields):
    return bootstrap(
        [http_listener(routes=routes or [direct(200, "well")], access_log=list(logs) or [als_log()],
                       **fields)],
        [cluster("als", als if isinstance(als, int) else als.port, http=HTTP2), *clusters],
        node=NODE)


def listened(als, *logs, **listener):
    """The same, of the listener's connections."""
    config = logged(als)
    made = http_listener(routes=[direct(200, "well")], listener={"access_log": list(logs)})
    made.update(listener)
    config["static_resources"]["listeners"] = [made]
    return config


def plain(entry):
    """The entry as JSON, without what varies; times are checked to be in order."""
    made = json_format.MessageToDict(entry)
    common = made["commonProperties"]
    assert common["startTime"] and common["duration"]
    assert common["streamId"] == made["request"]["requestId"]
    for key in VARIES:
        common.pop(key, None)
    for key in VARIES_REQUEST:
        made["request"].pop(key, None)
    for key in VARIES_RESPONSE:
        made["response"].pop(key, None)
    return made


def here(port):
    return {"socketAddress": {"address": "127.0.0.1", "portValue": port}}


def test_an_entry(start, als, origin):
    more = {"additional_request_headers_to_log": ["X-A", "user-agent", "x-none"],
            "additional_response_headers_to_log": ["content-length", "x-none"]}
    proxy = start(logged(als, als_log(more=more), clusters=[cluster("one", origin)],
                         routes=[route("/up", "one", name="named", prefix_rewrite="/new")]))
    with proxy.client() as client:
        mine = client.sock.getsockname()[1]
        client.request("POST", "/up/x?q=1", body=b"12345", headers={
            "X-A": "1", "x-a": "2", "User-Agent": "ua", "Referer": "ref"})
    entry, = als.wait_http()
    time = entry.common_properties
    assert 0 <= time.time_to_last_rx_byte.nanos <= time.duration.nanos
    assert time.time_to_first_upstream_tx_byte.nanos <= time.time_to_first_upstream_rx_byte.nanos
    assert time.time_to_last_upstream_rx_byte.nanos <= time.duration.nanos
    assert time.HasField("time_to_last_upstream_tx_byte")
    assert time.HasField("time_to_first_downstream_tx_byte")
    assert time.HasField("time_to_last_downstream_tx_byte")
    made = plain(entry)
    up = made["commonProperties"].pop("upstreamLocalAddress")
    assert up["socketAddress"]["address"] == "127.0.0.1"
    assert made == {
        "commonProperties": {
            "accessLogType": "DownstreamEnd",
            "downstreamRemoteAddress": here(mine),
            "downstreamLocalAddress": here(proxy.port()),
            "downstreamDirectRemoteAddress": here(mine),
            "upstreamRemoteAddress": here(origin.port),
            "upstreamCluster": "one",
            "routeName": "named",
            "upstreamRequestAttemptCount": 1,
        },
        "protocolVersion": "HTTP11",
        "request": {
            "requestMethod": "POST", "scheme": "http", "authority": "a.test", "path": "/new/x?q=1",
            "originalPath": "/up/x?q=1", "userAgent": "ua", "referer": "ref",
            "requestHeadersBytes": made["request"]["requestHeadersBytes"],
            "requestBodyBytes": "5",
            "requestHeaders": {"x-a": made["request"]["requestHeaders"]["x-a"], "user-agent": "ua"},
        },
        "response": {
            "responseCode": 200, "responseBodyBytes": "6",
            "responseHeadersBytes": made["response"]["responseHeadersBytes"],
            "responseHeaders": {"content-length": "6"},
            "responseCodeDetails": "via_upstream",
        },
    }
    assert made["request"]["requestHeaders"]["x-a"] == "1,2"
    assert made["request"]["requestHeadersBytes"] == "232"
    assert made["response"]["responseHeadersBytes"] in ("99", "100", "101")  # by the service time


def test_the_stream(start, als):
    proxy = start(logged(als, als_log(grpc_service={
        "envoy_grpc": {"cluster_name": "als"},
        "initial_metadata": [{"key": "X-Token", "value": "%PROTOCOL% t"}]})))
    proxy.get("/")
    als.wait_http()
    proxy.get("/")
    als.wait_http(2)
    stream, = als.streams
    assert stream.metadata["x-token"] == "%PROTOCOL% t"
    first, second = stream.messages
    assert first.identifier.log_name == "log"
    node = first.identifier.node
    assert (node.id, node.cluster, node.locality.zone) == ("n1", "c1", "z")
    assert node.metadata["k"] == "v"
    assert not second.HasField("identifier")
    proxy.wait_stat(STATS + "logs_written", 2)
    assert proxy.stat(STATS + "grpc_entries_flushed") == 2
    assert proxy.stat(STATS + "logs_dropped") == 0
    assert proxy.stat("cluster.als.upstream_rq_total") == 1
    assert proxy.stat("cluster.als.upstream_rq_active") == 1
    assert proxy.stat("http.async-client.rq_total") == 1
    proxy.stop()
    wait_for(lambda: stream.ended, what="the stream to end with the proxy")


def test_other_ends(start, als, origin):
    port, kept = refused_port()
    proxy = start(logged(als, clusters=[cluster("one", origin), cluster("refused", port)],
                         routes=[route("/one", "one"), route("/refused", "refused"),
                                 route("/none", "nowhere"), direct(403, "no", prefix="/direct")],
                         route_config={"validate_clusters": False}))
    origin.on["/one"] = Reply(body=b"x" * 10)
    for path in ("/direct", "/refused", "/none"):
        proxy.get(path)
    made = [plain(e) for e in als.wait_http(3)]
    direct_, refused, none = made
    assert "responseFlags" not in direct_["commonProperties"]
    assert "upstreamCluster" not in direct_["commonProperties"]
    assert direct_["response"]["responseCodeDetails"] == "direct_response"
    assert direct_["response"]["responseBodyBytes"] == "2"
    common = refused["commonProperties"]
    assert common["responseFlags"] == {"upstreamConnectionFailure": True}
    assert common["upstreamTransportFailureReason"] == "delayed connect error: Connection refused"
    assert common["upstreamRemoteAddress"] == here(port)
    assert "upstreamLocalAddress" not in common
    assert refused["response"]["responseCode"] == 503
    assert none["commonProperties"]["responseFlags"] == {"noClusterFound": True}
    assert none["response"]["responseCodeDetails"] == "cluster_not_found"
    kept.close()


def test_a_client_that_leaves(start, als, origin):
    origin.reply = Reply(never=True)
    proxy = start(logged(als, routes=[route("/", "one")], clusters=[cluster("one", origin)]))
    with proxy.client() as client:
        client.write_request("GET", "/gone")
        wait_for(lambda: origin.requests, what="the request")
    made = plain(als.wait_http()[0])
    assert made["commonProperties"]["responseFlags"] == {"downstreamConnectionTermination": True}
    assert made["response"].get("responseCode", 0) == 0
    assert made["response"]["responseCodeDetails"] == "downstream_remote_disconnect"


def test_custom_tags(start, als, monkeypatch):
    monkeypatch.setenv("TAG_ENV", "from the environment")
    tags = [{"tag": "literal", "literal": {"value": "v"}},
            {"tag": "header", "request_header": {"name": "X-A", "default_value": "d"}},
            {"tag": "missing", "request_header": {"name": "x-none", "default_value": "d"}},
            {"tag": "nothing", "request_header": {"name": "x-none"}},
            {"tag": "env", "environment": {"name": "TAG_ENV"}},
            {"tag": "noenv", "environment": {"name": "NO_SUCH_ENV", "default_value": "e"}},
            {"tag": "format", "value": "%REQ(x-a)%/%RESPONSE_CODE%"}]
    proxy = start(logged(als, als_log(custom_tags=tags)))
    proxy.get("/", headers={"X-A": "1"})
    assert dict(als.wait_http()[0].common_properties.custom_tags) == {
        "literal": "v", "header": "1", "missing": "d", "env": "from the environment",
        "noenv": "e", "format": "1/200"}


def test_host_is_a_header_like_others(start, als):
    """The entry has it under the name of the configuration."""
    proxy = start(logged(als, als_log(
        more={"additional_request_headers_to_log": ["Host", "x-a"]},
        custom_tags=[{"tag": "host", "request_header": {"name": "Host"}}])))
    proxy.get("/", host="b.test", headers={"X-A": "1"})
    entry = als.wait_http()[0]
    assert dict(entry.common_properties.custom_tags) == {"host": "b.test"}
    assert dict(entry.request.request_headers) == {"host": "b.test", "x-a": "1"}


def metadata_tag(name, path, kind="route", **fields):
    return {"tag": name, "metadata": {"kind": {kind: {}}, "metadata_key": {
        "key": "k", "path": [{"key": part} for part in path.split(".")]}, **fields}}


def test_tags_of_metadata(start, als):
    values = {"s": "text", "n": 1.5, "i": 1234567, "b": True, "o": {"x": "y"}, "l": [1, "a", None],
              "z": None, "e": ""}
    tags = [metadata_tag(name, name, default_value="none") for name in values]
    tags += [metadata_tag("in", "o.x"), metadata_tag("too deep", "s.x", default_value="d"),
             metadata_tag("missing", "m"), metadata_tag("other", "m", default_value="d"),
             metadata_tag("request", "s", kind="request", default_value="d"),
             metadata_tag("no request", "s", kind="request")]
    proxy = start(logged(als, als_log(custom_tags=tags), routes=[
        {**direct(200, "well"), "metadata": {"filter_metadata": {"k": values, "l": {"s": "no"}}}}]))
    proxy.get("/")
    assert dict(als.wait_http()[0].common_properties.custom_tags) == {
        "s": "text", "n": "1.5", "i": "1.23457e+06", "b": "true", "o": '{"x":"y"}',
        "l": '[1,"a",null]', "z": "none", "e": "", "in": "y", "too deep": "d", "other": "d",
        "request": "d"}


def test_tags_of_the_upstream(start, als, origins):
    """Of the host whose answer it was, and of its cluster."""
    one, two = origins(2)
    one.reply = Reply(status=503)
    two.queue = [Reply()] * 9
    tags = [metadata_tag("cluster", "c", kind="cluster"), metadata_tag("host", "h", kind="host"),
            metadata_tag("none", "x", kind="host", default_value="d")]
    def of_host(n):
        return {"filter_metadata": {"k": {"h": n}}}
    proxy = start(logged(als, als_log(custom_tags=tags), routes=[
        direct(200, "well", prefix="/direct"),
        route("/", "one", retry_policy={"retry_on": "5xx", "num_retries": 9})], clusters=[
            cluster("one", endpoint(one, metadata=of_host("first")),
                    endpoint(two, metadata=of_host({"n": 2})),
                    metadata={"filter_metadata": {"k": {"c": "web"}}})]))
    assert proxy.get("/").status == 200
    proxy.get("/direct")
    assert [dict(e.common_properties.custom_tags) for e in als.wait_http(2)] == [
        {"cluster": "web", "host": '{"n":2}', "none": "d"}, {"none": "d"}]


def test_bytes_that_are_no_text(start, als):
    more = {"additional_request_headers_to_log": ["x-a"]}
    proxy = start(logged(als, als_log(more=more)))
    with proxy.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a.test\r\nx-a: a\xffb\xc3\xa4\xc3\r\n\r\n")
        client.response()
    entry, = als.wait_http()
    assert entry.request.request_headers["x-a"] == "a!bä!"


def test_http2_and_trailers(start, als, closing):
    upstream = closing(H2Origin())
    upstream.reply = H2Reply(trailers=[("x-t", "end"), ("grpc-status", "0")])
    more = {"additional_response_trailers_to_log": ["X-T", "x-none"]}
    proxy = start(logged(als, als_log(more=more), routes=[route("/", "up")],
                         clusters=[cluster("up", upstream.port, http=HTTP2)]))
    with H2Client(proxy.port()) as client:
        client.request()
    entry, = als.wait_http()
    assert dict(entry.response.response_trailers) == {"x-t": "end"}
    assert plain(entry)["protocolVersion"] == "HTTP2"


def test_tls(start, als, tmp_path):
    ca = certs.Authority("ca")
    web = ca.issue("web", dns=["a.test", "b.test"], uris=["spiffe://d/web"])
    caller = ca.issue("caller", dns=["c.test"], uris=["spiffe://d/c", "spiffe://d/c2"])
    config = logged(als)
    config["static_resources"]["listeners"][0]["filter_chains"][0]["transport_socket"] = \
        certs.downstream(web, validation_context=ca.validation_context())
    config["static_resources"]["listeners"][0]["listener_filters"] = [INSPECTOR]
    proxy = start(config)
    with Client(proxy.port(), tls=certs.client_context(ca, caller, tmp_path),
                name="a.test") as client:
        client.get("/")
    tls = json_format.MessageToDict(als.wait_http()[0].common_properties.tls_properties)
    assert tls.pop("tlsSessionId", "") is not None
    assert tls.pop("tlsCipherSuite") in (0x1301, 0x1302, 0x1303)
    assert tls == {
        "tlsVersion": "TLSv1_3",
        "tlsSniHostname": "a.test",
        "localCertificateProperties": {
            "subject": "CN=web,O=xylem tests", "subjectAltName": [
                {"uri": "spiffe://d/web"}]},
        "peerCertificateProperties": {
            "subject": "CN=caller,O=xylem tests", "issuer": "CN=ca,O=xylem tests",
            "subjectAltName": [
                {"uri": "spiffe://d/c"}, {"uri": "spiffe://d/c2"}]},
    }


def test_an_entry_when_a_request_begins(start, als):
    proxy = start(logged(als, flush_access_log_on_new_request=True))
    proxy.get("/x")
    begun, ended = als.wait_http(2)
    common = begun.common_properties
    assert (common.access_log_type, ended.common_properties.access_log_type) == (4, 6)
    assert not common.HasField("duration") and common.intermediate_log_entry
    assert not ended.common_properties.intermediate_log_entry
    assert (begun.request.path, begun.response.response_code.value) == ("/x", 0)


def test_a_filter_decides(start, als):
    log = als_log()
    log["filter"] = {"status_code_filter": {"comparison": {
        "op": "GE", "value": {"default_value": 400, "runtime_key": "k"}}}}
    proxy = start(logged(als, log, routes=[direct(404, "no", prefix="/no"), direct(200, "yes")]))
    proxy.get("/yes")
    proxy.get("/no")
    entry, = als.wait_http()
    assert entry.request.path == "/no"


def test_many_leave_in_one_message(start, als):
    proxy = start(logged(als, als_log(interval="0.5s")))
    with proxy.client() as client:
        for _ in range(20):
            client.get("/")
    assert len(als.wait_http(20)) == 20
    assert len(als.messages()) <= 3


def test_a_full_buffer_leaves_at_once(start, als):
    proxy = start(logged(als, als_log(interval="600s", buffer_size_bytes=1000)))
    with proxy.client() as client:
        for _ in range(31):
            client.get("/")
    proxy.wait_stat(STATS + "logs_written", 31)
    wait_for(lambda: len(als.http_entries()) >= 20, what="full buffers")
    assert len(als.http_entries()) < 31
    assert all(m.ByteSize() < 3000 for m in als.messages()[1:])


def test_each_entry_leaves_without_a_buffer(start, als):
    proxy = start(logged(als, als_log(interval="600s", buffer_size_bytes=0)))
    for n in range(3):
        proxy.get("/")
        als.wait_http(n + 1)
    assert len(als.messages()) == 3


def test_equal_logs_share_a_stream(start, als):
    config = logged(als, als_log(), als_log(log_name="other"))
    second = logged(als)["static_resources"]["listeners"][0]
    config["static_resources"]["listeners"].append({**second, "name": "second"})
    proxy = start(config)
    proxy.get("/")
    als.wait_http(2)
    proxy.get("/", name="second")
    als.wait_http(3)
    assert sorted(s.messages[0].identifier.log_name for s in als.streams) == ["log", "other"]


def test_the_service_ends_the_stream(start, als):
    proxy = start(logged(als))
    proxy.get("/")
    als.wait_http(1)
    als.ending.set()
    proxy.get("/")
    als.wait_http(2)
    wait_for(lambda: als.streams[0].ended, what="the end of the first stream")
    als.ending.clear()
    proxy.get("/")
    als.wait_http(3)
    assert als.streams[-1].messages[0].identifier.log_name == "log"
    assert len(als.streams) == 2


def test_a_service_that_comes_back(start, closing, kind):
    """What is lost is bounded by what was under way: entries that wait are sent when it is back."""
    first = AlsServer()
    proxy = start(logged(first.port, als_log(
        grpc_stream_retry_policy={"retry_back_off": {"base_interval": "0.1s",
                                                     "max_interval": "0.2s"}})))
    proxy.get("/first")
    first.wait_http(1)
    first.stop()
    proxy.wait_stat("cluster.als.upstream_cx_active", 0)
    second = closing(AlsServer(first.port))

    def arrived():
        proxy.get("/second")
        return second.http_entries()
    wait_for(arrived, what="an entry of the second life")
    assert second.streams[-1].messages[0].identifier.log_name == "log"


@difference("Entries that the service could still get are not to be lost because it is late.",
            envoy="loses what it sent into a stream that never connects",
            xylem="keeps it until there is a connection")
def test_a_service_that_is_late(start, closing, kind):
    port, kept = refused_port()
    proxy = start(logged(port, als_log(interval="0.2s")))
    for n in range(5):
        proxy.get(f"/{n}")
    proxy.wait_stat("cluster.als.upstream_cx_connect_fail", lambda n: n > 0)
    kept.close()
    late = closing(AlsServer(port))
    if kind == "envoy":
        wait_for(lambda: proxy.get("/more") and late.http_entries(), what="any entry")
        return
    assert [e.request.path for e in late.wait_http(5)[:5]] == [f"/{n}" for n in range(5)]
    assert proxy.stat(STATS + "logs_dropped") == 0


def test_entries_beyond_the_buffer_are_dropped(start):
    """Nobody answers, and nothing waits for that: requests go on, entries are counted."""
    proxy = start(bootstrap([http_listener(
        routes=[direct(200, "well")], access_log=[als_log(buffer_size_bytes=1000)])], [],
        node=NODE))
    with proxy.client() as client:
        for _ in range(40):
            assert client.get("/").status == 200
    written = proxy.stat(STATS + "logs_written")
    assert 1 <= written < 10
    assert proxy.stat(STATS + "logs_dropped") == 40 - written
    assert proxy.stat(STATS + "grpc_entries_flush_failed") >= written
    assert proxy.stat(STATS + "grpc_entries_flushed") == 0
    assert proxy.memory_kib() > 0


@difference("The machine's address is nothing that a service needs of a call by the proxy itself.",
            envoy="sends x-forwarded-for with the address of the machine",
            xylem="sends x-envoy-internal alone")
def test_headers_of_the_call(start, closing, kind):
    peer = closing(H2Origin())
    proxy = start(logged(peer.port, als_log(grpc_service={
        "envoy_grpc": {"cluster_name": "als", "authority": "logs.test"}})))
    proxy.get("/")
    wait_for(lambda: peer.requests, what="the call")
    headers = [(name, value) for name, value in peer.requests[0].headers
               if name != "x-forwarded-for"]
    assert headers == [
        (":method", "POST"),
        (":path", "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs"),
        (":authority", "logs.test"), (":scheme", "http"), ("te", "trailers"),
        ("content-type", "application/grpc"), ("x-envoy-internal", "true")]
    assert bool(peer.requests[0].header("x-forwarded-for")) == (kind == "envoy")


def test_wire_bytes(start, als):
    with start(logged(als)).client() as client:
        answer = client.get("/")
    entry, = als.wait_http()
    common = entry.common_properties
    assert common.downstream_wire_bytes_sent == len(answer.raw_head) + len(answer.body)
    assert common.downstream_wire_bytes_received == len("GET / HTTP/1.1\r\nhost: a.test\r\n\r\n")
    assert entry.request.downstream_header_bytes_received == len("host:a.test\r\n")
    assert entry.response.downstream_header_bytes_sent == (
        len(answer.raw_head) - len("HTTP/1.1 200 OK\r\n" "\r\n"))
    assert common.upstream_wire_bytes_sent == common.upstream_wire_bytes_received == 0
    assert entry.request.upstream_header_bytes_sent == 0
    assert entry.response.upstream_header_bytes_received == 0


def test_tcp_entries_of_requests(start, als, origin):
    proxy = start(logged(als, tcp_log(custom_tags=[
        {"tag": "header", "request_header": {"name": "x-a"}}]),
        routes=[route("/", "one", name="named")], clusters=[cluster("one", origin)]))
    with proxy.client() as client:
        mine = client.sock.getsockname()[1]
        client.request("POST", "/", body=b"abc", headers={"x-a": "1"})
    made = json_format.MessageToDict(als.wait_tcp()[0])
    assert made["connectionProperties"] == {"receivedBytes": "3", "sentBytes": "6"}
    common = {k: v for k, v in made["commonProperties"].items() if k not in VARIES}
    assert common.pop("upstreamLocalAddress")
    assert common == {
        "accessLogType": "DownstreamEnd", "downstreamRemoteAddress": here(mine),
        "downstreamLocalAddress": here(proxy.port()), "downstreamDirectRemoteAddress": here(mine),
        "upstreamRemoteAddress": here(origin.port), "upstreamCluster": "one", "routeName": "named",
        "upstreamRequestAttemptCount": 1, "customTags": {"header": "1"}}
    assert not als.http_entries()


def connection(proxy, mine, entry):
    """The entry of a connection, without its common part, which is checked."""
    made = json_format.MessageToDict(entry)
    common = made.pop("commonProperties")
    assert common.pop("startTime") and common.pop("duration")
    assert common == {"downstreamRemoteAddress": here(mine),
                      "downstreamLocalAddress": here(proxy.port()),
                      "downstreamDirectRemoteAddress": here(mine)}
    return made


def test_connections(start, als):
    proxy = start(listened(als, tcp_log(), als_log()))
    with proxy.client() as client:
        mine = client.sock.getsockname()[1]
        client.get("/a")
        client.get("/b")
    made = connection(proxy, mine, als.wait_tcp()[0])["connectionProperties"]
    assert made["receivedBytes"] == "66" and int(made["sentBytes"]) > 200
    made = connection(proxy, mine, als.wait_http()[0])
    assert made == {"protocolVersion": "HTTP11", "request": {"requestBodyBytes": "66"},
                    "response": {"responseBodyBytes": made["response"]["responseBodyBytes"]}}
    assert int(made["response"]["responseBodyBytes"]) > 200
    assert len(als.streams) == 2


def test_a_connection_without_a_request(start, als):
    proxy = start(listened(als, tcp_log(), als_log()))
    with proxy.client() as client:
        mine = client.sock.getsockname()[1]
        proxy.wait_stat("http.ingress.downstream_cx_active", 1)
    assert connection(proxy, mine, als.wait_tcp()[0]) == {"connectionProperties": {}}
    assert connection(proxy, mine, als.wait_http()[0]) == {"request": {}, "response": {}}


def test_a_connection_over_tls(start, als):
    ca = certs.Authority("ca")
    config = listened(als, tcp_log(), listener_filters=[INSPECTOR])
    config["static_resources"]["listeners"][0]["filter_chains"][0]["transport_socket"] = \
        certs.downstream(ca.issue("web", dns=["a.test"]))
    proxy = start(config)
    with Client(proxy.port(), tls=certs.client_context(ca), name="a.test") as client:
        client.get("/")
    entry, = als.wait_tcp()
    assert entry.common_properties.tls_properties.tls_sni_hostname == "a.test"
    assert entry.connection_properties.received_bytes == 32


def test_a_connection_without_a_chain(start, als):
    config = listened(als, tcp_log())
    config["static_resources"]["listeners"][0]["filter_chains"][0]["filter_chain_match"] = {
        "source_prefix_ranges": [{"address_prefix": "10.9.9.9", "prefix_len": 32}]}
    proxy = start(config)
    with socket.create_connection(("127.0.0.1", proxy.port()), 10) as client:
        mine = client.getsockname()[1]
        assert client.recv(100) == b""
    entry, = als.wait_tcp()
    assert entry.common_properties.response_flags.no_route_found
    assert entry.common_properties.downstream_remote_address.socket_address.port_value == mine


@difference("What is lost is to be counted, whatever it tells of.",
            envoy="neither bounds nor counts what it says of connections",
            xylem="does, as of requests")
def test_connections_beyond_the_buffer(start, kind):
    proxy = start(bootstrap([http_listener(
        routes=[direct(200, "well")], access_log=[tcp_log(buffer_size_bytes=1000)])], [],
        node=NODE))
    with proxy.client() as client:
        for _ in range(40):
            assert client.get("/").status == 200
    written = proxy.stat(STATS + "logs_written")
    assert (1 <= written < 15) if kind == "xylem" else written == 0
    assert proxy.stat(STATS + "logs_dropped") == (40 - written if kind == "xylem" else 0)


def test_beside_a_file(start, als, tmp_path):
    path = tmp_path / "log"
    file = {"name": "f", "typed_config": {"@type": FILE_LOG, "path": str(path), "log_format": {
        "text_format_source": {"inline_string": "%REQ(:PATH)%\n"}}}}
    proxy = start(logged(als, als_log(), file))
    proxy.get("/both")
    assert als.wait_http()[0].request.path == "/both"
    proxy.stop()
    assert path.read_text() == "/both\n"
