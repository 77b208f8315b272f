#include "dataplane/http/stream.h"
#include "sim.h"

static struct gate {
    const struct sim_scenario *scenario;
    struct http_filter *filter;
    bool held[2]; /* by direction */
} gate;

void sim_gate_set(const struct sim_scenario *sc)
{
    gate = (struct gate){.scenario = sc};
}

bool sim_gate_step(void)
{
    for (int dir = FILTER_REQUEST; dir <= FILTER_RESPONSE; dir++) {
        if (!gate.filter || !gate.held[dir])
            continue;
        gate.held[dir] = false;
        filter_resume(gate.filter, (enum filter_direction)dir);
        return true;
    }
    return false;
}

static enum filter_status pass(struct http_filter *f, unsigned hook, bool end)
{
    if (!bytes_eq(f->stream->request.path_only, BYTES("/s")))
        return FILTER_CONTINUE;
    gate.filter = f;
    if (gate.scenario->reply_at == hook + 1) {
        stream_local_reply(f->stream, stream_error_get(STREAM_ERROR_UPGRADE_FAILED), "no", "gate");
        return FILTER_REPLIED;
    }
    enum filter_status st = gate.scenario->gate[hook];
    if (st == FILTER_PAUSE || (st == FILTER_BUFFER && end))
        gate.held[hook >= 3] = true;
    return st == FILTER_BUFFER && end && hook % 3 ? FILTER_CONTINUE : st;
}

static enum filter_status request_headers(struct http_filter *f, struct headers *h, bool end)
{
    return pass(f, 0, end);
}

static enum filter_status request_data(struct http_filter *f, struct buffer *data, bool end)
{
    return pass(f, 1, end);
}

static enum filter_status request_trailers(struct http_filter *f, struct headers *h)
{
    return pass(f, 2, true);
}

static enum filter_status response_headers(struct http_filter *f, struct headers *h, bool end)
{
    return pass(f, 3, end);
}

static enum filter_status response_data(struct http_filter *f, struct buffer *data, bool end)
{
    return pass(f, 4, end);
}

static enum filter_status response_trailers(struct http_filter *f, struct headers *h)
{
    return pass(f, 5, true);
}

static void destroy(struct http_filter *f)
{
    if (gate.filter == f)
        gate.filter = NULL;
}

const struct http_filter_ops sim_gate_filter = {
    .factory = {.name = "test.gate", .type_url = "test.Gate"},
    .on_request_headers = request_headers,
    .on_request_data = request_data,
    .on_request_trailers = request_trailers,
    .on_response_headers = response_headers,
    .on_response_data = response_data,
    .on_response_trailers = response_trailers,
    .on_destroy = destroy,
};
