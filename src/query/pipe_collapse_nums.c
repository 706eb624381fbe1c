/* SPDX-License-Identifier: BSD-2-Clause */

/* collapse_nums: "<N>" for numbers (reference 5.3, 7.6). */

#include "core/base.h"
#include "query/pipe_type.h"

#include "query/collapse.h"
#include "query/parser.h"
#include "query/stage_map.h"

struct collapse_spec {
    struct sv field;
    bool is_pretty;
};

/* "[if (FILTER)] [at a] [prettify]" */
static int
collapse_parse(struct parser *p, struct pipe *pipe)
{
    struct collapse_spec *spec = pool_zalloc(p->pool, sizeof(*spec));

    if (spec == NULL)
        return parse_no_memory(p);
    pipe->spec = spec;
    if (parse_if(p, &pipe->filter) == -1 ||
        parse_word_name(p, "at", &spec->field) == -1)
        return -1;
    spec->is_pretty = parse_take(p, "prettify");
    pipe->keeps_time = !sv_eq(spec->field, SV("_time"));
    return parse_pipe_end(p, "'at', 'prettify' or '|'");
}

static void
collapse_print(struct sb *out, const struct pipe *pipe)
{
    const struct collapse_spec *spec = pipe->spec;

    sb_add_str(out, "collapse_nums");
    print_if(out, pipe->filter);
    print_word_name(out, "at", spec->field);
    if (spec->is_pretty)
        sb_add_str(out, " prettify");
}

static int
map_collapse(const void *arg, const struct map_field *in, UNUSED uint32_t nin,
    struct map_out *out, struct err *err)
{
    const struct collapse_spec *spec = arg;
    struct sb *text = map_text(out);

    collapse_numbers(text, in[0].text);
    if (spec->is_pretty)
        collapse_groups(text);
    return map_set_text(out, spec->field, err);
}

static struct mapper
collapse_mapper(const struct pipe *pipe)
{
    const struct collapse_spec *spec = pipe->spec;

    return (struct mapper){.sources = &spec->field, .nsources = 1, .targets = &spec->field,
        .ntargets = 1, .is_pure = true, .spec = spec, .map = map_collapse};
}

const struct pipe_ops pipe_collapse_nums = {
    collapse_parse, collapse_print, map_needed, map_make, collapse_mapper
};
