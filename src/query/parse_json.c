/* SPDX-License-Identifier: BSD-2-Clause */

/* Extra filters that are JSON: {"field":"value","other":["a","b"]} (8.1). */

#include "core/base.h"

#include "core/json_in.h"
#include "query/parser.h"
#include "span/flat.h"

struct member {
    struct sv key;
    struct values values;
};

typedef int (*member_fn)(struct parser *p, struct member *member, void *arg);

static int
take_string(struct parser *p, struct json_in *in, struct values *values)
{
    values->items = parse_grow(p, values->items, values->n, &values->cap,
        sizeof(*values->items));
    if (values->items == NULL)
        return -1;
    if (!json_read_string(in, &values->items[values->n]))
        return -1;
    values->n++;
    return 0;
}

static int
take_values(struct parser *p, struct json_in *in, struct values *values)
{
    if (json_peek(in) != JSON_ARRAY)
        return take_string(p, in, values);
    if (!json_enter_array(in))
        return -1;
    while (json_next_item(in)) {
        if (take_string(p, in, values) == -1)
            return -1;
    }
    return json_in_failed(in) ? -1 : 0;
}

/* Members without a value are left out. */
static int
each_member(struct parser *p, struct json_in *in, member_fn fn, void *arg)
{
    struct member member;

    if (!json_enter_object(in))
        return -1;
    while (json_next_key(in, &member.key)) {
        member.values = (struct values){NULL, 0, 0, false};
        if (take_values(p, in, &member.values) == -1)
            return -1;
        if (member.values.n > 0 && fn(p, &member, arg) == -1)
            return -1;
    }
    if (json_in_failed(in))
        return -1;
    if (json_peek(in) != JSON_END) {
        json_fail(in, "text behind the object");
        return -1;
    }
    return 0;
}

/* The parser's own error, if there is one, says more. */
static int
parse_members(struct parser *p, member_fn fn, void *arg)
{
    struct json_in in;

    json_in_init(&in, p->lex.text, p->pool);
    if (each_member(p, &in, fn, arg) == 0)
        return 0;
    if (json_in_failed(&in))
        return err_set(p->err, ERR_INVALID, "%s", in.err.text);
    return -1;
}

struct filters {
    struct filter **items;
    uint32_t n;
    uint32_t cap;
};

static int IMPL(member_fn)
add_filter(struct parser *p, struct member *member, void *arg)
{
    struct filters *list = arg;
    struct filter *filter = filter_new(p->pool,
        member->values.n == 1 ? FILTER_EXACT : FILTER_IN,
        flat_name(member->key, p->pool), 0);

    if (filter == NULL)
        return parse_no_memory(p);
    if (member->values.n == 1) {
        filter->text = member->values.items[0];
    } else {
        filter->values = member->values.items;
        filter->nvalues = member->values.n;
    }
    list->items = parse_grow(p, list->items, list->n, &list->cap,
        sizeof(*list->items));
    if (list->items == NULL)
        return -1;
    list->items[list->n++] = filter;
    return 0;
}

int
parse_json_filter(struct parser *p, struct filter **out)
{
    struct filters list = {NULL, 0, 0};

    if (parse_members(p, add_filter, &list) == -1)
        return -1;
    *out = filter_new_list(p->pool, FILTER_AND, list.items, list.n);
    return *out == NULL ? parse_no_memory(p) : 0;
}

struct tags {
    struct stream_all all;
    uint32_t cap;
};

static int IMPL(member_fn)
add_tag(struct parser *p, struct member *member, void *arg)
{
    struct tags *tags = arg;
    struct stream_tag *tag;

    tags->all.tags = parse_grow(p, tags->all.tags, tags->all.ntags,
        &tags->cap, sizeof(*tags->all.tags));
    if (tags->all.tags == NULL)
        return -1;
    tag = &tags->all.tags[tags->all.ntags++];
    tag->label = member->key;
    tag->op = member->values.n == 1 ? STREAM_EQ : STREAM_IN;
    tag->values = member->values.items;
    tag->nvalues = member->values.n;
    return 0;
}

int
parse_json_stream(struct parser *p, struct filter **out)
{
    struct tags tags = {.cap = 0};

    *out = filter_new(p->pool, FILTER_STREAM, SV("_stream"), 0);
    if (*out == NULL)
        return parse_no_memory(p);
    if (parse_members(p, add_tag, &tags) == -1)
        return -1;
    if (tags.all.ntags == 0)
        return 0;
    (*out)->stream = pool_zalloc(p->pool, sizeof(*(*out)->stream));
    if ((*out)->stream == NULL)
        return parse_no_memory(p);
    (*out)->stream[0] = tags.all;
    (*out)->nstream = 1;
    return 0;
}
