#include "config/descriptors.h"

#include <google/protobuf/descriptor.upb.h>
#include <stdlib.h>
#include <upb/decode.h>
#include <upb/def.h>
#include <upb/encode.h>
#include <upb/reflection.h>
#include <zlib.h>

#include "api_descriptors.h"
#include "base/memory.h"
#include "config/wire.h"

/* Field numbers of google.protobuf.FileDescriptorProto and its parts, and of the options that the
 * API adds. */
enum {
    FILE_PACKAGE = 2,
    FILE_DEPENDENCY = 3,
    FILE_MESSAGE = 4,
    FILE_ENUM = 5,
    TYPE_NAME = 1,
    OPTION_VALIDATE_RULES = 1071,
    OPTION_SENSITIVE = 76569463,
    OPTION_DISALLOWED = 189503207,
};

/* A piece of the pack. */
struct piece {
    uint32_t at, len;
};

struct pack_file {
    struct piece name, body;
    bool loaded;
};

/* A name by its hash: what it says is known once its file is loaded, and a name that has the same
 * one by chance loads a file in vain. */
struct symbol {
    uint64_t hash;
    uint32_t file;
};

struct symbols {
    struct symbol *list; /* sorted */
    size_t n, cap;
};

struct descriptors {
    upb_DefPool *pool;
    char *blob; /* the pack; NULL: nobody has needed it for a while */
    struct pack_file *files;
    size_t n_files, n_loaded;
    unsigned rests;         /* calls of descriptors_rest() since something was named */
    struct symbols by_name; /* of files */
    struct symbols types;   /* full names of top-level messages and enums */
};

static char *inflate_pack(void)
{
    char *blob = mem_alloc(api_descriptors_size);
    uLongf size = api_descriptors_size;
    int rc = uncompress((Bytef *)blob, &size, api_descriptors_z, api_descriptors_z_size);
    CHECK(rc == Z_OK && size == api_descriptors_size);
    return blob;
}

static struct bytes take_block(struct bytes *rest)
{
    CHECK(rest->len >= 4);
    const unsigned char *p = (const unsigned char *)rest->data;
    size_t len = p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
    *rest = bytes_skip(*rest, 4);
    CHECK(rest->len >= len);
    struct bytes block = bytes_first(*rest, len);
    *rest = bytes_skip(*rest, len);
    return block;
}

static struct bytes piece(const struct descriptors *d, struct piece p)
{
    return bytes_from(d->blob + p.at, p.len);
}

static struct piece piece_of(const struct descriptors *d, struct bytes b)
{
    return (struct piece){(uint32_t)(b.data - d->blob), (uint32_t)b.len};
}

/* The same in every process, so that what a test has seen holds. */
static uint64_t hash_of(struct bytes name)
{
    return bytes_hash_seeded(name, 1);
}

static void symbol_add(struct symbols *s, struct bytes name, size_t file)
{
    GROW(s->list, s->cap, s->n + 1);
    s->list[s->n++] = (struct symbol){hash_of(name), (uint32_t)file};
}

static int symbol_order(const void *a, const void *b)
{
    const struct symbol *x = a, *y = b;
    return (x->hash > y->hash) - (x->hash < y->hash);
}

static void symbols_sort(struct symbols *s)
{
    qsort(s->list, s->n, sizeof(s->list[0]), symbol_order);
    for (size_t i = 1; i < s->n; i++)
        CHECK(s->list[i - 1].hash != s->list[i].hash);
    s->list = mem_realloc(s->list, s->n * sizeof(s->list[0]));
}

static struct pack_file *symbol_file(struct descriptors *d, const struct symbols *s,
                                     struct bytes name)
{
    struct symbol wanted = {hash_of(name), 0};
    const struct symbol *found = bsearch(&wanted, s->list, s->n, sizeof(s->list[0]), symbol_order);
    return found ? &d->files[found->file] : NULL;
}

