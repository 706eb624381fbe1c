/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Encoding a part: in how many rows each field of the flat view has a text
 * (part_format.h: FIELDS), so that the names of fields need no rows.  What
 * rows share is counted once: resources, scopes, and shapes by their runs;
 * only shapes with nested lists, or with one name twice, go row by row.
 */

#include "core/base.h"
#include "storage/part_write_fields.h"

#include "core/enc.h"
#include "span/flat.h"
#include "storage/block_read.h"

/* Of an entry of w->field_table, which is a tenant's ordinal and a name. */
struct field {
    uint64_t rows;    /* of the blocks that are written */
    uint32_t pending; /* of this block */
    uint32_t serial;  /* of what gave it a text last */
};

void
writer_start_fields(struct part_writer *w)
{
    intern_release(&w->field_table);
    w->has_fields = true;
    if (w->has_fields)
        intern_init(&w->field_table, PART_FIELDS_BYTES_MAX, w->seed);
}

/* --- names --- */

static struct field *
field_get(struct field_counter *c, struct sv prefix, struct sv name)
{
    struct part_writer *w = c->w;
    char bytes[sizeof(uint32_t) + PART_FIELD_NAME_MAX];
    size_t len = prefix.len + name.len;
    struct field *fields;
    uint32_t id;

    if (len > PART_FIELD_NAME_MAX) {
        c->t.is_told[c->tenant] = 0;
        return NULL;
    }
    enc_put32(bytes, c->tenant);
    memcpy(bytes + 4, prefix.ptr, prefix.len);
    if (name.len > 0)
        memcpy(bytes + 4 + prefix.len, name.ptr, name.len);
    id = intern_add(&w->field_table, sv_make(bytes, 4 + len));
    fields = id >= PART_FIELDS_MAX ? NULL : writer_grow(w, SCRATCH_FIELDS,
        ((size_t)id + 1) * sizeof(*fields));
    if (fields == NULL) {
        w->has_fields = false;
        return NULL;
    }
    if (id == w->nfields) {
        fields[id] = (struct field){0, 0, 0};
        w->nfields++;
    }
    return &fields[id];
}

/* serial, if not 0, says whose rows these are: they count once. */
void
writer_field_add(struct field_counter *c, struct sv prefix, struct sv name,
    uint32_t rows, uint32_t serial)
{
    struct field *field = rows == 0 || !c->w->has_fields ? NULL :
        field_get(c, prefix, name);

    if (field == NULL || (serial != 0 && field->serial == serial))
        return;
    field->serial = serial;
    field->pending += rows;
}

static bool IMPL(flat_attr_fn)
add_nested(void *arg, struct sv key, UNUSED const struct value *value)
{
    struct field_nested *nested = arg;

    writer_field_add(nested->c, nested->prefix, key, nested->rows,
        nested->serial);
    return true;
}

/* An attribute of rows; text is that of a nested list. */
void
writer_field_attr(const struct field_nested *n, const struct write_key *key,
    const uint32_t *text)
{
    struct part_writer *w = n->c->w;
    struct attr attr = {.key = writer_text(w, key->name),
        .value = {.type = VALUE_KVLIST}};

    if (attr.key.len == 0 || key->type == VALUE_EMPTY)
        return;
    if (key->type != VALUE_KVLIST) {
        writer_field_add(n->c, n->prefix, attr.key, n->rows, n->serial);
        return;
    }
    attr.value.str = writer_text(w, *text);
    if (!flat_visit(&attr, add_nested, (void *)(uintptr_t)n))
        w->has_fields = false;
}

static uint32_t
next_serial(struct part_writer *w)
{
    if (++w->field_serial == 0)
        w->has_fields = false;
    return w->field_serial;
}

/* --- lists that rows share --- */

/* What requests gave their spans. */
static void
add_extra(const struct field_nested *n, struct sv rest)
{
    struct sv name, text;

    while (text_list_next(&rest, &name) && text_list_next(&rest, &text)) {
        if (block_field_parse(name).what != BLOCK_EXTRA)
            n->c->t.is_told[n->c->tenant] = 0;
        else if (text.len > 0)
            writer_field_add(n->c, SV_EMPTY, name, n->rows, n->serial);
    }
}

static void
add_scope_field(const struct field_nested *n, const struct write_key *key,
    uint32_t word)
{
    if (key->type != VALUE_STRING || !writer_has_text(n->c->w, word))
        return;
    if (key->name == FIELD_NAME)
        writer_field_add(n->c, SV_EMPTY, SV("scope_name"), n->rows, n->serial);
    else if (key->name == FIELD_VERSION)
        writer_field_add(n->c, SV_EMPTY, SV("scope_version"), n->rows,
            n->serial);
    else if (key->name == FIELD_EXTRA_FIELDS)
        add_extra(n, writer_text(n->c->w, word));
}

