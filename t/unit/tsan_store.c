/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The whole store in one process: loop, ingest thread, flush thread and
 * readers, as in a worker, so that ThreadSanitizer sees all of them at once.
 * Readers ask for traces that were acknowledged: each must be there, whole
 * and once, while its rows move from memory into parts.
 */

#include "core/base.h"

#include <pthread.h>

#include "cli/gen.h"
#include "core/assert.h"
#include "core/mem.h"
#include "event/loop.h"
#include "event/module.h"
#include "storage/catalog.h"
#include "storage/store.h"
#include "store_dir.h"
#include "tap.h"

#define REQUESTS 240u
#define AT_A_TIME 6u
#define TRACES 3u
#define FLUSH_EVERY 40u
#define READERS 2u
#define SEED 99u

struct request {
    struct ingest ingest;
    struct pool *pool;
    struct batch batch;
    struct trace_id ids[TRACES];
    uint32_t spans[TRACES];
};

static struct request requests_made[REQUESTS];
static _Atomic uint32_t acked;
static _Atomic bool is_over;
static _Atomic uint64_t reads, wrong;
static uint32_t submitted, answered, flushes, flushes_done;
static struct loop *loop;
static struct loop_timer *timer;
static uint64_t rows_sent;

static int
no_decoder(enum otlp_format format, struct sv params, struct sv body,
    struct batch *batch, struct err *err)
{
    (void)format;
    (void)params;
    (void)body;
    (void)batch;
    return err_set(err, ERR_UNSUPPORTED, "nothing to replay here");
}

static void
request_make(struct request *request, uint32_t index)
{
    struct gen *gen = gen_new(GEN_SHOP, SEED + index, clock_wall_ns() -
        (index % 5 == 0 ? NS_PER_DAY : 0), NS_PER_MS);

    request->pool = pool_new(64 * MIB);
    batch_init(&request->batch, request->pool);
    check(gen_traces(gen, TRACES, &request->batch) == 0);
    gen_free(gen);
    for (unsigned t = 0; t < TRACES; t++) {
        request->ids[t] = gen_trace_id(SEED + index, t);
        for (uint32_t i = 0; i < request->batch.nspans; i++)
            request->spans[t] += memcmp(&request->batch.spans[i].trace_id,
                &request->ids[t], 16) == 0;
    }
    memset(&request->ingest, 0, sizeof(request->ingest));
    request->ingest.batch = &request->batch;
    request->ingest.wire = SV("a body that nobody will decode");
    request->ingest.recv_time_ns = clock_wall_ns();
    memcpy(request->ingest.digest, &index, sizeof(index));
    rows_sent += request->batch.nspans;
}

static void feed(void);

static void
on_done(struct ingest *ingest)
{
    check(ingest->status == INGEST_OK && !ingest->is_duplicate);
    answered++;
    /* The requests of one worker are answered in order. */
    atomic_fetch_add(&acked, 1);
    feed();
}

static void
on_flushed(bool ok, void *arg)
{
    (void)arg;
    check(ok);
    flushes_done++;
    feed();
}

static void
feed(void)
{
    while (submitted < REQUESTS && submitted - answered < AT_A_TIME) {
        struct request *request = &requests_made[submitted++];

        request->ingest.done = on_done;
        store_ingest(&request->ingest);
        if (submitted % FLUSH_EVERY == 0) {
            flushes++;
            store_force_flush(on_flushed, NULL);
        }
    }
    if (answered == REQUESTS && flushes_done == flushes)
        loop_stop(loop);
}

static void IMPL(loop_timer_fn)
begin(void *arg)
{
    (void)arg;
    feed();
}

static void
read_one(uint64_t *state)
{
    static const struct tenant tenant = {0, 0};
    struct pool *pool = pool_new(64 * MIB);
    struct store_answer answer;
    struct err err = ERR_INIT;
    struct batch batch;
    uint32_t n = atomic_load(&acked), index, t;

    *state = *state * 6364136223846793005u + 1442695040888963407u;
    if (n > 0) {
        index = (uint32_t)(*state >> 33) % n;
        t = (uint32_t)(*state >> 20) % TRACES;
        batch_init(&batch, pool);
        if (store_read_trace(&tenant, &requests_made[index].ids[t], &batch,
            &answer, &err) != 0 || answer.is_partial ||
            batch.nspans != requests_made[index].spans[t])
            atomic_fetch_add(&wrong, 1);
        atomic_fetch_add(&reads, 1);
    }
    pool_free(pool);
}

static void *
reader_main(void *arg)
{
    uint64_t state = (uint64_t)(uintptr_t)arg + 1;

    while (!atomic_load(&is_over))
        read_one(&state);
    return NULL;
}

int
main(void)
{
    struct conf conf = {.workers = 1, .data_path = NULL, .user = "",
        .fsync = FSYNC_ALWAYS, .flush_interval = 600 * NS_PER_SEC,
        .retention = 7 * NS_PER_DAY, .future_retention = 2 * NS_PER_DAY,
        .max_fields = 1000, .trace_max_spans = 100000,
        .query_timeout = NS_PER_SEC};
    struct process recover = {.role = ROLE_RECOVER, .slot = UINT_MAX,
        .conf = &conf};
    struct process worker = {.role = ROLE_WORKER, .slot = 0, .conf = &conf};
    struct catalog_totals totals;
    pthread_t readers[READERS];
    struct err err = ERR_INIT;

    store_dir_make();
    conf.data_path = store_dir;
    store_set_decoder(no_decoder);
    for (uint32_t i = 0; i < REQUESTS; i++)
        request_make(&requests_made[i], i);
    loop = loop_new();
    worker.loop = loop;
    ok(store_module.init_master(&conf, &err) == 0, "master's part%s",
        err.text);
    ok(store_module.init_process(&recover, &err) == 0, "recovery at boot%s",
        err.text);
    ok(store_module.init_process(&worker, &err) == 0, "worker's part%s",
        err.text);
    for (uintptr_t i = 0; i < READERS; i++)
        check(pthread_create(&readers[i], NULL, reader_main,
            (void *)i) == 0);
    timer = loop_timer_new(loop, begin, NULL);
    loop_timer_set(timer, 1);
    loop_run(loop);
    atomic_store(&is_over, true);
    for (unsigned i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    is_int(answered, REQUESTS, "every request is answered");
    is_int(wrong, 0, "every trace read is whole");
    ok(reads > 100, "%d reads beside it", (int)reads);
    store_module.exit_process(&worker);
    catalog_totals(&totals);
    is_int(totals.memtables, 0, "no memtable is left");
    is_int(totals.rows, rows_sent, "every row is in a part, once");
    loop_timer_free(timer);
    loop_free(loop);
    for (uint32_t i = 0; i < REQUESTS; i++)
        pool_free(requests_made[i].pool);
    return tap_done();
}
