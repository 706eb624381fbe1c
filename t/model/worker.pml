/* SPDX-License-Identifier: BSD-2-Clause */

/* A worker: the ingest thread and the flush thread, which die together. */

/* Free, and not read by anybody. */
#define BUFFER_IS_FREE(b) (buffer_state[b] == BUFFER_FREE && (BUG == 6 || \
    buffer_dead_gen[b] <= OLDEST_READER))

inline memtable_open(me, b, s)
{
    atomic {
        (CATALOG_IS_FREE && (BUFFER_IS_FREE(s * BUFFERS) ||
            BUFFER_IS_FREE(s * BUFFERS + 1)));
        d_step {
            b = (BUFFER_IS_FREE(s * BUFFERS) -> s * BUFFERS
                : s * BUFFERS + 1);
            buffer_committed[b] = 0;
            buffer_epoch[b] = !buffer_epoch[b];
            catalog_begin(me);
            buffer_born[b] = gen + 1;
            buffer_dead[b] = FOREVER;
            buffer_state[b] = BUFFER_ACTIVE;
            catalog_commit()
        }
    }
}

#define COMMIT_AND_ACK(b, r) \
    buffer_committed[b] = buffer_committed[b] | BIT(r); \
    acked = acked | BIT(r)

proctype Ingest(byte me; byte s)
{
    byte b = NONE, r = 0;
    bool is_on = false;

start:
    {
        atomic {
            (is_up && !alive[me] && !flush_is_on[s] &&
                slot_state[s] == SLOT_FREE && next_row < ROWS);
            alive[me] = true;
            slot_state[s] = SLOT_LIVE;
            is_on = true
        };
idle:
        do
        :: next_row < ROWS ->
            if
            :: slot_log[s] == NONE -> d_step {
                    assert(nlogs < LOGS);
                    log_slot[nlogs] = s;
                    slot_log[s] = nlogs;
                    nlogs = nlogs + 1
                }
            :: else
            fi;
            if
            :: b == NONE -> memtable_open(me, b, s)
            :: else
            fi;
            /* Appended, not visible, and in the log. */
            atomic {
                if
                :: next_row < ROWS ->
                    r = next_row;
                    next_row = next_row + 1;
                    row_log[r] = slot_log[s];
                    row_lsn[r] = 1 + COUNT(log_rows[slot_log[s]])
                :: else -> goto idle /* the other worker took it */
                fi;
                log_rows[slot_log[s]] = log_rows[slot_log[s]] | BIT(r);
                if
                :: BUG == 16 ->
                    buffer_committed[b] = buffer_committed[b] | BIT(r)
                :: BUG == 7 -> COMMIT_AND_ACK(b, r)
                :: else
                fi
#if !CRASHES
                ;
                log_synced[slot_log[s]] = log_synced[slot_log[s]] | BIT(r)
#endif
            };
#if CRASHES
            d_step {
                log_synced[slot_log[s]] = log_synced[slot_log[s]] | BIT(r)
            };
#endif
            d_step { COMMIT_AND_ACK(b, r); r = 0 }
        :: b != NONE -> d_step {
                buffer_state[b] = BUFFER_FROZEN;
                if
                :: frozen_first[s] == NONE -> frozen_first[s] = b
                :: else
                fi;
                b = NONE
            }
        od
    } unless { is_on && !alive[me] };
    d_step { b = NONE; r = 0; is_on = false };
    goto start
}

/* In the manifest; a day that went in the meantime is left out. */
inline day_list(me, p, rows, d, l, before)
{
    d_step {
        PARTITION_IS_FREE(d);
        if
        :: BUG != 14 && (dropping[d] || incarnation[d] != before) ->
            part_unlink(p);
            p = NONE
        :: else ->
            manifest_edit(d);
            LISTED(d) = LISTED(d) | BIT(p);
            highest_lsn(rows, mask_);
            if
            :: mask_ > FLUSHED(d, l) -> FLUSHED(d, l) = mask_
            :: else
            fi
        fi;
#if CRASHES
        partition_lock[d] = me
    };
    d_step {
#endif
        if
        :: BUG != 5 && version[d] > 0 -> manifest_sync(d)
        :: else
        fi;
        partition_lock[d] = 0
    }
}

