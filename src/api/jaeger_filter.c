/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "api/jaeger_filter.h"

#include <math.h>

#include "core/json_in.h"
#include "core/timefmt.h"
#include "query/parse.h"
#include "query/regexp.h"

#define TAGS_MAX 100u

struct builder {
    struct pool *pool;
    struct filter *items[TAGS_MAX + 8];
    uint32_t n;
    uint32_t ntags;
};

static int
no_memory(struct err *err)
{
    return err_set(err, ERR_LIMIT, "no memory");
}

static struct filter *
filter_new(struct pool *pool, enum filter_kind kind, struct sv field)
{
    struct filter *filter = pool_zalloc(pool, sizeof(*filter));

    if (filter != NULL) {
        filter->kind = kind;
        filter->field = field;
    }
    return filter;
}

static struct filter *
filter_of(struct pool *pool, enum filter_kind kind, struct filter **items,
    uint32_t n)
{
    struct filter *filter = filter_new(pool, kind, SV_EMPTY);
    size_t bytes = n * sizeof(*items);

    if (filter == NULL)
        return NULL;
    filter->items = pool_alloc(pool, bytes);
    if (filter->items == NULL)
        return NULL;
    memcpy(filter->items, items, bytes);
    filter->nitems = n;
    return filter;
}

/* --- tags --- */

/* The code of a name, or a text that no span has. */
static struct sv
code_of(struct sv name, const char *const *names, uint32_t n)
{
    static const struct sv codes[] = {{"0", 1}, {"1", 1}, {"2", 1}, {"3", 1},
        {"4", 1}, {"5", 1}};

    for (uint32_t i = 0; i < n; i++) {
        if (sv_eq(name, sv_from(names[i])))
            return codes[i];
    }
    return SV("none");
}

/* A tag that Jaeger shows for a field of another name; false: it is none. */
static bool
made_tag(struct sv key, struct sv *field, struct sv *value)
{
    static const char *const errors[] = {"unset", "false", "true"};
    static const char *const statuses[] = {"UNSET", "OK", "ERROR"};
    static const char *const kinds[] = {"unspecified", "internal", "server",
        "client", "producer", "consumer"};
    static const struct {
        const char *tag, *field;
    } same[] = {
        {"otel.status_description", "status_message"},
        {"w3c.tracestate", "trace_state"},
        {"otel.scope.name", "scope_name"},
        {"otel.scope.version", "scope_version"},
    };

    if (sv_eq(key, SV("error"))) {
        *field = SV("status_code");
        *value = code_of(*value, errors, ARRAY_LEN(errors));
        return true;
    }
    if (sv_eq(key, SV("otel.status_code"))) {
        *field = SV("status_code");
        *value = code_of(*value, statuses, ARRAY_LEN(statuses));
        return true;
    }
    if (sv_eq(key, SV("span.kind"))) {
        *field = SV("kind");
        *value = code_of(*value, kinds, ARRAY_LEN(kinds));
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        if (sv_eq(key, sv_from(same[i].tag))) {
            *field = sv_from(same[i].field);
            return true;
        }
    }
    *field = key;
    return sv_starts_with(key, SV("resource_attr:")) ||
        sv_starts_with(key, SV("scope_attr:"));
}

static struct filter *
value_filter(struct builder *b, struct sv field, struct sv value,
    struct err *err)
{
    bool is_regexp = value.len > 0 && value.ptr[0] == '~';
    struct filter *filter = filter_new(b->pool,
        is_regexp ? FILTER_REGEXP : FILTER_EXACT, field);

    if (filter == NULL) {
        no_memory(err);
        return NULL;
    }
    filter->text = is_regexp ? sv_sub(value, 1, value.len - 1) : value;
    if (is_regexp && regexp_compile(&filter->regexp, filter->text,
        REGEXP_DOT_NEWLINE, b->pool, err) != 0)
        return NULL;
    return filter;
}

static struct sv
prefixed(struct builder *b, const char *prefix, struct sv key)
{
    size_t len = strlen(prefix);
    char *name = pool_alloc(b->pool, len + key.len + 1);

    if (name == NULL)
        return SV_EMPTY;
    memcpy(name, prefix, len);
    memcpy(name + len, key.ptr, key.len);
    return sv_make(name, len + key.len);
}

/* An attribute of the span or of its resource. */
static struct filter *
attr_filter(struct builder *b, struct sv key, struct sv value,
    struct err *err)
{
    struct filter *items[2];

    items[0] = value_filter(b, prefixed(b, "span_attr:", key), value, err);
    if (items[0] == NULL)
        return NULL;
    items[1] = value_filter(b, prefixed(b, "resource_attr:", key), value,
        err);
    return items[1] == NULL ? NULL
        : filter_of(b->pool, FILTER_OR, items, 2);
}

