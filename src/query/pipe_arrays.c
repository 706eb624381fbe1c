/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * json_array_len, json_array_concat, split, unpack_words: a field of another
 * field, one of which is a JSON array.
 */

#include "core/base.h"
#include "query/pipe_type.h"

#include "core/num.h"
#include "query/arrays.h"
#include "query/parser.h"
#include "query/stage_map.h"

/* Decoded items of one text. */
#define ARRAY_POOL_MAX (128 * MIB)
/* The table of words of a shorter text is not worth counting. */
#define WORDS_FREE (4 * KIB)

struct array_spec {
    struct sv src;
    struct sv dst;
    struct sv separator;
    bool is_uniq;
};

/* --- syntax --- */

static int
parse_end(struct parser *p, struct pipe *pipe)
{
    const struct array_spec *spec = pipe->spec;

    pipe->keeps_time = !sv_eq(spec->dst, SV("_time"));
    return parse_pipe_end(p, "'|' or the end");
}

static struct array_spec *
spec_new(struct parser *p, struct pipe *pipe)
{
    struct array_spec *spec = pool_zalloc(p->pool, sizeof(*spec));

    if (spec == NULL) {
        parse_no_memory(p);
        return NULL;
    }
    spec->separator = SV_EMPTY;
    pipe->spec = spec;
    return spec;
}

/* "(a) [[as] name]"; the parentheses may be left out. */
static int
parse_len(struct parser *p, struct pipe *pipe)
{
    struct array_spec *spec = spec_new(p, pipe);
    bool has_parens = parse_take(p, "(");

    if (spec == NULL || parse_name(p, &spec->src, STOP_NAME) == -1 ||
        (has_parens && parse_want(p, ")", "after the name") == -1) ||
        parse_as_name(p, &spec->dst) == -1)
        return -1;
    return parse_end(p, pipe);
}

static void
print_len(struct sb *out, const struct pipe *pipe)
{
    const struct array_spec *spec = pipe->spec;

    sb_add_str(out, "json_array_len(");
    print_word(out, spec->src);
    sb_add_char(out, ')');
    print_word_name(out, "as", spec->dst);
}

/* "[from a] [as b]": _msg, and the same again. */
static int
parse_names(struct parser *p, struct array_spec *spec)
{
    if (parse_word_name(p, "from", &spec->src) == -1)
        return -1;
    spec->dst = spec->src;
    return parse_take(p, "as") ? parse_name(p, &spec->dst, STOP_NAME) : 0;
}

static void
print_names(struct sb *out, const struct array_spec *spec)
{
    print_word_name(out, "from", spec->src);
    if (sv_eq(spec->src, spec->dst))
        return;
    sb_add_str(out, " as ");
    print_word(out, spec->dst);
}

static int
parse_concat(struct parser *p, struct pipe *pipe)
{
    struct array_spec *spec = spec_new(p, pipe);

    if (spec == NULL)
        return -1;
    if (!parse_at_end(p) && !parse_at(p, "from") && !parse_at(p, "as") &&
        parse_text(p, &spec->separator, "a separator") == -1)
        return -1;
    if (parse_names(p, spec) == -1)
        return -1;
    return parse_end(p, pipe);
}

static int
parse_split(struct parser *p, struct pipe *pipe)
{
    struct array_spec *spec = spec_new(p, pipe);

    if (spec == NULL ||
        parse_text(p, &spec->separator, "a separator") == -1 ||
        parse_names(p, spec) == -1)
        return -1;
    return parse_end(p, pipe);
}

static void
print_separated(struct sb *out, const struct pipe *pipe)
{
    const struct array_spec *spec = pipe->spec;

    sb_add_str(out, pipe->type->name);
    if (spec->separator.len > 0 || pipe->type->ops == &pipe_split) {
        sb_add_char(out, ' ');
        print_quoted(out, spec->separator);
    }
    print_names(out, spec);
}

/* "[[from] a] [as b] [drop_duplicates]" */
static int
parse_words(struct parser *p, struct pipe *pipe)
{
    struct array_spec *spec = spec_new(p, pipe);

    if (spec == NULL)
        return -1;
    if (!parse_at(p, "from") && !parse_at(p, "as") && !parse_at_end(p) &&
        !parse_at(p, "drop_duplicates")) {
        if (parse_name(p, &spec->src, STOP_NAME) == -1)
            return -1;
        spec->dst = spec->src;
        if (parse_take(p, "as") &&
            parse_name(p, &spec->dst, STOP_NAME) == -1)
            return -1;
    } else if (parse_names(p, spec) == -1) {
        return -1;
    }
    spec->is_uniq = parse_take(p, "drop_duplicates");
    return parse_end(p, pipe);
}

static void
print_words(struct sb *out, const struct pipe *pipe)
{
    const struct array_spec *spec = pipe->spec;

    sb_add_str(out, "unpack_words");
    print_names(out, spec);
    if (spec->is_uniq)
        sb_add_str(out, " drop_duplicates");
}

/* --- what they do --- */

static int
map_len(const void *arg, const struct map_field *in, UNUSED uint32_t nin,
    struct map_out *out, struct err *err)
{
    const struct array_spec *spec = arg;
    char text[24];
    size_t len = num_print_u64(text, array_count(in[0].text));

    return map_set(out, spec->dst, sv_make(text, len), err);
}

static int
map_concat(const void *arg, const struct map_field *in, UNUSED uint32_t nin,
    struct map_out *out, struct err *err)
{
    const struct array_spec *spec = arg;
    struct pool *pool = pool_new(ARRAY_POOL_MAX);
    bool has_memory = array_join(map_text(out), in[0].text, spec->separator,
        pool);

    pool_free(pool);
    if (!has_memory)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    return map_set_text(out, spec->dst, err);
}

static int
map_split(const void *arg, const struct map_field *in, UNUSED uint32_t nin,
    struct map_out *out, struct err *err)
{
    const struct array_spec *spec = arg;

    array_of_pieces(map_text(out), in[0].text, spec->separator);
    return map_set_text(out, spec->dst, err);
}

static int
map_words(const void *arg, const struct map_field *in, UNUSED uint32_t nin,
    struct map_out *out, struct err *err)
{
    const struct array_spec *spec = arg;
    struct sv text = in[0].text;
    size_t bytes = spec->is_uniq && text.len > WORDS_FREE
        ? array_words_bytes(text) : 0;
    bool has_memory;

    if (map_take(out, bytes, err) != 0)
        return -1;
    has_memory = array_of_words(map_text(out), text, spec->is_uniq);
    map_give(out, bytes);
    if (!has_memory)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    return map_set_text(out, spec->dst, err);
}

static struct mapper
mapper_of(const struct pipe *pipe)
{
    const struct array_spec *spec = pipe->spec;
    const struct pipe_ops *ops = pipe->type->ops;

    return (struct mapper){
        .sources = &spec->src,
        .nsources = 1,
        .targets = &spec->dst,
        .ntargets = 1,
        .is_pure = true,
        .spec = spec,
        .map = ops == &pipe_json_array_len ? map_len
            : ops == &pipe_json_array_concat ? map_concat
            : ops == &pipe_split ? map_split : map_words,
    };
}

const struct pipe_ops pipe_json_array_len = {
    parse_len, print_len, map_needed, map_make, mapper_of
};
const struct pipe_ops pipe_json_array_concat = {
    parse_concat, print_separated, map_needed, map_make, mapper_of
};
const struct pipe_ops pipe_split = {
    parse_split, print_separated, map_needed, map_make, mapper_of
};
const struct pipe_ops pipe_unpack_words = {
    parse_words, print_words, map_needed, map_make, mapper_of
};
