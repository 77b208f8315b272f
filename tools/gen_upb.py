#!/usr/bin/env python3
"""Generates upb accessors of api/protos/ and prints the C files, one a line, relative to --out.

usage: gen_upb.py --protos DIR --out DIR --plugin PROTOC_GEN_UPB [--protoc PROTOC]

The google/protobuf files that the API imports are generated too: what protoc brings is enough. Files
whose text stays the same are left alone, so that nothing is compiled twice.
"""
import argparse
import pathlib
import re
import shutil
import subprocess
import tempfile

# Part of libupb, which exports it; a second layout of the same messages must not exist.
EXPORTED_BY_LIBUPB = {"google/protobuf/descriptor.proto"}


def well_known(protos):
    """The google/protobuf files that the folder's files import."""
    names = set()
    for path in protos.rglob("*.proto"):
        names |= set(re.findall(r'^import "(google/protobuf/[^"]+)";', path.read_text(), re.M))
    return names - EXPORTED_BY_LIBUPB


def update(source, target):
    """Makes target equal to source, touching only what differs."""
    fresh = {p.relative_to(source) for p in source.rglob("*") if p.is_file()}
    if target.exists():
        for old in [p for p in target.rglob("*") if p.is_file()]:
            if old.relative_to(target) not in fresh:
                old.unlink()
    for name in fresh:
        path = target / name
        if not path.exists() or path.read_bytes() != (source / name).read_bytes():
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, path)
    return sorted(str(name) for name in fresh if name.suffix == ".c")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--protos", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--plugin", required=True)
    parser.add_argument("--protoc", default="protoc")
    parser.add_argument("inputs", nargs="*", help="ignored: what the caller depends on")
    args = parser.parse_args()
    names = {str(p.relative_to(args.protos)) for p in args.protos.rglob("*.proto")}
    names |= well_known(args.protos)
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(
            [
                args.protoc,
                f"-I{args.protos}",
                "-I/usr/include",
                f"--plugin=protoc-gen-upb={args.plugin}",
                f"--upb_out={scratch}",
                *sorted(names),
            ],
            check=True,
        )
        print("\n".join(update(pathlib.Path(scratch), args.out)))


if __name__ == "__main__":
    main()
