/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/part_read_cache.h"

#include <pthread.h>

#include "core/assert.h"

/* A full cache of small pieces has some 30,000. */
#define BUCKETS 16384u

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct data *buckets[BUCKETS];

/* Those not pinned, by last use; held counts the pinned ones, too. */
static struct list {
    struct data *newest, *oldest;
    size_t held;
} tables, bulk;

static size_t budget = DATA_CACHE_BYTES;
static uint64_t last_serial;

static struct data **
bucket_of(const struct data_owner *owner, const struct data_key *key)
{
    uint64_t h = owner->serial * UINT64_C(0x9e3779b97f4a7c15);

    h ^= (uint64_t)key->block << 40 ^ (uint64_t)key->kind << 32 ^ key->index;
    h *= UINT64_C(0xbf58476d1ce4e5b9);
    return &buckets[(h ^ h >> 32) % BUCKETS];
}

static bool
is_key(const struct data *data, const struct data_owner *owner,
    const struct data_key *key)
{
    return data->owner == owner && data->key.index == key->index &&
        data->key.kind == key->kind && data->key.block == key->block;
}

static struct data *
find(const struct data_owner *owner, const struct data_key *key)
{
    struct data *data = *bucket_of(owner, key);

    while (data != NULL && !is_key(data, owner, key))
        data = data->next_in_bucket;
    return data;
}

/* --- the lists of those that may go --- */

static struct list *
list_of(const struct data *data)
{
    return data->key.kind < DATA_CHUNK ? &tables : &bulk;
}

static void
list_remove(struct data *data)
{
    struct list *list = list_of(data);

    *(data->newer != NULL ? &data->newer->older : &list->newest) =
        data->older;
    *(data->older != NULL ? &data->older->newer : &list->oldest) =
        data->newer;
}

static void
list_add(struct data *data)
{
    struct list *list = list_of(data);

    data->newer = NULL;
    data->older = list->newest;
    *(list->newest != NULL ? &list->newest->newer : &list->oldest) = data;
    list->newest = data;
}

static void
pin(struct data *data)
{
    if (data->pins++ == 0)
        list_remove(data);
}

/* --- in and out --- */

static void
forget(struct data *data)
{
    struct data **link = bucket_of(data->owner, &data->key);

    check(data->pins == 0);
    while (*link != data)
        link = &(*link)->next_in_bucket;
    *link = data->next_in_bucket;
    if (data->next_of_owner != NULL)
        data->next_of_owner->previous_of_owner = data->previous_of_owner;
    if (data->previous_of_owner != NULL)
        data->previous_of_owner->next_of_owner = data->next_of_owner;
    else
        data->owner->first = data->next_of_owner;
    list_remove(data);
    list_of(data)->held -= data->bytes;
    data->free(data);
}

static void
shrink(void)
{
    while (tables.held + bulk.held > budget) {
        bool is_table = bulk.oldest == NULL || tables.held > budget / 2;

        if (is_table && tables.oldest != NULL)
            forget(tables.oldest);
        else if (bulk.oldest != NULL)
            forget(bulk.oldest);
        else
            break;
    }
}

struct data *
data_find(struct data_owner *owner, const struct data_key *key)
{
    struct data *data;

    pthread_mutex_lock(&mutex);
    data = find(owner, key);
    if (data != NULL)
        pin(data);
    pthread_mutex_unlock(&mutex);
    return data;
}

struct data *
data_add(struct data_owner *owner, struct data *data)
{
    struct data *known;
    struct data **bucket;

    pthread_mutex_lock(&mutex);
    known = find(owner, &data->key);
    if (known != NULL) {
        pin(known);
        pthread_mutex_unlock(&mutex);
        data->free(data);
        return known;
    }
    bucket = bucket_of(owner, &data->key);
    data->owner = owner;
    data->pins = 1;
    data->next_in_bucket = *bucket;
    *bucket = data;
    data->previous_of_owner = NULL;
    data->next_of_owner = owner->first;
    if (owner->first != NULL)
        owner->first->previous_of_owner = data;
    owner->first = data;
    list_of(data)->held += data->bytes;
    shrink();
    pthread_mutex_unlock(&mutex);
    return data;
}

void
data_unpin(struct data *const *data, size_t n)
{
    pthread_mutex_lock(&mutex);
    for (size_t i = 0; i < n; i++) {
        if (data[i] == NULL)
            continue;
        check(data[i]->pins > 0);
        if (--data[i]->pins == 0)
            list_add(data[i]);
    }
    shrink();
    pthread_mutex_unlock(&mutex);
}

void
data_owner_init(struct data_owner *owner)
{
    pthread_mutex_lock(&mutex);
    owner->serial = ++last_serial;
    owner->first = NULL;
    pthread_mutex_unlock(&mutex);
}

void
data_owner_release(struct data_owner *owner)
{
    pthread_mutex_lock(&mutex);
    while (owner->first != NULL)
        forget(owner->first);
    pthread_mutex_unlock(&mutex);
}

void
data_cache_set_budget(size_t bytes)
{
    pthread_mutex_lock(&mutex);
    budget = bytes;
    shrink();
    pthread_mutex_unlock(&mutex);
}

size_t
data_cache_held(void)
{
    size_t bytes;

    pthread_mutex_lock(&mutex);
    bytes = tables.held + bulk.held;
    pthread_mutex_unlock(&mutex);
    return bytes;
}
