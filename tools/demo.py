#!/usr/bin/env python3
"""Shows Xylem at work: routes, endpoints and listeners change while requests go through it.

Starts three origins, the stub control plane on a copy of deploy/demo/resources, and the proxy.
A constant load runs through the proxy while the resource files are edited. Nothing is retried:
a refused or reset connection, a wrong status or a wrong body is a failed request, and one failed
request makes the demo end with exit code 1.
"""
import argparse
import asyncio
import collections
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "deploy" / "demo"
BOUND = 15.0        # how long a step may take before the demo gives up
SETTLE = 1.6        # how long the load goes on after a step before the next one
ROUTES = "envoy.config.route.v3.RouteConfiguration"
ENDPOINTS = "envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENERS = "envoy.config.listener.v3.Listener"
COLOURS = {"red": 31, "green": 32, "blue": 34, "bold": 1, "dim": 2}


class DemoError(Exception):
    """The demo cannot go on; the text says why."""


def paint(name, text):
    """Colour, on a terminal only."""
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ:
        return str(text)
    return f"\033[{COLOURS[name]}m{text}\033[0m"


def say(text=""):
    print(text, flush=True)


# An origin: answers every request with its name. Runs as a child process.

async def serve_name(name, reader, writer):
    answer = f"HTTP/1.1 200 OK\r\ncontent-length: {len(name)}\r\n\r\n{name}".encode()
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
    writer.close()


