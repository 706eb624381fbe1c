/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/detached.h"

#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/sb.h"
#include "core/timefmt.h"
#include "storage/ballast.h"
#include "storage/layout.h"
#include "storage/shared.h"

#define HEAD "spoor-detached 1"
/* All days there are, 13 bytes each. */
#define FILE_BYTES_MAX (2 * MIB)

static int
parse(struct sv text, uint32_t **days, size_t *n)
{
    struct sv line;
    size_t cap = 0;

    if (!sv_split(&text, '\n', &line) || !sv_eq(line, SV(HEAD)))
        return -1;
    while (text.len > 0 && sv_split(&text, '\n', &line)) {
        char name[16];

        if (line.len != 12 || !sv_starts_with(line, SV("day ")))
            return -1;
        snprintf(name, sizeof(name), "%.8s", line.ptr + 4);
        if (*n == cap) {
            cap = MAX(2 * cap, 16u);
            *days = xrealloc(*days, cap * sizeof(**days));
        }
        if (!layout_parse_day(name, &(*days)[*n]))
            return -1;
        (*n)++;
    }
    return 0;
}

int
detached_read(uint32_t **days, size_t *n, struct err *err)
{
    struct err read_err = ERR_INIT;
    char path[PATH_MAX];
    struct sb text;
    int rc = 0;

    *days = NULL;
    *n = 0;
    layout_path(path, "DETACHED");
    sb_init(&text, FILE_BYTES_MAX);
    if (file_read_all(path, &text, &read_err) != 0) {
        rc = read_err.code == ERR_NOT_FOUND ? 0 : -1;
        if (rc != 0 && err != NULL)
            *err = read_err;
    } else if (parse(sb_sv(&text), days, n) != 0) {
        rc = err_set(err, ERR_CORRUPT, "%s: not a list of detached days",
            path);
    }
    sb_release(&text);
    if (rc != 0) {
        xfree(*days);
        *days = NULL;
        *n = 0;
    }
    return rc;
}

static void
set_state(uint32_t day, enum partition_state state)
{
    struct partition *partition = partition_lock(day);

    partition_set_state(partition, state);
    partition_unlock(partition);
}

int
detached_load(struct err *err)
{
    struct err read_err = ERR_INIT;
    uint32_t *days;
    char path[PATH_MAX];
    size_t n;

    if (detached_read(&days, &n, &read_err) != 0) {
        if (read_err.code != ERR_CORRUPT && read_err.code != ERR_LIMIT) {
            if (err != NULL)
                *err = read_err;
            return -1;
        }
        log_error("kept in quarantine, no day is detached: %s",
            read_err.text);
        layout_path(path, "DETACHED");
        return layout_discard(path, "quarantine", err);
    }
    for (size_t i = 0; i < n; i++)
        set_state(days[i], PARTITION_DETACHING);
    xfree(days);
    return 0;
}

size_t
detached_list(uint32_t **days)
{
    size_t n = 0, cap = 0;

    *days = NULL;
    if (atomic_load(&shared->closed_days) == 0)
        return 0;
    for (size_t i = 0; i < PARTITIONS_MAX; i++) {
        if (atomic_load(&shared->partitions[i].state) == PARTITION_OPEN)
            continue;
        if (n == cap) {
            cap = MAX(2 * cap, 16u);
            *days = xrealloc(*days, cap * sizeof(**days));
        }
        (*days)[n++] = time_day((int64_t)i * NS_PER_DAY);
    }
    return n;
}

void
detached_settle(void)
{
    uint32_t *days;
    size_t n = detached_list(&days);

    for (size_t i = 0; i < n; i++) {
        if (partition_state(days[i]) == PARTITION_DETACHING)
            set_state(days[i], PARTITION_DETACHED);
    }
    xfree(days);
}

int
detached_save(uint32_t except, struct err *err)
{
    char path[PATH_MAX];
    struct sb text;
    uint32_t *days;
    size_t n = detached_list(&days);
    struct err save_err = ERR_INIT;
    int rc;

    layout_path(path, "DETACHED");
    sb_init(&text, FILE_BYTES_MAX);
    sb_add_str(&text, HEAD "\n");
    for (size_t i = 0; i < n; i++) {
        if (days[i] != except &&
            partition_state(days[i]) == PARTITION_DETACHED)
            sb_addf(&text, "day %08u\n", days[i]);
    }
    rc = file_replace(path, text.ptr, text.len, 0640, &save_err);
    if (rc != 0 && save_err.code == ERR_NO_SPACE && ballast_release())
        rc = file_replace(path, text.ptr, text.len, 0640, &save_err);
    if (rc != 0 && err != NULL)
        *err = save_err;
    sb_release(&text);
    xfree(days);
    return rc;
}
