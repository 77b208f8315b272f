/* A whole proxy in memory under faults: clients and origins that follow a script, a tap on each
 * transport of the proxy, and a *point* wherever a stream may yield: before each read, write and
 * handshake of the proxy and before each turn of its loop (a turn serves one round of defers, so
 * nothing hides in the middle of one). A first run counts the points; then sim_run() is called with
 * a fault for each of them. Everything is deterministic: run k of a scenario is the first run up to
 * point k. See test_faults.c for what must hold afterwards. */
#pragma once

#include "../unit/filters/proxy.h"
#include "dataplane/http/filter.h"
#include "dataplane/net/loop_fake.h"

enum { SIM_PIECES = 8, SIM_EXPECT = 4, SIM_CLIENTS = 3, SIM_POINTS = 4096, SIM_HOOKS = 6 };

/* X(enumerator, name, kind): whose fault it is. */
#define SIM_FAULT_LIST(X)                                                                          \
    X(NONE, "nothing", NOTHING)                                                                    \
    X(CLIENT_RESET, "client resets", CLIENT)                                                       \
    X(CLIENT_CLOSE, "client closes", CLIENT)                                                       \
    X(CLIENT_END, "client sends its end", CLIENT)                                                  \
    X(CLIENT_WRITE, "write to client fails", CLIENT)                                               \
    X(CLIENT_READ, "read from client fails", CLIENT)                                               \
    X(CLIENT_TRICKLE, "client byte by byte", NOTHING)                                              \
    X(CLIENT_CANCEL, "client resets its streams", CLIENT)                                          \
    X(CLIENT_GOAWAY, "client says GOAWAY", NOTHING)                                                \
    X(ORIGIN_RESET, "origin resets", ORIGIN)                                                       \
    X(ORIGIN_CLOSE, "origin closes", ORIGIN)                                                       \
    X(ORIGIN_END, "origin sends its end", ORIGIN)                                                  \
    X(ORIGIN_WRITE, "write to origin fails", ORIGIN)                                               \
    X(ORIGIN_READ, "read from origin fails", ORIGIN)                                               \
    X(ORIGIN_TRICKLE, "origin byte by byte", NOTHING)                                              \
    X(ORIGIN_CANCEL, "origin resets its streams", ORIGIN)                                          \
    X(ORIGIN_REFUSE, "origin refuses its streams", ORIGIN)                                         \
    X(ORIGIN_GOAWAY, "origin says GOAWAY", NOTHING)                                                \
    X(ORIGIN_DRAIN, "origin says that it will go", NOTHING)                                        \
    X(CLUSTER_GONE, "cluster is removed", CONFIG)                                                  \
    X(HOST_GONE, "endpoint is removed", CONFIG)                                                    \
    X(LISTENER_GONE, "listener is removed", CONFIG)                                                \
    X(CHAIN_GONE, "chain is replaced", CONFIG)                                                     \
    X(ROUTES_GONE, "routes are replaced", CONFIG)                                                  \
    X(DRAIN, "process drains", CONFIG)                                                             \
    X(TIME, "time leaps", ORIGIN)                                                                  \
    X(MEMORY, "no memory", ORIGIN)

enum sim_fault_kind { SIM_KIND_NOTHING, SIM_KIND_CLIENT, SIM_KIND_ORIGIN, SIM_KIND_CONFIG };
enum sim_fault {
#define X(id, name, kind) SIM_##id,
    SIM_FAULT_LIST(X)
#undef X
        SIM_FAULTS
};

enum sim_origin_mode {
    SIM_ORIGIN_ANSWERS, /* once the request is whole */
    SIM_ORIGIN_EARLY,   /* once its head is */
    SIM_ORIGIN_TUNNEL,  /* the first piece once the head is, the others once the rest has come */
    SIM_ORIGIN_TCP,     /* the same of one that speaks no HTTP and has no first piece */
    SIM_ORIGIN_SILENT,
    SIM_ORIGIN_REFUSES, /* no connection */
    SIM_ORIGIN_HANGS,   /* the connection is never made */
};

struct sim_answer {
    unsigned status;
    const char *body; /* NULL: not looked at */
    bool no_body;     /* to HEAD */
};

struct sim;

/* What is spoken at each end. */
enum sim_pair { SIM_H1_H1, SIM_H1_H2, SIM_H2_H1, SIM_H2_H2, SIM_PAIRS };
static inline bool sim_client_h2(enum sim_pair pair)
{
    return pair >= SIM_H2_H1;
}
static inline bool sim_origin_h2(enum sim_pair pair)
{
    return pair == SIM_H1_H2 || pair == SIM_H2_H2;
}

