/* SPDX-License-Identifier: BSD-2-Clause */

/* The child that takes the log of a dead worker, and the one at boot. */

/* A part of the log that no manifest lists: replay writes its rows again. */
inline discard_unlisted(l)
{
    d_step {
        for (i_ : 0 .. PARTS - 1) {
            if
            :: part_file[i_] != FILE_NONE && part_log[i_] == l ->
                highest_lsn(part_rows[i_], mask_);
                if
                :: (LISTED(part_day[i_]) & BIT(i_)) == 0 &&
                    FLUSHED(part_day[i_], l) < mask_ -> part_unlink(i_)
                :: else
                fi
            :: else
            fi
        };
        skip
    }
}

/* Rows of one day of the log above what is flushed become a part. */
inline replay_day(me, d, l)
{
    d_step {
        /* Its writer may have died before its sync. */
        if
        :: FLUSHED(d, l) != 0 && version[d] > 0 ->
            manifest_sync(d)
        :: else
        fi
    };
    d_step { rows_to_replay(d, l, m); before = incarnation[d] };
    if
#if DROP
    :: m != 0 && dropping[d] /* left out */
    :: m != 0 && !dropping[d] ->
#else
    :: m != 0 ->
#endif
        day_write(p, m, d, l);
        day_list(me, p, m, d, l, before)
    :: else
    fi;
    d_step { m = 0; p = 0; before = 0 }
}

inline replay_log(me, l)
{
    replay_day(me, 0, l);
#if DAYS > 1
    replay_day(me, 1, l)
#endif
}

/* Parts of the log that manifests list and the catalogue has not. */
inline look(l, out)
{
    d_step {
        out = 0;
        for (i_ : 0 .. PARTS - 1) {
            if
            :: part_log[i_] == l && (LISTED(part_day[i_]) & BIT(i_)) != 0 &&
                part_file[i_] != FILE_NONE &&
                (BUG == 20 || !dropping[part_day[i_]]) -> out = out | BIT(i_)
            :: else
            fi
        };
        skip
    }
}

inline keep_missing(me, out)
{
    d_step {
        CATALOG_IS_FREE;
        catalog_begin(me);
        for (i_ : 0 .. PARTS - 1) {
            if
            :: part_born[i_] != 0 && part_dead[i_] == FOREVER ->
                out = out & ~BIT(i_)
            :: else
            fi
        }
        catalog_lock = 0
    }
}

/* Two bits for each day, which is dropped once at most. */
#if DAYS > 1
#define INCARNATIONS (incarnation[0] | incarnation[1] << 2)
#else
#define INCARNATIONS incarnation[0]
#endif
#define IS_SAME_DAY(d, before) (((before) >> (2 * (d)) & 3) == incarnation[d])

inline slot_swap(me, s)
{
    d_step { before = INCARNATIONS };
    look(l, missing);
    keep_missing(me, missing);
    if
    :: BUG == 10
    :: else ->
        look(l, m);
        d_step { missing = missing & m; m = 0 }
    fi;
    d_step {
        CATALOG_IS_FREE;
        catalog_begin(me);
        for (i_ : 0 .. PARTS - 1) {
            if
            :: (missing & BIT(i_)) != 0 && (BUG == 19 ||
                IS_SAME_DAY(part_day[i_], before)) -> catalog_add(i_)
            :: else
            fi
        }
        missing = 0;
        before = 0
    };
    if
    :: BUG == 17 ->
        d_step { catalog_commit() };
        d_step { CATALOG_IS_FREE; catalog_begin(me) }
    :: else
    fi;
    d_step {
        for (i_ : s * BUFFERS .. s * BUFFERS + 1) {
            if
            :: buffer_born[i_] != 0 && buffer_dead[i_] == FOREVER ->
                buffer_dead[i_] = gen + 1
            :: else
            fi
        };
        catalog_commit();
        for (i_ : s * BUFFERS .. s * BUFFERS + 1) {
            buffer_dead_gen[i_] = gen;
            buffer_state[i_] = BUFFER_FREE
        }
        frozen_first[s] = NONE
    }
}

