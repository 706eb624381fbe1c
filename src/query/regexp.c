/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/regexp.h"

#include <pthread.h>

#include "core/assert.h"
#include "core/mem.h"
#include "core/timefmt.h"
#include "query/regexp_run.h"
#include "query/regexp_syntax.h"

/* A character of the source becomes at most "\x{10ffff}". */
#define PATTERN_MAX (16 * REGEXP_SOURCE_MAX)

/*
 * Steps (PCRE2's count of returns to an earlier choice) that one call of
 * pcre2_match() may take, over all places where a match may start: some 50
 * ms, and ten times that without JIT.
 */
#define MATCH_STEPS UINT32_C(20000000)
/* Steps of each start, however long the value is. */
#define MATCH_STEPS_MIN UINT32_C(100)
/* All calls of one match together; looked at after each. */
#define MATCH_TIME_MAX (200 * NS_PER_MS)
#define JIT_STACK_START (32 * KIB)
#define JIT_STACK_MAX (4 * MIB)
/* Of the interpreter, in KiB. */
#define HEAP_KIB_MAX 8192u

/* What a thread needs to match. */
struct scratch {
    pcre2_match_data *data;
    uint32_t npairs; /* of the data */
    pcre2_match_context *ctx;
    pcre2_jit_stack *stack;
};

static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;
static __thread struct scratch *scratch;

static void
scratch_free(void *arg)
{
    struct scratch *s = arg;

    pcre2_jit_stack_free(s->stack);
    pcre2_match_context_free(s->ctx);
    pcre2_match_data_free(s->data);
    xfree(s);
    scratch = NULL;
}

static void
scratch_make_key(void)
{
    check(pthread_key_create(&scratch_key, scratch_free) == 0);
}

static struct scratch *
scratch_get(void)
{
    struct scratch *s = scratch;

    if (LIKELY(s != NULL))
        return s;
    check(pthread_once(&scratch_once, scratch_make_key) == 0);
    s = xcalloc(1, sizeof(*s));
    s->data = pcre2_match_data_create(1, NULL);
    s->npairs = 1;
    s->ctx = pcre2_match_context_create(NULL);
    s->stack = pcre2_jit_stack_create(JIT_STACK_START, JIT_STACK_MAX, NULL);
    /* Without a stack, JIT uses 32 KiB of the thread's. */
    if (s->data == NULL || s->ctx == NULL) {
        scratch_free(s);
        return NULL;
    }
    if (s->stack != NULL)
        pcre2_jit_stack_assign(s->ctx, NULL, s->stack);
    pcre2_set_heap_limit(s->ctx, HEAP_KIB_MAX);
    if (pthread_setspecific(scratch_key, s) != 0) {
        scratch_free(s);
        return NULL;
    }
    scratch = s;
    return s;
}

/* The thread's, with room for so many groups. */
static struct scratch *
scratch_of(uint32_t npairs)
{
    struct scratch *s = scratch_get();
    pcre2_match_data *data;

    if (s == NULL || s->npairs >= npairs)
        return s;
    data = pcre2_match_data_create(npairs, NULL);
    if (data == NULL)
        return NULL;
    pcre2_match_data_free(s->data);
    s->data = data;
    s->npairs = npairs;
    return s;
}

static void
regexp_free(void *arg)
{
    struct regexp *regexp = arg;

    regexp->magic = 0;
    pcre2_code_free(regexp->code);
}

static int
compile_failed(int number, struct err *err)
{
    PCRE2_UCHAR text[160];

    if (pcre2_get_error_message(number, text, sizeof(text)) < 0)
        snprintf((char *)text, sizeof(text), "error %d", number);
    return err_set(err, ERR_INVALID, "regular expression: %s",
        (const char *)text);
}

static int
compile_code(pcre2_code **out, struct sv pattern, unsigned flags,
    struct err *err)
{
    /*
     * Without PCRE2_UCP, so that \d, \w, \s and \b are ASCII's.  $ is the
     * very end, and (?m)^ also stands behind a newline at the end.
     */
    uint32_t options = PCRE2_UTF | PCRE2_NO_UTF_CHECK | PCRE2_NEVER_UCP
        | PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_CIRCUMFLEX
        | PCRE2_USE_OFFSET_LIMIT;
    pcre2_compile_context *ctx = pcre2_compile_context_create(NULL);
    int number;
    size_t offset;

