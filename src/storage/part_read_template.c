/* SPDX-License-Identifier: BSD-2-Clause */

/* Strings made of templates and numbers (part_format.h: TEMPLATES). */

#include "core/base.h"
#include "storage/part_read.h"
#include "storage/part_template.h"

/* The vectors of a column; those of lanes may be missing. */
struct source {
    struct reading *r;
    struct pool *pool;  /* for texts of templates */
    uint32_t column;
    uint32_t n;         /* strings */
    uint32_t ntemplates;
    const struct part_vector *codes;
    const struct part_vector *marks;
    const struct part_vector *lanes[PART_TEMPLATE_LANES];
    uint32_t nmarks;    /* of a lane */
};

static int
open_source(struct source *s, struct reading *r, uint32_t column,
    struct pool *pool)
{
    const struct part_vector *vectors[PART_ROLES];
    uint32_t used = 0;

    directory_roles(r->dir, column, vectors);
    *s = (struct source){.r = r, .pool = pool, .column = column};
    s->codes = vectors[PART_ROLE_TEMPLATE];
    s->marks = vectors[PART_ROLE_TEMPLATE_MARK];
    if (s->codes == NULL || vectors[PART_ROLE_LENGTH] == NULL)
        return reading_corrupt(r, "column %u has no templates", column);
    s->n = s->codes->count;
    s->ntemplates = vectors[PART_ROLE_LENGTH]->count;
    s->nmarks = (s->n + PART_MARK - 1) / PART_MARK;
    for (unsigned i = 0; i < PART_TEMPLATE_LANES; i++) {
        s->lanes[i] = vectors[PART_ROLE_LANE + i];
        used += s->lanes[i] != NULL;
    }
    if ((s->marks == NULL ? 0 : s->marks->count) !=
        (uint64_t)used * s->nmarks)
        return reading_corrupt(r, "column %u: marks of templates", column);
    return 0;
}

static int
get_template(const struct source *s, uint64_t code, struct template *t)
{
    struct sv text;

    if (code >= s->ntemplates)
        return reading_corrupt(s->r, "column %u has no template %llu",
            s->column, (unsigned long long)code);
    if (dictionary_text(s->r, s->column, (uint32_t)code, s->pool,
            &text) != 0)
        return -1;
    return template_parse(t, text) ? 0 : reading_corrupt(s->r,
        "column %u: template %llu", s->column, (unsigned long long)code);
}

/* --- one string --- */

/* The first number of a group of strings in each lane that t uses, or all. */
static int
get_marks(const struct source *s, uint32_t group, const struct template *t,
    uint64_t at[PART_TEMPLATE_LANES])
{
    uint32_t used = 0;

    for (unsigned i = 0; i < PART_TEMPLATE_LANES; i++) {
        at[i] = 0;
        if (s->lanes[i] == NULL)
            continue;
        if ((t == NULL || t->used[i] > 0) && vector_get(s->r, s->marks,
                used * s->nmarks + group, &at[i]) != 0)
            return -1;
        used++;
    }
    return 0;
}

/* What strings of some templates take of each lane. */
#define MEMO 8u
struct memo {
    uint64_t code[MEMO]; /* + 1 */
    uint8_t used[MEMO][PART_TEMPLATE_LANES];
};

static int
get_used(const struct source *s, uint64_t code, struct memo *memo,
    const uint8_t **out)
{
    unsigned slot = code % MEMO;
    struct template t;

    *out = memo->used[slot];
    if (memo->code[slot] == code + 1 && code < s->ntemplates)
        return 0;
    if (get_template(s, code, &t) != 0)
        return -1;
    memo->code[slot] = code + 1;
    memcpy(memo->used[slot], t.used, sizeof(t.used));
    return 0;
}

/* Adds what the n strings before one take, whose template is t. */
static int
skip_strings(const struct source *s, const uint64_t *codes, uint32_t n,
    const struct template *t, uint64_t at[PART_TEMPLATE_LANES])
{
    struct memo memo = {{0}, {{0}}};
    const uint8_t *used;
    uint32_t same;

    memo.code[codes[n] % MEMO] = codes[n] + 1;
    memcpy(memo.used[codes[n] % MEMO], t->used, sizeof(t->used));
    for (uint32_t i = 0; i < n; i += same) {
        if (get_used(s, codes[i], &memo, &used) != 0)
            return -1;
        for (same = 1; i + same < n && codes[i + same] == codes[i]; same++)
            ;
        for (unsigned j = 0; j < PART_TEMPLATE_LANES; j++)
            at[j] += (uint64_t)same * used[j];
    }
    return 0;
}

static int
get_number(const struct source *s, unsigned lane,
    uint64_t at[PART_TEMPLATE_LANES], uint64_t *out)
{
    if (s->lanes[lane] == NULL || at[lane] >= s->lanes[lane]->count)
        return reading_corrupt(s->r, "column %u: number %llu of lane %u",
            s->column, (unsigned long long)at[lane], lane);
    return vector_get(s->r, s->lanes[lane], (uint32_t)at[lane]++, out);
}

