/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * field_values: uniq of one field with hits, of which only the values with a
 * given part in them may be wanted.
 */

#include "core/base.h"
#include "query/pipe_type.h"

#include "query/parser.h"
#include "query/pipe_old.h"
#include "query/stage_uniq.h"

static int
values_parse(struct parser *p, struct pipe *pipe)
{
    uint32_t pos = lexer_pos(&p->lex);

    pipe->names = pool_zalloc(p->pool, sizeof(*pipe->names));
    if (pipe->names == NULL)
        return parse_no_memory(p);
    if (parse_pattern(p, &pipe->names[0]) == -1)
        return -1;
    pipe->nnames = 1;
    if (pipe->names[0].is_prefix)
        return parse_fail(p, pos,
            "field_values takes one name without '*'");
    while (!parse_at_end(p)) {
        int result;

        if (parse_take(p, "limit"))
            result = parse_uint(p, &pipe->n, true, "a number after 'limit'");
        else if (parse_take(p, "filter"))
            result = parse_substring(p, pipe);
        else
            return parse_unexpected(p, "'limit', 'filter' or '|'");
        if (result == -1)
            return -1;
    }
    return parse_new_name(p, pipe, SV("hits"), &pipe->hits);
}

static void
values_print(struct sb *out, const struct pipe *pipe)
{
    sb_add_str(out, "field_values ");
    print_patterns(out, pipe->names, pipe->nnames);
    print_substring(out, pipe);
    if (pipe->n > 0) {
        sb_add_str(out, " limit ");
        sb_add_u64(out, pipe->n);
    }
}

static int
values_make(struct stage **out, const struct pipe *pipe,
    UNUSED struct query_run *run, UNUSED struct err *err)
{
    struct stage_uniq *mine = stage_uniq_new(pipe);

    /* The limit is one of the values that have the part. */
    mine->max = pipe->substring.len > 0 ? 0 : pipe->n;
    mine->emit = uniq_emit;
    *out = &mine->stage;
    return 0;
}

const struct pipe_ops pipe_field_values = {
    values_parse, values_print, needed_before_uniq, values_make, NULL
};
