#!/usr/bin/env python3
"""The stub's encoder against Python's protobuf: one random message of every type of the API, as JSON in
a folder, must be served with the bytes that Python gives it.

usage: check_encoder.py XYLEM_STUB [SEED]
"""
import importlib
import importlib.metadata
import json
import pathlib
import random
import signal
import string
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

from google.protobuf import any_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import FieldDescriptor as F

WRAPPER = "envoy.service.discovery.v3.Resource"
# An Any may hold these; the last ones have a JSON form of their own.
INSIDE_ANY = [
    "envoy.config.core.v3.SocketAddress",
    "envoy.extensions.filters.http.router.v3.Router",
    "google.protobuf.Duration",
    "google.protobuf.Struct",
    "google.protobuf.StringValue",
]
# Python's JSON reader knows no names of their numbers, or they cannot be written as JSON at all.
SKIP = ("google.protobuf.", "google.api.expr.")


def load():
    """Every message of the API, by full name."""
    found = {}
    for path in importlib.metadata.files("xds-protos"):
        name = str(path)
        if not name.endswith("_pb2.py") or not name.startswith(("envoy/", "xds/", "udpa/")):
            continue
        module = importlib.import_module(name[:-3].replace("/", "."))
        todo = list(module.DESCRIPTOR.message_types_by_name.values())
        while todo:
            message = todo.pop()
            if not message.GetOptions().map_entry:
                found[message.full_name] = message
            todo += message.nested_types
    return found


class Maker:
    """Fills messages at random."""

    def __init__(self, rng):
        self.rng = rng

    def text(self):
        letters = string.ascii_letters + string.digits + " _-./:\"\\{}é漢😀\t"
        return "".join(self.rng.choice(letters) for _ in range(self.rng.randint(0, 12)))

    def scalar(self, field):
        rng = self.rng
        if field.cpp_type in (F.CPPTYPE_INT32, F.CPPTYPE_INT64):
            bits = 31 if field.cpp_type == F.CPPTYPE_INT32 else 63
            return rng.choice([0, 1, -1, 2**bits - 1, -(2**bits), rng.randint(-1000, 1000)])
        if field.cpp_type in (F.CPPTYPE_UINT32, F.CPPTYPE_UINT64):
            bits = 32 if field.cpp_type == F.CPPTYPE_UINT32 else 64
            return rng.choice([0, 1, 2**bits - 1, rng.randint(0, 1000)])
        if field.cpp_type in (F.CPPTYPE_FLOAT, F.CPPTYPE_DOUBLE):
            return rng.choice([0.0, 1.5, -0.25, 1e6, float("inf"), -float("inf")])
        if field.cpp_type == F.CPPTYPE_BOOL:
            return rng.random() < 0.5
        if field.cpp_type == F.CPPTYPE_ENUM:
            return rng.choice(field.enum_type.values).number
        if field.type == F.TYPE_BYTES:
            return bytes(rng.randrange(256) for _ in range(rng.randint(0, 9)))
        return self.text()

    def json_value(self, value, depth):
        kind = self.rng.choice("nbsdol" if depth < 3 else "nbsd")
        if kind == "n":
            value.null_value = 0
        elif kind == "b":
            value.bool_value = self.rng.random() < 0.5
        elif kind == "s":
            value.string_value = self.rng.choice(["", "null", "1", "true", "~", self.text()])
        elif kind == "d":
            value.number_value = self.rng.choice([0, 1, -2.5, 1e300])
        elif kind == "o":
            value.struct_value.SetInParent()
            for _ in range(self.rng.randint(0, 3)):
                self.json_value(value.struct_value.fields[self.text()], depth + 1)
        else:
            value.list_value.SetInParent()
            for _ in range(self.rng.randint(0, 3)):
                self.json_value(value.list_value.values.add(), depth + 1)

    def well_known(self, message, depth):
        name = message.DESCRIPTOR.name
        if name == "Any":
            inner = message_factory.GetMessageClass(
                descriptor_pool.Default().FindMessageTypeByName(self.rng.choice(INSIDE_ANY)))()
            self.fill(inner, depth + 1)
            message.Pack(inner, deterministic=True)
        elif name == "Duration":
            message.FromNanoseconds(self.rng.randint(-10**15, 10**15))
        elif name == "Timestamp":
            message.FromNanoseconds(self.rng.randint(0, 4 * 10**18))
        elif name == "FieldMask":
            message.paths.extend(self.rng.sample(["a", "b_c", "d.e_f", "g_h_i"], 2))
        elif name == "Value":
            self.json_value(message, depth)
        elif name == "Struct":
            for _ in range(self.rng.randint(0, 3)):
                self.json_value(message.fields[self.text()], depth)
        elif name == "ListValue":
            for _ in range(self.rng.randint(0, 3)):
                self.json_value(message.values.add(), depth)
        elif name.endswith("Value"):
            message.value = self.scalar(message.DESCRIPTOR.fields_by_name["value"])

    def map(self, message, field, depth):
        target = getattr(message, field.name)
        value = field.message_type.fields_by_name["value"]
        for _ in range(self.rng.randint(0, 3)):
            key = self.scalar(field.message_type.fields_by_name["key"])
            if value.message_type:
                self.fill(target[key], depth + 1)
            else:
                target[key] = self.scalar(value)

    def field(self, message, field, depth):
        entry = field.message_type and field.message_type.GetOptions().map_entry
        if entry:
            self.map(message, field, depth)
        elif field.is_repeated:
            target = getattr(message, field.name)
            for _ in range(self.rng.randint(0, 3)):
                if field.message_type:
                    self.fill(target.add(), depth + 1)
                else:
                    target.append(self.scalar(field))
        elif field.message_type:
            getattr(message, field.name).SetInParent()
            self.fill(getattr(message, field.name), depth + 1)
        else:
            setattr(message, field.name, self.scalar(field))

    def fill(self, message, depth=0):
        if message.DESCRIPTOR.full_name.startswith("google.protobuf."):
            self.well_known(message, depth)
            return
        for field in message.DESCRIPTOR.fields:
            deep = field.message_type and depth > 3
            if not deep and self.rng.random() < (0.7 if depth < 2 else 0.3):
                self.field(message, field, depth)


