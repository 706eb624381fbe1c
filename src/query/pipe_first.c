/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * first and last: sort with a limit, and for last with all directions
 * turned.
 */

#include "core/base.h"
#include "query/pipe_type.h"

#include "query/parser.h"
#include "query/pipe_old.h"

static bool
is_last(const struct pipe *pipe)
{
    return pipe->type->ops == &pipe_last;
}

/* "[N]", more than 0, where a pipe begins with it. */
static int
take_limit(struct parser *p, struct pipe *pipe, uint64_t *out)
{
    uint32_t pos = lexer_pos(&p->lex);

    if (p->lex.token.kind != TOKEN_WORD || p->lex.token.raw.ptr[0] < '0' ||
        p->lex.token.raw.ptr[0] > '9')
        return 0;
    if (parse_uint(p, out, true, "a number of rows") == -1)
        return -1;
    return *out > 0 ? 0 : parse_fail(p, pos,
        "'%s' needs a number above 0", pipe->type->name);
}

static int
take_clauses(struct parser *p, struct sort_spec *sort)
{
    while (!parse_at_end(p)) {
        bool has_by = parse_take(p, "by");
        int result;

        if (has_by || (parse_at(p, "(") && sort->nfields == 0))
            result = parse_sort_fields(p, &sort->fields, &sort->nfields);
        else if (parse_take(p, "partition"))
            result = parse_partition(p, sort);
        else if (parse_take(p, "rank"))
            result = parse_rank(p, &sort->rank);
        else
            return parse_unexpected(p, "'by', 'partition by', 'rank' or '|'");
        if (result == -1)
            return -1;
    }
    return 0;
}

static int
first_parse(struct parser *p, struct pipe *pipe)
{
    struct sort_spec *sort = pool_zalloc(p->pool, sizeof(*sort));

    if (sort == NULL)
        return parse_no_memory(p);
    pipe->sort = sort;
    sort->rank = SV_EMPTY;
    sort->limit = 1;
    if (take_limit(p, pipe, &sort->limit) == -1 || take_clauses(p, sort) == -1)
        return -1;
    sort->is_desc = is_last(pipe) && sort->nfields == 0;
    for (uint32_t i = 0; i < sort->nfields; i++)
        sort->fields[i].is_desc = sort->fields[i].is_desc != is_last(pipe);
    return 0;
}

static void
print_fields(struct sb *out, const struct pipe *pipe)
{
    const struct sort_spec *sort = pipe->sort;

    for (uint32_t i = 0; i < sort->nfields; i++) {
        struct sort_field field = sort->fields[i];

        field.is_desc = field.is_desc != is_last(pipe);
        sb_add_str(out, i == 0 ? " by (" : ", ");
        print_sort_fields(out, &field, 1);
    }
    if (sort->nfields > 0)
        sb_add_char(out, ')');
}

static void
first_print(struct sb *out, const struct pipe *pipe)
{
    const struct sort_spec *sort = pipe->sort;

    sb_add_str(out, pipe->type->name);
    sb_add_char(out, ' ');
    sb_add_u64(out, sort->limit);
    print_fields(out, pipe);
    for (uint32_t i = 0; i < sort->npartition; i++) {
        sb_add_str(out, i == 0 ? " partition by (" : ", ");
        print_word(out, sort->partition[i]);
    }
    if (sort->npartition > 0)
        sb_add_char(out, ')');
    if (sort->rank.len > 0) {
        sb_add_str(out, " rank as ");
        print_word(out, sort->rank);
    }
}

const struct pipe_ops pipe_first = {
    first_parse, first_print, needed_before_sort, stage_new_sort, NULL
};
const struct pipe_ops pipe_last = {
    first_parse, first_print, needed_before_sort, stage_new_sort, NULL
};
