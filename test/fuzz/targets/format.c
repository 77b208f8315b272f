/* Access-log formats against streams of made-up values: a text format and a JSON format are refused
 * with a sentence, or print the same each time; what a JSON format prints is one JSON value; a
 * length is kept.
 *
 *     how, values of the stream (48), length of the header values, header values, format */
#include "../config_world.h"
#include "config/json_read.h"
#include "config/wire.h"
#include "config/yaml.h"
#include "dataplane/http/format.h"
#include "dataplane/http/stream_error.h"
#include "dataplane/http/stream_internal.h"
#include "dataplane/net/loop_fake.h"
#include "dataplane/net/transport_pair.h"

#define FILE_LOG "envoy.extensions.access_loggers.file.v3.FileAccessLog"

/* A stream on a connection over memory, with what operators look at. */
struct scene {
    struct clock_fake clock;
    struct worker worker;
    struct connection *client, *server;
    struct filter_chain chain;
    struct chain_binding binding;
    struct http_conn conn;
    struct stream_private priv;
    struct route route;
    struct stream s;
};

static void on_data(struct connection *c UNUSED, struct buffer *in, bool end UNUSED)
{
    buffer_drain(in, in->len);
}

static void on_close(struct connection *c UNUSED, enum close_reason reason UNUSED)
{
}

static const struct connection_ops ops = {.on_data = on_data, .on_close = on_close};

static void scene_open(struct scene *x)
{
    struct error err = ERROR_INIT;
    struct transport *ends[2];
    clock_fake_init(&x->clock);
    x->worker = (struct worker){.magic = WORKER_MAGIC, .slot = STAT_SLOT_WORKER0};
    x->worker.loop = loop_new(&x->clock.clock, &err);
    x->worker.chunks = chunk_pool_new(NULL, 0);
    random_seed(&x->worker.random, 1);
    transport_pair_new(x->worker.loop, x->worker.chunks, 16 * 1024, ends);
    x->client = connection_new(x->worker.loop, x->worker.chunks, ends[0], &ops, x);
    x->server = connection_new(x->worker.loop, x->worker.chunks, ends[1], &ops, x);
}

static void scene_close(struct scene *x)
{
    connection_close(x->client, CLOSE_LOCAL_RESET, CLOSE_NOW, 0);
    connection_close(x->server, CLOSE_LOCAL_RESET, CLOSE_NOW, 0);
    loop_fake_turn(x->worker.loop);
    loop_free(&x->worker.loop);
    chunk_pool_free(&x->worker.chunks);
}

static struct address some_address(struct fuzz_in *in)
{
    struct address a = {0};
    uint8_t kind = fuzz_u8(in);
    static const char *const texts[] = {"10.0.0.1", "::1", "255.255.255.255", "2001:db8::ff"};
    if (kind & 1 && !address_parse_ip(bytes_of(texts[kind >> 1 & 3]), kind, &a))
        a.kind = ADDRESS_NONE;
    return a;
}

static void fill_info(struct scene *x, struct fuzz_in *in)
{
    struct stream_info *i = &x->s.info;
    uint64_t *times[] = {&i->start_wall_ns,        &i->start_ns,
                         &i->request_end_ns,       &i->upstream_last_tx_ns,
                         &i->upstream_first_rx_ns, &i->end_ns};
    for (unsigned t = 0; t < ARRAY_SIZE(times); t++) {
        uint64_t v = fuzz_u8(in);
        *times[t] = v << (fuzz_u8(in) % 56);
    }
    i->bytes_received = fuzz_u8(in) - 1u;
    i->bytes_sent = fuzz_u64(in);
    i->flags = (uint32_t)(fuzz_u64(in) & ((UINT64_C(1) << RESPONSE_FLAG_COUNT) - 1));
    i->status = fuzz_u8(in) * 4u;
    i->details = fuzz_bool(in) ? "via_upstream" : NULL;
    i->termination_details = fuzz_bool(in) ? "a \"b\"" : NULL;
    i->upstream_failure_reason = fuzz_bool(in) ? BYTES("reset\n") : BYTES_NONE;
    i->upstream_cluster = fuzz_bool(in) ? BYTES("c") : BYTES_NONE;
    i->upstream_address = some_address(in);
    i->upstream_local_address = some_address(in);
    i->has_upstream_address = i->upstream_address.kind != ADDRESS_NONE;
    i->has_upstream_local_address = i->upstream_local_address.kind != ADDRESS_NONE;
    i->attempts = fuzz_u8(in);
    x->s.remote = some_address(in);
    x->priv.finished = fuzz_bool(in);
    x->s.request.protocol = (enum http_protocol)(fuzz_u8(in) % 3);
}

