/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Reading back what the world of fault_world.h sent: by id, by LogsQL scan
 * and as the catalogue counts, in a server that starts without faults.
 */

#ifndef SPOOR_T_FAULT_VERIFY_H
#define SPOOR_T_FAULT_VERIFY_H

#include "core/base.h"

#include "core/sv.h"
#include "fault_world.h"
#include "query/parse.h"
#include "query/query.h"

/* A start that takes longer hangs. */
#define VERIFY_SECONDS 20u

struct verify_result {
    _Atomic uint32_t is_done; /* the process came to its end */
    uint32_t lost, doubled, wrong, halves, partial;
    uint32_t scan_differs, count_differs, failed;
    uint64_t found_rows, scan_rows, part_rows;
    uint64_t scan_sum;
    char text[256];
};

/* --- a scan --- */

struct verify_sink {
    struct stage stage;
    uint64_t rows, sum;
};

static inline uint64_t
verify_hash(uint64_t hash, struct sv text)
{
    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ (unsigned char)text.ptr[i]) * UINT64_C(0x100000001b3);
    return (hash ^ 0xff) * UINT64_C(0x100000001b3);
}

/* Rows in any order, columns in any order. */
static inline int
verify_sink_write(struct stage *stage, unsigned lane, struct rows *rows,
    struct err *err)
{
    struct verify_sink *sink = (struct verify_sink *)stage;
    char buf[COLUMN_TEXT_MAX];

    (void)lane;
    if (rows_detach(rows, err) != 0)
        return -1;
    for (uint32_t row = rows_first(rows); row < rows->n;
        row = rows_next(rows, row)) {
        uint64_t sum = 0;

        for (uint32_t i = 0; i < rows->ncolumns; i++) {
            const struct column *column = &rows->columns[i];
            struct sv text = column_text(column, row, buf);

            if (text.len > 0)
                sum += verify_hash(verify_hash(UINT64_C(0xcbf29ce484222325),
                    column->name), text);
        }
        sink->rows++;
        sink->sum += sum * (sum | 1);
    }
    return 0;
}

static inline int
verify_sink_flush(struct stage *stage, struct err *err)
{
    (void)stage;
    (void)err;
    return 0;
}

static inline void
verify_sink_free(struct stage *stage)
{
    (void)stage;
}

static const struct stage_ops verify_sink_ops = {verify_sink_write,
    verify_sink_flush, verify_sink_free};

static inline int
verify_query(const char *text, uint64_t *rows, uint64_t *sum, bool *partial,
    struct err *err)
{
    struct query_env env = {.seconds = METRIC_QUERY_SECONDS_LOGSQL, .lanes_max = 1,
        .memory_max = GIB};
    struct verify_sink sink = {.stage = {.ops = &verify_sink_ops}};
    struct pool *pool = pool_new(256 * MIB);
    struct store_answer answer = {.is_partial = false};
    struct query *query;
    int rc;

    rc = query_parse(&query, sv_from(text), clock_wall_ns(), pool, err);
    if (rc == 0)
        rc = query_execute(query, &env, &sink.stage, &answer, err);
    *rows = sink.rows;
    *sum = sink.sum;
    *partial |= answer.is_partial;
    pool_free(pool);
    return rc;
}

/* --- by id --- */

static inline void
verify_note(struct verify_result *result, const char *fmt, unsigned i,
    unsigned t)
{
    if (result->text[0] == '\0')
        snprintf(result->text, sizeof(result->text), fmt, i, t);
}

