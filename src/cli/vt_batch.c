/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "cli/vt_row.h"

#include "core/mem.h"
#include "span/params.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define BATCH_SPANS 2000u
#define BATCH_BYTES (8 * MIB)
/* A line of 64 MiB may need some six times that (BATCH_POOL_BYTES). */
#define POOL_BYTES_MAX GIB

/* --- batches --- */

void
vt_batch_init(struct vt_batch *vt)
{
    memset(vt, 0, sizeof(*vt));
    vt->pool = pool_new(POOL_BYTES_MAX);
    pool_keep(vt->pool, 2 * BATCH_BYTES);
    vt->fields = xmalloc(sizeof(*vt->fields));
    sb_init(&vt->extra, PARAMS_BYTES_MAX);
    sb_init(&vt->next_extra, PARAMS_BYTES_MAX);
    batch_init(&vt->batch, vt->pool);
}

void
vt_batch_release(struct vt_batch *vt)
{
    pool_free(vt->pool);
    xfree(vt->fields);
    sb_release(&vt->extra);
    sb_release(&vt->next_extra);
}

void
vt_batch_reset(struct vt_batch *vt)
{
    pool_reset(vt->pool);
    batch_init(&vt->batch, vt->pool);
    memset(vt->resources, 0, sizeof(vt->resources));
    memset(vt->scopes, 0, sizeof(vt->scopes));
    sb_reset(&vt->extra);
}

bool
vt_batch_is_full(const struct vt_batch *vt)
{
    return vt->batch.nspans >= BATCH_SPANS ||
        pool_used(vt->pool) >= BATCH_BYTES;
}

/* --- resources and scopes --- */

static int
attr_cmp(const void *left, const void *right)
{
    const struct attr *a = left, *b = right;

    return sv_cmp(a->key, b->key);
}

static void
sort_attrs(struct attr *v, uint32_t n)
{
    qsort(v, n, sizeof(*v), attr_cmp);
}

static bool
attrs_equal(const struct attrs *a, const struct attrs *b)
{
    if (a->n != b->n)
        return false;
    for (uint32_t i = 0; i < a->n; i++) {
        if (!sv_eq(a->v[i].key, b->v[i].key) ||
            !sv_eq(a->v[i].value.str, b->v[i].value.str))
            return false;
    }
    return true;
}

/* From the line's memory to the batch's. */
static bool
attrs_keep(struct vt_row *row, struct attrs *attrs)
{
    attrs->v = (struct attr *)pool_dup(row->vt->pool, attrs->v,
        attrs->n * sizeof(*attrs->v));
    return attrs->v != NULL || vt_no_memory(row);
}

static uint64_t
attrs_hash(const struct attrs *attrs, uint64_t hash)
{
    for (uint32_t i = 0; i < attrs->n; i++) {
        hash = XXH3_64bits_withSeed(attrs->v[i].key.ptr, attrs->v[i].key.len,
            hash);
        hash = XXH3_64bits_withSeed(attrs->v[i].value.str.ptr,
            attrs->v[i].value.str.len, hash + 1);
    }
    return hash;
}

static bool
find_resource(struct vt_row *row)
{
    struct batch *batch = &row->vt->batch;
    struct attrs attrs = {row->fields->resource, row->nresource};
    uint64_t hash = attrs_hash(&attrs, 0);
    struct vt_shared *shared = &row->vt->resources[hash % VT_SHARED_MAX];
    struct resource *resource;

    if (batch->nresources > 0 && shared->hash == hash &&
        shared->index < batch->nresources &&
        attrs_equal(&batch->resources[shared->index].attrs, &attrs)) {
        row->span.resource = shared->index;
        return true;
    }
    resource = batch_add_resource(batch, &row->span.resource);
    if (resource == NULL || !attrs_keep(row, &attrs))
        return vt_no_memory(row);
    resource->attrs = attrs;
    resource_find_service(resource);
    *shared = (struct vt_shared){hash, row->span.resource};
    return true;
}

