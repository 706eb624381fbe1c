/* SPDX-License-Identifier: BSD-2-Clause */

/* Rendezvous hashing: even, stable, and moving no more than it must. */

#include "core/base.h"
#include "cluster/nodes.h"

#include "tap.h"

#define KEYS 100000u
#define MANY 7u

static struct node v[NODES_MAX];
static char names[NODES_MAX][16];
static struct nodes nodes = {.n = MANY, .v = v};
static uint64_t all[NODES_MAX / 64];

static struct trace_id
trace_of(uint64_t n)
{
    struct trace_id id = {{0}};

    memcpy(id.b, &n, sizeof(n));
    return id;
}

static unsigned
choose(uint64_t n)
{
    struct trace_id id = trace_of(n);

    return nodes_choose(&nodes, trace_key(&id), all);
}

static void
set_up(void)
{
    for (unsigned i = 0; i < NODES_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "node-%u:10428", i);
        v[i].name = names[i];
        v[i].seed = node_seed(sv_from(names[i]));
    }
    memset(all, 0xff, sizeof(all));
}

static void
test_even(void)
{
    unsigned count[MANY] = {0};

    for (uint64_t n = 0; n < KEYS; n++)
        count[choose(n)]++;
    for (unsigned i = 0; i < MANY; i++)
        ok(count[i] > KEYS / MANY * 97 / 100 &&
            count[i] < KEYS / MANY * 103 / 100,
            "node %u has its share within 3 %%: %u", i, count[i]);
}

static void
test_one_leaves(void)
{
    unsigned moved_of_others = 0, moved_to[MANY] = {0}, moved = 0;

    for (uint64_t n = 0; n < KEYS; n++) {
        unsigned before = choose(n), after;

        all[0] &= ~(UINT64_C(1) << 3);
        after = choose(n);
        all[0] |= UINT64_C(1) << 3;
        if (before != 3)
            moved_of_others += before != after ? 1 : 0;
        else
            moved++, moved_to[after]++;
    }
    is_int(moved_of_others, 0, "traces of the nodes that stay stay");
    is_int(moved_to[3], 0, "the one that left gets none");
    for (unsigned i = 0; i < MANY; i++) {
        if (i != 3)
            ok(moved_to[i] > moved / (MANY - 1) * 93 / 100 &&
                moved_to[i] < moved / (MANY - 1) * 107 / 100,
                "node %u gets a fair part of what is moved: %u of %u", i,
                moved_to[i], moved);
    }
}

static void
test_one_comes(void)
{
    unsigned moved = 0, to_others = 0;

    for (uint64_t n = 0; n < KEYS; n++) {
        unsigned before = choose(n), after;

        nodes.n = MANY + 1;
        after = choose(n);
        nodes.n = MANY;
        moved += before != after ? 1 : 0;
        to_others += before != after && after != MANY ? 1 : 0;
    }
    is_int(to_others, 0, "what moves goes to the new one");
    ok(moved > KEYS / (MANY + 1) * 96 / 100 &&
        moved < KEYS / (MANY + 1) * 104 / 100,
        "its share moves, no more: %u of %u", moved, KEYS);
}

/* The order of a list must not count. */
static void
test_order(void)
{
    struct node turned[MANY];
    struct nodes other = {.n = MANY, .v = turned};
    unsigned same = 0;

    for (unsigned i = 0; i < MANY; i++)
        turned[i] = v[MANY - 1 - i];
    for (uint64_t n = 0; n < 1000; n++) {
        struct trace_id id = trace_of(n);

        same += nodes_choose(&other, trace_key(&id), all) ==
            MANY - 1 - choose(n) ? 1 : 0;
    }
    is_int(same, 1000, "lists in another order route the same way");
}

/*
 * What versions agree on.  These numbers never change: a front of the next
 * version must route as this one does.
 */
static void
test_stable(void)
{
    static const struct trace_id id = {{0x5b, 0x8e, 0xff, 0xf7, 0x98, 0x03,
        0x81, 0x03, 0xd2, 0x69, 0xb6, 0x33, 0x81, 0x3f, 0xc6, 0x0c}};
    static const uint8_t want[16] = {1, 4, 4, 2, 3, 4, 3, 4, 2, 3, 1, 1, 6, 2,
        4, 0};
    uint64_t key = trace_key(&id);

    is_int(v[0].seed, 0x47bb8ead760611fb, "the seed of a name");
    is_int(key, 0xbfd14c1bf7c444f0, "the key of a trace");
    is_int(node_score(&v[0], key), 0x971f88534f1305fa, "a score");
    for (uint64_t n = 0; n < ARRAY_LEN(want); n++)
        is_int(choose(n), want[n], "the node of trace %" PRIu64, n);
}

static void
test_among(void)
{
    uint64_t none[NODES_MAX / 64] = {0}, last[NODES_MAX / 64] = {0};

    nodes.n = NODES_MAX;
    last[NODES_MAX / 64 - 1] = UINT64_C(1) << 63;
    is_int(nodes_choose(&nodes, 1, none), NODES_MAX, "none of none");
    is_int(nodes_choose(&nodes, 1, last), NODES_MAX - 1, "the last one");
    ok(nodes_choose(&nodes, 1, all) < NODES_MAX, "one of all");
    nodes.n = 0;
    is_int(nodes_choose(&nodes, 1, all), 0, "an empty list");
    nodes.n = MANY;
}

int
main(void)
{
    set_up();
    test_even();
    test_one_leaves();
    test_one_comes();
    test_order();
    test_stable();
    test_among();
    return tap_done();
}
