/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A server that is nothing but the process model: the master and its children
 * with a toy module in place of HTTP and the store.  Tests run it like spoor:
 *
 *     process -c FILE [-s VERB] [-t] [-q]
 *
 * It answers GET of
 *     /health       200 and the worker's pid
 *     /slow?MS      after MS milliseconds
 *     /crash        a failed check(), after the "answer"
 *     /stall        by holding the loop for ten seconds
 *
 * The environment makes it fail: TOY_FAIL=ROLE[:FILE] fails init_process of a
 * role, while FILE exists if it is given; TOY_RECOVERY=1 asks for recovery of
 * workers that did not leave well; TOY_HANG=1 never drains.
 */

#include "core/base.h"

#include <unistd.h>

#include "core/assert.h"
#include "core/conf.h"
#include "core/fault.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/num.h"
#include "core/shm.h"
#include "event/conn.h"
#include "event/listen.h"
#include "event/loop.h"
#include "event/master.h"
#include "event/module.h"

#define REQUEST_MAX 4096

struct toy {
    struct toy *next;
    struct toy **prev;
    struct conn *conn;
    struct loop_timer *timer;
    bool is_busy;
    size_t len;
    char request[REQUEST_MAX];
};

static struct process *toy_process;
static struct toy *toys;
static unsigned toys_busy;
static bool toy_is_draining;
static bool *toy_left_well; /* shared, by slot */

static void
toy_free(struct toy *toy, bool has_conn)
{
    *toy->prev = toy->next;
    if (toy->next != NULL)
        toy->next->prev = toy->prev;
    if (toy->is_busy) {
        listen_conn_busy(-1);
        toys_busy--;
    }
    if (has_conn)
        conn_finish(toy->conn);
    else
        conn_free(toy->conn);
    listen_conn_ended();
    loop_timer_free(toy->timer);
    xfree(toy);
}

static void
toy_answer(void *arg)
{
    struct toy *toy = arg;
    char body[32], text[256];

    snprintf(body, sizeof(body), "%d\n", (int)getpid());
    snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n"
        "Connection: close\r\n\r\n%s", strlen(body), body);
    conn_write(toy->conn, text, strlen(text));
    toy_free(toy, true);
}

static void
toy_request(struct toy *toy)
{
    uint64_t ms = 0;
    struct sv head = sv_from(toy->request), line, word;

    (void)sv_split(&head, '\r', &line);
    (void)sv_split(&line, ' ', &word);
    (void)sv_split(&line, ' ', &word);
    toy->is_busy = true;
    toys_busy++;
    listen_conn_busy(1);
    conn_want_read(toy->conn, false);
    if (sv_starts_with(word, SV("/slow?")))
        (void)num_parse_u64(sv_sub(word, 6, SIZE_MAX), &ms);
    if (sv_eq(word, SV("/crash")))
        panic("toy: asked to crash");
    if (sv_eq(word, SV("/stall")))
        sleep(10);
    loop_timer_set(toy->timer, (int64_t)ms * NS_PER_MS);
}

static void
toy_on_readable(UNUSED struct conn *conn, void *arg)
{
    struct toy *toy = arg;
    ssize_t n = conn_read(toy->conn, toy->request + toy->len,
        sizeof(toy->request) - 1 - toy->len);

    if (n == -1)
        return;
    if (n <= 0) {
        toy_free(toy, false);
        return;
    }
    toy->len += (size_t)n;
    toy->request[toy->len] = '\0';
    if (strstr(toy->request, "\r\n\r\n") != NULL)
        toy_request(toy);
    else if (toy->len + 1 == sizeof(toy->request))
        toy_free(toy, false);
}

static void
toy_on_closed(UNUSED struct conn *conn, UNUSED enum conn_close why, void *arg)
{
    toy_free(arg, false);
}

static const struct conn_ops toy_ops = {
    .on_readable = toy_on_readable,
    .on_closed = toy_on_closed,
};

static void
toy_accept(int fd, const struct conf_listener *listener, UNUSED void *arg)
{
    struct toy *toy = xcalloc(1, sizeof(*toy));

    toy->conn = conn_accept(toy_process->loop, fd, listener, &toy_ops, toy);
    toy->timer = loop_timer_new(toy_process->loop, toy_answer, toy);
    toy->next = toys;
    toy->prev = &toys;
    if (toys != NULL)
        toys->prev = &toy->next;
    toys = toy;
    conn_want_read(toy->conn, true);
}

