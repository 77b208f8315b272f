/* The bounded log of what happened: one line of JSON each, oldest dropped first.
 *
 * Used with the hub's lock held. */
#pragma once

#include "text.h"

struct event {
    unsigned long long seq;
    const char *kind; /* static: request, response, open, close, publish, ... */
    char *node, *type_url;
    char *line;    /* {"seq":...} without a newline */
    char *message; /* a request exactly as sent, as proto3 JSON; NULL for other kinds */
};

struct event_log {
    struct event *ring;
    size_t first, count, cap;
    size_t bytes, max_bytes, max_count;
    unsigned long long next_seq;
};

void event_log_init(struct event_log *log, size_t max_count, size_t max_bytes);
void event_log_fini(struct event_log *log);
/* Begin a line: seq, times, kind, stream, node and type are filled in; the caller adds members and
 * hands it to event_log_add(). */
void event_begin(const struct event_log *log, struct text *line, const char *kind,
                 unsigned long stream, const char *node, const char *type_url);
/* Close the line and store it; takes `line` and `message` over. */
void event_log_add(struct event_log *log, const char *kind, const char *node, const char *type_url,
                   struct text *line, char *message);
const struct event *event_at(const struct event_log *log, size_t index);
uint64_t now_us(void);
