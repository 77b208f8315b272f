/* The one walk over the bytes of a resource that finds nothing: no rule broken, nothing that is not
 * implemented, nothing that a decoder could read in two ways. It says what it is sure of; whatever
 * it does not understand is left to validate_message() and unsupported_scan(), which find the
 * words. So it may give up anywhere, and it never allocates. */
#include "config/validate.h"
#include "config/validate_plan.h"

#include <upb/def.h>

#include "base/map.h"
#include "base/memory.h"
#include "config/typed.h"
#include "config/wire.h"

enum { QUICK_MAX_DEPTH = 40 };

struct quick {
    struct descriptors *d;
    struct validator *v;
    struct arena *arena; /* of the plans */
    struct map by_name;  /* full name -> plan; of names that the API has */
};

struct walk {
    struct quick *q;
    unsigned sure; /* of what */
    unsigned depth;
};

struct quick *quick_new(struct descriptors *d, struct validator *v)
{
    struct quick *q = NEW(struct quick);
    q->d = d;
    q->v = v;
    q->arena = arena_new(4096);
    return q;
}

void quick_free(struct quick **qp)
{
    struct quick *q = *qp;
    *qp = NULL;
    if (!q)
        return;
    map_fini(&q->by_name);
    arena_free(&q->arena);
    mem_free(q);
}

/* NULL: the API has no such type. */
static struct plan *plan_named(struct quick *q, struct bytes name)
{
    struct plan *p = map_get(&q->by_name, name);
    if (p)
        return p;
    const upb_MessageDef *m = descriptors_message(q->d, name);
    if (!m)
        return NULL;
    p = plan_compile(q->arena, m, validator_rules(q->v, m));
    map_set(&q->by_name, name, p);
    return p;
}

/* --- reading: shorter forms only than any decoder takes --- */

struct cursor {
    const unsigned char *at, *end;
};

static struct cursor cursor_of(struct bytes b)
{
    const unsigned char *at = (const unsigned char *)(b.data ? b.data : "");
    return (struct cursor){at, at + b.len};
}

static bool take_varint(struct cursor *c, uint64_t *value)
{
    uint64_t v = 0;
    for (unsigned shift = 0; c->at < c->end && shift < 64; shift += 7) {
        uint64_t byte = *c->at++;
        v |= (byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = v;
            return shift < 63 || byte <= 1;
        }
    }
    return false;
}

static bool take_fixed(struct cursor *c, unsigned n, uint64_t *value)
{
    if ((size_t)(c->end - c->at) < n)
        return false;
    *value = 0;
    for (unsigned i = 0; i < n; i++)
        *value |= (uint64_t)c->at[i] << (8 * i);
    c->at += n;
    return true;
}

static bool take_bytes(struct cursor *c, struct bytes *out)
{
    uint64_t len;
    if (!take_varint(c, &len) || len > (uint64_t)(c->end - c->at))
        return false;
    *out = bytes_from((const char *)c->at, (size_t)len);
    c->at += len;
    return true;
}

static bool take_value(struct cursor *c, unsigned wire, uint64_t *number, struct bytes *bytes)
{
    switch (wire) {
    case WIRE_VARINT:
        return take_varint(c, number);
    case WIRE_FIXED64:
        return take_fixed(c, 8, number);
    case WIRE_FIXED32:
        return take_fixed(c, 4, number);
    case WIRE_BYTES:
        return take_bytes(c, bytes);
    default:
        return false;
    }
}

static bool take_tag(struct cursor *c, uint32_t *number, unsigned *wire)
{
    uint32_t tag = *c->at++;
    if (tag >= 0x80) {
        if (c->at == c->end || *c->at >= 0x80)
            return false;
        tag = (tag & 0x7f) | (uint32_t)*c->at++ << 7;
    }
    *number = tag >> 3;
    *wire = tag & 7;
    return *number != 0;
}

static bool is_ascii(struct bytes b)
{
    uint64_t word, all = 0;
    for (; b.len >= sizeof(word); b = bytes_from(b.data + sizeof(word), b.len - sizeof(word))) {
        memcpy(&word, b.data, sizeof(word));
        all |= word;
    }
    for (size_t i = 0; i < b.len; i++)
        all |= (unsigned char)b.data[i];
    return (all & UINT64_C(0x8080808080808080)) == 0;
}

/* --- values --- */

static void walk_message(struct walk *w, struct plan *p, struct bytes body, unsigned asked);

static void doubt(struct walk *w, unsigned what)
{
    w->sure &= ~what;
}

