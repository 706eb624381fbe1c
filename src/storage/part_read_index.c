/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What the index sections say, parsed into tables (part_format.h).  Every
 * number of a table entry is compared with the table it points into; counts
 * are compared with the bytes that are left before memory is taken.
 */

#include "core/base.h"
#include "storage/part_read.h"

#include "core/enc.h"

struct parser {
    struct part *part;
    struct err *err;
    const char *section;
    struct enc_reader r;
};

static int
wrong(const struct parser *p, const char *what, uint64_t where)
{
    return part_corrupt(p->part, p->err, "section %s: %s %llu", p->section,
        what, (unsigned long long)where);
}

static int
no_memory(const struct parser *p)
{
    return err_set(p->err, ERR_LIMIT, "%s: no memory for section %s",
        p->part->path, p->section);
}

static struct parser
parser_make(struct part *part, const char *section, struct sv raw,
    struct err *err)
{
    return (struct parser){part, err, section,
        enc_reader_make(raw.ptr, raw.len)};
}

/*
 * The leading count of a section whose entries take at least entry_min bytes
 * each, and memory for that many entries of size bytes.
 */
static int
start_table(struct parser *p, size_t entry_min, size_t size, uint32_t *n,
    void *table)
{
    uint64_t count = enc_read_varint(&p->r);
    void *memory;

    if (p->r.failed || count > (size_t)(p->r.end - p->r.ptr) / entry_min)
        return wrong(p, "count", count);
    memory = pool_zalloc(p->part->pool, (size_t)count * size + 1);
    if (memory == NULL)
        return no_memory(p);
    *n = (uint32_t)count;
    memcpy(table, &memory, sizeof(memory));
    return 0;
}

static int
end_table(const struct parser *p)
{
    if (p->r.failed || p->r.ptr != p->r.end)
        return part_corrupt(p->part, p->err, "section %s: length",
            p->section);
    return 0;
}

/* A number below n. */
static int
read_ordinal(struct parser *p, const char *what, uint32_t n, uint32_t *out)
{
    uint64_t v = enc_read_varint(&p->r);

    if (p->r.failed || v >= n)
        return wrong(p, what, v);
    *out = (uint32_t)v;
    return 0;
}

static int
read_string(struct parser *p, struct sv *out)
{
    const struct part_strings *strings = &p->part->strings;
    uint32_t i = 0;

    if (read_ordinal(p, "string", strings->n, &i) != 0)
        return -1;
    *out = sv_make(strings->bytes + strings->off[i],
        strings->off[i + 1] - strings->off[i]);
    return 0;
}

/* --- STRINGS --- */

static int
parse_strings(struct parser *p)
{
    struct part_strings *strings = &p->part->strings;
    uint64_t n = enc_read_varint(&p->r);
    uint64_t sum = 0;
    uint32_t *off;

    if (p->r.failed || n > (size_t)(p->r.end - p->r.ptr))
        return wrong(p, "count", n);
    off = pool_alloc(p->part->pool, ((size_t)n + 1) * sizeof(*off));
    if (off == NULL)
        return no_memory(p);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t len = enc_read_varint(&p->r);

        off[i] = (uint32_t)sum;
        if (len > PART_SECTION_MAX || sum + len > PART_SECTION_MAX)
            return wrong(p, "length of string", i);
        sum += len;
    }
    off[n] = (uint32_t)sum;
    strings->n = (uint32_t)n;
    strings->off = off;
    strings->bytes = enc_read_bytes(&p->r, (size_t)sum).ptr;
    return end_table(p);
}

/* --- TENANTS --- */

static int
parse_tenants(struct parser *p)
{
    size_t len = (size_t)(p->r.end - p->r.ptr);
    struct part *part = p->part;

    part->tenants = (struct tenant *)(uintptr_t)p->r.ptr;
    part->ntenants = (uint32_t)(len / sizeof(struct tenant));
    if (len % sizeof(struct tenant) != 0 || len == 0)
        return wrong(p, "length", len);
    for (uint32_t i = 1; i < part->ntenants; i++) {
        const struct tenant *a = &part->tenants[i - 1];
        const struct tenant *b = &part->tenants[i];

        if (a->account > b->account ||
            (a->account == b->account && a->project >= b->project))
            return wrong(p, "order of tenant", i);
    }
    return 0;
}

