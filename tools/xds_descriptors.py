"""The official descriptors of the Envoy, xDS and udpa API, as the PyPI package xds-protos ships them."""
import importlib
import importlib.metadata

from google.protobuf import descriptor_pb2, descriptor_pool

PACKAGE = "xds-protos"
# The API proper; what it imports of other families (google, cel, opentelemetry ...) comes with it.
FAMILIES = ("envoy/", "udpa/", "validate/", "xds/")
SUFFIX = "_pb2.py"


def load():
    """file name -> FileDescriptorProto; a file comes after all that it imports."""
    stems = sorted(
        str(file)[: -len(SUFFIX)]
        for file in importlib.metadata.files(PACKAGE)
        if str(file).endswith(SUFFIX) and str(file).startswith(FAMILIES)
    )
    for stem in stems:
        importlib.import_module(stem.replace("/", ".") + SUFFIX[: -len(".py")])
    pool = descriptor_pool.Default()
    files = {}

    def add(descriptor):
        if descriptor.name in files:
            return
        for dependency in descriptor.dependencies:
            add(dependency)
        files[descriptor.name] = descriptor_pb2.FileDescriptorProto.FromString(
            descriptor.serialized_pb
        )

    for stem in stems:
        add(pool.FindFileByName(stem + ".proto"))
    # A well-known type that no file imports, yet masks in queries are made of it.
    importlib.import_module("google.protobuf.field_mask_pb2")
    add(pool.FindFileByName("google/protobuf/field_mask.proto"))
    return files
