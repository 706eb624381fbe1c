/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A front gives the answers of one store (see t/unit/split.c) to every query
 * at hand: those of the conformance suite, of the checklist, the examples of
 * the tables, the seeds of the fuzzers; each with its filter and without.
 * Where the language leaves a choice (rows of a limit, any value), only the
 * number of rows is compared, or nothing.
 */

#include "core/base.h"

#include <glob.h>

#include "tap.h"

#include "core/conf.h"
#include "core/file.h"
#include "query/pipe_type.h"
#include "split_site.h"
#include "store_dir.h"
#include "storage/store.h"

#define FILE_MAX (64 * KIB)
#define CASES_MAX 4000u
#define REPORTS_MAX 8u

static struct {
    struct question question;
    enum compare compare;
    struct answer want;
} cases[CASES_MAX];
static uint32_t ncases;
static struct pool *texts;
static uint64_t ncompared[COMPARE_NOT + 1], ndifferent, nfailed, nempty;

/* --- what is settled --- */

static bool
is_named(const struct pipe *pipe, const char *names)
{
    struct sv rest = sv_from(names), name;

    while (sv_split(&rest, ' ', &name)) {
        if (sv_eq(name, sv_from(pipe->type->name)))
            return true;
    }
    return false;
}

static bool
has_any(const struct stats_spec *stats)
{
    for (uint32_t i = 0; i < stats->nfns; i++) {
        struct sv name = stats->fns[i].name;
        static const char *const any[] = {"any", "row_any", "row_max",
            "row_min", "field_max", "field_min", "values", "json_values",
            "stddev"};

        for (size_t k = 0; k < ARRAY_LEN(any); k++) {
            if (sv_eq(name, sv_from(any[k])))
                return true;
        }
        if (stats->fns[i].limit > 0)
            return true;
    }
    return false;
}

/* Rows are chosen that could be others. */
static bool
picks(const struct pipe *pipe)
{
    if (pipe->sort != NULL)
        return pipe->sort->limit > 0 || pipe->sort->offset > 0 ||
            pipe->sort->rank.len > 0;
    return is_named(pipe, "limit offset") ||
        (is_named(pipe, "uniq field_values") && pipe->n > 0) ||
        (pipe->stats != NULL && has_any(pipe->stats));
}

static enum compare
pipe_compare(const struct pipe *pipe, enum compare before)
{
    if (is_named(pipe, "sample block_stats blocks_count query_stats "
        "running_stats total_stats stream_context") || before == COMPARE_NOT)
        return COMPARE_NOT;
    if (pipe->subquery != NULL) {
        for (const struct pipe *inner = pipe->subquery->pipes; inner != NULL;
            inner = inner->next) {
            if (pipe_compare(inner, COMPARE_SET) != COMPARE_SET)
                return COMPARE_NOT;
        }
    }
    if (before == COMPARE_COUNT)
        return (pipe->type->traits & PIPE_ROW) != 0 &&
            !is_named(pipe, "filter unroll") ? COMPARE_COUNT
            : is_named(pipe, "limit") ? COMPARE_COUNT : COMPARE_NOT;
    return picks(pipe) ? COMPARE_COUNT : COMPARE_SET;
}

static bool
has_text(struct sv text, const char *part)
{
    return memmem(text.ptr, text.len, part, strlen(part)) != NULL;
}

static enum compare
query_compare(const struct query *query, struct sv text)
{
    enum compare compare = COMPARE_SET;

    /* Subqueries in filters, too: what they pick is not looked at. */
    if (has_text(text, "rand") || has_text(text, "now(") ||
        (has_text(text, "in(") && has_text(text, "limit")))
        return COMPARE_NOT;
    for (const struct pipe *pipe = query->pipes; pipe != NULL;
        pipe = pipe->next)
        compare = pipe_compare(pipe, compare);
    return compare;
}

/* --- the cases --- */

static void
case_add(struct sv text)
{
    struct pool *pool = pool_new(256 * MIB);
    struct query *query;

    if (ncases + 2 <= CASES_MAX && text.len < 4096 &&
        query_parse(&query, text, EQUALITY_NOW, pool, NULL) == 0) {
        for (uint32_t i = 0; i < 2; i++) {
            cases[ncases].question = (struct question){
                .text = sv_make(pool_dup(texts, text.ptr, text.len),
                    text.len),
                .tenant = &world_tenants[0], .is_of_all = i > 0};
            cases[ncases++].compare = query_compare(query, text);
        }
    }
    pool_free(pool);
}

