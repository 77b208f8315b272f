"""Listeners, clusters, endpoints and routes from files (rules O01 to O03)."""
import json
import os

import pytest

from harness import difference, direct, route, wait_for
from harness.config import bootstrap, cluster, load_assignment, vhost
from harness.proxy import run_once
from harness.stub import resource, type_url
from harness.xds import listener, rds_listener, routes


class Files:
    """A folder of files, each a DiscoveryResponse."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()

    def text(self, name, made, version):
        kind = type_url(name.partition(".")[0].partition("-")[0])
        body = {"version_info": version, "type_url": kind, "resources": list(made)}
        return json.dumps(body, indent=1)

    def move(self, name, *made, version="1", text=None):
        """Replaces the file in one step."""
        new = self.folder / "new"
        new.write_text(self.text(name, made, version) if text is None else text)
        new.rename(self.folder / name)
        return self.folder / name

    def source(self, name, **more):
        return {"resource_api_version": "V3",
                "path_config_source": {"path": str(self.folder / name), **more}}


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path / "files")


def boot(files, **sources):
    made = {f"{kind}_config": source for kind, source in sources.items()}
    return bootstrap([], [], node={"id": "test", "cluster": "e2e"}, dynamic_resources=made)


def rds_from(source):
    made = rds_listener()
    made["filter_chains"][0]["filters"][0]["typed_config"]["rds"]["config_source"] = source
    return made


def eds_from(source, name="one"):
    return resource("cds", {"name": name, "type": "EDS", "connect_timeout": "5s",
                            "eds_cluster_config": {"eds_config": source}})


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_O01_everything_from_files(start, files, origin, suffix):
    files.move(f"eds.{suffix}", resource("eds", load_assignment("one", origin)))
    files.move(f"rds.{suffix}", routes(route("/", "one")))
    files.move(f"cds.{suffix}", eds_from(files.source(f"eds.{suffix}")), version="seven")
    files.move(f"lds.{suffix}", rds_from(files.source(f"rds.{suffix}")))
    proxy = start(boot(files, cds=files.source(f"cds.{suffix}"), lds=files.source(f"lds.{suffix}")))
    assert proxy.get("/").text == "origin"
    assert proxy.stat("cluster_manager.cds.update_success") >= 1
    [dump] = [d for d in proxy.config_dump() if "dynamic_active_clusters" in d]
    assert dump["version_info"] == "seven"
    attempts = proxy.stats().matching(r"^(http|cluster)\..*update_attempt$")
    assert len(attempts) == 2 and set(attempts.values()) == {1}


@pytest.fixture
def world(start, files, origin):
    files.move("cds.json", resource("cds", cluster("one", origin)))
    files.move("lds.json", listener(routes=[direct(200, "v1")]))
    return start(boot(files, cds=files.source("cds.json"), lds=files.source("lds.json")))


def test_O02_a_file_that_is_moved_in_place_is_read(world, files):
    for version in ["v2", "v3"]:
        files.move("lds.json", listener(routes=[direct(200, version)]))
        wait_for(lambda version=version: world.get("/").text == version, what=version)
    files.move("lds.json")
    wait_for(lambda: world.listeners() == [], what="the listener to go")


def test_virtual_hosts_may_share_a_name(start, files):
    """Static and by RDS; domains tell them apart, and each changes alone."""
    def pair(second):
        return [vhost("same", ["a.test"], direct(200, "a")),
                vhost("same", ["b.test"], direct(200, second))]

    files.move("rds.json", routes(virtual_hosts=pair("b")))
    files.move("lds.json", rds_from(files.source("rds.json")),
               listener(name="static", vhosts=pair("b")))
    proxy = start(boot(files, lds=files.source("lds.json")))
    for name in ["ingress", "static"]:
        assert [proxy.get("/", name=name, host=f"{at}.test").text for at in "ab"] == ["a", "b"]
    files.move("rds.json", routes(virtual_hosts=pair("c")))
    wait_for(lambda: proxy.get("/", host="b.test").text == "c", what="the change")
    assert proxy.get("/", host="a.test").text == "a"


@difference("A change of the HTTP connection manager closes no connection, so what it demands must "
            "hold on those that are open.",
            envoy="opens a new filter chain; the old one serves its connections as before, until "
                  "they have drained",
            xylem="takes effect on every connection, at its next request")
def test_a_new_manager_binds_open_connections(world, files, kind):
    options = {"headers_with_underscores_action": "REJECT_REQUEST"}
    request = "GET / HTTP/1.1\r\nHost: a.test\r\nx_a: 1\r\n\r\n"

    def refused(client):
        client.send(request)
        return client.response().status == 400

    def new_ones_are_refused():
        with world.client() as client:
            return refused(client)

    with world.client() as client:
        assert not refused(client)
        files.move("lds.json", listener(routes=[direct(200, "v2")], max_request_headers_kb=2,
                                        common_http_protocol_options=options))
        wait_for(new_ones_are_refused, what="the new manager")
        assert refused(client) == (kind == "xylem")


@difference("Rule O02: a file that is written in place is read once the writer has closed it.",
            envoy="reads only files that are moved in place", xylem="reads it")
def test_O02_a_file_that_is_written_is_read_when_it_is_closed(world, files, kind):
    with open(files.folder / "lds.json", "w") as out:
        text = files.text("lds.json", [listener(routes=[direct(200, "v2")])], "2")
        out.write(text[:len(text) // 2])
        out.flush()
        assert world.get("/").text == "v1"
        out.write(text[len(text) // 2:])
    if kind == "envoy":
        files.move("cds.json")
        world.wait_stat("cluster_manager.active_clusters", 0)
        assert world.get("/").text == "v1"
    else:
        wait_for(lambda: world.get("/").text == "v2", what="what was written")


def test_O02_a_watched_directory_as_kubernetes_swaps_it(start, files, tmp_path):
    """..data points to the newest folder; the link is what is moved."""
    mount = tmp_path / "mount"
    mount.mkdir()

    def publish(version):
        made = Files(mount / f"..{version}")
        made.move("lds.json", listener(routes=[direct(200, version)]))
        (mount / "..new").symlink_to(f"..{version}")
        os.rename(mount / "..new", mount / "..data")

    publish("v1")
    (mount / "lds.json").symlink_to("..data/lds.json")
    proxy = start(boot(files, lds={"resource_api_version": "V3", "path_config_source": {
        "path": str(mount / "lds.json"), "watched_directory": {"path": str(mount)}}}))
    assert proxy.get("/").text == "v1"
    publish("v2")
    wait_for(lambda: proxy.get("/").text == "v2", what="the new folder")


def unnamed(text):
    made = listener(routes=[direct(200, text)])
    del made["name"]
    return made


@difference("A listener that comes without a name is the same one when it comes again.",
            envoy="gives it another name each time, and drains the connections of the last one",
            xylem="keeps the name that it has given it")
def test_a_listener_without_a_name(start, files, kind):
    files.move("lds.json", unnamed("one"))
    proxy = start(boot(files, lds=files.source("lds.json")))

    def name():
        [status] = proxy.json("/listeners?format=json")["listener_statuses"]
        return status["name"]
    first = name()
    assert len(first) == 36 and proxy.get("/", name=first).text == "one"
    files.move("lds.json", unnamed("two"), version="2")
    wait_for(lambda: proxy.get("/", name=name()).text == "two", what="the new version")
    assert (name() == first) == (kind == "xylem")
    files.move("lds.json", version="3")
    wait_for(lambda: not proxy.json("/listeners?format=json").get("listener_statuses"),
             what="its end")


def test_O03_a_bad_file_keeps_what_is_good(world, files):
    files.move("lds.json", text="{")
    world.wait_stat("listener_manager.lds.update_failure", 1)
    bad = listener(routes=[direct(200, "bad")])
    bad["address"] = {"socket_address": {"address": "no address", "port_value": 0}}
    files.move("lds.json", bad)
    world.wait_stat("listener_manager.lds.update_rejected", 1)
    assert world.get("/").text == "v1"
    assert "Filesystem config update rejected" in world.log()
    files.move("lds.json", listener(routes=[direct(200, "v2")]))
    wait_for(lambda: world.get("/").text == "v2", what="the good file")


def test_O01_the_file_must_be_there(kind, files, tmp_path):
    config = tmp_path / "b.json"
    config.write_text(json.dumps(boot(files, lds=files.source("lds.json"))))
    code, out, err = run_once(kind, ["-c", str(config), "--disable-hot-restart"], tmp_path)
    assert code == 1
    assert (f"paths must refer to an existing path in the system: '{files.folder}/lds.json' does "
            "not exist") in out + err


def test_O01_endpoints_change_and_a_cluster_goes(start, files, origins):
    one, two = origins("one", "two")
    files.move("eds-a.json", resource("eds", load_assignment("a", one)))
    files.move("cds.json", eds_from(files.source("eds-a.json"), "a"))
    files.move("rds.json", routes(route("/", "a")))
    files.move("lds.json", rds_from(files.source("rds.json")))
    proxy = start(boot(files, cds=files.source("cds.json"), lds=files.source("lds.json")))
    assert proxy.get("/").text == "one"
    files.move("eds-a.json", resource("eds", load_assignment("a", two)))
    wait_for(lambda: proxy.get("/").text == "two", what="the new endpoint")
    files.move("cds.json")
    wait_for(lambda: proxy.get("/").status == 503, what="the cluster to go")
    files.move("cds.json", eds_from(files.source("eds-a.json"), "a"))
    wait_for(lambda: proxy.get("/").text == "two", what="the cluster to be back")
