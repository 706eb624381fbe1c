/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The table of states.  Changes are rare and made under one robust mutex.
 * Whoever dies in there leaves at worst a text cut short (its last byte is
 * never written) or a state without its time: nothing that needs a repair.
 */

#include "core/base.h"
#include "cluster/nodes_state.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/enc.h"
#include "core/shm.h"
#include "core/sys.h"
#include "core/timefmt.h"
#include "storage/shared.h"

/* An item of storage_nodes that is looked up. */
struct source_state {
    uint64_t id;
    int64_t asked_ns; /* monotonic */
    bool fails;
};

/* "Spoor-Front: ", 16 hex digits. */
#define FRONT_HEADER "Spoor-Front: "
#define FRONT_ID_BYTES 8u

struct node_states {
    /* Of this master's life. */
    char header[sizeof(FRONT_HEADER) + 2 * FRONT_ID_BYTES];
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

/* --- the table --- */

static int
make_id(char *header, struct err *err)
{
    uint8_t id[FRONT_ID_BYTES];

    if (sys.random(id, sizeof(id)) != 0)
        return err_sys(err, "no random number for the id of this front");
    memcpy(header, FRONT_HEADER, strlen(FRONT_HEADER));
    enc_hex(header + strlen(FRONT_HEADER), id, sizeof(id));
    return 0;
}

int
nodes_create(struct err *err)
{
    void *region;

    check(states == NULL);
    if (shm_new(&region, "spoor-nodes", sizeof(struct node_states), err) != 0)
        return -1;
    states = region;
    shared_mutex_init(&states->mutex);
    return make_id(states->header, err);
}

const char *const *
nodes_headers(void)
{
    static const char *headers[2];

    headers[0] = states == NULL ? NULL : states->header;
    return headers;
}

bool
nodes_is_own_id(struct sv id)
{
    return states != NULL && id.len > 0 &&
        sv_eq(id, sv_from(states->header + strlen(FRONT_HEADER)));
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
node_states_count_return(void)
{
    atomic_fetch_add(&states->returns, 1);
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
