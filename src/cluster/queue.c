/* SPDX-License-Identifier: BSD-2-Clause */

/* The durable queue of a front: queue_format.h describes its files. */

#include "core/base.h"
#include "cluster/queue.h"

#include <errno.h>

#include "cluster/queue_state.h"
#include "core/assert.h"
#include "core/fault.h"
#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/sys.h"
#include "core/timefmt.h"

/* A file is as long as a node that is gone holds up its least item. */
#define FILE_BYTES_MIN (1 * MIB)
#define FILE_BYTES_MAX (64 * MIB)
#define FILES_OF_QUEUE 32u
#define FILE_ITEMS_MAX 65536u
/* Allocation runs ahead, so that a sync rarely changes the size. */
#define GROW_STEP (1 * MIB)
#define MARK_GROW_STEP (64 * KIB)
/* What is put together before it is written. */
#define WRITE_STEP (1 * MIB)
/* Names of other processes may be there, or come. */
#define CREATE_TRIES 4u
/*
 * Others' bytes are looked up again after 1/64 of the limit was added, and
 * where they leave no room, so often.
 */
#define LOOK_PARTS 64u
#define LOOK_NS (10 * NS_PER_MS)

/* The name of the directory is as durable as what will be in it. */
static int
sync_parent(const char *dir, struct err *err)
{
    const char *slash = strrchr(dir, '/');
    char parent[PATH_MAX];

    if (slash == NULL)
        return file_sync_dir(".", err);
    snprintf(parent, sizeof(parent), "%.*s", MAX((int)(slash - dir), 1), dir);
    return file_sync_dir(parent, err);
}

int
queue_open(struct queue **out, const char *dir, uint64_t bytes_max,
    struct err *err)
{
    struct queue *queue;

    if (file_mkdirs(dir, 0700, err) != 0 || sync_parent(dir, err) != 0)
        return -1;
    queue = xcalloc(1, sizeof(*queue));
    queue->magic = QUEUE_MAGIC;
    queue->dir = xstrdup(dir);
    queue->bytes_max = bytes_max;
    queue->file_max = MIN(MAX(bytes_max / FILES_OF_QUEUE, FILE_BYTES_MIN),
        FILE_BYTES_MAX);
    *out = queue;
    return 0;
}

uint64_t
queue_bytes(const struct queue *queue)
{
    return queue->bytes;
}

uint64_t
queue_items(const struct queue *queue)
{
    return queue->nitems;
}

/* --- items --- */

/* There are as many names as there are nodes, or were lately. */
static struct queue_node *
node_ref(struct queue *queue, struct sv name)
{
    struct queue_node *node = queue->nodes;

    while (node != NULL && !sv_eq(sv_make(node->text, node->len), name))
        node = node->next;
    if (node == NULL) {
        node = xmalloc(sizeof(*node) + name.len + 1);
        *node = (struct queue_node){0, queue->nodes, name.len};
        memcpy(node->text, name.ptr, name.len);
        node->text[name.len] = '\0';
        queue->nodes = node;
    }
    node->refs++;
    return node;
}

static void
node_unref(struct queue *queue, struct queue_node *node)
{
    struct queue_node **at = &queue->nodes;

    if (node == NULL || --node->refs > 0)
        return;
    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
    xfree(node);
}

void
queue_waiting_set_node(struct queue *queue, struct queue_waiting *waiting,
    struct sv name)
{
    struct queue_node *before = waiting->node;

    /* The name may be the one that is given back. */
    waiting->node = name.len > 0 ? node_ref(queue, name) : NULL;
    node_unref(queue, before);
    waiting->item.node = waiting->node == NULL ? SV_EMPTY
        : sv_make(waiting->node->text, waiting->node->len);
}

void
queue_waiting_free(struct queue *queue, struct queue_waiting *waiting)
{
    queue_unload(&waiting->item);
    node_unref(queue, waiting->node);
    xfree(waiting);
}

void
queue_waiting_link(struct queue *queue, struct queue_file *file,
    struct queue_waiting *waiting)
{
    waiting->file = file;
    waiting->prev = NULL;
    waiting->next = file->items;
    if (file->items != NULL)
        file->items->prev = waiting;
    file->items = waiting;
    file->nitems++;
    queue->nitems++;
    queue->bytes += waiting->item.bytes;
    metric_gauge_add(METRIC_CLUSTER_QUEUE_PARCELS, 1);
    metric_gauge_add(METRIC_CLUSTER_QUEUE_BYTES, (int64_t)waiting->item.bytes);
}

