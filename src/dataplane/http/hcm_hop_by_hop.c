#include "dataplane/http/stream_internal.h"

/* Headers that speak of one connection only (RFC 9110 section 7.6.1) and every header that
 * Connection names. A client must not name what routing and trust stand on. */

static bool must_not_be_named(struct bytes name)
{
    return (name.len && name.data[0] == ':') || bytes_eq(name, BYTES("x-forwarded-for")) ||
           bytes_eq(name, BYTES("x-forwarded-host")) || bytes_eq(name, BYTES("x-forwarded-proto"));
}

static bool remove_named(struct headers *h, struct bytes value, bool request)
{
    struct bytes rest = value;
    while (rest.data) {
        struct bytes token = bytes_trim(bytes_split(&rest, ','));
        if (!token.len || token.len > 256)
            continue;
        char lower[256];
        for (size_t i = 0; i < token.len; i++)
            lower[i] = ascii_lower(token.data[i]);
        struct bytes name = bytes_from(lower, token.len);
        if (bytes_eq(name, BYTES("close")) || bytes_eq(name, BYTES("keep-alive")) ||
            bytes_eq(name, BYTES("te")))
            continue;
        if (request && must_not_be_named(name))
            return false;
        if (request && bytes_eq(name, BYTES("host")))
            headers_remove_id(h, HEADER_AUTHORITY); /* as Envoy: then there is none, 400 */
        if (name.data[0] != ':')
            headers_remove(h, name);
    }
    return true;
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

bool hcm_remove_hop_by_hop(struct headers *h, bool request)
{
    if (headers_has(h, HEADER_CONNECTION)) {
        struct bytes named = headers_get_all_id(h, HEADER_CONNECTION);
        if (!remove_named(h, named, request))
            return false;
        headers_remove_id(h, HEADER_CONNECTION);
    }
    headers_remove_id(h, HEADER_KEEP_ALIVE);
    headers_remove_id(h, HEADER_PROXY_CONNECTION);
    headers_remove_id(h, HEADER_TRANSFER_ENCODING);
    headers_remove_id(h, HEADER_UPGRADE);
    if (request)
        clean_te(h);
    return true;
}
