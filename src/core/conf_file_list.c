/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Lists in a file: of words, and tables, whose items are texts or maps.  A
 * table is taken as a whole: its columns become as long as itself.
 */

#include "core/base.h"

#include "core/conf_type.h"
#include "core/conf_walk.h"

#define NO_TEXT sv_make(NULL, 0)

/* Room for n values, or an error at node. */
static bool
values_make(struct conf_walk *walk, const struct conf_row *row,
    const struct conf_node *node, struct conf_values *values, unsigned n)
{
    struct pool *pool = walk->loader->pool;

    values->n = 0;
    values->items = pool_alloc(pool, (n + 1) * sizeof(*values->items));
    values->marks = pool_zalloc(pool, (n + 1) * sizeof(*values->marks));
    if (values->items != NULL && values->marks != NULL)
        return true;
    conf_walk_report(walk, row, node, "is too large");
    return false;
}

/* Children of node, or an error at the first that is too many. */
static bool
count_items(struct conf_walk *walk, const struct conf_row *row,
    const struct conf_node *node, unsigned *n)
{
    *n = 0;
    for (const struct conf_node *child = node->first; child != NULL;
        child = child->next) {
        if (*n == CONF_LIST_MAX) {
            conf_walk_report(walk, row, child, "has too many items");
            return false;
        }
        (*n)++;
    }
    return true;
}

/* A word, not yet checked, or NO_TEXT. */
static struct sv
word_of(struct conf_walk *walk, const struct conf_row *row,
    struct conf_node *node)
{
    if (conf_node_resolve(node, walk->loader->pool,
        &walk->loader->report) != 0)
        return NO_TEXT;
    if (node->type != CONF_NODE_SCALAR || node->is_null) {
        conf_walk_report(walk, row, node, "must be a list of words");
        return NO_TEXT;
    }
    return node->text;
}

struct sv
conf_walk_item(struct conf_walk *walk, const struct conf_row *row,
    struct conf_node *node)
{
    struct sv text = word_of(walk, row, node);
    struct err err = ERR_INIT;

    if (text.ptr == NULL || conf_type_item(row, walk->loader->pool, &text,
        &err) == 0)
        return text;
    conf_walk_report(walk, row, node, err.text);
    return NO_TEXT;
}

static void
set_sequence(struct conf_walk *walk, const struct conf_row *row,
    struct conf_node *node)
{
    struct conf_values values;
    bool is_good = true;
    unsigned n;

    if (!count_items(walk, row, node, &n) ||
        !values_make(walk, row, node, &values, n))
        return;
    for (struct conf_node *child = node->first; child != NULL;
        child = child->next) {
        struct sv item = conf_walk_item(walk, row, child);

        is_good &= item.ptr != NULL;
        values.marks[values.n] = child->mark;
        values.items[values.n++] = item;
    }
    if (is_good)
        conf_walk_set(walk, row, node, &values);
}

/* A list may be written as one text with commas, as a flag is. */
static void
set_list_text(struct conf_walk *walk, const struct conf_row *row,
    struct conf_node *node)
{
    struct conf_items items = {.n = 0};
    struct conf_values values;
    struct err err = ERR_INIT;

    if (conf_split_items(walk->loader->pool, row, node->text, &items,
        &err) != 0) {
        conf_walk_report(walk, row, node, err.text);
        return;
    }
    if (!values_make(walk, row, node, &values, items.n))
        return;
    for (; values.n < items.n; values.n++) {
        values.items[values.n] = items.v[values.n];
        values.marks[values.n] = node->mark;
    }
    conf_walk_set(walk, row, node, &values);
}

void
conf_walk_list(struct conf_walk *walk, const struct conf_row *row,
    struct conf_node *node)
{
    if (node->type == CONF_NODE_SEQUENCE)
        set_sequence(walk, row, node);
    else
        set_list_text(walk, row, node);
}

/* --- tables --- */

/* One of several texts in a cell, as flags write it: "a;b". */
static bool
add_several(struct conf_walk *walk, const struct conf_row *row,
    struct conf_node *node, struct sb *out)
{
    struct sv text = word_of(walk, row, node);

    if (text.ptr == NULL)
        return false;
    if (text.len == 0 || sv_find_byte(text, ';') < text.len) {
        conf_walk_report(walk, row, node, "must not be empty or have a ';'");
        return false;
    }
    if (out->len > 0)
        sb_add_char(out, ';');
    sb_add_sv(out, text);
    return true;
}

/* The value of a key in a map; NO_TEXT: it was reported. */
static struct sv
cell_of(struct conf_walk *walk, const struct conf_row *row,
    struct conf_node *node)
{
    struct pool *pool = walk->loader->pool;
    struct sv text = NO_TEXT;
    struct err err = ERR_INIT;
    bool is_good = true;
    struct sb sb;

    if (node->is_null) {
        conf_walk_report(walk, row, node->key,
            "has no value (write \"\" for an empty one)");
        return NO_TEXT;
    }
    if (node->type != CONF_NODE_SEQUENCE || !conf_kind_has_several(row->kind))
        return conf_walk_item(walk, row, node);
    if (conf_node_resolve(node, pool, &walk->loader->report) != 0)
        return NO_TEXT;
    sb_init(&sb, CONF_SCALAR_BYTES_MAX);
    for (struct conf_node *child = node->first; child != NULL;
        child = child->next)
        is_good &= add_several(walk, row, child, &sb);
    if (is_good && !sb_failed(&sb))
        text = sv_make(pool_dup(pool, sb.ptr, sb.len), sb.len);
    sb_release(&sb);
    if (is_good && (text.ptr == NULL ||
        conf_type_item(row, pool, &text, &err) != 0)) {
        conf_walk_report(walk, row, node,
            text.ptr == NULL ? "is too large" : err.text);
        return NO_TEXT;
    }
    return text;
}

