/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A value in the form that is cheapest to compare.  The form follows from
 * the text alone: whatever column a value comes from, it is the same atom.
 */

#ifndef SPOOR_QUERY_ATOM_H
#define SPOOR_QUERY_ATOM_H

#include "core/base.h"
#include "core/sv.h"
#include "query/rows.h"

enum atom_tag {
    ATOM_EMPTY = 0,
    ATOM_INT,  /* v in decimal */
    ATOM_TIME, /* v ns as time_print_short() */
    ATOM_TEXT,
};

struct atom {
    enum atom_tag tag;
    int64_t v;
    struct sv text; /* TEXT only */
};

/* The text of an INT or TIME goes to buf. */
#define ATOM_TEXT_MAX COLUMN_TEXT_MAX
struct sv atom_text(const struct atom *atom, char *buf);
struct atom atom_from_text(struct sv text);
/* A text goes to buf when the column has none. */
struct atom atom_of_row(const struct column *column, uint32_t row, char *buf);

/* As value_order() of the texts. */
int atom_order_slow(const struct atom *a, const struct atom *b);
static inline int
atom_order(const struct atom *a, const struct atom *b)
{
    if (a->tag == b->tag && (a->tag == ATOM_INT || a->tag == ATOM_TIME))
        return a->v < b->v ? -1 : a->v > b->v;
    return atom_order_slow(a, b);
}

/*
 * The same, and equal values of different texts ("1" and "1.0") by these, so
 * that an answer does not depend on the order of rows.
 */
int atom_order_ties(const struct atom *a, const struct atom *b);
static inline int
atom_order_total(const struct atom *a, const struct atom *b)
{
    int order = atom_order(a, b);

    if (LIKELY(order != 0) || (a->tag == b->tag && a->tag != ATOM_TEXT))
        return order;
    return atom_order_ties(a, b);
}

#endif
