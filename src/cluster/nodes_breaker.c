/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The breakers of a node.  What is asked for each span or query is read
 * without a lock; changes are rare and made under the one of the states.
 *
 * A node:     UNHEARD --answer--> UP --UNREACHABLE, SLOW--> DOWN --probe--> UP
 * Inserts:    on --BUSY, REFUSED--> off until a time, then on again; a good
 *             one, after the time, forgets how often that was
 */

#include "core/base.h"
#include "cluster/nodes_state.h"

#include "core/assert.h"
#include "core/log.h"
#include "core/timefmt.h"

/*
 * A node that answers probes but fails each call is let in less and less
 * often: the wait before its next probe doubles up to this.
 */
#define TRIP_DELAY_MAX_NS (10 * NS_PER_SEC)
/* The first wait; then the same doubling. */
#define TRIP_DELAY_NS (NS_PER_SEC / 2)
/* An opening so long after the last one is a new story. */
#define TRIP_FORGET_NS (60 * NS_PER_SEC)
/* Inserts: the wait after the first refusal, and after many. */
#define INSERT_DELAY_NS NS_PER_SEC
#define INSERT_DELAY_MAX_NS (30 * NS_PER_SEC)
/* A node may ask for more time, but not for ever. */
#define RETRY_AFTER_MAX_SEC 60
/* A node on the edge of its limits is busy now and then; told so often. */
#define BUSY_LOG_NS (10 * NS_PER_SEC)

void (*_Atomic node_went_down)(void);

/* --- changes --- */

/* It may be of a peer; what could forge a line is escaped by the log. */
void
node_why_set(char *dst, const char *why)
{
    size_t len = MIN(strlen(why), (size_t)NODE_WHY_MAX - 1);

    memcpy(dst, why, len);
    dst[len] = '\0';
}

/* "a:10428: no answer in 1s" without the name, which is said anyway. */
static const char *
without_name(const struct node_state *state, const char *why)
{
    size_t len = strlen(state->name);

    return strncmp(why, state->name, len) == 0 &&
        strncmp(why + len, ": ", 2) == 0 ? why + len + 2 : why;
}

/*
 * Lines for the log, written when the lock is free: others must not wait for
 * a log that stalls.  One call changes three things at most.
 */
#define NOTES_MAX 3

struct notes {
    unsigned n;
    struct note {
        bool is_warning;
        char text[NODE_NAME_MAX + NODE_WHY_MAX + 64];
    } v[NOTES_MAX];
};

