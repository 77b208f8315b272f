/* CSDS over gRPC on the admin listener: envoy.service.status.v3.ClientStatusDiscoveryService. Each
 * message of a stream is answered by one, in turn; FetchClientStatus by its first. Requests are
 * bounded, answers are made on the config thread in slices and sent as the client takes them. Main
 * thread; owned by the stream's filter, and outlives it while the config thread works. */
#pragma once

#include <stdbool.h>

#include "base/bytes.h"

struct admin;
struct admin_grpc;
struct buffer;
struct http_filter;

/* Is it a call of the service? The filter is then this file's alone. */
bool admin_grpc_is(struct bytes path, struct bytes content_type);
/* refused: why the caller may not ask; NULL: he may. */
struct admin_grpc *admin_grpc_new(struct http_filter *f, struct admin *a, const char *refused);
void admin_grpc_data(struct admin_grpc *g, struct buffer *data, bool end); /* takes it all */
void admin_grpc_end(struct admin_grpc *g);                                 /* of the request */
void admin_grpc_watermark(struct admin_grpc *g, bool above);
/* The stream is gone. */
void admin_grpc_free(struct admin_grpc **g);
