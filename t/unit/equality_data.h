/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Data for t/unit/equality.c: the same random spans in several forms.
 *
 * A world is a few chunks; each chunk is what one memtable holds.  Its forms
 * are sets of catalogue entries, so that a query of one form sees nothing of
 * the others:
 *
 *     memory     the memtables
 *     level 1    a part for each chunk and day
 *     level 2    some of these merged
 *     compacted  all of them merged once more
 *     mixed      each chunk in one of the four
 */

#ifndef SPOOR_T_UNIT_EQUALITY_DATA_H
#define SPOOR_T_UNIT_EQUALITY_DATA_H

#include "core/base.h"

#include <fcntl.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/pool.h"
#include "core/timefmt.h"
#include "span/flat.h"
#include "storage/catalog.h"
#include "storage/layout.h"
#include "storage/memtable_format.h"
#include "storage/merge.h"
#include "storage/part_cache.h"
#include "storage/shared.h"

#include "span_gen_fields.h"

#define WORLD_CHUNKS_MAX 8u
#define WORLD_TENANTS 3u
#define WORLD_PARTS_MAX 512u
#define WORLD_SAMPLES 4000u
#define WORLD_SAMPLE_ROWS 100u
#define WORLD_POOL_MAX (2 * GIB)

enum form_kind {
    FORM_MEMORY = 0,
    FORM_LEVEL1,
    FORM_LEVEL2,
    FORM_COMPACTED,
    FORM_MIXED,
    FORMS,
};

static const char *const form_names[FORMS] = {
    "memory", "level 1", "level 2", "compacted", "mixed",
};

struct form {
    struct part_info parts[WORLD_PARTS_MAX];
    uint32_t nparts;
    bool has_chunk[WORLD_CHUNKS_MAX]; /* as memtables */
};

/* What makes a world; the same twice is the same data. */
struct world_spec {
    uint64_t seed;
    bool is_wild;
    bool has_copies;      /* spans of one chunk are in others, too */
    bool is_late;         /* near midnight: two days */
    uint32_t nchunks;
    uint32_t nspans;      /* of a tenant in a chunk */
    uint32_t ntenants;
    uint32_t keep_from;   /* of all spans in the order they are made */
    uint32_t keep_to;
    uint32_t nshares;     /* not 0: traces are divided among so many worlds */
    uint32_t share;
    bool divides_traces;  /* spans of one are in several shares */
};

/* Is the span in another share? */
static bool
spec_leaves_out(const struct world_spec *spec, const struct span *span)
{
    unsigned n = spec->divides_traces ? span->span_id.b[0] ^ span->span_id.b[7]
        : span->trace_id.b[0] ^ span->trace_id.b[15];

    return spec->nshares > 0 && n % spec->nshares != spec->share;
}

/* Fields of one row: [from, to) of the samples. */
struct sample_row {
    uint32_t from, to;
    uint32_t tenant;
};

struct world {
    struct world_spec spec;
    struct span_gen random;
    struct span_gen mixer; /* of what is merged with what */
    struct form forms[FORMS];
    struct pool *pool;
    /* Fields that rows have, for queries that find something. */
    struct flat_field samples[WORLD_SAMPLES];
    uint32_t nsamples;
    struct sample_row rows[WORLD_SAMPLE_ROWS];
    uint32_t nsample_rows;
    struct trace_id traces[64];
    uint32_t ntraces;
    int64_t min_end, max_end;
    uint64_t nrows;
    uint32_t made; /* spans so far */
};

static struct part_writer *world_parts;
static struct memtable_writer *world_writer;
static uint64_t world_next_id = UINT64_C(0x0000010000000001);

static const struct tenant world_tenants[WORLD_TENANTS] = {
    {0, 0}, {7, 1}, {4000000000u, 3},
};
static const uint8_t world_node[16] = "equality test..";

static struct memtable *
world_memtable(uint32_t chunk)
{
    return shared_buffer(chunk / SLOT_BUFFERS, chunk % SLOT_BUFFERS);
}

