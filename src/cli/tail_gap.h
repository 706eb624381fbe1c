/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Rows of a tail over cut connections: the next one asks for the time that
 * was lost and some more, and what was shown before the cut is left out.
 */

#ifndef SPOOR_CLI_TAIL_GAP_H
#define SPOOR_CLI_TAIL_GAP_H

#include "core/base.h"
#include "core/err.h"
#include "core/sv.h"
#include "http/client.h"

/* Rows that are remembered; of more within a gap some may be shown twice. */
#define TAIL_GAP_ROWS (1u << 18)

struct tail_gap;

/* Whole lines go to fn; the first connection begins since_ns ago. */
struct tail_gap *tail_gap_new(http_client_data_fn fn, void *arg,
    int64_t since_ns);
void tail_gap_free(struct tail_gap *gap); /* accepts NULL */

/* An http_client_data_fn for the reply. */
int tail_gap_data(void *gap, struct sv data, struct err *err);

/* The connection is cut: how far back the next one has to begin. */
int64_t tail_gap_cut(struct tail_gap *gap);

/*
 * False: another connection makes no sense.  fn wanted no more, or failed,
 * or the server has sent an error in place of a row.
 */
bool tail_gap_may_go_on(const struct tail_gap *gap);

#endif
