/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "cluster/nodes_twice.h"

#include "core/log.h"
#include "event/addr.h"

/* Pairs that were told; more are not told. */
#define TOLD_MAX 16u

static bool
has_address(const struct nodes_entry *entry,
    const struct sockaddr_storage *address)
{
    for (unsigned i = 0; i < entry->naddresses; i++) {
        if (memcmp(&entry->addresses[i], address, sizeof(*address)) == 0)
            return true;
    }
    return false;
}

/* Only the one thread of a worker comes here. */
static bool
is_told(const struct nodes_entry *a, const struct nodes_entry *b)
{
    static uint64_t told[TOLD_MAX];
    static unsigned n;
    uint64_t pair = node_seed(sv_from(a->name)) ^
        node_seed(sv_from(b->name)) << 1;

    for (unsigned i = 0; i < n; i++) {
        if (told[i] == pair)
            return true;
    }
    if (n == TOLD_MAX)
        return true;
    told[n++] = pair;
    return false;
}

static void
compare(const struct nodes_entry *a, const struct nodes_entry *b)
{
    char text[ADDR_TEXT_MAX];

    if (strcmp(a->name, b->name) == 0)
        return;
    for (unsigned i = 0; i < a->naddresses; i++) {
        if (!has_address(b, &a->addresses[i]) || is_told(a, b))
            continue;
        addr_print((const struct sockaddr *)&a->addresses[i], text,
            sizeof(text));
        log_warn("storage nodes %s and %s are both at %s: if they are one "
            "server, its spans are counted twice", a->name, b->name, text);
        return;
    }
}

void
nodes_warn_twice(const struct nodes_entry *entries, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        for (unsigned k = i + 1; k < n; k++)
            compare(&entries[i], &entries[k]);
    }
}
