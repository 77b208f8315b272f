/* Names of the form xdstp://authority/type/id?parameters: the canonical form is one, whatever the
 * order of the parameters, and loses nothing; the collection of a resource is its folder, is a
 * collection for who checks it, and is its own.
 *
 *     how, name; at most 400 bytes */
#include <stdlib.h>

#include "config/xdstp.h"
#include "fuzz.h"

enum { PARAMETERS_MAX = 64 };
#define SCHEME "xdstp://"

struct parts {
    struct bytes head; /* before the "?" */
    struct bytes list[PARAMETERS_MAX + 1];
    unsigned n;
    bool has_any, clear; /* clear: no key stands there twice, and there are not too many */
};

static struct bytes key_of(struct bytes parameter)
{
    return bytes_split(&parameter, '=');
}

static void split(struct bytes name, struct parts *p)
{
    struct bytes rest = name;
    *p = (struct parts){.head = bytes_split(&rest, '?'), .clear = true};
    p->has_any = rest.data != NULL;
    while (rest.data && p->n <= PARAMETERS_MAX)
        p->list[p->n++] = bytes_split(&rest, '&');
    p->clear = p->n <= PARAMETERS_MAX;
    for (unsigned i = 0; i < p->n; i++)
        for (unsigned j = 0; j < i; j++)
            p->clear &= !bytes_eq(key_of(p->list[i]), key_of(p->list[j]));
}

/* The same name with its parameters the other way round. */
static struct bytes turned(struct arena *a, const struct parts *p)
{
    struct strbuf out = STRBUF_INIT;
    strbuf_add_bytes(&out, p->head);
    for (unsigned i = p->n; i-- > 0;) {
        strbuf_add_char(&out, i + 1 == p->n ? '?' : '&');
        strbuf_add_bytes(&out, p->list[i]);
    }
    struct bytes copy = arena_dup(a, strbuf_bytes(&out));
    strbuf_fini(&out);
    return copy;
}

static void check_canonical(struct arena *a, struct bytes name)
{
    struct parts p, q;
    struct bytes canonical = xdstp_canonical(a, name);
    split(name, &p);
    split(canonical, &q);
    fuzz_same("canonical twice", canonical, xdstp_canonical(a, canonical));
    FUZZ_CHECK(canonical.len == name.len, "%zu bytes, not %zu", canonical.len, name.len);
    fuzz_same("before the parameters", q.head, p.head);
    FUZZ_CHECK(p.n == q.n, "%u parameters, not %u", q.n, p.n);
    for (unsigned i = 1; p.clear && i < q.n; i++)
        FUZZ_CHECK(bytes_cmp(key_of(q.list[i - 1]), key_of(q.list[i])) < 0, "out of order at %u",
                   i);
    if (p.clear)
        fuzz_same("in any order", canonical, xdstp_canonical(a, turned(a, &p)));
}

static void check_collection(struct arena *a, struct bytes name)
{
    struct parts p, q;
    struct error err = ERROR_INIT;
    struct bytes all = xdstp_collection(a, name);
    split(name, &p);
    ptrdiff_t slash = bytes_rfind_char(p.head, '/');
    FUZZ_CHECK(!all.data == (slash < (ptrdiff_t)sizeof(SCHEME) - 1), "a collection or none");
    if (!all.data)
        return;
    split(all, &q);
    FUZZ_CHECK(q.head.len == (size_t)slash + 2 && q.head.data[slash + 1] == '*', "no folder: %.*s",
               BYTES_ARG(q.head));
    fuzz_same("the folder", bytes_first(q.head, (size_t)slash + 1),
              bytes_first(p.head, (size_t)slash + 1));
    FUZZ_CHECK(p.n == q.n && p.has_any == q.has_any, "other parameters");
    fuzz_same("a collection of itself", all, xdstp_collection(a, all));
    struct bytes rest = bytes_skip(q.head, sizeof(SCHEME) - 1);
    bytes_split(&rest, '/');
    struct bytes type = bytes_split(&rest, '/');
    bool named = rest.len && !memchr(type.data, 0, type.len);
    bool ok = xdstp_check_collection(all, arena_str(a, type), &err);
    FUZZ_CHECK(ok == !error_is_set(&err) && (ok || !named), "%s", error_text(&err));
    error_fini(&err);
}

static void run(struct bytes input)
{
    struct fuzz_in in = {input};
    struct arena *a = arena_new(0);
    struct strbuf text = STRBUF_INIT;
    struct error err = ERROR_INIT;
    if (fuzz_bool(&in))
        strbuf_add_str(&text, SCHEME);
    strbuf_add_bytes(&text, in.rest);
    struct bytes name = strbuf_bytes(&text);
    if (xdstp_is(name)) {
        check_canonical(a, name);
        check_collection(a, name);
    } else {
        fuzz_same("another name", xdstp_canonical(a, name), name);
        FUZZ_CHECK(!xdstp_collection(a, name).data, "a collection of another name");
    }
    bool ok = xdstp_check_collection(name, "t", &err);
    FUZZ_CHECK(ok == !error_is_set(&err) && (!ok || xdstp_is(name)), "an error or none");
    error_fini(&err);
    strbuf_fini(&text);
    arena_free(&a);
}

const struct fuzz_target fuzz_target = {.run = run};
