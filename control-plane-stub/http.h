/* A small HTTP/1.1 server on a poll loop: one thread, no locks, every reply at once or parked.
 *
 * The server owns its connections and requests. A handler answers with http_reply(), or leaves the
 * request unanswered ("parked") and answers it later. */
#pragma once

#include "strmap.h"
#include "text.h"

#include <poll.h>

struct http_conn {
    int fd;
    struct text in, out;
    size_t sent;
    bool parked;  /* a request waits for its answer */
    bool closing; /* close once `out` is written */
    bool eof;     /* the client sends nothing more */
    bool dead;
    bool continued; /* "100 Continue" went out for this request */
    bool outside;   /* came by the xDS port */
    void *wait;     /* the handler's, while parked */
};

struct http_request {
    const char *method;
    char **segments; /* of the path, percent-decoded; the third takes the rest of the path */
    size_t segment_count;
    struct strmap query; /* char *, decoded */
    const char *body;
    size_t body_len;
};

struct http_server;

struct http_handler {
    /* Answer, or park and keep the connection in mind. */
    void (*request)(void *user, struct http_conn *c, const struct http_request *r);
    /* A parked connection goes away: forget it. */
    void (*gone)(void *user, struct http_conn *c);
};

MUST_CHECK bool http_start(struct http_server **out, const char *address,
                           const struct http_handler *handler, void *user, struct error *err);
void http_stop(struct http_server **s);
/* Serve this connection too, which came by the xDS port. false: there are too many; it stays the
 * caller's. */
MUST_CHECK bool http_adopt(struct http_server *s, int fd);
int http_port(const struct http_server *s);
size_t http_poll_fds(struct http_server *s, struct pollfd *fds, size_t room);
void http_run(struct http_server *s, const struct pollfd *fds, size_t count);
/* Answer the request of this connection. */
void http_reply(struct http_conn *c, int status, const char *content_type, const char *body,
                size_t len);
/* The query parameter, or NULL. */
const char *http_query(const struct http_request *r, const char *key);
