/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"

#include "query/parser.h"
#include "query/pipe_old.h"
#include "query/pipe_type.h"
#include "query/text.h"

static void
print_comma(struct sb *out, uint32_t i)
{
    if (i > 0)
        sb_add_str(out, ", ");
}

void
print_patterns(struct sb *out, const struct field_pattern *patterns,
    uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        print_comma(out, i);
        print_pattern(out, &patterns[i]);
    }
}

void
pipe_print_pairs(struct sb *out, const struct pipe *pipe)
{
    sb_add_str(out, pipe->type->name);
    sb_add_char(out, ' ');
    for (uint32_t i = 0; i < pipe->npairs; i++) {
        print_comma(out, i);
        print_pattern(out, &pipe->pairs[i].src);
        sb_add_str(out, " as ");
        print_pattern(out, &pipe->pairs[i].dst);
    }
}

static void
print_n(struct sb *out, const char *name, uint64_t n)
{
    sb_add_str(out, name);
    sb_add_u64(out, n);
}

void
print_sort_fields(struct sb *out, const struct sort_field *fields,
    uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        print_comma(out, i);
        print_word(out, fields[i].name);
        if (fields[i].is_desc)
            sb_add_str(out, " desc");
    }
}

void
pipe_print_sort(struct sb *out, const struct pipe *pipe)
{
    const struct sort_spec *sort = pipe->sort;

    sb_add_str(out, "sort");
    if (sort->nfields > 0)
        sb_add_str(out, " by (");
    print_sort_fields(out, sort->fields, sort->nfields);
    if (sort->nfields > 0)
        sb_add_char(out, ')');
    else if (sort->is_desc)
        sb_add_str(out, " desc");
    if (sort->npartition > 0)
        sb_add_str(out, " partition by (");
    for (uint32_t i = 0; i < sort->npartition; i++) {
        print_comma(out, i);
        print_word(out, sort->partition[i]);
    }
    if (sort->npartition > 0)
        sb_add_char(out, ')');
    if (sort->offset > 0)
        print_n(out, " offset ", sort->offset);
    if (sort->limit > 0)
        print_n(out, " limit ", sort->limit);
    if (sort->rank.len > 0) {
        sb_add_str(out, " rank as ");
        print_word(out, sort->rank);
    }
}

void
print_function(struct sb *out, const struct stats_fn *fn)
{
    unsigned traits = fn->type->traits;
    bool has_first = (traits & (FUNCTION_PHI | FUNCTION_KEY)) != 0;

    sb_add_sv(out, fn->name);
    sb_add_char(out, '(');
    if (traits & FUNCTION_PHI)
        number_print(out, fn->phi);
    else if (traits & FUNCTION_KEY)
        print_sort_fields(out, fn->keys, fn->nkeys);
    else if (fn->nargs == 0 && !(traits & FUNCTION_NONE))
        sb_add_char(out, '*');
    if (has_first && fn->nargs > 0)
        sb_add_str(out, ", ");
    print_patterns(out, fn->args, fn->nargs);
    sb_add_char(out, ')');
    if (traits & FUNCTION_SORT && fn->nkeys > 0) {
        sb_add_str(out, " sort by (");
        print_sort_fields(out, fn->keys, fn->nkeys);
        sb_add_char(out, ')');
    }
    if (fn->limit > 0)
        print_n(out, " limit ", fn->limit);
    if (fn->filter != NULL) {
        sb_add_str(out, " if (");
        filter_print(out, fn->filter);
        sb_add_char(out, ')');
    }
}

static void
print_by(struct sb *out, const struct stats_by *by)
{
    print_word(out, by->name);
    if (by->step_text.len > 0) {
        sb_add_char(out, ':');
        sb_add_sv(out, by->step_text);
    }
    if (by->offset_text.len > 0) {
        sb_add_str(out, " offset ");
        sb_add_sv(out, by->offset_text);
    }
}

void
pipe_print_stats(struct sb *out, const struct pipe *pipe)
{
    const struct stats_spec *stats = pipe->stats;

    sb_add_str(out, stats->nby > 0 ? "stats by (" : "stats ");
    for (uint32_t i = 0; i < stats->nby; i++) {
        print_comma(out, i);
        print_by(out, &stats->by[i]);
    }
    if (stats->nby > 0)
        sb_add_str(out, ") ");
    for (uint32_t i = 0; i < stats->nfns; i++) {
        print_comma(out, i);
        print_function(out, &stats->fns[i]);
        sb_add_str(out, " as ");
        print_word(out, stats->fns[i].result);
    }
}

void
pipe_print_uniq(struct sb *out, const struct pipe *pipe)
{
    sb_add_str(out, "uniq by (");
    print_patterns(out, pipe->names, pipe->nnames);
    sb_add_char(out, ')');
    if (pipe->hits.len > 0)
        sb_add_str(out, " with hits");
    if (pipe->n > 0)
        print_n(out, " limit ", pipe->n);
}

void
pipe_print_patterns(struct sb *out, const struct pipe *pipe)
{
    sb_add_str(out, pipe->type->name);
    sb_add_char(out, ' ');
    print_patterns(out, pipe->names, pipe->nnames);
}

void
pipe_print_n(struct sb *out, const struct pipe *pipe)
{
    sb_add_str(out, pipe->type->name);
    print_n(out, " ", pipe->n);
}

void
pipe_print_filter(struct sb *out, const struct pipe *pipe)
{
    sb_add_str(out, "filter ");
    filter_print(out, pipe->filter);
}

void
print_substring(struct sb *out, const struct pipe *pipe)
{
    if (pipe->substring.len == 0)
        return;
    sb_add_str(out, " filter ");
    print_quoted(out, pipe->substring);
}

void
pipe_print_field_names(struct sb *out, const struct pipe *pipe)
{
    sb_add_str(out, "field_names as ");
    print_word(out, pipe->result);
    print_substring(out, pipe);
}

void
print_pipe(struct sb *out, const struct pipe *pipe)
{
    pipe->type->ops->print(out, pipe);
}

void
query_print(struct sb *out, const struct query *query)
{
    print_query_options(out, query);
    filter_print(out, query->filter);
    for (const struct pipe *pipe = query->pipes; pipe != NULL;
        pipe = pipe->next) {
        sb_add_str(out, " | ");
        print_pipe(out, pipe);
    }
}
