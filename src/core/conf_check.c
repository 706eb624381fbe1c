/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What a configuration asks of the machine: that its user exists and its
 * paths can be used.  Nothing is made or opened.
 */

#include "core/base.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/conf_listener.h"
#include "core/conf_load.h"
#include "core/log_conf.h"
#include "core/sys.h"

/* What is said of the certificates of one address. */
#define DOUBTS_BYTES_MAX (64 * KIB)

/* What cannot be done with path, and who tried. */
static void
complain_errno(struct conf_loader *loader, enum conf_row_id id, unsigned item,
    const char *path)
{
    int error = errno;

    conf_loader_complain(loader, id, item,
        "cannot be used: %s: %s (running as uid %u)", path, strerror(error),
        (unsigned)geteuid());
}

/* Cuts the last component; false when none is left. */
static bool
path_up(char *path)
{
    char *slash = strrchr(path, '/');

    if (slash == NULL || strcmp(path, "/") == 0)
        return false;
    slash[slash == path ? 1 : 0] = '\0';
    return true;
}

/* A directory that can be written, or made because what is above can be. */
static void
check_directory(struct conf_loader *loader, enum conf_row_id id,
    const char *directory)
{
    char path[2 * PATH_MAX];
    struct stat st;

    snprintf(path, sizeof(path), "%s", directory);
    while (sys.stat(path, &st) != 0) {
        if (errno != ENOENT || !path_up(path)) {
            complain_errno(loader, id, 0, path);
            return;
        }
    }
    if (!S_ISDIR(st.st_mode))
        errno = ENOTDIR;
    else if (faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) == 0)
        return;
    complain_errno(loader, id, 0, path);
}

/* A log is created, but not the directory it is in. */
static void
check_log(struct conf_loader *loader, enum conf_row_id id, const char *file)
{
    char path[2 * PATH_MAX];
    struct stat st;

    if (file[0] == '\0')
        return;
    snprintf(path, sizeof(path), "%s", file);
    if (sys.stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            errno = EISDIR;
        else if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0)
            return;
        complain_errno(loader, id, 0, path);
        return;
    }
    if (errno == ENOENT && path_up(path) &&
        faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) == 0)
        return;
    complain_errno(loader, id, 0, path);
}

/* Files that are read at the start: a text with ';' between them. */
static bool
check_files(struct conf_loader *loader, enum conf_row_id id, unsigned item,
    const char *paths)
{
    struct sv rest = sv_from(paths), part;
    bool is_good = true;

    while (sv_split(&rest, ';', &part)) {
        char path[2 * PATH_MAX];
        struct stat st;

        snprintf(path, sizeof(path), "%.*s", SV_ARG(part));
        if (sys.stat(path, &st) == 0) {
            if (S_ISDIR(st.st_mode))
                errno = EISDIR;
            else if (faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == 0)
                continue;
        }
        complain_errno(loader, id, item, path);
        is_good = false;
    }
    return is_good;
}

static void
check_user(struct conf_loader *loader)
{
    const char *user = loader->conf->user;

    if (user[0] != '\0' && getpwnam(user) == NULL)
        conf_loader_complain(loader, CONF_ROW_user, 0,
            "must be a user of this system, not \"%s\"", user);
}

/* The files of an address, and if they can be read what is in them. */
static void
check_listener(struct conf_loader *loader, const struct conf_source *source,
    unsigned number)
{
    struct conf_listener listener = conf_listener_get(loader->conf, number);
    bool is_grpc = listener.is_grpc, is_good = true;
    unsigned n = is_grpc ? number - loader->conf->http_listen.n : number;
    enum conf_row_id certs = is_grpc ? CONF_ROW_grpc_certs :
        CONF_ROW_http_certs;
    struct err err = ERR_INIT;
    struct sv rest, line;
    struct sb doubts;

    if (listener.certs != NULL)
        is_good &= check_files(loader, certs, n, listener.certs);
    if (listener.keys != NULL)
        is_good &= check_files(loader, is_grpc ? CONF_ROW_grpc_keys :
            CONF_ROW_http_keys, n, listener.keys);
    if (listener.mtls_ca != NULL)
        is_good &= check_files(loader, is_grpc ? CONF_ROW_grpc_mtls_cas :
            CONF_ROW_http_mtls_cas, n, listener.mtls_ca);
    if (!is_good || loader->is_bad_listener[number] ||
        source->check_listener == NULL)
        return;
    sb_init(&doubts, DOUBTS_BYTES_MAX);
    if (source->check_listener(&listener, &doubts, &err) != 0)
        conf_loader_complain(loader, certs, n, "of %s: %s", listener.address,
            err.text);
    rest = sb_sv(&doubts);
    while (sv_split(&rest, '\n', &line) && line.len > 0)
        conf_loader_warn(loader, certs, n, "of %s: %.*s", listener.address,
            SV_ARG(line));
    sb_release(&doubts);
}

/* Those of all nodes; a single value for all of them is looked at once. */
static void
check_node_files(struct conf_loader *loader)
{
    static const enum conf_row_id rows[] = {CONF_ROW_node_cas,
        CONF_ROW_node_certs, CONF_ROW_node_keys};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct conf_list *column = (const struct conf_list *)
            (const void *)((const char *)loader->conf +
            conf_rows[rows[i]].offset);

        for (unsigned n = 0; n < column->n; n++) {
            bool is_same = n > 0 &&
                strcmp(column->v[n], column->v[n - 1]) == 0;

            if (column->v[n][0] != '\0' && !is_same)
                (void)check_files(loader, rows[i], n, column->v[n]);
        }
    }
}

void
conf_check_system(struct conf_loader *loader,
    const struct conf_source *source)
{
    const struct conf *conf = loader->conf;
    char directory[2 * PATH_MAX];

    check_user(loader);
    if (!loader->is_bad[CONF_ROW_data_path])
        check_directory(loader, CONF_ROW_data_path, conf->data_path);
    snprintf(directory, sizeof(directory), "%s", conf->pid_file);
    if (path_up(directory) && strcmp(directory, conf->data_path) != 0)
        check_directory(loader, CONF_ROW_pid_file, directory);
    if (log_conf_is_file(conf))
        check_log(loader, CONF_ROW_log_file, conf->log_file);
    check_log(loader, CONF_ROW_access_log, conf->access_log);
    if (conf->auth_users_file[0] != '\0')
        (void)check_files(loader, CONF_ROW_auth_users_file, 0,
            conf->auth_users_file);
    if (conf->auth_tokens_file[0] != '\0')
        (void)check_files(loader, CONF_ROW_auth_tokens_file, 0,
            conf->auth_tokens_file);
    for (unsigned i = 0; i < conf_listeners(conf); i++)
        check_listener(loader, source, i);
    check_node_files(loader);
}
