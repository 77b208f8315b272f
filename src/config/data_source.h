/* envoy.config.core.v3.DataSource: bytes that stand in the resource, in a file or in a variable of
 * the environment. Config thread. */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"

struct envoy_config_core_v3_DataSource;

struct data_source {
    bool present; /* the message was there */
    bool is_file;
    struct bytes data;
    struct bytes path;     /* the file, "<inline>", or "" */
    struct bytes variable; /* of the environment; empty: none */
};

/* What is inline is not copied: it lives as long as the message. max: bytes of a file
 * or a variable; a larger one is an error. m == NULL: not present. An unset variable and a file
 * that cannot be read are errors; *out says then what was meant. */
MUST_CHECK bool data_source_read(const struct envoy_config_core_v3_DataSource *m, struct arena *a,
                                 size_t max, struct data_source *out, struct error *err);
