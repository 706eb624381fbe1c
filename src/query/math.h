/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Expressions of the pipe "math" (reference 7.5): parsed, printed, computed.
 * An expression is an array of nodes, operands before their operator, so
 * that neither its depth nor its size is a matter of the C stack.
 */

#ifndef SPOOR_QUERY_MATH_H
#define SPOOR_QUERY_MATH_H

#include "core/base.h"
#include "core/sb.h"
#include "core/sv.h"
#include "query/parser.h"

/*
 * Of one expression.  Printing and computing take as many doubles, or so
 * many calls in each other, of stack.
 */
#define MATH_NODES_MAX 1000u
/* Fields that one pipe reads or makes: a double of stack each. */
#define MATH_FIELDS_MAX 1000u

enum math_op {
    MATH_NUMBER,
    MATH_FIELD,
    MATH_NEGATE,
    MATH_POWER,
    MATH_MULTIPLY,
    MATH_DIVIDE,
    MATH_REMAINDER,
    MATH_ADD,
    MATH_SUBTRACT,
    MATH_AND,
    MATH_XOR,
    MATH_OR,
    MATH_DEFAULT,
    MATH_CALL,
};

/* --- math_eval.c --- */

struct math_function {
    const char *name;
    uint32_t min_args;
    uint32_t max_args;
    bool is_pure; /* its result depends on its arguments only */
    double (*compute)(const double *args, uint32_t n);
};

struct math_node {
    enum math_op op;
    uint32_t first;  /* the first node of its operands; itself for a leaf */
    uint32_t nargs;  /* CALL */
    uint32_t slot;   /* FIELD: whose number is slots[slot] */
    double number;   /* NUMBER */
    struct sv text;  /* NUMBER as written; FIELD: its name */
    const struct math_function *function; /* CALL */
};

struct math_expr {
    struct math_node *nodes; /* the last one is the whole */
    uint32_t n;
    uint32_t cap;     /* private to the parser */
    struct sv result; /* the field's name */
    uint32_t slot;    /* where the result goes, too */
};

/* Letters in either case; NULL: none. */
const struct math_function *math_function_find(struct sv word);
struct sv math_function_near(struct sv word);
double math_eval(const struct math_expr *expr, const double *slots);

/* --- math_parse.c, math_print.c --- */

struct math_spec {
    struct math_expr *exprs;
    uint32_t nexprs;
    struct sv *names; /* of slots: fields that are read or made */
    uint32_t nnames;
    uint32_t names_cap; /* private to the parser */
    struct sv *sources; /* read before they are made, if they are at all */
    uint32_t *source_slots;
    uint32_t nsources;
    struct sv *targets; /* each once */
    uint32_t *target_slots;
    uint32_t ntargets;
    bool is_pure;
};

/* "a + 1 [as] b, ..." up to what no expression goes on with. */
int math_parse(struct parser *p, struct math_spec *spec) WARN_UNUSED;
/* Without the result. */
void math_print(struct sb *out, const struct math_expr *expr);
/* 7 for '^' to 1 for "default", which is the loosest; 8: no operator. */
unsigned math_level(enum math_op op);
const char *math_op_text(enum math_op op);
/* The operator of this token; MATH_NUMBER: it is none. */
enum math_op math_op_at(const struct parser *p);
/* "xor" and so on, and "as": names that stand in quotes only. */
bool math_is_reserved(struct sv word);

#endif
