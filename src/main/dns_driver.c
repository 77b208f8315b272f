#include "main/dns_driver.h"

#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"
#include "dataplane/net/dns.h"
#include "dataplane/net/loop.h"
#include "main/post_call.h"

struct job;

/* The resolver of all jobs with the same options. */
struct shared_resolver {
    struct dns_resolver *resolver; /* NULL: it could not be started yet */
    unsigned users;
};

/* One name. */
struct target {
    struct job *job;
    struct bytes name; /* in the job's arena */
    uint16_t port;
    struct dns_query *query;
    struct timer timer;
    uint64_t backoff_ms;
};

/* One version of a DNS cluster. */
struct job {
    struct dns_driver *driver;
    struct list link;
    struct arena *arena;
    struct bytes cluster;
    uint64_t generation;
    struct dns_options options; /* in the arena, with what they point to */
    struct shared_resolver *shared;
    enum dns_lookup_family family;
    bool respect_ttl;
    bool logical; /* one host, which an answer without an address does not take away */
    uint64_t refresh_ms, jitter_ms, failure_base_ms, failure_max_ms;
    struct target *targets;
    unsigned n_targets;
};

struct dns_driver {
    struct loop *main_loop, *config_loop;
    struct map resolvers;              /* key of the options -> struct shared_resolver * */
    struct shared_resolver *own;       /* for dns_driver_resolver(); NULL: not asked for */
    const struct dns_options *options; /* of clusters that name none; NULL: as the system has it */
    struct stat_store *store;
    struct stat_scope *stats; /* from the first resolver on; NULL before */
    dns_answer_fn *answer;
    void *ctx;
    struct list jobs;
    struct random_source random;
};

struct answer {
    struct bytes cluster; /* owned, behind the addresses */
    uint64_t generation;
    unsigned target, n;
    bool ok;
    struct address addresses[];
};

struct dns_driver *dns_driver_new(struct loop *main_loop, struct loop *config_loop,
                                  struct stat_store *stats, dns_answer_fn *answer, void *ctx)
{
    struct dns_driver *d = NEW(struct dns_driver);
    d->store = stats;
    d->main_loop = main_loop;
    d->config_loop = config_loop;
    d->answer = answer;
    d->ctx = ctx;
    list_init(&d->jobs);
    random_seed_os(&d->random);
    return d;
}

void dns_driver_set_options(struct dns_driver *d, const struct dns_options *o)
{
    d->options = o;
}

static struct shared_resolver *use_resolver(struct dns_driver *d, struct bytes key)
{
    if (!d->stats)
        d->stats = stat_scope_get(d->store, BYTES("dns.cares"), &dns_stat_schema);
    struct shared_resolver *shared = map_get(&d->resolvers, key);
    if (!shared) {
        shared = NEW(struct shared_resolver);
        map_set(&d->resolvers, key, shared);
    }
    shared->users++;
    return shared;
}

static void drop_resolver(struct dns_driver *d, struct bytes key, struct shared_resolver *shared)
{
    if (--shared->users)
        return;
    map_remove(&d->resolvers, key);
    dns_resolver_free(&shared->resolver);
    mem_free(shared);
}

static struct dns_resolver *start_resolver(struct dns_driver *d, struct shared_resolver *shared,
                                           const struct dns_options *o, struct error *err)
{
    if (!shared->resolver && (shared->resolver = dns_resolver_new(d->main_loop, o, err)))
        dns_resolver_set_stats(shared->resolver, d->stats);
    return shared->resolver;
}

static struct bytes own_key(const struct dns_driver *d)
{
    return d->options ? d->options->key : BYTES("");
}

struct dns_resolver *dns_driver_resolver(struct dns_driver *d, struct error *err)
{
    if (!d->own)
        d->own = use_resolver(d, own_key(d));
    return start_resolver(d, d->own, d->options, err);
}

static void job_free(struct job *j)
{
    for (unsigned i = 0; i < j->n_targets; i++) {
        dns_cancel(&j->targets[i].query);
        timer_stop(&j->targets[i].timer);
    }
    drop_resolver(j->driver, j->options.key, j->shared);
    list_remove(&j->link);
    struct arena *a = j->arena; /* which holds the job itself */
    arena_free(&a);
}

void dns_driver_free(struct dns_driver **dp)
{
    struct dns_driver *d = *dp;
    *dp = NULL;
    if (!d)
        return;
    LIST_EACH(l, &d->jobs)
    job_free(LIST_ENTRY(l, struct job, link));
    if (d->own)
        drop_resolver(d, own_key(d), d->own);
    map_fini(&d->resolvers);
    stat_scope_unref(&d->stats);
    mem_free(d);
}

/* Config thread. */
static void deliver(void *a, void *b)
{
    struct answer *x = a;
    struct dns_driver *d = b;
    d->answer(d->ctx, x->cluster, x->generation, x->target, x->ok, x->addresses, x->n);
    mem_free(x);
}

static void send_answer(struct target *t, bool ok, const struct address *addresses, size_t n)
{
    struct job *j = t->job;
    size_t size = sizeof(struct answer) + n * sizeof(struct address);
    struct answer *x = mem_zalloc(size + j->cluster.len);
    char *name = (char *)x + size;
    memcpy(name, j->cluster.data, j->cluster.len);
    x->cluster = bytes_from(name, j->cluster.len);
    x->generation = j->generation;
    x->target = (unsigned)(t - j->targets);
    x->n = (unsigned)n;
    x->ok = ok;
    if (n)
        memcpy(x->addresses, addresses, n * sizeof(struct address));
    post_call(j->driver->config_loop, deliver, x, j->driver);
}

