/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Encoding a part: which values the attributes of the spans have, in how many
 * rows and in which blocks (part_format.h: VALUES).  Values of a block are
 * counted while their texts are at hand, and are added to those of the part
 * when the block is written; at the end the keys with the fewest values are
 * kept, as long as they cost little for so many rows.
 */

#include "core/base.h"
#include "storage/part_write.h"

#include "core/assert.h"
#include "core/enc.h"

/* Of all keys and tenants of a part; then there is no section. */
#define VALUES_MAX (1u << 17)
/* Pairs of value and block. */
#define PLACES_MAX (4u << 20)
#define TEXT_BYTES_MAX (16 * MIB)
/* Longer texts are not counted: nobody lists them. */
#define TEXT_MAX 256u
/* Bytes of the section, before it is packed, for each row: 1 in so many. */
#define ROWS_PER_BYTE 12u
/* Slots of the table of a block's distinct numbers; a power of two. */
#define NUMBER_SLOTS 4096u
_Static_assert(NUMBER_SLOTS > 2 * PART_VALUES_PER_KEY, "it stays half empty");

/* What an entry of the part's table begins with; the value follows. */
struct head {
    uint32_t tenant;
    uint32_t key;
};

/* A value of a block: a text, or a number when text is NO_ORDINAL. */
struct block_value {
    uint32_t tenant;
    uint32_t key;
    uint32_t text;
    uint32_t rows; /* 0: the key has too many values */
    uint64_t number;
};

/* Values of one key in one block, while they are counted. */
struct counter {
    struct part_writer *w;
    uint32_t tenant;
    uint32_t key;
    uint32_t first; /* of the block's values */
    bool is_over;
};

void
writer_start_values(struct part_writer *w)
{
    intern_release(&w->value_table);
    w->has_values = w->footer.level > 1;
    if (w->has_values)
        intern_init(&w->value_table, TEXT_BYTES_MAX, w->seed);
}

/* --- counting in a block --- */

static struct block_value *
block_value_add(struct counter *c)
{
    struct part_writer *w = c->w;
    struct block_value *v;

    if (w->nblock_values - c->first >= PART_VALUES_PER_KEY) {
        c->is_over = true;
        return NULL;
    }
    v = writer_grow(w, SCRATCH_BLOCK_VALUES,
        ((size_t)w->nblock_values + 1) * sizeof(*v));
    if (v == NULL) {
        c->is_over = true;
        return NULL;
    }
    v += w->nblock_values++;
    *v = (struct block_value){c->tenant, c->key, NO_ORDINAL, 0, 0};
    return v;
}

static struct block_value *
block_values(struct part_writer *w)
{
    return w->scratch[SCRATCH_BLOCK_VALUES].ptr;
}

/* marks[text]: stamp << 32 | number of the block's value. */
static void
count_texts(struct counter *c, const uint32_t *texts, uint32_t n)
{
    struct part_writer *w = c->w;
    uint64_t *marks = w->scratch[SCRATCH_VALUE_MARKS].ptr;
    uint64_t stamp = (uint64_t)++w->value_stamp << 32;
    uint32_t last = NO_ORDINAL, at = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (texts[i] != last) {
            last = texts[i];
            if (last >= w->ntexts) {
                c->is_over = true;
                return;
            }
            if ((marks[last] & ~(uint64_t)UINT32_MAX) != stamp) {
                struct block_value *v = block_value_add(c);

                if (v == NULL)
                    return;
                v->text = last;
                marks[last] = stamp | (w->nblock_values - 1);
            }
            at = (uint32_t)marks[last];
        }
        block_values(w)[at].rows++;
    }
}

static void
count_numbers(struct counter *c, const uint64_t *numbers, uint32_t n)
{
    uint32_t slots[NUMBER_SLOTS] = {0}; /* number of the value + 1 */
    struct part_writer *w = c->w;

    for (uint32_t i = 0; i < n; i++) {
        uint64_t hash = numbers[i] * UINT64_C(0x9e3779b97f4a7c15);
        uint32_t slot = (uint32_t)(hash >> 32) % NUMBER_SLOTS;

        while (slots[slot] != 0 &&
            block_values(w)[slots[slot] - 1].number != numbers[i])
            slot = (slot + 1) % NUMBER_SLOTS;
        if (slots[slot] == 0) {
            struct block_value *v = block_value_add(c);

            if (v == NULL)
                return;
            v->number = numbers[i];
            slots[slot] = w->nblock_values;
        }
        block_values(w)[slots[slot] - 1].rows++;
    }
}

