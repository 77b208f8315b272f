#include "server.h"

#include "listen.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <grpc/support/log.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A tag is the address of one of these: which call and what was asked of it. */
enum job { JOB_ACCEPT, JOB_OPEN, JOB_READ, JOB_WRITE, JOB_STATUS, JOB_CLOSED, JOB_SHUTDOWN };

struct call;

struct tag {
    enum job job;
    struct call *call;
};

struct call {
    grpc_call *grpc;
    struct server *server;
    struct stream *stream; /* NULL once over, or for a method that we do not have */
    struct tag opened, read, write, status, closed;
    int pending; /* tags still out; freed at 0 */
    bool open, reading, writing, ending, read_parked;
    int end_code;
    char *end_message;
    grpc_byte_buffer *in, *out;
    int cancelled;
};

struct server {
    struct hub *hub;
    grpc_server *grpc;
    grpc_completion_queue *queue;
    pthread_t thread;
    int port;
    bool stopping;
    size_t calls;
    struct tag accept, shutdown;
    grpc_call *next_call;
    grpc_call_details details;
    grpc_metadata_array metadata;
};

struct method {
    enum dialect dialect;
    char *fixed_type; /* type URL; NULL: ADS */
};

static void accept_next(struct server *s)
{
    grpc_call_details_init(&s->details);
    grpc_metadata_array_init(&s->metadata);
    grpc_server_request_call(s->grpc, &s->next_call, &s->details, &s->metadata, s->queue, s->queue,
                             &s->accept);
}

/* Start one batch; its tag comes back through the queue, also when the call is over by then. */
static void start(struct call *c, const grpc_op *ops, size_t count, struct tag *tag, enum job job)
{
    *tag = (struct tag){job, c};
    if (grpc_call_start_batch(c->grpc, ops, count, tag, NULL) == GRPC_CALL_OK)
        c->pending++;
    else
        fprintf(stderr, "xylem-stub: gRPC refused a batch (job %d)\n", job);
}

static void send_status(struct call *c)
{
    grpc_slice text = grpc_slice_from_copied_string(c->end_message ? c->end_message : "");
    grpc_op op = {.op = GRPC_OP_SEND_STATUS_FROM_SERVER};

    op.data.send_status_from_server.status = (grpc_status_code)c->end_code;
    op.data.send_status_from_server.status_details = &text;
    start(c, &op, 1, &c->status, JOB_STATUS);
    grpc_slice_unref(text);
}

/* End the call with a status; a response on its way goes first. */
static void end_call(struct call *c, int code, const char *message)
{
    if (c->ending)
        return;
    c->ending = true;
    c->end_code = code;
    c->end_message = mem_string(message);
    if (c->open && !c->writing)
        send_status(c);
}

static void read_next(struct call *c)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};

    if (c->stream && c->stream->frozen) {
        c->read_parked = true;
        return;
    }
    c->read_parked = false;
    c->reading = true;
    op.data.recv_message.recv_message = &c->in;
    start(c, &op, 1, &c->read, JOB_READ);
}

static void try_send(struct call *c)
{
    struct text bytes = {0};
    grpc_slice slice;
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};

    if (!c->open || c->writing || c->ending || !c->stream ||
        !hub_next(c->server->hub, c->stream, &bytes))
        return;
    slice = grpc_slice_from_copied_buffer(text_str(&bytes), bytes.len);
    text_fini(&bytes);
    c->out = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    op.data.send_message.send_message = c->out;
    c->writing = true;
    start(c, &op, 1, &c->write, JOB_WRITE);
    if (c->stream->ends)
        end_call(c, c->stream->end_status, "a fault ends the stream");
}

static void kick(struct stream *st)
{
    try_send(st->transport);
}

static void resume(struct stream *st)
{
    struct call *c = st->transport;

    if (c->read_parked)
        read_next(c);
    try_send(c);
}

static void end(struct stream *st, int code, const char *message)
{
    struct call *c = st->transport;

    if (c->writing && st->frozen)
        grpc_call_cancel_with_status(c->grpc, (grpc_status_code)code, message, NULL);
    end_call(c, code, message);
}

static const struct transport_ops transport = {kick, resume, end};