/* --- chunks --- */

static void
world_add_batch(struct world *world, struct memtable *mt,
    struct span_gen *gen, uint32_t tenant)
{
    const struct world_spec *spec = &world->spec;
    struct pool *pool = pool_new(WORLD_POOL_MAX);
    struct batch batch;

    batch_init(&batch, pool);
    if (spec->is_wild) {
        span_gen_wild(gen, &batch, spec->nspans);
        span_gen_fields(gen, &batch);
        /* As the decoders do: no service but that of the attribute. */
        for (uint32_t i = 0; i < batch.nresources; i++)
            resource_find_service(&batch.resources[i]);
    } else {
        span_gen_real(gen, &batch, 7, spec->nspans);
    }
    for (uint32_t i = 0; i < batch.nspans; i++, world->made++) {
        if (world->made < spec->keep_from || world->made >= spec->keep_to ||
            spec_leaves_out(spec, &batch.spans[i]))
            batch_reject(&batch, i, REJECT_TOO_OLD);
    }
    check(memtable_append(world_writer, &world_tenants[tenant], &batch,
        0) == batch.nspans);
    memtable_commit(mt, memtable_rows(mt));
    pool_free(pool);
}

static void
world_fill(struct world *world)
{
    const struct world_spec *spec = &world->spec;
    struct span_gen gens[WORLD_TENANTS], before[WORLD_TENANTS];

    for (uint32_t t = 0; t < WORLD_TENANTS; t++) {
        /* Two tenants have the same trace ids. */
        span_gen_init(&gens[t], spec->seed * 8 + (t == 2 ? 0 : t));
        gens[t].now_ns += (spec->is_late ? 24 : 12) * 3600 * NS_PER_SEC;
        gens[t].huge_every = 500;
        gens[t].spread_ns = 1800 * NS_PER_SEC;
        gens[t].shapes = 60;
        before[t] = gens[t];
    }
    for (uint32_t c = 0; c < spec->nchunks; c++) {
        struct memtable *mt = memtable_init(world_memtable(c), 70 + c, 1);

        memtable_writer_attach(world_writer, mt);
        for (uint32_t t = 0; t < spec->ntenants; t++) {
            struct span_gen again = before[t];

            before[t] = gens[t];
            world_add_batch(world, mt, &gens[t], t);
            if (spec->has_copies && gen_one_in(&world->random, 2))
                world_add_batch(world, mt, &again, t);
        }
        world->nrows += memtable_rows(mt);
    }
}

/* --- what queries may ask for --- */

static uint32_t
tenant_of_row(const struct memtable *mt, uint32_t row)
{
    const struct tenant *tenant =
        &mt->tenants[mt->streams[mt->stream[row]].tenant];
    uint32_t i = 0;

    while (world_tenants[i].account != tenant->account)
        i++;
    return i;
}

static void
sample_add(struct world *world, struct sv name, struct sv text)
{
    if (world->nsamples < WORLD_SAMPLES && name.len < 100 &&
        !sv_ends_with(name, SV("*")))
        world->samples[world->nsamples++] = (struct flat_field){name, text};
}

static void
world_sample_row(struct world *world, const struct memtable *mt,
    uint32_t row)
{
    struct sample_row *sample = &world->rows[world->nsample_rows++];
    char id[FLAT_STREAM_ID_LEN];
    struct err err = ERR_INIT;
    struct batch batch;
    struct flat flat;

    batch_init(&batch, world->pool);
    if (memtable_read_row(mt, row, &batch, &err) != 0 ||
        !flat_span(&flat, &batch, &batch.spans[0], world->pool))
        bail_out("a row of a memtable cannot be read");
    if (world->ntraces < ARRAY_LEN(world->traces))
        world->traces[world->ntraces++] = batch.spans[0].trace_id;
    sample->tenant = tenant_of_row(mt, row);
    sample->from = world->nsamples;
    for (uint32_t i = 0; i < flat.n; i++)
        sample_add(world, flat.fields[i].name, flat.fields[i].text);
    flat_stream_id(id, &world_tenants[sample->tenant],
        batch.resources[0].service, batch.spans[0].name);
    sample_add(world, SV("_stream_id"),
        sv_make(pool_dup(world->pool, id, sizeof(id)), sizeof(id)));
    sample->to = world->nsamples;
}

