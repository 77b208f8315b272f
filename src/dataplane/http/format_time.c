/* Times as Envoy prints them: its own %f, %3f and %s, then what absl::FormatTime adds to strftime
 * (%E3S, %E*f, %Ez, %ET, %E4Y, %:z ...), then strftime of the C library with its flags. */
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/digits.h"
#include "dataplane/http/format.h"

struct moment {
    struct tm tm;
    time_t sec;
    char digits[18]; /* of the second, as many as anybody can ask for */
    struct strbuf *out;
};

enum { NS_DIGITS = 9, DIGITS_SHOWN = 15 }; /* of %E*S: absl has femtoseconds */

/* "2026-01-02T03:04:05.678Z": all but the milliseconds is made once a second and thread. */
static void add_default_time(struct strbuf *out, time_t sec, unsigned ns)
{
    static _Thread_local char text[] = "0000-00-00T00:00:00.000Z";
    static _Thread_local time_t made = -1;
    if (sec != made) {
        struct tm tm;
        gmtime_r(&sec, &tm);
        digits_fixed(text, (unsigned)tm.tm_year + 1900, 4);
        digits_fixed(text + 5, (unsigned)tm.tm_mon + 1, 2);
        digits_fixed(text + 8, (unsigned)tm.tm_mday, 2);
        digits_fixed(text + 11, (unsigned)tm.tm_hour, 2);
        digits_fixed(text + 14, (unsigned)tm.tm_min, 2);
        digits_fixed(text + 17, (unsigned)tm.tm_sec, 2);
        made = sec;
    }
    digits_fixed(text + 20, ns / (unsigned)NS_PER_MS, 3);
    strbuf_add(out, text, sizeof(text) - 1);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char at(struct bytes b, size_t i)
{
    return i < b.len ? b.data[i] : '\0';
}

/* Each of these returns how many bytes of the format it took; 0: it is none of its business. */

static size_t add_own(const struct moment *m, struct bytes f)
{
    if (at(f, 1) == 'f') {
        strbuf_add(m->out, m->digits, NS_DIGITS);
        return 2;
    }
    if (at(f, 1) >= '1' && at(f, 1) <= '9' && at(f, 2) == 'f') {
        strbuf_add(m->out, m->digits, (size_t)(at(f, 1) - '0'));
        return 3;
    }
    if (at(f, 1) != 's')
        return 0;
    strbuf_printf(m->out, "%lld", (long long)m->sec);
    return 2;
}

/* "+hh:mm:ss": colons and seconds as asked; short: only as much as says it. */
static void add_offset(const struct moment *m, bool colons, bool seconds, bool briefly)
{
    long off = m->tm.tm_gmtoff, abs = off < 0 ? -off : off;
    int h = (int)(abs / 3600), min = (int)(abs / 60 % 60), s = (int)(abs % 60);
    bool shows_seconds = seconds && (!briefly || s);
    bool negative = off < 0 && (shows_seconds || h || min);
    const char *colon = colons ? ":" : "";
    strbuf_printf(m->out, "%c%02d", negative ? '-' : '+', h);
    if (!briefly || min || s)
        strbuf_printf(m->out, "%s%02d", colon, min);
    if (shows_seconds)
        strbuf_printf(m->out, "%s%02d", colon, s);
}

/* %E*S and %E*f: without zeros at the end. */
static void add_all_digits(const struct moment *m, bool with_seconds)
{
    size_t n = DIGITS_SHOWN;
    while (n && m->digits[n - 1] == '0')
        n--;
    if (with_seconds)
        strbuf_printf(m->out, n ? "%02d." : "%02d", m->tm.tm_sec);
    else if (n == 0)
        strbuf_add_char(m->out, '0');
    strbuf_add(m->out, m->digits, n);
}

/* %E3S, %E12f */
static size_t add_some_digits(const struct moment *m, struct bytes f)
{
    size_t i = 2, n = 0;
    while (is_digit(at(f, i)) && n <= 1024)
        n = n * 10 + (size_t)(at(f, i++) - '0');
    char last = at(f, i);
    if (n > 1024 || (last != 'S' && last != 'f'))
        return 0;
    n = n < sizeof(m->digits) ? n : sizeof(m->digits);
    if (last == 'S')
        strbuf_printf(m->out, n ? "%02d." : "%02d", m->tm.tm_sec);
    strbuf_add(m->out, m->digits, n);
    return i + 1;
}

static size_t add_extended(const struct moment *m, struct bytes f)
{
    char c = at(f, 2), after = at(f, 3);
    if (c == 'T') {
        strbuf_add_char(m->out, 'T');
        return 3;
    }
    if (c == 'z') {
        add_offset(m, true, false, false);
        return 3;
    }
    if (c == '*' && after == 'z')
        add_offset(m, true, true, false);
    else if (c == '*' && (after == 'S' || after == 'f'))
        add_all_digits(m, after == 'S');
    else if (c == '4' && after == 'Y')
        strbuf_printf(m->out, "%04lld", 1900ll + m->tm.tm_year);
    else
        return is_digit(c) ? add_some_digits(m, f) : 0;
    return 4;
}

static size_t add_of_absl(const struct moment *m, struct bytes f)
{
    size_t colons = 1;
    if (at(f, 1) == 'E')
        return add_extended(m, f);
    while (colons < 4 && at(f, colons) == ':')
        colons++;
    if (colons == 1 || at(f, colons) != 'z')
        return 0;
    add_offset(m, true, colons > 2, colons > 3);
    return colons + 1;
}

/* One conversion of strftime: flags, a width, a modifier, a letter. */
static size_t add_of_library(const struct moment *m, struct bytes f)
{
    char spec[12], text[128];
    size_t n = 1;
    while (at(f, n) && strchr("-_0^#+", at(f, n)))
        n++;
    while (is_digit(at(f, n)))
        n++;
    if (at(f, n) == 'E' || at(f, n) == 'O')
        n++;
    n += n < f.len;
    if (n >= sizeof(spec)) {
        strbuf_add(m->out, f.data, n);
        return n;
    }
    memcpy(spec, f.data, n);
    spec[n] = '\0';
    strbuf_add(m->out, text, strftime(text, sizeof(text), spec, &m->tm));
    return n;
}

static size_t add_conversion(const struct moment *m, struct bytes f)
{
    size_t n = add_own(m, f);
    if (n)
        return n;
    if (f.len > 1 && f.data[1] != '%') {
        n = add_of_absl(m, f);
        return n ? n : add_of_library(m, f);
    }
    strbuf_add_char(m->out, '%'); /* "%%3f" is "%", then "%3f" */
    struct strbuf *out = m->out;
    size_t before = out->len;
    bool own = f.len > 1 && add_own(m, bytes_skip(f, 1)) > 0;
    strbuf_cut(out, before);
    return own || f.len == 1 ? 1 : 2;
}

NOINLINE void format_time(struct strbuf *out, time_t sec, unsigned ns, struct bytes format,
                          bool local)
{
    if (!format.len && !local) {
        add_default_time(out, sec, ns);
        return;
    }
    struct moment m = {.sec = sec, .out = out};
    if (local)
        localtime_r(&sec, &m.tm);
    else
        gmtime_r(&sec, &m.tm);
    if (!local)
        m.tm.tm_zone = "UTC";
    if (!format.len)
        format = BYTES("%Y-%m-%dT%H:%M:%E3S%z");
    memset(m.digits, '0', sizeof(m.digits));
    digits_fixed(m.digits, ns, NS_DIGITS);
    while (format.len) {
        size_t n = 1;
        if (format.data[0] == '%')
            n = add_conversion(&m, format);
        else
            strbuf_add_char(out, format.data[0]);
        format = bytes_skip(format, n);
    }
}
