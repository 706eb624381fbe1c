/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The thread that brings inserts to the nodes.  Each turn of it:
 *
 *   poll      calls under way, the inbox, a second
 *   refresh   who is there, how they are
 *   inbox     digests are claimed, shares become shipments in lanes
 *   step      calls go on; what they come to decides where shipments go
 *   unstall   nobody waits for a node that hangs
 *   flush     all that is to be durable, in one write
 *   start     new calls
 *   answer    inserts whose shipments are all stored or durable
 */

#include "core/base.h"
#include "cluster/sender.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "cluster/sink.h"
#include "core/assert.h"
#include "core/enc.h"
#include "core/fault.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/timefmt.h"
#include "event/loop.h"
#include "storage/requests.h"

/* Of what nobody wakes the thread for. */
#define LOOK_NS NS_PER_SEC
#define TWIN_POLL_NS (10 * NS_PER_MS)
/*
 * An insert that meets its twin in flight waits this long, then it is
 * answered 503: the twin hangs, or its worker died.
 */
#define TWIN_WAIT_NS (15 * NS_PER_SEC)

/* The one of this process; nodes may wake it while it starts. */
static struct sender *_Atomic the_sender;

/* --- shipments --- */

const struct parcel *
shipment_parcel(const struct shipment *shipment)
{
    return shipment->share != NULL ? &shipment->share->parcel
        : &shipment->item->parcel;
}

uint64_t
shipment_key(const struct shipment *shipment)
{
    return enc_get64(shipment_parcel(shipment)->id);
}

void
shipment_free(struct shipment *shipment)
{
    share_free(shipment->share);
    xfree(shipment->tried);
    xfree(shipment);
}

/* --- deliveries --- */

static void
delivery_end(struct sender *sender, struct delivery *delivery)
{
    const struct batch *batch = delivery->ingest->batch;
    struct request_outcome outcome = {
        MIN(batch->rejected + delivery->rejected, batch->nspans),
        batch->reject_mask | delivery->reject_mask,
    };

    requests_settle(delivery->ingest->digest, sender->log_id,
        delivery->status == INGEST_OK, &outcome);
    delivery->next = sender->answers;
    sender->answers = delivery;
}

static void
delivery_step(struct sender *sender, struct shipment *shipment)
{
    struct delivery *delivery = shipment->delivery;

    shipment->delivery = NULL;
    check(delivery->left > 0);
    if (--delivery->left == 0)
        delivery_end(sender, delivery);
}

void
shipment_taken(struct sender *sender, struct shipment *shipment,
    const struct parcel_answer *answer)
{
    struct delivery *delivery = shipment->delivery;

    if (delivery == NULL)
        return;
    delivery->is_taken = true;
    if (answer != NULL) {
        delivery->rejected += answer->rejected;
        delivery->reject_mask |= answer->reject_mask;
    }
    delivery_step(sender, shipment);
}

void
shipment_failed(struct sender *sender, struct shipment *shipment,
    enum ingest_status status)
{
    struct delivery *delivery = shipment->delivery;

    if (delivery != NULL) {
        delivery->is_taken |= shipment->is_unknown;
        /* What can never be stored is said first. */
        if (delivery->status == INGEST_OK ||
            delivery->status == INGEST_UNAVAILABLE)
            delivery->status = status;
        delivery_step(sender, shipment);
    }
    shipment_free(shipment);
}

/* --- the inbox --- */

static struct lane *
lane_by_index(struct sender *sender, const struct nodes *nodes, unsigned i)
{
    if (i >= nodes->n)
        return NULL;
    return nodes == sender->nodes ? sender->lane_of[i]
        : lane_get(sender, nodes->v[i].name);
}

/*
 * A shipment that is to be durable first may be sent right behind that; so
 * the note says that its node may have it.
 */
static void
ship(struct sender *sender, struct delivery *delivery, struct share *share)
{
    struct shipment *shipment = xcalloc(1, sizeof(*shipment));

    shipment->delivery = delivery;
    shipment->share = share;
    shipment->lane = lane_by_index(sender, delivery->nodes, share->target);
    if (shipment_is_adopted(shipment)) {
        metric_add(METRIC_INGEST_DUPLICATES, 1);
        shipment_taken(sender, shipment, NULL);
        shipment_free(shipment);
        return;
    }
    if (share->target != share->home)
        metric_add(METRIC_CLUSTER_REROUTED, 1);
    if (sender->conf->cluster_ack_queued && sender->queue != NULL)
        shipment_enqueue(sender, shipment);
    else
        shipment_place(sender, shipment);
}

static void
delivery_ship(struct sender *sender, struct delivery *delivery)
{
    struct share *share = delivery->shares;

    delivery->shares = NULL;
    for (const struct share *s = share; s != NULL; s = s->next)
        delivery->left++;
    check(delivery->left > 0);
    /* One more, so that it does not end before all are on their way. */
    delivery->left++;
    while (share != NULL) {
        struct share *next = share->next;

        share->next = NULL;
        ship(sender, delivery, share);
        share = next;
    }
    if (--delivery->left == 0)
        delivery_end(sender, delivery);
}

