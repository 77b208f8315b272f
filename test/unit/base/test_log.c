#include "base/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "suite.h"

static char path[64], moved[80];

static void begin(void)
{
    struct error err = ERROR_INIT;
    snprintf(path, sizeof(path), "/tmp/xylem-test-log-%ld", (long)getpid());
    snprintf(moved, sizeof(moved), "%s.1", path);
    unlink(path);
    ck_assert(log_set_path(path, &err));
    log_set_format("%v");
    log_set_level(LOG_INFO);
}

static void end(void)
{
    unlink(path);
    unlink(moved);
}

static const char *contents(const char *of)
{
    static char text[65536];
    int fd = open(of, O_RDONLY);
    ck_assert_int_ge(fd, 0);
    ssize_t n = read(fd, text, sizeof(text) - 1);
    ck_assert_int_ge(n, 0);
    text[n] = '\0';
    close(fd);
    return text;
}

/* What one line looks like in that format. */
static const char *formatted(const char *format, const char *message)
{
    log_set_format(format);
    ck_assert_int_eq(truncate(path, 0), 0);
    log_write(LOG_UPSTREAM, LOG_WARNING, "src/config/store.c", 42, "store_set", "%s", message);
    return contents(path);
}

START_TEST(levels_gate)
{
    begin();
    LOG(LOG_MAIN, LOG_DEBUG, "no");
    LOG(LOG_MAIN, LOG_INFO, "one");
    log_set_component_level(LOG_UPSTREAM, LOG_TRACE);
    LOG(LOG_UPSTREAM, LOG_TRACE, "two");
    LOG(LOG_MAIN, LOG_TRACE, "no");
    log_set_level(LOG_OFF);
    LOG(LOG_UPSTREAM, LOG_CRITICAL, "no");
    ck_assert_str_eq(contents(path), "one\ntwo\n");
    end();
}
END_TEST

START_TEST(names)
{
    static const char *const levels[] = {"trace", "debug",    "info", "warning",
                                         "error", "critical", "off"};
    enum log_level level;
    enum log_component component;
    for (unsigned i = 0; i < ARRAY_SIZE(levels); i++) {
        ck_assert(log_level_parse(bytes_of(levels[i]), &level));
        ck_assert_uint_eq(level, i);
        ck_assert_str_eq(log_level_name(level), levels[i]);
    }
    ck_assert(log_level_parse(BYTES("warn"), &level));
    ck_assert_uint_eq(level, LOG_WARNING);
    ck_assert(!log_level_parse(BYTES("INFO"), &level));
    ck_assert(!log_level_parse(BYTES(""), &level));
    for (unsigned i = 0; i < LOG_COMPONENT_COUNT; i++) {
        ck_assert(log_component_parse(bytes_of(log_component_name(i)), &component));
        ck_assert_uint_eq(component, i);
    }
    ck_assert(!log_component_parse(BYTES("nosuch"), &component));
}
END_TEST

START_TEST(format_specs)
{
    char want[128];
    begin();
    ck_assert_str_eq(formatted("%v", "hi"), "hi\n");
    ck_assert_str_eq(formatted("[%l][%L][%n] %v", "hi"), "[warning][W][upstream] hi\n");
    ck_assert_str_eq(formatted("%g|%s|%#|%!|%@", "x"),
                     "src/config/store.c|store.c|42|store_set|store.c:42\n");
    snprintf(want, sizeof(want), "%ld\n", (long)getpid());
    ck_assert_str_eq(formatted("%P", "x"), want);
    ck_assert_str_eq(formatted("%t", "x"), want); /* the first thread has the process's number */
    ck_assert_str_eq(formatted("100%% %q %v", "x"), "100% %q x\n");
    ck_assert_str_eq(formatted("%v", "a\nb"), "a\nb\n");
    ck_assert_str_eq(formatted("%_", "a\n\nb\n"), "a\\n\\nb\\n\n");
    ck_assert_str_eq(formatted("{\"m\":\"%j\"}", "a\"\n"), "{\"m\":\"a\\\"\\n\"}\n");
    end();
}
END_TEST

