#include "load/h2.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load/client.h"

enum { OUT_MAX = 65536, FIELDS = 8, WINDOW = 1 << 24 };

struct h2_link {
    ev_io io;
    ev_prepare flush; /* all that one turn of the loop sends leaves together */
    const struct load_options *o;
    nghttp2_session *session;
    struct client **clients;
    int n;
    bool connecting, dirty;
    size_t n_out;
    uint8_t out[OUT_MAX];
};

static void fail(const char *what)
{
    fprintf(stderr, "load: HTTP/2: %s\n", what);
    exit(1);
}

bool h2_link_open(const struct h2_link *l)
{
    return l->io.fd >= 0 && !l->connecting;
}

void h2_link_close(struct h2_link *l)
{
    if (l->io.fd < 0)
        return;
    ev_io_stop(client_loop, &l->io);
    ev_prepare_stop(client_loop, &l->flush);
    nghttp2_session_del(l->session);
    l->session = NULL;
    close(l->io.fd);
    l->io.fd = -1;
    l->connecting = false;
}

static void lost(struct h2_link *l)
{
    h2_link_close(l);
    for (int i = 0; i < l->n; i++)
        l->clients[i]->ops->on_closed(l->clients[i]);
}

/* --- out --- */

/* False: the connection is gone. What does not fit stays in the session, and then in `out`. */
static bool send_all(struct h2_link *l)
{
    for (;;) {
        const uint8_t *data;
        ssize_t n = 0;
        while (l->n_out < OUT_MAX / 2 && (n = nghttp2_session_mem_send(l->session, &data)) > 0) {
            if (l->n_out + (size_t)n > OUT_MAX)
                fail("a frame is too large");
            memcpy(l->out + l->n_out, data, (size_t)n);
            l->n_out += (size_t)n;
        }
        if (n < 0)
            return false;
        if (l->n_out == 0)
            return true;
        ssize_t wrote = send(l->io.fd, l->out, l->n_out, MSG_NOSIGNAL);
        if (wrote < 0)
            return errno == EAGAIN;
        memmove(l->out, l->out + wrote, l->n_out - (size_t)wrote);
        l->n_out -= (size_t)wrote;
    }
}

static void flush(struct h2_link *l)
{
    l->dirty = false;
    if (!send_all(l)) {
        lost(l);
        return;
    }
    int events = l->n_out ? EV_READ | EV_WRITE : EV_READ;
    if ((l->io.events & (EV_READ | EV_WRITE)) == events)
        return;
    ev_io_stop(client_loop, &l->io);
    ev_io_set(&l->io, l->io.fd, events);
    ev_io_start(client_loop, &l->io);
}

static void on_prepare(struct ev_loop *loop, ev_prepare *p, int events)
{
    struct h2_link *l = p->data;
    if (l->dirty)
        flush(l);
}

/* The message of a gRPC call: not compressed, `size` bytes. */
static ssize_t read_message(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length,
                            uint32_t *flags, nghttp2_data_source *source, void *user)
{
    size_t size = (size_t)source->fd;
    if (length < size + 5)
        fail("a message is too large");
    memset(buf, 0, size + 5);
    for (int i = 0; i < 4; i++)
        buf[1 + i] = (uint8_t)(size >> (24 - 8 * i));
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)(size + 5);
}

static void add(nghttp2_nv *nv, size_t *n, const char *name, const char *value)
{
    nv[(*n)++] = (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                              .namelen = strlen(name),
                              .value = (uint8_t *)(uintptr_t)value,
                              .valuelen = strlen(value)};
}

void h2_link_request(struct client *c)
{
    struct h2_link *l = c->h2;
    nghttp2_nv nv[FIELDS];
    nghttp2_data_provider message = {.source.fd = l->o->message, .read_callback = read_message};
    size_t n = 0;
    add(nv, &n, ":method", l->o->grpc ? "POST" : "GET");
    add(nv, &n, ":scheme", "http");
    add(nv, &n, ":path", l->o->path);
    add(nv, &n, ":authority", l->o->host);
    if (l->o->grpc) {
        add(nv, &n, "content-type", "application/grpc");
        add(nv, &n, "te", "trailers");
    }
    c->waiting = true;
    c->status = 0;
    c->grpc_status = -1;
    if (nghttp2_submit_request(l->session, NULL, nv, n, l->o->grpc ? &message : NULL, c) < 0)
        fail("a request is refused here");
    l->dirty = true;
}