static void
waiting_unlink(struct queue *queue, struct queue_waiting *waiting)
{
    struct queue_file *file = waiting->file;

    if (waiting->prev != NULL)
        waiting->prev->next = waiting->next;
    else
        file->items = waiting->next;
    if (waiting->next != NULL)
        waiting->next->prev = waiting->prev;
    check(file->nitems > 0 && queue->nitems > 0);
    file->nitems--;
    queue->nitems--;
    queue->bytes -= waiting->item.bytes;
    metric_gauge_add(METRIC_CLUSTER_QUEUE_PARCELS, -1);
    metric_gauge_add(METRIC_CLUSTER_QUEUE_BYTES,
        -(int64_t)waiting->item.bytes);
}

/* --- files --- */

void
queue_keep_file(struct queue *queue, struct queue_file *file)
{
    file->next = queue->files;
    queue->files = file;
    queue->nfiles++;
    metric_gauge_add(METRIC_CLUSTER_QUEUE_FILES, 1);
}

static void
drop_unnoted(struct queue *queue, struct queue_file *file)
{
    while (file->unnoted != NULL) {
        struct queue_waiting *waiting = file->unnoted;

        file->unnoted = waiting->next;
        queue_waiting_free(queue, waiting);
    }
}

/* Takes it off the list; what it has in memory goes, and the lock. */
static void
leave_file(struct queue *queue, struct queue_file *file)
{
    struct queue_file **at = &queue->files;

    while (*at != file)
        at = &(*at)->next;
    *at = file->next;
    queue->nfiles--;
    if (queue->present == file)
        queue->present = NULL;
    metric_gauge_add(METRIC_CLUSTER_QUEUE_FILES, -1);
    while (file->items != NULL) {
        struct queue_waiting *waiting = file->items;

        waiting_unlink(queue, waiting);
        queue_waiting_free(queue, waiting);
    }
    drop_unnoted(queue, file);
    queue_file_close(file);
}

static void
count_error(const struct err *err)
{
    metric_add(METRIC_CLUSTER_QUEUE_ERRORS, 1);
    log_error("durable queue: %s", err->text);
}

void
queue_end_file(struct queue *queue, struct queue_file *file)
{
    struct err err = ERR_INIT;

    check(file->nitems == 0);
    if (queue_file_remove(file, &err) != 0) {
        count_error(&err);
        return; /* queue_adopt() tries again */
    }
    if (file->is_damaged)
        log_warn("durable queue: %016llx-%08x.queue was damaged; its last "
            "spans are sent, and it is kept as .queue.damaged",
            (unsigned long long)file->name.unique, file->name.number);
    queue->is_dir_dirty = true;
    leave_file(queue, file);
}

/* 0: no sync. */
static int
write_mark(struct queue_file *file, const struct queue_waiting *waiting,
    enum queue_record_kind kind, struct err *err)
{
    struct queue_record record = {.kind = kind, .offset = file->end,
        .item = waiting->offset};
    struct sb out;
    int rc = -1;

    if (kind == QUEUE_NODE) {
        record.node = waiting->item.node;
        record.unknown_ns = waiting->item.unknown_ns;
    }
    memcpy(record.id, waiting->item.parcel.id, sizeof(record.id));
    sb_init(&out, sizeof(struct queue_record_header) + QUEUE_NODE_LEN_MAX +
        QUEUE_ALIGN);
    queue_record_put(&out, &file->name, &record, NULL);
    check(!sb_failed(&out));
    /* Best effort: without the room there may still be some. */
    (void)!queue_file_grow(file, file->end + out.len, MARK_GROW_STEP, NULL);
    rc = queue_file_write(file, sb_sv(&out), err);
    sb_release(&out);
    return rc;
}

/* Takes the item; the mark is written now, or when that is possible. */
void
queue_note_done(struct queue *queue, struct queue_file *file,
    struct queue_waiting *waiting)
{
    struct err err = ERR_INIT;

