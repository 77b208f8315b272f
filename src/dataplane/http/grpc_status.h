/* The status of a gRPC call: in headers or trailers, and what a status of HTTP means. Pure. */
#pragma once

#include "dataplane/http/headers.h"

/* False: there is none. What is no number, or is none of gRPC's, is 2 (unknown). */
bool grpc_status_read(const struct headers *h, unsigned *status);
/* Does what a call ends with (NULL: nothing) say that the server failed? What HTTP would say by 5xx
 * does, and what says nothing. */
bool grpc_server_failed(const struct headers *h);
/* grpc-message, its percent-encoding undone, in the arena; empty: none. */
struct bytes grpc_message_read(const struct headers *h, struct arena *a);
/* Of an answer that has no grpc-status. */
unsigned grpc_status_of_http(unsigned status);
/* Text as grpc-message has it. */
struct bytes grpc_message_encode(struct arena *a, struct bytes text);
