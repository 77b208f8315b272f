#include "dataplane/upstream/async_grpc.h"

#include "base/memory.h"
#include "dataplane/http/grpc_status.h"

enum { PREFIX = 5 };

/* --- requests --- */

struct async_call *async_grpc_new(struct worker *w, const struct async_call_options *o,
                                  const char *path, struct bytes authority)
{
    struct async_call *c = async_call_new(w, o);
    struct headers *h = &c->request;
    c->grpc = true;
    if (!c->o.max_message)
        c->o.max_message = ASYNC_MESSAGE_MAX;
    headers_add_id(h, HEADER_METHOD, BYTES("POST"));
    headers_add_id(h, HEADER_PATH, bytes_of(path));
    headers_add_id(h, HEADER_AUTHORITY,
                   authority.len ? arena_dup(c->arena, authority) : c->o.cluster);
    headers_add_id(h, HEADER_SCHEME, BYTES("http"));
    if (o->timeout_ms)
        headers_add_id(
            h, HEADER_GRPC_TIMEOUT,
            bytes_of(arena_printf(c->arena, "%llum", (unsigned long long)o->timeout_ms)));
    headers_add_id(h, HEADER_TE, BYTES("trailers"));
    headers_add_id(h, HEADER_CONTENT_TYPE, BYTES("application/grpc"));
    return c;
}

void async_grpc_send(struct async_call *c, struct bytes message, bool end)
{
    struct buffer data;
    uint32_t len = (uint32_t)message.len;
    unsigned char prefix[PREFIX] = {0, (unsigned char)(len >> 24), (unsigned char)(len >> 16),
                                    (unsigned char)(len >> 8), (unsigned char)len};
    CHECK(message.len <= UINT32_MAX);
    buffer_init(&data, c->out.body.pool);
    buffer_add(&data, prefix, sizeof(prefix));
    buffer_add_bytes(&data, message);
    async_call_send_data(c, &data, end);
}

void async_grpc_send_end(struct async_call *c)
{
    struct buffer none;
    buffer_init(&none, c->out.body.pool);
    async_call_send_data(c, &none, true);
}

/* --- responses --- */

unsigned async_grpc_status_of(enum async_result r)
{
    switch (r) {
    case ASYNC_DONE:
        return GRPC_OK;
    case ASYNC_TIMEOUT:
        return GRPC_DEADLINE_EXCEEDED;
    case ASYNC_BAD_RESPONSE:
        return GRPC_INTERNAL;
    case ASYNC_NO_CLUSTER:
    case ASYNC_NO_HOST:
    case ASYNC_FAILED:
    case ASYNC_SHUTDOWN:
        break;
    }
    return GRPC_UNAVAILABLE;
}

static void finish(struct async_call *c, enum async_result result, unsigned status,
                   struct bytes text)
{
    struct async_end e = {.result = result, .grpc_status = status, .text = text};
    async_call_finish(c, &e);
}

static void bad(struct async_call *c, unsigned status, const char *text)
{
    finish(c, ASYNC_BAD_RESPONSE, status, bytes_of(text));
}

/* By the trailers, or by the head where nothing else comes. */
static void finish_with(struct async_call *c, const struct headers *h)
{
    unsigned status;
    if (!grpc_status_read(h, &status))
        bad(c, GRPC_UNKNOWN, "no grpc-status");
    else if (status == GRPC_OK && c->in.len)
        bad(c, GRPC_INTERNAL, "a message was cut off");
    else
        finish(c, ASYNC_DONE, status, grpc_message_read(h, c->arena));
}

void async_grpc_on_headers(struct async_call *c, bool end)
{
    unsigned http = headers_status(&c->response), ignored;
    if (end && grpc_status_read(&c->response, &ignored))
        finish_with(c, &c->response);
    else if (http != 200)
        bad(c, grpc_status_of_http(http), "the response's status is not 200");
    else if (end)
        finish_with(c, &c->response);
    else if (c->o.ops->on_headers)
        c->o.ops->on_headers(c, false);
}

/* The first len bytes of what has come, as one piece. */
static bool show(struct async_call *c, size_t len)
{
    struct bytes message = buffer_front(&c->in);
    char *copy = NULL;
    if (message.len < len) {
        copy = mem_try(len);
        if (!copy)
            return false;
        buffer_copy(&c->in, 0, copy, len);
        message = bytes_from(copy, len);
    }
    if (c->o.ops->on_message)
        c->o.ops->on_message(c, bytes_first(message, len));
    mem_free(copy);
    return true;
}

/* Whole messages out of what has come. False: it is over. */
static bool take_messages(struct async_call *c)
{
    unsigned char p[PREFIX];
    while (buffer_copy(&c->in, 0, p, PREFIX) == PREFIX) {
        size_t len = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
        if (p[0] != 0) {
            bad(c, GRPC_INTERNAL, "a message is compressed");
            return false;
        }
        if (len > c->o.max_message) {
            bad(c, GRPC_RESOURCE_EXHAUSTED, "a message is too long");
            return false;
        }
        if (c->in.len < PREFIX + len)
            return true;
        buffer_drain(&c->in, PREFIX);
        if (!show(c, len)) {
            bad(c, GRPC_RESOURCE_EXHAUSTED, "no memory for a message");
            return false;
        }
        if (async_call_over(c))
            return false;
        buffer_drain(&c->in, len);
    }
    return true;
}

void async_grpc_on_data(struct async_call *c, struct buffer *data, bool end)
{
    buffer_move(&c->in, data);
    if (take_messages(c) && end)
        bad(c, GRPC_UNKNOWN, "no grpc-status");
}

void async_grpc_on_trailers(struct async_call *c)
{
    finish_with(c, &c->trailers);
}
