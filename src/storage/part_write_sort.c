/* SPDX-License-Identifier: BSD-2-Clause */

/* Radix sort, least significant digit first. */

#include "core/base.h"
#include "storage/part_write.h"

#define DIGIT_BITS 11u
#define DIGITS (1u << DIGIT_BITS)

static uint32_t
digit_of(const struct sort_item *item, uint32_t shift)
{
    return (uint32_t)(item->key >> shift) & (DIGITS - 1);
}

/* False when all items have the same digit: nothing to move. */
static bool
place_digits(const struct sort_item *items, uint32_t n, uint32_t shift,
    uint32_t place[DIGITS])
{
    uint32_t sum = 0;

    memset(place, 0, DIGITS * sizeof(*place));
    for (uint32_t i = 0; i < n; i++)
        place[digit_of(&items[i], shift)]++;
    if (place[digit_of(&items[0], shift)] == n)
        return false;
    for (uint32_t digit = 0; digit < DIGITS; digit++) {
        uint32_t count = place[digit];

        place[digit] = sum;
        sum += count;
    }
    return true;
}

struct sort_item *
sort_items(struct sort_item *items, struct sort_item *other, uint32_t n,
    uint32_t bits)
{
    uint32_t place[DIGITS];

    for (uint32_t shift = 0; shift < bits && n > 1; shift += DIGIT_BITS) {
        struct sort_item *sorted = other;

        if (!place_digits(items, n, shift, place))
            continue;
        for (uint32_t i = 0; i < n; i++)
            sorted[place[digit_of(&items[i], shift)]++] = items[i];
        other = items;
        items = sorted;
    }
    return items;
}
