/* Ways to a peer: a socket that connects, with what lies on it, and the race between them where the
 * peer has several addresses (RFC 8305, which Envoy calls happy eyeballs): the next is tried at
 * once when one fails, its handshake included, and beside it when it hangs for 300 ms. The first
 * whose handshake is done wins. For connection.c, on its thread. */
#pragma once

#include "dataplane/net/connection.h"

enum { RACE_DELAY_MS = 300 };

/* NULL: errno says why; 0: the wrap of the options does (wrap_failure). opt may be NULL. */
struct transport *transport_connect(struct loop *loop, const struct address *to,
                                    const struct connect_options *opt);
/* The same to `to` and opt->others, by turns one of each family, first that of `to`. Until its
 * handshake is done it can do nothing else. NULL: all failed at once, the last as above. */
struct transport *transport_race_new(struct loop *loop, const struct address *to,
                                     const struct connect_options *opt);
/* After its handshake: the winner, and where it leads. Leaves all other transports as they are. */
void transport_race_settle(struct transport **t, struct address *remote);
