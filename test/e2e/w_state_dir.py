"""--state-dir: a start without a control plane serves what was accepted last."""
import json
import os
import signal
import stat

import pytest

from harness import Traffic, direct, route, wait_for
from harness.certs import Authority
from harness.config import cluster
from harness.stub import resource
from harness.xds import eds_cluster, endpoints, listener, rds_listener, routes, static_cluster

pytestmark = pytest.mark.only("xylem", "Envoy keeps nothing on disk")


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "state"
    made.mkdir()
    return made


@pytest.fixture
def run(start, folder):
    """run(config) starts a proxy on the folder, always the same one."""
    return lambda config, *args, **kw: start(config, args=["--state-dir", str(folder), *args], **kw)


@pytest.fixture
def world(stub, origin, ads_bootstrap):
    control = stub(rds_listener(), routes(route("/", "one")), eds_cluster("one"),
                   endpoints("one", origin))
    return control, ads_bootstrap(control)


def saved(proxy):
    return proxy.stat("xylem.state.written") > 0


def keep(run, world):
    """A first life that leaves a world behind, and then no control plane."""
    control, config = world
    proxy = run(config)
    assert proxy.get("/").text == "origin"
    assert proxy.admin("/ready").text == "LIVE\n"
    proxy.stop()
    control.stop()


def test_a_start_without_a_control_plane_serves_what_was_kept(run, world, folder):
    control, config = world
    keep(run, world)
    assert stat.S_IMODE((folder / "world").stat().st_mode) == 0o600
    proxy = run(config)
    assert proxy.get("/").text == "origin"
    ready = proxy.admin("/ready")
    assert ready.status == 200 and ready.text.startswith("LIVE\n") and "--state-dir" in ready.text
    assert proxy.stat("xylem.state.serving") == 1
    info = json.loads(proxy.admin("/server_info").body)
    assert info["node"]["metadata"]["xylem.kept_configuration"].endswith("Z")
    assert "serving the configuration that was kept" in proxy.log()


def test_the_control_planes_answer_takes_its_place_without_a_gap(run, world, origins):
    control, config = world
    keep(run, world)
    proxy = run(config)
    later, = origins("later")
    control.put(endpoints("one", later), rds_listener("other"), eds_cluster("two"),
                endpoints("two", later))
    with Traffic(proxy.port(), path="/") as traffic:
        traffic.go_on()
        control.start()
        wait_for(lambda: proxy.get("/").text == "later", what="the new endpoints")
        wait_for(lambda: proxy.stat("xylem.state.serving") == 0, what="the gauge")
        traffic.go_on()
    assert proxy.admin("/ready").text == "LIVE\n"
    control.remove("cds", "two")
    wait_for(lambda: "\ntwo::" not in proxy.admin("/clusters").text, what="a cluster to go")


def test_what_the_control_plane_no_longer_has_goes(run, world):
    control, config = world
    keep(run, world)
    proxy = run(config)
    control.change(put=[listener(routes=[direct(200, "new")])],
                   remove=[("cds", "one"), ("eds", "one"), ("rds", "routes")])
    control.start()
    wait_for(lambda: proxy.get("/").text == "new", what="the new listener")
    wait_for(lambda: "\none::" not in proxy.admin("/clusters").text, what="the cluster to go")


def test_a_crash_loses_nothing(run, world, folder):
    control, config = world
    proxy = run(config)
    wait_for(lambda: saved(proxy), what="the world to be written")
    os.kill(proxy.process.pid, signal.SIGKILL)
    proxy.process.wait()
    control.stop()
    (folder / "world.new").write_bytes(b"half of a wor")
    proxy = run(config)
    assert proxy.get("/").text == "origin"


def spoil(path, how):
    data = bytearray(path.read_bytes())
    if how == "cut":
        data = data[:-7]
    elif how == "changed":
        data[len(data) // 2] ^= 1
    elif how == "header":
        data[20] ^= 1
    elif how == "nothing":
        data = b""
    else:
        data = b"another program's\n" * 10
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("how", ["cut", "changed", "header", "nothing", "foreign"])
def test_a_file_that_is_not_whole_is_refused(run, world, folder, how):
    control, config = world
    keep(run, world)
    spoil(folder / "world", how)
    for source in ("cds_config", "lds_config"):
        config["dynamic_resources"][source]["initial_fetch_timeout"] = "0.3s"
    before = (folder / "world").read_bytes()
    proxy = run(config)
    assert "world is not used: " in proxy.log()
    assert proxy.stat("xylem.state.refused") == 1
    assert proxy.admin("/ready").text == "LIVE\n"
    proxy.stop()
    assert (folder / "world").read_bytes() == before, "an empty world must not be kept"
    control.start()
    proxy = run(config)
    assert proxy.get("/").text == "origin"


@pytest.mark.parametrize("why", ["age", "node", "mode"])
def test_a_file_for_others_is_refused(run, world, folder, why):
    control, config = world
    keep(run, world)
    args = []
    for source in ("cds_config", "lds_config"):
        config["dynamic_resources"][source]["initial_fetch_timeout"] = "0.3s"
    if why == "age":
        wait_for(lambda: (folder / "world").stat().st_mtime + 2 < __import__("time").time(),
                 what="the file to be two seconds old")
        args = ["--state-max-age-s", "1"]
    elif why == "node":
        args = ["--service-node", "another"]
    else:
        (folder / "world").chmod(0o644)
    proxy = run(config, *args)
    words = {"age": "--state-max-age-s is 1", "node": "another node, 'test'", "mode": "mode 644"}
    assert words[why] in proxy.log()
    assert proxy.stat("xylem.state.serving") == 0


def test_a_silent_control_plane_is_not_waited_for_longer_than_its_time(run, world, closing):
    control, config = world
    keep(run, world)
    control.start()
    control.fault(hold=True)
    for source in ("cds_config", "lds_config"):
        config["dynamic_resources"][source]["initial_fetch_timeout"] = "0.3s"
    proxy = run(config)
    wait_for(lambda: proxy.stat("xylem.state.serving") == 1, what="the kept world")
    assert proxy.get("/").text == "origin"


def test_secrets_are_left_out(run, stub, origin, ads_bootstrap, folder):
    made = Authority().issue("localhost")
    inline = {"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3."
                 "UpstreamTlsContext",
        "common_tls_context": {"tls_certificates": [made.tls_certificate()]}}}
    control = stub(
        rds_listener(), routes(route("/", "plain")), static_cluster("plain", origin),
        resource("cds", {**cluster("keyed", origin), "transport_socket": inline}))
    config = ads_bootstrap(control)
    proxy = run(config)
    wait_for(lambda: saved(proxy), what="the world to be written")
    assert proxy.stat("xylem.state.left_out") == 1
    proxy.stop()
    control.stop()
    assert b"PRIVATE KEY" not in (folder / "world").read_bytes()
    proxy = run(config)
    assert proxy.get("/").text == "origin"
    assert "\nkeyed::" not in proxy.admin("/clusters").text


def test_a_folder_that_is_not_there(start, world):
    control, config = world
    with pytest.raises(RuntimeError, match=r"] --state-dir /no/such: No such file or directory"):
        start(config, args=["--state-dir", "/no/such"])
    start(config, args=["--state-dir", ""])


def test_the_folder_is_open_to_the_sandbox(run, world, folder, tmp_path):
    control, config = world
    proxy = run(config, "--sandbox-read", str(tmp_path), ready=False)
    if "no Landlock" in proxy.log():
        pytest.skip("this kernel has no Landlock")
    wait_for(lambda: saved(proxy), what="the world to be written")
