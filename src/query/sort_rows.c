/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/sort_rows.h"

#include "core/sb.h"

#define ROW_TEXT_MAX (64 * MIB) /* a whole row as a key */

static int
no_memory(struct err *err)
{
    return err_set(err, ERR_LIMIT, "no memory for sort");
}

int
sort_compare(const struct sort_spec *spec, const struct sort_item *a,
    const struct sort_item *b)
{
    if (spec->nfields == 0) {
        int order = sv_cmp(a->keys[0].text, b->keys[0].text);

        return spec->is_desc ? -order : order;
    }
    for (uint32_t i = 0; i < spec->nfields; i++) {
        int order = atom_order(&a->keys[i], &b->keys[i]);

        if (order != 0)
            return spec->fields[i].is_desc ? -order : order;
    }
    return 0;
}

/* All fields of a row, as one text. */
static int
row_key(const struct sort_chunk *chunk, uint32_t row, struct atom *out,
    struct err *err)
{
    struct sb sb;
    char buf[COLUMN_TEXT_MAX];

    sb_init(&sb, ROW_TEXT_MAX);
    for (uint32_t i = 0; i < chunk->nall; i++) {
        struct sv text = column_text(&chunk->all[i], row, buf);

        if (text.len == 0)
            continue;
        sb_add_sv(&sb, chunk->all[i].name);
        sb_add_char(&sb, '\0');
        sb_add_sv(&sb, text);
        sb_add_char(&sb, '\0');
    }
    *out = (struct atom){ATOM_TEXT, 0, {NULL, sb.len}};
    if (!sb_failed(&sb))
        out->text.ptr = pool_dup(chunk->rows->pool, sb.ptr, sb.len);
    sb_release(&sb);
    return out->text.ptr == NULL ? no_memory(err) : 0;
}

int
sort_key(const struct sort_chunk *chunk, uint32_t i, uint32_t row,
    struct atom *out, struct err *err)
{
    char buf[ATOM_TEXT_MAX];

    if (chunk->all != NULL)
        return row_key(chunk, row, out, err);
    *out = atom_of_row(&chunk->fields[i], row, buf);
    if (out->tag != ATOM_TEXT || out->text.ptr != buf)
        return 0;
    out->text.ptr = pool_dup(chunk->rows->pool, buf, out->text.len);
    return out->text.ptr == NULL ? no_memory(err) : 0;
}

/* --- keeping --- */

/* The columns of a chunk that are kept. */
struct kept {
    const struct sort_schema *schema;
    struct column *columns;
    struct sv *shared; /* texts of constants, once per chunk */
};

static bool
is_same_schema(const struct sort_schema *schema, const struct sv *names,
    uint32_t n)
{
    if (schema == NULL || schema->n != n)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (!sv_eq(schema->names[i], names[i]))
            return false;
    }
    return true;
}

static int
schema_make(struct sort_lane *lane, const struct sv *names, uint32_t n,
    struct err *err)
{
    struct sort_schema *schema;

    if (is_same_schema(lane->schema, names, n))
        return 0;
    schema = hold_alloc(&lane->hold, sizeof(*schema), err);
    if (schema == NULL)
        return -1;
    *schema = (struct sort_schema){.n = n};
    schema->names = hold_alloc(&lane->hold, n * sizeof(*names), err);
    schema->ids = hold_alloc(&lane->hold, n * sizeof(*schema->ids), err);
    if (schema->names == NULL || schema->ids == NULL)
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        if (hold_text(&lane->hold, names[i], &schema->names[i], err) != 0)
            return -1;
    }
    lane->schema = schema;
    return 0;
}

static int
load_kept(struct stage_sort *mine, struct sort_lane *lane, struct rows *rows,
    struct kept *out, struct err *err)
{
    const struct sv *all;
    struct sv *names;
    uint32_t nall, n = 0;

