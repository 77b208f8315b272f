#include "config/json_scalar.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/utf8.h"

static const int64_t duration_max = 315576000000;
static const int64_t timestamp_min = -62135596800, timestamp_max = 253402300799;

/* lower, Capital or UPPER: what YAML 1.1 allows of a word. */
static bool is_word(struct bytes text, const char *word)
{
    if (!bytes_eq_nocase(text, bytes_of(word)))
        return false;
    bool lower = true, upper = true;
    for (size_t i = 1; i < text.len; i++) {
        lower = lower && text.data[i] == ascii_lower(text.data[i]);
        upper = upper && text.data[i] == ascii_upper(text.data[i]);
    }
    bool first_upper = text.data[0] == ascii_upper(text.data[0]);
    return lower || (first_upper && upper);
}

bool yaml_scalar_is_bool(struct bytes text, bool *value)
{
    static const char *const yes[] = {"y", "yes", "true", "on"};
    static const char *const no[] = {"n", "no", "false", "off"};
    if (text.len == 0 || text.len > 5)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
        if (is_word(text, yes[i]) || is_word(text, no[i])) {
            *value = is_word(text, yes[i]);
            return true;
        }
    }
    return false;
}

bool yaml_scalar_is_int(struct bytes text, int64_t *value)
{
    char buf[32], *end;
    if (text.len == 0 || text.len >= sizeof(buf) || text.data[0] == ' ')
        return false;
    memcpy(buf, text.data, text.len);
    buf[text.len] = '\0';
    if (strspn(buf, "+-0123456789abcdefABCDEFxX") != text.len)
        return false;
    errno = 0;
    *value = strtoll(buf, &end, 0);
    return errno == 0 && end == buf + text.len;
}

static bool integral(struct bytes text, double *d)
{
    return bytes_to_double(text, d) && isfinite(*d) && *d == trunc(*d);
}

bool json_scalar_i64(struct bytes text, int64_t *value)
{
    double d;
    if (bytes_to_i64(text, value))
        return true;
    if (!integral(text, &d) || d < -0x1p63 || d >= 0x1p63)
        return false;
    *value = (int64_t)d;
    return true;
}

bool json_scalar_u64(struct bytes text, uint64_t *value)
{
    double d;
    if (bytes_to_u64(text, value))
        return true;
    if (!integral(text, &d) || d < 0 || d >= 0x1p64)
        return false;
    *value = (uint64_t)d;
    return true;
}

bool json_scalar_double(struct bytes text, double *value)
{
    if (bytes_eq_str(text, "NaN"))
        *value = NAN;
    else if (bytes_eq_str(text, "Infinity"))
        *value = INFINITY;
    else if (bytes_eq_str(text, "-Infinity"))
        *value = -INFINITY;
    else
        return bytes_to_double(text, value) && isfinite(*value);
    return true;
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

bool json_scalar_base64(struct bytes text, struct strbuf *out)
{
    uint32_t bits = 0;
    unsigned n = 0;
    size_t padding = 0;
    while (text.len > 0 && text.data[text.len - 1] == '=' && padding < 2) {
        text.len--;
        padding++;
    }
    if (text.len % 4 == 1 || (padding > 0 && (text.len + padding) % 4 != 0))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        int digit = base64_digit(text.data[i]);
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        n += 6;
        if (n >= 8) {
            n -= 8;
            strbuf_add_char(out, (char)(bits >> n));
        }
    }
    return true;
}

static bool take_digits(struct bytes *text, size_t least, size_t most, int64_t *value)
{
    size_t n = 0;
    *value = 0;
    while (n < text->len && n < most && text->data[n] >= '0' && text->data[n] <= '9')
        *value = *value * 10 + (text->data[n++] - '0');
    *text = bytes_skip(*text, n);
    return n >= least;
}

static bool take_char(struct bytes *text, char c)
{
    if (text->len == 0 || text->data[0] != c)
        return false;
    *text = bytes_skip(*text, 1);
    return true;
}

/* ".5" -> 500000000; nothing there -> 0. */
static bool take_fraction(struct bytes *text, int32_t *nanos)
{
    int64_t value;
    *nanos = 0;
    if (!take_char(text, '.'))
        return true;
    size_t before = text->len;
    if (!take_digits(text, 1, 9, &value))
        return false;
    for (size_t n = before - text->len; n < 9; n++)
        value *= 10;
    *nanos = (int32_t)value;
    return true;
}

