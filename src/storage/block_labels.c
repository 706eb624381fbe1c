/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Labels that requests declare for their spans: their texts are those of
 * fields, which may differ from row to row.  Only what the scopes of wanted
 * rows declare is looked at, so nobody pays for the labels of others.
 */

#include "core/base.h"
#include "storage/block_read.h"

#include "span/flat.h"
#include "storage/memtable_format.h"

/* --- streams of rows, which ascend --- */

struct streams {
    struct block *block;
    const struct part_runs *runs; /* of a part */
    uint32_t run;
    uint32_t n;
};

static int
streams_init(struct streams *streams, struct block *block)
{
    *streams = (struct streams){.block = block};
    if (block->mt == NULL) {
        streams->n = block->reading.part->nstreams;
        return reading_runs(&block->reading, PART_TABLE_SPANS,
            &streams->runs);
    }
    streams->n = MIN(atomic_load(&block->mt->h.nstreams),
        MEMTABLE_STREAMS_MAX);
    return 0;
}

static int
stream_at(struct streams *streams, uint32_t row, uint32_t *code)
{
    const struct block *block = streams->block;

    if (streams->runs == NULL) {
        *code = block->mt->stream[row];
        return *code < streams->n ? 0 :
            memtable_damage(block, "stream of row", row);
    }
    while (row >= streams->runs->start[streams->run + 1])
        streams->run++;
    *code = streams->runs->stream[streams->run];
    return 0;
}

static int
stream_get(struct streams *streams, uint32_t code, struct block_stream *out)
{
    if (streams->runs == NULL)
        return memtable_stream_of(streams->block, code, out);
    *out = part_stream_of(streams->block->reading.part, code);
    return 0;
}

static bool
is_wanted(const uint64_t *wanted, uint32_t row)
{
    return wanted == NULL || bitmap_has(wanted, row);
}

/* --- distinct texts that were put together --- */

/* As block_values_add(); the text is copied when it is new. */
static int
add_copy(struct block_values *values, struct sv text, uint32_t *code)
{
    uint32_t before = values->n;

    if (block_values_add(values, text, code) != 0)
        return -1;
    if (values->n > before) {
        char *copy = pool_dup(values->block->pool, text.ptr, text.len);

        if (copy == NULL)
            return block_no_memory(values->block);
        values->v[*code] = sv_make(copy, text.len);
    }
    return 0;
}

/* --- _stream and _stream_id --- */

/* What the scopes with the same list declare. */
struct group {
    uint32_t n;
    uint32_t name;    /* index of these two labels */
    uint32_t service;
    struct sv *names;
    const struct column **columns; /* NULL: of those two */
    struct flat_label *labels;     /* of the row looked at last */
    char (*bufs)[COLUMN_TEXT_MAX];
};

struct composer {
    struct block *block;
    enum block_what what;
    const uint64_t *wanted;
    struct streams streams;
    struct block_values lists;  /* distinct stream_fields */
    struct group **groups;      /* by code of the list */
    uint32_t groups_cap;
    uint32_t *group_of;         /* + 1, by stream */
    struct block_values values;
    uint32_t last;              /* stream of the row before, or UINT32_MAX */
    uint32_t last_code;
};

static int
group_load(struct composer *c, struct group *group)
{
    struct err *err = c->block->err;

    for (uint32_t i = 0; i < group->n; i++) {
        if (sv_eq(group->names[i], FLAT_LABEL_NAME))
            group->name = i;
        else if (sv_eq(group->names[i], FLAT_LABEL_SERVICE))
            group->service = i;
        else if (block_column(c->block, group->names[i], c->wanted,
                &group->columns[i], err) != 0)
            return -1;
        group->labels[i].name = group->names[i];
    }
    return 0;
}

static int
group_new(struct composer *c, struct sv list, struct group **out)
{
    struct group *group = block_zalloc(c->block, 1, sizeof(*group));
    struct sv names[FLAT_LABELS_MAX];

    if (group == NULL)
        return -1;
    group->n = flat_label_names(list, names);
    group->names = block_alloc(c->block, group->n, sizeof(*names));
    group->columns = block_zalloc(c->block, group->n,
        sizeof(*group->columns));
    group->labels = block_zalloc(c->block, group->n, sizeof(*group->labels));
    group->bufs = block_alloc(c->block, group->n, sizeof(*group->bufs));
    if (group->names == NULL || group->columns == NULL ||
        group->labels == NULL || group->bufs == NULL)
        return -1;
    memcpy(group->names, names, group->n * sizeof(*names));
    *out = group;
    return group_load(c, group);
}

static int
groups_grow(struct composer *c)
{
    uint32_t cap = MAX(16u, 2 * c->groups_cap);
    struct group **groups = block_zalloc(c->block, cap, sizeof(*groups));

    if (groups == NULL)
        return -1;
    if (c->groups_cap > 0)
        memcpy(groups, c->groups, c->groups_cap * sizeof(*groups));
    c->groups = groups;
    c->groups_cap = cap;
    return 0;
}

static int
group_find(struct composer *c, uint32_t code,
    const struct block_stream *stream, struct group **out)
{
    uint32_t list;

    if (c->group_of[code] == 0) {
        if (block_values_add(&c->lists, stream->scope->stream_fields,
                &list) != 0 ||
            (list >= c->groups_cap && groups_grow(c) != 0) ||
            (c->groups[list] == NULL &&
                group_new(c, stream->scope->stream_fields,
                    &c->groups[list]) != 0))
            return -1;
        c->group_of[code] = list + 1;
    }
    *out = c->groups[c->group_of[code] - 1];
    return 0;
}

