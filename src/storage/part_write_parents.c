/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Encoding a part: a parent as the number of its row among the rows of the
 * trace, or raw when no row or several rows have its id.
 */

#include "core/base.h"
#include "storage/part_write.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Up to here comparing with every row of the trace is cheapest. */
#define SCAN_ROWS_MAX 24u

#define PARENT_NONE 0u
#define PARENT_RAW 1u
#define PARENT_FIRST 2u

#define NO_ROW UINT32_MAX
#define SEVERAL_ROWS (UINT32_MAX - 1)

/* The rows of a trace: ids in row order, positions of the rows. */
struct family {
    const uint32_t *rows;
    const uint64_t *ids;
    uint32_t n;
    uint32_t *slots; /* by hash of the id: number + 1 */
    uint32_t mask;
    uint64_t seed;
};

struct parents {
    uint64_t *codes; /* by row */
    uint64_t *ids;   /* by place in trace_rows */
    uint32_t *first; /* by trace ordinal: its first place */
    uint32_t *rows;  /* by place: row */
    uint64_t *raw;
    uint64_t *marks;
    uint32_t nraw;
};

/* Number of the row with the id, NO_ROW or SEVERAL_ROWS. */
static uint32_t
scan(const struct family *family, uint64_t id)
{
    uint32_t count = 0, found = NO_ROW;

    for (uint32_t i = 0; i < family->n; i++) {
        if (family->ids[i] == id) {
            found = i;
            count++;
        }
    }
    return count > 1 ? SEVERAL_ROWS : found;
}

static uint32_t *
find_slot(const struct family *family, uint64_t id, uint32_t *count)
{
    uint32_t slot = (uint32_t)XXH3_64bits_withSeed(&id, sizeof(id),
        family->seed) & family->mask;

    *count = 0;
    while (family->slots[slot] != 0) {
        uint32_t number = (family->slots[slot] & INT32_MAX) - 1;

        if (family->ids[number] == id) {
            *count = family->slots[slot] > INT32_MAX ? 2 : 1;
            break;
        }
        slot = (slot + 1) & family->mask;
    }
    return &family->slots[slot];
}

/* The top bit of a slot says that several rows have the id. */
static void
index_ids(struct family *family)
{
    memset(family->slots, 0, ((size_t)family->mask + 1) * sizeof(uint32_t));
    for (uint32_t i = 0; i < family->n; i++) {
        uint32_t count;
        uint32_t *slot = find_slot(family, family->ids[i], &count);

        if (count == 0)
            *slot = i + 1;
        else
            *slot |= UINT32_C(1) << 31;
    }
}

static uint32_t
look_up(const struct family *family, uint64_t id)
{
    uint32_t count;
    uint32_t *slot = find_slot(family, id, &count);

    return count == 0 ? NO_ROW : count > 1 ? SEVERAL_ROWS : *slot - 1;
}

static void
code_family(const struct part_writer *w, struct family *family,
    uint64_t *codes)
{
    bool indexed = family->n > SCAN_ROWS_MAX;

    if (indexed)
        index_ids(family);
    for (uint32_t i = 0; i < family->n; i++) {
        uint32_t row = family->rows[i];
        uint64_t id = w->parent_ids[row];
        uint32_t number;

        if (id == 0) {
            codes[row] = PARENT_NONE;
            continue;
        }
        number = indexed ? look_up(family, id) : scan(family, id);
        codes[row] = number == NO_ROW || number == SEVERAL_ROWS ||
            number == i ? PARENT_RAW : PARENT_FIRST + number;
    }
}

/* Rows by trace: a counting sort, which keeps their order. */
static void
group_rows(const struct part_writer *w, struct parents *p)
{
    memset(p->first, 0, ((size_t)w->ntraces + 1) * sizeof(*p->first));
    for (uint32_t i = 0; i < w->ntraces; i++)
        p->first[i + 1] = p->first[i] + w->traces[w->trace_order[i]].rows;
    for (uint32_t row = 0; row < w->nrows; row++) {
        uint32_t place = p->first[w->row_ordinal[row]]++;

        p->rows[place] = row;
        p->ids[place] = w->ids[row];
    }
    for (uint32_t i = w->ntraces; i > 0; i--)
        p->first[i] = p->first[i - 1];
    p->first[0] = 0;
}

static int
code_parents(struct part_writer *w, struct parents *p)
{
    uint32_t largest = 0, nslots = 2;
    struct family family = {.seed = w->seed};

    for (uint32_t i = 0; i < w->ntraces; i++)
        largest = MAX(largest, w->traces[i].rows);
    while (nslots < 2 * largest)
        nslots *= 2;
    family.slots = writer_alloc(w, SCRATCH_ID_SLOTS,
        nslots * sizeof(uint32_t));
    if (family.slots == NULL)
        return -1;
    for (uint32_t i = 0; i < w->ntraces; i++) {
        family.rows = p->rows + p->first[i];
        family.ids = p->ids + p->first[i];
        family.n = p->first[i + 1] - p->first[i];
        nslots = 2;
        while (nslots < 2 * family.n)
            nslots *= 2;
        family.mask = nslots - 1;
        code_family(w, &family, p->codes);
    }
    return 0;
}

static void
collect_raw(const struct part_writer *w, struct parents *p)
{
    for (uint32_t row = 0; row < w->nrows; row++) {
        if (row % COL_MINI == 0)
            p->marks[row / COL_MINI] = p->nraw;
        if (p->codes[row] == PARENT_RAW)
            p->raw[p->nraw++] = w->parent_ids[row];
    }
}

int
write_parents(struct part_writer *w)
{
    uint32_t n = w->nrows;
    uint32_t nmarks = (n + COL_MINI - 1) / COL_MINI;
    uint64_t *wide = writer_alloc(w, SCRATCH_WIDE,
        (3 * (size_t)n + nmarks) * sizeof(*wide));
    struct parents p = {.codes = wide};

    p.first = writer_alloc(w, SCRATCH_TRACE_FIRST,
        ((size_t)w->ntraces + 1) * sizeof(*p.first));
    p.rows = writer_alloc(w, SCRATCH_TRACE_ROWS, n * sizeof(*p.rows));
    if (wide == NULL || p.first == NULL || p.rows == NULL)
        return -1;
    p.ids = wide + n;
    p.raw = wide + 2 * (size_t)n;
    p.marks = wide + 3 * (size_t)n;
    w->trace_first = p.first;
    w->trace_rows = p.rows;
    group_rows(w, &p);
    if (code_parents(w, &p) != 0 || write_edges(w, p.codes) != 0)
        return -1;
    collect_raw(w, &p);
    if (vector_u64(w, vector_id(PART_ROW_PARENT, 0), p.codes, n, 0) != 0)
        return -1;
    if (p.nraw == 0)
        return 0;
    if (vector_u64(w, vector_id(PART_PARENT_MARK, 0), p.marks, nmarks,
            COL_TRY_DELTA) != 0)
        return -1;
    return vector_raw8(w, vector_id(PART_PARENT_RAW, 0), p.raw, p.nraw);
}
