/* struct connection: a byte stream over a transport, with buffers, watermarks, half-close and a
 * reason for its end. Lives on one loop's thread. Made by connection_connect(), connection_accept()
 * or connection_new(); it belongs to itself: the owner gets on_close() exactly once and must forget
 * it then; the memory goes at the end of that turn.
 *
 *   transport ─ read ─► input ─ on_data ─► owner ─ connection_write ─► output ─ writev, once a turn
 *
 * An idle connection holds no chunk. Nothing is called back from inside a connection_*() call,
 * except on_high_watermark from connection_write(). After connection_close() nothing but on_close
 * follows. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/clock.h"
#include "dataplane/net/buffer.h"
#include "dataplane/net/close_reason.h"
#include "dataplane/net/sock_option.h"
#include "dataplane/net/transport.h"

struct connection;

struct connection_ops {
    /* Optional. Connected, handshake done; before any on_data. For an accepted plain socket at the
     * end of the turn in which it was made. */
    void (*on_connected)(struct connection *c);
    /* Bytes are in `in`: drain or move what you use; the rest stays and is shown again together
     * with what follows (when as much as the buffer limit is left, reading stops until then).
     * end: the peer sends no more; told even when `in` is empty. If half-close is off (the default)
     * the connection is then closed with CLOSE_REMOTE_CLOSE, after the output was tried once; if it
     * is on, it is closed when both sides have ended. */
    void (*on_data)(struct connection *c, struct buffer *in, bool end);
    /* Optional. Once a turn after connection_want_output(), just before the output is written. */
    void (*on_output)(struct connection *c);
    /* Optional. The output passed its limit; and it fell to half of it. */
    void (*on_high_watermark)(struct connection *c);
    void (*on_low_watermark)(struct connection *c);
    /* Optional. All output has been handed to the transport. */
    void (*on_flushed)(struct connection *c);
    /* Required, last. From the top of the loop, never from inside a call of the owner. */
    void (*on_close)(struct connection *c, enum close_reason reason);
};

struct connect_options {
    uint64_t timeout_ms;          /* 0: the kernel's */
    const struct address *source; /* NULL: the kernel chooses; port 0 is fine */
    const struct sock_option *options;
    size_t n_options;
    uint32_t keepalive_probes, keepalive_time_s, keepalive_interval_s; /* all 0: off */
    uint32_t buffer_limit;                                             /* 0: no watermarks */
    /* Stacks a transport on the socket (TLS); NULL: none. Takes over the socket; NULL: failed. */
    struct transport *(*wrap)(void *ctx, struct transport *socket);
    void *wrap_ctx;
    const char *wrap_failure; /* why it is NULL; NULL: no memory */
    /* Where else the peer is (transport_race.h). Copied, as the source is; but with them `options`
     * and wrap_ctx live until the connection stands or is closed. */
    const struct address *others;
    unsigned n_others;
    /* Optional: another of them is tried. Perhaps from inside connection_connect(). */
    void (*on_other)(void *wrap_ctx);
};

/* Its fields are connection.c's: here only so that reading them is inlined. */
enum { CONNECTION_MAGIC = 0x636f6e6e };
/* When it was begun, and how much later it was connected and its handshake, if it has one, was
 * done: microseconds and one more, since 0 means not yet. */
struct connection_times {
    uint64_t begun_ns;
    uint32_t opened_us1, done_us1;
};
/* 0: not yet. */
static inline uint64_t connection_time_ns(const struct connection_times *t, uint32_t us1)
{
    return us1 ? t->begun_ns + (uint64_t)(us1 - 1) * (NS_PER_MS / 1000) : 0;
}

struct connection {
    uint32_t magic;
    uint8_t state;   /* enum connection_state of connection.c */
    uint8_t want;    /* what the transport was asked to report */
    uint8_t reason;  /* enum close_reason */
    bool above;      /* the output is above its limit */
    bool half_close; /* the peer's end does not close the connection */
    bool read_eof, eof_told;
    bool write_blocked, write_dead;
    bool shutdown_wanted, shutdown_done;
    bool linger;        /* FLUSHING goes on to LINGERING */
    bool reread;        /* show the input at the end of the turn */
    bool output_wanted; /* and let the owner make its output */
    bool told_close;
    bool client;
    uint32_t limit, read_limit; /* of the output, of input that the owner leaves; 0: none */
    uint32_t pauses;
    int error;
    char *failure;
    struct transport *transport; /* NULL once CLOSED */
    const struct connection_ops *ops;
    void *owner;
    struct buffer in, out;
    /* The one flush of a turn, and what else waits for its end; once CLOSED the reaper's. */
    struct defer work;
    struct timer timer; /* connect timeout, later the delayed close */
    uint64_t delay_ms;
    struct connection_times times;
    uint64_t bytes_read, bytes_written;
    struct address local, remote;
};

/* Never fails at once: a refusal arrives as on_close(CLOSE_CONNECT_FAILED). opt may be NULL. */
struct connection *connection_connect(struct loop *loop, struct chunk_pool *pool,
                                      const struct address *to, const struct connect_options *opt,
                                      const struct connection_ops *ops, void *owner);
/* Over an accepted descriptor (non-blocking), which it takes over. */
struct connection *connection_accept(struct loop *loop, struct chunk_pool *pool, int fd,
                                     const struct address *remote, const struct connection_ops *ops,
                                     void *owner);