/* The columns of a table, that of its own texts first. */
struct table {
    const struct conf_row *rows[CONF_ROWS];
    struct conf_values values[CONF_ROWS];
    bool is_given[CONF_ROWS];
    unsigned ncolumns;
    unsigned nitems;
};

static bool
table_make(struct conf_walk *walk, const struct conf_row *row,
    const struct conf_node *node, struct table *table)
{
    const struct conf_row *column = NULL;
    unsigned n = 1;

    memset(table, 0, sizeof(*table));
    if (node->type == CONF_NODE_SEQUENCE && !count_items(walk, row, node, &n))
        return false;
    table->rows[table->ncolumns++] = row;
    while ((column = conf_row_next_column(row, column)) != NULL)
        table->rows[table->ncolumns++] = column;
    for (unsigned i = 0; i < table->ncolumns; i++) {
        struct conf_values *values = &table->values[i];

        if (!values_make(walk, row, node, values, n))
            return false;
        for (; values->n < n; values->n++)
            values->items[values->n] = SV_EMPTY;
    }
    return true;
}

/* The column that a key means, or ncolumns. */
static unsigned
column_of(const struct table *table, struct sv key)
{
    unsigned i;

    if (sv_eq(key, SV(CONF_TABLE_KEY)))
        return 0;
    for (i = 1; i < table->ncolumns; i++) {
        if (sv_eq(conf_row_leaf(table->rows[i]), key))
            break;
    }
    return i;
}

static bool
add_cell(struct conf_walk *walk, struct table *table, struct conf_node *node,
    unsigned *lines)
{
    unsigned i = column_of(table, node->key->text);
    struct sv text;

    if (node->key->problem != NULL) {
        conf_report_error(&walk->loader->report, &node->key->mark, "%s",
            node->key->problem);
        return false;
    }
    if (i == table->ncolumns) {
        conf_walk_unknown(walk, sv_from(table->rows[0]->yaml), node->key);
        return false;
    }
    if (lines[i] != 0) {
        conf_report_error(&walk->loader->report, &node->key->mark,
            "duplicate \"%.*s\" (first in line %u)",
            SV_ARG(node->key->text), lines[i]);
        return false;
    }
    lines[i] = node->key->mark.line;
    text = cell_of(walk, table->rows[i], node);
    if (text.ptr == NULL)
        return false;
    table->values[i].items[table->nitems] = text;
    table->values[i].marks[table->nitems] = node->mark;
    table->is_given[i] = true;
    return true;
}

static bool
add_map(struct conf_walk *walk, struct table *table, struct conf_node *node)
{
    unsigned lines[CONF_ROWS] = {0};
    bool is_good = true;

    for (struct conf_node *child = node->first; child != NULL;
        child = child->next)
        is_good &= add_cell(walk, table, child, lines);
    if (lines[0] == 0 && is_good)
        conf_walk_report(walk, table->rows[0], node,
            "needs \"" CONF_TABLE_KEY "\" in each map");
    return is_good && lines[0] != 0;
}

static bool
add_item(struct conf_walk *walk, struct table *table, struct conf_node *node)
{
    bool is_good;

    if (node->type == CONF_NODE_MAPPING) {
        is_good = conf_node_resolve(node, walk->loader->pool,
            &walk->loader->report) == 0 && add_map(walk, table, node);
    } else {
        struct sv text = conf_walk_item(walk, table->rows[0], node);

        is_good = text.ptr != NULL;
        table->values[0].items[table->nitems] = text;
        table->values[0].marks[table->nitems] = node->mark;
    }
    table->nitems++;
    return is_good;
}

static void
table_set(struct conf_walk *walk, const struct table *table,
    const struct conf_node *node)
{
    for (unsigned i = 0; i < table->ncolumns; i++) {
        const struct conf_row *row = table->rows[i];
        struct conf_mark *first = &walk->rows[conf_row_index(row)];
        char where[300];

        if (i == 0 || (table->is_given[i] && first->line == 0)) {
            conf_walk_set(walk, row, node, &table->values[i]);
            *first = node->mark;
        } else if (table->is_given[i]) {
            conf_report_error(&walk->loader->report, &node->mark,
                "duplicate directive \"%s\" %s", row->yaml,
                conf_walk_first(walk, first, where, sizeof(where)));
        }
    }
}

void
conf_walk_table(struct conf_walk *walk, const struct conf_row *row,
    struct conf_node *node)
{
    struct table table;
    bool is_good = true;

    if (node->type == CONF_NODE_SCALAR) {
        set_list_text(walk, row, node);
        return;
    }
    if (!table_make(walk, row, node, &table))
        return;
    if (node->type == CONF_NODE_MAPPING) {
        is_good = add_item(walk, &table, node);
    } else {
        for (struct conf_node *child = node->first; child != NULL;
            child = child->next)
            is_good &= add_item(walk, &table, child);
    }
    if (is_good)
        table_set(walk, &table, node);
}