    queue_unload(&waiting->item);
    if (write_mark(file, waiting, QUEUE_DONE, &err) != 0) {
        count_error(&err);
        waiting->next = file->unnoted;
        file->unnoted = waiting;
        return;
    }
    fault("queue.after_done");
    queue_waiting_free(queue, waiting);
}

static void
close_file(struct queue *queue, struct queue_file *file)
{
    struct err err = ERR_INIT;

    if (file->is_dirty && queue_file_sync(file, &err) != 0)
        count_error(&err);
    leave_file(queue, file);
}

void
queue_close(struct queue *queue)
{
    struct err err = ERR_INIT;

    if (queue == NULL)
        return;
    OBJ_CHECK(queue, QUEUE_MAGIC);
    while (queue->files != NULL) {
        struct queue_file *file = queue->files;

        if (file->nitems == 0 && queue_file_remove(file, &err) == 0)
            queue->is_dir_dirty = true;
        close_file(queue, file);
    }
    if (queue->is_dir_dirty && file_sync_dir(queue->dir, &err) != 0)
        count_error(&err);
    check(queue->nitems == 0 && queue->nodes == NULL);
    xfree(queue->dir);
    queue->magic = 0;
    xfree(queue);
}

/* --- adding --- */

static uint64_t
own_bytes(const struct queue *queue)
{
    uint64_t bytes = 0;

    for (struct queue_file *file = queue->files; file != NULL;
        file = file->next)
        bytes += file->allocated;
    return bytes;
}

static bool
fits(struct queue *queue, uint64_t more)
{
    uint64_t bytes = queue->other_bytes + own_bytes(queue);

    return more <= queue->bytes_max && bytes <= queue->bytes_max - more;
}

/*
 * Each process may be wrong by what the others added since it looked; as all
 * look again after 1/64 of the limit, the queue may have that much more than
 * the limit for each process.
 */
static int
make_room(struct queue *queue, uint64_t more, struct err *err)
{
    struct queue_others others = {NULL, 0, 0, 0};
    bool is_old;

    if (queue->nitems >= QUEUE_ITEMS_MAX)
        return err_set(err, ERR_LIMIT, "the durable queue is full (%u "
            "parcels wait in a process)", QUEUE_ITEMS_MAX);
    is_old = queue->looked_ns == 0 ||
        queue->added_bytes >= queue->bytes_max / LOOK_PARTS;
    if (!is_old && !fits(queue, more))
        is_old = clock_mono_ns() - queue->looked_ns >= LOOK_NS;
    if (is_old && queue_look(queue, &others, err) != 0)
        return -1;
    if (!fits(queue, more))
        return err_set(err, ERR_LIMIT, "the durable queue is full (%llu "
            "bytes, cluster.queue_max_bytes)",
            (unsigned long long)queue->bytes_max);
    return 0;
}

static bool
takes_more(const struct queue *queue, const struct queue_file *file,
    uint64_t bytes)
{
    uint64_t end = ALIGN_UP(file->end, QUEUE_PAGE);

    if (file->is_given_up || file->nitems >= FILE_ITEMS_MAX)
        return false;
    return end == QUEUE_PAGE || end + bytes <= queue->file_max;
}

/* A name that nobody had. */
static int
choose_name(struct queue *queue, struct err *err)
{
    struct queue_name *name = &queue->next_name;

    if (name->unique != 0 && name->number < UINT32_MAX) {
        name->number++;
        return 0;
    }
    name->number = 1;
    if (sys.random(&name->unique, sizeof(name->unique)) != 0)
        return err_sys(err, "no random number for the name of a file");
    name->unique |= 1;
    return 0;
}

static struct queue_file *
new_file(struct queue *queue, struct err *err)
{
    struct queue_file *file = NULL;

    if (queue->nfiles >= QUEUE_FILES_MAX) {
        err_set(err, ERR_LIMIT, "the durable queue is full (%u files are "
            "open in a process)", QUEUE_FILES_MAX);
        return NULL;
    }
    for (unsigned i = 0; i < CREATE_TRIES && file == NULL; i++) {
        if (choose_name(queue, err) != 0)
            return NULL;
        file = queue_file_create(queue->dir, &queue->next_name, err);
        if (file == NULL && err->sys_errno == EEXIST)
            queue->next_name.unique = 0;
        else if (file == NULL && err->code != ERR_BUSY &&
            err->code != ERR_NOT_FOUND)
            return NULL;
    }
    return file;
}

