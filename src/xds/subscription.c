#include "xds/subscription.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "config/utf8.h"
#include "config/wire.h"
#include "xds/subscription_internal.h"

/* Field numbers of DiscoveryRequest and google.rpc.Status. */
enum {
    REQUEST_VERSION_INFO = 1,
    REQUEST_NODE = 2,
    REQUEST_RESOURCE_NAMES = 3,
    REQUEST_TYPE_URL = 4,
    REQUEST_RESPONSE_NONCE = 5,
    REQUEST_ERROR_DETAIL = 6,
    STATUS_CODE = 1,
    STATUS_MESSAGE = 2,
};

static char wanted; /* what the map holds: presence is all that counts */

void subscription_init(struct subscription *s, const char *type_url, bool wildcard_type, bool delta)
{
    *s =
        (struct subscription){.type_url = type_url, .wildcard_type = wildcard_type, .delta = delta};
}

static void set_text(char **field, char *value)
{
    mem_free(*field);
    *field = value;
}

static char *copy_bytes(struct bytes b)
{
    char *p = mem_alloc(b.len + 1);
    if (b.len)
        memcpy(p, b.data, b.len);
    p[b.len] = '\0';
    return p;
}

void subscription_fini(struct subscription *s)
{
    map_fini(&s->names);
    map_fini(&s->gone);
    strbuf_fini(&s->list);
    set_text(&s->version, NULL);
    set_text(&s->nonce, NULL);
    set_text(&s->nack, NULL);
}

bool subscription_want(struct subscription *s, struct bytes name)
{
    if (map_has(&s->names, name))
        return false;
    if (s->delta)
        delta_want(s, name);
    else
        map_set(&s->names, name, &wanted);
    s->names_changed = true;
    s->list_made = false;
    return true;
}

bool subscription_unwant(struct subscription *s, struct bytes name)
{
    if (!map_has(&s->names, name))
        return false;
    if (s->delta)
        delta_unwant(s, name);
    else
        map_remove(&s->names, name);
    map_tidy(&s->names);
    s->names_changed = true;
    s->list_made = false;
    return true;
}

bool subscription_wants(const struct subscription *s, struct bytes name)
{
    return map_has(&s->names, name);
}

bool subscription_is_wildcard(const struct subscription *s)
{
    return map_has(&s->names, BYTES("*"));
}

bool subscription_active(const struct subscription *s)
{
    return map_count(&s->names) > 0 || s->requested;
}

void subscription_stream_opened(struct subscription *s)
{
    subscription_stream_closed(s);
    s->list_made = false; /* the first list of a stream is another where it stands for all */
    s->stream_open = true;
}

void subscription_stream_closed(struct subscription *s)
{
    s->stream_open = false;
    s->requested = s->explicit_sent = s->answer_due = s->answer_held = s->names_changed = false;
    set_text(&s->nonce, NULL);
    set_text(&s->nack, NULL);
    if (s->delta)
        delta_reset(s);
}

void subscription_forget_version(struct subscription *s)
{
    set_text(&s->version, NULL);
}

void subscription_pause(struct subscription *s)
{
    s->paused++;
}

void subscription_resume(struct subscription *s)
{
    CHECK(s->paused > 0);
    s->paused--;
}

/* A field of text that is not valid UTF-8 spoils the whole message, and the stream with it: bytes
 * that are none are written in octal, as \377, and no character is cut. */
static char *nack_text(struct bytes error)
{
    struct strbuf out = STRBUF_INIT;
    char octal[5];
    while (error.len) {
        uint32_t code;
        size_t n = utf8_decode(error, &code);
        snprintf(octal, sizeof(octal), "\\%03o", (unsigned char)error.data[0]);
        struct bytes piece = n ? bytes_first(error, n) : bytes_of(octal);
        if (out.len + piece.len > NACK_TEXT_MAX)
            break;
        strbuf_add_bytes(&out, piece);
        error = bytes_skip(error, n ? n : 1);
    }
    return strbuf_detach(&out);
}