/* Calls fn with each top-level message, and enum if so asked, of a file. */
typedef void type_fn(void *ctx, struct bytes full_name);
static void each_type(const struct descriptors *d, size_t file, bool enums, type_fn *fn, void *ctx)
{
    struct bytes rest = piece(d, d->files[file].body);
    struct bytes package = wire_find_bytes(rest, FILE_PACKAGE);
    struct strbuf name = STRBUF_INIT;
    struct wire_field f;
    while (wire_next(&rest, &f)) {
        if (f.type != WIRE_BYTES || (f.number != FILE_MESSAGE && !(enums && f.number == FILE_ENUM)))
            continue;
        strbuf_reset(&name);
        if (package.len > 0) {
            strbuf_add_bytes(&name, package);
            strbuf_add_char(&name, '.');
        }
        strbuf_add_bytes(&name, wire_find_bytes(f.bytes, TYPE_NAME));
        fn(ctx, strbuf_bytes(&name));
    }
    strbuf_fini(&name);
}

struct indexing {
    struct descriptors *d;
    size_t file;
};

static void index_type(void *ctx, struct bytes full_name)
{
    struct indexing *x = ctx;
    symbol_add(&x->d->types, full_name, x->file);
}

static void index_files(struct descriptors *d)
{
    struct bytes rest = bytes_from(d->blob, api_descriptors_size);
    size_t cap = 0;
    while (rest.len > 0) {
        GROW(d->files, cap, d->n_files + 1);
        struct pack_file *file = &d->files[d->n_files++];
        file->name = piece_of(d, take_block(&rest));
        file->body = piece_of(d, take_block(&rest));
        file->loaded = false;
    }
    for (struct indexing x = {d, 0}; x.file < d->n_files; x.file++) {
        symbol_add(&d->by_name, piece(d, d->files[x.file].name), x.file);
        each_type(d, x.file, true, index_type, &x);
    }
    symbols_sort(&d->by_name);
    symbols_sort(&d->types);
}

/* What upb would do without: most of it cannot go on from NULL. What is larger than any piece of
 * ours, a message's share, is answered with "not enough memory". */
static void *upb_memory(upb_alloc *alloc, void *p, size_t old_size, size_t size)
{
    static const size_t large = (size_t)4 * 1024 * 1024;
    if (size == 0) {
        mem_free(p);
        return NULL;
    }
    if (size <= large)
        return mem_realloc(p, size);
    void *grown = mem_try_realloc(p, size);
    return grown || !mem_reserve_spend() ? grown : mem_try_realloc(p, size);
}

static upb_DefPool *new_pool(void)
{
    upb_DefPool *pool = upb_DefPool_New();
    CHECK(pool != NULL);
    return pool;
}

struct descriptors *descriptors_new(void)
{
    struct descriptors *d = NEW(struct descriptors);
    upb_alloc_global.func = upb_memory; /* nothing of upb's runs yet */
    d->pool = new_pool();
    d->blob = inflate_pack();
    index_files(d);
    return d;
}

void descriptors_free(struct descriptors **dp)
{
    struct descriptors *d = *dp;
    *dp = NULL;
    if (!d)
        return;
    upb_DefPool_Free(d->pool);
    mem_free(d->by_name.list);
    mem_free(d->types.list);
    mem_free(d->files);
    mem_free(d->blob);
    mem_free(d);
}

/* The pack is ours and complete: a file that does not load is a bug. */
static void load_file(struct descriptors *d, struct pack_file *file)
{
    struct wire_field f;
    if (file->loaded)
        return;
    file->loaded = true;
    if (!d->blob)
        d->blob = inflate_pack();
    struct bytes body = piece(d, file->body), rest = body;
    while (wire_next(&rest, &f)) {
        if (f.number != FILE_DEPENDENCY)
            continue;
        struct pack_file *import = symbol_file(d, &d->by_name, f.bytes);
        CHECK(import != NULL);
        load_file(d, import);
    }
    upb_Arena *arena = upb_Arena_New();
    CHECK(arena != NULL);
    google_protobuf_FileDescriptorProto *proto =
        google_protobuf_FileDescriptorProto_parse(body.data, body.len, arena);
    upb_Status status;
    upb_Status_Clear(&status);
    CHECK(proto != NULL);
    CHECK(upb_DefPool_AddFile(d->pool, proto, &status) != NULL);
    upb_Arena_Free(arena);
    d->n_loaded++;
}

/* Loads the file of the type or of the outermost message around it. */
static void load_symbol(struct descriptors *d, struct bytes name)
{
    while (name.len > 0) {
        struct pack_file *file = symbol_file(d, &d->types, name);
        if (file) {
            load_file(d, file);
            return;
        }
        ptrdiff_t dot = bytes_rfind_char(name, '.');
        name = bytes_first(name, dot < 0 ? 0 : (size_t)dot);
    }
}

