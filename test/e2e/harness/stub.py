"""Start the stub control plane on a folder and ask its control port."""
import json
import os
import signal
import subprocess
from pathlib import Path

from .client import Client
from .proxy import REPOSITORY
from .waiting import wait_for

TYPES = {
    "cds": "envoy.config.cluster.v3.Cluster",
    "ecds": "envoy.config.core.v3.TypedExtensionConfig",
    "eds": "envoy.config.endpoint.v3.ClusterLoadAssignment",
    "lds": "envoy.config.listener.v3.Listener",
    "rds": "envoy.config.route.v3.RouteConfiguration",
    "rtds": "envoy.service.runtime.v3.Runtime",
    "sds": "envoy.extensions.transport_sockets.tls.v3.Secret",
    "srds": "envoy.config.route.v3.ScopedRouteConfiguration",
    "vhds": "envoy.config.route.v3.VirtualHost",
}
KINDS = {full: kind for kind, full in TYPES.items()}


def stub_binary():
    return Path(os.environ.get("XYLEM_STUB", REPOSITORY / "build" / "xylem-stub"))


def type_url(kind):
    """The type URL of cds, eds, lds, rds, sds or of a full message name."""
    return "type.googleapis.com/" + TYPES.get(kind, kind)


def resource(kind, fields):
    """A resource with its @type."""
    return {"@type": type_url(kind), **fields}


def key_of(made):
    full = made["@type"].rpartition("/")[2]
    if full == "envoy.service.discovery.v3.Resource":
        return key_of(made["resource"])
    return KINDS.get(full, full), made.get("cluster_name") or made.get("name")


def tls_args(folder, certificate, client_ca=None):
    """The flags with which the stub speaks TLS, with files in the folder."""
    certificate.write(folder, "stub")
    args = ["--tls-cert", str(certificate.chain_path), "--tls-key", str(certificate.key_path)]
    if client_ca:
        (Path(folder) / "clients.pem").write_text(client_ca.pem)
        args += ["--tls-client-ca", str(Path(folder) / "clients.pem")]
    return args


class Stub:
    """A running stub control plane. What it serves is one file, replaced in one move."""

    kind = "stub"
    node = "test"

    def __init__(self, folder, resources=(), args=(), replay=None):
        self.home = Path(folder)
        self.folder = self.home / "resources"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ready_file = self.home / "ready"
        self.log_file = self.home / "stub.log"
        self.args = list(args)
        self.source = ["replay", str(replay)] if replay else [str(self.folder)]
        self.process = None
        self.xds_port = self.control_port = self.log_before = 0
        self.before = {}
        self.served = {}
        self._put(resources)

    def start(self, bound=10.0):
        self.ready_file.unlink(missing_ok=True)
        self._spawn()
        wait_for(self._ready, bound, "the stub to be ready")
        told = json.loads(self.ready_file.read_text())
        self.xds_port, self.control_port = told["xds_port"], told["control_port"]
        return self

    def _spawn(self):
        with open(self.log_file, "ab") as log:
            self.log_before = log.tell()
            self.process = subprocess.Popen(
                [str(stub_binary()), *self.source, "--listen", f"127.0.0.1:{self.xds_port}",
                 "--control", f"127.0.0.1:{self.control_port}", "--ready-file",
                 str(self.ready_file), "--no-watch", "--verbose", *self.args],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _ready(self):
        if self.process.poll() is not None:
            if self.xds_port and "Address already in use" in self.log()[self.log_before:]:
                self._spawn()       # somebody's connection has its port meanwhile
                return False
            raise RuntimeError(f"the stub ended:\n{self.log()}")
        return self.ready_file.exists()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(10)

    def kill(self):
        """End without a word, as a crash would."""
        self.process.kill()
        self.process.wait()

    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    # What is served

    def _put(self, resources):
        for made in resources:
            self.served[key_of(made)] = made
        self._publish()

    def _publish(self):
        """Write the file and let the stub read it now."""
        self._write()
        if self.process and self.process.poll() is None:
            answer = self.ask("/reload", "POST")
            assert answer.status == 200, answer

    def _write(self):
        temporary = self.home / "next.json"
        temporary.write_text(json.dumps({"resources": list(self.served.values())}, indent=1))
        temporary.rename(self.folder / "resources.json")

    def put(self, *resources):
        """Add or replace resources in one move."""
        self._remember()
        self._put(resources)

    def remove(self, kind, *names):
        self._remember()
        for name in names:
            del self.served[(kind, name)]
        self._publish()

    def change(self, put=(), remove=()):
        """Add and remove in one move; remove: (kind, name) pairs."""
        self._remember()
        for key in remove:
            del self.served[key]
        self._put(put)

    def _remember(self):
        if self.process is None or self.process.poll() is not None:
            self.before = {}
            return
        self.before = {kind: self.status(kind).get("nonce") for kind in TYPES}

    # What the proxy said

    def ask(self, path, method="GET", body=None):
        with Client(self.control_port) as client:
            return client.request(method, path, host="stub", body=body,
                                  headers={"Connection": "close"})

    def nodes(self):
        return {node["id"]: node for node in json.loads(self.ask("/nodes").body)["nodes"]}

    def status(self, kind, node=None):
        """The stub's entry for a node and a type; empty when there is none."""
        url = type_url(kind)
        for one in self.nodes().get(node or self.node, {}).get("types", []):
            if one["type"] == url:
                return one
        return {}

    def answer(self, kind):
        """The entry of the type, once the first response after the last change was answered."""
        entry = self.status(kind)
        new = entry.get("nonce") and entry["nonce"] != self.before.get(kind)
        return entry if new and entry["status"] in ("ACKED", "NACKED") else None

    def wait(self, kind, status="ACKED", bound=10.0):
        """Wait for the answer to the first response after the last change; gives the entry.

        status: which answer it must be (None: either)."""
        entry = wait_for(lambda: self.answer(kind), bound, f"the proxy to answer {kind}")
        assert status in (None, entry["status"]), entry
        return entry

    def events(self, kind=None, event="request"):
        """The stub's events of one sort, oldest first, for one type or all."""
        lines = self.ask("/events").text.splitlines()
        found = [json.loads(line) for line in lines if line]
        return [e for e in found if e["kind"] == event
                and (kind is None or e.get("type") == type_url(kind))]

    def fault(self, **rule):
        """Make a rule of bad behaviour (see the stub's README)."""
        answer = self.ask("/fault", "POST", json.dumps(rule).encode())
        assert answer.status == 200, answer
        return json.loads(answer.body)

    def clear_faults(self):
        assert self.ask("/fault", "DELETE").status == 200

    def send(self, kind, **response):
        """Send one DiscoveryResponse, written by hand, to every stream that subscribes the type."""
        self._remember()
        return self.fault(type=type_url(kind), send=response)

    def end_streams(self, status=14, message="the scenario ends the stream"):
        return self.fault(end={"status": status, "message": message})

    def requests(self, kind=None):
        return self.events(kind, "request")

    def responses(self, kind=None):
        return self.events(kind, "response")

    def wait_requests(self, kind, count, bound=10.0):
        """Wait until that many requests of a type came; all of them."""
        wait_for(lambda: len(self.requests(kind)) >= count, bound, f"{count} {kind} requests")
        return self.requests(kind)
