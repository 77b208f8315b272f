#include "main/post_call.h"

#include "base/memory.h"
#include "dataplane/net/loop.h"

struct call {
    struct post post;
    void (*fn)(void *a, void *b);
    void *a, *b;
};

static void run(struct post *p)
{
    struct call c = *(struct call *)p->owner;
    mem_free(p->owner);
    c.fn(c.a, c.b);
}

void post_call(struct loop *loop, void (*fn)(void *a, void *b), void *a, void *b)
{
    struct call *c = NEW(struct call);
    c->fn = fn;
    c->a = a;
    c->b = b;
    post_init(&c->post, run, c);
    loop_post(loop, &c->post);
}
