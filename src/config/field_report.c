#include "config/field_report.h"

#include "base/memory.h"

void field_report_add(struct field_report *r, enum field_class class, struct bytes path,
                      const char *detail)
{
    r->counts[class]++;
    if (r->n == FIELD_REPORT_MAX)
        return;
    GROW(r->entries, r->cap, r->n + 1);
    struct field_entry *e = &r->entries[r->n++];
    e->class = class;
    e->path = mem_alloc(path.len + 1);
    if (path.len)
        memcpy(e->path, path.data, path.len);
    e->path[path.len] = '\0';
    e->detail = mem_strdup(detail ? detail : "");
}

void field_report_take(struct field_report *r, const struct field_report *from,
                       enum field_class but)
{
    for (size_t i = 0; i < from->n; i++) {
        const struct field_entry *e = &from->entries[i];
        if (e->class != but)
            field_report_add(r, e->class, bytes_of(e->path), e->detail);
    }
}

void field_report_fini(struct field_report *r)
{
    for (size_t i = 0; i < r->n; i++) {
        mem_free(r->entries[i].path);
        mem_free(r->entries[i].detail);
    }
    mem_free(r->entries);
    *r = (struct field_report)FIELD_REPORT_INIT;
}

const char *field_class_name(enum field_class class)
{
    switch (class) {
    case FIELD_UNKNOWN:
        return "unknown";
    case FIELD_IGNORED:
        return "ignored";
    case FIELD_REFUSED:
        return "refused";
    case FIELD_DEPRECATED:
        return "deprecated";
    case FIELD_UNKNOWN_SET:
        return "unknown set";
    case FIELD_CLASS_COUNT:
        break;
    }
    return "?";
}

void field_report_join(const struct field_report *r, enum field_class class, const char *sep,
                       size_t max, struct strbuf *out)
{
    size_t shown = 0;
    for (size_t i = 0; i < r->n && shown < max; i++) {
        const struct field_entry *e = &r->entries[i];
        if (e->class != class)
            continue;
        if (shown++)
            strbuf_add_str(out, sep);
        strbuf_add_str(out, e->path);
        if (e->detail[0])
            strbuf_printf(out, " (%s)", e->detail);
    }
    if (r->counts[class] > shown)
        strbuf_printf(out, "%sand %zu more", sep, r->counts[class] - shown);
}
