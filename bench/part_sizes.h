/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Where the bytes of parts go, added up over any number of them: by kind of
 * data, by column, by section.
 */

#ifndef SPOOR_BENCH_PART_SIZES_H
#define SPOOR_BENCH_PART_SIZES_H

#include "core/base.h"

#include "core/assert.h"
#include "core/mem.h"
#include "storage/part_read.h"

#define SIZES_COLUMNS_MAX 4096u

enum sizes_group {
    SIZES_IDS, SIZES_TRACES, SIZES_PLACE, SIZES_TIMES, SIZES_SUBS,
    SIZES_NUMBERS, SIZES_CODES, SIZES_FIXED, SIZES_TEMPLATES, SIZES_LENGTHS,
    SIZES_HEAP,
    SIZES_DIRECTORY, SIZES_FILTER, SIZES_INDEX, SIZES_OTHER_SECTIONS,
    SIZES_REST, SIZES_GROUPS,
};

static const char *const sizes_group_names[SIZES_GROUPS] = {
    "span ids", "trace table", "runs, trace, parent, ...",
    "start and duration", "events and links", "numbers", "string codes",
    "uuids, hex, fixed strings", "numbers of templates",
    "lengths and marks", "strings, zstd",
    "block directories", "filter", "trace index", "other sections",
    "footer and gaps",
};

/* One column over all parts. */
struct sizes_column {
    char name[96];
    uint64_t values;  /* of the rows */
    uint64_t strings; /* in dictionaries, of all blocks */
    double codes;     /* bytes of values, or of codes */
    double dict;      /* of lengths, marks, fixed strings, templates */
    double heap;      /* its share of the compressed pages */
    double raw;       /* and what stands in them */
    uint64_t chunks;
    uint64_t vectors[64]; /* by encoding */
};

struct sizes {
    uint64_t rows, parts, blocks, traces, bytes, runs, vectors, chunks;
    double groups[SIZES_GROUPS];
    double sections[PART_SECTIONS_MAX];
    double heap_raw;
    struct sizes_column *columns;
    uint32_t ncolumns;
};

static const char *const sizes_core_names[PART_COLUMNS_CORE] = {
    [PART_RUN_STREAM] = "run stream", [PART_RUN_SHAPE] = "run shape",
    [PART_RUN_ROWS] = "run rows", [PART_TRACE_TENANT] = "trace tenant",
    [PART_TRACE_HI] = "trace id, high", [PART_TRACE_LO] = "trace id, low",
    [PART_TRACE_START] = "trace start", [PART_ROW_TRACE] = "row trace",
    [PART_ROW_PARENT] = "row parent", [PART_PARENT_MARK] = "parent mark",
    [PART_PARENT_RAW] = "parent, raw id", [PART_ROW_ID] = "span id",
    [PART_ROW_START] = "row start", [PART_ROW_DURATION] = "row duration",
    [PART_ROW_RESOURCE] = "row resource", [PART_ROW_STATUS] = "row status",
    [PART_EVENT_RUN_SHAPE] = "event run shape",
    [PART_EVENT_RUN_ROWS] = "event run rows",
    [PART_EVENT_ROW] = "event row", [PART_EVENT_TIME] = "event time",
    [PART_EVENT_NAME] = "event name",
    [PART_LINK_RUN_SHAPE] = "link run shape",
    [PART_LINK_RUN_ROWS] = "link run rows", [PART_LINK_ROW] = "link row",
    [PART_LINK_TRACE] = "link trace", [PART_LINK_SPAN] = "link span",
    [PART_LINK_TRACE_CODE] = "link trace code",
    [PART_LINK_SPAN_CODE] = "link span code",
    [PART_FILTER_BITS] = "filter bits", [PART_FILTER_KEYS] = "filter keys",
};

static const char *const sizes_section_names[PART_SECTION_TYPES] = {
    [PART_SECTION_BLOCKS] = "blocks", [PART_SECTION_LINEAGE] = "lineage",
    [PART_SECTION_STRINGS] = "strings", [PART_SECTION_TENANTS] = "tenants",
    [PART_SECTION_KEYS] = "keys", [PART_SECTION_SHAPES] = "shapes",
    [PART_SECTION_SCOPES] = "scopes",
    [PART_SECTION_RESOURCES] = "resources",
    [PART_SECTION_STREAMS] = "streams", [PART_SECTION_TRACES] = "traces",
    [PART_SECTION_VALUES] = "values", [PART_SECTION_CELLS] = "cells",
    [PART_SECTION_EDGES] = "edges",
};

