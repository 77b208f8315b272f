"""What the kernel and the heap refuse: a shim (test/faults/fail_calls.c) under a running Xylem."""
import errno
import random
import signal

import pytest

from harness import config
from harness.client import Client
from harness.config import direct
from harness.dns import DnsServer, cares
from harness.origin import Reply
from harness.shim import HANG, ONE_BYTE, Shim, check_end
from harness.waiting import wait_for
from harness.xds import ads_bootstrap, rds_listener, routes

pytestmark = pytest.mark.only("xylem", "the shim knows whose allocations are Xylem's")

BODY = bytes(random.Random(1).randrange(256) for _ in range(3000))


@pytest.fixture
def shim(tmp_path):
    return Shim(tmp_path)


@pytest.fixture
def proxy(start, shim, origin, tmp_path):
    """One worker before an origin whose answers are known."""
    origin.on["/known"] = Reply(body=BODY)
    origin.on["/chunks"] = Reply(chunks=[BODY[:1], BODY[1:1000], BODY[1000:]])
    manager = {"access_log": [config.file_log(tmp_path / "log", "%RESPONSE_CODE%\n")]}
    made = start(config.bootstrap(
        [config.http_listener(routes=[config.route("/", to="origin")], **manager)],
        [config.cluster("origin", origin, max_requests_per_connection=1)]), env=shim.env)
    made.target = made.port()
    return made


def ask(target, path, body):
    """One request on a connection of its own: (status, body), or None when it was cut off."""
    try:
        with Client(target) as client:
            answer = client.request("POST" if body else "GET", path, body=body,
                                    headers=[("connection", "close")])
            return answer.status, answer.body
    except (OSError, EOFError):
        return None
    except AssertionError as cut:  # the harness: the peer closed inside of an answer
        if "nothing came" in str(cut):
            raise
        return None


def good(proxy, n=4):
    """The proxy serves, byte for byte."""
    with Client(proxy.target) as client:
        for path in ["/known", "/chunks"] * (n // 2):
            answer = client.request("POST", path, body=BODY)
            assert (answer.status, answer.body) == (200, BODY)


SOFT = {
    "read": [errno.EAGAIN, errno.EINTR, ONE_BYTE],
    "send": [errno.EAGAIN, errno.EINTR, ONE_BYTE],
    "accept4": [errno.EAGAIN, errno.EINTR, errno.ECONNABORTED],
    "connect": [errno.EINTR],
    "epoll_wait": [errno.EINTR],
}
HARD = {
    "read": [errno.ECONNRESET, errno.ETIMEDOUT, errno.ENOBUFS, errno.EPIPE, errno.EMFILE],
    "send": [errno.ECONNRESET, errno.EPIPE, errno.ENOBUFS, errno.EMFILE],
    "accept4": [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ECONNRESET, errno.EPIPE],
    "connect": [errno.ECONNREFUSED, errno.EAGAIN, errno.ENOBUFS, errno.ENETUNREACH],
    "socket": [errno.EMFILE, errno.ENFILE, errno.ENOBUFS],
}


def rounds(request):
    return 12 if request.config.getoption("--scale") > 1000 else 2


def check_no_spin(shim, before, requests):
    """Moving each byte by itself is the most that a fault can cost."""
    calls = shim.seen() - before
    most = requests * (60 + 6 * len(BODY))
    assert calls <= most, f"{calls} calls for {requests} requests"


@pytest.mark.parametrize("call", SOFT)
def test_calls_that_only_wait(proxy, shim, request, call):
    """EAGAIN, EINTR, one byte at a time: no client sees any of it."""
    for error in SOFT[call]:
        for every in range(1, 2 + rounds(request)):
            if every == 1 and error != ONE_BYTE:
                continue  # for ever is no answer of a kernel
            before = shim.seen()
            shim.fail(call, error, every, 20000)
            for path, body in [("/known", None), ("/chunks", BODY), ("/known", BODY)]:
                what = f"{call} {error} every {every}: {path}"
                assert ask(proxy.target, path, body) == (200, BODY), what
            assert shim["injected"] > 0 or every > 2, f"{call} {error}: not once"
            shim.stop()
            check_no_spin(shim, before, 3)
    good(proxy)


@pytest.mark.parametrize("call", HARD)
def test_calls_that_fail(proxy, shim, request, call):
    """What cannot be helped costs the request it strikes: an error or a close, no wrong byte."""
    for error in HARD[call]:
        for every in range(1, 2 + rounds(request)):
            before = shim.seen()
            shim.fail(call, error, every, 3)
            for path, body in [("/known", None), ("/chunks", BODY), ("/known", BODY)]:
                got = ask(proxy.target, path, body)
                assert got is None or got == (200, BODY) or got[0] >= 500, \
                    f"{call} {error} every {every}: {path}: {got[0]}, {len(got[1])} bytes"
            assert shim["injected"] > 0 or every > 3, f"{call} {error} every {every}: not once"
            shim.stop()
            check_no_spin(shim, before, 3)
    good(proxy)


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENOENT, errno.EACCES])
def test_a_log_that_cannot_be_opened_again(proxy, shim, tmp_path, error):
    """What was moved away is not opened anew: requests go on, and so does the log once it can."""
    log, moved = tmp_path / "log", tmp_path / "moved"
    good(proxy)
    wait_for(lambda: log.read_text(), what="the first lines")
    log.rename(moved)
    shim.fail("open", error, 1, 3)
    proxy.admin("/reopen_logs", method="POST")
    wait_for(lambda: shim["injected"] > 0, what="a fault")
    proxy.wait_stat("filesystem.reopen_failed", 1)
    good(proxy)
    shim.stop()
    proxy.admin("/reopen_logs", method="POST")
    wait_for(log.exists, what="the new log")
    good(proxy)
    wait_for(lambda: log.read_text(), what="lines in the new log")
    proxy.stop()
    lines = moved.read_text() + log.read_text()
    assert set(lines.splitlines()) == {"200"}


