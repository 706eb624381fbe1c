/* SPDX-License-Identifier: BSD-2-Clause */

/* Private to the sender: between the loop and its thread. */

#ifndef SPOOR_CLUSTER_SINK_H
#define SPOOR_CLUSTER_SINK_H

#include "core/base.h"
#include "cluster/sender_state.h"

/* Loop's thread: inserts go to this one. */
void sink_open(struct sender *to);
/* Loop's thread: answers a list of deliveries (loop_post_fn). */
void sink_answer(void *arg);
/* Any thread: its shares are made, or it has a status. */
void sender_submit(struct delivery *delivery);

#endif