static void
count_booleans(struct counter *c, const uint32_t *booleans, uint32_t n)
{
    uint32_t ntrue = 0;

    for (uint32_t i = 0; i < n; i++)
        ntrue += booleans[i] != 0;
    for (uint32_t b = 0; b < 2; b++) {
        struct block_value *v;

        if ((b == 0 ? n - ntrue : ntrue) == 0)
            continue;
        v = block_value_add(c);
        if (v == NULL)
            return;
        v->number = b;
        v->rows = b == 0 ? n - ntrue : ntrue;
    }
}

static uint32_t *
key_states(struct part_writer *w)
{
    return w->scratch[SCRATCH_VALUE_KEYS].ptr;
}

/* n values of the key, from its value `from` on; of one tenant. */
static void
count_key(struct part_writer *w, uint32_t tenant, uint32_t ordinal,
    uint32_t from, uint32_t n)
{
    const struct write_key *key = &w->keys[ordinal];
    struct counter c = {w, tenant, ordinal, w->nblock_values, false};

    if (key_states(w)[(size_t)tenant * (w->nkeys + 1) + ordinal] ==
        NO_ORDINAL)
        return;
    switch (key->type) {
    case VALUE_STRING:
        count_texts(&c, w->single + key->first + from, n);
        break;
    case VALUE_BOOL:
        count_booleans(&c, w->single + key->first + from, n);
        break;
    case VALUE_INT:
        count_numbers(&c, w->twice + key->first + from, n);
        break;
    default:
        c.is_over = true;
    }
    if (c.is_over) {
        w->nblock_values = c.first;
        c.is_over = false;
        (void)block_value_add(&c);
    }
}

/* Resources are the values of the key behind the last. */
static void
count_resources(struct part_writer *w, uint32_t tenant, uint32_t from,
    uint32_t n)
{
    uint32_t *rows = w->scratch[SCRATCH_VALUE_RESOURCES].ptr;
    struct counter c = {w, tenant, w->nkeys, w->nblock_values, false};

    memset(rows, 0, w->nresources * sizeof(*rows));
    for (uint32_t i = from; i < from + n; i++)
        rows[w->row_resource[i]]++;
    for (uint32_t i = 0; i < w->nresources && !c.is_over; i++) {
        struct block_value *v = rows[i] == 0 ? NULL : block_value_add(&c);

        if (v != NULL) {
            v->number = i;
            v->rows = rows[i];
        }
    }
    if (c.is_over) {
        w->nblock_values = c.first;
        c.is_over = false;
        (void)block_value_add(&c);
    }
}

/* Rows of one tenant: runs [from, end), which follow one another. */
static void
count_runs(struct part_writer *w, uint32_t from, uint32_t end,
    uint32_t *row)
{
    const struct write_rows *table = &w->tables[TABLE_SPANS];
    uint32_t tenant = w->streams[table->runs[from].stream].tenant;
    uint32_t *at = w->scratch[SCRATCH_VALUE_AT].ptr, *n = at + w->nkeys;
    uint64_t *rows = w->scratch[SCRATCH_VALUE_ROWS].ptr;
    uint32_t nrows = 0;

    memset(n, 0, w->nkeys * sizeof(*n));
    for (uint32_t i = from; i < end; i++) {
        const struct write_shape *shape = &w->shapes[table->runs[i].shape];

        nrows += table->runs[i].rows;
        for (uint32_t j = 0; j < shape->n; j++)
            n[w->shape_keys[shape->first + j]] += table->runs[i].rows;
    }
    for (uint32_t key = 0; key < w->nkeys; key++) {
        if (n[key] > 0 && w->keys[key].scope == KEY_SPAN &&
            !w->keys[key].is_field)
            count_key(w, tenant, key, at[key], n[key]);
        at[key] += n[key];
    }
    count_resources(w, tenant, *row, nrows);
    rows[tenant] += nrows;
    *row += nrows;
}

