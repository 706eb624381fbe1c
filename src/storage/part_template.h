/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Templates: strings of a dictionary that differ in numbers only, as the text
 * they share and the numbers (part_format.h: TEMPLATES).  Here is what a
 * template's text means; where templates and numbers stand is known to
 * part_write_template.c and part_read_template.c.
 */

#ifndef SPOOR_STORAGE_PART_TEMPLATE_H
#define SPOOR_STORAGE_PART_TEMPLATE_H

#include "core/base.h"
#include "storage/part_format.h"

/* First byte of a variable in the text; never in UTF-8. */
enum template_kind {
    TEMPLATE_NUMBER = 0xf8, /* decimal, no leading zero */
    TEMPLATE_DIGITS = 0xf9, /* decimal of a fixed number of digits */
    TEMPLATE_HEX = 0xfa,    /* the same, lower-case hexadecimal */
    TEMPLATE_ALNUM = 0xfb,  /* the same, digits and lower-case letters */
    TEMPLATE_UUID = 0xfc,   /* two numbers, most significant half first */
    TEMPLATE_MARKERS = TEMPLATE_NUMBER, /* this byte and all above */
};

#define TEMPLATE_UUID_TEXT 36u
#define TEMPLATE_NUMBER_TEXT 20u
/* No more digits fit 64 bits. */
#define TEMPLATE_DIGITS_MAX 19u
#define TEMPLATE_HEX_MAX 16u
#define TEMPLATE_ALNUM_MAX 12u

/* A variable and the literal text before it. */
struct template_var {
    uint32_t off;
    uint32_t len;
    uint8_t kind;
    uint8_t lane;
    uint8_t digits;
};

struct template {
    struct sv text;
    uint32_t tail; /* where the literal text behind the last one begins */
    uint32_t bytes_max; /* of a string */
    unsigned nvars;
    unsigned nnumbers;
    struct template_var vars[PART_TEMPLATE_NUMBERS];
    uint8_t used[PART_TEMPLATE_LANES]; /* numbers in each lane */
};

/* Views into text, which must stay.  False when it is malformed. */
bool template_parse(struct template *t, struct sv text) WARN_UNUSED;

/* The bytes of the variable's marker and what follows it. */
static inline size_t
template_marker_bytes(uint8_t kind)
{
    return kind == TEMPLATE_NUMBER || kind == TEMPLATE_UUID ? 2 : 3;
}

/* One variable, of TEMPLATE_VAR_TEXT bytes at most. */
#define TEMPLATE_VAR_TEXT TEMPLATE_UUID_TEXT
bool template_print_var(const struct template_var *var,
    const uint64_t *numbers, char *dst, size_t *len) WARN_UNUSED;

/*
 * Writes the string of these nnumbers numbers, bytes_max bytes at most; false
 * when a number has too many digits.
 */
bool template_print(const struct template *t, const uint64_t *numbers,
    char *dst, size_t *len) WARN_UNUSED;

/* The numbers that make the text, if it is one of the template's. */
bool template_match(const struct template *t, struct sv text,
    uint64_t numbers[PART_TEMPLATE_NUMBERS]) WARN_UNUSED;

/* n digits of a base up to 36, all known to be such. */
uint64_t template_digits(const char *text, size_t n, unsigned base);
/* A uuid of TEMPLATE_UUID_TEXT lower-case bytes; false: it is none. */
bool template_uuid(const char *text, uint64_t numbers[2]) WARN_UNUSED;

#endif
