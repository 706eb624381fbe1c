/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/msort.h"

#include "query/stage.h"

/* Runs of this many are sorted by insertion. */
#define RUN 8u

static void
sort_run(const struct msort *how, const void **items, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        const void *item = items[i];
        size_t at = i;

        for (; at > 0 && how->compare(items[at - 1], item, how->arg) > 0; at--)
            items[at] = items[at - 1];
        items[at] = item;
    }
}

static void
merge(const struct msort *how, const void **dst, const void **src, size_t half,
    size_t n)
{
    size_t a = 0, b = half;

    for (size_t i = 0; i < n; i++) {
        if (b == n || (a < half &&
            how->compare(src[a], src[b], how->arg) <= 0))
            dst[i] = src[a++];
        else
            dst[i] = src[b++];
    }
}

int
msort(const struct msort *how, const void **items, size_t n, struct err *err)
{
    struct hold_array other = {NULL, 0};
    const void **src = items, **dst;
    size_t polled = 0;
    int result = -1;

    if (n <= 1)
        return 0;
    if (hold_grow(how->hold, &other, n, sizeof(*items), err) != 0)
        return -1;
    dst = other.items;
    for (size_t i = 0; i < n; i += RUN)
        sort_run(how, items + i, MIN((size_t)RUN, n - i));
    for (size_t width = RUN; width < n; width *= 2) {
        const void **swap = src;

        for (size_t i = 0; i < n; i += 2 * width) {
            size_t len = MIN(2 * width, n - i);

            merge(how, dst + i, src + i, MIN(width, len), len);
            polled += len;
            if (polled >= STAGE_POLL_ROWS) {
                polled = 0;
                if (run_poll(how->run, err) != 0)
                    goto out;
            }
        }
        src = dst;
        dst = swap;
    }
    if (src != items)
        memcpy(items, src, n * sizeof(*items));
    result = 0;
out:
    hold_drop(how->hold, &other, sizeof(*items));
    return result;
}
