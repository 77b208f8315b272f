#include "dataplane/http/codec_h1_internal.h"

#include "base/address.h"

/* The methods that Envoy's parser knows; others need allow_custom_methods. The frequent first. */
static const struct bytes methods[] = {
#define M(m)                                                                                       \
    {                                                                                              \
        m, sizeof(m) - 1                                                                           \
    }
    M("GET"),      M("POST"),      M("PUT"),    M("HEAD"),       M("DELETE"),      M("OPTIONS"),
    M("PATCH"),    M("CONNECT"),   M("TRACE"),  M("PROPFIND"),   M("PROPPATCH"),   M("MKCOL"),
    M("COPY"),     M("MOVE"),      M("LOCK"),   M("UNLOCK"),     M("ACL"),         M("BIND"),
    M("CHECKOUT"), M("LINK"),      M("MERGE"),  M("MKACTIVITY"), M("MKCALENDAR"),  M("MSEARCH"),
    M("NOTIFY"),   M("PURGE"),     M("QUERY"),  M("REBIND"),     M("REPORT"),      M("SEARCH"),
    M("SOURCE"),   M("SUBSCRIBE"), M("UNBIND"), M("UNLINK"),     M("UNSUBSCRIBE"),
#undef M
};

bool h1_method_known(struct bytes m)
{
    if (m.len == 3 && memcmp(m.data, "GET", 3) == 0)
        return true;
    for (size_t i = 1; i < ARRAY_SIZE(methods); i++) {
        if (bytes_eq(m, methods[i]))
            return true;
    }
    return false;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* unreserved, sub-delims, "%", ":" and brackets of RFC 3986: what a host and port are made of.
 * NAME: without ":", "[" and "]". */
enum { AUTHORITY = 1, NAME = 2 };

#define A AUTHORITY
#define B AUTHORITY | NAME
static const uint8_t authority_chars[256] = {
    ['!'] = B, ['$'] = B, ['%'] = B, ['&'] = B, ['\''] = B, ['('] = B, [')'] = B, ['*'] = B,
    ['+'] = B, [','] = B, ['-'] = B, ['.'] = B, ['0'] = B,  ['1'] = B, ['2'] = B, ['3'] = B,
    ['4'] = B, ['5'] = B, ['6'] = B, ['7'] = B, ['8'] = B,  ['9'] = B, [';'] = B, ['='] = B,
    ['A'] = B, ['B'] = B, ['C'] = B, ['D'] = B, ['E'] = B,  ['F'] = B, ['G'] = B, ['H'] = B,
    ['I'] = B, ['J'] = B, ['K'] = B, ['L'] = B, ['M'] = B,  ['N'] = B, ['O'] = B, ['P'] = B,
    ['Q'] = B, ['R'] = B, ['S'] = B, ['T'] = B, ['U'] = B,  ['V'] = B, ['W'] = B, ['X'] = B,
    ['Y'] = B, ['Z'] = B, ['_'] = B, ['a'] = B, ['b'] = B,  ['c'] = B, ['d'] = B, ['e'] = B,
    ['f'] = B, ['g'] = B, ['h'] = B, ['i'] = B, ['j'] = B,  ['k'] = B, ['l'] = B, ['m'] = B,
    ['n'] = B, ['o'] = B, ['p'] = B, ['q'] = B, ['r'] = B,  ['s'] = B, ['t'] = B, ['u'] = B,
    ['v'] = B, ['w'] = B, ['x'] = B, ['y'] = B, ['z'] = B,  ['~'] = B, [':'] = A, ['['] = A,
    [']'] = A,
};
#undef A
#undef B

static inline bool is_one_of(unsigned set, char c)
{
    return authority_chars[(unsigned char)c] & set;
}

static bool port_ok(struct bytes port)
{
    for (size_t i = 0; i < port.len; i++) {
        if (!is_digit(port.data[i]))
            return false;
    }
    return port.len <= 5;
}

bool h1_authority_ok(struct bytes a)
{
    size_t i = 0;
    while (i < a.len && is_one_of(NAME, a.data[i]))
        i++;
    if (i == a.len)
        return true; /* a name, or an IPv4 address, without port */
    for (; i < a.len; i++) {
        if (!is_one_of(AUTHORITY, a.data[i]))
            return false;
    }
    struct bytes rest = a;
    if (a.len && a.data[0] == '[') {
        ptrdiff_t close = bytes_find_char(a, ']');
        if (close < 0)
            return false;
        rest = bytes_skip(a, (size_t)close + 1);
        if (rest.len && rest.data[0] != ':')
            return false;
    } else if (bytes_find_char(a, '[') >= 0 || bytes_find_char(a, ']') >= 0) {
        return false;
    }
    ptrdiff_t colon = bytes_find_char(rest, ':');
    return colon < 0 || port_ok(bytes_skip(rest, (size_t)colon + 1));
}

static bool target_host_ok(struct bytes host)
{
    struct address ignored;
    if (host.len > 0 && host.data[0] == '[')
        return bytes_find_char(host, '%') < 0 && address_parse_ip(host, 0, &ignored);
    for (size_t i = 0; i < host.len; i++) {
        char c = ascii_lower(host.data[i]);
        if (!is_digit(c) && (c < 'a' || c > 'z') && c != '.' && c != '-')
            return false;
    }
    return host.len > 0;
}

/* As for Envoy, a target names a host of letters, digits, "." and "-" or an IPv6 address in
 * brackets and, where it names a port, one that there can be; Host may say more. *port: it names
 * one. */
static bool target_authority_ok(struct bytes a, bool *port)
{
    ptrdiff_t close = bytes_rfind_char(a, ']'), colon = bytes_rfind_char(a, ':');
    uint64_t number;
    *port = colon > close; /* the colons of an IPv6 address stand before the bracket */
    if (!*port)
        return target_host_ok(a);
    return target_host_ok(bytes_first(a, (size_t)colon)) &&
           bytes_to_u64(bytes_skip(a, (size_t)colon + 1), &number) && number <= 65535;
}

const struct codec_error *h1_parse_version(struct codec_h1 *h, struct bytes v)
{
    bool http_10_ok = h->c.options.accept_http_10;
    if (!v.data) /* HTTP/0.9 */
        return http_10_ok ? &h1_error_codec : &h1_error_low_version;
    if (v.len != 8 || memcmp(v.data, "HTTP/", 5) != 0 || !is_digit(v.data[5]) || v.data[6] != '.' ||
        !is_digit(v.data[7]))
        return &h1_error_codec;
    if (v.data[5] == '1' && v.data[7] == '1') {
        h->c.protocol = PROTOCOL_HTTP11;
        return NULL;
    }
    if (v.data[5] == '1' && v.data[7] == '0' && http_10_ok) {
        h->c.protocol = PROTOCOL_HTTP10;
        return NULL;
    }
    return &h1_error_low_version;
}

/* :scheme stands only where the target told it: the connection manager adds it to the others. */
static void add_pseudo(struct codec_h1 *h, struct bytes method, struct bytes scheme,
                       struct bytes authority, struct bytes path)
{
    struct headers *out = h->stream.headers;
    headers_add_id(out, HEADER_METHOD, method);
    if (scheme.data)
        headers_add_id(out, HEADER_SCHEME, scheme);
    headers_add_id(out, HEADER_AUTHORITY, authority);
    if (path.data)
        headers_add_id(out, HEADER_PATH, path);
}

/* http://user@host:port/path: the authority replaces Host (RFC 9112 section 3.2.2). */
static const struct codec_error *parse_absolute(struct codec_h1 *h, struct bytes method,
                                                struct bytes target, size_t scheme_len)
{
    struct bytes scheme = bytes_first(target, scheme_len);
    if (bytes_eq_nocase(scheme, BYTES("https")))
        scheme = BYTES("https");
    else if (bytes_eq_nocase(scheme, BYTES("http")))
        scheme = BYTES("http");
    else
        return &h1_error_invalid_scheme;
    if (h->c.options.refuse_https_url && scheme.len == 5)
        return &h1_error_https_url;
    struct bytes rest = bytes_skip(target, scheme_len + 3);
    size_t n = 0;
    while (n < rest.len && rest.data[n] != '/' && rest.data[n] != '?' && rest.data[n] != '#')
        n++;
    struct bytes authority = bytes_first(rest, n);
    bool port;
    ptrdiff_t at = bytes_rfind_char(authority, '@');
    if (at >= 0)
        authority = bytes_skip(authority, (size_t)at + 1);
    struct bytes path = bytes_skip(rest, n);
    if (!target_authority_ok(authority, &port) || (path.len && path.data[0] == '#'))
        return &h1_error_invalid_url;
    if (!path.len)
        path = BYTES("/");
    h->authority_from_target = true;
    add_pseudo(h, method, scheme, authority, path);
    return NULL;
}

const struct codec_error *h1_parse_target(struct codec_h1 *h, struct bytes method,
                                          struct bytes target)
{
    h->authority_from_target = false;
    h->request_is_head = bytes_eq(method, BYTES("HEAD"));
    h->request_is_connect = bytes_eq(method, BYTES("CONNECT"));
    if (h->request_is_connect) {
        bool port;
        if (!target_authority_ok(target, &port) || !port)
            return &h1_error_invalid_url;
        h->authority_from_target = true;
        add_pseudo(h, method, BYTES_NONE, target, BYTES_NONE);
        return NULL;
    }
    if (target.data[0] == '/') {
        add_pseudo(h, method, BYTES_NONE, BYTES(""), target);
        return NULL;
    }
    bool star = bytes_eq(target, BYTES("*"));
    ptrdiff_t scheme = star ? 0 : bytes_find(target, BYTES("://"));
    if (scheme <= 0 && !star)
        return &h1_error_codec;
    if (!h->c.options.allow_absolute_url || (star && bytes_eq(method, BYTES("OPTIONS")))) {
        add_pseudo(h, method, BYTES_NONE, BYTES(""), target); /* for the manager to judge */
        return NULL;
    }
    if (star)
        return &h1_error_invalid_url;
    return parse_absolute(h, method, target, (size_t)scheme);
}
