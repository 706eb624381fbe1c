/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Merging: one index from those of the inputs.  What is equal in two of them
 * becomes one entry; each input gets a table from its ordinals to the new
 * ones.  Entries are told apart by their bytes: numbers of 32 bits, which
 * stand for texts and entries that were united before.
 */

#include "core/base.h"
#include "storage/merge_state.h"

#include "core/mem.h"

/* Words of one shape or list: 64 KiB of names is far beyond any limit. */
#define ENTRY_WORDS_MAX (1u << 20)

struct tables {
    struct merge *m;
    struct part_writer *w;
    struct intern keys, shapes, scopes, resources, streams;
    uint32_t *words; /* of the entry being made */
    uint32_t cap;
    uint32_t *keys_map; /* of this input */
    uint32_t *scopes_map;
};

static uint32_t
text_add(struct tables *t, struct sv text)
{
    uint32_t code = intern_add(&t->m->texts, text);

    if (code == INTERN_NONE)
        (void)merge_no_memory(t->m);
    return code;
}

static int
words_reserve(struct tables *t, size_t n)
{
    uint32_t *words;

    if (n <= t->cap)
        return 0;
    if (n > ENTRY_WORDS_MAX)
        return err_set(t->m->err, ERR_LIMIT, "%s: a list of %zu words",
            t->m->task->path, n);
    words = mem_try_realloc(t->words, 2 * n * sizeof(*words));
    if (words == NULL)
        return merge_no_memory(t->m);
    t->words = words;
    t->cap = (uint32_t)(2 * n);
    return 0;
}

/* Number of the entry that is in words. */
static int
entry_add(struct tables *t, struct intern *table, uint32_t nwords,
    uint32_t *ordinal)
{
    *ordinal = intern_add(table,
        sv_make((const char *)t->words, nwords * sizeof(uint32_t)));
    return *ordinal == INTERN_NONE ? merge_no_memory(t->m) : 0;
}

static const uint32_t *
entry_words(const struct intern *table, uint32_t ordinal, uint32_t *n)
{
    *n = (uint32_t)(table->v[ordinal].len / sizeof(uint32_t));
    return (const uint32_t *)(const void *)table->v[ordinal].ptr;
}

static uint32_t *
map_alloc(struct tables *t, uint32_t n)
{
    return merge_alloc(t->m, t->m->pool, n * sizeof(uint32_t));
}

/* --- tenants --- */

static int
compare_tenants(const void *a, const void *b)
{
    const struct tenant *x = a, *y = b;

    if (x->account != y->account)
        return x->account < y->account ? -1 : 1;
    return x->project < y->project ? -1 : x->project > y->project;
}

static int
unite_tenants(struct tables *t)
{
    struct merge *m = t->m;
    size_t n = 0, unique = 0;
    struct tenant *all;

    for (uint32_t i = 0; i < m->ninputs; i++)
        n += m->inputs[i].part->ntenants;
    all = merge_alloc(m, m->pool, n * sizeof(*all));
    if (all == NULL)
        return -1;
    n = 0;
    for (uint32_t i = 0; i < m->ninputs; i++) {
        const struct part *part = m->inputs[i].part;

        memcpy(all + n, part->tenants, part->ntenants * sizeof(*all));
        n += part->ntenants;
    }
    qsort(all, n, sizeof(*all), compare_tenants);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || compare_tenants(&all[i], &all[unique - 1]) != 0)
            all[unique++] = all[i];
    }
    t->w->tenants = all;
    t->w->ntenants = (uint32_t)unique;
    return 0;
}

static int
map_tenants(struct tables *t, struct merge_input *input)
{
    const struct part *part = input->part;

    input->tenants = map_alloc(t, part->ntenants);
    if (input->tenants == NULL)
        return -1;
    for (uint32_t i = 0; i < part->ntenants; i++) {
        const struct tenant *found = bsearch(&part->tenants[i],
            t->w->tenants, t->w->ntenants, sizeof(*found), compare_tenants);

        input->tenants[i] = (uint32_t)(found - t->w->tenants);
    }
    return 0;
}

/* --- keys and shapes --- */