static void note(struct notes *notes, bool is_warning, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static void
note(struct notes *notes, bool is_warning, const char *fmt, ...)
{
    struct note *one = &notes->v[notes->n++];
    va_list args;

    check(notes->n <= NOTES_MAX);
    one->is_warning = is_warning;
    va_start(args, fmt);
    vsnprintf(one->text, sizeof(one->text), fmt, args);
    va_end(args);
}

static void
notes_log(const struct notes *notes)
{
    for (unsigned i = 0; i < notes->n; i++) {
        if (notes->v[i].is_warning)
            log_warn("%s", notes->v[i].text);
        else
            log_info("%s", notes->v[i].text);
    }
}

/* min * 2^(times - 1), at most max. */
static int64_t
back_off(int64_t min_ns, int64_t max_ns, uint32_t times)
{
    if (times > 20)
        return max_ns;
    return MIN(times > 1 ? min_ns << (times - 1) : min_ns, max_ns);
}

/* Of time_print_duration(), and a NUL. */
#define AGE_TEXT_MAX 33

static void
age_print(char dst[AGE_TEXT_MAX], int64_t since_ns)
{
    int64_t age_ns = MAX(clock_wall_ns() - since_ns, 0);

    dst[time_print_duration(dst, age_ns - age_ns % NS_PER_MS)] = '\0';
}

/* Under the lock. */
static void
node_open(struct node_state *state, int64_t now_ns, const char *why,
    struct notes *notes)
{
    uint32_t trips = atomic_load(&state->trips);
    void (*went_down)(void);

    node_why_set(state->why, without_name(state, why));
    if (atomic_load(&state->health) == NODE_DOWN)
        return;
    if (now_ns - state->opened_ns > TRIP_FORGET_NS)
        trips = 0;
    trips++;
    atomic_store(&state->trips, trips);
    state->opened_ns = now_ns;
    state->since_ns = clock_wall_ns();
    /* The first is tried again at once: it may have been one connection. */
    atomic_store(&state->probe_ns, trips == 1 ? now_ns : now_ns +
        back_off(TRIP_DELAY_NS, TRIP_DELAY_MAX_NS, trips - 1));
    atomic_store(&state->health, NODE_DOWN);
    note(notes, true, "storage node %s is down: %s", state->name, state->why);
    went_down = atomic_load(&node_went_down);
    if (went_down != NULL)
        went_down();
}

/* Under the lock. */
static void
node_close(struct node_state *state, struct notes *notes)
{
    uint32_t health = atomic_load(&state->health);
    char age[AGE_TEXT_MAX];

    if (health == NODE_UP)
        return;
    if (health == NODE_DOWN) {
        age_print(age, state->since_ns);
        note(notes, false, "storage node %s is up again after %s",
            state->name, age);
        node_states_count_return();
    }
    state->since_ns = clock_wall_ns();
    state->why[0] = '\0';
    atomic_store(&state->health, NODE_UP);
}

/* Under the lock: BUSY or REFUSED. */
static void
inserts_open(struct node_state *state, int64_t now_ns,
    enum node_outcome outcome, int64_t retry_after_sec, struct notes *notes)
{
    bool was_off = atomic_load(&state->inserts_ns) != 0;
    uint32_t trips = atomic_load(&state->insert_trips);
    int64_t wait_ns;

    /* Others that were under way at the same time count once. */
    if (now_ns < atomic_load(&state->inserts_ns))
        return;
    trips++;
    wait_ns = back_off(INSERT_DELAY_NS, INSERT_DELAY_MAX_NS, trips);
    if (outcome == NODE_BUSY && retry_after_sec > 0)
        wait_ns = MIN(retry_after_sec, RETRY_AFTER_MAX_SEC) * NS_PER_SEC;
    atomic_store(&state->insert_trips, trips);
    atomic_store(&state->inserts_ns, now_ns + wait_ns);
    if (was_off && state->inserts_outcome == (uint32_t)outcome)
        return;
    state->inserts_outcome = outcome;
    state->inserts_since_ns = clock_wall_ns();
    state->inserts_told = outcome != NODE_BUSY ||
        state->inserts_logged_ns == 0 ||
        now_ns - state->inserts_logged_ns > BUSY_LOG_NS;
    if (!state->inserts_told)
        return;
    state->inserts_logged_ns = now_ns;
    note(notes, true, "storage node %s takes no spans: %s", state->name,
        state->inserts_why);
}

/* Under the lock. */
static void
inserts_close(struct node_state *state, int64_t now_ns,
    struct notes *notes)
{
    char age[AGE_TEXT_MAX];

    /* One that was under way when the node asked for time. */
    if (now_ns < atomic_load(&state->inserts_ns))
        return;
    atomic_store(&state->insert_trips, 0);
    if (atomic_load(&state->inserts_ns) == 0)
        return;
    atomic_store(&state->inserts_ns, 0);
    node_states_count_return();
    if (state->inserts_told) {
        age_print(age, state->inserts_since_ns);
        note(notes, false, "storage node %s takes spans again after %s",
            state->name, age);
    }
    state->inserts_told = false;
    state->inserts_why[0] = '\0';
}

/* Under the lock.  Those who ask are told each time, the log is once. */
static void
queries_told(struct node_state *state, enum node_outcome outcome,
    const char *why, struct notes *notes)
{
    bool is_refused = outcome == NODE_REFUSED;

    if ((outcome != NODE_OK && !is_refused) ||
        atomic_load(&state->refuses_queries) == is_refused)
        return;
    atomic_store(&state->refuses_queries, is_refused);
    if (is_refused)
        note(notes, true, "storage node %s refuses queries: %s", state->name,
            why);
    else
        note(notes, false, "storage node %s answers queries again",
            state->name);
}

/* A good call to a node that is well: nothing changes. */
static bool
is_as_ever(const struct node_state *state, bool is_insert)
{
    return atomic_load(&state->health) == NODE_UP &&
        atomic_load(&state->trips) == 0 &&
        (is_insert ? atomic_load(&state->inserts_ns) == 0 &&
                atomic_load(&state->insert_trips) == 0
            : !atomic_load(&state->refuses_queries));
}

const char *
node_outcome_name(enum node_outcome outcome)
{
    static const char *const names[NODE_OUTCOMES] = {
        [NODE_OK] = "ok",
        [NODE_UNREACHABLE] = "unreachable",
        [NODE_SLOW] = "slow",
        [NODE_BUSY] = "busy",
        [NODE_REFUSED] = "refused",
    };

    check(outcome < NODE_OUTCOMES);
    return names[outcome];
}

static const char *
why_of(enum node_outcome outcome, const char *why)
{
    static const char *const texts[NODE_OUTCOMES] = {
        [NODE_OK] = "",
        [NODE_UNREACHABLE] = "it cannot be reached",
        [NODE_SLOW] = "it does not answer in time",
        [NODE_BUSY] = "it is busy",
        [NODE_REFUSED] = "it refuses them",
    };

    return why != NULL && why[0] != '\0' ? why : texts[outcome];
}

void
node_report(const struct node *node, bool is_insert,
    enum node_outcome outcome, int64_t retry_after_sec, const char *why)
{
    struct node_state *state = node->state;
    int64_t now_ns = clock_mono_ns();
    struct notes notes = {.n = 0};
    bool has_answered = outcome != NODE_UNREACHABLE && outcome != NODE_SLOW;

    check(outcome < NODE_OUTCOMES);
    atomic_fetch_add(&state->counters[is_insert].outcomes[outcome], 1);
    if (has_answered)
        atomic_store(&state->heard_ns, now_ns);
    if (outcome == NODE_OK && is_as_ever(state, is_insert))
        return;
    why = why_of(outcome, why);
    node_states_lock();
    if (has_answered)
        node_close(state, &notes);
    else
        node_open(state, now_ns, why, &notes);
    if (outcome == NODE_OK)
        atomic_store(&state->trips, 0);
    if (!is_insert) {
        queries_told(state, outcome, why, &notes);
    } else if (outcome == NODE_OK) {
        inserts_close(state, now_ns, &notes);
    } else if (has_answered) {
        node_why_set(state->inserts_why, without_name(state, why));
        inserts_open(state, now_ns, outcome, retry_after_sec, &notes);
    }
    node_states_unlock();
    notes_log(&notes);
}

/* --- what others ask --- */

bool
node_is_up(const struct node *node)
{
    return node->problem == NULL &&
        atomic_load_explicit(&node->state->health, memory_order_relaxed) !=
        NODE_DOWN;
}

bool
node_takes_inserts(const struct node *node)
{
    int64_t from_ns;

    if (!node_is_up(node))
        return false;
    from_ns = atomic_load_explicit(&node->state->inserts_ns,
        memory_order_relaxed);
    return from_ns == 0 || clock_mono_ns() >= from_ns;
}

const char *
node_why_down(const struct node *node, char *buf, size_t size)
{
    const struct node_state *state = node->state;

    check(size > 0);
    buf[0] = '\0';
    if (node->problem != NULL) {
        snprintf(buf, size, "%s", node->problem);
        return buf;
    }
    node_states_lock();
    if (atomic_load(&state->health) == NODE_DOWN)
        snprintf(buf, size, "%s", state->why);
    else if (atomic_load(&state->inserts_ns) != 0)
        snprintf(buf, size, "%s", state->inserts_why);
    node_states_unlock();
    return buf;
}

/* --- probes --- */

int64_t
node_probe_time(const struct node *node, int64_t interval_ns)
{
    const struct node_state *state = node->state;
    int64_t at_ns = atomic_load(&state->probe_ns);

    if (node->problem != NULL)
        return INT64_MAX;
    if (atomic_load(&state->health) == NODE_UP)
        return MAX(at_ns, atomic_load(&state->heard_ns) +
            NODE_QUIET_INTERVALS * interval_ns);
    return at_ns;
}

bool
node_probe_claim(const struct node *node, int64_t now_ns, int64_t claim_ns,
    int64_t interval_ns)
{
    int64_t at_ns = atomic_load(&node->state->probe_ns);

    return node_probe_time(node, interval_ns) <= now_ns && at_ns <= now_ns &&
        atomic_compare_exchange_strong(&node->state->probe_ns, &at_ns,
            now_ns + claim_ns);
}

void
node_probe_end(const struct node *node, enum node_outcome outcome,
    const char *why, int64_t interval_ns)
{
    struct node_state *state = node->state;
    int64_t now_ns = clock_mono_ns();
    struct notes notes = {.n = 0};

    node_states_lock();
    atomic_store(&state->probe_ns, now_ns + interval_ns);
    if (outcome == NODE_OK) {
        atomic_store(&state->heard_ns, now_ns);
        node_close(state, &notes);
    } else {
        node_open(state, now_ns, why_of(outcome, why), &notes);
        atomic_store(&state->probe_ns, now_ns + interval_ns);
    }
    node_states_unlock();
    notes_log(&notes);
}
