#include "base/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

#include "base/digits.h"
#include "base/memory.h"

/* Paths are few (they come from configuration) and shared by every copy of an address. */
struct interned {
    struct interned *next;
    size_t len;
    char text[];
};

enum { INTERN_BUCKETS = 256, PATH_MAX_LEN = sizeof(((struct sockaddr_un *)0)->sun_path) - 1 };
static struct interned *intern_table[INTERN_BUCKETS];
static pthread_mutex_t intern_lock = PTHREAD_MUTEX_INITIALIZER;

static const char *intern(struct bytes text)
{
    uint64_t hash = bytes_hash_seeded(text, 0);
    struct interned **bucket = &intern_table[hash % INTERN_BUCKETS];
    struct interned *i;

    pthread_mutex_lock(&intern_lock);
    for (i = *bucket; i; i = i->next)
        if (bytes_eq(text, bytes_from(i->text, i->len)))
            break;
    if (!i) {
        i = mem_alloc(sizeof(*i) + text.len + 1);
        memcpy(i->text, text.data, text.len);
        i->text[text.len] = '\0';
        i->len = text.len;
        i->next = *bucket;
        *bucket = i;
    }
    pthread_mutex_unlock(&intern_lock);
    return i->text;
}

static bool parse_v6(char *text, struct address *a)
{
    char *percent = strchr(text, '%');
    if (percent) {
        uint64_t index = 0;
        *percent = '\0';
        if (!bytes_to_u64(bytes_of(percent + 1), &index))
            index = if_nametoindex(percent + 1);
        if (index == 0 || index > UINT32_MAX)
            return false;
        a->scope = (uint32_t)index;
    }
    a->kind = ADDRESS_IPV6;
    return inet_pton(AF_INET6, text, a->ip) == 1;
}

bool address_parse_ip(struct bytes text, uint16_t port, struct address *out)
{
    char copy[ADDRESS_TEXT_MAX];
    struct address a = {.port = port};

    if (text.len > 1 && text.data[0] == '[' && text.data[text.len - 1] == ']') {
        text = bytes_from(text.data + 1, text.len - 2);
        if (bytes_find_char(text, ':') < 0)
            return false;
    }
    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.data, '\0', text.len))
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    if (strchr(copy, ':')) {
        if (!parse_v6(copy, &a))
            return false;
    } else {
        a.kind = ADDRESS_IPV4;
        if (inet_pton(AF_INET, copy, a.ip) != 1)
            return false;
    }
    *out = a;
    return true;
}

bool address_parse_ip_port(struct bytes text, struct address *out)
{
    ptrdiff_t colon = bytes_rfind_char(text, ':');
    uint64_t port;

    if (colon <= 0 || !bytes_to_u64(bytes_skip(text, (size_t)colon + 1), &port) || port > 65535)
        return false;
    struct bytes host = bytes_first(text, (size_t)colon);
    if (bytes_find_char(host, ':') >= 0 && host.data[0] != '[')
        return false; /* "::1:80" could be read in two ways */
    return address_parse_ip(host, (uint16_t)port, out);
}

bool address_from_path(struct bytes path, struct address *out)
{
    if (path.len == 0 || path.len > PATH_MAX_LEN || memchr(path.data, '\0', path.len))
        return false;
    *out = (struct address){.kind = ADDRESS_PIPE, .path = intern(path)};
    return true;
}

struct address address_ipv4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port)
{
    return (struct address){.kind = ADDRESS_IPV4, .port = port, .ip = {a, b, c, d}};
}

struct address address_from_sockaddr(const struct sockaddr *sa, socklen_t len)
{
    struct address a = {.kind = ADDRESS_NONE};

    if (len >= sizeof(struct sockaddr_in) && sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
        a.kind = ADDRESS_IPV4;
        a.port = ntohs(in->sin_port);
        memcpy(a.ip, &in->sin_addr, 4);
    } else if (len >= sizeof(struct sockaddr_in6) && sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
        a.kind = ADDRESS_IPV6;
        a.port = ntohs(in6->sin6_port);
        a.scope = in6->sin6_scope_id;
        memcpy(a.ip, &in6->sin6_addr, 16);
    } else if (len >= sizeof(sa->sa_family) && sa->sa_family == AF_UNIX) {
        a.kind = ADDRESS_PIPE;
    }
    return a;
}

