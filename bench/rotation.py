#!/usr/bin/env python3
"""A long load over TLS while the certificate is replaced all the time.

Each second (--every) the control plane serves another certificate as the one secret of a listener.
Meanwhile clients ask over connections that they keep, and others over a connection for each request,
--rate requests a second each; they verify whom they talk to. Ends with exit code 1 when a request
failed, a kept connection was closed, a secret was refused, the last certificate is not what a new
client sees, or the memory grew. Nothing is retried.
"""
import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))
from processes import BenchError, say, tool  # noqa: E402

from harness import Proxy, Stub, certs, direct, xds  # noqa: E402
from harness.tls import TlsClient  # noqa: E402

MARKS = (0.2, 0.6, 1.0)


class Rotation:
    """The processes of one run."""

    def __init__(self, options, folder):
        self.options, self.folder = options, Path(folder)
        self.ca = certs.Authority("ca")
        self.ca.write(self.folder)
        self.leaves = [self.ca.issue(f"leaf{n}", dns=["bench.test"]) for n in range(17)]
        self.rotations, self.memory, self.things = 0, [], []

    def start(self):
        made = xds.listener(routes=[direct(200, "x" * 128)])
        made["filter_chains"][0]["transport_socket"] = certs.downstream(
            tls_certificate_sds_secret_configs=[certs.sds("web")])
        self.stub = self.add(Stub(self.folder / "stub", [made, self.leaves[0].secret("web")]))
        self.stub.start()
        self.proxy = self.add(Proxy(self.options.proxy, self.folder / "proxy",
                                    xds.ads_bootstrap(self.stub), concurrency=2))
        self.proxy.start()
        self.port = self.proxy.port()
        self.loads = [self.load("--connections", "32"), self.load("--connections", "256", "--close")]

    def add(self, thing):
        self.things.append(thing)
        return thing

    def load(self, *words):
        o = self.options
        return subprocess.Popen(
            [tool("load"), "run", "--port", str(self.port), "--rate", str(o.rate), "--seconds",
             str(o.seconds), "--tls", "--ca", self.ca.chain_path, *words],
            stdout=subprocess.PIPE, text=True)

    def stop(self):
        for one in getattr(self, "loads", []):
            one.kill()
            one.wait()
        for thing in reversed(self.things):
            thing.stop()

    def rotate(self):
        self.rotations += 1
        self.current = self.leaves[self.rotations % len(self.leaves)]
        self.stub.put(self.current.secret("web"))

    def run(self):
        begun = due = time.monotonic()
        marks = list(MARKS)
        while marks and all(one.poll() is None for one in self.loads):
            self.rotate()
            due += self.options.every
            time.sleep(max(0, due - time.monotonic()))
            if time.monotonic() - begun >= marks[0] * self.options.seconds:
                marks.pop(0)
                self.memory.append(self.proxy.memory_kib())
                say(f"  {time.monotonic() - begun:5.0f} s: {self.rotations} certificates, memory "
                    f"{self.memory[-1]} KiB")
        self.rotate()
        self.stub.wait("sds")

    def wrong(self):
        """What was not as it must be."""
        found = []
        for name, one in zip(("kept", "own"), self.loads):
            told = json.loads(one.communicate()[0] or "{}")
            say(f"  {name} connections: {json.dumps(told)}")
            if one.returncode or not told:
                found.append(f"no load over {name} connections")
                continue
            failed = told["failed"] - told["unfinished"]
            if failed or told["statuses"][2] != sum(told["statuses"]):
                found.append(f"{failed} requests failed over {name} connections")
            if told["unfinished"] > told["due"] * self.options.late / 100:
                found.append(f"{told['unfinished']} requests over {name} connections were not asked or "
                             "answered when the time was over: the machine is too slow or too busy")
            if name == "kept" and told["closed"]:
                found.append("kept connections were closed")
        with TlsClient(self.port, certs.client_context(self.ca), name="bench.test") as client:
            if client.peer_serial != self.current.serial:
                found.append("a new client does not see the last certificate")
        refused = self.proxy.stat("sds.web.update_rejected")
        taken = self.proxy.stat("sds.web.update_success")
        if refused or taken < self.rotations / 2:
            found.append(f"of {self.rotations} secrets {taken} were taken, {refused} refused")
        grown = self.memory[-1] - self.memory[0] if len(self.memory) == len(MARKS) else None
        if grown is None:
            found.append("the load ended early")
        elif grown > max(self.memory[0] * self.options.growth / 100, 1024):
            found.append(f"the memory grew by {grown} KiB")
        return found


def parse(argv):
    parser = argparse.ArgumentParser(prog="rotation", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--proxy", choices=["xylem", "envoy"], default="xylem")
    parser.add_argument("--seconds", type=float, default=300, help="how long (300)")
    parser.add_argument("--every", type=float, default=1, help="seconds between certificates (1)")
    parser.add_argument("--rate", type=float, default=500, help="requests a second of each sort (500)")
    parser.add_argument("--growth", type=float, default=5,
                        help="percent by which the memory may grow after the first fifth (5)")
    parser.add_argument("--late", type=float, default=0,
                        help="percent of the requests that may be unfinished at the end (0)")
    return parser.parse_args(argv)


def main(argv=None):
    options = parse(argv)
    with tempfile.TemporaryDirectory(prefix="xylem-rotation-") as folder:
        run = Rotation(options, folder)
        try:
            run.start()
            run.run()
            found = run.wrong()
        except (BenchError, AssertionError, RuntimeError) as error:
            found = [str(error)]
        finally:
            run.stop()
    for line in found:
        say(f"rotation: {line}")
    say(f"rotation: {run.rotations} certificates, memory {' → '.join(map(str, run.memory))} KiB: "
        + ("well" if not found else "not well"))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
