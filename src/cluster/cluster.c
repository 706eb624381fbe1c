/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A front as a module:
 *
 *   master   memory that workers share (nodes_create); reads the files of TLS
 *            at the start and at each reload, with rights that workers may not
 *            have, and before anything changes; watches all files of the nodes
 *   worker   nodes, then the sender, then queries go to the nodes.  At its end
 *            in reverse order; what the sender has is stored or in the queue
 *            by then.
 */

#include "core/base.h"
#include "cluster/cluster.h"

#include "cluster/backend_nodes.h"
#include "cluster/nodes.h"
#include "cluster/sender.h"
#include "core/conf_storage.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/timefmt.h"
#include "event/tls_client.h"
#include "event/watch.h"
#include "query/backend.h"

/* Nodes that the log names at the start. */
#define NAMES_BYTES_MAX KIB

/*
 * Normally nothing is under way: it was waited for.  Clients of the rest have
 * no answer, so this is only for what a node may have stored.
 */
#define STOP_TIMEOUT_NS (1 * NS_PER_SEC)

/* --- master --- */

static struct tls_client_conf
tls_of(const struct conf_storage_node *node)
{
    return (struct tls_client_conf){
        .ca_file = node->ca_file,
        .cert_file = node->cert_file,
        .key_file = node->key_file,
        .server_name = node->server_name,
        .is_insecure = node->is_insecure,
    };
}

int
cluster_check(const struct conf *conf, struct err *err)
{
    tls_client_forget();
    for (unsigned i = 0; i < conf_storage_nodes(conf); i++) {
        struct conf_storage_node node = conf_storage_node_get(conf, i);
        struct tls_client_conf tls = tls_of(&node);

        if (node.has_tls && tls_client_prepare(&tls, err) != 0)
            return err_wrap(err, "%s", node.address);
    }
    return 0;
}

static void
log_nodes(const struct conf *conf)
{
    unsigned n = conf_storage_nodes(conf), i;
    struct sb text;

    sb_init(&text, NAMES_BYTES_MAX);
    for (i = 0; i < n; i++) {
        const char *address = conf_storage_node_get(conf, i).address;

        if (text.len + strlen(address) + 2 > NAMES_BYTES_MAX / 2)
            break;
        sb_addf(&text, "%s%s", i > 0 ? ", " : "", address);
    }
    log_info("this server is a front: it stores nothing itself; storage "
        "nodes: %.*s%s", SV_ARG(sb_sv(&text)), i < n ? " ..." : "");
    sb_release(&text);
}

/* Items of the list; 0: this is no front. */
static unsigned nlisted;

static int IMPL(init_master)
cluster_reload_master(const struct conf *conf, struct err *err)
{
    if (!conf_is_front(conf))
        return 0;
    conf_storage_files(conf, watch_add);
    if (cluster_check(conf, err) != 0)
        return -1;
    log_nodes(conf);
    nlisted = conf_storage_nodes(conf);
    return 0;
}

static int IMPL(init_master)
cluster_init_master(const struct conf *conf, struct err *err)
{
    if (!conf_is_front(conf))
        return 0;
    if (nodes_create(err) != 0 || sender_create(err) != 0)
        return -1;
    return cluster_reload_master(conf, err);
}

static bool IMPL(child_ended)
cluster_child_ended(enum role role, UNUSED unsigned slot, pid_t pid,
    UNUSED bool crashed)
{
    if (role == ROLE_WORKER) {
        nodes_process_ended(pid);
        sender_process_ended(pid);
    }
    return false;
}

static void IMPL(status_master)
cluster_status_master(struct sb *out)
{
    if (nlisted > 0)
        sb_addf(out, ", front of %u storage node%s", nlisted,
            nlisted == 1 ? "" : "s");
}

/* --- worker --- */

static bool is_started;

static void
wake(UNUSED void *arg)
{
    sender_wake();
}

static int
cluster_init_process(struct process *process, struct err *err)
{
    if (process->role != ROLE_WORKER || !conf_is_front(process->conf))
        return 0;
    if (nodes_start(process->conf, wake, NULL, err) != 0)
        return -1;
    if (sender_start(process, err) != 0) {
        nodes_stop();
        return -1;
    }
    backend_nodes_init(process->conf);
    backend_set(&backend_nodes);
    is_started = true;
    return 0;
}

static bool
cluster_is_drained(UNUSED struct process *process)
{
    return !is_started || sender_is_idle();
}

static void
cluster_exit_process(UNUSED struct process *process)
{
    if (!is_started)
        return;
    is_started = false;
    sender_stop(STOP_TIMEOUT_NS);
    nodes_stop();
}

/* What is left is too little for many requests. */
static bool
is_queue_full(const struct conf *conf)
{
    uint64_t max = conf->cluster_queue_max;
    int64_t bytes = (int64_t)metric_get(METRIC_CLUSTER_QUEUE_BYTES);

    return (uint64_t)MAX(bytes, 0) >= max - max / 16;
}

bool
cluster_is_ready(const struct conf *conf, const char **why)
{
    const struct nodes *nodes = nodes_hold();
    bool is_any_up = false, takes_any = false;

    for (unsigned i = 0; i < nodes->n; i++) {
        is_any_up |= node_is_up(&nodes->v[i]);
        takes_any |= node_takes_inserts(&nodes->v[i]);
    }
    nodes_release(nodes);
    *why = "";
    if (!conf->select_disable && conf->insert_disable && !is_any_up)
        *why = "no storage node can be reached";
    else if (!conf->insert_disable && !takes_any && is_queue_full(conf))
        *why = conf->cluster_queue_max == 0 ? "no storage node takes spans"
            : "no storage node takes spans, and the queue is full";
    return (*why)[0] == '\0';
}

const struct module cluster_module = {
    .name = "storage_nodes",
    .init_master = cluster_init_master,
    .reload_master = cluster_reload_master,
    .status_master = cluster_status_master,
    .init_process = cluster_init_process,
    .is_drained = cluster_is_drained,
    .exit_process = cluster_exit_process,
    .child_ended = cluster_child_ended,
};