/* Words of a key: scope and field flag, type, occurrence, name. */
static int
map_keys(struct tables *t, const struct part *part)
{
    t->keys_map = map_alloc(t, part->nkeys);
    if (t->keys_map == NULL || words_reserve(t, 4) != 0)
        return -1;
    for (uint32_t i = 0; i < part->nkeys; i++) {
        const struct part_key *key = &part->keys[i];

        t->words[0] = key->scope | (key->is_field ? 0x80u : 0);
        t->words[1] = key->type;
        t->words[2] = key->occurrence;
        t->words[3] = key->is_field ? key->field : text_add(t, key->name);
        if (t->words[3] == INTERN_NONE ||
            entry_add(t, &t->keys, 4, &t->keys_map[i]) != 0)
            return -1;
    }
    return 0;
}

/* Words of a shape: scope, keys. */
static int
map_shapes(struct tables *t, struct merge_input *input)
{
    const struct part *part = input->part;

    input->shapes = map_alloc(t, part->nshapes);
    if (input->shapes == NULL)
        return -1;
    for (uint32_t i = 0; i < part->nshapes; i++) {
        const struct part_shape *shape = &part->shapes[i];

        if (words_reserve(t, (size_t)shape->n + 1) != 0)
            return -1;
        t->words[0] = shape->scope;
        for (uint32_t j = 0; j < shape->n; j++)
            t->words[1 + j] =
                t->keys_map[part->shape_keys[shape->first + j]];
        if (entry_add(t, &t->shapes, shape->n + 1, &input->shapes[i]) != 0)
            return -1;
    }
    return 0;
}

/* --- lists --- */

static int
put_value(struct tables *t, uint32_t *n, const struct value *value)
{
    uint64_t bits = (uint64_t)value->i;

    switch (value->type) {
    case VALUE_EMPTY:
        return 0;
    case VALUE_BOOL:
        t->words[(*n)++] = value->b;
        return 0;
    case VALUE_DOUBLE:
        memcpy(&bits, &value->d, sizeof(bits));
        /* fall through */
    case VALUE_INT:
        t->words[(*n)++] = (uint32_t)bits;
        t->words[(*n)++] = (uint32_t)(bits >> 32);
        return 0;
    default:
        t->words[*n] = text_add(t, value->str);
        return t->words[(*n)++] == INTERN_NONE ? -1 : 0;
    }
}

/* A list of the input; fields it has not are empty. */
struct list {
    uint32_t shape; /* the input's */
    const struct attrs *attrs;
    struct value fields[FIELD_KEYS];
};

static void
field_text(struct list *list, enum field_key key, struct sv text)
{
    list->fields[key] = (struct value){.type = VALUE_STRING, .str = text};
}

static void
field_number(struct list *list, enum field_key key, uint32_t number)
{
    list->fields[key] = (struct value){.type = VALUE_INT, .i = number};
}

/* Puts the values of a list behind the n words. */
static int
put_list(struct tables *t, const struct part *part, const struct list *list,
    uint32_t *n)
{
    const struct part_shape *shape = &part->shapes[list->shape];
    uint32_t next = 0;

    if (words_reserve(t, *n + 2 * (size_t)shape->n) != 0)
        return -1;
    for (uint32_t i = 0; i < shape->n; i++) {
        const struct part_key *key =
            &part->keys[part->shape_keys[shape->first + i]];
        const struct value *value = key->is_field ?
            &list->fields[key->field] : &list->attrs->v[next++].value;

        if (value->type != key->type)
            return part_corrupt(part, t->m->err, "field %u in a list of %u",
                key->field, shape->scope);
        if (put_value(t, n, value) != 0)
            return -1;
    }
    return 0;
}

/* Words of a scope: shape, values. */
static int
map_scopes(struct tables *t, const struct merge_input *input)
{
    const struct part *part = input->part;

    t->scopes_map = map_alloc(t, part->nscopes);
    if (t->scopes_map == NULL)
        return -1;
    for (uint32_t i = 0; i < part->nscopes; i++) {
        const struct scope *scope = &part->scopes[i];
        struct list list = {part->scope_shapes[i], &scope->attrs,
            {{.type = VALUE_EMPTY}}};
        uint32_t n = 1;

        field_text(&list, FIELD_NAME, scope->name);
        field_text(&list, FIELD_VERSION, scope->version);
        field_text(&list, FIELD_SCHEMA_URL, scope->schema_url);
        field_text(&list, FIELD_STREAM_FIELDS, scope->stream_fields);
        field_text(&list, FIELD_EXTRA_FIELDS, scope->extra_fields);
        field_number(&list, FIELD_DROPPED_ATTRS, scope->dropped_attrs);
        if (put_list(t, part, &list, &n) != 0)
            return -1;
        t->words[0] = input->shapes[list.shape];
        if (entry_add(t, &t->scopes, n, &t->scopes_map[i]) != 0)
            return -1;
    }
    return 0;
}