const struct upb_MessageDef *descriptors_message(struct descriptors *d, struct bytes full_name)
{
    if (full_name.len == 0)
        return NULL;
    d->rests = 0;
    const upb_MessageDef *m =
        upb_DefPool_FindMessageByNameWithSize(d->pool, full_name.data, full_name.len);
    if (m)
        return m;
    load_symbol(d, full_name);
    return upb_DefPool_FindMessageByNameWithSize(d->pool, full_name.data, full_name.len);
}

struct bytes descriptors_type_name(struct bytes type_url)
{
    ptrdiff_t slash = bytes_rfind_char(type_url, '/');
    return slash < 0 ? type_url : bytes_skip(type_url, (size_t)slash + 1);
}

const struct upb_MessageDef *descriptors_type_url(struct descriptors *d, struct bytes type_url)
{
    return descriptors_message(d, descriptors_type_name(type_url));
}

const struct upb_EnumDef *descriptors_enum(struct descriptors *d, struct bytes full_name)
{
    struct strbuf name = STRBUF_INIT;
    strbuf_add_bytes(&name, full_name);
    d->rests = 0;
    load_symbol(d, full_name);
    const upb_EnumDef *e = upb_DefPool_FindEnumByName(d->pool, strbuf_str(&name));
    strbuf_fini(&name);
    return e;
}

size_t descriptors_files_loaded(const struct descriptors *d)
{
    return d->n_loaded;
}

void descriptors_rest(struct descriptors *d)
{
    mem_free(d->blob);
    d->blob = NULL;
    if (d->n_loaded == 0 || ++d->rests <= RESTS_IN_VAIN)
        return;
    upb_DefPool_Free(d->pool);
    d->pool = new_pool();
    d->n_loaded = 0;
    for (size_t i = 0; i < d->n_files; i++)
        d->files[i].loaded = false;
}

struct telling {
    struct bytes prefix;
    descriptors_name_fn *fn;
    void *ctx;
};

static void tell_type(void *ctx, struct bytes full_name)
{
    struct telling *t = ctx;
    if (bytes_starts_with(full_name, t->prefix))
        t->fn(t->ctx, full_name);
}

void descriptors_each_message(struct descriptors *d, struct bytes prefix, descriptors_name_fn *fn,
                              void *ctx)
{
    struct telling t = {prefix, fn, ctx};
    if (!d->blob)
        d->blob = inflate_pack();
    for (size_t i = 0; i < d->n_files; i++)
        each_type(d, i, false, tell_type, &t);
}

/* Extensions of the options stay in them as unknown fields. */
static struct bytes field_options(const upb_FieldDef *f)
{
    size_t len;
    if (!upb_FieldDef_HasOptions(f))
        return BYTES_NONE;
    const char *data = upb_Message_GetUnknown(upb_FieldDef_Options(f), &len);
    return bytes_from(data, data ? len : 0);
}

bool descriptors_field_deprecated(const struct upb_FieldDef *f)
{
    return google_protobuf_FieldOptions_deprecated(upb_FieldDef_Options(f));
}

bool descriptors_field_sensitive(const struct upb_FieldDef *f)
{
    return wire_find_varint(field_options(f), OPTION_SENSITIVE, 0) != 0;
}

bool descriptors_field_disallowed(const struct upb_FieldDef *f)
{
    return wire_find_varint(field_options(f), OPTION_DISALLOWED, 0) != 0;
}

struct bytes descriptors_field_rules(const struct upb_FieldDef *f)
{
    return wire_find_bytes(field_options(f), OPTION_VALIDATE_RULES);
}

static bool wire_type_fits(const upb_FieldDef *f, enum wire_type type)
{
    switch (upb_FieldDef_Type(f)) {
    case kUpb_FieldType_Double:
    case kUpb_FieldType_Fixed64:
    case kUpb_FieldType_SFixed64:
        return type == WIRE_FIXED64;
    case kUpb_FieldType_Float:
    case kUpb_FieldType_Fixed32:
    case kUpb_FieldType_SFixed32:
        return type == WIRE_FIXED32;
    case kUpb_FieldType_String:
    case kUpb_FieldType_Bytes:
    case kUpb_FieldType_Message:
        return type == WIRE_BYTES;
    case kUpb_FieldType_Group:
        return false;
    case kUpb_FieldType_Bool:
    case kUpb_FieldType_Enum:
    case kUpb_FieldType_Int32:
    case kUpb_FieldType_Int64:
    case kUpb_FieldType_UInt32:
    case kUpb_FieldType_UInt64:
    case kUpb_FieldType_SInt32:
    case kUpb_FieldType_SInt64:
        break;
    }
    return type == WIRE_VARINT;
}