static int
get_numbers(const struct source *s, const struct template *t,
    uint64_t at[PART_TEMPLATE_LANES], uint64_t *numbers)
{
    for (unsigned i = 0; i < t->nvars; i++) {
        unsigned n = t->vars[i].kind == TEMPLATE_UUID ? 2 : 1;

        for (; n > 0; n--) {
            if (get_number(s, t->vars[i].lane, at, numbers++) != 0)
                return -1;
        }
    }
    return 0;
}

static int
print(const struct source *s, const struct template *t,
    const uint64_t *numbers, char *dst, size_t *len)
{
    return template_print(t, numbers, dst, len) ? 0 : reading_corrupt(s->r,
        "column %u: a number has too many digits", s->column);
}

int
template_get(struct reading *r, uint32_t column, uint64_t code,
    struct pool *pool, struct sv *out)
{
    struct source s;
    struct template t;
    uint64_t codes[PART_MARK], at[PART_TEMPLATE_LANES];
    uint64_t numbers[PART_TEMPLATE_NUMBERS];
    uint32_t before = (uint32_t)(code % PART_MARK);
    size_t len = 0;
    char *dst;

    if (open_source(&s, r, column, pool) != 0)
        return -1;
    if (code >= s.n)
        return reading_corrupt(r, "column %u has no string %llu", column,
            (unsigned long long)code);
    if (vector_decode(r, s.codes, (uint32_t)code - before, before + 1,
            codes) != 0 ||
        get_template(&s, codes[before], &t) != 0)
        return -1;
    if (t.nvars > 0 &&
        (get_marks(&s, (uint32_t)code / PART_MARK, &t, at) != 0 ||
        skip_strings(&s, codes, before, &t, at) != 0 ||
        get_numbers(&s, &t, at, numbers) != 0))
        return -1;
    dst = pool_alloc(pool, t.bytes_max + 1);
    if (dst == NULL)
        return reading_no_memory(r);
    if (print(&s, &t, numbers, dst, &len) != 0)
        return -1;
    *out = sv_make(dst, len);
    return 0;
}

/* --- all of them --- */

/* Everything of a column, decoded; lives in a pool. */
struct all {
    struct source s;
    struct template *templates;
    uint32_t *counts; /* strings of each template */
    const uint64_t *codes;
    const uint64_t *numbers[PART_TEMPLATE_LANES];
    uint64_t at[PART_TEMPLATE_LANES]; /* the next of each */
};

static int
decode(struct reading *r, const struct part_vector *vector,
    struct pool *pool, const uint64_t **out)
{
    uint64_t *v = pool_alloc(pool, vector->count * sizeof(*v));

    *out = v;
    return v == NULL ? reading_no_memory(r) :
        vector_decode(r, vector, 0, vector->count, v);
}

/* Each lane has exactly the numbers that the strings take. */
static int
check_lanes(const struct all *all)
{
    for (unsigned j = 0; j < PART_TEMPLATE_LANES; j++) {
        uint64_t n = 0;

        for (uint32_t i = 0; i < all->s.ntemplates; i++)
            n += (uint64_t)all->counts[i] * all->templates[i].used[j];
        if (n != (all->s.lanes[j] == NULL ? 0 : all->s.lanes[j]->count))
            return reading_corrupt(all->s.r, "column %u: %llu numbers of "
                "lane %u", all->s.column, (unsigned long long)n, j);
    }
    return 0;
}

static int
open_all(struct all *all, struct reading *r, uint32_t column,
    struct pool *pool)
{
    struct source *s = &all->s;

    memset(all, 0, sizeof(*all));
    if (open_source(s, r, column, pool) != 0)
        return -1;
    all->templates = pool_alloc(pool,
        s->ntemplates * sizeof(*all->templates));
    all->counts = pool_zalloc(pool, s->ntemplates * sizeof(*all->counts));
    if (all->templates == NULL || all->counts == NULL)
        return reading_no_memory(r);
    for (uint32_t i = 0; i < s->ntemplates; i++) {
        if (get_template(s, i, &all->templates[i]) != 0)
            return -1;
    }
    for (unsigned i = 0; i < PART_TEMPLATE_LANES; i++) {
        if (s->lanes[i] != NULL &&
            decode(r, s->lanes[i], pool, &all->numbers[i]) != 0)
            return -1;
    }
    if (decode(r, s->codes, pool, &all->codes) != 0)
        return -1;
    for (uint32_t i = 0; i < s->n; i++) {
        if (all->codes[i] >= s->ntemplates)
            return reading_corrupt(r, "column %u has no template %llu",
                column, (unsigned long long)all->codes[i]);
        all->counts[all->codes[i]]++;
    }
    return check_lanes(all);
}