/* --- KEYS and SHAPES --- */

static bool
is_text_field(uint32_t field)
{
    return field == FIELD_TRACE_STATE || field == FIELD_STATUS_MESSAGE ||
        field == FIELD_SCHEMA_URL || field == FIELD_NAME ||
        field == FIELD_VERSION || field == FIELD_STREAM_FIELDS ||
        field == FIELD_EXTRA_FIELDS;
}

static int
parse_key(struct parser *p, struct part_key *key, uint32_t i)
{
    uint8_t scope = enc_read8(&p->r);
    uint8_t type = enc_read8(&p->r);
    uint64_t occurrence = enc_read_varint(&p->r);

    key->is_field = (scope & 0x80) != 0;
    key->scope = scope & 0x7f;
    key->type = type;
    key->occurrence = (uint32_t)occurrence;
    if (p->r.failed || key->scope >= KEY_FIELD || type >= VALUE_TYPES ||
        occurrence > UINT32_MAX)
        return wrong(p, "key", i);
    if (!key->is_field)
        return read_string(p, &key->name);
    if (read_ordinal(p, "field", FIELD_KEYS, &key->field) != 0)
        return -1;
    if (type != (is_text_field(key->field) ? VALUE_STRING : VALUE_INT))
        return wrong(p, "type of field", key->field);
    return 0;
}

static int
parse_keys(struct parser *p)
{
    struct part *part = p->part;

    if (start_table(p, 4, sizeof(*part->keys), &part->nkeys,
            &part->keys) != 0)
        return -1;
    if (part->nkeys > PART_KEYS_MAX)
        return wrong(p, "count", part->nkeys);
    for (uint32_t i = 0; i < part->nkeys; i++) {
        if (parse_key(p, &part->keys[i], i) != 0)
            return -1;
    }
    return end_table(p);
}

static int
parse_shape(struct parser *p, struct part_shape *shape, uint32_t i)
{
    struct part *part = p->part;
    uint64_t n;

    shape->scope = enc_read8(&p->r);
    n = enc_read_varint(&p->r);
    shape->first = part->nshape_keys;
    if (p->r.failed || shape->scope >= KEY_FIELD ||
        n > (size_t)(p->r.end - p->r.ptr))
        return wrong(p, "shape", i);
    shape->n = (uint32_t)n;
    for (uint32_t j = 0; j < n; j++) {
        uint32_t key = 0;

        if (read_ordinal(p, "key", part->nkeys, &key) != 0)
            return -1;
        if (part->keys[key].scope != shape->scope)
            return wrong(p, "scope of key", key);
        part->shape_keys[part->nshape_keys++] = key;
        shape->nattrs += !part->keys[key].is_field;
    }
    return 0;
}

static int
parse_shapes(struct parser *p)
{
    struct part *part = p->part;
    size_t bytes = (size_t)(p->r.end - p->r.ptr);

    /* A key of a shape takes a byte at least. */
    part->shape_keys = pool_alloc(part->pool, (bytes + 1) * sizeof(uint32_t));
    if (part->shape_keys == NULL)
        return no_memory(p);
    if (start_table(p, 2, sizeof(*part->shapes), &part->nshapes,
            &part->shapes) != 0)
        return -1;
    for (uint32_t i = 0; i < part->nshapes; i++) {
        if (parse_shape(p, &part->shapes[i], i) != 0)
            return -1;
    }
    return end_table(p);
}

/* --- lists: SCOPES and RESOURCES --- */

struct list {
    uint32_t shape;
    struct attrs attrs;
    struct sv texts[FIELD_KEYS];
    uint32_t numbers[FIELD_KEYS];
};

static int
read_value(struct parser *p, uint8_t type, struct value *value)
{
    uint64_t bits;

    value->type = type;
    switch (type) {
    case VALUE_EMPTY:
        return 0;
    case VALUE_BOOL:
        value->b = enc_read8(&p->r) != 0;
        return 0;
    case VALUE_INT:
        value->i = enc_unzigzag(enc_read_varint(&p->r));
        return 0;
    case VALUE_DOUBLE:
        bits = enc_read64(&p->r);
        memcpy(&value->d, &bits, sizeof(bits));
        return 0;
    default:
        return read_string(p, &value->str);
    }
}

