/* SPDX-License-Identifier: BSD-2-Clause */

/* time_add: a time and a duration (reference 11.4). */

#include "core/base.h"
#include "query/pipe_type.h"

#include "query/parser.h"
#include "query/stage_map.h"
#include "query/text.h"

struct time_add_spec {
    int64_t ns;
    struct sv written;
    struct sv field;
};

/* "D [at a]" */
static int
time_add_parse(struct parser *p, struct pipe *pipe)
{
    struct time_add_spec *spec = pool_zalloc(p->pool, sizeof(*spec));
    struct word word;

    if (spec == NULL)
        return parse_no_memory(p);
    pipe->spec = spec;
    if (parse_word(p, &word, STOP_NAME, "a duration such as 1h") == -1)
        return -1;
    if (!duration_parse(word.text, &spec->ns))
        return parse_fail(p, word.pos,
            "expected a duration such as 1h, found '%s'",
            parse_show(word.text).text);
    spec->written = word.text;
    spec->field = SV("_time");
    if (parse_take(p, "at") && parse_name(p, &spec->field, STOP_NAME) == -1)
        return -1;
    pipe->keeps_time = !sv_eq(spec->field, SV("_time"));
    return parse_pipe_end(p, "'at' or '|'");
}

static void
time_add_print(struct sb *out, const struct pipe *pipe)
{
    const struct time_add_spec *spec = pipe->spec;

    sb_add_str(out, "time_add ");
    print_word(out, spec->written);
    if (!sv_eq(spec->field, SV("_time"))) {
        sb_add_str(out, " at ");
        print_word(out, spec->field);
    }
}

/* What is no time, or would be none then, stays. */
static int
map_time_add(const void *arg, const struct map_field *in,
    UNUSED uint32_t nin, struct map_out *out, struct err *err)
{
    const struct time_add_spec *spec = arg;
    char text[TIME_TEXT_MAX];
    int64_t ns;

    if (!time_parse_value(in[0].text, &ns) ||
        __builtin_add_overflow(ns, spec->ns, &ns))
        return map_set(out, spec->field, in[0].text, err);
    return map_set(out, spec->field,
        sv_make(text, time_print_short(text, ns)), err);
}

static struct mapper
time_add_mapper(const struct pipe *pipe)
{
    const struct time_add_spec *spec = pipe->spec;

    return (struct mapper){.sources = &spec->field,
        .nsources = 1, .targets = &spec->field, .ntargets = 1,
        .is_pure = true, .spec = spec, .map = map_time_add};
}

const struct pipe_ops pipe_time_add = {
    time_add_parse, time_add_print, map_needed, map_make, time_add_mapper
};
