"""Statistics of both proxies side by side: the same names, the same values after the same traffic."""
import re

import pytest

from harness import (Origin, Proxy, bootstrap, cluster, direct, http_listener, wait_for)
from harness.outcomes import Outcomes

# What only one of the two can have, and why.
ONLY_ENVOY = {
    r"overload\..*|envoy\.overload_actions\..*": "there is no overload manager yet"}
ONLY_XYLEM = {r"xylem\..*": "what Envoy does not count"}

# Values that a clock, an allocator or the size of a name decides, and those that differ on purpose.
NOT_DETERMINED = [
    r"server\.(memory_.*|uptime|version|stats_recent_lookups|total_connections)",
    r"http\.admin\..*|listener\.admin\..*",         # how often the pages were asked
    r".*_bytes_(total|buffered)",                   # lengths of dates and times
    r"filesystem\..*",                              # Xylem writes at its own pace
    r"runtime\..*",                                # Envoy loads an empty runtime twice
    r".*\.circuit_breakers\.high\.cx_pool_open",  # Envoy writes its 0 as any connection closes
    r".*\.downstream_cx_delayed_close_timeout",     # see "End of a closing connection"
]


def read(proxy):
    """Every name with its value: a number, a text, or that it is a histogram."""
    values = {}
    for line in proxy.admin("/stats").text.splitlines():
        name, _, value = line.partition(": ")
        values[name] = "a histogram" if "P0(" in value or value.startswith("No ") else value
    return values


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The statistics of Envoy and of Xylem before and after the same traffic."""
    things, seen = [], {}

    def closing(thing):
        things.append(thing)
        return thing

    for kind in ["envoy", "xylem"]:
        folder = tmp_path_factory.mktemp(kind)
        world = Outcomes(closing, closing(Origin()), folder)
        proxy = Proxy(kind, folder, world.config())
        things.append(proxy)
        proxy.start()
        wait_for(lambda p=proxy: "server.worker_0.watchdog_miss" in read(p), 10, "the worker")
        before = read(proxy)
        world.run(proxy)
        seen[kind] = {"before": before, "after": read(proxy), "proxy": proxy}
    yield seen
    for thing in reversed(things):
        (getattr(thing, "stop", None) or thing.close)()


def without(names, patterns):
    return {n for n in names if not any(re.fullmatch(p, n) for p in patterns)}


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_same_names(both, when):
    envoy = without(both["envoy"][when], ONLY_ENVOY)
    xylem = without(both["xylem"][when], ONLY_XYLEM)
    assert (sorted(envoy - xylem), sorted(xylem - envoy)) == ([], [])
    assert len(envoy) > 600


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_same_values(both, when):
    envoy, xylem = both["envoy"][when], both["xylem"][when]
    names = without(set(envoy) & set(xylem), NOT_DETERMINED)
    assert {n: (envoy[n], xylem[n]) for n in sorted(names) if envoy[n] != xylem[n]} == {}


def test_the_same_are_used(both):
    """usedonly means written, though zero, for the same names (histograms once merged)."""
    loose = [*NOT_DETERMINED, *ONLY_ENVOY, *ONLY_XYLEM]

    def used(kind):
        text = both[kind]["proxy"].admin("/stats?usedonly").text
        return without({line.partition(": ")[0] for line in text.splitlines()}, loose)

    def same():
        envoy, xylem = used("envoy"), used("xylem")
        assert (sorted(envoy - xylem), sorted(xylem - envoy)) == ([], [])
        return len(envoy) > 100

    wait_for(same, 10, "the same to be used")


def families(proxy, query=""):
    """The lines of /stats/prometheus without their values."""
    lines = []
    for line in proxy.admin("/stats/prometheus" + query).text.splitlines():
        name = line if line.startswith("#") else line.rpartition(" ")[0]
        if not re.search(r"envoy_(overload|envoy|xylem)_", name):
            lines.append(name)
    return lines


@pytest.mark.parametrize("query", ["", "?text_readouts", "?filter=rq_", "?histogram_buckets=summary"])
def test_prometheus_is_the_same(both, query):
    """Families, labels and their order."""
    envoy, xylem = (families(both[kind]["proxy"], query) for kind in ["envoy", "xylem"])
    difference = [(e, x) for e, x in zip(envoy, xylem) if e != x]
    assert difference[:3] == []
    assert len(envoy) == len(xylem) > 100


ODD_NAMES = ["foo.com.", "..two..", "a://b", "a:/b", ":c", "end:", ".x", "many..."]


def test_names_with_dots_at_the_end(start, origin):
    """Of fully qualified names: no empty part is left in a statistic, nor in its family."""
    config = bootstrap(
        [http_listener(name=f"l-{name}", stat_prefix=f"http-{name}", routes=[direct(200)],
                       listener={"stat_prefix": name}) for name in ODD_NAMES],
        [cluster(name, origin) for name in ODD_NAMES])
    config["stats_config"] = {"stats_tags": [{"tag_name": "kind", "regex": r"(cx_total)$"}]}
    proxy = start(config)
    clean = ["foo.com", "..two", "a_b", "a_b", "_c", "end_", ".x", "many"]
    names = [line.rpartition(": ")[0] for line in
             proxy.admin("/stats?filter=stream_cx_total$").text.splitlines()]
    wanted = {f"cluster.{name}.upstream_cx_total" for name in clean}
    wanted |= {f"http.http-{name}.downstream_cx_total" for name in clean}
    wanted |= {f"listener.{name}.downstream_cx_total" for name in clean}
    wanted |= {f"listener.{name}.worker_0.downstream_cx_total" for name in clean}
    assert {n for n in names if not n.startswith(("http.admin", "listener.admin"))} == wanted
    assert "# TYPE envoy_listener_com_downstream_ counter" in families(proxy)
