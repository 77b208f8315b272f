#include "admin/stat_list.h"

#include <stdlib.h>

#include "admin/histogram_out.h"
#include "base/memory.h"
#include "config/stats_config.h"
#include "config/utf8.h"

static const struct {
    const char *name;
    unsigned kinds;
} types[] = {{"All", STAT_KINDS_ALL},
             {"Counters", 1u << STAT_COUNTER},
             {"Gauges", 1u << STAT_GAUGE},
             {"Histograms", 1u << STAT_HISTOGRAM},
             {"TextReadouts", 1u << STAT_TEXT}};

/* As names compare: the prefix with the dot that follows it. */
static int by_prefix(const void *a, const void *b)
{
    const struct stat_scope *x = *(struct stat_scope *const *)a,
                            *y = *(struct stat_scope *const *)b;
    const unsigned char *p = (const unsigned char *)x->prefix;
    const unsigned char *q = (const unsigned char *)y->prefix;
    while (*p && *p == *q)
        p++, q++;
    int c = *p ? *p : '.', d = *q ? *q : '.';
    if (*p && *q)
        return c - d;
    return c != d ? c - d : (*p != 0) - (*q != 0);
}

static int by_name(const void *a, const void *b)
{
    return bytes_cmp(((const struct stat_entry *)a)->name, ((const struct stat_entry *)b)->name);
}

/* Envoy's gauges have no sign, and the hash of a version fills all 64 bits. A small negative sum is
 * threads seen between two writes. */
static uint64_t value_of(const struct stat_view *v)
{
    return v->value < 0 && v->value > -(INT64_C(1) << 32) ? 0 : (uint64_t)v->value;
}

static void add(void *ctx, const struct stat_view *v)
{
    struct stat_list *l = ctx;
    if (!(l->now & 1u << v->kind) || (l->used_only && !v->used))
        return;
    if (!stats_config_has(l->config, v->name))
        return;
    if (l->filter && regex_partial_match(l->filter, v->name) == l->inverted)
        return;
    GROW(l->entries, l->cap, l->n + 1);
    struct stat_entry *e = &l->entries[l->n++];
    *e = (struct stat_entry){.name = arena_dup(l->arena, v->name),
                             .kind = v->kind,
                             .value = value_of(v),
                             .scope = v->scope,
                             .id = v->id};
    if (v->text)
        e->text = arena_dup(l->arena, bytes_of(v->text));
}

static bool read_type(struct stat_list *l, struct bytes type, struct error *err)
{
    l->kinds = STAT_KINDS_ALL;
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        if (bytes_eq_str(type, types[i].name)) {
            l->kinds = types[i].kinds;
            return true;
        }
    }
    return type.len == 0 || error_set(err, "invalid &type= param");
}

static bool read_hidden(struct stat_list *l, struct bytes hidden, struct error *err)
{
    l->none = bytes_eq_str(hidden, "only");
    if (l->none || hidden.len == 0 || bytes_eq_str(hidden, "include") ||
        bytes_eq_str(hidden, "exclude"))
        return true;
    return error_set(err, "usage: /stats?hidden=(include|only|exclude)\n\n");
}

static bool read_filter(struct stat_list *l, const struct query *q, struct error *err)
{
    struct bytes filter = query_get(q, "filter");
    struct error why = ERROR_INIT;
    l->inverted = query_has(q, "invert_filter");
    if (!filter.len)
        return !l->inverted ||
               error_set(err, "invert_filter can only be used if filter is also provided");
    if (utf8_check(filter) != filter.len) /* the same in RE2's words */
        return error_set(err, "Invalid re2 regex: invalid UTF-8");
    l->filter = regex_new_limited(filter, REGEX_PROGRAM_SIZE_ANY, &why);
    if (l->filter)
        return true;
    error_set(err, "Invalid re2 regex: %s", query_regex_error(&why, filter));
    error_fini(&why);
    return false;
}

