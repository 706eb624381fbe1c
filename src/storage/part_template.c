/* SPDX-License-Identifier: BSD-2-Clause */

/* The text of templates (part_format.h: TEMPLATES). */

#include "core/base.h"
#include "storage/part_template.h"

#include "core/enc.h"
#include "core/num.h"

/* Value of a digit + 1; 0: something else. */
static const uint8_t values[256] = {
    ['0'] = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
    ['a'] = 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
    27, 28, 29, 30, 31, 32, 33, 34, 35, 36,
};

static const char digit_texts[] = "0123456789abcdefghijklmnopqrstuvwxyz";

/* --- digits --- */

/* Its value, or 255. */
static inline uint8_t
digit(char c)
{
    return (uint8_t)(values[(uint8_t)c] - 1);
}

uint64_t
template_digits(const char *text, size_t n, unsigned base)
{
    uint64_t v = 0;

    for (size_t i = 0; i < n; i++)
        v = v * base + digit(text[i]);
    return v;
}

static unsigned
base_of(uint8_t kind)
{
    return kind == TEMPLATE_HEX || kind == TEMPLATE_UUID ? 16 :
        kind == TEMPLATE_ALNUM ? 36 : 10;
}

static uint8_t
digits_max(uint8_t kind)
{
    return kind == TEMPLATE_HEX ? TEMPLATE_HEX_MAX :
        kind == TEMPLATE_ALNUM ? TEMPLATE_ALNUM_MAX : TEMPLATE_DIGITS_MAX;
}

/* Exactly n digits; false when there are more. */
static inline __attribute__((always_inline)) bool
put_based(char *dst, uint64_t v, size_t n, unsigned base)
{
    while (n-- > 0) {
        dst[n] = digit_texts[v % base];
        v /= base;
    }
    return v == 0;
}

/* Divisions by constants are cheap. */
static bool
put_digits(char *dst, uint64_t v, size_t n, unsigned base)
{
    switch (base) {
    case 16:
        return put_based(dst, v, n, 16);
    case 36:
        return put_based(dst, v, n, 36);
    default:
        return put_based(dst, v, n, 10);
    }
}

/* Digits of the base at the text's begin, `max` at most. */
static size_t
count_digits(struct sv text, unsigned base, size_t max)
{
    size_t n = 0;

    while (n < MIN(text.len, max) && digit(text.ptr[n]) < base)
        n++;
    return n;
}

/* --- uuids --- */

#define UUID_GROUPS 5u

static const uint8_t uuid_groups[UUID_GROUPS] = {8, 4, 4, 4, 12};

bool
template_uuid(const char *text, uint64_t numbers[2])
{
    char digits[32], *to = digits;
    bool is_hex = true;

    if (text[8] != '-' || text[13] != '-' || text[18] != '-' ||
        text[23] != '-')
        return false;
    for (unsigned i = 0; i < UUID_GROUPS; i++) {
        memcpy(to, text, uuid_groups[i]);
        to += uuid_groups[i];
        text += uuid_groups[i] + 1;
    }
    for (unsigned i = 0; i < 2; i++) {
        uint32_t high, low;

        is_hex &= enc_hex_bytes(enc_get64(digits + 16 * i), &high);
        is_hex &= enc_hex_bytes(enc_get64(digits + 16 * i + 8), &low);
        numbers[i] = (uint64_t)__builtin_bswap32(high) << 32 |
            __builtin_bswap32(low);
    }
    return is_hex;
}

static void
put_uuid(char *dst, const uint64_t numbers[2])
{
    char digits[32];
    const char *from = digits;

    (void)put_digits(digits, numbers[0], 16, 16);
    (void)put_digits(digits + 16, numbers[1], 16, 16);
    for (unsigned i = 0; i < UUID_GROUPS; i++) {
        if (i > 0)
            *dst++ = '-';
        memcpy(dst, from, uuid_groups[i]);
        dst += uuid_groups[i];
        from += uuid_groups[i];
    }
}

/* --- the text --- */

