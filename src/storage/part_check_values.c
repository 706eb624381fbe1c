/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Verifying a part: VALUES says what the rows say.  Each value of each row is
 * looked up and counted; at the end the counts and blocks are compared.
 */

#include "core/base.h"
#include "storage/part_check.h"

#include "core/mem.h"

/* Values decoded at a time. */
#define PIECE 256u

/* Of one list. */
struct counts {
    uint64_t *rows;    /* by value */
    uint16_t *nblocks; /* by value: blocks it was seen in */
    uint16_t *last;    /* by value: last of them + 1 */
};

struct part_check_values {
    struct part *part;
    struct counts **lists; /* by tenant, then number of the list */
    uint64_t *rows;        /* by tenant */
    uint32_t *first;       /* by tenant: its first list */
};

/* --- memory --- */

static int
no_memory(const struct part *part, struct err *err)
{
    return err_set(err, ERR_LIMIT, "%s: no memory to check VALUES",
        part->path);
}

int
part_check_values_begin(struct part_check_values **out, struct part *part,
    struct pool *pool, struct err *err)
{
    struct part_check_values *c;
    uint32_t n = 0;

    *out = NULL;
    if (part->values == NULL)
        return 0;
    c = pool_zalloc(pool, sizeof(*c));
    if (c == NULL)
        return no_memory(part, err);
    c->part = part;
    c->rows = pool_zalloc(pool, part->ntenants * sizeof(*c->rows));
    c->first = pool_zalloc(pool, part->ntenants * sizeof(*c->first));
    if (c->rows == NULL || c->first == NULL)
        return no_memory(part, err);
    for (uint32_t i = 0; i < part->ntenants; i++) {
        c->first[i] = n;
        n += part->values[i].nlists;
    }
    c->lists = pool_zalloc(pool, n * sizeof(*c->lists) + 1);
    for (uint32_t i = 0; c->lists != NULL && i < part->ntenants; i++) {
        for (uint32_t k = 0; k < part->values[i].nlists; k++) {
            uint32_t nvalues = part->values[i].lists[k].n;
            struct counts *counts = pool_zalloc(pool, sizeof(*counts));

            if (counts == NULL)
                return no_memory(part, err);
            counts->rows = pool_zalloc(pool, nvalues * 8u + 1);
            counts->nblocks = pool_zalloc(pool, nvalues * 2u + 1);
            counts->last = pool_zalloc(pool, nvalues * 2u + 1);
            if (counts->rows == NULL || counts->nblocks == NULL ||
                counts->last == NULL)
                return no_memory(part, err);
            c->lists[c->first[i] + k] = counts;
        }
    }
    *out = c;
    return c->lists == NULL ? no_memory(part, err) : 0;
}

/* --- one block --- */

static int
count_value(struct part_check_values *c, struct reading *r,
    const struct part_value_list *list, const struct part_value *value,
    uint32_t tenant)
{
    const struct part_values *values = &c->part->values[tenant];
    struct counts *counts = c->lists[c->first[tenant] +
        (uint32_t)(list - values->lists)];
    uint32_t i;

    if (value == NULL)
        return reading_corrupt(r, "a value of key %u is not in VALUES",
            list->key);
    i = (uint32_t)(value - list->v);
    if (!part_value_is_in(value, r->block_idx))
        return reading_corrupt(r, "a value of key %u: VALUES has not got the "
            "block", list->key);
    counts->rows[i]++;
    counts->nblocks[i] += counts->last[i] != r->block_idx + 1;
    counts->last[i] = (uint16_t)(r->block_idx + 1);
    return 0;
}

/* Values [from, from + n) of the key. */
struct stretch {
    uint32_t tenant;
    uint32_t key;
    uint32_t from;
    uint32_t n;
};

static int
find_value(struct reading *r, const struct part_value_list *list,
    uint64_t v, struct pool *pool, const struct part_value **out)
{
    struct sv text;

    if (r->part->keys[list->key].type != VALUE_STRING) {
        *out = part_find_number(list, (int64_t)v);
        return 0;
    }
    if (dictionary_get(r, PART_COLUMNS_CORE + list->key, v, pool,
            &text) != 0)
        return -1;
    *out = part_find_text(list, text);
    return 0;
}

