/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The way of one body into the store, whatever brought it: an OTLP request,
 * a call of gRPC, or one of the parcels of a front.  Loop's thread.
 *
 * Nothing stops it: who brought the body keeps it until done() is called,
 * also when nobody waits for the outcome any more.
 */

#ifndef SPOOR_OTLP_INTAKE_H
#define SPOOR_OTLP_INTAKE_H

#include "core/base.h"
#include "core/err.h"
#include "core/sb.h"
#include "event/module.h"
#include "otlp/otlp.h"
#include "span/ingest.h"
#include "span/span.h"

/* What it is counted as. */
enum intake_form {
    INTAKE_PROTOBUF,
    INTAKE_JSON,
    INTAKE_GRPC,
    INTAKE_PARCEL,
    INTAKE_FORMS,
};

struct intake {
    /* --- by whom it belongs to; the rest is zero --- */
    struct process *process;
    enum intake_form form;
    size_t bytes_max;       /* of the inflated body */
    /* tenant, format, encoding, wire, params */
    struct ingest ingest;
    /* The digest that it must have; NULL: any.  Else it is malformed. */
    const uint8_t *id;
    /*
     * Called before a decoded body goes to the sink; false: it does not, and
     * accept has set the outcome.  NULL: all do.
     */
    bool (*accept)(struct intake *intake);
    /* Called once, perhaps before intake_start() returns. */
    void (*done)(struct intake *intake);
    void *arg;

    /* --- the outcome --- */
    int status;             /* as of HTTP; 200: stored */
    const char *text;       /* why not; static, or lives with the intake */
    uint32_t retry_after_sec;
    uint32_t rejected;      /* spans */
    uint32_t reject_mask;

    /* --- private --- */
    bool is_malformed;
    struct span_limits limits;
    size_t decode_max;      /* of all bodies that are decoded */
    size_t claimed;         /* of it, by this one */
    struct sb inflated;
    struct sv body;         /* inflated, or as received */
    struct pool *pool;
    struct batch batch;
    int64_t decoded_ns;     /* monotonic */
    struct err err;
};

void intake_start(struct intake *intake);
/* After done(): gives back its memory, text and batch among it. */
void intake_release(struct intake *intake);
/* For accept: what it does not store is counted all the same. */
void intake_count_rejects(const struct intake *intake);

/* Of otlp_set_sink(). */
void intake_set_sink(otlp_sink_fn sink);

#endif
