/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Lists of field names of a request, and their canonical form:
 *
 *   per list that is not empty, in the order of enum params_kind:
 *     u8      'S' stream, 'I' ignore, 'D' decolorize, 'E' extra
 *     varint  number of items
 *     per item: text name ("prefix*" as it was written), extra: text value
 *
 * A text is a varint length and the bytes.  Names ascend by bytes.
 */

#include "core/base.h"
#include "span/params.h"

#include "core/assert.h"
#include "core/enc.h"
#include "core/num.h"
#include "span/wire.h"

static const char letters[PARAMS_KINDS] = {'S', 'I', 'D', 'E'};
static const char *const titles[PARAMS_KINDS] = {
    "_stream_fields", "ignore_fields", "decolorize_fields", "extra_fields",
};

static const struct sv field_names[PARAMS_FIELDS] = {
    [PARAMS_NAME] = {"name", 4},
    [PARAMS_TRACE_STATE] = {"trace_state", 11},
    [PARAMS_STATUS_MESSAGE] = {"status_message", 14},
    [PARAMS_SCOPE_NAME] = {"scope_name", 10},
    [PARAMS_SCOPE_VERSION] = {"scope_version", 13},
    [PARAMS_KIND] = {"kind", 4},
    [PARAMS_STATUS_CODE] = {"status_code", 11},
    [PARAMS_FLAGS] = {"flags", 5},
    [PARAMS_DROPPED_ATTRS] = {"dropped_attributes_count", 24},
    [PARAMS_DROPPED_EVENTS] = {"dropped_events_count", 20},
    [PARAMS_DROPPED_LINKS] = {"dropped_links_count", 19},
};

struct sv
params_field_name(enum params_field field)
{
    check((unsigned)field < PARAMS_FIELDS);
    return field_names[field];
}

/* --- items --- */

static bool
is_one_of(struct sv name, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (sv_eq(name, sv_from(*names)))
            return true;
    }
    return false;
}

static bool
has_prefix_alone(struct sv name)
{
    return sv_eq(name, PARAMS_RESOURCE) || sv_eq(name, PARAMS_SCOPE) ||
        sv_eq(name, PARAMS_SPAN);
}

/* A number that the field can hold. */
static bool
number_fits(struct sv name, struct sv value)
{
    uint64_t u;
    int64_t i;

    for (unsigned field = PARAMS_KIND; field < PARAMS_FIELDS; field++) {
        if (!sv_eq(name, field_names[field]))
            continue;
        if (field == PARAMS_KIND || field == PARAMS_STATUS_CODE)
            return num_parse_i64(value, &i) && i >= INT32_MIN &&
                i <= INT32_MAX;
        return num_parse_u64(value, &u) && u <= UINT32_MAX;
    }
    return true;
}

static int
check_extra(const struct param *param, struct err *err)
{
    static const char *const fixed[] = {"trace_id", "span_id",
        "parent_span_id", "start_time_unix_nano", "end_time_unix_nano",
        "duration", "_time", "_stream", "_stream_id", "_msg", NULL};
    struct sv name = param->name;

    if (param->value.len == 0)
        return err_set(err, ERR_INVALID,
            "extra_fields: %.*s has no value", SV_ARG(name));
    if (is_one_of(name, fixed) || sv_starts_with(name, PARAMS_EVENT) ||
        sv_starts_with(name, PARAMS_LINK))
        return err_set(err, ERR_INVALID,
            "extra_fields: %.*s cannot be set", SV_ARG(name));
    if (has_prefix_alone(name))
        return err_set(err, ERR_INVALID,
            "extra_fields: %.*s has no attribute name", SV_ARG(name));
    if (!number_fits(name, param->value))
        return err_set(err, ERR_INVALID,
            "extra_fields: the value of %.*s is not a number it can have",
            SV_ARG(name));
    return 0;
}

/* item is "name", "prefix*" or "name=value". */
static int
make_param(struct param *param, enum params_kind kind, struct sv item,
    struct err *err)
{
    *param = (struct param){item, SV_EMPTY, false};
    if (kind == PARAMS_EXTRA) {
        size_t equals = sv_find_byte(item, '=');

        if (equals == item.len)
            return err_set(err, ERR_INVALID,
                "extra_fields: an item is not name=value");
        param->name = sv_sub(item, 0, equals);
        param->value = sv_sub(item, equals + 1, item.len);
    } else if (kind != PARAMS_STREAM && sv_ends_with(item, SV("*"))) {
        param->is_prefix = true;
        param->name.len--;
    }
    if (param->name.len == 0 && !param->is_prefix)
        return err_set(err, ERR_INVALID, "%s: an item has no name",
            titles[kind]);
    if (param->name.len > SPAN_FIELD_NAME_MAX)
        return err_set(err, ERR_INVALID,
            "%s: a field name is longer than %d bytes", titles[kind],
            SPAN_FIELD_NAME_MAX);
    return kind == PARAMS_EXTRA ? check_extra(param, err) : 0;
}

