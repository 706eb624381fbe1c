/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/atom.h"

#include "core/num.h"
#include "query/text.h"

struct sv
atom_text(const struct atom *atom, char *buf)
{
    switch (atom->tag) {
    case ATOM_INT:
        return sv_make(buf, num_print_i64(buf, atom->v));
    case ATOM_TIME:
        return sv_make(buf, time_print_short(buf, atom->v));
    case ATOM_TEXT:
        return atom->text;
    default:
        return SV_EMPTY;
    }
}

/* "2026-03-01T10:00:00Z" is the shortest. */
static bool
looks_like_time(struct sv text)
{
    return text.len >= 20 && text.len <= 30 && text.ptr[4] == '-' &&
        text.ptr[10] == 'T' && text.ptr[text.len - 1] == 'Z';
}

struct atom
atom_from_text(struct sv text)
{
    struct atom atom = {ATOM_TEXT, 0, text};
    struct atom number = {ATOM_INT, 0, {NULL, 0}};
    char buf[ATOM_TEXT_MAX];

    if (text.len == 0)
        return (struct atom){ATOM_EMPTY, 0, {NULL, 0}};
    if (text.len > 30 || text.ptr[0] > '9')
        return atom;
    if (looks_like_time(text) && time_parse_value(text, &number.v))
        number.tag = ATOM_TIME;
    else if (text.len > 20 || !num_parse_i64(text, &number.v))
        return atom;
    /* "007" and other zones are texts. */
    return sv_eq(atom_text(&number, buf), text) ? number : atom;
}

struct atom
atom_of_row(const struct column *column, uint32_t row, char *buf)
{
    switch (column->kind) {
    case COLUMN_EMPTY:
        return (struct atom){ATOM_EMPTY, 0, {NULL, 0}};
    case COLUMN_UINTS:
        if (column->ints[row] < 0)
            break;
        /* fallthrough */
    case COLUMN_INTS:
        if (column->present != NULL && !bitmap_has(column->present, row))
            return (struct atom){ATOM_EMPTY, 0, {NULL, 0}};
        return (struct atom){ATOM_INT, column->ints[row], {NULL, 0}};
    case COLUMN_TIMES:
        return (struct atom){ATOM_TIME, column->ints[row], {NULL, 0}};
    default:
        break;
    }
    return atom_from_text(column_text(column, row, buf));
}

int
atom_order_slow(const struct atom *a, const struct atom *b)
{
    char a_buf[ATOM_TEXT_MAX], b_buf[ATOM_TEXT_MAX];

    if (a->tag == ATOM_EMPTY || b->tag == ATOM_EMPTY)
        return (a->tag != ATOM_EMPTY) - (b->tag != ATOM_EMPTY);
    return value_order(atom_text(a, a_buf), atom_text(b, b_buf));
}

int
atom_order_ties(const struct atom *a, const struct atom *b)
{
    char a_buf[ATOM_TEXT_MAX], b_buf[ATOM_TEXT_MAX];

    return sv_cmp(atom_text(a, a_buf), atom_text(b, b_buf));
}
