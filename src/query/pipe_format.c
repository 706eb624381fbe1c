/* SPDX-License-Identifier: BSD-2-Clause */

/* format: a text of literals and fields (reference 5.17, 7.4). */

#include "core/base.h"
#include "query/pipe_type.h"

#include "query/format_text.h"
#include "query/parser.h"
#include "query/pattern.h"
#include "query/stage_map.h"

struct format_spec {
    struct pattern pattern;
    struct sv dst;
    enum map_keep keep;
    struct sv *sources;  /* each once */
    uint32_t nsources;
    uint32_t *inputs;    /* per step: the source; UINT32_MAX: none */
    format_fn *fns;      /* per step; NULL: as it is */
};

/* --- parsing --- */

static uint32_t
source_of(struct format_spec *spec, struct sv name)
{
    uint32_t i = 0;

    while (i < spec->nsources && !sv_eq(spec->sources[i], name))
        i++;
    if (i == spec->nsources)
        spec->sources[spec->nsources++] = name;
    return i;
}

static int
take_steps(struct parser *p, struct format_spec *spec)
{
    uint32_t n = spec->pattern.n;

    spec->sources = pool_alloc(p->pool, (n + 1) * sizeof(*spec->sources));
    spec->inputs = pool_alloc(p->pool, (n + 1) * sizeof(*spec->inputs));
    spec->fns = pool_zalloc(p->pool, (n + 1) * sizeof(*spec->fns));
    if (spec->sources == NULL || spec->inputs == NULL || spec->fns == NULL)
        return parse_no_memory(p);
    for (uint32_t i = 0; i < n; i++) {
        const struct pattern_step *step = &spec->pattern.steps[i];

        spec->inputs[i] = UINT32_MAX;
        if (step->name.len == 0)
            continue;
        spec->inputs[i] = source_of(spec, step->name);
        spec->fns[i] = format_find(step->option);
    }
    return 0;
}

/* '[if (FILTER)] "text <a>" [as b] [keep_...|skip_...]' */
static int
format_parse(struct parser *p, struct pipe *pipe)
{
    struct format_spec *spec = pool_zalloc(p->pool, sizeof(*spec));

    if (spec == NULL)
        return parse_no_memory(p);
    pipe->spec = spec;
    if (parse_if(p, &pipe->filter) == -1 ||
        parse_placeholders(p, &spec->pattern) == -1 ||
        take_steps(p, spec) == -1 ||
        parse_word_name(p, "as", &spec->dst) == -1 ||
        parse_keep_mode(p, &spec->keep) == -1)
        return -1;
    pipe->keeps_time = !sv_eq(spec->dst, SV("_time"));
    return parse_pipe_end(p, "'as', 'keep_original_fields', "
        "'skip_empty_results' or '|'");
}

static void
format_print(struct sb *out, const struct pipe *pipe)
{
    const struct format_spec *spec = pipe->spec;

    sb_add_str(out, "format");
    print_if(out, pipe->filter);
    sb_add_char(out, ' ');
    print_quoted(out, spec->pattern.source);
    print_word_name(out, "as", spec->dst);
    print_keep_mode(out, spec->keep);
}

/* --- running --- */

static int
map_format(const void *arg, const struct map_field *in, UNUSED uint32_t nin,
    struct map_out *out, struct err *err)
{
    const struct format_spec *spec = arg;
    struct sb *text = map_text(out);

    /* Thousands of steps over megabytes would take long. */
    for (uint32_t i = 0; i < spec->pattern.n && !sb_failed(text); i++) {
        struct sv value;

        sb_add_sv(text, spec->pattern.steps[i].literal);
        if (spec->inputs[i] == UINT32_MAX)
            continue;
        value = in[spec->inputs[i]].text;
        if (spec->fns[i] == NULL || !spec->fns[i](text, value))
            sb_add_sv(text, value);
    }
    return map_set_text(out, spec->dst, err);
}

static struct mapper
format_mapper(const struct pipe *pipe)
{
    const struct format_spec *spec = pipe->spec;

    return (struct mapper){.keep = spec->keep, .sources = spec->sources,
        .nsources = spec->nsources, .targets = &spec->dst, .ntargets = 1,
        .is_pure = true, .spec = spec, .map = map_format};
}

const struct pipe_ops pipe_format = {
    format_parse, format_print, map_needed, map_make, format_mapper
};