static void
add_list(struct field_counter *c, struct sv prefix,
    const struct write_list *list, uint32_t rows)
{
    struct part_writer *w = c->w;
    const struct write_shape *shape = &w->shapes[list->shape];
    struct field_nested n = {c, prefix, rows, next_serial(w)};
    const uint32_t *words = list->words;

    for (uint32_t i = 0; i < shape->n; i++) {
        const struct write_key *key = &w->keys[w->shape_keys[shape->first +
            i]];

        if (!key->is_field)
            writer_field_attr(&n, key, words);
        else if (shape->scope == KEY_SCOPE)
            add_scope_field(&n, key, words[0]);
        words += memtable_type_words(key->type);
    }
}

/* --- core fields --- */

static void
add_core(struct field_counter *c)
{
    static const char *const always[] = {"_time", "_msg", "_stream",
        "_stream_id", "trace_id", "span_id", "flags", "kind",
        "start_time_unix_nano", "end_time_unix_nano", "duration",
        "dropped_attributes_count", "dropped_events_count",
        "dropped_links_count", "status_code"};
    uint32_t parents = 0;

    for (size_t i = 0; i < ARRAY_LEN(always); i++)
        writer_field_add(c, SV_EMPTY, sv_from(always[i]), c->end - c->row, 0);
    for (uint32_t row = c->row; row < c->end; row++)
        parents += c->w->parent_ids[row] != 0;
    writer_field_add(c, SV_EMPTY, SV("parent_span_id"), parents, 0);
}

/* Runs [from, end) are the tenant's rows. */
static void
add_shared(struct field_counter *c, uint32_t from, uint32_t end)
{
    struct part_writer *w = c->w;
    const struct write_run *runs = w->tables[TABLE_SPANS].runs;
    uint32_t named = 0;

    memset(c->t.resource_rows, 0, w->nresources * sizeof(uint32_t));
    memset(c->t.scope_rows, 0, w->nscopes * sizeof(uint32_t));
    for (uint32_t i = from; i < end; i++) {
        const struct write_stream *stream = &w->streams[runs[i].stream];

        c->t.scope_rows[stream->scope] += runs[i].rows;
        if (writer_has_text(w, stream->name))
            named += runs[i].rows;
    }
    for (uint32_t row = c->row; row < c->end; row++)
        c->t.resource_rows[w->row_resource[row]]++;
    writer_field_add(c, SV_EMPTY, SV("name"), named, 0);
    for (uint32_t i = 0; i < w->nscopes; i++) {
        if (c->t.scope_rows[i] > 0)
            add_list(c, SV("scope_attr:"), &w->scopes[i],
                c->t.scope_rows[i]);
    }
    for (uint32_t i = 0; i < w->nresources; i++) {
        if (c->t.resource_rows[i] > 0)
            add_list(c, SV("resource_attr:"), &w->resources[i].list,
                c->t.resource_rows[i]);
    }
}

/* --- attributes of rows, events and links --- */

/* Values of a key that are texts. */
static const uint32_t *
texts_of(const struct field_counter *c, uint32_t key, uint32_t offset)
{
    return c->w->single + c->w->keys[key].first + c->t.cursor[key] + offset;
}