def push(control, proxy, n):
    """The n-th version of the routes, served in the end."""
    control.put(routes(direct(200, f"v{n}")))
    wait_for(lambda: ask(proxy.target, "/", None) == (200, f"v{n}".encode()),
             what=f"version {n}")


@pytest.mark.parametrize("call", ["read", "send", "receive", "connect", "socket"])
def test_calls_of_the_control_stream(stub, start, shim, request, dialect, call):
    """What fails on the way to the control plane costs the stream at most: the next one brings
    what it missed, and what is served stays meanwhile."""
    control = stub(rds_listener(), routes(direct(200, "v0")))
    proxy = start(ads_bootstrap(control, api_type=dialect, grpc={"retry_policy": {
        "retry_back_off": {"base_interval": "0.01s", "max_interval": "0.05s"}}}), env=shim.env)
    proxy.target, n = proxy.port(), 0
    errors = SOFT.get(call, [ONE_BYTE, errno.EINTR]) + HARD.get(call, [
        errno.ECONNRESET, errno.ENOBUFS, errno.EPIPE])
    dials = call in ("connect", "socket")
    for error in errors:
        struck = 0
        for every in range(1 if dials or error == ONE_BYTE else 2, 2 + rounds(request)):
            n += 1
            shim.fail(call, error, every, 500 if error == ONE_BYTE else 3)
            if dials:
                control.end_streams()
            push(control, proxy, n)
            struck += shim["injected"] > 0
            shim.stop()
        assert struck, f"{call} {error}: not once"
    push(control, proxy, n + 1)


