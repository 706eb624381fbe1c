/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/catalog.h"

#include <errno.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/fault.h"
#include "core/mem.h"
#include "core/shm.h"
#include "storage/shared.h"

struct reader {
    _Atomic int32_t pid;  /* 0: free */
    _Atomic uint64_t gen; /* 0: registering */
};

struct catalog {
    _Atomic uint64_t gen;
    pthread_mutex_t mutex;
    _Atomic uint32_t nentries; /* high-water mark */
    uint32_t free_hint;
    struct reader readers[CATALOG_READERS_MAX];
    struct catalog_entry entries[CATALOG_ENTRIES_MAX];
};

static struct catalog *catalog;

int
catalog_create(struct err *err)
{
    void *region;

    check(catalog == NULL);
    if (shm_new(&region, "spoor-catalog", sizeof(struct catalog), err) != 0)
        return -1;
    catalog = region;
    shared_mutex_init(&catalog->mutex);
    atomic_store(&catalog->gen, 1);
    return 0;
}

void
catalog_destroy(void)
{
    if (catalog != NULL)
        shm_free(catalog, sizeof(struct catalog));
    catalog = NULL;
}

/* Takes back what a writer that did not reach its flip has prepared. */
static void
catalog_undo(void)
{
    uint64_t gen = atomic_load(&catalog->gen);
    uint32_t n = atomic_load(&catalog->nentries);

    for (uint32_t i = 0; i < n; i++) {
        struct catalog_entry *entry = &catalog->entries[i];

        if (atomic_load(&entry->born) > gen)
            atomic_store(&entry->born, 0);
        else if (atomic_load(&entry->dead) != UINT64_MAX &&
            atomic_load(&entry->dead) > gen)
            atomic_store(&entry->dead, UINT64_MAX);
    }
}

void
catalog_begin(void)
{
    int rc = pthread_mutex_lock(&catalog->mutex);

    if (rc == EOWNERDEAD) {
        catalog_undo();
        pthread_mutex_consistent(&catalog->mutex);
        rc = 0;
    }
    check(rc == 0);
}

uint64_t
catalog_commit(void)
{
    uint64_t gen = atomic_load(&catalog->gen) + 1;

    fault("catalog.before_flip");
    atomic_store(&catalog->gen, gen);
    fault("catalog.after_flip");
    check(pthread_mutex_unlock(&catalog->mutex) == 0);
    return gen;
}

void
catalog_abort(void)
{
    catalog_undo();
    check(pthread_mutex_unlock(&catalog->mutex) == 0);
}

/*
 * A place nobody can see any more, or a new one at the end.  Who registers
 * from now on reads the present generation at least; what this change itself
 * has removed is still alive in that one.
 */
static int
entry_take(struct catalog_entry **out, uint32_t *index, struct err *err)
{
    uint64_t oldest = MIN(catalog_oldest_reader(),
        atomic_load(&catalog->gen));
    uint32_t n = atomic_load(&catalog->nentries);

    for (uint32_t k = 0; k < n; k++) {
        uint32_t i = (catalog->free_hint + k) % n;
        struct catalog_entry *entry = &catalog->entries[i];

        if (atomic_load(&entry->born) == 0 ||
            atomic_load(&entry->dead) <= oldest) {
            atomic_store(&entry->born, 0);
            /* Before the fields change: item_copy() looks at it last. */
            atomic_thread_fence(memory_order_release);
            catalog->free_hint = i + 1;
            *out = entry;
            *index = i;
            return 0;
        }
        /* Look at a few only: growing is cheap, scanning all is not. */
        if (k >= 64 && n < CATALOG_ENTRIES_MAX)
            break;
    }
    if (n == CATALOG_ENTRIES_MAX)
        return err_set(err, ERR_LIMIT, "catalogue is full (%u entries)", n);
    catalog->free_hint = n != 0 ? (catalog->free_hint + 64) % n : 0;
    *out = &catalog->entries[n];
    *index = n;
    atomic_store(&catalog->entries[n].born, 0);
    atomic_store(&catalog->nentries, n + 1);
    return 0;
}