    if (rows_names(rows, &all, &nall, err) != 0)
        return -1;
    names = pool_alloc(rows->pool, nall * sizeof(*names) + 1);
    out->columns = pool_alloc(rows->pool, nall * sizeof(*out->columns) + 1);
    out->shared = pool_zalloc(rows->pool, nall * sizeof(*out->shared) + 1);
    if (names == NULL || out->columns == NULL || out->shared == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < nall; i++) {
        const struct column *column;

        if (!needed_has(&mine->needed, all[i]))
            continue;
        if (run_poll(mine->stage.run, err) != 0 ||
            rows_column(rows, all[i], &column, err) != 0)
            return -1;
        if (column->kind == COLUMN_EMPTY)
            continue;
        out->columns[n] = *column;
        names[n++] = all[i];
    }
    if (schema_make(lane, names, n, err) != 0)
        return -1;
    out->schema = lane->schema;
    for (uint32_t i = 0; i < n; i++) {
        if (out->columns[i].kind == COLUMN_CONST && hold_text(&lane->hold,
                out->columns[i].values[0], &out->shared[i], err) != 0)
            return -1;
    }
    return 0;
}

/* Copies a text to *at and moves that on. */
static struct sv
put_text(char **at, struct sv text)
{
    struct sv copy = {*at, text.len};

    if (text.len == 0)
        return SV_EMPTY;
    memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return copy;
}

/* Cells, then their texts, then texts of the keys: in one piece. */
static size_t
item_size(const struct sort_item *item, const struct kept *kept,
    uint32_t nkeys)
{
    uint32_t n = kept->schema->n;
    size_t size = n * sizeof(struct sv) + 1;
    char buf[COLUMN_TEXT_MAX];

    for (uint32_t i = 0; i < n; i++) {
        if (kept->columns[i].kind != COLUMN_CONST)
            size += column_text(&kept->columns[i], item->row, buf).len;
    }
    for (uint32_t i = 0; i < nkeys; i++) {
        if (item->keys[i].tag == ATOM_TEXT)
            size += item->keys[i].text.len;
    }
    return size;
}

static int
item_keep(struct stage_sort *mine, struct sort_lane *lane,
    struct sort_item *item, const struct kept *kept, struct err *err)
{
    uint32_t nkeys = sort_nkeys(mine->spec), n = kept->schema->n;
    size_t size = item_size(item, kept, nkeys);
    char buf[COLUMN_TEXT_MAX], *at;

    if (mine->keep != 0) {
        /* The place of a row that was better once. */
        if (hold_grow(&lane->hold, &item->room, size, 1, err) != 0)
            return -1;
        item->cells = item->room.items;
    } else {
        item->cells = hold_alloc(&lane->hold, size, err);
        if (item->cells == NULL)
            return -1;
    }
    at = (char *)(item->cells + n);
    for (uint32_t i = 0; i < n; i++) {
        const struct column *column = &kept->columns[i];

        item->cells[i] = column->kind == COLUMN_CONST ? kept->shared[i]
            : put_text(&at, column_text(column, item->row, buf));
    }
    for (uint32_t i = 0; i < nkeys; i++) {
        if (item->keys[i].tag == ATOM_TEXT)
            item->keys[i].text = put_text(&at, item->keys[i].text);
    }
    item->schema = kept->schema;
    item->row = SORT_ROW_KEPT;
    return 0;
}

int
sort_keep(struct stage_sort *mine, struct sort_lane *lane, struct rows *rows,
    struct err *err)
{
    struct sort_item **pending = lane->pending.items;
    size_t words = BITMAP_WORDS(rows->n);
    uint64_t *bits;
    struct kept kept = {NULL, NULL, NULL};

    if (lane->npending == 0)
        return 0;
    /* Only these rows need to be loaded. */
    bits = pool_zalloc(rows->pool, words * sizeof(*bits));
    if (bits == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < lane->npending; i++)
        bitmap_set(bits, pending[i]->row);
    rows_select(rows, bits);
    if (load_kept(mine, lane, rows, &kept, err) != 0)
        return -1;
    for (uint32_t i = 0; i < lane->npending; i++) {
        if (i % STAGE_POLL_ROWS == 0 && run_poll(mine->stage.run, err) != 0)
            return -1;
        if (item_keep(mine, lane, pending[i], &kept, err) != 0)
            return -1;
    }
    lane->npending = 0;
    return 0;
}
