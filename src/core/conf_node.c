/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * libyaml's events to nodes.  The builder keeps the open collections on a
 * stack of its own; nothing recurses.
 */

#include "core/base.h"

#include <yaml.h>

#include "core/conf_node.h"

#define TAG_PROBLEM "tags are not supported"

struct builder {
    struct pool *pool;
    struct conf_report *report;
    struct conf_node *root;
    struct conf_node *open[CONF_NODE_DEPTH_MAX];
    struct conf_node *keys[CONF_NODE_DEPTH_MAX]; /* waits for its value */
    unsigned depth;
    unsigned nnodes;
    unsigned ndocuments;
};

static struct conf_mark
mark_of(const struct builder *b, const yaml_event_t *event)
{
    struct conf_mark mark = {
        (unsigned)event->start_mark.line + 1,
        (unsigned)event->start_mark.column + 1,
        1, b->report->file,
    };

    if (event->end_mark.line == event->start_mark.line &&
        event->end_mark.column > event->start_mark.column)
        mark.width =
            (unsigned)(event->end_mark.column - event->start_mark.column);
    if (event->type == YAML_MAPPING_START_EVENT ||
        event->type == YAML_SEQUENCE_START_EVENT)
        mark.width = 1;
    return mark;
}

static int
fail_too_large(struct builder *b, const struct conf_mark *mark)
{
    conf_report_error(b->report, mark, "the configuration is too large");
    return -1;
}

/* Hangs node where the grammar of the events wants it. */
static void
node_place(struct builder *b, struct conf_node *node)
{
    struct conf_node *parent;

    if (b->depth == 0) {
        b->root = node;
        return;
    }
    parent = b->open[b->depth - 1];
    if (parent->type == CONF_NODE_MAPPING) {
        if (b->keys[b->depth - 1] == NULL) {
            b->keys[b->depth - 1] = node;
            return;
        }
        node->key = b->keys[b->depth - 1];
        b->keys[b->depth - 1] = NULL;
    }
    if (parent->last == NULL)
        parent->first = node;
    else
        parent->last->next = node;
    parent->last = node;
}

static bool
is_key_next(const struct builder *b)
{
    return b->depth > 0 &&
        b->open[b->depth - 1]->type == CONF_NODE_MAPPING &&
        b->keys[b->depth - 1] == NULL;
}

static struct conf_node *
node_new(struct builder *b, const yaml_event_t *event)
{
    struct conf_mark mark = mark_of(b, event);
    struct conf_node *node;

    if (++b->nnodes > CONF_NODES_MAX ||
        (node = pool_zalloc(b->pool, sizeof(*node))) == NULL) {
        fail_too_large(b, &mark);
        return NULL;
    }
    node->mark = mark;
    return node;
}

static int
on_scalar(struct builder *b, const yaml_event_t *event)
{
    struct sv text = sv_make(event->data.scalar.value,
        event->data.scalar.length);
    struct conf_node *node = node_new(b, event);
    char *copy;

    if (node == NULL)
        return -1;
    node->type = CONF_NODE_SCALAR;
    node->is_null = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
        (text.len == 0 || sv_eq(text, SV("~")) || sv_eq(text, SV("null")));
    if (event->data.scalar.tag != NULL)
        node->problem = TAG_PROBLEM;
    copy = pool_dup(b->pool, text.ptr, text.len);
    if (copy == NULL)
        return fail_too_large(b, &node->mark);
    node->text = sv_make(copy, text.len);
    node_place(b, node);
    return 0;
}

static int
on_alias(struct builder *b, const yaml_event_t *event)
{
    struct conf_node *node = node_new(b, event);

    if (node == NULL)
        return -1;
    node->type = CONF_NODE_SCALAR;
    node->problem = "aliases are not supported";
    node->text = SV_EMPTY;
    node_place(b, node);
    return 0;
}

static int
on_open(struct builder *b, const yaml_event_t *event)
{
    bool is_mapping = event->type == YAML_MAPPING_START_EVENT;
    const void *tag = is_mapping ? event->data.mapping_start.tag
                                 : event->data.sequence_start.tag;
    struct conf_node *node = node_new(b, event);

    if (node == NULL)
        return -1;
    node->type = is_mapping ? CONF_NODE_MAPPING : CONF_NODE_SEQUENCE;
    if (tag != NULL)
        node->problem = TAG_PROBLEM;
    if (is_key_next(b)) {
        conf_report_error(b->report, &node->mark, "a key must be a word");
        return -1;
    }
    if (b->depth == CONF_NODE_DEPTH_MAX) {
        conf_report_error(b->report, &node->mark,
            "nested deeper than %d levels", CONF_NODE_DEPTH_MAX);
        return -1;
    }
    node_place(b, node);
    b->open[b->depth] = node;
    b->keys[b->depth] = NULL;
    b->depth++;
    return 0;
}

static int
on_document(struct builder *b, const yaml_event_t *event)
{
    struct conf_mark mark = mark_of(b, event);

    if (++b->ndocuments > 1) {
        conf_report_error(b->report, &mark,
            "a second document: one file holds one configuration");
        return -1;
    }
    return 0;
}

static int
on_event(struct builder *b, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        return on_document(b, event);
    case YAML_SCALAR_EVENT:
        return on_scalar(b, event);
    case YAML_ALIAS_EVENT:
        return on_alias(b, event);
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        return on_open(b, event);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        b->depth--;
        return 0;
    default:
        return 0;
    }
}

/* libyaml tells the place of a wrong byte by its offset only. */
static struct conf_mark
mark_at(struct sv text, size_t offset)
{
    struct conf_mark mark = {1, 1, 1, NULL};

    for (size_t i = 0; i < MIN(offset, text.len); i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c == '\n') {
            mark.line++;
            mark.column = 1;
        } else if ((c & 0xc0) != 0x80) {
            mark.column++;
        }
    }
    return mark;
}

static void
report_syntax(struct builder *b, const yaml_parser_t *parser)
{
    struct conf_mark mark = {
        (unsigned)parser->problem_mark.line + 1,
        (unsigned)parser->problem_mark.column + 1,
        1, NULL,
    };
    const char *problem = parser->problem != NULL ? parser->problem
                                                  : "not understood";

    if (parser->error == YAML_READER_ERROR)
        mark = mark_at(b->report->source, parser->problem_offset);
    if (parser->context != NULL)
        conf_report_error(b->report, &mark, "YAML: %s, %s (line %zu)",
            problem, parser->context, parser->context_mark.line + 1);
    else
        conf_report_error(b->report, &mark, "YAML: %s", problem);
}

int
conf_node_parse(struct conf_node **root, struct sv text, struct pool *pool,
    struct conf_report *report)
{
    struct builder b = {.pool = pool, .report = report};
    yaml_parser_t parser;
    yaml_event_t event;
    bool is_end = false;
    int rc = 0;

    *root = NULL;
    if (!yaml_parser_initialize(&parser)) {
        conf_report_error(report, NULL, "not enough memory");
        return -1;
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.ptr,
        text.len);
    while (rc == 0 && !is_end) {
        if (!yaml_parser_parse(&parser, &event)) {
            report_syntax(&b, &parser);
            rc = -1;
            break;
        }
        is_end = event.type == YAML_STREAM_END_EVENT;
        rc = on_event(&b, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    if (rc == 0)
        *root = b.root;
    return rc;
}
