/* SPDX-License-Identifier: BSD-2-Clause */

/*
 *     list    := expr [[as] name] { "," expr [[as] name] }
 *     expr    := unary { operator unary }      by precedence, left to right
 *     unary   := "-" unary | "(" expr ")" | call | operand
 *     call    := function "(" [ expr { "," expr } ] ")"
 *     operand := a number, duration, size, time or address, or else a field
 */

#include "core/base.h"
#include "query/math.h"

#include "query/text.h"
#include "span/flat.h"

#define STOP_MATH "+-*/%^&,()[]|"

struct math_parser {
    struct parser *p;
    struct math_spec *spec;
    struct math_expr *expr;
};

static int parse_expr(struct math_parser *m, unsigned level);

static struct math_node *
add_node(struct math_parser *m, enum math_op op, uint32_t first)
{
    struct math_expr *expr = m->expr;
    struct math_node *node;

    if (expr->n == MATH_NODES_MAX) {
        parse_fail(m->p, lexer_pos(&m->p->lex),
            "more than %u operands and operators in one expression",
            MATH_NODES_MAX);
        return NULL;
    }
    expr->nodes = parse_grow(m->p, expr->nodes, expr->n, &expr->cap,
        sizeof(*expr->nodes));
    if (expr->nodes == NULL)
        return NULL;
    node = &expr->nodes[expr->n++];
    *node = (struct math_node){.op = op, .first = first, .text = SV_EMPTY};
    return node;
}

/* The slot of a field. */
static int
find_slot(struct parser *p, struct math_spec *spec, struct sv name,
    uint32_t *slot)
{
    for (*slot = 0; *slot < spec->nnames; ++*slot) {
        if (sv_eq(spec->names[*slot], name))
            return 0;
    }
    if (spec->nnames == MATH_FIELDS_MAX)
        return parse_fail(p, lexer_pos(&p->lex),
            "more than %u fields in one math pipe", MATH_FIELDS_MAX);
    spec->names = parse_grow(p, spec->names, spec->nnames, &spec->names_cap,
        sizeof(*spec->names));
    if (spec->names == NULL)
        return -1;
    spec->names[spec->nnames++] = name;
    return 0;
}

static int
parse_operand(struct math_parser *m)
{
    struct math_node *node;
    struct word word;
    struct sv name;
    double number;

    if (m->p->lex.token.kind == TOKEN_WORD &&
        math_is_reserved(m->p->lex.token.raw))
        return parse_unexpected(m->p, "a field or number");
    if (parse_word(m->p, &word, STOP_MATH, "a field or number") == -1)
        return -1;
    if (operand_parse(word.text, &number)) {
        node = add_node(m, MATH_NUMBER, m->expr->n);
        if (node == NULL)
            return -1;
        node->number = number;
        node->text = word.text;
        return 0;
    }
    name = flat_name(word.text, m->p->pool);
    if (sv_ends_with(word.text, SV("*")) || sv_ends_with(name, SV("*")))
        return parse_fail(m->p, word.pos,
            "a name with '*' cannot stand here: '%s'",
            parse_show(word.text).text);
    node = add_node(m, MATH_FIELD, m->expr->n);
    if (node == NULL)
        return -1;
    node->text = name;
    return find_slot(m->p, m->spec, name, &node->slot);
}

static int
parse_args(struct math_parser *m, uint32_t *nargs)
{
    *nargs = 0;
    if (parse_want(m->p, "(", "behind the function") == -1)
        return -1;
    while (!parse_take(m->p, ")")) {
        if (parse_expr(m, 1) == -1)
            return -1;
        ++*nargs;
        if (!parse_take(m->p, ",") && !parse_at(m->p, ")"))
            return parse_unexpected(m->p, "an operator, ',' or ')'");
    }
    return 0;
}

static int
fail_count(struct parser *p, uint32_t pos, const struct math_function *f)
{
    if (f->max_args == 0)
        return parse_fail(p, pos, "%s() takes no arguments", f->name);
    if (f->max_args == 1)
        return parse_fail(p, pos, "%s() takes one argument", f->name);
    return parse_fail(p, pos, "%s() takes %s arguments", f->name,
        f->min_args == 1 ? "one or two" : "two or more");
}

static int
parse_call(struct math_parser *m)
{
    uint32_t pos = lexer_pos(&m->p->lex), first = m->expr->n, nargs;
    struct sv word = m->p->lex.token.raw;
    const struct math_function *function = math_function_find(word);
    struct math_node *node;

    if (function == NULL) {
        struct sv near = math_function_near(word);

        if (near.len == 0)
            return parse_fail(m->p, pos, "unknown math function '%s'",
                parse_show(word).text);
        return parse_fail(m->p, pos,
            "unknown math function '%s'; did you mean '%.*s'?",
            parse_show(word).text, SV_ARG(near));
    }
    lexer_next(&m->p->lex);
    if (parse_args(m, &nargs) == -1)
        return -1;
    if (nargs < function->min_args || nargs > function->max_args)
        return fail_count(m->p, pos, function);
    node = add_node(m, MATH_CALL, first);
    if (node == NULL)
        return -1;
    node->function = function;
    node->nargs = nargs;
    m->spec->is_pure &= function->is_pure;
    return 0;
}