/* --- columns by name --- */

static inline void
sizes_name(const struct part *part, uint32_t column, char *dst, size_t size)
{
    static const char *const types[VALUE_TYPES] = {"empty", "string", "bool",
        "int", "double", "bytes", "array", "kvlist"};
    static const char *const scopes[] = {"span", "resource", "scope",
        "event", "link", "field"};
    const struct part_key *key;

    if (column < PART_COLUMNS_CORE) {
        snprintf(dst, size, "(%s)", sizes_core_names[column] == NULL ? "core"
            : sizes_core_names[column]);
        return;
    }
    check(column - PART_COLUMNS_CORE < part->nkeys);
    key = &part->keys[column - PART_COLUMNS_CORE];
    if (key->is_field)
        snprintf(dst, size, "field %u, %s", key->field, types[key->type]);
    else
        snprintf(dst, size, "%s:%.*s, %s", key->scope < ARRAY_LEN(scopes)
            ? scopes[key->scope] : "?", SV_ARG(key->name),
            types[key->type]);
}

static inline struct sizes_column *
sizes_column(struct sizes *sizes, const struct part *part, uint32_t column)
{
    char name[sizeof(sizes->columns->name)];

    sizes_name(part, column, name, sizeof(name));
    if (sizes->columns == NULL)
        sizes->columns = xcalloc(SIZES_COLUMNS_MAX, sizeof(*sizes->columns));
    for (uint32_t i = 0; i < sizes->ncolumns; i++) {
        if (strcmp(sizes->columns[i].name, name) == 0)
            return &sizes->columns[i];
    }
    check(sizes->ncolumns < SIZES_COLUMNS_MAX);
    memcpy(sizes->columns[sizes->ncolumns].name, name, sizeof(name));
    return &sizes->columns[sizes->ncolumns++];
}

static inline double
sizes_vector_bytes(const struct part_directory *dir,
    const struct part_vector *vector)
{
    double bytes = 0;

    if (vector->encoding == PART_INLINE) /* in the directory */
        return 0;
    for (uint32_t i = 0; i < vector->nchunks; i++)
        bytes += dir->chunks[vector->first_chunk + i].len;
    return bytes;
}

static inline enum sizes_group
sizes_group_of(const struct part *part, const struct part_vector *vector)
{
    uint32_t column = vector->id / PART_ROLES;
    uint32_t role = vector->id % PART_ROLES;

    if (role >= PART_ROLE_TEMPLATE)
        return SIZES_TEMPLATES;
    if (role != PART_ROLE_VALUES)
        return role == PART_ROLE_FIXED ? SIZES_FIXED : SIZES_LENGTHS;
    if (column == PART_ROW_ID)
        return SIZES_IDS;
    if (column == PART_ROW_START || column == PART_ROW_DURATION)
        return SIZES_TIMES;
    if (column >= PART_TRACE_TENANT && column <= PART_TRACE_START)
        return SIZES_TRACES;
    if (column < PART_EVENT_RUN_SHAPE)
        return SIZES_PLACE;
    if (column == PART_FILTER_BITS || column == PART_FILTER_KEYS)
        return SIZES_FILTER;
    if (column < PART_COLUMNS_CORE)
        return SIZES_SUBS;
    return part->keys[column - PART_COLUMNS_CORE].type == VALUE_STRING ?
        SIZES_CODES : SIZES_NUMBERS;
}

/* --- the heap: a page's bytes go to those whose strings are in it --- */

struct sizes_heap {
    struct sizes *sizes;
    struct reading *r;
    double *raw; /* [page][column of the sizes] */
};

static inline void
sizes_spread(struct sizes_heap *heap, uint32_t column, uint64_t off,
    uint64_t len)
{
    while (len > 0) {
        uint64_t page = off / heap->r->dir->page_bytes;
        uint64_t n = MIN(len, (page + 1) * heap->r->dir->page_bytes - off);

        check(page < heap->r->dir->npages);
        heap->raw[page * SIZES_COLUMNS_MAX + column] += (double)n;
        off += n;
        len -= n;
    }
}

