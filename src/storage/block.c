/* SPDX-License-Identifier: BSD-2-Clause */

/* Blocks of rows as columns: opening, tenants, asking for a column. */

#include "core/base.h"
#include "storage/block.h"

#include "core/assert.h"
#include "core/mem.h"
#include "storage/block_read.h"

/* --- memory --- */

int
block_no_memory(const struct block *block)
{
    return err_set(block->err, ERR_LIMIT,
        "the query needs more memory than it may use");
}

void *
block_alloc(struct block *block, size_t n, size_t size)
{
    void *ptr = pool_alloc(block->pool, n * size);

    if (ptr == NULL)
        (void)block_no_memory(block);
    /* Values of rows that were not wanted are noticed when they are used. */
    else if (POOL_ASAN)
        memset(ptr, 0xa5, n * size);
    return ptr;
}

void *
block_zalloc(struct block *block, size_t n, size_t size)
{
    void *ptr = block_alloc(block, n, size);

    if (ptr != NULL)
        memset(ptr, 0, n * size);
    return ptr;
}

/* --- opening --- */

static struct block *
block_new(struct pool *pool, struct err *err)
{
    struct block *block = xcalloc(1, sizeof(*block));

    block->magic = BLOCK_MAGIC;
    block->pool = pool;
    block->err = err;
    return block;
}

int
block_open_memtable(struct block **out, const struct memtable *mt,
    uint32_t rows, struct pool *pool, struct err *err)
{
    struct block *block;

    /* The region is shared: who wrote it may have died badly. */
    if (rows > BLOCK_ROWS_MAX)
        return err_set(err, ERR_CORRUPT, "memtable: %u rows", rows);
    block = block_new(pool, err);
    block->mt = mt;
    block->info.rows = rows;
    (void)memtable_end_range(mt, rows, &block->info.min_end_ns,
        &block->info.max_end_ns);
    batch_init(&block->lists, pool);
    *out = block;
    return 0;
}

int
block_open_part(struct block **out, struct part *part, uint32_t index,
    struct pool *pool, struct err *err)
{
    struct block *block;

    check(index < part->info.nblocks);
    block = block_new(pool, err);
    block->info = (struct block_info){
        .rows = part->blocks[index].rows,
        .min_end_ns = part->blocks[index].min_end_ns,
        .max_end_ns = part->blocks[index].max_end_ns,
    };
    if (reading_open(&block->reading, part, index, err) != 0) {
        block_close(block);
        return -1;
    }
    *out = block;
    return 0;
}

int
block_open_again(struct block **out, const struct block *block,
    struct pool *pool, struct err *err)
{
    return block->mt != NULL ?
        block_open_memtable(out, block->mt, block->info.rows, pool, err) :
        block_open_part(out, block->reading.part, block->reading.block_idx,
            pool, err);
}

void
block_close(struct block *block)
{
    if (block == NULL)
        return;
    OBJ_CHECK(block, BLOCK_MAGIC);
    if (block->mt == NULL)
        reading_release(&block->reading);
    block->magic = 0;
    xfree(block);
}

const struct block_info *
block_get_info(const struct block *block)
{
    return &block->info;
}

static void
use_err(struct block *block, struct err *err)
{
    OBJ_CHECK(block, BLOCK_MAGIC);
    block->err = err;
    block->reading.err = err;
}

/* --- tenants --- */

int
block_select_tenant(struct block *block, const struct tenant *tenant,
    uint64_t *bits, uint32_t *count, struct err *err)
{
    int rc;

    use_err(block, err);
    memset(bits, 0, BITMAP_WORDS(block->info.rows) * sizeof(*bits));
    rc = block->mt != NULL ? memtable_select_tenant(block, tenant, bits) :
        part_select_tenant(block, tenant, bits);
    if (rc != 0)
        return -1;
    *count = bitmap_count(bits, block->info.rows);
    return 0;
}

/* --- columns --- */

static const struct column *
find_memo(const struct block *block, struct sv name)
{
    for (unsigned i = 0; i < block->nmemo; i++) {
        if (sv_eq(block->memo[i]->name, name))
            return block->memo[i];
    }
    return NULL;
}

