#!/usr/bin/env python3
"""A long load while the configuration changes all the time.

Starts what the demo starts, then changes one resource after another, each type in turn, at a
steady rate; with --kill-stub the control plane is killed and restarted at random moments. Ends
with exit code 1 when a request failed, a connection was closed, a change was refused, or the
memory grew. Nothing is retried.
"""
import argparse
import asyncio
import random
import re
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import demo  # noqa: E402

KINDS = ("RouteConfiguration", "ClusterLoadAssignment", "Cluster", "Listener")


class Soak(demo.Demo):
    """The demo's processes and load, with endless changes instead of steps."""

    def __init__(self, options, folder):
        super().__init__(options, folder)
        self.load.allowed = self.load.canary_allowed = set(demo.ORIGINS)
        self.load.answers = demo.collections.deque(maxlen=1000)
        self.changes = self.kills = 0
        self.memory = []
        self.random = random.Random(options.seed)

    # One change of each type

    def change_routes(self, number):
        red = number % 101
        self.edit_routes(demo.weights(red, 100 - red))

    def change_endpoints(self, number):
        self.edit("endpoints.yaml", lambda text: demo.remove_endpoint(text)
                  if demo.BLUE in text else demo.add_endpoint(text))

    def change_clusters(self, number):
        """An extra cluster with inline endpoints: another timeout each time, gone each third."""
        if number % 3 == 2:
            self.edit("extra.yaml", None)
            return
        self.edit("extra.yaml", '"@type": type.googleapis.com/envoy.config.cluster.v3.Cluster\n'
                  f"name: extra\ntype: STATIC\nconnect_timeout: {number + 1}s\n")

    def change_listeners(self, number):
        """Another server name: only the connection manager changes."""
        self.edit("listeners.yaml", lambda text: re.sub(
            r"stat_prefix: front(\n +server_name: \S+)?",
            f"stat_prefix: front\n        server_name: soak-{number}", text))

    def change(self, number):
        functions = (self.change_routes, self.change_endpoints, self.change_clusters,
                     self.change_listeners)
        functions[number % len(functions)](number // len(functions))
        self.changes += 1

    # The run

    def resident_kib(self):
        pid = self.children.processes["proxy"].pid
        text = Path(f"/proc/{pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text).group(1))

    async def run(self):
        begun = time.monotonic()
        kill = asyncio.create_task(self._kill_stub()) if self.options.kill_stub else None
        marks = [self.options.seconds * part for part in (0.2, 0.6, 1.0)]
        number, due = 0, begun
        while marks:
            self.children.check()
            self.change(number)
            number += 1
            due += 1 / self.options.changes
            await asyncio.sleep(max(0, due - time.monotonic()))
            if time.monotonic() - begun >= marks[0]:
                marks.pop(0)
                self.memory.append(self.resident_kib())
                demo.say(f"  {time.monotonic() - begun:6.0f} s: {self.changes} changes, sent "
                         f"{self.load.sent}, failed {self.load.failed}, closed "
                         f"{self.load.closed}, memory {self.memory[-1]} KiB")
        if kill:
            kill.cancel()
            await asyncio.gather(kill, return_exceptions=True)
            stub = self.children.processes.get("stub")
            if stub is None or stub.poll() is not None:
                await self.start_stub()
        await self._all_acked()

    async def _kill_stub(self):
        """Kill the control plane now and then; it is back a moment later."""
        while True:
            await asyncio.sleep(self.random.expovariate(1 / self.options.kill_stub))
            process = self.children.processes.pop("stub")
            process.kill()
            await asyncio.to_thread(process.wait)
            self.kills += 1
            await asyncio.sleep(self.random.uniform(0, 1))
            await self.start_stub()

    async def _all_acked(self):
        for kind in KINDS:
            async def acked(kind=kind):
                status = await self.stub.status("." + kind)
                if status.get("nacks"):
                    raise demo.DemoError(f"{kind} was refused: {status.get('nack_reason')}")
                return status.get("status") == "ACKED"
            await demo.until(acked, f"the last {kind} to be accepted", bound=60)

    async def end(self):
        code = await super().end()
        grown = self.memory[-1] - self.memory[0]
        limit = max(self.memory[0] * self.options.growth / 100, 1024)
        demo.say(f"changes {self.changes}, restarts of the control plane {self.kills}, connections "
                 f"closed {self.load.closed}, memory {' → '.join(map(str, self.memory))} KiB")
        if self.load.closed:
            demo.say("connections were closed by a change")
            code = 1
        if grown > limit:
            demo.say(f"the memory grew by {grown} KiB")
            code = 1
        return code


def parse(argv):
    parser = argparse.ArgumentParser(prog="soak", description=__doc__.split("\n\n")[0])
    demo.add_common_options(parser)
    parser.set_defaults(rate=500, connections=16)
    parser.add_argument("--seconds", type=float, default=600, help="how long (600)")
    parser.add_argument("--changes", type=float, default=1, help="changes a second (1)")
    parser.add_argument("--kill-stub", type=float, metavar="S",
                        help="kill and restart the control plane each S seconds on average")
    parser.add_argument("--growth", type=float, default=5,
                        help="percent by which the memory may grow after the first fifth (5)")
    parser.add_argument("--seed", type=int, default=1, help="of the random moments (1)")
    return demo.check_options(parser, parser.parse_args(argv))


async def soak(options):
    with tempfile.TemporaryDirectory(prefix="xylem-soak-") as folder:
        run = Soak(options, Path(folder))
        try:
            await run.start()
            await run.run()
            return await run.end()
        except demo.DemoError as error:
            demo.say(f"the run failed: {error}")
            return 1
        finally:
            for task in run.load.tasks:
                task.cancel()
            run.children.stop()


if __name__ == "__main__":
    sys.exit(asyncio.run(soak(parse(None))))
