/* Histories of a control plane: resources of every type that come, change, are refused and go,
 * through the builder as the config thread drives it, over snapshots that are read and given back.
 *
 *     records: what, which, length (2), bytes; at most 6000 bytes */
#include <stdio.h>

#include "../config_world.h"
#include "../proto.h"
#include "base/memory.h"
#include "config/wire.h"

enum { RECORDS_MAX = 40, HEAD = 4 };

enum what {
    UPDATE_CLUSTER, /* the types of resource_type.h */
    UPDATE_ENDPOINT,
    UPDATE_LISTENER,
    UPDATE_ROUTE,
    REMOVE,
    COMMIT,
    RETURN,
    EXPIRE,
    DNS,
    FAIL,
    START,
    REAP,
    UPDATE_SECRET,
    UPDATE_EXTENSION,
    REMOVE_EXTENSION,
    DEMAND,
    UPDATE_VIRTUAL_HOST,
    REMOVE_VIRTUAL_HOST,
    UPDATE_SCOPE,
    REMOVE_SCOPE,
    WHAT_COUNT
};

struct record {
    uint8_t what, which;
    struct bytes wire;
};

static unsigned read_records(struct bytes input, struct record *records)
{
    struct fuzz_in in = {input};
    unsigned n = 0;
    while (n < RECORDS_MAX && in.rest.len >= HEAD) {
        struct record *r = &records[n++];
        r->what = fuzz_u8(&in);
        r->which = fuzz_u8(&in);
        size_t len = (size_t)fuzz_u8(&in) << 8;
        len |= fuzz_u8(&in);
        r->wire = fuzz_take(&in, len);
    }
    return n;
}

static void put_record(struct strbuf *out, const struct record *r)
{
    size_t len = r->wire.len < 65535 ? r->wire.len : 65535;
    char head[HEAD] = {(char)r->what, (char)r->which, (char)(len >> 8), (char)len};
    strbuf_add(out, head, sizeof(head));
    strbuf_add(out, r->wire.data, len);
}

static void update(struct config_world *w, enum resource_type type, const struct record *r)
{
    struct update_result result;
    struct strbuf text = STRBUF_INIT;
    struct bytes name = wire_find_bytes(r->wire, 1);
    struct resource_update u = {name.data ? name : BYTES(""), BYTES("v1"), BYTES_NONE, r->wire};
    bool full = resource_type_is_wildcard(type) && (r->which & 1);
    w->refuse_bind = r->which & 2;
    config_update(w->builder, r->which & 4 ? &w->other : &w->ads, type, &u, r->which & 8 ? 0 : 1,
                  NULL, 0, full, BYTES("v1"), &result);
    bool said = update_result_text(&result, type, &text);
    FUZZ_CHECK(said == (result.n_errors > 0) && said == (text.len > 0), "an error without a word");
    for (unsigned i = 0; i < result.n_errors; i++)
        FUZZ_CHECK(*result.errors[i].details, "an error without a word");
    strbuf_fini(&text);
    update_result_fini(&result);
}

static void remove_one(struct config_world *w, const struct record *r)
{
    static const char *const names[] = {"c", "d", "s", "e", "l", "m", "r", "a"};
    struct update_result result;
    struct bytes name = bytes_of(names[r->which >> 2 & 7]);
    enum resource_type type = (enum resource_type)((r->which & 3) + (r->which >> 7));
    config_update(w->builder, r->which & 32 ? &w->other : &w->ads, type, NULL, 0, &name, 1, false,
                  BYTES("v2"), &result);
    update_result_fini(&result);
}

static void remove_named(struct config_world *w, enum resource_type type, const char *text,
                         const struct record *r)
{
    struct update_result result;
    struct bytes name = bytes_of(text);
    config_update(w->builder, r->which & 32 ? &w->other : &w->ads, type, NULL, 0, &name, 1, false,
                  BYTES("v2"), &result);
    update_result_fini(&result);
}

static void dns(struct config_world *w, const struct record *r)
{
    static const char *const names[] = {"d", "c", "s", "a"};
    struct address addresses[3];
    unsigned n = 0;
    for (; n < (r->which >> 2 & 3); n++) {
        char text[32];
        snprintf(text, sizeof(text), "10.0.%u.%u", r->which >> 4, n);
        if (!address_parse_ip(bytes_of(text), 80, &addresses[n]))
            return;
    }
    for (uint64_t generation = 1; generation < 4; generation++)
        builder_dns_update(w->builder, bytes_of(names[r->which & 3]), generation, r->which >> 6,
                           n > 0, addresses, n);
}

/* RESOURCE_TYPE_COUNT: it is no update. */
static enum resource_type updated_type(const struct record *r)
{
    uint8_t what = r->what % WHAT_COUNT;
    if (what <= UPDATE_ROUTE)
        return (enum resource_type)what;
    return what == UPDATE_SECRET         ? RESOURCE_SECRET
           : what == UPDATE_EXTENSION    ? RESOURCE_EXTENSION
           : what == UPDATE_VIRTUAL_HOST ? RESOURCE_VIRTUAL_HOST
           : what == UPDATE_SCOPE        ? RESOURCE_SCOPED_ROUTE
                                         : RESOURCE_TYPE_COUNT;
}

/* A cluster, a virtual host, or the routes of a scope. */
static void demand(struct config_world *w, const struct record *r)
{
    enum resource_type type = r->which & 128 ? RESOURCE_ROUTE
                              : r->which & 2 ? RESOURCE_VIRTUAL_HOST
                                             : RESOURCE_CLUSTER;
    builder_demand(w->builder, type, r->which & 1 ? &w->other : &w->ads, r->wire);
}

