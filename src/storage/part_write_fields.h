/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Counting the fields of a block of a part in the making; private to
 * part_write_fields.c and part_write_items.c.
 */

#ifndef SPOOR_STORAGE_PART_WRITE_FIELDS_H
#define SPOOR_STORAGE_PART_WRITE_FIELDS_H

#include "core/base.h"
#include "storage/part_write.h"

/* Pairs of item and shape of a block; a power of two. */
#define FIELD_SLOTS 4096u

/* Items I of the rows of one tenant that have the shape. */
struct field_slot {
    uint32_t item;
    uint32_t shape;
    uint32_t n; /* 0: free */
};

/* The entries of one table of rows, in their order. */
struct field_walk {
    enum write_table table;
    uint32_t run;   /* of entry `next` */
    uint32_t start; /* of the run */
    uint32_t next;
};

struct field_tables {
    uint8_t *is_told;   /* by tenant */
    uint8_t *is_plain;  /* by shape: each name once, nothing nested */
    uint32_t *cursor;   /* by key: its next value */
    uint32_t *n;        /* by key: values of the tenant's plain rows */
    uint32_t *resource_rows, *scope_rows;
    struct field_slot *slots;
};

struct field_counter {
    struct part_writer *w;
    struct field_tables t;
    uint32_t tenant;
    uint32_t row, end; /* rows of the tenant */
    struct field_walk walks[TABLES];
    uint32_t nslots; /* in use */
};

/* n rows that share an attribute, whose name has a prefix. */
struct field_nested {
    struct field_counter *c;
    struct sv prefix;
    uint32_t rows;
    uint32_t serial;
};

static inline bool
writer_has_text(const struct part_writer *w, uint32_t text)
{
    return writer_text(w, text).len > 0;
}

/* serial, if not 0, says whose rows these are: they count once. */
void writer_field_add(struct field_counter *c, struct sv prefix,
    struct sv name, uint32_t rows, uint32_t serial);
/* An attribute of rows; text is that of a nested list. */
void writer_field_attr(const struct field_nested *n,
    const struct write_key *key, const uint32_t *text);
/* A text that `count` entries of a run have beside their attributes. */
void writer_field_text(const struct field_nested *n, uint32_t key,
    uint32_t offset, uint32_t count);
/* Entry `offset` of a run, with all its attributes. */
void writer_field_entry(struct field_counter *c, struct sv prefix,
    const struct write_run *run, uint32_t offset);
/* The run is done: its keys are so many values further. */
void writer_field_pass(struct field_counter *c, const struct write_run *run);

/* Events, or links, of the tenant's rows (part_write_items.c). */
void writer_field_items(struct field_counter *c, enum write_table table);

#endif