/* The tables of the part; they stay as they are from block to block. */
static bool
make_tables(struct part_writer *w)
{
    size_t nstates = (size_t)w->ntenants * (w->nkeys + 1);
    uint32_t *states;
    uint64_t *rows;

    if (nstates > VALUES_MAX)
        return false;
    states = writer_alloc(w, SCRATCH_VALUE_KEYS, nstates * sizeof(*states));
    rows = writer_alloc(w, SCRATCH_VALUE_ROWS,
        2 * (size_t)w->ntenants * sizeof(*rows));
    if (states == NULL || rows == NULL)
        return false;
    memset(states, 0, nstates * sizeof(*states));
    memset(rows, 0, 2 * (size_t)w->ntenants * sizeof(*rows));
    w->has_value_tables = true;
    return true;
}

/* Memory for a block's counts; the marks are those of other blocks, or 0. */
static bool
make_counters(struct part_writer *w)
{
    struct scratch *marks = &w->scratch[SCRATCH_VALUE_MARKS];
    size_t bytes = (size_t)w->ntexts * sizeof(uint64_t);
    uint32_t *at = writer_alloc(w, SCRATCH_VALUE_AT,
        2 * (size_t)w->nkeys * sizeof(*at));

    if (at == NULL || writer_alloc(w, SCRATCH_VALUE_RESOURCES,
            w->nresources * sizeof(uint32_t)) == NULL)
        return false;
    memset(at, 0, w->nkeys * sizeof(*at));
    if (marks->cap >= bytes && w->value_stamp < UINT32_MAX / 2)
        return true;
    if (writer_alloc(w, SCRATCH_VALUE_MARKS, bytes + bytes / 2) == NULL)
        return false;
    memset(marks->ptr, 0, marks->cap);
    w->value_stamp = 0;
    return true;
}

int
write_values(struct part_writer *w)
{
    const struct write_rows *table = &w->tables[TABLE_SPANS];
    uint64_t *rows;
    uint32_t row = 0, from = 0;

    if (!w->has_values)
        return 0;
    if ((!w->has_value_tables && !make_tables(w)) || !make_counters(w)) {
        w->has_values = false;
        return 0;
    }
    /* Of this block; it may be written again. */
    rows = w->scratch[SCRATCH_VALUE_ROWS].ptr;
    memset(rows, 0, w->ntenants * sizeof(*rows));
    for (uint32_t i = 1; i <= table->nruns; i++) {
        if (i < table->nruns && w->streams[table->runs[i].stream].tenant ==
            w->streams[table->runs[from].stream].tenant)
            continue;
        count_runs(w, from, i, &row);
        from = i;
    }
    return 0;
}

/* --- adding a block to the part --- */

struct place {
    uint32_t value;
    uint32_t block;
};

static bool
add_place(struct part_writer *w, uint32_t value, uint32_t rows)
{
    struct place *places = writer_grow(w, SCRATCH_VALUE_PLACES,
        ((size_t)w->nvalue_places + 1) * sizeof(*places));
    uint64_t *sums = writer_grow(w, SCRATCH_VALUE_SUMS,
        (size_t)w->value_table.n * sizeof(*sums));

    if (places == NULL || sums == NULL || w->nvalue_places == PLACES_MAX)
        return false;
    if (value == w->nvalues) {
        sums[value] = 0;
        w->nvalues++;
    }
    sums[value] += rows;
    places[w->nvalue_places++] = (struct place){value, w->nblocks};
    return true;
}

/* False: too much for a part. */
static bool
add_value(struct part_writer *w, const struct block_value *v)
{
    uint32_t *state = &key_states(w)[(size_t)v->tenant * (w->nkeys + 1) +
        v->key];
    struct {
        struct head head;
        char value[TEXT_MAX];
    } entry = {{v->tenant, v->key}, {0}};
    struct sv text = sv_make((const char *)&v->number, sizeof(v->number));
    uint32_t value;

    if (*state == NO_ORDINAL)
        return true;
    if (v->rows > 0 && v->text != NO_ORDINAL)
        text = writer_text(w, v->text);
    if (v->rows == 0 || text.ptr == NULL || text.len > TEXT_MAX) {
        *state = NO_ORDINAL;
        return true;
    }
    memcpy(entry.value, text.ptr, text.len);
    value = intern_add(&w->value_table, sv_make((const char *)&entry,
        sizeof(entry.head) + text.len));
    if (value == INTERN_NONE || value >= VALUES_MAX)
        return false;
    if (value == w->nvalues && ++*state > PART_VALUES_PER_KEY)
        *state = NO_ORDINAL;
    return add_place(w, value, v->rows);
}

