#include <stdatomic.h>

#include "admin/dump_entries.h"
#include "base/memory.h"
#include "config/cluster.h"
#include "config/wire.h"

/* core.v3.HealthStatus */
enum { HEALTHY = 1, UNHEALTHY = 2, DEGRADED = 5 };

static unsigned health_of(const struct host *h)
{
    uint32_t flags = h->health | atomic_load(&h->state->health);
    if (flags &
        (HEALTH_FAILED_EDS | HEALTH_DRAINING | HEALTH_FAILED_ACTIVE_HC | HEALTH_FAILED_OUTLIER))
        return UNHEALTHY;
    return flags & HEALTH_DEGRADED_EDS ? DEGRADED : HEALTHY;
}

/* core.v3.Address */
static void put_address(struct strbuf *out, uint32_t number, const struct address *a)
{
    char text[ADDRESS_TEXT_MAX];
    struct strbuf address = STRBUF_INIT, inner = STRBUF_INIT;
    if (a->kind == ADDRESS_PIPE) {
        dump_put_text(&inner, 1, bytes_of(address_format(a, text)));
        dump_put_message(&address, 2, &inner);
    } else {
        dump_put_text(&inner, 2, bytes_of(address_format_ip(a, text)));
        dump_put_varint(&inner, 3, a->port);
        dump_put_message(&address, 1, &inner);
    }
    dump_put_message(out, number, &address);
}

/* UInt32Value */
static void put_wrapped(struct strbuf *out, uint32_t number, uint32_t value)
{
    struct strbuf v = STRBUF_INIT;
    if (value)
        dump_put_varint(&v, 1, value);
    dump_put_message(out, number, &v);
}

static void put_host(struct strbuf *out, const struct host *h)
{
    struct strbuf host = STRBUF_INIT, endpoint = STRBUF_INIT;
    put_address(&endpoint, 1, &h->address);
    wire_put_bytes(&endpoint, 2, BYTES("")); /* health_check_config */
    dump_put_text(&endpoint, 3, host_name(h));
    unsigned n;
    const struct address *others = host_others(h, &n);
    for (unsigned i = 0; i < n; i++) {
        struct strbuf other = STRBUF_INIT;
        put_address(&other, 1, &others[i]);
        dump_put_message(&endpoint, 4, &other);
    }
    dump_put_message(&host, 1, &endpoint);
    dump_put_varint(&host, 2, health_of(h));
    put_wrapped(&host, 4, h->weight);
    dump_put_message(out, 2, &host);
}

static void put_locality(struct strbuf *out, const struct locality *l, struct strbuf *hosts)
{
    struct strbuf locality = STRBUF_INIT, group = STRBUF_INIT;
    dump_put_text(&locality, 1, l->region);
    dump_put_text(&locality, 2, l->zone);
    dump_put_text(&locality, 3, l->sub_zone);
    dump_put_message(&group, 1, &locality);
    strbuf_add_bytes(&group, strbuf_bytes(hosts));
    strbuf_fini(hosts);
    put_wrapped(&group, 3, l->weight);
    if (l->priority)
        dump_put_varint(&group, 5, l->priority);
    dump_put_message(out, 2, &group);
}

void dump_load_assignment(struct bytes name, const struct host_set *hosts, struct strbuf *out)
{
    uint32_t n = hosts ? hosts->n_localities : 0;
    struct strbuf *groups = mem_zalloc((n + 1) * sizeof(*groups));
    struct strbuf policy = STRBUF_INIT;
    for (uint32_t i = 0; i < n; i++)
        groups[i] = (struct strbuf)STRBUF_INIT;
    for (uint32_t i = 0; hosts && i < hosts->n_hosts; i++)
        put_host(&groups[hosts->hosts[i].locality], &hosts->hosts[i]);
    dump_put_text(out, 1, name);
    for (uint32_t i = 0; i < n; i++) {
        if (groups[i].len)
            put_locality(out, &hosts->localities[i], &groups[i]);
    }
    put_wrapped(&policy, 3, hosts ? hosts->overprovisioning_factor : 140);
    dump_put_message(out, 4, &policy);
    mem_free(groups);
}