void subscription_answer(struct subscription *s, struct bytes version, struct bytes nonce,
                         const char *error)
{
    set_text(&s->nonce, copy_bytes(nonce));
    set_text(&s->nack, error ? nack_text(bytes_of(error)) : NULL);
    if (!error && !s->delta)
        set_text(&s->version, copy_bytes(version));
    s->answer_due = true;
    s->answer_held = false;
}

void subscription_hold_answer(struct subscription *s)
{
    s->answer_held = s->answer_due;
}

void subscription_let_answer_go(struct subscription *s)
{
    s->answer_held = false;
}

bool subscription_due(const struct subscription *s)
{
    if (!s->stream_open || s->paused)
        return false;
    if (s->requested)
        return (s->answer_due && !s->answer_held) || (s->delta ? delta_due(s) : s->names_changed);
    return map_count(&s->names) > 0; /* never an empty first request of a named type (W07) */
}

struct bytes *subscription_sorted(const struct map *names, size_t *n)
{
    size_t at = 0, it = 0;
    struct bytes *list = mem_alloc((map_count(names) + 1) * sizeof(*list)), key;
    void *value;
    while (map_next(names, &it, &key, &value))
        list[at++] = key;
    qsort(list, at, sizeof(list[0]), bytes_order);
    *n = at;
    return list;
}

static void encode_names(struct subscription *s, struct strbuf *out)
{
    size_t n;
    struct bytes *list = subscription_sorted(&s->names, &n);
    bool legacy = s->wildcard_type && !s->explicit_sent && n == 1 && bytes_eq_str(list[0], "*");
    for (size_t i = 0; i < n && !legacy; i++)
        wire_put_bytes(out, REQUEST_RESOURCE_NAMES, list[i]);
    s->explicit_sent |= n > 0 && !legacy;
    mem_free(list);
}

static void put_names(struct subscription *s, struct strbuf *out)
{
    if (!s->list_made) {
        strbuf_fini(&s->list);
        encode_names(s, &s->list);
        s->list_made = true;
    }
    strbuf_add_bytes(out, strbuf_bytes(&s->list));
}

void subscription_put_text(struct strbuf *out, uint32_t number, const char *text)
{
    if (text && *text)
        wire_put_bytes(out, number, bytes_of(text));
}

void subscription_put_error(struct strbuf *out, uint32_t number, const char *text)
{
    struct strbuf status = STRBUF_INIT;
    wire_put_varint(&status, STATUS_CODE << 3 | WIRE_VARINT);
    wire_put_varint(&status, GRPC_STATUS_INTERNAL);
    wire_put_bytes(&status, STATUS_MESSAGE, bytes_of(text));
    wire_put_bytes(out, number, strbuf_bytes(&status));
    strbuf_fini(&status);
}

/* Everything, each time: version, names, and the answer to the newest response. */
static void world_take(struct subscription *s, struct bytes node, struct strbuf *out)
{
    subscription_put_text(out, REQUEST_VERSION_INFO, s->version);
    if (node.data)
        wire_put_bytes(out, REQUEST_NODE, node);
    put_names(s, out);
    subscription_put_text(out, REQUEST_TYPE_URL, s->type_url);
    subscription_put_text(out, REQUEST_RESPONSE_NONCE, s->nonce);
    if (s->nack)
        subscription_put_error(out, REQUEST_ERROR_DETAIL, s->nack);
}

void subscription_take(struct subscription *s, struct bytes node,
                       const struct subscription_held *held, struct strbuf *out)
{
    CHECK(subscription_due(s));
    bool answers = !s->delta || (s->answer_due && !s->answer_held);
    if (s->delta)
        delta_take(s, node, held, out);
    else
        world_take(s, node, out);
    s->requested = true;
    s->names_changed = false;
    if (!answers)
        return;
    set_text(&s->nack, NULL);
    s->answer_due = s->answer_held = false;
}