static inline void
verify_request(unsigned i, bool acked, struct verify_result *result)
{
    static const struct tenant tenant = {0, 0};
    unsigned present = 0, absent = 0;

    for (unsigned t = 0; t < WORLD_TRACES; t++) {
        struct pool *pool = pool_new(64 * MIB);
        struct store_answer answer = {.is_partial = false};
        struct err err = ERR_INIT;
        struct batch batch;
        uint32_t nspans;

        batch_init(&batch, pool);
        if (store_read_trace(&tenant, &world[i].ids[t], &batch, &answer,
            &err) != 0) {
            result->failed++;
            verify_note(result, "request %u trace %u: cannot be read", i, t);
        } else if (batch.nspans == 0) {
            absent++;
        } else if (world_sum(&batch, &world[i].ids[t], &nspans) !=
            world[i].sums[t] || nspans != world[i].spans[t]) {
            result->doubled += nspans > world[i].spans[t];
            result->wrong++;
            verify_note(result, "request %u trace %u: other spans", i, t);
        } else {
            present++;
            result->found_rows += nspans;
        }
        result->partial += answer.is_partial;
        pool_free(pool);
    }
    if (acked && absent != 0) {
        result->lost += absent;
        verify_note(result, "request %u: %u of its traces are LOST", i,
            absent);
    }
    if (present != 0 && absent != 0)
        result->halves++;
}

/* What was acknowledged before this position of the disk must be there. */
static inline void
verify_all(const struct world_ledger *ledger, uint64_t position,
    struct verify_result *result)
{
    struct catalog_totals totals;
    struct err err = ERR_INIT;
    bool partial = false;

    for (unsigned i = 0; i < world_n; i++)
        verify_request(i, atomic_load(&ledger->fate[i]) == FATE_ACKED &&
            atomic_load(&ledger->position[i]) <= position, result);
    if (verify_query("*", &result->scan_rows, &result->scan_sum, &partial,
        &err) != 0) {
        result->failed++;
        snprintf(result->text, sizeof(result->text), "%.255s", err.text);
    }
    result->partial += partial;
    result->scan_differs = result->scan_rows != result->found_rows;
    catalog_totals(&totals);
    result->part_rows = totals.rows;
    result->count_differs = totals.rows != result->found_rows;
}

/* --- a start --- */

static inline void NORETURN
verify_server(const struct world_ledger *ledger, uint64_t position,
    struct verify_result *result)
{
    struct process recover = {.role = ROLE_RECOVER, .slot = SLOT_NONE,
        .conf = &world_conf};
    struct err err = ERR_INIT;

    log_set_role("verify");
    store_set_decoder(otlp_decode_request);
    alarm(VERIFY_SECONDS);
    if (store_module.init_master(&world_conf, &err) != 0 ||
        store_module.init_process(&recover, &err) != 0) {
        log_error("%s", err.text);
        snprintf(result->text, sizeof(result->text), "no start: %.200s",
            err.text);
        _exit(1);
    }
    verify_all(ledger, position, result);
    atomic_store(&result->is_done, 1);
    _exit(0);
}

/* Wait status of the server that read everything back. */
static inline int
world_verify(const struct world_ledger *ledger, uint64_t position,
    const char *dir, const char *log_path, struct verify_result *result)
{
    pid_t pid;

    memset(result, 0, sizeof(*result));
    pid = fork();
    if (pid == 0) {
        world_output(log_path);
        unsetenv("SPOOR_FAULT");
        unsetenv("SPOOR_SYS_COUNT");
        fault_init();
        world_conf.data_path = strdup(dir);
        verify_server(ledger, position, result);
    }
    return world_wait(pid);
}

/* spoorctl check --deep: damage on disk. */
static inline bool
world_check(const char *dir, const char *log_path)
{
    pid_t pid = fork();

    if (pid == 0) {
        struct err err = ERR_INIT;
        struct sb out;
        int rc;

        world_output(log_path);
        unsetenv("SPOOR_FAULT");
        unsetenv("SPOOR_SYS_COUNT");
        fault_init();
        alarm(VERIFY_SECONDS);
        sb_init(&out, 16 * MIB);
        rc = store_check(dir, true, &out, &err);
        fprintf(stderr, "check: %s%s\n", out.len > 0 ? out.ptr : "",
            err.text);
        _exit(rc == 0 ? 0 : 1);
    }
    return world_wait(pid) == 0;
}

static inline bool
verify_is_good(int status, const struct verify_result *result)
{
    return status == 0 && result->is_done && result->lost == 0 &&
        result->doubled == 0 && result->wrong == 0 && result->halves == 0 &&
        result->partial == 0 && !result->scan_differs &&
        !result->count_differs && result->failed == 0;
}

#endif