    if (ctx == NULL)
        return err_set(err, ERR_LIMIT, "regular expression: no memory");
    if ((flags & REGEXP_ANCHORED) != 0)
        options |= PCRE2_ANCHORED | PCRE2_ENDANCHORED;
    if ((flags & REGEXP_DOT_NEWLINE) != 0)
        options |= PCRE2_DOTALL;
    if ((flags & REGEXP_CAPTURES) == 0)
        options |= PCRE2_NO_AUTO_CAPTURE;
    pcre2_set_newline(ctx, PCRE2_NEWLINE_LF);
    pcre2_set_parens_nest_limit(ctx, REGEXP_DEPTH_MAX + 2);
    *out = pcre2_compile((PCRE2_SPTR)pattern.ptr, pattern.len, options,
        &number, &offset, ctx);
    pcre2_compile_context_free(ctx);
    if (*out == NULL)
        return compile_failed(number, err);
    /* Where there is no JIT, pcre2_match() interprets. */
    (void)pcre2_jit_compile(*out, PCRE2_JIT_COMPLETE);
    return 0;
}

/* The groups' names, which are views of the source. */
static int
keep_names(struct regexp *regexp, const struct regexp_syntax *syntax,
    struct pool *pool)
{
    regexp->ngroups = syntax->ngroups + 1;
    if (!syntax->has_captures)
        return 0;
    regexp->names = pool_alloc(pool,
        regexp->ngroups * sizeof(*regexp->names));
    if (regexp->names == NULL)
        return -1;
    regexp->names[0] = SV_EMPTY;
    for (uint32_t i = 0; i < syntax->ngroups; i++) {
        struct sv name = syntax->names[i];

        name.ptr = pool_dup(pool, name.ptr, name.len);
        if (name.ptr == NULL)
            return -1;
        regexp->names[i + 1] = name;
    }
    return 0;
}

int
regexp_compile(struct regexp **out, struct sv source, unsigned flags,
    struct pool *pool, struct err *err)
{
    struct regexp_syntax syntax = {
        .has_captures = (flags & REGEXP_CAPTURES) != 0};
    struct regexp *regexp;
    int rc = -1;

    if (source.len > REGEXP_SOURCE_MAX)
        return err_set(err, ERR_LIMIT,
            "a regular expression of more than %zu bytes", REGEXP_SOURCE_MAX);
    regexp = pool_zalloc(pool, sizeof(*regexp));
    if (regexp == NULL)
        return err_set(err, ERR_LIMIT, "regular expression: no memory");
    sb_init(&syntax.pattern, PATTERN_MAX);
    sb_init(&syntax.literal, REGEXP_SOURCE_MAX);
    if (regexp_translate(&syntax, source, err) != 0
        || compile_code(&regexp->code, sb_sv(&syntax.pattern), flags,
            err) != 0)
        goto out;
    regexp->magic = REGEXP_MAGIC;
    regexp->is_literal = syntax.is_literal && (flags & REGEXP_ANCHORED) == 0;
    regexp->is_anchored = (flags & REGEXP_ANCHORED) != 0;
    regexp->literal = sb_sv(&syntax.literal);
    regexp->literal.ptr = pool_dup(pool, syntax.literal.ptr,
        syntax.literal.len);
    if (regexp->literal.ptr == NULL
        || keep_names(regexp, &syntax, pool) != 0
        || pool_on_free(pool, regexp_free, regexp) != 0) {
        regexp_free(regexp);
        err_set(err, ERR_LIMIT, "regular expression: no memory");
        goto out;
    }
    *out = regexp;
    rc = 0;
out:
    sb_release(&syntax.pattern);
    sb_release(&syntax.literal);
    return rc;
}