static bool
parse_var(struct template *t, uint32_t *at, uint32_t literal)
{
    struct template_var *var = &t->vars[t->nvars];
    uint8_t kind = (uint8_t)t->text.ptr[*at];
    size_t n = template_marker_bytes(kind);

    /* A variable is one number at least, so that there is room for it. */
    if (kind > TEMPLATE_UUID || n > t->text.len - *at ||
        t->nnumbers == PART_TEMPLATE_NUMBERS)
        return false;
    *var = (struct template_var){literal, *at - literal, kind,
        (uint8_t)t->text.ptr[*at + 1], 0};
    if (n > 2)
        var->digits = (uint8_t)t->text.ptr[*at + 2];
    if (var->lane >= PART_TEMPLATE_LANES || var->digits > digits_max(kind) ||
        (n > 2 && var->digits == 0))
        return false;
    n = kind == TEMPLATE_UUID ? 2 : 1;
    if (t->nnumbers + n > PART_TEMPLATE_NUMBERS)
        return false;
    t->used[var->lane] += (uint8_t)n;
    t->nnumbers += (unsigned)n;
    t->nvars++;
    t->bytes_max += kind == TEMPLATE_UUID ? TEMPLATE_UUID_TEXT :
        kind == TEMPLATE_NUMBER ? TEMPLATE_NUMBER_TEXT : var->digits;
    *at += (uint32_t)template_marker_bytes(kind);
    return true;
}

bool
template_parse(struct template *t, struct sv text)
{
    uint32_t at = 0, literal = 0;

    *t = (struct template){.text = text};
    if (text.len > PART_HEAP_MAX)
        return false;
    t->bytes_max = (uint32_t)text.len;
    while (at < text.len) {
        if ((uint8_t)text.ptr[at] < TEMPLATE_MARKERS) {
            at++;
            continue;
        }
        if (!parse_var(t, &at, literal))
            return false;
        literal = at;
    }
    t->tail = literal;
    return true;
}

/* --- strings --- */

bool
template_print_var(const struct template_var *var, const uint64_t *numbers,
    char *dst, size_t *len)
{
    switch (var->kind) {
    case TEMPLATE_NUMBER:
        *len = num_print_u64(dst, numbers[0]);
        return true;
    case TEMPLATE_UUID:
        put_uuid(dst, numbers);
        *len = TEMPLATE_UUID_TEXT;
        return true;
    default:
        *len = var->digits;
        return put_digits(dst, numbers[0], var->digits,
            base_of(var->kind));
    }
}

bool
template_print(const struct template *t, const uint64_t *numbers, char *dst,
    size_t *len)
{
    char *start = dst;

    for (unsigned i = 0; i < t->nvars; i++) {
        const struct template_var *var = &t->vars[i];
        size_t n;

        if (var->len == 1)
            *dst = t->text.ptr[var->off];
        else
            memcpy(dst, t->text.ptr + var->off, var->len);
        dst += var->len;
        if (!template_print_var(var, numbers, dst, &n))
            return false;
        dst += n;
        numbers += var->kind == TEMPLATE_UUID ? 2 : 1;
    }
    memcpy(dst, t->text.ptr + t->tail, t->text.len - t->tail);
    *len = (size_t)(dst - start) + t->text.len - t->tail;
    return true;
}

/* The variable at the text's begin: its bytes, 0 when there is none. */
static size_t
match_var(const struct template_var *var, struct sv text, uint64_t *numbers)
{
    unsigned base = base_of(var->kind);
    size_t n;

    if (var->kind == TEMPLATE_UUID)
        return text.len >= TEMPLATE_UUID_TEXT &&
            template_uuid(text.ptr, numbers) ? TEMPLATE_UUID_TEXT : 0;
    if (var->kind == TEMPLATE_NUMBER) {
        n = count_digits(text, base, TEMPLATE_DIGITS_MAX);
        if (n > 1 && text.ptr[0] == '0')
            return 0;
    } else {
        n = count_digits(text, base, var->digits);
        if (n != var->digits)
            return 0;
    }
    *numbers = template_digits(text.ptr, n, base);
    return n;
}

bool
template_match(const struct template *t, struct sv text,
    uint64_t numbers[PART_TEMPLATE_NUMBERS])
{
    struct sv tail = sv_sub(t->text, t->tail, t->text.len);

    for (unsigned i = 0; i < t->nvars; i++) {
        const struct template_var *var = &t->vars[i];
        size_t n;

        if (!sv_starts_with(text, sv_sub(t->text, var->off, var->len)))
            return false;
        text = sv_sub(text, var->len, text.len);
        n = match_var(var, text, numbers);
        if (n == 0)
            return false;
        text = sv_sub(text, n, text.len);
        numbers += var->kind == TEMPLATE_UUID ? 2 : 1;
    }
    return sv_eq(text, tail);
}
