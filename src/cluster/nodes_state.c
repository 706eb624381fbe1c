/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The table of states and the breakers in it.
 *
 * What is asked for each span or query is read without a lock.  Changes of a
 * state are rare and made under one robust mutex.  Whoever dies in there
 * leaves at worst a text cut short (its last byte is never written) or a
 * state without its time: nothing that needs a repair.
 *
 * A node:     UNHEARD --answer--> UP --UNREACHABLE, SLOW--> DOWN --probe--> UP
 * Inserts:    on --BUSY, REFUSED--> off until a time, then on again; a good
 *             one, after the time, forgets how often that was
 */

#include "core/base.h"
#include "cluster/nodes_state.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/log.h"
#include "core/shm.h"
#include "core/timefmt.h"
#include "storage/shared.h"

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

/* An item of storage_nodes that is looked up. */
struct source_state {
    uint64_t id;
    int64_t asked_ns; /* monotonic */
    bool fails;
};

struct node_states {
    pthread_mutex_t mutex;
    struct source_state sources[NODES_MAX];
    _Atomic uint64_t returns;
    _Atomic int32_t processes[NODE_PROCESSES_MAX]; /* pids */
    /* Of names; 0: free.  Apart, so that a search touches few pages. */
    uint64_t seeds[NODE_STATES_MAX];
    _Atomic int64_t touched_ns[NODE_STATES_MAX];
    struct node_state v[NODE_STATES_MAX];
};

static struct node_states *states;
static _Atomic unsigned own_process = NODE_PROCESSES_MAX;
void (*node_went_down)(void);

/* --- the table --- */

int
nodes_create(struct err *err)
{
    void *region;

    check(states == NULL);
    if (shm_new(&region, "spoor-nodes", sizeof(struct node_states), err) != 0)
        return -1;
    states = region;
    shared_mutex_init(&states->mutex);
    return 0;
}

void
nodes_destroy(void)
{
    if (states != NULL)
        shm_free(states, sizeof(struct node_states));
    states = NULL;
    own_process = NODE_PROCESSES_MAX;
}

void
node_states_lock(void)
{
    int rc;

    check(states != NULL);
    rc = pthread_mutex_lock(&states->mutex);
    if (rc == EOWNERDEAD) {
        pthread_mutex_consistent(&states->mutex);
        rc = 0;
    }
    check(rc == 0);
}

void
node_states_unlock(void)
{
    check(pthread_mutex_unlock(&states->mutex) == 0);
}

uint64_t
node_states_returns(void)
{
    return atomic_load(&states->returns);
}

void
node_state_touch(struct node_state *state, int64_t now_ns)
{
    atomic_store(&states->touched_ns[state - states->v], now_ns);
}

/* The place of the name; else a free one or the one not used for longest. */
static unsigned
place_find(const char *name, uint64_t seed, int64_t now_ns)
{
    unsigned spare = NODE_STATES_MAX;
    int64_t spare_ns = now_ns - NODE_STATE_KEEP_NS;

    for (unsigned i = 0; i < NODE_STATES_MAX; i++) {
        if (states->seeds[i] == seed &&
            strcmp(states->v[i].name, name) == 0)
            return i;
        if (states->seeds[i] == 0) {
            spare_ns = INT64_MIN;
            spare = MIN(spare, i);
        } else if (atomic_load(&states->touched_ns[i]) < spare_ns) {
            spare_ns = atomic_load(&states->touched_ns[i]);
            spare = i;
        }
    }
    return spare;
}

struct node_state *
node_state_of(const char *name, uint64_t seed)
{
    int64_t now_ns = clock_mono_ns();
    struct node_state *state = NULL;
    unsigned at;

    check(strlen(name) < NODE_NAME_MAX);
    seed = MAX(seed, 1u);
    node_states_lock();
    at = place_find(name, seed, now_ns);
    if (at < NODE_STATES_MAX) {
        state = &states->v[at];
        if (states->seeds[at] != seed || strcmp(state->name, name) != 0) {
            states->seeds[at] = 0;
            memset(state, 0, sizeof(*state));
            memcpy(state->name, name, strlen(name));
            states->seeds[at] = seed;
        }
        node_state_touch(state, now_ns);
    }
    node_states_unlock();
    return state;
}

/* --- what lookups found --- */

bool
node_states_remember(uint64_t source, const char *name,
    const struct sockaddr_storage *addresses, unsigned n)
{
    struct node_state *state = node_state_of(name, node_seed(sv_from(name)));
    bool has_changed;

    if (state == NULL)
        return false;
    node_states_lock();
    has_changed = state->source != source;
    state->source = source;
    state->naddresses = MIN(n, PEER_ADDRESSES_MAX);
    for (unsigned i = 0; i < state->naddresses; i++)
        state->addresses[i] = addresses[i];
    node_states_unlock();
    return has_changed;
}

void
node_states_recall(uint64_t source, node_recall_fn fn, void *arg)
{
    int64_t from_ns = clock_mono_ns() - NODE_STATE_KEEP_NS;

    node_states_lock();
    for (unsigned i = 0; i < NODE_STATES_MAX; i++) {
        const struct node_state *state = &states->v[i];

        if (states->seeds[i] != 0 && state->source == source &&
            state->naddresses > 0 && state->naddresses <= PEER_ADDRESSES_MAX &&
            atomic_load(&states->touched_ns[i]) >= from_ns)
            fn(arg, state->name, state->addresses, state->naddresses);
    }
    node_states_unlock();
}

