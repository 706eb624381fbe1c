/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Hidden fields.  Pipes do not see them because the first pipe deletes them.
 * The filter in front of it reads blocks: there, a hidden field gets a name
 * that no field has.  Where that does not tell all that a filter reads, the
 * filter is evaluated behind the pipe that deletes.
 */

#include "core/base.h"

#include "query/parse.h"
#include "query/parser.h"
#include "query/pipe_type.h"

/* Longer than the name of any field that is stored (128 bytes). */
#define NO_FIELD SV("a field that is hidden from this query, with a name of " \
    "more bytes than the names of stored fields may have, so that no row " \
    "has it: 128 bytes")

struct hide {
    const struct field_pattern *patterns;
    uint32_t n;
    struct err *err;
};

static bool
is_hidden(const struct hide *hide, struct sv name)
{
    return field_patterns_have(hide->patterns, hide->n, name);
}

static int hide_query(const struct hide *hide, struct query *query);

/* What a filter reads. */
enum reads {
    READS_NOTHING, /* of the fields, or what cannot be hidden */
    READS_FIELD,
    READS_TWO,     /* field and text */
    READS_OTHER,   /* perhaps fields that it does not name */
};

static enum reads
filter_reads(const struct filter *filter)
{
    if (filter->is_field_prefix)
        return READS_OTHER;
    switch (filter->kind) {
    case FILTER_ALL:
    case FILTER_NONE:
    case FILTER_AND:
    case FILTER_OR:
    case FILTER_NOT:
    case FILTER_TIME:
    case FILTER_DAY_RANGE:
    case FILTER_WEEK_RANGE:
    case FILTER_STREAM:
    case FILTER_STREAM_ID:
        return READS_NOTHING;
    case FILTER_EQ_FIELD:
    case FILTER_LE_FIELD:
    case FILTER_LT_FIELD:
        return READS_TWO;
    case FILTER_PHRASE:
    case FILTER_PREFIX:
    case FILTER_PHRASE_NOCASE:
    case FILTER_PREFIX_NOCASE:
    case FILTER_EXACT:
    case FILTER_EXACT_PREFIX:
    case FILTER_IN:
    case FILTER_CONTAINS_ALL:
    case FILTER_CONTAINS_ANY:
    case FILTER_SEQ:
    case FILTER_REGEXP:
    case FILTER_NUMBER_RANGE:
    case FILTER_TEXT_RANGE:
    case FILTER_LEN_RANGE:
    case FILTER_IPV4_RANGE:
    case FILTER_VALUE_TYPE:
        return READS_FIELD;
    default:
        return READS_OTHER;
    }
}

/* Whether names can be replaced in all of it. */
static bool
is_replaceable(const struct filter *filter)
{
    if (filter_reads(filter) == READS_OTHER)
        return false;
    for (uint32_t i = 0; i < filter->nitems; i++) {
        if (!is_replaceable(filter->items[i]))
            return false;
    }
    return true;
}

static void
replace_names(const struct hide *hide, struct filter *filter)
{
    enum reads reads = filter_reads(filter);

    for (uint32_t i = 0; i < filter->nitems; i++)
        replace_names(hide, filter->items[i]);
    if (reads >= READS_FIELD && is_hidden(hide, filter->field))
        filter->field = NO_FIELD;
    if (reads == READS_TWO && is_hidden(hide, filter->text))
        filter->text = NO_FIELD;
}

static int
hide_in_filter(const struct hide *hide, struct filter *filter)
{
    if (filter == NULL)
        return 0;
    for (uint32_t i = 0; i < filter->nitems; i++) {
        if (hide_in_filter(hide, filter->items[i]) != 0)
            return -1;
    }
    return filter->subquery == NULL ? 0 : hide_query(hide, filter->subquery);
}

static int
hide_in_pipe(const struct hide *hide, struct pipe *pipe)
{
    if (hide_in_filter(hide, pipe->filter) != 0 ||
        (pipe->subquery != NULL && hide_query(hide, pipe->subquery) != 0))
        return -1;
    for (uint32_t i = 0; pipe->stats != NULL && i < pipe->stats->nfns; i++) {
        if (hide_in_filter(hide, pipe->stats->fns[i].filter) != 0)
            return -1;
    }
    return 0;
}

static struct pipe *
put_first(struct query *query, enum pipe_kind kind)
{
    struct pipe *pipe = pool_zalloc(query->pool, sizeof(*pipe));

    if (pipe == NULL)
        return NULL;
    pipe->kind = kind;
    pipe->type = pipe_type_of_kind(kind);
    pipe->result = pipe->hits = SV_EMPTY;
    pipe->next = query->pipes;
    query->pipes = pipe;
    query->npipes++;
    return pipe;
}

/* The filter moves behind the pipe; what it says of times stays, too. */
static int
move_filter(struct query *query)
{
    struct pipe *pipe = put_first(query, PIPE_FILTER);
    struct filter *times = filter_new_time(query->pool, query->min_time,
        query->max_time);

    if (pipe == NULL || times == NULL)
        return -1;
    pipe->filter = query->filter;
    query->filter = times;
    query_set_times(query);
    return 0;
}

static int
hide_query(const struct hide *hide, struct query *query)
{
    struct pipe *pipe;
    int rc;

    /* An extra filter, and so its query, is part of several queries. */
    if (query->is_hiding)
        return 0;
    query->is_hiding = true;
    rc = hide_in_filter(hide, query->filter);
    for (pipe = query->pipes; rc == 0 && pipe != NULL; pipe = pipe->next)
        rc = hide_in_pipe(hide, pipe);
    if (rc != 0)
        return -1;
    if (is_replaceable(query->filter))
        replace_names(hide, query->filter);
    else if (move_filter(query) != 0)
        return err_set(hide->err, ERR_LIMIT, "query needs too much memory");
    pipe = put_first(query, PIPE_DELETE);
    if (pipe == NULL)
        return err_set(hide->err, ERR_LIMIT, "query needs too much memory");
    pipe->names = (struct field_pattern *)hide->patterns;
    pipe->nnames = hide->n;
    return 0;
}

int
query_hide(struct query *query, struct err *err)
{
    struct hide hide = {query->hidden, query->nhidden, err};

    return hide.n == 0 ? 0 : hide_query(&hide, query);
}
