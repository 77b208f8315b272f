/* What goes over the wire of an access log service: envoy.data.accesslog.v3 and
 * envoy.service.accesslog.v3. Inside of this folder; one worker. */
#pragma once

#include "base/bytes.h"
#include "base/strbuf.h"
#include "config/grpc_log.h"

struct stream;

/* Memory for one message in the making, kept from one to the next. */
struct grpc_log_maker {
    void *block;
    struct arena *arena; /* of text; reset each time */
    struct strbuf text;
};

void grpc_log_maker_init(struct grpc_log_maker *m);
void grpc_log_maker_fini(struct grpc_log_maker *m);
/* Adds the entry of a finished stream to a list of entries: so many added are still one list.
 * False: there was no memory. */
MUST_CHECK bool grpc_log_add_entry(struct grpc_log_maker *m, struct stream *s,
                                   const struct grpc_log *log, struct strbuf *entries);
struct grpc_log_message {
    struct bytes entries; /* such a list ... */
    bool is_tcp;          /* ... of a log with is_tcp */
    bool identified;      /* with the node and the name of the log */
    struct bytes node, log_name;
};
/* As a StreamAccessLogsMessage, which replaces *out. False: there was no memory. */
MUST_CHECK bool grpc_log_make_message(struct grpc_log_maker *m,
                                      const struct grpc_log_message *message, struct strbuf *out);
