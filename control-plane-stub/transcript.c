#include "transcript.h"

#include "encode.h"
#include "json.h"
#include "yaml_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *string_of(const struct node *n, const char *key)
{
    const struct node *v = node_get(n, key);

    return v && v->kind == NODE_SCALAR ? v->text : NULL;
}

static bool take_line(struct transcript *t, const struct node *n, struct error *err)
{
    const char *method = string_of(n, "method"), *type_url = string_of(n, "type");
    const char *version = string_of(n, "version"), *nonce = string_of(n, "nonce");
    const char *stream = string_of(n, "stream"), *coded = string_of(n, "bytes");
    struct text bytes = {0};
    struct transcript_line *l;

    if (!method || !type_url || !stream || !coded || !base64_decode(coded, strlen(coded), &bytes)) {
        text_fini(&bytes);
        return error_set(err, "no line of a transcript");
    }
    ARRAY_ROOM(t->lines, t->count, t->cap);
    l = &t->lines[t->count++];
    *l = (struct transcript_line){.stream = strtoul(stream, NULL, 10), .len = bytes.len};
    l->method = mem_string(method);
    l->type_url = mem_string(type_url);
    l->version = mem_string(version ? version : "");
    l->nonce = mem_string(nonce ? nonce : "");
    l->bytes = text_take(&bytes);
    return true;
}

bool transcript_read(struct transcript *t, const char *path, struct error *err)
{
    FILE *in = fopen(path, "re");
    char *line = NULL;
    size_t cap = 0, number = 0;
    bool ok = in != NULL || error_set(err, "%s: %s", path, strerror(errno));
    ssize_t len;

    while (ok && (len = getline(&line, &cap, in)) > 0) {
        struct tree *tree = NULL;
        struct error why = {0};

        number++;
        ok = tree_parse(&tree, path, line, (size_t)len, NULL, &why) && tree->document_count == 1 &&
             take_line(t, tree->documents[0], &why);
        if (!ok)
            error_set(err, "%s:%zu: %s", path, number,
                      why.text ? why.text : "not one line of JSON");
        error_fini(&why);
        tree_free(&tree);
    }
    free(line);
    if (in)
        fclose(in);
    if (ok && !t->count)
        ok = error_set(err, "%s: nothing in it", path);
    return ok;
}

void transcript_fini(struct transcript *t)
{
    for (size_t i = 0; i < t->count; i++) {
        free(t->lines[i].method);
        free(t->lines[i].type_url);
        free(t->lines[i].version);
        free(t->lines[i].nonce);
        free(t->lines[i].bytes);
    }
    free(t->lines);
    *t = (struct transcript){0};
}

void transcript_write(FILE *out, const char *method, unsigned long stream, const struct literal *l)
{
    struct text line = {0}, coded = {0};

    base64_encode(l->bytes, l->len, &coded);
    json_open(&line, '{');
    json_member(&line, "method", method);
    json_member_int(&line, "stream", (long long)stream);
    json_member(&line, "type", l->type_url);
    json_member(&line, "version", l->version);
    json_member(&line, "nonce", l->nonce);
    json_member(&line, "bytes", text_str(&coded));
    json_close(&line, '}');
    fprintf(out, "%s\n", text_str(&line));
    fflush(out);
    text_fini(&line);
    text_fini(&coded);
}

unsigned long transcript_stream(const struct transcript *t, const char *method, size_t n)
{
    unsigned long last = 0;

    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->lines[i].method, method) || t->lines[i].stream <= last)
            continue; /* streams are numbered as they open */
        last = t->lines[i].stream;
        if (n-- == 0)
            break;
    }
    return last;
}

const struct transcript_line *transcript_next(const struct transcript *t, unsigned long stream,
                                              size_t *at)
{
    while (*at < t->count) {
        const struct transcript_line *l = &t->lines[(*at)++];

        if (l->stream == stream)
            return l;
    }
    return NULL;
}
