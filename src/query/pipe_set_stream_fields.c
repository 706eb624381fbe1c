/* SPDX-License-Identifier: BSD-2-Clause */

/* set_stream_fields: _stream of other fields (reference 11.4). */

#include "core/base.h"
#include "query/pipe_type.h"

#include "query/parser.h"
#include "query/stage_map.h"
#include "span/flat.h"

/* A stream of more labels is no use to anybody. */
#define STREAM_FIELDS_MAX 64u

struct stream_spec {
    struct sv target;
    uint32_t n;
    struct sv names[STREAM_FIELDS_MAX]; /* ascending, each once */
};

/* In its place, if it is not there yet. */
static void
insert_name(struct stream_spec *spec, struct sv name)
{
    uint32_t at = spec->n;

    while (at > 0 && sv_cmp(spec->names[at - 1], name) > 0)
        at--;
    if (at > 0 && sv_eq(spec->names[at - 1], name))
        return;
    memmove(&spec->names[at + 1], &spec->names[at],
        (spec->n - at) * sizeof(name));
    spec->names[at] = name;
    spec->n++;
}

static int
take_names(struct parser *p, struct stream_spec *spec)
{
    bool has_parens = parse_take(p, "(");

    do {
        struct sv name;

        if (spec->n == STREAM_FIELDS_MAX)
            return parse_fail(p, lexer_pos(&p->lex),
                "a stream has at most %u fields", STREAM_FIELDS_MAX);
        if (parse_name(p, &name, STOP_NAME) == -1)
            return -1;
        insert_name(spec, name);
    } while (parse_take(p, ","));
    return has_parens ? parse_want(p, ")", "after the names") : 0;
}

/* "[if (FILTER)] a, b" */
static int
stream_parse(struct parser *p, struct pipe *pipe)
{
    struct stream_spec *spec = pool_zalloc(p->pool, sizeof(*spec));

    if (spec == NULL)
        return parse_no_memory(p);
    pipe->spec = spec;
    spec->target = SV("_stream");
    if (parse_if(p, &pipe->filter) == -1 || take_names(p, spec) == -1)
        return -1;
    pipe->keeps_time = true;
    return parse_pipe_end(p, "',' or '|'");
}

static void
stream_print(struct sb *out, const struct pipe *pipe)
{
    const struct stream_spec *spec = pipe->spec;

    sb_add_str(out, "set_stream_fields");
    print_if(out, pipe->filter);
    /* A name may be "if". */
    sb_add_str(out, " (");
    for (uint32_t i = 0; i < spec->n; i++) {
        sb_add_str(out, i > 0 ? ", " : "");
        print_word(out, spec->names[i]);
    }
    sb_add_char(out, ')');
}

static int
map_stream(const void *arg, const struct map_field *in, uint32_t nin,
    struct map_out *out, struct err *err)
{
    const struct stream_spec *spec = arg;
    struct flat_label labels[STREAM_FIELDS_MAX];

    for (uint32_t i = 0; i < nin; i++)
        labels[i] = (struct flat_label){in[i].name, in[i].text};
    flat_labels(map_text(out), labels, nin);
    return map_set_text(out, spec->target, err);
}

static struct mapper
stream_mapper(const struct pipe *pipe)
{
    const struct stream_spec *spec = pipe->spec;

    return (struct mapper){.sources = spec->names, .nsources = spec->n,
        .targets = &spec->target, .ntargets = 1, .is_pure = true,
        .spec = spec, .map = map_stream};
}

const struct pipe_ops pipe_set_stream_fields = {
    stream_parse, stream_print, map_needed, map_make, stream_mapper
};
