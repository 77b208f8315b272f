#include "dataplane/http/codec_h1_internal.h"

/* Token bytes of RFC 9110, lowered; 0 for every other byte. */
static const char token_lower[256] = {
    ['!'] = '!', ['#'] = '#', ['$'] = '$', ['%'] = '%', ['&'] = '&', ['\''] = '\'', ['*'] = '*',
    ['+'] = '+', ['-'] = '-', ['.'] = '.', ['^'] = '^', ['_'] = '_', ['`'] = '`',   ['|'] = '|',
    ['~'] = '~', ['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4',   ['5'] = '5',
    ['6'] = '6', ['7'] = '7', ['8'] = '8', ['9'] = '9', ['a'] = 'a', ['b'] = 'b',   ['c'] = 'c',
    ['d'] = 'd', ['e'] = 'e', ['f'] = 'f', ['g'] = 'g', ['h'] = 'h', ['i'] = 'i',   ['j'] = 'j',
    ['k'] = 'k', ['l'] = 'l', ['m'] = 'm', ['n'] = 'n', ['o'] = 'o', ['p'] = 'p',   ['q'] = 'q',
    ['r'] = 'r', ['s'] = 's', ['t'] = 't', ['u'] = 'u', ['v'] = 'v', ['w'] = 'w',   ['x'] = 'x',
    ['y'] = 'y', ['z'] = 'z', ['A'] = 'a', ['B'] = 'b', ['C'] = 'c', ['D'] = 'd',   ['E'] = 'e',
    ['F'] = 'f', ['G'] = 'g', ['H'] = 'h', ['I'] = 'i', ['J'] = 'j', ['K'] = 'k',   ['L'] = 'l',
    ['M'] = 'm', ['N'] = 'n', ['O'] = 'o', ['P'] = 'p', ['Q'] = 'q', ['R'] = 'r',   ['S'] = 's',
    ['T'] = 't', ['U'] = 'u', ['V'] = 'v', ['W'] = 'w', ['X'] = 'x', ['Y'] = 'y',   ['Z'] = 'z',
};

bool h1_is_token_char(char c)
{
    return token_lower[(unsigned char)c] != 0;
}

static bool value_byte_ok(char c)
{
    return ((unsigned char)c >= 0x20 && c != 0x7f) || c == '\t';
}

static bool value_bytes_ok(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!value_byte_ok(p[i]))
            return false;
    }
    return true;
}

/* Control bytes, and tabs: those are looked at closely. */
static inline uint64_t odd_bytes(const char *p)
{
    return h1_odd_bytes(h1_load_8(p), ' ');
}

bool h1_value_ok(struct bytes v)
{
    uint64_t odd = 0;
    if (v.len < 4)
        return value_bytes_ok(v.data, v.len);
    if (v.len < 8) { /* as eight, some of them twice */
        char eight[8];
        memcpy(eight, v.data, 4);
        memcpy(eight + 4, v.data + v.len - 4, 4);
        return LIKELY(!odd_bytes(eight)) || value_bytes_ok(v.data, v.len);
    }
    for (size_t i = 0; i + 8 < v.len; i += 8)
        odd |= odd_bytes(v.data + i);
    odd |= odd_bytes(v.data + v.len - 8); /* what is left, with some of what was seen */
    return LIKELY(!odd) || value_bytes_ok(v.data, v.len);
}

