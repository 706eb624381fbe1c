/* SPDX-License-Identifier: BSD-2-Clause */

/* extract: parts of a text between literals (reference 5.8, 7.3). */

#include "core/base.h"
#include "query/pipe_type.h"

#include "query/parser.h"
#include "query/pattern.h"
#include "query/stage_map.h"

struct extract_spec {
    struct pattern pattern;
    struct sv src;
    enum map_keep keep;
    struct sv *targets;
    uint32_t ntargets;
};

/* --- parsing --- */

static int
check_steps(struct parser *p, struct extract_spec *spec, uint32_t pos)
{
    const struct pattern *pattern = &spec->pattern;

    spec->targets = pool_alloc(p->pool,
        (pattern->n + 1) * sizeof(*spec->targets));
    if (spec->targets == NULL)
        return parse_no_memory(p);
    for (uint32_t i = 0; i < pattern->n; i++) {
        const struct pattern_step *step = &pattern->steps[i];

        if (i > 0 && step->literal.len == 0)
            return parse_fail(p, pos,
                "a text is needed between two <names> of a pattern");
        if (step->name.len > 0)
            spec->targets[spec->ntargets++] = step->name;
    }
    if (spec->ntargets == 0)
        return parse_fail(p, pos, "a pattern needs a <name>");
    return 0;
}

/* '[if (FILTER)] "pattern" [from a] [keep_...|skip_...]' */
static int
extract_parse(struct parser *p, struct pipe *pipe)
{
    struct extract_spec *spec = pool_zalloc(p->pool, sizeof(*spec));
    uint32_t pos;

    if (spec == NULL)
        return parse_no_memory(p);
    pipe->spec = spec;
    if (parse_if(p, &pipe->filter) == -1)
        return -1;
    pos = lexer_pos(&p->lex);
    if (parse_placeholders(p, &spec->pattern) == -1 ||
        check_steps(p, spec, pos) == -1 ||
        parse_word_name(p, "from", &spec->src) == -1 ||
        parse_keep_mode(p, &spec->keep) == -1)
        return -1;
    return parse_targets_end(p, pipe, spec->targets, spec->ntargets);
}

static void
extract_print(struct sb *out, const struct pipe *pipe)
{
    const struct extract_spec *spec = pipe->spec;

    sb_add_str(out, "extract");
    print_if(out, pipe->filter);
    sb_add_char(out, ' ');
    print_quoted(out, spec->pattern.source);
    print_word_name(out, "from", spec->src);
    print_keep_mode(out, spec->keep);
}

/* --- running --- */

/* What a step captured so far as it did; *rest is what is behind. */
static bool
capture(const struct pattern_step *step, struct sv next, struct sv *rest,
    struct sv *out, struct pool *pool)
{
    size_t len = sv_eq(step->option, SV("plain")) ? 0
        : pattern_quoted(*rest, out, pool);
    const char *found;

    if (len > 0) {
        *rest = sv_sub(*rest, len, SIZE_MAX);
        if (!sv_starts_with(*rest, next))
            return false;
        *rest = sv_sub(*rest, next.len, SIZE_MAX);
        return true;
    }
    if (next.len == 0) {
        *out = *rest;
        *rest = SV_EMPTY;
        return true;
    }
    found = memmem(rest->ptr, rest->len, next.ptr, next.len);
    if (found == NULL)
        return false;
    *out = sv_make(rest->ptr, (size_t)(found - rest->ptr));
    *rest = sv_sub(*rest, out->len + next.len, SIZE_MAX);
    return true;
}

static int
map_extract(const void *arg, const struct map_field *in, UNUSED uint32_t nin,
    struct map_out *out, struct err *err)
{
    const struct extract_spec *spec = arg;
    const struct pattern_step *steps = spec->pattern.steps;
    struct sv rest = in[0].text;
    const char *found = memmem(rest.ptr, rest.len, steps[0].literal.ptr,
        steps[0].literal.len);
    bool is_on = found != NULL;

    if (is_on)
        rest = sv_sub(rest, (size_t)(found - rest.ptr) +
            steps[0].literal.len, SIZE_MAX);
    for (uint32_t i = 0; i < spec->pattern.n; i++) {
        struct sv next = i + 1 < spec->pattern.n ? steps[i + 1].literal
            : SV_EMPTY;
        struct sv text = SV_EMPTY;

        if (!steps[i].has_field)
            break;
        if (is_on)
            is_on = capture(&steps[i], next, &rest, &text, map_pool(out));
        if (steps[i].name.len > 0 &&
            map_set(out, steps[i].name, text, err) != 0)
            return -1;
    }
    return 0;
}

static struct mapper
extract_mapper(const struct pipe *pipe)
{
    const struct extract_spec *spec = pipe->spec;

    return (struct mapper){.keep = spec->keep, .sources = &spec->src, .nsources = 1,
        .targets = spec->targets, .ntargets = spec->ntargets,
        .is_pure = true, .spec = spec, .map = map_extract};
}

const struct pipe_ops pipe_extract = {
    extract_parse, extract_print, map_needed, map_make, extract_mapper
};
