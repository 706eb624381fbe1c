/* SPDX-License-Identifier: BSD-2-Clause */

/* Numbers for strings, and the memory that they may take. */

#include "core/base.h"
#include "core/intern.h"

#include "core/mem_share.h"
#include "tap.h"

#define TEXT_BYTES 1000u

/* Strings of the share that fit, at most n. */
static uint32_t
fill(struct intern *intern, uint32_t n)
{
    char text[TEXT_BYTES] = "";
    uint32_t i = 0;

    for (; i < n; i++) {
        snprintf(text, sizeof(text), "%u", i);
        if (intern_add(intern, sv_make(text, sizeof(text))) != i)
            break;
    }
    return i;
}

int
main(void)
{
    struct mem_share whole = {.max = 100 * KIB};
    struct mem_share share = {.max = MIB, .parent = &whole};
    struct intern intern;

    intern_init(&intern, MIB, 1);
    is_int(fill(&intern, 500), 500, "without a share");
    is_int(fill(&intern, 500), 500, "the same numbers again");
    is_int(intern.n, 500, "so many");
    intern_release(&intern);

    intern_init(&intern, MIB, 1);
    intern_share(&intern, &share);
    ok(fill(&intern, 500) <= 100 * KIB / TEXT_BYTES + 10,
        "no more than the share has");
    ok(share.used > 0 && whole.used == share.used, "is counted");
    ok(share.was_starved, "others had it");
    intern_release(&intern);
    is_int(share.used, 0, "all is given back");
    is_int(whole.used, 0, "to the whole, too");
    return tap_done();
}