/* Lines that begin so. */
static void
cases_of_lines(const char *path, struct sv begin)
{
    struct sb text;
    struct sv rest, line;

    sb_init(&text, MIB);
    if (file_read_all(path, &text, NULL) == 0) {
        rest = sb_sv(&text);
        while (sv_split(&rest, '\n', &line)) {
            if (sv_starts_with(line, begin))
                case_add(sv_sub(line, begin.len, line.len - begin.len));
        }
    }
    sb_release(&text);
}

static void
cases_of_files(const char *pattern, struct sv begin)
{
    struct sb text;
    glob_t files;

    if (glob(pattern, 0, NULL, &files) != 0)
        return;
    sb_init(&text, FILE_MAX);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        if (begin.len > 0) {
            cases_of_lines(files.gl_pathv[i], begin);
            continue;
        }
        sb_reset(&text);
        if (file_read_all(files.gl_pathv[i], &text, NULL) == 0)
            case_add(sb_sv(&text));
    }
    sb_release(&text);
    globfree(&files);
}

static void
cases_make(void)
{
    const char *dir = getenv("SPOOR_CONFORMANCE");
    char pattern[PATH_MAX];

    for (size_t i = 0; i < nfilter_names; i++)
        case_add(sv_from(filter_names[i].example));
    for (size_t i = 0; i < npipe_types; i++) {
        if (pipe_types[i].ops != NULL)
            case_add(sv_from(pipe_types[i].example));
    }
    for (size_t i = 0; i < nfunction_names; i++)
        case_add(sv_from(function_names[i].example));
    cases_of_lines("t/data/checklist", SV("ask: "));
    cases_of_files("fuzz/corpus/query/*", SV_EMPTY);
    snprintf(pattern, sizeof(pattern), "%s/logsql/*/*.case",
        dir == NULL ? "../shared/conformance" : dir);
    cases_of_files(pattern, SV("arg: query="));
}

/* --- asking --- */

static void
ask(const struct site *front, uint32_t i)
{
    struct answer *want = &cases[i].want, got;
    struct sv text = cases[i].question.text;

    site_answer(&got, &cases[i].question, front);
    answer_sort(&got);
    ncompared[cases[i].compare]++;
    if (!answer_equal(want, &got, cases[i].compare) &&
        ndifferent++ < REPORTS_MAX) {
        fail("%.*s%s", (int)MIN(text.len, 400u), text.ptr,
            cases[i].question.is_of_all ? ", of all spans" : "");
        answer_diff(want, &got);
    }
    answer_free(&got);
}

static void
ask_all(const struct world_spec *spec)
{
    struct world *world = world_new(spec);
    struct site whole = {.world = world, .form = FORM_LEVEL1};

    for (uint32_t i = 0; i < ncases; i++) {
        struct answer *want = &cases[i].want;

        site_answer(want, &cases[i].question, &whole);
        answer_sort(want);
        nempty += want->n == 0;
        nfailed += want->code != ERR_NONE;
    }
    world_free(world);
    for (uint32_t n = 2; n <= SHARES_MAX; n++) {
        struct cluster cluster;

        cluster_make(&cluster, spec, n);
        for (uint32_t i = 0; i < ncases; i++)
            ask(&cluster.fronts[n % FRONTS], i);
        cluster_free(&cluster);
    }
    for (uint32_t i = 0; i < ncases; i++)
        answer_free(&cases[i].want);
}

int
main(void)
{
    struct world_spec spec = {.seed = 11, .nchunks = 2, .nspans = 60,
        .ntenants = 1, .keep_to = UINT32_MAX};
    struct conf conf = {.workers = 2, .user = "", .trace_max_spans = 100000};
    struct err err = ERR_INIT;

    store_dir_make();
    conf.data_path = store_dir;
    if (store_module.init_master(&conf, &err) != 0)
        bail_out(err.text);
    world_parts = part_writer_new();
    world_writer = memtable_writer_new();
    texts = pool_new(64 * MIB);
    cases_make();
    ask_all(&spec);
    diag("%u queries; answers of fronts: %llu compared, %llu by the number "
        "of rows, %llu only asked; %llu empty, %llu errors", ncases,
        (unsigned long long)ncompared[COMPARE_SET],
        (unsigned long long)ncompared[COMPARE_COUNT],
        (unsigned long long)ncompared[COMPARE_NOT],
        (unsigned long long)nempty, (unsigned long long)nfailed);
    is_int(ndifferent, 0, "fronts answer as one store");
    ok(ncompared[COMPARE_SET] > 600, "most answers are settled");
    pool_free(texts);
    memtable_writer_free(world_writer);
    part_writer_free(world_parts);
    return tap_done();
}
