/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/math.h"

static const struct {
    enum math_op op;
    unsigned level;
    const char *text;
} operators[] = {
    {MATH_POWER, 7, "^"},
    {MATH_MULTIPLY, 6, "*"},
    {MATH_DIVIDE, 6, "/"},
    {MATH_REMAINDER, 6, "%"},
    {MATH_ADD, 5, "+"},
    {MATH_SUBTRACT, 5, "-"},
    {MATH_AND, 4, "&"},
    {MATH_XOR, 3, "xor"},
    {MATH_OR, 2, "or"},
    {MATH_DEFAULT, 1, "default"},
};

unsigned
math_level(enum math_op op)
{
    for (size_t i = 0; i < ARRAY_LEN(operators); i++) {
        if (operators[i].op == op)
            return operators[i].level;
    }
    return 8;
}

const char *
math_op_text(enum math_op op)
{
    for (size_t i = 0; i < ARRAY_LEN(operators); i++) {
        if (operators[i].op == op)
            return operators[i].text;
    }
    return "";
}

enum math_op
math_op_at(const struct parser *p)
{
    for (size_t i = 0; i < ARRAY_LEN(operators); i++) {
        if (parse_at(p, operators[i].text))
            return operators[i].op;
    }
    return MATH_NUMBER;
}

bool
math_is_reserved(struct sv word)
{
    return sv_eq_nocase(word, SV("xor")) || sv_eq_nocase(word, SV("or")) ||
        sv_eq_nocase(word, SV("default")) || sv_eq_nocase(word, SV("as"));
}

static void
print_operand(struct sb *out, struct sv text)
{
    if (math_is_reserved(text))
        print_quoted(out, text);
    else
        print_word(out, text);
}

static void print_node(struct sb *out, const struct math_expr *expr,
    uint32_t i);

/* With parentheses where without them it would be another's operand. */
static void
print_side(struct sb *out, const struct math_expr *expr, uint32_t i,
    unsigned level)
{
    bool has_parens = math_level(expr->nodes[i].op) < level;

    if (has_parens)
        sb_add_char(out, '(');
    print_node(out, expr, i);
    if (has_parens)
        sb_add_char(out, ')');
}

static void
print_call(struct sb *out, const struct math_expr *expr, uint32_t i)
{
    uint32_t args[MATH_NODES_MAX];
    uint32_t arg = i;

    /* The last argument ends in front of the call, and so on. */
    for (uint32_t k = expr->nodes[i].nargs; k-- > 0;) {
        args[k] = arg - 1;
        arg = expr->nodes[arg - 1].first;
    }
    sb_add_str(out, expr->nodes[i].function->name);
    sb_add_char(out, '(');
    for (uint32_t k = 0; k < expr->nodes[i].nargs; k++) {
        if (k > 0)
            sb_add_str(out, ", ");
        print_node(out, expr, args[k]);
    }
    sb_add_char(out, ')');
}

static void
print_node(struct sb *out, const struct math_expr *expr, uint32_t i)
{
    const struct math_node *node = &expr->nodes[i];
    unsigned level = math_level(node->op);

    switch (node->op) {
    case MATH_NUMBER:
    case MATH_FIELD:
        print_operand(out, node->text);
        break;
    case MATH_NEGATE:
        sb_add_char(out, '-');
        print_side(out, expr, i - 1, level);
        break;
    case MATH_CALL:
        print_call(out, expr, i);
        break;
    default:
        print_side(out, expr, expr->nodes[i - 1].first - 1, level);
        sb_addf(out, " %s ", math_op_text(node->op));
        print_side(out, expr, i - 1, level + 1);
    }
}

void
math_print(struct sb *out, const struct math_expr *expr)
{
    print_node(out, expr, expr->n - 1);
}
