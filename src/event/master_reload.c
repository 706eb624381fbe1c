/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A reload, step by step:
 *
 *   1. load the configuration; open new addresses; modules' reload_master.
 *      A failure here, and nothing has changed.
 *   2. RELOAD: fork the workers of the new generation beside the old ones.
 *      When they do not come up, they are ended and the old configuration
 *      stays.
 *   3. All are READY: the old workers drain, addresses that are not named
 *      any more are closed.
 *   4. HANDOVER: merge and retention end, each is followed by its successor.
 */

#include "core/base.h"
#include "event/master_state.h"

#include "core/assert.h"
#include "core/conf_storage.h"
#include "core/log.h"
#include "core/metrics.h"
#include "event/control.h"
#include "event/loop.h"
#include "event/master.h"
#include "event/proc.h"
#include "event/watch.h"

static void
master_answer_reload(struct master *master, bool is_done, const char *text)
{
    struct sb answer;

    sb_init(&answer, 2 * MASTER_MESSAGES_MAX);
    sb_add_str(&answer, text);
    if (master->reload_notes.len > 0) {
        sb_add_char(&answer, '\n');
        sb_add_sv(&answer, sb_sv(&master->reload_notes));
    }
    control_answer(SIGNAL_RELOAD, is_done, answer.ptr);
    sb_release(&answer);
    sb_reset(&master->reload_notes);
}

/* Each line of text as a line of the log. */
static void
master_log_lines(enum log_level level, struct sv text)
{
    struct sv line;

    while (sv_split(&text, '\n', &line)) {
        static struct log_site site;

        /* More errors than a site may write are still all told. */
        memset(&site, 0, sizeof(site));
        if (line.len > 0 && log_is_on(level))
            log_write(&site, level, __FILE__, __LINE__, "%.*s",
                SV_ARG(line));
    }
}

/* Copies the member that is called yaml in the file. */
static void
conf_keep(struct conf *to, const struct conf *from, const char *yaml)
{
#define DIRECTIVE(kind, member, name, flag, def, min, max, choices, change, \
    doc) \
    if (strcmp(yaml, name) == 0) \
        to->member = from->member;
#include "core/directives.def"
#undef DIRECTIVE
}

/* A list of nodes reloads, but not whether there is one. */
static void
master_keep_role(struct master *master, struct conf *conf)
{
    const char *text = conf_is_front(conf) ?
        "storage_nodes: a server that stores becomes a front of others at a "
        "restart; it stays as it is" :
        "storage_nodes: without any, a front becomes a server that stores; "
        "this needs a restart, its nodes stay as they are";

    if (conf_is_front(conf) == conf_is_front(master->boot_conf))
        return;
    log_warn("%s", text);
    sb_addf(&master->reload_notes, "warning: %s\n", text);
    conf_storage_keep(conf, master->conf);
}

/*
 * What only a restart changes stays as it is, with a warning.  The values
 * belong to boot_conf, which lives as long as the master.
 */
static void
master_keep_for_restart(struct master *master, struct conf *conf)
{
    const char *yaml;

    master_keep_role(master, conf);
    while (conf_needs_restart(master->boot_conf, conf, &yaml)) {
        log_warn("%s: a change needs a restart; it stays as it is", yaml);
        sb_addf(&master->reload_notes,
            "warning: %s: a change needs a restart\n", yaml);
        conf_keep(conf, master->boot_conf, yaml);
    }
}

static void
master_warn_workers(struct master *master, const struct conf *conf)
{
    unsigned wanted = master_workers(conf);
    unsigned given = master_worker_seats(master, conf);

    if (given == wanted)
        return;
    log_warn("workers: %u need a restart; there will be %u", wanted, given);
    sb_addf(&master->reload_notes,
        "warning: workers: %u need a restart, there are %u\n", wanted,
        given);
}

static int
modules_reload(const struct conf *conf, struct err *err)
{
    watch_clear();
    for (const struct module *const *m = modules; *m != NULL; m++)
        if ((*m)->reload_master != NULL && (*m)->reload_master(conf, err) != 0)
            return err_wrap(err, "%s", (*m)->name);
    return 0;
}

/* Back to the configuration that is in use. */
static void
master_restore(struct master *master)
{
    struct err err = ERR_INIT;

    if (listen_open(master->conf, &err) != 0 ||
        master_apply_log(master, master->conf, &err) != 0 ||
        modules_reload(master->conf, &err) != 0)
        log_error("going back to the old configuration: %s", err.text);
    listen_commit();
}