static int
count_stretch(struct part_check_values *c, struct reading *r,
    const struct stretch *s, struct pool *pool)
{
    const struct part_value_list *list = part_find_values(c->part, s->tenant,
        s->key);
    const struct part_vector *vector = directory_find(r->dir,
        PART_COLUMNS_CORE + s->key, PART_ROLE_VALUES);
    const struct part_value *value = NULL;
    uint64_t buf[PIECE], last = 0;

    if (list == NULL)
        return reading_corrupt(r, "key %u is not in VALUES", s->key);
    if (list->n == 0)
        return 0;
    if (vector == NULL || s->from > vector->count ||
        s->n > vector->count - s->from)
        return reading_corrupt(r, "values of key %u", s->key);
    for (uint32_t i = 0; i < s->n; i += PIECE) {
        uint32_t n = MIN(PIECE, s->n - i);

        if (vector_decode(r, vector, s->from + i, n, buf) != 0)
            return -1;
        for (uint32_t k = 0; k < n; k++) {
            if (((i == 0 && k == 0) || buf[k] != last) &&
                find_value(r, list, buf[k], pool, &value) != 0)
                return -1;
            last = buf[k];
            if (count_value(c, r, list, value, s->tenant) != 0)
                return -1;
        }
    }
    return 0;
}

static int
count_resources(struct part_check_values *c, struct reading *r,
    uint32_t tenant, uint32_t from, uint32_t n)
{
    const struct part_value_list *list = part_find_values(c->part, tenant,
        c->part->nkeys);

    if (list == NULL)
        return reading_corrupt(r, "resources are not in VALUES");
    c->rows[tenant] += n;
    for (uint32_t row = from; list->n > 0 && row < from + n; row++) {
        uint64_t resource;

        if (column_get(r, PART_ROW_RESOURCE, r->block->rows, row,
                &resource) != 0 ||
            count_value(c, r, list, part_find_number(list,
                (int64_t)resource), tenant) != 0)
            return -1;
    }
    return 0;
}

int
part_check_values_block(struct part_check_values *c, struct reading *r,
    struct pool *pool)
{
    const struct part_runs *runs = NULL;
    const struct part *part = r->part;

    if (c == NULL)
        return 0;
    if (reading_runs(r, PART_TABLE_SPANS, &runs) != 0)
        return -1;
    for (uint32_t i = 0; i < runs->nruns; i++) {
        const struct part_shape *shape = &part->shapes[runs->shape[i]];
        uint32_t n = runs->start[i + 1] - runs->start[i];
        uint32_t tenant = part->streams[runs->stream[i]].tenant;

        pool_reset(pool);
        if (count_resources(c, r, tenant, runs->start[i], n) != 0)
            return -1;
        for (uint32_t k = 0; k < shape->n; k++) {
            struct stretch s = {tenant, part->shape_keys[shape->first + k],
                runs->base[runs->first[i] + k], n};

            if (!part->keys[s.key].is_field &&
                count_stretch(c, r, &s, pool) != 0)
                return -1;
        }
    }
    return 0;
}

/* --- the comparison --- */

static uint32_t
count_blocks(const struct part *part, const struct part_value *value)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < part->info.nblocks; i++)
        n += part_value_is_in(value, i);
    return n;
}

int
part_check_values_end(const struct part_check_values *c, struct err *err)
{
    for (uint32_t t = 0; c != NULL && t < c->part->ntenants; t++) {
        const struct part_values *values = &c->part->values[t];

        if (values->rows != c->rows[t])
            return part_corrupt(c->part, err, "section VALUES: %llu rows of "
                "tenant %u", (unsigned long long)values->rows, t);
        for (uint32_t k = 0; k < values->nlists; k++) {
            const struct part_value_list *list = &values->lists[k];
            const struct counts *counts = c->lists[c->first[t] + k];

            for (uint32_t i = 0; i < list->n; i++) {
                if (counts->rows[i] != list->v[i].rows ||
                    counts->nblocks[i] != count_blocks(c->part,
                        &list->v[i]))
                    return part_corrupt(c->part, err, "section VALUES: value "
                        "%u of key %u is not what the rows say", i,
                        list->key);
            }
        }
    }
    return 0;
}