@pytest.mark.parametrize("call", ["receive", "write", "socket", "connect"])
def test_calls_of_the_resolver(start, shim, origin, closing, call):
    """Queries and answers that are lost are asked again; nothing spins, and the hosts come."""
    server = closing(DnsServer(a=["127.0.0.1"], b=["127.0.0.1"]))
    origin.on["/known"] = Reply(body=BODY)

    def named(name, tcp):
        return config.cluster(name, load_assignment={"cluster_name": name, "endpoints": [{
            "lb_endpoints": [{"endpoint": {"address": {"socket_address": {
                "address": f"{name}.test", "port_value": origin.port}}}}]}]},
            type="STRICT_DNS", dns_lookup_family="V4_ONLY", dns_refresh_rate="0.05s",
            typed_dns_resolver_config=cares(server, dns_resolver_options={
                "no_default_search_domain": True, "use_tcp_for_dns_lookups": tcp}))

    server.ttl = 0
    proxy = start(config.bootstrap(
        [config.http_listener(routes=[config.route("/", to="a")])],
        [named("a", False), named("b", True)]), env=shim.env)
    proxy.target = proxy.port()
    wait_for(lambda: ask(proxy.target, "/known", None) == (200, BODY), what="an answer")
    for error in [errno.EINTR, errno.EAGAIN, errno.ECONNREFUSED, errno.ENOBUFS, errno.EMFILE,
                  ONE_BYTE]:
        before = shim.seen()
        shim.fail(call, error, 1, 20)
        if error != ONE_BYTE or call in ("receive", "write"):
            wait_for(lambda: shim["injected"] >= 5, what=f"{call} {error}: five faults")
        shim.stop()
        assert shim.seen() - before < 5000
        asked = len(server.asked)
        wait_for(lambda: len(server.asked) > asked + 2, what="more queries")
        assert ask(proxy.target, "/known", None) == (200, BODY)


@pytest.mark.parametrize("error", [ONE_BYTE, errno.EINTR, errno.ENOSPC, errno.EIO])
def test_writes_of_the_access_log(start, shim, origin, tmp_path, error):
    """Lines are whole and in order, whichever way their file takes them; what it does not take is
    counted, and costs no request."""
    proxy = start(config.bootstrap(
        [config.http_listener(routes=[config.route("/", to="origin")], access_log=[
            config.file_log(tmp_path / "log", "<%REQ(:PATH)%>\n")])],
        [config.cluster("origin", origin)]), args=["--file-flush-interval-msec", "5"],
        env=shim.env)
    proxy.target = proxy.port()
    shim.fail("write", error, 1, 10000 if error == ONE_BYTE else 2)
    for n in range(60):
        assert ask(proxy.target, f"/{n}", None)[0] == 200
        if n % 20 == 19:
            wait_for(lambda: shim["injected"] > 0, what="a fault")
    shim.stop()
    assert ask(proxy.target, "/last", None)[0] == 200
    lost = error not in (ONE_BYTE, errno.EINTR)
    proxy.wait_stat("filesystem.write_failed", 2 if lost else 0)
    proxy.stop()
    lines = (tmp_path / "log").read_text().splitlines()
    sent = [f"</{n}>" for n in range(60)] + ["</last>"]
    assert lines == [line for line in sent if line in set(lines)]
    assert lines[-1] == "</last>"
    assert lines == sent if not lost else len(lines) < len(sent)


def test_memory_while_serving(start, shim, origin):
    """Whichever allocation of a request fails: a status, a close, or an end that says so."""
    origin.on["/known"] = Reply(body=BODY)
    boot = config.bootstrap([config.http_listener(routes=[config.route("/", to="origin")])],
                            [config.cluster("origin", origin)])
    proxy = start(boot, env=shim.env)
    target, ended, at = proxy.port(), 0, 1
    for at in range(1, 200):
        before = shim["injected"]
        shim["heap_at"] = at
        while shim["injected"] == before and proxy.running() and at:
            got = ask(target, "/known", BODY)
            assert got is None or got == (200, BODY) or got[0] >= 500
            if shim["injected"] == before and got == (200, BODY):
                at = 0  # served without so many allocations
        shim["heap_at"] = 0
        if not at and proxy.running():
            break
        if got is None:
            wait_for(lambda: not proxy.running() or ask(target, "/known", None) == (200, BODY),
                     what="the end or an answer")
        if not proxy.running():
            check_end(proxy, f"allocation {at}")
            ended += 1
            proxy = start(boot, env=shim.env)
            target = proxy.port()
    assert ask(target, "/known", None) == (200, BODY)
    assert ended > 0