static bool check_buckets(struct bytes buckets, struct error *err)
{
    enum histogram_mode mode;
    return histogram_mode_parse(buckets, &mode) || bytes_eq_str(buckets, "prometheusnative") ||
           error_set(err, "%s", HISTOGRAM_BUCKETS_USAGE);
}

static bool check_format(struct bytes format, struct error *err)
{
    static const char *const names[] = {"html", "active-html", "json", "prometheus", "text"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (bytes_eq_str(format, names[i]))
            return true;
    }
    return format.len == 0 ||
           error_set(err, "usage: /stats?format=(html|active-html|json|prometheus|text)\n\n");
}

/* The order is Envoy's: of several faults the first is told. */
static bool read_query(struct stat_list *l, const struct query *q, struct error *err)
{
    return read_filter(l, q, err) && check_buckets(query_get(q, "histogram_buckets"), err) &&
           read_type(l, query_get(q, "type"), err) && read_hidden(l, query_get(q, "hidden"), err) &&
           check_format(query_get(q, "format"), err);
}

bool stat_list_init(struct stat_list *l, const struct query *q, bool with_type,
                    struct stat_store *stats, const struct stats_config *config, struct error *err)
{
    *l = (struct stat_list){.used_only = query_has(q, "usedonly"), .config = config};
    if (!read_query(l, q, err))
        return false;
    if (!with_type)
        l->kinds = STAT_KINDS_ALL;
    l->arena = arena_new(16 * 1024);
    l->scopes = stat_scopes(stats, &l->n_scopes);
    qsort(l->scopes, l->n_scopes, sizeof(l->scopes[0]), by_prefix);
    return true;
}

void stat_list_start(struct stat_list *l, unsigned kinds)
{
    l->now = l->none ? 0 : kinds & l->kinds;
    l->next_scope = l->now ? 0 : l->n_scopes;
    l->n = l->at = 0;
}

/* The names of scope `b` may stand between those of scope `a`, which comes before it. */
static bool interleaves(const struct stat_scope *a, const struct stat_scope *b)
{
    size_t len = strlen(a->prefix);
    return len == 0 || (strncmp(a->prefix, b->prefix, len) == 0 &&
                        (b->prefix[len] == '.' || b->prefix[len] == '\0'));
}

static unsigned read_scope(struct stat_list *l, struct stat_scope *scope)
{
    for (unsigned i = 0; i < scope->schema->count; i++) {
        enum stat_kind kind = scope->schema->stats[i].kind;
        if (l->now & 1u << (kind == STAT_CODES ? STAT_COUNTER : kind)) {
            stat_visit_scope(scope, add, l);
            return scope->schema->count;
        }
    }
    return 1;
}

/* The next scope and those below it. Codes are counters whose names are made as they are seen. */
static unsigned read_group(struct stat_list *l)
{
    struct stat_scope *first = l->scopes[l->next_scope];
    unsigned looked_at = 0;
    arena_reset(l->arena);
    l->n = l->at = 0;
    do
        looked_at += read_scope(l, l->scopes[l->next_scope++]);
    while (l->next_scope < l->n_scopes && interleaves(first, l->scopes[l->next_scope]));
    if (l->n)
        qsort(l->entries, l->n, sizeof(l->entries[0]), by_name);
    return looked_at;
}

const struct stat_entry *stat_list_next(struct stat_list *l, unsigned *looked_at)
{
    if (l->at == l->n && l->next_scope < l->n_scopes)
        *looked_at += read_group(l);
    return l->at < l->n ? &l->entries[l->at++] : NULL;
}

void stat_list_fini(struct stat_list *l)
{
    for (size_t i = 0; i < l->n_scopes; i++)
        stat_scope_unref(&l->scopes[i]);
    mem_free(l->scopes);
    mem_free(l->entries);
    regex_free(&l->filter);
    arena_free(&l->arena);
}
