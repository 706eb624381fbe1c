/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "api/process_metrics.h"

#include <fcntl.h>
#include <unistd.h>

#include "api/admission.h"
#include "core/conf_budget.h"
#include "core/conf_flag.h"
#include "core/metrics.h"
#include "core/timefmt.h"
#include "event/usage.h"
#include "otlp/otlp.h"

#ifndef SPOOR_VERSION
#define SPOOR_VERSION "0"
#endif

/* All flags with their values. */
#define FLAGS_BYTES_MAX (4 * MIB)
/* /proc/pressure/cpu and its like. */
#define PRESSURE_BYTES_MAX 512

static void
sample_app(struct metrics_scrape *scrape, const struct conf *conf)
{
    const struct conf_budget *budget = conf_budget(conf);

    metric_sample(scrape, METRIC_APP_VERSION,
        "version=\"victoria-traces-compatible-spoor-" SPOOR_VERSION
        "\",short_version=\"" SPOOR_VERSION "\"", 1);
    metric_sample(scrape, METRIC_AVAILABLE_MEMORY, NULL,
        (double)budget->memory);
    metric_sample(scrape, METRIC_ALLOWED_MEMORY, NULL,
        (double)budget->allowed);
    metric_sample(scrape, METRIC_AVAILABLE_CPUS, NULL, budget->cpus);
    metric_sample(scrape, METRIC_PROCESS_CPUS, NULL, budget->cpus);
    metric_sample(scrape, METRIC_PROCESS_MEMORY_LIMIT, NULL,
        (double)conf_memory_limit(""));
    metric_sample(scrape, METRIC_CONCURRENT_SELECT_CAPACITY, NULL,
        admission_max(conf));
    metric_sample(scrape, METRIC_CONCURRENT_INSERT_CAPACITY, NULL,
        (double)otlp_concurrent_max(conf) * budget->workers);
}

/* Lines of conf_print_flags(): -name="value", secrets masked. */
static void
sample_flags(struct metrics_scrape *scrape, const struct conf *conf)
{
    struct sb text, labels;
    struct sv rest, line;

    sb_init(&text, FLAGS_BYTES_MAX);
    sb_init(&labels, FLAGS_BYTES_MAX);
    conf_print_flags(conf, &text);
    rest = sb_sv(&text);
    while (sv_split(&rest, '\n', &line)) {
        struct sv name, value = line;

        if (!sv_split(&value, '=', &name) || name.len < 2 || value.len < 2)
            continue;
        name = sv_sub(name, 1, name.len);
        value = sv_sub(value, 1, value.len - 2);
        sb_reset(&labels);
        metric_add_label(&labels, "name", name);
        metric_add_label(&labels, "value", value);
        metric_add_label(&labels, "is_set", conf_flag_is_set(conf, name)
            ? SV("true") : SV("false"));
        if (!sb_failed(&labels))
            metric_sample(scrape, METRIC_FLAG, labels.ptr, 1);
    }
    sb_release(&text);
    sb_release(&labels);
}

static void
sample_totals(struct metrics_scrape *scrape, const uint64_t *totals)
{
    static const struct {
        enum usage_total total;
        enum metric_id id;
    } rows[] = {
        {USAGE_MINOR_FAULTS, METRIC_PROCESS_FAULTS_MINOR},
        {USAGE_MAJOR_FAULTS, METRIC_PROCESS_FAULTS_MAJOR},
        {USAGE_READ_BYTES, METRIC_PROCESS_READ_BYTES},
        {USAGE_WRITE_BYTES, METRIC_PROCESS_WRITE_BYTES},
        {USAGE_READ_CALLS, METRIC_PROCESS_READ_CALLS},
        {USAGE_WRITE_CALLS, METRIC_PROCESS_WRITE_CALLS},
        {USAGE_STORAGE_READ, METRIC_PROCESS_STORAGE_READ},
        {USAGE_STORAGE_WRITTEN, METRIC_PROCESS_STORAGE_WRITTEN},
    };
    double user = (double)totals[USAGE_USER_NS] / 1e9;
    double kernel = (double)totals[USAGE_SYSTEM_NS] / 1e9;

    metric_sample(scrape, METRIC_PROCESS_CPU, NULL, user + kernel);
    metric_sample(scrape, METRIC_PROCESS_CPU_USER, NULL, user);
    metric_sample(scrape, METRIC_PROCESS_CPU_SYSTEM, NULL, kernel);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        metric_sample(scrape, rows[i].id, NULL,
            (double)totals[rows[i].total]);
}

