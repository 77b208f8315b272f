#include "base/error.h"

#include "base/memory.h"
#include "base/strbuf.h"

bool error_vset(struct error *err, const char *fmt, va_list ap)
{
    if (err->text)
        return false;
    struct strbuf s = STRBUF_INIT;
    strbuf_vprintf(&s, fmt, ap);
    err->text = strbuf_detach(&s);
    return false;
}

bool error_set(struct error *err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    error_vset(err, fmt, ap);
    va_end(ap);
    return false;
}

bool error_prefix(struct error *err, const char *fmt, ...)
{
    struct strbuf s = STRBUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    strbuf_vprintf(&s, fmt, ap);
    va_end(ap);
    strbuf_add_str(&s, error_text(err));
    mem_free(err->text);
    err->text = strbuf_detach(&s);
    return false;
}

bool error_append(struct error *err, const char *sep, const char *fmt, ...)
{
    struct strbuf s = STRBUF_INIT;
    if (err->text) {
        strbuf_add_str(&s, err->text);
        strbuf_add_str(&s, sep);
    }
    va_list ap;
    va_start(ap, fmt);
    strbuf_vprintf(&s, fmt, ap);
    va_end(ap);
    mem_free(err->text);
    err->text = strbuf_detach(&s);
    return false;
}

const char *error_text(const struct error *err)
{
    return err->text ? err->text : "";
}

void error_fini(struct error *err)
{
    mem_free(err->text);
    err->text = NULL;
}

void error_move(struct error *err, struct error *from)
{
    CHECK(!err->text);
    err->text = from->text;
    from->text = NULL;
}