/* The file for a group of so many bytes, with room for it. */
static struct queue_file *
file_for(struct queue *queue, uint64_t bytes, struct err *err)
{
    struct queue_file *file = queue->present;
    uint64_t more = bytes + QUEUE_PAGE, step;

    if (make_room(queue, more, err) != 0)
        return NULL;
    if (file == NULL || !takes_more(queue, file, bytes)) {
        struct queue_file *before = file;

        file = new_file(queue, err);
        if (file == NULL)
            return NULL;
        queue_keep_file(queue, file);
        queue->present = file;
        if (before != NULL && before->nitems == 0)
            queue_end_file(queue, before);
    }
    step = fits(queue, more + GROW_STEP) ? GROW_STEP : 0;
    if (queue_file_grow(file, ALIGN_UP(file->end, QUEUE_PAGE) + bytes, step,
        err) != 0)
        return NULL;
    return file;
}

/* All of them behind file->end, synced. */
static int
write_parcels(struct queue_file *file, const struct queue_add *add,
    unsigned n, struct queue_item **items, struct err *err)
{
    struct sb out;
    int rc = -1;

    sb_init(&out, WRITE_STEP + QUEUE_RECORD_BYTES_MAX);
    for (unsigned i = 0; i < n; i++) {
        struct queue_waiting *waiting = (struct queue_waiting *)items[i];
        struct queue_record record = {.kind = QUEUE_PARCEL,
            .offset = file->end + out.len, .item = file->end + out.len,
            .unknown_ns = add[i].unknown_ns, .node = add[i].node};

        memcpy(record.id, add[i].parcel->id, sizeof(record.id));
        queue_record_put(&out, &file->name, &record, add[i].parcel);
        waiting->offset = record.offset;
        if (sb_failed(&out)) {
            err_set(err, ERR_LIMIT, "no memory to put a parcel into the "
                "durable queue");
            goto out;
        }
        if (out.len < WRITE_STEP && i + 1 < n)
            continue;
        if (queue_file_write(file, sb_sv(&out), err) != 0)
            goto out;
        sb_reset(&out);
    }
    rc = queue_file_sync(file, err);
out:
    sb_release(&out);
    return rc;
}

static struct queue_item *
new_item(struct queue *queue, const struct queue_add *add)
{
    struct queue_waiting *waiting = xcalloc(1, sizeof(*waiting));

    waiting->item.parcel = *add->parcel;
    waiting->item.parcel.params = SV_EMPTY;
    waiting->item.parcel.body = SV_EMPTY;
    waiting->item.unknown_ns = add->unknown_ns;
    waiting->item.bytes = queue_record_size(add->parcel, add->node);
    queue_waiting_set_node(queue, waiting, add->node);
    return &waiting->item;
}

/* Nothing of it counts: what is in the file is taken back. */
static void
give_up(struct queue *queue, struct queue_file *file, uint64_t end)
{
    file->is_given_up = true;
    queue_file_cut(file, end);
    if (file == queue->present)
        queue->present = NULL;
    if (file->nitems == 0)
        queue_end_file(queue, file);
}

int
queue_add(struct queue *queue, const struct queue_add *add, unsigned n,
    struct queue_item **items, struct err *err)
{
    struct err add_err = ERR_INIT;
    uint64_t bytes = 0, start = 0;
    struct queue_file *file;

    OBJ_CHECK(queue, QUEUE_MAGIC);
    check(n > 0);
    for (unsigned i = 0; i < n; i++) {
        check(add[i].node.len <= QUEUE_NODE_LEN_MAX);
        bytes += queue_record_size(add[i].parcel, add[i].node);
    }
    file = file_for(queue, bytes, &add_err);
    if (file == NULL) {
        metric_add(METRIC_CLUSTER_QUEUE_REFUSED, n);
        goto failed;
    }
    for (unsigned i = 0; i < n; i++)
        items[i] = new_item(queue, &add[i]);
    start = file->end = ALIGN_UP(file->end, QUEUE_PAGE);
    if (write_parcels(file, add, n, items, &add_err) != 0) {
        for (unsigned i = 0; i < n; i++)
            queue_waiting_free(queue, (struct queue_waiting *)items[i]);
        give_up(queue, file, start);
        metric_add(METRIC_CLUSTER_QUEUE_ERRORS, 1);
        goto failed;
    }
    for (unsigned i = 0; i < n; i++)
        queue_waiting_link(queue, file, (struct queue_waiting *)items[i]);
    queue->added_bytes += bytes;
    queue->used_ns = clock_mono_ns();
    metric_add(METRIC_CLUSTER_QUEUE_ADDED, n);
    return 0;
failed:
    if (err != NULL)
        *err = add_err;
    return -1;
}

