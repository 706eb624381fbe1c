/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/filter.h"

#include "core/timefmt.h"
#include "query/index.h"
#include "storage/block.h"
#include "storage/part_cells.h"

/* Values of a list that are looked up in a block's index one by one. */
#define LOOKUPS_MAX 64u
/* How long the values of one block's part are asked whether one passes, and
 * how many of them between two looks at the clock. */
#define ASKING_NS (50 * NS_PER_MS)
#define ASKED_MAX 16u

/* --- order --- */

/* Roughly what a row costs; the least first. */
static unsigned
filter_cost(const struct filter *filter)
{
    unsigned cost = 0;

    if (filter->is_field_prefix)
        return 500;
    switch (filter->kind) {
    case FILTER_ALL:
    case FILTER_NONE:
        return 0;
    case FILTER_TIME:
        return 1;
    case FILTER_STREAM:
        return 2;
    case FILTER_EXACT:
        return sv_eq(filter->field, SV("resource_attr:service.name")) ||
            sv_eq(filter->field, SV("name")) ? 2 : 3;
    case FILTER_STREAM_ID:
    case FILTER_NUMBER_RANGE:
        return 4;
    case FILTER_IN:
    case FILTER_EXACT_PREFIX:
        return 5;
    case FILTER_REGEXP:
        return 20;
    case FILTER_EQ_FIELD:
    case FILTER_LE_FIELD:
    case FILTER_LT_FIELD:
        return 15;
    case FILTER_AND:
    case FILTER_OR:
    case FILTER_NOT:
        for (uint32_t i = 0; i < filter->nitems; i++)
            cost += filter_cost(filter->items[i]);
        return cost + 1;
    default:
        return 10;
    }
}

static int
cost_cmp(const void *left, const void *right)
{
    const struct filter *a = *(struct filter *const *)left;
    const struct filter *b = *(struct filter *const *)right;
    unsigned x = filter_cost(a), y = filter_cost(b);

    return x != y ? (x > y) - (x < y) : (a->pos > b->pos) - (a->pos < b->pos);
}

static int
value_cmp(const void *left, const void *right)
{
    return sv_cmp(*(const struct sv *)left, *(const struct sv *)right);
}

int
filter_prepare(struct filter *filter, struct err *err)
{
    if (filter->subquery != NULL && !filter->is_resolved)
        return err_set(err, ERR_UNSUPPORTED, "position %u: a query inside a "
            "filter cannot be run here", filter->pos + 1);
    if (filter->is_field_prefix && (filter->kind == FILTER_EQ_FIELD ||
        filter->kind == FILTER_LE_FIELD || filter->kind == FILTER_LT_FIELD))
        return err_set(err, ERR_UNSUPPORTED, "position %u: this filter is "
            "of one field, not of all with a prefix", filter->pos + 1);
    for (uint32_t i = 0; i < filter->nitems; i++) {
        if (filter_prepare(filter->items[i], err) != 0)
            return -1;
    }
    if ((filter->kind == FILTER_AND || filter->kind == FILTER_OR) &&
        filter->nitems > 1)
        qsort(filter->items, filter->nitems, sizeof(*filter->items),
            cost_cmp);
    if ((filter->kind == FILTER_IN || filter->kind == FILTER_STREAM_ID ||
        filter->kind == FILTER_JSON_ARRAY) && filter->nvalues > 1)
        qsort(filter->values, filter->nvalues, sizeof(*filter->values),
            value_cmp);
    return 0;
}

int
query_visit_filters(struct query *query, filter_visit_fn fn, void *arg,
    struct err *err)
{
    if (fn(query->filter, arg, err) != 0)
        return -1;
    for (struct pipe *pipe = query->pipes; pipe != NULL; pipe = pipe->next) {
        if (pipe->filter != NULL && fn(pipe->filter, arg, err) != 0)
            return -1;
        for (uint32_t i = 0; pipe->stats != NULL && i < pipe->stats->nfns;
            i++) {
            struct filter *filter = pipe->stats->fns[i].filter;

            if (filter != NULL && fn(filter, arg, err) != 0)
                return -1;
        }
    }
    return 0;
}

static int
prepare(struct filter *filter, UNUSED void *arg, struct err *err)
{
    return filter_prepare(filter, err);
}

int
query_prepare(struct query *query, struct err *err)
{
    return query_visit_filters(query, prepare, NULL, err);
}

/* --- blocks that need not be read --- */

static bool
any_value(struct block *block, struct sv field, const struct sv *values,
    uint32_t n)
{
    if (n > LOOKUPS_MAX)
        return true;
    for (uint32_t i = 0; i < n; i++) {
        if (values[i].len == 0 || block_may_have(block, field, values[i]))
            return true;
    }
    return false;
}

