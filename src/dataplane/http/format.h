/* Envoy's command strings ("%REQ(X-A)% %RESPONSE_CODE%"), compiled by config/, made into text from
 * a stream: access logs and header values. Worker thread. */
#pragma once

#include <time.h>

#include "base/strbuf.h"
#include "config/access_log.h"

struct stream;

/* One operator's text, cut to its length; false, and nothing added: it has none ("-" or null is
 * printed). What is there and empty is true. */
bool format_value(struct stream *s, const struct format_part *part, struct strbuf *out);
/* The same without its length. */
bool format_whole(struct stream *s, const struct format_part *part, struct strbuf *out);
bool format_connection(struct stream *s, const struct format_part *part, struct strbuf *out);
bool format_upstream(struct stream *s, const struct format_part *part, struct strbuf *out);
bool format_tls_value(struct stream *s, enum format_op op, struct strbuf *out);
bool format_path(const struct stream *s, const struct format_part *part, struct strbuf *out);
/* format empty: as the default line has it. */
void format_time(struct strbuf *out, time_t sec, unsigned ns, struct bytes format, bool local);
bool format_query_param(const struct stream *s, const struct format_part *part, struct strbuf *out);
bool format_query_params(const struct stream *s, const struct format_part *part,
                         struct strbuf *out);
bool format_filter_state(const struct stream *s, const struct format_part *part,
                         struct strbuf *out);
bool format_close(const struct stream *s, enum format_op op, struct strbuf *out);
/* json: strings in quotes. */
bool format_metadata(struct stream *s, const struct format_part *part, bool json,
                     struct strbuf *out);
/* Does a log or a header of this stream ask for metadata of clusters or hosts? They are kept only
 * then. */
bool format_wants_upstream_metadata(const struct stream *s);
void format_text(struct stream *s, const struct format *f, struct strbuf *out);
/* omit_empty: what is null is left out, and objects that nothing is left of. */
void format_json(struct stream *s, const struct json_format_node *n, bool omit_empty,
                 struct strbuf *out);
/* For a header: text in the stream's arena; what is missing is empty, as in Envoy. */
struct bytes format_stream(const struct format *f, struct stream *s);