/* --- what waits --- */

void
queue_unload(struct queue_item *item)
{
    struct queue_waiting *waiting = (struct queue_waiting *)item;

    xfree(waiting->loaded);
    waiting->loaded = NULL;
    item->parcel.params = SV_EMPTY;
    item->parcel.body = SV_EMPTY;
}

static int
parse_loaded(struct queue_waiting *waiting, struct sv bytes, struct err *err)
{
    struct queue_record record;
    struct parcel parcel;

    if (queue_record_get(bytes, &waiting->file->name, waiting->offset,
        &record, err) != 0)
        return -1;
    if (record.kind != QUEUE_PARCEL ||
        memcmp(record.id, waiting->item.parcel.id, sizeof(record.id)) != 0)
        return err_set(err, ERR_CORRUPT, "another record stands there");
    if (parcel_take(&record.payload, &parcel, err) != 1)
        return -1;
    waiting->item.parcel = parcel;
    return 0;
}

int
queue_load(struct queue *queue, struct queue_item *item, struct err *err)
{
    struct queue_waiting *waiting = (struct queue_waiting *)item;
    size_t len = (size_t)item->bytes;
    char path[PATH_MAX];

    OBJ_CHECK(queue, QUEUE_MAGIC);
    if (waiting->loaded != NULL)
        return 0;
    waiting->loaded = mem_try_alloc(len);
    if (waiting->loaded == NULL)
        return err_set(err, ERR_LIMIT, "no memory for a parcel of %zu bytes",
            len);
    if (file_pread(waiting->file->fd, waiting->loaded, len, waiting->offset,
        err) == 0 && parse_loaded(waiting, sv_make(waiting->loaded, len),
        err) == 0)
        return 0;
    queue_unload(item);
    if (err != NULL && err->code == ERR_CORRUPT) {
        waiting->file->is_damaged = true;
        metric_add(METRIC_CLUSTER_QUEUE_DAMAGED, 1);
    }
    queue_path(path, queue->dir, &waiting->file->name);
    return err_wrap(err, "%s, parcel at byte %llu", path,
        (unsigned long long)waiting->offset);
}

int
queue_set_nodes(struct queue *queue, struct queue_item *const *items,
    unsigned n, const struct queue_note *note, struct err *err)
{
    struct queue_file *file = NULL;
    int rc = 0;

    OBJ_CHECK(queue, QUEUE_MAGIC);
    check(note->node.len <= QUEUE_NODE_LEN_MAX);
    for (unsigned i = 0; i < n; i++) {
        struct queue_waiting *waiting = (struct queue_waiting *)items[i];

        queue_waiting_set_node(queue, waiting, note->node);
        items[i]->unknown_ns = note->unknown_ns;
        if (file != NULL && file != waiting->file)
            rc |= queue_file_sync(file, err);
        file = waiting->file;
        rc |= write_mark(file, waiting, QUEUE_NODE, err);
    }
    if (file != NULL)
        rc |= queue_file_sync(file, err);
    if (rc != 0)
        metric_add(METRIC_CLUSTER_QUEUE_ERRORS, 1);
    else
        fault("queue.after_set_node");
    return rc != 0 ? -1 : 0;
}

void
queue_done(struct queue *queue, struct queue_item *item)
{
    struct queue_waiting *waiting = (struct queue_waiting *)item;
    struct queue_file *file = waiting->file;

    OBJ_CHECK(queue, QUEUE_MAGIC);
    waiting_unlink(queue, waiting);
    queue_note_done(queue, file, waiting);
    if (file->nitems == 0 && file != queue->present)
        queue_end_file(queue, file);
}
