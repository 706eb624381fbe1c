/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/arrays.h"

#include "core/json_out.h"
#include "core/mem.h"
#include "query/dict.h"
#include "query/lex.h"
#include "query/text.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* --- reading --- */

uint64_t
array_count(struct sv text)
{
    struct json_in in;
    uint64_t n = 0;

    json_in_init(&in, text, NULL);
    if (text.len == 0 || json_peek(&in) != JSON_ARRAY ||
        !json_enter_array(&in))
        return 0;
    while (json_next_item(&in)) {
        n++;
        (void)json_skip(&in);
    }
    return !json_in_failed(&in) && json_peek(&in) == JSON_END ? n : 0;
}

void
array_begin(struct array_in *array, struct sv text, struct pool *pool)
{
    json_in_init(&array->in, text, pool);
    (void)json_enter_array(&array->in);
}

bool
array_next(struct array_in *array, struct sv *item)
{
    struct json_in *in = &array->in;
    const char *start;

    if (json_in_failed(in) || !json_next_item(in))
        return false;
    if (json_peek(in) == JSON_STRING)
        return json_read_string(in, item);
    start = in->ptr;
    if (!json_skip(in))
        return false;
    *item = sv_make(start, (size_t)(in->ptr - start));
    return true;
}

bool
array_join(struct sb *out, struct sv text, struct sv separator,
    struct pool *pool)
{
    struct array_in array;
    struct sv item;

    if (array_count(text) == 0)
        return true;
    array_begin(&array, text, pool);
    for (uint64_t n = 0; array_next(&array, &item); n++) {
        if (n > 0)
            sb_add_sv(out, separator);
        sb_add_sv(out, item);
    }
    return !json_in_failed(&array.in);
}

/* --- words --- */

/* Cuts the next word off *rest; false: there is none. */
static bool
next_word(struct sv *rest, struct sv *word)
{
    const char *end = rest->ptr + rest->len, *ptr = rest->ptr;
    const char *start = NULL;

    while (ptr < end) {
        uint32_t rune = (unsigned char)*ptr;
        unsigned len = rune < 0x80 ? 1 : lex_rune(ptr, end, &rune);
        bool is_token = rune != UINT32_MAX && text_is_token_rune(rune);

        if (is_token && start == NULL)
            start = ptr;
        else if (!is_token && start != NULL)
            break;
        ptr += len;
    }
    *rest = sv_make(ptr, (size_t)(end - ptr));
    if (start == NULL)
        return false;
    *word = sv_make(start, (size_t)(ptr - start));
    return true;
}

/* Words that were seen: a hash table, at most half full. */
struct word_set {
    struct sv *slots;
    size_t mask;
};

size_t
array_words_bytes(struct sv text)
{
    /* Every other byte begins a word; less than four slots for each. */
    return (text.len / 2 + 1) * 4 * sizeof(struct sv);
}

static bool
word_set_init(struct word_set *set, struct sv text)
{
    size_t n = 4, nwords = 0;
    struct sv word;

    while (next_word(&text, &word))
        nwords++;
    while (n < 2 * nwords)
        n *= 2;
    set->mask = n - 1;
    set->slots = mem_try_alloc(n * sizeof(*set->slots));
    if (set->slots == NULL)
        return false;
    memset(set->slots, 0, n * sizeof(*set->slots));
    return true;
}

/* True: it was not in the set. */
static bool
word_set_add(struct word_set *set, struct sv word)
{
    size_t at = XXH3_64bits_withSeed(word.ptr, word.len, dict_secret()) &
        set->mask;

    for (; set->slots[at].len > 0; at = (at + 1) & set->mask) {
        if (sv_eq(set->slots[at], word))
            return false;
    }
    set->slots[at] = word;
    return true;
}

bool
array_of_words(struct sb *out, struct sv text, bool is_uniq)
{
    struct word_set set = {NULL, 0};
    struct json_out json;
    struct sv word;

    if (is_uniq && !word_set_init(&set, text))
        return false;
    json_out_init(&json, out);
    json_array(&json);
    while (next_word(&text, &word)) {
        if (!is_uniq || word_set_add(&set, word))
            json_string(&json, word);
    }
    json_array_end(&json);
    xfree(set.slots);
    return true;
}

/* --- pieces --- */

/* Bytes of the piece that text begins with. */
static size_t
piece_len(struct sv text, struct sv separator)
{
    const char *found;
    uint32_t rune;

    if (separator.len == 0)
        return lex_rune(text.ptr, text.ptr + text.len, &rune);
    found = memmem(text.ptr, text.len, separator.ptr, separator.len);
    return found == NULL ? text.len : (size_t)(found - text.ptr);
}

void
array_of_pieces(struct sb *out, struct sv text, struct sv separator)
{
    struct json_out json;
    bool is_last = text.len == 0;

    json_out_init(&json, out);
    json_array(&json);
    while (!is_last) {
        /* Behind a separator at the end stands an empty piece. */
        size_t len = text.len == 0 ? 0 : piece_len(text, separator);

        json_string(&json, sv_sub(text, 0, len));
        is_last = len == text.len;
        text = sv_sub(text, len + separator.len, SIZE_MAX);
    }
    json_array_end(&json);
}
