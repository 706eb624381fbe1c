/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A set has one member for each address with TLS and belongs to one
 * configuration (conf->serial).  The master keeps the set in use and the one
 * before or after it, so that a reload can be taken back without reading
 * files that may be broken by then.
 */

#include "core/base.h"
#include "event/tls_server.h"

#include "core/assert.h"
#include "core/conf_listener.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "event/listen.h"
#include "event/tls_cert.h"
#include "event/tls_listener.h"
#include "event/tls_ticket.h"
#include "event/watch.h"

struct tls_set {
    uint64_t serial;
    unsigned n;
    struct tls_listener *listeners[LISTEN_MAX];
};

static struct tls_set *current;
static struct tls_set *other; /* to go back to; NULL: none */

static void
set_free(struct tls_set *set)
{
    if (set == NULL)
        return;
    for (unsigned i = 0; i < set->n; i++)
        tls_listener_free(set->listeners[i]);
    xfree(set);
}

static struct tls_listener *
set_find(const struct tls_set *set, const char *address)
{
    for (unsigned i = 0; i < set->n; i++)
        if (strcmp(set->listeners[i]->address, address) == 0)
            return set->listeners[i];
    return NULL;
}

/* Whether or not they can be read: a file that appears is a change. */
static void
watch_parts(const char *text)
{
    char *path;

    for (unsigned i = 0; text != NULL &&
        (path = tls_listener_part(text, i)) != NULL; i++) {
        watch_add(path);
        xfree(path);
    }
}

static void
watch_files(const struct conf *conf)
{
    for (unsigned i = 0; i < conf_listeners(conf); i++) {
        struct conf_listener one = conf_listener_get(conf, i);

        if (!one.has_tls)
            continue;
        watch_parts(one.certs);
        watch_parts(one.keys);
        if (one.has_mtls && one.mtls_ca != NULL)
            watch_add(one.mtls_ca);
    }
}

static int
set_load(struct tls_set **out, const struct conf *conf, struct err *err)
{
    struct tls_set *set = xcalloc(1, sizeof(*set));

    set->serial = conf->serial;
    for (unsigned i = 0; i < conf_listeners(conf); i++) {
        struct conf_listener one = conf_listener_get(conf, i);

        if (!one.has_tls || set_find(set, one.address) != NULL)
            continue;
        if (set->n == LISTEN_MAX ||
            tls_listener_new(&set->listeners[set->n], &one, err) != 0) {
            set_free(set);
            return -1;
        }
        set->n++;
    }
    *out = set;
    return 0;
}

static void
log_doubts(const struct tls_set *set)
{
    char text[512];

    for (unsigned i = 0; i < set->n; i++) {
        for (unsigned k = 0; k < set->listeners[i]->ncerts; k++) {
            tls_cert_doubts(&set->listeners[i]->certs[k], text,
                sizeof(text));
            if (text[0] != '\0')
                log_warn("%s", text);
        }
    }
}

/* --- the module --- */

static int
IMPL(init_master) tls_init_master(const struct conf *conf, struct err *err)
{
    if (tls_ticket_init(err) != 0)
        return -1;
    watch_files(conf);
    if (set_load(&current, conf, err) != 0)
        return -1;
    log_doubts(current);
    return 0;
}

static int
IMPL(reload_master) tls_reload_master(const struct conf *conf,
    struct err *err)
{
    struct tls_set *set = NULL;

    watch_files(conf);
    if (conf->serial == current->serial)
        return 0; /* going back before anything was loaded */
    if (other != NULL && other->serial == conf->serial) {
        set = other;
        other = current;
        current = set;
        return 0;
    }
    if (set_load(&set, conf, err) != 0)
        return -1;
    set_free(other);
    other = current;
    current = set;
    log_doubts(current);
    return 0;
}

/* Only the answering worker's: all of a generation have the same. */
static void
IMPL(metric_collect_fn) collect_expiry(struct metrics_scrape *scrape,
    UNUSED void *arg)
{
    struct sb labels;

    sb_init(&labels, 4 * KIB);
    for (unsigned i = 0; i < current->n; i++) {
        const struct tls_listener *listener = current->listeners[i];

        for (unsigned k = 0; k < listener->ncerts; k++) {
            const struct tls_cert *cert = &listener->certs[k];
            char number[16];

            snprintf(number, sizeof(number), "%u", k + 1);
            sb_reset(&labels);
            metric_add_label(&labels, "listener", sv_from(listener->address));
            metric_add_label(&labels, "number", sv_from(number));
            metric_add_label(&labels, "key",
                sv_from(tls_cert_kind_name(cert)));
            metric_sample(scrape, METRIC_TLS_CERTIFICATE_NOT_AFTER,
                labels.ptr, (double)tls_cert_not_after(cert));
        }
    }
    sb_release(&labels);
}

static void
forget(void)
{
    set_free(other);
    set_free(current);
    current = other = NULL;
}

static int
IMPL(init_process) tls_init_process(struct process *process,
    UNUSED struct err *err)
{
    struct tls_set *mine = current;

    if (process->role != ROLE_WORKER) {
        forget();
        return 0;
    }
    if (other != NULL && other->serial == process->conf->serial) {
        mine = other;
        other = current;
    }
    check(mine != NULL && mine->serial == process->conf->serial);
    current = mine;
    set_free(other);
    other = NULL;
    metrics_on_collect(collect_expiry, NULL);
    return 0;
}

static void
IMPL(exit_process) tls_exit_process(UNUSED struct process *process)
{
    forget();
}

const struct module tls_module = {
    .name = "tls",
    .init_master = tls_init_master,
    .reload_master = tls_reload_master,
    .init_process = tls_init_process,
    .exit_process = tls_exit_process,
};

struct tls *
tls_server_new(const char *address, int fd)
{
    struct tls_listener *listener = current == NULL ? NULL
                                                    : set_find(current, address);

    check(listener != NULL);
    return tls_new(listener->ctx, fd, NULL);
}

/* --- -t --- */

int
tls_server_check(const struct conf_listener *conf, struct sb *doubts,
    struct err *err)
{
    struct tls_listener *listener;
    char text[512];

    if (!conf->has_tls)
        return 0;
    if (tls_listener_new(&listener, conf, err) != 0)
        return -1;
    for (unsigned k = 0; k < listener->ncerts; k++) {
        tls_cert_doubts(&listener->certs[k], text, sizeof(text));
        if (text[0] != '\0')
            sb_addf(doubts, "%s\n", text);
    }
    tls_listener_free(listener);
    return 0;
}