/* Texts of the row's declared labels; true when one is another than before. */
static bool
group_read(struct group *group, uint32_t row)
{
    bool changes = false;

    for (uint32_t i = 0; i < group->n; i++) {
        struct flat_label *label = &group->labels[i];
        char buf[COLUMN_TEXT_MAX];
        struct sv text;

        if (group->columns[i] == NULL)
            continue;
        text = column_text(group->columns[i], row, buf);
        if (sv_eq(text, label->text))
            continue;
        changes = true;
        if (text.ptr == buf) {
            memcpy(group->bufs[i], buf, text.len);
            text.ptr = group->bufs[i];
        }
        label->text = text;
    }
    return changes;
}

/* Quoting makes four bytes of one at most. */
static size_t
text_max(const struct group *group)
{
    size_t max = 2;

    for (uint32_t i = 0; i < group->n; i++)
        max += group->labels[i].name.len + 4 * group->labels[i].text.len + 4;
    return max;
}

static int
compose(struct composer *c, const struct group *group,
    const struct tenant *tenant)
{
    char id[FLAT_STREAM_ID_LEN];
    struct sb sb;
    int rc;

    if (c->what == BLOCK_STREAM_ID) {
        flat_labels_id(id, tenant, group->labels, group->n);
        return add_copy(&c->values, sv_make(id, sizeof(id)), &c->last_code);
    }
    sb_init(&sb, text_max(group));
    flat_labels(&sb, group->labels, group->n);
    rc = sb_failed(&sb) ? block_no_memory(c->block) :
        add_copy(&c->values, sb_sv(&sb), &c->last_code);
    sb_release(&sb);
    return rc;
}

static int
compose_row(struct composer *c, uint32_t row, uint32_t *out)
{
    struct block_stream stream;
    struct group *group = NULL;
    uint32_t code = 0;
    bool changes;

    if (stream_at(&c->streams, row, &code) != 0 ||
        stream_get(&c->streams, code, &stream) != 0 ||
        group_find(c, code, &stream, &group) != 0)
        return -1;
    changes = group_read(group, row) || code != c->last;
    if (changes) {
        group->labels[group->name].text = stream.name;
        group->labels[group->service].text = stream.service;
        if (compose(c, group, &stream.tenant) != 0)
            return -1;
        c->last = code;
    }
    *out = c->last_code;
    return 0;
}

int
block_labels_column(struct block *block, enum block_what what,
    const uint64_t *wanted, struct column *column)
{
    struct composer c = {.block = block, .what = what, .wanted = wanted,
        .last = UINT32_MAX};
    uint32_t *codes = block_alloc(block, block->info.rows, sizeof(*codes));

    block_values_init(&c.lists, block);
    block_values_init(&c.values, block);
    if (codes == NULL || streams_init(&c.streams, block) != 0)
        return -1;
    c.group_of = block_zalloc(block, c.streams.n + 1u, sizeof(*c.group_of));
    if (c.group_of == NULL)
        return -1;
    for (uint32_t row = 0; row < block->info.rows; row++) {
        if (is_wanted(wanted, row) && compose_row(&c, row, &codes[row]) != 0)
            return -1;
    }
    column_set_codes(column, &c.values, codes);
    return 0;
}

/* --- one label --- */

/* Does the scope declare the label? */
static bool
is_declared(const struct scope *scope, struct sv label)
{
    struct sv names[FLAT_LABELS_MAX];
    uint32_t n = flat_label_names(scope->stream_fields, names);

    for (uint32_t i = 0; i < n; i++) {
        if (sv_eq(names[i], label))
            return true;
    }
    return false;
}

/* The field's column, where the scope declares it. */
static int
mask_column(struct block *block, const struct column *field,
    const uint64_t *wanted, struct column *column)
{
    struct streams streams;
    struct block_values values;
    uint32_t *codes = block_alloc(block, block->info.rows, sizeof(*codes));
    uint8_t *declared; /* 1: no, 2: yes; by stream */

    block_values_init(&values, block);
    if (codes == NULL || streams_init(&streams, block) != 0)
        return -1;
    declared = block_zalloc(block, streams.n + 1u, sizeof(*declared));
    if (declared == NULL)
        return -1;
    for (uint32_t row = 0; row < block->info.rows; row++) {
        char buf[COLUMN_TEXT_MAX];
        struct sv text = SV_EMPTY;
        struct block_stream stream;
        uint32_t code = 0;

        if (!is_wanted(wanted, row))
            continue;
        if (stream_at(&streams, row, &code) != 0)
            return -1;
        if (declared[code] == 0) {
            if (stream_get(&streams, code, &stream) != 0)
                return -1;
            declared[code] = 1 + is_declared(stream.scope, column->name);
        }
        if (declared[code] == 2)
            text = column_text(field, row, buf);
        if (add_copy(&values, text, &codes[row]) != 0)
            return -1;
    }
    column_set_codes(column, &values, codes);
    return 0;
}

int
block_label(struct block *block, struct sv label, const uint64_t *wanted,
    const struct column **out, struct err *err)
{
    const struct column *field;
    struct column *column;
    char *name;

    if (block_column(block, label, wanted, &field, err) != 0)
        return -1;
    if (sv_eq(label, FLAT_LABEL_NAME) || sv_eq(label, FLAT_LABEL_SERVICE)) {
        *out = field;
        return 0;
    }
    column = block_zalloc(block, 1, sizeof(*column));
    name = pool_dup(block->pool, label.ptr, label.len);
    if (column == NULL || name == NULL)
        return block_no_memory(block);
    column->name = sv_make(name, label.len);
    *out = column;
    if (field->kind == COLUMN_EMPTY || !block_declares_labels(block))
        return 0;
    return mask_column(block, field, wanted, column);
}
