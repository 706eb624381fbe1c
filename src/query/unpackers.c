/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/unpackers.h"

#include "core/timefmt.h"
#include "query/parser.h"
#include "query/pipe_type.h"
#include "query/text.h"

/* --- fields of a text --- */

static bool
is_wanted(const struct unpacked *out, struct sv name)
{
    return out->nwanted == 0 ||
        field_patterns_have(out->wanted, out->nwanted, name);
}

int
unpacked_add(struct unpacked *out, struct sv name, struct sv text)
{
    if (out->n == UNPACK_FIELDS_MAX || !is_wanted(out, name))
        return 0;
    if (out->n == out->cap) {
        uint32_t cap = MAX(2 * out->cap, 32u);
        struct map_field *more = pool_alloc(out->pool, cap * sizeof(*more));

        if (more == NULL)
            return -1;
        if (out->n > 0)
            memcpy(more, out->fields, out->n * sizeof(*more));
        out->fields = more;
        out->cap = cap;
    }
    out->fields[out->n++] = (struct map_field){name, text};
    return 0;
}

static int
set_field(const struct unpack_spec *spec, const struct map_field *field,
    struct map_out *out, struct err *err)
{
    struct sv name = field->name;
    struct sb *sb;

    if (spec->prefix.len > 0) {
        sb = map_text(out);
        sb_add_sv(sb, spec->prefix);
        sb_add_sv(sb, name);
        if (sb_failed(sb))
            return err_set(err, ERR_LIMIT, "a field's name is too long");
        name = sb_sv(sb);
    }
    /* The name "" is that of _msg (reference 1.4). */
    return map_set(out, name.len == 0 ? SV("_msg") : name, field->text, err);
}

static int
map(const void *arg, const struct map_field *in, UNUSED uint32_t nin,
    struct map_out *out, struct err *err)
{
    const struct unpack_spec *spec = arg;
    struct unpacked found = {.wanted = spec->fields,
        .nwanted = spec->nfields};
    int result;

    if (in[0].text.len == 0)
        return 0;
    found.pool = pool_new(UNPACK_POOL_MAX);
    result = spec->unpack(&found, in[0].text, spec);
    if (result != 0)
        err_set(err, ERR_LIMIT, "query needs too much memory");
    for (uint32_t i = 0; i < found.n && result == 0; i++)
        result = set_field(spec, &found.fields[i], out, err);
    pool_free(found.pool);
    return result;
}

/* --- syntax --- */

int
unpack_parse_fields(struct parser *p, struct field_pattern **out, uint32_t *n)
{
    uint32_t cap = 0;

    *out = NULL;
    *n = 0;
    if (parse_want(p, "(", "after 'fields'") == -1)
        return -1;
    while (!parse_take(p, ")")) {
        *out = parse_grow(p, *out, *n, &cap, sizeof(**out));
        if (*out == NULL || parse_pattern(p, &(*out)[*n]) == -1)
            return -1;
        ++*n;
        if (!parse_take(p, ",") && !parse_at(p, ")"))
            return parse_unexpected(p, "',' or ')'");
    }
    return 0;
}

void
unpack_print_fields(struct sb *out, const struct field_pattern *fields,
    uint32_t n)
{
    if (n == 0)
        return;
    sb_add_str(out, " fields (");
    print_patterns(out, fields, n);
    sb_add_char(out, ')');
}

static bool
is_syslog(const struct unpack_spec *spec)
{
    return spec->unpack == unpack_syslog;
}

static bool
at_option(const struct parser *p, const struct unpack_spec *spec)
{
    return parse_at(p, "result_prefix") ||
        parse_at(p, "keep_original_fields") ||
        parse_at(p, is_syslog(spec) ? "offset" : "fields") ||
        (!is_syslog(spec) && parse_at(p, "skip_empty_results"));
}

static int
parse_zone(struct parser *p, struct unpack_spec *spec)
{
    struct word word;

    if (parse_word(p, &word, STOP_NAME, "a duration after 'offset'") == -1)
        return -1;
    if (!duration_parse(word.text, &spec->offset_ns))
        return parse_fail(p, word.pos,
            "expected a duration after 'offset', found '%s'",
            parse_show(word.text).text);
    spec->offset_text = word.text;
    return 0;
}

