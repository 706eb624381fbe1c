/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Merging parts without the server around it: part_merge FILE... merges these
 * part files of one day (a copy of a partition, say) into one and prints CPU
 * nanoseconds a span, peak memory, and bytes a span before and after.
 */

#include "core/base.h"

#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "core/mem.h"
#include "storage/merge.h"
#include "storage/part_read_cache.h"

/* As the merge process has it. */
#define CACHE_BYTES (8 * MIB)

static int64_t
cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * NS_PER_SEC + t.tv_nsec;
}

static long
peak_kib(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

int
main(int argc, char **argv)
{
    struct part **inputs = xcalloc((size_t)argc, sizeof(struct part *));
    const char *tmp = getenv("TMPDIR");
    struct merge_counts counts;
    struct part_info info;
    struct err err = ERR_INIT;
    uint64_t bytes = 0;
    char path[PATH_MAX];
    int64_t start;
    struct merge_task task = {inputs, 0, UINT64_C(0x7fffff0000000001),
        (const uint8_t *)"0123456789abcde", path, false, NULL};

    snprintf(path, sizeof(path), "%s/spoor-part-merge-%d.l2",
        tmp == NULL ? "/tmp" : tmp, (int)getpid());
    data_cache_set_budget(CACHE_BYTES);
    for (int i = 1; i < argc; i++) {
        if (part_open(&inputs[task.ninputs], argv[i], &err) != 0) {
            fprintf(stderr, "part_merge: %s\n", err.text);
            return 1;
        }
        bytes += part_get_info(inputs[task.ninputs++])->bytes;
    }
    if (task.ninputs == 0) {
        printf("usage: part_merge FILE...\n");
        return 0;
    }
    start = cpu_ns();
    if (merge_parts(&task, &info, &counts, NULL, &err) != 0) {
        fprintf(stderr, "part_merge: %s\n", err.text);
        return 1;
    }
    printf("parts %zu, rows %llu -> %llu, blocks %u\n", task.ninputs,
        (unsigned long long)counts.rows_in,
        (unsigned long long)counts.rows_out, info.nblocks);
    printf("cpu       %8.1f ns/span\n",
        (double)(cpu_ns() - start) / (double)counts.rows_in);
    printf("peak RSS  %8.1f MiB\n", (double)peak_kib() / 1024);
    printf("bytes     %8.2f a span, before %.2f\n",
        (double)info.bytes / (double)info.rows,
        (double)bytes / (double)counts.rows_in);
    if (getenv("KEEP") == NULL)
        unlink(path);
    else
        printf("kept      %s\n", path);
    return 0;
}
