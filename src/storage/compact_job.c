/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/compact_job.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/fault.h"
#include "core/file.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/timefmt.h"
#include "storage/catalog.h"
#include "storage/layout.h"
#include "storage/manifest.h"
#include "storage/shared.h"

/* A merge needs at most as much space as its inputs have; twice is safe. */
#define SPACE_FACTOR 2u
/* Between two tries to publish what is merged. */
#define RETRY_MS 1000
#define RETRY_STEP_MS 20

#define NICE 10
/* ioprio_set(2) has no wrapper and no header. */
#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_BEST_EFFORT_LOWEST (2 << 13 | 7)
#define IOPRIO_IDLE (3 << 13)

/* --- what stands in shared memory --- */

static void
intent_begin(const struct compact_job *job)
{
    struct intent *intent = &compact_state->intent;

    check(atomic_load(&intent->state) == INTENT_NONE);
    atomic_store(&intent->day, job->day);
    intent->output = job->output.id;
    intent->ninputs = (uint32_t)job->ninputs;
    for (size_t i = 0; i < job->ninputs; i++)
        intent->inputs[i] = (struct intent_input){job->infos[i].id,
            job->infos[i].level, job->entries[i]};
    atomic_store(&intent->state, INTENT_MERGING);
}

static void
intent_end(void)
{
    atomic_store(&compact_state->intent.state, INTENT_NONE);
}

/* --- inputs --- */

/* Unless its place in the catalogue is another's by now. */
static void
input_flag(const struct intent_input *input, uint32_t flags)
{
    catalog_begin();
    if (catalog_is_part(input->entry, input->id))
        catalog_flag(input->entry, flags);
    catalog_abort();
}

/*
 * Damage is believed when a second look that does not come from the page
 * cache sees it, too; a part that only seems damaged gets a bad name.
 */
static void
input_is_bad(struct compact_job *job, size_t i)
{
    const struct part_info *info = &job->infos[i];
    struct manifest_edit edit = {.incarnation = job->incarnation,
        .bad = &info->id, .nbad = 1};
    struct err second = ERR_INIT, err = ERR_INIT;
    char path[PATH_MAX];

    job->result = JOB_BAD_INPUT;
    layout_part(path, info->day, info->id, info->level);
    file_forget(path);
    if (part_check(path, &second) == 0 || (second.code != ERR_CORRUPT &&
        second.code != ERR_NOT_FOUND)) {
        log_warn("merge saw damage that a second look did not see: %s",
            job->err.text);
        if (blame_add(info->id, 1) >= BLAME_UNMERGED)
            input_flag(&compact_state->intent.inputs[i], CATALOG_UNMERGED);
        return;
    }
    log_error("damaged part is left out of answers from here on: %s",
        second.text);
    input_flag(&compact_state->intent.inputs[i], CATALOG_BAD);
    if (manifest_append(job->day, &edit, job->sync, &err) != 0)
        log_error("damage could not be noted in the manifest: %s", err.text);
}

/*
 * The ranges of their lineage are those of another server's logs, which may
 * have the numbers of ours.
 */
static int
inputs_check_node(struct compact_job *job)
{
    size_t n = 0;

    for (size_t i = 0; i < job->ninputs; i++) {
        if (memcmp(part_get_node_id(job->parts[i]), shared->node_id,
            sizeof(shared->node_id)) == 0)
            continue;
        input_flag(&compact_state->intent.inputs[i], CATALOG_UNMERGED);
        n++;
    }
    if (n == 0)
        return 0;
    job->result = JOB_BAD_INPUT;
    return err_set(&job->err, ERR_UNSUPPORTED, "%zu parts of %u are of "
        "another server and stay as they are", n, job->day);
}

