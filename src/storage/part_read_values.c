/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Which values the attributes of a part have (part_format.h: VALUES): parsed
 * when the part is opened, and asked for texts, for numbers of rows and for
 * blocks.
 */

#include "core/base.h"
#include "storage/part_values.h"

#include "core/enc.h"
#include "core/num.h"
#include "storage/block_read.h"

/* A list takes a key and a number, a value three numbers, at least. */
#define LIST_BYTES_MIN 2u
#define VALUE_BYTES_MIN 3u

struct parser {
    struct part *part;
    struct enc_reader r;
    struct err *err;
};

static int
wrong(const struct parser *p, const char *what, uint64_t where)
{
    return part_corrupt(p->part, p->err, "section VALUES: %s %llu", what,
        (unsigned long long)where);
}

static void *
alloc(const struct parser *p, uint64_t n, size_t size)
{
    void *memory = pool_zalloc(p->part->pool, (size_t)n * size + 1);

    if (memory == NULL)
        (void)err_set(p->err, ERR_LIMIT, "%s: no memory for section VALUES",
            p->part->path);
    return memory;
}

static size_t
bytes_left(const struct parser *p)
{
    return (size_t)(p->r.end - p->r.ptr);
}

/* --- parsing --- */

static bool
is_text(const struct part *part, uint32_t key)
{
    return key < part->nkeys && part->keys[key].type == VALUE_STRING;
}

static int
parse_value(struct parser *p, uint32_t key, struct part_value *v)
{
    uint64_t n;

    if (is_text(p->part, key))
        v->text = enc_read_bytes(&p->r, enc_read_varint(&p->r));
    else
        v->number = enc_unzigzag(enc_read_varint(&p->r));
    v->rows = enc_read_varint(&p->r);
    n = enc_read_varint(&p->r);
    v->blocks = (const uint8_t *)enc_read_bytes(&p->r, n).ptr;
    v->nbytes = (uint32_t)n;
    if (p->r.failed || n > PART_BLOCKS_MAX / 8 || v->rows == 0 ||
        v->rows > p->part->info.rows)
        return wrong(p, "value of key", key);
    if (key == p->part->nkeys &&
        (v->number < 0 || v->number >= p->part->nresources))
        return wrong(p, "resource", (uint64_t)v->number);
    return 0;
}

static bool
is_rising(const struct part *part, uint32_t key, const struct part_value *v)
{
    return is_text(part, key) ? sv_cmp(v[-1].text, v->text) < 0 :
        v[-1].number < v->number;
}

static int
parse_list(struct parser *p, struct part_value_list *list, uint32_t before)
{
    const struct part *part = p->part;
    uint64_t key = enc_read_varint(&p->r), n = enc_read_varint(&p->r);
    struct part_value *v;

    if (p->r.failed || key > part->nkeys || key + 1 <= before ||
        n > bytes_left(p) / VALUE_BYTES_MIN)
        return wrong(p, "list of key", key);
    list->key = (uint32_t)key;
    if (key < part->nkeys && (part->keys[key].scope != KEY_SPAN ||
        part->keys[key].is_field || (n > 0 &&
        part->keys[key].type != VALUE_STRING &&
        part->keys[key].type != VALUE_INT &&
        part->keys[key].type != VALUE_BOOL)))
        return wrong(p, "key", key);
    list->n = (uint32_t)n;
    list->v = v = alloc(p, n, sizeof(*v));
    if (v == NULL)
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        if (parse_value(p, list->key, &v[i]) != 0)
            return -1;
        if (i > 0 && !is_rising(part, list->key, &v[i]))
            return wrong(p, "order of key", key);
    }
    return 0;
}

static int
parse_tenant(struct parser *p, struct part_values *values)
{
    struct part_value_list *lists;
    uint64_t n;

    values->rows = enc_read_varint(&p->r);
    n = enc_read_varint(&p->r);
    if (p->r.failed || values->rows > p->part->info.rows ||
        n > bytes_left(p) / LIST_BYTES_MIN)
        return wrong(p, "lists", n);
    values->nlists = (uint32_t)n;
    values->lists = lists = alloc(p, n, sizeof(*lists));
    if (lists == NULL)
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        if (parse_list(p, &lists[i], i == 0 ? 0 : lists[i - 1].key + 1) != 0)
            return -1;
    }
    return 0;
}

int
part_parse_values(struct part *part, struct sv raw, struct err *err)
{
    struct parser p = {part, enc_reader_make(raw.ptr, raw.len), err};

    part->values = alloc(&p, part->ntenants, sizeof(*part->values));
    if (part->values == NULL)
        return -1;
    for (uint32_t i = 0; i < part->ntenants; i++) {
        if (parse_tenant(&p, &part->values[i]) != 0)
            return -1;
    }
    return p.r.ptr == p.r.end ? 0 : wrong(&p, "length", raw.len);
}

