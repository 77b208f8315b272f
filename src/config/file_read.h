/* A file that a resource names, whole. The control plane says the name: only regular files are
 * read, none of the kernel's (/proc shows this process's secrets), and what is in them bounds what
 * is allocated. Never waits. Config thread. */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"

/* max: bytes; a larger file is an error. The bytes live in the arena. */
MUST_CHECK bool file_read(struct bytes path, size_t max, struct arena *a, struct bytes *out,
                          struct error *err);