/* The numbers of the next string, and its template. */
static const struct template *
next_numbers(struct all *all, uint32_t i, uint64_t *numbers)
{
    const struct template *t = &all->templates[all->codes[i]];

    for (unsigned j = 0; j < t->nvars; j++) {
        uint8_t lane = t->vars[j].lane;

        *numbers++ = all->numbers[lane][all->at[lane]++];
        if (t->vars[j].kind == TEMPLATE_UUID)
            *numbers++ = all->numbers[lane][all->at[lane]++];
    }
    return t;
}

/* Digits of the largest number of each lane. */
static void
find_room(const struct all *all, uint32_t room[PART_TEMPLATE_LANES])
{
    for (unsigned j = 0; j < PART_TEMPLATE_LANES; j++) {
        uint32_t n = all->s.lanes[j] == NULL ? 0 : all->s.lanes[j]->count;
        uint64_t max = 0;

        for (uint32_t i = 0; i < n; i++)
            max = MAX(max, all->numbers[j][i]);
        for (room[j] = 1; max > 9; max /= 10)
            room[j]++;
    }
}

/* Bytes that a string of the template may take. */
static uint64_t
string_room(const struct template *t, const uint32_t room[PART_TEMPLATE_LANES])
{
    uint64_t bytes = t->bytes_max;

    for (unsigned i = 0; i < t->nvars; i++) {
        if (t->vars[i].kind == TEMPLATE_NUMBER)
            bytes -= TEMPLATE_NUMBER_TEXT - room[t->vars[i].lane];
    }
    return bytes;
}

int
template_all(struct reading *r, uint32_t column, struct pool *pool,
    struct sv *out)
{
    struct all all;
    uint64_t bytes = 0;
    uint32_t room[PART_TEMPLATE_LANES];
    char *dst;

    if (open_all(&all, r, column, pool) != 0)
        return -1;
    find_room(&all, room);
    for (uint32_t i = 0; i < all.s.ntemplates; i++)
        bytes += all.counts[i] * string_room(&all.templates[i], room);
    dst = bytes < SIZE_MAX ? pool_alloc(pool, bytes + 1) : NULL;
    if (dst == NULL)
        return reading_no_memory(r);
    for (uint32_t i = 0; i < all.s.n; i++) {
        uint64_t numbers[PART_TEMPLATE_NUMBERS];
        const struct template *t = next_numbers(&all, i, numbers);
        size_t len = 0;

        if (print(&all.s, t, numbers, dst, &len) != 0)
            return -1;
        out[i] = sv_make(dst, len);
        dst += len;
    }
    return 0;
}

/* --- is it there? --- */

/* The numbers that each template needs to make the text. */
struct wanted {
    bool is_possible;
    uint64_t numbers[PART_TEMPLATE_NUMBERS];
};

static struct wanted *
match_all(const struct all *all, struct sv text, struct pool *pool,
    bool *is_possible)
{
    struct wanted *wanted = pool_alloc(pool,
        all->s.ntemplates * sizeof(*wanted));

    *is_possible = false;
    for (uint32_t i = 0; wanted != NULL && i < all->s.ntemplates; i++) {
        wanted[i].is_possible = template_match(&all->templates[i], text,
            wanted[i].numbers);
        *is_possible |= wanted[i].is_possible;
    }
    return wanted;
}

static bool
find(struct all *all, struct sv text, struct pool *pool)
{
    bool is_possible;
    const struct wanted *wanted = match_all(all, text, pool, &is_possible);

    if (wanted == NULL)
        return true;
    for (uint32_t i = 0; is_possible && i < all->s.n; i++) {
        const struct wanted *want = &wanted[all->codes[i]];
        uint64_t numbers[PART_TEMPLATE_NUMBERS];
        const struct template *t = next_numbers(all, i, numbers);

        if (want->is_possible && memcmp(numbers, want->numbers,
                t->nnumbers * sizeof(*numbers)) == 0)
            return true;
    }
    return false;
}

/* Memory to look through a dictionary. */
#define FIND_POOL (64 * MIB)

bool
template_has(struct reading *r, uint32_t column, struct sv text)
{
    struct pool *pool = pool_new(FIND_POOL);
    struct all all;
    bool found = open_all(&all, r, column, pool) != 0 ||
        find(&all, text, pool);

    pool_free(pool);
    return found;
}

/* --- checking --- */

int
template_check(struct reading *r, uint32_t column)
{
    struct pool *pool = pool_new(FIND_POOL);
    struct all all;
    int rc = open_all(&all, r, column, pool);

    for (uint32_t i = 0; rc == 0 && i < all.s.n; i++) {
        uint64_t numbers[PART_TEMPLATE_NUMBERS], at[PART_TEMPLATE_LANES];

        if (i % PART_MARK == 0) {
            rc = get_marks(&all.s, i / PART_MARK, NULL, at);
            if (rc == 0 && memcmp(at, all.at, sizeof(at)) != 0)
                rc = reading_corrupt(r, "column %u: marks of string %u",
                    column, i);
        }
        if (rc == 0)
            (void)next_numbers(&all, i, numbers);
    }
    pool_free(pool);
    return rc;
}