/* When to ask again. A failure backs off with full jitter, as Envoy's dns_failure_refresh_rate. */
static uint64_t next_ms(struct target *t, bool ok, uint32_t ttl_s)
{
    struct job *j = t->job;
    if (ok) {
        t->backoff_ms = 0;
        bool use_ttl = j->respect_ttl && ttl_s && ttl_s != UINT32_MAX;
        return (use_ttl ? (uint64_t)ttl_s * 1000 : j->refresh_ms) +
               random_below(&j->driver->random, j->jitter_ms + 1);
    }
    if (!j->failure_base_ms)
        return j->refresh_ms;
    t->backoff_ms = t->backoff_ms ? t->backoff_ms * 2 : j->failure_base_ms;
    if (j->failure_max_ms && t->backoff_ms > j->failure_max_ms)
        t->backoff_ms = j->failure_max_ms;
    return 1 + random_below(&j->driver->random, t->backoff_ms);
}

static void on_answer(void *ctx, const struct dns_answer *r)
{
    struct target *t = ctx;
    bool ok = r->status == DNS_OK || (r->status == DNS_EMPTY && !t->job->logical);
    t->query = NULL;
    if (!ok)
        LOG(LOG_DNS, LOG_DEBUG, "dns: '%.*s': %s", BYTES_ARG(t->name), r->error);
    send_answer(t, ok, r->addresses, ok ? r->count : 0);
    timer_start(&t->timer, next_ms(t, ok, r->ttl_s));
}

static void resolve(struct timer *timer)
{
    struct target *t = timer->owner;
    struct job *j = t->job;
    struct error err = ERROR_INIT;
    struct dns_resolver *r = start_resolver(j->driver, j->shared, &j->options, &err);
    if (!r) {
        LOG(LOG_DNS, LOG_ERROR, "dns: %s", error_text(&err));
        error_fini(&err);
        send_answer(t, false, NULL, 0);
        timer_start(&t->timer, next_ms(t, false, 0));
        return;
    }
    t->query = dns_resolve(r, t->name, t->port, j->family, on_answer, t);
}

/* Main. */
static void begin(void *a, void *b)
{
    struct job *j = a;
    list_push_back(&j->driver->jobs, &j->link);
    j->shared = use_resolver(j->driver, j->options.key);
    for (unsigned i = 0; i < j->n_targets; i++) {
        timer_init(&j->targets[i].timer, j->driver->main_loop, resolve, &j->targets[i]);
        resolve(&j->targets[i].timer);
    }
}

static struct dns_options copy_options(struct arena *a, const struct dns_options *from)
{
    struct dns_options o = from ? *from : (struct dns_options){.key = BYTES("")};
    struct address *servers = ARENA_ARRAY(a, struct address, o.n_servers + 1);
    for (size_t i = 0; i < o.n_servers; i++)
        servers[i] = o.servers[i];
    o.servers = servers;
    o.key = arena_dup(a, o.key);
    return o;
}

static struct job *job_new(struct dns_driver *d, const struct cluster *c, uint64_t generation)
{
    struct arena *a = arena_new(512);
    struct job *j = ARENA_NEW(a, struct job);
    *j = (struct job){.driver = d,
                      .arena = a,
                      .cluster = arena_dup(a, c->name),
                      .generation = generation,
                      .family = c->dns_family,
                      .respect_ttl = c->respect_dns_ttl,
                      .logical = c->type == CLUSTER_LOGICAL_DNS,
                      .refresh_ms = c->dns_refresh_ms,
                      .jitter_ms = c->dns_jitter_ms,
                      .failure_base_ms = c->dns_failure_refresh_base_ms,
                      .failure_max_ms = c->dns_failure_refresh_max_ms};
    list_init(&j->link);
    return j;
}

void dns_driver_start(struct dns_driver *d, const struct cluster *c, uint64_t generation)
{
    struct job *j = job_new(d, c, generation);
    j->options = copy_options(j->arena, c->dns_options ? c->dns_options : d->options);
    j->targets = ARENA_ARRAY(j->arena, struct target, c->n_dns_targets);
    j->n_targets = c->n_dns_targets;
    for (unsigned i = 0; i < c->n_dns_targets; i++) {
        j->targets[i].job = j;
        j->targets[i].name = arena_dup(j->arena, c->dns_targets[i].name);
        j->targets[i].port = c->dns_targets[i].port;
    }
    post_call(d->main_loop, begin, j, NULL);
}

/* Main. a: a job that only names what to end. */
static void end(void *a, void *b)
{
    struct job *which = a;
    LIST_EACH(l, &which->driver->jobs)
    {
        struct job *j = LIST_ENTRY(l, struct job, link);
        if (j->generation == which->generation && bytes_eq(j->cluster, which->cluster))
            job_free(j);
    }
    struct arena *own = which->arena;
    arena_free(&own);
}

void dns_driver_stop(struct dns_driver *d, const struct cluster *c, uint64_t generation)
{
    post_call(d->main_loop, end, job_new(d, c, generation), NULL);
}