static void
sample_usage(struct metrics_scrape *scrape)
{
    struct usage_sum usage;
    const uint64_t *levels = usage.levels;
    double start;

    if (!usage_read(&usage))
        return;
    start = (double)(usage.start_ns / NS_PER_MS) / 1e3;
    metric_sample(scrape, METRIC_APP_START, NULL, (double)(int64_t)start);
    metric_sample(scrape, METRIC_PROCESS_START, NULL, start);
    metric_sample(scrape, METRIC_APP_UPTIME, NULL,
        (double)(usage.age_ns / NS_PER_SEC));
    sample_totals(scrape, usage.totals);
    metric_sample(scrape, METRIC_PROCESS_RSS, NULL, (double)(
        levels[USAGE_ANON] + levels[USAGE_FILE] + levels[USAGE_SHARED]));
    metric_sample(scrape, METRIC_PROCESS_RSS_ANON, NULL, (double)(
        levels[USAGE_ANON] + levels[USAGE_SHARED]));
    metric_sample(scrape, METRIC_PROCESS_RSS_FILE, NULL,
        (double)levels[USAGE_FILE]);
    metric_sample(scrape, METRIC_PROCESS_RSS_SHARED, NULL,
        (double)levels[USAGE_SHARED]);
    metric_sample(scrape, METRIC_PROCESS_FDS, NULL,
        (double)levels[USAGE_FDS]);
    metric_sample(scrape, METRIC_PROCESS_MAX_FDS, NULL,
        (double)levels[USAGE_MAX_FDS]);
    metric_sample(scrape, METRIC_PROCESS_THREADS, NULL,
        (double)levels[USAGE_THREADS]);
    for (int role = 0; role < ROLE_COUNT; role++) {
        char labels[64];

        snprintf(labels, sizeof(labels), "role=\"%s\"",
            role_name((enum role)role));
        metric_sample(scrape, METRIC_PROCESSES, labels,
            usage.processes[role]);
    }
}

/* --- pressure --- */

/*
 * "some avg10=0.00 avg60=0.00 avg300=0.00 total=12345\nfull ...": the totals
 * in microseconds.
 */
static bool
read_pressure(const char *path, uint64_t *some_us, uint64_t *full_us)
{
    char text[PRESSURE_BYTES_MAX];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    const char *at;
    ssize_t n;

    if (fd < 0)
        return false;
    n = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[MAX(n, 0)] = '\0';
    at = strstr(text, "total=");
    if (at == NULL)
        return false;
    *some_us = strtoull(at + 6, NULL, 10);
    at = strstr(at + 6, "total=");
    *full_us = at == NULL ? 0 : strtoull(at + 6, NULL, 10);
    return true;
}

static void
sample_pressure(struct metrics_scrape *scrape)
{
    static const struct {
        const char *name;
        enum metric_id waiting, stalled;
    } rows[] = {
        {"cpu", METRIC_PRESSURE_CPU_WAITING, METRIC_PRESSURE_CPU_STALLED},
        {"memory", METRIC_PRESSURE_MEMORY_WAITING,
            METRIC_PRESSURE_MEMORY_STALLED},
        {"io", METRIC_PRESSURE_IO_WAITING, METRIC_PRESSURE_IO_STALLED},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t some_us, full_us;
        char path[64];

        /* Inside a container this is its own group. */
        snprintf(path, sizeof(path), "/sys/fs/cgroup/%s.pressure",
            rows[i].name);
        if (!read_pressure(path, &some_us, &full_us)) {
            snprintf(path, sizeof(path), "/proc/pressure/%s", rows[i].name);
            if (!read_pressure(path, &some_us, &full_us))
                continue;
        }
        metric_sample(scrape, rows[i].waiting, NULL, (double)some_us / 1e6);
        metric_sample(scrape, rows[i].stalled, NULL, (double)full_us / 1e6);
    }
}

/* --- caches --- */

static void
sample_caches(struct metrics_scrape *scrape)
{
    uint64_t hits = metric_get(METRIC_RESULT_CACHE_HITS);
    uint64_t misses = metric_get(METRIC_RESULT_CACHE_MISSES);

    metric_sample(scrape, METRIC_CACHE_BYTES, "type=\"results\"",
        (double)(int64_t)metric_get(METRIC_RESULT_CACHE_BYTES));
    metric_sample(scrape, METRIC_CACHE_BYTES, "type=\"parts\"",
        (double)(int64_t)metric_get(METRIC_DATA_CACHE_BYTES));
    metric_sample(scrape, METRIC_CACHE_REQUESTS, "type=\"results\"",
        (double)(hits + misses));
    metric_sample(scrape, METRIC_CACHE_MISSES, "type=\"results\"",
        (double)misses);
}

static void
process_collect(struct metrics_scrape *scrape, void *arg)
{
    const struct process *process = arg;

    sample_app(scrape, process->conf);
    sample_flags(scrape, process->conf);
    sample_usage(scrape);
    sample_pressure(scrape);
    sample_caches(scrape);
}

static int
process_metrics_init(struct process *process, struct err *err)
{
    (void)err;
    if (process->role == ROLE_WORKER)
        metrics_on_collect(process_collect, process);
    return 0;
}

const struct module process_metrics_module = {
    .name = "metrics",
    .init_process = process_metrics_init,
};
