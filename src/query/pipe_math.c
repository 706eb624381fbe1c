/* SPDX-License-Identifier: BSD-2-Clause */

/* math EXPR [as] NAME, ...: numbers of the fields of a row. */

#include "core/base.h"
#include "query/pipe_type.h"

#include <math.h>

#include "core/num.h"
#include "query/math.h"
#include "query/stage_map.h"
#include "query/text.h"

static int
parse(struct parser *p, struct pipe *pipe)
{
    struct math_spec *spec = pool_zalloc(p->pool, sizeof(*spec));

    if (spec == NULL)
        return parse_no_memory(p);
    pipe->spec = spec;
    pipe->keeps_time = true;
    if (math_parse(p, spec) == -1)
        return -1;
    for (uint32_t i = 0; i < spec->ntargets; i++)
        pipe->keeps_time &= !sv_eq(spec->targets[i], SV("_time"));
    return parse_pipe_end(p, "an operator, ',', '|' or the end");
}

static void
print(struct sb *out, const struct pipe *pipe)
{
    const struct math_spec *spec = pipe->spec;

    sb_add_str(out, "math ");
    for (uint32_t i = 0; i < spec->nexprs; i++) {
        if (i > 0)
            sb_add_str(out, ", ");
        math_print(out, &spec->exprs[i]);
        sb_add_str(out, " as ");
        print_word(out, spec->exprs[i].result);
    }
}

static int
map(const void *arg, const struct map_field *in, uint32_t nin,
    struct map_out *out, struct err *err)
{
    const struct math_spec *spec = arg;
    double slots[MATH_FIELDS_MAX];

    for (uint32_t i = 0; i < nin; i++) {
        double *slot = &slots[spec->source_slots[i]];

        if (!operand_parse(in[i].text, slot))
            *slot = NAN;
    }
    for (uint32_t i = 0; i < spec->nexprs; i++)
        slots[spec->exprs[i].slot] = math_eval(&spec->exprs[i], slots);
    for (uint32_t i = 0; i < spec->ntargets; i++) {
        char text[NUM_DOUBLE_MAX];
        size_t len = num_print_double(text, slots[spec->target_slots[i]]);

        if (map_set(out, spec->targets[i], sv_make(text, len), err) != 0)
            return -1;
    }
    return 0;
}

static struct mapper
mapper_of(const struct pipe *pipe)
{
    const struct math_spec *spec = pipe->spec;

    return (struct mapper){
        .sources = spec->sources,
        .nsources = spec->nsources,
        .targets = spec->targets,
        .ntargets = spec->ntargets,
        .is_pure = spec->is_pure,
        .spec = spec,
        .map = map,
    };
}

const struct pipe_ops pipe_math = {
    parse, print, map_needed, map_make, mapper_of
};
