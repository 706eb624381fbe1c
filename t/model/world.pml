/* SPDX-License-Identifier: BSD-2-Clause */

/* Readers, which check what they see, and everything that kills. */

/*
 * A query again and again: each row that was answered, or shown by a query
 * that has ended, before it began must be there, and no row twice.
 */
byte shown;

/* The copy of the entries: those of a generation do not change. */
inline snapshot_take()
{
    for (i_ : 0 .. PARTS - 1) {
        /* At any time: what manifests list is there. */
        assert((LISTED(part_day[i_]) & BIT(i_)) == 0 ||
            part_file[i_] == FILE_NAMED);
        if
        :: VISIBLE(part_born[i_], part_dead[i_], at) ->
            reader_parts = reader_parts | BIT(i_)
        :: else
        fi
    }
    for (i_ : 0 .. ALL_BUFFERS - 1) {
        if
        :: VISIBLE(buffer_born[i_], buffer_dead[i_], at) ->
            reader_buffers = reader_buffers | BIT(i_);
            epochs = epochs | (buffer_epoch[i_] << i_)
        :: else
        fi
    };
    skip
}

#define LOWEST_BIT(m) (((m) & 1) != 0 -> 0 : (((m) & 2) != 0 -> 1 : \
    (((m) & 4) != 0 -> 2 : (((m) & 8) != 0 -> 3 : \
    (((m) & 16) != 0 -> 4 : 5)))))

/* No buffer is used again under a reader. */
inline buffer_read()
{
    i_ = LOWEST_BIT(reader_buffers);
    assert((epochs >> i_ & 1) == buffer_epoch[i_]);
    assert((seen & buffer_committed[i_]) == 0);
    seen = seen | buffer_committed[i_];
    reader_buffers = reader_buffers & ~BIT(i_)
}

/* No file of a snapshot is unlinked. */
inline part_read()
{
    i_ = LOWEST_BIT(reader_parts);
    assert(part_file[i_] == FILE_NAMED);
    assert((seen & part_rows[i_]) == 0);
    seen = seen | part_rows[i_];
    reader_parts = reader_parts & ~BIT(i_)
}

inline snapshot_release()
{
    assert((expected & ~seen & ~dropped) == 0);
    shown = shown | seen;
    expected = 0;
    seen = 0;
    at = 0;
    epochs = 0;
    reader_gen = 0;
    reader_is_on = false
}

proctype Reader()
{
    byte expected = 0, seen = 0, at = 0;
    byte epochs = 0;

start:
    {
#if READS_AT_ONCE
        d_step {
            (is_up && alive[0]);
            expected = acked | shown;
            at = gen;
            snapshot_take();
            do
            :: reader_buffers != 0 -> buffer_read()
            :: else -> break
            od;
            do
            :: reader_parts != 0 -> part_read()
            :: else -> break
            od;
            snapshot_release()
        };
#else
        atomic {
            (is_up && alive[0]);
            reader_is_on = true;
            expected = acked | shown
        };
        do
        :: at = gen;
            reader_gen = at;
            if
            :: BUG == 8 || at == gen -> break
            :: else
            fi
        od;
        skip;
        d_step { snapshot_take() };
        do
        :: reader_buffers != 0 -> d_step { buffer_read() }
        :: reader_buffers == 0 && reader_parts != 0 -> d_step { part_read() }
        :: else -> break
        od;
        skip;
        d_step { snapshot_release() };
#endif
        goto start
    } unless { reader_is_on && !alive[0] };
    d_step {
        expected = 0; seen = 0; at = 0; epochs = 0; reader_is_on = false;
        reader_gen = 0; reader_parts = 0; reader_buffers = 0
    };
    goto start
}

/* Locks of the dead are robust. */
inline kill(p)
{
    d_step {
        alive[p] = false;
        if
        :: catalog_lock == p -> catalog_lock = DEAD
        :: else
        fi;
        for (i_ : 0 .. DAYS - 1) {
            if
            :: partition_lock[i_] == p -> partition_lock[i_] = DEAD
            :: else
            fi
        }
        if
        :: p == WORKER0 -> slot_state[0] = SLOT_ORPHAN
        :: p != WORKER0 && p == WORKER1 && WORKERS > 1 ->
            slot_state[WORKERS - 1] = SLOT_ORPHAN
        :: else
        fi
    }
}

