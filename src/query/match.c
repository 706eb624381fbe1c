/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/text.h"

#include <utf8proc.h>

#include "core/mem.h"

/* The longest UTF-8 sequence. */
#define RUNE_MAX 4u
/* Stands for a byte that is not UTF-8; it counts as a letter. */
#define RUNE_INVALID UINT32_MAX

bool
text_is_token_rune(uint32_t rune)
{
    if (rune < 0x80)
        return (rune >= '0' && rune <= '9') || rune == '_'
            || ((rune | 0x20) >= 'a' && (rune | 0x20) <= 'z');
    if (rune == RUNE_INVALID)
        return true;
    switch (utf8proc_category((utf8proc_int32_t)rune)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
        return true;
    default:
        return false;
    }
}

/* Whether the rune at ptr, which is before end, is one of a word. */
static bool
is_token_at(const char *ptr, const char *end)
{
    uint32_t rune = RUNE_INVALID;

    if (LIKELY((unsigned char)*ptr < 0x80))
        return text_is_token_rune((unsigned char)*ptr);
    sv_utf8_rune(ptr, end, &rune);
    return text_is_token_rune(rune);
}

/* The same of the rune that ends at ptr, which is behind start. */
static bool
is_token_before(const char *start, const char *ptr)
{
    uint32_t rune = RUNE_INVALID;

    if (LIKELY((unsigned char)ptr[-1] < 0x80))
        return text_is_token_rune((unsigned char)ptr[-1]);
    for (unsigned len = 2; len <= RUNE_MAX && len <= (size_t)(ptr - start);
        len++) {
        if (sv_utf8_rune(ptr - len, ptr, &rune) == len)
            return text_is_token_rune(rune);
    }
    return true;
}

/* What is looked for, and which of its edges must be edges of words. */
struct needle {
    struct sv text; /* not empty */
    bool is_word_left;
    bool is_word_right;
};

static struct needle
needle_of(struct sv text, bool is_prefix)
{
    const char *end = text.ptr + text.len;

    return (struct needle){
        .text = text,
        .is_word_left = is_token_at(text.ptr, end),
        .is_word_right = !is_prefix && is_token_before(text.ptr, end),
    };
}

/* The first place at or behind ptr where a word may begin, or end. */
static const char *
skip_word(const char *ptr, const char *end)
{
    while (ptr < end && is_token_at(ptr, end)) {
        unsigned len = sv_utf8_len(ptr, end);

        ptr += len > 0 ? len : 1;
    }
    return ptr;
}

/*
 * The first hit that begins at or behind from and ends at or before limit;
 * value.len if there is none.  A hit that begins at zero begins a word.
 */
static size_t
needle_find(const struct needle *needle, struct sv value, size_t from,
    size_t limit)
{
    const char *end = value.ptr + value.len, *stop = value.ptr + limit;
    const char *ptr = value.ptr + from, *next;
    size_t len = needle->text.len;

    while (ptr < stop && len <= (size_t)(stop - ptr)) {
        ptr = memmem(ptr, (size_t)(stop - ptr), needle->text.ptr, len);
        if (ptr == NULL)
            break;
        if (needle->is_word_left && ptr > value.ptr
            && is_token_before(value.ptr, ptr)) {
            /* No hit begins within this word: one pass over it is enough. */
            next = skip_word(ptr, end);
            ptr = next > ptr ? next : ptr + 1;
            continue;
        }
        if (!needle->is_word_right || ptr + len == end
            || !is_token_at(ptr + len, end))
            return (size_t)(ptr - value.ptr);
        ptr++;
    }
    return value.len;
}

static bool
needle_is_in(const struct needle *needle, struct sv value)
{
    return needle->text.len <= value.len
        && needle_find(needle, value, 0, value.len) < value.len;
}

bool
match_phrase(struct sv value, struct sv phrase)
{
    struct needle needle;

    if (phrase.len == 0)
        return value.len == 0;
    if (phrase.len > value.len)
        return false;
    needle = needle_of(phrase, false);
    return needle_is_in(&needle, value);
}

bool
match_prefix(struct sv value, struct sv prefix)
{
    struct needle needle;

    if (prefix.len == 0)
        return value.len > 0;
    if (prefix.len > value.len)
        return false;
    needle = needle_of(prefix, true);
    return needle_is_in(&needle, value);
}

bool
match_seq(struct sv value, const struct sv *phrases, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct needle needle;
        size_t at;

        if (phrases[i].len == 0)
            continue;
        if (phrases[i].len > value.len)
            return false;
        needle = needle_of(phrases[i], false);
        at = needle_find(&needle, value, 0, value.len);
        if (at == value.len)
            return false;
        value = sv_sub(value, at + phrases[i].len, SIZE_MAX);
    }
    return true;
}

/* --- lower case --- */

#define ASCII_HIGH_BITS UINT64_C(0x8080808080808080)

/* Eight ASCII bytes: adds 0x20 to those from 'A' to 'Z'. */
static uint64_t
lower_word(uint64_t word)
{
    uint64_t from_a = word + UINT64_C(0x3f3f3f3f3f3f3f3f);
    uint64_t above_z = word + UINT64_C(0x2525252525252525);

    return word + (((from_a & ~above_z) & ASCII_HIGH_BITS) >> 2);
}

