/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Encoding a part: the values of each key of spans, events and links are a
 * column.
 */

#include "core/base.h"
#include "storage/part_write.h"

/* --- columns --- */

int
writer_place_values(struct part_writer *w)
{
    size_t single = 0, twice = 0;

    for (uint32_t i = 0; i < w->nkeys; i++)
        w->keys[i].nvalues = w->keys[i].filled = 0;
    for (unsigned t = 0; t < TABLES; t++) {
        const struct write_rows *table = &w->tables[t];

        for (uint32_t i = 0; i < table->nruns; i++) {
            const struct write_shape *shape =
                &w->shapes[table->runs[i].shape];

            for (uint32_t j = 0; j < shape->n; j++)
                w->keys[w->shape_keys[shape->first + j]].nvalues +=
                    table->runs[i].rows;
        }
    }
    for (uint32_t i = 0; i < w->nkeys; i++) {
        struct write_key *key = &w->keys[i];
        uint32_t words = memtable_type_words(key->type);

        key->first = words == 2 ? twice : single;
        if (words == 2)
            twice += key->nvalues;
        else if (words == 1)
            single += key->nvalues;
    }
    w->single = writer_alloc(w, SCRATCH_SINGLE, single * sizeof(uint32_t));
    w->twice = writer_alloc(w, SCRATCH_DOUBLE, twice * sizeof(uint64_t));
    return w->single == NULL || w->twice == NULL ? -1 : 0;
}

static int
write_key_column(struct part_writer *w, uint32_t ordinal)
{
    const struct write_key *key = &w->keys[ordinal];
    uint32_t column = PART_COLUMNS_CORE + ordinal;
    uint32_t id = vector_id(column, PART_ROLE_VALUES);

    switch (key->type) {
    case VALUE_EMPTY:
        return 0;
    case VALUE_BOOL:
        return vector_u32(w, id, w->single + key->first, key->nvalues, 0);
    case VALUE_INT:
    case VALUE_DOUBLE:
        return vector_u64(w, id, w->twice + key->first, key->nvalues,
            COL_TRY_LDICT);
    default:
        return writer_strings(w, column, w->single + key->first,
            key->nvalues);
    }
}

int
write_keys(struct part_writer *w)
{
    for (uint32_t i = 0; i < w->nkeys; i++) {
        if (write_key_column(w, i) != 0)
            return -1;
    }
    return 0;
}
