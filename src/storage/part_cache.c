/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/part_cache.h"

#include <pthread.h>

#include "core/assert.h"
#include "core/mem.h"
#include "storage/catalog.h"
#include "storage/layout.h"

#define BUCKETS 4096u

/*
 * Found by all that the catalogue says of a part: a day that was attached may
 * bring a part with an id that another day's has, or that a part of the same
 * day had before.
 */
struct cached {
    struct part_info info;
    struct part *part;
    unsigned users;
    struct cached *next;      /* in its bucket */
    struct cached *newer, *older;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct cached *buckets[BUCKETS];
static struct cached *newest, *oldest;
static unsigned ncached;

static struct cached **
bucket_of(uint64_t id)
{
    return &buckets[(id * UINT64_C(0x9e3779b97f4a7c15)) >> 52];
}

static struct cached *
cached_find(const struct part_info *info)
{
    struct cached *cached = *bucket_of(info->id);

    while (cached != NULL && memcmp(&cached->info, info, sizeof(*info)) != 0)
        cached = cached->next;
    return cached;
}

static void
list_remove(struct cached *cached)
{
    *(cached->newer != NULL ? &cached->newer->older : &newest) =
        cached->older;
    *(cached->older != NULL ? &cached->older->newer : &oldest) =
        cached->newer;
}

static void
list_add(struct cached *cached)
{
    cached->newer = NULL;
    cached->older = newest;
    *(newest != NULL ? &newest->newer : &oldest) = cached;
    newest = cached;
}

static void
cached_unlink(struct cached *cached)
{
    struct cached **link = bucket_of(cached->info.id);

    while (*link != cached)
        link = &(*link)->next;
    *link = cached->next;
    list_remove(cached);
    ncached--;
}

static void
cached_free(struct cached *cached)
{
    part_close(cached->part);
    xfree(cached);
}

static void
cached_drop(struct cached *cached)
{
    cached_unlink(cached);
    cached_free(cached);
}

static void
cache_trim(unsigned max)
{
    struct cached *cached = oldest;

    while (cached != NULL && ncached > max) {
        struct cached *newer = cached->newer;

        if (cached->users == 0)
            cached_drop(cached);
        cached = newer;
    }
}

/*
 * The file that has the part's name.  Each file may be in order and still be
 * another one: files were swapped, or a copy went astray.
 */
static int
listed_open(struct part **out, const struct part_info *listed,
    struct err *err)
{
    const struct part_info *found;
    char path[PATH_MAX];

    layout_part(path, listed->day, listed->id, listed->level);
    if (part_open(out, path, err) != 0)
        return -1;
    found = part_get_info(*out);
    if (found->id == listed->id && found->day == listed->day &&
        found->level == listed->level && found->rows == listed->rows &&
        found->nblocks == listed->nblocks)
        return 0;
    err_set(err, ERR_CORRUPT, "%s: holds part %016llx of %u, not the one "
        "that is listed", path, (unsigned long long)found->id, found->day);
    part_close(*out);
    *out = NULL;
    return -1;
}

int
part_cache_get(struct part **out, const struct part_info *info,
    struct err *err)
{
    struct cached *cached, *other;
    struct part *part;

    pthread_mutex_lock(&mutex);
    cached = cached_find(info);
    if (cached != NULL) {
        cached->users++;
        list_remove(cached);
        list_add(cached);
        *out = cached->part;
    }
    pthread_mutex_unlock(&mutex);
    if (cached != NULL)
        return 0;

    if (listed_open(&part, info, err) != 0)
        return -1;
    cached = xcalloc(1, sizeof(*cached));
    cached->info = *info;
    cached->part = part;
    cached->users = 1;
    pthread_mutex_lock(&mutex);
    other = cached_find(info);
    if (other != NULL) {
        /* Another thread was faster. */
        other->users++;
        *out = other->part;
    } else {
        cached->next = *bucket_of(info->id);
        *bucket_of(info->id) = cached;
        list_add(cached);
        ncached++;
        *out = part;
        cache_trim(PART_CACHE_MAX);
    }
    pthread_mutex_unlock(&mutex);
    if (other != NULL) {
        part_close(part);
        xfree(cached);
    }
    return 0;
}

void
part_cache_put(struct part *part)
{
    struct cached *cached;

    pthread_mutex_lock(&mutex);
    cached = *bucket_of(part_get_info(part)->id);
    while (cached != NULL && cached->part != part)
        cached = cached->next;
    check(cached != NULL && cached->users > 0);
    cached->users--;
    pthread_mutex_unlock(&mutex);
}

static int
id_cmp(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

/*
 * Takes a part of this id out that nobody uses; the caller closes it.  Sets
 * *all to false when one is in use.
 */
static struct cached *
cached_take(uint64_t id, bool *all)
{
    struct cached *cached = *bucket_of(id);

    for (; cached != NULL; cached = cached->next) {
        if (cached->info.id != id)
            continue;
        if (cached->users == 0) {
            cached_unlink(cached);
            return cached;
        }
        *all = false;
    }
    return NULL;
}

/* The last one to close a large file waits for the disk: not with the lock. */
static bool
sweep_id(uint64_t id)
{
    struct cached *cached;
    bool all = true;

    do {
        pthread_mutex_lock(&mutex);
        cached = cached_take(id, &all);
        pthread_mutex_unlock(&mutex);
        if (cached != NULL)
            cached_free(cached);
    } while (cached != NULL);
    return all;
}

/* A damaged one may be replaced by a good copy, which is another file. */
static void
forget_bad(const uint64_t *ids, bool *found, size_t n)
{
    struct catalog_item *items;
    size_t nbad = catalog_copy_parts(&items, CATALOG_BAD);

    for (size_t i = 0; i < nbad; i++) {
        const uint64_t *id = bsearch(&items[i].part.id, ids, n, sizeof(*ids),
            id_cmp);

        if (id != NULL)
            found[id - ids] = false;
    }
    xfree(items);
}

bool
part_cache_sweep(void)
{
    static uint64_t ids[PART_CACHE_MAX + 1];
    static bool found[PART_CACHE_MAX + 1];
    bool all = true;
    size_t n = 0;

    pthread_mutex_lock(&mutex);
    for (struct cached *cached = newest; cached != NULL &&
        n < ARRAY_LEN(ids); cached = cached->older)
        ids[n++] = cached->info.id;
    pthread_mutex_unlock(&mutex);
    if (n > 1)
        qsort(ids, n, sizeof(*ids), id_cmp);
    catalog_find_parts(ids, found, n);
    forget_bad(ids, found, n);
    for (size_t i = 0; i < n; i++) {
        if (!found[i])
            all &= sweep_id(ids[i]);
    }
    return all;
}

void
part_cache_clear(void)
{
    pthread_mutex_lock(&mutex);
    cache_trim(0);
    pthread_mutex_unlock(&mutex);
}