static void
entry_publish(struct catalog_entry *entry)
{
    atomic_store(&entry->dead, UINT64_MAX);
    atomic_store(&entry->born, atomic_load(&catalog->gen) + 1);
}

int
catalog_add_part(const struct part_info *info, uint32_t *index,
    struct err *err)
{
    struct catalog_entry *entry;
    uint32_t i;

    if (entry_take(&entry, &i, err) != 0)
        return -1;
    entry->kind = CATALOG_PART;
    atomic_store(&entry->flags, 0);
    entry->part = *info;
    entry_publish(entry);
    if (index != NULL)
        *index = i;
    return 0;
}

int
catalog_add_memtable(unsigned slot, unsigned buffer, uint32_t *index,
    struct err *err)
{
    struct catalog_entry *entry;
    uint32_t i;

    if (entry_take(&entry, &i, err) != 0)
        return -1;
    entry->kind = CATALOG_MEMTABLE;
    atomic_store(&entry->flags, 0);
    entry->slot = slot;
    entry->buffer = buffer;
    memset(&entry->part, 0, sizeof(entry->part));
    entry_publish(entry);
    if (index != NULL)
        *index = i;
    return 0;
}

void
catalog_remove(uint32_t index)
{
    check(index < atomic_load(&catalog->nentries));
    atomic_store(&catalog->entries[index].dead,
        atomic_load(&catalog->gen) + 1);
}

void
catalog_remove_all(void)
{
    uint32_t n = atomic_load(&catalog->nentries);

    for (uint32_t i = 0; i < n; i++) {
        if (atomic_load(&catalog->entries[i].born) != 0 &&
            atomic_load(&catalog->entries[i].dead) == UINT64_MAX)
            catalog_remove(i);
    }
}

uint32_t
catalog_remove_day(uint32_t day)
{
    uint32_t n = atomic_load(&catalog->nentries), removed = 0;

    for (uint32_t i = 0; i < n; i++) {
        const struct catalog_entry *entry = &catalog->entries[i];

        if (atomic_load(&entry->born) != 0 &&
            atomic_load(&entry->dead) == UINT64_MAX &&
            entry->kind == CATALOG_PART && entry->part.day == day) {
            catalog_remove(i);
            removed++;
        }
    }
    return removed;
}

static bool
entry_is_memtable_of(const struct catalog_entry *entry, unsigned slot)
{
    return atomic_load(&entry->born) != 0 &&
        atomic_load(&entry->dead) == UINT64_MAX &&
        entry->kind == CATALOG_MEMTABLE && entry->slot == slot;
}

void
catalog_remove_memtables(unsigned slot)
{
    uint32_t n = atomic_load(&catalog->nentries);

    for (uint32_t i = 0; i < n; i++) {
        if (entry_is_memtable_of(&catalog->entries[i], slot))
            catalog_remove(i);
    }
}

void
catalog_flag_memtables(unsigned slot, uint32_t flags)
{
    uint32_t n = atomic_load(&catalog->nentries);

    for (uint32_t i = 0; i < n; i++) {
        if (entry_is_memtable_of(&catalog->entries[i], slot))
            catalog_flag(i, flags);
    }
}

bool
catalog_has_part(uint64_t part_id)
{
    uint32_t n = atomic_load(&catalog->nentries);

    for (uint32_t i = 0; i < n; i++) {
        const struct catalog_entry *entry = &catalog->entries[i];

        if (atomic_load(&entry->born) != 0 &&
            atomic_load(&entry->dead) == UINT64_MAX &&
            entry->kind == CATALOG_PART && entry->part.id == part_id)
            return true;
    }
    return false;
}

