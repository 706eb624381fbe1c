/* SPDX-License-Identifier: BSD-2-Clause */

/* The merge process, and the one that drops a day. */

#define ALIVE_PART(p) (part_born[p] != 0 && part_born[p] <= gen && \
    part_dead[p] == FOREVER)

/* Publishes intent_output: the swap in the catalogue and what follows. */
inline output_flip(me)
{
    d_step {
        CATALOG_IS_FREE;
        catalog_begin(me);
        mask_ = 1;
        for (i_ : 0 .. PARTS - 1) {
            if
            :: (intent_inputs & BIT(i_)) != 0 && !ALIVE_PART(i_) &&
                BUG != 15 -> mask_ = 0
            :: else
            fi
        }
        is_wanted = mask_;
        if
        :: is_wanted -> catalog_add(intent_output)
        :: else
        fi
    };
    if
    :: is_wanted ->
        d_step {
            for (i_ : 0 .. PARTS - 1) {
                if
                :: (intent_inputs & BIT(i_)) != 0 -> part_dead[i_] = gen + 1
                :: else
                fi
            };
            catalog_commit()
        }
    :: else -> catalog_lock = 0
    fi;
    d_step {
        retired = retired | intent_inputs;
        retired_gen = gen;
        is_wanted = 0
    };
    d_step { intent = INTENT_NONE; intent_inputs = 0; intent_output = 0 }
}

proctype Merge()
{
    byte a = 0, b = 0, before = 0, out = 0;
    bool is_on = false, is_wanted = false;

start:
    {
        atomic {
            (is_up && !alive[MERGER]);
            alive[MERGER] = true;
            is_on = true
        };
        /* A predecessor's. */
        if
        :: intent == INTENT_NONE
        :: intent != INTENT_NONE &&
            (LISTED(part_day[intent_output]) & BIT(intent_output)) != 0 &&
            BUG != 11 ->
            d_step {
                if
                :: version[part_day[intent_output]] > 0 ->
                    manifest_sync(part_day[intent_output])
                :: else
                fi
            };
            output_flip(MERGER)
        :: else ->
            d_step {
                if
                :: part_file[intent_output] != FILE_NONE ->
                    part_unlink(intent_output)
                :: else
                fi
            };
            d_step {
                intent = INTENT_NONE; intent_inputs = 0; intent_output = 0
            }
        fi;
        do
        :: atomic {
            retired == 0;
            if
            :: a = 0 :: a = 1 :: a = 2 :: a = 3
            fi;
            if
            :: b = 1 :: b = 2 :: b = 3 :: b = 4
            fi;
            (a < b && ALIVE_PART(a) && ALIVE_PART(b) &&
                part_day[a] == part_day[b]);
            if
            :: BUG == 22 ->
                if
                :: dropping[part_day[a]] -> goto cancelled
                :: else
                fi
            :: else -> before = incarnation[part_day[a]]
            fi
            };
#if DROP
            /* As for a flush: the incarnation first, then the state. */
            if
            :: BUG == 22 -> before = incarnation[part_day[a]]
            :: BUG != 22 && dropping[part_day[a]] -> goto cancelled
            :: else
            fi;
            /* The inputs are opened: their files must be there. */
            if
            :: part_file[a] == FILE_NONE || part_file[b] == FILE_NONE ->
                goto cancelled
            :: else
            fi;
#endif
            d_step {
                part_make(out, part_rows[a] | part_rows[b], part_day[a],
                    NONE);
                intent = INTENT_SET;
                intent_inputs = BIT(a) | BIT(b);
                intent_output = out;
#if !CRASHES
                directory_sync(part_day[out]);
#endif
                skip
            };
#if CRASHES
            d_step { directory_sync(part_day[out]); skip };
#endif
            d_step {
                PARTITION_IS_FREE(part_day[out]);
                if
                :: BUG != 14 && (dropping[part_day[out]] ||
                    incarnation[part_day[out]] != before) ->
                    is_wanted = false
                :: else ->
                    is_wanted = true;
                    manifest_edit(part_day[out]);
                    LISTED(part_day[out]) =
                        (LISTED(part_day[out]) & ~intent_inputs) | BIT(out)
                fi;
#if CRASHES
                partition_lock[part_day[out]] = MERGER
            };
            d_step {
#endif
                if
                :: version[part_day[out]] > 0 -> manifest_sync(part_day[out])
                :: else
                fi;
                partition_lock[part_day[out]] = 0
            };
            if
            :: is_wanted -> output_flip(MERGER)
            :: else ->
                d_step {
                    if
                    :: part_file[out] != FILE_NONE -> part_unlink(out)
                    :: else
                    fi
                };
                d_step {
                    intent = INTENT_NONE; intent_inputs = 0;
                    intent_output = 0
                }
            fi;
cancelled:
            skip;
            d_step { a = 0; b = 0; before = 0; out = 0 }
        :: retired != 0 && (BUG == 2 || retired_gen <= OLDEST_READER) ->
            d_step {
                for (i_ : 0 .. PARTS - 1) {
                    if
                    :: (retired & BIT(i_)) != 0 &&
                        part_file[i_] != FILE_NONE -> part_unlink(i_)
                    :: else
                    fi
                }
                retired = 0;
                retired_gen = 0
            }
        od
    } unless { is_on && !alive[MERGER] };
    d_step {
        a = 0; b = 0; before = 0; out = 0; is_on = false; is_wanted = false
    };
    goto start
}

/* --- a day goes, once --- */

byte drop_step;             /* in shared memory: 0, 1 state, 2 queue, 3 done */
byte drop_gen;

proctype Drop()
{
    bool is_on = false;

start:
    {
        atomic {
            (is_up && !alive[DROPPER] && drop_step < 3);
            alive[DROPPER] = true;
            is_on = true
        };
        if
        :: drop_step < 2 ->
            d_step {
                PARTITION_IS_FREE(DROPPED_DAY);
                dropped = dropped | DAY_ROWS(DROPPED_DAY);
                dropping[DROPPED_DAY] = true;
                incarnation[DROPPED_DAY] = incarnation[DROPPED_DAY] + 1;
                drop_step = 1
            };
            d_step {
                CATALOG_IS_FREE;
                catalog_begin(DROPPER);
                for (i_ : 0 .. PARTS - 1) {
                    if
                    :: ALIVE_PART(i_) && part_day[i_] == DROPPED_DAY ->
                        part_dead[i_] = gen + 1
                    :: else
                    fi
                };
                skip
            };
            d_step { catalog_commit(); drop_gen = gen };
            drop_step = 2
        :: else
        fi;
        /* The directory goes under another name, durably. */
        (drop_gen <= OLDEST_READER);
        d_step {
            PARTITION_IS_FREE(DROPPED_DAY);
            partition_lock[DROPPED_DAY] = DROPPER;
            for (i_ : 0 .. PARTS - 1) {
                if
                :: part_day[i_] == DROPPED_DAY ->
                    part_file[i_] = FILE_NONE;
                    part_unlinked[i_] = false;
                    part_name_synced[i_] = false
                :: else
                fi
            }
            LISTED(DROPPED_DAY) = 0;
            for (i_ : 0 .. LOGS - 1) {
                FLUSHED(DROPPED_DAY, i_) = 0
            }
            manifest_sync(DROPPED_DAY)
        };
        d_step {
            dropping[DROPPED_DAY] = false;
            partition_lock[DROPPED_DAY] = 0;
            drop_step = 3;
            alive[DROPPER] = false;
            is_on = false
        };
        goto start
    } unless { is_on && !alive[DROPPER] };
    is_on = false;
    goto start
}
