#include "xds/grpc_stream.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <pthread.h>

#include "base/list.h"
#include "base/memory.h"
#include "config/google_grpc.h"

struct grpc_runtime {
    grpc_completion_queue *cq;
    grpc_post_fn *post;
    void (*run_posted)(void *ctx);
    void *post_ctx;
    pthread_t pump;
    _Atomic bool closing;
};

/* One batch under way. The stream lives until the last of its batches has come back. */
struct op {
    struct grpc_stream *stream;
    void (*fn)(struct grpc_stream *s, bool ok);
    bool ok;
};

struct queued {
    struct list link;
    grpc_byte_buffer *buffer;
};

struct grpc_stream {
    struct grpc_runtime *rt;
    grpc_channel *channel;
    grpc_call *call;
    const struct grpc_stream_ops *ops;
    void *owner; /* NULL: given up */
    unsigned under_way;
    bool freed, closed, sending;
    struct list queue;
    grpc_metadata_array initial, trailing;
    grpc_metadata *sent_metadata;
    unsigned n_sent_metadata;
    grpc_byte_buffer *received;
    grpc_status_code status;
    grpc_slice details;
    struct op start, status_op, read, write;
};

static void finish_if_done(struct grpc_stream *s);

/* Config loop. */
static void op_done(void *arg)
{
    struct op *op = arg;
    struct grpc_stream *s = op->stream;
    op->fn(s, op->ok); /* may give the stream up, and may start this batch again */
    s->under_way--;
    finish_if_done(s);
}

static void *pump_main(void *arg)
{
    struct grpc_runtime *rt = arg;
    for (;;) {
        grpc_event e = grpc_completion_queue_next(rt->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        if (e.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        if (e.type != GRPC_OP_COMPLETE)
            continue;
        struct op *op = e.tag;
        op->ok = e.success != 0;
        if (rt->closing)
            op_done(op); /* the config loop has ended: nobody else touches streams */
        else
            rt->post(rt->post_ctx, op_done, op);
    }
}

struct grpc_runtime *grpc_runtime_new(grpc_post_fn *post, void (*run_posted)(void *ctx), void *ctx)
{
    struct grpc_runtime *rt = NEW(struct grpc_runtime);
    grpc_init();
    rt->cq = grpc_completion_queue_create_for_next(NULL);
    rt->post = post;
    rt->run_posted = run_posted;
    rt->post_ctx = ctx;
    CHECK(pthread_create(&rt->pump, NULL, pump_main, rt) == 0);
    return rt;
}

void grpc_runtime_free(struct grpc_runtime **rt)
{
    if (!*rt)
        return;
    (*rt)->closing = true;
    grpc_completion_queue_shutdown((*rt)->cq);
    pthread_join((*rt)->pump, NULL);
    (*rt)->run_posted((*rt)->post_ctx); /* what came before `closing`: frees the last streams */
    grpc_completion_queue_destroy((*rt)->cq);
    grpc_shutdown();
    mem_free(*rt);
    *rt = NULL;
}

static void batch(struct grpc_stream *s, struct op *op, void (*fn)(struct grpc_stream *, bool),
                  const grpc_op *ops, size_t n)
{
    *op = (struct op){s, fn, false};
    s->under_way++;
    CHECK(grpc_call_start_batch(s->call, ops, n, op, NULL) == GRPC_CALL_OK);
}

static void on_started(struct grpc_stream *s, bool ok)
{
    /* a failure shows in the status, which always comes */
}

static void on_read(struct grpc_stream *s, bool ok);

static void read_next(struct grpc_stream *s)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &s->received;
    batch(s, &s->read, on_read, &op, 1);
}

static void on_read(struct grpc_stream *s, bool ok)
{
    grpc_byte_buffer *b = s->received;
    s->received = NULL;
    if (!b)
        return; /* the end: the status follows */
    grpc_byte_buffer_reader reader;
    if (ok && s->owner && grpc_byte_buffer_reader_init(&reader, b)) {
        grpc_slice all = grpc_byte_buffer_reader_readall(&reader);
        grpc_byte_buffer_reader_destroy(&reader);
        grpc_byte_buffer_destroy(b);
        s->ops->on_message(
            s->owner, bytes_from((const char *)GRPC_SLICE_START_PTR(all), GRPC_SLICE_LENGTH(all)));
        grpc_slice_unref(all);
    } else {
        grpc_byte_buffer_destroy(b);
    }
    if (s->owner)
        read_next(s);
}

static void on_status(struct grpc_stream *s, bool ok)
{
    void *owner = s->owner;
    s->closed = true;
    if (!owner)
        return;
    char *text = grpc_slice_to_c_string(s->details);
    s->owner = NULL;
    s->ops->on_closed(owner, (int)s->status, text);
    gpr_free(text);
}

static void send_next(struct grpc_stream *s);

static void on_written(struct grpc_stream *s, bool ok)
{
    s->sending = false;
    if (ok)
        send_next(s);
}

static void send_next(struct grpc_stream *s)
{
    struct list *l = s->sending || s->closed || s->freed ? NULL : list_pop_front(&s->queue);
    if (!l)
        return;
    struct queued *q = LIST_ENTRY(l, struct queued, link);
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
    op.data.send_message.send_message = q->buffer;
    s->sending = true;
    batch(s, &s->write, on_written, &op, 1);
    grpc_byte_buffer_destroy(q->buffer);
    mem_free(q);
}

void grpc_stream_send(struct grpc_stream *s, struct bytes message)
{
    if (s->closed || s->freed)
        return;
    struct queued *q = NEW(struct queued);
    grpc_slice slice = grpc_slice_from_copied_buffer(message.data, message.len);
    q->buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    list_push_back(&s->queue, &q->link);
    send_next(s);
}

static grpc_arg int_arg(const char *key, int value)
{
    grpc_arg a = {.type = GRPC_ARG_INTEGER, .key = (char *)key};
    a.value.integer = value;
    return a;
}

static grpc_arg given_arg(const struct channel_arg *given)
{
    if (!given->text)
        return int_arg(given->key, given->number);
    grpc_arg a = {.type = GRPC_ARG_STRING, .key = (char *)given->key};
    a.value.string = (char *)given->text;
    return a;
}

static grpc_channel *channel_new(const struct grpc_stream_options *o)
{
    enum { OWN_ARGS = 8 };
    grpc_arg *args = mem_zalloc((OWN_ARGS + o->n_args) * sizeof(*args));
    size_t n = 0;
    args[n++] = int_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, -1);
    args[n++] = int_arg(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, -1);
    args[n++] = int_arg(GRPC_ARG_ENABLE_RETRIES, 0);
    if (o->keepalive_interval_ms) {
        args[n++] = int_arg(GRPC_ARG_KEEPALIVE_TIME_MS, (int)o->keepalive_interval_ms);
        args[n++] = int_arg(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, (int)o->keepalive_timeout_ms);
        args[n++] = int_arg(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
        args[n++] = int_arg(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    }
    for (unsigned i = 0; i < o->n_args; i++)
        args[n++] = given_arg(&o->args[i]); /* the last one of a key counts */
    grpc_channel_args list = {n, args};
    grpc_channel_credentials *creds = grpc_insecure_credentials_create();
    grpc_channel *c = grpc_channel_create_from_fd("xds", o->fd, creds, &list);
    grpc_channel_credentials_release(creds);
    mem_free(args);
    return c;
}

static void start(struct grpc_stream *s)
{
    grpc_op ops[2] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}, {.op = GRPC_OP_RECV_INITIAL_METADATA}};
    ops[0].data.send_initial_metadata.count = s->n_sent_metadata;
    ops[0].data.send_initial_metadata.metadata = s->sent_metadata;
    ops[1].data.recv_initial_metadata.recv_initial_metadata = &s->initial;
    batch(s, &s->start, on_started, ops, 2);
    grpc_op status = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    status.data.recv_status_on_client.trailing_metadata = &s->trailing;
    status.data.recv_status_on_client.status = &s->status;
    status.data.recv_status_on_client.status_details = &s->details;
    batch(s, &s->status_op, on_status, &status, 1);
    read_next(s);
}