bool
catalog_is_part(uint32_t index, uint64_t part_id)
{
    const struct catalog_entry *entry;

    check(index < atomic_load(&catalog->nentries));
    entry = &catalog->entries[index];
    return atomic_load(&entry->born) != 0 &&
        atomic_load(&entry->dead) == UINT64_MAX &&
        entry->kind == CATALOG_PART && entry->part.id == part_id;
}

uint64_t
catalog_generation(void)
{
    return atomic_load(&catalog->gen);
}

static int
id_cmp(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

void
catalog_find_parts(const uint64_t *part_ids, bool *found, size_t n)
{
    uint32_t nentries = atomic_load(&catalog->nentries);

    memset(found, 0, n * sizeof(*found));
    for (uint32_t i = 0; n > 0 && i < nentries; i++) {
        const struct catalog_entry *entry = &catalog->entries[i];
        const uint64_t *at;

        if (atomic_load(&entry->born) == 0 ||
            atomic_load(&entry->dead) != UINT64_MAX ||
            entry->kind != CATALOG_PART)
            continue;
        at = bsearch(&entry->part.id, part_ids, n, sizeof(*part_ids),
            id_cmp);
        if (at != NULL)
            found[at - part_ids] = true;
    }
}

void
catalog_flag(uint32_t index, uint32_t flags)
{
    check(index < atomic_load(&catalog->nentries));
    atomic_fetch_or(&catalog->entries[index].flags, flags);
}

/* Under the mutex an entry is not given to another. */
bool
catalog_change_flags(const struct part_info *part, uint32_t set,
    uint32_t clear)
{
    uint32_t n = atomic_load(&catalog->nentries);
    bool found = false;

    catalog_begin();
    for (uint32_t i = 0; i < n; i++) {
        struct catalog_entry *entry = &catalog->entries[i];

        if (atomic_load(&entry->born) == 0 ||
            atomic_load(&entry->dead) != UINT64_MAX ||
            entry->kind != CATALOG_PART || entry->part.id != part->id ||
            entry->part.day != part->day)
            continue;
        atomic_fetch_or(&entry->flags, set);
        atomic_fetch_and(&entry->flags, ~clear);
        found = true;
    }
    check(pthread_mutex_unlock(&catalog->mutex) == 0);
    return found;
}

/*
 * Claims a cell and publishes the generation in it.  The generation is read
 * again after it was published: a writer that moved on in between cannot
 * have seen the cell.
 */
static int
reader_register(struct catalog_snapshot *snapshot, struct err *err)
{
    static _Atomic uint32_t hint;
    uint32_t start = atomic_fetch_add(&hint, 1);
    int32_t pid = (int32_t)getpid();

    for (uint32_t k = 0; k < CATALOG_READERS_MAX; k++) {
        uint32_t i = (start + (uint32_t)pid * 64 + k) % CATALOG_READERS_MAX;
        struct reader *reader = &catalog->readers[i];
        int32_t free_pid = 0;
        uint64_t gen;

        if (!atomic_compare_exchange_strong(&reader->pid, &free_pid, pid))
            continue;
        do {
            gen = atomic_load(&catalog->gen);
            atomic_store(&reader->gen, gen);
        } while (atomic_load(&catalog->gen) != gen);
        snapshot->reader = i;
        snapshot->gen = gen;
        return 0;
    }
    return err_set(err, ERR_BUSY, "more than %u queries at a time",
        CATALOG_READERS_MAX);
}

static bool
entry_is_visible(const struct catalog_entry *entry, uint64_t gen)
{
    uint64_t born = atomic_load_explicit(&entry->born, memory_order_acquire);

    return born != 0 && born <= gen &&
        atomic_load_explicit(&entry->dead, memory_order_acquire) > gen;
}

/*
 * Copies a visible entry.  Its place may be given to another while this
 * looks: then it was dead for this reader before (entry_take() takes no
 * other), whatever its old birth and its new death look like together, and
 * the birth has changed at the end.
 */
static bool
item_copy(struct catalog_item *item, const struct catalog_entry *entry,
    uint64_t gen)
{
    uint64_t born = atomic_load_explicit(&entry->born, memory_order_acquire);

    if (!entry_is_visible(entry, gen))
        return false;
    item->kind = entry->kind;
    item->flags = atomic_load(&entry->flags);
    item->slot = entry->slot;
    item->buffer = entry->buffer;
    item->part = entry->part;
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&entry->born, memory_order_relaxed) == born;
}

