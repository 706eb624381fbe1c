/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "event/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/log.h"
#include "core/sv.h"

/* Descriptors beside the connections: parts, logs, loop, shared memory. */
#define JAIL_FILES_OTHER 1024
/* For processes that have no connections: parts that are open at a time. */
#define JAIL_FILES_STORAGE 65536
/* Capability numbers the kernel may know, now or later. */
#define JAIL_CAPS_MAX 64

/* What each role needs of the system; one row of core/roles.def each. */
static const struct jail_role {
    bool has_connections;
} jail_roles[ROLE_COUNT] = {
    [ROLE_WORKER] = {.has_connections = true},
    [ROLE_MERGE] = {.has_connections = false},
    [ROLE_RETENTION] = {.has_connections = false},
    [ROLE_RECOVER] = {.has_connections = false},
};

static void
jail_set_user(struct jail *jail, const struct passwd *pw)
{
    jail->uid = pw->pw_uid;
    jail->gid = pw->pw_gid;
    if (strlen(pw->pw_name) < sizeof(jail->user))
        snprintf(jail->user, sizeof(jail->user), "%s", pw->pw_name);
}

/* "name" or "name:group". */
static int
jail_from_name(struct jail *jail, const char *text, struct err *err)
{
    struct sv rest = sv_from(text), name;
    char user[JAIL_USER_MAX];
    const struct passwd *pw;
    const struct group *group;

    (void)sv_split(&rest, ':', &name);
    if (name.len >= sizeof(user))
        return err_set(err, ERR_INVALID, "user: the name is too long");
    snprintf(user, sizeof(user), "%.*s", SV_ARG(name));
    pw = getpwnam(user);
    if (pw == NULL)
        return err_set(err, ERR_INVALID, "user: there is no user \"%s\"",
            user);
    jail_set_user(jail, pw);
    if (rest.len == 0)
        return 0;
    group = getgrnam(rest.ptr); /* the rest of a terminated string */
    if (group == NULL)
        return err_set(err, ERR_INVALID, "user: there is no group \"%s\"",
            rest.ptr);
    jail->gid = group->gr_gid;
    return 0;
}

static int
jail_from_owner(struct jail *jail, const char *path, struct err *err)
{
    const struct passwd *pw;
    struct stat st;

    if (stat(path, &st) != 0) {
        if (errno != ENOENT)
            return err_sys(err, "%s", path);
        return 0; /* it will be made by us */
    }
    jail->uid = st.st_uid;
    jail->gid = st.st_gid;
    pw = getpwuid(st.st_uid);
    if (pw != NULL && strlen(pw->pw_name) < sizeof(jail->user))
        snprintf(jail->user, sizeof(jail->user), "%s", pw->pw_name);
    return 0;
}

int
jail_resolve(struct jail *out, const struct conf *conf, struct err *err)
{
    struct jail jail = {.uid = geteuid(), .gid = getegid()};
    int rc;

    if (jail.uid != 0) {
        *out = jail;
        return 0;
    }
    rc = conf->user[0] != '\0'
        ? jail_from_name(&jail, conf->user, err)
        : jail_from_owner(&jail, conf->data_path, err);
    if (rc != 0)
        return -1;
    jail.is_root = jail.uid == 0;
    jail.switches = !jail.is_root;
    *out = jail;
    return 0;
}

/* As many descriptors as the role may need, or as many as there are. */
static void
jail_limit_files(enum role role, const struct conf *conf)
{
    rlim_t wanted = JAIL_FILES_STORAGE;
    struct rlimit limit;

    if (jail_roles[role].has_connections)
        wanted = MAX(wanted, conf->connections + JAIL_FILES_OTHER);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    if (limit.rlim_max < wanted) {
        struct rlimit more = {wanted, wanted};

        if (setrlimit(RLIMIT_NOFILE, &more) == 0)
            return;
    }
    limit.rlim_cur = MIN(wanted, limit.rlim_max);
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warn("cannot raise the limit of open files to %llu: %s",
            (unsigned long long)limit.rlim_cur, strerror(errno));
    else if (jail_roles[role].has_connections &&
        limit.rlim_cur < conf->connections + JAIL_FILES_OTHER)
        log_warn("the limit of %llu open files is low for %llu connections",
            (unsigned long long)limit.rlim_cur,
            (unsigned long long)conf->connections);
}

static int
jail_switch_user(const struct jail *jail, struct err *err)
{
    int rc;

    rc = jail->user[0] != '\0' ? initgroups(jail->user, jail->gid)
                               : setgroups(1, &jail->gid);
    if (rc != 0)
        return err_sys(err, "cannot set the groups of user %u",
            (unsigned)jail->uid);
    if (setresgid(jail->gid, jail->gid, jail->gid) != 0)
        return err_sys(err, "cannot take group %u", (unsigned)jail->gid);
    if (setresuid(jail->uid, jail->uid, jail->uid) != 0)
        return err_sys(err, "cannot take user %u", (unsigned)jail->uid);
    if (setuid(0) == 0)
        return err_set(err, ERR_SYSTEM, "root rights could be taken back");
    return 0;
}

/* The bounding set first: dropping it needs a capability itself. */
static void
jail_drop_bounding_set(void)
{
    for (unsigned long cap = 0; cap < JAIL_CAPS_MAX; cap++)
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0)
            return; /* past the last one, or not allowed to */
}

static int
jail_drop_capabilities(struct err *err)
{
    struct __user_cap_header_struct header = {
        .version = _LINUX_CAPABILITY_VERSION_3,
    };
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

    memset(data, 0, sizeof(data));
    /* EINVAL before Linux 4.3, which has none of these. */
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capset, &header, data) != 0)
        return err_sys(err, "cannot drop capabilities");
    return 0;
}

int
jail_enter(const struct jail *jail, enum role role, const struct conf *conf,
    struct err *err)
{
    jail_limit_files(role, conf);
    jail_drop_bounding_set();
    if (jail->switches && jail_switch_user(jail, err) != 0)
        return -1;
    if (jail_drop_capabilities(err) != 0)
        return -1;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return err_sys(err, "no_new_privs");
    return 0;
}

void
jail_give(const struct jail *jail, const char *path)
{
    struct stat st;
    int fd;

    if (!jail->switches)
        return;
    fd = open(path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
        st.st_uid != jail->uid && fchown(fd, jail->uid, jail->gid) != 0)
        log_warn("cannot give %s to the user of the children: %s", path,
            strerror(errno));
    close(fd);
}
