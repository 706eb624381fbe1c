/* SPDX-License-Identifier: BSD-2-Clause */

/* What the files that walk a tree of YAML nodes share. */

#ifndef SPOOR_CORE_CONF_WALK_H
#define SPOOR_CORE_CONF_WALK_H

#include "core/base.h"
#include "core/conf_load.h"
#include "core/conf_node.h"
#include "core/conf_table.h"

/* A file, a file within, ... : a person needs two or three. */
#define CONF_INCLUDE_DEPTH_MAX 8u
/* Files of one configuration, all together. */
#define CONF_FILES_MAX 256u

struct conf_walk {
    struct conf_loader *loader;
    enum conf_layer layer;
    /* Where a directive was seen first, and in this file a group. */
    struct conf_mark rows[CONF_ROWS];
    unsigned group_line[CONF_ROWS][CONF_GROUP_DEPTH_MAX];
    /* The files that are open, each named within the one before. */
    const struct conf_text *files[CONF_INCLUDE_DEPTH_MAX];
    unsigned depth;
};

/* The text that the report is about; name: of an origin without a place. */
void conf_walk_text(struct conf_walk *walk, struct sv text);
/* The value of "include". */
void conf_walk_include(struct conf_walk *walk, struct conf_node *node);
/* " (first in line 3)", with the file where it is another one. */
const char *conf_walk_first(const struct conf_walk *walk,
    const struct conf_mark *mark, char *out, size_t size);

void conf_walk_unknown(struct conf_walk *walk, struct sv group,
    const struct conf_node *key);
/* An error that begins with the directive's name. */
void conf_walk_report(struct conf_walk *walk, const struct conf_row *row,
    const struct conf_node *node, const char *text);
/* items, and marks unless NULL, are in the loader's pool. */
struct conf_values {
    struct sv *items;
    struct conf_mark *marks;
    unsigned n;
};
void conf_walk_set(struct conf_walk *walk, const struct conf_row *row,
    const struct conf_node *node, const struct conf_values *values);

/* The value of a row that is a list. */
void conf_walk_list(struct conf_walk *walk, const struct conf_row *row,
    struct conf_node *node);
/* The value of a row with columns, any form. */
void conf_walk_table(struct conf_walk *walk, const struct conf_row *row,
    struct conf_node *node);
/* A word of a list, checked, or ptr NULL: that was reported. */
struct sv conf_walk_item(struct conf_walk *walk, const struct conf_row *row,
    struct conf_node *node);

#endif
