/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/result_cache.h"

#include <pthread.h>

#include "core/mem.h"
#include "core/metrics.h"

#define NSLOTS 4096u /* of the table: chains of two */

struct entry {
    struct result_key key;
    struct entry *chain;
    struct entry *newer; /* by use */
    struct entry *older;
    size_t len;
    char state[];
};

static struct {
    pthread_mutex_t mutex;
    struct entry *slots[NSLOTS];
    struct entry *newest;
    struct entry *oldest;
    unsigned n;
    size_t bytes;
} cache = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static size_t
size_of(size_t len)
{
    return sizeof(struct entry) + len;
}

/* The link that points to the entry, or to NULL at the chain's end. */
static struct entry **
find(const struct result_key *key)
{
    struct entry **link = &cache.slots[key->lo % NSLOTS];

    while (*link != NULL && ((*link)->key.lo != key->lo ||
        (*link)->key.hi != key->hi))
        link = &(*link)->chain;
    return link;
}

static void
unlink_used(struct entry *entry)
{
    *(entry->newer == NULL ? &cache.newest : &entry->newer->older) =
        entry->older;
    *(entry->older == NULL ? &cache.oldest : &entry->older->newer) =
        entry->newer;
}

static void
link_newest(struct entry *entry)
{
    entry->newer = NULL;
    entry->older = cache.newest;
    *(cache.newest == NULL ? &cache.oldest : &cache.newest->newer) = entry;
    cache.newest = entry;
}

static void
drop(struct entry **link)
{
    struct entry *entry = *link;

    *link = entry->chain;
    unlink_used(entry);
    cache.n--;
    cache.bytes -= size_of(entry->len);
    metric_set(METRIC_RESULT_CACHE_BYTES, (int64_t)cache.bytes);
    xfree(entry);
}

bool
result_cache_get(const struct result_key *key, struct sb *out)
{
    struct entry *entry;

    pthread_mutex_lock(&cache.mutex);
    entry = *find(key);
    if (entry != NULL) {
        unlink_used(entry);
        link_newest(entry);
        sb_add(out, entry->state, entry->len);
    }
    pthread_mutex_unlock(&cache.mutex);
    metric_add(entry != NULL ? METRIC_RESULT_CACHE_HITS
        : METRIC_RESULT_CACHE_MISSES, 1);
    return entry != NULL && !sb_failed(out);
}

bool
result_cache_has(const struct result_key *key)
{
    bool has;

    pthread_mutex_lock(&cache.mutex);
    has = *find(key) != NULL;
    pthread_mutex_unlock(&cache.mutex);
    return has;
}

void
result_cache_put(const struct result_key *key, struct sv state,
    size_t bytes_max)
{
    struct entry *entry, **link;

    if (state.len > RESULT_CACHE_STATE_MAX || size_of(state.len) > bytes_max)
        return;
    entry = mem_try_alloc(size_of(state.len));
    if (entry == NULL)
        return;
    *entry = (struct entry){.key = *key, .len = state.len};
    if (state.len > 0)
        memcpy(entry->state, state.ptr, state.len);
    pthread_mutex_lock(&cache.mutex);
    link = find(key);
    if (*link != NULL)
        drop(link);
    while (cache.n > 0 && (cache.n == RESULT_CACHE_ENTRIES_MAX ||
        cache.bytes + size_of(state.len) > bytes_max))
        drop(find(&cache.oldest->key));
    link = &cache.slots[key->lo % NSLOTS];
    entry->chain = *link;
    *link = entry;
    link_newest(entry);
    cache.n++;
    cache.bytes += size_of(state.len);
    metric_set(METRIC_RESULT_CACHE_BYTES, (int64_t)cache.bytes);
    pthread_mutex_unlock(&cache.mutex);
}

void
result_cache_clear(void)
{
    pthread_mutex_lock(&cache.mutex);
    while (cache.n > 0)
        drop(find(&cache.oldest->key));
    pthread_mutex_unlock(&cache.mutex);
}
