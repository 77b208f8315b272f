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

struct bytes tunnel_type(enum tunnel t, const struct headers *request)
{
    switch (t) {
    case TUNNEL_CONNECT:
        return BYTES("CONNECT");
    case TUNNEL_UPGRADE:
        return headers_get_all_id(request, HEADER_UPGRADE);
    case TUNNEL_NONE:
        break;
    }
    return BYTES_NONE;
}