static int
add_tag(struct builder *b, struct sv key, struct sv value, struct err *err)
{
    bool is_not = key.len > 1 && key.ptr[key.len - 1] == '!';
    struct filter *filter;
    struct sv field;

    if (++b->ntags > TAGS_MAX)
        return err_set(err, ERR_INVALID, "more than %u tags", TAGS_MAX);
    if (is_not)
        key.len--;
    if (key.len == 0)
        return err_set(err, ERR_INVALID, "a tag has no name");
    filter = made_tag(key, &field, &value)
        ? value_filter(b, field, value, err)
        : attr_filter(b, key, value, err);
    if (filter != NULL && is_not)
        filter = filter_of(b->pool, FILTER_NOT, &filter, 1);
    if (filter == NULL)
        return err->code != ERR_NONE ? -1 : no_memory(err);
    b->items[b->n++] = filter;
    return 0;
}

/* tags={"key":"value", ...} */
static int
add_tags_json(struct builder *b, struct sv text, struct err *err)
{
    struct json_in in;
    struct sv key, value;

    json_in_init(&in, text, b->pool);
    if (!json_enter_object(&in))
        return err_set(err, ERR_INVALID, "tags: a JSON object of strings "
            "expected");
    while (json_next_key(&in, &key)) {
        if (json_peek(&in) != JSON_STRING ||
            !json_read_string(&in, &value))
            return err_set(err, ERR_INVALID, "tags: a JSON object of "
                "strings expected");
        if (add_tag(b, key, value, err) != 0)
            return -1;
    }
    if (json_in_failed(&in))
        return err_set(err, ERR_INVALID, "tags: the JSON is malformed");
    return 0;
}

/* tag=key:value, repeated */
static int
add_tag_args(struct builder *b, struct http_req *req, struct err *err)
{
    for (unsigned i = 0; i <= TAGS_MAX; i++) {
        struct sv text = http_arg_n(req, "tag", i);
        size_t colon;

        if (text.ptr == NULL)
            return 0;
        if (text.len == 0)
            continue;
        colon = sv_find_byte(text, ':');
        if (colon == text.len)
            return err_set(err, ERR_INVALID, "tag: key:value expected");
        if (add_tag(b, sv_sub(text, 0, colon),
            sv_sub(text, colon + 1, text.len), err) != 0)
            return -1;
    }
    return err_set(err, ERR_INVALID, "more than %u tags", TAGS_MAX);
}

/* --- the rest --- */

static int
add_exact(struct builder *b, const char *field, struct sv value,
    struct err *err)
{
    struct filter *filter;

    if (value.len == 0)
        return 0;
    filter = filter_new(b->pool, FILTER_EXACT, sv_from(field));
    if (filter == NULL)
        return no_memory(err);
    filter->text = value;
    b->items[b->n++] = filter;
    return 0;
}

static int
duration_arg(struct http_req *req, const char *name, double *ns,
    struct err *err)
{
    struct sv text = http_arg(req, name);
    int64_t value;

    if (text.len == 0)
        return 0;
    if (!time_parse_duration(text, &value))
        return err_set(err, ERR_INVALID, "%s: a duration such as 1.5ms "
            "expected", name);
    *ns = (double)value;
    return 0;
}

static int
add_durations(struct builder *b, struct http_req *req, struct err *err)
{
    double min = -INFINITY, max = INFINITY;
    struct filter *filter;

    if (duration_arg(req, "minDuration", &min, err) != 0 ||
        duration_arg(req, "maxDuration", &max, err) != 0)
        return -1;
    if (max < min)
        return err_set(err, ERR_INVALID, "maxDuration is below minDuration");
    if (isinf(min) && isinf(max))
        return 0;
    filter = filter_new(b->pool, FILTER_NUMBER_RANGE, SV("duration"));
    if (filter == NULL)
        return no_memory(err);
    filter->min = min;
    filter->max = max;
    b->items[b->n++] = filter;
    return 0;
}

int
jaeger_filter(struct http_req *req, struct query *query, struct err *err)
{
    struct builder b = {.pool = query->pool};
    struct sv service = http_arg(req, "service");
    struct sv tags = http_arg(req, "tags");

    if (service.len == 0)
        return err_set(err, ERR_INVALID, "parameter 'service' is required");
    b.items[b.n] = filter_new_time(b.pool, query->min_time, query->max_time);
    if (b.items[b.n++] == NULL)
        return no_memory(err);
    if (add_exact(&b, "resource_attr:service.name", service, err) != 0 ||
        add_exact(&b, "name", http_arg(req, "operation"), err) != 0 ||
        add_durations(&b, req, err) != 0 ||
        (tags.len > 0 && add_tags_json(&b, tags, err) != 0) ||
        add_tag_args(&b, req, err) != 0)
        return -1;
    query->filter = filter_of(b.pool, FILTER_AND, b.items, b.n);
    return query->filter == NULL ? no_memory(err) : 0;
}