/* The first byte from p on that a value may not hold, or end. */
static char *value_end(char *p, char *end)
{
    uint64_t odd = 0;
    while (end - p >= 8 && !(odd = odd_bytes(p)))
        p += 8;
    if (odd && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
        p += __builtin_ctzll(odd) / 8;
    while (p < end && value_byte_ok(*p))
        p++;
    return p;
}

bool h1_has_token(struct bytes value, struct bytes token)
{
    struct bytes rest = value;
    while (rest.data) {
        if (bytes_eq_nocase(bytes_trim(bytes_split(&rest, ',')), token))
            return true;
    }
    return false;
}

bool h1_find_lf(const struct buffer *in, size_t from, size_t *at)
{
    size_t base = 0;
    for (const struct slice *s = in->head; s; s = s->next) {
        if (from < base + s->len) {
            size_t skip = from > base ? from - base : 0;
            const char *p = memchr(s->data + skip, '\n', s->len - skip);
            if (p) {
                *at = base + (size_t)(p - s->data);
                return true;
            }
        }
        base += s->len;
    }
    return false;
}

void h1_scan_reset(struct codec_h1 *h)
{
    h->scanned = h->line_start = 0;
    h->lines = 0;
}

static char byte_at(const struct buffer *in, const char *flat, size_t at)
{
    char c = 0;
    if (flat)
        return flat[at];
    buffer_copy(in, at, &c, 1);
    return c;
}

/* A head has one more: its first. Of trailers that nobody gets the bytes alone count. */
static uint32_t most_lines(const struct codec_h1 *h)
{
    uint32_t max = h->c.options.max_headers_count;
    if (LIKELY(h->recv == H1_RECV_HEAD))
        return max + 1;
    return h->c.options.enable_trailers ? max : UINT32_MAX;
}

/* The limits are judged here, on bytes still in the input: nothing was allocated for them yet. */
enum h1_scan h1_scan_head(struct codec_h1 *h, const struct buffer *in, size_t *head_len)
{
    uint32_t lines = h->lines, lines_max = most_lines(h);
    size_t from = h->scanned, line_start = h->line_start;
    size_t bytes_max = h->c.options.max_headers_bytes;
    const char *flat = in->head->len == in->len ? in->head->data : NULL; /* mostly */
    enum h1_scan found = H1_SCAN_MORE;
    while (found == H1_SCAN_MORE) {
        size_t lf;
        const char *p = flat ? memchr(flat + from, '\n', in->len - from) : NULL;
        if (LIKELY(p != NULL)) {
            lf = (size_t)(p - flat);
        } else if (flat || !h1_find_lf(in, from, &lf)) {
            from = in->len;
            found = from > bytes_max ? H1_SCAN_TOO_LARGE : H1_SCAN_MORE;
            break;
        }
        from = lf + 1;
        if (UNLIKELY(from > bytes_max))
            found = H1_SCAN_TOO_LARGE;
        else if (lf == line_start ||
                 (lf == line_start + 1 && byte_at(in, flat, line_start) == '\r'))
            found = H1_SCAN_FOUND;
        else if (UNLIKELY(++lines > lines_max))
            found = H1_SCAN_TOO_MANY;
        line_start = from;
    }
    h->scanned = from;
    h->lines = lines;
    *head_len = h->line_start = line_start;
    return found;
}

static const struct codec_error *store_field(struct codec_h1 *h, struct headers *out,
                                             struct bytes name, struct bytes value, bool trailers)
{
    if (!out)
        return NULL;
    if (h->c.options.underscores != CODEC_UNDERSCORES_ALLOW && bytes_find_char(name, '_') >= 0) {
        if (h->c.options.underscores == CODEC_UNDERSCORES_REJECT)
            return &h1_error_underscore;
        return NULL;
    }
    enum header_id id = header_id_of(name);
    if (trailers && header_forbidden_in_trailers(id))
        return NULL;
    if (id == HEADER_HOST && h->c.options.downstream && !trailers) {
        if (h->host_seen)
            return &h1_error_host_lines;
        h->host_seen = true;
        h->host = value;
        return NULL;
    }
    if (id != HEADER_OTHER)
        headers_add_id(out, id, value);
    else
        headers_add_other(out, name, value);
    return NULL;
}

/* Finds the end of the line at p: *text_end is where its text ends, the result what follows. NULL:
 * the line ends in a way that is not accepted. Folded lines of a response are joined by spaces. */
static char *line_end(const struct codec_h1 *h, char *p, char *end, char **text_end)
{
    char *from = p;
    for (;;) {
        char *lf = memchr(from, '\n', (size_t)(end - from));
        if (!lf)
            return NULL;
        bool crlf = lf > p && lf[-1] == '\r';
        if (!crlf && h->c.options.downstream)
            return NULL;
        *text_end = crlf ? lf - 1 : lf;
        bool fold = lf + 1 < end && (lf[1] == ' ' || lf[1] == '\t') && *text_end > p;
        if (!fold || h->c.options.downstream)
            return lf + 1;
        memset(*text_end, ' ', (size_t)(lf + 1 - *text_end));
        from = lf + 1;
    }
}

/* The value of the line at p, which begins at `from`, and what follows the line: the usual one, a
 * run of good bytes that ends in CRLF. False: look closely. */
static inline bool plain_value(const struct codec_h1 *h, char *from, char *end, struct bytes *value,
                               char **next)
{
    char *stop = value_end(from, end);
    if (end - stop < 2 || stop[0] != '\r' || stop[1] != '\n')
        return false;
    *next = stop + 2;
    if (!h->c.options.downstream && *next < end && (**next == ' ' || **next == '\t'))
        return false; /* folded */
    while (from < stop && (*from == ' ' || *from == '\t'))
        from++;
    while (stop > from && (stop[-1] == ' ' || stop[-1] == '\t'))
        stop--;
    *value = bytes_from(from, (size_t)(stop - from));
    return true;
}

static const struct codec_error *odd_value(const struct codec_h1 *h, char *line, char *from,
                                           char *end, struct bytes *value, char **next)
{
    char *text_end;
    *next = line_end(h, line, end, &text_end);
    if (!*next)
        return &h1_error_codec;
    *value = bytes_trim(bytes_from(from, (size_t)(text_end - from)));
    return h1_value_ok(*value) ? NULL : &h1_error_invalid_chars;
}

/* The empty line at p, and nothing behind it. */
static bool is_last_line(const struct codec_h1 *h, char *p, char *end)
{
    char *text_end;
    if (LIKELY(end - p == 2 && p[0] == '\r' && p[1] == '\n'))
        return true;
    return line_end(h, p, end, &text_end) == end && text_end == p;
}

/* Lowers a name; returns what follows: a byte that no name holds, there always is one. Most names
 * are letters and dashes, which are lowered eight at a time. */
static inline char *lower_token(char *p, char *end)
{
    const uint64_t ones = 0x0101010101010101ull, high = 0x8080808080808080ull;
    while (end - p >= 8) {
        uint64_t x = h1_load_8(p), low = (x | ones * 0x20) & ~high, dash = x ^ ones * '-';
        uint64_t letters = (low + ones * (0x80 - 'a')) & ~(low + ones * (0x7f - 'z')) & ~x;
        uint64_t dashes = ~(((dash & ~high) + ~high) | dash);
        if (((letters | dashes) & high) != high)
            break;
        x |= (letters & high) >> 2;
        memcpy(p, &x, 8);
        p += 8;
    }
    for (char c; (c = token_lower[(unsigned char)*p]) != 0; p++)
        *p = c;
    return p;
}

const struct codec_error *h1_parse_fields(struct codec_h1 *h, char *data, size_t len,
                                          struct headers *out, bool trailers)
{
    char *p = data, *end = data + len;
    while (p < end && *p != '\r' && *p != '\n') {
        char *q = lower_token(p, end);
        if (q == p || *q != ':')
            return &h1_error_codec;
        struct bytes name = bytes_from(p, (size_t)(q - p)), value;
        char *next;
        const struct codec_error *e = NULL;
        if (!plain_value(h, q + 1, end, &value, &next))
            e = odd_value(h, p, q + 1, end, &value, &next);
        if (!e)
            e = store_field(h, out, name, value, trailers);
        if (e)
            return e;
        p = next;
    }
    if (p == end || !is_last_line(h, p, end))
        return &h1_error_codec;
    if (out && !trailers)
        headers_join_lines(out);
    return NULL;
}

/* The first byte from p on that a target may not hold (all of it is ASCII), or end. */
static char *target_end(char *p, char *end)
{
    while (end - p >= 8) {
        uint64_t x = h1_load_8(p);
        if ((x & 0x8080808080808080ull) | h1_odd_bytes(x, '!'))
            break;
        p += 8;
    }
    while (p < end && *p >= '!' && *p < 0x7f)
        p++;
    return p;
}

const struct codec_error *h1_parse_request(struct codec_h1 *h, char *head, size_t len)
{
    struct headers *out = h->stream.headers;
    char *text_end;
    char *lf = memchr(head, '\n', len);
    if (!lf || lf == head || lf[-1] != '\r')
        return &h1_error_codec;
    text_end = lf - 1;
    char *p = head;
    while (h1_is_token_char(*p))
        p++;
    struct bytes method = bytes_from(head, (size_t)(p - head));
    if (*p != ' ' || (!h->c.options.allow_custom_methods && !h1_method_known(method)))
        return &h1_error_codec;
    char *target = ++p;
    p = target_end(p, text_end);
    if (p < text_end && *p != ' ')
        return &h1_error_invalid_chars;
    if (p == target)
        return &h1_error_codec;
    struct bytes version = BYTES_NONE;
    if (p < text_end)
        version = bytes_from(p + 1, (size_t)(text_end - p - 1));
    const struct codec_error *e = h1_parse_version(h, version);
    if (e)
        return e;
    h->host_seen = false;
    h->host = BYTES_NONE;
    if (!headers_try_reserve(out, h->lines + 12))
        return &h1_error_no_memory;
    e = h1_parse_target(h, method, bytes_from(target, (size_t)(p - target)));
    if (!e)
        e = h1_parse_fields(h, lf + 1, len - (size_t)(lf + 1 - head), out, false);
    if (e)
        return e;
    if (h->authority_from_target)
        return NULL;
    if (!h->host_seen) {
        if (h->c.protocol == PROTOCOL_HTTP10 && h->c.options.default_host_for_http_10) {
            headers_set_id(out, HEADER_AUTHORITY, bytes_of(h->c.options.default_host_for_http_10));
            return NULL;
        }
        headers_remove_id(out, HEADER_AUTHORITY); /* the connection manager answers 400 */
        return NULL;
    }
    if (!h1_authority_ok(h->host))
        return &h1_error_invalid_authority;
    headers_set_id(out, HEADER_AUTHORITY, h->host);
    return NULL;
}

const struct codec_error *h1_parse_response(struct codec_h1 *h, char *head, size_t len,
                                            unsigned *status)
{
    char *lf = memchr(head, '\n', len); /* nothing is folded into a status line */
    if (!lf)
        return &h1_error_codec;
    char *next = lf + 1, *text_end = lf > head && lf[-1] == '\r' ? lf - 1 : lf;
    struct bytes line = bytes_from(head, (size_t)(text_end - head));
    if (line.len < 12 || memcmp(line.data, "HTTP/1.", 7) != 0 || line.data[8] != ' ' ||
        (line.len > 12 && line.data[12] != ' ') || !h1_value_ok(line))
        return &h1_error_codec;
    unsigned v = 0;
    for (int i = 9; i < 12; i++) {
        if (line.data[i] < '0' || line.data[i] > '9')
            return &h1_error_codec;
        v = v * 10 + (unsigned)(line.data[i] - '0');
    }
    if (line.data[7] < '0' || line.data[7] > '9' || v < 100)
        return &h1_error_codec;
    h->c.protocol = line.data[7] == '0' ? PROTOCOL_HTTP10 : PROTOCOL_HTTP11;
    *status = v;
    if (!headers_try_reserve(h->stream.headers, h->lines + 12))
        return &h1_error_no_memory;
    headers_add_id(h->stream.headers, HEADER_STATUS, bytes_from(head + 9, 3));
    return h1_parse_fields(h, next, len - (size_t)(next - head), h->stream.headers, false);
}