/*
 * The wanted rows when they are few, else v is NULL.  Whoever reads one
 * column of these rows mostly reads many.
 */
static int
pick_few(struct block *block, const uint64_t *wanted, struct block_rows *few)
{
    uint32_t words = BITMAP_WORDS(block->info.rows);
    uint32_t n, *v;

    *few = (struct block_rows){NULL, 0};
    if (wanted == NULL || block->mt != NULL)
        return 0;
    if (block->few_bits != NULL &&
        memcmp(block->few_bits, wanted, words * sizeof(*wanted)) == 0) {
        *few = block->few;
        return 0;
    }
    n = bitmap_count(wanted, block->info.rows);
    if (n >= block->info.rows / BLOCK_FEW_ROWS)
        return 0;
    v = block_alloc(block, n + 1, sizeof(*v));
    if (block->few_bits == NULL)
        block->few_bits = block_alloc(block, words, sizeof(*wanted));
    if (v == NULL || block->few_bits == NULL)
        return -1;
    memcpy(block->few_bits, wanted, words * sizeof(*wanted));
    few->v = v;
    for (uint32_t i = 0; i < words; i++) {
        for (uint64_t word = wanted[i]; word != 0; word &= word - 1)
            v[few->n++] = 64 * i + (uint32_t)__builtin_ctzll(word);
    }
    block->few = *few;
    return 0;
}

static bool
is_of_labels(const struct block_field *field)
{
    return field->what == BLOCK_STREAM || field->what == BLOCK_STREAM_ID;
}

/* *is_full: the column has the values of all rows. */
static int
compute(struct block *block, const struct block_rows *few,
    const uint64_t *wanted, struct column *column, bool *is_full)
{
    struct block_field field = block_field_parse(column->name);

    *is_full = few->v == NULL;
    if (field.what == BLOCK_NOTHING || block->info.rows == 0 ||
        (field.what == BLOCK_EXTRA && !block_has_extra(block, field.key)))
        return 0;
    if (is_of_labels(&field) && block_declares_labels(block)) {
        *is_full = wanted == NULL;
        return block_labels_column(block, field.what, wanted, column);
    }
    if (field.what == BLOCK_MSG)
        return column_set_text(block, column, SV("-"));
    return block->mt != NULL ? memtable_column(block, &field, column) :
        part_column(block, &field, few, column);
}

int
block_column(struct block *block, struct sv field, const uint64_t *wanted,
    const struct column **out, struct err *err)
{
    const struct column *known = find_memo(block, field);
    struct block_rows few;
    struct column *column;
    bool is_full;
    char *name;

    use_err(block, err);
    if (known != NULL) {
        *out = known;
        return 0;
    }
    if (block_few_column(block, field, wanted, out) != 0)
        return -1;
    if (*out != NULL)
        return 0;
    column = block_zalloc(block, 1, sizeof(*column));
    name = pool_dup(block->pool, field.ptr, field.len);
    if (column == NULL || name == NULL)
        return block_no_memory(block);
    column->name = sv_make(name, field.len);
    if (pick_few(block, wanted, &few) != 0 ||
        compute(block, &few, wanted, column, &is_full) != 0)
        return -1;
    if (is_full && block->nmemo < BLOCK_MEMO)
        block->memo[block->nmemo++] = column;
    *out = column;
    return 0;
}

int
block_runs_of(struct block *block, struct sv field, struct block_runs *out,
    struct err *err)
{
    struct block_field parsed = block_field_parse(field);
    bool is_told = false;

    use_err(block, err);
    *out = (struct block_runs){0};
    if (block->mt != NULL || block->info.rows == 0 ||
        parsed.what == BLOCK_NOTHING || parsed.what == BLOCK_MSG ||
        (parsed.what == BLOCK_EXTRA && !block_has_extra(block, field)))
        return 0;
    if (part_stream_tells(block, &parsed, &is_told) != 0)
        return -1;
    return is_told ? part_stream_runs(block, &parsed, out) : 0;
}

