#include "dataplane/http/stream_internal.h"

/* Headers that speak of one connection only (RFC 9110 section 7.6.1) and every header that
 * Connection names. What a client must not name its codec refuses. */

static struct bytes lowered(struct arena *a, struct bytes value)
{
    char *lower = arena_alloc(a, value.len + 1);
    for (size_t i = 0; i < value.len; i++)
        lower[i] = ascii_lower(value.data[i]);
    return bytes_from(lower, value.len);
}

static void remove_named(struct headers *h, struct bytes value, bool request)
{
    struct bytes rest = lowered(h->arena, value);
    while (rest.data) {
        struct bytes name = bytes_trim(bytes_split(&rest, ','));
        if (!name.len || name.data[0] == ':' || bytes_eq(name, BYTES("close")) ||
            bytes_eq(name, BYTES("keep-alive")) || bytes_eq(name, BYTES("te")))
            continue;
        if (request && bytes_eq(name, BYTES("host")))
            headers_remove_id(h, HEADER_AUTHORITY); /* as Envoy: then there is none, 400 */
        headers_remove(h, name);
    }
}

static void clean_te(struct headers *h)
{
    if (!headers_has(h, HEADER_TE))
        return;
    struct bytes rest = headers_get_all_id(h, HEADER_TE);
    bool trailers = false;
    while (rest.data)
        trailers |= bytes_eq_nocase(bytes_trim(bytes_split(&rest, ',')), BYTES("trailers"));
    if (trailers)
        headers_set_id(h, HEADER_TE, BYTES("trailers"));
    else
        headers_remove_id(h, HEADER_TE);
}

void hcm_remove_hop_by_hop(struct headers *h, bool request)
{
    if (headers_has(h, HEADER_CONNECTION)) {
        remove_named(h, headers_get_all_id(h, HEADER_CONNECTION), request);
        headers_remove_id(h, HEADER_CONNECTION);
    }
    headers_remove_id(h, HEADER_PROXY_CONNECTION);
    headers_remove_id(h, HEADER_TRANSFER_ENCODING);
    headers_remove_id(h, HEADER_UPGRADE);
    if (!request)
        return; /* of an answer a keep-alive may have been added; that of an origin is gone */
    headers_remove_id(h, HEADER_KEEP_ALIVE);
    clean_te(h);
}
