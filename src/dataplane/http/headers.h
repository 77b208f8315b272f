/* struct headers: an ordered list of HTTP header fields in a stream's arena. Names are lower case
 * (the codec lowers them). Frequent names have a number, so that a lookup of one of them is an
 * array access. Pseudo headers (":method", ":path", ":authority", ":scheme", ":status") are
 * ordinary entries that always stand before the others.
 *
 * One thread. Bytes added are borrowed unless the function says "copies": they must live in the
 * stream's arena or be constant. Every decoded byte is charged by the codec before it comes here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/header_name.h"

struct header {
    struct bytes name, value;
    uint16_t id; /* enum header_id */
};

struct headers {
    struct arena *arena;
    struct header *entries;
    uint32_t n, cap;
    uint32_t byte_size;              /* names and values */
    bool repeated;                   /* such a name was added twice since the last joining */
    bool ever_repeated;              /* the same since the beginning */
    uint16_t first[HEADER_ID_COUNT]; /* position + 1 of the first entry with that id; 0: none */
};

static inline void headers_init(struct headers *h, struct arena *a)
{
    *h = (struct headers){.arena = a};
}
/* Room for n entries in all, so that adding them allocates once. */
void headers_reserve(struct headers *h, uint32_t n);
MUST_CHECK bool headers_try_reserve(struct headers *h, uint32_t n); /* false: no memory */
/* Fields that frame or route a message, or speak of the connection, mean nothing in trailers. */
bool header_forbidden_in_trailers(enum header_id id);

/* Value of the first entry, or data == NULL. */
static inline struct bytes headers_get(const struct headers *h, enum header_id id)
{
    return h->first[id] ? h->entries[h->first[id] - 1].value : BYTES_NONE;
}
/* ":status" of a response; 0: it has none, or none of three digits from 100 on. */
static inline unsigned headers_status(const struct headers *h)
{
    struct bytes s = headers_get(h, HEADER_STATUS);
    if (s.len != 3)
        return 0;
    unsigned a = (unsigned char)s.data[0] - '1', b = (unsigned char)s.data[1] - '0',
             c = (unsigned char)s.data[2] - '0';
    return a < 9 && b < 10 && c < 10 ? (a + 1) * 100 + b * 10 + c : 0;
}
struct bytes headers_get_name(const struct headers *h, struct bytes lower_name);
struct bytes headers_get_other(const struct headers *h, struct bytes name); /* without a number */
static inline struct bytes headers_get_key(const struct headers *h, struct header_key k)
{
    return k.id != HEADER_OTHER ? headers_get(h, k.id) : headers_get_other(h, k.name);
}
/* All values joined with "," as Envoy's %REQ()% sees repeated headers; data == NULL
 * when there is none. Joins in the arena only when there are several. */
struct bytes headers_get_all(const struct headers *h, struct bytes lower_name);
struct bytes headers_get_several(const struct headers *h, enum header_id id, struct bytes name);
static inline struct bytes headers_get_all_id(const struct headers *h, enum header_id id)
{
    if (!h->first[id])
        return BYTES_NONE;
    return h->ever_repeated ? headers_get_several(h, id, header_name(id)) : headers_get(h, id);
}
/* One value after the other, as config/matcher.h's header_values asks for them. */
bool headers_values(const void *headers, struct bytes lower_name, uint32_t *at,
                    struct bytes *value);
static inline bool headers_has(const struct headers *h, enum header_id id)
{
    return h->first[id] != 0;
}
/* Adds at the end (pseudo headers: after the other pseudo headers). */
void headers_add(struct headers *h, struct bytes lower_name, struct bytes value);
void headers_add_slowly(struct headers *h, enum header_id id, struct bytes name,
                        struct bytes value);
static inline void headers_add_id(struct headers *h, enum header_id id, struct bytes value)
{
    struct bytes name = header_name(id);
    uint32_t at = h->n;
    bool moves = header_is_pseudo(id) && at && !header_is_pseudo(h->entries[at - 1].id);
    if (UNLIKELY(at == h->cap || h->first[id] || moves)) {
        headers_add_slowly(h, id, name, value);
        return;
    }
    h->entries[at] = (struct header){name, value, (uint16_t)id};
    h->byte_size += (uint32_t)(name.len + value.len);
    h->n = at + 1;
    h->first[id] = (uint16_t)(at + 1);
}
/* Of a name that has no number and does not begin with ":". */
static inline void headers_add_other(struct headers *h, struct bytes name, struct bytes value)
{
    uint32_t at = h->n;
    if (UNLIKELY(at == h->cap)) {
        headers_add_slowly(h, HEADER_OTHER, name, value);
        return;
    }
    h->entries[at] = (struct header){name, value, HEADER_OTHER};
    h->byte_size += (uint32_t)(name.len + value.len);
    h->n = at + 1;
}
/* A header that a request or a response has once is a list to which this joins ("a,b"); others get
 * one more entry. */
void headers_append(struct headers *h, struct bytes lower_name, struct bytes value);
void headers_append_key(struct headers *h, struct header_key k, struct bytes value);
/* The same for a head that a codec has read line by line with headers_add(). */
void headers_join_lines(struct headers *h);
/* Replaces every entry of that name by one (at the first one's place), or adds. */
void headers_set(struct headers *h, struct bytes lower_name, struct bytes value);
void headers_set_key(struct headers *h, struct header_key k, struct bytes value);
void headers_set_found(struct headers *h, enum header_id id, struct bytes value);
static inline void headers_set_id(struct headers *h, enum header_id id, struct bytes value)
{
    if (h->first[id])
        headers_set_found(h, id, value);
    else
        headers_add_id(h, id, value);
}
/* A number as Envoy reads one that steers it: blanks around it and a plus sign are taken. */
MUST_CHECK bool header_number(struct bytes value, uint64_t *n);
/* Returns the number removed. */
unsigned headers_remove(struct headers *h, struct bytes lower_name);
unsigned headers_remove_key(struct headers *h, struct header_key k);
unsigned headers_remove_found(struct headers *h, enum header_id id);
static inline unsigned headers_remove_id(struct headers *h, enum header_id id)
{
    return h->first[id] ? headers_remove_found(h, id) : 0;
}
/* for (const struct header *e = h->entries; e < headers_end(h); e++) is fine while nothing is added
 * or removed. A list that never had one has no entries to count from. */
static inline const struct header *headers_end(const struct headers *h)
{
    return h->n ? h->entries + h->n : h->entries;
}