/* Under the lock: its place, or that of the one not asked for longest. */
static struct source_state *
source_state_of(uint64_t id)
{
    struct source_state *oldest = &states->sources[0];

    for (unsigned i = 0; i < NODES_MAX; i++) {
        struct source_state *source = &states->sources[i];

        if (source->id == id)
            return source;
        if (source->asked_ns < oldest->asked_ns)
            oldest = source;
    }
    *oldest = (struct source_state){.id = id};
    return oldest;
}

static bool
source_changes(uint64_t id, bool fails)
{
    struct source_state *source;
    bool has_changed;

    node_states_lock();
    source = source_state_of(id);
    has_changed = source->fails != fails;
    source->fails = fails;
    source->asked_ns = clock_mono_ns();
    node_states_unlock();
    return has_changed;
}

bool
node_source_fails(uint64_t source)
{
    return source_changes(source, true);
}

bool
node_source_works(uint64_t source)
{
    return source_changes(source, false);
}

/* --- processes --- */

static void
process_clear(unsigned at)
{
    for (unsigned i = 0; i < NODE_STATES_MAX; i++) {
        if (states->seeds[i] == 0)
            continue;
        atomic_store(&states->v[i].waiting[at].parcels, 0);
        atomic_store(&states->v[i].waiting[at].bytes, 0);
    }
    atomic_store(&states->processes[at], 0);
}

void
nodes_process_ended(pid_t pid)
{
    if (states == NULL)
        return;
    for (unsigned i = 0; i < NODE_PROCESSES_MAX; i++) {
        if (atomic_load(&states->processes[i]) == pid)
            process_clear(i);
    }
}

void
node_process_enter(void)
{
    nodes_process_ended(getpid());
    for (unsigned i = 0; i < NODE_PROCESSES_MAX; i++) {
        int32_t nobody = 0, pid = atomic_load(&states->processes[i]);

        if (pid != 0 && kill(pid, 0) != 0 && errno == ESRCH)
            process_clear(i);
        if (atomic_compare_exchange_strong(&states->processes[i], &nobody,
            getpid())) {
            own_process = i;
            return;
        }
    }
}

unsigned
node_process(void)
{
    return own_process;
}

/* --- breakers --- */

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
node_open(struct node_state *state, int64_t now_ns, const char *why)
{
    uint32_t trips = atomic_load(&state->trips);

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
    log_warn("storage node %s is down: %s", state->name, state->why);
    if (node_went_down != NULL)
        node_went_down();
}

/* Under the lock. */
static void
node_close(struct node_state *state)
{
    uint32_t health = atomic_load(&state->health);
    char age[AGE_TEXT_MAX];

    if (health == NODE_UP)
        return;
    if (health == NODE_DOWN) {
        age_print(age, state->since_ns);
        log_info("storage node %s is up again after %s", state->name, age);
        atomic_fetch_add(&states->returns, 1);
    }
    state->since_ns = clock_wall_ns();
    state->why[0] = '\0';
    atomic_store(&state->health, NODE_UP);
}

/* Under the lock: BUSY or REFUSED. */
static void
inserts_open(struct node_state *state, int64_t now_ns,
    enum node_outcome outcome, int64_t retry_after_sec)
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
    log_warn("storage node %s takes no spans: %s", state->name,
        state->inserts_why);
}

/* Under the lock. */
static void
inserts_close(struct node_state *state, int64_t now_ns)
{
    char age[AGE_TEXT_MAX];

    /* One that was under way when the node asked for time. */
    if (now_ns < atomic_load(&state->inserts_ns))
        return;
    atomic_store(&state->insert_trips, 0);
    if (atomic_load(&state->inserts_ns) == 0)
        return;
    atomic_store(&state->inserts_ns, 0);
    atomic_fetch_add(&states->returns, 1);
    if (state->inserts_told) {
        age_print(age, state->inserts_since_ns);
        log_info("storage node %s takes spans again after %s", state->name,
            age);
    }
    state->inserts_told = false;
    state->inserts_why[0] = '\0';
}

/* Under the lock.  Those who ask are told each time, the log is once. */
static void
queries_told(struct node_state *state, enum node_outcome outcome,
    const char *why)
{
    bool is_refused = outcome == NODE_REFUSED;

    if ((outcome != NODE_OK && !is_refused) ||
        atomic_load(&state->refuses_queries) == is_refused)
        return;
    atomic_store(&state->refuses_queries, is_refused);
    if (is_refused)
        log_warn("storage node %s refuses queries: %s", state->name, why);
    else
        log_info("storage node %s answers queries again", state->name);
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
        node_close(state);
    else
        node_open(state, now_ns, why);
    if (outcome == NODE_OK)
        atomic_store(&state->trips, 0);
    if (!is_insert) {
        queries_told(state, outcome, why);
    } else if (outcome == NODE_OK) {
        inserts_close(state, now_ns);
    } else if (has_answered) {
        node_why_set(state->inserts_why, without_name(state, why));
        inserts_open(state, now_ns, outcome, retry_after_sec);
    }
    node_states_unlock();
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

    node_states_lock();
    atomic_store(&state->probe_ns, now_ns + interval_ns);
    if (outcome == NODE_OK) {
        atomic_store(&state->heard_ns, now_ns);
        node_close(state);
    } else {
        node_open(state, now_ns, why_of(outcome, why));
        atomic_store(&state->probe_ns, now_ns + interval_ns);
    }
    node_states_unlock();
}
