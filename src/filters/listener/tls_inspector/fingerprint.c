#include "filters/listener/tls_inspector/fingerprint.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/strbuf.h"
#include "dataplane/net/tls_digest.h"

enum {
    EXTENSION_NAME = 0,
    EXTENSION_GROUPS = 10,
    EXTENSION_POINTS = 11,
    EXTENSION_SIGNATURES = 13,
    EXTENSION_ALPN = 16,
    EXTENSION_VERSIONS = 43,
    COUNT_MAX = 99, /* two digits */
    SHORT_HASH = 12,
};

static size_t number_at(struct bytes b, size_t at)
{
    return (size_t)(uint8_t)b.data[at] << 8 | (uint8_t)b.data[at + 1];
}

/* 0x0a0a, 0x1a1a, ... 0xfafa: nobody means them. */
static bool is_grease(size_t n)
{
    return (n & 0x0f0f) == 0x0a0a && n >> 8 == (n & 0xff);
}

/* The next extension of a list that was read once already. */
static bool next_extension(struct bytes *list, size_t *type, struct bytes *body)
{
    if (list->len < 4)
        return false;
    *type = number_at(*list, 0);
    *body = bytes_first(bytes_skip(*list, 4), number_at(*list, 2));
    *list = bytes_skip(*list, 4 + body->len);
    return true;
}

/* What stands in an extension behind the length of its list; as much as there is. */
static struct bytes list_of(const struct client_hello *h, size_t wanted, size_t length_size)
{
    struct bytes list = h->extensions, body;
    size_t type;
    while (next_extension(&list, &type, &body)) {
        if (type == wanted && body.len >= length_size)
            return bytes_skip(body, length_size);
    }
    return BYTES_NONE;
}

static void add_decimal(struct strbuf *out, size_t from, size_t n)
{
    strbuf_printf(out, "%s%zu", out->len > from ? "-" : "", n);
}

static void add_numbers(struct strbuf *out, struct bytes list, bool all)
{
    size_t from = out->len;
    for (size_t i = 0; i + 1 < list.len; i += 2) {
        if (all || !is_grease(number_at(list, i)))
            add_decimal(out, from, number_at(list, i));
    }
}

static void hex(const uint8_t *data, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[data[i] >> 4];
        out[2 * i + 1] = digits[data[i] & 15];
    }
    out[2 * n] = '\0';
}

void client_hello_ja3(const struct client_hello *h, char out[JA3_SIZE])
{
    struct strbuf text = STRBUF_INIT;
    struct bytes list = h->extensions, body;
    size_t type, from;
    uint8_t digest[TLS_MD5_SIZE];
    strbuf_printf(&text, "%u,", h->version);
    add_numbers(&text, h->ciphers, false);
    strbuf_add_char(&text, ',');
    from = text.len;
    while (next_extension(&list, &type, &body)) {
        if (!is_grease(type))
            add_decimal(&text, from, type);
    }
    strbuf_add_char(&text, ',');
    add_numbers(&text, list_of(h, EXTENSION_GROUPS, 2), true); /* as Envoy has it */
    strbuf_add_char(&text, ',');
    from = text.len;
    body = list_of(h, EXTENSION_POINTS, 1);
    for (size_t i = 0; i < body.len; i++)
        add_decimal(&text, from, (uint8_t)body.data[i]);
    tls_md5(strbuf_bytes(&text), digest);
    hex(digest, sizeof(digest), out);
    strbuf_fini(&text);
}

/* --- JA4 --- */