void
writer_add_values(struct part_writer *w)
{
    const struct block_value *v = block_values(w);
    uint64_t *rows;

    if (!w->has_values)
        return;
    for (uint32_t i = 0; i < w->nblock_values && w->has_values; i++)
        w->has_values = add_value(w, &v[i]);
    rows = w->scratch[SCRATCH_VALUE_ROWS].ptr;
    for (uint32_t i = 0; i < w->ntenants; i++)
        rows[w->ntenants + i] += rows[i];
}

/* --- the section --- */

/* The values of one key and tenant. */
struct list {
    uint32_t tenant;
    uint32_t key;
    uint32_t first, n; /* in the order of `sorted` */
    uint32_t bytes;
    bool is_kept;
};

struct values {
    struct part_writer *w;
    uint32_t *sorted;       /* values by tenant, key, value */
    uint32_t *first_place;  /* by value, one more at the end */
    uint32_t *places;       /* blocks, by value */
    struct list *lists;
    uint32_t nlists;
};

static struct head
head_of(const struct part_writer *w, uint32_t value)
{
    struct head head;

    memcpy(&head, w->value_table.v[value].ptr, sizeof(head));
    return head;
}

static struct sv
text_of(const struct part_writer *w, uint32_t value)
{
    return sv_sub(w->value_table.v[value], sizeof(struct head), SIZE_MAX);
}

static int64_t
number_of(const struct part_writer *w, uint32_t value)
{
    int64_t v;

    memcpy(&v, text_of(w, value).ptr, sizeof(v));
    return v;
}

static bool
is_text(const struct part_writer *w, uint32_t key)
{
    return key < w->nkeys && w->keys[key].type == VALUE_STRING;
}

static int
compare_values(const void *a, const void *b, void *arg)
{
    const struct part_writer *w = arg;
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    struct head x = head_of(w, left), y = head_of(w, right);
    int64_t p, q;

    if (x.tenant != y.tenant)
        return x.tenant < y.tenant ? -1 : 1;
    if (x.key != y.key)
        return x.key < y.key ? -1 : 1;
    if (is_text(w, x.key))
        return sv_cmp(text_of(w, left), text_of(w, right));
    p = number_of(w, left);
    q = number_of(w, right);
    return (p > q) - (p < q);
}

/* Blocks of each value, rising, since blocks were added in their order. */
static int
sort_places(struct values *s)
{
    struct part_writer *w = s->w;
    const struct place *places = w->scratch[SCRATCH_VALUE_PLACES].ptr;
    uint32_t *first = writer_alloc(w, SCRATCH_SORT_A,
        ((size_t)w->nvalues + 2) * sizeof(*first));

    s->places = writer_alloc(w, SCRATCH_SORT_B,
        ((size_t)w->nvalue_places + 1) * sizeof(*s->places));
    if (first == NULL || s->places == NULL)
        return -1;
    memset(first, 0, ((size_t)w->nvalues + 2) * sizeof(*first));
    for (uint32_t i = 0; i < w->nvalue_places; i++)
        first[places[i].value + 2]++;
    for (uint32_t i = 2; i <= w->nvalues; i++)
        first[i] += first[i - 1];
    for (uint32_t i = 0; i < w->nvalue_places; i++)
        s->places[first[places[i].value + 1]++] = places[i].block;
    s->first_place = first;
    return 0;
}

static void
make_lists(struct values *s)
{
    struct part_writer *w = s->w;

    for (uint32_t i = 0; i < w->nvalues; i++) {
        struct head head = head_of(w, s->sorted[i]);
        struct list *list = &s->lists[s->nlists];

        if (i == 0 || list[-1].tenant != head.tenant ||
            list[-1].key != head.key) {
            *list = (struct list){head.tenant, head.key, i, 0, 0, false};
            s->nlists++;
        } else {
            list--;
        }
        list->n++;
        list->bytes += 4 + (uint32_t)text_of(w, s->sorted[i]).len +
            (w->nblocks + 15) / 16;
    }
}