int
catalog_snapshot_take(struct catalog_snapshot *snapshot, struct pool *pool,
    int64_t min_end, int64_t max_end, struct err *err)
{
    uint32_t cap = 256, n = 0, total, nmemtables = 0;
    struct catalog_item *items;

    if (reader_register(snapshot, err) != 0)
        return -1;
    items = pool_alloc(pool, cap * sizeof(*items));
    total = atomic_load(&catalog->nentries);
    for (uint32_t i = 0; items != NULL && i < total; i++) {
        const struct catalog_entry *entry = &catalog->entries[i];

        if (!entry_is_visible(entry, snapshot->gen))
            continue;
        if (n == cap) {
            struct catalog_item *more = pool_alloc(pool,
                2 * (size_t)cap * sizeof(*items));

            if (more != NULL)
                memcpy(more, items, cap * sizeof(*items));
            items = more;
            cap *= 2;
            if (items == NULL)
                break;
        }
        if (!item_copy(&items[n], entry, snapshot->gen) ||
            (items[n].kind == CATALOG_PART &&
            (items[n].part.max_end_ns < min_end ||
            items[n].part.min_end_ns > max_end)))
            continue;
        items[n].entry = i;
        if (items[n].kind == CATALOG_MEMTABLE) {
            struct catalog_item swap = items[nmemtables];

            items[nmemtables++] = items[n];
            if (nmemtables != n + 1)
                items[n] = swap;
        }
        n++;
    }
    if (items == NULL) {
        catalog_snapshot_release(snapshot);
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    }
    snapshot->items = items;
    snapshot->n = n;
    return 0;
}

void
catalog_snapshot_release(struct catalog_snapshot *snapshot)
{
    struct reader *reader = &catalog->readers[snapshot->reader];

    atomic_store(&reader->gen, 0);
    atomic_store(&reader->pid, 0);
}

uint64_t
catalog_oldest_reader(void)
{
    uint64_t oldest = UINT64_MAX;

    for (uint32_t i = 0; i < CATALOG_READERS_MAX; i++) {
        const struct reader *reader = &catalog->readers[i];
        uint64_t gen;

        if (atomic_load(&reader->pid) == 0)
            continue;
        gen = atomic_load(&reader->gen);
        /*
         * A cell without a generation is of a reader that will see the
         * present generation at least (it reads gen after claiming).
         */
        if (gen != 0 && gen < oldest)
            oldest = gen;
    }
    return oldest;
}

void
catalog_clear_readers(pid_t pid)
{
    for (uint32_t i = 0; i < CATALOG_READERS_MAX; i++) {
        struct reader *reader = &catalog->readers[i];

        if (atomic_load(&reader->pid) == (int32_t)pid) {
            atomic_store(&reader->gen, 0);
            atomic_store(&reader->pid, 0);
        }
    }
}

