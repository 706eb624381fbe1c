/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The durable queue: what other processes left behind, and what is to be done
 * about once a second.
 */

#include "core/base.h"
#include "cluster/queue.h"

#include "cluster/queue_state.h"
#include "core/assert.h"
#include "core/fault.h"
#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/sys.h"
#include "core/timefmt.h"

/* Names of one directory; others are looked at when these are gone. */
#define OTHERS_MAX 65536u
/* An empty file that gets nothing is not kept for longer. */
#define IDLE_NS (5 * NS_PER_SEC)
/* A file that could not be read, or is of a newer version, is tried again. */
#define REFUSE_NS (30 * NS_PER_SEC)
/* Then what can be read of it counts. */
#define READ_TRIES 3u

/* --- the directory --- */

static bool
is_held(const struct queue *queue, const struct queue_name *name)
{
    for (struct queue_file *file = queue->files; file != NULL;
        file = file->next) {
        if (file->name.unique == name->unique &&
            file->name.number == name->number)
            return true;
    }
    return false;
}

struct look {
    const struct queue *queue;
    struct queue_others *others;
    bool wants_names;
};

static int IMPL(file_name_fn)
look_at(const char *text, void *arg)
{
    struct look *look = arg;
    struct queue_others *others = look->others;
    struct queue_name name;
    char path[PATH_MAX];
    struct stat st;

    if (!queue_name_parse(text, &name) || is_held(look->queue, &name))
        return 0;
    queue_path(path, look->queue->dir, &name);
    if (sys.stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return 0;
    others->bytes += (uint64_t)st.st_size;
    if (!look->wants_names || others->n == OTHERS_MAX)
        return 0;
    if (others->n == others->cap) {
        others->cap = MAX(64, 2 * others->cap);
        others->v = xrealloc(others->v, others->cap * sizeof(*others->v));
    }
    others->v[others->n++] = name;
    return 0;
}

int
queue_look(struct queue *queue, struct queue_others *others, struct err *err)
{
    struct look look = {queue, others, others->cap > 0};

    if (file_list(queue->dir, look_at, &look, err) != 0)
        return -1;
    queue->other_bytes = others->bytes;
    queue->added_bytes = 0;
    queue->looked_ns = clock_mono_ns();
    return 0;
}

static int
name_cmp(const void *left, const void *right)
{
    const struct queue_name *a = left, *b = right;

    if (a->unique != b->unique)
        return a->unique < b->unique ? -1 : 1;
    return (a->number > b->number) - (a->number < b->number);
}

/* --- files that are left alone --- */

static struct queue_refused *
refused_find(struct queue *queue, const struct queue_name *name)
{
    for (unsigned i = 0; i < QUEUE_REFUSED_MAX; i++) {
        struct queue_refused *refused = &queue->refused[i];

        if (refused->until_ns != 0 && name_cmp(&refused->name, name) == 0)
            return refused;
    }
    return NULL;
}

/* The one that was to be left alone for the least time gives way. */
static struct queue_refused *
refuse(struct queue *queue, const struct queue_name *name)
{
    struct queue_refused *refused = refused_find(queue, name);

    if (refused == NULL) {
        refused = &queue->refused[0];
        for (unsigned i = 1; i < QUEUE_REFUSED_MAX; i++) {
            if (queue->refused[i].until_ns < refused->until_ns)
                refused = &queue->refused[i];
        }
        *refused = (struct queue_refused){.name = *name};
    }
    refused->until_ns = clock_mono_ns() + REFUSE_NS;
    refused->tries++;
    return refused;
}

/* --- one file --- */

/* All of them wait now; the first of them, by offset. */
static struct queue_item *
link_all(struct queue *queue, struct queue_file *file,
    struct queue_collected *collected)
{
    struct queue_item *first = NULL;

    for (size_t i = collected->n; i-- > 0;) {
        struct queue_waiting *waiting = collected->v[i];

        queue_waiting_link(queue, file, waiting);
        waiting->item.next = first;
        first = &waiting->item;
    }
    collected->n = 0;
    return first;
}

static void
tell_damage(struct queue_file *file, const struct queue_found *found)
{
    char path[PATH_MAX];

    if (found->damaged == 0 && !found->is_torn)
        return;
    queue_path(path, file->dir, &file->name);
    if (found->damaged > 0) {
        log_error("%s is damaged in %llu places: parcels there are lost, "
            "%llu records are read", path,
            (unsigned long long)found->damaged,
            (unsigned long long)found->records);
        file->is_damaged = true;
    } else {
        log_info("%s ends in a write that was never finished", path);
    }
    metric_add(METRIC_CLUSTER_QUEUE_DAMAGED, found->damaged);
}

/*
 * 0: *items are those of the file, which is kept; -1: it must be left alone.
 */
static int
read_items(struct queue *queue, struct queue_file *file, bool read_any,
    struct queue_item **items, struct err *err)
{
    struct queue_collected collected = {NULL, 0, 0, {0}};
    struct sb bytes;
    int rc = -1;

    sb_init(&bytes, QUEUE_FILE_READ_MAX);
    if (queue_file_read(file, &bytes, err) != 0) {
        if (err->code != ERR_CORRUPT || !read_any)
            goto out;
        log_error("durable queue: %s: what can be read counts", err->text);
        file->is_damaged = true;
    }
    if (queue_collect(queue, &file->name, sb_sv(&bytes), &collected, err) !=
        0)
        goto out;
    tell_damage(file, &collected.found);
    file->end = ALIGN_UP(collected.found.end, QUEUE_PAGE);
    file->is_given_up = true;
    *items = link_all(queue, file, &collected);
    rc = 0;
out:
    queue_collected_release(queue, &collected);
    sb_release(&bytes);
    return rc;
}

/* Its items, or NULL when there are none for us. */
static struct queue_item *
adopt_file(struct queue *queue, const struct queue_name *name)
{
    struct queue_refused *refused = refused_find(queue, name);
    struct err err = ERR_INIT;
    struct queue_item *items = NULL;
    struct queue_file *file;

    if (refused != NULL && refused->until_ns > clock_mono_ns())
        return NULL;
    file = queue_file_hold(queue->dir, name, &err);
    if (file == NULL) {
        if (err.code != ERR_BUSY && err.code != ERR_NOT_FOUND) {
            refuse(queue, name);
            log_error("durable queue: %s", err.text);
        }
        return NULL;
    }
    if (read_items(queue, file, refused != NULL &&
        refused->tries >= READ_TRIES, &items, &err) != 0) {
        log_error("durable queue: %016llx-%08x.queue is left alone: %s",
            (unsigned long long)name->unique, name->number, err.text);
        refuse(queue, name);
        queue_file_close(file);
        return NULL;
    }
    queue_keep_file(queue, file);
    fault("queue.after_adopt");
    if (items == NULL) {
        queue_end_file(queue, file);
        return NULL;
    }
    metric_add(METRIC_CLUSTER_QUEUE_ADOPTED, 1);
    log_info("durable queue: %llu parcels of %016llx-%08x.queue are taken "
        "over", (unsigned long long)file->nitems,
        (unsigned long long)name->unique, name->number);
    return items;
}

/* --- once a second --- */

/* Until one fails again. */
static void
note_late(struct queue *queue, struct queue_file *file)
{
    struct queue_waiting *waiting = file->unnoted;

    file->unnoted = NULL;
    while (waiting != NULL && file->unnoted == NULL) {
        struct queue_waiting *next = waiting->next;

        queue_note_done(queue, file, waiting);
        waiting = next;
    }
    if (file->unnoted != NULL)
        file->unnoted->next = waiting;
}

static void
tidy(struct queue *queue)
{
    struct queue_file *file, *next;
    struct err err = ERR_INIT;

    for (file = queue->files; file != NULL; file = next) {
        next = file->next;
        if (file->unnoted != NULL)
            note_late(queue, file);
        if (file->is_dirty && queue_file_sync(file, &err) != 0)
            log_error("durable queue: %s", err.text);
        if (file->nitems == 0 && (file != queue->present ||
            clock_mono_ns() - queue->used_ns > IDLE_NS))
            queue_end_file(queue, file);
    }
    if (!queue->is_dir_dirty)
        return;
    if (file_sync_dir(queue->dir, &err) != 0)
        log_error("durable queue: %s", err.text);
    else
        queue->is_dir_dirty = false;
}

struct queue_item *
queue_adopt(struct queue *queue)
{
    struct queue_others others = {NULL, 0, 64, 0};
    struct queue_item *items = NULL;
    struct err err = ERR_INIT;

    OBJ_CHECK(queue, QUEUE_MAGIC);
    tidy(queue);
    others.v = xmalloc(others.cap * sizeof(*others.v));
    if (queue_look(queue, &others, &err) != 0) {
        log_error("durable queue: %s", err.text);
        goto out;
    }
    if (others.n > 1)
        qsort(others.v, others.n, sizeof(*others.v), name_cmp);
    for (size_t i = 0; i < others.n && items == NULL; i++) {
        if (queue->nitems >= QUEUE_ITEMS_MAX ||
            queue->nfiles >= QUEUE_FILES_MAX)
            break;
        items = adopt_file(queue, &others.v[i]);
    }
out:
    xfree(others.v);
    return items;
}
