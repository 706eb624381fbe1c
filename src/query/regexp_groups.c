/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/regexp.h"

#include "core/assert.h"
#include "core/mem.h"
#include "query/regexp_run.h"

#define SUBJECT_MAX GIB /* offsets of 32 bits, and three bytes for each */

uint32_t
regexp_ngroups(const struct regexp *regexp)
{
    OBJ_CHECK(regexp, REGEXP_MAGIC);
    return regexp->ngroups;
}

struct sv
regexp_group_name(const struct regexp *regexp, uint32_t group)
{
    check(regexp->names != NULL && group < regexp->ngroups);
    return regexp->names[group];
}

/* Each byte that is not UTF-8 becomes a U+FFFD. */
static int
subject_copy(struct regexp_subject *subject, struct err *err)
{
    const char *begin = subject->value.ptr, *ptr = begin;
    const char *end = begin + subject->value.len;
    size_t max = 3 * subject->value.len;
    char *copy = mem_try_alloc(max + 1);
    uint32_t *offsets = mem_try_alloc((max + 1) * sizeof(*offsets));
    size_t len = 0;

    if (copy == NULL || offsets == NULL) {
        xfree(copy);
        xfree(offsets);
        return err_set(err, ERR_LIMIT, "regular expression: no memory");
    }
    while (ptr < end) {
        unsigned n = sv_utf8_len(ptr, end), width = n > 0 ? n : 3;

        memcpy(copy + len, n > 0 ? ptr : "\xef\xbf\xbd", width);
        for (unsigned i = 0; i < width; i++)
            offsets[len + i] = (uint32_t)(ptr - begin);
        len += width;
        ptr += n > 0 ? n : 1;
    }
    offsets[len] = (uint32_t)subject->value.len;
    subject->text = sv_make(copy, len);
    subject->offsets = offsets;
    return 0;
}

int
regexp_subject_open(struct regexp_subject *subject, struct sv value,
    struct err *err)
{
    if (value.len == 0)
        value = SV_EMPTY;
    *subject = (struct regexp_subject){.value = value, .text = value,
        .last = SIZE_MAX};
    if (value.len >= SUBJECT_MAX)
        return err_set(err, ERR_LIMIT,
            "a value is too long for a regular expression");
    return sv_is_utf8(value) ? 0 : subject_copy(subject, err);
}

void
regexp_subject_close(struct regexp_subject *subject)
{
    if (subject->offsets != NULL)
        xfree((char *)(uintptr_t)subject->text.ptr);
    xfree(subject->offsets);
    subject->offsets = NULL;
}

static struct sv
piece(const struct regexp_subject *subject, size_t from, size_t to)
{
    if (subject->offsets != NULL) {
        from = subject->offsets[from];
        to = subject->offsets[to];
    }
    return sv_make(subject->value.ptr + from, to - from);
}

static void
put_groups(const struct regexp *regexp, const struct regexp_subject *subject,
    const struct regexp_found *found, struct sv *groups)
{
    for (uint32_t i = 0; i < regexp->ngroups; i++) {
        const size_t *pair = found->ovector + 2 * i;

        groups[i] = (struct sv){NULL, 0};
        if (i < found->npairs && pair[0] != PCRE2_UNSET)
            groups[i] = piece(subject, pair[0], pair[1]);
    }
}

/* Behind the character at `at`, or behind the end. */
static size_t
next_rune(struct sv text, size_t at)
{
    if (at >= text.len)
        return text.len + 1;
    return at + sv_utf8_len(text.ptr + at, text.ptr + text.len);
}

int
regexp_next(const struct regexp *regexp, struct regexp_subject *subject,
    struct sv *groups, struct err *err)
{
    struct sv text = subject->text;

    OBJ_CHECK(regexp, REGEXP_MAGIC);
    while (subject->at <= text.len) {
        struct regexp_found found;
        size_t start, end;
        bool is_taken;
        int rc;

        if (regexp->literal.len > 0 && memmem(text.ptr + subject->at,
                text.len - subject->at, regexp->literal.ptr,
                regexp->literal.len) == NULL)
            return 0;
        rc = regexp_run(regexp, text, subject->at, &found, err);
        if (rc <= 0)
            return rc;
        start = found.ovector[0];
        end = found.ovector[1];
        is_taken = end > start || start != subject->last;
        if (is_taken)
            put_groups(regexp, subject, &found, groups);
        subject->at = end > subject->at ? end : next_rune(text, end);
        subject->last = end;
        if (is_taken)
            return 1;
    }
    return 0;
}
