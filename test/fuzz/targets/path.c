/* Path normalisation: twice is once; the path that routes are matched on is the path that goes
 * upstream; and no reader who decodes what needs no escape, and removes dot segments as RFC 3986
 * says, comes to another path than the one that was matched.
 *
 *     options, path */
#include "../h1_reader.h"
#include "dataplane/http/stream_internal.h"

static struct stat_store *stats;
static struct http_manager manager;
static struct worker worker = {.magic = WORKER_MAGIC, .slot = STAT_SLOT_WORKER0};

static void setup(void)
{
    stats = stat_store_new(3);
    manager.stats = stat_scope_get(stats, BYTES("http.fuzz"), &http_stat_schema);
}

static int hex(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *p = c ? strchr(digits, ascii_lower(c)) : NULL;
    return p ? (int)(p - digits) : -1;
}

/* An origin's reading: unreserved escapes decoded, dot segments removed, one slash for several. */
static struct bytes origin_reading(struct arena *a, struct bytes path)
{
    char *decoded = arena_alloc(a, path.len + 1), *out = arena_alloc(a, path.len + 2);
    size_t n = 0, len = 0;
    for (size_t i = 0; i < path.len; i++) {
        int high = i + 2 < path.len && path.data[i] == '%' ? hex(path.data[i + 1]) : -1;
        int low = high >= 0 ? hex(path.data[i + 2]) : -1;
        char c = low >= 0 ? (char)(high << 4 | low) : 0;
        bool plain = low >= 0 && c &&
                     strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                            "0123456789-._~",
                            c);
        decoded[n++] = plain ? c : path.data[i];
        i += plain ? 2 : 0;
    }
    struct bytes rest = bytes_skip(bytes_from(decoded, n), 1);
    while (rest.data) {
        bool last = bytes_find_char(rest, '/') < 0;
        struct bytes segment = bytes_split(&rest, '/');
        bool one = bytes_eq(segment, BYTES(".")), two = bytes_eq(segment, BYTES(".."));
        while (two && len && out[--len] != '/')
            ;
        if ((one || two) && !last)
            continue;
        out[len++] = '/';
        if (!one && !two) {
            memcpy(out + len, segment.data, segment.len);
            len += segment.len;
        }
    }
    return bytes_from(out, len);
}

static const struct stream_error *normalise(struct stream *s, struct bytes path)
{
    headers_init(&s->request_headers, s->arena);
    headers_init(&s->response_headers, s->arena);
    headers_add_id(&s->request_headers, HEADER_METHOD, BYTES("GET"));
    headers_add_id(&s->request_headers, HEADER_AUTHORITY, BYTES("a"));
    headers_add_id(&s->request_headers, HEADER_PATH, path);
    return hcm_normalize_path(s);
}

/* The request as it is sent upstream, read by a server. */
static struct bytes path_upstream(struct stream *s, struct h1_reader *origin)
{
    static const struct codec_callbacks none;
    struct codec_options client = h1_options(false, 0), server = h1_options(true, 0);
    server.max_headers_bytes = 1 << 20;
    h1_reader_init(origin, &server, NULL);
    struct codec *c = codec_h1_new(&client, &none, NULL, &origin->in);
    struct codec_stream *up = c->ops->stream_new(c, NULL, NULL);
    c->ops->send_headers(up, &s->request_headers, true);
    origin->codec->ops->input(origin->codec, &origin->in);
    c->ops->free(&c);
    FUZZ_CHECK(!origin->error && origin->n == 1 && origin->messages[0].ended, "%s",
               origin->error ? origin->error->message : "not one request");
    return headers_get(&origin->messages[0].head, HEADER_PATH);
}

static void check(struct stream *s)
{
    struct h1_reader origin;
    struct bytes once = headers_get(&s->request_headers, HEADER_PATH);
    stream_read_request(s);
    fuzz_same("path matched", once, s->request.path);
    fuzz_same("path upstream", once, path_upstream(s, &origin));
    fuzz_same("path before the query", s->request.path_only,
              bytes_first(once, s->request.path_only.len));
    if (manager.normalize_path)
        fuzz_same("path as an origin reads it", s->request.path_only,
                  origin_reading(s->arena, s->request.path_only));
    if (manager.merge_slashes)
        FUZZ_CHECK(bytes_find(s->request.path_only, BYTES("//")) < 0, "%.*s", BYTES_ARG(once));
    const struct stream_error *e = normalise(s, once);
    FUZZ_CHECK(!e, "%s is refused the second time", e->details);
    fuzz_same("normalised twice", once, headers_get(&s->request_headers, HEADER_PATH));
    h1_reader_fini(&origin);
}

/* What the codec lets into a path, and the connection manager before this. */
static bool can_come(struct bytes path)
{
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.data[i];
        if (c < 0x21 || c >= 0x7f || c == '#')
            return false;
    }
    return path.len && path.data[0] == '/';
}

static void run(struct bytes input)
{
    struct fuzz_in in = {input};
    uint8_t options = fuzz_u8(&in);
    struct stream_private priv = {0};
    struct stream s = {.manager = &manager, .worker = &worker, .priv = &priv};
    if (!can_come(in.rest))
        return;
    manager.normalize_path = options & 1;
    manager.merge_slashes = options & 2;
    manager.escaped_slashes = (enum escaped_slashes)(options >> 2 & 3);
    s.arena = arena_new(0);
    const struct stream_error *e = normalise(&s, in.rest);
    if (!e || e == stream_error_get(STREAM_ERROR_PATH_REDIRECT))
        check(&s);
    arena_free(&s.arena);
}

const struct fuzz_target fuzz_target = {.run = run, .setup = setup};
