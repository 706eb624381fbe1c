/* SPDX-License-Identifier: BSD-2-Clause */

/* Offline check of a front's queue: reads what is there, changes nothing. */

#include "core/base.h"
#include "cluster/queue.h"

#include "cluster/queue_state.h"
#include "core/file.h"
#include "core/mem.h"

/* Nodes that are told apart. */
#define NODES_MAX_TOLD 64u

struct told {
    struct sv node; /* kept by the queue */
    uint64_t parcels, spans;
};

struct check_run {
    struct queue queue; /* of names only */
    struct sb *out;
    const char *dir;
    struct told told[NODES_MAX_TOLD];
    unsigned ntold;
    uint64_t files, bytes, parcels, spans;
    unsigned findings;
};

static void
count_item(struct check_run *run, struct queue_waiting *waiting)
{
    struct sv node = waiting->item.node;
    unsigned i = 0;

    run->parcels++;
    run->spans += waiting->item.parcel.nspans;
    while (i < run->ntold && !sv_eq(run->told[i].node, node))
        i++;
    if (i == NODES_MAX_TOLD)
        return;
    if (i == run->ntold) {
        run->ntold++;
        /* One more reference: the name stays until the end. */
        if (waiting->node != NULL)
            waiting->node->refs++;
        run->told[i].node = node;
    }
    run->told[i].parcels++;
    run->told[i].spans += waiting->item.parcel.nspans;
}

static void
check_bytes(struct check_run *run, const char *text,
    const struct queue_name *name, struct sv bytes)
{
    struct queue_collected collected = {NULL, 0, 0, {0}};
    struct err err = ERR_INIT;

    if (queue_collect(&run->queue, name, bytes, &collected, &err) != 0) {
        run->findings++;
        sb_addf(run->out, "damage: queue/%s: %s\n", text, err.text);
    }
    if (collected.found.damaged > 0) {
        run->findings++;
        sb_addf(run->out, "damage: queue/%s: in %llu places\n", text,
            (unsigned long long)collected.found.damaged);
    }
    if (collected.found.is_torn)
        sb_addf(run->out, "note: queue/%s ends in a write that was never "
            "finished\n", text);
    for (size_t i = 0; i < collected.n; i++)
        count_item(run, collected.v[i]);
    queue_collected_release(&run->queue, &collected);
}

static int IMPL(file_name_fn)
check_file(const char *text, void *arg)
{
    struct check_run *run = arg;
    struct err err = ERR_INIT;
    struct queue_name name;
    char path[PATH_MAX];
    struct sb bytes;

    if (!queue_name_parse(text, &name)) {
        sb_addf(run->out, "note: queue/%s is no file of the queue\n", text);
        return 0;
    }
    queue_path(path, run->dir, &name);
    run->files++;
    sb_init(&bytes, QUEUE_FILE_READ_MAX);
    if (file_read_all(path, &bytes, &err) != 0) {
        run->findings++;
        sb_addf(run->out, "damage: %s\n", err.text);
    } else {
        run->bytes += bytes.len;
        check_bytes(run, text, &name, sb_sv(&bytes));
    }
    sb_release(&bytes);
    return 0;
}

int
queue_check(const char *dir, struct sb *out, struct err *err)
{
    struct check_run *run = xcalloc(1, sizeof(*run));
    int rc;

    run->out = out;
    run->dir = dir;
    rc = file_list(dir, check_file, run, err);
    if (rc == 0)
        sb_addf(out, "queue: %llu files, %llu bytes; %llu parcels with %llu "
            "spans wait\n", (unsigned long long)run->files,
            (unsigned long long)run->bytes,
            (unsigned long long)run->parcels,
            (unsigned long long)run->spans);
    for (unsigned i = 0; i < run->ntold; i++)
        sb_addf(out, "queue: %llu parcels with %llu spans for %.*s\n",
            (unsigned long long)run->told[i].parcels,
            (unsigned long long)run->told[i].spans,
            SV_ARG(run->told[i].node.len > 0 ? run->told[i].node
                : SV("any node")));
    if (rc == 0 && run->findings > 0)
        rc = err_set(err, ERR_CORRUPT, "%u files are damaged",
            run->findings);
    while (run->queue.nodes != NULL) {
        struct queue_node *next = run->queue.nodes->next;

        xfree(run->queue.nodes);
        run->queue.nodes = next;
    }
    xfree(run);
    return rc;
}
