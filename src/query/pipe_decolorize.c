/* SPDX-License-Identifier: BSD-2-Clause */

/* decolorize: a text without ANSI escape sequences (reference 5.5). */

#include "core/base.h"
#include "query/pipe_type.h"

#include "query/parser.h"
#include "query/stage_map.h"

#define ESCAPE '\x1b'

struct decolorize_spec {
    struct sv field;
};

/* "[a]" */
static int
decolorize_parse(struct parser *p, struct pipe *pipe)
{
    struct decolorize_spec *spec = pool_zalloc(p->pool, sizeof(*spec));

    if (spec == NULL)
        return parse_no_memory(p);
    pipe->spec = spec;
    spec->field = SV("_msg");
    if (!parse_at_end(p) && parse_name(p, &spec->field, STOP_NAME) == -1)
        return -1;
    pipe->keeps_time = !sv_eq(spec->field, SV("_time"));
    return parse_pipe_end(p, "'|' or the end");
}

static void
decolorize_print(struct sb *out, const struct pipe *pipe)
{
    const struct decolorize_spec *spec = pipe->spec;

    sb_add_str(out, "decolorize ");
    print_word(out, spec->field);
}

static bool
is_between(char c, char least, char most)
{
    return c >= least && c <= most;
}

/*
 * The sequence that text begins with, which is at least the escape: "ESC [",
 * parameters, intermediates and a final byte (ECMA-48 5.4), or "ESC",
 * intermediates and a final byte.  What does not end so stays, but for the
 * escape.
 */
static size_t
sequence_len(struct sv text)
{
    size_t at = 1;

    if (at < text.len && text.ptr[at] == '[') {
        at++;
        while (at < text.len && is_between(text.ptr[at], '0', '?'))
            at++;
        while (at < text.len && is_between(text.ptr[at], ' ', '/'))
            at++;
        return at < text.len && is_between(text.ptr[at], '@', '~') ? at + 1
            : 1;
    }
    while (at < text.len && is_between(text.ptr[at], ' ', '/'))
        at++;
    return at < text.len && is_between(text.ptr[at], '0', '~') ? at + 1 : 1;
}

static int
map_decolorize(const void *arg, const struct map_field *in,
    UNUSED uint32_t nin, struct map_out *out, struct err *err)
{
    const struct decolorize_spec *spec = arg;
    struct sv rest = in[0].text;
    struct sb *text;

    if (sv_find_byte(rest, ESCAPE) == rest.len)
        return map_set(out, spec->field, rest, err);
    text = map_text(out);
    while (rest.len > 0) {
        size_t len = sv_find_byte(rest, ESCAPE);

        sb_add(text, rest.ptr, len);
        rest = sv_sub(rest, len, SIZE_MAX);
        if (rest.len > 0)
            rest = sv_sub(rest, sequence_len(rest), SIZE_MAX);
    }
    return map_set_text(out, spec->field, err);
}

static struct mapper
decolorize_mapper(const struct pipe *pipe)
{
    const struct decolorize_spec *spec = pipe->spec;

    return (struct mapper){.sources = &spec->field,
        .nsources = 1, .targets = &spec->field, .ntargets = 1,
        .is_pure = true, .spec = spec, .map = map_decolorize};
}

const struct pipe_ops pipe_decolorize = {
    decolorize_parse, decolorize_print, map_needed, map_make, decolorize_mapper
};
