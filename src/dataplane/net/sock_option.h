/* Options set on sockets, as configuration names them. Pure functions over a descriptor, any
 * thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"

struct sock_option {
    int level, name;
    int value;
    const char *data; /* when not NULL: data_len bytes instead of value */
    uint32_t data_len;
};

/* False with errno at the first that the kernel refuses; *failed is its index. */
MUST_CHECK bool sock_options_set(int fd, const struct sock_option *options, size_t n,
                                 size_t *failed);
bool sock_option_int(int fd, int level, int name, int value);
/* SO_KEEPALIVE and its three numbers; 0 leaves the kernel's. */
bool sock_option_keepalive(int fd, uint32_t probes, uint32_t time_s, uint32_t interval_s);
