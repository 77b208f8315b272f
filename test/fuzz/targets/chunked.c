/* The chunked coding against a plain reading of RFC 9112 section 7.1: the same verdict, the same
 * body, the same end; and what is encoded again is decoded to the same.
 *
 *     options, number of cuts, cuts..., bytes after the head */
#include "../h1_reader.h"

enum verdict { MORE, GOOD, BAD };

/* Reads a line from *rest: MORE when there is no LF, BAD when it does not end in CRLF. */
static enum verdict take_line(struct bytes *rest, struct bytes *line)
{
    ptrdiff_t lf = bytes_find_char(*rest, '\n');
    if (lf < 0)
        return MORE;
    *line = bytes_first(*rest, (size_t)lf + 1);
    *rest = bytes_skip(*rest, (size_t)lf + 1);
    if (line->len < 2 || line->data[line->len - 2] != '\r')
        return BAD;
    line->len -= 2;
    return GOOD;
}

static bool clean(struct bytes b)
{
    for (size_t i = 0; i < b.len; i++) {
        unsigned char c = (unsigned char)b.data[i];
        if ((c < 32 && c != '\t') || c == 127)
            return false;
    }
    return true;
}

static enum verdict read_size(struct bytes line, bool lenient, uint64_t *size)
{
    size_t digits = 0;
    *size = 0;
    for (; digits < line.len && strchr("0123456789abcdefABCDEF", line.data[digits]); digits++) {
        char c = ascii_lower(line.data[digits]);
        if (!c)
            break;
        if (digits == 16)
            return BAD;
        *size = *size * 16 + (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    if (!digits || *size > INT64_MAX)
        return BAD;
    line = bytes_skip(line, digits);
    while (lenient && line.len && (line.data[0] == ' ' || line.data[0] == '\t'))
        line = bytes_skip(line, 1);
    return !line.len || (line.data[0] == ';' && clean(line)) ? GOOD : BAD;
}

static bool is_token(struct bytes name)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!c || (!plain && !strchr(marks, c)))
            return false;
    }
    return name.len > 0;
}

/* The body in chunks; what follows the last one is left in *rest. */
static enum verdict read_chunks(struct bytes *rest, bool lenient, struct strbuf *body)
{
    for (;;) {
        struct bytes line;
        uint64_t size;
        size_t before = rest->len;
        enum verdict v = take_line(rest, &line);
        if (v == MORE ? before > 4096 : before - rest->len > 4096)
            return BAD;
        if (v == GOOD)
            v = read_size(line, lenient, &size);
        if (v != GOOD)
            return v;
        if (size == 0)
            return GOOD;
        if (rest->len < size)
            return MORE;
        strbuf_add_bytes(body, bytes_first(*rest, (size_t)size));
        *rest = bytes_skip(*rest, (size_t)size);
        if ((rest->len > 0 && rest->data[0] != '\r') || (rest->len > 1 && rest->data[1] != '\n'))
            return BAD;
        if (rest->len < 2)
            return MORE;
        *rest = bytes_skip(*rest, 2);
    }
}

static enum verdict read_trailers(struct bytes rest, const struct codec_options *o, size_t *left)
{
    struct bytes all = rest, line;
    size_t lines = 0;
    ptrdiff_t end = bytes_find(rest, BYTES("\r\n\r\n"));
    bool empty = bytes_starts_with(rest, BYTES("\r\n"));
    enum verdict found = GOOD;
    if (!empty && end < 0)
        return MORE;
    while (take_line(&rest, &line) == GOOD && line.len) {
        struct bytes value = line, name = bytes_split(&value, ':');
        if (!value.data || !is_token(name) || !clean(bytes_trim(value)) ||
            ++lines > o->max_headers_count)
            found = BAD;
    }
    if (all.len - rest.len > o->max_headers_bytes)
        found = BAD;
    *left = rest.len;
    return line.data && line.len == 0 && all.len > rest.len ? found : BAD;
}

