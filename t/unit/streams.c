/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/streams.h"

#include "core/metrics.h"
#include "tap.h"

#define DAY (INT64_C(86400) * NS_PER_SEC)

static uint64_t
created(void)
{
    return metric_get(METRIC_STREAMS_CREATED);
}

static void
note(uint32_t project, const char *service, const char *name, int64_t end_ns)
{
    struct tenant tenant = {1, project};

    streams_note(&tenant, sv_from(service), sv_from(name), end_ns);
}

int
main(void)
{
    struct err err = ERR_INIT;
    char name[32];
    uint64_t before;

    note(0, "a", "b", DAY);
    is_int(created(), 0, "nothing without a table");
    is_int(streams_create(&err), 0, "made");
    note(0, "a", "b", DAY);
    is_int(created(), 1, "a stream");
    note(0, "a", "b", 2 * DAY - 1);
    is_int(created(), 1, "the same day");
    note(0, "a", "b", 2 * DAY);
    is_int(created(), 2, "another day");
    note(0, "ab", "", DAY);
    note(0, "", "ab", DAY);
    note(0, "b", "a", DAY);
    note(2, "a", "b", DAY);
    is_int(created(), 6, "service, name, tenant");
    note(0, "", "", INT64_MIN);
    note(0, "", "", INT64_MAX);
    note(0, "", "", 0);
    is_int(created(), 8, "the ends of time; before 1970 is its first day");

    before = created();
    for (unsigned i = 0; i < STREAMS_MAX / 2; i++) {
        snprintf(name, sizeof(name), "%u", i);
        note(0, "s", name, 10 * DAY);
    }
    is_int(created() - before, STREAMS_MAX / 2, "half of them");
    for (unsigned i = 0; i < STREAMS_MAX / 2; i++) {
        snprintf(name, sizeof(name), "%u", i);
        note(0, "s", name, 10 * DAY);
    }
    ok(created() - before < STREAMS_MAX / 2 * 6 / 5,
        "few are forgotten: %llu",
        (unsigned long long)(created() - before - STREAMS_MAX / 2));
    for (unsigned i = 0; i < 2 * STREAMS_MAX; i++) {
        snprintf(name, sizeof(name), "%u", i);
        note(0, "s", name, 11 * DAY);
    }
    note(0, "s", "new", 12 * DAY);
    before = created();
    note(0, "s", "new", 12 * DAY);
    is_int(created(), before, "when it is full, old days go first");
    streams_destroy();
    return tap_done();
}
