#include "dataplane/upstream/lb.h"

#include "base/memory.h"
#include "config/metadata.h"

/* How often the policy is asked again for a host that was not tried yet, before a plain search. */
enum { PICK_TRIES = 3, PRIORITIES_MAX = 129 };

/* So many choices would find the least busy host all the same, drawing it many times. */
static bool chooses_all(const struct cluster *cluster, const struct host_set *set)
{
    enum { CHOICES_OF_EACH = 16 };
    return cluster->least_request_choices / CHOICES_OF_EACH >= set->n_hosts;
}

static const struct lb_policy_ops *policy_ops(const struct cluster *cluster,
                                              const struct host_set *set)
{
    switch (cluster->lb_policy) {
    case LB_ROUND_ROBIN:
        return &lb_round_robin;
    case LB_LEAST_REQUEST:
        return cluster->least_request_scan || chooses_all(cluster, set) ? &lb_full_scan
                                                                        : &lb_least_request;
    case LB_RANDOM:
        return &lb_random;
    }
    check_failed(__FILE__, __LINE__, "lb policy");
}

static enum lb_source host_source(const struct host *h)
{
    if (h->health & ~(unsigned)HEALTH_DEGRADED_EDS)
        return LB_ALL;
    return h->health & HEALTH_DEGRADED_EDS ? LB_DEGRADED : LB_HEALTHY;
}

static bool weights_differ(const struct host *const *hosts, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        if (hosts[i]->weight != hosts[0]->weight)
            return true;
    }
    return false;
}

/* Fills the hosts of one source, LB_ALL first: the others use its list when it is the same. */
static void source_init(struct lb *lb, const struct priority_set *set, enum lb_source source,
                        uint32_t n)
{
    struct lb_hosts *all = lb->priorities[set - lb->set->priorities].sources;
    struct lb_hosts *h = &all[source];
    h->next = lb->seed;
    h->n = n;
    if (n == 0)
        return;
    if (source != LB_ALL && n == set->n_hosts) {
        h->hosts = all[LB_ALL].hosts;
    } else {
        uint32_t k = 0;
        h->hosts = h->own = mem_alloc(n * sizeof(*h->own));
        for (uint32_t i = 0; i < set->n_hosts; i++) {
            if (source == LB_ALL || host_source(&set->hosts[i]) == source)
                h->own[k++] = &set->hosts[i];
        }
    }
    h->weighted = weights_differ(h->hosts, n);
}

static struct lb_priority_count count_hosts(const struct priority_set *set, bool weighted)
{
    struct lb_priority_count c = {.total = set->n_hosts, .weighted = weighted};
    for (uint32_t i = 0; i < set->n_hosts; i++) {
        const struct host *h = &set->hosts[i];
        enum lb_source source = host_source(h);
        if (h->health & HEALTH_DRAINING) {
            c.excluded++;
            continue;
        }
        c.total_weight += h->weight;
        c.healthy += source == LB_HEALTHY;
        c.healthy_weight += source == LB_HEALTHY ? h->weight : 0;
        c.degraded += source == LB_DEGRADED;
        c.degraded_weight += source == LB_DEGRADED ? h->weight : 0;
    }
    return c;
}

static void priorities_init(struct lb *lb, double panic_threshold)
{
    for (unsigned p = 0; p < lb->n_priorities; p++) {
        const struct priority_set *set = &lb->set->priorities[p];
        struct lb_priority_count c = count_hosts(set, lb->set->weighted_priority_health);
        lb->counts[p] = c;
        source_init(lb, set, LB_ALL, set->n_hosts);
        source_init(lb, set, LB_HEALTHY, c.healthy);
        source_init(lb, set, LB_DEGRADED, c.degraded);
    }
    uint32_t threshold = panic_threshold > 100 ? 100 : (uint32_t)panic_threshold;
    lb_priority_loads(lb->counts, lb->n_priorities, lb->set->overprovisioning_factor, threshold,
                      lb->loads);
}

struct lb *lb_new(const struct cluster *cluster, const struct host_set *set,
                  struct random_source *random)
{
    struct lb *lb = NEW(struct lb);
    lb->ops = policy_ops(cluster, set);
    lb->set = set;
    lb->random = random;
    lb->choices = cluster->least_request_choices < 2 ? 2 : cluster->least_request_choices;
    lb->active_request_bias = cluster->active_request_bias;
    lb->fail_traffic_on_panic = cluster->fail_traffic_on_panic;
    lb->seed = (uint32_t)random_u64(random);
    lb->n_priorities = set->n_priorities;
    lb->priorities = mem_zalloc((set->n_priorities + 1) * sizeof(*lb->priorities));
    lb->counts = mem_zalloc((set->n_priorities + 1) * sizeof(*lb->counts));
    lb->loads = mem_zalloc((set->n_priorities + 1) * sizeof(*lb->loads));
    priorities_init(lb, cluster->healthy_panic_threshold);
    return lb;
}

