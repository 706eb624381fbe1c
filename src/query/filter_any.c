/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * One predicate over all fields whose names begin alike ("*:timeout").  A
 * block tells first which fields may have such a text at all, by dictionaries
 * and indexes; only the columns of these are loaded, and forgotten again as
 * they become many.
 */

#include "core/base.h"
#include "query/filter.h"

#include "query/pipe.h"
#include "storage/block.h"

/* Columns of a block that are held at a time, and what asking may take. */
#define COLUMNS_BYTES_MAX (16 * MIB)
#define POOL_BYTES_MAX (512 * MIB)
/* Texts that are asked between two looks at the clock. */
#define ASKED_MAX 16u

struct any {
    struct rows *rows;
    const struct filter *filter;
    uint64_t *left; /* rows that no field has passed yet */
    uint64_t *hits;
    uint64_t *out;
    uint32_t nasked;
};

static int
no_memory(struct err *err)
{
    return err_set(err, ERR_LIMIT, "query needs too much memory");
}

/* --- texts that a predicate can accept --- */

/* Are all bytes of the text among these, or their lower-case forms? */
static bool
is_made_of(struct sv text, const char *bytes)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c == 0 || (strchr(bytes, c) == NULL && (c < 'a' || c > 'z' ||
            strchr(bytes, c - 'a' + 'A') == NULL)))
            return false;
    }
    return true;
}

/* Forms whose texts may contain this one. */
static unsigned
forms_of_text(struct sv text)
{
    unsigned forms = 0;

    if (is_made_of(text, "0123456789-"))
        forms |= BLOCK_FORM_INT;
    if (is_made_of(text, "0123456789-+.eEINFNaifn"))
        forms |= BLOCK_FORM_DOUBLE;
    if (is_made_of(text, "0123456789abcdef"))
        forms |= BLOCK_FORM_ID;
    if (is_made_of(text, "0123456789:.TZ-"))
        forms |= BLOCK_FORM_TIME;
    return forms;
}

static unsigned
forms_of(const struct filter *filter)
{
    unsigned forms = filter->kind == FILTER_IN ||
        filter->kind == FILTER_CONTAINS_ANY ? 0 : ~0u;

    switch (filter->kind) {
    case FILTER_PHRASE:
    case FILTER_PREFIX:
    case FILTER_PHRASE_NOCASE:
    case FILTER_PREFIX_NOCASE:
    case FILTER_EXACT:
    case FILTER_EXACT_PREFIX:
        return forms_of_text(filter->text);
    case FILTER_CONTAINS_ALL:
    case FILTER_SEQ:
        for (uint32_t i = 0; i < filter->nvalues; i++)
            forms &= forms_of_text(filter->values[i]);
        return forms;
    case FILTER_IN:
    case FILTER_CONTAINS_ANY:
        for (uint32_t i = 0; i < filter->nvalues; i++)
            forms |= forms_of_text(filter->values[i]);
        return forms;
    default:
        return ~0u;
    }
}

int
filter_ask_text(void *arg, struct sv text, struct err *err)
{
    const struct filter *filter = arg;
    struct predicate predicate = {filter, NULL, filter->field};

    /* This one asks how a column is kept. */
    if (filter->kind == FILTER_VALUE_TYPE)
        return 1;
    return predicate_ask(&predicate, text, err);
}

/* The same for find_names(), which may ask very many texts. */
static int
ask_text(void *arg, struct sv text, struct err *err)
{
    struct any *any = arg;
    const struct query_run *run = any->rows->run;

    if (any->nasked++ % ASKED_MAX == 0 && run != NULL &&
        run_poll(run, err) != 0)
        return -1;
    return filter_ask_text((void *)(uintptr_t)any->filter, text, err);
}

/* --- the fields --- */

static int
run_field(struct any *any, struct rows *rows, struct sv name,
    struct err *err)
{
    struct predicate predicate = {any->filter, NULL, name};

    if (rows->run != NULL && run_poll(rows->run, err) != 0)
        return -1;
    if (filter_run_field(rows, &predicate, any->left, any->hits, err) != 0)
        return -1;
    for (uint32_t i = 0; i < BITMAP_WORDS(rows->n); i++) {
        any->out[i] |= any->hits[i];
        any->left[i] &= ~any->hits[i];
    }
    return 0;
}