static void walk_scalar(struct walk *w, const struct plan_field *f, uint64_t number,
                        struct bytes text, unsigned asked)
{
    bool words = f->wire == WIRE_BYTES;
    if (words && f->type == kUpb_FieldType_String && !is_ascii(text))
        doubt(w, SURELY_VALID | SURELY_SUPPORTED);
    if (f->rules && (asked & SURELY_VALID) &&
        !(words ? plan_text_ok(f, text) : plan_number_ok(f, number)))
        doubt(w, SURELY_VALID);
}

/* Of a message with fields 1 and 2 alone, each at most once. False: it is something else. */
struct pair {
    uint64_t numbers[3];
    struct bytes texts[3];
};

static bool take_pair(struct bytes body, unsigned wire1, unsigned wire2, struct pair *out)
{
    struct cursor c = cursor_of(body);
    bool seen[3] = {false, false, false};
    *out = (struct pair){{0, 0, 0}, {BYTES(""), BYTES(""), BYTES("")}};
    while (c.at < c.end) {
        uint32_t number;
        unsigned wire;
        if (!take_tag(&c, &number, &wire) || number > 2 || seen[number] ||
            wire != (number == 1 ? wire1 : wire2) ||
            !take_value(&c, wire, &out->numbers[number], &out->texts[number]))
            return false;
        seen[number] = true;
    }
    return true;
}

enum { NO_WIRE = 8 };

static void walk_wrapper(struct walk *w, const struct plan_field *f, struct bytes body,
                         unsigned asked)
{
    struct pair p;
    if (take_pair(body, f->wire, NO_WIRE, &p))
        walk_scalar(w, f, p.numbers[1], p.texts[1], asked);
    else
        doubt(w, SURELY_VALID | SURELY_SUPPORTED);
}

static void walk_duration(struct walk *w, const struct plan_field *f, struct bytes body,
                          unsigned asked)
{
    struct pair p;
    if (!take_pair(body, WIRE_VARINT, WIRE_VARINT, &p)) {
        doubt(w, SURELY_VALID | SURELY_SUPPORTED);
        return;
    }
    int64_t seconds = (int64_t)p.numbers[1];
    int32_t nanos = (int32_t)p.numbers[2];
    bool good = seconds >= 0 && seconds <= 315576000000 && nanos >= 0 && nanos <= 999999999;
    if (good && f->rules && f->rules->kind == RULES_DURATION)
        good = plan_range_ok(f->rules, (long double)seconds + (long double)nanos / 1e9L);
    if (!good && (asked & SURELY_VALID))
        doubt(w, SURELY_VALID);
}

static void walk_any(struct walk *w, const struct plan_field *f, struct bytes body, unsigned asked)
{
    struct pair any;
    if (!take_pair(body, WIRE_BYTES, WIRE_BYTES, &any) || !is_ascii(any.texts[1]) ||
        typed_is_typed_struct(any.texts[1])) {
        doubt(w, SURELY_VALID | SURELY_SUPPORTED);
        return;
    }
    if (f->rules && f->rules->skip)
        asked &= ~(unsigned)SURELY_VALID;
    struct plan *p = plan_named(w->q, descriptors_type_name(any.texts[1]));
    if (p && !p->extension)
        asked &= ~(unsigned)SURELY_SUPPORTED;
    if (p && asked)
        walk_message(w, p, any.texts[2], asked);
}

static void walk_value(struct walk *w, struct plan_field *f, uint64_t number, struct bytes text,
                       unsigned asked)
{
    switch ((enum plan_kind)f->kind) {
    case PLAN_SCALAR:
    case PLAN_TEXT:
    case PLAN_BYTES:
        walk_scalar(w, f, number, text, asked);
        return;
    case PLAN_WRAPPER:
        walk_wrapper(w, f, text, asked);
        return;
    case PLAN_DURATION:
        walk_duration(w, f, text, asked);
        return;
    case PLAN_ANY:
        walk_any(w, f, text, asked);
        return;
    case PLAN_OPAQUE:
        asked = 0;
        break;
    case PLAN_MESSAGE:
    case PLAN_MAP:
        break;
    }
    if (!f->plan)
        f->plan = plan_named(w->q, bytes_of(f->sub));
    CHECK(f->plan != NULL); /* the type of a field of the API */
    if (f->kind == PLAN_MESSAGE && f->rules && f->rules->skip)
        asked &= ~(unsigned)SURELY_VALID;
    walk_message(w, f->plan, text, asked);
}

/* --- messages --- */

