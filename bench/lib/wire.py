"""Discovery responses as bytes, so that a push costs the control plane next to nothing."""
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2  # noqa: F401: inside a listener
from envoy.extensions.filters.network.http_connection_manager.v3 import (  # noqa: F401: likewise
    http_connection_manager_pb2)
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2  # noqa: F401: likewise
from google.protobuf import json_format

MESSAGES = {"cds": cluster_pb2.Cluster, "eds": endpoint_pb2.ClusterLoadAssignment,
            "lds": listener_pb2.Listener, "rds": route_pb2.RouteConfiguration,
            "sds": secret_pb2.Secret}


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def message(kind, fields):
    """A message of a resource in the form of the tests."""
    return json_format.ParseDict({k: v for k, v in fields.items() if k != "@type"},
                                 MESSAGES[kind]())


def resource(made):
    """A message as one entry of DiscoveryResponse.resources."""
    url = "type.googleapis.com/" + made.DESCRIPTOR.full_name
    return field(2, field(1, url.encode()) + field(2, made.SerializeToString()))


def delta_resource(made, name, version):
    """A message as one entry of DeltaDiscoveryResponse.resources."""
    url = "type.googleapis.com/" + made.DESCRIPTOR.full_name
    body = field(1, url.encode()) + field(2, made.SerializeToString())
    return field(2, field(1, version.encode()) + field(2, body) + field(3, name.encode()))


def resources(kind, all_fields):
    return b"".join(resource(message(kind, one)) for one in all_fields)


def response(url, version, nonce, body):
    """body: entries of resources(), or of delta_resource(): the fields are the same."""
    return field(1, version.encode()) + body + field(4, url.encode()) + field(5, nonce.encode())