void lb_free(struct lb **lb)
{
    struct lb *l = *lb;
    *lb = NULL;
    if (!l)
        return;
    for (unsigned p = 0; p < l->n_priorities; p++) {
        for (unsigned s = 0; s < N_LB_SOURCES; s++) {
            lb_edf_free(&l->priorities[p].sources[s].edf);
            mem_free(l->priorities[p].sources[s].own);
        }
    }
    mem_free(l->priorities);
    mem_free(l->counts);
    mem_free(l->loads);
    mem_free(l);
}

/* The hosts among which this request's host is chosen; NULL: none. */
static struct lb_hosts *choose_hosts(struct lb *lb, const struct lb_priority_load *loads,
                                     bool *panic)
{
    bool one = lb->n_priorities == 1 && loads[0].healthy == 100;
    uint32_t point = one ? 1 : (uint32_t)random_below(lb->random, 100) + 1;
    uint32_t sum = 0;
    *panic = false;
    for (unsigned s = LB_HEALTHY; s <= LB_DEGRADED; s++) {
        for (unsigned p = 0; p < lb->n_priorities; p++) {
            sum += s == LB_HEALTHY ? loads[p].healthy : loads[p].degraded;
            if (point > sum)
                continue;
            *panic = loads[p].panic;
            if (*panic && lb->fail_traffic_on_panic)
                return NULL;
            return &lb->priorities[p].sources[*panic ? LB_ALL : s];
        }
    }
    return NULL;
}

static bool was_tried(const struct lb_query *q, const struct host *host)
{
    for (unsigned i = 0; q && i < q->n_avoid; i++) {
        if (q->avoid[i] == host->state)
            return true;
    }
    return false;
}

static bool acceptable(const struct lb_query *q, const struct host *host, bool panic)
{
    if (!panic && atomic_load_explicit(&host->state->health, memory_order_relaxed) != 0)
        return false;
    return !was_tried(q, host);
}

static const struct host *pick_among(struct lb *lb, const struct lb_priority_load *loads,
                                     const struct lb_query *q, bool *panic)
{
    struct lb_hosts *h = choose_hosts(lb, loads, panic);
    if (!h || h->n == 0)
        return NULL;
    const struct host *first = NULL;
    for (unsigned i = 0; i < PICK_TRIES; i++) {
        const struct host *host = lb->ops->pick(lb, h);
        if (acceptable(q, host, *panic))
            return host;
        if (!first)
            first = host;
    }
    uint32_t start = (uint32_t)random_below(lb->random, h->n);
    for (uint32_t i = 0; i < h->n; i++) {
        const struct host *host = h->hosts[(start + i) % h->n];
        if (acceptable(q, host, *panic))
            return host;
    }
    return first; /* all are as bad: any host is better than none */
}

/* The loads of the priorities that were not tried. When all were, the trying begins anew. */
static bool untried_loads(const struct lb *lb, struct lb_tried *tried,
                          struct lb_priority_load *loads)
{
    uint32_t factor = lb->set->overprovisioning_factor;
    for (unsigned p = 0; p < lb->n_priorities; p++)
        loads[p] = lb->loads[p];
    if (lb_priority_loads_untried(lb->counts, lb->n_priorities, factor, tried, loads))
        return true;
    *tried = (struct lb_tried){0};
    return lb_priority_loads_untried(lb->counts, lb->n_priorities, factor, tried, loads);
}

static bool unwanted(const struct lb_query *q, const struct host *host)
{
    if (q->no_canary && host->more && host->more->canary)
        return true;
    for (unsigned i = 0; i < q->n_no_labels; i++) {
        struct bytes labels = metadata_filter(host_metadata(host), METADATA_LB);
        if (metadata_has_all(labels, q->no_labels[i]))
            return true;
    }
    return was_tried(q, host);
}

static const struct host *pick_again(struct lb *lb, const struct lb_query *q, bool *panic)
{
    struct lb_priority_load others[PRIORITIES_MAX];
    const struct lb_priority_load *loads = lb->loads;
    const struct host *host = NULL;
    if (q->tried && lb->n_priorities <= PRIORITIES_MAX && untried_loads(lb, q->tried, others))
        loads = others;
    if (q->picks == 0)
        return pick_among(lb, loads, q, panic);
    for (unsigned i = 0; i < q->picks; i++) {
        host = pick_among(lb, loads, NULL, panic);
        if (!host || !unwanted(q, host))
            break;
    }
    return host;
}

const struct host *lb_pick(struct lb *lb, const struct lb_query *q, bool *panic)
{
    return UNLIKELY(q != NULL) ? pick_again(lb, q, panic) : pick_among(lb, lb->loads, NULL, panic);
}
