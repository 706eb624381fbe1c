/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Names of all fields of a block, or of those that may have a text.  What the
 * keys say is enough but for nested lists, whose values are looked into, and
 * for the texts.
 */

#include "core/base.h"
#include "storage/block_read.h"

#include "span/flat.h"
#include "storage/block_memtable_lists.h"

struct names {
    struct block *block;
    struct block_values values;
    uint32_t items[2]; /* events and links of one row at most */
    const struct block_ask *ask; /* or NULL */
    uint8_t *memo; /* by string of a memtable: 1 + whether it passes */
    uint64_t *added; /* keys of a memtable whose names are there */
    bool has_failed; /* asking has; err says why */
};

static int
add(struct names *names, struct sv name)
{
    uint32_t code;

    if (names->ask != NULL && !sv_starts_with(name, names->ask->prefix))
        return 0;
    return block_values_add(&names->values, name, &code);
}

/* Of an attribute that is the same for many rows. */
static int
ask_value(struct names *names, const struct value *value, bool *may)
{
    struct sv text;

    *may = true;
    if (names->ask == NULL)
        return 0;
    if (!flat_text(value, names->block->pool, &text))
        return block_no_memory(names->block);
    if (block_ask_text(names->block, names->ask, text, may) == 0)
        return 0;
    names->has_failed = true;
    return -1;
}

/* "event:3:event_attr:" and the like, and the key. */
static int
add_joined(struct names *names, struct sv prefix, struct sv key)
{
    char *ptr = block_alloc(names->block, prefix.len + key.len, 1);

    if (ptr == NULL)
        return -1;
    memcpy(ptr, prefix.ptr, prefix.len);
    if (key.len > 0)
        memcpy(ptr + prefix.len, key.ptr, key.len);
    return add(names, sv_make(ptr, prefix.len + key.len));
}

static int
add_item(struct names *names, bool is_link, struct sv part, struct sv key)
{
    for (uint32_t i = 0; i < names->items[is_link]; i++) {
        char buf[64];
        int n = snprintf(buf, sizeof(buf), "%s:%u:%.*s",
            is_link ? "link" : "event", i, SV_ARG(part));

        if (add_joined(names, sv_make(buf, (size_t)n), key) != 0)
            return -1;
    }
    return 0;
}

/* --- attributes --- */

static int
add_key(struct names *names, enum key_scope scope, struct sv key)
{
    switch (scope) {
    case KEY_SPAN:
        return add_joined(names, SV("span_attr:"), key);
    case KEY_RESOURCE:
        return add_joined(names, SV("resource_attr:"), key);
    case KEY_SCOPE:
        return add_joined(names, SV("scope_attr:"), key);
    case KEY_EVENT:
        return add_item(names, false, SV("event_attr:"), key);
    default:
        return add_item(names, true, SV("link_attr:"), key);
    }
}

struct add_attr {
    struct names *names;
    enum key_scope scope;
};

static bool IMPL(flat_attr_fn)
add_visited(void *arg, struct sv key, const struct value *value)
{
    struct add_attr *add_attr = arg;
    bool may;

    return ask_value(add_attr->names, value, &may) == 0 && (!may ||
        add_key(add_attr->names, add_attr->scope, key) == 0);
}

static int
add_attr(struct names *names, enum key_scope scope, const struct attr *attr)
{
    struct add_attr arg = {names, scope};

    if (flat_visit(attr, add_visited, &arg))
        return 0;
    return names->has_failed ? -1 : block_no_memory(names->block);
}

static int
add_attrs(struct names *names, enum key_scope scope,
    const struct attrs *attrs)
{
    for (uint32_t i = 0; i < attrs->n; i++) {
        if (add_attr(names, scope, &attrs->v[i]) != 0)
            return -1;
    }
    return 0;
}

/* What a scope gives all its spans. */
static int
add_scope(struct names *names, const struct scope *scope)
{
    struct sv rest = scope->extra_fields, name, text;

    while (text_list_next(&rest, &name) && text_list_next(&rest, &text)) {
        if (add(names, name) != 0)
            return -1;
    }
    return add_attrs(names, KEY_SCOPE, &scope->attrs);
}

/* --- what all rows, events and links may have --- */

static int
add_core(struct names *names)
{
    for (unsigned i = 0; block_core_name(i).ptr != NULL; i++) {
        bool may = true;

        if ((names->ask != NULL && block_ask_core(names->block, names->ask,
                block_core_name(i), &may) != 0) ||
            (may && add(names, block_core_name(i)) != 0))
            return -1;
    }
    return 0;
}

/* Of all events, or links: those of the first say it for the others. */
static int
ask_part(struct names *names, bool is_link, struct sv part, bool *may)
{
    char buf[80];
    int n = snprintf(buf, sizeof(buf), "%s:0:%.*s",
        is_link ? "link" : "event", SV_ARG(part));

    *may = true;
    return names->ask == NULL || names->items[is_link] == 0 ? 0 :
        block_ask_core(names->block, names->ask, sv_make(buf, (size_t)n),
            may);
}