static int
match_failed(int rc, struct err *err)
{
    switch (rc) {
    case PCRE2_ERROR_MATCHLIMIT:
    case PCRE2_ERROR_JIT_STACKLIMIT:
    case PCRE2_ERROR_HEAPLIMIT:
    case PCRE2_ERROR_DEPTHLIMIT:
        return err_set(err, ERR_LIMIT,
            "the regular expression takes too long for a value");
    default:
        return err_set(err, ERR_LIMIT,
            "the regular expression failed for a value (PCRE2 error %d)", rc);
    }
}

/* Tries the starts from `start` on, nstarts of them. */
static int
match_range(const struct regexp *regexp, struct scratch *s, struct sv value,
    size_t start, size_t nstarts)
{
    pcre2_set_match_limit(s->ctx,
        MAX((uint32_t)(MATCH_STEPS / nstarts), MATCH_STEPS_MIN));
    pcre2_set_offset_limit(s->ctx, start + nstarts - 1);
    return pcre2_match(regexp->code, (PCRE2_SPTR)value.ptr, value.len, start,
        PCRE2_NO_UTF_CHECK, s->data, s->ctx);
}

/*
 * PCRE2 counts steps anew for each start.  So the first try gives each start
 * its share of the steps, which nearly all values do with; where one needs
 * more, fewer starts are tried at a time, with a larger share.
 */
int
regexp_run(const struct regexp *regexp, struct sv value, size_t start,
    struct regexp_found *out, struct err *err)
{
    struct scratch *s = scratch_of(regexp->ngroups);
    size_t all = regexp->is_anchored ? 1 : value.len + 1;
    size_t nstarts = all - MIN(start, all);
    int64_t began = 0;

    if (s == NULL)
        return err_set(err, ERR_LIMIT, "regular expression: no memory");
    while (start < all) {
        int rc = match_range(regexp, s, value, start, nstarts);

        if (rc >= 0) {
            out->ovector = pcre2_get_ovector_pointer(s->data);
            out->npairs = (uint32_t)rc;
            return 1;
        }
        if (rc == PCRE2_ERROR_NOMATCH) {
            start += nstarts;
            while (start < value.len
                && ((unsigned char)value.ptr[start] & 0xc0) == 0x80)
                start++;
            nstarts = MIN(4 * nstarts, all - MIN(start, all));
        } else if (rc == PCRE2_ERROR_MATCHLIMIT && nstarts > 1) {
            nstarts = MAX(nstarts / 16, (size_t)1);
        } else {
            return match_failed(rc, err);
        }
        if (start >= all)
            break;
        if (began == 0)
            began = clock_mono_ns();
        else if (clock_mono_ns() - began > MATCH_TIME_MAX)
            return match_failed(PCRE2_ERROR_MATCHLIMIT, err);
    }
    return 0;
}

/* As RE2 sees it: each byte that is not UTF-8 is a U+FFFD. */
static int
match_bytes(const struct regexp *regexp, struct sv value, struct err *err)
{
    const char *ptr = value.ptr, *end = ptr + value.len;
    char *copy = mem_try_alloc(3 * value.len);
    struct regexp_found found;
    size_t len = 0;
    int rc;

    if (copy == NULL)
        return err_set(err, ERR_LIMIT, "regular expression: no memory");
    while (ptr < end) {
        unsigned n = sv_utf8_len(ptr, end);

        memcpy(copy + len, n > 0 ? ptr : "\xef\xbf\xbd", n > 0 ? n : 3);
        len += n > 0 ? n : 3;
        ptr += n > 0 ? n : 1;
    }
    rc = regexp_run(regexp, sv_make(copy, len), 0, &found, err);
    xfree(copy);
    return rc;
}

int
regexp_match(const struct regexp *regexp, struct sv value, struct err *err)
{
    struct regexp_found found;

    OBJ_CHECK(regexp, REGEXP_MAGIC);
    if (value.len == 0)
        value = SV_EMPTY;
    if (regexp->literal.len > 0
        && memmem(value.ptr, value.len, regexp->literal.ptr,
            regexp->literal.len) == NULL)
        return 0;
    if (regexp->is_literal)
        return 1;
    if (UNLIKELY(!sv_is_utf8(value)))
        return match_bytes(regexp, value, err);
    return regexp_run(regexp, value, 0, &found, err);
}

struct sv
regexp_literal(const struct regexp *regexp)
{
    return regexp->literal;
}
