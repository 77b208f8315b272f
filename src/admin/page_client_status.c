/* POST /v3/discovery:client_status: FetchClientStatus in JSON. */
#include "admin/csds_answer.h"
#include "admin/pages.h"
#include "base/memory.h"

struct status_page {
    struct admin_page page;
    struct csds_answer status;
    size_t at;
    bool abandoned;
};

static void build(struct builder *b, void *arg)
{
    csds_answer_step(b, &((struct status_page *)arg)->status);
}

static void page_free(struct admin_page *page)
{
    struct status_page *p = (struct status_page *)page;
    if (page->waiting) {
        p->abandoned = true;
        return;
    }
    csds_answer_fini(&p->status);
    mem_free(p);
}

static void built(void *arg)
{
    struct status_page *p = arg;
    p->page.waiting = false;
    if (p->abandoned) {
        page_free(&p->page);
        return;
    }
    if (error_is_set(&p->status.err)) {
        p->page.status = 400;
        p->page.content_type = TEXT_PLAIN;
        strbuf_printf(&p->status.out, "%s\n", error_text(&p->status.err));
    }
    p->page.on_ready(p->page.owner);
}

static void ask(struct status_page *p)
{
    const struct admin_table *t = &p->status.admin->table;
    p->page.waiting = true;
    t->ask_config(t->ctx, build, built, p);
}

static bool page_next(struct admin_page *page, struct strbuf *out)
{
    struct status_page *p = (struct status_page *)page;
    struct strbuf *text = &p->status.out;
    struct bytes now = bytes_first(bytes_skip(strbuf_bytes(text), p->at), ADMIN_SLICE);
    strbuf_add_bytes(out, now);
    p->at += now.len;
    if (p->at < text->len)
        return true;
    strbuf_reset(text);
    p->at = 0;
    if (!p->status.finished)
        ask(p);
    return !p->status.finished;
}

struct admin_page *page_client_status(struct admin *a, struct bytes body)
{
    struct status_page *p = NEW(struct status_page);
    p->page = (struct admin_page){
        .status = 200, .content_type = TEXT_JSON, .next = page_next, .free = page_free};
    csds_answer_init(&p->status, a, true);
    strbuf_add_bytes(&p->status.request, body);
    ask(p);
    return &p->page;
}
