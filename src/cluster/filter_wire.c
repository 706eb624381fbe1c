/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"

#include "cluster/filter_wire.h"

#include "core/sb.h"
#include "plan.pb-c.h"
#include "query/regexp.h"
#include "query/text_pattern.h"
#include "span/span.h"

/* Texts of one list of values. */
#define VALUES_BYTES_MAX (64 * MIB)

#define KIND(name) \
    [FILTER_##name] = SPOOR__FILTER_KIND__FILTER_KIND_##name
#define OP(name) [STREAM_##name] = SPOOR__STREAM_OP__STREAM_OP_##name

static const Spoor__FilterKind kinds[] = {
    KIND(ALL), KIND(NONE), KIND(AND), KIND(OR), KIND(NOT), KIND(PHRASE),
    KIND(PREFIX), KIND(PHRASE_NOCASE), KIND(PREFIX_NOCASE), KIND(EXACT),
    KIND(EXACT_PREFIX), KIND(IN), KIND(CONTAINS_ALL), KIND(CONTAINS_ANY),
    KIND(SEQ), KIND(REGEXP), KIND(NUMBER_RANGE), KIND(TEXT_RANGE),
    KIND(LEN_RANGE), KIND(IPV4_RANGE), KIND(VALUE_TYPE), KIND(EQ_FIELD),
    KIND(LE_FIELD), KIND(LT_FIELD), KIND(TIME), KIND(DAY_RANGE),
    KIND(WEEK_RANGE), KIND(STREAM), KIND(STREAM_ID), KIND(SUBSTRING),
    KIND(PATTERN), KIND(IPV6_RANGE), KIND(JSON_ARRAY),
};

static const Spoor__StreamOp ops[] = {
    OP(EQ), OP(NE), OP(RE), OP(NOT_RE), OP(IN), OP(NOT_IN),
};

static int
no_memory(struct err *err)
{
    return err_set(err, ERR_LIMIT, "query needs too much memory");
}

static ProtobufCBinaryData
bytes_of(struct sv text)
{
    return (ProtobufCBinaryData){text.len, (uint8_t *)(uintptr_t)text.ptr};
}

static struct sv
sv_of(ProtobufCBinaryData bytes)
{
    return bytes.len == 0 ? SV_EMPTY : sv_make(bytes.data, bytes.len);
}

/* --- values --- */

static int
values_put(ProtobufCBinaryData *out, const struct sv *values, uint32_t n,
    struct pool *pool, struct err *err)
{
    struct sb sb;
    char *copy;

    if (n == 0)
        return 0;
    sb_init(&sb, VALUES_BYTES_MAX);
    for (uint32_t i = 0; i < n; i++)
        text_list_put(&sb, values[i]);
    copy = sb_failed(&sb) ? NULL : pool_dup(pool, sb.ptr, sb.len);
    if (copy != NULL)
        *out = bytes_of(sv_make(copy, sb.len));
    sb_release(&sb);
    return copy != NULL ? 0 : err_set(err, ERR_LIMIT, "the values of a "
        "filter are too large to be sent to other servers");
}

static int
values_take(struct sv **out, uint32_t *n, ProtobufCBinaryData bytes,
    struct pool *pool, struct err *err)
{
    struct sv rest = sv_of(bytes), text;
    uint32_t count = 0;

    while (text_list_next(&rest, &text))
        count++;
    if (rest.len > 0)
        return err_set(err, ERR_INVALID, "the values of a filter are "
            "malformed");
    *n = count;
    if (count == 0)
        return 0;
    *out = pool_alloc(pool, count * sizeof(**out));
    if (*out == NULL)
        return no_memory(err);
    rest = sv_of(bytes);
    for (uint32_t i = 0; i < count && text_list_next(&rest, &text); i++)
        (*out)[i] = text;
    return 0;
}

/* --- streams --- */

/* An alternative without a tag lets every stream pass, as no alternative. */
static uint32_t
count_tags(const struct filter *filter)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < filter->nstream; i++) {
        if (filter->stream[i].ntags == 0)
            return 0;
        n += filter->stream[i].ntags;
    }
    return n;
}

static int
tag_put(Spoor__StreamTag *out, const struct stream_tag *tag,
    struct pool *pool, struct err *err)
{
    spoor__stream_tag__init(out);
    out->label = bytes_of(tag->label);
    out->op = ops[tag->op];
    out->is_any = tag->is_any;
    return values_put(&out->values, tag->values, tag->nvalues, pool, err);
}

static int
stream_put(Spoor__Filter *out, const struct filter *filter,
    struct pool *pool, struct err *err)
{
    uint32_t n = count_tags(filter);
    Spoor__StreamTag *tags;

    if (n == 0)
        return 0;
    out->tags = pool_alloc(pool, n * sizeof(*out->tags));
    tags = pool_alloc(pool, n * sizeof(*tags));
    if (out->tags == NULL || tags == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < filter->nstream; i++) {
        const struct stream_all *all = &filter->stream[i];

        for (uint32_t k = 0; k < all->ntags; k++) {
            Spoor__StreamTag *tag = &tags[out->n_tags];

            if (tag_put(tag, &all->tags[k], pool, err) != 0)
                return -1;
            tag->is_or = i > 0 && k == 0;
            out->tags[out->n_tags++] = tag;
        }
    }
    return 0;
}