static inline void
sizes_strings(struct sizes_heap *heap, const struct part_vector *lengths)
{
    const struct part_vector *marks = directory_find(heap->r->dir,
        lengths->id / PART_ROLES, PART_ROLE_MARK);
    uint64_t *len = xcalloc(lengths->count, sizeof(*len));
    uint64_t *mark, at = 0;
    uint32_t column = (uint32_t)(sizes_column(heap->sizes, heap->r->part,
        lengths->id / PART_ROLES) - heap->sizes->columns);

    check(marks != NULL);
    mark = xcalloc(marks->count, sizeof(*mark));
    check(vector_decode(heap->r, lengths, 0, lengths->count, len) == 0);
    check(vector_decode(heap->r, marks, 0, marks->count, mark) == 0);
    for (uint32_t i = 0; i < lengths->count; i++) {
        if (marks->count == lengths->count)
            at = mark[i];
        else if (i % PART_MARK == 0)
            at = mark[i / PART_MARK];
        sizes_spread(heap, column, at, len[i]);
        at += len[i];
    }
    xfree(len);
    xfree(mark);
}

static inline void
sizes_heap(struct sizes *sizes, struct reading *r)
{
    struct sizes_heap heap = {sizes, r, NULL};

    heap.raw = xcalloc((size_t)r->dir->npages * SIZES_COLUMNS_MAX + 1,
        sizeof(*heap.raw));
    for (uint32_t i = 0; i < r->dir->nvectors; i++) {
        if (r->dir->vectors[i].id % PART_ROLES == PART_ROLE_LENGTH)
            sizes_strings(&heap, &r->dir->vectors[i]);
    }
    for (uint32_t page = 0; page < r->dir->npages; page++) {
        const double *raw = heap.raw + (size_t)page * SIZES_COLUMNS_MAX;
        double bytes = r->dir->pages[page].len != 0 ?
            r->dir->pages[page].len : directory_page_bytes(r->dir, page);
        double sum = 0;

        sizes->groups[SIZES_HEAP] += bytes;
        for (uint32_t i = 0; i < sizes->ncolumns; i++)
            sum += raw[i];
        for (uint32_t i = 0; i < sizes->ncolumns && sum > 0; i++) {
            sizes->columns[i].heap += bytes * raw[i] / sum;
            sizes->columns[i].raw += raw[i];
        }
    }
    sizes->heap_raw += (double)r->dir->heap_bytes;
    xfree(heap.raw);
}

/* --- adding --- */

static inline void
sizes_add_block(struct sizes *sizes, struct part *part, uint32_t number)
{
    struct reading r;
    struct err err = ERR_INIT;

    check(reading_open(&r, part, number, &err) == 0);
    for (uint32_t i = 0; i < r.dir->nvectors; i++) {
        const struct part_vector *vector = &r.dir->vectors[i];
        uint32_t role = vector->id % PART_ROLES;
        double bytes = sizes_vector_bytes(r.dir, vector);
        struct sizes_column *column = sizes_column(sizes, part,
            vector->id / PART_ROLES);

        sizes->groups[sizes_group_of(part, vector)] += bytes;
        column->chunks += vector->nchunks;
        if (role == PART_ROLE_VALUES) {
            column->codes += bytes;
            column->values += vector->count;
            column->vectors[vector->encoding & 63]++;
        } else {
            column->dict += bytes;
            if (role == PART_ROLE_FIXED || role == PART_ROLE_TEMPLATE ||
                (role == PART_ROLE_LENGTH && !dictionary_has_templates(&r,
                vector->id / PART_ROLES)))
                column->strings += vector->count;
        }
    }
    sizes_heap(sizes, &r);
    sizes->groups[SIZES_DIRECTORY] += (double)r.block->dir_len;
    sizes->vectors += r.dir->nvectors;
    sizes->chunks += r.dir->nchunks + r.dir->npages;
    sizes->runs += r.block->runs;
    sizes->traces += r.block->traces;
    sizes->blocks++;
    reading_release(&r);
}

static inline void
sizes_add(struct sizes *sizes, struct part *part)
{
    double sum = 0;

    for (uint32_t i = 0; i < part->footer.nblocks; i++)
        sizes_add_block(sizes, part, i);
    for (unsigned i = 0; i < part->footer.nsections; i++) {
        const struct part_section *section = &part->footer.sections[i];

        sizes->groups[section->type == PART_SECTION_TRACES ? SIZES_INDEX
            : SIZES_OTHER_SECTIONS] += (double)section->len;
        if (section->type < PART_SECTIONS_MAX)
            sizes->sections[section->type] += (double)section->len;
    }
    sizes->parts++;
    sizes->rows += part->info.rows;
    sizes->bytes += part->info.bytes;
    sizes->groups[SIZES_REST] = 0;
    for (unsigned i = 0; i < SIZES_GROUPS; i++)
        sum += sizes->groups[i];
    sizes->groups[SIZES_REST] = (double)sizes->bytes - sum;
}

