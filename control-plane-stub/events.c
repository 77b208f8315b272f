#include "events.h"

#include "json.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void event_log_init(struct event_log *log, size_t max_count, size_t max_bytes)
{
    *log = (struct event_log){.max_count = max_count, .max_bytes = max_bytes, .next_seq = 1};
}

static size_t event_size(const struct event *e)
{
    return sizeof(*e) + strlen(e->line) + (e->message ? strlen(e->message) : 0);
}

static void drop_first(struct event_log *log)
{
    struct event *e = &log->ring[log->first];

    log->bytes -= event_size(e);
    free(e->node);
    free(e->type_url);
    free(e->line);
    free(e->message);
    log->first = (log->first + 1) % log->cap;
    log->count--;
}

void event_log_fini(struct event_log *log)
{
    while (log->count)
        drop_first(log);
    free(log->ring);
    log->ring = NULL;
}

static void put_times(struct text *line)
{
    struct timespec t;
    struct tm tm;
    char wall[40];

    clock_gettime(CLOCK_REALTIME, &t);
    gmtime_r(&t.tv_sec, &tm);
    strftime(wall, sizeof(wall), "%Y-%m-%dT%H:%M:%S", &tm);
    json_member_int(line, "mono_us", (long long)now_us());
    json_key(line, "time");
    text_printf(line, "\"%s.%06ldZ\"", wall, t.tv_nsec / 1000);
}

void event_begin(const struct event_log *log, struct text *line, const char *kind,
                 unsigned long stream, const char *node, const char *type_url)
{
    json_open(line, '{');
    json_member_int(line, "seq", (long long)log->next_seq);
    put_times(line);
    json_member(line, "kind", kind);
    if (stream)
        json_member_int(line, "stream", (long long)stream);
    json_member(line, "node", node);
    json_member(line, "type", type_url);
}

static void grow(struct event_log *log)
{
    size_t cap = log->cap ? log->cap * 2 : 64;
    struct event *ring = mem_alloc(cap * sizeof(*ring));

    for (size_t i = 0; i < log->count; i++)
        ring[i] = log->ring[(log->first + i) % log->cap];
    free(log->ring);
    log->ring = ring;
    log->first = 0;
    log->cap = cap;
}

void event_log_add(struct event_log *log, const char *kind, const char *node, const char *type_url,
                   struct text *line, char *message)
{
    struct event *e;

    json_close(line, '}');
    if (log->count == log->cap)
        grow(log);
    e = &log->ring[(log->first + log->count++) % log->cap];
    *e = (struct event){log->next_seq++, kind,   mem_string(node), mem_string(type_url),
                        text_take(line), message};
    log->bytes += event_size(e);
    while (log->count > 1 && (log->count > log->max_count || log->bytes > log->max_bytes))
        drop_first(log);
}

const struct event *event_at(const struct event_log *log, size_t index)
{
    return &log->ring[(log->first + index) % log->cap];
}
