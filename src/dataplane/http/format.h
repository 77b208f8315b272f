/* Envoy's command strings ("%REQ(X-A)% %RESPONSE_CODE%"), compiled by config/, made into text from
 * a stream: access logs and header values. Worker thread. */
#pragma once

#include "base/strbuf.h"
#include "config/access_log.h"

struct stream;

/* One operator's text, without length limit; false: it has none ("-" or null is printed). */
bool format_value(struct stream *s, const struct format_part *part, struct strbuf *out);
bool format_tls_value(struct stream *s, enum format_op op, struct strbuf *out);
bool format_path(const struct stream *s, const struct format_part *part, struct strbuf *out);
bool format_query_param(const struct stream *s, const struct format_part *part, struct strbuf *out);
bool format_filter_state(const struct stream *s, const struct format_part *part,
                         struct strbuf *out);
void format_text(struct stream *s, const struct format *f, struct strbuf *out);
void format_json(struct stream *s, const struct json_format_node *n, struct strbuf *out);
/* For a header: text in the stream's arena; what is missing is empty, as in Envoy. */
struct bytes format_stream(const struct format *f, struct stream *s);
