/* SPDX-License-Identifier: BSD-2-Clause */

/* "(QUERY)" and "rows({a=x} {...})". */

#include "core/base.h"
#include "query/pipe_inner.h"

#include "query/parse.h"
#include "span/flat.h"

/* A value may hold what a name may not. */
#define STOP_ROW_NAME "=:,(){}|"
#define STOP_ROW_VALUE ",(){}|"

static int
parse_cells(struct parser *p, struct inner_row *row)
{
    uint32_t names_cap = 0, texts_cap = 0;

    while (!parse_take(p, "}")) {
        struct word word;

        row->names = parse_grow(p, row->names, row->n, &names_cap,
            sizeof(*row->names));
        if (row->names == NULL)
            return -1;
        row->texts = parse_grow(p, row->texts, row->n, &texts_cap,
            sizeof(*row->texts));
        if (row->texts == NULL ||
            parse_word(p, &word, STOP_ROW_NAME, "a field name") == -1)
            return -1;
        row->names[row->n] = flat_name(word.text, p->pool);
        if (!parse_take(p, "=") && !parse_take(p, ":"))
            return parse_unexpected(p, "'=' after a field name");
        if (parse_word(p, &word, STOP_ROW_VALUE, "a value") == -1)
            return -1;
        row->texts[row->n++] = word.text;
        if (!parse_take(p, ",") && !parse_at(p, "}"))
            return parse_unexpected(p, "',' or '}'");
    }
    return 0;
}

static int
parse_rows(struct parser *p, struct inner *inner)
{
    uint32_t cap = 0;

    if (parse_want(p, "(", "after 'rows'") == -1)
        return -1;
    while (!parse_take(p, ")")) {
        inner->rows = parse_grow(p, inner->rows, inner->nrows, &cap,
            sizeof(*inner->rows));
        if (inner->rows == NULL)
            return -1;
        if (!parse_take(p, "{"))
            return parse_unexpected(p, "'{' or ')'");
        if (parse_cells(p, &inner->rows[inner->nrows++]) == -1)
            return -1;
        (void)parse_take(p, ",");
    }
    return 0;
}

int
inner_parse(struct parser *p, struct pipe *pipe, struct inner *inner,
    const char *name)
{
    char wanted[64];

    if (parse_take(p, "rows"))
        return parse_rows(p, inner);
    if (parse_at(p, "("))
        return parse_inside(p, &pipe->subquery);
    snprintf(wanted, sizeof(wanted),
        "'(' and a query, or rows(...), for '%s'", name);
    return parse_unexpected(p, wanted);
}

void
inner_print(struct sb *out, const struct pipe *pipe,
    const struct inner *inner)
{
    if (pipe->subquery != NULL) {
        sb_add_char(out, '(');
        query_print(out, pipe->subquery);
        sb_add_char(out, ')');
        return;
    }
    sb_add_str(out, "rows(");
    for (uint32_t i = 0; i < inner->nrows; i++) {
        const struct inner_row *row = &inner->rows[i];

        sb_add_str(out, i > 0 ? " {" : "{");
        for (uint32_t k = 0; k < row->n; k++) {
            if (k > 0)
                sb_add_str(out, ", ");
            print_word(out, row->names[k]);
            sb_add_char(out, '=');
            print_quoted(out, row->texts[k]);
        }
        sb_add_char(out, '}');
    }
    sb_add_char(out, ')');
}

int
inner_hold(const struct inner *inner, const struct pipe *pipe,
    struct query_run *run, struct held *held, struct err *err)
{
    if (pipe->subquery != NULL)
        return held_run(held, run, pipe->subquery, err);
    for (uint32_t i = 0; i < inner->nrows; i++) {
        const struct inner_row *row = &inner->rows[i];

        if (held_add(held, row->names, row->texts, row->n, err) != 0)
            return -1;
    }
    return 0;
}
