/* SPDX-License-Identifier: BSD-2-Clause */

/* Rows over cut connections: each once. */

#include "core/base.h"
#include "cli/tail_gap.h"

#include "core/sb.h"
#include "core/timefmt.h"

#include "tap.h"

static struct sb passed;
static uint64_t npassed;

static int
take(UNUSED void *arg, struct sv data, UNUSED struct err *err)
{
    for (size_t i = 0; i < data.len; i++)
        npassed += data.ptr[i] == '\n';
    if (passed.len < 4096)
        sb_add_sv(&passed, data);
    return 0;
}

static void
send(struct tail_gap *gap, const char *text)
{
    struct err err = ERR_INIT;

    if (tail_gap_data(gap, sv_from(text), &err) != 0)
        ok(false, "data: %s", err.text);
}

static void
send_numbers(struct tail_gap *gap, uint32_t from, uint32_t to)
{
    char line[64];

    for (uint32_t i = from; i < to; i++) {
        snprintf(line, sizeof(line), "{\"n\":\"%u\"}\n", i);
        send(gap, line);
    }
}

/* What the texts give together. */
static void
gives(struct tail_gap *gap, const char *text, const char *want)
{
    sb_reset(&passed);
    send(gap, text);
    is_str(passed.ptr, want, "%s", text);
}

static void
test_lines(void)
{
    struct tail_gap *gap = tail_gap_new(take, NULL, 5 * NS_PER_SEC);
    int64_t back_ns;

    gives(gap, "{a}\n{b", "{a}\n");
    gives(gap, "}\n", "{b}\n");
    gives(gap, "{b}\n{c}\n{half", "{b}\n{c}\n");
    back_ns = tail_gap_cut(gap);
    ok(back_ns >= 20 * NS_PER_SEC && back_ns < 60 * NS_PER_SEC,
        "the beginning counts as lost: %lld", (long long)back_ns);
    gives(gap, "{b}\n{a}\n{half}\n{b}\n{b}\n{d}\n", "{half}\n{b}\n{d}\n");
    (void)tail_gap_cut(gap);
    gives(gap, "{a}\n{b}\n{b}\n{b}\n{c}\n{half}\n{d}\n{e}\n", "{e}\n");
    ok(tail_gap_may_go_on(gap), "rows are no errors");
    gives(gap, "the time is up\n", "the time is up\n");
    ok(!tail_gap_may_go_on(gap), "an error ends it");
    tail_gap_free(gap);
}

static void
test_many(void)
{
    struct tail_gap *gap = tail_gap_new(take, NULL, 0);
    uint32_t n = TAIL_GAP_ROWS + 50000;

    npassed = 0;
    send_numbers(gap, 0, n);
    is_int(npassed, n, "all are shown");
    for (int i = 0; i < 3; i++) {
        (void)tail_gap_cut(gap);
        npassed = 0;
        send_numbers(gap, n - TAIL_GAP_ROWS, n);
        is_int(npassed, 0, "none of the last again");
    }
    npassed = 0;
    send_numbers(gap, n, n + 1000);
    is_int(npassed, 1000, "but new ones");
    (void)tail_gap_cut(gap);
    npassed = 0;
    send_numbers(gap, 0, 1000);
    is_int(npassed, 1000, "the oldest are forgotten");
    tail_gap_free(gap);
}

int
main(void)
{
    sb_init(&passed, MIB);
    test_lines();
    test_many();
    sb_release(&passed);
    return tap_done();
}
