/* SPDX-License-Identifier: BSD-2-Clause */

/* Relative paths of the configuration become absolute ones. */

#include "core/base.h"

#include <errno.h>
#include <unistd.h>

#include "core/conf_load.h"
#include "core/log_conf.h"
#include "core/conf_node.h"
#include "core/sb.h"

const char *
conf_path_join(struct pool *pool, const char *dir, const char *path)
{
    struct sb sb;
    const char *joined = NULL;

    if (path[0] == '/')
        return path;
    sb_init(&sb, 4 * CONF_VALUE_BYTES_MAX);
    sb_addf(&sb, "%s%s%s", dir, strcmp(dir, "/") == 0 ? "" : "/", path);
    if (!sb_failed(&sb))
        joined = pool_dup(pool, sb.ptr, sb.len);
    sb_release(&sb);
    return joined;
}

/* "a;/b" as "/prefix/a;/b". */
static const char *
join_several(struct pool *pool, const char *prefix, const char *paths)
{
    struct sv rest = sv_from(paths), path;
    const char *joined = NULL;
    struct sb sb;

    sb_init(&sb, CONF_SCALAR_BYTES_MAX);
    while (sv_split(&rest, ';', &path)) {
        if (sb.len > 0)
            sb_add_char(&sb, ';');
        if (path.len > 0 && path.ptr[0] != '/')
            sb_addf(&sb, "%s%s", prefix, strcmp(prefix, "/") == 0 ? "" : "/");
        sb_add_sv(&sb, path);
    }
    if (!sb_failed(&sb))
        joined = pool_dup(pool, sb.ptr, sb.len);
    sb_release(&sb);
    return joined;
}

static bool
resolve_list(struct pool *pool, const char *prefix, struct conf_list *list)
{
    const char **paths = pool_alloc(pool, (list->n + 1) * sizeof(*paths));

    if (paths == NULL)
        return false;
    for (unsigned i = 0; i < list->n; i++) {
        paths[i] = join_several(pool, prefix, list->v[i]);
        if (paths[i] == NULL)
            return false;
    }
    list->v = paths;
    return true;
}

static bool
resolve_row(struct conf *conf, const struct conf_row *row, struct pool *pool,
    const char *prefix)
{
    void *member = (char *)conf + row->offset;
    const char **path = member;

    if (row->kind == CONF_KIND_PATHS || row->kind == CONF_KIND_FILES)
        return resolve_list(pool, prefix, member);
    if (row->kind != CONF_KIND_PATH || (*path)[0] == '\0')
        return true;
    if (path == &conf->log_file && !log_conf_is_file(conf))
        return true;
    if (path != &conf->pid_file)
        *path = conf_path_join(pool, prefix, *path);
    return *path != NULL;
}

const char *
conf_absolute_prefix(struct conf_loader *loader, const char *prefix)
{
    char cwd[PATH_MAX];

    if (prefix != NULL && prefix[0] == '/')
        return prefix;
    if (getcwd(cwd, sizeof(cwd)) == NULL) {
        conf_report_error(&loader->report, NULL,
            "the current directory is not readable: %s", strerror(errno));
        return NULL;
    }
    if (prefix == NULL || strcmp(prefix, ".") == 0)
        prefix = cwd;
    prefix = pool_dup(loader->pool, prefix, strlen(prefix));
    if (prefix != NULL)
        prefix = conf_path_join(loader->pool, cwd, prefix);
    if (prefix == NULL)
        conf_report_error(&loader->report, NULL, "the prefix is too long");
    return prefix;
}

void
conf_resolve_paths(struct conf_loader *loader, const char *prefix)
{
    struct conf *conf = loader->conf;
    bool is_good = true;

    for (size_t i = 0; is_good && i < CONF_ROWS; i++)
        is_good = resolve_row(conf, &conf_rows[i], loader->pool, prefix);
    if (is_good) {
        conf->pid_file = conf_path_join(loader->pool, conf->data_path,
            conf->pid_file);
        is_good = conf->pid_file != NULL;
    }
    if (!is_good && loader->report.nerrors == 0)
        conf_report_error(&loader->report, NULL, "a path is too long");
}