/* --- printing --- */

static inline void
sizes_print_groups(const struct sizes *sizes)
{
    double rows = (double)sizes->rows;

    printf("bytes a span\n");
    for (unsigned i = 0; i < SIZES_GROUPS; i++)
        printf("  %-26s %8.3f\n", sizes_group_names[i],
            sizes->groups[i] / rows);
    printf("  %-26s %8.3f\n", "all", (double)sizes->bytes / rows);
    printf("  %llu parts, %llu blocks of %.0f rows, %.1f rows of a trace in a "
        "block; of a block: %.0f runs, %.0f vectors, %.0f chunks, heap %.0f "
        "bytes raw\n", (unsigned long long)sizes->parts,
        (unsigned long long)sizes->blocks, rows / (double)sizes->blocks,
        rows / (double)sizes->traces,
        (double)sizes->runs / (double)sizes->blocks,
        (double)sizes->vectors / (double)sizes->blocks,
        (double)sizes->chunks / (double)sizes->blocks,
        sizes->heap_raw / (double)sizes->blocks);
    printf("sections, bytes a span\n");
    for (unsigned i = 0; i < PART_SECTIONS_MAX; i++) {
        if (sizes->sections[i] > 0)
            printf("  %-26s %8.3f\n", i < PART_SECTION_TYPES
                ? sizes_section_names[i] : "newer",
                sizes->sections[i] / rows);
    }
}

static inline double
sizes_column_bytes(const struct sizes_column *column)
{
    return column->codes + column->dict + column->heap;
}

static inline int
sizes_compare(const void *a, const void *b)
{
    double x = sizes_column_bytes(a), y = sizes_column_bytes(b);

    return x > y ? -1 : x < y;
}

static inline void
sizes_print_encodings(const struct sizes_column *column)
{
    static const struct { enum part_encoding encoding; const char *name; }
        names[] = {{PART_CONST, "const"}, {PART_INLINE, "inline"},
            {PART_PACKED, "packed"}, {PART_RAW, "raw"}, {PART_UUID, "uuid"},
            {PART_HEX, "hex"}};
    const char *comma = "";

    for (unsigned i = 0; i < 64; i++) {
        const char *name = "newer";

        if (column->vectors[i] == 0)
            continue;
        for (unsigned k = 0; k < ARRAY_LEN(names); k++) {
            if ((unsigned)names[k].encoding == i)
                name = names[k].name;
        }
        printf("%s%s %llu", comma, name,
            (unsigned long long)column->vectors[i]);
        comma = ", ";
    }
    printf("\n");
}

/*
 * The columns that cost most.  has: values a span; bits: of a value or code;
 * uniq: strings in the dictionaries for 100 values.
 */
static inline void
sizes_print_columns(struct sizes *sizes, double least)
{
    double rows = (double)sizes->rows;

    qsort(sizes->columns, sizes->ncolumns, sizeof(*sizes->columns),
        sizes_compare);
    printf("%-44s %7s %7s %7s %7s | %6s %6s %6s %7s  %s\n",
        "columns, bytes a span", "all", "values", "dict", "heap", "has",
        "bits", "uniq%", "raw/str", "vectors");
    for (uint32_t i = 0; i < sizes->ncolumns; i++) {
        const struct sizes_column *c = &sizes->columns[i];
        double values = (double)MAX(c->values, 1u);

        if (sizes_column_bytes(c) / rows < least)
            continue;
        printf("%-44.44s %7.3f %7.3f %7.3f %7.3f | %6.3f %6.2f %6.1f %7.1f  ",
            c->name, sizes_column_bytes(c) / rows, c->codes / rows,
            c->dict / rows, c->heap / rows, (double)c->values / rows,
            8 * c->codes / values, 100 * (double)c->strings / values,
            c->raw / (double)MAX(c->strings, 1u));
        sizes_print_encodings(c);
    }
}

static inline void
sizes_release(struct sizes *sizes)
{
    xfree(sizes->columns);
    memset(sizes, 0, sizeof(*sizes));
}

#endif