bool json_scalar_duration(struct bytes text, int64_t *seconds, int32_t *nanos)
{
    bool negative = take_char(&text, '-');
    if (!take_digits(&text, 1, 12, seconds) || !take_fraction(&text, nanos) ||
        !take_char(&text, 's') || text.len > 0 || *seconds > duration_max)
        return false;
    if (negative) {
        *seconds = -*seconds;
        *nanos = -*nanos;
    }
    return true;
}

/* Days since 1970-01-01 of the proleptic Gregorian calendar. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = year / 400, of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void date_of(int64_t days, int64_t *year, int64_t *month, int64_t *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097, of_era = days - era * 146097;
    int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;
    *day = of_year - (153 * m + 2) / 5 + 1;
    *month = m < 10 ? m + 3 : m - 9;
    *year = y + era * 400 + (*month <= 2);
}

static bool take_zone(struct bytes *text, int64_t *offset)
{
    int64_t hours, minutes;
    *offset = 0;
    if (take_char(text, 'Z') || take_char(text, 'z'))
        return true;
    int sign = take_char(text, '+') ? 1 : take_char(text, '-') ? -1 : 0;
    if (sign == 0 || !take_digits(text, 2, 2, &hours) || !take_char(text, ':') ||
        !take_digits(text, 2, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *offset = sign * (hours * 3600 + minutes * 60);
    return true;
}

bool json_scalar_timestamp(struct bytes text, int64_t *seconds, int32_t *nanos)
{
    int64_t year, month, day, hour, minute, second, offset, y, m, d;
    if (!take_digits(&text, 4, 4, &year) || !take_char(&text, '-') ||
        !take_digits(&text, 2, 2, &month) || !take_char(&text, '-') ||
        !take_digits(&text, 2, 2, &day) || !(take_char(&text, 'T') || take_char(&text, 't')) ||
        !take_digits(&text, 2, 2, &hour) || !take_char(&text, ':') ||
        !take_digits(&text, 2, 2, &minute) || !take_char(&text, ':') ||
        !take_digits(&text, 2, 2, &second) || !take_fraction(&text, nanos) ||
        !take_zone(&text, &offset) || text.len > 0)
        return false;
    if (month < 1 || month > 12 || hour > 23 || minute > 59 || second > 59)
        return false;
    int64_t days = days_of(year, month, day);
    date_of(days, &y, &m, &d);
    *seconds = days * 86400 + hour * 3600 + minute * 60 + second - offset;
    return y == year && m == month && d == day && *seconds >= timestamp_min &&
           *seconds <= timestamp_max;
}

void json_scalar_snake(struct bytes text, struct strbuf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c >= 'A' && c <= 'Z') {
            strbuf_add_char(out, '_');
            c = ascii_lower(c);
        }
        strbuf_add_char(out, c);
    }
}

void json_scalar_camel(struct bytes text, struct strbuf *out)
{
    bool up = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '_') {
            up = true;
            continue;
        }
        strbuf_add_char(out, up ? ascii_upper(c) : c);
        up = false;
    }
}

/* As libprotobuf prints them: 15 digits, or 17 where they are needed. */
static bool add_special(struct strbuf *out, double value)
{
    if (isnan(value))
        strbuf_add_str(out, "\"NaN\"");
    else if (isinf(value))
        strbuf_add_str(out, value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    else
        return false;
    return true;
}

void json_scalar_add_double(struct strbuf *out, double value)
{
    char buf[40];
    if (add_special(out, value))
        return;
    for (int digits = 15; digits <= 17; digits += 2) {
        snprintf(buf, sizeof(buf), "%.*g", digits, value);
        if (strtod(buf, NULL) == value)
            break;
    }
    strbuf_add_str(out, buf);
}

void json_scalar_add_float(struct strbuf *out, float value)
{
    char buf[40];
    if (add_special(out, (double)value))
        return;
    for (int digits = 6; digits <= 9; digits += 3) {
        snprintf(buf, sizeof(buf), "%.*g", digits, (double)value);
        if (strtof(buf, NULL) == value)
            break;
    }
    strbuf_add_str(out, buf);
}

void json_scalar_add_base64(struct strbuf *out, struct bytes b)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < b.len; i += 3) {
        size_t n = b.len - i < 3 ? b.len - i : 3;
        uint32_t bits = 0;
        for (size_t k = 0; k < 3; k++)
            bits = bits << 8 | (k < n ? (unsigned char)b.data[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            strbuf_add_char(out, k <= n ? digits[bits >> (18 - 6 * k) & 63] : '=');
    }
}

/* Characters that libprotobuf never prints as they are: controls, marks that cannot be seen, and
 * the brackets of HTML. */
static bool must_escape(uint32_t c)
{
    static const struct {
        uint32_t from, to;
    } hidden[] = {
        {0x00, 0x1f},     {0x22, 0x22},       {0x3c, 0x3c},       {0x3e, 0x3e},
        {0x5c, 0x5c},     {0x7f, 0x9f},       {0xad, 0xad},       {0x600, 0x603},
        {0x6dd, 0x6dd},   {0x70f, 0x70f},     {0x17b4, 0x17b5},   {0x200b, 0x200f},
        {0x2028, 0x202e}, {0x2060, 0x2064},   {0x206a, 0x206f},   {0xfeff, 0xfeff},
        {0xfff9, 0xfffb}, {0x1d173, 0x1d17a}, {0xe0001, 0xe0001}, {0xe0020, 0xe007f},
    };
    for (size_t i = 0; i < ARRAY_SIZE(hidden); i++)
        if (c >= hidden[i].from && c <= hidden[i].to)
            return true;
    return false;
}

static void add_escape(struct strbuf *out, uint32_t c)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *p = c > 0 && c < 0x80 ? strchr(from, (int)c) : NULL;
    if (p) {
        strbuf_add_char(out, '\\');
        strbuf_add_char(out, to[p - from]);
    } else if (c >= 0x10000) {
        c -= 0x10000;
        strbuf_printf(out, "\\u%04x\\u%04x", 0xd800 + (c >> 10), 0xdc00 + (c & 0x3ff));
    } else {
        strbuf_printf(out, "\\u%04x", c);
    }
}

