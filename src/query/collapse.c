/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/collapse.h"

#include "query/lex.h"
#include "query/text.h"

/* Digits with letters among them are a number from this length on. */
#define HEX_MIN 4u

/* --- numbers --- */

static bool
is_hex(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static bool
is_one_of(uint32_t rune, const char *letters)
{
    return rune > 0 && rune < 0x80 && strchr(letters, (int)rune) != NULL;
}

/* Digits behind this rune may be a number. */
static bool
may_begin(uint32_t before)
{
    return !text_is_token_rune(before) || is_one_of(before, "TXxvshm");
}

/* Digits in front of this text may be one. */
static bool
may_end(struct sv behind)
{
    uint32_t rune;

    if (behind.len == 0)
        return true;
    (void)lex_rune(behind.ptr, behind.ptr + behind.len, &rune);
    /* Units of durations; there are two letters mu. */
    return !text_is_token_rune(rune) || is_one_of(rune, "TZsmhun") ||
        rune == 0x3bc || rune == 0xb5;
}

/* The number that text begins with: its length, or 0. */
static size_t
number_len(struct sv text)
{
    size_t len = 0;
    bool is_decimal = true;

    while (len < text.len && is_hex(text.ptr[len])) {
        is_decimal &= text.ptr[len] <= '9';
        len++;
    }
    if (len == 0 || (!is_decimal && (len < HEX_MIN || len % 2 != 0)))
        return 0;
    return may_end(sv_sub(text, len, SIZE_MAX)) ? len : 0;
}

void
collapse_numbers(struct sb *out, struct sv text)
{
    uint32_t before = ' ';

    while (text.len > 0) {
        size_t len = is_hex(text.ptr[0]) && may_begin(before)
            ? number_len(text) : 0;

        if (len > 0) {
            sb_add_str(out, "<N>");
            before = '0';
        } else {
            len = lex_rune(text.ptr, text.ptr + text.len, &before);
            sb_add(out, text.ptr, len);
        }
        text = sv_sub(text, len, SIZE_MAX);
    }
}

/* --- groups --- */

/* The new text is the shorter one. */
static void
replace_all(struct sb *text, struct sv old, struct sv made)
{
    size_t at = 0, len = 0;

    for (;;) {
        const char *found = memmem(text->ptr + at, text->len - at, old.ptr,
            old.len);
        size_t end = found == NULL ? text->len : (size_t)(found - text->ptr);

        memmove(text->ptr + len, text->ptr + at, end - at);
        len += end - at;
        if (found == NULL)
            break;
        memcpy(text->ptr + len, made.ptr, made.len);
        len += made.len;
        at = end + old.len;
    }
    text->len = len;
    text->ptr[len] = '\0';
}

void
collapse_groups(struct sb *text)
{
    static const struct {
        const char *old;
        const char *made;
    } groups[] = {
        {"<N>-<N>-<N>-<N>-<N>", "<UUID>"},
        {"<N>.<N>.<N>.<N>", "<IP4>"},
        {"<N>:<N>:<N>.<N>", "<TIME>"},
        {"<N>:<N>:<N>,<N>", "<TIME>"},
        {"<N>:<N>:<N>", "<TIME>"},
        {"<N>-<N>-<N>", "<DATE>"},
        {"<N>/<N>/<N>", "<DATE>"},
        {"<DATE>T<TIME>Z", "<DATETIME>"},
        {"<DATE>T<TIME>+<N>:<N>", "<DATETIME>"},
        {"<DATE>T<TIME>-<N>:<N>", "<DATETIME>"},
        {"<DATE>T<TIME>", "<DATETIME>"},
        {"<DATE> <TIME>Z", "<DATETIME>"},
        {"<DATE> <TIME>+<N>:<N>", "<DATETIME>"},
        {"<DATE> <TIME>-<N>:<N>", "<DATETIME>"},
        {"<DATE> <TIME>", "<DATETIME>"},
    };

    /* An empty builder has no bytes of its own. */
    for (size_t i = 0; i < ARRAY_LEN(groups) && text->len > 0; i++)
        replace_all(text, sv_from(groups[i].old), sv_from(groups[i].made));
}