async def origin_main(name):
    server = await asyncio.start_server(lambda r, w: serve_name(name, r, w), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


# Small HTTP/1.1 reading, enough for the origins, the admin port and the stub's control port.

async def read_response(reader):
    """One response: (status, headers as a dict in lower case, body)."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head[:-4].split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int((await reader.readline()).split(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readline()
    elif "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    else:
        body = await reader.read()
    return int(first.split(" ")[1]), headers, body


async def fetch(port, path, method="GET"):
    """One request over a connection of its own: (status, headers, body)."""
    reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 2)
    try:
        writer.write(f"{method} {path} HTTP/1.1\r\nhost: demo\r\nconnection: close\r\n"
                     "content-length: 0\r\n\r\n".encode())
        return await asyncio.wait_for(read_response(reader), 5)
    finally:
        writer.close()


async def accepts(port):
    """Does anyone take connections there?"""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
    except ConnectionRefusedError:
        return False
    return True


async def until(condition, what, bound=BOUND):
    """The first true value of condition (which may be a coroutine function)."""
    end = time.monotonic() + bound
    while True:
        try:
            value = condition()
            if asyncio.iscoroutine(value):
                value = await value
            if value:
                return value
        except (OSError, ValueError, LookupError, asyncio.IncompleteReadError, TimeoutError):
            pass
        if time.monotonic() > end:
            raise DemoError(f"waited {bound:g} seconds in vain for {what}")
        await asyncio.sleep(0.002)


Answer = collections.namedtuple("Answer", "time body routes canary door")


class Load:
    """Constant load: keep-alive connections, each with its own beat; every answer is checked."""

    def __init__(self, rate, connections):
        self.rate, self.connections = rate, connections
        self.sent = self.failed = 0
        self.closed = 0                 # connections that the proxy asked to close
        self.reasons = collections.Counter()
        self.answers = collections.deque(maxlen=200000)
        self.allowed = {"red"}          # names that a plain request may be answered with
        self.canary_allowed = {"red"}   # and one that carries x-canary
        self.tasks = []

    def start(self, port, door="front", rate=None, connections=None):
        """Begin load on a port; returns the tasks, for stop()."""
        connections = connections or self.connections
        beat = connections / (rate or self.rate)
        tasks = [asyncio.create_task(self._connection(port, door, beat, beat * n / connections))
                 for n in range(connections)]
        self.tasks += tasks
        return tasks

    async def stop(self, tasks=None):
        """Let each connection finish the request it is at, then close."""
        for task in tasks or self.tasks:
            task.stopping = True
        await asyncio.gather(*(tasks or self.tasks))
        self.tasks = [task for task in self.tasks if not task.done()]

    def fail(self, reason):
        self.failed += 1
        self.reasons[reason] += 1

    async def _connection(self, port, door, beat, offset):
        me = asyncio.current_task()
        me.stopping = False
        due = time.monotonic() + offset
        wire, count = None, 0
        while not me.stopping:
            await asyncio.sleep(max(0, due - time.monotonic()))
            due = max(due + beat, time.monotonic() - 1)
            count += 1
            self.sent += 1
            try:
                if wire is None:
                    wire = await asyncio.open_connection("127.0.0.1", port)
                wire = await self._request(wire, door, count % 4 == 0)
            except (OSError, asyncio.IncompleteReadError, ValueError, TimeoutError) as error:
                self.fail(f"{type(error).__name__}: {error}")
                if wire:
                    wire[1].close()
                wire = None
        if wire:
            wire[1].close()

    async def _request(self, wire, door, canary):
        reader, writer = wire
        extra = "x-canary: yes\r\n" if canary else ""
        writer.write(f"GET / HTTP/1.1\r\nhost: demo\r\n{extra}\r\n".encode())
        await writer.drain()
        status, headers, body = await asyncio.wait_for(read_response(reader), 5)
        name = body.decode("latin-1")
        allowed = self.canary_allowed if canary else self.allowed
        if status != 200:
            self.fail(f"status {status}: {name[:100]}")
        elif name not in allowed:
            self.fail(f"wrong body {name[:40]!r}, expected one of {', '.join(sorted(allowed))}")
        else:
            self.answers.append(Answer(time.monotonic(), name, headers.get("x-demo-routes"),
                                       canary, door))
        if headers.get("connection", "").lower() == "close":
            self.closed += 1
            writer.close()
            return None
        return wire

    def first(self, test, since):
        """The earliest answer after a moment for which test holds."""
        for answer in self.answers:
            if answer.time >= since and test(answer):
                return answer
        return None


class Children:
    """Processes of this demo, ended by their ids, last started first."""

    def __init__(self, folder):
        self.folder = folder
        self.processes = {}

    def start(self, name, command, stdout=None):
        log = open(self.folder / f"{name}.log", "wb")
        with log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log,
                                       stdout=stdout or log, cwd=self.folder)
        self.processes[name] = process
        return process

    def check(self):
        for name, process in self.processes.items():
            if process.poll() is not None and name not in ORIGINS:
                raise DemoError(f"{name} ended with exit code {process.returncode}:\n"
                                + self.log(name)[-2000:])

    def log(self, name):
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def stop(self):
        for process in reversed(list(self.processes.values())):
            if process.poll() is None:
                process.terminate()
        for process in self.processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


ORIGINS = ("red", "green", "blue")


class Stub:
    """The stub control plane, seen through its control port."""

    def __init__(self, children, port):
        self.children, self.port = children, port
        self.read_until = 0

    async def status(self, type_name):
        """What the stub knows of the proxy and a type, as the stub prints it at /nodes."""
        _, _, body = await fetch(self.port, "/nodes")
        for node in json.loads(body)["nodes"]:
            if node["id"] == "demo":
                for one in node["types"]:
                    if one["type"].endswith(type_name):
                        return one
        return {}

    async def answered(self, type_name, before, refused):
        """Wait until a response newer than before is ACKed (or, if refused, NACKed)."""
        async def check():
            self.children.check()
            seen = await self.status(type_name)
            wanted = "NACKED" if refused else "ACKED"
            other = "ACKED" if refused else "NACKED"
            newer = seen.get("version_sent") != before
            if newer and seen.get("status") == other:
                raise DemoError(f"expected {wanted} but {type_name} was {other}: "
                                f"{seen.get('nack_reason', '')}")
            return seen if newer and seen.get("status") == wanted else None
        return await until(check, f"the proxy to answer the new {type_name}")

    def new_lines(self):
        """What the stub printed since the last call."""
        text = self.children.log("stub")
        lines = text[self.read_until:].splitlines()
        self.read_until = len(text)
        return lines


class Demo:
    """The whole show: what runs, and the steps."""

    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.resources = folder / "resources"
        self.children = Children(folder)
        self.load = Load(options.rate, options.connections)
        self.step_number = 0
        self.edit_number = 1
        self.ports = {}

    # Starting

    async def start(self):
        say(paint("bold", "Xylem demo") + "  (nothing is retried: one failed request fails it)")
        shutil.copytree(FIXTURES / "resources", self.resources)
        await self._start_origins()
        await self.start_stub()
        say(f"  stub         xDS 127.0.0.1:{self.ports['xds']}, control "
            f"http://127.0.0.1:{self.ports['control']}, resources in {self.resources}")
        await self._start_proxy()
        self.stub.new_lines()
        self.tasks = self.load.start(self.ports["front"])
        await until(lambda: self.load.answers or self.load.failed, "the first answer")
        say(f"  load         {self.options.rate} requests/s over {self.options.connections} "
            f"keep-alive connections to 127.0.0.1:{self.ports['front']}")
        say()

    async def _start_origins(self):
        for name in ORIGINS:
            child = self.children.start(name, [sys.executable, __file__, "--origin", name],
                                        stdout=subprocess.PIPE)
            self.ports[name] = int(await asyncio.to_thread(child.stdout.readline))
        say("  origins      " + ", ".join(
            f"{paint(name, name)} 127.0.0.1:{self.ports[name]}" for name in ORIGINS))

    async def start_stub(self):
        """Start the stub; when it ran before, on the same ports."""
        ready = self.folder / "stub-ready"
        ready.unlink(missing_ok=True)
        variables = [arg for name in ORIGINS
                     for arg in ("--var", f"{name.upper()}_PORT={self.ports[name]}")]
        self.children.start("stub", [
            str(self.options.stub), str(self.resources),
            "--listen", f"127.0.0.1:{self.ports.get('xds', 0)}",
            "--control", f"127.0.0.1:{self.ports.get('control', 0)}",
            "--ready-file", str(ready), "--debounce-ms", "10", *variables])

        def is_ready():
            self.children.check()
            return ready.exists() and json.loads(ready.read_text())
        told = await until(is_ready, "the stub control plane")
        self.ports["xds"], self.ports["control"] = told["xds_port"], told["control_port"]
        self.stub = Stub(self.children, self.ports["control"])

    async def _start_proxy(self):
        bootstrap = self.folder / "bootstrap.yaml"
        text = (FIXTURES / "bootstrap.yaml").read_text()
        bootstrap.write_text(text.replace("${XDS_PORT}", str(self.ports["xds"])))
        admin = self.folder / "admin-address"
        more = ["--disable-hot-restart"] if self.options.proxy_kind == "envoy" else []
        begun = time.monotonic()
        self.children.start("proxy", [
            str(self.options.proxy), "-c", str(bootstrap), "--admin-address-path", str(admin),
            "--concurrency", str(self.options.concurrency), "--drain-time-s", "2", *more])

        def admin_port():
            self.children.check()
            return admin.exists() and int(admin.read_text().rpartition(":")[2])
        self.ports["admin"] = await until(admin_port, "the proxy's admin port")
        await until(self.is_live, "the proxy to be live")
        self.ports["front"] = await until(lambda: self.listener("front"), "the first listener")
        took = (time.monotonic() - begun) * 1000
        say(f"  {self.options.proxy_kind:12} {len(text.splitlines())} lines of bootstrap, admin "
            f"http://127.0.0.1:{self.ports['admin']}, listening {took:.0f} ms after its start")

    async def is_live(self):
        self.children.check()
        return (await fetch(self.ports["admin"], "/ready"))[0] == 200

    async def listener(self, name):
        """The port of a listener, or None while the proxy has none of that name."""
        self.children.check()
        _, _, body = await fetch(self.ports["admin"], "/listeners?format=json")
        for status in json.loads(body).get("listener_statuses", []):
            if status["name"] == name:
                return status["local_address"]["socket_address"]["port_value"]
        return None

    # One step

    def edit(self, name, change):
        """Change a resource file in one move; returns the moment of the change."""
        path = self.resources / name
        old = path.read_text() if path.exists() else None
        text = change(old) if callable(change) else change
        if text == old:
            raise DemoError(f"the edit of {name} changed nothing")
        if text is None:
            moment = time.monotonic()
            path.unlink()
            return moment
        temporary = self.folder / f"next-{name}"
        temporary.write_text(text)
        moment = time.monotonic()
        temporary.rename(path)
        return moment

    def edit_routes(self, change):
        """Change the routes and the number that every answer shows; returns (moment, number)."""
        self.edit_number += 1
        number = str(self.edit_number)

        def both(text):
            return re.sub(r'(x-demo-routes, value: )"\d+"', rf'\1"{number}"', change(text))
        return self.edit("routes.yaml", both), number

    def headline(self, title):
        self.step_number += 1
        say(f"{paint('bold', f'{self.step_number:2}. {title}')}")

    def verdict(self, status, served=None, note=""):
        """Print what came of a step."""
        nacked = status.get("status") == "NACKED"
        word = paint("red", "NACK") if nacked else paint("green", "ACK")
        version = status.get("version_sent", "?")
        type_name = status.get("type", "").rpartition(".")[2]
        parts = [f"{type_name} version {version}: {word}"]
        if served is not None:
            parts.append(f"first request served after {served * 1000:.1f} ms")
        if note:
            parts.append(note)
        say("    " + "; ".join(parts))

    def totals(self):
        counts = collections.Counter(
            answer.body for answer in self.load.answers if answer.time > self.step_begun)
        shares = ", ".join(f"{paint(name, name)} {counts[name]}" for name in ORIGINS
                           if counts[name])
        failed = f"failed {self.load.failed}"
        say(f"    answers in this step: {shares or 'none'}; so far: sent {self.load.sent}, "
            + (paint("red", failed) if self.load.failed else failed))

    async def finish_step(self):
        await asyncio.sleep(SETTLE * self.options.pace)
        self.children.check()
        self.totals()
        self.step_begun = time.monotonic()

    async def routes_step(self, title, change, allowed, canary_allowed=None):
        """A change of routes that must be taken; allowed: the names to answer from then on."""
        self.headline(title)
        canary_allowed = canary_allowed or allowed
        before = (await self.stub.status(ROUTES))["version_sent"]
        self.load.allowed |= allowed
        self.load.canary_allowed |= canary_allowed
        moment, number = self.edit_routes(change)
        status = await self.stub.answered(ROUTES, before, refused=False)
        first = await until(lambda: self.load.first(lambda a: a.routes == number, moment)
                            or self.load.failed, "a request served by the new routes")
        await asyncio.sleep(SETTLE * self.options.pace / 2)
        self.load.allowed, self.load.canary_allowed = set(allowed), set(canary_allowed)
        self.verdict(status, first.time - moment if isinstance(first, Answer) else None)
        await self.finish_step()

    async def endpoints_step(self, title, change, allowed, served):
        """A change of endpoints; served(moment) gives the first answer that shows it."""
        self.headline(title)
        before = (await self.stub.status(ENDPOINTS))["version_sent"]
        self.load.allowed |= allowed
        self.load.canary_allowed |= allowed
        moment = self.edit("endpoints.yaml", change)
        status = await self.stub.answered(ENDPOINTS, before, refused=False)
        await asyncio.sleep(SETTLE * self.options.pace / 2)
        first = await until(lambda: served(moment) or self.load.failed, "the change to show")
        self.load.allowed, self.load.canary_allowed = set(allowed), set(allowed)
        self.verdict(status, first.time - moment if isinstance(first, Answer) else None)
        await self.finish_step()

    # The steps

    async def run(self):
        self.step_begun = time.monotonic()
        self.headline("routes send all to red, weights 100/0")
        self.verdict(await self.stub.status(ROUTES), note="this is the start")
        await self.finish_step()
        if self.options.kill_origin:
            self.headline("the only origin in use is killed")
            self.children.processes["red"].kill()
            await self.finish_step()
            return
        await self.weight_steps()
        await self.endpoint_steps()
        await self.header_step()
        await self.listener_steps()
        await self.bad_route_steps()

    async def weight_steps(self):
        await self.routes_step("weights 100/0 → 50/50", weights(50, 50), {"red", "green"})
        await self.routes_step("weights 50/50 → 0/100", weights(0, 100), {"green"})

    async def endpoint_steps(self):
        def shows_blue(moment):
            return self.load.first(lambda a: a.body == "blue", moment)

        def without_blue(moment):
            blue = [a.time for a in self.load.answers if a.body == "blue" and a.time > moment]
            return self.load.first(lambda a: True, max(blue, default=moment) + 1e-9)

        await self.endpoints_step("an endpoint is added: green has blue beside it",
                                  add_endpoint, {"green", "blue"}, shows_blue)
        await self.endpoints_step("the endpoint is removed again", remove_endpoint, {"green"},
                                  without_blue)

    async def header_step(self):
        await self.routes_step("a route by header is inserted: x-canary goes to red",
                               insert_header_route, {"green"}, {"red"})

    async def listener_steps(self):
        self.headline("a second listener opens")
        before = (await self.stub.status(LISTENERS))["version_sent"]
        front = (self.resources / "listeners.yaml").read_text()
        moment = self.edit("second.yaml", front.replace("name: front", "name: second").replace(
            "The front door", "A second door"))
        status = await self.stub.answered(LISTENERS, before, refused=False)
        port = await until(lambda: self.listener("second"), "the second listener")
        await until(lambda: accepts(port), "the second listener to accept connections")
        tasks = self.load.start(port, "second", rate=self.options.rate / 4, connections=2)
        first = await until(lambda: self.load.first(lambda a: a.door == "second", moment)
                            or self.load.failed, "a request through the second listener")
        self.verdict(status, first.time - moment if isinstance(first, Answer) else None,
                     f"127.0.0.1:{port} takes load too")
        await self.finish_step()

        self.headline("the second listener closes")
        before = (await self.stub.status(LISTENERS))["version_sent"]
        await self.load.stop(tasks)
        moment = self.edit("second.yaml", None)
        status = await self.stub.answered(LISTENERS, before, refused=False)

        async def refuses():
            return None if await accepts(port) else time.monotonic()
        closed = await until(refuses, "the second listener to refuse connections")
        self.verdict(status, note=f"connections refused after {(closed - moment) * 1000:.1f} ms")
        await self.finish_step()

    async def bad_route_steps(self):
        self.headline("a bad route: a regular expression that does not compile")
        before = (await self.stub.status(ROUTES))["version_sent"]
        self.stub.new_lines()
        good = (self.resources / "routes.yaml").read_text()
        moment, number = self.edit_routes(insert_bad_route)
        status = await self.stub.answered(ROUTES, before, refused=True)
        took = (time.monotonic() - moment) * 1000
        self.verdict(status, note=f"refused after {took:.1f} ms, the last good routes go on")
        printed = await until(lambda: [line for line in self.stub.new_lines() if line.strip()],
                              "the stub to print the NACK")
        say("    the stub printed:")
        for line in printed:
            say(paint("dim", f"      {line}"))
        await self.finish_step()
        if self.load.first(lambda a: a.routes == number, moment):
            raise DemoError("the refused routes served a request")
        await self.routes_step("the routes are put right again, weights 100/0",
                               lambda _: weights(100, 0)(remove_header_route(good)), {"red"})

    # The end

    async def end(self):
        await self.load.stop()
        say()
        if self.load.failed:
            say(paint("red", f"{self.load.failed} failed requests") + f" of {self.load.sent}:")
            for reason, count in self.load.reasons.most_common(10):
                say(f"  {count} x {reason}")
            return 1
        say(paint("green", "0 failed requests") + f" of {self.load.sent}")
        return 0

    async def keep(self):
        front, admin, control = (self.ports[n] for n in ("front", "admin", "control"))
        say("\nEverything is still running. Try:")
        say(f"  curl -i http://127.0.0.1:{front}/")
        say(f"  curl -i -H 'x-canary: yes' http://127.0.0.1:{front}/")
        say(f"  curl http://127.0.0.1:{admin}/clusters      also /config_dump /stats /listeners")
        say(f"  curl http://127.0.0.1:{control}/nodes        what the control plane knows")
        say(f"  edit the files in {self.resources}")
        say("Press Ctrl-C to end.")
        await asyncio.Event().wait()


# Edits of the resource files, text to text.

def weights(red, green):
    def change(text):
        text = re.sub(r"name: red, weight: \d+", f"name: red, weight: {red}", text)
        return re.sub(r"name: green, weight: \d+", f"name: green, weight: {green}", text)
    return change


BLUE = ("    - endpoint: {address: {socket_address: "
        "{address: 127.0.0.1, port_value: ${BLUE_PORT}}}}\n")
HEADER_ROUTE = '''\
  - match:
      prefix: /
      headers:
      - name: x-canary
        string_match: {exact: "yes"}
    route: {cluster: red}
'''
BAD_ROUTE = '''\
  - match:
      safe_regex: {regex: "/items/([0-9]+"}
    route: {cluster: red}
'''


def add_endpoint(text):
    return text.rstrip("\n") + "\n" + BLUE


def remove_endpoint(text):
    return text.replace(BLUE, "")


def insert_header_route(text):
    return text.replace("  routes:\n", "  routes:\n" + HEADER_ROUTE, 1)


def remove_header_route(text):
    return text.replace(HEADER_ROUTE, "")


def insert_bad_route(text):
    return text.replace("  routes:\n", "  routes:\n" + BAD_ROUTE, 1)


def add_common_options(parser):
    """The options that say what runs and how much load it gets."""
    parser.add_argument("--proxy", type=Path, default=ROOT / "build" / "xylem",
                        help="the proxy's program (build/xylem)")
    parser.add_argument("--proxy-kind", choices=["xylem", "envoy"], default="xylem",
                        help="what --proxy is")
    parser.add_argument("--stub", type=Path, default=ROOT / "build" / "xylem-stub",
                        help="the stub control plane's program (build/xylem-stub)")
    parser.add_argument("--rate", type=int, default=200, help="requests a second (200)")
    parser.add_argument("--connections", type=int, default=8, help="connections (8)")
    parser.add_argument("--concurrency", type=int, default=2, help="workers of the proxy (2)")


def parse(argv):
    parser = argparse.ArgumentParser(prog="demo", description=__doc__.split("\n\n")[0])
    add_common_options(parser)
    parser.add_argument("--pace", type=float, default=1.0,
                        help="stretch (2) or shorten (0.5) the time between steps")
    parser.add_argument("--keep", action="store_true",
                        help="leave all running at the end and print URLs to try")
    parser.add_argument("--kill-origin", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--origin", help=argparse.SUPPRESS)
    return check_options(parser, parser.parse_args(argv))


def check_options(parser, options):
    for name in ("proxy", "stub"):
        path = getattr(options, name).resolve()
        if not getattr(options, "origin", None) and not path.exists():
            parser.exit(2, f"demo: {path} is not there; ./demo builds it\n")
        setattr(options, name, path)
    return options


async def show(options):
    with tempfile.TemporaryDirectory(prefix="xylem-demo-") as folder:
        demo = Demo(options, Path(folder))
        try:
            await demo.start()
            await demo.run()
            code = await demo.end()
            if options.keep and code == 0:
                await demo.keep()
            return code
        except DemoError as error:
            say(paint("red", f"the demo failed: {error}"))
            for reason, count in demo.load.reasons.most_common(5):
                say(f"  {count} x {reason}")
            return 1
        finally:
            for task in demo.load.tasks:
                task.cancel()
            demo.children.stop()


def main(argv=None):
    options = parse(argv)
    try:
        if options.origin:
            asyncio.run(origin_main(options.origin))
            return 0
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        return asyncio.run(show(options))
    except KeyboardInterrupt:
        return 0 if options.keep else 130


if __name__ == "__main__":
    sys.exit(main())
