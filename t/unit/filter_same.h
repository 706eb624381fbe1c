/* SPDX-License-Identifier: BSD-2-Clause */

/* Whether two trees of filters are the same in all that is evaluated. */

#ifndef SPOOR_UNIT_FILTER_SAME_H
#define SPOOR_UNIT_FILTER_SAME_H

#include "core/base.h"
#include "query/ast.h"
#include "query/text_pattern.h"

static inline bool
values_are_same(const struct sv *a, uint32_t na, const struct sv *b,
    uint32_t nb)
{
    if (na != nb)
        return false;
    for (uint32_t i = 0; i < na; i++) {
        if (!sv_eq(a[i], b[i]))
            return false;
    }
    return true;
}

static inline bool
tags_are_same(const struct stream_tag *a, const struct stream_tag *b)
{
    return sv_eq(a->label, b->label) && a->op == b->op &&
        a->is_any == b->is_any && (a->regexp == NULL) ==
        (b->regexp == NULL) && values_are_same(a->values, a->nvalues,
        b->values, b->nvalues);
}

static inline bool
streams_are_same(const struct filter *a, const struct filter *b)
{
    if (a->nstream != b->nstream)
        return false;
    for (uint32_t i = 0; i < a->nstream; i++) {
        if (a->stream[i].ntags != b->stream[i].ntags)
            return false;
        for (uint32_t k = 0; k < a->stream[i].ntags; k++) {
            if (!tags_are_same(&a->stream[i].tags[k], &b->stream[i].tags[k]))
                return false;
        }
    }
    return true;
}

static inline bool
doubles_are_same(double a, double b)
{
    return a == b || (a != a && b != b);
}

static inline bool
filters_are_same(const struct filter *a, const struct filter *b)
{
    if (a->kind != b->kind || !sv_eq(a->field, b->field) ||
        a->is_field_prefix != b->is_field_prefix || a->nitems != b->nitems ||
        !sv_eq(a->text, b->text) || !sv_eq(a->text_end, b->text_end) ||
        a->has_text_end != b->has_text_end ||
        a->is_empty_matched != b->is_empty_matched ||
        !values_are_same(a->values, a->nvalues, b->values, b->nvalues) ||
        (a->regexp == NULL) != (b->regexp == NULL) ||
        (a->pattern == NULL) != (b->pattern == NULL) ||
        !streams_are_same(a, b) || !doubles_are_same(a->min, b->min) ||
        !doubles_are_same(a->max, b->max) || a->time_min != b->time_min ||
        a->time_max != b->time_max || a->offset != b->offset ||
        a->len_min != b->len_min || a->len_max != b->len_max ||
        a->pos != b->pos || !sv_eq(a->written, b->written))
        return false;
    if (a->pattern != NULL && text_pattern_ends(a->pattern) !=
        text_pattern_ends(b->pattern))
        return false;
    for (uint32_t i = 0; i < a->nitems; i++) {
        if (!filters_are_same(a->items[i], b->items[i]))
            return false;
    }
    return true;
}

#endif
