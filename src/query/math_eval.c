/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/math.h"

#include <math.h>

#include "core/conf_near.h"
#include "core/num.h"
#include "core/sys.h"
#include "core/timefmt.h"

/* --- functions --- */

static double
compute_abs(const double *args, UNUSED uint32_t n)
{
    return fabs(args[0]);
}

static double
compute_ceil(const double *args, UNUSED uint32_t n)
{
    return ceil(args[0]);
}

static double
compute_exp(const double *args, UNUSED uint32_t n)
{
    return exp(args[0]);
}

static double
compute_floor(const double *args, UNUSED uint32_t n)
{
    return floor(args[0]);
}

static double
compute_ln(const double *args, UNUSED uint32_t n)
{
    /* The sign of log(-1)'s NaN is the machine's. */
    return args[0] < 0 ? NAN : log(args[0]);
}

/* What is no number does not count, unless nothing else is there. */
static double
compute_max(const double *args, uint32_t n)
{
    double result = NAN;

    for (uint32_t i = 0; i < n; i++) {
        if (isnan(result) || args[i] > result)
            result = args[i];
    }
    return result;
}

static double
compute_min(const double *args, uint32_t n)
{
    double result = NAN;

    for (uint32_t i = 0; i < n; i++) {
        if (isnan(result) || args[i] < result)
            result = args[i];
    }
    return result;
}

static double
compute_now(UNUSED const double *args, UNUSED uint32_t n)
{
    return (double)clock_wall_ns();
}

/*
 * splitmix64 with a seed of its own: who sees many results learns its state,
 * and it must not be a secret of something else.
 */
static double
compute_rand(UNUSED const double *args, UNUSED uint32_t n)
{
    static _Atomic uint64_t state;
    uint64_t fresh, none = 0, x;

    if (atomic_load_explicit(&state, memory_order_relaxed) == 0) {
        if (sys.random(&fresh, sizeof(fresh)) != 0)
            fresh = (uint64_t)clock_wall_ns();
        atomic_compare_exchange_strong(&state, &none, fresh | 1);
    }
    x = atomic_fetch_add(&state, UINT64_C(0x9e3779b97f4a7c15));
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return (double)((x ^ x >> 31) >> 11) * 0x1p-53;
}

/* Decimals of the shortest text: 2 for 0.25. */
static int
count_decimals(double v)
{
    char text[NUM_DOUBLE_MAX];
    size_t len = num_print_double(text, v);
    const char *dot = memchr(text, '.', len);

    return dot == NULL ? 0 : (int)(text + len - dot - 1);
}

/*
 * The multiple of step that x plus half a step lies behind.  3.75 and 0.1
 * make 3.7, since 3.8 is a bit less than 38 times the double that 0.1 is.
 * The sum of many steps has the step's decimals again.
 */
static double
round_to_step(double x, double step)
{
    double result, scale;
    int decimals;

    step = fabs(step);
    if (isinf(x))
        return x;
    result = x + copysign(step / 2, x);
    result -= fmod(result, step);
    decimals = count_decimals(step);
    if (isnan(result) || decimals == 0 || decimals > 15)
        return result;
    scale = pow(10, decimals);
    if (fabs(result) >= 0x1p53 / scale)
        return result;
    return round(result * scale) / scale;
}

static double
compute_round(const double *args, uint32_t n)
{
    return n == 1 ? round(args[0]) : round_to_step(args[0], args[1]);
}

static const struct math_function functions[] = {
    {"abs", 1, 1, true, compute_abs},
    {"ceil", 1, 1, true, compute_ceil},
    {"exp", 1, 1, true, compute_exp},
    {"floor", 1, 1, true, compute_floor},
    {"ln", 1, 1, true, compute_ln},
    {"max", 2, MATH_NODES_MAX, true, compute_max},
    {"min", 2, MATH_NODES_MAX, true, compute_min},
    {"now", 0, 0, false, compute_now},
    {"rand", 0, 0, false, compute_rand},
    {"round", 1, 2, true, compute_round},
};

const struct math_function *
math_function_find(struct sv word)
{
    for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
        if (sv_eq_nocase(sv_from(functions[i].name), word))
            return &functions[i];
    }
    return NULL;
}

struct sv
math_function_near(struct sv word)
{
    struct conf_near near;

    conf_near_init(&near, word);
    for (size_t i = 0; i < ARRAY_LEN(functions); i++)
        conf_near_offer(&near, sv_from(functions[i].name));
    return near.best.ptr == NULL ? SV_EMPTY : near.best;
}

/* --- operators --- */

static bool
is_whole(double v)
{
    return v == trunc(v) && fabs(v) <= 0x1p63;
}

/* x % 0 is NaN; of whole numbers there is no remainder -0. */
static double
compute_remainder(double a, double b)
{
    double result = fmod(a, b);

    return result == 0 && is_whole(a) && is_whole(b) ? 0 : result;
}

/* Negative ones are those of int64_t; false: no 64 bits hold it. */
static bool
to_bits(double v, uint64_t *out)
{
    if (!(v >= -0x1p63 && v < 0x1p64))
        return false;
    *out = v < 0 ? (uint64_t)(int64_t)v : (uint64_t)v;
    return true;
}

static double
compute_bits(enum math_op op, double a, double b)
{
    uint64_t x, y;

    if (!to_bits(a, &x) || !to_bits(b, &y))
        return NAN;
    if (op == MATH_AND)
        return (double)(x & y);
    return op == MATH_XOR ? (double)(x ^ y) : (double)(x | y);
}

static double
compute(enum math_op op, double a, double b)
{
    switch (op) {
    case MATH_POWER:
        return pow(a, b);
    case MATH_MULTIPLY:
        return a * b;
    case MATH_DIVIDE:
        return a / b;
    case MATH_REMAINDER:
        return compute_remainder(a, b);
    case MATH_ADD:
        return a + b;
    case MATH_SUBTRACT:
        return a - b;
    case MATH_DEFAULT:
        return isnan(a) ? b : a;
    default:
        return compute_bits(op, a, b);
    }
}

double
math_eval(const struct math_expr *expr, const double *slots)
{
    double stack[MATH_NODES_MAX];
    uint32_t n = 0;

    for (uint32_t i = 0; i < expr->n; i++) {
        const struct math_node *node = &expr->nodes[i];

        switch (node->op) {
        case MATH_NUMBER:
            stack[n++] = node->number;
            break;
        case MATH_FIELD:
            stack[n++] = slots[node->slot];
            break;
        case MATH_NEGATE:
            stack[n - 1] = -stack[n - 1];
            break;
        case MATH_CALL:
            n -= node->nargs;
            stack[n] = node->function->compute(stack + n, node->nargs);
            n++;
            break;
        default:
            n--;
            stack[n - 1] = compute(node->op, stack[n - 1], stack[n]);
        }
    }
    return stack[0];
}
