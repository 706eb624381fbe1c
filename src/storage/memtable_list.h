/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Writing one list (attributes and fields, memtable_format.h) at word_top.
 * Private to memtable_write.c and memtable_list.c.
 */

#ifndef SPOOR_STORAGE_MEMTABLE_LIST_H
#define SPOOR_STORAGE_MEMTABLE_LIST_H

#include "core/base.h"
#include "storage/memtable_writer.h"

struct list {
    uint32_t node; /* of the trie, 0: left it */
    uint32_t n;
    uint32_t *at;  /* next value */
    enum key_scope scope;
    bool is_exact; /* equal texts must get equal codes */
};

/*
 * Starts a list with room for n attributes and all fields; root is a node of
 * the trie or 0.  False: the memtable is full.
 */
bool list_begin(struct memtable_writer *w, struct list *list,
    enum key_scope scope, uint32_t root, uint32_t n);

void list_attrs(struct memtable_writer *w, struct list *list,
    struct attrs attrs);

/* Fields come behind the attributes, in the order of enum field_key. */
void list_add_text(struct memtable_writer *w, struct list *list,
    enum field_key field, struct sv text);
void list_add_int(struct memtable_writer *w, struct list *list,
    enum field_key field, int64_t number);

static inline void
list_text_field(struct memtable_writer *w, struct list *list,
    enum field_key field, struct sv text)
{
    if (text.len != 0)
        list_add_text(w, list, field, text);
}

static inline void
list_int_field(struct memtable_writer *w, struct list *list,
    enum field_key field, int64_t number)
{
    if (number != 0)
        list_add_int(w, list, field, number);
}

/* Ends the list, gives unused words back.  Returns the shape. */
uint32_t list_end(struct memtable_writer *w, const struct list *list);

#endif
