/* The header of the PROXY protocol, by which a TCP origin is told whose connection it is. Pure. */
#pragma once

#include "base/address.h"

enum { PROXY_PROTOCOL_MAX = 107 }; /* bytes of any header: the longest of version 1 */

/* The header of version 1 (a line) or 2 (binary) into out; returns its length. Where the two are no
 * pair of IP addresses of one family it says that nothing is known. */
size_t proxy_protocol_header(unsigned version, const struct address *from, const struct address *to,
                             char out[PROXY_PROTOCOL_MAX]);
