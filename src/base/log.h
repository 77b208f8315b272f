/* The process log: one line to standard error or to a file, Envoy's levels, components and format.
 * Lower rooms return errors; only main, the workers and the xDS streams log. Any thread; a line is
 * one write(2), made under a lock. Levels are read without a lock.
 *
 *     LOG(LOG_UPSTREAM, LOG_INFO, "cds: added cluster '%s'", name);
 */
#pragma once

#include <stdbool.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/log_components.h"
#include "base/strbuf.h"

enum log_level { LOG_TRACE, LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR, LOG_CRITICAL, LOG_OFF };

enum log_component {
#define X(id, name) LOG_##id,
    LOG_COMPONENT_LIST(X)
#undef X
        LOG_COMPONENT_COUNT
};

extern _Atomic unsigned char log_levels[LOG_COMPONENT_COUNT];

#define LOG(component, level, ...)                                                                 \
    do {                                                                                           \
        if (UNLIKELY((level) >= log_levels[component]))                                            \
            log_write((component), (level), __FILE__, __LINE__, __func__, __VA_ARGS__);            \
    } while (0)

void log_write(enum log_component c, enum log_level level, const char *file, int line,
               const char *func, const char *fmt, ...) PRINTF(6, 7);

/* All components. */
void log_set_level(enum log_level level);
void log_set_component_level(enum log_component c, enum log_level level);
/* "trace" "debug" "info" "warning" ("warn") "error" "critical" "off". */
MUST_CHECK bool log_level_parse(struct bytes name, enum log_level *level);
MUST_CHECK bool log_component_parse(struct bytes name, enum log_component *component);
const char *log_level_name(enum log_level level); /* "info" */
const char *log_component_name(enum log_component c);
/* Envoy's --log-format: %v message, %t thread, %n component, %l level, %L short level, %T ISO time,
 * %e milliseconds, %f microseconds, %F nanoseconds, %g file, %# line, %! function, %P process,
 * %_ message with newlines escaped, %j message escaped as JSON, %s basename, %u %i %o %O time since
 * the line before, %Y %m %d %H %M %S ..., %% ; with a width as in %-8l, %8l, %=8l, %8!l. What means
 * nothing stands as it is. NULL: the default. */
void log_set_format(const char *format);
#define LOG_FORMAT_DEFAULT "[%Y-%m-%d %T.%e][%t][%l][%n] [%g:%#] %v"
/* A file that lines are appended to, made where there is none: its descriptor, or -1 and errno.
 * wait: for the reader of a pipe, as a write to it does in any case; without, ENXIO. */
int log_open_file(const char *path, bool wait);
/* Appends to a file instead of standard error. */
MUST_CHECK bool log_set_path(const char *path, struct error *err);
void log_reopen(void); /* after a rotation */
