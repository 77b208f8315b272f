/* Answers of a name server, through c-ares and net/dns.c on the real loop, over a pair of local
 * sockets in place of the network: whatever comes, the query is answered at most once, with
 * addresses that are none twice, or with a sentence.
 *
 *     how, flags (2), counts (8), bytes of the first answer after its question, ... */
#include <ares.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "dataplane/net/dns.h"
#include "fuzz.h"

enum { QUERY_CAP = 1024, ANSWER_CAP = 65535, TURNS_MAX = 64, PORT = 8080 };

static struct loop *loop;
static struct fuzz_in in;
static int origin = -1; /* the server's end of the last socket */
static bool tcp;
static uint8_t how;
static unsigned asked, answered;

int __real_ares_init_options(ares_channel *channel, struct ares_options *options, int mask);
int __wrap_ares_init_options(ares_channel *channel, struct ares_options *options, int mask);

static ares_socket_t open_pair(int domain UNUSED, int type, int protocol UNUSED, void *ctx UNUSED)
{
    int ends[2];
    if (socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
        return ARES_SOCKET_BAD;
    if (origin >= 0)
        close(origin);
    origin = ends[1];
    tcp = type == SOCK_STREAM;
    return ends[0];
}

static int close_end(ares_socket_t fd, void *ctx UNUSED)
{
    return close(fd);
}

static int connect_end(ares_socket_t fd UNUSED, const struct sockaddr *to UNUSED,
                       ares_socklen_t len UNUSED, void *ctx UNUSED)
{
    return 0;
}

static ares_ssize_t receive(ares_socket_t fd, void *data, size_t len, int flags,
                            struct sockaddr *from UNUSED, ares_socklen_t *from_len,
                            void *ctx UNUSED)
{
    if (from_len)
        *from_len = 0;
    return recv(fd, data, len, flags);
}

/* The answer: the query's number and question, and what the input says. */
static void answer(const unsigned char *query, size_t len)
{
    static unsigned char out[ANSWER_CAP + 2];
    size_t n = tcp ? 2 : 0, start = n;
    struct bytes head = fuzz_take(&in, 10);
    if (len < 12 || !head.len)
        return;
    memcpy(out + n, query, 2);
    memset(out + n + 2, 0, 10);
    memcpy(out + n + 2, head.data, head.len);
    n += 12;
    if (!(how & 1)) {
        memcpy(out + n, query + 12, len - 12);
        n += len - 12;
    }
    struct bytes rest = fuzz_take(&in, how & 2 ? 100 : in.rest.len);
    if (rest.len > ANSWER_CAP - n)
        rest.len = ANSWER_CAP - n;
    if (rest.len)
        memcpy(out + n, rest.data, rest.len);
    n += rest.len;
    if (tcp) {
        out[0] = (unsigned char)((n - start) >> 8);
        out[1] = (unsigned char)(n - start);
    }
    if (send(origin, out, n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        errno = 0;
}

static ares_ssize_t send_query(ares_socket_t fd UNUSED, const struct iovec *iov, int count,
                               void *ctx UNUSED)
{
    unsigned char query[QUERY_CAP];
    size_t n = 0, skip = tcp ? 2 : 0;
    for (int i = 0; i < count && n + iov[i].iov_len <= sizeof(query); i++) {
        memcpy(query + n, iov[i].iov_base, iov[i].iov_len);
        n += iov[i].iov_len;
    }
    asked++;
    if (n > skip)
        answer(query + skip, n - skip);
    return (ares_ssize_t)n;
}

int __wrap_ares_init_options(ares_channel *channel, struct ares_options *options, int mask)
{
    static const struct ares_socket_functions functions = {open_pair, close_end, connect_end,
                                                           receive, send_query};
    int status = __real_ares_init_options(channel, options, mask);
    if (status == ARES_SUCCESS)
        ares_set_socket_functions(*channel, &functions, NULL);
    return status;
}

static void setup(void)
{
    struct error err = ERROR_INIT;
    loop = loop_new(&clock_real, &err);
    FUZZ_CHECK(loop, "%s", error_text(&err));
}

static void on_answer(void *ctx, const struct dns_answer *r)
{
    answered++;
    *(struct dns_query **)ctx = NULL;
    FUZZ_CHECK((r->status == DNS_OK) == (r->count > 0), "status %d with %zu addresses", r->status,
               r->count);
    FUZZ_CHECK((r->status == DNS_OK) == (r->error == NULL), "a sentence or none");
    for (size_t i = 0; i < r->count; i++) {
        FUZZ_CHECK(address_is_ip(&r->addresses[i]), "no IP address");
        FUZZ_CHECK(r->addresses[i].port == PORT, "port %u", r->addresses[i].port);
        for (size_t k = 0; k < i; k++)
            FUZZ_CHECK(!address_eq(&r->addresses[i], &r->addresses[k]), "twice");
    }
}

static void run(struct bytes input)
{
    static const struct {
        const char *name;
        enum dns_lookup_family family;
    } questions[] = {{"h.test", DNS_V4_ONLY},
                     {"h.test", DNS_V6_ONLY},
                     {"h.test", DNS_AUTO},
                     {"a.h.test", DNS_ALL},
                     {"x", DNS_V4_PREFERRED}};
    struct error err = ERROR_INIT;
    struct address server;
    in = (struct fuzz_in){input};
    how = fuzz_u8(&in);
    asked = answered = 0;
    FUZZ_CHECK(address_parse_ip(BYTES("127.0.0.1"), 53, &server), "an address of our own");
    struct dns_options o = {.servers = &server,
                            .n_servers = 1,
                            .tries = 1,
                            .use_tcp = how & 4,
                            .no_search = true,
                            .no_hosts_file = true};
    struct dns_resolver *r = dns_resolver_new(loop, &o, &err);
    FUZZ_CHECK(r, "%s", error_text(&err));
    unsigned q = (how >> 3) % ARRAY_SIZE(questions);
    struct dns_query *query;
    query =
        dns_resolve(r, bytes_of(questions[q].name), PORT, questions[q].family, on_answer, &query);
    for (unsigned i = 0, seen = 0; i < TURNS_MAX && !answered && (asked != seen || i < 4); i++) {
        seen = asked;
        loop_turn(loop, false);
    }
    FUZZ_CHECK(answered <= 1, "answered %u times", answered);
    if (!answered && how & 128)
        dns_cancel(&query);
    dns_resolver_free(&r);
    loop_turn(loop, false);
    if (origin >= 0)
        close(origin);
    origin = -1;
}

static void put16(struct strbuf *out, unsigned v)
{
    strbuf_add_char(out, (char)(v >> 8));
    strbuf_add_char(out, (char)v);
}

/* A record more: of an address, an alias, or of anything. */
static void put_record(struct random_source *random, struct strbuf *out)
{
    static const unsigned types[] = {1, 28, 5, 6, 41, 16, 65};
    static const unsigned lengths[] = {4, 16, 2, 0, 22, 5, 255};
    unsigned kind = (unsigned)random_below(random, ARRAY_SIZE(types));
    put16(out, 0xc00c); /* the name of the question */
    put16(out, types[kind]);
    put16(out, 1);
    put16(out, 0);
    put16(out, (unsigned)random_below(random, 400));
    unsigned len = random_below(random, 8) ? lengths[kind] : (unsigned)random_below(random, 30);
    put16(out, len);
    for (unsigned i = 0; i < len; i++)
        strbuf_add_char(out, kind == 2 ? (char)(i ? 0x0c : 0xc0) : (char)random_below(random, 256));
}

static void mutate(struct random_source *random, struct bytes input, struct strbuf *out)
{
    uint8_t bytes[512];
    if (input.len >= 11 && input.len <= sizeof(bytes) && random_below(random, 2)) {
        memcpy(bytes, input.data, input.len);
        strbuf_add(out, bytes, fuzz_mutate_bytes(bytes, input.len, sizeof(bytes)));
        return;
    }
    unsigned n = 1 + (unsigned)random_below(random, 3);
    strbuf_add_char(out, (char)((random_u64(random) & 0xf8) | random_below(random, 16) / 9));
    for (unsigned answers = 1 + (unsigned)random_below(random, 2); answers > 0; answers--) {
        static const unsigned flags[] = {0x8180, 0x8183, 0x8182, 0x8380, 0x8185, 0x0100};
        put16(out, flags[random_below(random, 8) % 6 * random_below(random, 2)]);
        put16(out, 1);
        put16(out, n);
        put16(out, 0);
        put16(out, 0);
        for (unsigned i = 0; i < n; i++)
            put_record(random, out);
    }
}

const struct fuzz_target fuzz_target = {.run = run, .setup = setup, .mutate = mutate};