proctype Recover(byte me; byte s)
{
    byte l = 0, m = 0, missing = 0, p = 0, before = 0;
    bool is_on = false;

start:
    {
        atomic {
            (is_up && !alive[me] && slot_state[s] == SLOT_ORPHAN);
            alive[me] = true;
            is_on = true;
            l = slot_log[s]
        };
        if
        :: l != NONE ->
            discard_unlisted(l);
            replay_log(me, l)
        :: else
        fi;
        slot_swap(me, s);
        d_step {
            if
            :: l != NONE -> log_gone[l] = log_rows[l]
            :: else
            fi
        };
        d_step {
            slot_log[s] = NONE;
            slot_state[s] = SLOT_FREE;
            alive[me] = false;
            is_on = false;
            l = 0;
            p = 0
        };
        goto start
    } unless { is_on && !alive[me] };
    d_step {
        l = 0; m = 0; missing = 0; p = 0; before = 0; is_on = false
    };
    goto start
}

/* --- boot: nothing else runs --- */

inline boot_tidy(d)
{
    d_step {
        /* No listed part is missing or without its content. */
        for (i_ : 0 .. PARTS - 1) {
            if
            :: (LISTED(d) & BIT(i_)) != 0 ->
                assert(part_file[i_] == FILE_NAMED && part_data_synced[i_])
            :: else
            fi
        }
        for (i_ : 0 .. PARTS - 1) {
            if
            :: part_file[i_] == FILE_NONE || part_day[i_] != d ||
                (LISTED(d) & BIT(i_)) != 0
            :: else ->
                /* Rows that listed parts hold. */
                mask_ = 0;
                for (k_ : 0 .. PARTS - 1) {
                    if
                    :: (LISTED(d) & BIT(k_)) != 0 ->
                        mask_ = mask_ | part_rows[k_]
                    :: else
                    fi
                }
                r_ = part_rows[i_] & ~mask_;
                if
                :: part_log[i_] != NONE ->
                    l_ = part_log[i_];
                    highest_lsn(part_rows[i_], mask_);
                    if
                    :: BUG != 18 && (FLUSHED(d, l_) >= mask_ ||
                        (log_rows[l_] & ~log_gone[l_]) != 0) -> r_ = 0
                    :: else
                    fi
                :: else
                fi;
                if
                :: !part_data_synced[i_] || r_ == 0 -> part_unlink(i_)
                :: else -> LISTED(d) = LISTED(d) | BIT(i_) /* adopted */
                fi
            fi
        };
        skip
    }
}

inline boot_load()
{
    d_step {
        CATALOG_IS_FREE;
        catalog_begin(BOOT);
        for (i_ : 0 .. PARTS - 1) {
            if
            :: part_born[i_] != 0 && part_dead[i_] == FOREVER ->
                part_dead[i_] = gen + 1
            :: else
            fi
        }
        for (i_ : 0 .. PARTS - 1) {
            if
            :: (LISTED(part_day[i_]) & BIT(i_)) != 0 -> catalog_add(i_)
            :: else
            fi
        };
        skip
    };
    d_step { catalog_commit() }
}

inline logs_remove()
{
    d_step {
        for (i_ : 0 .. LOGS - 1) {
            log_gone[i_] = log_rows[i_]
        };
        skip
    };
    d_step {
        for (i_ : 0 .. LOGS - 1) {
            log_gone_synced[i_] = log_gone[i_]
        };
        skip
    }
}

inline checkpoint(d)
{
    d_step {
        mask_ = 0;
        for (i_ : 0 .. LOGS - 1) {
            mask_ = mask_ | FLUSHED(d, i_);
            FLUSHED(d, i_) = 0
        }
        if
        :: mask_ != 0 && version[d] > 0 -> manifest_sync(d)
        :: else
        fi
    }
}

proctype Boot()
{
    byte l = 0, m = 0, p = 0, before = 0;
    bool is_on = false;

start:
    {
        atomic {
            (!is_up && !alive[BOOT]);
            alive[BOOT] = true;
            is_on = true
        };
        boot_tidy(0);
#if DAYS > 1
        boot_tidy(1);
#endif
        do
        :: l < nlogs ->
            replay_log(BOOT, l);
            d_step { l = l + 1 }
        :: else -> break
        od;
        boot_load();
        if
        :: BUG == 13 ->
            checkpoint(0);
#if DAYS > 1
            checkpoint(1);
#endif
            logs_remove()
        :: else ->
            logs_remove();
            checkpoint(0);
#if DAYS > 1
            checkpoint(1)
#endif
        fi;
        (!reader_is_on);
        d_step {
            is_up = true;
            alive[0] = true;
            alive[BOOT] = false;
            is_on = false;
            l = 0;
            p = 0
        };
        goto start
    } unless { is_on && !alive[BOOT] };
    d_step { l = 0; m = 0; p = 0; before = 0; is_on = false };
    goto start
}