/* A text that a row, event or link has beside its attributes. */
void
writer_field_text(const struct field_nested *n, uint32_t ordinal,
    uint32_t offset, uint32_t count)
{
    struct part_writer *w = n->c->w;
    const struct write_key *key = &w->keys[ordinal];
    const uint32_t *texts = texts_of(n->c, ordinal, offset);
    uint32_t filled = 0;

    if (key->name != FIELD_TRACE_STATE && key->name != FIELD_STATUS_MESSAGE)
        return;
    if (key->type != VALUE_STRING || key->occurrence > 0) {
        n->c->t.is_told[n->c->tenant] = 0;
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        filled += writer_has_text(w, texts[i]);
    writer_field_add(n->c, n->prefix, key->name == FIELD_TRACE_STATE ?
        SV("trace_state") : SV("status_message"), filled, 0);
}

/* One entry of a run, number `offset` of it, with all it has. */
void
writer_field_entry(struct field_counter *c, struct sv prefix,
    const struct write_run *run, uint32_t offset)
{
    struct part_writer *w = c->w;
    const struct write_shape *shape = &w->shapes[run->shape];
    struct field_nested n = {c, prefix, 1, next_serial(w)};

    for (uint32_t i = 0; i < shape->n; i++) {
        uint32_t key = w->shape_keys[shape->first + i];

        if (!w->keys[key].is_field)
            writer_field_attr(&n, &w->keys[key],
                w->keys[key].type == VALUE_KVLIST ?
                texts_of(c, key, offset) : NULL);
    }
}

/* All keys of the run's shape are n values further. */
void
writer_field_pass(struct field_counter *c, const struct write_run *run)
{
    const struct write_shape *shape = &c->w->shapes[run->shape];

    for (uint32_t i = 0; i < shape->n; i++)
        c->t.cursor[c->w->shape_keys[shape->first + i]] += run->rows;
}

static void
add_spans(struct field_counter *c, uint32_t from, uint32_t end)
{
    struct part_writer *w = c->w;
    struct field_nested fields = {c, SV_EMPTY, 0, 0};

    memset(c->t.n, 0, w->nkeys * sizeof(*c->t.n));
    for (uint32_t i = from; i < end && w->has_fields; i++) {
        const struct write_run *run = &w->tables[TABLE_SPANS].runs[i];
        const struct write_shape *shape = &w->shapes[run->shape];
        bool is_plain = c->t.is_plain[run->shape] != 0;

        for (uint32_t k = 0; k < shape->n; k++) {
            uint32_t key = w->shape_keys[shape->first + k];

            if (w->keys[key].is_field)
                writer_field_text(&fields, key, 0, run->rows);
            else if (is_plain)
                c->t.n[key] += run->rows;
        }
        for (uint32_t row = 0; !is_plain && row < run->rows; row++)
            writer_field_entry(c, SV("span_attr:"), run, row);
        writer_field_pass(c, run);
    }
    for (uint32_t key = 0; key < w->nkeys; key++) {
        struct field_nested n = {c, SV("span_attr:"), c->t.n[key], 0};

        if (c->t.n[key] > 0)
            writer_field_attr(&n, &w->keys[key], NULL);
    }
}

/* --- tables --- */

/* Shapes with one name twice, or nested lists, are not plain. */
static bool
judge_shapes(struct part_writer *w, uint8_t *is_plain)
{
    uint32_t *class = writer_alloc(w, SCRATCH_SORT_A,
        2 * (size_t)w->nkeys * sizeof(*class)), *seen = class + w->nkeys;
    struct intern names;

    if (class == NULL)
        return false;
    memset(class, 0, 2 * (size_t)w->nkeys * sizeof(*class));
    intern_init(&names, PART_FIELDS_BYTES_MAX, w->seed);
    for (uint32_t i = 0; i < w->nkeys; i++) {
        if (!w->keys[i].is_field)
            class[i] = intern_add(&names, writer_text(w, w->keys[i].name));
        if (class[i] >= w->nkeys) {
            intern_release(&names);
            return false;
        }
    }
    intern_release(&names);
    for (uint32_t i = 0; i < w->nshapes; i++) {
        is_plain[i] = 1;
        for (uint32_t k = 0; k < w->shapes[i].n; k++) {
            uint32_t key = w->shape_keys[w->shapes[i].first + k];

            if (w->keys[key].is_field)
                continue;
            if (seen[class[key]] == i + 1 ||
                w->keys[key].type == VALUE_KVLIST)
                is_plain[i] = 0;
            seen[class[key]] = i + 1;
        }
    }
    return true;
}

/* The tables of the part; they stay as they are from block to block. */
static bool
make_tables(struct part_writer *w)
{
    uint8_t *told = writer_alloc(w, SCRATCH_FIELD_TENANTS, w->ntenants);
    uint8_t *plain = writer_alloc(w, SCRATCH_FIELD_SHAPES, w->nshapes);

    if (told == NULL || plain == NULL || !judge_shapes(w, plain))
        return false;
    memset(told, 1, w->ntenants);
    w->has_field_tables = true;
    return true;
}

/* Memory of a block's counts. */
static bool
make_counters(struct field_counter *c)
{
    struct part_writer *w = c->w;
    size_t n = 2 * (size_t)w->nkeys + w->nresources + w->nscopes;
    struct field *fields = w->scratch[SCRATCH_FIELDS].ptr;

    c->t.cursor = writer_alloc(w, SCRATCH_FIELD_COUNTS,
        n * sizeof(uint32_t));
    c->t.slots = writer_alloc(w, SCRATCH_FIELD_ITEMS,
        FIELD_SLOTS * sizeof(*c->t.slots));
    if (c->t.cursor == NULL || c->t.slots == NULL)
        return false;
    c->t.n = c->t.cursor + w->nkeys;
    c->t.resource_rows = c->t.n + w->nkeys;
    c->t.scope_rows = c->t.resource_rows + w->nresources;
    memset(c->t.cursor, 0, w->nkeys * sizeof(uint32_t));
    c->t.is_told = w->scratch[SCRATCH_FIELD_TENANTS].ptr;
    c->t.is_plain = w->scratch[SCRATCH_FIELD_SHAPES].ptr;
    for (uint32_t i = 0; i < w->nfields; i++)
        fields[i].pending = 0;
    return true;
}

int
write_fields(struct part_writer *w)
{
    const struct write_rows *table = &w->tables[TABLE_SPANS];
    struct field_counter c = {.w = w};
    uint32_t from = 0;

    if (!w->has_fields)
        return 0;
    if ((!w->has_field_tables && !make_tables(w)) || !make_counters(&c)) {
        w->has_fields = false;
        return 0;
    }
    for (uint32_t i = 0; i < table->nruns && w->has_fields; i++) {
        c.tenant = w->streams[table->runs[i].stream].tenant;
        c.end += table->runs[i].rows;
        if (i + 1 < table->nruns &&
            w->streams[table->runs[i + 1].stream].tenant == c.tenant)
            continue;
        add_core(&c);
        add_shared(&c, from, i + 1);
        add_spans(&c, from, i + 1);
        writer_field_items(&c, TABLE_EVENTS);
        writer_field_items(&c, TABLE_LINKS);
        c.row = c.end;
        from = i + 1;
    }
    return 0;
}

void
writer_add_fields(struct part_writer *w)
{
    struct field *fields = w->scratch[SCRATCH_FIELDS].ptr;

    for (uint32_t i = 0; w->has_fields && i < w->nfields; i++)
        fields[i].rows += fields[i].pending;
}

/* --- the section --- */

static int
compare_names(const void *a, const void *b)
{
    const struct sv *x = a, *y = b;
    uint32_t left = enc_get32(x->ptr), right = enc_get32(y->ptr);

    if (left != right)
        return left < right ? -1 : 1;
    return sv_cmp(sv_sub(*x, 4, SIZE_MAX), sv_sub(*y, 4, SIZE_MAX));
}

static size_t
shared_len(struct sv a, struct sv b)
{
    size_t n = 0;

    while (n < a.len && n < b.len && a.ptr[n] == b.ptr[n])
        n++;
    return n;
}

/* The tenant's names, from sorted[*next] on; *next passes them. */
static void
put_tenant(struct part_writer *w, uint32_t tenant, const struct sv *sorted,
    uint32_t *next)
{
    const uint8_t *is_told = w->scratch[SCRATCH_FIELD_TENANTS].ptr;
    const struct field *fields = w->scratch[SCRATCH_FIELDS].ptr;
    uint32_t from = *next, n = 0;
    struct sv last = SV_EMPTY;

    for (; *next < w->nfields && enc_get32(sorted[*next].ptr) == tenant;
        (*next)++)
        n += fields[intern_add(&w->field_table, sorted[*next])].rows > 0;
    section_varint(w, is_told[tenant] ? (uint64_t)n + 1 : 0);
    for (uint32_t i = from; i < *next && is_told[tenant]; i++) {
        uint64_t rows = fields[intern_add(&w->field_table, sorted[i])].rows;
        struct sv name = sv_sub(sorted[i], 4, SIZE_MAX);
        size_t shared = shared_len(last, name);

        if (rows == 0)
            continue;
        section_varint(w, shared);
        section_varint(w, name.len - shared);
        sb_add_sv(&w->section, sv_sub(name, shared, SIZE_MAX));
        section_varint(w, rows);
        last = name;
    }
}

int
writer_put_fields(struct part_writer *w)
{
    struct sv *sorted;
    uint32_t next = 0;

    if (!w->has_fields || !w->has_field_tables)
        return 0;
    sorted = writer_alloc(w, SCRATCH_ROWS,
        ((size_t)w->nfields + 1) * sizeof(*sorted));
    if (sorted == NULL)
        return -1;
    if (w->nfields > 0)
        memcpy(sorted, w->field_table.v, w->nfields * sizeof(*sorted));
    qsort(sorted, w->nfields, sizeof(*sorted), compare_names);
    for (uint32_t tenant = 0; tenant < w->ntenants; tenant++)
        put_tenant(w, tenant, sorted, &next);
    return 0;
}
