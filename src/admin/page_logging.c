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
    if (name.len == 0 || level_name.len == 0)
        return "error: empty logger name or empty logger level";
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
            const char *error = set_one(name, level, apply);
            if (error)
                return error;
        }
    }
    return NULL;
}

static const char *change_levels(const struct query *q)
{
    enum log_level level;
    if (q->n_params == 0)
        return NULL;
    if (q->n_params > 1)
        return "error: invalid number of parameters";
    const struct query_param *p = &q->params[0];
    if (p->value.len == 0)
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
