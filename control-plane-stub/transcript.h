/* What was sent, kept in a file and sent again: --transcript FILE writes a line for each response,
 * `xylem-stub replay FILE` answers with them.
 *
 *     {"method":"/envoy...","stream":3,"type":"type.googleapis.com/...","version":"7",
 *      "nonce":"3-1","bytes":"BASE64"}
 *
 * Used with the hub's lock held. */
#pragma once

#include "fault.h"

#include <stdio.h>

struct stream;

struct transcript_line {
    char *method, *type_url, *version, *nonce, *bytes;
    size_t len;
    unsigned long stream; /* of the recording */
};

struct transcript {
    struct transcript_line *lines;
    size_t count, cap;
};

MUST_CHECK bool transcript_read(struct transcript *t, const char *path, struct error *err);
void transcript_fini(struct transcript *t);
/* Appends a response that goes out. */
void transcript_write(FILE *out, const char *method, unsigned long stream, const struct literal *l);
/* The stream of the recording that the n-th stream of a method (from 0) stands for; when there were
 * fewer, the last one. 0: none of this method. */
unsigned long transcript_stream(const struct transcript *t, const char *method, size_t n);
/* The line at or after *at of that stream; NULL: no more. *at moves behind it. */
const struct transcript_line *transcript_next(const struct transcript *t, unsigned long stream,
                                              size_t *at);
