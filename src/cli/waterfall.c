/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "cli/waterfall.h"

#include "cli/text.h"
#include "core/mem.h"
#include "core/timefmt.h"

/* Deeper spans are indented like this one. */
#define INDENT_MAX 12u

#define RED "\033[31m"
#define BOLD "\033[1m"
#define DIM "\033[2m"
#define PLAIN "\033[0m"

struct tree {
    struct view_trace *trace;
    uint32_t *order;  /* spans in the order of lines */
    uint32_t n;
    int64_t start_us;
    int64_t end_us;
    uint32_t errors;
};

/* --- tree --- */

struct id_place {
    struct sv id;
    uint32_t index;
};

static int
place_cmp(const void *left, const void *right)
{
    const struct id_place *a = left, *b = right;
    int order = sv_cmp(a->id, b->id);

    return order != 0 ? order : (a->index > b->index) - (a->index < b->index);
}

static uint32_t
place_find(const struct id_place *places, uint32_t n, struct sv id)
{
    uint32_t low = 0, high = n;

    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (sv_cmp(places[middle].id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && sv_eq(places[low].id, id) ? places[low].index
        : UINT32_MAX;
}

/* Children in the order of their start: spans come sorted from the server. */
static void
link_children(struct view_trace *trace)
{
    struct id_place *places = xmalloc(MAX(trace->nspans, 1u) *
        sizeof(*places));

    for (uint32_t i = 0; i < trace->nspans; i++)
        places[i] = (struct id_place){trace->spans[i].id, i};
    qsort(places, trace->nspans, sizeof(*places), place_cmp);
    for (uint32_t i = trace->nspans; i-- > 0;) {
        struct view_span *span = &trace->spans[i];
        uint32_t parent = span->parent.len == 0 ? UINT32_MAX
            : place_find(places, trace->nspans, span->parent);

        if (parent == UINT32_MAX || parent == i) {
            span->depth = 1; /* a root, or its parent is not here */
            continue;
        }
        span->next_sibling = trace->spans[parent].first_child;
        trace->spans[parent].first_child = i + 1;
    }
    xfree(places);
}

/* Depth first without recursion; a cycle of parents is cut. */
static void
order_spans(struct tree *tree)
{
    struct view_span *spans = tree->trace->spans;
    uint32_t n = tree->trace->nspans;
    uint32_t *stack = xmalloc((n + 1) * sizeof(*stack));
    uint32_t top = 0;

    tree->order = xmalloc((n + 1) * sizeof(*tree->order));
    for (uint32_t root = 0; root < n; root++) {
        if (spans[root].depth != 1)
            continue;
        stack[top++] = root;
        while (top > 0) {
            uint32_t i = stack[--top], first = top;

            tree->order[tree->n++] = i;
            for (uint32_t c = spans[i].first_child; c != 0;
                c = spans[c - 1].next_sibling) {
                spans[c - 1].depth = spans[i].depth + 1;
                stack[top++] = c - 1;
            }
            for (uint32_t a = first, b = top; a + 1 < b; a++) {
                uint32_t swap = stack[a];

                stack[a] = stack[--b];
                stack[b] = swap;
            }
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        if (spans[i].depth == 0) {
            spans[i].depth = 1;
            tree->order[tree->n++] = i;
        }
    }
    xfree(stack);
}

static void
measure(struct tree *tree)
{
    tree->start_us = INT64_MAX;
    tree->end_us = INT64_MIN;
    for (uint32_t i = 0; i < tree->trace->nspans; i++) {
        const struct view_span *span = &tree->trace->spans[i];

        tree->start_us = MIN(tree->start_us, span->start_us);
        tree->end_us = MAX(tree->end_us, span->start_us +
            MAX(span->duration_us, 0));
        tree->errors += span->is_error;
    }
}

/* --- text --- */

static void
add_duration(struct sb *out, int64_t us)
{
    char text[32];
    double v = (double)us;

    if (us < 1000)
        snprintf(text, sizeof(text), "%lldus", (long long)us);
    else if (us < 1000000)
        snprintf(text, sizeof(text), "%.2fms", v / 1e3);
    else
        snprintf(text, sizeof(text), "%.2fs", v / 1e6);
    sb_addf(out, "%9s", text);
}

static void
add_bar(struct sb *out, const struct tree *tree, const struct view_span *span,
    unsigned width)
{
    /* Eighths of a column, so that short spans keep their place. */
    static const char *const left[] = {"\xe2\x96\x88", "\xe2\x96\x89",
        "\xe2\x96\x8a", "\xe2\x96\x8b", "\xe2\x96\x8c", "\xe2\x96\x8d",
        "\xe2\x96\x8e", "\xe2\x96\x8f"};
    double unit = (double)width / (double)MAX(tree->end_us - tree->start_us,
        1);
    int64_t from = (int64_t)((double)(span->start_us - tree->start_us) *
        unit);
    int64_t eighths = (int64_t)((double)MAX(span->duration_us, 0) * unit *
        8);
    bool is_short = eighths == 0;

    from = MIN(MAX(from, 0), (int64_t)width - 1);
    eighths = MIN(eighths, ((int64_t)width - from) * 8);
    for (int64_t i = 0; i < from; i++)
        sb_add_char(out, ' ');
    for (; eighths >= 8; eighths -= 8)
        sb_add_str(out, left[0]);
    if (eighths > 0 || is_short)
        sb_add_str(out, left[8 - MAX(eighths, 1)]);
}

static void
add_line(struct sb *out, const struct tree *tree,
    const struct view_span *span, unsigned width, bool color)
{
    unsigned names = width * 45 / 100, bar = width - names - 12;
    unsigned indent = 2 * MIN(span->depth - 1, INDENT_MAX);
    struct sb label;

    sb_init(&label, 4 * KIB);
    for (unsigned i = 0; i < indent; i++)
        sb_add_char(&label, ' ');
    sb_add_sv(&label, sv_sub(span->service, 0, 200));
    sb_add_str(&label, "  ");
    sb_add_sv(&label, sv_sub(span->name, 0, 500));
    if (color && span->is_error)
        sb_add_str(out, RED);
    text_add_columns(out, sb_sv(&label), names);
    sb_add_char(out, ' ');
    add_duration(out, span->duration_us);
    sb_add_str(out, span->is_error ? " !" : "  ");
    add_bar(out, tree, span, bar);
    if (color && span->is_error)
        sb_add_str(out, PLAIN);
    sb_add_char(out, '\n');
    sb_release(&label);
}

void
waterfall_print(struct sb *out, struct view_trace *trace, unsigned width,
    bool color)
{
    struct tree tree = {.trace = trace};
    char when[32];

    width = MIN(MAX(width, WATERFALL_WIDTH_MIN), WATERFALL_WIDTH_MAX);
    link_children(trace);
    order_spans(&tree);
    measure(&tree);
    when[time_print_rfc3339(when, tree.start_us * 1000, 6)] = '\0';
    sb_addf(out, "%strace %.*s%s  %s  ", color ? BOLD : "",
        SV_ARG(trace->id), color ? PLAIN : "", when);
    add_duration(out, tree.end_us - tree.start_us);
    sb_addf(out, "  %u spans", trace->nspans);
    if (tree.errors != 0)
        sb_addf(out, "  %s%u errors%s", color ? RED : "", tree.errors,
            color ? PLAIN : "");
    sb_add_char(out, '\n');
    for (uint32_t i = 0; i < tree.n; i++)
        add_line(out, &tree, &trace->spans[tree.order[i]], width, color);
    xfree(tree.order);
}
