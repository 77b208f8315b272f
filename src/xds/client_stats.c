#include "xds/client_stats.h"

#include "base/strbuf.h"
#include "config/google_grpc.h"

#define CLOSED_LIST(X)                                                                             \
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16)
enum { CODES = 17 };

enum client_stat { STAT_CREATION, STAT_STREAMS_TOTAL, STAT_CLOSED_0 };
#define X(n) {"streams_closed_" #n, STAT_COUNTER},
static const struct stat_desc client_stats[] = {
    {"google_grpc_client_creation", STAT_COUNTER}, {"streams_total", STAT_COUNTER}, CLOSED_LIST(X)};
#undef X
static const struct stat_schema client_schema = {client_stats, ARRAY_SIZE(client_stats)};

struct stat_scope *client_stats_get(struct stat_store *store, const struct grpc_service *service)
{
    struct strbuf name = STRBUF_INIT;
    if (!service->google)
        return NULL;
    strbuf_printf(&name, "grpc.%.*s", BYTES_ARG(service->google->stat_prefix));
    struct stat_scope *s = stat_scope_get(store, strbuf_bytes(&name), &client_schema);
    strbuf_fini(&name);
    for (unsigned i = 0; i < CODES; i++)
        stat_add(s, STAT_SLOT_CONFIG, STAT_CLOSED_0 + i, 0);
    stat_add(s, STAT_SLOT_CONFIG, STAT_STREAMS_TOTAL, 0);
    return s;
}

void client_stats_created(struct stat_scope *s)
{
    if (s)
        stat_inc(s, STAT_SLOT_CONFIG, STAT_CREATION);
}

void client_stats_opened(struct stat_scope *s)
{
    if (s)
        stat_inc(s, STAT_SLOT_CONFIG, STAT_STREAMS_TOTAL);
}

void client_stats_closed(struct stat_scope *s, int code)
{
    if (s && code >= 0 && code < CODES)
        stat_inc(s, STAT_SLOT_CONFIG, STAT_CLOSED_0 + (unsigned)code);
}
