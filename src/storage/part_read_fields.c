/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Which fields the rows of a part have (part_format.h: FIELDS): parsed when
 * the part is opened.
 */

#include "core/base.h"
#include "storage/part_values.h"

#include "core/enc.h"
#include "storage/part_read.h"

/* A field takes three numbers at least. */
#define FIELD_BYTES_MIN 3u

struct parser {
    struct part *part;
    struct enc_reader r;
    struct err *err;
    uint64_t left; /* fields that there may be */
};

static int
wrong(const struct parser *p, const char *what, uint64_t where)
{
    return part_corrupt(p->part, p->err, "section FIELDS: %s %llu", what,
        (unsigned long long)where);
}

static int
no_memory(const struct part *part, struct err *err)
{
    return err_set(err, ERR_LIMIT, "%s: no memory for section FIELDS",
        part->path);
}

static int
parse_field(struct parser *p, struct sv last, struct part_field *field)
{
    uint64_t shared = enc_read_varint(&p->r);
    struct sv rest = enc_read_sv(&p->r);
    char *name;

    field->rows = enc_read_varint(&p->r);
    if (p->r.failed || shared > last.len ||
        shared + rest.len > PART_FIELD_NAME_MAX || field->rows == 0 ||
        field->rows > p->part->info.rows)
        return wrong(p, "field of so many rows:", field->rows);
    name = pool_alloc(p->part->pool, shared + rest.len + 1);
    if (name == NULL)
        return no_memory(p->part, p->err);
    if (shared > 0)
        memcpy(name, last.ptr, shared);
    if (rest.len > 0)
        memcpy(name + shared, rest.ptr, rest.len);
    field->name = sv_make(name, shared + rest.len);
    return 0;
}

static int
parse_tenant(struct parser *p, struct part_fields *fields)
{
    uint64_t n = enc_read_varint(&p->r);
    struct part_field *v;

    if (p->r.failed || (n > 0 && (n - 1 > p->left || n - 1 >
        (size_t)(p->r.end - p->r.ptr) / FIELD_BYTES_MIN)))
        return wrong(p, "so many fields:", n);
    if (n == 0)
        return 0;
    fields->is_told = true;
    fields->n = (uint32_t)--n;
    p->left -= n;
    fields->v = v = pool_zalloc(p->part->pool, n * sizeof(*v) + 1);
    if (v == NULL)
        return no_memory(p->part, p->err);
    for (uint32_t i = 0; i < n; i++) {
        if (parse_field(p, i == 0 ? SV_EMPTY : v[i - 1].name, &v[i]) != 0)
            return -1;
        if (i > 0 && sv_cmp(v[i - 1].name, v[i].name) >= 0)
            return wrong(p, "order of field", i);
    }
    return 0;
}

int
part_parse_fields(struct part *part, struct sv raw, struct err *err)
{
    struct parser p = {part, enc_reader_make(raw.ptr, raw.len), err,
        PART_FIELDS_MAX};

    part->fields = pool_zalloc(part->pool,
        part->ntenants * sizeof(*part->fields) + 1);
    if (part->fields == NULL)
        return no_memory(part, err);
    for (uint32_t i = 0; i < part->ntenants; i++) {
        if (parse_tenant(&p, &part->fields[i]) != 0)
            return -1;
    }
    return p.r.ptr == p.r.end ? 0 : wrong(&p, "length", raw.len);
}

/* --- looking up --- */

const struct part_field *
part_find_field(const struct part_fields *fields, struct sv name)
{
    uint32_t low = 0, high = fields->n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = sv_cmp(fields->v[middle].name, name);

        if (order == 0)
            return &fields->v[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

int
part_count_fields(struct part *part, const struct tenant *tenant,
    struct part_counts *counts, struct err *err)
{
    uint32_t owner = part_find_tenant(part, tenant);
    const struct part_fields *fields;

    counts->texts = NULL;
    counts->n = counts->cap = 0;
    if (owner == part->ntenants)
        return 1;
    if (part->fields == NULL || !part->fields[owner].is_told)
        return 0;
    fields = &part->fields[owner];
    counts->texts = pool_alloc(counts->pool,
        fields->n * sizeof(*counts->texts) + 1);
    counts->rows = pool_alloc(counts->pool,
        fields->n * sizeof(*counts->rows) + 1);
    if (counts->texts == NULL || counts->rows == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    for (uint32_t i = 0; i < fields->n; i++) {
        counts->texts[i] = fields->v[i].name;
        counts->rows[i] = fields->v[i].rows;
    }
    counts->n = counts->cap = fields->n;
    return 1;
}