static int
read_list(struct parser *p, enum key_scope scope, struct list *list)
{
    const struct part *part = p->part;
    const struct part_shape *shape;
    struct attr *v;
    uint32_t code = 0, n = 0;

    memset(list, 0, sizeof(*list));
    if (read_ordinal(p, "shape", part->nshapes, &code) != 0)
        return -1;
    list->shape = code;
    shape = &part->shapes[code];
    if (shape->scope != scope)
        return wrong(p, "scope of shape", code);
    v = pool_zalloc(part->pool, shape->nattrs * sizeof(*v) + 1);
    if (v == NULL)
        return no_memory(p);
    for (uint32_t i = 0; i < shape->n; i++) {
        const struct part_key *key =
            &part->keys[part->shape_keys[shape->first + i]];
        struct value value;

        memset(&value, 0, sizeof(value));
        if (read_value(p, key->type, &value) != 0)
            return -1;
        if (!key->is_field)
            v[n++] = (struct attr){key->name, value};
        else if (key->type == VALUE_STRING)
            list->texts[key->field] = value.str;
        else
            list->numbers[key->field] = (uint32_t)value.i;
    }
    list->attrs = (struct attrs){v, n};
    return p->r.failed ? wrong(p, "list of shape", code) : 0;
}

static int
alloc_shapes(struct parser *p, uint32_t n, uint32_t **out)
{
    *out = pool_alloc(p->part->pool, n * sizeof(**out) + 1);
    return *out == NULL ? no_memory(p) : 0;
}

static int
parse_scopes(struct parser *p)
{
    struct part *part = p->part;

    if (start_table(p, 1, sizeof(*part->scopes), &part->nscopes,
            &part->scopes) != 0 ||
        alloc_shapes(p, part->nscopes, &part->scope_shapes) != 0)
        return -1;
    for (uint32_t i = 0; i < part->nscopes; i++) {
        struct list list;

        if (read_list(p, KEY_SCOPE, &list) != 0)
            return -1;
        part->scope_shapes[i] = list.shape;
        part->scopes[i] = (struct scope){
            .name = list.texts[FIELD_NAME],
            .version = list.texts[FIELD_VERSION],
            .attrs = list.attrs,
            .schema_url = list.texts[FIELD_SCHEMA_URL],
            .stream_fields = list.texts[FIELD_STREAM_FIELDS],
            .extra_fields = list.texts[FIELD_EXTRA_FIELDS],
            .dropped_attrs = list.numbers[FIELD_DROPPED_ATTRS],
        };
    }
    return end_table(p);
}

static int
parse_resources(struct parser *p)
{
    struct part *part = p->part;

    if (start_table(p, 2, sizeof(*part->resources), &part->nresources,
            &part->resources) != 0 ||
        alloc_shapes(p, part->nresources, &part->resource_shapes) != 0)
        return -1;
    for (uint32_t i = 0; i < part->nresources; i++) {
        struct resource *resource = &part->resources[i];
        struct list list;

        if (read_string(p, &resource->service) != 0 ||
            read_list(p, KEY_RESOURCE, &list) != 0)
            return -1;
        part->resource_shapes[i] = list.shape;
        resource->attrs = list.attrs;
        resource->schema_url = list.texts[FIELD_SCHEMA_URL];
        resource->dropped_attrs = list.numbers[FIELD_DROPPED_ATTRS];
    }
    return end_table(p);
}

/* --- STREAMS --- */