void
catalog_totals(struct catalog_totals *totals)
{
    uint64_t gen = atomic_load(&catalog->gen);
    uint32_t n = atomic_load(&catalog->nentries);

    memset(totals, 0, sizeof(*totals));
    totals->max_end_ns = INT64_MIN;
    for (uint32_t i = 0; i < n; i++) {
        const struct catalog_entry *entry = &catalog->entries[i];

        if (!entry_is_visible(entry, gen))
            continue;
        if (entry->kind == CATALOG_MEMTABLE) {
            totals->memtables++;
            continue;
        }
        totals->parts++;
        totals->rows += entry->part.rows;
        totals->bytes += entry->part.bytes;
        totals->blocks += entry->part.nblocks;
        totals->max_end_ns = MAX(totals->max_end_ns, entry->part.max_end_ns);
        if (entry->part.level > 1) {
            totals->merged_parts++;
            totals->merged_rows += entry->part.rows;
            totals->merged_bytes += entry->part.bytes;
            totals->merged_blocks += entry->part.nblocks;
        }
        totals->bad += (atomic_load(&entry->flags) & CATALOG_BAD) != 0;
        totals->offline += (atomic_load(&entry->flags) &
            (CATALOG_DOUBT | CATALOG_OFFLINE)) != 0;
        totals->unmerged +=
            (atomic_load(&entry->flags) & CATALOG_UNMERGED) != 0;
    }
}

static struct catalog_day *
day_of(struct catalog_day **days, size_t *n, size_t *cap, uint32_t day)
{
    size_t low = 0, high = *n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if ((*days)[middle].day < day)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < *n && (*days)[low].day == day)
        return &(*days)[low];
    if (*n == *cap) {
        *cap = MAX(2 * *cap, 32u);
        *days = xrealloc(*days, *cap * sizeof(**days));
    }
    memmove(*days + low + 1, *days + low, (*n - low) * sizeof(**days));
    (*n)++;
    memset(*days + low, 0, sizeof(**days));
    (*days)[low].day = day;
    return &(*days)[low];
}

/* A copy of each entry, so that one whose place is given away is not seen. */
size_t
catalog_sum_days(struct catalog_day **days)
{
    uint64_t gen = atomic_load(&catalog->gen);
    uint32_t total = atomic_load(&catalog->nentries);
    struct catalog_day *day = NULL;
    size_t n = 0, cap = 0;

    *days = NULL;
    for (uint32_t i = 0; i < total; i++) {
        struct catalog_item item;

        if (!item_copy(&item, &catalog->entries[i], gen) ||
            item.kind != CATALOG_PART)
            continue;
        if (day == NULL || day->day != item.part.day)
            day = day_of(days, &n, &cap, item.part.day);
        day->parts++;
        day->rows += item.part.rows;
        day->bytes += item.part.bytes;
        day->bad += (item.flags & CATALOG_BAD) != 0;
    }
    return n;
}

size_t
catalog_day_ids(uint32_t day, uint64_t **ids)
{
    uint64_t gen = atomic_load(&catalog->gen);
    uint32_t total = atomic_load(&catalog->nentries);
    size_t n = 0, cap = 0;

    *ids = NULL;
    for (uint32_t i = 0; i < total; i++) {
        struct catalog_item item;

        if (!item_copy(&item, &catalog->entries[i], gen) ||
            item.kind != CATALOG_PART || item.part.day != day)
            continue;
        if (n == cap) {
            cap = MAX(2 * cap, 64u);
            *ids = xrealloc(*ids, cap * sizeof(**ids));
        }
        (*ids)[n++] = item.part.id;
    }
    if (n > 1)
        qsort(*ids, n, sizeof(**ids), id_cmp);
    return n;
}

size_t
catalog_copy_parts(struct catalog_item **items, uint32_t flags)
{
    uint64_t gen = atomic_load(&catalog->gen);
    uint32_t total = atomic_load(&catalog->nentries);
    size_t n = 0, cap = 0;

    *items = NULL;
    for (uint32_t i = 0; i < total; i++) {
        struct catalog_item item;

        if (!item_copy(&item, &catalog->entries[i], gen) ||
            item.kind != CATALOG_PART ||
            (flags != 0 && (item.flags & flags) == 0))
            continue;
        if (n == cap) {
            cap = MAX(2 * cap, 64u);
            *items = xrealloc(*items, cap * sizeof(**items));
        }
        item.entry = i;
        (*items)[n++] = item;
    }
    return n;
}