/* All processes and their shared memory. */
inline kill_all()
{
    d_step {
        for (i_ : 0 .. 7) {
            alive[i_] = false
        }
        is_up = false;
        gen = 1;
        catalog_lock = 0;
        for (i_ : 0 .. PARTS - 1) {
            part_born[i_] = 0;
            part_dead[i_] = 0
        }
        for (i_ : 0 .. ALL_BUFFERS - 1) {
            buffer_state[i_] = BUFFER_FREE;
            buffer_committed[i_] = 0;
            buffer_born[i_] = 0;
            buffer_dead[i_] = 0;
            buffer_dead_gen[i_] = 0
        }
        for (i_ : 0 .. WORKERS - 1) {
            slot_state[i_] = SLOT_FREE;
            slot_log[i_] = NONE;
            frozen_first[i_] = NONE
        }
        for (i_ : 0 .. DAYS - 1) {
            partition_lock[i_] = 0;
            incarnation[i_] = 1;
            dropping[i_] = false
        }
        intent = INTENT_NONE;
        intent_inputs = 0;
        intent_output = 0;
        retired = 0;
        retired_gen = 0;
        reader_gen = 0;
        reader_parts = 0;
        reader_buffers = 0;
#if DROP
        drop_step = (drop_step == 3 -> 3 : 0);
        drop_gen = 0;
#endif
    }
}

/* What was not synced is there or not, each thing for itself. */
inline lose_power()
{
    atomic {
        for (n : 0 .. LOGS - 1) {
            if
            :: log_rows[n] = log_synced[n]
            :: log_rows[n] != log_synced[n] -> log_synced[n] = log_rows[n]
            fi;
            if
            :: log_gone[n] = log_gone_synced[n]
            :: log_gone[n] != log_gone_synced[n] ->
                log_gone_synced[n] = log_gone[n]
            fi;
            log_gone[n] = log_gone[n] & log_rows[n];
            log_gone_synced[n] = log_gone[n]
        }
        for (n : 0 .. PARTS - 1) {
            if
            :: part_file[n] != FILE_NONE && !part_name_synced[n] ->
                if
                :: part_file[n] = FILE_NONE
                :: part_name_synced[n] = true
                fi
            :: part_file[n] == FILE_NONE && part_unlinked[n] ->
                if
                :: part_file[n] = FILE_NAMED; part_name_synced[n] = true
                :: true
                fi;
                part_unlinked[n] = false
            :: else
            fi;
            d_step { part_forget(n) }
        }
        for (n : 0 .. DAYS - 1) {
            if
            :: version[n] = 0
            :: version[n] > 1 -> version[n] = 1
            :: version[n] > 0
            fi;
            d_step { manifest_sync(n) }
        }
        n = 0
    }
}

proctype Fate()
{
    byte n = 0;

    do
    :: kills > 0 && alive[WORKER0] -> kills = kills - 1; kill(WORKER0)
#if WORKERS > 1
    :: kills > 0 && alive[WORKER1] -> kills = kills - 1; kill(WORKER1)
    :: kills > 0 && alive[RECOVER1] -> kills = kills - 1; kill(RECOVER1)
#endif
    :: kills > 0 && alive[RECOVER0] -> kills = kills - 1; kill(RECOVER0)
    :: kills > 0 && alive[BOOT] -> kills = kills - 1; kill(BOOT)
#if MERGE
    :: kills > 0 && alive[MERGER] -> kills = kills - 1; kill(MERGER)
#endif
#if DROP
    :: kills > 0 && alive[DROPPER] -> kills = kills - 1; kill(DROPPER)
#endif
    :: atomic { crashes > 0 -> crashes = crashes - 1; kill_all() }
    :: atomic { crashes > 0 -> crashes = crashes - 1; kill_all();
            lose_power() }
    od
}

init {
    d_step { kill_all(); is_up = true; alive[0] = true };
    atomic {
        run Ingest(WORKER0, 0);
        run Flush(WORKER0, 0);
        run Recover(RECOVER0, 0);
#if WORKERS > 1
        run Ingest(WORKER1, 1);
        run Flush(WORKER1, 1);
        run Recover(RECOVER1, 1);
#endif
#if MERGE
        run Merge();
#endif
#if DROP
        run Drop();
#endif
        run Boot();
        run Reader();
        run Fate()
    }
}