static int
inputs_open(struct compact_job *job)
{
    char path[PATH_MAX];

    for (size_t i = 0; i < job->ninputs; i++) {
        const struct part_info *info = &job->infos[i];

        layout_part(path, info->day, info->id, info->level);
        if (part_open(&job->parts[i], path, &job->err) != 0) {
            job->parts[i] = NULL;
            /* The day was dropped since the inputs were chosen. */
            if (!catalog_is_part(job->entries[i], info->id))
                job->result = JOB_CANCELLED;
            else if (job->err.code == ERR_CORRUPT ||
                job->err.code == ERR_NOT_FOUND)
                input_is_bad(job, i);
            return -1;
        }
    }
    return inputs_check_node(job);
}

static void
inputs_close(struct compact_job *job)
{
    for (size_t i = 0; i < job->ninputs; i++) {
        part_close(job->parts[i]);
        job->parts[i] = NULL;
    }
}

static int
space_check(struct compact_job *job)
{
    uint64_t need = 0, free_bytes;

    for (size_t i = 0; i < job->ninputs; i++)
        need += SPACE_FACTOR * job->infos[i].bytes;
    if (file_free_bytes(layout_root(), &free_bytes, &job->err) != 0)
        return -1;
    if (free_bytes >= need)
        return 0;
    job->result = JOB_NO_SPACE;
    return err_set(&job->err, ERR_NO_SPACE, "%llu bytes are free, a merge of "
        "%zu parts wants %llu", (unsigned long long)free_bytes, job->ninputs,
        (unsigned long long)need);
}

/* --- the file --- */

static void
output_paths(uint32_t day, uint64_t id, char path[PATH_MAX],
    char tmp[PATH_MAX + 8])
{
    layout_part(path, day, id, 2);
    snprintf(tmp, PATH_MAX + 8, "%s.tmp", path);
}

static void
output_remove(uint32_t day, uint64_t id)
{
    char path[PATH_MAX], tmp[PATH_MAX + 8];
    struct err err = ERR_INIT;

    output_paths(day, id, path, tmp);
    if (file_unlink(tmp, &err) != 0 || file_unlink(path, &err) != 0)
        log_warn("not removed, stays until the next start: %s", err.text);
}

static int
output_write(struct compact_job *job)
{
    char path[PATH_MAX], tmp[PATH_MAX + 8];
    size_t bad = SIZE_MAX;
    struct merge_task task = {
        .inputs = job->parts,
        .ninputs = job->ninputs,
        .part_id = job->output.id,
        .node_id = shared->node_id,
        .path = tmp,
        .sync = job->sync,
        .cancel = &job->cancel,
    };

    output_paths(job->day, task.part_id, path, tmp);
    if (job->merge(&task, &job->output, &job->counts, &bad, &job->err) != 0) {
        if (job->err.code == ERR_CORRUPT && bad < job->ninputs)
            input_is_bad(job, bad);
        return -1;
    }
    fault("merge.after_write");
    if (file_rename(tmp, path, &job->err) != 0)
        return -1;
    fault("merge.after_rename");
    layout_partition_dir(path, job->day);
    return job->sync ? file_sync_dir(path, &job->err) : 0;
}

/* --- publishing --- */

/* Half a publication must not be left but to a successor. */
static bool
job_wait_retry(const struct compact_job *job)
{
    for (int ms = 0; ms < RETRY_MS; ms += RETRY_STEP_MS) {
        if (atomic_load(&job->is_stopping))
            return false;
        (void)poll(NULL, 0, RETRY_STEP_MS);
    }
    return true;
}

/*
 * After a failure nobody knows how much of the edit the manifest will show,
 * so the same edit is tried until it holds.
 */