static void fill_headers(struct scene *x, struct bytes values)
{
    static const char *const names[] = {"x-a", ":path",      ":method",     "x-b",       "x-a",
                                        "te",  ":authority", "grpc-status", "user-agent"};
    struct headers *lists[] = {&x->s.request_headers, &x->s.response_headers,
                               &x->s.response_trailers, &x->s.request_trailers};
    struct fuzz_in in = {values};
    for (unsigned i = 0; i < ARRAY_SIZE(lists); i++)
        headers_init(lists[i], x->s.arena);
    while (in.rest.len > 1) {
        uint8_t where = fuzz_u8(&in);
        struct bytes value = fuzz_take(&in, fuzz_u8(&in) % 24);
        headers_add(lists[where & 3], bytes_of(names[(where >> 2) % ARRAY_SIZE(names)]),
                    value.data ? value : BYTES(""));
    }
}

static void fill(struct scene *x, struct fuzz_in *in)
{
    struct fuzz_in numbers = {fuzz_take(in, 48)};
    x->binding.chain = &x->chain;
    x->chain.name = BYTES("chain");
    x->conn.connection = x->server;
    x->conn.binding = &x->binding;
    x->conn.worker = &x->worker;
    x->s.magic = STREAM_MAGIC;
    x->s.worker = &x->worker;
    x->s.conn = &x->conn;
    x->s.priv = &x->priv;
    x->s.arena = arena_new(0);
    fill_info(x, &numbers);
    x->route.name = BYTES("route");
    x->s.route_matched = fuzz_bool(&numbers);
    x->s.route.route = fuzz_bool(&numbers) ? &x->route : NULL;
    struct bytes values = fuzz_take(in, fuzz_u8(in));
    fill_headers(x, values);
    x->binding.listener_metadata = x->s.info.cluster_metadata = values; /* whatever they are */
}

static bool is_random(const struct format *f)
{
    for (unsigned i = 0; i < f->n_parts; i++) {
        const struct format_part *p = &f->parts[i];
        struct format among = {.parts = p->among.parts, .n_parts = p->among.n_parts};
        if (p->op == FORMAT_UNIQUE_ID || (p->op == FORMAT_COALESCE && is_random(&among)))
            return true;
    }
    return false;
}

static void check_text(struct scene *x, const struct format *f)
{
    struct strbuf one = STRBUF_INIT, other = STRBUF_INIT;
    format_text(&x->s, f, &one);
    format_text(&x->s, f, &other);
    if (!is_random(f))
        fuzz_same("the same format", strbuf_bytes(&one), strbuf_bytes(&other));
    if (f->n_parts == 1 && f->parts[0].op != FORMAT_LITERAL && one.len != 1) /* "-" */
        FUZZ_CHECK(one.len <= f->parts[0].max_length, "%zu bytes, not %u", one.len,
                   f->parts[0].max_length);
    (void)format_stream(f, &x->s);
    strbuf_fini(&one);
    strbuf_fini(&other);
}

static void text_format(struct scene *x, struct bytes text, bool omit)
{
    struct format f = {.omit_empty = omit};
    struct error err = ERROR_INIT;
    if (format_compile(x->s.arena, text, &f, &err))
        check_text(x, &f);
    else
        FUZZ_CHECK(*error_text(&err), "refused without a word");
    error_fini(&err);
}

static void check_log(struct scene *x, const struct access_log *log)
{
    struct strbuf out = STRBUF_INIT;
    struct error err = ERROR_INIT;
    if (log->is_json) {
        format_json(&x->s, &log->json, log->omit_empty, &out);
        FUZZ_CHECK(json_parse(x->s.arena, "fuzz", strbuf_bytes(&out), &err), "%s: %s",
                   error_text(&err), strbuf_str(&out));
    } else {
        check_text(x, &log->format);
    }
    strbuf_fini(&out);
}

static void put_sub(struct strbuf *out, uint32_t number, struct strbuf *sub)
{
    wire_put_bytes(out, number, strbuf_bytes(sub));
    strbuf_fini(sub);
}

/* The text as the json_format of a file's access log; omit_empty_values is field 3. */
static void json_format(struct scene *x, struct bytes text, bool omit)
{
    struct error err = ERROR_INIT;
    struct bytes body;
    struct access_log *log = NULL;
    struct strbuf format = STRBUF_INIT, file = STRBUF_INIT, any = STRBUF_INIT, out = STRBUF_INIT;
    struct arena *a = x->s.arena;
    struct decode_context ctx = {.descriptors = world_descriptors, .validator = world_validator};
    struct yaml_node *n = yaml_parse(a, "fuzz", text, &err);
    if (n &&
        json_read(world_descriptors, n, BYTES("google.protobuf.Struct"), NULL, a, &body, &err)) {
        wire_put_bytes(&format, 2, body);
        if (omit)
            strbuf_add_str(&format, "\x18\x01");
        wire_put_bytes(&file, 1, BYTES("/dev/null"));
        put_sub(&file, 5, &format);
        wire_put_bytes(&any, 1, BYTES("type.googleapis.com/" FILE_LOG));
        put_sub(&any, 2, &file);
        wire_put_bytes(&out, 1, BYTES("log"));
        put_sub(&out, 4, &any);
        if (access_log_decode(&ctx, a, strbuf_bytes(&out), &log, &err)) {
            check_log(x, log);
            access_log_fini(log);
        }
    }
    FUZZ_CHECK(log || *error_text(&err), "refused without a word");
    strbuf_fini(&out);
    error_fini(&err);
}