static void
world_sample(struct world *world)
{
    world->min_end = INT64_MAX;
    world->max_end = INT64_MIN;
    for (uint32_t c = 0; c < world->spec.nchunks; c++) {
        const struct memtable *mt = world_memtable(c);
        uint32_t rows = memtable_rows(mt);
        int64_t min, max;

        for (uint32_t i = 0; rows > 0 && i < 10; i++)
            world_sample_row(world, mt, gen_below(&world->random, rows));
        if (memtable_end_range(mt, rows, &min, &max)) {
            world->min_end = MIN(world->min_end, min);
            world->max_end = MAX(world->max_end, max);
        }
    }
}

/* --- parts --- */

static void
form_add(struct form *form, const struct part_info *info)
{
    check(form->nparts < WORLD_PARTS_MAX);
    form->parts[form->nparts++] = *info;
}

static void
part_from_chunk(struct form *form, uint32_t chunk, uint32_t day)
{
    const struct memtable *mt = world_memtable(chunk);
    struct part_lineage lineage = {70 + chunk, 1, memtable_next_lsn(mt)};
    uint32_t *rows = xmalloc((memtable_rows(mt) + 1) * sizeof(*rows)), n = 0;
    struct part_info info;
    struct err err = ERR_INIT;
    char path[PATH_MAX];
    struct sv file;
    int fd;

    for (uint32_t row = 0; row < memtable_rows(mt); row++) {
        if (time_day(mt->end_ns[row]) == day)
            rows[n++] = row;
    }
    if (part_encode(world_parts, mt, rows, n, world_next_id++, day,
        world_node, &lineage, &file, &info, &err) != 0)
        bail_out(err.text);
    layout_part(path, day, info.id, 1);
    fd = file_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600, &err);
    if (fd < 0 || file_pwrite(fd, file.ptr, file.len, 0, &err) != 0)
        bail_out(err.text);
    file_close(fd);
    xfree(rows);
    form_add(form, &info);
}

/* Merges the parts of one day that are chosen; none: nothing. */
static void
part_merge(struct form *to, const struct part_info *infos, uint32_t n)
{
    struct part *inputs[MERGE_INPUTS_MAX];
    struct merge_counts counts;
    struct part_info info;
    struct err err = ERR_INIT;
    char path[PATH_MAX];
    struct merge_task task = {inputs, n, world_next_id++, world_node, path,
        false, NULL};

    if (n == 0)
        return;
    for (uint32_t i = 0; i < n; i++) {
        if (part_cache_get(&inputs[i], &infos[i], &err) != 0)
            bail_out(err.text);
    }
    layout_part(path, infos[0].day, task.part_id, 2);
    if (merge_parts(&task, &info, &counts, NULL, &err) != 0)
        bail_out(err.text);
    for (uint32_t i = 0; i < n; i++)
        part_cache_put(inputs[i]);
    form_add(to, &info);
}

/* Parts of one day of a form, at most n at a time, merged into another. */
static void
form_merge_day(struct form *to, const struct form *from, uint32_t day,
    uint32_t at_a_time)
{
    struct part_info infos[WORLD_PARTS_MAX];
    uint32_t n = 0;

    for (uint32_t i = 0; i < from->nparts; i++) {
        if (from->parts[i].day != day)
            continue;
        infos[n++] = from->parts[i];
        if (n == at_a_time) {
            part_merge(to, infos, n);
            n = 0;
        }
    }
    part_merge(to, infos, n);
}