static int
tag_take(struct stream_tag *out, const Spoor__StreamTag *tag,
    struct pool *pool, struct err *err)
{
    bool is_regexp, has_many;
    size_t op = 0;

    while (op < ARRAY_LEN(ops) && ops[op] != tag->op)
        op++;
    if (op == ARRAY_LEN(ops))
        return err_set(err, ERR_UNSUPPORTED, "a filter of streams has an "
            "operator (%d) that this version does not know", (int)tag->op);
    *out = (struct stream_tag){.label = sv_of(tag->label),
        .op = (enum stream_op)op, .is_any = tag->is_any != 0};
    is_regexp = out->op == STREAM_RE || out->op == STREAM_NOT_RE;
    has_many = out->op == STREAM_IN || out->op == STREAM_NOT_IN;
    if (values_take(&out->values, &out->nvalues, tag->values, pool,
            err) != 0)
        return -1;
    if (!has_many && (out->nvalues != 1 || out->is_any))
        return err_set(err, ERR_INVALID, "a filter of streams has not one "
            "value");
    return is_regexp ? regexp_compile(&out->regexp, out->values[0],
        REGEXP_ANCHORED | REGEXP_DOT_NEWLINE, pool, err) : 0;
}

static int
stream_take(struct filter *out, const Spoor__Filter *filter,
    struct pool *pool, struct err *err)
{
    size_t n = filter->n_tags;
    struct stream_tag *tags;

    if (n == 0)
        return 0;
    if (n > FILTER_WIRE_NODES_MAX)
        return err_set(err, ERR_LIMIT, "a filter of streams has more than %u "
            "tags", FILTER_WIRE_NODES_MAX);
    tags = pool_alloc(pool, n * sizeof(*tags));
    out->stream = pool_alloc(pool, n * sizeof(*out->stream));
    if (tags == NULL || out->stream == NULL)
        return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        if (tag_take(&tags[i], filter->tags[i], pool, err) != 0)
            return -1;
        if (i == 0 || filter->tags[i]->is_or)
            out->stream[out->nstream++] = (struct stream_all){&tags[i], 0};
        out->stream[out->nstream - 1].ntags++;
    }
    return 0;
}

/* --- putting a tree --- */

static int
node_put(Spoor__Filter *out, const struct filter *filter, struct pool *pool,
    struct err *err)
{
    spoor__filter__init(out);
    out->kind = kinds[filter->kind];
    out->items = filter->nitems;
    out->field = bytes_of(filter->field);
    out->is_field_prefix = filter->is_field_prefix;
    out->text = bytes_of(filter->text);
    out->text_end = bytes_of(filter->text_end);
    out->has_text_end = filter->has_text_end;
    out->is_empty_matched = filter->is_empty_matched;
    out->min = filter->min;
    out->max = filter->max;
    out->time_min = filter->time_min;
    out->time_max = filter->time_max;
    out->offset = filter->offset;
    out->len_min = filter->len_min;
    out->len_max = filter->len_max;
    out->pos = filter->pos;
    out->written = bytes_of(filter->written);
    if (filter->pattern != NULL) {
        enum pattern_ends ends = text_pattern_ends(filter->pattern);

        out->is_at_start = (ends & PATTERN_AT_START) != 0;
        out->is_at_end = (ends & PATTERN_AT_END) != 0;
    }
    if (values_put(&out->values, filter->values, filter->nvalues, pool,
            err) != 0)
        return -1;
    return stream_put(out, filter, pool, err);
}

static int
count_nodes(const struct filter *filter, unsigned depth, size_t *n,
    struct err *err)
{
    if (depth > FILTER_WIRE_DEPTH_MAX || ++*n > FILTER_WIRE_NODES_MAX)
        return err_set(err, ERR_LIMIT, "the query has filters that are too "
            "many or too deep to be sent to other servers");
    if (filter->subquery != NULL && !filter->is_resolved)
        return err_set(err, ERR_UNSUPPORTED, "position %u: a query inside a "
            "filter cannot be run here", filter->pos + 1);
    for (uint32_t i = 0; i < filter->nitems; i++) {
        if (count_nodes(filter->items[i], depth + 1, n, err) != 0)
            return -1;
    }
    return 0;
}

static int
tree_put(struct filter_list *list, const struct filter *filter,
    struct pool *pool, struct err *err)
{
    Spoor__Filter *node = pool_alloc(pool, sizeof(*node));

    if (node == NULL)
        return no_memory(err);
    list->v[list->n++] = node;
    if (node_put(node, filter, pool, err) != 0)
        return -1;
    for (uint32_t i = 0; i < filter->nitems; i++) {
        if (tree_put(list, filter->items[i], pool, err) != 0)
            return -1;
    }
    return 0;
}

int
filter_wire_put(struct filter_list *list, const struct filter *filter,
    struct pool *pool, struct err *err)
{
    size_t n = list->n;
    struct Spoor__Filter **more;

