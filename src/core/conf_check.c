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

#include "core/conf.h"
#include "core/conf_load.h"
#include "core/log_conf.h"
#include "core/sys.h"

static void
complain(const struct conf *conf, enum conf_row_id id,
    struct conf_report *report, const char *text)
{
    conf_report_source(report, conf->origins->v[id].where,
        sv_make(NULL, 0));
    conf_report_error(report, NULL, "error: \"%s\": %s", conf_rows[id].yaml,
        text);
}

static void
complain_errno(const struct conf *conf, enum conf_row_id id,
    struct conf_report *report, const char *path)
{
    char text[PATH_MAX + 128];

    snprintf(text, sizeof(text), "%s: %s (running as uid %u)", path,
        strerror(errno), (unsigned)geteuid());
    complain(conf, id, report, text);
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
check_directory(const struct conf *conf, enum conf_row_id id,
    struct conf_report *report, const char *directory)
{
    char path[2 * PATH_MAX];
    struct stat st;

    snprintf(path, sizeof(path), "%s", directory);
    while (sys.stat(path, &st) != 0) {
        if (errno != ENOENT || !path_up(path)) {
            complain_errno(conf, id, report, path);
            return;
        }
    }
    if (!S_ISDIR(st.st_mode))
        errno = ENOTDIR;
    else if (faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) == 0)
        return;
    complain_errno(conf, id, report, path);
}

/* The log is created, but not the directory it is in. */
static void
check_log(const struct conf *conf, struct conf_report *report)
{
    char path[2 * PATH_MAX];
    struct stat st;

    if (!log_conf_is_file(conf))
        return;
    snprintf(path, sizeof(path), "%s", conf->log_file);
    if (sys.stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            errno = EISDIR;
        else if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0)
            return;
        complain_errno(conf, CONF_ROW_log_file, report, path);
        return;
    }
    if (errno == ENOENT && path_up(path) &&
        faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) == 0)
        return;
    complain_errno(conf, CONF_ROW_log_file, report, path);
}

int
conf_check_system(const struct conf *conf, struct sb *messages)
{
    struct conf_report report;
    char directory[2 * PATH_MAX];

    conf_report_init(&report, messages);
    if (conf->user[0] != '\0' && getpwnam(conf->user) == NULL)
        complain(conf, CONF_ROW_user, &report, "there is no such user");
    check_directory(conf, CONF_ROW_data_path, &report, conf->data_path);
    snprintf(directory, sizeof(directory), "%s", conf->pid_file);
    if (path_up(directory) && strcmp(directory, conf->data_path) != 0)
        check_directory(conf, CONF_ROW_pid_file, &report, directory);
    check_log(conf, &report);
    if (report.nerrors > 0)
        conf_report_close(&report,
            conf->file != NULL ? conf->file : "configuration");
    return report.nerrors > 0 ? -1 : 0;
}