static bool check_entries(const upb_MessageDef *m, struct bytes body, unsigned depth,
                          struct error *err)
{
    struct wire_field f;
    if (depth > DESCRIPTORS_MAX_DEPTH)
        return error_set(err, "%s: nested too deeply", upb_MessageDef_FullName(m));
    bool is_entry = upb_MessageDef_IsMapEntry(m);
    while (wire_next(&body, &f)) {
        const upb_FieldDef *field = upb_MessageDef_FindFieldByNumber(m, f.number);
        if (is_entry && (!field || !wire_type_fits(field, f.type)))
            return error_set(err, "%s: a map entry with an unknown field",
                             upb_MessageDef_FullName(m));
        if (!field || !upb_FieldDef_IsSubMessage(field) || f.type != WIRE_BYTES)
            continue;
        if (!check_entries(upb_FieldDef_MessageSubDef(field), f.bytes, depth + 1, err))
            return false;
    }
    return body.len == 0 ? true
                         : error_set(err, "%s: bytes are corrupt", upb_MessageDef_FullName(m));
}

bool descriptors_check_bytes(const struct upb_MessageDef *m, struct bytes body, struct error *err)
{
    return check_entries(m, body, 1, err);
}

static const char *decode_problem(upb_DecodeStatus status)
{
    switch (status) {
    case kUpb_DecodeStatus_Ok:
        break;
    case kUpb_DecodeStatus_Malformed:
        return "bytes are corrupt";
    case kUpb_DecodeStatus_OutOfMemory:
        return "not enough memory";
    case kUpb_DecodeStatus_BadUtf8:
        return "a string is not UTF-8";
    case kUpb_DecodeStatus_MaxDepthExceeded:
        return "nested too deeply";
    case kUpb_DecodeStatus_MissingRequired:
        return "a required field is missing";
    }
    return "cannot be decoded";
}

static void *decode(const struct upb_MessageDef *m, struct bytes body, int options,
                    struct upb_Arena *arena, struct error *err)
{
    if (!descriptors_check_bytes(m, body, err))
        return NULL;
    upb_Message *msg = upb_Message_New(m, arena);
    if (!msg) {
        error_set(err, "%s: not enough memory", upb_MessageDef_FullName(m));
        return NULL;
    }
    upb_DecodeStatus status =
        upb_Decode(body.data ? body.data : "", body.len, msg, upb_MessageDef_MiniTable(m), NULL,
                   (int)UPB_DECODE_MAXDEPTH(DESCRIPTORS_MAX_DEPTH) | options, arena);
    if (status == kUpb_DecodeStatus_Ok)
        return msg;
    error_set(err, "%s: %s", upb_MessageDef_FullName(m), decode_problem(status));
    return NULL;
}

void *descriptors_decode(const struct upb_MessageDef *m, struct bytes body, struct upb_Arena *arena,
                         struct error *err)
{
    return decode(m, body, 0, arena, err);
}

void *descriptors_view(const struct upb_MessageDef *m, struct bytes body, struct upb_Arena *arena,
                       struct error *err)
{
    return decode(m, body, kUpb_DecodeOption_AliasString, arena, err);
}

bool descriptors_encode(const struct upb_MessageDef *m, const void *msg, struct upb_Arena *arena,
                        struct bytes *out, struct error *err)
{
    char *data = NULL;
    size_t len = 0;
    int options = kUpb_EncodeOption_Deterministic | UPB_ENCODE_MAXDEPTH(DESCRIPTORS_MAX_DEPTH);
    upb_EncodeStatus status =
        upb_Encode(msg, upb_MessageDef_MiniTable(m), options, arena, &data, &len);
    if (status != kUpb_EncodeStatus_Ok)
        return error_set(err, "%s: %s", upb_MessageDef_FullName(m),
                         status == kUpb_EncodeStatus_OutOfMemory ? "not enough memory"
                                                                 : "nested too deeply");
    *out = bytes_from(data, len);
    return true;
}