static int
output_replace(struct compact_job *job)
{
    struct manifest_part add = {.info = job->output};
    uint64_t drop[MERGE_INPUTS_MAX];
    struct manifest_edit edit = {.add = &add, .nadd = 1, .drop = drop,
        .ndrop = job->ninputs, .incarnation = job->incarnation};

    for (size_t i = 0; i < job->ninputs; i++)
        drop[i] = job->infos[i].id;
    atomic_store(&compact_state->intent.state, INTENT_PUBLISHING);
    while (manifest_append(job->day, &edit, job->sync, &job->err) != 0) {
        if (job->err.code == ERR_CANCELLED)
            return -1;
        metric_add(METRIC_MERGE_ERRORS, 1);
        log_error("merged part is not in the manifest yet, trying again: %s",
            job->err.text);
        if (!job_wait_retry(job))
            return -1;
    }
    fault("merge.after_replace");
    return 0;
}

/* Under the catalogue's mutex. */
static bool
inputs_are_alive(const struct intent *intent)
{
    for (uint32_t i = 0; i < intent->ninputs; i++) {
        if (!catalog_is_part(intent->inputs[i].entry, intent->inputs[i].id))
            return false;
    }
    return true;
}

/*
 * The swap in the catalogue.  When inputs have left it, the day was dropped
 * in the meantime, and its output is not wanted either: *gen is 0 then.
 */
static int
output_flip(const struct part_info *output, uint64_t *gen, struct err *err)
{
    const struct intent *intent = &compact_state->intent;

    *gen = 0;
    catalog_begin();
    if (!inputs_are_alive(intent)) {
        catalog_abort();
        return 0;
    }
    if (catalog_add_part(output, NULL, err) != 0) {
        catalog_abort();
        return -1;
    }
    for (uint32_t i = 0; i < intent->ninputs; i++)
        catalog_remove(intent->inputs[i].entry);
    fault("merge.before_flip");
    *gen = catalog_commit();
    fault("merge.after_flip");
    return 0;
}

static void
inputs_retire(uint64_t gen)
{
    const struct intent *intent = &compact_state->intent;
    char name[RETIRE_NAME_MAX];

    for (uint32_t i = 0; i < intent->ninputs; i++) {
        retired_name(name, atomic_load(&intent->day), intent->inputs[i].id,
            intent->inputs[i].level);
        retire_add(RETIRE_MERGE, gen, name);
    }
}

/* True when the intent is settled: published, or the day is gone. */
static bool
output_publish(struct compact_job *job)
{
    uint64_t gen;

    if (output_replace(job) != 0) {
        if (job->err.code != ERR_CANCELLED)
            return false; /* the process stops; who comes next will see */
        job->result = JOB_CANCELLED;
        output_remove(job->day, job->output.id);
        return true;
    }
    while (output_flip(&job->output, &gen, &job->err) != 0) {
        log_error("merged part is not in the catalogue yet, trying again: %s",
            job->err.text);
        if (!job_wait_retry(job))
            return false;
    }
    /* Of a day that was detached in between, nothing must be left over. */
    inputs_retire(gen != 0 ? gen : catalog_generation());
    job->result = gen != 0 ? JOB_DONE : JOB_CANCELLED;
    return true;
}

/* --- the two halves --- */

/*
 * Whatever else runs on the machine goes first.  All of this is the calling
 * thread's alone; disks that know no priorities ignore one part.
 */
static void
thread_give_way(bool is_urgent)
{
    struct sched_param param = {.sched_priority = 0};

    if (setpriority(PRIO_PROCESS, 0, NICE) != 0 ||
        sched_setscheduler(0, SCHED_BATCH, &param) != 0)
        log_debug("merges run with normal priority: %s", strerror(errno));
    (void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
        is_urgent ? IOPRIO_BEST_EFFORT_LOWEST : IOPRIO_IDLE);
}

static void
job_end(struct compact_job *job)
{
    intent_end();
    if (job->result == JOB_FAILED && job->err.code == ERR_CANCELLED)
        job->result = JOB_CANCELLED;
    if (job->result == JOB_FAILED && job->err.code == ERR_NO_SPACE)
        job->result = JOB_NO_SPACE;
    job->took_ns = clock_mono_ns() - job->started_ns;
}

