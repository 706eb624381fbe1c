/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Verifying a part: FIELDS says what the rows say.  The flat view of each row
 * is made, whose fields are counted.
 */

#include "core/base.h"
#include "storage/part_check.h"

#include "span/flat.h"

struct part_check_fields {
    const struct part *part;
    uint64_t **rows; /* by tenant, then number of the field */
};

static int
no_memory(const struct part *part, struct err *err)
{
    return err_set(err, ERR_LIMIT, "%s: no memory to check FIELDS",
        part->path);
}

int
part_check_fields_begin(struct part_check_fields **out,
    const struct part *part, struct pool *pool, struct err *err)
{
    struct part_check_fields *c;

    *out = NULL;
    if (part->fields == NULL)
        return 0;
    c = pool_zalloc(pool, sizeof(*c));
    if (c == NULL)
        return no_memory(part, err);
    c->part = part;
    c->rows = pool_zalloc(pool, part->ntenants * sizeof(*c->rows) + 1);
    for (uint32_t i = 0; c->rows != NULL && i < part->ntenants; i++) {
        c->rows[i] = pool_zalloc(pool,
            part->fields[i].n * sizeof(*c->rows[i]) + 1);
        if (c->rows[i] == NULL)
            return no_memory(part, err);
    }
    *out = c;
    return c->rows == NULL ? no_memory(part, err) : 0;
}

static int
count_field(struct part_check_fields *c, struct reading *r, uint32_t tenant,
    struct sv name)
{
    const struct part_fields *fields = &c->part->fields[tenant];
    const struct part_field *field = part_find_field(fields, name);

    if (field == NULL)
        return reading_corrupt(r, "a field of %zu bytes is not in FIELDS",
            name.len);
    c->rows[tenant][field - fields->v]++;
    return 0;
}

int
part_check_fields_row(struct part_check_fields *c, struct reading *r,
    uint32_t tenant, const struct check_row *row)
{
    struct flat flat;

    if (c == NULL || !c->part->fields[tenant].is_told)
        return 0;
    if (!flat_span(&flat, row->batch, row->span, row->pool))
        return no_memory(c->part, r->err);
    for (uint32_t i = 0; i < flat.n; i++) {
        if (count_field(c, r, tenant, flat.fields[i].name) != 0)
            return -1;
    }
    if (count_field(c, r, tenant, SV("_stream")) != 0)
        return -1;
    return count_field(c, r, tenant, SV("_stream_id"));
}

int
part_check_fields_end(const struct part_check_fields *c, struct err *err)
{
    for (uint32_t t = 0; c != NULL && t < c->part->ntenants; t++) {
        const struct part_fields *fields = &c->part->fields[t];

        for (uint32_t i = 0; i < fields->n; i++) {
            if (c->rows[t][i] != fields->v[i].rows)
                return part_corrupt(c->part, err, "section FIELDS: field %u "
                    "of tenant %u is not what the rows say", i, t);
        }
    }
    return 0;
}
