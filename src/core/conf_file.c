/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The tree of a file against the directive table.  Every mistake is
 * reported; none ends the walk.
 */

#include "core/base.h"

#include "core/conf_load.h"
#include "core/conf_near.h"
#include "core/conf_node.h"
#include "core/conf_type.h"

struct walk {
    struct conf_loader *loader;
    enum conf_layer layer;
    const char *name;
    /* Lines where a directive, or a group, was seen first. */
    unsigned row_line[CONF_ROWS];
    unsigned group_line[CONF_ROWS][CONF_GROUP_DEPTH_MAX];
};

#define SHOWN_MAX 80
#define SHOW(text) (int)MIN((text).len, (size_t)SHOWN_MAX), (text).ptr

/*
 * What an unknown key may have meant: a name in this group, else the same
 * (or nearly the same) directive or flag elsewhere.
 */
static struct sv
suggest(struct sv group, struct sv key)
{
    struct conf_near near;
    const struct conf_row *row;

    conf_near_init(&near, key);
    for (size_t i = 0; i < CONF_ROWS; i++) {
        struct sv child = conf_group_child(group, &conf_rows[i]);

        if (child.len > 0)
            conf_near_offer(&near, child);
    }
    if (near.best.ptr != NULL)
        return near.best;
    row = conf_row_suggest(&near);
    return row != NULL ? sv_from(row->yaml) : sv_make(NULL, 0);
}

static void
report_unknown(struct walk *walk, struct sv group,
    const struct conf_node *key)
{
    struct sv best = suggest(group, key->text);
    char inside[CONF_NAME_MAX + 16] = "";
    char meant[CONF_NAME_MAX + 32] = "";

    if (group.len > 0)
        snprintf(inside, sizeof(inside), " in \"%.*s\"", SV_ARG(group));
    if (best.ptr != NULL)
        snprintf(meant, sizeof(meant), " (did you mean \"%.*s\"?)",
            SV_ARG(best));
    conf_report_error(&walk->loader->report, &key->mark,
        "unknown directive \"%.*s\"%s%s", SHOW(key->text), inside, meant);
}

static void
report_value(struct walk *walk, const struct conf_row *row,
    const struct conf_node *node, const char *text)
{
    struct conf_report *report = &walk->loader->report;

    if (row->kind == CONF_KIND_SECRET)
        conf_report_error_hidden(report, &node->mark, "\"%s\" %s", row->yaml,
            text);
    else
        conf_report_error(report, &node->mark, "\"%s\" %s", row->yaml, text);
}

static void
set(struct walk *walk, const struct conf_row *row,
    const struct conf_node *node, const struct sv *items, unsigned nitems)
{
    struct err err = ERR_INIT;
    char where[300];
    struct conf_input input = {row, walk->layer, where, items, nitems,
        {0, 0, 0}};

    if (walk->layer == CONF_LAYER_FILE) {
        snprintf(where, sizeof(where), "%s:%u", walk->name, node->mark.line);
        input.mark = node->mark;
    } else {
        snprintf(where, sizeof(where), "%s", walk->name);
    }
    if (conf_loader_set(walk->loader, &input, &err) != 0)
        report_value(walk, row, node, err.text);
}

/* An item of a sequence: NULL text if it is none. */
static struct sv
item_of(struct walk *walk, const struct conf_row *row,
    struct conf_node *node)
{
    struct err err = ERR_INIT;

    if (conf_node_resolve(node, walk->loader->pool,
        &walk->loader->report) != 0)
        return sv_make(NULL, 0);
    if (node->type != CONF_NODE_SCALAR || node->is_null) {
        report_value(walk, row, node, "must be a list of words");
        return sv_make(NULL, 0);
    }
    if (conf_type_check_item(row, node->text, &err) != 0) {
        report_value(walk, row, node, err.text);
        return sv_make(NULL, 0);
    }
    return node->text;
}

static void
set_sequence(struct walk *walk, const struct conf_row *row,
    const struct conf_node *node)
{
    struct sv items[CONF_LIST_MAX];
    unsigned nitems = 0;
    bool is_good = true;

    for (struct conf_node *child = node->first; child != NULL;
        child = child->next) {
        struct sv item = item_of(walk, row, child);

        if (nitems == CONF_LIST_MAX) {
            report_value(walk, row, child, "has too many items");
            return;
        }
        if (item.ptr == NULL)
            is_good = false;
        else
            items[nitems++] = item;
    }
    if (is_good)
        set(walk, row, node, items, nitems);
}

