/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What stats_query makes of a query's columns: the fields of "by" are labels,
 * all others are values.  And which pipes may stand behind stats.
 */

#ifndef SPOOR_API_STATS_LABELS_H
#define SPOOR_API_STATS_LABELS_H

#include "core/base.h"
#include "core/err.h"
#include "query/ast.h"

enum stats_role {
    STATS_VALUE,
    STATS_LABEL,
    STATS_HISTOGRAM, /* a value of many: series with the label vmrange */
};

struct stats_column {
    struct sv name;
    enum stats_role role;
};

struct stats_labels {
    struct stats_column *columns; /* values that are plain are not here */
    uint32_t n, cap;
};

/*
 * step_ns: the query is for a range of points (stats_query_range): all of
 * stats get _time:step as a field of "by", a sort with a limit works point by
 * point.  0: for one point.  In the query's pool; ERR_INVALID for a query
 * that has no stats, or pipes behind it that do not go with labels.
 */
int stats_labels_find(struct stats_labels *out, struct query *query,
    int64_t step_ns, int64_t offset_ns, struct err *err) WARN_UNUSED;
/* STATS_VALUE for what is not there. */
enum stats_role stats_labels_role(const struct stats_labels *labels,
    struct sv name);

#endif