static int
parse_option(struct parser *p, struct unpack_spec *spec)
{
    if (!at_option(p, spec))
        return parse_unexpected(p, is_syslog(spec) ?
            "'offset', 'result_prefix', 'keep_original_fields' or '|'" :
            "'fields', 'result_prefix', 'keep_original_fields', "
            "'skip_empty_results' or '|'");
    if (parse_take(p, "fields"))
        return unpack_parse_fields(p, &spec->fields, &spec->nfields);
    if (parse_take(p, "offset"))
        return parse_zone(p, spec);
    if (parse_take(p, "result_prefix"))
        return parse_text(p, &spec->prefix, "a prefix of names");
    return parse_keep_mode(p, &spec->keep);
}

/* The names of all rows' targets. */
static int
list_targets(struct parser *p, struct unpack_spec *spec)
{
    spec->is_open = spec->nfields == 0;
    spec->targets = pool_zalloc(p->pool,
        spec->nfields * sizeof(*spec->targets) + 1);
    if (spec->targets == NULL)
        return parse_no_memory(p);
    for (uint32_t i = 0; i < spec->nfields; i++) {
        struct sv name = spec->fields[i].name;
        char *ptr;

        if (spec->fields[i].is_prefix) {
            spec->is_open = true;
            continue;
        }
        ptr = pool_alloc(p->pool, spec->prefix.len + name.len + 1);
        if (ptr == NULL)
            return parse_no_memory(p);
        memcpy(ptr, spec->prefix.ptr, spec->prefix.len);
        memcpy(ptr + spec->prefix.len, name.ptr, name.len);
        spec->targets[spec->ntargets++] =
            sv_make(ptr, spec->prefix.len + name.len);
    }
    return 0;
}

static int
parse_options(struct parser *p, struct pipe *pipe, struct unpack_spec *spec)
{
    bool has_from;

    spec->prefix = spec->offset_text = SV_EMPTY;
    spec->from = SV("_msg");
    spec->now_ns = clock_wall_ns();
    if (parse_if(p, &pipe->filter) == -1)
        return -1;
    has_from = parse_take(p, "from");
    if ((has_from || (!at_option(p, spec) && !parse_at_end(p))) &&
        parse_name(p, &spec->from, STOP_NAME) == -1)
        return -1;
    while (!parse_at_end(p)) {
        if (parse_option(p, spec) == -1)
            return -1;
    }
    return list_targets(p, spec);
}

/* Nothing that is set can be _time. */
static bool
keeps_time(const struct unpack_spec *spec)
{
    for (uint32_t i = 0; i < spec->ntargets; i++) {
        if (sv_eq(spec->targets[i], SV("_time")))
            return false;
    }
    return !spec->is_open || (spec->prefix.len > 0 &&
        !sv_starts_with(SV("_time"), spec->prefix));
}

int
unpack_parse(struct parser *p, struct pipe *pipe, unpack_fn unpack)
{
    struct unpack_spec *spec = pool_zalloc(p->pool, sizeof(*spec));

    if (spec == NULL)
        return parse_no_memory(p);
    pipe->spec = spec;
    spec->unpack = unpack;
    if (parse_options(p, pipe, spec) == -1)
        return -1;
    pipe->keeps_time = keeps_time(spec);
    return 0;
}

void
unpack_print(struct sb *out, const struct pipe *pipe)
{
    const struct unpack_spec *spec = pipe->spec;

    sb_add_str(out, pipe->type->name);
    print_if(out, pipe->filter);
    print_word_name(out, "from", spec->from);
    unpack_print_fields(out, spec->fields, spec->nfields);
    if (spec->offset_text.len > 0) {
        sb_add_str(out, " offset ");
        print_word(out, spec->offset_text);
    }
    if (spec->prefix.len > 0) {
        sb_add_str(out, " result_prefix ");
        print_word(out, spec->prefix);
    }
    print_keep_mode(out, spec->keep);
}

/* --- the stage --- */

struct mapper
unpack_mapper(const struct pipe *pipe)
{
    const struct unpack_spec *spec = pipe->spec;

    return (struct mapper){
        .keep = spec->keep,
        .sources = &spec->from,
        .nsources = 1,
        .targets = spec->targets,
        .ntargets = spec->ntargets,
        .is_open = spec->is_open,
        .is_pure = true,
        .spec = spec,
        .map = map,
    };
}
