/* Writes JSON onto a text; commas come by themselves. Pure. */
#pragma once

#include "text.h"

void json_open(struct text *out, char bracket);  /* '{' or '[' */
void json_close(struct text *out, char bracket); /* '}' or ']' */
void json_key(struct text *out, const char *key);
void json_string(struct text *out, const char *s);
void json_string_n(struct text *out, const char *s, size_t len);
void json_int(struct text *out, long long v);
void json_bool(struct text *out, bool v);
/* A value that is JSON already (numbers, `null`, a rendered object). */
void json_raw(struct text *out, const char *json);
/* "key": "value" in one go; nothing where the value is NULL. */
void json_member(struct text *out, const char *key, const char *value);
void json_member_int(struct text *out, const char *key, long long value);
void json_member_bool(struct text *out, const char *key, bool value);