static int
toy_init_master(const struct conf *conf, struct err *err)
{
    void *shared;

    if (shm_new(&shared, "toy", master_slot_capacity(conf), err) != 0)
        return -1;
    toy_left_well = shared;
    return 0;
}

/* A number that a test uses to have a reload refused by a module. */
static int
toy_reload_master(const struct conf *conf, struct err *err)
{
    if (conf->search_max_traces == 666)
        return err_set(err, ERR_INVALID, "a number it does not like");
    return 0;
}

static bool
toy_fails(enum role role)
{
    const char *rule = getenv("TOY_FAIL");
    struct sv rest, name;

    if (rule == NULL)
        return false;
    rest = sv_from(rule);
    if (!sv_split(&rest, ':', &name) ||
        !sv_eq(name, sv_from(role_name(role))))
        return false;
    return rest.len == 0 || access(rest.ptr, F_OK) == 0;
}

static int
toy_init_process(struct process *process, struct err *err)
{
    toy_process = process;
    if (toy_fails(process->role))
        return err_set(err, ERR_INVALID, "told to fail");
    if (process->role == ROLE_WORKER) {
        toy_left_well[process->slot] = false;
        listen_start(process, toy_accept, NULL);
    }
    if (process->role == ROLE_RECOVER)
        log_info("recovering slot %d", (int)process->slot);
    log_info("uid %d, slot %d, generation %u, user %d, max_traces %d",
        (int)geteuid(), (int)process->slot, process->generation,
        (int)getuid(), (int)process->conf->search_max_traces);
    return 0;
}

static void
toy_drain(UNUSED struct process *process)
{
    struct toy *toy, *next;

    toy_is_draining = true;
    for (toy = toys; toy != NULL; toy = next) {
        next = toy->next;
        if (!toy->is_busy)
            toy_free(toy, false);
    }
}

static bool
toy_is_drained(struct process *process)
{
    if (process->role == ROLE_WORKER && getenv("TOY_HANG") != NULL)
        return false;
    return toys_busy == 0;
}

static void
toy_exit_process(struct process *process)
{
    while (toys != NULL)
        toy_free(toys, false);
    if (process->role == ROLE_WORKER)
        toy_left_well[process->slot] = true;
    log_info("leaving well");
}

static bool
toy_child_ended(enum role role, unsigned slot, UNUSED pid_t pid,
    UNUSED bool crashed)
{
    return role == ROLE_WORKER && getenv("TOY_RECOVERY") != NULL &&
        !toy_left_well[slot];
}

static const struct module toy_module = {
    .name = "toy",
    .init_master = toy_init_master,
    .reload_master = toy_reload_master,
    .init_process = toy_init_process,
    .drain = toy_drain,
    .is_drained = toy_is_drained,
    .exit_process = toy_exit_process,
    .child_ended = toy_child_ended,
};

static const struct module *const toy_modules[] = {&toy_module, NULL};

static int
toy_ask(const struct conf *conf, const char *verb)
{
    struct err err = ERR_INIT;
    struct sb answer;
    int rc;

    sb_init(&answer, MIB);
    rc = master_command(conf, verb, &answer, &err);
    if (answer.len > 0)
        printf("%s\n", answer.ptr);
    else
        fprintf(stderr, "process: %s\n", err.text);
    sb_release(&answer);
    return rc == 0 ? 0 : 1;
}

int
main(int argc, char **argv)
{
    struct conf_source source = {0};
    struct conf *conf;
    const char *verb = NULL;
    bool is_test = false;
    struct err err = ERR_INIT;
    struct sb messages;
    int c, status;

    while ((c = getopt(argc, argv, "c:s:tq")) != -1) {
        if (c == 'c')
            source.file = optarg;
        else if (c == 's')
            verb = optarg;
        else if (c == 't')
            is_test = true;
        else if (c == 'q')
            continue;
        else
            return 2;
    }
    fault_init();
    sb_init(&messages, MIB);
    if (conf_load(&conf, &source, &messages) != 0) {
        fprintf(stderr, "%s", messages.ptr);
        return 2;
    }
    sb_release(&messages);
    if (is_test) {
        conf_free(conf);
        return 0;
    }
    modules = toy_modules;
    if (verb != NULL) {
        status = toy_ask(conf, verb);
        conf_free(conf);
        return status;
    }
    if (log_open(conf->log_file, &err) != 0) {
        fprintf(stderr, "process: %s\n", err.text);
        return 1;
    }
    log_set_level((enum log_level)conf->log_level);
    return master_run(conf, &source);
}