/* What spdlog makes of each. */
static const struct {
    const char *format, *line;
} widths[] = {
    {"[%-10n]", "[upstream  ]\n"},
    {"[%10n]", "[  upstream]\n"},
    {"[%=11n]", "[ upstream  ]\n"},
    {"[%8n][%3n][%-n]", "[upstream][upstream][upstream]\n"},
    {"[%3!l][%10!l][%-3!l]", "[war][   warning][war]\n"},
    {"[%0010#]", "[        42]\n"},
    {"[%1000#]", "[                                                              42]\n"},
    {"[%4294967300#]", "[                                                              42]\n"},
    {"[%6v][%-6+][%6_][%6j][%6*]", "[     x][x][x][x][]\n"},
    {"[%!v]", "[store_setv]\n"},
    {"[%12s]", "[     store.c]\n"},
    {"%^%v%$%5^|%&", "x|\n"},
    {"%5%|%5q|%q|%y|%G", "%|%q|%q|%y|%G\n"},
    {"%v%", "x\n"},
    {"%v%5", "x\n"},
    {"%v%5!", "x\n"},
    {"%z[%8z]", "+00:00[  +00:00]\n"},
    {"", "\n"},
};

START_TEST(format_widths)
{
    begin();
    for (size_t i = 0; i < ARRAY_SIZE(widths); i++)
        ck_assert_str_eq(formatted(widths[i].format, "x"), widths[i].line);
    end();
}
END_TEST

START_TEST(time_since_the_line_before)
{
    unsigned long ns, us, ms, s;
    begin();
    formatted("%v", "x");
    struct timespec a_while = {0, 3 * 1000 * 1000};
    nanosleep(&a_while, NULL);
    ck_assert_int_eq(sscanf(formatted("%u %i %o %O", "x"), "%lu %lu %lu %lu", &ns, &us, &ms, &s),
                     4);
    ck_assert_uint_ge(ms, 3);
    ck_assert(us == ns / 1000 && ms == us / 1000 && s == ms / 1000);
    end();
}
END_TEST

START_TEST(time_specs)
{
    begin();
    int year, month, day, hour, minute, second, ms;
    const char *text = formatted("%Y-%m-%d %T.%e", "x");
    ck_assert_int_eq(sscanf(text, "%4d-%2d-%2d %2d:%2d:%2d.%3d", &year, &month, &day, &hour,
                            &minute, &second, &ms),
                     7);
    ck_assert_uint_eq(strlen(text), 24);
    ck_assert_int_ge(year, 2024);
    ck_assert_uint_eq(strlen(formatted("%f", "x")), 7);
    ck_assert_uint_eq(strlen(formatted("%F", "x")), 10);
    int again, hours, of_year;
    char name[8], weekday[8];
    text = formatted("%c %X %C %x %h", "x");
    ck_assert_int_eq(sscanf(text, "%7s %7s %d %d:%2d:%2d %d %d:%2d:%2d %d", weekday, name, &again,
                            &hours, &minute, &second, &year, &hours, &minute, &second, &of_year),
                     11);
    ck_assert_int_eq(year % 100, of_year);
    ck_assert_ptr_nonnull(strstr(strrchr(text, '/'), name));
    text = formatted(LOG_FORMAT_DEFAULT, "hello");
    ck_assert_int_eq(text[0], '[');
    ck_assert_ptr_nonnull(strstr(text, "][warning][upstream] [src/config/store.c:42] hello\n"));
    end();
}
END_TEST

