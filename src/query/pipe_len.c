/* SPDX-License-Identifier: BSD-2-Clause */

/* len and hash: a number of the text of a field. */

#include "core/base.h"
#include "query/pipe_type.h"

#include "core/num.h"
#include "query/parser.h"
#include "query/stage_map.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Clients read the hash as a double, which is exact up to here. */
#define HASH_MASK ((UINT64_C(1) << 53) - 1)

struct number_spec {
    struct sv src;
    struct sv dst;
};

/* "(a) [[as] name]"; the parentheses may be left out. */
static int
number_parse_pipe(struct parser *p, struct pipe *pipe)
{
    struct number_spec *spec = pool_zalloc(p->pool, sizeof(*spec));
    bool has_parens = parse_take(p, "(");

    if (spec == NULL)
        return parse_no_memory(p);
    pipe->spec = spec;
    if (parse_name(p, &spec->src, STOP_NAME) == -1 ||
        (has_parens && parse_want(p, ")", "after the name") == -1) ||
        parse_as_name(p, &spec->dst) == -1)
        return -1;
    pipe->keeps_time = !sv_eq(spec->dst, SV("_time"));
    return parse_pipe_end(p, "'|' or the end");
}

static void
number_print_pipe(struct sb *out, const struct pipe *pipe)
{
    const struct number_spec *spec = pipe->spec;

    sb_add_str(out, pipe->type->name);
    sb_add_char(out, '(');
    print_word(out, spec->src);
    sb_add_char(out, ')');
    print_word_name(out, "as", spec->dst);
}

static int
put_number(const struct number_spec *spec, uint64_t n, struct map_out *out,
    struct err *err)
{
    char text[24];

    return map_set(out, spec->dst, sv_make(text, num_print_u64(text, n)),
        err);
}

static int
map_len(const void *spec, const struct map_field *in, UNUSED uint32_t nin,
    struct map_out *out, struct err *err)
{
    return put_number(spec, in[0].text.len, out, err);
}

static int
map_hash(const void *spec, const struct map_field *in, UNUSED uint32_t nin,
    struct map_out *out, struct err *err)
{
    uint64_t hash = XXH64(in[0].text.ptr, in[0].text.len, 0);

    return put_number(spec, hash & HASH_MASK, out, err);
}

static struct mapper
number_mapper(const struct pipe *pipe)
{
    const struct number_spec *spec = pipe->spec;

    return (struct mapper){.sources = &spec->src,
        .nsources = 1, .targets = &spec->dst, .ntargets = 1,
        .is_pure = true, .spec = spec,
        .map = pipe->type->ops == &pipe_len ? map_len : map_hash};
}

const struct pipe_ops pipe_len = {
    number_parse_pipe, number_print_pipe, map_needed, map_make, number_mapper
};
const struct pipe_ops pipe_hash = {
    number_parse_pipe, number_print_pipe, map_needed, map_make, number_mapper
};
