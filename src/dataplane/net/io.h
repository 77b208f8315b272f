/* The results of input and output: a count of bytes, or one of three negatives. Any thread. */
#pragma once

#include <sys/types.h>

enum {
    IO_AGAIN = -1, /* nothing now: wait for readiness */
    IO_EOF = -2,   /* the peer sends no more */
    IO_ERROR = -3, /* broken: transport_error() has errno */
};
