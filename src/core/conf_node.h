/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A YAML text as a tree of nodes that remember where they stood.  Bounded:
 * aliases and tags are refused, so a small file cannot become a large tree.
 */

#ifndef SPOOR_CORE_CONF_NODE_H
#define SPOOR_CORE_CONF_NODE_H

#include "core/base.h"
#include "core/conf_report.h"
#include "core/pool.h"
#include "core/sv.h"

#define CONF_FILE_BYTES_MAX (1 * MIB)  /* a person writes a few KiB */
#define CONF_NODE_DEPTH_MAX 32
#define CONF_NODES_MAX 100000u
/* A scalar after ${} was replaced: more than any path or certificate. */
#define CONF_SCALAR_BYTES_MAX (64 * KIB)

enum conf_node_type {
    CONF_NODE_SCALAR,
    CONF_NODE_SEQUENCE,
    CONF_NODE_MAPPING,
};

struct conf_node {
    enum conf_node_type type;
    bool is_null;              /* nothing, "~" or "null" without quotes */
    const char *problem;       /* NULL, or what it must not be */
    struct conf_mark mark;
    struct sv text;            /* of a scalar, NUL behind */
    struct conf_node *key;     /* of a mapping's child */
    struct conf_node *first;   /* children in order */
    struct conf_node *last;
    struct conf_node *next;
};

/*
 * The tree of text, allocated in pool; *root is NULL for an empty text.  -1
 * when there is no usable tree: the error was reported.
 */
int conf_node_parse(struct conf_node **root, struct sv text,
    struct pool *pool, struct conf_report *report) WARN_UNUSED;

/*
 * To be called once before a node's value is used: reports what is wrong
 * with it (-1).  In a scalar ${NAME} and ${NAME:-default} are replaced from
 * the environment; $${ stands for ${.  The text is UTF-8 without NUL then.
 */
int conf_node_resolve(struct conf_node *node, struct pool *pool,
    struct conf_report *report) WARN_UNUSED;

#endif