static socklen_t pipe_to_sockaddr(const struct address *a, struct sockaddr_storage *out)
{
    struct sockaddr_un *un = (struct sockaddr_un *)out;
    size_t len = a->path ? strlen(a->path) : 0;

    un->sun_family = AF_UNIX;
    if (len == 0)
        return (socklen_t)sizeof(un->sun_family);
    memcpy(un->sun_path, a->path, len + 1);
    if (a->path[0] != '@')
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    un->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

socklen_t address_to_sockaddr(const struct address *a, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof(*out));
    switch ((enum address_kind)a->kind) {
    case ADDRESS_NONE:
        return 0;
    case ADDRESS_IPV4: {
        struct sockaddr_in *in = (struct sockaddr_in *)out;
        in->sin_family = AF_INET;
        in->sin_port = htons(a->port);
        memcpy(&in->sin_addr, a->ip, 4);
        return sizeof(*in);
    }
    case ADDRESS_IPV6: {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(a->port);
        in6->sin6_scope_id = a->scope;
        memcpy(&in6->sin6_addr, a->ip, 16);
        return sizeof(*in6);
    }
    case ADDRESS_PIPE:
        return pipe_to_sockaddr(a, out);
    }
    return 0;
}

int address_family(const struct address *a)
{
    switch ((enum address_kind)a->kind) {
    case ADDRESS_IPV4:
        return AF_INET;
    case ADDRESS_IPV6:
        return AF_INET6;
    case ADDRESS_PIPE:
        return AF_UNIX;
    case ADDRESS_NONE:
        break;
    }
    return AF_UNSPEC;
}

/* Returns what follows the text. */
static char *format_ipv4(const struct address *a, char *p)
{
    for (unsigned i = 0; i < 4; i++) {
        if (i)
            *p++ = '.';
        unsigned v = a->ip[i];
        if (v >= 100)
            *p++ = (char)('0' + v / 100);
        if (v >= 10)
            *p++ = (char)('0' + v / 10 % 10);
        *p++ = (char)('0' + v % 10);
    }
    return p;
}

const char *address_format_ip(const struct address *a, char out[ADDRESS_TEXT_MAX])
{
    out[0] = '\0';
    if (a->kind == ADDRESS_PIPE) {
        snprintf(out, ADDRESS_TEXT_MAX, "%s", a->path ? a->path : "");
    } else if (a->kind == ADDRESS_IPV4) {
        *format_ipv4(a, out) = '\0';
    } else if (a->kind == ADDRESS_IPV6) {
        inet_ntop(AF_INET6, a->ip, out, ADDRESS_TEXT_MAX);
        size_t len = strlen(out);
        if (a->scope)
            snprintf(out + len, ADDRESS_TEXT_MAX - len, "%%%u", a->scope);
    }
    return out;
}

const char *address_format(const struct address *a, char out[ADDRESS_TEXT_MAX])
{
    char ip[ADDRESS_TEXT_MAX];

    if (a->kind == ADDRESS_IPV4) {
        char *p = format_ipv4(a, out);
        *p++ = ':';
        p += digits_u64(p, a->port);
        *p = '\0';
        return out;
    }
    if (a->kind != ADDRESS_IPV6)
        return address_format_ip(a, out);
    address_format_ip(a, ip);
    snprintf(out, ADDRESS_TEXT_MAX, "[%.100s]:%u", ip, (unsigned)a->port);
    return out;
}

static size_t ip_len(const struct address *a)
{
    return a->kind == ADDRESS_IPV4 ? 4 : 16;
}

bool address_eq_ip(const struct address *a, const struct address *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == ADDRESS_NONE)
        return true;
    if (a->kind == ADDRESS_PIPE)
        return a->path == b->path;
    return a->scope == b->scope && memcmp(a->ip, b->ip, ip_len(a)) == 0;
}

bool address_eq(const struct address *a, const struct address *b)
{
    return a->port == b->port && address_eq_ip(a, b);
}

