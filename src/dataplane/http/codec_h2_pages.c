#include "dataplane/http/codec_h2_pages.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

#include "base/memory.h"

/* The first page of a block is its head; blocks are aligned to their size, so that a page finds it.
 * A page that nobody uses holds what it was left with: some stay so, the others are given back. */
enum {
    BLOCK_BYTES = 256 * 1024,
    BLOCK_PAGES = BLOCK_BYTES / H2_PAGE_BYTES - 1,
    FREE_KEPT = 64,
    REST_MS = 5000, /* between two looks; a table has been idle for one at least */
    REST_NEXT_MS = 20,
    REST_AT_ONCE = 256, /* some hundred microseconds */
};

struct block {
    struct list link; /* in the list of those with a free page, or in `full` */
    unsigned n_used;
    struct h2_page pages[BLOCK_PAGES];
};

static_assert(sizeof(struct block) <= H2_PAGE_BYTES, "the head of a block is one page");

static struct block *block_of(const void *p)
{
    return (struct block *)((uintptr_t)p & ~(uintptr_t)(BLOCK_BYTES - 1));
}

static void *bytes_of_page(const struct h2_page *page)
{
    struct block *b = block_of(page);
    return (char *)b + (size_t)(page - b->pages + 1) * H2_PAGE_BYTES;
}

static struct h2_page *page_of(const void *p)
{
    struct block *b = block_of(p);
    return &b->pages[(size_t)((const char *)p - (const char *)b) / H2_PAGE_BYTES - 1];
}

static bool all_zero(const void *p)
{
    const uint64_t *word = p;
    for (size_t i = 0; i < H2_PAGE_BYTES / sizeof(*word); i++) {
        if (word[i])
            return false;
    }
    return true;
}

static void give_back(struct h2_page *page)
{
    (void)madvise(bytes_of_page(page), H2_PAGE_BYTES, MADV_DONTNEED);
}

/* --- resting --- */

static void on_rest(struct timer *t)
{
    struct h2_pages *all = t->owner;
    struct list *l;
    unsigned n = 0;
    all->looks++;
    while (n < REST_AT_ONCE && (l = list_first(&all->idle)) != NULL) {
        struct h2_page *page = LIST_ENTRY(l, struct h2_page, link);
        if (all->looks - page->seen < 2)
            break;
        list_remove(&page->link);
        if (!all_zero(bytes_of_page(page))) /* what it holds is nghttp2's business */
            continue;
        give_back(page);
        all->n_rested++;
        n++;
    }
    if (!list_empty(&all->idle))
        timer_start(&all->rest, n == REST_AT_ONCE ? REST_NEXT_MS : REST_MS);
}

void h2_page_idle(struct h2_page *page)
{
    struct h2_pages *all = page->all;
    list_remove(&page->link);
    if (!all->loop)
        return;
    page->seen = all->looks;
    list_push_back(&all->idle, &page->link);
    if (UNLIKELY(!timer_pending(&all->rest)))
        timer_start(&all->rest, REST_MS);
}

/* --- taking and giving back --- */

void h2_pages_init(struct h2_pages *all, struct loop *loop)
{
    all->loop = loop;
    list_init(&all->open);
    list_init(&all->full);
    list_init(&all->idle);
    if (loop)
        timer_init(&all->rest, loop, on_rest, all);
}

static struct block *block_new(struct h2_pages *all)
{
    struct block *b = mem_try_aligned(BLOCK_BYTES, BLOCK_BYTES);
    if (!b)
        return NULL;
    memset(b, 0, sizeof(*b));
    for (unsigned i = 0; i < BLOCK_PAGES; i++) {
        b->pages[i].all = all;
        list_init(&b->pages[i].link);
    }
    list_init(&b->link);
    list_push_front(&all->open, &b->link);
    all->n_empty++;
    return b;
}

static void block_free(struct h2_pages *all, struct block *b)
{
    list_remove(&b->link);
    all->n_empty--;
    for (unsigned i = 0; i < BLOCK_PAGES; i++)
        all->n_kept -= b->pages[i].kept;
    mem_free(b);
}

void h2_pages_fini(struct h2_pages *all)
{
    struct list *l;
    if (all->loop)
        timer_stop(&all->rest);
    while ((l = list_first(&all->open)) != NULL)
        block_free(all, LIST_ENTRY(l, struct block, link));
}

void *h2_page_take(struct h2_pages *all)
{
    struct list *l = list_first(&all->open);
    struct block *b = l ? LIST_ENTRY(l, struct block, link) : block_new(all);
    if (!b)
        return NULL;
    unsigned i = 0, clean = BLOCK_PAGES;
    for (; i < BLOCK_PAGES; i++) { /* one that is kept, before one that would cost memory */
        if (!b->pages[i].used && b->pages[i].kept)
            break;
        if (!b->pages[i].used && clean == BLOCK_PAGES)
            clean = i;
    }
    struct h2_page *page = &b->pages[i < BLOCK_PAGES ? i : clean];
    all->n_kept -= page->kept;
    page->kept = false;
    page->used = true;
    all->n_empty -= b->n_used == 0;
    if (++b->n_used == BLOCK_PAGES) {
        list_remove(&b->link);
        list_push_front(&all->full, &b->link);
    }
    all->newest = page;
    return bytes_of_page(page);
}

void h2_page_give(struct h2_pages *all, void *p)
{
    struct h2_page *page = page_of(p);
    struct block *b = block_of(p);
    if (page->owner)
        *page->owner = NULL;
    page->owner = NULL;
    if (all->newest == page)
        all->newest = NULL;
    list_remove(&page->link);
    page->used = false;
    if (all->n_kept < FREE_KEPT) {
        page->kept = true;
        all->n_kept++;
    } else {
        give_back(page);
    }
    if (b->n_used-- == BLOCK_PAGES) {
        list_remove(&b->link);
        list_push_front(&all->open, &b->link);
    }
    if (b->n_used > 0)
        return;
    if (++all->n_empty > 1)
        block_free(all, b);
}

void h2_page_own(struct h2_pages *all, struct h2_page **owner)
{
    *owner = all->newest;
    if (all->newest)
        all->newest->owner = owner;
    all->newest = NULL;
}