static void check(const struct h1_reader *r, enum verdict v, struct bytes body, size_t left)
{
    const struct h1_message *m = &r->messages[0];
    switch (v) {
    case MORE:
        FUZZ_CHECK(!m->ended, "it has ended");
        break;
    case GOOD:
        FUZZ_CHECK(!r->error && m->ended, "%s", r->error ? r->error->message : "not ended");
        FUZZ_CHECK(r->left == left, "%zu bytes are left, not %zu", r->left, left);
        fuzz_same("body", strbuf_bytes(&m->body), body);
        break;
    case BAD:
        FUZZ_CHECK(r->error, "taken for good");
        break;
    }
}

static void read_both_ways(struct bytes bytes, struct bytes cuts, uint8_t options)
{
    bool downstream = options & 1;
    struct codec_options o = h1_options(downstream, 0);
    struct strbuf body = STRBUF_INIT, text = STRBUF_INIT;
    struct h1_reader r;
    size_t left = 0;
    struct bytes rest = bytes;
    enum verdict v = read_chunks(&rest, !downstream, &body);
    bool chunks_good = v == GOOD;
    if (chunks_good)
        v = read_trailers(rest, &o, &left);
    /* Lenient line ends and folds of a response's trailers are the response target's matter. */
    bool judged = !chunks_good || downstream || bytes_starts_with(rest, BYTES("\r\n"));
    strbuf_add_str(&text, downstream ? "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
                                     : "HTTP/1.1 200 OK\r\nTransfer-Encoding: ");
    strbuf_add_str(&text, "chunked\r\n\r\n");
    strbuf_add_bytes(&text, bytes);
    h1_reader_init(&r, &o, NULL);
    h1_reader_feed(&r, strbuf_bytes(&text), cuts, false);
    if (judged && !(v == MORE && r.error))
        check(&r, v, strbuf_bytes(&body), left);
    else if (judged) /* refused before its end was seen: then no end makes it good */
        FUZZ_CHECK(!r.messages[0].ended, "it has ended");
    h1_reader_fini(&r);
    strbuf_fini(&text);
    strbuf_fini(&body);
}

/* The bytes as a body in chunks of the cuts' sizes, encoded and decoded. */
static void there_and_back(struct bytes body, struct bytes cuts)
{
    static const struct codec_callbacks none;
    struct codec_options server = h1_options(true, 0), client = h1_options(false, 0);
    struct h1_reader r;
    struct headers h;
    struct fuzz_in in = {cuts};
    struct buffer part, out;
    h1_reader_init(&r, &server, NULL);
    buffer_init(&part, r.chunks);
    buffer_init(&out, r.chunks);
    struct codec *c = codec_h1_new(&client, &none, NULL, &out);
    struct codec_stream *s = c->ops->stream_new(c, NULL, NULL);
    headers_init(&h, r.arena);
    headers_add_id(&h, HEADER_METHOD, BYTES("POST"));
    headers_add_id(&h, HEADER_PATH, BYTES("/"));
    headers_add_id(&h, HEADER_AUTHORITY, BYTES("a"));
    c->ops->send_headers(s, &h, false);
    for (struct bytes rest = body;;) {
        struct bytes first = bytes_first(rest, in.rest.len ? fuzz_u8(&in) : rest.len);
        rest = bytes_skip(rest, first.len);
        buffer_add_bytes(&part, first);
        c->ops->send_data(s, &part, !rest.len);
        if (!rest.len)
            break;
    }
    char *text = arena_alloc(r.arena, out.len);
    size_t len = buffer_copy(&out, 0, text, out.len);
    h1_reader_feed(&r, bytes_from(text, len), cuts, false);
    check(&r, GOOD, body, 0);
    c->ops->free(&c);
    buffer_fini(&out);
    buffer_fini(&part);
    h1_reader_fini(&r);
}

static void run(struct bytes input)
{
    struct fuzz_in in = {input};
    uint8_t options = fuzz_u8(&in);
    struct bytes cuts = fuzz_take(&in, fuzz_below(&in, 32));
    read_both_ways(in.rest, cuts, options);
    there_and_back(in.rest, cuts);
}

const struct fuzz_target fuzz_target = {.run = run};
