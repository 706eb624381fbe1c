/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * pack_json, pack_logfmt: fields of a row as one text.  JSON leaves empty
 * fields out.  logfmt has "key=" for an empty field that is listed, or that
 * a pipe before made a field of all rows; it depends on no other row of the
 * block.
 */

#include "core/base.h"
#include "query/pipe_type.h"

#include "core/json_out.h"
#include "query/parser.h"
#include "query/stage_map.h"
#include "query/unpackers.h"

struct pack_spec {
    struct field_pattern *fields;
    uint32_t nfields; /* 0: all */
    struct sv dst;
    bool is_closed;   /* all rows have the same fields, maybe empty */
};

/* "fields a, b" or stats stands before. */
static bool
is_closed(const struct query *query)
{
    if (query == NULL)
        return false;
    for (const struct pipe *pipe = query->pipes; pipe != NULL;
        pipe = pipe->next) {
        bool has_star = false;

        for (uint32_t i = 0; i < pipe->nnames; i++)
            has_star |= pipe->names[i].is_prefix;
        if (pipe->kind == PIPE_STATS || pipe->kind == PIPE_UNIQ ||
            (pipe->kind == PIPE_FIELDS && !has_star))
            return true;
    }
    return false;
}

static int
parse(struct parser *p, struct pipe *pipe)
{
    struct pack_spec *spec = pool_zalloc(p->pool, sizeof(*spec));

    if (spec == NULL)
        return parse_no_memory(p);
    pipe->spec = spec;
    if (parse_take(p, "fields") &&
        unpack_parse_fields(p, &spec->fields, &spec->nfields) == -1)
        return -1;
    if (parse_as_name(p, &spec->dst) == -1)
        return -1;
    spec->is_closed = is_closed(p->query);
    pipe->keeps_time = !sv_eq(spec->dst, SV("_time"));
    return parse_pipe_end(p, "'|' or the end");
}

static void
print(struct sb *out, const struct pipe *pipe)
{
    const struct pack_spec *spec = pipe->spec;

    sb_add_str(out, pipe->type->name);
    unpack_print_fields(out, spec->fields, spec->nfields);
    print_word_name(out, "as", spec->dst);
}

static int
map_json(const void *arg, const struct map_field *in, uint32_t nin,
    struct map_out *out, struct err *err)
{
    const struct pack_spec *spec = arg;
    struct json_out json;

    json_out_init(&json, map_text(out));
    json_object(&json);
    for (uint32_t i = 0; i < nin; i++) {
        if (in[i].text.len == 0)
            continue;
        json_key_sv(&json, in[i].name);
        json_string(&json, in[i].text);
    }
    json_object_end(&json);
    return map_set_text(out, spec->dst, err);
}

/* --- logfmt --- */

static bool
needs_quotes(struct sv text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c <= ' ' || c == '"' || c == '\\')
            return true;
    }
    return false;
}

/* What stands for a byte that is escaped besides those of JSON, or NULL. */
static const char *
special_of(char c)
{
    return c == '\'' ? "\\u0027" : c == '<' ? "\\u003c" : NULL;
}

#define SPECIAL_LEN ((size_t)6)

/* In place, from the end on: no text is in the way twice. */
static void
escape_specials(struct sb *sb, size_t from)
{
    size_t src = sb->len, dst;

    for (size_t i = from; i < src; i++) {
        if (special_of(sb->ptr[i]) != NULL)
            sb_add(sb, "     ", SPECIAL_LEN - 1);
    }
    if (sb_failed(sb))
        return;
    dst = sb->len;
    while (src > from && src < dst) {
        const char *special = special_of(sb->ptr[--src]);

        if (special == NULL) {
            sb->ptr[--dst] = sb->ptr[src];
            continue;
        }
        dst -= SPECIAL_LEN;
        memcpy(sb->ptr + dst, special, SPECIAL_LEN);
    }
}

/* A JSON string, in which ' and < are escaped, too (reference 7.8). */
static void
add_quoted(struct sb *sb, struct sv text)
{
    size_t from = sb->len;
    struct json_out json;

    json_out_init(&json, sb);
    json_string(&json, text);
    escape_specials(sb, from);
}

static bool
is_listed(const struct pack_spec *spec, struct sv name)
{
    for (uint32_t i = 0; i < spec->nfields; i++) {
        if (!spec->fields[i].is_prefix && sv_eq(spec->fields[i].name, name))
            return true;
    }
    return false;
}

static int
map_logfmt(const void *arg, const struct map_field *in, uint32_t nin,
    struct map_out *out, struct err *err)
{
    const struct pack_spec *spec = arg;
    struct sb *sb = map_text(out);

    for (uint32_t i = 0; i < nin; i++) {
        struct sv text = in[i].text;

        if (text.len == 0 && !spec->is_closed &&
            !is_listed(spec, in[i].name))
            continue;
        if (sb->len > 0)
            sb_add_char(sb, ' ');
        sb_add_sv(sb, in[i].name);
        sb_add_char(sb, '=');
        if (needs_quotes(text))
            add_quoted(sb, text);
        else
            sb_add_sv(sb, text);
    }
    return map_set_text(out, spec->dst, err);
}

/* --- the stage --- */

static struct mapper
mapper_of(const struct pipe *pipe)
{
    static const struct field_pattern all = {{"", 0}, true};
    const struct pack_spec *spec = pipe->spec;

    return (struct mapper){
        .patterns = spec->nfields > 0 ? spec->fields : &all,
        .npatterns = MAX(spec->nfields, 1u),
        .targets = &spec->dst,
        .ntargets = 1,
        .is_pure = true,
        .spec = spec,
        .map = pipe->type->ops == &pipe_pack_json ? map_json : map_logfmt,
    };
}

const struct pipe_ops pipe_pack_json = {
    parse, print, map_needed, map_make, mapper_of
};
const struct pipe_ops pipe_pack_logfmt = {
    parse, print, map_needed, map_make, mapper_of
};
