#!/usr/bin/env python3
"""Packs the official descriptors of the whole API into a C file; api/api_descriptors.h says how.

usage: gen_descriptors.py OUTPUT.c
"""
import struct
import sys
import zlib

import xds_descriptors


def pack(files):
    """{ u32 name length, name, u32 body length, body }, little-endian, imports first."""
    out = bytearray()
    for name, file in files.items():
        for part in (name.encode(), file.SerializeToString(deterministic=True)):
            out += struct.pack("<I", len(part)) + part
    return bytes(out)


def main():
    plain = pack(xds_descriptors.load())
    packed = zlib.compress(plain, 9)
    with open(sys.argv[1], "w") as out:
        out.write('#include "api_descriptors.h"\n\n')
        out.write(f"const size_t api_descriptors_size = {len(plain)};\n")
        out.write(f"const size_t api_descriptors_z_size = {len(packed)};\n")
        out.write("const unsigned char api_descriptors_z[] = {\n")
        for start in range(0, len(packed), 32):
            out.write(",".join(map(str, packed[start : start + 32])) + ",\n")
        out.write("};\n")


if __name__ == "__main__":
    main()