/* A list may be written as one text with commas, as a flag is. */
static void
set_list_text(struct walk *walk, const struct conf_row *row,
    const struct conf_node *node)
{
    struct sv items[CONF_LIST_MAX];
    unsigned nitems = 0;
    struct err err = ERR_INIT;

    if (conf_split_items(walk->loader->pool, node->text, items, &nitems,
        &err) != 0) {
        report_value(walk, row, node, err.text);
        return;
    }
    for (unsigned i = 0; i < nitems; i++) {
        if (conf_type_check_item(row, items[i], &err) != 0) {
            report_value(walk, row, node, err.text);
            return;
        }
    }
    set(walk, row, node, items, nitems);
}

static void
walk_directive(struct walk *walk, const struct conf_row *row,
    struct conf_node *node)
{
    unsigned *line = &walk->row_line[conf_row_index(row)];

    if (*line != 0) {
        conf_report_error(&walk->loader->report, &node->key->mark,
            "duplicate directive \"%s\" (first in line %u)", row->yaml,
            *line);
        return;
    }
    *line = node->key->mark.line;
    if (conf_node_resolve(node, walk->loader->pool,
        &walk->loader->report) != 0)
        return;
    if (node->type == CONF_NODE_MAPPING)
        report_value(walk, row, node, "must be a value, not a group");
    else if (node->is_null)
        report_value(walk, row, node->key,
            "has no value (write \"\" for an empty one)");
    else if (node->type == CONF_NODE_SEQUENCE && row->kind == CONF_KIND_LIST)
        set_sequence(walk, row, node);
    else if (node->type == CONF_NODE_SEQUENCE)
        report_value(walk, row, node, "must be one value, not a list");
    else if (row->kind == CONF_KIND_LIST)
        set_list_text(walk, row, node);
    else
        set(walk, row, node, &node->text, 1);
}

/* Line of the first time this group was seen, or 0 and it is noted. */
static unsigned
group_seen(struct walk *walk, struct sv yaml, const struct conf_node *key)
{
    unsigned *line, depth = 0;

    for (size_t i = 0; i < yaml.len; i++)
        depth += yaml.ptr[i] == '.';
    line = &walk->group_line[conf_row_index(conf_group(yaml))][depth];
    if (*line != 0)
        return *line;
    *line = key->mark.line;
    return 0;
}

static void walk_group(struct walk *walk, struct sv group,
    const struct conf_node *node);

/* Nesting is bounded by the table: an unknown group is not entered. */
static void
walk_child(struct walk *walk, struct sv group, struct conf_node *node)
{
    struct conf_report *report = &walk->loader->report;
    const struct conf_row *row;
    char name[2 * CONF_NAME_MAX];
    struct sv yaml;
    unsigned line;

    if (node->key->problem != NULL) {
        conf_report_error(report, &node->key->mark, "%s",
            node->key->problem);
        return;
    }
    if (node->key->text.len == 0 || node->key->text.len >= CONF_NAME_MAX) {
        report_unknown(walk, group, node->key);
        return;
    }
    snprintf(name, sizeof(name), "%.*s%s%.*s", SV_ARG(group),
        group.len > 0 ? "." : "", SV_ARG(node->key->text));
    yaml = sv_from(name);
    row = conf_row_by_yaml(yaml);
    if (row != NULL) {
        walk_directive(walk, row, node);
        return;
    }
    if (conf_group(yaml) == NULL) {
        report_unknown(walk, group, node->key);
        return;
    }
    line = group_seen(walk, yaml, node->key);
    if (line != 0)
        conf_report_error(report, &node->key->mark,
            "duplicate group \"%s\" (first in line %u)", name, line);
    if (conf_node_resolve(node, walk->loader->pool, report) != 0)
        return;
    if (node->type == CONF_NODE_MAPPING)
        walk_group(walk, yaml, node);
    else if (!node->is_null)
        conf_report_error(report, &node->mark,
            "\"%s\" must be a group of directives", name);
}

static void
walk_group(struct walk *walk, struct sv group, const struct conf_node *node)
{
    for (struct conf_node *child = node->first; child != NULL;
        child = child->next)
        walk_child(walk, group, child);
}

void
conf_load_yaml(struct conf_loader *loader, enum conf_layer layer,
    const char *name, struct sv text)
{
    struct walk walk = {.loader = loader, .layer = layer, .name = name};
    struct conf_node *root;

    if (conf_node_parse(&root, text, loader->pool, &loader->report) != 0 ||
        root == NULL || root->is_null ||
        conf_node_resolve(root, loader->pool, &loader->report) != 0)
        return;
    if (root->type == CONF_NODE_MAPPING)
        walk_group(&walk, SV_EMPTY, root);
    else
        conf_report_error(&loader->report, &root->mark,
            "the configuration must be a group of directives, \"name: "
            "value\" in each line");
}