static bool
at_call(const struct parser *p)
{
    struct parser next = *p;

    lexer_next(&next.lex);
    return p->lex.token.kind == TOKEN_WORD && parse_at(&next, "(") &&
        !math_is_reserved(p->lex.token.raw);
}

static int
parse_unary(struct math_parser *m)
{
    uint32_t first = m->expr->n;

    if (at_call(m->p)) {
        if (parse_enter(m->p) == -1 || parse_call(m) == -1)
            return -1;
    } else if (parse_take(m->p, "-")) {
        if (parse_enter(m->p) == -1 || parse_unary(m) == -1 ||
            add_node(m, MATH_NEGATE, first) == NULL)
            return -1;
    } else if (parse_take(m->p, "(")) {
        if (parse_enter(m->p) == -1 || parse_expr(m, 1) == -1)
            return -1;
        if (!parse_take(m->p, ")"))
            return parse_unexpected(m->p, "an operator or ')'");
    } else {
        return parse_operand(m);
    }
    parse_leave(m->p);
    return 0;
}

/* Operators of this level and the tighter ones. */
static int
parse_expr(struct math_parser *m, unsigned level)
{
    uint32_t first = m->expr->n;

    if (parse_unary(m) == -1)
        return -1;
    for (;;) {
        enum math_op op = math_op_at(m->p);
        unsigned its = math_level(op);

        if (op == MATH_NUMBER || its < level)
            return 0;
        lexer_next(&m->p->lex);
        if (parse_expr(m, its + 1) == -1 ||
            add_node(m, op, first) == NULL)
            return -1;
    }
}

/* --- the list --- */

static int
parse_result(struct math_parser *m)
{
    struct parser *p = m->p;
    struct math_expr *expr = m->expr;
    struct sb sb;

    if (parse_take(p, "as"))
        return parse_name(p, &expr->result, STOP_NAME);
    if (!parse_at_end(p) && !parse_at(p, ","))
        return p->lex.token.kind == TOKEN_SIGN
            ? parse_unexpected(p, "an operator, ',' or the result's name")
            : parse_name(p, &expr->result, STOP_NAME);
    sb_init(&sb, PARSE_TEXT_MAX);
    math_print(&sb, expr);
    return parse_keep(p, &sb, &expr->result);
}

/* What a slot was seen as so far. */
enum { SLOT_SOURCE = 1, SLOT_MADE = 2 };

/* Fields of this expression that are read and were not made before. */
static void
list_sources(struct math_spec *spec, const struct math_expr *expr,
    uint8_t *seen)
{
    for (uint32_t i = 0; i < expr->n; i++) {
        uint32_t slot = expr->nodes[i].slot;

        if (expr->nodes[i].op != MATH_FIELD || seen[slot] != 0)
            continue;
        seen[slot] = SLOT_SOURCE;
        spec->sources[spec->nsources] = spec->names[slot];
        spec->source_slots[spec->nsources++] = slot;
    }
}

static int
list_fields(struct parser *p, struct math_spec *spec)
{
    size_t n = spec->nnames;
    uint8_t seen[MATH_FIELDS_MAX] = {0};

    spec->sources = pool_zalloc(p->pool, n * sizeof(*spec->sources));
    spec->source_slots = pool_zalloc(p->pool, n * sizeof(uint32_t));
    spec->targets = pool_zalloc(p->pool, n * sizeof(*spec->targets));
    spec->target_slots = pool_zalloc(p->pool, n * sizeof(uint32_t));
    if (spec->sources == NULL || spec->source_slots == NULL ||
        spec->targets == NULL || spec->target_slots == NULL)
        return parse_no_memory(p);
    for (uint32_t i = 0; i < spec->nexprs; i++) {
        uint32_t slot = spec->exprs[i].slot;

        list_sources(spec, &spec->exprs[i], seen);
        if (seen[slot] & SLOT_MADE)
            continue;
        seen[slot] |= SLOT_MADE;
        spec->targets[spec->ntargets] = spec->names[slot];
        spec->target_slots[spec->ntargets++] = slot;
    }
    return 0;
}

int
math_parse(struct parser *p, struct math_spec *spec)
{
    struct math_parser m = {p, spec, NULL};
    uint32_t cap = 0;

    spec->is_pure = true;
    do {
        spec->exprs = parse_grow(p, spec->exprs, spec->nexprs, &cap,
            sizeof(*spec->exprs));
        if (spec->exprs == NULL)
            return -1;
        m.expr = &spec->exprs[spec->nexprs++];
        if (parse_expr(&m, 1) == -1 || parse_result(&m) == -1 ||
            find_slot(p, spec, m.expr->result, &m.expr->slot) == -1)
            return -1;
    } while (parse_take(p, ","));
    return list_fields(p, spec);
}
