#include "dataplane/http/http_syntax.h"
#include "dataplane/http/stream_internal.h"

/* UDP in HTTP (RFC 9298): whom the client wants to reach stands in the path, in the one shape that
 * the default template gives it. Routes and origins read it where they read every other host. */

static const char path_begin[] = "/.well-known/masque/udp/";

/* False: there is none, or an escape that is none. */
static bool unescape(struct arena *a, struct bytes *part)
{
    char *out = arena_alloc(a, part->len + 1), *p = out;
    for (size_t i = 0; i < part->len; i++) {
        char c = part->data[i];
        if (c == '%') {
            int high = i + 2 < part->len ? hex_digit(part->data[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(part->data[i + 2]) : -1;
            if (low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        *p++ = c;
    }
    *part = bytes_from(out, (size_t)(p - out));
    return part->len > 0;
}

/* BYTES_NONE: the path names nobody. */
static struct bytes target_of(struct arena *a, struct bytes path)
{
    struct address ip;
    if (!bytes_starts_with(path, bytes_of(path_begin)))
        return BYTES_NONE;
    struct bytes rest = bytes_skip(path, strlen(path_begin));
    struct bytes host = bytes_split(&rest, '/'), port = bytes_split(&rest, '/');
    if (!rest.data || rest.len || !unescape(a, &host) || !unescape(a, &port))
        return BYTES_NONE;
    bool bare =
        host.data[0] != '[' && bytes_find_char(host, ':') >= 0 && address_parse_ip(host, 0, &ip);
    struct bytes target = bytes_of(
        arena_printf(a, bare ? "[%.*s]:%.*s" : "%.*s:%.*s", BYTES_ARG(host), BYTES_ARG(port)));
    return h1_authority_ok(target) ? target : BYTES_NONE;
}

const struct stream_error *hcm_connect_udp(struct stream *s)
{
    struct headers *h = &s->request_headers;
    if (!bytes_eq_nocase(tunnel_type(TUNNEL_UPGRADE, h), BYTES("connect-udp")))
        return NULL;
    struct bytes target = target_of(s->arena, headers_get(h, HEADER_PATH));
    if (!target.data)
        return stream_error_get(STREAM_ERROR_CONNECT_UDP_PATH);
    headers_set_id(h, HEADER_AUTHORITY, target);
    return NULL;
}