/* Words of a resource: shape, service, values. */
static int
map_resources(struct tables *t, struct merge_input *input)
{
    const struct part *part = input->part;

    input->resources = map_alloc(t, part->nresources);
    if (input->resources == NULL)
        return -1;
    for (uint32_t i = 0; i < part->nresources; i++) {
        const struct resource *resource = &part->resources[i];
        struct list list = {part->resource_shapes[i], &resource->attrs,
            {{.type = VALUE_EMPTY}}};
        uint32_t n = 2;

        field_text(&list, FIELD_SCHEMA_URL, resource->schema_url);
        field_number(&list, FIELD_DROPPED_ATTRS, resource->dropped_attrs);
        if (put_list(t, part, &list, &n) != 0)
            return -1;
        t->words[0] = input->shapes[list.shape];
        t->words[1] = text_add(t, resource->service);
        if (t->words[1] == INTERN_NONE ||
            entry_add(t, &t->resources, n, &input->resources[i]) != 0)
            return -1;
    }
    return 0;
}

/* --- streams --- */

/* Words of a stream: tenant, service, name, kind, scope. */
static int
map_streams(struct tables *t, struct merge_input *input)
{
    const struct part *part = input->part;

    input->streams = map_alloc(t, part->nstreams);
    if (input->streams == NULL || words_reserve(t, 5) != 0)
        return -1;
    for (uint32_t i = 0; i < part->nstreams; i++) {
        const struct part_stream *stream = &part->streams[i];

        t->words[0] = input->tenants[stream->tenant];
        t->words[1] = text_add(t, stream->service);
        t->words[2] = text_add(t, stream->name);
        t->words[3] = (uint32_t)stream->kind;
        t->words[4] = t->scopes_map[stream->scope];
        if (t->words[1] == INTERN_NONE || t->words[2] == INTERN_NONE ||
            entry_add(t, &t->streams, 5, &input->streams[i]) != 0)
            return -1;
    }
    return 0;
}

static int
compare_streams(const void *a, const void *b, void *arg)
{
    const struct tables *t = arg;
    const struct sv *texts = t->m->texts.v;
    uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b, n;
    const uint32_t *x = entry_words(&t->streams, i, &n);
    const uint32_t *y = entry_words(&t->streams, j, &n);
    int order;

    if (x[0] != y[0])
        return x[0] < y[0] ? -1 : 1;
    order = x[1] == y[1] ? 0 : sv_cmp(texts[x[1]], texts[y[1]]);
    if (order == 0 && x[2] != y[2])
        order = sv_cmp(texts[x[2]], texts[y[2]]);
    if (order == 0 && x[3] != y[3])
        order = (int32_t)x[3] < (int32_t)y[3] ? -1 : 1;
    return order != 0 ? order : i < j ? -1 : i > j;
}

/* Their final order, which the inputs' maps follow. */
static int
make_streams(struct tables *t)
{
    struct merge *m = t->m;
    uint32_t n = t->streams.n, nwords;
    uint32_t *order = map_alloc(t, n), *place = map_alloc(t, n);

    t->w->streams = merge_alloc(m, m->pool, n * sizeof(*t->w->streams));
    if (order == NULL || place == NULL || t->w->streams == NULL)
        return -1;
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    qsort_r(order, n, sizeof(*order), compare_streams, t);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t *words = entry_words(&t->streams, order[i], &nwords);

        place[order[i]] = i;
        t->w->streams[i] = (struct write_stream){words[0], words[1],
            words[4], words[2], (int32_t)words[3]};
    }
    t->w->nstreams = n;
    for (uint32_t i = 0; i < m->ninputs; i++) {
        struct merge_input *input = &m->inputs[i];

        for (uint32_t j = 0; j < input->part->nstreams; j++)
            input->streams[j] = place[input->streams[j]];
    }
    return 0;
}

/* --- the writer's tables --- */

