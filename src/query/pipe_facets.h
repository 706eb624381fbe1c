/* SPDX-License-Identifier: BSD-2-Clause */

/* What the files of the pipe facets share. */

#ifndef SPOOR_QUERY_PIPE_FACETS_H
#define SPOOR_QUERY_PIPE_FACETS_H

#include "core/base.h"
#include "query/hold.h"
#include "query/keys.h"
#include "query/stage.h"

struct facets_spec {
    uint64_t limit;      /* values of a field */
    uint64_t max_values;
    uint64_t max_len;
    bool keeps_const;
};

struct facet {
    struct keys keys;       /* values, "" too */
    struct hold_array hits; /* uint64_t per value */
    uint32_t nchecked;      /* values whose length was looked at */
    bool has_empty;
    bool is_made;
    bool is_dead;
};

struct facets_lane {
    struct hold hold;
    struct keys names;
    struct hold_array facets; /* struct facet * per name */
    uint64_t rows;
};

struct stage_facets {
    struct stage stage;
    const struct facets_spec *spec;
    struct facets_lane *lanes[QUERY_LANES_MAX]; /* made by their threads */
};

extern const struct state_ops facets_state; /* facets_state.c */

/* The lane's state, made when it is not there yet. */
int facets_lane_get(struct stage_facets *mine, unsigned i,
    struct facets_lane **out, struct err *err) WARN_UNUSED;
/* NULL: no memory. */
struct facet *facet_get(struct stage_facets *mine, struct facets_lane *lane,
    struct sv name, struct err *err);
/* Is there one value too many, or too long? */
bool facet_is_beyond(const struct stage_facets *mine, struct facet *facet);
/* Gives the field up. */
void facet_kill(struct facets_lane *lane, struct facet *facet);
/* *out: all lanes; NULL: there are no rows. */
int facets_join_lanes(struct stage_facets *mine, struct facets_lane **out,
    struct err *err) WARN_UNUSED;

#endif