static void
master_reload_failed(struct master *master, const char *why)
{
    metric_add(METRIC_RELOAD_ERRORS, 1);
    log_error("reload failed, the old configuration stays: %s", why);
    if (why[0] != '\0' && master->reload_notes.len == 0)
        sb_addf(&master->reload_notes, "%s\n", why);
    master_answer_reload(master, false, "failed");
    master_status_reloaded(master, true);
}

static int
master_reload_load(struct master *master, struct err *err)
{
    struct sb messages;
    int rc;

    sb_init(&messages, MASTER_MESSAGES_MAX);
    rc = conf_load(&master->next_conf, master->source, &messages);
    master_log_lines(rc == 0 ? LOG_WARN : LOG_ERROR, sb_sv(&messages));
    sb_add_sv(&master->reload_notes, sb_sv(&messages));
    sb_release(&messages);
    if (rc != 0)
        return err_set(err, ERR_INVALID, "the configuration has errors");
    master_keep_for_restart(master, master->next_conf);
    master_warn_workers(master, master->next_conf);
    return 0;
}

void
master_reload_begin(struct master *master)
{
    struct err err = ERR_INIT;

    master->is_reload_wanted = false;
    master->reload_failures = 0;
    sb_reset(&master->reload_notes);
    control_begin(SIGNAL_RELOAD);
    log_info("reloading");
    master_status_reloading(master);
    if (master_reload_load(master, &err) != 0) {
        master_reload_failed(master, err.text);
        return;
    }
    if (listen_open(master->next_conf, &err) != 0 ||
        master_apply_log(master, master->next_conf, &err) != 0 ||
        modules_reload(master->next_conf, &err) != 0) {
        sb_addf(&master->reload_notes, "%s\n", err.text);
        master_restore(master);
        conf_free(master->next_conf);
        master->next_conf = NULL;
        master_reload_failed(master, err.text);
        return;
    }
    master->generation++;
    for (unsigned i = 0; i < MASTER_WORKERS_MAX; i++)
        seat_clear(&master->workers[i]);
    master_set_state(master, MASTER_RELOAD);
}

bool
master_reload_is_ready(const struct master *master)
{
    unsigned workers = master_worker_seats(master, master->next_conf);

    for (unsigned i = 0; i < workers; i++) {
        const struct proc *next = master->workers[i].next;

        if (next == NULL || next->state != PROC_READY)
            return false;
    }
    return true;
}

void
master_reload_commit(struct master *master)
{
    struct seat *seat;

    for (unsigned i = 0; i < MASTER_WORKERS_MAX; i++) {
        seat = &master->workers[i];
        if (seat->proc != NULL)
            proc_drain(seat->proc);
        seat->proc = seat->next;
        seat->next = NULL;
        seat_clear(seat);
    }
    listen_commit();
    if (master->conf != master->boot_conf)
        conf_free(master->conf);
    master->conf = master->next_conf;
    master->next_conf = NULL;
    master->are_workers_wanted = true;
    for (unsigned i = 0; (seat = master_single_seat(master, i)) != NULL; i++)
        if (seat->proc != NULL)
            proc_stop(seat->proc, master->conf->shutdown_timeout);
    master_set_state(master, MASTER_HANDOVER);
}

void
master_reload_undo(struct master *master, const char *why)
{
    for (unsigned i = 0; i < MASTER_WORKERS_MAX; i++) {
        struct seat *seat = &master->workers[i];

        if (seat->next != NULL)
            proc_stop(seat->next, 0);
        seat->next = NULL;
        seat_clear(seat);
    }
    master_restore(master);
    /* Children have copies of their own. */
    conf_free(master->next_conf);
    master->next_conf = NULL;
    sb_addf(&master->reload_notes, "%s\n", why);
    master_set_state(master, MASTER_RUN);
    master_reload_failed(master, why);
}

bool
master_handover_is_done(struct master *master)
{
    const struct seat *seat;

    for (unsigned i = 0; (seat = master_single_seat(master, i)) != NULL;
         i++) {
        const struct proc *proc = seat->proc;

        /* One that keeps failing is restarted in MASTER_RUN as well. */
        if (seat->failures >= MASTER_RELOAD_FAILURES_MAX)
            continue;
        if (proc == NULL || proc->state != PROC_READY ||
            proc->process.generation != master->generation)
            return false;
    }
    return true;
}

void
master_reload_done(struct master *master)
{
    unsigned workers = master_worker_seats(master, master->conf);
    char text[64];

    metric_add(METRIC_RELOADS, 1);
    snprintf(text, sizeof(text), "done, %u worker%s", workers,
        workers == 1 ? "" : "s");
    log_info("reload: %s", text);
    master_set_state(master, MASTER_RUN);
    master_answer_reload(master, true, text);
}
