/* SPDX-License-Identifier: BSD-2-Clause */

/* Breakers of nodes, shared by processes. */

#include "core/base.h"
#include "cluster/nodes_state.h"

#include <sys/wait.h>
#include <unistd.h>

#include "core/timefmt.h"

#include "tap.h"

static unsigned went_down;

static void
note_down(void)
{
    went_down++;
}

static struct node
node_of(const char *name)
{
    struct node node = {.name = name, .seed = node_seed(sv_from(name))};

    node.state = node_state_of(name, node.seed);
    return node;
}

static bool
claim(const struct node *node)
{
    return node_probe_claim(node, clock_mono_ns(), NS_PER_SEC, NS_PER_SEC);
}

static int64_t
probe_time(const struct node *node)
{
    return node_probe_time(node, NS_PER_SEC);
}

static const char *
why(const struct node *node)
{
    static char buf[NODE_WHY_MAX];

    return node_why_down(node, buf, sizeof(buf));
}

static void
test_reach(void)
{
    struct node node = node_of("a:1");
    uint64_t returns = node_states_returns();
    int64_t now_ns = clock_mono_ns();

    ok(node_is_up(&node) && node_takes_inserts(&node),
        "a node nobody heard of is taken for up");
    ok(claim(&node), "and is probed at once");
    ok(!claim(&node), "by one");
    node_probe_end(&node, NODE_OK, NULL, NS_PER_SEC);
    is_int(node.state->health, NODE_UP, "the answer makes it up");
    is_int(node_states_returns(), returns, "it never was away");
    ok(probe_time(&node) > now_ns + 5 * NS_PER_SEC,
        "one that was heard of is not probed for a while");

    went_down = 0;
    node_report(&node, false, NODE_UNREACHABLE, -1, "connect: refused");
    ok(!node_is_up(&node) && !node_takes_inserts(&node), "a failure: down");
    is_str(why(&node), "connect: refused", "why");
    is_int(went_down, 1, "its process is told");
    ok(probe_time(&node) <= clock_mono_ns(), "it is probed at once");
    node_report(&node, true, NODE_SLOW, -1, "a:1: no answer");
    is_int(went_down, 1, "the next failure changes nothing");
    is_str(why(&node), "no answer", "but says what happened last");

    ok(claim(&node), "claim");
    node_probe_end(&node, NODE_UNREACHABLE, "still", 50 * NS_PER_MS);
    ok(probe_time(&node) > clock_mono_ns(), "the next probe waits");
    ok(!claim(&node), "not yet");
    node_probe_end(&node, NODE_OK, NULL, 50 * NS_PER_MS);
    ok(node_is_up(&node), "a probe that is answered: up");
    is_int(node_states_returns(), returns + 1, "counted as a return");
    is_str(why(&node), "", "nothing to say");
}

/* Answers probes, fails calls. */
static void
test_back_off(void)
{
    struct node node = node_of("b:1");
    int64_t last_ns = 0;

    for (int i = 0; i < 8; i++) {
        int64_t now_ns = clock_mono_ns(), wait_ns;

        node_report(&node, false, NODE_UNREACHABLE, -1, NULL);
        wait_ns = probe_time(&node) - now_ns;
        ok(i == 0 ? wait_ns < NS_PER_SEC / 4 : wait_ns >= last_ns,
            "opening %d waits %" PRId64 " ms", i, wait_ns / NS_PER_MS);
        ok(wait_ns < 11 * NS_PER_SEC, "not for ever");
        last_ns = wait_ns - NS_PER_SEC / 10;
        node_probe_end(&node, NODE_OK, NULL, 0);
    }
    ok(last_ns > 9 * NS_PER_SEC, "in the end it waits for long");
    node_report(&node, false, NODE_OK, -1, NULL);
    node_report(&node, false, NODE_UNREACHABLE, -1, NULL);
    ok(probe_time(&node) <= clock_mono_ns(),
        "a good call in between, and it is probed at once again");
    node_report(&node, false, NODE_OK, -1, NULL);
    ok(node_is_up(&node), "a good call closes it without a probe");
}