static const char *version_text(const struct client_hello *h)
{
    struct bytes offered = list_of(h, EXTENSION_VERSIONS, 1);
    size_t version = offered.len ? 0 : h->version;
    for (size_t i = 0; i + 1 < offered.len; i += 2) {
        size_t n = number_at(offered, i);
        if (!is_grease(n) && n > version)
            version = n;
    }
    switch (version) {
    case 0x0304:
        return "13";
    case 0x0303:
        return "12";
    case 0x0302:
        return "11";
    case 0x0301:
        return "10";
    default: /* a peer's number */
        return "00";
    }
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The first and the last of the first protocol, or of its bytes in hexadecimal. */
static void protocol_text(const struct client_hello *h, char out[3])
{
    struct bytes p = h->n_protocols ? h->protocols[0] : BYTES("0");
    char first = p.data[0], last = p.data[p.len - 1], digits[3];
    if (!is_alnum(first) || !is_alnum(last)) {
        hex((const uint8_t *)&first, 1, digits);
        first = digits[0];
        hex((const uint8_t *)&last, 1, digits);
        last = digits[1];
    }
    out[0] = first;
    out[1] = last;
    out[2] = '\0';
}

static int by_value(const void *a, const void *b)
{
    return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

static void add_list(struct strbuf *out, const uint16_t *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        strbuf_printf(out, "%s%04x", i ? "," : "", list[i]);
}

static void add_short_hash(struct strbuf *out, const struct strbuf *text)
{
    uint8_t digest[TLS_SHA256_SIZE];
    char digits[2 * TLS_SHA256_SIZE + 1];
    strbuf_add_char(out, '_');
    if (text->len == 0) {
        strbuf_add_str(out, "000000000000");
        return;
    }
    tls_sha256(bytes_from(text->data, text->len), digest);
    hex(digest, sizeof(digest), digits);
    strbuf_add_bytes(out, bytes_from(digits, SHORT_HASH));
}

/* Both lists are of a hello, whose size is bounded. */
static size_t take_ciphers(const struct client_hello *h, uint16_t *out)
{
    size_t n = 0;
    for (size_t i = 0; i + 1 < h->ciphers.len; i += 2) {
        if (!is_grease(number_at(h->ciphers, i)))
            out[n++] = (uint16_t)number_at(h->ciphers, i);
    }
    qsort(out, n, sizeof(*out), by_value);
    return n;
}

/* *all: with the name and the protocols, which are not in the list. */
static size_t take_extensions(const struct client_hello *h, uint16_t *out, size_t *all)
{
    struct bytes list = h->extensions, body;
    size_t type, n = 0;
    *all = 0;
    while (next_extension(&list, &type, &body)) {
        if (is_grease(type))
            continue;
        ++*all;
        if (type != EXTENSION_NAME && type != EXTENSION_ALPN)
            out[n++] = (uint16_t)type;
    }
    qsort(out, n, sizeof(*out), by_value);
    return n;
}

static void add_signatures(struct strbuf *out, const struct client_hello *h)
{
    struct bytes list = list_of(h, EXTENSION_SIGNATURES, 2);
    for (size_t i = 0; i + 1 < list.len; i += 2)
        strbuf_printf(out, "%s%04zx", i ? "," : "_", number_at(list, i));
}

void client_hello_ja4(const struct client_hello *h, char out[JA4_SIZE])
{
    uint16_t *ciphers = mem_alloc((h->ciphers.len / 2 + 1) * sizeof(*ciphers));
    uint16_t *extensions = mem_alloc((h->extensions.len / 4 + 1) * sizeof(*extensions));
    struct strbuf all = STRBUF_INIT, part = STRBUF_INIT;
    char protocol[3];
    size_t count, n_ciphers = take_ciphers(h, ciphers),
                  n_extensions = take_extensions(h, extensions, &count);
    protocol_text(h, protocol);
    strbuf_printf(&all, "t%s%c%02zu%02zu%s", version_text(h), h->server_name.len ? 'd' : 'i',
                  n_ciphers < COUNT_MAX ? n_ciphers : COUNT_MAX,
                  count < COUNT_MAX ? count : COUNT_MAX, protocol);
    add_list(&part, ciphers, n_ciphers);
    add_short_hash(&all, &part);
    strbuf_reset(&part);
    add_list(&part, extensions, n_extensions);
    if (part.len)
        add_signatures(&part, h);
    add_short_hash(&all, &part);
    CHECK(all.len == JA4_SIZE - 1);
    memcpy(out, strbuf_str(&all), JA4_SIZE);
    strbuf_fini(&all);
    strbuf_fini(&part);
    mem_free(ciphers);
    mem_free(extensions);
}
