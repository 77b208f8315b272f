#include "filters/http/example/example.h"

#include "dataplane/http/stream.h"

struct example_state {
    bool has_body; /* one thing remembered from the request until the response */
};

static enum filter_status on_request_headers(struct http_filter *f, struct headers *h, bool end)
{
    struct example_state *state = f->state;
    state->has_body = !end;
    return FILTER_CONTINUE;
}

static enum filter_status on_response_headers(struct http_filter *f, struct headers *h, bool end)
{
    const struct example_state *state = f->state;
    const struct example_config *config = filter_route_config(f);
    if (!config)
        config = f->config;
    headers_set(h, BYTES("x-example"), config->value);
    if (state->has_body)
        headers_set(h, BYTES("x-example-body"), BYTES("true"));
    return FILTER_CONTINUE;
}

const struct http_filter_ops example_filter = {
    .factory =
        {
            .name = "xylem.filters.http.example",
            .type_url = "google.protobuf.StringValue",
            .route_type_url = "google.protobuf.StringValue",
            .config_new = example_config_new,
            .route_config_new = example_config_new,
            .state_size = sizeof(struct example_state),
        },
    .on_request_headers = on_request_headers,
    .on_response_headers = on_response_headers,
};
