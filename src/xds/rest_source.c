#include "xds/rest_source.h"

#include <stdio.h>

#include "base/log.h"
#include "base/memory.h"
#include "config/discovery_file.h"
#include "config/json_write.h"
#include "xds/topic.h"

enum { HTTP_OK = 200, HTTP_NOT_MODIFIED = 304 };

struct rest_source {
    struct arena *arena; /* of the source */
    struct config_source source;
    struct topic_home home;
    struct topic topic;
    const char *path;
    struct bytes node;
    void *fetch, *refresh; /* under way, or NULL */
    bool asked;            /* more is wanted than the last request named */
    bool busy;             /* inside of an answer */
};

struct rest_source *rest_source_new(const struct rest_source_options *o)
{
    struct rest_source *r = NEW(struct rest_source);
    r->arena = arena_new(0);
    config_source_copy(r->arena, &r->source, o->source);
    r->home = (struct topic_home){o->table, o->builder, &r->source};
    r->path = o->path;
    r->node = o->node;
    topic_init(&r->topic, &r->home, o->type);
    return r;
}

static void stop_refresh(struct rest_source *r)
{
    if (r->refresh)
        r->home.table->timer_cancel(r->home.table->ctx, r->refresh);
    r->refresh = NULL;
}

void rest_source_free(struct rest_source **rp)
{
    struct rest_source *r = *rp;
    *rp = NULL;
    if (!r)
        return;
    stop_refresh(r);
    if (r->fetch)
        r->home.table->fetch_cancel(r->home.table->ctx, r->fetch);
    topic_fini(&r->topic);
    arena_free(&r->arena);
    mem_free(r);
}

static void ask(void *arg);

static void ask_later(struct rest_source *r)
{
    uint64_t ms = r->source.api.refresh_ms;
    stop_refresh(r);
    r->refresh = r->home.table->timer_start(
        r->home.table->ctx, ms + random_below(r->home.table->random, ms ? ms : 1), ask, r);
}

/* Without an answer: everything stays, and the next poll comes as ever. */
static void failed(struct rest_source *r, const char *why)
{
    LOG(LOG_CONFIG, LOG_WARNING, "REST update for %s failed: %s", r->path, why);
    topic_count(&r->topic, STAT_SUB_UPDATE_FAILURE);
    config_source_failed(r->home.builder, &r->source);
}

static void rejected(struct rest_source *r, const struct error *err)
{
    LOG(LOG_CONFIG, topic_log_level(&r->topic), "REST config for %s rejected: %s", r->path,
        error_text(err));
}

static void apply(struct rest_source *r, struct bytes message, struct error *err)
{
    struct discovery_response d;
    if (!discovery_response_read(message, &d)) {
        error_set(err, "it is no DiscoveryResponse, or there is no memory for it");
        return;
    }
    if (topic_add_missing(&r->topic, &d))
        topic_apply(&r->topic, &d, err);
    else
        error_set(err, "out of memory");
    if (!error_is_set(err))
        subscription_answer(&r->topic.sub, d.version, BYTES(""), NULL);
    discovery_response_fini(&d);
}

/* The body was read as a whole before: nothing is decoded piece by piece. */
static void take_body(struct rest_source *r, struct bytes body)
{
    struct error err = ERROR_INIT;
    struct arena *a = arena_new(0);
    struct bytes message;
    if (r->topic.type == RESOURCE_SECRET)
        arena_wipe_on_free(a);
    if (discovery_text_read(builder_decode_context(r->home.builder), r->path, body, a, &message,
                            &err)) {
        apply(r, message, &err);
    } else {
        topic_count(&r->topic, STAT_SUB_UPDATE_REJECTED);
        config_update_failed(r->home.builder, &r->source, r->topic.type);
    }
    if (error_is_set(&err))
        rejected(r, &err);
    error_fini(&err);
    arena_free(&a);
}

static void on_fetched(void *arg, const struct fetch_result *result)
{
    struct rest_source *r = arg;
    char why[64];
    r->fetch = NULL;
    r->busy = true;
    snprintf(why, sizeof(why), "the status is %u", result->status);
    if (result->status == 0)
        failed(r, result->error);
    else if (result->status == HTTP_OK)
        take_body(r, result->body);
    else if (result->status != HTTP_NOT_MODIFIED)
        failed(r, why);
    builder_commit(r->home.builder);
    mem_reserve_end();
    r->busy = false;
    if (r->asked)
        ask(r);
    else
        ask_later(r);
}

/* Each request is as the first of a stream: everything that is wanted, and the version held. That
 * is left out where a name is new: a server to which nothing changed since that version would say
 * so, and never tell what it has by that name. */
static bool make_request(struct rest_source *r, struct strbuf *json)
{
    struct json_write_options o = {.compact = true};
    struct decode_context *ctx = builder_decode_context(r->home.builder);
    struct error err = ERROR_INIT;
    struct strbuf wire = STRBUF_INIT;
    subscription_stream_opened(&r->topic.sub);
    if (r->asked)
        subscription_forget_version(&r->topic.sub);
    r->asked = false;
    bool ok = subscription_due(&r->topic.sub);
    if (ok) {
        subscription_take(&r->topic.sub, r->node, NULL, &wire);
        ok = json_write(ctx->descriptors, BYTES("envoy.service.discovery.v3.DiscoveryRequest"),
                        strbuf_bytes(&wire), &o, json, &err);
    }
    error_fini(&err);
    strbuf_fini(&wire);
    return ok;
}

static void ask(void *arg)
{
    struct rest_source *r = arg;
    const struct xds_table *t = r->home.table;
    struct strbuf json = STRBUF_INIT;
    r->refresh = NULL;
    if (make_request(r, &json)) {
        struct fetch_request q = {.cluster = r->source.api.rest_cluster,
                                  .path = bytes_of(r->path),
                                  .body = strbuf_bytes(&json),
                                  .timeout_ms = r->source.api.request_timeout_ms};
        topic_count(&r->topic, STAT_SUB_UPDATE_ATTEMPT);
        r->fetch = t->fetch(t->ctx, &q, on_fetched, r);
    }
    strbuf_fini(&json);
}

void rest_source_want(struct rest_source *r, struct bytes name)
{
    topic_want(&r->topic, name);
    r->asked = true;
}

void rest_source_unwant(struct rest_source *r, struct bytes name)
{
    topic_unwant(&r->topic, name);
}

void rest_source_flush(struct rest_source *r)
{
    if (!r->asked || r->fetch || r->busy)
        return;
    stop_refresh(r);
    ask(r);
}

bool rest_source_idle(const struct rest_source *r)
{
    return !r->busy && map_count(&r->topic.sub.names) == 0;
}

void rest_source_fetch_timed_out(struct rest_source *r)
{
    topic_count(&r->topic, STAT_SUB_INIT_FETCH_TIMEOUT);
}