/* The same over a transport that lies on one (TLS), which it takes over. handshake_ms: how long its
 * handshake may take, then CLOSE_CONNECT_TIMEOUT; 0: for ever. */
struct connection *connection_accept_over(struct loop *loop, struct chunk_pool *pool,
                                          struct transport *transport, const struct address *remote,
                                          uint64_t handshake_ms, const struct connection_ops *ops,
                                          void *owner);
/* Bytes that were read of it before it was a connection: input before all other. */
void connection_prefill(struct connection *c, struct buffer *bytes);
/* Over any transport, which it takes over (and runs its handshake). */
struct connection *connection_new(struct loop *loop, struct chunk_pool *pool,
                                  struct transport *transport, const struct connection_ops *ops,
                                  void *owner);

static inline void *connection_owner(const struct connection *c)
{
    CHECK_MAGIC(c, CONNECTION_MAGIC);
    return c->owner;
}
/* Hands the connection to other callbacks (codec chosen, upgrade, pool to stream). Input that was
 * left unread is shown to the new owner at the end of the turn. */
void connection_set_owner(struct connection *c, const struct connection_ops *ops, void *owner);

/* Queues all bytes of b (which is empty afterwards); flushed once, at the end of the turn. Dropped
 * when the connection is closing or its write side was shut down. */
void connection_write(struct connection *c, struct buffer *b);
void connection_write_bytes(struct connection *c, struct bytes x); /* copies */
/* Half-close: after what is queued is written, the peer sees the end. */
void connection_shutdown_write(struct connection *c);
/* For owners that make their output late, and all of a turn together. */
void connection_want_output(struct connection *c);
static inline bool connection_output_wanted(const struct connection *c)
{
    return c->output_wanted;
}
static inline size_t connection_output_len(const struct connection *c)
{
    return c->out.len;
}
static inline size_t connection_input_len(const struct connection *c) /* that was left */
{
    return c->in.len;
}

/* Counted: reads when every pause was resumed. Resuming shows left-over input again, at the end of
 * the turn. */
void connection_read_pause(struct connection *c);
void connection_read_resume(struct connection *c);
bool connection_read_paused(const struct connection *c);
/* Shows left-over input to on_data again at the end of this turn (unless paused). */
void connection_reread(struct connection *c);

void connection_set_half_close(struct connection *c, bool enabled);
void connection_set_buffer_limit(struct connection *c, uint32_t limit); /* 0: none */
/* How much input the owner may leave before reading stops: the buffer limit unless told. An owner
 * that waits for a whole piece sets it above the largest piece, or it would wait for ever. */
void connection_set_read_limit(struct connection *c, uint32_t limit);
static inline bool connection_above_watermark(const struct connection *c)
{
    return c->above;
}

enum close_how {
    CLOSE_NOW,         /* what is queued is dropped */
    CLOSE_ABORT,       /* the same, and the peer sees a reset */
    CLOSE_FLUSH,       /* writes what is queued, then closes */
    CLOSE_FLUSH_DELAY, /* flushes, shuts down, then waits for the peer's end, dropping its bytes */
};
/* delay_ms: for the two flushing kinds, how long may pass without progress before the connection is
 * closed all the same (Envoy's delayed_close_timeout), and on_close says
 * CLOSE_DELAYED_CLOSE_TIMEOUT; 0: FLUSH waits for ever, FLUSH_DELAY is FLUSH. Otherwise the first
 * call's reason counts; a later call may only hasten the end. */
void connection_close(struct connection *c, enum close_reason reason, enum close_how how,
                      uint64_t delay_ms);
bool connection_is_open(const struct connection *c);      /* not closing */
bool connection_is_connected(const struct connection *c); /* handshake done, not closing */
/* "delayed connect error: Connection refused" and the like: why it failed; "" when it did not.
 * Valid until on_close returns. */
const char *connection_failure(const struct connection *c);
int connection_errno(const struct connection *c);

static inline struct loop *connection_loop(const struct connection *c)
{
    return c->timer.loop;
}
static inline struct chunk_pool *connection_pool(const struct connection *c)
{
    return c->in.pool;
}
static inline struct transport *connection_transport(const struct connection *c)
{
    return c->transport;
}
struct bytes connection_protocol(const struct connection *c); /* ALPN, empty when none */
const struct address *connection_ask_local(struct connection *c);
/* Who has asked already tells it. */
static inline void connection_set_local(struct connection *c, const struct address *local)
{
    c->local = *local;
}
static inline const struct address *connection_local(struct connection *c) /* asked for once */
{
    return LIKELY(c->local.kind != ADDRESS_NONE) ? &c->local : connection_ask_local(c);
}
static inline const struct address *connection_remote(const struct connection *c)
{
    return &c->remote;
}
static inline uint64_t connection_bytes_read(const struct connection *c)
{
    return c->bytes_read;
}
static inline uint64_t connection_bytes_written(const struct connection *c)
{
    return c->bytes_written;
}
static inline const struct connection_times *connection_times(const struct connection *c)
{
    return &c->times;
}
static inline uint64_t connection_created_ms(const struct connection *c)
{
    return c->times.begun_ns / NS_PER_MS;
}
/* Milliseconds from the start to on_connected. */
uint64_t connection_connect_ms(const struct connection *c);
