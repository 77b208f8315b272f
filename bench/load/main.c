/* load: an HTTP load generator for measuring, on loopback.
 *
 *     load run --port N --rate R [--seconds S] [--warm-up S] [--connections C] [--close] [--each F]
 *     load hold --port N --connections C [--requests 0]
 *     load probe --port N [--fresh]
 *     load steps --port N --connections C
 *
 * With --tls over TLS 1.3: --ca F (else anybody is believed), --cert F --key F, --resume (each
 * connection resumes the newest session).
 * With --http2 over HTTP/2 with prior knowledge: --streams N (requests at a time on a connection),
 * --grpc (unary calls: a request with a message of --message bytes, an answer that counts when it
 * ends with "grpc-status: 0").
 * All take --path P, --host H and --header "name: value" (repeated). `run` prints one line of JSON;
 * see the heads of run.c, hold.c, probe.c and steps.c. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "load/client.h"
#include "load/tls.h"

static char headers[4096];

static void add_header(const char *line)
{
    size_t n = strlen(headers);
    if (n + strlen(line) + 3 > sizeof(headers)) {
        fprintf(stderr, "load: too many headers\n");
        exit(2);
    }
    snprintf(headers + n, sizeof(headers) - n, "%s\r\n", line);
}

static const struct option long_options[] = {
    {"port", required_argument, NULL, 'p'},
    {"rate", required_argument, NULL, 'r'},
    {"seconds", required_argument, NULL, 's'},
    {"warm-up", required_argument, NULL, 'w'},
    {"connections", required_argument, NULL, 'c'},
    {"requests", required_argument, NULL, 'n'},
    {"at-once", required_argument, NULL, 'o'},
    {"path", required_argument, NULL, 'P'},
    {"host", required_argument, NULL, 'H'},
    {"header", required_argument, NULL, 'A'},
    {"each", required_argument, NULL, 'e'},
    {"close", no_argument, NULL, 'x'},
    {"fresh", no_argument, NULL, 'f'},
    {"http2", no_argument, NULL, '2'},
    {"grpc", no_argument, NULL, 'g'},
    {"streams", required_argument, NULL, 'S'},
    {"message", required_argument, NULL, 'm'},
    {"tls", no_argument, NULL, 't'},
    {"resume", no_argument, NULL, 'R'},
    {"ca", required_argument, NULL, 'a'},
    {"cert", required_argument, NULL, 'C'},
    {"key", required_argument, NULL, 'K'},
    {0},
};

static bool parse_tls(struct load_options *o, int c)
{
    switch (c) {
    case 't':
        return o->tls = true;
    case 'R':
        return o->resume = true;
    case 'a':
        o->ca = optarg;
        return true;
    case 'C':
        o->cert = optarg;
        return true;
    case 'K':
        o->key = optarg;
        return true;
    default:
        return false;
    }
}

static bool parse_http2(struct load_options *o, int c)
{
    switch (c) {
    case '2':
        return o->http2 = true;
    case 'g':
        return o->http2 = o->grpc = true;
    case 'S':
        o->streams = atoi(optarg);
        return true;
    case 'm':
        o->message = atoi(optarg);
        return true;
    default:
        return false;
    }
}

static bool parse(struct load_options *o, int argc, char **argv)
{
    for (int c; (c = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        switch (c) {
        case 'p':
            o->port = atoi(optarg);
            break;
        case 'r':
            o->rate = atof(optarg);
            break;
        case 's':
            o->seconds = atof(optarg);
            break;
        case 'w':
            o->warm_up = atof(optarg);
            break;
        case 'c':
            o->connections = atoi(optarg);
            break;
        case 'n':
            o->requests = atoi(optarg);
            break;
        case 'o':
            o->at_once = atoi(optarg);
            break;
        case 'P':
            o->path = optarg;
            break;
        case 'H':
            o->host = optarg;
            break;
        case 'A':
            add_header(optarg);
            break;
        case 'e':
            o->each = optarg;
            break;
        case 'x':
            o->close = true;
            break;
        case 'f':
            o->fresh = true;
            break;
        default:
            if (!parse_tls(o, c) && !parse_http2(o, c))
                return false;
        }
    }
    o->headers = headers;
    return o->port > 0 && o->rate > 0 && o->connections >= 0 && !o->cert == !o->key &&
           o->streams > 0 && o->message >= 0 && !(o->http2 && (o->close || o->tls));
}

int main(int argc, char **argv)
{
    struct load_options o = {.connections = 16,
                             .requests = 1,
                             .at_once = 200,
                             .streams = 1,
                             .message = 32,
                             .rate = 1000,
                             .seconds = 5,
                             .path = "/bench",
                             .host = "bench.test"};
    const char *what = argc > 1 ? argv[1] : "";
    struct rlimit files = {1 << 16, 1 << 16};
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    client_loop = ev_default_loop(0);
    if (argc < 2 || !parse(&o, argc - 1, argv + 1)) {
        fprintf(stderr, "usage: load run|hold|probe|steps --port N [...]; see bench/load/main.c\n");
        return 2;
    }
    if (o.tls)
        client_tls_init(&o);
    if (strcmp(what, "run") == 0)
        return load_run(&o);
    if (strcmp(what, "hold") == 0)
        return load_hold(&o);
    if (strcmp(what, "probe") == 0 && !o.http2)
        return load_probe(&o);
    if (strcmp(what, "steps") == 0)
        return load_steps(&o);
    fprintf(stderr, "load: no such sub-command: %s\n", what);
    return 2;
}
