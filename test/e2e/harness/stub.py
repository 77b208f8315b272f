"""Start the stub control plane on a folder and ask its control port."""
import json
import os
import signal
import subprocess
from pathlib import Path
from urllib.parse import quote

from .client import Client
from .proxy import REPOSITORY
from .waiting import wait_for

TYPES = {
    "cds": "envoy.config.cluster.v3.Cluster",
    "eds": "envoy.config.endpoint.v3.ClusterLoadAssignment",
    "lds": "envoy.config.listener.v3.Listener",
    "rds": "envoy.config.route.v3.RouteConfiguration",
    "sds": "envoy.extensions.transport_sockets.tls.v3.Secret",
}


def stub_binary():
    return Path(os.environ.get("XYLEM_STUB", REPOSITORY / "build" / "xylem-stub"))


def type_url(kind):
    return "type.googleapis.com/" + TYPES.get(kind, kind)


class Stub:
    """A running stub control plane, its folder and its control port."""

    kind = "stub"

    def __init__(self, folder, args=()):
        self.home = Path(folder)
        self.folder = self.home / "resources"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ready_file = self.home / "ready"
        self.log_file = self.home / "stub.log"
        self.args = list(args)
        self.process = None

    def start(self):
        return self

    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def stop(self):
        pass