/* --- lists --- */

/* A prefix comes before what it covers. */
static int
compare_params(const struct param *x, const struct param *y)
{
    int order = sv_cmp(x->name, y->name);

    return order != 0 ? order : (int)y->is_prefix - (int)x->is_prefix;
}

/* These are labels of every stream. */
static bool
is_always_label(struct sv name)
{
    return sv_eq(name, SV("resource_attr:service.name")) ||
        sv_eq(name, SV("name"));
}

/* Each name once, none that a prefix covers. */
static void
normalize(struct params_list *list, enum params_kind kind)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < list->n; i++) {
        const struct param *param = &list->v[i];
        struct param *last = n > 0 ? &list->v[n - 1] : NULL;

        if (kind == PARAMS_STREAM && is_always_label(param->name))
            continue;
        if (last != NULL && last->is_prefix &&
            sv_starts_with(param->name, last->name))
            continue;
        if (last != NULL && sv_eq(last->name, param->name))
            *last = *param;
        else
            list->v[n++] = *param;
    }
    list->n = n;
}

/* Stable, so that of extra fields of one name the last stays the last. */
static void
sort_params(struct params_list *list)
{
    for (uint32_t i = 1; i < list->n; i++) {
        struct param param = list->v[i];
        uint32_t at = i;

        while (at > 0 && compare_params(&list->v[at - 1], &param) > 0)
            at--;
        memmove(&list->v[at + 1], &list->v[at],
            (i - at) * sizeof(*list->v));
        list->v[at] = param;
    }
}

int
params_set(struct params *params, enum params_kind kind, struct sv text,
    struct pool *pool, struct err *err)
{
    struct params_list *list = &params->lists[kind];
    struct sv rest = text, item;

    check((unsigned)kind < PARAMS_KINDS);
    *list = (struct params_list){NULL, 0};
    while (sv_split(&rest, ',', &item)) {
        item = sv_trim(item);
        if (item.len == 0)
            continue;
        if (list->n == PARAMS_NAMES_MAX)
            return err_set(err, ERR_INVALID, "%s: more than %u items",
                titles[kind], PARAMS_NAMES_MAX);
        if (list->v == NULL)
            list->v = pool_alloc(pool, PARAMS_NAMES_MAX * sizeof(*list->v));
        if (list->v == NULL)
            return err_set(err, ERR_LIMIT, "no memory for the parameters");
        if (make_param(&list->v[list->n], kind, item, err) != 0)
            return -1;
        list->n++;
    }
    sort_params(list);
    normalize(list, kind);
    return 0;
}

/* --- the canonical form --- */

static void
put_item(struct sb *out, enum params_kind kind, const struct param *param)
{
    wire_put_varint(out, param->name.len + param->is_prefix);
    sb_add_sv(out, param->name);
    if (param->is_prefix)
        sb_add_char(out, '*');
    if (kind == PARAMS_EXTRA)
        text_list_put(out, param->value);
}

static void
put_all(struct sb *out, const struct params *params)
{
    for (unsigned kind = 0; kind < PARAMS_KINDS; kind++) {
        const struct params_list *list = &params->lists[kind];

        if (list->n == 0)
            continue;
        sb_add_char(out, letters[kind]);
        wire_put_varint(out, list->n);
        for (uint32_t i = 0; i < list->n; i++)
            put_item(out, (enum params_kind)kind, &list->v[i]);
    }
}

int
params_encode(const struct params *params, struct pool *pool, struct sv *out,
    struct err *err)
{
    struct sb text;
    char *copy;
    int rc = -1;

    *out = SV_EMPTY;
    sb_init(&text, PARAMS_BYTES_MAX);
    put_all(&text, params);
    copy = text.len == 0 ? NULL : pool_dup(pool, text.ptr, text.len);
    if (sb_failed(&text) || (text.len > 0 && copy == NULL)) {
        err_set(err, ERR_LIMIT, "the parameters are too long");
        goto out;
    }
    if (copy != NULL)
        *out = sv_make(copy, text.len);
    rc = 0;
out:
    sb_release(&text);
    return rc;
}

static int
read_item(struct enc_reader *r, enum params_kind kind, struct param *param,
    struct err *err)
{
    struct sv name = enc_read_sv(r);

