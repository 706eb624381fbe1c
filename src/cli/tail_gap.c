/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Rows are known by a hash of their line, which holds _time, and are counted:
 * two equal ones are two rows.  After a cut each of those shown before is
 * expected once more.
 */

#include "core/base.h"
#include "cli/tail_gap.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "cli/cli.h"
#include "core/assert.h"
#include "core/mem.h"
#include "core/sb.h"
#include "core/timefmt.h"

/*
 * A server that is silently gone is noticed that late at most: by keep-alive
 * of TCP after 35 s (http/client.c).
 */
#define SILENCE_NS (60 * NS_PER_SEC)
/* A tail's rounds are a second late, and look back for ten. */
#define OVERLAP_NS (15 * NS_PER_SEC)
/* The rows of the gap may take so long to come. */
#define SETTLE_NS (60 * NS_PER_SEC)

#define LINE_BYTES_MAX (256 * MIB)
#define SLOTS (2 * TAIL_GAP_ROWS)

struct slot {
    uint64_t hash;     /* 0: free */
    uint32_t shown;    /* rows in the ring */
    uint32_t expected; /* of them, once more from this connection */
};

struct tail_gap {
    http_client_data_fn fn;
    void *arg;
    struct sb line;     /* the last one, while it is not whole */
    struct sb out;      /* lines to pass on */
    struct slot *slots; /* open addressing */
    uint64_t *ring;     /* hashes, the oldest first */
    uint32_t first, n;  /* of the ring */
    int64_t last_ns;    /* something came; monotonic, as are the next */
    int64_t lost_ns;    /* since then rows may be missing, if is_lost */
    bool is_lost;
    int64_t again_ns;   /* first data behind a cut; 0: none yet */
    bool was_cut;
    bool is_over;
};

struct tail_gap *
tail_gap_new(http_client_data_fn fn, void *arg, int64_t since_ns)
{
    struct tail_gap *gap = xcalloc(1, sizeof(*gap));

    gap->fn = fn;
    gap->arg = arg;
    sb_init(&gap->line, LINE_BYTES_MAX);
    sb_init(&gap->out, LINE_BYTES_MAX);
    gap->slots = xcalloc(SLOTS, sizeof(*gap->slots));
    gap->ring = xcalloc(TAIL_GAP_ROWS, sizeof(*gap->ring));
    gap->last_ns = clock_mono_ns();
    /* Until its rows have come. */
    gap->is_lost = true;
    gap->lost_ns = gap->last_ns - since_ns;
    return gap;
}

void
tail_gap_free(struct tail_gap *gap)
{
    if (gap == NULL)
        return;
    sb_release(&gap->line);
    sb_release(&gap->out);
    xfree(gap->slots);
    xfree(gap->ring);
    xfree(gap);
}

bool
tail_gap_may_go_on(const struct tail_gap *gap)
{
    return !gap->is_over;
}

/* --- what was shown --- */

/* That of the hash, or the free one where it belongs. */
static struct slot *
slot_of(struct tail_gap *gap, uint64_t hash)
{
    uint32_t i = (uint32_t)hash % SLOTS;

    while (gap->slots[i].hash != 0 && gap->slots[i].hash != hash)
        i = (i + 1) % SLOTS;
    return &gap->slots[i];
}

/* Frees the slot; those behind it that belong before it move up. */
static void
slot_free(struct tail_gap *gap, struct slot *slot)
{
    uint32_t hole = (uint32_t)(slot - gap->slots), i = hole;

    for (;;) {
        uint32_t home;

        gap->slots[hole] = (struct slot){0, 0, 0};
        do {
            i = (i + 1) % SLOTS;
            if (gap->slots[i].hash == 0)
                return;
            home = (uint32_t)gap->slots[i].hash % SLOTS;
        } while (hole <= i ? hole < home && home <= i
                           : hole < home || home <= i);
        gap->slots[hole] = gap->slots[i];
        hole = i;
    }
}

static void
forget_oldest(struct tail_gap *gap)
{
    struct slot *slot = slot_of(gap, gap->ring[gap->first]);

    gap->first = (gap->first + 1) % TAIL_GAP_ROWS;
    gap->n--;
    check(slot->shown > 0);
    slot->shown--;
    slot->expected = MIN(slot->expected, slot->shown);
    if (slot->shown == 0)
        slot_free(gap, slot);
}

/* False: it was shown before the cut. */
static bool
is_new(struct tail_gap *gap, struct sv line)
{
    uint64_t hash = XXH3_64bits(line.ptr, line.len);
    struct slot *slot;

    hash += hash == 0;
    slot = slot_of(gap, hash);
    if (slot->hash != 0 && slot->expected > 0) {
        slot->expected--;
        return false;
    }
    if (gap->n == TAIL_GAP_ROWS) {
        forget_oldest(gap);
        slot = slot_of(gap, hash);
    }
    slot->hash = hash;
    slot->shown++;
    gap->ring[(gap->first + gap->n) % TAIL_GAP_ROWS] = hash;
    gap->n++;
    return true;
}

/* --- lines --- */

static void
take_line(struct tail_gap *gap, struct sv line)
{
    /* An error that came too late for a status. */
    if (line.len > 0 && line.ptr[0] != '{')
        gap->is_over = true;
    if (!is_new(gap, line))
        return;
    sb_add_sv(&gap->out, line);
    sb_add_char(&gap->out, '\n');
}

/* Lines end at the last '\n' of data; what is behind it waits. */
static void
take_data(struct tail_gap *gap, struct sv data)
{
    size_t end;

    while ((end = sv_find_byte(data, '\n')) < data.len) {
        struct sv line = sv_sub(data, 0, end);

        data = sv_sub(data, end + 1, SIZE_MAX);
        if (gap->line.len > 0) {
            sb_add_sv(&gap->line, line);
            take_line(gap, sb_sv(&gap->line));
            sb_reset(&gap->line);
        } else {
            take_line(gap, line);
        }
    }
    sb_add_sv(&gap->line, data);
}

static void
note_time(struct tail_gap *gap)
{
    gap->last_ns = clock_mono_ns();
    if (!gap->is_lost)
        return;
    if (gap->again_ns == 0)
        gap->again_ns = gap->last_ns;
    else if (gap->last_ns - gap->again_ns > SETTLE_NS)
        gap->is_lost = false;
}

int
tail_gap_data(void *arg, struct sv data, struct err *err)
{
    struct tail_gap *gap = arg;
    int rc = 0;

    if (gap->was_cut)
        (void)cli_fail("connected again");
    gap->was_cut = false;
    note_time(gap);
    sb_reset(&gap->out);
    take_data(gap, data);
    if (sb_failed(&gap->out) || sb_failed(&gap->line))
        rc = err_set(err, ERR_LIMIT, "a row is too long");
    else if (gap->out.len > 0)
        rc = gap->fn(gap->arg, sb_sv(&gap->out), err);
    if (rc != 0)
        gap->is_over = true;
    return rc;
}

int64_t
tail_gap_cut(struct tail_gap *gap)
{
    int64_t now_ns = clock_mono_ns();

    gap->was_cut = true;
    gap->again_ns = 0;
    sb_reset(&gap->line);
    for (uint32_t i = 0; i < SLOTS; i++)
        gap->slots[i].expected = gap->slots[i].shown;
    if (!gap->is_lost)
        gap->lost_ns = MAX(gap->last_ns, now_ns - SILENCE_NS);
    gap->is_lost = true;
    return now_ns - gap->lost_ns + OVERLAP_NS;
}
