/* A request that asks for a tunnel: CONNECT, or an upgrade of its connection (HTTP/2's extended
 * CONNECT comes as one). What follows its head is no body. The one reading of that, for the codecs,
 * the connection manager and the attempts. Any thread. */
#pragma once

#include "dataplane/http/headers.h"

enum tunnel { TUNNEL_NONE, TUNNEL_UPGRADE, TUNNEL_CONNECT };

/* Does the head have an upgrade, and does its Connection name it? */
bool tunnel_names_upgrade(const struct headers *h);
/* What the head of a request asks for. A codec has taken away an upgrade that does not count. */
static inline enum tunnel tunnel_asked(const struct headers *request)
{
    if (UNLIKELY(bytes_eq(headers_get(request, HEADER_METHOD), BYTES("CONNECT"))))
        return TUNNEL_CONNECT;
    return UNLIKELY(headers_has(request, HEADER_UPGRADE)) && tunnel_names_upgrade(request)
               ? TUNNEL_UPGRADE
               : TUNNEL_NONE;
}
/* "websocket", "CONNECT": what upgrade_configs call it. */
struct bytes tunnel_type(enum tunnel t, const struct headers *request);
/* Does an answer of this status open it? */
static inline bool tunnel_opened(enum tunnel t, unsigned status)
{
    return (t == TUNNEL_UPGRADE && status == 101) ||
           (t == TUNNEL_CONNECT && status >= 200 && status < 300);
}