static int
compare_lists(const void *a, const void *b)
{
    const struct list *x = a, *y = b;

    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static int
compare_places(const void *a, const void *b)
{
    const struct list *x = a, *y = b;

    if (x->tenant != y->tenant)
        return x->tenant < y->tenant ? -1 : 1;
    return (x->key > y->key) - (x->key < y->key);
}

/* The shortest, as long as all are short for so many rows. */
static void
choose_lists(struct values *s)
{
    struct part_writer *w = s->w;
    uint64_t left = w->footer.rows / ROWS_PER_BYTE;

    qsort(s->lists, s->nlists, sizeof(*s->lists), compare_lists);
    for (uint32_t i = 0; i < s->nlists; i++) {
        struct list *list = &s->lists[i];

        if (key_states(w)[(size_t)list->tenant * (w->nkeys + 1) +
                list->key] == NO_ORDINAL || list->bytes > left)
            continue;
        list->is_kept = true;
        left -= list->bytes;
    }
    qsort(s->lists, s->nlists, sizeof(*s->lists), compare_places);
}

static void
put_blocks(struct values *s, uint32_t value)
{
    struct part_writer *w = s->w;
    uint32_t from = s->first_place[value], end = s->first_place[value + 1];
    uint8_t bits[PART_BLOCKS_MAX / 8] = {0};

    if (end - from == w->nblocks) {
        section_varint(w, 0);
        return;
    }
    for (uint32_t i = from; i < end; i++)
        bits[s->places[i] / 8] |= (uint8_t)(1u << s->places[i] % 8);
    section_varint(w, s->places[end - 1] / 8 + 1);
    sb_add(&w->section, bits, s->places[end - 1] / 8 + 1);
}

static void
put_list(struct values *s, const struct list *list)
{
    struct part_writer *w = s->w;
    const uint64_t *sums = w->scratch[SCRATCH_VALUE_SUMS].ptr;

    for (uint32_t i = list->first; i < list->first + list->n; i++) {
        uint32_t value = s->sorted[i];

        if (is_text(w, list->key)) {
            section_varint(w, text_of(w, value).len);
            sb_add_sv(&w->section, text_of(w, value));
        } else {
            section_varint(w, enc_zigzag(number_of(w, value)));
        }
        section_varint(w, sums[value]);
        put_blocks(s, value);
    }
}

/* Each key that the tenant's rows have; those left out have 0 values. */
static void
put_tenant(struct values *s, uint32_t tenant, uint32_t *next)
{
    struct part_writer *w = s->w;
    const uint32_t *states = key_states(w) + (size_t)tenant * (w->nkeys + 1);
    const uint64_t *rows = w->scratch[SCRATCH_VALUE_ROWS].ptr;
    uint32_t nlists = 0;

    for (uint32_t key = 0; key <= w->nkeys; key++)
        nlists += states[key] != 0;
    section_varint(w, rows[w->ntenants + tenant]);
    section_varint(w, nlists);
    for (uint32_t key = 0; key <= w->nkeys; key++) {
        const struct list *list = NULL;

        if (*next < s->nlists && s->lists[*next].tenant == tenant &&
            s->lists[*next].key == key)
            list = &s->lists[(*next)++];
        if (states[key] == 0)
            continue;
        section_varint(w, key);
        section_varint(w, list != NULL && list->is_kept ? list->n : 0);
        if (list != NULL && list->is_kept)
            put_list(s, list);
    }
}

int
writer_put_values(struct part_writer *w)
{
    struct values s = {.w = w};
    uint32_t next = 0;

    if (!w->has_values || !w->has_value_tables)
        return 0;
    s.sorted = writer_alloc(w, SCRATCH_ROWS,
        ((size_t)w->nvalues + 1) * sizeof(*s.sorted));
    s.lists = writer_alloc(w, SCRATCH_WIDE,
        ((size_t)w->nvalues + 1) * sizeof(*s.lists));
    if (s.sorted == NULL || s.lists == NULL || sort_places(&s) != 0)
        return -1;
    for (uint32_t i = 0; i < w->nvalues; i++)
        s.sorted[i] = i;
    qsort_r(s.sorted, w->nvalues, sizeof(*s.sorted), compare_values, w);
    make_lists(&s);
    choose_lists(&s);
    for (uint32_t tenant = 0; tenant < w->ntenants; tenant++)
        put_tenant(&s, tenant, &next);
    return 0;
}