START_TEST(reopens_after_rotation)
{
    struct error err = ERROR_INIT;
    begin();
    LOG(LOG_MAIN, LOG_INFO, "before");
    ck_assert_int_eq(rename(path, moved), 0);
    LOG(LOG_MAIN, LOG_INFO, "still the old file");
    log_reopen();
    LOG(LOG_MAIN, LOG_INFO, "after");
    ck_assert_str_eq(contents(moved), "before\nstill the old file\n");
    ck_assert_str_eq(contents(path), "after\n");
    ck_assert(!log_set_path("/nonexistent/x.log", &err));
    ck_assert_str_eq(error_text(&err),
                     "cannot open log file '/nonexistent/x.log': No such file or directory");
    error_fini(&err);
    LOG(LOG_MAIN, LOG_INFO, "and on"); /* the sink that worked stays */
    ck_assert_str_eq(contents(path), "after\nand on\n");
    end();
}
END_TEST

START_TEST(a_log_that_cannot_be_reopened_goes_on)
{
    struct error err = ERROR_INIT;
    char folder[] = "/tmp/xylem-log-XXXXXX", other[64], file[80];
    begin();
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(file, sizeof(file), "%s/log", folder);
    ck_assert(log_set_path(file, &err));
    snprintf(other, sizeof(other), "%s.moved", folder);
    ck_assert_int_eq(rename(folder, other), 0);
    log_reopen();
    LOG(LOG_MAIN, LOG_INFO, "and on");
    snprintf(file, sizeof(file), "%s/log", other);
    ck_assert_str_eq(contents(file), "cannot reopen the log: No such file or directory; writing on "
                                     "into the old file\nand on\n");
    ck_assert(unlink(file) == 0 && rmdir(other) == 0);
    end();
}
END_TEST

/* Nobody reads it now: a rotation waits for no reader, and lines go where they went. */
START_TEST(a_pipe_without_a_reader_is_not_waited_for)
{
    struct error err = ERROR_INIT;
    char got[100] = "";
    begin();
    unlink(path);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    ck_assert(log_set_path(path, &err));
    ck_assert(rename(path, moved) == 0 && mkfifo(path, 0600) == 0);
    alarm(5); /* the end of one that waits */
    log_reopen();
    alarm(0);
    ck_assert_int_gt(read(reader, got, sizeof(got) - 1), 0);
    ck_assert_str_eq(got, "cannot reopen the log: No such device or address; writing on into the "
                          "old file\n");
    int next = open(path, O_RDONLY | O_NONBLOCK);
    log_reopen();
    LOG(LOG_MAIN, LOG_INFO, "to the new one");
    memset(got, 0, sizeof(got));
    ck_assert_int_gt(read(next, got, sizeof(got) - 1), 0);
    ck_assert_str_eq(got, "to the new one\n");
    close(reader);
    close(next);
    end();
}
END_TEST

static void *write_lines(void *id)
{
    for (unsigned i = 0; i < 200; i++)
        LOG(LOG_MAIN, LOG_INFO, "%c%060u%c", *(char *)id, i, *(char *)id);
    return NULL;
}

START_TEST(lines_of_threads_stay_whole)
{
    pthread_t threads[4];
    char ids[] = "abcd";
    begin();
    for (unsigned i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_lines, &ids[i]), 0);
    log_reopen();
    log_set_component_level(LOG_ADMIN, LOG_DEBUG);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    struct bytes rest = bytes_of(contents(path));
    unsigned lines = 0;
    while (rest.len) {
        struct bytes line = bytes_split(&rest, '\n');
        ck_assert_uint_eq(line.len, 62);
        ck_assert_int_eq(line.data[0], line.data[61]);
        lines++;
    }
    ck_assert_uint_eq(lines, 800);
    end();
}
END_TEST

SUITE("log", levels_gate, names, format_specs, format_widths, time_since_the_line_before,
      time_specs, reopens_after_rotation, a_log_that_cannot_be_reopened_goes_on,
      a_pipe_without_a_reader_is_not_waited_for, lines_of_threads_stay_whole)
