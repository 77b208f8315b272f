/*
 * The official descriptors of the whole xDS API (Envoy, xDS, udpa, and all they import), with their
 * options, as one zlib stream. Constant: any thread may read it.
 *
 * The inflated blob holds api_descriptors_size bytes: a sequence of files,
 *
 *     u32 name length | name | u32 body length | body
 *
 * numbers little-endian and unaligned, name such as "envoy/config/core/v3/base.proto" (no NUL),
 * body a serialised google.protobuf.FileDescriptorProto. A file comes after all the files it
 * imports.
 */
#pragma once

#include <stddef.h>

extern const unsigned char api_descriptors_z[];
extern const size_t api_descriptors_z_size;
extern const size_t api_descriptors_size;