static int
add_parts(struct names *names, bool is_link)
{
    for (unsigned i = 0; block_part_name(is_link, i).ptr != NULL; i++) {
        bool may;

        if (ask_part(names, is_link, block_part_name(is_link, i),
                &may) != 0 || (may && add_item(names, is_link,
                block_part_name(is_link, i), SV_EMPTY) != 0))
            return -1;
    }
    return 0;
}

/* --- memtables --- */

/* All lists of a memtable, each shape's keys once. */
struct shapes {
    struct names *names;
    struct memtable_lists lists;
    uint64_t seen[MEMTABLE_SHAPES_MAX / 64];
    uint64_t nested[MEMTABLE_SHAPES_MAX / 64]; /* has a kvlist */
};

static int
add_nested(struct shapes *s, enum key_scope scope, struct sv key,
    uint32_t string)
{
    struct attr attr = {.key = key, .value = {.type = VALUE_KVLIST}};

    attr.value.str = memtable_string(s->lists.block->mt, string);
    if (attr.value.str.ptr == NULL)
        return memtable_damage(s->lists.block, "string", string);
    return add_attr(s->names, scope, &attr);
}

/* May a value of this type, whose words end before `end`, pass? */
static int
ask_elem(struct names *names, uint32_t type, uint32_t end, bool *may)
{
    const struct memtable *mt = names->block->mt;
    uint32_t code = mt->heap[end - 1];
    struct sv text;

    *may = true;
    if (type == VALUE_INT)
        *may = (names->ask->forms & BLOCK_FORM_INT) != 0;
    else if (type == VALUE_DOUBLE)
        *may = (names->ask->forms & BLOCK_FORM_DOUBLE) != 0;
    if (type != VALUE_STRING)
        return 0;
    text = memtable_string(mt, code);
    if (text.ptr == NULL)
        return memtable_damage(names->block, "string", code);
    if (names->memo[code] == 0) {
        if (block_ask_text(names->block, names->ask,
                text.len == 0 ? SV("-") : text, may) != 0)
            return -1;
        names->memo[code] = (uint8_t)(1 + *may);
    }
    *may = names->memo[code] > 1;
    return 0;
}

/* One element; its value ends before word `end`. */
static int
add_elem(struct shapes *s, enum key_scope scope, uint32_t elem, uint32_t end)
{
    const struct memtable *mt = s->lists.block->mt;
    uint32_t type = memtable_elem_type(elem);
    uint32_t key = memtable_elem_key(elem);
    bool may = true;
    struct sv name;

    if (key < FIELD_KEYS || type == VALUE_EMPTY)
        return 0;
    if (s->names->ask != NULL && type != VALUE_KVLIST) {
        if (bitmap_has(s->names->added, key))
            return 0;
        if (ask_elem(s->names, type, end, &may) != 0)
            return -1;
        if (!may)
            return 0;
        bitmap_set(s->names->added, key);
    }
    name = memtable_string(mt, mt->keys[key].text);
    if (name.ptr == NULL)
        return memtable_damage(s->lists.block, "key", key);
    if (name.len == 0)
        return 0;
    return type == VALUE_KVLIST ?
        add_nested(s, scope, name, mt->heap[end - 1]) :
        add_key(s->names, scope, name);
}

/* The list of the shape whose values start at word `at`. */
static int
add_list(struct shapes *s, enum key_scope scope, uint32_t code, uint32_t at)
{
    const struct memtable *mt = s->lists.block->mt;
    const struct memtable_plan *plan = NULL;
    struct memtable_shape shape;

    if (memtable_lists_plan(&s->lists, code, &plan) != 0)
        return -1;
    if (s->names->ask == NULL && bitmap_has(s->seen, code) &&
        !bitmap_has(s->nested, code))
        return 0;
    if (plan->words > 0 && !memtable_has_words(at, plan->words))
        return memtable_damage(s->lists.block, "values of shape", code);
    bitmap_set(s->seen, code);
    shape = mt->shapes[code]; /* the plan has checked it */
    for (uint32_t i = 0; i < shape.n; i++) {
        uint32_t elem = mt->heap[shape.elems + i];

        at += memtable_type_words(memtable_elem_type(elem));
        if (memtable_elem_type(elem) == VALUE_KVLIST)
            bitmap_set(s->nested, code);
        if (add_elem(s, scope, elem, at) != 0)
            return -1;
    }
    return 0;
}

static int IMPL(memtable_item_fn)
add_item_list(void *arg, bool is_link, uint32_t shape, uint32_t at)
{
    return add_list(arg, is_link ? KEY_LINK : KEY_EVENT, shape, at);
}

static int
count_items(struct names *names)
{
    for (uint32_t row = 0; row < names->block->info.rows; row++) {
        uint32_t nevents, nlinks;

        if (memtable_items_count(names->block, row, &nevents, &nlinks) != 0)
            return -1;
        names->items[0] = MAX(names->items[0], nevents);
        names->items[1] = MAX(names->items[1], nlinks);
    }
    return 0;
}