static int
count_runs(struct block *block, struct sv field, uint32_t *n,
    struct err *err)
{
    struct block_runs runs;
    uint32_t filled = 0;

    if (block_runs_of(block, field, &runs, err) != 0)
        return -1;
    for (uint32_t i = 0; i < runs.n; i++) {
        if (runs.values[runs.codes[i]].len > 0)
            filled += runs.start[i + 1] - runs.start[i];
    }
    if (runs.n > 0)
        *n = filled;
    return 0;
}

int
block_count_filled(struct block *block, struct sv field, uint32_t *n,
    struct err *err)
{
    struct block_field parsed = block_field_parse(field);

    use_err(block, err);
    *n = UINT32_MAX;
    if (block->mt != NULL || block->info.rows == 0)
        return 0;
    switch (parsed.what) {
    case BLOCK_TIME:
    case BLOCK_START:
    case BLOCK_END:
    case BLOCK_DURATION:
    case BLOCK_TRACE_ID: /* a span without these ids is refused */
    case BLOCK_SPAN_ID:
        if (parsed.scope == KEY_SPAN)
            *n = block->info.rows;
        return 0;
    default:
        break;
    }
    if (part_count_filled(block, &parsed, n) != 0)
        return -1;
    return *n != UINT32_MAX ? 0 : count_runs(block, field, n, err);
}

int
block_fields(struct block *block, const struct sv **out, uint32_t *n,
    struct err *err)
{
    use_err(block, err);
    return block_names(block, NULL, out, n);
}

int
block_fields_asked(struct block *block, const struct block_ask *ask,
    const struct sv **out, uint32_t *n, struct err *err)
{
    use_err(block, err);
    return block_names(block, ask, out, n);
}

int
block_fields_of(struct block *block, const uint64_t *wanted,
    const struct sv **out, uint32_t *n, struct err *err)
{
    use_err(block, err);
    if (block_few_names(block, wanted, out, n) != 0)
        return -1;
    return *n > 0 ? 0 : block_names(block, NULL, out, n);
}

/* --- what cannot be --- */

/* Is it a number as num_print_u64() and num_print_i64() write it? */
static bool
is_number(struct sv text)
{
    size_t from = text.len > 1 && text.ptr[0] == '-';

    if (text.len == 0 || (text.ptr[from] == '0' && text.len > 1))
        return false;
    for (size_t i = from; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
    }
    return true;
}

static bool
is_id(struct sv text, size_t len)
{
    if (text.len != len)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!(text.ptr[i] >= '0' && text.ptr[i] <= '9') &&
            !(text.ptr[i] >= 'a' && text.ptr[i] <= 'f'))
            return false;
    }
    return true;
}

/* Whether the field can look like the text at all. */
static bool
has_form(const struct block_field *field, struct sv text)
{
    switch (field->what) {
    case BLOCK_NOTHING:
        return text.len == 0;
    case BLOCK_MSG:
        return sv_eq(text, SV("-"));
    case BLOCK_START:
    case BLOCK_END:
    case BLOCK_DURATION:
    case BLOCK_STATUS:
        return is_number(text);
    case BLOCK_NUMBER:
        return is_number(text) || (text.len == 0 && field->scope != KEY_SPAN);
    case BLOCK_TRACE_ID:
        return is_id(text, 32) || text.len == 0;
    case BLOCK_SPAN_ID:
    case BLOCK_PARENT_ID:
        return is_id(text, 16) || text.len == 0;
    default:
        return true;
    }
}

bool
block_may_have(struct block *block, struct sv field, struct sv text)
{
    struct block_field parsed = block_field_parse(field);
    struct err err = ERR_INIT;
    bool may;

    if (!has_form(&parsed, text))
        return false;
    if (text.len == 0 || block->info.rows == 0)
        return true;
    use_err(block, &err);
    if (is_of_labels(&parsed) && block_declares_labels(block))
        may = true;
    else if (parsed.what == BLOCK_EXTRA && !block_has_extra(block, field))
        may = false;
    else
        may = block->mt != NULL ? memtable_may_have(block, &parsed, text) :
        part_block_may_have(block, &parsed, text);
    use_err(block, NULL);
    return may;
}
