#!/usr/bin/env python3
"""api/protos/ is as generated, and means to protoc what the official descriptors say."""
import copy
import pathlib
import subprocess
import sys
import tempfile

from google.protobuf import descriptor_pb2

import lint

sys.path.insert(0, str(lint.TREE / "tools"))
import gen_api  # noqa: E402
import xds_descriptors  # noqa: E402

PROTOS = lint.TREE / "api/protos"


def compiled():
    """name -> FileDescriptorProto of api/protos/, by protoc."""
    names = sorted(str(p.relative_to(PROTOS)) for p in PROTOS.rglob("*.proto"))
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(
            ["protoc", f"-I{PROTOS}", "-I/usr/include", f"--descriptor_set_out={out.name}", *names],
            check=True,
        )
        files = descriptor_pb2.FileDescriptorSet.FromString(pathlib.Path(out.name).read_bytes())
    return {file.name: file for file in files.file}


def message_shape(message):
    """All that wire, JSON and reflection see of a message."""
    shape = {
        field.number: (
            field.name,
            field.label,
            field.type,
            field.type_name,
            field.json_name or gen_api.camel(field.name),
            field.proto3_optional,
            message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else "",
            field.options.deprecated,
            field.options.packed,
        )
        for field in message.field
    }
    shape["map"] = message.options.map_entry
    shape["reserved"] = [(r.start, r.end) for r in message.reserved_range]
    return shape


def enum_shape(enum):
    return {value.name: value.number for value in enum.value}


def differences(ours, official):
    """A sentence for each type of ours that is not as the official one."""
    theirs = gen_api.index_types(official)
    for name, kind in gen_api.index_types(ours).items():
        shape = message_shape if kind.is_message else enum_shape
        if name not in theirs:
            yield f"{name} does not exist"
        elif shape(kind.proto) != shape(theirs[name].proto):
            yield f"{name} differs"


def main():
    official = xds_descriptors.load()
    ours = compiled()
    wrong = copy.deepcopy(ours)
    wrong["envoy/config/cluster/v3/cluster.proto"].message_type[0].field[0].number = 999
    results = [
        ("self test: notices a changed number", [] if list(differences(wrong, official)) else ["no"]),
        (f"{len(ours)} files mean what the official ones do", list(differences(ours, official))),
        (
            "the files are as generated",
            list(gen_api.differences(gen_api.generate(lint.TREE / "tools/api_roots.txt"), PROTOS)),
        ),
    ]
    for number, (name, complaints) in enumerate(results, 1):
        print(f"{'not ok' if complaints else 'ok'} {number} - {name}")
        for line in complaints:
            print(f"# {line}")
    print(f"1..{len(results)}")
    sys.exit(any(complaints for _, complaints in results))


if __name__ == "__main__":
    main()
