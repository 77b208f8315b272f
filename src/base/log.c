#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"

_Atomic unsigned char log_levels[LOG_COMPONENT_COUNT] = {
#define X(id, name) LOG_INFO,
    LOG_COMPONENT_LIST(X)
#undef X
};

static const char *const component_names[] = {
#define X(id, name) name,
    LOG_COMPONENT_LIST(X)
#undef X
};

static const char *const level_names[] = {"trace", "debug",    "info", "warning",
                                          "error", "critical", "off"};

static struct {
    pthread_mutex_t lock;
    char *format, *path;
    int fd;
    uint64_t last_ns; /* when the last line was */
} sink = {PTHREAD_MUTEX_INITIALIZER, NULL, NULL, STDERR_FILENO, 0};

void log_set_level(enum log_level level)
{
    for (unsigned i = 0; i < LOG_COMPONENT_COUNT; i++)
        log_levels[i] = (unsigned char)level;
}

void log_set_component_level(enum log_component c, enum log_level level)
{
    log_levels[c] = (unsigned char)level;
}

bool log_level_parse(struct bytes name, enum log_level *level)
{
    if (bytes_eq_str(name, "warn"))
        name = BYTES("warning");
    for (unsigned i = 0; i < ARRAY_SIZE(level_names); i++) {
        if (bytes_eq_str(name, level_names[i])) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

bool log_component_parse(struct bytes name, enum log_component *component)
{
    for (unsigned i = 0; i < LOG_COMPONENT_COUNT; i++) {
        if (bytes_eq_str(name, component_names[i])) {
            *component = (enum log_component)i;
            return true;
        }
    }
    return false;
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

const char *log_component_name(enum log_component c)
{
    return component_names[c];
}

/* What one line is about. */
struct line {
    enum log_component component;
    enum log_level level;
    const char *file, *func;
    int number;
    struct bytes message;
    struct tm tm;
    uint64_t wall_ns, since_ns; /* the line before it */
};

static const char *base_name(const char *file)
{
    const char *slash = strrchr(file, '/');
    return slash ? slash + 1 : file;
}

/* Since the line before. */
static bool add_elapsed(struct strbuf *s, char c, const struct line *l)
{
    static const char units[] = "uioO";
    static const uint64_t ns[] = {1, 1000, NS_PER_MS, NS_PER_S};
    const char *unit = strchr(units, c);
    if (!unit)
        return false;
    strbuf_add_u64(s, l->since_ns / ns[unit - units]);
    return true;
}

static bool add_date(struct strbuf *s, const struct line *l)
{
    char day[16], rest[32];
    strftime(day, sizeof(day), "%a %b", &l->tm);
    strftime(rest, sizeof(rest), "%T %Y", &l->tm);
    strbuf_printf(s, "%s %d %s", day, l->tm.tm_mday, rest);
    return true;
}

static bool add_time(struct strbuf *s, char c, const struct line *l)
{
    unsigned long ns = (unsigned long)(l->wall_ns % NS_PER_S);
    char spec[3] = {'%', c, '\0'}, text[64];
    switch (c) {
    case 'e':
        strbuf_printf(s, "%03lu", ns / 1000000);
        return true;
    case 'f':
        strbuf_printf(s, "%06lu", ns / 1000);
        return true;
    case 'F':
        strbuf_printf(s, "%09lu", ns);
        return true;
    case 'E':
        strbuf_printf(s, "%llu", (unsigned long long)(l->wall_ns / NS_PER_S));
        return true;
    case 'C': /* of a year: strftime() has the century */
        strbuf_printf(s, "%02d", l->tm.tm_year % 100);
        return true;
    case 'c':
        return add_date(s, l);
    case 'z':
        strbuf_add_str(s, "+00:00");
        return true;
    case 'X':
    case 'x':
    case 'h':
        spec[1] = c == 'X' ? 'T' : c == 'x' ? 'D' : 'b';
        break;
    default:
        if (!strchr("YmdTHMSaAbBDIpRr", c))
            return add_elapsed(s, c, l);
    }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    size_t n = strftime(text, sizeof(text), spec, &l->tm);
#pragma GCC diagnostic pop
    strbuf_add(s, text, n);
    return true;
}

static void add_place(struct strbuf *s, char c, const struct line *l)
{
    switch (c) {
    case 'g':
        strbuf_add_str(s, l->file);
        break;
    case 's':
        strbuf_add_str(s, base_name(l->file));
        break;
    case '#':
        strbuf_printf(s, "%d", l->number);
        break;
    case '!':
        strbuf_add_str(s, l->func);
        break;
    default:
        strbuf_printf(s, "%s:%d", base_name(l->file), l->number);
    }
}

/* A message that holds text of a peer cannot begin a line of its own. */
static void add_one_line(struct strbuf *s, struct bytes message)
{
    struct bytes rest = message;
    strbuf_add_bytes(s, bytes_split(&rest, '\n'));
    while (rest.data) {
        strbuf_add_str(s, "\\n");
        strbuf_add_bytes(s, bytes_split(&rest, '\n'));
    }
}

/* False: what follows the % means nothing, and stands as it is. */
static bool add_spec(struct strbuf *s, char c, const struct line *l)
{
    switch (c) {
    case 'v':
    case '+': /* without the tags, of which there are none here */
        strbuf_add_bytes(s, l->message);
        break;
    case '_':
        add_one_line(s, l->message);
        break;
    case 'j':
        strbuf_add_json_escaped(s, l->message);
        break;
    case 't':
        strbuf_printf(s, "%ld", (long)syscall(SYS_gettid));
        break;
    case 'P':
        strbuf_printf(s, "%ld", (long)getpid());
        break;
    case 'l':
        strbuf_add_str(s, level_names[l->level]);
        break;
    case 'L':
        strbuf_add_char(s, ascii_upper(level_names[l->level][0]));
        break;
    case 'n':
        strbuf_add_str(s, component_names[l->component]);
        break;
    case '^': /* colours */
    case '$':
    case '&':
    case '*':
        break;
    case 'g':
    case 's':
    case '#':
    case '!':
    case '@':
        add_place(s, c, l);
        break;
    default:
        return add_time(s, c, l);
    }
    return true;
}

/* "%-8l", "%=8l", "%8!l": to the left, in the middle, and no more than so many. */
struct padding {
    char side; /* 0: to the right */
    unsigned width;
    bool cut;
};

static const char *read_padding(const char *p, struct padding *out)
{
    enum { WIDTH_MAX = 64 };
    *out = (struct padding){0};
    if (*p == '-' || *p == '=')
        out->side = *p++;
    bool some = *p >= '0' && *p <= '9';
    for (; *p >= '0' && *p <= '9'; p++) {
        out->width = out->width * 10 + (unsigned)(*p - '0');
        if (out->width > WIDTH_MAX)
            out->width = WIDTH_MAX;
    }
    if (some && *p == '!') {
        out->cut = true;
        p++;
    }
    return p;
}

static void pad(struct strbuf *s, size_t from, const struct padding *p)
{
    static const char blanks[] = "                                                                ";
    size_t len = s->len - from, more = p->width > len ? p->width - len : 0;
    size_t before = p->side == '-' ? 0 : p->side == '=' ? more / 2 : more;
    if (p->cut && len > p->width)
        strbuf_cut(s, from + p->width);
    strbuf_insert(s, from, blanks, before);
    strbuf_add(s, blanks, more - before);
}

/* From behind a %; what follows it. */
static const char *add_flag(struct strbuf *s, const char *p, const struct line *l)
{
    struct padding padding;
    size_t from = s->len;
    p = read_padding(p, &padding);
    if (!*p)
        return p;
    if (*p == '%')
        strbuf_add_char(s, '%');
    else if (!add_spec(s, *p, l))
        strbuf_printf(s, "%%%c", *p);
    else if (!strchr("_j+*^$&", *p))
        pad(s, from, &padding);
    return p + 1;
}

void log_write(enum log_component c, enum log_level level, const char *file, int line,
               const char *func, const char *fmt, ...)
{
    struct strbuf message = STRBUF_INIT, text = STRBUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    strbuf_vprintf(&message, fmt, ap);
    va_end(ap);
    struct line l = {c, level, file, func, line, strbuf_bytes(&message), {0}, 0, 0};
    l.wall_ns = clock_real.wall_ns(&clock_real);
    time_t seconds = (time_t)(l.wall_ns / NS_PER_S);
    gmtime_r(&seconds, &l.tm);
    pthread_mutex_lock(&sink.lock);
    l.since_ns = sink.last_ns && l.wall_ns > sink.last_ns ? l.wall_ns - sink.last_ns : 0;
    sink.last_ns = l.wall_ns;
    for (const char *p = sink.format ? sink.format : LOG_FORMAT_DEFAULT; *p;) {
        if (*p == '%')
            p = add_flag(&text, p + 1, &l);
        else
            strbuf_add_char(&text, *p++);
    }
    strbuf_add_char(&text, '\n');
    ssize_t n UNUSED = write(sink.fd, text.data, text.len);
    pthread_mutex_unlock(&sink.lock);
    strbuf_fini(&text);
    strbuf_fini(&message);
}

void log_set_format(const char *format)
{
    pthread_mutex_lock(&sink.lock);
    mem_free(sink.format);
    sink.format = format ? mem_strdup(format) : NULL;
    pthread_mutex_unlock(&sink.lock);
}

int log_open_file(const char *path, bool wait)
{
    int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY;
    int fd = open(path, flags | (wait ? 0 : O_NONBLOCK), 0644);
    if (fd >= 0 && !wait)
        (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    return fd;
}

static int open_log(const char *path, bool wait)
{
    if (strcmp(path, "/dev/stderr") == 0)
        return dup(STDERR_FILENO);
    if (strcmp(path, "/dev/stdout") == 0)
        return dup(STDOUT_FILENO);
    return log_open_file(path, wait);
}

bool log_set_path(const char *path, struct error *err)
{
    int fd = open_log(path, true);
    if (fd < 0)
        return error_set(err, "cannot open log file '%s': %s", path, strerror(errno));
    pthread_mutex_lock(&sink.lock);
    if (sink.path)
        close(sink.fd);
    mem_free(sink.path);
    sink.path = mem_strdup(path);
    sink.fd = fd;
    pthread_mutex_unlock(&sink.lock);
    return true;
}

void log_reopen(void)
{
    pthread_mutex_lock(&sink.lock);
    char *path = sink.path ? mem_strdup(sink.path) : NULL;
    pthread_mutex_unlock(&sink.lock);
    if (!path)
        return;
    int fd = open_log(path, false), error = errno; /* no lock is held: a disk may take its time */
    mem_free(path);
    if (fd < 0) { /* into the file that was: better than nowhere */
        LOG(LOG_FILE, LOG_WARNING, "cannot reopen the log: %s; writing on into the old file",
            strerror(error));
        return;
    }
    pthread_mutex_lock(&sink.lock);
    close(sink.fd);
    sink.fd = fd;
    pthread_mutex_unlock(&sink.lock);
}