int address_cmp(const struct address *a, const struct address *b)
{
    int order = 0;

    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->kind == ADDRESS_PIPE)
        return strcmp(a->path ? a->path : "", b->path ? b->path : "");
    if (address_is_ip(a))
        order = memcmp(a->ip, b->ip, ip_len(a));
    if (order == 0 && a->scope != b->scope)
        order = a->scope < b->scope ? -1 : 1;
    return order ? order : (int)a->port - (int)b->port;
}

uint64_t address_hash(const struct address *a)
{
    char key[24] = {0};

    if (a->kind == ADDRESS_PIPE)
        return bytes_hash(bytes_of(a->path));
    key[0] = (char)a->kind;
    memcpy(key + 2, &a->port, sizeof(a->port));
    memcpy(key + 4, &a->scope, sizeof(a->scope));
    if (address_is_ip(a))
        memcpy(key + 8, a->ip, ip_len(a));
    return bytes_hash(bytes_from(key, sizeof(key)));
}

bool address_is_ip(const struct address *a)
{
    return a->kind == ADDRESS_IPV4 || a->kind == ADDRESS_IPV6;
}

bool address_is_any(const struct address *a)
{
    static const uint8_t zero[16];
    return address_is_ip(a) && memcmp(a->ip, zero, ip_len(a)) == 0;
}

bool address_is_loopback(const struct address *a)
{
    static const uint8_t one[16] = {[15] = 1};

    if (a->kind == ADDRESS_IPV4)
        return a->ip[0] == 127;
    return a->kind == ADDRESS_IPV6 && memcmp(a->ip, one, 16) == 0;
}

struct address address_unmap(const struct address *a)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    if (a->kind != ADDRESS_IPV6 || memcmp(a->ip, mapped, 12) != 0)
        return *a;
    return address_ipv4(a->ip[12], a->ip[13], a->ip[14], a->ip[15], a->port);
}

/* What a Unix socket of ours was bound to; NULL: nothing. */
static const char *own_path(const struct sockaddr_un *un, socklen_t len)
{
    size_t head = offsetof(struct sockaddr_un, sun_path);
    char name[sizeof(un->sun_path)];
    if (len <= head)
        return NULL;
    size_t n = len - head < sizeof(name) ? len - head : sizeof(name);
    memcpy(name, un->sun_path, n);
    if (name[0] == '\0')
        name[0] = '@';
    return intern(bytes_from(name, strnlen(name, n)));
}

struct address address_local(int fd)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);

    if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
        return (struct address){.kind = ADDRESS_NONE};
    struct address a = address_from_sockaddr((struct sockaddr *)&ss, len);
    if (a.kind == ADDRESS_PIPE)
        a.path = own_path((const struct sockaddr_un *)&ss, len);
    return a;
}

struct address address_remote(int fd)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);

    if (getpeername(fd, (struct sockaddr *)&ss, &len) < 0)
        return (struct address){.kind = ADDRESS_NONE};
    return address_from_sockaddr((struct sockaddr *)&ss, len);
}

bool address_prefix_init(struct address_prefix *p, const struct address *base, unsigned prefix_len)
{
    if (!address_is_ip(base) || prefix_len > ip_len(base) * 8)
        return false;
    p->base = *base;
    p->base.port = 0;
    p->base.scope = 0;
    p->prefix_len = (uint8_t)prefix_len;
    for (size_t i = 0; i < ip_len(base); i++) {
        unsigned keep = prefix_len > i * 8 ? prefix_len - (unsigned)i * 8 : 0;
        if (keep < 8)
            p->base.ip[i] &= (uint8_t)(0xff00u >> keep);
    }
    return true;
}

bool address_prefix_parse(struct bytes text, struct address_prefix *out)
{
    struct address base;
    struct bytes rest = text, ip = bytes_split(&rest, '/');
    uint64_t len;

    return bytes_to_u64(rest, &len) && address_parse_ip(ip, 0, &base) && len <= 128 &&
           address_prefix_init(out, &base, (unsigned)len);
}

bool address_prefix_contains(const struct address_prefix *p, const struct address *a)
{
    unsigned whole = p->prefix_len / 8, bits = p->prefix_len % 8;

    if (p->base.kind != a->kind || !address_is_ip(a) || memcmp(p->base.ip, a->ip, whole) != 0)
        return false;
    return bits == 0 || ((p->base.ip[whole] ^ a->ip[whole]) & (0xff00u >> bits) & 0xff) == 0;
}
