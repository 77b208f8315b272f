"""How the threads of a proxy share the CPUs that they have."""
import ctypes
import os
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness import route
from harness.xds import ads_bootstrap, eds_cluster, endpoints, rds_listener, routes

SYS_SCHED_GETATTR = {"x86_64": 315, "aarch64": 275}[os.uname().machine]
only_xylem = pytest.mark.only("xylem", "Envoy's threads are all alike")


def policies(proxy):
    """Name of a thread -> its policy: all of that name."""
    found = {}
    for task in Path(f"/proc/{proxy.process.pid}/task").iterdir():
        name = (task / "comm").read_text().strip()
        found.setdefault(name, set()).add(os.sched_getscheduler(int(task.name)))
    return found


def slice_ns(task):
    """The kernel's time slice of a thread; 0 before Linux 6.12, which tells none."""
    attr = ctypes.create_string_buffer(48)
    assert ctypes.CDLL(None, use_errno=True).syscall(SYS_SCHED_GETATTR, task, attr, len(attr), 0) == 0
    return struct.unpack_from("IIQiIQ", attr)[5]


def started(stub, start, origin):
    control = stub(rds_listener(), routes(route("/", "one")), eds_cluster("one"),
                   endpoints("one", origin))
    proxy = start(ads_bootstrap(control), concurrency=2)
    assert proxy.get("/").text == "origin"
    return proxy


def configured(stub, start, origin):
    return policies(started(stub, start, origin))


@only_xylem
def test_changes_give_way_to_requests(stub, start, origin):
    seen = configured(stub, start, origin)
    at_once = {"wrk:worker_0", "wrk:worker_1", "watchdog"}
    assert {"config", "access_log", "event_engine", *at_once} < set(seen)
    assert {name for name, how in seen.items() if how == {os.SCHED_OTHER}} == at_once
    assert all(how == {os.SCHED_BATCH} for name, how in seen.items() if name not in at_once), seen


@only_xylem
def test_a_request_need_not_wait_for_a_slice(stub, start, origin):
    """Who has asked for less of it at a time takes the CPU at once, and has no more of it in all."""
    if not slice_ns(0):
        pytest.skip("this kernel has no slices of threads")
    proxy = started(stub, start, origin)
    tasks = Path(f"/proc/{proxy.process.pid}/task").iterdir()
    seen = {(t / "comm").read_text().strip(): slice_ns(int(t.name)) for t in tasks}
    assert seen["wrk:worker_0"] == seen["wrk:worker_1"] == 100_000
    assert all(ns == slice_ns(0) for name, ns in seen.items() if not name.startswith("wrk:")), seen


@only_xylem
@pytest.mark.parametrize("policy", [os.SCHED_BATCH, os.SCHED_IDLE])
def test_what_the_operator_has_chosen_stays(stub, start, origin, policy):
    def chosen():
        """In a thread of its own, which ends with its policy: not everybody may leave SCHED_IDLE."""
        os.sched_setscheduler(0, policy, os.sched_param(0))
        return configured(stub, start, origin)
    with ThreadPoolExecutor(1) as one:
        seen = one.submit(chosen).result()
    assert all(how == {policy} for how in seen.values()), seen