/*
 * Lowers text into dst until either ends; dst always keeps whole sequences.
 * Returns the length written and cuts what was read off *text.
 */
static size_t
lower_into(char *dst, size_t cap, struct sv *text)
{
    const char *ptr = text->ptr, *end = ptr + text->len;
    size_t at = 0;

    while (ptr < end && cap - at >= sizeof(uint64_t)) {
        utf8proc_int32_t lowered;
        uint32_t rune;
        uint64_t word;
        unsigned len;

        if ((size_t)(end - ptr) >= sizeof(word)) {
            memcpy(&word, ptr, sizeof(word));
            if ((word & ASCII_HIGH_BITS) == 0) {
                word = lower_word(word);
                memcpy(dst + at, &word, sizeof(word));
                at += sizeof(word);
                ptr += sizeof(word);
                continue;
            }
        }
        len = sv_utf8_rune(ptr, end, &rune);
        if (len <= 1) {
            bool is_upper = *ptr >= 'A' && *ptr <= 'Z';

            dst[at++] = (char)(is_upper ? *ptr + 0x20 : *ptr);
            ptr++;
            continue;
        }
        lowered = utf8proc_tolower((utf8proc_int32_t)rune);
        at += (size_t)utf8proc_encode_char(lowered,
            (utf8proc_uint8_t *)dst + at);
        ptr += len;
    }
    *text = sv_make(ptr, (size_t)(end - ptr));
    return at;
}

void
text_lower(struct sb *out, struct sv text)
{
    while (text.len > 0) {
        /* Room for all, as a rule; else the next round takes the rest. */
        size_t cap = MIN(text.len, (size_t)4096) + 2 * sizeof(uint64_t);
        char *dst = sb_reserve(out, cap);

        if (dst == NULL)
            return;
        sb_advance(out, lower_into(dst, cap, &text));
    }
}

#define RUNE_SHARP_S 0xdfu

void
text_upper(struct sb *out, struct sv text)
{
    const char *end = text.ptr + text.len;

    for (const char *ptr = text.ptr; ptr < end;) {
        utf8proc_uint8_t upper[4];
        uint32_t rune = 0;
        unsigned len = sv_utf8_rune(ptr, end, &rune);

        if (len <= 1) {
            bool is_lower = *ptr >= 'a' && *ptr <= 'z';

            sb_add_char(out, (char)(is_lower ? *ptr - 0x20 : *ptr));
            ptr++;
            continue;
        }
        /* The library has a capital one, which Unicode's simple map has not. */
        if (rune != RUNE_SHARP_S)
            rune = (uint32_t)utf8proc_toupper((utf8proc_int32_t)rune);
        sb_add(out, upper, (size_t)utf8proc_encode_char(
            (utf8proc_int32_t)rune, upper));
        ptr += len;
    }
}

/* Text of a value that is lowered at a time; longer phrases need more. */
#define LOWER_WINDOW 4096u

/*
 * The value goes through a window.  What was judged goes, but so much stays
 * that a phrase and the runes around it are seen whole.
 */
static bool
window_find(const struct needle *needle, struct sv value, char *window,
    size_t cap)
{
    size_t keep = needle->text.len + 2 * RUNE_MAX;
    size_t from = 0, len = 0;

    for (;;) {
        struct sv seen;
        size_t limit;

        len += lower_into(window + len, cap - len, &value);
        limit = value.len == 0 ? len : len - RUNE_MAX;
        seen = sv_make(window, len);
        if (needle_find(needle, seen, from, limit) < len)
            return true;
        if (value.len == 0)
            return false;
        memmove(window, window + len - keep, keep);
        len = keep;
        /* Hits before were seen whole, so they were judged. */
        from = RUNE_MAX + 1;
    }
}

static bool
match_nocase(struct sv value, struct sv lower, bool is_prefix)
{
    struct needle needle = needle_of(lower, is_prefix);
    char window[LOWER_WINDOW];
    size_t cap = 4 * (lower.len + 4 * RUNE_MAX);
    char *large;
    bool found;

    /* Two bytes can become three, but not more. */
    if (lower.len > 2 * value.len)
        return false;
    if (cap <= sizeof(window))
        return window_find(&needle, value, window, sizeof(window));
    large = xmalloc(cap);
    found = window_find(&needle, value, large, cap);
    xfree(large);
    return found;
}

bool
match_phrase_nocase(struct sv value, struct sv lower)
{
    if (lower.len == 0)
        return value.len == 0;
    return match_nocase(value, lower, false);
}

bool
match_prefix_nocase(struct sv value, struct sv lower)
{
    if (lower.len == 0)
        return value.len > 0;
    return match_nocase(value, lower, true);
}

uint64_t
text_length(struct sv text)
{
    const char *ptr = text.ptr, *end = text.len > 0 ? ptr + text.len : ptr;
    uint64_t n = 0;

    while (ptr < end) {
        uint64_t word;
        unsigned len;

        if ((size_t)(end - ptr) >= sizeof(word)) {
            memcpy(&word, ptr, sizeof(word));
            if ((word & ASCII_HIGH_BITS) == 0) {
                ptr += sizeof(word);
                n += sizeof(word);
                continue;
            }
        }
        len = sv_utf8_len(ptr, end);
        ptr += len > 0 ? len : 1;
        n++;
    }
    return n;
}