static bool
tag_may_match(const struct stream_tag *tag, struct block *block)
{
    /* A label has no other text than the field of its name. */
    if (tag->is_any || (tag->op != STREAM_EQ && tag->op != STREAM_IN))
        return true;
    return any_value(block, tag->label, tag->values, tag->nvalues);
}

static bool
stream_may_match(const struct filter *filter, struct block *block)
{
    for (uint32_t i = 0; i < filter->nstream; i++) {
        bool may = true;

        for (uint32_t k = 0; may && k < filter->stream[i].ntags; k++)
            may = tag_may_match(&filter->stream[i].tags[k], block);
        if (may)
            return true;
    }
    return filter->nstream == 0;
}

static bool
items_may_match(const struct filter *filter, struct block *block)
{
    for (uint32_t i = 0; i < filter->nitems; i++) {
        bool may = filter_may_match(filter->items[i], block);

        if (may == (filter->kind == FILTER_OR))
            return may;
    }
    return filter->kind == FILTER_AND;
}

/* Asking the values of a part; rows are asked where it may be given up. */
struct asking {
    const struct filter *filter;
    int64_t end_ns; /* monotonic */
    uint32_t n;
};

/* As soon as it takes long any text may pass. */
static int
ask_text(void *arg, struct sv text, struct err *err)
{
    struct asking *asking = arg;

    if (++asking->n % ASKED_MAX == 0 && clock_mono_ns() > asking->end_ns)
        return 1;
    return filter_ask_text((void *)(uintptr_t)asking->filter, text, err);
}

/* By the values that the part has of the field. */
static bool
text_may_match(const struct filter *filter, struct block *block)
{
    struct asking asking = {filter, clock_mono_ns() + ASKING_NS, 0};
    struct block_ask ask = {.prefix = filter->field, .forms = ~0u,
        .text = ask_text, .arg = &asking};
    struct err err = ERR_INIT;

    /* What rows without a value pass, any block may have. */
    return filter_ask_text((void *)(uintptr_t)filter, SV_EMPTY, &err) != 0 ||
        block_may_pass(block, filter->field, &ask);
}

bool
filter_may_match(const struct filter *filter, struct block *block)
{
    const struct block_info *info = block_get_info(block);

    /* Which fields may have the text is asked when rows are. */
    if (filter->is_field_prefix)
        return true;
    switch (filter->kind) {
    case FILTER_NONE:
        return false;
    case FILTER_AND:
    case FILTER_OR:
        return items_may_match(filter, block);
    case FILTER_TIME:
        return filter->time_min <= info->max_end_ns &&
            filter->time_max >= info->min_end_ns;
    case FILTER_STREAM:
        return stream_may_match(filter, block);
    case FILTER_EXACT:
        return any_value(block, filter->field, &filter->text, 1);
    case FILTER_IN:
        return any_value(block, filter->field, filter->values,
            filter->nvalues);
    case FILTER_PHRASE:
    case FILTER_PREFIX:
    case FILTER_PHRASE_NOCASE:
    case FILTER_PREFIX_NOCASE:
    case FILTER_EXACT_PREFIX:
    case FILTER_CONTAINS_ALL:
    case FILTER_CONTAINS_ANY:
    case FILTER_SEQ:
    case FILTER_REGEXP:
    case FILTER_NUMBER_RANGE:
    case FILTER_TEXT_RANGE:
    case FILTER_LEN_RANGE:
        return text_may_match(filter, block);
    default:
        return true;
    }
}

/* --- whole blocks --- */

bool
filter_is_passed(const struct filter *filter, int64_t min_end,
    int64_t max_end)
{
    bool is_or = filter->kind == FILTER_OR;

    switch (filter->kind) {
    case FILTER_ALL:
        return true;
    case FILTER_TIME:
        return filter->time_min <= min_end && max_end <= filter->time_max;
    case FILTER_AND:
    case FILTER_OR:
        for (uint32_t i = 0; i < filter->nitems; i++) {
            if (filter_is_passed(filter->items[i], min_end, max_end) == is_or)
                return is_or;
        }
        return !is_or;
    default:
        return false;
    }
}

bool
filter_is_of_cells(const struct filter *filter)
{
    switch (filter->kind) {
    case FILTER_ALL:
    case FILTER_NONE:
        return true;
    case FILTER_AND:
    case FILTER_OR:
    case FILTER_NOT:
        for (uint32_t i = 0; i < filter->nitems; i++) {
            if (!filter_is_of_cells(filter->items[i]))
                return false;
        }
        return true;
    case FILTER_TIME:
    case FILTER_DAY_RANGE:
    case FILTER_WEEK_RANGE:
        return false;
    case FILTER_STREAM:
    case FILTER_STREAM_ID:
        return true;
    case FILTER_EQ_FIELD:
    case FILTER_LE_FIELD:
    case FILTER_LT_FIELD:
        return part_cells_have(filter->field) &&
            part_cells_have(filter->text);
    default:
        return !filter->is_field_prefix && part_cells_have(filter->field);
    }
}