static void run(struct bytes input)
{
    static struct scene x;
    struct fuzz_in in = {input};
    memset(&x, 0, sizeof(x));
    uint8_t how = fuzz_u8(&in);
    scene_open(&x);
    fill(&x, &in);
    if (how & 1)
        json_format(&x, in.rest, how & 2);
    else
        text_format(&x, in.rest, how & 2);
    arena_free(&x.s.arena);
    scene_close(&x);
}

/* ---- mutations ---- */

static const char *const operators[] = {
#define X(name, syntax) #name,
    FORMAT_OP_LIST(X)
#undef X
};

static void put_operator(struct random_source *random, struct strbuf *out)
{
    static const char *const more[] = {
        "",
        "(X-A)",
        "(:PATH?X-B):3",
        "(%s.%3f)",
        "(%Y%%)",
        "(GRPC)",
        "(NO)",
        "(SNAKE)",
        ":5",
        "(x-a):1",
        "(HOME)",
        "(%E3S%f)",
        "(",
        "()",
        "(a?b?c)",
        "(CLUSTER:a:b)",
        "(LISTENER:n.s)",
        "(n.s:o:i)",
        "(DECODED)",
        "(HOST_FIRST:ORIG)",
        "(8)",
        "(US_RX_BEG:US_RX_END:ns)",
        "({\"operators\":[\"TRACE_ID\",\"PROTOCOL\"]})",
        "({\"operators\":[{\"command\":\"REQ\",\"param\":\"x-a\",\"max_length\":2}]})"};
    strbuf_printf(out, "%%%s%s%%", operators[random_below(random, ARRAY_SIZE(operators))],
                  more[random_below(random, ARRAY_SIZE(more))]);
}

static void put_json(struct random_source *random, struct strbuf *out, unsigned depth)
{
    static const char *const plain[] = {"1", "true", "null", "2.5", "\"x\"", "\"\""};
    uint64_t kind = random_below(random, depth > 3 ? 2 : 4);
    if (kind == 0) {
        strbuf_add_str(out, plain[random_below(random, ARRAY_SIZE(plain))]);
    } else if (kind == 1) {
        strbuf_add_char(out, '"');
        put_operator(random, out);
        if (random_below(random, 3) == 0)
            put_operator(random, out);
        strbuf_add_char(out, '"');
    } else {
        strbuf_add_char(out, kind == 2 ? '{' : '[');
        for (uint64_t i = 0, n = random_below(random, 4); i < n; i++) {
            if (kind == 2)
                strbuf_printf(out, "\"k%d\": ", (int)i);
            put_json(random, out, depth + 1);
            strbuf_add_char(out, i + 1 < n ? ',' : ' ');
        }
        strbuf_add_char(out, kind == 2 ? '}' : ']');
    }
}

static void mutate(struct random_source *random, struct bytes input, struct strbuf *out)
{
    uint8_t data[600];
    if (input.len > 60 && input.len < 550 && random_below(random, 4)) {
        memcpy(data, input.data, input.len);
        size_t n = fuzz_mutate_bytes(data, input.len, sizeof(data));
        strbuf_add(out, data, n);
        return;
    }
    strbuf_add_char(out, (char)random_below(random, 4));
    for (int i = 0; i < 48; i++)
        strbuf_add_char(out, (char)random_u64(random));
    unsigned n = (unsigned)random_below(random, 60);
    strbuf_add_char(out, (char)n);
    for (unsigned i = 0; i < n; i++)
        strbuf_add_char(out, (char)random_below(random, random_below(random, 4) ? 128 : 256));
    if (out->data[0] & 1) {
        strbuf_add_str(out, "{a: ");
        put_json(random, out, 0);
        strbuf_add_char(out, '}');
    }
    for (uint64_t k = out->data[0] & 1 ? 0 : 1 + random_below(random, 4); k > 0; k--) {
        put_operator(random, out);
        strbuf_add_str(out, random_below(random, 2) ? " x%% " : "");
    }
}

const struct fuzz_target fuzz_target = {.run = run, .setup = config_world_setup, .mutate = mutate};