def as_any(message, rng):
    """The JSON of an Any that holds the message."""
    wrapped = any_pb2.Any()
    wrapped.Pack(message)
    return json_format.MessageToDict(wrapped, preserving_proto_field_name=rng.random() < 0.5,
                                     use_integers_for_enums=rng.random() < 0.2)


def make(types, rng):
    """Per type: the resource as JSON, the bytes it must have."""
    for name, descriptor in sorted(types.items()):
        message = message_factory.GetMessageClass(descriptor)()
        Maker(rng).fill(message)
        resource = {"@type": WRAPPER, "name": "x", "resource": as_any(message, rng)}
        yield name, resource, message.SerializeToString(deterministic=True)


def start(binary, folder):
    ready = folder / "ready"
    process = subprocess.Popen([binary, folder / "resources", "--no-watch", "--ready-file", ready],
                               stdout=subprocess.DEVNULL)
    while not ready.exists():
        if process.poll() is not None:
            sys.exit(f"the stub ended with {process.returncode}")
        time.sleep(0.02)
    return process, json.loads(ready.read_text())["control_port"]


def same(descriptor, got, want):
    """Equal bytes. Python leaves some maps in the order of their making, so their entries may move."""
    if got == want or sorted(got) != sorted(want):
        return got == want
    message = message_factory.GetMessageClass(descriptor)
    read = [json_format.MessageToDict(message.FromString(b)) for b in (got, want)]
    return read[0] == read[1]


def compare(port, types, wanted):
    bad = 0
    for name, (resource, want) in wanted.items():
        path = f"/resources/{urllib.parse.quote(name)}/x?format=raw"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
            got = answer.read()
        if not same(types[name], got, want):
            bad += 1
            print(f"# {name}\n#  json {json.dumps(resource)}\n#  want {want.hex()}\n#  got  {got.hex()}")
    return bad


def main():
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(2**32)
    rng = random.Random(seed)
    types = {n: d for n, d in load().items() if not n.startswith(SKIP)}
    wanted = {name: (resource, want) for name, resource, want in make(types, rng)}
    with tempfile.TemporaryDirectory() as home:
        folder = pathlib.Path(home)
        (folder / "resources").mkdir()
        (folder / "resources" / "all.json").write_text(
            json.dumps({"resources": [r for r, _ in wanted.values()]}, indent=1))
        process, port = start(sys.argv[1], folder)
        bad = compare(port, types, wanted)
        process.send_signal(signal.SIGTERM)
        ended = process.wait(30)
    print(f"{'not ok' if bad else 'ok'} 1 - {len(wanted)} types, seed {seed}, {bad} differ")
    print(f"{'not ok' if ended else 'ok'} 2 - the stub ends with {ended}")
    print("1..2")
    return 1 if bad or ended else 0


if __name__ == "__main__":
    sys.exit(main())