/* True: it is answered, or waits for its twin. */
static bool
delivery_is_known(struct sender *sender, struct delivery *delivery)
{
    const struct ingest *ingest = delivery->ingest;
    struct request_outcome outcome = {0, 0};
    int64_t waited_ns;

    switch (requests_claim(ingest->digest, sender->log_id, &outcome)) {
    case REQUEST_NEW:
        return false;
    case REQUEST_STORED:
        delivery->is_duplicate = true;
        delivery->rejected = outcome.rejected;
        delivery->reject_mask = outcome.reject_mask;
        metric_add(METRIC_INGEST_DUPLICATES, 1);
        delivery->next = sender->answers;
        sender->answers = delivery;
        return true;
    case REQUEST_IN_FLIGHT:
        break;
    }
    waited_ns = clock_wall_ns() - ingest->recv_time_ns;
    if (waited_ns < 0 || waited_ns > TWIN_WAIT_NS) {
        metric_add(METRIC_INGEST_REFUSED_BUSY, 1);
        delivery->status = INGEST_UNAVAILABLE;
        delivery->is_taken = true;
        delivery->next = sender->answers;
        sender->answers = delivery;
    } else {
        delivery->next = sender->twins;
        sender->twins = delivery;
    }
    return true;
}

static void
deliveries_take(struct sender *sender, struct delivery *list)
{
    while (list != NULL) {
        struct delivery *next = list->next;

        if (list->status != INGEST_OK) {
            list->next = sender->answers;
            sender->answers = list;
        } else if (!delivery_is_known(sender, list)) {
            delivery_ship(sender, list);
        }
        list = next;
    }
}

void
sender_submit(struct delivery *delivery)
{
    struct sender *sender = delivery->sender;

    delivery->next = NULL;
    pthread_mutex_lock(&sender->mutex);
    *sender->inbox_tail = delivery;
    sender->inbox_tail = &delivery->next;
    pthread_mutex_unlock(&sender->mutex);
    sender_wake();
}

static bool
inbox_take(struct sender *sender)
{
    struct delivery *list, *twins = sender->twins;
    bool is_stopping;

    pthread_mutex_lock(&sender->mutex);
    list = sender->inbox;
    sender->inbox = NULL;
    sender->inbox_tail = &sender->inbox;
    is_stopping = sender->is_stopping;
    pthread_mutex_unlock(&sender->mutex);
    sender->twins = NULL;
    deliveries_take(sender, twins);
    deliveries_take(sender, list);
    return is_stopping;
}

static void
answers_send(struct sender *sender)
{
    struct delivery *list = sender->answers;

    if (list == NULL)
        return;
    fault("sender.before_answer");
    sender->answers = NULL;
    loop_post(sender->process->loop, sink_answer, list);
}

/* --- the thread --- */

/* The turn that ends has left something for the next one. */
static bool
has_work(const struct sender *sender)
{
    if (!TAILQ_EMPTY(&sender->adding))
        return true;
    for (unsigned i = 0; i < sender->nodes->n && sender->nlive > 0; i++) {
        const struct lane *lane = sender->lane_of[i];

        if (lane != NULL && !TAILQ_EMPTY(&lane->live) && (!lane->takes ||
            lane->nlive_calls < sender->conf->insert_concurrency))
            return true;
    }
    return false;
}

static int64_t
next_wake_ns(const struct sender *sender, bool is_stopping)
{
    int64_t wake_ns = sender->second_ns;
    const struct call *call;

    if (has_work(sender))
        return 0;
    if (sender->twins != NULL)
        wake_ns = MIN(wake_ns, sender->now_ns + TWIN_POLL_NS);
    if (sender->nlive > 0)
        wake_ns = MIN(wake_ns, sender->now_ns + STALL_NS / 4);
    if (is_stopping)
        wake_ns = MIN(wake_ns, sender->stop_ns);
    TAILQ_FOREACH(call, &sender->calls, link)
        wake_ns = MIN(wake_ns, MIN(call->wake_ns, call->stall_ns));
    for (unsigned i = 0; i < sender->nodes->n; i++) {
        const struct lane *lane = sender->lane_of[i];

        if (lane != NULL && lane->takes && !lane->has_backlog_call &&
            (!TAILQ_EMPTY(&lane->backlog) || !TAILQ_EMPTY(&lane->unknown)))
            wake_ns = MIN(wake_ns, lane->backlog_ns);
    }
    return wake_ns;
}

/* The first is that of the eventfd; free with xfree(). */
static struct pollfd *
make_pollfds(struct sender *sender, nfds_t *n)
{
    struct pollfd *pfds;
    struct call *call;

    *n = 1;
    TAILQ_FOREACH(call, &sender->calls, link)
        (*n)++;
    pfds = xcalloc(*n, sizeof(*pfds));
    pfds[0] = (struct pollfd){sender->event_fd, POLLIN, 0};
    *n = 1;
    TAILQ_FOREACH(call, &sender->calls, link) {
        call->poll_index = (unsigned)*n;
        http_call_wants(call->http, &pfds[(*n)++], &call->wake_ns);
    }
    return pfds;
}

