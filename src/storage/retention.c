/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/retention.h"

#include "core/assert.h"
#include "core/fault.h"
#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/timefmt.h"
#include "storage/layout.h"
#include "storage/retention_clock.h"
#include "storage/retire.h"
#include "storage/shared.h"
#include "storage/trash.h"

/* Days renamed in one go. */
#define POLL_MAX 64u

/* --- which --- */

uint32_t
retention_oldest_day(const struct retention_rules *rules)
{
    int64_t oldest;

    if (__builtin_sub_overflow(rules->now_ns, rules->retention_ns, &oldest) ||
        oldest < 0)
        oldest = 0;
    return time_day(oldest);
}

/* The newest that fit, so the number of the older ones. */
static size_t
days_beyond(const struct catalog_day *days, size_t n, uint64_t bytes_max)
{
    uint64_t bytes = 0;

    for (size_t i = n; i > 0; i--) {
        bytes += days[i - 1].bytes;
        if (bytes > bytes_max)
            return i;
    }
    return 0;
}

static size_t
days_to_free(const struct catalog_day *days, size_t n, uint64_t bytes_over)
{
    uint64_t bytes = 0;
    size_t i = 0;

    while (i < n && bytes < bytes_over)
        bytes += days[i++].bytes;
    return i;
}

size_t
retention_choose(const struct retention_rules *rules,
    const struct catalog_day *days, size_t n, size_t *by_age)
{
    uint32_t oldest = retention_oldest_day(rules);
    size_t by_size = 0;

    *by_age = 0;
    while (*by_age < n && days[*by_age].day < oldest)
        (*by_age)++;
    if (rules->bytes_max != 0)
        by_size = days_beyond(days, n, rules->bytes_max);
    if (rules->bytes_over != 0)
        by_size = MAX(by_size, days_to_free(days, n, rules->bytes_over));
    by_size = MIN(by_size, n - MIN(n, (size_t)RETENTION_DAYS_KEPT));
    return MAX(by_size, *by_age);
}

/* --- how --- */

bool
retention_drop_day(uint32_t day)
{
    char name[RETIRE_NAME_MAX];
    struct partition *partition;
    uint64_t gen;

    if (!retire_has_room(RETIRE_RETENTION, 1))
        return false;
    partition = partition_lock(day);
    if (atomic_load(&partition->state) != PARTITION_OPEN &&
        atomic_load(&partition->state) != PARTITION_DROPPING) {
        partition_unlock(partition);
        return false;
    }
    partition_set_state(partition, PARTITION_DROPPING);
    partition_unlock(partition);
    fault("retention.after_state");
    catalog_begin();
    catalog_remove_day(day);
    gen = catalog_commit();
    fault("retention.after_flip");
    snprintf(name, sizeof(name), "partitions/%08u", day);
    retire_add(RETIRE_RETENTION, gen, name);
    return true;
}

void
retention_resume(void)
{
    if (atomic_load(&shared->closed_days) == 0)
        return;
    for (size_t i = 0; i < PARTITIONS_MAX; i++) {
        if (atomic_load(&shared->partitions[i].state) == PARTITION_DROPPING)
            retention_drop_day(time_day((int64_t)i * NS_PER_DAY));
    }
}

static int IMPL(retire_fn)
day_rename(const char *path, struct err *err)
{
    const char *name = strrchr(path, '/');
    struct partition *partition;
    uint32_t day;
    int rc = 0;

    check(name != NULL && layout_parse_day(name + 1, &day));
    partition = partition_lock(day);
    if (atomic_load(&partition->state) == PARTITION_DROPPING) {
        rc = trash_move(path, day, err);
        fault("retention.after_rename");
        /* If it cannot be moved the next check tries again. */
        if (rc == 0) {
            new_days_forget(&shared->new_days, day);
            partition_set_state(partition, PARTITION_OPEN);
        }
    }
    partition_unlock(partition);
    return rc;
}

uint32_t
retention_poll(void)
{
    (void)retire_poll(RETIRE_RETENTION, day_rename, POLL_MAX);
    return retire_waiting(RETIRE_RETENTION);
}

/* --- when --- */

int64_t
retention_now_ns(void)
{
    return retention_clock_read(&shared->clock, clock_wall_ns(),
        clock_pace_ns());
}

/* Days that would go if the wall clock were believed: said once. */
static void
say_doubt(const struct retention_rules *rules, const struct catalog_day *kept)
{
    struct retention_rules other = *rules;
    char now[32], then[32];
    static bool is_said;

    other.now_ns = clock_wall_ns();
    if (other.now_ns <= rules->now_ns + NS_PER_SEC ||
        kept->day >= retention_oldest_day(&other)) {
        is_said = false;
        return;
    }
    if (is_said)
        return;
    is_said = true;
    now[time_print_rfc3339(now, other.now_ns, 0)] = '\0';
    then[time_print_rfc3339(then, rules->now_ns, 0)] = '\0';
    log_warn("the clock says %s, by the data on disk and the time since it "
        "could be %s: day %u and what else is out of retention now is not "
        "dropped before the clock has said so for an hour", now, then,
        kept->day);
}

/* What is on its way out counts as free. */
static uint64_t
bytes_over(unsigned percent)
{
    uint64_t total, free_bytes, used, allowed;
    struct err err = ERR_INIT;

    if (percent == 0 || retire_waiting(RETIRE_RETENTION) != 0 ||
        trash_has_days())
        return 0;
    if (file_total_bytes(layout_root(), &total, &err) != 0 ||
        file_free_bytes(layout_root(), &free_bytes, &err) != 0) {
        log_warn("%s", err.text);
        return 0;
    }
    used = total - MIN(total, free_bytes);
    allowed = total / 100 * percent;
    return used > allowed ? used - allowed : 0;
}

void
retention_check(const struct conf *conf)
{
    struct retention_rules rules = {retention_clock_tick(&shared->clock,
        clock_wall_ns(), clock_pace_ns()), conf->retention,
        conf->retention_bytes, bytes_over((unsigned)conf->retention_percent)};
    struct catalog_day *days = NULL;
    size_t n, drop, by_age;

    atomic_store(&shared->keep_from, retention_oldest_day(&rules));
    if (retire_waiting(RETIRE_RETENTION) == 0)
        retention_resume();
    n = catalog_sum_days(&days);
    drop = retention_choose(&rules, days, n, &by_age);
    if (n > drop)
        say_doubt(&rules, days + drop);
    for (size_t i = 0; i < drop; i++) {
        if (!retention_drop_day(days[i].day))
            continue;
        metric_add(i < by_age ? METRIC_DAYS_DROPPED_AGE :
            METRIC_DAYS_DROPPED_SIZE, 1);
        log_info("day %u is dropped, it is %s: %llu spans in %u parts, %llu "
            "bytes", days[i].day, i < by_age ? "older than the retention" :
            "the oldest and the data is too large",
            (unsigned long long)days[i].rows, days[i].parts,
            (unsigned long long)days[i].bytes);
    }
    xfree(days);
}
