/* SPDX-License-Identifier: BSD-2-Clause */

/* sort (reference 5.31). */

#include "core/base.h"

#include "query/parser.h"

static int
take_field(struct parser *p, struct sort_field *field)
{
    if (parse_name(p, &field->name, STOP_NAME) == -1)
        return -1;
    field->is_desc = parse_at(p, "desc");
    if (!parse_take(p, "desc"))
        (void)parse_take(p, "asc");
    return 0;
}

int
parse_sort_fields(struct parser *p, struct sort_field **out, uint32_t *n)
{
    uint32_t cap = 0;

    *out = NULL;
    *n = 0;
    if (parse_want(p, "(", "before the names to sort by") == -1)
        return -1;
    while (!parse_take(p, ")")) {
        *out = parse_grow(p, *out, *n, &cap, sizeof(**out));
        if (*out == NULL || take_field(p, &(*out)[*n]) == -1)
            return -1;
        ++*n;
        if (!parse_take(p, ",") && !parse_at(p, ")"))
            return parse_unexpected(p, "'asc', 'desc', ',' or ')'");
    }
    return 0;
}

int
parse_partition(struct parser *p, struct sort_spec *sort)
{
    struct values names;

    if (parse_want(p, "by", "after 'partition'") == -1 ||
        parse_plain_names(p, &names) == -1)
        return -1;
    sort->partition = names.items;
    sort->npartition = names.n;
    return 0;
}

static bool
at_clause(const struct parser *p)
{
    return parse_at_end(p) || parse_at(p, "asc") || parse_at(p, "desc") ||
        parse_at(p, "offset") || parse_at(p, "limit") ||
        parse_at(p, "partition") || parse_at(p, "rank");
}

int
parse_rank(struct parser *p, struct sv *out)
{
    *out = SV("rank");
    if (!parse_take(p, "as") && at_clause(p))
        return 0;
    return parse_name(p, out, STOP_NAME);
}

static int
take_clause(struct parser *p, struct sort_spec *sort)
{
    if (parse_take(p, "asc"))
        return 0;
    if (parse_take(p, "desc")) {
        sort->is_desc = true;
        return 0;
    }
    if (parse_take(p, "offset"))
        return parse_uint(p, &sort->offset, true, "a number after 'offset'");
    if (parse_take(p, "limit"))
        return parse_uint(p, &sort->limit, true, "a number after 'limit'");
    if (parse_take(p, "partition"))
        return parse_partition(p, sort);
    if (parse_take(p, "rank"))
        return parse_rank(p, &sort->rank);
    return parse_unexpected(p,
        "'asc', 'desc', 'offset', 'limit', 'partition by', 'rank' or '|'");
}

int
parse_sort(struct parser *p, struct pipe *pipe)
{
    struct sort_spec *sort = pool_zalloc(p->pool, sizeof(*sort));
    bool has_by = parse_take(p, "by");

    if (sort == NULL)
        return parse_no_memory(p);
    pipe->sort = sort;
    sort->rank = SV_EMPTY;
    if ((has_by || parse_at(p, "(")) &&
        parse_sort_fields(p, &sort->fields, &sort->nfields) == -1)
        return -1;
    while (!parse_at_end(p)) {
        if (take_clause(p, sort) == -1)
            return -1;
    }
    for (uint32_t i = 0; i < sort->nfields; i++)
        sort->fields[i].is_desc = sort->fields[i].is_desc != sort->is_desc;
    if (sort->nfields > 0)
        sort->is_desc = false;
    if (sort->npartition > 0 && sort->limit == 0)
        return parse_fail(p, pipe->pos,
            "'partition by' needs a 'limit' of the rows of each partition");
    return 0;
}
