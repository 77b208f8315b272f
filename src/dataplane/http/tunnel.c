#include "dataplane/http/tunnel.h"

static bool has_token(struct bytes value, struct bytes token)
{
    while (value.data) {
        if (bytes_eq_nocase(bytes_trim(bytes_split(&value, ',')), token))
            return true;
    }
    return false;
}

bool tunnel_names_upgrade(const struct headers *h)
{
    if (!headers_has(h, HEADER_UPGRADE) || !headers_has(h, HEADER_CONNECTION))
        return false;
    for (const struct header *e = h->entries; e < headers_end(h); e++) {
        if (e->id == HEADER_CONNECTION && has_token(e->value, BYTES("upgrade")))
            return true;
    }
    return false;
}

enum tunnel tunnel_asked(const struct headers *request)
{
    if (bytes_eq(headers_get(request, HEADER_METHOD), BYTES("CONNECT")))
        return TUNNEL_CONNECT;
    return tunnel_names_upgrade(request) ? TUNNEL_UPGRADE : TUNNEL_NONE;
}

struct bytes tunnel_type(enum tunnel t, const struct headers *request)
{
    switch (t) {
    case TUNNEL_CONNECT:
        return BYTES("CONNECT");
    case TUNNEL_UPGRADE:
        return headers_get_all(request, header_name(HEADER_UPGRADE));
    case TUNNEL_NONE:
        break;
    }
    return BYTES_NONE;
}