static bool
is_done(const struct any *any)
{
    for (uint32_t i = 0; i < BITMAP_WORDS(any->rows->n); i++) {
        if (any->left[i] != 0)
            return false;
    }
    return true;
}

/* Fields from *next on, as many as are held at a time. */
static int
run_some(struct any *any, const struct name_list *names, uint32_t *next,
    struct pool *pool, struct err *err)
{
    struct block *block;
    struct rows rows;
    int rc = 0;

    pool_reset(pool);
    if (block_open_again(&block, any->rows->block, pool, err) != 0)
        return -1;
    rows_init_block(&rows, block, any->rows->n, pool);
    rows.run = any->rows->run;
    rows.selected = any->rows->selected;
    rows.nselected = any->rows->nselected;
    if (rows.n != any->rows->n)
        rc = no_memory(err);
    while (rc == 0 && *next < names->n && !is_done(any) &&
        pool_used(pool) < COLUMNS_BYTES_MAX) {
        struct sv name = names->v[(*next)++];

        /* What a pipe made of it counts, not what is stored. */
        if (rows_block_of(any->rows, name) != NULL)
            rc = run_field(any, &rows, name, err);
    }
    block_close(block);
    return rc;
}

/* Names of the fields that may pass, in the pool of the rows. */
static int
find_names(struct any *any, struct pool *pool, struct name_list *out,
    struct err *err)
{
    const struct filter *filter = any->filter;
    struct block_ask ask = {filter->field, forms_of(filter),
        filter->kind == FILTER_EXACT && filter->text.len > 0 ?
        &filter->text : NULL, ask_text, any};
    const struct sv *names = NULL;
    struct block *block;
    struct sv *copies;
    int rc;

    if (block_open_again(&block, any->rows->block, pool, err) != 0)
        return -1;
    rc = block_fields_asked(block, &ask, &names, &out->n, err);
    copies = rc != 0 ? NULL : pool_alloc(any->rows->pool,
        out->n * sizeof(*copies) + 1);
    out->v = copies;
    if (rc == 0 && copies == NULL)
        rc = no_memory(err);
    for (uint32_t i = 0; i < out->n && rc == 0; i++) {
        const char *text = pool_dup(any->rows->pool, names[i].ptr,
            names[i].len);

        if (text == NULL)
            rc = no_memory(err);
        else
            copies[i] = sv_make(text, names[i].len);
    }
    block_close(block);
    return rc;
}

static int
run_block(struct any *any, struct err *err)
{
    const struct query_run *run = any->rows->run;
    struct pool *pool = pool_new(POOL_BYTES_MAX);
    struct name_list names = {NULL, 0};
    uint32_t next = 0;
    int rc;

    if (run != NULL)
        pool_share(pool, run->budget.share);
    rc = find_names(any, pool, &names, err);
    while (rc == 0 && next < names.n && !is_done(any))
        rc = run_some(any, &names, &next, pool, err);
    pool_free(pool);
    return rc;
}

/* Fields that pipes made of the rows of a block. */
static int
run_made(struct any *any, struct err *err)
{
    struct rows *rows = any->rows;

    for (uint32_t i = 0; i < rows->nmade && !is_done(any); i++) {
        if (sv_starts_with(rows->made[i], any->filter->field) &&
            run_field(any, rows, rows->made[i], err) != 0)
            return -1;
    }
    return 0;
}

static int
run_columns(struct any *any, struct err *err)
{
    const struct filter *filter = any->filter;
    struct field_pattern pattern = {filter->field, true};
    struct name_list names;

    if (rows_match_names(any->rows, &pattern, 1, &names, err) != 0)
        return -1;
    for (uint32_t i = 0; i < names.n && !is_done(any); i++) {
        if (run_field(any, any->rows, names.v[i], err) != 0)
            return -1;
    }
    return 0;
}

int
filter_run_any(struct rows *rows, const struct filter *filter,
    const uint64_t *in, uint64_t *out, struct err *err)
{
    size_t bytes = BITMAP_WORDS(rows->n) * sizeof(uint64_t);
    struct any any = {rows, filter, pool_alloc(rows->pool, bytes + 8),
        pool_alloc(rows->pool, bytes + 8), out, 0};

    if (any.left == NULL || any.hits == NULL)
        return no_memory(err);
    memcpy(any.left, in, bytes);
    memset(out, 0, bytes);
    if (rows->block == NULL)
        return run_columns(&any, err);
    return run_made(&any, err) != 0 ? -1 : run_block(&any, err);
}