struct grpc_stream *grpc_stream_new(struct grpc_runtime *rt, const struct grpc_stream_options *o,
                                    const struct grpc_stream_ops *ops, void *owner)
{
    struct grpc_stream *s = NEW(struct grpc_stream);
    s->rt = rt;
    s->ops = ops;
    s->owner = owner;
    s->details = grpc_empty_slice();
    list_init(&s->queue);
    grpc_metadata_array_init(&s->initial);
    grpc_metadata_array_init(&s->trailing);
    s->channel = channel_new(o);
    grpc_slice method = grpc_slice_from_copied_string(o->method);
    grpc_slice host = grpc_slice_from_copied_buffer(o->authority.data, o->authority.len);
    s->call = grpc_channel_create_call(s->channel, NULL, GRPC_PROPAGATE_DEFAULTS, rt->cq, method,
                                       &host, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    grpc_slice_unref(method);
    grpc_slice_unref(host);
    s->n_sent_metadata = o->n_metadata;
    s->sent_metadata = mem_zalloc(o->n_metadata * sizeof(grpc_metadata));
    for (unsigned i = 0; i < o->n_metadata; i++) {
        s->sent_metadata[i].key =
            grpc_slice_from_copied_buffer(o->metadata_keys[i].data, o->metadata_keys[i].len);
        s->sent_metadata[i].value =
            grpc_slice_from_copied_buffer(o->metadata_values[i].data, o->metadata_values[i].len);
    }
    start(s);
    return s;
}

void grpc_stream_free(struct grpc_stream **sp)
{
    struct grpc_stream *s = *sp;
    *sp = NULL;
    if (!s)
        return;
    s->owner = NULL;
    s->freed = true;
    grpc_call_cancel(s->call, NULL);
    finish_if_done(s);
}

static void finish_if_done(struct grpc_stream *s)
{
    if (!s->freed || s->under_way)
        return;
    for (struct list *l; (l = list_pop_front(&s->queue));) {
        struct queued *q = LIST_ENTRY(l, struct queued, link);
        grpc_byte_buffer_destroy(q->buffer);
        mem_free(q);
    }
    for (unsigned i = 0; i < s->n_sent_metadata; i++) {
        grpc_slice_unref(s->sent_metadata[i].key);
        grpc_slice_unref(s->sent_metadata[i].value);
    }
    mem_free(s->sent_metadata);
    grpc_metadata_array_destroy(&s->initial);
    grpc_metadata_array_destroy(&s->trailing);
    grpc_slice_unref(s->details);
    grpc_call_unref(s->call);
    grpc_channel_destroy(s->channel);
    mem_free(s);
}