def worlds(origin, tmp_path):
    """Bootstraps that make much of the start-up code allocate."""
    routes = [config.route("/", to="origin")]
    one = config.cluster("origin", origin)
    yield "static", config.bootstrap([config.http_listener(routes=routes)], [one])
    yield "routes", config.bootstrap([config.http_listener(routes=[
        config.direct(200, "x", prefix=f"/{i}") for i in range(30)] + routes)], [one])
    yield "log", config.bootstrap([config.http_listener(
        routes=routes, access_log=[config.file_log(tmp_path / "log")])], [one])
    yield "names", config.bootstrap([config.http_listener(routes=routes)], [
        config.cluster("origin", ("localhost", origin.port), type="STRICT_DNS",
                       dns_lookup_family="V4_ONLY")])
    yield "clusters", config.bootstrap([config.http_listener(routes=routes)], [
        one, *(config.cluster(f"c{i}", origin) for i in range(10))])
    yield "node", config.bootstrap([config.http_listener(routes=routes)], [one], node={
        "id": "n", "cluster": "c", "metadata": {"a": {"b": ["c", 1, True]}}})


@pytest.mark.parametrize("world", ["static", "routes", "log", "names", "clusters", "node"])
def test_memory_at_the_start(start, shim, origin, tmp_path, request, world):
    """Whichever allocation of the start fails: it ends and says why, or it serves."""
    boot = dict(worlds(origin, tmp_path))[world]
    proxy = start(boot, env=shim.env)
    total = shim["heap_seen"]
    assert ask(proxy.port(), "/", None)[0] == 200
    proxy.stop()
    points = 4 * rounds(request)
    for i in range(points):
        at = 1 + total * i // points
        shim["heap_seen"], shim["injected"], shim["heap_at"] = 0, 0, at
        try:
            proxy = start(boot, env=shim.env)
        except RuntimeError as ended:
            shim["heap_at"] = 0
            assert "ended with" in str(ended)
            wait_for(lambda p=request.node.started[-1]: not p.running(), what="the end")
            check_end(request.node.started[-1], f"{world}: allocation {at} of {total}")
            continue
        shim["heap_at"] = 0
        assert ask(proxy.port(), "/", None)[0] == 200
        proxy.stop()


def stuck(start, shim, origin, watchdog):
    """A proxy whose only worker hangs in a read of its own, by the shim."""
    origin.on["/known"] = Reply(body=BODY)
    proxy = start(config.bootstrap(
        [config.http_listener(routes=[config.route("/", to="origin")])],
        [config.cluster("origin", origin)], watchdogs={"worker_watchdog": watchdog}), env=shim.env)
    client = Client(proxy.port())
    assert client.get("/known").body == BODY
    shim.fail("read", HANG, 1, 1)
    client.write_request("GET", "/known")
    return proxy, client


def test_a_stuck_worker_is_seen(start, shim, origin):
    """Counted, logged with its stack, and forgotten once it comes back."""
    proxy, client = stuck(start, shim, origin,
                          {"miss_timeout": "0.05s", "megamiss_timeout": "0.1s"})
    for name in ["workers", "server.worker_0"]:
        proxy.wait_stat(f"{name}.watchdog_miss", 1)
        proxy.wait_stat(f"{name}.watchdog_mega_miss", 1)
    assert proxy.stat("main_thread.watchdog_miss") == 0
    assert "watchdog: worker_0 (thread " in proxy.log()
    assert "watchdog: worker_0 #1 " in proxy.log()
    shim.stop()
    assert client.response().body == BODY
    client.close()


def test_a_stuck_worker_ends_the_process(start, shim, origin):
    """kill_timeout: the end, by SIGABRT, and why."""
    proxy, client = stuck(start, shim, origin, {"kill_timeout": "0.1s"})
    assert proxy.wait_exit(20) == -signal.SIGABRT
    assert "stuck for more than watchdog_kill_timeout" in proxy.log()
    client.close()
