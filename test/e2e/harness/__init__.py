"""What every end-to-end scenario needs: a proxy, origins, a client, a stub control plane."""
from .client import Client, Response, refused
from .config import (admin_block, api_listener, bootstrap, cluster, direct, endpoint, hcm,
                     http_listener, redirect, route, vhost)
from .marks import difference
from .origin import Origin, Reply, SilentPort, refused_port
from .proxy import Proxy
from .stub import Stub
from .traffic import Traffic
from .waiting import wait_for

__all__ = [
    "Client", "Origin", "Proxy", "Reply", "Response", "SilentPort", "Stub", "Traffic",
    "admin_block", "api_listener", "bootstrap", "cluster", "difference", "direct", "endpoint",
    "hcm", "http_listener", "redirect", "refused", "refused_port", "route", "vhost", "wait_for",
]
