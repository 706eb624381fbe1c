/* SPDX-License-Identifier: BSD-2-Clause */

/* What stats_quantile.c and stats_quantile_state.c share. */

#ifndef SPOOR_QUERY_STATS_QUANTILE_H
#define SPOOR_QUERY_STATS_QUANTILE_H

#include "core/base.h"
#include "query/acc.h"
#include "query/keys.h"
#include "query/quantile_samples.h"

/* Of a group, all lanes together. */
#define SAMPLES_MAX 20000u

struct quantile {
    struct acc acc;
    struct hold_array left;   /* uint32_t: values until the next sample */
    struct hold_array groups; /* struct samples */
    struct keys texts;
    struct sampler sampler;
};

int quantile_save(struct acc *acc, struct acc_range *range, struct sb *out,
    struct err *err) WARN_UNUSED;
uint64_t quantile_weigh(struct acc *acc, uint32_t group);
int quantile_load(struct acc *acc, struct enc_reader *in, struct err *err)
    WARN_UNUSED;

#endif