/* --- looking up --- */

const struct part_value_list *
part_find_values(const struct part *part, uint32_t tenant, uint32_t key)
{
    const struct part_values *values = &part->values[tenant];
    uint32_t low = 0, high = values->nlists;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (values->lists[middle].key == key)
            return &values->lists[middle];
        if (values->lists[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const struct part_value *
part_find_text(const struct part_value_list *list, struct sv text)
{
    uint32_t low = 0, high = list->n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = sv_cmp(list->v[middle].text, text);

        if (order == 0)
            return &list->v[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const struct part_value *
part_find_number(const struct part_value_list *list, int64_t number)
{
    uint32_t low = 0, high = list->n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (list->v[middle].number == number)
            return &list->v[middle];
        if (list->v[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* --- the values of a field --- */

/* The keys that give the field its text, or -1: too many, or others. */
#define SOURCES_MAX 8
struct sources {
    uint32_t keys[SOURCES_MAX];
    int n;
};

static void
find_sources(const struct part *part, const struct block_field *field,
    struct sources *sources)
{
    sources->n = 0;
    for (uint32_t i = 0; i < part->nkeys; i++) {
        const struct part_key *key = &part->keys[i];

        if (!part_key_is_source(field, key))
            continue;
        if (sources->n == SOURCES_MAX || (key->type != VALUE_STRING &&
            key->type != VALUE_INT && key->type != VALUE_BOOL)) {
            sources->n = -1;
            return;
        }
        sources->keys[sources->n++] = i;
    }
}

/* Does a row have two values, of which only the last one counts? */
static bool
has_twice(const struct part *part, const struct sources *sources)
{
    for (uint32_t i = 0; i < part->nshapes && sources->n > 1; i++) {
        const struct part_shape *shape = &part->shapes[i];
        int n = 0;

        for (uint32_t k = 0; k < shape->n; k++) {
            for (int s = 0; s < sources->n; s++)
                n += part->shape_keys[shape->first + k] == sources->keys[s];
        }
        if (n > 1)
            return true;
    }
    return false;
}

static struct sv
value_text(const struct part_key *key, const struct part_value *value,
    struct block *block)
{
    struct sv text = value->text;

    switch (key->type) {
    case VALUE_STRING:
        return text.len == 0 ? SV("-") : text;
    case VALUE_BOOL:
        return value->number != 0 ? SV("true") : SV("false");
    default:
        if (block_number_text(block, value->number, &text) != 0)
            return SV_EMPTY;
        return text;
    }
}

static int
add_count(struct part_counts *counts, struct sv text, uint64_t rows,
    struct block *block)
{
    if (counts->n == counts->cap) {
        uint32_t cap = MAX(2 * counts->cap, 64u);
        struct sv *texts = block_alloc(block, cap, sizeof(*texts));
        uint64_t *sums = block_alloc(block, cap, sizeof(*sums));

        if (texts == NULL || sums == NULL)
            return -1;
        if (counts->n > 0) {
            memcpy(texts, counts->texts, counts->n * sizeof(*texts));
            memcpy(sums, counts->rows, counts->n * sizeof(*sums));
        }
        counts->texts = texts;
        counts->rows = sums;
        counts->cap = cap;
    }
    counts->texts[counts->n] = text;
    counts->rows[counts->n++] = rows;
    return 0;
}

/* 1: all are in counts. */
static int
count_attr(const struct part *part, uint32_t tenant,
    const struct block_field *field, struct part_counts *counts,
    struct block *block)
{
    struct sources sources;
    uint64_t rows = 0;

    find_sources(part, field, &sources);
    if (sources.n < 0 || has_twice(part, &sources))
        return 0;
    for (int i = 0; i < sources.n; i++) {
        const struct part_value_list *list = part_find_values(part, tenant,
            sources.keys[i]);

        if (list != NULL && list->n == 0)
            return 0;
        for (uint32_t k = 0; list != NULL && k < list->n; k++) {
            rows += list->v[k].rows;
            if (add_count(counts, value_text(&part->keys[sources.keys[i]],
                    &list->v[k], block), list->v[k].rows, block) != 0)
                return -1;
        }
    }
    if (rows > part->values[tenant].rows)
        return 0;
    if (rows < part->values[tenant].rows && add_count(counts, SV_EMPTY,
            part->values[tenant].rows - rows, block) != 0)
        return -1;
    return 1;
}

static int
count_resources(const struct part *part, uint32_t tenant,
    const struct block_field *field, struct part_counts *counts,
    struct block *block)
{
    const struct part_value_list *list = part_find_values(part, tenant,
        part->nkeys);

    if (list == NULL || list->n == 0)
        return 0;
    for (uint32_t i = 0; i < list->n; i++) {
        struct sv text;

        if (block_attrs_text(block, &part->resources[list->v[i].number].attrs,
                field->key, &text) != 0 ||
            add_count(counts, text, list->v[i].rows, block) != 0)
            return -1;
    }
    return 1;
}

int
part_count_values(struct part *part, const struct tenant *tenant,
    struct sv name, struct part_counts *counts, struct err *err)
{
    struct block_field field = block_field_parse(name);
    struct block block = {.pool = counts->pool, .err = err};
    uint32_t owner = part_find_tenant(part, tenant);

    counts->texts = NULL;
    counts->n = counts->cap = 0;
    if (owner == part->ntenants)
        return 1;
    if (part->values == NULL || field.what != BLOCK_ATTR)
        return 0;
    if (field.scope == KEY_SPAN)
        return count_attr(part, owner, &field, counts, &block);
    if (field.scope == KEY_RESOURCE)
        return count_resources(part, owner, &field, counts, &block);
    return 0;
}

/* --- blocks without a text --- */

/* May the value be in the block?  -1: the list does not tell. */
static int
list_has(const struct part *part, const struct part_value_list *list,
    struct sv text, uint32_t block)
{
    const struct part_value *value = NULL;
    int64_t number;

    if (list->n == 0)
        return -1;
    switch (part->keys[list->key].type) {
    case VALUE_STRING:
        value = part_find_text(list, text);
        if ((value == NULL || !part_value_is_in(value, block)) &&
            sv_eq(text, SV("-")))
            value = part_find_text(list, SV_EMPTY);
        break;
    case VALUE_BOOL:
        if (sv_eq(text, SV("true")) || sv_eq(text, SV("false")))
            value = part_find_number(list, sv_eq(text, SV("true")));
        break;
    default:
        if (num_parse_exact_i64(text, &number))
            value = part_find_number(list, number);
    }
    return value != NULL && part_value_is_in(value, block);
}

bool
part_values_may_have(const struct part *part, uint32_t key, struct sv text,
    uint32_t block)
{
    if (part->values == NULL || part->ntenants > PART_VALUES_TENANTS)
        return true;
    for (uint32_t tenant = 0; tenant < part->ntenants; tenant++) {
        const struct part_value_list *list = part_find_values(part, tenant,
            key);

        if (list != NULL && list_has(part, list, text, block) != 0)
            return true;
    }
    return false;
}

/* Does a value of the list that is in the block pass? */
static int
ask_list(struct block *block, const struct part_value_list *list,
    const struct block_ask *ask, bool *may)
{
    uint8_t type = block->reading.part->keys[list->key].type;

    *may = false;
    for (uint32_t i = 0; i < list->n && !*may; i++) {
        char number[24];
        struct sv text = list->v[i].text;

        if (!part_value_is_in(&list->v[i], block->reading.block_idx))
            continue;
        if (type == VALUE_BOOL)
            text = list->v[i].number != 0 ? SV("true") : SV("false");
        else if (type == VALUE_INT)
            text = sv_make(number, num_print_i64(number,
                list->v[i].number));
        if (block_ask_text(block, ask, text.len == 0 ? SV("-") : text,
                may) != 0)
            return -1;
    }
    return 0;
}

int
part_values_ask(struct block *block, uint32_t key,
    const struct block_ask *ask, bool *may)
{
    const struct part *part = block->reading.part;

    *may = false;
    if (part->values == NULL || part->ntenants > PART_VALUES_TENANTS)
        return 1;
    for (uint32_t tenant = 0; tenant < part->ntenants; tenant++) {
        const struct part_value_list *list = part_find_values(part, tenant,
            key);

        if (list != NULL && list->n == 0)
            return 1;
    }
    for (uint32_t tenant = 0; tenant < part->ntenants && !*may; tenant++) {
        const struct part_value_list *list = part_find_values(part, tenant,
            key);

        if (list != NULL && ask_list(block, list, ask, may) != 0)
            return -1;
    }
    return 0;
}

bool
part_resource_may_be(const struct part *part, uint32_t resource,
    uint32_t block)
{
    if (part->values == NULL || part->ntenants > PART_VALUES_TENANTS)
        return true;
    for (uint32_t tenant = 0; tenant < part->ntenants; tenant++) {
        const struct part_value_list *list = part_find_values(part, tenant,
            part->nkeys);
        const struct part_value *value;

        if (list == NULL)
            continue;
        if (list->n == 0)
            return true;
        value = part_find_number(list, resource);
        if (value != NULL && part_value_is_in(value, block))
            return true;
    }
    return false;
}