static void
test_inserts(void)
{
    struct node node = node_of("c:1");
    uint64_t returns;
    int64_t from_ns;

    node_report(&node, false, NODE_REFUSED, -1, "403");
    node_report(&node, false, NODE_BUSY, 5, "503");
    ok(node_takes_inserts(&node), "what queries are told is no matter");

    node_report(&node, true, NODE_BUSY, 2, "429: busy");
    ok(node_is_up(&node), "a busy node is up");
    ok(!node_takes_inserts(&node), "but takes no inserts");
    is_str(why(&node), "429: busy", "why");
    from_ns = node.state->inserts_ns - clock_mono_ns();
    ok(from_ns > NS_PER_SEC && from_ns <= 2 * NS_PER_SEC,
        "for as long as it asked for");
    node_report(&node, true, NODE_BUSY, 30, "429: busy");
    ok(node.state->inserts_ns - clock_mono_ns() <= 2 * NS_PER_SEC,
        "others at the same time add nothing");
    node_report(&node, true, NODE_OK, -1, NULL);
    ok(!node_takes_inserts(&node), "one that was under way opens nothing");

    node.state->inserts_ns = clock_mono_ns() - 1;
    ok(node_takes_inserts(&node), "when the time is over it does");
    returns = node_states_returns();
    node_report(&node, true, NODE_OK, -1, NULL);
    is_int(node.state->inserts_ns, 0, "a good one forgets all");
    is_int(node_states_returns(), returns + 1, "counted as a return");

    for (int i = 0; i < 9; i++) {
        node_report(&node, true, NODE_REFUSED, -1, "404");
        from_ns = node.state->inserts_ns - clock_mono_ns();
        ok(from_ns > 0 && from_ns <= 30 * NS_PER_SEC,
            "refusal %d: %" PRId64 " ms", i, from_ns / NS_PER_MS);
        node.state->inserts_ns = clock_mono_ns() - 1;
    }
    ok(from_ns > 29 * NS_PER_SEC, "longer each time, up to a bound");
    node_report(&node, true, NODE_BUSY, INT64_MAX, NULL);
    ok(node.state->inserts_ns < clock_mono_ns() + 61 * NS_PER_SEC,
        "a node cannot ask for years");
}

static void
test_problem(void)
{
    struct node node = node_of("d:1");

    node.problem = "its name was not found";
    ok(!node_is_up(&node) && !node_takes_inserts(&node),
        "a node without an address is not up");
    is_str(why(&node), "its name was not found", "why");
    ok(probe_time(&node) == INT64_MAX, "nor probed");
}

/* Another process, even one that dies with the lock. */
static void
test_processes(void)
{
    struct node node = node_of("e:1");
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        node_process_enter();
        node_count_queue(&node, 3, 300);
        node_report(&node, false, NODE_UNREACHABLE, -1, "seen by a child");
        node_states_lock();
        _exit(0);
    }
    ok(pid > 0 && waitpid(pid, &status, 0) == pid, "a child lived");
    is_str(why(&node), "seen by a child", "what it noted is known, "
        "and the lock it died with is free");
    ok(!node_is_up(&node), "down for all");
    is_int(node.state->waiting[0].parcels, 3, "what waits in its queue");
    nodes_process_ended(pid);
    is_int(node.state->waiting[0].parcels, 0, "its share ends with it");
}

static void
test_places(void)
{
    struct node first = node_of("f:0");
    char name[32];
    unsigned made = 0;

    ok(node_of("f:0").state == first.state, "a name has one place");
    for (unsigned i = 1; i < NODE_STATES_MAX; i++) {
        snprintf(name, sizeof(name), "f:%u", i);
        made += node_of(name).state != NULL ? 1 : 0;
    }
    ok(made < NODE_STATES_MAX - 1 && node_of("g:1").state == NULL,
        "places that are in use are not given away");
    node_state_touch(first.state, clock_mono_ns() - NODE_STATE_KEEP_NS - 1);
    ok(node_of("g:1").state == first.state, "one not used for long is");
    is_str(first.state->name, "g:1", "with its new name");
    is_int(first.state->health, NODE_UNHEARD, "and nothing of the old");
}

static void
test_sources(void)
{
    uint64_t id = 42;

    ok(!node_source_works(id), "a source works from the start");
    ok(node_source_fails(id) && !node_source_fails(id),
        "a failure is told once");
    ok(node_source_works(id) && !node_source_works(id),
        "and its end, too");
}

int
main(void)
{
    struct err err = ERR_INIT;

    if (nodes_create(&err) != 0)
        bail_out(err.text);
    node_process_enter();
    nodes_process_ended(getpid());
    node_went_down = note_down;
    test_reach();
    test_back_off();
    test_inserts();
    test_problem();
    test_processes();
    test_sources();
    test_places();
    nodes_destroy();
    return tap_done();
}
