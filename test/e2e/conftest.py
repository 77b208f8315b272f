"""Fixtures of the end-to-end suite: which proxies to run and how to start them."""
import contextlib
import functools
import itertools
import signal

import pytest

from harness import Origin, Proxy, Stub, certs, direct, xds
from harness.proxy import binary
from harness.stub import stub_binary


def pytest_addoption(parser):
    parser.addoption("--proxy", choices=["xylem", "envoy", "both"], default="xylem",
                     help="which proxy the scenarios run against")
    parser.addoption("--scale", type=int, default=1000,
                     help="how many clusters and routes the scenarios of scale have (1000)")


def pytest_configure(config):
    hear_signals()
    config.addinivalue_line("markers", "difference(reason, envoy, xylem): the proxies differ here")
    config.addinivalue_line("markers", "only(kind, reason): runs against one kind of proxy")


def pytest_generate_tests(metafunc):
    if "kind" not in metafunc.fixturenames:
        return
    chosen = metafunc.config.getoption("--proxy")
    kinds = ["xylem", "envoy"] if chosen == "both" else [chosen]
    only = metafunc.definition.get_closest_marker("only")
    if only:
        kinds = [kind for kind in kinds if kind == only.args[0]]
    metafunc.parametrize("kind", kinds, scope="session")


def hear_signals():
    """Who was started in the background ignores some signals, and so would all that it starts."""
    for signo in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1):
        if signal.getsignal(signo) == signal.SIG_IGN:
            signal.signal(signo, signal.SIG_DFL)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    item.failed = getattr(item, "failed", False) or report.failed
    for thing in getattr(item, "started", []):
        if report.failed:
            report.sections.append((f"log of {thing.kind}", thing.log()))
    return report


@pytest.fixture(scope="session")
def kind():
    """The proxy under test: xylem or envoy."""
    raise AssertionError("parametrized by pytest_generate_tests")


@pytest.fixture
def closing(request):
    """closing(x): x.stop() or x.close() runs when the scenario ends, whatever that of others says."""
    with contextlib.ExitStack() as stack:
        def add(thing):
            stack.callback(getattr(thing, "stop", None) or thing.close)
            return thing

        yield add


@pytest.fixture
def start_both(request, tmp_path, closing):
    """start_both(config, kind=..., ...) runs a proxy of that kind: a scenario that compares the
    two needs both, whichever is under test."""
    count = itertools.count()
    request.node.started = getattr(request.node, "started", [])

    def run(config, kind, ready=True, **kw):
        assert binary(kind).exists(), f"no program for {kind}: {binary(kind)}"
        proxy = Proxy(kind, tmp_path / f"{kind}{next(count)}", config, **kw)
        request.node.started.append(proxy)
        closing(proxy)
        return proxy.start(ready)

    return run


@pytest.fixture
def start(kind, start_both):
    """start(config, ...) runs the proxy under test until the scenario ends."""
    return functools.partial(start_both, kind=kind)


@pytest.fixture
def origin(closing):
    """One origin named "origin"."""
    return closing(Origin())


@pytest.fixture
def origins(closing):
    """origins(n) or origins("a", "b"): more origins, each answering with its name."""
    def make(*names, **kw):
        if len(names) == 1 and isinstance(names[0], int):
            names = [f"origin{i}" for i in range(names[0])]
        return [closing(Origin(name, **kw)) for name in names]
    return make


@pytest.fixture
def stub(request, tmp_path, closing):
    """stub(*resources) runs the stub control plane that serves them."""
    assert stub_binary().exists(), f"no stub control plane: {stub_binary()}"
    request.node.started = getattr(request.node, "started", [])

    def run(*resources, **kw):
        made = Stub(tmp_path / "stub", resources, **kw)
        request.node.started.append(made)
        closing(made)
        return made.start()

    return run


@pytest.fixture(scope="session")
def ca():
    """The authority of the scenarios with TLS."""
    return certs.Authority("ca")


@pytest.fixture(scope="session")
def web(ca):
    """A server's certificate."""
    return ca.issue("web", dns=["a.test"], uris=["spiffe://d/web"])


@pytest.fixture(scope="session")
def caller(ca):
    """A client's certificate."""
    return ca.issue("caller", dns=["c.test"], uris=["spiffe://d/c"])


@pytest.fixture(params=["plain", "tls"])
def tls(request):
    """With TLS or without; a scenario that asks for it runs in both ways."""
    return request.param == "tls"


@pytest.fixture(params=[xds.STATE_OF_THE_WORLD, xds.DELTA], ids=["world", "delta"])
def dialect(request):
    """The dialect of the control channel, as api_type; a scenario that asks for it runs in both."""
    return request.param


@pytest.fixture
def ads_bootstrap(dialect):
    """harness.xds.ads_bootstrap, in both dialects."""
    return functools.partial(xds.ads_bootstrap, api_type=dialect)


@pytest.fixture
def tell(dialect):
    """tell(control, kind, version, *resources, **more): a response by hand, in both dialects."""
    def send(control, kind, version, *resources, **more):
        control.send(kind, **xds.literal(dialect, version, *resources, **more))
    return send


@pytest.fixture
def silent(dialect):
    """silent(control, kind): a server that does not speak of what is missing, until clear_faults().

    In delta the stub would say at once that there is none (rule R05)."""
    def hold(control, kind):
        if dialect == xds.DELTA:
            control.fault(type=kind, hold=True)
    return hold


@pytest.fixture
def one_of_each(stub, start, origin, ads_bootstrap):
    """A control plane with one resource of each type, and a proxy that has accepted them."""
    control = stub(xds.rds_listener(), xds.routes(direct(200, "v1")), xds.eds_cluster("one"),
                   xds.endpoints("one", origin))
    proxy = start(ads_bootstrap(control))
    for kind in ("cds", "eds", "lds", "rds"):
        control.wait(kind)
    return control, proxy
