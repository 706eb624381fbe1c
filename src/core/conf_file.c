/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The tree of a file against the directive table.  Every mistake is
 * reported; none ends the walk.
 */

#include "core/base.h"

#include "core/conf_near.h"
#include "core/conf_type.h"
#include "core/conf_walk.h"

#define SHOWN_MAX 80
#define SHOW(text) (int)MIN((text).len, (size_t)SHOWN_MAX), (text).ptr

/* "token" is a part of "bearer_token"; shorter words are in many. */
#define PART_MIN 4

/* A column of the table that has the word in its name; ptr NULL: none. */
static struct sv
column_with(struct sv table, struct sv word)
{
    for (size_t i = 0; word.len >= PART_MIN && i < CONF_ROWS; i++) {
        struct sv child = conf_group_child(table, &conf_rows[i]);

        if (child.len > 0 &&
            memmem(child.ptr, child.len, word.ptr, word.len) != NULL)
            return child;
    }
    return sv_make(NULL, 0);
}

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
    if (group.len == 0)
        conf_near_offer(&near, SV("include"));
    for (size_t i = 0; i < CONF_ROWS; i++) {
        struct sv child = conf_group_child(group, &conf_rows[i]);

        if (child.len > 0)
            conf_near_offer(&near, child);
    }
    if (conf_row_by_yaml(group) != NULL) {
        conf_near_offer(&near, SV(CONF_TABLE_KEY));
        if (near.best.ptr == NULL)
            near.best = column_with(group, key);
    }
    if (near.best.ptr != NULL)
        return near.best;
    row = conf_row_suggest(&near);
    return row != NULL ? sv_from(row->yaml) : sv_make(NULL, 0);
}

static bool
is_secret(struct sv group, struct sv name)
{
    for (size_t i = 0; name.ptr != NULL && i < CONF_ROWS; i++) {
        const struct conf_row *row = &conf_rows[i];

        if (conf_kind_is_secret(row->kind) &&
            (sv_eq(conf_group_child(group, row), name) ||
            sv_eq(sv_from(row->yaml), name)))
            return true;
    }
    return false;
}

void
conf_walk_unknown(struct conf_walk *walk, struct sv group,
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
    /* What is nearly a secret's name has the secret behind it. */
    (is_secret(group, best) ? conf_report_error_hidden : conf_report_error)(
        &walk->loader->report, &key->mark,
        "unknown directive \"%.*s\"%s%s", SHOW(key->text), inside, meant);
}

void
conf_walk_report(struct conf_walk *walk, const struct conf_row *row,
    const struct conf_node *node, const char *text)
{
    struct conf_report *report = &walk->loader->report;

    walk->loader->is_bad[conf_row_index(row)] = true;
    if (conf_kind_is_secret(row->kind))
        conf_report_error_hidden(report, &node->mark, "\"%s\" %s", row->yaml,
            text);
    else
        conf_report_error(report, &node->mark, "\"%s\" %s", row->yaml, text);
}

void
conf_walk_set(struct conf_walk *walk, const struct conf_row *row,
    const struct conf_node *node, const struct conf_values *values)
{
    const struct conf_text *file = node->mark.file;
    struct err err = ERR_INIT;
    char where[300];
    struct conf_input input = {.row = row, .layer = walk->layer,
        .where = where, .items = values->items, .nitems = values->n};

    if (file != NULL) {
        snprintf(where, sizeof(where), "%s:%u", file->name, node->mark.line);
        input.mark = node->mark;
        input.marks = values->marks;
    } else {
        snprintf(where, sizeof(where), "-g");
    }
    if (conf_loader_set(walk->loader, &input, &err) != 0)
        conf_walk_report(walk, row, node, err.text);
}

static void
set_scalar(struct conf_walk *walk, const struct conf_row *row,
    struct conf_node *node)
{
    struct conf_values values = {&node->text, NULL, 1};

    conf_walk_set(walk, row, node, &values);
}

const char *
conf_walk_first(const struct conf_walk *walk, const struct conf_mark *mark,
    char *out, size_t size)
{
    if (mark->file == walk->loader->report.file)
        snprintf(out, size, "(first in line %u)", mark->line);
    else
        snprintf(out, size, "(first in %s:%u)", mark->file->name, mark->line);
    return out;
}

static void
walk_directive(struct conf_walk *walk, const struct conf_row *row,
    struct conf_node *node)
{
    struct conf_mark *first = &walk->rows[conf_row_index(row)];
    char where[300];

    if (first->line != 0) {
        walk->loader->is_bad[conf_row_index(row)] = true;
        conf_report_error(&walk->loader->report, &node->key->mark,
            "duplicate directive \"%s\" %s", row->yaml,
            conf_walk_first(walk, first, where, sizeof(where)));
        return;
    }
    *first = node->key->mark;
    if (conf_node_resolve(node, walk->loader->pool,
        &walk->loader->report) != 0) {
        walk->loader->is_bad[conf_row_index(row)] = true;
        return;
    }
    if (node->is_null)
        conf_walk_report(walk, row, node->key,
            "has no value (write \"\" for an empty one)");
    else if (conf_row_is_table(row))
        conf_walk_table(walk, row, node);
    else if (node->type == CONF_NODE_MAPPING)
        conf_walk_report(walk, row, node, "must be a value, not a group");
    else if (conf_kind_is_list(row->kind))
        conf_walk_list(walk, row, node);
    else if (node->type == CONF_NODE_SEQUENCE)
        conf_walk_report(walk, row, node, "must be one value, not a list");
    else
        set_scalar(walk, row, node);
}

/* Line of the first time this group was seen, or 0 and it is noted. */
static unsigned
group_seen(struct conf_walk *walk, struct sv yaml, const struct conf_node *key)
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

static void walk_group(struct conf_walk *walk, struct sv group,
    const struct conf_node *node);

/* Nesting is bounded by the table: an unknown group is not entered. */
static void
walk_child(struct conf_walk *walk, struct sv group, struct conf_node *node)
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
    if (group.len == 0 && sv_eq(node->key->text, SV("include"))) {
        conf_walk_include(walk, node);
        return;
    }
    if (node->key->text.len == 0 || node->key->text.len >= CONF_NAME_MAX) {
        conf_walk_unknown(walk, group, node->key);
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
        conf_walk_unknown(walk, group, node->key);
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
walk_group(struct conf_walk *walk, struct sv group, const struct conf_node *node)
{
    for (struct conf_node *child = node->first; child != NULL;
        child = child->next)
        walk_child(walk, group, child);
}

void
conf_walk_text(struct conf_walk *walk, struct sv text)
{
    struct conf_loader *loader = walk->loader;
    struct conf_node *root;

    if (conf_node_parse(&root, text, loader->pool, &loader->report) != 0 ||
        root == NULL || root->is_null ||
        conf_node_resolve(root, loader->pool, &loader->report) != 0)
        return;
    if (root->type == CONF_NODE_MAPPING)
        walk_group(walk, SV_EMPTY, root);
    else
        conf_report_error(&loader->report, &root->mark,
            "the configuration must be a group of directives, \"name: "
            "value\" in each line");
}
