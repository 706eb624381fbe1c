/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Encoding a part: the fields of events and links (part_format.h: FIELDS),
 * which have the number of the event among those of its row in their names.
 */

#include "core/base.h"
#include "storage/part_write_fields.h"

/* A tenant whose rows have more events, or links, is not told. */
#define ITEMS_MAX 128u

static struct sv
item_prefix(char buf[64], bool is_link, uint32_t item, const char *rest)
{
    const char *what = is_link ? "link" : "event";
    int n = snprintf(buf, 64, "%s:%u:%s_%s", what, item, what, rest);

    return sv_make(buf, (size_t)n);
}

static void
add_item_shape(struct field_counter *c, uint32_t item, uint32_t shape)
{
    uint32_t slot = (item * UINT32_C(0x9e3779b1) + shape) % FIELD_SLOTS;
    struct field_slot *slots = c->t.slots;

    while (slots[slot].n > 0 && (slots[slot].item != item ||
        slots[slot].shape != shape))
        slot = (slot + 1) % FIELD_SLOTS;
    if (slots[slot].n == 0 && c->nslots++ >= FIELD_SLOTS / 2) {
        c->t.is_told[c->tenant] = 0;
        return;
    }
    slots[slot].item = item;
    slots[slot].shape = shape;
    slots[slot].n++;
}

static void
add_item_attrs(struct field_counter *c, bool is_link)
{
    struct part_writer *w = c->w;
    char buf[64];

    for (uint32_t i = 0; i < FIELD_SLOTS; i++) {
        const struct field_slot *slot = &c->t.slots[i];
        const struct write_shape *shape = &w->shapes[slot->shape];
        struct field_nested n = {c, SV_EMPTY, slot->n, 0};

        if (slot->n == 0)
            continue;
        n.prefix = item_prefix(buf, is_link, slot->item, "attr:");
        for (uint32_t k = 0; k < shape->n; k++) {
            const struct write_key *key =
                &w->keys[w->shape_keys[shape->first + k]];

            if (!key->is_field)
                writer_field_attr(&n, key, NULL);
        }
    }
}

/* Rows that have item I at all, and that have its first and second text. */
struct item_counts {
    uint32_t rows[ITEMS_MAX];
    uint32_t first[ITEMS_MAX];
    uint32_t second[ITEMS_MAX];
};

static void
add_item_parts(struct field_counter *c, bool is_link,
    const struct item_counts *n)
{
    char buf[64];

    for (uint32_t i = 0; i < ITEMS_MAX && n->rows[i] > 0; i++) {
        struct sv prefix = item_prefix(buf, is_link, i, "");

        writer_field_add(c, prefix, SV("dropped_attributes_count"),
            n->rows[i], 0);
        writer_field_add(c, prefix,
            is_link ? SV("flags") : SV("time_unix_nano"), n->rows[i], 0);
        writer_field_add(c, prefix, is_link ? SV("trace_id") : SV("name"),
            n->first[i], 0);
        writer_field_add(c, prefix, SV("span_id"), n->second[i], 0);
    }
}

static uint32_t
entry_row(const struct part_writer *w, bool is_link, uint32_t i)
{
    return is_link ? w->links[i].row : w->events[i].row;
}

static void
count_parts(const struct part_writer *w, bool is_link, uint32_t i,
    uint32_t item, struct item_counts *n)
{
    static const uint8_t zeros[16];

    n->rows[item]++;
    if (!is_link) {
        n->first[item] += writer_has_text(w, w->events[i].name);
        return;
    }
    n->first[item] += memcmp(w->links[i].trace_id, zeros, 16) != 0;
    n->second[item] += w->links[i].span_id != 0;
}

/* What the entry of a run says, but for attributes of plain shapes. */
static void
add_item(struct field_counter *c, bool is_link, uint32_t item,
    const struct write_run *run, uint32_t offset)
{
    struct part_writer *w = c->w;
    const struct write_shape *shape = &w->shapes[run->shape];
    char buf[64];
    struct field_nested fields = {c, SV_EMPTY, 1, 0};

    if (c->t.is_plain[run->shape] != 0)
        add_item_shape(c, item, run->shape);
    else
        writer_field_entry(c, item_prefix(buf, is_link, item, "attr:"), run,
            offset);
    fields.prefix = item_prefix(buf, is_link, item, "");
    for (uint32_t k = 0; k < shape->n && is_link; k++) {
        uint32_t key = w->shape_keys[shape->first + k];

        if (w->keys[key].is_field)
            writer_field_text(&fields, key, offset, 1);
    }
}

/* Events, or links, of the tenant's rows. */
void
writer_field_items(struct field_counter *c, enum write_table table)
{
    struct part_writer *w = c->w;
    const struct write_rows *rows = &w->tables[table];
    struct field_walk *walk = &c->walks[table];
    struct item_counts n = {.rows = {0}};
    bool is_link = table == TABLE_LINKS;
    uint32_t last = UINT32_MAX, item = 0;

    memset(c->t.slots, 0, FIELD_SLOTS * sizeof(*c->t.slots));
    c->nslots = 0;
    for (; walk->next < rows->n &&
        entry_row(w, is_link, walk->next) < c->end; walk->next++) {
        uint32_t row = entry_row(w, is_link, walk->next);

        while (walk->next >= walk->start + rows->runs[walk->run].rows) {
            writer_field_pass(c, &rows->runs[walk->run]);
            walk->start += rows->runs[walk->run++].rows;
        }
        item = row == last ? item + 1 : 0;
        last = row;
        if (item >= ITEMS_MAX) {
            c->t.is_told[c->tenant] = 0;
            continue;
        }
        count_parts(w, is_link, walk->next, item, &n);
        if (w->shapes[rows->runs[walk->run].shape].n > 0)
            add_item(c, is_link, item, &rows->runs[walk->run],
                walk->next - walk->start);
    }
    add_item_attrs(c, is_link);
    add_item_parts(c, is_link, &n);
}
