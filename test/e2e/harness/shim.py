"""Lets calls and allocations of a running Xylem fail (test/faults/fail_calls.c)."""
import struct

import pytest

from .proxy import binary

CALLS = ["read", "send", "accept4", "connect", "epoll_wait", "socket", "open", "receive",
         "write"]
FIELDS = ["call", "error", "every", "left", "heap_at", "heap_large",
          *(f"seen_{name}" for name in CALLS), "injected", "heap_seen"]
ONE_BYTE, HANG = -1, -2
OUT_OF_MEMORY = 71


class Shim:
    """The mapped file: 64-bit numbers by name."""

    def __init__(self, folder):
        self.library = binary("xylem").parent / "test/faults/libfail_calls.so"
        if not self.library.exists():
            pytest.skip("no shim in this build")
        self.path = folder / "fail-calls"
        self.path.write_bytes(struct.pack("q", -1).ljust(8 * len(FIELDS), b"\0"))
        self.env = {"LD_PRELOAD": str(self.library), "FAIL_CALLS_FILE": str(self.path)}

    def __getitem__(self, name):
        return struct.unpack_from("q", self.path.read_bytes(), 8 * FIELDS.index(name))[0]

    def __setitem__(self, name, value):
        with open(self.path, "r+b") as file:
            file.seek(8 * FIELDS.index(name))
            file.write(struct.pack("q", value))

    def fail(self, call, error, every, left):
        self["call"] = -1
        self["injected"], self["error"], self["every"], self["left"] = 0, error, every, left
        self["call"] = CALLS.index(call)

    def stop(self):
        self["call"] = -1

    def seen(self):
        return sum(self[f"seen_{name}"] for name in CALLS)


def check_end(proxy, what):
    """It ended by its own hand: out of memory, or a configuration that found no room."""
    code = proxy.process.returncode
    assert code in (OUT_OF_MEMORY, 1), f"{what}: exit code {code}\n{proxy.log()[-500:]}"
    assert "out of memory" in proxy.log() or code == 1, what
    assert proxy.log().strip(), what
