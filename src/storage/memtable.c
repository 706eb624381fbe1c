/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A memtable as a whole: made, committed, checked (memtable_format.h has the
 * layout).
 */

#include "core/base.h"
#include "storage/memtable.h"
#include "storage/memtable_format.h"

#include "core/assert.h"
#include "core/err.h"
#include "core/sys.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static const struct sv field_names[FIELD_KEYS] = {
    [FIELD_TRACE_STATE] = {"trace_state", 11},
    [FIELD_STATUS_MESSAGE] = {"status_message", 14},
    [FIELD_FLAGS] = {"flags", 5},
    [FIELD_DROPPED_ATTRS] = {"dropped_attributes_count", 24},
    [FIELD_DROPPED_EVENTS] = {"dropped_events_count", 20},
    [FIELD_DROPPED_LINKS] = {"dropped_links_count", 19},
    [FIELD_STATUS_CODE] = {"status_code", 11},
    [FIELD_SCHEMA_URL] = {"schema_url", 10},
    [FIELD_NAME] = {"name", 4},
    [FIELD_VERSION] = {"version", 7},
    [FIELD_STREAM_FIELDS] = {"stream_fields", 13},
    [FIELD_EXTRA_FIELDS] = {"extra_fields", 12},
};

struct sv
memtable_field_name(enum field_key field)
{
    check((unsigned)field < FIELD_KEYS);
    return field_names[field];
}

uint32_t
memtable_bucket(uint64_t seed, uint32_t tenant, const struct trace_id *id)
{
    uint64_t hash = XXH3_64bits_withSeed(id->b, sizeof(id->b), seed + tenant);

    return (uint32_t)hash & (MEMTABLE_BUCKETS - 1);
}

/* The strings and keys that every memtable has. */
static void
add_fixed(struct memtable *mt)
{
    uint32_t off = MEMTABLE_BYTES;

    mt->strings[0] = (struct memtable_string){off, 0};
    for (uint32_t i = 0; i < FIELD_KEYS; i++) {
        struct sv name = field_names[i];

        off -= (uint32_t)name.len;
        memcpy((char *)mt + off, name.ptr, name.len);
        mt->strings[1 + i] = (struct memtable_string){off,
            (uint32_t)name.len};
        mt->keys[i] = (struct memtable_key){1 + i, KEY_FIELD};
    }
    mt->shapes[0] = (struct memtable_shape){0, 0, 0};
    mt->h.nstrings = 1 + FIELD_KEYS;
    mt->h.nkeys = FIELD_KEYS;
    mt->h.nshapes = 1;
    mt->h.words_used = 1;
    mt->h.bytes_used = (uint32_t)MEMTABLE_BYTES - off;
}

struct memtable *
memtable_init(void *region, uint64_t log_id, uint64_t first_lsn)
{
    struct memtable *mt = region;

    check(((uintptr_t)region & 63) == 0);
    memset(mt->header_page, 0, sizeof(mt->header_page));
    memset(mt->buckets, 0, sizeof(mt->buckets));
    mt->h.magic = MEMTABLE_MAGIC;
    mt->h.layout = MEMTABLE_LAYOUT;
    mt->h.bytes = MEMTABLE_BYTES;
    mt->h.log_id = log_id;
    mt->h.first_lsn = first_lsn;
    mt->h.next_lsn = first_lsn;
    check(sys.random(&mt->h.trace_seed, sizeof(mt->h.trace_seed)) == 0);
    add_fixed(mt);
    return mt;
}

/* The writer wrote the field before it released `rows` or `committed`. */
#define LOAD(mt, name) \
    atomic_load_explicit(&(mt)->h.name, memory_order_acquire)

uint32_t
memtable_rows(const struct memtable *mt)
{
    return LOAD(mt, rows);
}

uint64_t
memtable_next_lsn(const struct memtable *mt)
{
    return LOAD(mt, next_lsn);
}

uint64_t
memtable_first_lsn(const struct memtable *mt)
{
    return mt->h.first_lsn;
}

uint64_t
memtable_log_id(const struct memtable *mt)
{
    return mt->h.log_id;
}

size_t
memtable_used(const struct memtable *mt)
{
    size_t row_bytes = offsetof(struct memtable, buckets) / MEMTABLE_ROWS_MAX;

    return MEMTABLE_HEADER_BYTES + sizeof(mt->buckets) +
        LOAD(mt, rows) * row_bytes +
        LOAD(mt, nstrings) * sizeof(struct memtable_string) +
        LOAD(mt, nkeys) * sizeof(struct memtable_key) +
        LOAD(mt, nshapes) * sizeof(struct memtable_shape) +
        LOAD(mt, nstreams) * sizeof(struct memtable_stream) +
        LOAD(mt, nresources) * sizeof(struct memtable_resource) +
        LOAD(mt, nscopes) * sizeof(struct memtable_scope) +
        LOAD(mt, words_used) * sizeof(uint32_t) + LOAD(mt, bytes_used);
}

void
memtable_commit(struct memtable *mt, uint32_t rows)
{
    check(rows <= atomic_load_explicit(&mt->h.rows, memory_order_acquire));
    check(rows >= atomic_load_explicit(&mt->h.committed,
        memory_order_relaxed));
    atomic_store_explicit(&mt->h.committed, rows, memory_order_release);
}

uint32_t
memtable_committed(const struct memtable *mt)
{
    return LOAD(mt, committed);
}

int
memtable_check(const struct memtable *mt, struct err *err)
{
    uint32_t committed = LOAD(mt, committed);

    if (mt->h.magic != MEMTABLE_MAGIC)
        return err_set(err, ERR_CORRUPT, "memtable: magic is wrong");
    if (mt->h.layout != MEMTABLE_LAYOUT || mt->h.bytes != MEMTABLE_BYTES)
        return err_set(err, ERR_CORRUPT,
            "memtable: layout %u of %u bytes is not known here",
            mt->h.layout, mt->h.bytes);
    if (committed > LOAD(mt, rows) || LOAD(mt, rows) > MEMTABLE_ROWS_MAX ||
        LOAD(mt, next_lsn) < mt->h.first_lsn)
        return err_set(err, ERR_CORRUPT, "memtable: rows are out of range");
    if (LOAD(mt, nstrings) > MEMTABLE_STRINGS_MAX ||
        LOAD(mt, nkeys) > MEMTABLE_KEYS_MAX ||
        LOAD(mt, nshapes) > MEMTABLE_SHAPES_MAX ||
        LOAD(mt, nstreams) > MEMTABLE_STREAMS_MAX ||
        LOAD(mt, nscopes) > MEMTABLE_SCOPES_MAX ||
        LOAD(mt, nresources) > MEMTABLE_RESOURCES_MAX ||
        LOAD(mt, ntenants) > MEMTABLE_TENANTS_MAX ||
        LOAD(mt, ndays) > MEMTABLE_DAYS_MAX)
        return err_set(err, ERR_CORRUPT, "memtable: a table is too long");
    if (LOAD(mt, words_used) > MEMTABLE_HEAP_WORDS ||
        LOAD(mt, bytes_used) > MEMTABLE_HEAP_BYTES)
        return err_set(err, ERR_CORRUPT, "memtable: the heap is too long");
    return 0;
}