static void
form_merge(struct form *to, const struct form *from, uint32_t at_a_time)
{
    struct form all = *from;

    for (uint32_t i = 0; i < all.nparts; i++) {
        bool is_done = false;

        for (uint32_t k = 0; k < i; k++)
            is_done |= all.parts[k].day == all.parts[i].day;
        if (!is_done)
            form_merge_day(to, &all, all.parts[i].day, at_a_time);
    }
}

/* --- forms --- */

static void
form_flush(struct form *form, uint32_t chunk)
{
    uint32_t days[MEMTABLE_DAYS_MAX];
    unsigned n = memtable_days(world_memtable(chunk), days);
    struct err err = ERR_INIT;

    for (unsigned i = 0; i < n; i++) {
        if (layout_create_partition(days[i], &err) != 0)
            bail_out(err.text);
        part_from_chunk(form, chunk, days[i]);
    }
}

static void
world_mix(struct world *world)
{
    struct form *mixed = &world->forms[FORM_MIXED];
    struct form *once = xcalloc(2, sizeof(*once)), *twice = once + 1;

    for (uint32_t c = 0; c < world->spec.nchunks; c++) {
        switch (gen_below(&world->mixer, 4)) {
        case 0:
            mixed->has_chunk[c] = true;
            break;
        case 1:
            form_flush(mixed, c);
            break;
        case 2:
            form_flush(once, c);
            break;
        default:
            form_flush(twice, c);
        }
    }
    form_merge(mixed, once, 1 + gen_below(&world->mixer, 3));
    once->nparts = 0;
    form_merge(once, twice, 1);
    form_merge(mixed, once, MERGE_INPUTS_MAX);
    xfree(once);
}

static struct world *
world_new(const struct world_spec *spec)
{
    struct world *world = xcalloc(1, sizeof(*world));

    world->spec = *spec;
    world->pool = pool_new(WORLD_POOL_MAX);
    span_gen_init(&world->random, spec->seed ^ 0x5eed);
    span_gen_init(&world->mixer, spec->seed ^ 0x3117);
    world_fill(world);
    world_sample(world);
    for (uint32_t c = 0; c < spec->nchunks; c++) {
        world->forms[FORM_MEMORY].has_chunk[c] = true;
        form_flush(&world->forms[FORM_LEVEL1], c);
    }
    form_merge(&world->forms[FORM_LEVEL2], &world->forms[FORM_LEVEL1],
        2 + gen_below(&world->mixer, 3));
    form_merge(&world->forms[FORM_COMPACTED], &world->forms[FORM_LEVEL2],
        MERGE_INPUTS_MAX);
    world_mix(world);
    return world;
}

static void
world_free(struct world *world)
{
    catalog_begin();
    catalog_remove_all();
    catalog_commit();
    part_cache_clear();
    for (uint32_t f = 0; f < FORMS; f++) {
        const struct form *form = &world->forms[f];

        for (uint32_t i = 0; i < form->nparts; i++) {
            char path[PATH_MAX];

            layout_part(path, form->parts[i].day, form->parts[i].id,
                form->parts[i].level);
            unlink(path);
        }
    }
    pool_free(world->pool);
    xfree(world);
}

/* The catalogue becomes this form and nothing else. */
static void
world_show(const struct world *world, enum form_kind kind)
{
    const struct form *form = &world->forms[kind];
    struct err err = ERR_INIT;

    catalog_begin();
    catalog_remove_all();
    for (uint32_t c = 0; c < world->spec.nchunks; c++) {
        if (form->has_chunk[c] && catalog_add_memtable(c / SLOT_BUFFERS,
            c % SLOT_BUFFERS, NULL, &err) != 0)
            bail_out(err.text);
    }
    for (uint32_t i = 0; i < form->nparts; i++) {
        if (catalog_add_part(&form->parts[i], NULL, &err) != 0)
            bail_out(err.text);
    }
    catalog_commit();
}

#endif
