#include <stdio.h>
#include <time.h>

#include "dataplane/http/stream_internal.h"

/* IMF-fixdate of this second, made once a second and worker. */
static struct bytes date_now(struct stream *s)
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    static _Thread_local char text[64];
    static _Thread_local time_t made = -1;
    time_t now = (time_t)(loop_wall_ns(s->worker->loop) / NS_PER_S);
    if (now != made) {
        struct tm tm;
        gmtime_r(&now, &tm);
        snprintf(text, sizeof(text), "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday],
                 tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                 tm.tm_sec);
        made = now;
    }
    return bytes_from(text, 29);
}

static void add_server(const struct stream *s, struct headers *h)
{
    const struct http_manager *m = s->manager;
    switch (m->server_header) {
    case SERVER_HEADER_OVERWRITE:
        headers_set_id(h, HEADER_SERVER, m->server_name);
        break;
    case SERVER_HEADER_APPEND_IF_ABSENT:
        if (!headers_has(h, HEADER_SERVER))
            headers_add_id(h, HEADER_SERVER, m->server_name);
        break;
    case SERVER_HEADER_PASS:
        break;
    }
}

static void add_via(struct stream *s, struct headers *h)
{
    struct bytes via = s->manager->via;
    if (!via.len)
        return;
    struct bytes old = headers_get_all_id(h, HEADER_VIA);
    if (old.len)
        via = bytes_of(arena_printf(s->arena, "%.*s, %.*s", BYTES_ARG(old), BYTES_ARG(via)));
    headers_set_id(h, HEADER_VIA, via);
}

/* Who asks for a trace wants to know by which name to find it; from outside nobody may ask. */
static bool is_traced(const struct stream *s)
{
    return s->remote_is_internal &&
           headers_get_name(&s->request_headers, BYTES("x-envoy-force-trace")).data;
}

static void add_request_id(struct stream *s, struct headers *h)
{
    if (!s->manager->always_set_request_id_in_response && !is_traced(s))
        return;
    struct bytes id = headers_get(&s->request_headers, HEADER_X_REQUEST_ID);
    if (id.data)
        headers_set_id(h, HEADER_X_REQUEST_ID, id);
}

void hcm_informational(struct stream *s, struct headers *h)
{
    hcm_remove_hop_by_hop(h, false);
    headers_remove_id(h, HEADER_KEEP_ALIVE);
    add_request_id(s, h);
}

void hcm_response(struct stream *s)
{
    struct headers *h = &s->response_headers;
    if (s->priv->tunnel_open)
        hcm_tunnel_response(s);
    else
        hcm_remove_hop_by_hop(h, false);
    if (!headers_has(h, HEADER_DATE))
        headers_add_id(h, HEADER_DATE, arena_dup(s->arena, date_now(s)));
    add_server(s, h);
    add_request_id(s, h);
    add_via(s, h);
}