    if (count_nodes(filter, 1, &n, err) != 0)
        return -1;
    more = pool_alloc(pool, n * sizeof(*more));
    if (more == NULL)
        return no_memory(err);
    if (list->n > 0)
        memcpy(more, list->v, list->n * sizeof(*more));
    list->v = more;
    return tree_put(list, filter, pool, err);
}

/* --- taking a tree --- */

static int
invalid(struct err *err, const char *what)
{
    return err_set(err, ERR_INVALID, "a filter of the plan %s", what);
}

/* How many items a kind may have. */
static bool
items_are_right(enum filter_kind kind, uint32_t items)
{
    switch (kind) {
    case FILTER_AND:
    case FILTER_OR:
        return items > 0;
    case FILTER_NOT:
        return items == 1;
    default:
        return items == 0;
    }
}

/* What evaluation relies on, and what is made of the texts. */
static int
node_finish(struct filter *out, const Spoor__Filter *filter,
    struct pool *pool, struct err *err)
{
    enum pattern_ends ends = (enum pattern_ends)(
        (filter->is_at_start ? PATTERN_AT_START : 0) |
        (filter->is_at_end ? PATTERN_AT_END : 0));

    switch (out->kind) {
    case FILTER_REGEXP:
        return regexp_compile(&out->regexp, out->text, REGEXP_DOT_NEWLINE,
            pool, err);
    case FILTER_PATTERN:
        return text_pattern_make(&out->pattern, out->text, ends, pool, err);
    case FILTER_STREAM:
        return stream_take(out, filter, pool, err);
    case FILTER_IPV6_RANGE:
        return out->text.len == 16 && out->text_end.len == 16 ? 0 :
            invalid(err, "has an IPv6 address that is none");
    case FILTER_EQ_FIELD:
    case FILTER_LE_FIELD:
    case FILTER_LT_FIELD:
    case FILTER_VALUE_TYPE:
    case FILTER_TIME:
    case FILTER_DAY_RANGE:
    case FILTER_WEEK_RANGE:
    case FILTER_STREAM_ID:
        return !out->is_field_prefix ? 0 :
            invalid(err, "is of one field, not of all with a prefix");
    default:
        return 0;
    }
}

static int
node_take(struct filter *out, const Spoor__Filter *filter,
    struct pool *pool, struct err *err)
{
    size_t kind = 0;

    while (kind < ARRAY_LEN(kinds) && kinds[kind] != filter->kind)
        kind++;
    if (kind == ARRAY_LEN(kinds))
        return err_set(err, ERR_UNSUPPORTED, "the plan has a filter of a kind "
            "(%d) that this version does not know", (int)filter->kind);
    *out = (struct filter){
        .kind = (enum filter_kind)kind,
        .field = sv_of(filter->field),
        .is_field_prefix = filter->is_field_prefix != 0,
        .nitems = filter->items,
        .text = sv_of(filter->text),
        .text_end = sv_of(filter->text_end),
        .has_text_end = filter->has_text_end != 0,
        .is_empty_matched = filter->is_empty_matched != 0,
        .min = filter->min, .max = filter->max,
        .time_min = filter->time_min, .time_max = filter->time_max,
        .offset = filter->offset,
        .len_min = filter->len_min, .len_max = filter->len_max,
        .pos = filter->pos,
        .written = sv_of(filter->written),
        .subquery_field = SV_EMPTY,
    };
    if (!items_are_right(out->kind, out->nitems))
        return invalid(err, "has a wrong number of items");
    if (values_take(&out->values, &out->nvalues, filter->values, pool,
            err) != 0)
        return -1;
    return node_finish(out, filter, pool, err);
}

static int
tree_take(struct filter **out, struct filter_list *list, unsigned depth,
    struct pool *pool, struct err *err)
{
    struct filter *filter;

    if (list->n == 0)
        return invalid(err, "is missing");
    if (depth > FILTER_WIRE_DEPTH_MAX)
        return err_set(err, ERR_LIMIT, "the filters of the plan are more than "
            "%u deep", FILTER_WIRE_DEPTH_MAX);
    filter = pool_alloc(pool, sizeof(*filter));
    if (filter == NULL)
        return no_memory(err);
    if (node_take(filter, list->v[0], pool, err) != 0)
        return -1;
    list->v++;
    list->n--;
    *out = filter;
    if (filter->nitems == 0)
        return 0;
    if (filter->nitems > list->n)
        return invalid(err, "is missing");
    filter->items = pool_alloc(pool, filter->nitems *
        sizeof(*filter->items));
    if (filter->items == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < filter->nitems; i++) {
        if (tree_take(&filter->items[i], list, depth + 1, pool, err) != 0)
            return -1;
    }
    return 0;
}

int
filter_wire_take(struct filter **out, struct filter_list *list,
    struct pool *pool, struct err *err)
{
    if (list->n > FILTER_WIRE_NODES_MAX)
        return err_set(err, ERR_LIMIT, "the plan has more than %u filters",
            FILTER_WIRE_NODES_MAX);
    return tree_take(out, list, 1, pool, err);
}