struct sim_scenario {
    const char *name;
    const char *match;              /* of the route, YAML; NULL: all paths */
    const char *action;             /* of the route, YAML; NULL: to cluster c0 */
    const char *send[SIM_PIECES];   /* the client's bytes, each when nothing else moves */
    const char *answer[SIM_PIECES]; /* the origin's to each request, the first at once */
    struct sim_answer expect[SIM_EXPECT];
    unsigned clients; /* 0: one */
    enum sim_origin_mode origin;
    bool origin_closes;                 /* after its answer */
    bool cut;                           /* the last answer is never whole */
    bool h1_client, h1_origin;          /* it is of HTTP/1 alone */
    bool slow_client;                   /* reads only when nothing else moves */
    unsigned upload, download;          /* bytes of body after send[] and answer[] */
    unsigned silent;                    /* so many requests are not answered, ... */
    unsigned fails;                     /* ... and those up to this one 503 instead */
    unsigned retries;                   /* of each request: how often origins may see it again */
    enum filter_status gate[SIM_HOOKS]; /* what the filter before the router says in each hook */
    unsigned reply_at;                  /* 1 + the hook in which it answers 403 itself */
    void (*setup)(struct sim *s);
};

struct sim_client {
    struct sim *sim;
    struct connection *connection;
    struct strbuf received;
    unsigned sent, uploaded;
    bool started, closed, goes; /* it has said that it asks no more */
    bool sink_ended, told;      /* saw the end of the stream; and was closed by it */
    struct sim_h2 *h2;
};

struct sim {
    const struct sim_scenario *scenario;
    enum sim_pair pair;
    enum sim_fault fault;
    struct http2_options http2; /* of the clusters */
    struct proxy *proxy;
    struct world *world;
    struct route_config *other_routes;
    struct sim_client clients[SIM_CLIENTS + 1]; /* the last comes afterwards */
    unsigned n_clients;
    struct list origins, taps;
    struct chain_binding *binding2;
    struct listener_entry entry2;
    struct chain_binding *chains2[1];
    unsigned long points, strike_at; /* counted from 1; 0: never */
    bool struck, over;
    uint8_t is_turn[SIM_POINTS];
    unsigned requests_seen; /* whole ones, at all origins */
    uint64_t log_lines;
    struct strbuf wrong; /* what did not hold; empty: all did */
};

extern const char *const sim_fault_names[SIM_FAULTS];
extern const enum sim_fault_kind sim_fault_kinds[SIM_FAULTS];
extern const char *const sim_pair_names[SIM_PAIRS];

/* Called when a run begins and ends to be played, if not NULL: for faults that no point shows. */
extern void (*sim_on_play)(bool begins);

/* For all runs of a scenario. */
void sim_start(void);
void sim_stop(void);
struct route_config *sim_routes(const struct sim_scenario *sc);
struct route_config *sim_other_routes(void);

/* Is there such a scenario, and such a fault, between these ends? */
bool sim_has(const struct sim_scenario *sc, enum sim_pair pair);
bool sim_strikes(enum sim_fault fault, enum sim_pair pair);
/* One run; *points: how many there were. False: *wrong says what did not hold. */
bool sim_run(const struct sim_scenario *sc, enum sim_pair pair, struct route_config *routes,
             struct route_config *other, enum sim_fault fault, unsigned long at, struct sim *out);
void sim_fini(struct sim *s);
void sim_wrong(struct sim *s, const char *fmt, ...) PRINTF(2, 3);

/* --- sim_peer.c: the two ends --- */
void sim_client_connect(struct sim *s, unsigned i);
/* Does the next thing of a script; false: nobody has anything to do. */
bool sim_peers_step(struct sim *s);
bool sim_clients_done(struct sim *s);
void sim_peers_strike(struct sim *s);
void sim_judge_clients(struct sim *s);
void sim_judge_origins(struct sim *s);
void sim_peers_close(struct sim *s);
void sim_peers_fini(struct sim *s);
struct connection *sim_connect(const struct connector *self, struct worker *worker,
                               const struct address *to, const struct connect_options *opt,
                               const struct connection_ops *ops, void *owner);

/* --- sim_tap.c: a transport of the proxy, watched --- */
struct transport *sim_tap_new(struct sim *s, struct transport *inner, bool client);
void sim_tap_connecting(struct transport *t, enum sim_origin_mode mode, uint64_t timeout_ms);
void sim_taps_strike(struct sim *s);
/* A place where the stream may yield; strikes when its time has come. */
void sim_point(struct sim *s, bool turn);

/* --- sim_gate.c: the filter before the router --- */
extern const struct http_filter_ops sim_gate_filter;
void sim_gate_set(const struct sim_scenario *sc);
bool sim_gate_step(void); /* lets one thing pass; false: nothing waits */