static int
parse_streams(struct parser *p)
{
    struct part *part = p->part;

    if (start_table(p, 5, sizeof(*part->streams), &part->nstreams,
            &part->streams) != 0)
        return -1;
    for (uint32_t i = 0; i < part->nstreams; i++) {
        struct part_stream *stream = &part->streams[i];
        int64_t kind;

        if (read_ordinal(p, "tenant", part->ntenants, &stream->tenant) != 0 ||
            read_string(p, &stream->service) != 0 ||
            read_ordinal(p, "scope", part->nscopes, &stream->scope) != 0 ||
            read_string(p, &stream->name) != 0)
            return -1;
        kind = enc_unzigzag(enc_read_varint(&p->r));
        if (kind < INT32_MIN || kind > INT32_MAX)
            return wrong(p, "kind of stream", i);
        stream->kind = (int32_t)kind;
    }
    return end_table(p);
}

/* --- TRACES --- */

static bool
is_trace_index_sound(const struct part *part,
    const struct part_trace_index *index)
{
    uint32_t buckets = 1u << index->head.log2_buckets;

    for (uint32_t i = 0; i < buckets; i++) {
        if (index->bucket_off[i] > index->bucket_off[i + 1])
            return false;
    }
    return index->bucket_off[0] == 0 &&
        index->bucket_off[buckets] == index->head.n &&
        index->head.n == part->footer.traces;
}

static int
parse_traces(struct parser *p)
{
    struct part_trace_index *index = &p->part->traces;
    const uint8_t *start = p->r.ptr;
    size_t len = (size_t)(p->r.end - start);
    size_t at = sizeof(index->head), want, tags;

    if (len < at)
        return wrong(p, "length", len);
    memcpy(&index->head, start, at);
    if (index->head.log2_buckets > PART_TRACES_LOG2_MAX ||
        index->head.n > len || index->head.has_blocks > 1 ||
        index->head.has_blocks != (p->part->footer.nblocks > 1))
        return wrong(p, "number of traces", index->head.n);
    tags = ALIGN_UP(index->head.n * sizeof(uint16_t), 8);
    want = ALIGN_UP((((size_t)1 << index->head.log2_buckets) + 1) *
        sizeof(uint32_t), 8);
    if (len != at + want + tags * (2u + index->head.has_blocks))
        return wrong(p, "length", len);
    index->bucket_off = (const uint32_t *)(const void *)(start + at);
    at += want;
    index->tag = (const uint16_t *)(const void *)(start + at);
    at += tags;
    index->ordinal = (const uint16_t *)(const void *)(start + at);
    at += tags;
    if (index->head.has_blocks != 0)
        index->block = (const uint16_t *)(const void *)(start + at);
    return is_trace_index_sound(p->part, index) ? 0 :
        wrong(p, "buckets", index->head.n);
}

int
part_parse_index(struct part *part,
    const struct sv sections[PART_SECTION_TYPES], struct err *err)
{
    /* Each needs those before it. */
    static const struct {
        enum part_section_type type;
        const char *name;
        int (*parse)(struct parser *p);
    } steps[] = {
        {PART_SECTION_STRINGS, "STRINGS", parse_strings},
        {PART_SECTION_TENANTS, "TENANTS", parse_tenants},
        {PART_SECTION_KEYS, "KEYS", parse_keys},
        {PART_SECTION_SHAPES, "SHAPES", parse_shapes},
        {PART_SECTION_SCOPES, "SCOPES", parse_scopes},
        {PART_SECTION_RESOURCES, "RESOURCES", parse_resources},
        {PART_SECTION_STREAMS, "STREAMS", parse_streams},
        {PART_SECTION_TRACES, "TRACES", parse_traces},
    };

    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct parser p = parser_make(part, steps[i].name,
            sections[steps[i].type], err);

        if (steps[i].parse(&p) != 0)
            return -1;
    }
    if (sections[PART_SECTION_VALUES].ptr != NULL &&
        part_parse_values(part, sections[PART_SECTION_VALUES], err) != 0)
        return -1;
    if (sections[PART_SECTION_FIELDS].ptr != NULL &&
        part_parse_fields(part, sections[PART_SECTION_FIELDS], err) != 0)
        return -1;
    if (sections[PART_SECTION_CELLS].ptr != NULL &&
        part_parse_cells(part, sections[PART_SECTION_CELLS], err) != 0)
        return -1;
    if (sections[PART_SECTION_EDGES].ptr != NULL &&
        part_parse_edges(part, sections[PART_SECTION_EDGES], err) != 0)
        return -1;
    return 0;
}
