/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The requests of a load, made by threads: all in advance, so that making
 * them costs the server's CPUs nothing while it is measured, or a few ahead
 * of the one that sends them.
 */

#ifndef SPOOR_BENCH_BODIES_H
#define SPOOR_BENCH_BODIES_H

#include "core/base.h"

#include <pthread.h>
#include <time.h>

#include "cli/gen.h"
#include "core/assert.h"
#include "core/compress.h"
#include "core/mem.h"
#include "otlp/otlp_encode.h"

#define BODIES_THREADS 2u
#define BODIES_AHEAD 64u /* of a stream; more than scatter */
#define BODIES_POOL_MAX (1 * GIB)

struct bodies_conf {
    enum gen_profile profile;
    enum encoding encoding;
    bool is_json;
    bool is_stream;
    uint64_t seed;
    uint64_t traces;   /* in a request */
    uint64_t scatter;  /* 1: whole traces; N: a trace's spans are in N
                        * requests, by service and instance, as exporters
                        * send them */
    uint64_t first;    /* request, and how many */
    uint64_t requests;
    int64_t first_ns;  /* start of trace 0 */
    int64_t spacing_ns;
};

struct body {
    char *ptr; /* NULL: not made yet, or released */
    size_t len;
    size_t inflated;
    uint32_t spans;
};

static struct {
    struct bodies_conf conf;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    pthread_t threads[BODIES_THREADS];
    struct body *all;
    uint64_t taken; /* the next to make */
    uint64_t needed; /* a stream: made up to here */
    uint64_t made;
    uint64_t spans, bytes, inflated;
    uint64_t cpu_ns; /* that making them took */
} bodies = {.mutex = PTHREAD_MUTEX_INITIALIZER,
    .changed = PTHREAD_COND_INITIALIZER};

/* The next requests to make, scatter of them; or requests: there is none. */
static inline uint64_t
bodies_take(void)
{
    uint64_t number;

    pthread_mutex_lock(&bodies.mutex);
    while (bodies.conf.is_stream && bodies.taken < bodies.conf.requests &&
        bodies.taken >= bodies.needed)
        pthread_cond_wait(&bodies.changed, &bodies.mutex);
    number = MIN(bodies.taken, bodies.conf.requests);
    bodies.taken += bodies.conf.scatter;
    pthread_mutex_unlock(&bodies.mutex);
    return number;
}

static inline void
bodies_put(uint64_t number, const struct sb *text, uint32_t spans)
{
    const struct bodies_conf *conf = &bodies.conf;
    struct body body = {NULL, 0, text->len, spans};
    struct err err = ERR_INIT;
    struct sb out;

    sb_init(&out, BODIES_POOL_MAX);
    if (conf->encoding == ENCODING_IDENTITY)
        sb_add(&out, text->ptr, text->len);
    else
        check(compress_append(conf->encoding, sb_sv(text),
            conf->encoding == ENCODING_GZIP ? 6 : 1, &out, &err) == 0);
    body.ptr = sb_detach(&out, &body.len);
    pthread_mutex_lock(&bodies.mutex);
    bodies.all[number] = body;
    bodies.made++;
    bodies.spans += spans;
    bodies.bytes += body.len;
    bodies.inflated += body.inflated;
    pthread_cond_broadcast(&bodies.changed);
    pthread_mutex_unlock(&bodies.mutex);
}

/* Those spans of the batch that request number `part` of scatter has. */
static inline void
bodies_encode(const struct batch *all, uint64_t part, struct sb *text,
    uint64_t number)
{
    struct batch batch = *all;

    sb_reset(text);
    if (bodies.conf.scatter > 1) {
        batch.spans = xcalloc(all->nspans, sizeof(*batch.spans));
        batch.nspans = 0;
        for (uint32_t i = 0; i < all->nspans; i++) {
            if (all->spans[i].resource % bodies.conf.scatter == part)
                batch.spans[batch.nspans++] = all->spans[i];
        }
    }
    if (bodies.conf.is_json)
        otlp_encode_json(&batch, text);
    else
        otlp_encode_protobuf(&batch, text);
    bodies_put(number, text, batch.nspans);
    if (bodies.conf.scatter > 1)
        xfree(batch.spans);
}

static inline void *
bodies_main(void *arg)
{
    const struct bodies_conf *conf = &bodies.conf;
    struct pool *pool = pool_new(BODIES_POOL_MAX);
    struct gen *gen = gen_new(conf->profile, conf->seed, conf->first_ns,
        conf->spacing_ns);
    struct timespec cpu;
    uint64_t number;
    struct sb text;

    sb_init(&text, BODIES_POOL_MAX);
    while ((number = bodies_take()) < conf->requests) {
        struct batch batch;

        pool_reset(pool);
        batch_init(&batch, pool);
        gen_seek(gen, (conf->first + number) * conf->traces);
        check(gen_traces(gen, (unsigned)(conf->traces * conf->scatter),
            &batch) == 0);
        for (uint64_t part = 0; part < conf->scatter; part++)
            bodies_encode(&batch, part, &text, number + part);
    }
    gen_free(gen);
    sb_release(&text);
    pool_free(pool);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
    pthread_mutex_lock(&bodies.mutex);
    bodies.cpu_ns += (uint64_t)(cpu.tv_sec * NS_PER_SEC + cpu.tv_nsec);
    pthread_mutex_unlock(&bodies.mutex);
    return arg;
}

/* Returns when all are made, or when a stream has begun. */
static inline void
bodies_start(const struct bodies_conf *conf)
{
    check(conf->requests % conf->scatter == 0);
    bodies.conf = *conf;
    bodies.all = xcalloc(conf->requests + 1, sizeof(*bodies.all));
    bodies.needed = BODIES_AHEAD;
    for (unsigned i = 0; i < BODIES_THREADS; i++)
        check(pthread_create(&bodies.threads[i], NULL, bodies_main,
            NULL) == 0);
    if (conf->is_stream)
        return;
    for (unsigned i = 0; i < BODIES_THREADS; i++)
        pthread_join(bodies.threads[i], NULL);
}

/* The request; waits until it is made. */
static inline const struct body *
bodies_get(uint64_t number)
{
    const struct body *body = &bodies.all[number];

    pthread_mutex_lock(&bodies.mutex);
    if (bodies.needed < number + BODIES_AHEAD) {
        bodies.needed = number + BODIES_AHEAD;
        pthread_cond_broadcast(&bodies.changed);
    }
    while (body->ptr == NULL)
        pthread_cond_wait(&bodies.changed, &bodies.mutex);
    pthread_mutex_unlock(&bodies.mutex);
    return body;
}

/* It was answered. */
static inline void
bodies_release(uint64_t number)
{
    if (!bodies.conf.is_stream)
        return;
    xfree(bodies.all[number].ptr);
}

#endif