struct seen {
    uint64_t fields[2], oneofs;
    uint32_t counts[PLAN_MAX_COUNTED];
};

static struct plan_field *field_of(const struct plan *p, uint32_t number)
{
    if (number < p->n_direct)
        return p->direct[number] ? &p->fields[p->direct[number] - 1] : NULL;
    for (unsigned i = 0; number >= PLAN_MAX_DIRECT && i < p->n_fields; i++) {
        if (p->fields[i].number == number)
            return &p->fields[i];
    }
    return NULL;
}

/* A second value of a field or of a oneof may add to the first or replace it. */
static bool mark(struct seen *s, const struct plan *p, const struct plan_field *f)
{
    unsigned at = (unsigned)(f - p->fields);
    uint64_t bit = UINT64_C(1) << at % 64, oneof = UINT64_C(1) << f->oneof;
    if (!f->repeated && (s->fields[at / 64] & bit))
        return false;
    if (f->oneof && (s->oneofs & oneof))
        return false;
    s->fields[at / 64] |= bit;
    if (f->oneof)
        s->oneofs |= oneof;
    return true;
}

static bool walk_packed(struct walk *w, struct plan_field *f, struct bytes list, uint32_t *count,
                        unsigned asked)
{
    struct cursor c = cursor_of(list);
    while (c.at < c.end) {
        uint64_t number = 0;
        if (!take_value(&c, f->wire, &number, NULL))
            return false;
        walk_value(w, f, number, BYTES(""), asked);
        ++*count;
    }
    return true;
}

/* Takes one field. False: it cannot be judged. */
static bool walk_field(struct walk *w, struct plan *p, struct cursor *c, struct seen *s,
                       unsigned asked)
{
    uint32_t field, n = 1;
    unsigned wire;
    uint64_t number = 0;
    struct bytes text = BYTES("");
    if (!take_tag(c, &field, &wire) || !take_value(c, wire, &number, &text))
        return false;
    struct plan_field *f = field_of(p, field);
    if (!f) {
        doubt(w, asked & SURELY_SUPPORTED);
        return !p->entry;
    }
    if (!mark(s, p, f))
        return false;
    if (f->disallowed)
        doubt(w, asked & SURELY_VALID);
    if (f->listed)
        doubt(w, asked & SURELY_SUPPORTED);
    bool message = f->sub != NULL;
    if (wire == (message ? WIRE_BYTES : f->wire)) {
        walk_value(w, f, number, text, asked);
    } else {
        n = 0;
        if (wire != WIRE_BYTES || message || !f->repeated || !walk_packed(w, f, text, &n, asked))
            return false;
    }
    if (f->counted)
        s->counts[f->counted - 1] += n;
    return true;
}

/* Entries of a map that have the same key count once, and nothing of that is known here. */
static bool counts_ok(const struct plan *p, const struct seen *s)
{
    for (unsigned i = 0; p->n_counted && i < p->n_fields; i++) {
        const struct plan_field *f = &p->fields[i];
        if (!f->counted)
            continue;
        uint32_t n = s->counts[f->counted - 1];
        if (n > f->list->max_items || (n > 1 && f->list->unique) || n < f->list->min_items ||
            (n > 1 && f->kind == PLAN_MAP && f->list->min_items > 1))
            return false;
    }
    return true;
}

static void walk_message(struct walk *w, struct plan *p, struct bytes body, unsigned asked)
{
    struct cursor c = cursor_of(body);
    struct seen s = {{0, 0}, 0, {0}};
    if (p->odd || w->depth >= QUICK_MAX_DEPTH)
        w->sure = 0;
    if (p->disabled)
        asked &= ~(unsigned)SURELY_VALID;
    w->depth++;
    while (w->sure && c.at < c.end) {
        if (!walk_field(w, p, &c, &s, asked))
            w->sure = 0;
    }
    w->depth--;
    bool all = (p->must[0] & ~s.fields[0]) == 0 && (p->must[1] & ~s.fields[1]) == 0 &&
               (p->must_oneof & ~s.oneofs) == 0;
    if ((asked & SURELY_VALID) && !(all && counts_ok(p, &s)))
        doubt(w, SURELY_VALID);
}

unsigned quick_check(struct quick *q, struct bytes message, struct bytes body)
{
    struct walk w = {.q = q, .sure = SURELY_VALID | SURELY_SUPPORTED};
    struct plan *p = body.len <= INT32_MAX ? plan_named(q, message) : NULL;
    if (!p)
        return 0;
    walk_message(&w, p, body, w.sure);
    return w.sure;
}