#define IS_CURRENT(p, d, before) (p != NONE && \
    (BUG == 14 || incarnation[d] == before))

/* Two steps, so that a kill leaves a half. */
inline memtable_swap(me, s, b)
{
    d_step {
        CATALOG_IS_FREE;
        catalog_begin(me);
        if
        :: IS_CURRENT(p0, 0, before0) -> catalog_add(p0)
        :: else
        fi;
#if DAYS > 1
        if
        :: IS_CURRENT(p1, 1, before1) -> catalog_add(p1)
        :: else
        fi
#endif
    };
    d_step { buffer_dead[b] = gen + 1; catalog_commit() }
}

/*
 * Which incarnation of the day it is for is looked at first, then whether the
 * day is going.
 */
inline day_begin(p, m, d, l, before)
{
    if
    :: (m & DAY_ROWS(d)) == 0
    :: else ->
#if DROP
        if
        :: BUG == 21
        :: else -> before = incarnation[d]
        fi;
        if
        :: dropping[d] && BUG != 14
        :: else ->
            if
            :: BUG == 21 -> before = incarnation[d]
            :: else
            fi;
            day_write(p, m & DAY_ROWS(d), d, l)
        fi
#else
        before = incarnation[d];
        day_write(p, m & DAY_ROWS(d), d, l)
#endif
    fi
}

proctype Flush(byte me; byte s)
{
    byte b = NONE, l = 0, m = 0, p0 = NONE, p1 = NONE;
    byte before0 = 0, before1 = 0;

start:
    {
        atomic {
            (alive[me] && frozen_first[s] != NONE);
            b = frozen_first[s];
            m = buffer_committed[b];
            l = slot_log[s];
            flush_is_on[s] = true
        };
        d_step { p0 = NONE; p1 = NONE };
        day_begin(p0, m, 0, l, before0);
#if DAYS > 1
        day_begin(p1, m, 1, l, before1);
#endif
        if
        :: BUG == 1 -> memtable_swap(me, s, b)
        :: else
        fi;
        if
        :: p0 != NONE -> day_list(me, p0, m & DAY_ROWS(0), 0, l, before0)
        :: else
        fi;
#if DAYS > 1
        if
        :: BUG == 4 && p0 != NONE && p1 != NONE ->
            d_step {
                CATALOG_IS_FREE;
                catalog_begin(me);
                catalog_add(p0);
                catalog_commit();
                p0 = NONE
            }
        :: else
        fi;
        if
        :: p1 != NONE -> day_list(me, p1, m & DAY_ROWS(1), 1, l, before1)
        :: else
        fi;
#endif
        if
        :: BUG != 1 -> memtable_swap(me, s, b)
        :: else
        fi;
        d_step { buffer_dead_gen[b] = gen; buffer_state[b] = BUFFER_FREE };
        d_step {
            log_gone[l] = log_gone[l] | m;
            if
            :: buffer_state[b ^ 1] == BUFFER_FROZEN ->
                frozen_first[s] = b ^ 1
            :: else -> frozen_first[s] = NONE
            fi
        };
        if
        :: BUG == 5 -> d_step {
                if
                :: version[0] > 0 -> manifest_sync(0)
                :: else
                fi;
#if DAYS > 1
                if
                :: version[1] > 0 -> manifest_sync(1)
                :: else
                fi
#endif
            }
        :: else
        fi;
        d_step {
            b = NONE; l = 0; m = 0; p0 = NONE; p1 = NONE;
            before0 = 0; before1 = 0; flush_is_on[s] = false
        };
        goto start
    } unless { flush_is_on[s] && !alive[me] };
    d_step {
        b = NONE; l = 0; m = 0; p0 = NONE; p1 = NONE;
        before0 = 0; before1 = 0; flush_is_on[s] = false
    };
    goto start
}