/* "/package.Service/StreamX" or DeltaX: of which type, in which dialect? */
static bool find_method(const char *path, struct method *out)
{
    static const char ads[] = "/envoy.service.discovery.v3.AggregatedDiscoveryService/";
    const char *verb = strrchr(path, '/') + 1;
    const struct resource_type *t;

    *out = (struct method){0};
    out->dialect = !strncmp(verb, "Delta", 5) ? DIALECT_DELTA : DIALECT_SOTW;
    if (strncmp(verb, "Delta", 5) && strncmp(verb, "Stream", 6))
        return false;
    verb += out->dialect == DIALECT_DELTA ? 5 : 6;
    if (!strncmp(path, ads, strlen(ads)))
        return !strcmp(verb, "AggregatedResources");
    for (size_t i = 0; (t = resource_type_at(i)); i++) {
        if (strncmp(path + 1, t->service, strlen(t->service)) ||
            path[1 + strlen(t->service)] != '/' || strcmp(verb, t->method))
            continue;
        out->fixed_type = type_url_of(t->full_name);
        return true;
    }
    return false;
}

static void open_call(struct server *s)
{
    struct call *c = mem_zero(sizeof(*c));
    char *path = grpc_slice_to_c_string(s->details.method);
    char *peer = grpc_call_get_peer(s->next_call);
    struct method method;
    grpc_op ops[2] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}};
    grpc_op closed = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};

    c->grpc = s->next_call;
    c->server = s;
    s->calls++;
    closed.data.recv_close_on_server.cancelled = &c->cancelled;
    start(c, &closed, 1, &c->closed, JOB_CLOSED);
    start(c, ops, 1, &c->opened, JOB_OPEN);
    if (*path == '/' && find_method(path, &method)) {
        c->stream = hub_open(s->hub, method.dialect, method.fixed_type, path, peer, c);
        free(method.fixed_type);
        read_next(c);
    } else {
        end_call(c, GRPC_STATUS_UNIMPLEMENTED, "xylem-stub has no such method");
    }
    gpr_free(path);
    gpr_free(peer);
}

static void close_stream(struct call *c, const char *why)
{
    if (c->stream)
        hub_close(c->server->hub, c->stream, why);
    c->stream = NULL;
}

static void drop(struct call *c)
{
    if (--c->pending)
        return;
    close_stream(c, "closed");
    if (c->in)
        grpc_byte_buffer_destroy(c->in);
    if (c->out)
        grpc_byte_buffer_destroy(c->out);
    grpc_call_unref(c->grpc);
    c->server->calls--;
    free(c->end_message);
    free(c);
}

static void take_message(struct call *c)
{
    struct error err = {0};
    grpc_byte_buffer_reader reader;
    grpc_slice all;
    bool ok;

    if (!grpc_byte_buffer_reader_init(&reader, c->in)) {
        end_call(c, GRPC_STATUS_INTERNAL, "the request cannot be decompressed");
        return;
    }
    all = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    ok = hub_message(c->server->hub, c->stream, GRPC_SLICE_START_PTR(all), GRPC_SLICE_LENGTH(all),
                     &err);
    grpc_slice_unref(all);
    if (!ok)
        end_call(c, GRPC_STATUS_INVALID_ARGUMENT, err.text);
    error_fini(&err);
}

static void on_read(struct call *c)
{
    c->reading = false;
    if (!c->in) { /* half-closed by the client, or over */
        end_call(c, GRPC_STATUS_OK, "");
        return;
    }
    if (c->stream && !c->ending)
        take_message(c);
    grpc_byte_buffer_destroy(c->in);
    c->in = NULL;
    if (c->ending)
        return;
    read_next(c);
    try_send(c);
}

static void on_write(struct call *c)
{
    grpc_byte_buffer_destroy(c->out);
    c->out = NULL;
    c->writing = false;
    if (c->ending)
        send_status(c);
    else
        try_send(c);
}

static void on_opened(struct call *c)
{
    c->open = true;
    if (c->ending)
        send_status(c);
    else
        try_send(c);
}

static void on_accept(struct server *s, bool ok)
{
    if (ok)
        open_call(s);
    grpc_call_details_destroy(&s->details);
    grpc_metadata_array_destroy(&s->metadata);
    if (ok && !s->stopping)
        accept_next(s);
}

