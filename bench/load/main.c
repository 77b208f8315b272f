/* load: an HTTP/1.1 load generator for measuring, on loopback.
 *
 *     load run --port N --rate R [--seconds S] [--warm-up S] [--connections C] [--close]
 *     load hold --port N --connections C [--requests 0]
 *     load probe --port N [--fresh]
 *
 * With --tls over TLS 1.3: --ca F (else anybody is believed), --cert F --key F, --resume (each
 * connection resumes the newest session).
 * All take --path P, --host H and --header "name: value" (repeated). `run` prints one line of JSON;
 * see the heads of run.c, hold.c and probe.c. */
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
    {"path", required_argument, NULL, 'P'},
    {"host", required_argument, NULL, 'H'},
    {"header", required_argument, NULL, 'A'},
    {"close", no_argument, NULL, 'x'},
    {"fresh", no_argument, NULL, 'f'},
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
        case 'P':
            o->path = optarg;
            break;
        case 'H':
            o->host = optarg;
            break;
        case 'A':
            add_header(optarg);
            break;
        case 'x':
            o->close = true;
            break;
        case 'f':
            o->fresh = true;
            break;
        default:
            if (!parse_tls(o, c))
                return false;
        }
    }
    o->headers = headers;
    return o->port > 0 && o->rate > 0 && o->connections >= 0 && !o->cert == !o->key;
}

int main(int argc, char **argv)
{
    struct load_options o = {.connections = 16,
                             .requests = 1,
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
        fprintf(stderr, "usage: load run|hold|probe --port N [...]; see bench/load/main.c\n");
        return 2;
    }
    if (o.tls)
        client_tls_init(&o);
    if (strcmp(what, "run") == 0)
        return load_run(&o);
    if (strcmp(what, "hold") == 0)
        return load_hold(&o);
    if (strcmp(what, "probe") == 0)
        return load_probe(&o);
    fprintf(stderr, "load: no such sub-command: %s\n", what);
    return 2;
}
