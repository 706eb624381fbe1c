/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Headers of the PROXY protocol: any bytes give a client, an error, or a wish
 * for more; byte by byte the same as at once.
 */

#include "core/base.h"

#include "core/assert.h"
#include "event/addr.h"
#include "event/proxy_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct proxy_header whole, pieces;

static enum proxy_header_result
feed_pieces(const uint8_t *data, size_t size, size_t step, size_t *total)
{
    enum proxy_header_result result = PROXY_HEADER_MORE;
    size_t used;

    *total = 0;
    proxy_header_init(&pieces);
    while (*total < size && result == PROXY_HEADER_MORE) {
        size_t n = MIN(step, size - *total);

        result = proxy_header_feed(&pieces, data + *total, n, &used);
        check(used <= n);
        check(used == n || result != PROXY_HEADER_MORE);
        *total += used;
    }
    return result;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t steps[] = {1, 7, 16};
    char text[ADDR_TEXT_MAX];
    enum proxy_header_result result;
    size_t used, total;

    proxy_header_init(&whole);
    result = proxy_header_feed(&whole, data, size, &used);
    check(used <= size && used <= PROXY_HEADER_MAX);
    check(result != PROXY_HEADER_MORE || used == size);
    check((result == PROXY_HEADER_ERROR) == (whole.error != NULL));
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        check(feed_pieces(data, size, steps[i], &total) == result);
        if (result != PROXY_HEADER_DONE)
            continue;
        check(total == used);
        check(memcmp(&whole.client, &pieces.client,
                sizeof(whole.client)) == 0);
    }
    if (result == PROXY_HEADER_DONE)
        addr_print((const struct sockaddr *)&whole.client, text,
            sizeof(text));
    return 0;
}