/* --- in --- */

static int on_header(nghttp2_session *session, const nghttp2_frame *f, const uint8_t *name,
                     size_t n_name, const uint8_t *value, size_t n_value, uint8_t flags, void *user)
{
    struct client *c = nghttp2_session_get_stream_user_data(session, f->hd.stream_id);
    if (c && n_name == 7 && memcmp(name, ":status", 7) == 0)
        c->status = atoi((const char *)value); /* nghttp2 ends it with a NUL */
    else if (c && n_name == 11 && memcmp(name, "grpc-status", 11) == 0)
        c->grpc_status = atoi((const char *)value);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *user)
{
    struct client *c = nghttp2_session_get_stream_user_data(session, id);
    if (c)
        c->body_bytes += len;
    return 0;
}

/* A call without its grpc-status, or a stream that was reset, is no answer with 200. */
static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct h2_link *l = user;
    struct client *c = nghttp2_session_get_stream_user_data(session, id);
    if (!c)
        return 0;
    if (code != NGHTTP2_NO_ERROR || (l->o->grpc && c->grpc_status != 0))
        c->status = 0;
    c->waiting = false;
    c->ops->on_answer(c);
    return 0;
}

static void connected(struct h2_link *l)
{
    int error = 0;
    getsockopt(l->io.fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof(error)});
    if (error) {
        lost(l);
        return;
    }
    l->connecting = false;
    l->dirty = true;
    for (int i = 0; i < l->n; i++) {
        if (l->clients[i]->ops->on_connected)
            l->clients[i]->ops->on_connected(l->clients[i]);
    }
}

static void on_event(struct ev_loop *loop, ev_io *io, int events)
{
    static uint8_t buffer[262144];
    struct h2_link *l = io->data;
    if (l->connecting) {
        connected(l);
        return;
    }
    l->dirty = true;
    if (!(events & EV_READ))
        return;
    ssize_t n = recv(io->fd, buffer, sizeof(buffer), 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 || nghttp2_session_mem_recv(l->session, buffer, (size_t)n) != n)
        lost(l);
}

/* --- the beginning --- */

static void open_session(struct h2_link *l)
{
    nghttp2_session_callbacks *cb;
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                         {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW}};
    if (nghttp2_session_callbacks_new(&cb) != 0)
        fail("no memory");
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    if (nghttp2_session_client_new(&l->session, cb, l) != 0 ||
        nghttp2_submit_settings(l->session, NGHTTP2_FLAG_NONE, settings, 2) != 0 ||
        nghttp2_session_set_local_window_size(l->session, NGHTTP2_FLAG_NONE, 0, WINDOW) != 0)
        fail("no session");
    nghttp2_session_callbacks_del(cb);
}

void h2_link_connect(struct h2_link *l, int port)
{
    if (l->io.fd >= 0)
        return;
    open_session(l);
    l->n_out = 0;
    l->dirty = false;
    l->connecting = true;
    ev_io_set(&l->io, client_socket(port), EV_WRITE);
    ev_io_start(client_loop, &l->io);
    ev_prepare_start(client_loop, &l->flush);
}

struct h2_link *h2_link_new(struct client **clients, int n, const struct load_options *o)
{
    struct h2_link *l = calloc(1, sizeof(*l));
    if (!l)
        fail("no memory");
    l->o = o;
    l->clients = clients;
    l->n = n;
    ev_init(&l->io, on_event);
    ev_prepare_init(&l->flush, on_prepare);
    l->io.fd = -1;
    l->io.data = l->flush.data = l;
    for (int i = 0; i < n; i++)
        clients[i]->h2 = l;
    return l;
}
