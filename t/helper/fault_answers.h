/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Everything a server that starts on a data directory answers: queries, every
 * trace by its id, the list of streams, each as one number.
 */

#ifndef SPOOR_T_FAULT_ANSWERS_H
#define SPOOR_T_FAULT_ANSWERS_H

#include "core/base.h"

#include "fault_verify.h"
#include "fault_world.h"

#define TRACES_MAX 4096u

/* What a server answers; the same in each process that asks. */
struct answers {
    _Atomic uint32_t is_done;
    uint32_t ntraces;
    struct trace_id ids[TRACES_MAX];
    struct { uint64_t sum; bool is_marked; } v[TRACES_MAX + 16];
    uint32_t n;
    bool no_start;
    char text[256];
};

/* --- questions --- */

static const char *const queries[] = {
    "*", "* | stats by (name, kind) count() n, sum(duration) s",
    "* | stats by (service.name) quantile(0.9, duration) q, max(_time) m",
    "* | stats count_uniq(trace_id) n", "error | count()",
    "duration:>5ms | count()", "* | field_names", "* | uniq by (status_code)",
    "* | sort by (_time, span_id) limit 5",
};

static inline void
answer_add(struct answers *answers, uint64_t sum, bool is_marked)
{
    check(answers->n < ARRAY_LEN(answers->v));
    answers->v[answers->n].sum = sum;
    answers->v[answers->n].is_marked = is_marked;
    answers->n++;
}

/* Each once, whatever number of parts has it. */
#define STREAMS_MAX 4096u

struct streams {
    uint32_t n;
    uint64_t sum, seen[STREAMS_MAX];
};

static inline int
add_stream(struct sv service, struct sv name, int32_t kind, void *arg)
{
    struct streams *streams = arg;
    uint64_t hash = verify_hash(verify_hash((uint64_t)kind, service), name);

    for (uint32_t i = 0; i < streams->n; i++) {
        if (streams->seen[i] == hash)
            return 0;
    }
    check(streams->n < STREAMS_MAX);
    streams->seen[streams->n++] = hash;
    streams->sum += hash * (hash | 1);
    return 0;
}

static inline void
ask_streams(struct answers *answers)
{
    static const struct tenant tenant = {0, 0};
    struct store_answer answer = {.is_partial = false};
    struct err err = ERR_INIT;
    struct streams streams = {.n = 0};
    struct stream_visit visit = {add_stream, &streams, INT64_MIN, INT64_MAX};
    int rc = store_visit_streams(&tenant, &visit, &answer, &err);

    answer_add(answers, streams.sum, rc != 0 || answer.is_partial);
}

static inline void
ask_trace(struct answers *answers, const struct trace_id *id)
{
    static const struct tenant tenant = {0, 0};
    struct store_answer answer = {.is_partial = false};
    struct pool *pool = pool_new(64 * MIB);
    struct err err = ERR_INIT;
    struct batch batch;
    uint32_t nspans = 0;
    uint64_t sum = 0;
    int rc;

    batch_init(&batch, pool);
    rc = store_read_trace(&tenant, id, &batch, &answer, &err);
    if (rc == 0)
        sum = world_sum(&batch, id, &nspans) * 31 + nspans;
    answer_add(answers, sum, rc != 0 || answer.is_partial);
    pool_free(pool);
}

static inline void
ask_all(struct answers *answers)
{
    answers->n = 0;
    for (unsigned i = 0; i < ARRAY_LEN(queries); i++) {
        struct err err = ERR_INIT;
        bool partial = false;
        uint64_t rows, sum;
        int rc = verify_query(queries[i], &rows, &sum, &partial, &err);

        answer_add(answers, sum * 31 + rows, rc != 0 || partial);
    }
    ask_streams(answers);
    for (uint32_t i = 0; i < answers->ntraces; i++)
        ask_trace(answers, &answers->ids[i]);
}

/* --- a server that answers --- */

/* Which traces there are: asked once, of the undamaged data. */
struct id_sink {
    struct stage stage;
    struct answers *answers;
};

static inline int
id_write(struct stage *stage, unsigned lane, struct rows *rows,
    struct err *err)
{
    struct answers *answers = ((struct id_sink *)stage)->answers;
    const struct column *column;
    char buf[COLUMN_TEXT_MAX];

    (void)lane;
    if (rows_column(rows, SV("trace_id"), &column, err) != 0)
        return -1;
    for (uint32_t row = rows_first(rows); row < rows->n;
        row = rows_next(rows, row)) {
        struct sv text = column_text(column, row, buf);
        struct trace_id *id = &answers->ids[answers->ntraces];

        check(text.len == 32 && answers->ntraces < TRACES_MAX);
        for (unsigned i = 0; i < 16; i++) {
            char hex[3] = {text.ptr[2 * i], text.ptr[2 * i + 1], '\0'};

            id->b[i] = (uint8_t)strtoul(hex, NULL, 16);
        }
        answers->ntraces++;
    }
    return 0;
}

static const struct stage_ops id_ops = {id_write, verify_sink_flush,
    verify_sink_free};

static inline int
find_ids(struct answers *answers, struct err *err)
{
    struct query_env env = {.seconds = METRIC_QUERY_SECONDS_LOGSQL,
        .lanes_max = 1, .memory_max = GIB};
    struct id_sink sink = {{.ops = &id_ops}, answers};
    struct pool *pool = pool_new(64 * MIB);
    struct store_answer answer = {.is_partial = false};
    struct query *query;
    int rc = query_parse(&query, SV("* | uniq by (trace_id)"),
        clock_wall_ns(), pool, err);

    if (rc == 0)
        rc = query_execute(query, &env, &sink.stage, &answer, err);
    pool_free(pool);
    return rc;
}

static inline void NORETURN
server(const char *dir, struct answers *answers, bool is_first)
{
    struct process recover = {.role = ROLE_RECOVER, .slot = SLOT_NONE,
        .conf = &world_conf};
    struct err err = ERR_INIT;

    alarm(VERIFY_SECONDS);
    fault_init();
    log_set_role("verify");
    world_conf.data_path = strdup(dir);
    store_set_decoder(otlp_decode_request);
    if (store_module.init_master(&world_conf, &err) != 0 ||
        store_module.init_process(&recover, &err) != 0) {
        log_error("%s", err.text);
        snprintf(answers->text, sizeof(answers->text), "%.255s", err.text);
        answers->no_start = true;
        _exit(1);
    }
    if (is_first)
        check(find_ids(answers, &err) == 0);
    ask_all(answers);
    atomic_store(&answers->is_done, 1);
    _exit(0);
}

static inline int
ask(const char *dir, const char *log_path, struct answers *answers,
    bool is_first)
{
    pid_t pid;

    atomic_store(&answers->is_done, 0);
    answers->no_start = false;
    answers->text[0] = '\0';
    pid = fork();
    if (pid == 0) {
        world_output(log_path);
        server(dir, answers, is_first);
    }
    return world_wait(pid);
}

#endif