static void
job_write(struct compact_job *job)
{
    /* Before its state, so that a drop in between is noticed. */
    job->incarnation = partition_incarnation(job->day);
    /* Behind intent_begin(): see compact_day_is_busy(). */
    if (partition_state(job->day) != PARTITION_OPEN) {
        job->result = JOB_CANCELLED;
        return;
    }
    if (space_check(job) == 0 && inputs_open(job) == 0) {
        if (output_write(job) == 0)
            job->result = JOB_WRITTEN;
        else
            output_remove(job->day, job->output.id);
    }
    inputs_close(job);
}

void
job_merge(struct compact_job *job)
{
    job->result = JOB_FAILED;
    job->started_ns = clock_mono_ns();
    thread_give_way(job->is_urgent);
    job->output.id = shared_new_part_id();
    intent_begin(job);
    job_write(job);
    if (job->result != JOB_WRITTEN)
        job_end(job);
}

void
job_publish(struct compact_job *job)
{
    check(job->result == JOB_WRITTEN);
    job->result = JOB_FAILED;
    if (output_publish(job))
        job_end(job);
    else
        job->result = JOB_CANCELLED; /* the successor goes on */
}

void
job_blame(const struct compact_job *job)
{
    for (size_t i = 0; i < job->ninputs; i++) {
        struct intent_input input = {job->infos[i].id, job->infos[i].level,
            job->entries[i]};

        if (blame_add(input.id, 1) >= BLAME_UNMERGED)
            input_flag(&input, CATALOG_UNMERGED);
    }
}

/* --- a predecessor's --- */

/* Whether the manifest lists the output; *info is what it says of it. */
static int
output_find(uint32_t day, uint64_t id, struct part_info *info, bool *found,
    struct err *err)
{
    struct partition *partition = partition_lock(day);
    struct manifest manifest;
    int rc = manifest_read(&manifest, day, err);

    partition_unlock(partition);
    *found = false;
    for (size_t i = 0; rc == 0 && i < manifest.nparts; i++) {
        if (manifest.parts[i].info.id == id) {
            *info = manifest.parts[i].info;
            *found = true;
        }
    }
    if (rc == 0)
        manifest_release(&manifest);
    return rc;
}

static void
inputs_blame(const struct intent *intent, uint32_t points)
{
    for (uint32_t i = 0; i < intent->ninputs; i++) {
        const struct intent_input *input = &intent->inputs[i];

        if (blame_add(input->id, points) >= BLAME_UNMERGED) {
            input_flag(input, CATALOG_UNMERGED);
            log_error("part %016llx of %u was in merges that ended the "
                "process again and again; it stays as it is",
                (unsigned long long)input->id, atomic_load(&intent->day));
        }
    }
}

int
job_resume(bool sync, struct err *err)
{
    struct intent *intent = &compact_state->intent;
    uint32_t state = atomic_load(&intent->state);
    uint32_t points = atomic_exchange(&compact_state->deaths, 0);
    uint32_t day = atomic_load(&intent->day);
    struct part_info output;
    uint64_t gen = 0;
    bool is_listed;

    if (state == INTENT_NONE)
        return 0;
    if (state == INTENT_MERGING && points > 0)
        inputs_blame(intent, points);
    if (output_find(day, intent->output, &output, &is_listed, err) != 0)
        return -1;
    if (!is_listed) {
        log_info("a merge of %u parts of %u was cut short, its output is "
            "removed", intent->ninputs, day);
        output_remove(day, intent->output);
        intent_end();
        return 0;
    }
    log_info("a merge of %u parts of %u was cut short behind its manifest, "
        "it is finished", intent->ninputs, day);
    if (sync && manifest_sync(day, err) != 0)
        return -1;
    if (output_flip(&output, &gen, err) != 0)
        return -1;
    /* Flipped before: their places in the catalogue may be others' now. */
    inputs_retire(gen != 0 ? gen : catalog_generation());
    intent_end();
    return 0;
}
