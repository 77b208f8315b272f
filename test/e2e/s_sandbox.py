"""The sandbox: what it takes away, and that nothing a proxy does for life is among it.

Every other scenario runs inside it too: it is on unless --no-sandbox says otherwise.
"""
import json
import os
import pwd
import re
import select
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness import Proxy, bootstrap, cluster, direct, http_listener, route, wait_for
from harness.config import file_log
from harness.proxy import binary, run_once
from harness.stub import resource
from harness.xds import (ads_bootstrap, eds_cluster, endpoints, listener, rds_listener, routes)

OURS = "Envoy has no sandbox of its own"
only_xylem = pytest.mark.only("xylem", OURS)


def threads(proxy):
    """What the kernel says of each thread: (no_new_privs, seccomp mode)."""
    found = []
    for task in Path(f"/proc/{proxy.process.pid}/task").iterdir():
        text = (task / "status").read_text()
        found.append(tuple(int(re.search(rf"^{name}:\s+(\d+)", text, re.M).group(1))
                           for name in ("NoNewPrivs", "Seccomp")))
    return found


def in_force(proxy):
    stats = proxy.stats("xylem.sandbox")
    return tuple(stats[f"xylem.sandbox.{name}"] for name in (
        "no_new_privs", "seccomp", "landlock_domain", "landlock_abi"))


def has_landlock():
    """Does the kernel know it? A proxy that cannot have it says so."""
    code, out, err = run_once("xylem", ["--config-yaml", "{}", "--sandbox-read", "/no/such"], "/")
    assert code == 1
    return "no Landlock" not in out + err


@only_xylem
def test_every_thread_is_held(stub, start, origin):
    control = stub(rds_listener(), routes(route("/", "one")), eds_cluster("one"),
                   endpoints("one", origin))
    proxy = start(ads_bootstrap(control), concurrency=2, level="info")
    assert proxy.get("/").text == "origin"
    seen = threads(proxy)
    assert len(seen) > 5 and set(seen) == {(1, 2)}
    assert in_force(proxy) == (1, 1, has_landlock(), 0)
    assert "sandbox: no_new_privs on, seccomp on" in proxy.log()


@only_xylem
def test_no_sandbox(start):
    proxy = start(bootstrap([http_listener(routes=[direct(200, "ok")])]), args=["--no-sandbox"])
    assert proxy.get("/").text == "ok"
    assert set(threads(proxy)) == {(0, 0)}
    assert in_force(proxy) == (0, 0, 0, 0)
    assert "sandbox: off, because of --no-sandbox" in proxy.log()


