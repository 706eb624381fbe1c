/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Recovery of logs that worse things happened to: a record that kills the
 * process, a disk that fails for a while, a second end of the same recovery.
 * Each recovery is a process of its own, as in the server.
 */

#include "core/base.h"

#include <sys/wait.h>

#include "core/fault.h"
#include "core/file.h"
#include "storage/catalog.h"
#include "storage/manifest.h"
#include "storage/recover.h"
#include "storage/requests.h"
#include "storage/shared.h"
#include "storage/wal.h"
#include "store_dir.h"
#include "tap.h"

#define RECORDS 4u
#define SPANS 5u
#define POISON 2u
#define TRIES_MAX 8u

static struct conf conf = {.fsync = FSYNC_ALWAYS,
    .retention = 7 * NS_PER_DAY};
static bool is_poisoned;

/* Bodies are one byte, the number of the record. */
static void
make_spans(struct batch *batch, uint8_t number)
{
    struct resource *resource = batch_add_resource(batch, NULL);
    struct scope *scope = batch_add_scope(batch, NULL);

    check(resource != NULL && scope != NULL);
    resource->service = SV("s");
    for (uint32_t i = 0; i < SPANS; i++) {
        struct span *span = batch_add_span(batch, NULL);

        check(span != NULL);
        span->trace_id.b[0] = (uint8_t)(number + 1);
        span->span_id.b[0] = (uint8_t)(i + 1);
        span->end_ns = clock_wall_ns() - NS_PER_SEC;
        span->start_ns = span->end_ns - NS_PER_MS;
        span->name = SV("n");
    }
}

static int IMPL(store_decode_fn)
decode(enum otlp_format format, struct sv params, struct sv body,
    struct batch *batch, struct err *err)
{
    (void)format;
    if (!sv_eq(params, SV("parameters")))
        return err_set(err, ERR_CORRUPT, "not the record's parameters");
    if (is_poisoned && body.ptr[0] == POISON)
        _exit(9);
    make_spans(batch, (uint8_t)body.ptr[0]);
    return 0;
}

static void
write_log(uint64_t log_id, uint8_t first)
{
    struct pool *pool = pool_new(8 * MIB);
    struct err err = ERR_INIT;
    char dir[PATH_MAX];
    struct wal *wal;

    layout_wal_dir(dir);
    check(wal_open(&wal, dir, log_id, shared->node_id, &err) == 0);
    for (uint8_t i = 0; i < RECORDS; i++) {
        char body = (char)(first + i);
        struct batch batch;
        struct ingest ingest = {.batch = &batch,
            .wire = {&body, 1}, .params = SV("parameters"),
            .recv_time_ns = clock_wall_ns()};
        struct wal_record record = {&ingest, 1 + i * SPANS};

        batch_init(&batch, pool);
        make_spans(&batch, (uint8_t)body);
        ingest.digest[0] = (uint8_t)(body + 1);
        check(wal_append(wal, &record, 1, true, &err) == 0);
    }
    wal_close(wal);
    pool_free(pool);
}

/* Exit status of a recovery; -1 when it was killed. */
static int
recover(unsigned slot, const char *faults)
{
    struct err err = ERR_INIT;
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        if (faults != NULL) {
            setenv("SPOOR_FAULT", faults, 1);
            fault_init();
        }
        if (slot == UINT_MAX)
            status = recover_boot(&conf, decode, &err);
        else
            status = recover_slot(slot, &conf, decode, &err);
        _exit(status == 0 ? 0 : 1);
    }
    check(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static uint64_t
rows(void)
{
    struct catalog_totals totals;

    catalog_totals(&totals);
    return totals.rows;
}

static int IMPL(file_name_fn)
count_name(const char *name, void *arg)
{
    (void)name;
    ++*(unsigned *)arg;
    return 0;
}

static unsigned
files_in(const char *name)
{
    struct err err = ERR_INIT;
    char path[PATH_MAX];
    unsigned n = 0;

    layout_path(path, name);
    check(file_list(path, count_name, &n, &err) == 0);
    return n;
}

/* A full or failing disk is nobody's fault: nothing goes to quarantine. */
static void
test_orderly_failures(void)
{
    write_log((uint64_t)1 << 32 | 1, 10);
    for (unsigned i = 0; i < TRIES_MAX; i++)
        check(recover(UINT_MAX, "publish.after_rename:kill:9,"
            "file.rename:ENOSPC:2") == 1);
    is_int(recover(UINT_MAX, NULL), 0, "after %u failures it succeeds",
        TRIES_MAX);
    is_int(files_in("quarantine"), 0, "nothing is in quarantine");
    is_int(rows(), RECORDS * SPANS, "every row is there");
}

/* The record that kills is found within the tries of a boot. */
static void
test_poison(void)
{
    uint64_t before = rows();
    unsigned tries = 1;

    write_log((uint64_t)90 << 32 | 1, 0);
    is_poisoned = true;
    while (tries < TRIES_MAX && recover(UINT_MAX, NULL) != 0)
        tries++;
    is_int(tries, 4, "the fourth try succeeds");
    is_int(rows() - before, (RECORDS - 1) * SPANS,
        "all rows but those of the record");
    is_int(files_in("quarantine"), 2, "which is in quarantine");
    is_poisoned = false;
}

static void
make_orphan(unsigned index, uint64_t log_id, uint8_t first)
{
    struct slot *slot = &shared->slots[index];

    write_log(log_id, first);
    atomic_store(&slot->logs[0], log_id);
    atomic_store(&slot->state, SLOT_ORPHAN);
}

static void
test_slot(void)
{
    struct request_outcome outcome;
    uint64_t before = rows();
    uint8_t digest[16] = {51};

    make_orphan(1, shared_new_log_id(), 50);
    is_int(recover(1, "recover.before_flip:kill"), -1, "dies in recovery");
    is_int(requests_claim(digest, 7, &outcome), REQUEST_IN_FLIGHT,
        "not stored for a twin before a reader sees it");
    is_int(rows(), before, "which is not yet");
    is_int(recover(1, "recover.after_free:kill"), -1, "dies at its end");
    is_int(recover(1, NULL), 0, "that is no reason to fail for ever");
    is_int(rows() - before, RECORDS * SPANS, "every row is there, once");
    is_int(requests_claim(digest, 7, &outcome), REQUEST_STORED, "stored");
    is_int(atomic_load(&shared->slots[1].state), SLOT_FREE, "slot is free");
}

/*
 * A day that is being dropped has left the catalogue, while its manifest is
 * there until the last reader has gone: nothing of it may come back.
 */
static void
test_dropped(void)
{
    uint32_t day = time_day(clock_wall_ns() - NS_PER_SEC);
    uint64_t before = rows();
    struct partition *partition;

    make_orphan(1, shared_new_log_id(), 70);
    is_int(recover(1, "recover.before_flip:kill"), -1, "dies in recovery");
    partition = partition_lock(day);
    partition_set_state(partition, PARTITION_DROPPING);
    partition_unlock(partition);
    is_int(recover(1, NULL), 0, "recovers beside a drop");
    is_int(rows(), before, "what is being dropped stays out");
    is_int(atomic_load(&shared->slots[1].state), SLOT_FREE, "slot is free");
}

int
main(void)
{
    struct err err = ERR_INIT;

    store_dir_make();
    check(shared_create(4, &err) == 0 && catalog_create(&err) == 0 &&
        requests_create(&err) == 0);
    is_int(recover(UINT_MAX, NULL), 0, "an empty directory");
    test_orderly_failures();
    test_poison();
    test_slot();
    test_dropped();
    return tap_done();
}
