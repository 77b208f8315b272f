"""A control plane that is not ours: snapshots served on Python's gRPC, in both dialects.

It does what most servers of the field do: a snapshot holds resources of each type and one version a
type; a type is told when its version is another than the client's, in the order clusters,
endpoints, listeners, routes; endpoints and routes wait until the client has asked for all of them. What
a client refuses is not said again until there is another snapshot, or, by a server that insists (as
go-control-plane does in the state of the world), at once. It shares no code with the stub.
"""
import hashlib
import json
import queue
import threading
import time
from concurrent import futures

import grpc
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2  # noqa: F401: inside a listener
from envoy.extensions.filters.network.http_connection_manager.v3 import (  # noqa: F401: likewise
    http_connection_manager_pb2)
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2
from google.protobuf import any_pb2, json_format

MESSAGES = [cluster_pb2.Cluster, endpoint_pb2.ClusterLoadAssignment, listener_pb2.Listener,
            route_pb2.RouteConfiguration, secret_pb2.Secret]
URLS = ["type.googleapis.com/" + m.DESCRIPTOR.full_name for m in MESSAGES]  # the order of telling
WILDCARD = {URLS[0], URLS[2]}


def digest(data):
    return hashlib.sha256(data).hexdigest()[:12]


class Snapshot:
    """Resources of the tests (dicts with @type), by type and name, with a version a type."""

    def __init__(self, resources):
        self.types = {url: {} for url in URLS}
        for made in resources:
            url = made["@type"]
            message = json_format.ParseDict({k: v for k, v in made.items() if k != "@type"},
                                            MESSAGES[URLS.index(url)]())
            name = getattr(message, "cluster_name", None) or message.name
            self.types[url][name] = any_pb2.Any(type_url=url, value=message.SerializeToString(
                deterministic=True))
        self.versions = {url: digest(json.dumps(sorted((n, digest(a.value)) for n, a in of.items()))
                                     .encode()) for url, of in self.types.items()}


class Watch:
    """What a stream has been told of one type."""

    def __init__(self):
        self.names, self.version, self.nonce = set(), None, ""
        self.waiting = False    # the client has answered: it may be told more
        self.known = {}         # by delta: name -> version


class Stream:
    """One stream of a client; tell() yields what is due."""

    def __init__(self, server, delta):
        self.server, self.delta = server, delta
        self.news = queue.Queue()
        self.watches = {}
        self.count = 0

    def read(self, requests):
        try:
            for request in requests:
                self.news.put(request)
        except Exception:       # noqa: BLE001: however it ends, it has ended
            pass
        self.news.put(None)

    def run(self, requests):
        threading.Thread(target=self.read, args=(requests,), daemon=True).start()
        while (news := self.news.get()) is not None:
            if news != "snapshot":
                self.take(news)
            yield from self.tell()

    def take(self, request):
        """One request: a wish, an acknowledgement or a refusal."""
        watch = self.watches.setdefault(request.type_url, Watch())
        self.server.node = request.node.id or self.server.node
        if request.response_nonce and request.response_nonce != watch.nonce:
            return      # of an answer that another one has overtaken
        if request.HasField("error_detail"):
            self.server.refused.append((request.type_url, request.error_detail.message,
                                        time.monotonic()))
            if self.server.insists:
                watch.version = None
                watch.known = {}
        elif request.response_nonce:
            self.server.accepted.append((request.type_url, watch.version))
        if self.delta:
            watch.names |= set(request.resource_names_subscribe)
            watch.names -= set(request.resource_names_unsubscribe)
            for name in request.resource_names_unsubscribe:
                watch.known.pop(name, None)
            for name in request.resource_names_subscribe:
                watch.known.pop(name, None)     # it wants to hear of it
            watch.known.update(request.initial_resource_versions)
        else:
            wider = set(request.resource_names) - watch.names
            watch.names = set(request.resource_names)
            if wider or not request.response_nonce and request.version_info != watch.version:
                watch.version = None if wider else request.version_info
        watch.waiting = True

    def tell(self):
        snapshot = self.server.snapshot
        for url in URLS:
            watch = self.watches.get(url)
            if not watch or not watch.waiting:
                continue
            answer = (self.changes if self.delta else self.world)(url, watch, snapshot)
            if answer is None:
                continue
            self.count += 1
            answer.nonce = watch.nonce = f"{url.rpartition('.')[2]}-{self.count}"
            watch.version, watch.waiting = snapshot.versions[url], False
            self.server.told.append((url, snapshot.versions[url]))
            yield answer

    @staticmethod
    def world(url, watch, snapshot):
        has = snapshot.types[url]
        if watch.version == snapshot.versions[url]:
            return None
        if url not in WILDCARD and (not watch.names or not set(has) <= watch.names):
            return None     # the client is about to ask for the rest, or to let go of this
        return discovery_pb2.DiscoveryResponse(
            version_info=snapshot.versions[url], type_url=url, resources=has.values())

    @staticmethod
    def changes(url, watch, snapshot):
        has = {name: made for name, made in snapshot.types[url].items()
               if url in WILDCARD or name in watch.names}
        versions = {name: digest(made.value) for name, made in has.items()}
        new = [n for n, v in versions.items() if watch.known.get(n) != v]
        gone = [n for n in watch.known if n not in has]
        first = watch.version is None and url in WILDCARD
        if not (new or gone or first):
            return None
        watch.known = versions
        return discovery_pb2.DeltaDiscoveryResponse(
            system_version_info=snapshot.versions[url], type_url=url, removed_resources=gone,
            resources=[discovery_pb2.Resource(name=n, version=versions[n], resource=has[n])
                       for n in new])


class SnapshotServer(ads_pb2_grpc.AggregatedDiscoveryServiceServicer):
    """A running server. put() replaces the snapshot for every stream."""

    kind = "snapshots"

    def __init__(self, *resources, port=0, credentials=None, insists=False):
        self.snapshot = Snapshot(resources)
        self.insists = insists
        self.metadata = []      # of each stream
        self.streams = []
        self.told, self.accepted, self.refused, self.node = [], [], [], ""
        self.server = grpc.server(futures.ThreadPoolExecutor(8))
        ads_pb2_grpc.add_AggregatedDiscoveryServiceServicer_to_server(self, self.server)
        address = f"127.0.0.1:{port}"
        self.xds_port = (self.server.add_secure_port(address, credentials) if credentials
                         else self.server.add_insecure_port(address))
        self.server.start()

    def put(self, *resources):
        self.snapshot = Snapshot(resources)
        for stream in list(self.streams):
            stream.news.put("snapshot")
        return self.snapshot

    def serve(self, requests, context, delta):
        stream = Stream(self, delta)
        self.streams.append(stream)
        self.metadata.append(dict(context.invocation_metadata()))
        context.add_callback(lambda: stream.news.put(None))
        try:
            yield from stream.run(requests)
        finally:
            self.streams.remove(stream)

    def StreamAggregatedResources(self, request_iterator, context):
        return self.serve(request_iterator, context, False)

    def DeltaAggregatedResources(self, request_iterator, context):
        return self.serve(request_iterator, context, True)

    def has_accepted(self, snapshot):
        """Every type that it holds was taken."""
        return all((url, snapshot.versions[url]) in self.accepted
                   for url, of in snapshot.types.items() if of)

    def stop(self):
        self.server.stop(0).wait(10)

    def log(self):
        return "\n".join(map(str, self.told + self.refused))