@only_xylem
def test_a_tracer_may_attach(start):
    """The filter keeps the proxy from tracing others; strace, gdb and perf look from outside."""
    proxy = start(bootstrap([http_listener(routes=[direct(200, "ok")])]))
    command = ["strace", "-f", "-e", "trace=accept4", "-p", str(proxy.process.pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as tracer:
        try:
            lines = Lines(tracer.stderr)
            if "attached" not in lines.wait(r"attached|ptrace|not permitted"):
                pytest.skip("nobody may trace here")
            wait_for(lambda: proxy.get("/").text == "ok")
            lines.wait(r"accept4\(.* = \d+")
        finally:
            tracer.terminate()


class Lines:
    """What a process has said so far."""

    def __init__(self, pipe):
        self.pipe, self.text = pipe, ""
        os.set_blocking(pipe.fileno(), False)

    def wait(self, pattern):
        return wait_for(lambda: self._find(pattern), what=pattern)

    def _find(self, pattern):
        if select.select([self.pipe], [], [], 0)[0]:
            self.text += (self.pipe.read() or b"").decode(errors="replace")
        found = re.search(pattern, self.text)
        return found and found[0]


@pytest.fixture
def roots(tmp_path):
    """A folder that may be read and one that may be written, as flags too."""
    if not has_landlock():
        pytest.skip("this kernel has no Landlock")
    made = {name: tmp_path / name for name in ("readable", "writable")}
    for folder in made.values():
        folder.mkdir()
    made["args"] = ["--sandbox-read", str(made["readable"]), "--sandbox-write",
                    str(made["writable"])]
    return made


def file_body(path):
    return {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {
        "filename": str(path)}}}


@only_xylem
def test_named_folders_and_no_others(stub, start, roots, tmp_path):
    (roots["readable"] / "page").write_text("page")
    (tmp_path / "secret").write_text("secret")
    control = stub(listener(routes=[direct(200, "first")]))
    proxy = start(ads_bootstrap(control), args=roots["args"])
    assert in_force(proxy)[:3] == (1, 1, 1) and in_force(proxy)[3] >= 1
    control.put(listener(routes=[file_body(roots["readable"] / "page")]))
    control.wait("lds")
    wait_for(lambda: proxy.get("/").text == "page")
    for path in (tmp_path / "secret", "/etc/passwd", "/proc/self/environ"):
        control.put(listener(routes=[file_body(path)]))
        assert "Permission denied" in control.wait("lds", "NACKED")["nack_reason"]
        assert proxy.get("/").text == "page"


@only_xylem
def test_life_goes_on_within_named_folders(stub, start, roots, origin):
    """Listeners come and go, logs are rotated, names are looked up, the control plane returns."""
    log = roots["writable"] / "access.log"
    pipe = roots["writable"] / "proxy.sock"
    logged = {"access_log": [file_log(log, "%REQ(:PATH)%\n")]}
    control = stub(rds_listener(**logged), routes(route("/", "one")), eds_cluster("one"),
                   endpoints("one", origin))
    proxy = start(ads_bootstrap(control), args=[*roots["args"], "--file-flush-interval-msec", "5"])
    assert proxy.get("/1").text == "origin"
    wait_for(lambda: log.read_text() == "/1\n")
    log.rename(roots["writable"] / "access.log.1")
    proxy.process.send_signal(signal.SIGUSR1)
    wait_for(lambda: proxy.get("/2").text == "origin" and log.exists() and "/2\n" in log.read_text())
    control.put(listener("pipe", routes=[direct(200, "pipe")],
                         address={"pipe": {"path": str(pipe)}}))
    control.wait("lds")
    wait_for(pipe.exists)
    control.put(resource("cds", cluster("named", type="STRICT_DNS", load_assignment={
        "cluster_name": "named", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {
            "socket_address": {"address": "localhost", "port_value": origin.port}}}}]}]})),
        routes(route("/", "named")))
    wait_for(lambda: proxy.stat("cluster.named.membership_total") > 0)
    control.stop()
    control.start()
    proxy.wait_stat("control_plane.connected_state", 1)
    control.put(routes(direct(200, "after")))
    wait_for(lambda: proxy.get("/").text == "after")


@only_xylem
@pytest.mark.parametrize("args, problem", [
    (["--sandbox-read", "/no/such"], "'/no/such': No such file or directory"),
    (["--no-sandbox", "--sandbox-read", "/tmp"], "--no-sandbox turns off what"),
    (["--sandbox-write"], "--sandbox-write: expected a value"),
])
def test_what_cannot_be_had_is_an_error(kind, tmp_path, args, problem):
    if "/no/such" in args and not has_landlock():
        pytest.skip("this kernel has no Landlock")
    code, out, err = run_once(kind, ["--config-yaml", "{}", *args], tmp_path)
    assert code == 1
    assert problem in out + err


@only_xylem
def test_a_log_that_could_not_be_rotated_is_an_error(kind, roots, tmp_path):
    code, out, err = run_once(kind, ["--config-yaml", "{}", "--log-path", str(tmp_path / "log"),
                                     *roots["args"]], tmp_path)
    said = out + err + (tmp_path / "log").read_text()
    assert code == 1
    assert "--sandbox-write names no folder of --log-path" in said


