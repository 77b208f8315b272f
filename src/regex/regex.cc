/* The C headers are included first: they have C linkage and do not say so themselves. */
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

extern "C" {
#include "base/bytes.h"
#include "base/error.h"
#include "base/strbuf.h"
}

#include "regex/regex.h"

#include <string>

#include <re2/re2.h>

namespace
{

constexpr unsigned max_groups = 10; /* \0 to \9 */

re2::StringPiece piece(struct bytes b)
{
    return re2::StringPiece(b.data ? b.data : "", b.len);
}

struct bytes from_piece(const re2::StringPiece &p)
{
    return bytes_from(p.data(), p.size());
}

RE2::Options options()
{
    RE2::Options o;
    o.set_encoding(RE2::Options::EncodingLatin1);
    o.set_log_errors(false);
    return o;
}

} // namespace

struct regex {
    RE2 re;

    explicit regex(const re2::StringPiece &pattern) : re(pattern, options())
    {
    }
};

extern "C" {

struct regex *regex_new(struct bytes pattern, struct error *err)
{
    return regex_new_limited(pattern, REGEX_PROGRAM_SIZE_DEFAULT, err);
}

struct regex *regex_new_limited(struct bytes pattern, uint32_t max_program_size, struct error *err)
{
    struct regex *r = new regex(piece(pattern));
    if (!r->re.ok()) {
        error_set(err, "Invalid regex '%.*s': %s", BYTES_ARG(pattern), r->re.error().c_str());
        delete r;
        return nullptr;
    }
    int size = r->re.ProgramSize();
    if (size > 0 && static_cast<uint32_t>(size) > max_program_size) {
        error_set(err,
                  "regex '%.*s' RE2 program size of %d > max program size of %u set for the error "
                  "level threshold. Increase configured max program size if necessary.",
                  BYTES_ARG(pattern), size, max_program_size);
        delete r;
        return nullptr;
    }
    return r;
}

void regex_free(struct regex **re)
{
    delete *re;
    *re = nullptr;
}

struct bytes regex_pattern(const struct regex *re)
{
    return bytes_from(re->re.pattern().data(), re->re.pattern().size());
}

unsigned regex_group_count(const struct regex *re)
{
    return static_cast<unsigned>(re->re.NumberOfCapturingGroups());
}

size_t regex_program_size(const struct regex *re)
{
    return static_cast<size_t>(re->re.ProgramSize());
}

bool regex_full_match(const struct regex *re, struct bytes text)
{
    return re->re.Match(piece(text), 0, text.len, RE2::ANCHOR_BOTH, nullptr, 0);
}

bool regex_partial_match(const struct regex *re, struct bytes text)
{
    return re->re.Match(piece(text), 0, text.len, RE2::UNANCHORED, nullptr, 0);
}

bool regex_captures(const struct regex *re, struct bytes text, struct bytes *groups, unsigned n)
{
    re2::StringPiece found[max_groups];
    unsigned have = regex_group_count(re) + 1;
    unsigned ask = n < have ? n : have;
    if (ask > max_groups)
        ask = max_groups;
    if (!re->re.Match(piece(text), 0, text.len, RE2::UNANCHORED, found, static_cast<int>(ask)))
        return false;
    for (unsigned i = 0; i < n; i++)
        groups[i] = i < ask ? from_piece(found[i]) : bytes_from(nullptr, 0);
    return true;
}

bool regex_check_substitution(const struct regex *re, struct bytes substitution, struct error *err)
{
    std::string why;
    if (re->re.CheckRewriteString(piece(substitution), &why))
        return true;
    return error_set(err, "Invalid substitution '%.*s': %s", BYTES_ARG(substitution), why.c_str());
}

size_t regex_replace_all(const struct regex *re, struct bytes text, struct bytes substitution,
                         struct strbuf *out)
{
    re2::StringPiece input = piece(text), found[max_groups];
    unsigned groups = regex_group_count(re) + 1;
    if (groups > max_groups)
        groups = max_groups;
    size_t at = 0, copied = 0, n = 0;
    while (at <= text.len &&
           re->re.Match(input, at, text.len, RE2::UNANCHORED, found, static_cast<int>(groups))) {
        size_t begin = static_cast<size_t>(found[0].data() - input.data());
        size_t end = begin + found[0].size();
        /* An empty match right after a match is part of it: RE2's GlobalReplace skips it too. */
        if (n > 0 && end == begin && begin == copied) {
            at = begin + 1;
            continue;
        }
        strbuf_add(out, input.data() + copied, begin - copied);
        for (size_t i = 0; i < substitution.len; i++) {
            char c = substitution.data[i];
            if (c != '\\' || i + 1 == substitution.len) {
                strbuf_add_char(out, c);
                continue;
            }
            c = substitution.data[++i];
            if (c < '0' || c > '9')
                strbuf_add_char(out, c);
            else if (static_cast<unsigned>(c - '0') < groups)
                strbuf_add(out, found[c - '0'].data(), found[c - '0'].size());
        }
        n++;
        copied = end;
        at = end > begin ? end : end + 1;
    }
    strbuf_add(out, input.data() + copied, text.len - copied);
    return n;
}

} /* extern "C" */
