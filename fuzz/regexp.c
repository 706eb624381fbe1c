/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Regular expressions: flags, pattern up to the first newline, value.  Any
 * pattern compiles or is refused with a reason, any match ends, and a value
 * that matches contains the literal.
 */

#include "core/base.h"

#include "core/assert.h"
#include "core/timefmt.h"
#include "query/regexp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A match that takes longer is a bug, under sanitizers, too. */
#define MATCH_NS_MAX (5 * NS_PER_SEC)

static void
match(const struct regexp *regexp, struct sv value)
{
    struct sv literal = regexp_literal(regexp);
    struct err err = ERR_INIT;
    int64_t start = clock_mono_ns();
    int rc = regexp_match(regexp, value, &err);

    check(rc == 0 || rc == 1 || (rc == -1 && err.code == ERR_LIMIT));
    check(clock_mono_ns() - start < MATCH_NS_MAX);
    if (rc == 1 && literal.len > 0)
        check(memmem(value.ptr, value.len, literal.ptr, literal.len) != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv text = sv_make(data + 1, size > 0 ? size - 1 : 0), source;
    struct regexp *regexp;
    struct err err = ERR_INIT;
    struct pool *pool;

    if (size == 0 || !sv_split(&text, '\n', &source))
        return 0;
    pool = pool_new(MIB);
    if (regexp_compile(&regexp, source, data[0] & 3u, pool, &err) == 0) {
        match(regexp, text.ptr != NULL ? text : SV_EMPTY);
        match(regexp, SV_EMPTY);
        match(regexp, source);
    } else {
        check(err.code == ERR_INVALID || err.code == ERR_LIMIT);
        check(err.text[0] != '\0');
    }
    pool_free(pool);
    return 0;
}