void json_scalar_add_string(struct strbuf *out, struct bytes text)
{
    strbuf_add_char(out, '"');
    while (text.len > 0) {
        uint32_t c;
        size_t n = utf8_decode(text, &c);
        if (n == 0)
            strbuf_add_str(out, "\xef\xbf\xbd");
        else if (must_escape(c))
            add_escape(out, c);
        else
            strbuf_add(out, text.data, n);
        text = bytes_skip(text, n ? n : 1);
    }
    strbuf_add_char(out, '"');
}

static void add_fraction(struct strbuf *out, int32_t nanos)
{
    if (nanos % 1000000 == 0)
        strbuf_printf(out, ".%03d", nanos / 1000000);
    else if (nanos % 1000 == 0)
        strbuf_printf(out, ".%06d", nanos / 1000);
    else
        strbuf_printf(out, ".%09d", nanos);
}

bool json_scalar_add_duration(struct strbuf *out, int64_t seconds, int32_t nanos)
{
    if (seconds > duration_max || seconds < -duration_max || nanos > 999999999 ||
        nanos < -999999999 || (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0))
        return false;
    if (seconds < 0 || nanos < 0)
        strbuf_add_char(out, '-');
    strbuf_printf(out, "%" PRId64, seconds < 0 ? -seconds : seconds);
    if (nanos != 0)
        add_fraction(out, nanos < 0 ? -nanos : nanos);
    strbuf_add_char(out, 's');
    return true;
}

bool json_scalar_add_timestamp(struct strbuf *out, int64_t seconds, int32_t nanos)
{
    int64_t year, month, day;
    if (seconds < timestamp_min || seconds > timestamp_max || nanos < 0 || nanos > 999999999)
        return false;
    int64_t days = seconds / 86400 - (seconds % 86400 < 0), of_day = seconds - days * 86400;
    date_of(days, &year, &month, &day);
    strbuf_printf(out, "%04d-%02d-%02dT%02d:%02d:%02d", (int)year, (int)month, (int)day,
                  (int)(of_day / 3600), (int)(of_day / 60 % 60), (int)(of_day % 60));
    if (nanos != 0)
        add_fraction(out, nanos);
    strbuf_add_char(out, 'Z');
    return true;
}
