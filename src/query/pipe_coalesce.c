/* SPDX-License-Identifier: BSD-2-Clause */

/* coalesce: the first field that is not empty (reference 11.4). */

#include "core/base.h"
#include "query/pipe_type.h"

#include "query/parser.h"
#include "query/stage_map.h"

struct coalesce_spec {
    struct field_pattern *patterns;
    uint32_t npatterns;
    struct sv other; /* when all of them are empty */
    struct sv dst;
};

static int
take_patterns(struct parser *p, struct coalesce_spec *spec)
{
    uint32_t cap = 0;

    if (parse_want(p, "(", "after 'coalesce'") == -1)
        return -1;
    do {
        spec->patterns = parse_grow(p, spec->patterns, spec->npatterns, &cap,
            sizeof(*spec->patterns));
        if (spec->patterns == NULL ||
            parse_pattern(p, &spec->patterns[spec->npatterns]) == -1)
            return -1;
        spec->npatterns++;
    } while (parse_take(p, ","));
    return parse_want(p, ")", "after the names");
}

/* '(a, b, c*) [default "v"] [[as] d]' */
static int
coalesce_parse(struct parser *p, struct pipe *pipe)
{
    struct coalesce_spec *spec = pool_zalloc(p->pool, sizeof(*spec));

    if (spec == NULL)
        return parse_no_memory(p);
    pipe->spec = spec;
    spec->other = SV_EMPTY;
    if (take_patterns(p, spec) == -1 || (parse_take(p, "default") &&
        parse_text(p, &spec->other, "a text after 'default'") == -1) ||
        parse_as_name(p, &spec->dst) == -1)
        return -1;
    pipe->keeps_time = !sv_eq(spec->dst, SV("_time"));
    return parse_pipe_end(p, "'default', 'as' or '|'");
}

static void
coalesce_print(struct sb *out, const struct pipe *pipe)
{
    const struct coalesce_spec *spec = pipe->spec;

    sb_add_str(out, "coalesce(");
    print_patterns(out, spec->patterns, spec->npatterns);
    sb_add_char(out, ')');
    if (spec->other.len > 0) {
        sb_add_str(out, " default ");
        print_quoted(out, spec->other);
    }
    print_word_name(out, "as", spec->dst);
}

/* Of the fields of a prefix the one with the least name. */
static const struct map_field *
first_filled(const struct field_pattern *pattern, const struct map_field *in,
    uint32_t nin)
{
    const struct map_field *best = NULL;

    for (uint32_t i = 0; i < nin; i++) {
        bool matches = pattern->is_prefix
            ? sv_starts_with(in[i].name, pattern->name)
            : sv_eq(in[i].name, pattern->name);

        if (matches && in[i].text.len > 0 &&
            (best == NULL || sv_cmp(in[i].name, best->name) < 0))
            best = &in[i];
    }
    return best;
}

static int
map_coalesce(const void *arg, const struct map_field *in, uint32_t nin,
    struct map_out *out, struct err *err)
{
    const struct coalesce_spec *spec = arg;
    const struct map_field *found = NULL;

    for (uint32_t i = 0; i < spec->npatterns && found == NULL; i++)
        found = first_filled(&spec->patterns[i], in, nin);
    return map_set(out, spec->dst, found != NULL ? found->text : spec->other,
        err);
}

static struct mapper
coalesce_mapper(const struct pipe *pipe)
{
    const struct coalesce_spec *spec = pipe->spec;

    return (struct mapper){.patterns = spec->patterns,
        .npatterns = spec->npatterns, .targets = &spec->dst, .ntargets = 1,
        .is_pure = true, .spec = spec, .map = map_coalesce};
}

const struct pipe_ops pipe_coalesce = {
    coalesce_parse, coalesce_print, map_needed, map_make, coalesce_mapper
};