static void act(struct config_world *w, const struct record *r)
{
    switch ((enum what)(r->what % WHAT_COUNT)) {
    case UPDATE_CLUSTER:
    case UPDATE_ENDPOINT:
    case UPDATE_LISTENER:
    case UPDATE_ROUTE:
    case UPDATE_SECRET:
    case UPDATE_EXTENSION:
    case UPDATE_VIRTUAL_HOST:
    case UPDATE_SCOPE:
        update(w, updated_type(r), r);
        break;
    case DEMAND:
        demand(w, r);
        break;
    case REMOVE_VIRTUAL_HOST:
        remove_named(w, RESOURCE_VIRTUAL_HOST, r->which & 1 ? "v/a" : "v/b", r);
        break;
    case REMOVE_SCOPE:
        remove_named(w, RESOURCE_SCOPED_ROUTE, r->which & 1 ? "o" : r->which & 2 ? "p" : "*", r);
        break;
    case REMOVE_EXTENSION:
        remove_named(w, RESOURCE_EXTENSION, r->which & 1 ? "f" : "g", r);
        break;
    case REMOVE:
        remove_one(w, r);
        break;
    case COMMIT:
        builder_commit(w->builder);
        break;
    case RETURN:
        config_world_adopt(w);
        config_world_look(w);
        break;
    case EXPIRE:
        config_world_expire(w);
        break;
    case DNS:
        dns(w, r);
        break;
    case FAIL:
        if (r->which & 4)
            config_source_failed(w->builder, r->which & 8 ? &w->other : &w->ads);
        else
            config_update_failed(w->builder, &w->ads, (enum resource_type)(r->which & 3));
        break;
    case START:
        if (builder_init_stage(w->builder) == INIT_IDLE)
            builder_start(w->builder, &w->ads, &w->ads);
        break;
    case REAP:
        builder_reap(w->builder);
        break;
    case WHAT_COUNT:
        break;
    }
}

static void run(struct bytes input)
{
    static struct config_world w;
    static struct record records[RECORDS_MAX];
    struct fuzz_in in = {input};
    config_world_init(&w, fuzz_bool(&in));
    unsigned n = read_records(in.rest, records);
    for (unsigned i = 0; i < n; i++)
        act(&w, &records[i]);
    builder_commit(w.builder);
    config_world_look(&w);
    config_world_fini(&w);
}

/* ---- mutations ---- */

static const char *message_of(const struct record *r)
{
    enum resource_type type = updated_type(r);
    return type == RESOURCE_TYPE_COUNT ? NULL : resource_type_name(type);
}

static struct record make_record(struct random_source *random, struct strbuf *wire)
{
    struct record r = {(uint8_t)random_below(random, WHAT_COUNT), (uint8_t)random_u64(random),
                       BYTES_NONE};
    const char *message = NULL;
    unsigned at = (unsigned)random_below(random, n_templates * 2);
    if (at < n_templates)
        for (int t = 0; t < RESOURCE_TYPE_COUNT; t++)
            if (strcmp(templates[at].message, resource_type_name((enum resource_type)t)) == 0) {
                r.what = t == RESOURCE_SECRET         ? UPDATE_SECRET
                         : t == RESOURCE_EXTENSION    ? UPDATE_EXTENSION
                         : t == RESOURCE_VIRTUAL_HOST ? UPDATE_VIRTUAL_HOST
                         : t == RESOURCE_SCOPED_ROUTE ? UPDATE_SCOPE
                                                      : (uint8_t)t;
                r.which &= random_below(random, 4) ? 0 : 0xff;
                r.wire = template_wire(at);
                return r;
            }
    message = message_of(&r);
    if (message)
        proto_generate(world_descriptors, random, bytes_of(message), wire);
    r.wire = strbuf_bytes(wire);
    return r;
}

static void change_record(struct random_source *random, struct record *r, struct strbuf *wire)
{
    const char *message = message_of(r);
    if (!message || random_below(random, 8) == 0) {
        r->which = (uint8_t)random_u64(random);
        return;
    }
    proto_mutate(world_descriptors, random, bytes_of(message), r->wire, wire);
    r->wire = strbuf_bytes(wire);
}

static void mutate(struct random_source *random, struct bytes input, struct strbuf *out)
{
    static struct record records[RECORDS_MAX];
    struct strbuf wire = STRBUF_INIT;
    struct fuzz_in in = {input};
    strbuf_add_char(out, (char)(fuzz_u8(&in) ^ (random_below(random, 32) == 0)));
    unsigned n = read_records(in.rest, records);
    unsigned at = n ? (unsigned)random_below(random, n) : 0;
    unsigned what = n ? (unsigned)random_below(random, 12) : 0;
    struct record extra = {0};
    if (what < 3)
        extra = make_record(random, &wire);
    else if (what == 3) /* an earlier one again, perhaps changed */
        extra = records[random_below(random, n)];
    if (what == 3 && random_below(random, 2))
        change_record(random, &extra, &wire);
    else if (what > 4)
        change_record(random, &records[at], &wire);
    for (unsigned i = 0; i < n; i++) {
        if (what != 4 || i != at || n == 1)
            put_record(out, &records[i]);
        if (what <= 3 && i == at)
            put_record(out, &extra);
    }
    if (!n)
        put_record(out, &extra);
    strbuf_fini(&wire);
}

const struct fuzz_target fuzz_target = {.run = run, .setup = config_world_setup, .mutate = mutate};
