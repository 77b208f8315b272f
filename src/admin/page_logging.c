#include "admin/pages.h"
#include "base/log.h"

static const char usage[] =
    "usage: /logging?<name>=<level> (change single level)\n"
    "usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)\n"
    "usage: /logging?level=<level> (change all levels)\n"
    "usage: /logging?group=<group_name>:<level> (change group of loggers)\n"
    "levels: trace debug info warning error critical off \n";

static void list_loggers(struct strbuf *out)
{
    strbuf_add_str(out, "active loggers:\n");
    for (unsigned i = 0; i < LOG_COMPONENT_COUNT; i++)
        strbuf_printf(out, "  %s: %s\n", log_component_name((enum log_component)i),
                      log_level_name((enum log_level)log_levels[i]));
    strbuf_add_char(out, '\n');
}

/* The page knows the full names of levels only; "warn" is for the command line. */
static bool parse_level(struct bytes name, enum log_level *level)
{
    return !bytes_eq_str(name, "warn") && log_level_parse(name, level);
}

/* NULL: set (or, without apply, could be set). */
static const char *set_one(struct bytes name, struct bytes level_name, bool apply)
{
    enum log_component c;
    enum log_level level;
    if (!parse_level(level_name, &level))
        return "error: unknown logger level";
    if (!log_component_parse(name, &c))
        return "error: unknown logger name";
    if (apply)
        log_set_component_level(c, level);
    return NULL;
}

/* "name1:level1,name2:level2": all of them or none. */
static const char *set_paths(struct bytes list)
{
    for (int apply = 0; apply < 2; apply++) {
        struct bytes rest = list;
        while (rest.data && rest.len) {
            struct bytes level = bytes_split(&rest, ','), name = bytes_split(&level, ':');
            if (!name.len && !level.data)
                continue;
            if (!name.len || !level.len)
                return "error: empty logger name or empty logger level";
            const char *error = set_one(name, level, apply);
            if (error)
                return error;
        }
    }
    return NULL;
}

/* Parameters without a value are none, and of two with one name the first is heard. *several: there
 * is more than one name. */
static const struct query_param *only_param(const struct query *q, bool *several)
{
    const struct query_param *first = NULL;
    *several = false;
    for (unsigned i = 0; i < q->n_params; i++) {
        const struct query_param *p = &q->params[i];
        if (p->value.len && !first)
            first = p;
        else if (p->value.len && !bytes_eq(p->name, first->name))
            *several = true;
    }
    return first;
}

static const char *change_levels(const struct query *q)
{
    enum log_level level;
    bool several;
    const struct query_param *p = only_param(q, &several);
    if (several)
        return "error: invalid number of parameters";
    if (!p)
        return NULL;
    if (bytes_eq_str(p->name, "group"))
        return "error: group parameter requires fine-grain logging to be enabled";
    if (bytes_eq_str(p->name, "paths"))
        return set_paths(p->value);
    if (!bytes_eq_str(p->name, "level"))
        return set_one(p->name, p->value, true);
    if (!parse_level(p->value, &level))
        return "error: unknown logger level";
    log_set_level(level);
    return NULL;
}

struct admin_page *page_logging(struct admin *a, const struct query *q)
{
    const char *error = change_levels(q);
    struct text_page *t = text_page_new(error ? 400 : 200, TEXT_PLAIN);
    if (error)
        strbuf_printf(&t->text, "%s\n\n%s", error, usage);
    list_loggers(&t->text);
    return &t->page;
}
