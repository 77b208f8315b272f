/* HTTP/1.1 request heads and paths. Pure. */
#pragma once

#include "http.h"

enum parse { PARSE_MORE, PARSE_DONE, PARSE_BAD };

struct http_head {
    char *method, *target;
    size_t head_len; /* with the empty line */
    size_t body_len;
    bool keep_alive, expect_continue;
    int status; /* what to answer when the head is bad */
};

/* Read the head of the request at the front of `in`. */
enum parse http_parse_head(const struct text *in, struct http_head *out);
void http_head_fini(struct http_head *h);
/* Split and decode the target. false: a broken escape. */
MUST_CHECK bool http_parse_target(const char *target, struct http_request *out);
void http_request_fini(struct http_request *r);