static int
make_keys(struct tables *t)
{
    struct part_writer *w = t->w;
    uint32_t n;

    if (t->keys.n > PART_KEYS_MAX)
        return err_set(t->m->err, ERR_LIMIT, "a part has at most %u keys",
            PART_KEYS_MAX);
    w->nkeys = t->keys.n;
    w->keys = merge_alloc(t->m, t->m->pool, w->nkeys * sizeof(*w->keys));
    if (w->keys == NULL)
        return -1;
    for (uint32_t i = 0; i < w->nkeys; i++) {
        const uint32_t *words = entry_words(&t->keys, i, &n);

        w->keys[i] = (struct write_key){.scope = words[0] & 0x7f,
            .is_field = (words[0] & 0x80) != 0, .type = (uint8_t)words[1],
            .occurrence = words[2], .name = words[3]};
    }
    return 0;
}

static int
make_shapes(struct tables *t)
{
    struct part_writer *w = t->w;
    size_t nkeys = 0;
    uint32_t n;

    w->nshapes = t->shapes.n;
    for (uint32_t i = 0; i < w->nshapes; i++)
        nkeys += t->shapes.v[i].len / sizeof(uint32_t) - 1;
    w->shapes = merge_alloc(t->m, t->m->pool,
        w->nshapes * sizeof(*w->shapes));
    w->shape_keys = merge_alloc(t->m, t->m->pool, nkeys * sizeof(uint32_t));
    if (w->shapes == NULL || w->shape_keys == NULL)
        return -1;
    for (uint32_t i = 0; i < w->nshapes; i++) {
        const uint32_t *words = entry_words(&t->shapes, i, &n);
        struct write_shape *shape = &w->shapes[i];

        *shape = (struct write_shape){.first = w->nshape_keys, .n = n - 1,
            .scope = (uint8_t)words[0]};
        for (uint32_t j = 1; j < n; j++) {
            shape->words += memtable_type_words(w->keys[words[j]].type);
            w->shape_keys[w->nshape_keys++] = words[j];
        }
    }
    return 0;
}

/* Scopes and resources; their words outlive the tables. */
static int
make_lists(struct tables *t)
{
    struct part_writer *w = t->w;
    uint32_t n;

    w->nscopes = t->scopes.n;
    w->nresources = t->resources.n;
    w->scopes = merge_alloc(t->m, t->m->pool,
        w->nscopes * sizeof(*w->scopes));
    w->resources = merge_alloc(t->m, t->m->pool,
        w->nresources * sizeof(*w->resources));
    if (w->scopes == NULL || w->resources == NULL)
        return -1;
    for (uint32_t i = 0; i < w->nscopes; i++) {
        const uint32_t *words = entry_words(&t->scopes, i, &n);
        uint32_t *copy = merge_alloc(t->m, t->m->pool, n * sizeof(*copy));

        if (copy == NULL)
            return -1;
        memcpy(copy, words, n * sizeof(*copy));
        w->scopes[i] = (struct write_list){copy[0], copy + 1};
    }
    for (uint32_t i = 0; i < w->nresources; i++) {
        const uint32_t *words = entry_words(&t->resources, i, &n);
        uint32_t *copy = merge_alloc(t->m, t->m->pool, n * sizeof(*copy));

        if (copy == NULL)
            return -1;
        memcpy(copy, words, n * sizeof(*copy));
        w->resources[i] = (struct write_resource){copy[1],
            {copy[0], copy + 2}};
    }
    return 0;
}

static int
unite(struct tables *t)
{
    struct merge *m = t->m;

    if (unite_tenants(t) != 0)
        return -1;
    for (uint32_t i = 0; i < m->ninputs; i++) {
        struct merge_input *input = &m->inputs[i];

        m->reading_input = i;
        if (map_tenants(t, input) != 0 || map_keys(t, input->part) != 0 ||
            map_shapes(t, input) != 0 || map_scopes(t, input) != 0 ||
            map_resources(t, input) != 0 || map_streams(t, input) != 0)
            return -1;
    }
    if (make_keys(t) != 0 || make_shapes(t) != 0 || make_lists(t) != 0)
        return -1;
    return make_streams(t);
}

int
merge_tables(struct merge *m)
{
    struct tables t = {.m = m, .w = m->w};
    struct intern *tables[] = {&t.keys, &t.shapes, &t.scopes, &t.resources,
        &t.streams};
    int rc;

    for (size_t i = 0; i < ARRAY_LEN(tables); i++)
        intern_init(tables[i], MERGE_TEXTS_MAX, m->w->seed);
    rc = unite(&t);
    for (size_t i = 0; i < ARRAY_LEN(tables); i++)
        intern_release(tables[i]);
    xfree(t.words);
    if (rc == 0)
        intern_fix(&m->texts);
    return rc;
}