static int
add_rows(struct shapes *s)
{
    struct block *block = s->lists.block;
    const struct memtable *mt = block->mt;
    uint32_t last_resource = UINT32_MAX, last_stream = UINT32_MAX;

    for (uint32_t row = 0; row < block->info.rows; row++) {
        const struct resource *resource = NULL;
        struct block_stream stream;

        if (add_list(s, KEY_SPAN, mt->shape[row], mt->values[row]) != 0 ||
            memtable_items_visit(&s->lists, row, add_item_list, s) != 0)
            return -1;
        if (mt->resource[row] != last_resource) {
            last_resource = mt->resource[row];
            if (memtable_resource_of(block, last_resource, &resource) != 0 ||
                add_attrs(s->names, KEY_RESOURCE, &resource->attrs) != 0)
                return -1;
        }
        if (mt->stream[row] != last_stream) {
            last_stream = mt->stream[row];
            if (memtable_stream_of(block, last_stream, &stream) != 0 ||
                add_scope(s->names, stream.scope) != 0)
                return -1;
        }
    }
    return 0;
}

static int
add_memtable(struct names *names)
{
    struct shapes *s = block_zalloc(names->block, 1, sizeof(*s));

    if (s == NULL || memtable_lists_init(&s->lists, names->block, NULL) != 0)
        return -1;
    s->names = names;
    if (names->ask != NULL) {
        names->memo = block_zalloc(names->block, MEMTABLE_STRINGS_MAX, 1);
        names->added = block_zalloc(names->block, 1, MEMTABLE_KEYS_MAX / 8);
        if (names->memo == NULL || names->added == NULL)
            return -1;
    }
    return count_items(names) != 0 ? -1 : add_rows(s);
}

/* --- parts --- */

static int
add_dictionary(struct names *names, const struct part_key *key,
    uint32_t column)
{
    struct attr attr = {.key = key->name, .value = {.type = VALUE_KVLIST}};
    struct part_dict dict;

    if (part_dict_load(names->block, column, &dict) != 0)
        return -1;
    for (uint32_t i = 1; i <= dict.n; i++) {
        attr.value.str = dict.v[i];
        if (add_attr(names, key->scope, &attr) != 0)
            return -1;
    }
    return 0;
}

static int
add_keys(struct names *names)
{
    const struct reading *r = &names->block->reading;

    for (uint32_t i = 0; i < r->part->nkeys; i++) {
        const struct part_key *key = &r->part->keys[i];
        uint32_t column = PART_COLUMNS_CORE + i;
        bool may = true;

        if (key->is_field || key->name.len == 0 || directory_find(r->dir,
            column, PART_ROLE_VALUES) == NULL)
            continue;
        if (names->ask != NULL &&
            block_ask_key(names->block, names->ask, i, &may) != 0)
            return -1;
        if (!may)
            continue;
        if (key->type == VALUE_KVLIST ?
            add_dictionary(names, key, column) != 0 :
            add_key(names, key->scope, key->name) != 0)
            return -1;
    }
    return 0;
}

/* Events or links of one row at most. */
static int
count_entries(struct reading *r, enum part_table table, uint32_t *max)
{
    const struct part_runs *runs = NULL;
    const uint32_t *rows;
    uint32_t first, end, n = 0;

    if (reading_runs(r, table, &runs) != 0)
        return -1;
    if (runs->nrows == 0)
        return 0;
    if (reading_subs(r, table, 0, &first, &end) != 0)
        return -1;
    rows = r->subs[table]->rows;
    for (uint32_t i = 0; i < runs->nrows; i++) {
        n = i > 0 && rows[i] == rows[i - 1] ? n + 1 : 1;
        *max = MAX(*max, n);
    }
    return 0;
}

static int
add_part(struct names *names)
{
    struct reading *r = &names->block->reading;

    if (count_entries(r, PART_TABLE_EVENTS, &names->items[0]) != 0 ||
        count_entries(r, PART_TABLE_LINKS, &names->items[1]) != 0 ||
        add_keys(names) != 0)
        return -1;
    for (uint32_t i = 0; i < r->part->nresources; i++) {
        if (add_attrs(names, KEY_RESOURCE,
                &r->part->resources[i].attrs) != 0)
            return -1;
    }
    for (uint32_t i = 0; i < r->part->nscopes; i++) {
        if (add_scope(names, &r->part->scopes[i]) != 0)
            return -1;
    }
    return 0;
}

int
block_names(struct block *block, const struct block_ask *ask,
    const struct sv **out, uint32_t *n)
{
    struct names names = {.block = block, .ask = ask};

    *out = NULL;
    *n = 0;
    if (block->info.rows == 0)
        return 0;
    block_values_init(&names.values, block);
    if (add_core(&names) != 0 ||
        (block->mt != NULL ? add_memtable(&names) : add_part(&names)) != 0 ||
        add_parts(&names, false) != 0 || add_parts(&names, true) != 0)
        return -1;
    *out = names.values.v;
    *n = names.values.n;
    return 0;
}