static struct pollfd *
wait_for_work(struct sender *sender, bool is_stopping)
{
    struct pollfd *pfds;
    int64_t wait_ns;
    uint64_t count;
    nfds_t n;

    pfds = make_pollfds(sender, &n);
    wait_ns = next_wake_ns(sender, is_stopping) - clock_mono_ns();
    wait_ns = MAX(wait_ns, 0);
    if (poll(pfds, n, (int)((wait_ns + NS_PER_MS - 1) / NS_PER_MS)) < 0) {
        check(errno == EINTR);
        for (nfds_t i = 0; i < n; i++)
            pfds[i].revents = 0;
    }
    if (pfds[0].revents != 0 &&
        read(sender->event_fd, &count, sizeof(count)) < 0)
        check(errno == EAGAIN || errno == EINTR);
    sender->now_ns = clock_mono_ns();
    return pfds;
}

static bool
is_quiet(const struct sender *sender)
{
    return sender->nlive == 0 && TAILQ_EMPTY(&sender->calls) &&
        TAILQ_EMPTY(&sender->adding) && sender->twins == NULL;
}

/* Nobody is told any more: what may be stored must not be lost. */
static void
sender_leave(struct sender *sender)
{
    calls_abandon(sender);
    for (unsigned i = 0; i < LANES_MAX; i++) {
        struct lane *lane = sender->lanes[i];
        struct shipment *shipment;

        while (lane != NULL &&
            (shipment = TAILQ_FIRST(&lane->live)) != NULL) {
            TAILQ_REMOVE(&lane->live, shipment, link);
            sender->nlive--;
            shipment_enqueue(sender, shipment);
        }
    }
    backlog_flush(sender);
    answers_send(sender);
}

static void *
sender_main(void *arg)
{
    struct sender *sender = arg;
    bool is_stopping = false;

    sender->now_ns = clock_mono_ns();
    lanes_refresh(sender);
    backlog_open(sender);
    ended_settle(sender);
    while (!is_stopping || (sender->now_ns < sender->stop_ns &&
        !is_quiet(sender))) {
        struct pollfd *pfds = wait_for_work(sender, is_stopping);

        lanes_refresh(sender);
        is_stopping = inbox_take(sender);
        calls_step(sender, pfds);
        xfree(pfds);
        lanes_unstall(sender);
        if (sender->now_ns >= sender->second_ns) {
            sender->second_ns = sender->now_ns + LOOK_NS;
            backlog_look(sender);
            lanes_tell(sender);
        }
        backlog_flush(sender);
        if (!is_stopping || sender->nlive > 0)
            calls_start(sender);
        answers_send(sender);
    }
    sender_leave(sender);
    return NULL;
}

/* --- life --- */

static int
open_queue(struct sender *sender, struct err *err)
{
    const struct conf *conf = sender->conf;
    struct sb dir;
    int rc = 0;

    if (conf->cluster_queue_max == 0)
        return 0;
    sb_init(&dir, PATH_MAX);
    sb_addf(&dir, "%s/queue", conf->data_path);
    rc = queue_open(&sender->queue, dir.ptr, conf->cluster_queue_max, err);
    sb_release(&dir);
    return rc;
}

int
sender_start(struct process *process, struct err *err)
{
    struct sender *sender = xcalloc(1, sizeof(*sender));
    sigset_t all, old;

    sender->process = process;
    sender->conf = process->conf;
    sender->log_id = (uint64_t)getpid();
    sender->inbox_tail = &sender->inbox;
    TAILQ_INIT(&sender->calls);
    TAILQ_INIT(&sender->adding);
    sender->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (sender->event_fd < 0) {
        xfree(sender);
        return err_sys(err, "eventfd");
    }
    if (open_queue(sender, err) != 0) {
        close(sender->event_fd);
        xfree(sender);
        return -1;
    }
    check(pthread_mutex_init(&sender->mutex, NULL) == 0);
    atomic_store(&the_sender, sender);
    sink_open(sender);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    check(pthread_create(&sender->thread, NULL, sender_main, sender) == 0);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    (void)pthread_setname_np(sender->thread, "sender");
    return 0;
}

void
sender_wake(void)
{
    const struct sender *sender = atomic_load(&the_sender);
    uint64_t one = 1;

    if (sender != NULL && write(sender->event_fd, &one, sizeof(one)) < 0)
        check(errno == EAGAIN || errno == EINTR);
}

void
sender_stop(int64_t timeout_ns)
{
    struct sender *sender = atomic_load(&the_sender);

    if (sender == NULL)
        return;
    pthread_mutex_lock(&sender->mutex);
    sender->is_stopping = true;
    sender->stop_ns = clock_mono_ns() + timeout_ns;
    pthread_mutex_unlock(&sender->mutex);
    sender_wake();
    pthread_join(sender->thread, NULL);
    /* Nodes may still wake it. */
    sink_open(NULL);
    lanes_free(sender);
    queue_close(sender->queue);
    sender->queue = NULL;
}
