"""Two control planes, the second for when the first does not answer: rules T11 and T12."""
import socket

import pytest

from harness import Stub, difference, direct, wait_for
from harness.config import bootstrap, cluster
from harness.xds import ADS, DELTA, H2, listener

FLAG = {"envoy.restart_features.xds_failover_support": True}
BACK_OFF = {"retry_back_off": {"base_interval": "0.1s", "max_interval": "0.2s"}}


def service(name):
    return {"envoy_grpc": {"cluster_name": name, "retry_policy": BACK_OFF}}


def two_servers(first, second, dialect, runtime=FLAG, **fields):
    """A bootstrap of two control planes, by their ports."""
    dynamic = {"ads_config": {"api_type": dialect, "transport_api_version": "V3",
                              "grpc_services": [service("first"), service("second")]},
               "cds_config": ADS, "lds_config": ADS}
    layers = {"layers": [{"name": "static", "static_layer": runtime}]} if runtime else {}
    return bootstrap(
        [], [cluster("first", first, http=H2), cluster("second", second, http=H2)],
        node={"id": "test", "cluster": "e2e"}, dynamic_resources=dynamic,
        **({"layered_runtime": layers} if layers else {}), **fields)


@pytest.fixture
def servers(tmp_path, closing):
    """servers(*texts): control planes, each with a listener that answers its text."""
    def make(*texts):
        return [closing(Stub(tmp_path / text, [listener(routes=[direct(200, text)])]).start())
                for text in texts]
    return make


@pytest.fixture
def nobody(closing):
    """A port where nobody listens."""
    bound = closing(socket.socket())
    bound.bind(("127.0.0.1", 0))
    return bound.getsockname()[1]


def first_requests(control):
    return {e["type"].rpartition(".")[2]: e for e in control.requests()
            if e["meaning"] == "first"}


def test_T11_the_first_is_asked_alone_while_it_answers(servers, start, dialect):
    first, second = servers("first", "second")
    proxy = start(two_servers(first.xds_port, second.xds_port, dialect))
    assert proxy.get("/").text == "first"
    first.end_streams()
    wait_for(lambda: len(first.events("lds", "open") or first.events(None, "open")) >= 2,
             what="the stream to come back")
    assert second.events(None, "open") == []


def test_T11_the_second_is_asked_when_the_first_does_not_answer(servers, start, nobody, dialect):
    second, = servers("second")
    proxy = start(two_servers(nobody, second.xds_port, dialect))
    assert proxy.get("/").text == "second"
    assert proxy.stat("control_plane.connected_state") == 2


def test_T11_a_first_that_has_answered_is_not_left(servers, start, dialect):
    first, second = servers("first", "second")
    proxy = start(two_servers(first.xds_port, second.xds_port, dialect))
    before = proxy.stat("cluster.first.upstream_cx_connect_fail")
    first.stop()
    wait_for(lambda: proxy.stat("cluster.first.upstream_cx_connect_fail") >= before + 3,
             what="the first to be tried again")
    assert proxy.get("/").text == "first"
    assert second.events(None, "open") == []


@difference("Rule S06: a version belongs to a server.",
            envoy="in the state-of-the-world protocol, tells the first server the second's version",
            xylem="tells it none, so that it sends what it has")
def test_T11_T12_a_lost_second_gives_the_first_its_turn(servers, start, kind, dialect):
    first, second = servers("first", "second")
    first.stop()
    proxy = start(two_servers(first.xds_port, second.xds_port, dialect))
    assert proxy.get("/").text == "second"
    first.start()
    second.end_streams()
    wait_for(lambda: proxy.get("/").text == "first", what="the first to be used")
    for told in first_requests(first).values():  # T12: versions belong to a server
        assert bool(told.get("version_info")) == (kind == "envoy" and dialect != DELTA)
        assert not told.get("initial_resource_versions")
    second.end_streams()
    second.put(listener(routes=[direct(200, "changed")]))
    first.put(listener(routes=[direct(200, "later")]))
    wait_for(lambda: proxy.get("/").text == "later", what="the change of the first")


def test_T12_a_server_that_comes_back_is_told_what_is_held(servers, start, nobody, dialect):
    second, = servers("second")
    proxy = start(two_servers(nobody, second.xds_port, dialect))
    assert proxy.get("/").text == "second"
    second.end_streams()
    wait_for(lambda: len(second.events(None, "open")) >= 2, what="the stream to come back")
    wait_for(lambda: sum(e["meaning"] == "first" for e in second.requests("lds")) >= 2,
             what="listeners to be asked for")
    again = [e for e in second.requests("lds") if e["meaning"] == "first"][-1]
    assert again.get("initial_resource_versions" if dialect == DELTA else "version_info")


def test_two_servers_need_the_runtime_key(start, nobody):
    with pytest.raises(RuntimeError):
        start(two_servers(nobody, nobody, "GRPC", runtime=None))
