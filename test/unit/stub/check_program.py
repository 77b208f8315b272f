#!/usr/bin/env python3
"""The stub as a program, without a client: command line, folders, watching, strictness, control port.

usage: check_program.py XYLEM_STUB
"""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.error
import urllib.request

CLUSTER = '{"@type": Cluster, name: %s, connect_timeout: 1s}\n'


running = []


class Stub:
    """A running stub on a folder of its own."""

    def __init__(self, files, *args):
        self.home = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.home.name) / "resources"
        self.folder.mkdir()
        for name, text in files.items():
            self.write(name, text)
        self.ready = pathlib.Path(self.home.name) / "ready"
        self.process = subprocess.Popen([BINARY, self.folder, "--ready-file", self.ready, *args],
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        running.append(self.process)
        while not self.ready.exists() and self.process.poll() is None:
            time.sleep(0.01)
        self.state = json.loads(self.ready.read_text()) if self.ready.exists() else {}

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def ask(self, method, path, body=None):
        url = f"http://127.0.0.1:{self.state['control_port']}{path}"
        request = urllib.request.Request(url, data=None if body is None else body.encode(), method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def names(self, node="", kind="cluster"):
        types = json.loads(self.ask("GET", f"/resources/{kind}?node={node}")[1])["types"]
        return [r["name"] for t in types for r in t["resources"]]

    def published(self, act):
        """Does something and waits for the publication that follows."""
        seen = json.loads(self.ask("GET", "/status")[1])["next_event"] - 1
        act()
        assert self.ask("GET", f"/events?kind=publish&since={seen}&timeout=10")[0] == 200

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        output = self.process.communicate(timeout=30)[0]
        self.home.cleanup()
        return self.process.returncode, output


def run(*args):
    done = subprocess.run([BINARY, *args], capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout + done.stderr


def help_is_printed():
    code, text = run("--help")
    assert code == 0 and text.startswith("usage: xylem-stub DIR"), text


def a_wrong_command_line_is_refused():
    assert run()[0] == 2
    assert run("a", "b")[0] == 2
    assert run("a", "--nonsense")[0] == 2
    code, text = run("replay")
    assert code == 2 and "replay needs a transcript" in text, text
    assert run("a", "--var", "x") == (2, 'xylem-stub: --var needs NAME=VALUE, not "x"\n')
    code, text = run("/no/such/folder")
    assert code == 1 and "/no/such/folder: No such file or directory" in text, text


def an_address_in_use_is_refused():
    s = Stub({"a.yaml": CLUSTER % "a"})
    code, text = run(s.folder, "--listen", f"127.0.0.1:{s.state['xds_port']}")
    assert code == 1 and "cannot listen on 127.0.0.1:" in text and "Address already in use" in text, text
    code, text = run(s.folder, "--control", f"127.0.0.1:{s.state['control_port']}")
    assert code == 1 and "Address already in use" in text, text
    (s.folder / "file").write_text("kept")
    for path, why in (("a/b", "No such file or directory"), ("file", "Address already in use")):
        code, text = run(s.folder, "--listen", f"unix:{s.folder}/{path}")
        assert code == 1 and text.endswith(f"cannot listen on unix:{s.folder}/{path}: {why}\n"), text
    assert (s.folder / "file").read_text() == "kept"
    assert s.stop()[0] == 0


def an_address_that_is_none_is_refused():
    for flag in ("--listen", "--control"):
        for address in ("127.0.0.1:99999", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:", "127.0.0.1:x",
                        "unix:", "", "127.0.0.1", ":1"):
            code, text = run("a", flag, address)
            assert code == 2 and text.startswith(f'xylem-stub: {flag} "{address}"'), (address, text)


def ports_and_pid_are_in_the_ready_file():
    s = Stub({"a.yaml": CLUSTER % "a"})
    assert s.state["pid"] == s.process.pid and s.state["xds_port"] and s.state["control_port"]
    assert sorted(os.listdir(s.home.name)) == ["ready", "resources"]
    assert s.stop()[0] == 0


def a_bad_folder_is_refused_at_start():
    s = Stub({"a.yaml": "'@type': Cluster\nname: a\ntype: NOPE\n"})
    code, text = s.stop()
    assert code == 1 and 'a.yaml:3:7: type: "NOPE" is no value of' in text, text


def nodes_have_folders():
    s = Stub({"a.yaml": CLUSTER % "a", "more/b.yaml": CLUSTER % "b", ".hidden.yaml": "[",
              "note.txt": "[", "node-n1/c.yaml": CLUSTER % "c", "nodes/x~y/d.yml": CLUSTER % "d",
              "nodes/x~y/a.json": '{"@type": "Cluster", "name": "a", "connect_timeout": "9s"}'})
    assert s.names() == ["a", "b"]
    assert s.names("n1") == ["a", "b", "c"]
    assert s.names("x~y") == ["a", "b", "d"]
    assert "9s" in s.ask("GET", "/resources/cluster/a?node=x~y")[1]
    assert "9s" not in s.ask("GET", "/resources/cluster/a?node=n1")[1]
    assert s.stop()[0] == 0


def the_folder_is_watched():
    s = Stub({"a.yaml": CLUSTER % "a"})
    s.published(lambda: s.write("b.yaml", CLUSTER % "b"))
    assert s.names() == ["a", "b"]
    s.published(lambda: s.write("new/c.yaml", CLUSTER % "c"))
    assert s.names() == ["a", "b", "c"]
    s.published(lambda: (s.folder / "a.yaml").rename(s.folder / "a.off"))
    assert s.names() == ["b", "c"]
    s.published(lambda: s.write("b.yaml", CLUSTER % "b2"))
    assert s.names() == ["b2", "c"]
    s.published(lambda: (s.folder / "new" / "c.yaml").unlink())
    assert s.names() == ["b2"]
    assert s.stop()[0] == 0


def a_file_that_looks_the_same_is_read():
    s = Stub({"a.yaml": CLUSTER % "a"}, "--no-watch")
    path = s.folder / "a.yaml"
    for name in "bcdef":
        before = path.stat()
        s.write("a.yaml", CLUSTER % name)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert s.ask("POST", "/reload")[0] == 200
        assert s.names() == [name]
    seen = len(s.ask("GET", "/events?kind=publish")[1].splitlines())
    os.utime(path)
    assert s.ask("POST", "/reload")[0] == 200
    assert len(s.ask("GET", "/events?kind=publish")[1].splitlines()) == seen
    assert s.stop()[0] == 0


def problem(s):
    return json.loads(s.ask("GET", "/status")[1]).get("problem")


def until(what, bound=10):
    end = time.monotonic() + bound
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def a_folder_that_goes_is_told_and_watched_again():
    s = Stub({"a.yaml": CLUSTER % "a", "more/b.yaml": CLUSTER % "b"}, "--debounce-ms", "10")
    away = s.folder.with_name("away")
    s.folder.rename(away)
    until(lambda: problem(s))
    assert problem(s) == f"{s.folder}: No such file or directory"
    assert s.names() == ["a", "b"]
    s.write("c.yaml", CLUSTER % "c")
    until(lambda: s.names() == ["c"])
    assert problem(s) is None
    s.write("d.yaml", CLUSTER % "d")
    until(lambda: s.names() == ["c", "d"])
    shutil.rmtree(s.folder)
    until(lambda: problem(s))
    away.rename(s.folder)
    until(lambda: s.names() == ["a", "b"])
    (s.folder / "more").rename(s.folder.with_name("less"))
    until(lambda: s.names() == ["a"])
    s.write("more/e.yaml", CLUSTER % "e")
    until(lambda: s.names() == ["a", "e"])
    s.write("more/f.yaml", CLUSTER % "f")
    until(lambda: s.names() == ["a", "e", "f"])
    code, output = s.stop()
    assert code == 0 and output.count("resources: No such file or directory") == 2, output


def an_empty_folder_that_goes_is_told():
    s = Stub({}, "--debounce-ms", "10")
    s.folder.rmdir()
    until(lambda: problem(s))
    s.folder.mkdir()
    until(lambda: not problem(s))
    assert s.stop()[0] == 0


def a_burst_is_one_change():
    s = Stub({"a.yaml": CLUSTER % "a"}, "--debounce-ms", "200")
    s.published(lambda: [s.write(f"b{i}.yaml", CLUSTER % f"b{i}") for i in range(50)])
    assert len(s.names()) == 51
    lines = s.ask("GET", "/events?kind=publish")[1].splitlines()
    assert len(lines) == 2, lines
    assert s.stop()[0] == 0


def the_same_name_twice_is_refused():
    s = Stub({"a.yaml": CLUSTER % "a"}, "--no-watch")
    s.write("b.yaml", "---\n" + CLUSTER % "a")
    status, text = s.ask("POST", "/reload")
    assert status == 400 and 'Cluster \\"a\\" stands in' in text, text
    assert s.stop()[0] == 0


def dangling_names_are_told():
    route = """
      '@type': RouteConfiguration
      name: r
      virtual_hosts: [{name: v, domains: ['*'], routes: [
        {match: {prefix: /a}, route: {cluster: nope}}, {match: {prefix: /}, route: {cluster: own}},
        {match: {prefix: /}, route: {weighted_clusters: {clusters: [{name: w}]}}}]}]
    """
    eds = """
      '@type': Cluster
      name: e
      type: EDS
      eds_cluster_config: {eds_config: {ads: {}}, service_name: s}
    """
    s = Stub({"r.yaml": route, "e.yaml": eds}, "--known-cluster", "own")
    code, text = s.stop()
    assert code == 0
    assert 'RouteConfiguration "r" names Cluster "nope", which is not served' in text, text
    assert 'RouteConfiguration "r" names Cluster "w", which is not served' in text, text
    assert 'Cluster "e" names ClusterLoadAssignment "s", which is not served' in text, text
    assert '"own"' not in text
    s = Stub({"r.yaml": route}, "--strict", "--known-cluster", "own")
    assert s.stop()[0] == 1


def strict_keeps_the_last_good_set():
    s = Stub({"a.yaml": CLUSTER % "a"}, "--strict", "--no-watch")
    s.write("b.yaml", "{'@type': Cluster, name: e, type: EDS, eds_cluster_config: {eds_config: {ads: {}}}}")
    assert s.ask("POST", "/reload")[0] == 400
    assert s.names() == ["a"]
    status, text = s.ask("PUT", "/resources/cds/e2", "{type: EDS, eds_cluster_config: {eds_config: {ads: {}}}}")
    assert status == 400 and "not served" in text, text
    (s.folder / "b.yaml").unlink()
    assert s.ask("POST", "/reload")[0] == 200
    assert s.ask("PUT", "/resources/cds/f", "connect_timeout: 1s")[0] == 200
    assert s.names() == ["a", "f"]
    assert s.stop()[0] == 0


def resources_are_put_and_deleted():
    s = Stub({"a.yaml": CLUSTER % "a"}, "--var", "T=3s")
    assert s.ask("PUT", "/resources/cluster/b", "connect_timeout: ${T}")[0] == 200
    assert s.names() == ["a", "b"]
    assert json.loads(s.ask("GET", "/resources/cds/b")[1])["resource"] == {
        "name": "b", "connect_timeout": "3s"}
    assert s.ask("DELETE", "/resources/cluster/a")[0] == 200
    assert s.ask("DELETE", "/resources/cluster/a")[0] == 404
    assert s.names() == ["b"]
    url = "type.googleapis.com%2Fa.b.C"
    assert s.ask("PUT", f"/resources/{url}/x%2Fy/z", "{raw: AAEC}")[0] == 200
    assert s.names(kind=url) == ["x/y/z"]
    assert s.ask("PUT", "/resources/cluster/c", "{'@type': Listener, name: c}")[0] == 400
    assert s.ask("PUT", "/resources/cluster/c", "")[0] == 400
    assert s.ask("DELETE", "/resources")[0] == 200
    assert s.names() == ["a"]
    assert s.stop()[0] == 0


def talk(s, data, half_close=False):
    """Raw bytes to the control port; what comes back until it closes."""
    with socket.create_connection(("127.0.0.1", s.state["control_port"]), timeout=20) as sock:
        sock.sendall(data)
        if half_close:
            sock.shutdown(socket.SHUT_WR)
        got = b""
        while chunk := sock.recv(65536):
            got += chunk
        return got.decode()


def the_control_port_is_robust():
    s = Stub({"a.yaml": CLUSTER % "a"})
    assert talk(s, b"rubbish\r\n\r\n").startswith("HTTP/1.1 400")
    assert talk(s, b"GET / HTTP/1.1\r\nbad header\r\n\r\n").startswith("HTTP/1.1 400")
    assert talk(s, b"GET /%zz HTTP/1.1\r\n\r\n").startswith("HTTP/1.1 400")
    assert talk(s, b"PUT / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n").startswith("HTTP/1.1 413")
    assert talk(s, b"PUT / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n").startswith("HTTP/1.1 411")
    assert talk(s, b"GET /" + b"a" * 70000).startswith("HTTP/1.1 431")
    one = b"GET /status HTTP/1.1\r\n\r\n"
    assert talk(s, one * 3, half_close=True).count("HTTP/1.1 200") == 3
    wait = b"POST /wait?type=cds&timeout=100ms HTTP/1.1\r\ncontent-length: 0\r\n\r\n"
    last = b"GET /status HTTP/1.1\r\nconnection: close\r\n\r\n"
    got = talk(s, wait + last)
    assert got.index("HTTP/1.1 408") < got.index("HTTP/1.1 200"), got
    for path in ("/wait?type=nope", "/wait?type=cds&status=X", "/wait?type=cds&timeout=x", "/wait"):
        assert s.ask("POST", path)[0] == 400, path
    assert s.ask("GET", "/nope")[0] == 404
    assert s.ask("DELETE", "/nodes")[0] == 405
    assert s.stop()[0] == 0


def a_fault_that_is_none_is_refused():
    s = Stub({"a.yaml": CLUSTER % "a"})
    for body, why in {
            "{": "body:", "[]": "a mapping is needed", "{}": "say what is to go wrong: hold,",
            "nope: 1": 'no fault "nope"', "type: cds": "say what is to go wrong", "times: 3": "say what",
            "hold: false": "say what", "type: nope\nhold: true": "nope",
            "hold: 5": 'hold: true or false is needed, not "5"',
            "freeze: maybe": 'freeze: true or false is needed, not "maybe"', "freeze: 7": "true or false",
            "freeze:": "not null", "delay_ms: x": 'delay_ms: a number of 0 to 86400000 is needed, not "x"',
            "delay_ms: -1": 'not "-1"', "{hold: true, times: -1}": 'times: a number of 1 to 1000000000',
            "{hold: true, times: 0}": "times: a number of 1",
            "{hold: true, stream: 0}": "stream: a number of 1",
            "end: {}": "end.status: a number of 0 to 16 is needed, not nothing", "end: 99": "0 to 16",
            "end: {status: foo}": 'end.status: a number of 0 to 16 is needed, not "foo"',
            "end: foo": "0 to 16",
            "end: []": "end: a number of 0 to 16 is needed, not a list",
            "end: {status: 1, text: x}": 'no "text"',
            "end: {status: 1, message: []}": "end.message: a text", "end_after: 17": "0 to 16",
            "again: 1001": "0 to 1000", "pad_bytes: 268435457": "0 to 268435456",
            "nonce: []": "nonce: a text",
            "omit: {}": "omit: a list", "omit: []": "omit: a list", "omit: [{}]": "omit: a list",
            "{hold: true, end: 14}": "hold is for a rule, and end acts at once",
            "send: x": 'send: a mapping is needed, not "x"', "send: {nope: 1}": "nope",
            "send: {raw: '?'}": "base64"}.items():
        status, text = s.ask("POST", "/fault", body)
        assert status == 400 and why in json.loads(text)["error"], (body, text)
    for query in ("", "?hold=maybe", "?hold=", "?times=3", "?omit=", "?nope=1"):
        assert s.ask("POST", "/fault" + query)[0] == 400, query
    assert s.ask("POST", "/fault?type=cds", "hold: true")[0] == 400
    assert s.ask("GET", "/fault")[1] == '{"faults":[]}\n'
    for body in ("freeze: false", "end: 14", "send: {version_info: x}", "send: {system_version_info: x}",
                 "send: {raw: AAEC}"):
        assert s.ask("POST", "/fault", body) == (200, '{"streams":0}\n'), body
    assert s.ask("POST", "/fault?omit=a,b&times=2&stream=3")[0] == 200
    assert s.ask("POST", "/fault", "{hold: true, empty: false}")[0] == 200
    assert json.loads(s.ask("GET", "/fault")[1])["faults"] == [
        {"id": 1, "stream": 3, "omit": ["a", "b"], "times_left": 2, "used": 0},
        {"id": 2, "hold": True, "used": 0}]
    assert s.stop()[0] == 0


def what_no_query_knows_is_refused():
    s = Stub({"a.yaml": CLUSTER % "a"})
    for path, why in {
            "/events?since=x": "since: a number", "/events?since=-1": "since: a number", "/events?limit=x": "limit: ",
            "/events?count=1.5": "count: ", "/events?kind=foo": 'no \\"foo\\"; known: open request response',
            "/events?meaning=foo": "known: first ack nack", "/events?meaning=ac": "known: first ack nack",
            "/events?kind=open&meaning=ack": "only a request", "/events?limit=2&count=3": "never reached",
            "/events?kinds=open": 'no parameter \\"kinds\\" here; known: since node type kind',
            "/events?timeout=nan": "timeout", "/requests?kind=open": "known: since node type meaning",
            "/nodes?node=x": "known: none", "/status?x=": "known: none", "/version?types=cds": "known: type node",
            "/resources?format=raw": "known: node type", "/resources/cds/a?format=foo": "format is raw",
            "/resources/cds/a?type=lds": "known: node format", "/fault?id=1": "known: none"}.items():
        status, text = s.ask("GET", path)
        assert status == 400 and why in text, (path, text)
    for method, path in (("POST", "/wait?type=cds&node_id=n"), ("POST", "/reload?x=1"),
                         ("PUT", "/resources/cds/b?node=n"), ("DELETE", "/resources?node=n")):
        assert s.ask(method, path, "connect_timeout: 1s" if method == "PUT" else None)[0] == 400, path
    assert s.ask("ET", "/status")[0] == 405
    assert s.ask("GET", "/events?since=&kind=&meaning=&limit=1")[1].count("\n") == 1
    assert s.ask("GET", "/requests?meaning=refused&count=0&timeout=1")[0] == 200
    assert s.ask("GET", "/resources/cds/a?format=raw&node=n")[0] == 200
    assert s.names() == ["a"]
    assert s.stop()[0] == 0


def a_transcript_stands_as_it_is():
    with tempfile.TemporaryDirectory() as home:
        file = pathlib.Path(home, "t")
        file.write_text(json.dumps({"method": "m", "type": "t", "version": "${NOPE} ${NOPE", "stream": 1,
                                    "bytes": ""}))
        assert run("replay", file, "--check") == (0, "")


def polls_are_judged():
    s = Stub({"a.yaml": CLUSTER % "a"})
    path, url = "/v3/discovery:clusters", "type.googleapis.com/envoy.config.cluster.v3.Cluster"
    for body, why in {
            '{"node": 5}': "node: expected a mapping (envoy.config.core.v3.Node), found a scalar",
            '{"resource_names": "x"}': "resource_names: expected a list",
            '{"resource_names": [7]}': "found 7",
            '{"version_info": 7}': "version_info: expected a string, found 7",
            '{"nope": 1}': 'no field "nope"',
            '{"node": {"id": true}}': "node.id: expected a string, found true",
            "": "DiscoveryRequest", "[]": "a list",
            "7": "a scalar", '{node: {"id": "n"}}': "the key node stands without quotes",
            '{"version_info": x}': "x is no value of JSON",
            '{"node": {"metadata": {"a": b}}}': "b is no value",
            '{"node": {"user_agent_build_version": {"version": {"major_number": "x"}}}}': "major_number: ",
            json.dumps({"type_url": url.replace("Cluster", "Listener")}): f"the path is for {url}, not"
            }.items():
        status, text = s.ask("POST", path, body)
        assert status == 400 and why in json.loads(text)["error"], (body, text)
    refused = [json.loads(line) for line in s.ask("GET", "/events?kind=poll")[1].splitlines()]
    assert len(refused) == 14 and refused[-1]["type"] == url and "the path is for" in refused[-1]["refused"]
    node = {"id": "n", "metadata": {"a": "${NOPE}", "b": [1, None, True, -1.5e3, "$${X}"]}}
    for body in ("{}", {"node": node, "type_url": url, "resource_names": ["a"]},
                 {"typeUrl": url, "node": None},
                 {"version_info": "", "response_nonce": "x", "error_detail": {"code": 3, "message": "m"}}):
        status, text = s.ask("POST", path, body if isinstance(body, str) else json.dumps(body, indent=1))
        assert status == 200 and len(json.loads(text)["resources"]) == 1, (body, text)
    version = json.loads(s.ask("GET", "/version?type=cds")[1])["version"]
    for name in ("version_info", "versionInfo"):
        assert s.ask("POST", path, json.dumps({name: version}))[0] == 304
    assert json.loads(s.ask("POST", path, '{"resourceNames": ["z"]}')[1]).get("resources", []) == []
    assert s.stop()[0] == 0


def rules_are_removed_by_their_number():
    s = Stub({"a.yaml": CLUSTER % "a"})
    for number in (1, 2):
        assert json.loads(s.ask("POST", "/fault", "hold: true")[1]) == {"id": number}
    for query in ("id=x", "id=", "id=0", "id=-1", "id=1x", "id=99999999999999999999", "ids=1", "id=1&node=n"):
        status, text = s.ask("DELETE", f"/fault?{query}")
        assert status == 400 and "id" in text, (query, text)
    assert s.ask("DELETE", "/fault", "id: 1")[0] == 400
    assert [f["id"] for f in json.loads(s.ask("GET", "/fault")[1])["faults"]] == [1, 2]
    assert s.ask("DELETE", "/fault?id=1") == (200, '{"removed":1}\n')
    assert s.ask("DELETE", "/fault") == (200, '{"removed":1}\n')
    assert s.stop()[0] == 0


def many_wait_at_once():
    s = Stub({"a.yaml": CLUSTER % "a"})
    seen = json.loads(s.ask("GET", "/status")[1])["next_event"] - 1
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(
        s.ask("GET", f"/events?kind=publish&since={seen}&timeout=20")[0])) for _ in range(60)]
    for thread in threads:
        thread.start()
    s.write("b.yaml", CLUSTER % "b")
    for thread in threads:
        thread.join()
    assert answers == [200] * 60, answers
    assert s.stop()[0] == 0


def it_ends_while_somebody_waits():
    s = Stub({"a.yaml": CLUSTER % "a"}, "--listen", "127.0.0.1:0")
    with socket.create_connection(("127.0.0.1", s.state["control_port"])) as sock:
        sock.sendall(b"POST /wait?type=cds&timeout=1000 HTTP/1.1\r\ncontent-length: 0\r\n\r\n")
        assert s.stop()[0] == 0


def a_unix_socket_is_served():
    with tempfile.TemporaryDirectory() as home:
        s = Stub({"a.yaml": CLUSTER % "a"}, "--listen", f"unix:{home}/xds")
        assert s.state["xds_port"] == 0 and pathlib.Path(home, "xds").is_socket()
        assert s.stop()[0] == 0


def tls_flags_belong_together():
    for flags in (["--tls-cert", "x"], ["--tls-key", "x"], ["--tls-client-ca", "x"]):
        code, text = run("a", *flags)
        assert code == 2 and "--tls-cert and --tls-key need each other" in text, text
    with tempfile.TemporaryDirectory() as home:
        code, text = run(home, "--tls-cert", f"{home}/no.pem", "--tls-key", f"{home}/no.key")
        assert code == 1 and f"{home}/no.pem: " in text, text


TESTS = [help_is_printed, a_wrong_command_line_is_refused, an_address_in_use_is_refused,
         an_address_that_is_none_is_refused,
         ports_and_pid_are_in_the_ready_file, a_bad_folder_is_refused_at_start, nodes_have_folders,
         the_folder_is_watched, a_folder_that_goes_is_told_and_watched_again,
         an_empty_folder_that_goes_is_told, a_file_that_looks_the_same_is_read,
         a_burst_is_one_change, the_same_name_twice_is_refused,
         dangling_names_are_told, strict_keeps_the_last_good_set, resources_are_put_and_deleted,
         the_control_port_is_robust, a_fault_that_is_none_is_refused,
         rules_are_removed_by_their_number, a_transcript_stands_as_it_is,
         polls_are_judged,
         what_no_query_knows_is_refused,
         many_wait_at_once, it_ends_while_somebody_waits,
         a_unix_socket_is_served, tls_flags_belong_together]

if __name__ == "__main__":
    BINARY = sys.argv[1]
    bad = 0
    for number, test in enumerate(TESTS, 1):
        try:
            test()
            print(f"ok {number} - {test.__name__}")
        except Exception:  # any failure is this test's
            bad += 1
            print(f"not ok {number} - {test.__name__}")
            print("".join(f"# {line}\n" for line in traceback.format_exc().splitlines()))
        for process in running:
            process.kill()
        running.clear()
    print(f"1..{len(TESTS)}")
    sys.exit(1 if bad else 0)