static bool
find_scope(struct vt_row *row)
{
    struct batch *batch = &row->vt->batch;
    struct attrs attrs = {row->fields->scope, row->nscope};
    uint64_t hash = attrs_hash(&attrs, XXH3_64bits_withSeed(
        row->scope_name.ptr, row->scope_name.len,
        XXH3_64bits(row->scope_version.ptr, row->scope_version.len)));
    struct vt_shared *shared = &row->vt->scopes[hash % VT_SHARED_MAX];
    struct scope *scope = shared->index < batch->nscopes
        ? &batch->scopes[shared->index] : NULL;

    if (scope != NULL && shared->hash == hash &&
        sv_eq(scope->name, row->scope_name) &&
        sv_eq(scope->version, row->scope_version) &&
        attrs_equal(&scope->attrs, &attrs)) {
        row->span.scope = shared->index;
        return true;
    }
    scope = batch_add_scope(batch, &row->span.scope);
    if (scope == NULL || !attrs_keep(row, &attrs))
        return vt_no_memory(row);
    scope->name = row->scope_name;
    scope->version = row->scope_version;
    scope->attrs = attrs;
    *shared = (struct vt_shared){hash, row->span.scope};
    return true;
}

/* --- extra fields --- */

/* Whether a list "name=value,..." in a header can say it. */
static bool
fits_list(struct sv name, struct sv text)
{
    struct sv both[] = {name, text};

    if (sv_find_byte(name, '=') < name.len || name.len == 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        const char *ptr = both[i].ptr;

        for (size_t k = 0; k < both[i].len; k++) {
            if (ptr[k] == ',' || (unsigned char)ptr[k] < 0x20 ||
                (unsigned char)ptr[k] >= 0x7f)
                return false;
        }
        if (!sv_eq(sv_trim(both[i]), both[i]))
            return false;
    }
    return true;
}

/* A head of 32 KiB also has other lines. */
#define EXTRA_BYTES_MAX (6 * KIB)

/* What a list cannot say becomes an attribute of the span. */
static void
read_extra(struct vt_row *row)
{
    struct sb *list = &row->vt->next_extra;

    sb_reset(list);
    sort_attrs(row->fields->extra, row->nextra);
    for (uint32_t i = 0; i < row->nextra; i++) {
        const struct attr *attr = &row->fields->extra[i];
        struct sv text = attr->value.str;

        if (list->len + attr->key.len + text.len > EXTRA_BYTES_MAX ||
            !fits_list(attr->key, text)) {
            vt_add_attr(row->fields->attrs, &row->nattrs, attr->key, text);
            row->kept_names++;
            continue;
        }
        if (list->len > 0)
            sb_add_char(list, ',');
        sb_add_sv(list, attr->key);
        sb_add_char(list, '=');
        sb_add_sv(list, text);
    }
}

/* --- a line --- */

static bool
row_finish(struct vt_row *row, enum reject why)
{
    struct batch *batch = &row->vt->batch;
    struct span *added;
    uint32_t index;

    sort_attrs(row->fields->resource, row->nresource);
    sort_attrs(row->fields->scope, row->nscope);
    row->span.attrs = (struct attrs){row->fields->attrs, row->nattrs};
    if (!attrs_keep(row, &row->span.attrs) || !find_resource(row) ||
        !find_scope(row))
        return false;
    added = batch_add_span(batch, &index);
    if (added == NULL)
        return vt_no_memory(row);
    *added = row->span;
    if (why != REJECT_NONE)
        batch_reject(batch, index, why);
    return true;
}

enum vt_result
vt_batch_add(struct vt_batch *vt, struct sv line, struct err *err)
{
    struct vt_row row = {.vt = vt, .err = err, .fields = vt->fields};

    if (!vt_row_read(&row, line))
        return VT_BAD;
    if (row.trace_id.len == 0 && row.span_id.len == 0)
        return VT_NO_SPAN;
    read_extra(&row);
    if (vt->batch.nspans == 0) {
        sb_reset(&vt->extra);
        sb_add_sv(&vt->extra, sb_sv(&vt->next_extra));
    } else if (!sv_eq(sb_sv(&vt->extra), sb_sv(&vt->next_extra))) {
        return VT_OTHER;
    }
    if (!vt_read_times(&row) || !vt_read_items(&row) ||
        !row_finish(&row, vt_read_ids(&row)))
        return VT_BAD;
    vt->kept_names += row.kept_names;
    return VT_SPAN;
}
