#include "filters/http/missing_config/missing_config.h"

#include "dataplane/http/stream.h"

static enum filter_status on_request_headers(struct http_filter *f, struct headers *h, bool end)
{
    stream_local_reply(f->stream, stream_error_get(STREAM_ERROR_FILTER_CONFIG_MISSING), NULL, NULL);
    return FILTER_REPLIED;
}

const struct http_filter_ops missing_config_filter = {
    .factory = {.name = "xylem.filters.http.missing_config", .type_url = ""},
    .on_request_headers = on_request_headers,
};