    *param = (struct param){name, SV_EMPTY, false};
    if (kind == PARAMS_EXTRA)
        param->value = enc_read_sv(r);
    if (r->failed)
        return err_set(err, ERR_CORRUPT, "parameters are cut");
    if (kind != PARAMS_STREAM && kind != PARAMS_EXTRA &&
        sv_ends_with(name, SV("*"))) {
        param->is_prefix = true;
        param->name.len--;
    }
    return 0;
}

static int
read_list(struct enc_reader *r, enum params_kind kind,
    struct params_list *list, struct pool *pool, struct err *err)
{
    uint64_t n = enc_read_varint(r);

    if (r->failed || n == 0 || n > PARAMS_NAMES_MAX)
        return err_set(err, ERR_CORRUPT, "count of parameters");
    list->v = pool_alloc(pool, n * sizeof(*list->v));
    if (list->v == NULL)
        return err_set(err, ERR_LIMIT, "no memory for the parameters");
    for (list->n = 0; list->n < n; list->n++) {
        struct param *param = &list->v[list->n];

        if (read_item(r, kind, param, err) != 0)
            return -1;
        if (list->n > 0 && compare_params(param - 1, param) >= 0)
            return err_set(err, ERR_CORRUPT, "order of parameters");
    }
    normalize(list, kind);
    return list->n == n ? 0
        : err_set(err, ERR_CORRUPT, "parameters that say the same");
}

static unsigned
kind_of(uint8_t letter)
{
    unsigned kind = 0;

    while (kind < PARAMS_KINDS && letters[kind] != (char)letter)
        kind++;
    return kind;
}

int
params_decode(struct params *params, struct sv canonical, struct pool *pool,
    struct err *err)
{
    struct enc_reader r = {(const uint8_t *)canonical.ptr,
        (const uint8_t *)canonical.ptr + canonical.len, false};
    unsigned next = 0;

    memset(params, 0, sizeof(*params));
    if (canonical.len > PARAMS_BYTES_MAX)
        return err_set(err, ERR_CORRUPT, "parameters are too long");
    while (r.ptr < r.end) {
        unsigned kind = kind_of(enc_read8(&r));

        if (kind < next || kind == PARAMS_KINDS)
            return err_set(err, ERR_CORRUPT, "unknown parameters");
        next = kind + 1;
        if (read_list(&r, (enum params_kind)kind, &params->lists[kind], pool,
                err) != 0)
            return -1;
    }
    return 0;
}

int
params_apply_canonical(struct sv canonical, struct batch *batch,
    struct err *err)
{
    struct params params;

    if (canonical.len == 0)
        return 0;
    if (params_decode(&params, canonical, batch->pool, err) != 0)
        return -1;
    return params_apply(&params, batch, err);
}

/* --- matching --- */

/*
 * Order of a text and a name in pieces; *is_begin says whether the name
 * begins with the text.
 */
static int
compare_name(struct sv text, const struct field_name *name, bool *is_begin)
{
    *is_begin = false;
    for (unsigned i = 0; i < ARRAY_LEN(name->parts); i++) {
        struct sv part = name->parts[i];
        size_t n = MIN(part.len, text.len);
        int order = n == 0 ? 0 : memcmp(text.ptr, part.ptr, n);

        if (order != 0)
            return order;
        text = sv_sub(text, n, text.len);
        if (n < part.len) {
            *is_begin = true;
            return -1;
        }
    }
    *is_begin = text.len == 0;
    return text.len > 0;
}

/*
 * The last entry that is not behind the name: since no entry is covered by
 * another one, only that can stand for it.
 */
static const struct param *
find_not_behind(const struct params_list *list, const struct field_name *name,
    int *order, bool *is_begin)
{
    const struct param *found = NULL;
    uint32_t low = 0, high = list->n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        bool begins;
        int c = compare_name(list->v[middle].name, name, &begins);

        if (c > 0) {
            high = middle;
            continue;
        }
        found = &list->v[middle];
        *order = c;
        *is_begin = begins;
        low = middle + 1;
    }
    return found;
}

bool
params_match(const struct params_list *list, const struct field_name *name)
{
    bool is_begin = false;
    int order = 0;
    const struct param *param = find_not_behind(list, name, &order,
        &is_begin);

    return param != NULL && (param->is_prefix ? is_begin : order == 0);
}

const struct param *
params_find(const struct params_list *list, const struct field_name *name)
{
    bool is_begin = false;
    int order = 0;
    const struct param *param = find_not_behind(list, name, &order,
        &is_begin);

    return param != NULL && order == 0 ? param : NULL;
}

bool
params_may_match(const struct params_list *list, struct sv begin)
{
    for (uint32_t i = 0; i < list->n; i++) {
        const struct param *param = &list->v[i];

        if (sv_starts_with(param->name, begin) ||
            (param->is_prefix && sv_starts_with(begin, param->name)))
            return true;
    }
    return false;
}