/* Every event ends here; a failed one means that its call is over, which JOB_CLOSED tells too. */
static bool on_event(struct server *s, const grpc_event *ev)
{
    struct tag *tag = ev->tag;
    struct call *c = tag->call;

    switch (tag->job) {
    case JOB_ACCEPT:
        on_accept(s, ev->success);
        return true;
    case JOB_SHUTDOWN:
        return false;
    case JOB_OPEN:
        on_opened(c);
        break;
    case JOB_READ:
        on_read(c);
        break;
    case JOB_WRITE:
        on_write(c);
        break;
    case JOB_CLOSED:
        close_stream(c, c->ending ? "ended by the stub" : "closed by the client");
        end_call(c, GRPC_STATUS_CANCELLED, "");
        break;
    case JOB_STATUS:
        close_stream(c, "ended by the stub");
        break;
    }
    drop(c);
    return true;
}

static void *pump(void *arg)
{
    struct server *s = arg;
    bool down = false;

    while (!down || s->calls) {
        grpc_event ev =
            grpc_completion_queue_next(s->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);

        if (ev.type != GRPC_OP_COMPLETE)
            break;
        hub_lock(s->hub);
        if (!on_event(s, &ev))
            down = true;
        hub_unlock(s->hub);
    }
    return NULL;
}

static grpc_arg int_arg(const char *key, int value)
{
    return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)key, .value.integer = value};
}

/* gRPC's own log lines say nothing that our errors do not. */
static void no_log(gpr_log_func_args *args)
{
    (void)args;
}

static grpc_server *make_server(unsigned goaway_ms)
{
    int age = goaway_ms ? (int)goaway_ms : INT_MAX;
    grpc_arg args[] = {
        int_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, -1),
        int_arg(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, -1),
        int_arg(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1),
        int_arg(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0),
        int_arg(GRPC_ARG_ALLOW_REUSEPORT, 0),
        int_arg(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        int_arg(GRPC_ARG_MAX_CONNECTION_AGE_MS, age),
        int_arg(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, age),
    };
    grpc_channel_args all = {sizeof(args) / sizeof(*args), args};

    return grpc_server_create(&all, NULL);
}

static bool listen_on(struct server *s, char *const *addresses, size_t count, struct error *err)
{
    grpc_server_credentials *plain = grpc_insecure_server_credentials_create();
    bool ok = true;

    for (size_t i = 0; ok && i < count; i++) {
        int port = grpc_server_add_http2_port(s->grpc, addresses[i], plain);

        if (!port) {
            listen_explain(addresses[i], err); /* gRPC does not say why */
            ok = false;
        }
        if (!s->port && strncmp(addresses[i], "unix:", 5))
            s->port = port;
    }
    grpc_server_credentials_release(plain);
    return ok;
}

bool server_start(struct server **out, struct hub *hub, char *const *addresses, size_t count,
                  unsigned goaway_ms, struct error *err)
{
    struct server *s = mem_zero(sizeof(*s));

    *out = s;
    gpr_set_log_function(no_log);
    grpc_init();
    s->hub = hub;
    s->accept = (struct tag){JOB_ACCEPT, NULL};
    s->shutdown = (struct tag){JOB_SHUTDOWN, NULL};
    s->queue = grpc_completion_queue_create_for_next(NULL);
    s->grpc = make_server(goaway_ms);
    grpc_server_register_completion_queue(s->grpc, s->queue, NULL);
    if (!listen_on(s, addresses, count, err)) {
        server_stop(out);
        return false;
    }
    hub->transport = &transport;
    grpc_server_start(s->grpc);
    accept_next(s);
    pthread_create(&s->thread, NULL, pump, s);
    return true;
}

void server_adopt(struct server *s, int fd)
{
    grpc_server_credentials *plain = grpc_insecure_server_credentials_create();

    grpc_server_add_channel_from_fd(s->grpc, fd, plain);
    grpc_server_credentials_release(plain);
}

int server_port(const struct server *s)
{
    return s->port;
}

void server_stop(struct server **server)
{
    struct server *s = *server;

    if (!s)
        return;
    hub_lock(s->hub);
    s->stopping = true;
    grpc_server_shutdown_and_notify(s->grpc, s->queue, &s->shutdown);
    grpc_server_cancel_all_calls(s->grpc);
    hub_unlock(s->hub);
    if (s->thread)
        pthread_join(s->thread, NULL);
    grpc_completion_queue_shutdown(s->queue);
    while (grpc_completion_queue_next(s->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).type !=
           GRPC_QUEUE_SHUTDOWN)
        ;
    grpc_server_destroy(s->grpc);
    grpc_completion_queue_destroy(s->queue);
    grpc_shutdown_blocking();
    free(s);
    *server = NULL;
}
