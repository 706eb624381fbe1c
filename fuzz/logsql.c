/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * LogsQL: any text is parsed or refused with an error, and the canonical text
 * of a query is parsed again to a query of the same text.
 */

#include "core/base.h"

#include "core/assert.h"
#include "query/parse.h"

/* Ends of "now - 1h" are the same in both rounds. */
#define NOW INT64_C(1800000000123456789)
#define TEXT_MAX (16 * KIB)
#define PRINT_MAX (16 * MIB)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
round_trip(struct query *query, struct pool *pool)
{
    struct sb first, second;
    struct query *again;
    struct err err = ERR_INIT;

    sb_init(&first, PRINT_MAX);
    sb_init(&second, PRINT_MAX);
    query_print(&first, query);
    check(!sb_failed(&first));
    if (query_parse(&again, sb_sv(&first), NOW, pool, &err) == -1) {
        if (err.code != ERR_LIMIT)
            panic("%s in: %.400s", err.text, first.ptr);
    } else {
        query_print(&second, again);
        if (!sv_eq(sb_sv(&first), sb_sv(&second)))
            panic("%.400s is not %.400s", first.ptr, second.ptr);
        check(query->min_time == again->min_time &&
            query->max_time == again->max_time);
        check(query->npipes == again->npipes);
    }
    sb_release(&first);
    sb_release(&second);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv text = sv_make(data, MIN(size, TEXT_MAX));
    struct pool *pool = pool_new(256 * MIB);
    struct err err = ERR_INIT;
    struct query *query;
    struct filter *filter;

    if (query_parse(&query, text, NOW, pool, &err) == -1) {
        check(err.text[0] != '\0');
    } else {
        round_trip(query, pool);
        filter = filter_new_time(pool, NOW - 1, NOW);
        check(query_add_filter(query, filter, true, &err) == 0);
        round_trip(query, pool);
    }
    if (filter_parse(&filter, text, NOW, pool, &err) == -1)
        check(err.text[0] != '\0');
    if (filter_parse_stream(&filter, text, pool, &err) == -1)
        check(err.text[0] != '\0');
    pool_free(pool);
    return 0;
}
