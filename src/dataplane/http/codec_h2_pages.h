/* The pieces of nghttp2's memory that are as long as a page. Each session has one, its table of
 * streams, and keeps it for ever: on an idle connection it is all zero, and a third of what the
 * connection holds. They lie on pages of their own, so that one that is zero can be given back to
 * the system, which gives another zero page to whoever touches it again: nothing has to be known of
 * what it is for. That is done some seconds after the last stream. For codec_h2_memory.c and
 * codec_h2.c. Worker thread. */
#pragma once

#include "base/list.h"
#include "dataplane/net/loop.h"

enum { H2_PAGE_BYTES = 4096 };

struct h2_pages {
    struct loop *loop;      /* NULL: nothing ever rests */
    struct list open, full; /* blocks */
    struct list idle;       /* pages whose session has no streams, the longest first */
    struct timer rest;
    struct h2_page *newest; /* the last that was taken */
    uint32_t looks;
    unsigned n_kept;   /* free pages that hold memory */
    unsigned n_empty;  /* blocks without a used page */
    unsigned n_rested; /* ever */
};

struct h2_page {
    struct list link;
    struct h2_pages *all;
    struct h2_page **owner; /* NULL: nobody knows it */
    uint32_t seen;          /* idle since this look */
    bool used, kept;
};

void h2_pages_init(struct h2_pages *all, struct loop *loop);
/* All pages must have been given back. */
void h2_pages_fini(struct h2_pages *all);
void *h2_page_take(struct h2_pages *all); /* not zeroed; NULL: no memory */
void h2_page_give(struct h2_pages *all, void *p);
static inline bool h2_is_page(const void *p)
{
    return ((uintptr_t)p & (H2_PAGE_BYTES - 1)) == 0;
}

/* The owner of the page that was taken last, if any: told of its end, when *owner becomes NULL. */
void h2_page_own(struct h2_pages *all, struct h2_page **owner);
/* Its session has no streams any more. */
void h2_page_idle(struct h2_page *page);
/* It has one again. */
static inline void h2_page_busy(struct h2_page *page)
{
    list_remove(&page->link);
}
