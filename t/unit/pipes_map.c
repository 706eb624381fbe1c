/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Pipes that make fields of the fields of a row, over a small table in
 * columns of random forms and chunks of random size.
 */

#include "core/base.h"
#include "query/pipe.h"

#include "tap.h"

#include "stage_run.h"

static struct sink sink = {.lock = PTHREAD_MUTEX_INITIALIZER};

#define COLUMNS 6

static const char *const cells[][COLUMNS] = {
    /* id, name, kind, num, old, empty */
    {"a", "GET /cart", "2", "12", "x", ""},
    {"b", "GET /cart", "2", "7", "", ""},
    {"c", "SELECT orders", "3", "12", "x", ""},
    {"d", "", "3", "", "y", ""},
    {"e", "GET /pay", "2", "-5", "", ""},
    {"f", "GET /cart", "2", "12", "x", ""},
};

static struct sv table_cells[ARRAY_LEN(cells) * COLUMNS];
static struct table table = {
    .names = {"id", "name", "kind", "num", "old", "empty"},
    .ncolumns = COLUMNS,
    .nrows = ARRAY_LEN(cells),
    .cells = table_cells,
};

static int
line_cmp(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The sorted lines, parted by '\n'. */
static void
gives(const char *query, const char *want)
{
    uint32_t wrong = 0;
    char first[2048] = "";

    for (uint64_t round = 0; round < 20; round++) {
        struct sb got;

        if (run_table(&sink, query, &table, 1 + round % 3, round) != 0) {
            wrong++;
            continue;
        }
        if (sink.n > 0)
            qsort(sink.lines, sink.n, sizeof(char *), line_cmp);
        sb_init(&got, MIB);
        for (uint32_t i = 0; i < sink.n; i++)
            sb_addf(&got, "%s%s", i > 0 ? "\n" : "", sink.lines[i]);
        if (strcmp(got.ptr, want) != 0 && wrong++ == 0)
            snprintf(first, sizeof(first), "%s", got.ptr);
        sb_release(&got);
        sink_reset(&sink);
    }
    if (!ok(wrong == 0, "%s", query))
        diag("wrong in %u of 20 rounds:\n%s\n- want -\n%s", wrong, first,
            want);
}

static void
test_len(void)
{
    gives("* | len(name) as n | fields id, n",
        "id=a n=9\nid=b n=9\nid=c n=13\nid=d n=0\nid=e n=8\nid=f n=9");
    gives("* | len num | fields id, _msg",
        "id=a _msg=2\nid=b _msg=1\nid=c _msg=2\nid=d _msg=0\nid=e _msg=2\n"
        "id=f _msg=2");
    gives("* | len(empty) name | stats by (name) count() n", "name=0 n=6");
    gives("* | len(name) kind | fields id, kind, nothing | limit 0", "");
    gives("* | len(name) as n | filter n:>9 | fields id", "id=c");
    gives("* | hash(name) as h | stats count_uniq(h) u", "u=4");
    gives("* | hash(id) as h | filter id:=a | fields h",
        "h=4157191884664411");
    gives("* | len(name) as n | len(n) as n | stats by (n) count() c",
        "n=1 c=5\nn=2 c=1");
}

int
main(void)
{
    for (uint32_t i = 0; i < ARRAY_LEN(cells); i++) {
        for (uint32_t k = 0; k < COLUMNS; k++)
            table_cells[i * COLUMNS + k] = sv_from(cells[i][k]);
    }
    test_len();
    return tap_done();
}
