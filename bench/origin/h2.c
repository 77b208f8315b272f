#include "origin/h2.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OUT_MAX = 262144, WINDOW = 1 << 24, DEFAULT_SIZE = 128 };

struct session {
    ev_io io;
    ev_prepare flush; /* all answers of one turn leave together */
    struct ev_loop *loop;
    nghttp2_session *h2;
    const char *name;
    bool dirty;
    size_t n_out;
    uint8_t out[OUT_MAX];
};

struct stream {
    size_t left;
    unsigned long vary;
    bool grpc;
    char status[8];
};

static void fail(const char *what)
{
    fprintf(stderr, "origin: HTTP/2: %s\n", what);
    exit(1);
}

static void session_free(struct session *s)
{
    ev_io_stop(s->loop, &s->io);
    ev_prepare_stop(s->loop, &s->flush);
    nghttp2_session_del(s->h2);
    close(s->io.fd);
    free(s);
}

/* --- out --- */

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                        .namelen = strlen(name),
                        .value = (uint8_t *)(uintptr_t)value,
                        .valuelen = strlen(value)};
}

/* "x" without end; the first five bytes of a gRPC answer would be its message's head, which nobody
 * reads here. */
static ssize_t read_body(nghttp2_session *h2, int32_t id, uint8_t *buf, size_t length,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct stream *st = source->ptr;
    size_t n = st->left < length ? st->left : length;
    memset(buf, 'x', n);
    st->left -= n;
    if (st->left)
        return (ssize_t)n;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (st->grpc) {
        nghttp2_nv trailer = field("grpc-status", "0");
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (nghttp2_submit_trailer(h2, id, &trailer, 1) != 0)
            fail("no trailers");
    }
    return (ssize_t)n;
}

static void answer(struct session *s, int32_t id, struct stream *st)
{
    char length[24];
    nghttp2_nv nv[4] = {field(":status", st->status),
                        field("x-origin", origin_value(s->name, st->vary))};
    size_t n = 2;
    nghttp2_data_provider body = {.source.ptr = st, .read_callback = read_body};
    snprintf(length, sizeof(length), "%zu", st->left);
    if (st->grpc)
        nv[n++] = field("content-type", "application/grpc");
    else
        nv[n++] = field("content-length", length);
    if (nghttp2_submit_response(s->h2, id, nv, n, &body) != 0)
        fail("no answer");
}

static void flush(struct session *s)
{
    s->dirty = false;
    for (;;) {
        const uint8_t *data;
        ssize_t n = 0;
        while (s->n_out < OUT_MAX / 2 && (n = nghttp2_session_mem_send(s->h2, &data)) > 0) {
            memcpy(s->out + s->n_out, data, (size_t)n);
            s->n_out += (size_t)n;
        }
        if (s->n_out == 0)
            break;
        ssize_t wrote = send(s->io.fd, s->out, s->n_out, MSG_NOSIGNAL);
        if (wrote < 0 && errno == EAGAIN)
            break;
        if (wrote < 0 || n < 0) {
            session_free(s);
            return;
        }
        memmove(s->out, s->out + wrote, s->n_out - (size_t)wrote);
        s->n_out -= (size_t)wrote;
    }
    int events = s->n_out ? EV_READ | EV_WRITE : EV_READ;
    if ((s->io.events & (EV_READ | EV_WRITE)) != events) {
        ev_io_stop(s->loop, &s->io);
        ev_io_set(&s->io, s->io.fd, events);
        ev_io_start(s->loop, &s->io);
    }
}

static void on_prepare(struct ev_loop *loop, ev_prepare *p, int events)
{
    struct session *s = p->data;
    if (s->dirty)
        flush(s);
}

/* --- in --- */

static int on_begin_headers(nghttp2_session *h2, const nghttp2_frame *f, void *user)
{
    if (f->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct stream *st = calloc(1, sizeof(*st));
    if (!st)
        fail("no memory");
    st->left = DEFAULT_SIZE;
    memcpy(st->status, "200", 4);
    nghttp2_session_set_stream_user_data(h2, f->hd.stream_id, st);
    return 0;
}

static void read_path(struct stream *st, const char *path)
{
    const char *size = strstr(path, "size="), *status = strstr(path, "status=");
    const char *vary = strstr(path, "vary=");
    if (vary)
        st->vary = strtoul(vary + 5, NULL, 10);
    if (size)
        st->left = strtoul(size + 5, NULL, 10);
    if (status)
        snprintf(st->status, sizeof(st->status), "%u", (unsigned)strtoul(status + 7, NULL, 10));
}

static int on_header(nghttp2_session *h2, const nghttp2_frame *f, const uint8_t *name,
                     size_t n_name, const uint8_t *value, size_t n_value, uint8_t flags, void *user)
{
    struct stream *st = nghttp2_session_get_stream_user_data(h2, f->hd.stream_id);
    if (st && strcmp((const char *)name, ":path") == 0)
        read_path(st, (const char *)value);
    else if (st && strcmp((const char *)name, "content-type") == 0)
        st->grpc = strcmp((const char *)value, "application/grpc") == 0;
    return 0;
}

static int on_frame(nghttp2_session *h2, const nghttp2_frame *f, void *user)
{
    struct stream *st =
        f->hd.stream_id ? nghttp2_session_get_stream_user_data(h2, f->hd.stream_id) : NULL;
    bool end = f->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (st && end && (f->hd.type == NGHTTP2_HEADERS || f->hd.type == NGHTTP2_DATA))
        answer(user, f->hd.stream_id, st);
    return 0;
}

static int on_stream_close(nghttp2_session *h2, int32_t id, uint32_t code, void *user)
{
    free(nghttp2_session_get_stream_user_data(h2, id));
    return 0;
}

static void on_event(struct ev_loop *loop, ev_io *io, int events)
{
    static uint8_t buffer[262144];
    struct session *s = io->data;
    s->dirty = true;
    if (!(events & EV_READ))
        return;
    ssize_t n = recv(io->fd, buffer, sizeof(buffer), 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 || nghttp2_session_mem_recv(s->h2, buffer, (size_t)n) != n)
        session_free(s);
}

static void open_session(struct session *s)
{
    nghttp2_session_callbacks *cb;
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1000},
                                         {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW}};
    if (nghttp2_session_callbacks_new(&cb) != 0)
        fail("no memory");
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    if (nghttp2_session_server_new(&s->h2, cb, s) != 0 ||
        nghttp2_submit_settings(s->h2, NGHTTP2_FLAG_NONE, settings, 2) != 0 ||
        nghttp2_session_set_local_window_size(s->h2, NGHTTP2_FLAG_NONE, 0, WINDOW) != 0)
        fail("no session");
    nghttp2_session_callbacks_del(cb);
}

void h2_serve(struct ev_loop *loop, int fd, const char *name, const void *data, size_t len)
{
    struct session *s = calloc(1, sizeof(*s));
    if (!s)
        fail("no memory");
    s->loop = loop;
    s->name = name;
    s->dirty = true;
    open_session(s);
    ev_io_init(&s->io, on_event, fd, EV_READ);
    ev_prepare_init(&s->flush, on_prepare);
    s->io.data = s->flush.data = s;
    ev_io_start(loop, &s->io);
    ev_prepare_start(loop, &s->flush);
    if (nghttp2_session_mem_recv(s->h2, data, len) != (ssize_t)len)
        session_free(s);
}
