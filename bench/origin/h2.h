/* HTTP/2 of the origin: with prior knowledge, on the same sockets. One thread. */
#pragma once

#include <ev.h>
#include <stddef.h>

#define H2_PREFACE "PRI * HTTP/2.0\r\n"

/* Takes the descriptor over, and what was read of it. */
void h2_serve(struct ev_loop *loop, int fd, const char *name, const void *data, size_t len);

/* origin.c: the value of "x-origin"; with `first`, another one for the first so many answers. Valid
 * until the next call. */
const char *origin_value(const char *name, unsigned long first);
