/* What the libraries alone take: a program that links what the proxy links and holds one idle ADS
 * stream. The proxy's memory less this one's is the proxy's own.
 *
 *     idle_ads XDS_PORT     prints "open" after the first response; ends with its standard input */
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "xds/grpc_stream.h"

enum { QUEUE = 64 };

struct posted {
    void (*fn)(void *arg);
    void *arg;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t filled = PTHREAD_COND_INITIALIZER;
static struct posted queue[QUEUE];
static unsigned first, last;

static void post(void *ctx, void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&lock);
    queue[last++ % QUEUE] = (struct posted){fn, arg};
    pthread_cond_signal(&filled);
    pthread_mutex_unlock(&lock);
}

static void run_posted(void *ctx)
{
}

static void on_message(void *owner, struct bytes message)
{
    puts("open");
    fflush(stdout);
}

static void on_closed(void *owner, int code, const char *message)
{
    fprintf(stderr, "idle_ads: stream closed: %d %s\n", code, message);
    exit(1);
}

static int dial(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
        fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
        perror("idle_ads: connect");
        exit(1);
    }
    return fd;
}

/* A DiscoveryRequest for clusters of a node that has a name. */
static struct bytes request(void)
{
    static char text[256];
    static const char node[] = "\x0a\x04"
                               "idle\x12\x05"
                               "bench";
    static const char type[] = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
    int n = snprintf(text, sizeof(text), "\x12%c%s\x22%c%s", (int)sizeof(node) - 1, node,
                     (int)sizeof(type) - 1, type);
    return bytes_from(text, (size_t)n);
}

static void *wait_for_end(void *arg)
{
    char c;
    while (read(0, &c, 1) > 0)
        ;
    exit(0);
}

int main(int argc, char **argv)
{
    static const struct grpc_stream_ops ops = {on_message, on_closed};
    pthread_t waiter;
    if (argc != 2) {
        fprintf(stderr, "usage: idle_ads XDS_PORT\n");
        return 2;
    }
    struct grpc_runtime *rt = grpc_runtime_new(post, run_posted, NULL);
    struct grpc_stream_options o = {.fd = dial(atoi(argv[1])),
                                    .method =
                                        "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
                                        "StreamAggregatedResources",
                                    .authority = BYTES("xds")};
    struct grpc_stream *s = grpc_stream_new(rt, &o, &ops, queue);
    grpc_stream_send(s, request());
    pthread_create(&waiter, NULL, wait_for_end, NULL);
    for (;;) {
        pthread_mutex_lock(&lock);
        while (first == last)
            pthread_cond_wait(&filled, &lock);
        struct posted p = queue[first++ % QUEUE];
        pthread_mutex_unlock(&lock);
        p.fn(p.arg);
    }
}
