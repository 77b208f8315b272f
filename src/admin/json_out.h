/* JSON as Envoy's admin prints it: one space of indentation a level, or compact. Writes into a
 * strbuf; the nesting is the caller's. One thread. */
#pragma once

#include "base/strbuf.h"

struct json_out {
    struct strbuf *out;
    unsigned depth;
    bool compact, first;
};

void json_begin(struct json_out *j, const char *key, char open);        /* key NULL: an element */
void json_begin_named(struct json_out *j, struct bytes key, char open); /* any bytes */
void json_end(struct json_out *j, char close);
void json_string(struct json_out *j, const char *key, struct bytes value);
void json_raw(struct json_out *j, const char *key, const char *value); /* a number, true, null */
void json_number(struct json_out *j, const char *key, int64_t value);
void json_unsigned(struct json_out *j, const char *key, uint64_t value);
