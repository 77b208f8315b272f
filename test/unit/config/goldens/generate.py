#!/usr/bin/env python3
"""Writes messages.json: messages of the xDS API as bytes and as JSON, by Python's protobuf.

usage: generate.py [--out FILE]

The judge of the reflection reader and writer is another implementation: each entry holds a message
type, its bytes (map keys sorted) and its JSON (proto field names). Random but repeatable. Needs the
packages protobuf and xds-protos.
"""
import argparse
import base64
import importlib
import importlib.metadata
import json
import pathlib
import random

from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import FieldDescriptor as Field

TYPES = [
    "envoy.config.bootstrap.v3.Bootstrap",
    "envoy.config.listener.v3.Listener",
    "envoy.config.cluster.v3.Cluster",
    "envoy.config.route.v3.RouteConfiguration",
    "envoy.config.route.v3.Route",
    "envoy.config.endpoint.v3.ClusterLoadAssignment",
    "envoy.extensions.transport_sockets.tls.v3.Secret",
    "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
    "envoy.extensions.filters.http.rbac.v3.RBAC",
    "envoy.service.discovery.v3.DeltaDiscoveryRequest",
    "envoy.admin.v3.ServerInfo",
    "envoy.config.core.v3.Node",
    "xds.type.v3.TypedStruct",
    "google.protobuf.Struct",
]
ANY_TYPES = [
    "envoy.extensions.filters.http.router.v3.Router",
    "envoy.config.core.v3.Node",
    "udpa.type.v1.TypedStruct",
    "google.protobuf.Duration",
    "google.protobuf.StringValue",
    "google.protobuf.Struct",
    "google.protobuf.Empty",
]
TEXT = ["", "a", "x-header", "ünï", "quote\"back\\slash", "line\nend\t", "<b>", "日本", "😀", "100"]
INTEGERS = {
    Field.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    Field.CPPTYPE_UINT32: (0, 2**32 - 1),
    Field.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    Field.CPPTYPE_UINT64: (0, 2**64 - 1),
}


class Maker:
    def __init__(self, pool, seed):
        self.pool = pool
        self.random = random.Random(seed)

    def new(self, name):
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(name))()

    def scalar(self, field):
        r = self.random
        kind = field.cpp_type
        if kind in INTEGERS:
            low, high = INTEGERS[kind]
            return r.choice([0 if low == 0 else -1, 1, low, high, r.randint(low, high)])
        if kind == Field.CPPTYPE_BOOL:
            return r.random() < 0.7
        if kind == Field.CPPTYPE_DOUBLE:
            return r.choice([0.5, -1e300, 1 / 3, 33.3, 1e-7, float("inf"), float("-inf"), 7.0])
        if kind == Field.CPPTYPE_FLOAT:
            return r.choice([0.5, 1.25, -3.0, 1e10])
        if kind == Field.CPPTYPE_ENUM:
            return r.choice(field.enum_type.values).number
        if field.type == Field.TYPE_BYTES:
            return bytes(r.randrange(256) for _ in range(r.randrange(6)))
        return r.choice(TEXT)

    def fill_known(self, message, name, depth):
        """Well-known types that random fields would make invalid. True: done."""
        r = self.random
        if name == "google.protobuf.Any":
            inner = self.new(r.choice(ANY_TYPES))
            self.fill(inner, depth - 1)
            message.Pack(inner, deterministic=True)
        elif name == "google.protobuf.Duration":
            message.FromNanoseconds(r.choice([0, 250_000_000, 1, -1_500_000_000, 86_400 * 10**9]))
        elif name == "google.protobuf.Timestamp":
            message.FromJsonString(r.choice(["1970-01-01T00:00:00Z", "2024-02-29T12:34:56.789Z",
                                             "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z"]))
        elif name == "google.protobuf.FieldMask":
            message.paths.extend(["a_b.c", "d"])
        elif name == "google.protobuf.Struct":
            message.update({"s": r.choice(TEXT), "n": r.choice([1, -2.5, 1e21]), "b": False,
                            "l": [1, "x", None, {}, []], "m": {"k": {"deep": None}}})
        elif name == "google.protobuf.Value":
            message.string_value = r.choice(TEXT)
        elif name == "google.protobuf.ListValue":
            message.extend([1, "two"])
        else:
            return False
        return True

    def fill(self, message, depth):
        r = self.random
        if self.fill_known(message, message.DESCRIPTOR.full_name, depth):
            return
        for field in message.DESCRIPTOR.fields:
            if field.containing_oneof and message.WhichOneof(field.containing_oneof.name):
                continue
            if r.random() < (0.75 if depth <= 1 else 0.55):
                continue
            self.fill_field(message, field, depth)

    def fill_field(self, message, field, depth):
        r = self.random
        entry = field.message_type if field.message_type else None
        if entry and depth <= 0:
            return
        target = getattr(message, field.name) if field.is_repeated or entry else None
        if entry and entry.GetOptions().map_entry:
            key_field, value_field = entry.fields_by_name["key"], entry.fields_by_name["value"]
            for _ in range(r.randrange(1, 3)):
                key = self.scalar(key_field)
                if value_field.message_type:
                    self.fill(target[key], depth - 1)
                else:
                    target[key] = self.scalar(value_field)
        elif field.is_repeated:
            for _ in range(r.randrange(1, 3)):
                if entry:
                    self.fill(target.add(), depth - 1)
                else:
                    target.append(self.scalar(field))
        elif entry:
            target.SetInParent()
            self.fill(target, depth - 1)
        else:
            setattr(message, field.name, self.scalar(field))


def load_api():
    names = [str(f)[:-7] for f in importlib.metadata.files("xds-protos")
             if str(f).endswith("_pb2.py") and not str(f).startswith("test/")]
    for name in names:
        importlib.import_module(name.replace("/", ".") + "_pb2")
    for name in ("any", "duration", "timestamp", "struct", "field_mask", "wrappers", "empty"):
        importlib.import_module(f"google.protobuf.{name}_pb2")
    return descriptor_pool.Default()


def main():
    here = pathlib.Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=here / "messages.json")
    args = parser.parse_args()
    pool = load_api()
    entries = []
    for number, name in enumerate(TYPES):
        for seed in range(4):
            maker = Maker(pool, number * 100 + seed)
            message = maker.new(name)
            maker.fill(message, 3)
            data = message.SerializeToString(deterministic=True)
            if len(data) > 3000:
                continue
            text = json_format.MessageToDict(message, preserving_proto_field_name=True)
            entries.append({"message": name, "bytes": base64.b64encode(data).decode(), "json": text})
    lines = ",\n".join(json.dumps(e, ensure_ascii=True) for e in entries)
    args.out.write_text("[\n" + lines + "\n]\n")


if __name__ == "__main__":
    main()
