/* Shared by the files of the control port: replies and parameters. Main thread only. */
#pragma once

#include "control.h"
#include "http.h"

struct wait;

struct control {
    struct publisher *publisher;
    struct hub *hub;
    struct http_server *http;
    struct wait *waits; /* parked requests */
};

void reply_json(struct http_conn *c, int status, struct text *body);
void reply_error(struct http_conn *c, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The type URL of a type, nickname or URL; NULL (and an error reply) when it is none. The caller
 * frees it. */
char *type_param(struct control *ctl, struct http_conn *c, const char *type);
/* Is the word one of those in the list, which spaces separate? */
bool word_in(const char *list, const char *word);
/* Does the query have these keys alone? Else it is answered with 400. */
MUST_CHECK bool query_known(struct http_conn *c, const struct http_request *r, const char *keys);
/* Seconds ("10", "0.5", "5s") or milliseconds ("500ms") as microseconds. */
MUST_CHECK bool read_timeout(const char *text, uint64_t *us);

/* control_wait.c */
void handle_wait(struct control *ctl, struct http_conn *c, const struct http_request *r);
/* Events as lines; `full` adds each request as it was sent. Parks where `wait` asks for it. */
void handle_events(struct control *ctl, struct http_conn *c, const struct http_request *r,
                   bool full);
/* Answer every parked request that can be answered now. */
void waits_run(struct control *ctl);
void waits_forget(struct control *ctl, struct http_conn *c);

/* control_fault.c */
void handle_fault(struct control *ctl, struct http_conn *c, const struct http_request *r);

/* control_rest.c */
void handle_rest(struct control *ctl, struct http_conn *c, const struct http_request *r);

/* control_resources.c */
void handle_resources(struct control *ctl, struct http_conn *c, const struct http_request *r);
