/* handshake: what the server's half of a TLS handshake costs with nothing around it. Client and
 * server talk over memory; only the thread's CPU within the server's calls is counted, SSL_new()
 * and SSL_free() included. No proxy with this library can be cheaper.
 *
 *     handshake --cert CHAIN --key KEY [--count N] [--rate N] [--resume]
 *               [--ca CA --client-cert C --client-key K]
 *     handshake --cert CHAIN --key KEY [--ca CA] --serve PORT
 *
 * With --rate it sleeps between them, so that there are as many a second: what a processor forgets
 * meanwhile is in the figure then. With --ca the client must show a certificate, which is verified
 * as SSL_CTX does it by itself.
 * Prints one line of JSON. With --serve it answers another's requests, over sockets: what the
 * system calls between make of the handshakes is in that figure. */
#include <getopt.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "serve.h"

static struct {
    const char *cert, *key, *ca, *client_cert, *client_key;
    int count, rate, port;
    bool resume;
} options = {.count = 2000};

static SSL_CTX *server, *client;
static SSL_SESSION *session;
static uint64_t spent_ns;

static void give_up(const char *what)
{
    fprintf(stderr, "handshake: %s: ", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int keep(SSL *ssl, SSL_SESSION *new)
{
    SSL_SESSION_free(session);
    session = new;
    return 1; /* it is ours */
}

static void present(SSL_CTX *ctx, const char *cert, const char *key)
{
    if (!SSL_CTX_use_certificate_chain_file(ctx, cert) ||
        !SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM))
        give_up(cert);
}

static void make_contexts(void)
{
    server = SSL_CTX_new(TLS_method());
    client = SSL_CTX_new(TLS_method());
    present(server, options.cert, options.key);
    SSL_CTX_set_session_id_context(server, (const uint8_t *)"bench", 5);
    SSL_CTX_set_session_cache_mode(client, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(client, keep);
    if (!options.ca)
        return;
    if (!SSL_CTX_load_verify_locations(server, options.ca, NULL))
        give_up(options.ca);
    SSL_CTX_set_verify(server, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_client_CA_list(server, SSL_load_client_CA_file(options.ca));
    if (options.client_cert)
        present(client, options.client_cert, options.client_key);
}

/* True: this side is done. */
static bool step(SSL *ssl)
{
    int n = SSL_do_handshake(ssl);
    if (n != 1 && SSL_get_error(ssl, n) != SSL_ERROR_WANT_READ)
        give_up("handshake");
    return n == 1;
}

/* What is counted, also by callgrind: --toggle-collect='server_*'. */

static __attribute__((noinline)) SSL *server_begin(void)
{
    uint64_t before = cpu_ns();
    SSL *ssl = SSL_new(server);
    SSL_set_accept_state(ssl);
    spent_ns += cpu_ns() - before;
    return ssl;
}

static __attribute__((noinline)) bool server_step(SSL *ssl)
{
    uint64_t before = cpu_ns();
    bool done = step(ssl);
    spent_ns += cpu_ns() - before;
    return done;
}

static __attribute__((noinline)) void server_end(SSL *ssl)
{
    uint64_t before = cpu_ns();
    SSL_free(ssl);
    spent_ns += cpu_ns() - before;
}

static bool one(void)
{
    char byte;
    BIO *ours, *theirs;
    SSL *s = server_begin(), *c = SSL_new(client);
    SSL_set_connect_state(c);
    SSL_set_tlsext_host_name(c, "bench.test");
    if (options.resume && session)
        SSL_set_session(c, session);
    if (!BIO_new_bio_pair(&ours, 1 << 17, &theirs, 1 << 17))
        give_up("memory");
    BIO_up_ref(ours); /* its buffer is no part of the handshake: freed below */
    SSL_set_bio(s, ours, ours);
    SSL_set_bio(c, theirs, theirs);
    bool server_done = false, client_done = false;
    while (!server_done || !client_done) {
        client_done = step(c);
        server_done = server_step(s);
    }
    SSL_write(s, "x", 1); /* the tickets go out with the first data */
    SSL_read(c, &byte, 1);
    bool reused = SSL_session_reused(s);
    SSL_free(c);
    server_end(s);
    BIO_free(ours);
    return reused;
}

static void parse(int argc, char **argv)
{
    static const struct option known[] = {
        {"cert", required_argument, NULL, 'c'},       {"key", required_argument, NULL, 'k'},
        {"ca", required_argument, NULL, 'a'},         {"client-cert", required_argument, NULL, 'C'},
        {"client-key", required_argument, NULL, 'K'}, {"count", required_argument, NULL, 'n'},
        {"rate", required_argument, NULL, 'R'},       {"resume", no_argument, NULL, 'r'},
        {"serve", required_argument, NULL, 'p'},      {0}};
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        const char **text = c == 'c'   ? &options.cert
                            : c == 'k' ? &options.key
                            : c == 'a' ? &options.ca
                            : c == 'C' ? &options.client_cert
                            : c == 'K' ? &options.client_key
                                       : NULL;
        if (text)
            *text = optarg;
        else if (c == 'n')
            options.count = atoi(optarg);
        else if (c == 'R')
            options.rate = atoi(optarg);
        else if (c == 'p')
            options.port = atoi(optarg);
        else if (c == 'r')
            options.resume = true;
        else
            exit(2);
    }
    if (!options.cert || !options.key || options.count < 1) {
        fprintf(stderr, "usage: handshake --cert CHAIN --key KEY [...]; see its head\n");
        exit(2);
    }
}

/* Until the i-th is due, all counted from begin_ns. */
static void pause_before(int i, uint64_t begin_ns)
{
    uint64_t due = begin_ns + (uint64_t)i * 1000000000u / (unsigned)options.rate;
    struct timespec t = {(time_t)(due / 1000000000u), (long)(due % 1000000000u)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

int main(int argc, char **argv)
{
    int reused = 0;
    struct timespec begin;
    parse(argc, argv);
    make_contexts();
    if (options.port)
        serve(server, options.port);
    for (int i = 0; i < options.count / 20 + 2; i++)
        one();
    spent_ns = 0;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (int i = 0; i < options.count; i++) {
        if (options.rate > 0)
            pause_before(i, (uint64_t)begin.tv_sec * 1000000000u + (uint64_t)begin.tv_nsec);
        reused += one();
    }
    printf("{\"count\": %d, \"resumed\": %d, \"cpu_us\": %.2f}\n", options.count, reused,
           (double)spent_ns / options.count / 1000);
    SSL_SESSION_free(session);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    return 0;
}