@only_xylem
def test_an_access_log_that_could_not_be_rotated_is_an_error(kind, roots, tmp_path):
    config = bootstrap([http_listener(routes=[direct(200)],
                                      access_log=[file_log(tmp_path / "log")])])
    code, out, err = run_once(kind, ["--config-yaml", json.dumps(config), *roots["args"]], tmp_path)
    assert code == 1
    assert "--sandbox-write names no folder of an access log: unable to open file" in out + err


# ---- without privileges ----

@pytest.fixture
def nobody(kind):
    """A folder that nobody may enter, with the program in it; (user, folder, started by, env)."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    home = Path(tempfile.mkdtemp(prefix="xylem-nobody-", dir="/tmp"))
    program = home / binary(kind).name
    shutil.copy(binary(kind), program)
    user = pwd.getpwnam("nobody")
    home.chmod(0o755)
    os.chown(home, user.pw_uid, user.pw_gid)
    yield home, program, user
    shutil.rmtree(home)


class Unprivileged(Proxy):
    """A proxy that starts as somebody else, from a copy of the program that they can reach."""

    def __init__(self, kind, home, program, user, config, **kw):
        super().__init__(kind, home / "run", config, **kw)
        self.command[0] = str(program)
        self.user = user
        for path in [self.folder, *self.folder.iterdir()]:
            os.chown(path, user.pw_uid, user.pw_gid)

    def popen(self, **kw):
        return super().popen(user=self.user.pw_uid, group=self.user.pw_gid, extra_groups=[], **kw)


def test_runs_as_nobody(kind, nobody, closing, origin):
    home, program, user = nobody
    log = home / "access.log"
    proxy = closing(Unprivileged(kind, home, program, user, bootstrap(
        [http_listener(routes=[route("/", "one")], access_log=[file_log(log, "%RESPONSE_CODE%\n")])],
        [cluster("one", origin)]))).start()
    status = Path(f"/proc/{proxy.process.pid}/status").read_text()
    assert re.search(rf"^Uid:\s+{user.pw_uid}\s+{user.pw_uid}", status, re.M)
    assert re.search(r"^CapEff:\s+0+$", status, re.M)
    assert proxy.get("/").text == "origin"
    proxy.stop()
    assert log.read_text() == "200\n"


def low_port_is_free():
    return int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 81


def run_as_nobody(nobody, config, *args):
    home, program, user = nobody
    path = home / "bootstrap.yaml"
    path.write_text(json.dumps(config))
    done = subprocess.run([str(program), "-c", str(path), "--disable-hot-restart", *args], cwd=home,
                          capture_output=True, text=True, timeout=20, check=False,
                          stdin=subprocess.DEVNULL, user=user.pw_uid, group=user.pw_gid,
                          extra_groups=[])
    return done.returncode, done.stdout + done.stderr


def test_a_low_port_is_refused_by_name(kind, nobody):
    if low_port_is_free():
        pytest.skip("everybody may take a low port here")
    config = bootstrap([http_listener("low", routes=[direct(200, "ok")], address={
        "socket_address": {"address": "127.0.0.1", "port_value": 81}})])
    code, text = run_as_nobody(nobody, config)
    assert code == 1
    assert "127.0.0.1:81" in text and "Permission denied" in text


def test_an_unwritable_log_is_refused_by_name(kind, nobody):
    code, text = run_as_nobody(nobody, bootstrap(), "--log-path", "/proc/xylem.log")
    assert code == 1
    assert "/proc/xylem.log" in text


def test_an_unwritable_access_log_is_refused_by_name(kind, nobody):
    config = bootstrap([http_listener(routes=[direct(200, "ok")],
                                      access_log=[file_log("/etc/xylem-access.log")])])
    code, text = run_as_nobody(nobody, config)
    assert code == 1
    assert "/etc/xylem-access.log" in text and "Permission denied" in text
