/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Secrets that are in files: "file:PATH", and as VictoriaTraces writes it
 * "file:///ABSOLUTE" or "file://RELATIVE".  Read by the process that loads
 * the configuration, with its rights, at the start and at each reload.
 */

#include "core/base.h"

#include "core/conf_load.h"
#include "core/file.h"
#include "core/sys.h"

#define MODE_OTHERS_READ 0004u

static struct sv
path_of(struct sv text)
{
    text = sv_sub(text, strlen("file:"), text.len);
    return sv_starts_with(text, SV("//")) ? sv_sub(text, 2, text.len) : text;
}

/* The content without white space at its end, in the pool. */
static const char *
read_text(struct conf_loader *loader, const char *path, struct err *err)
{
    const char *secret = NULL;
    struct sb sb;

    sb_init(&sb, CONF_VALUE_BYTES_MAX);
    if (file_read_all(path, &sb, err) != 0) {
        err_wrap(err, "cannot be read");
        goto out;
    }
    while (sb.len > 0 && strchr(" \t\r\n", sb.ptr[sb.len - 1]) != NULL)
        sb.len--;
    if (sb.len == 0)
        err_set(err, ERR_INVALID, "cannot be read: %s: is empty", path);
    else if (memchr(sb.ptr, '\0', sb.len) != NULL || !sv_is_utf8(sb_sv(&sb)))
        err_set(err, ERR_INVALID, "cannot be read: %s: must be UTF-8 without NUL", path);
    else if ((secret = pool_dup(loader->pool, sb.ptr, sb.len)) == NULL)
        err_set(err, ERR_LIMIT, "cannot be read: %s: is too large", path);
out:
    explicit_bzero(sb.ptr, sb.cap);
    sb_release(&sb);
    return secret;
}

const char *
conf_secret_read(struct conf_loader *loader, const struct conf_row *row,
    unsigned item, const char *path, struct err *err)
{
    struct stat st;

    if (sys.stat(path, &st) != 0) {
        err_sys(err, "cannot be read: %s", path);
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) {
        err_set(err, ERR_INVALID, "cannot be read: %s: is not a file", path);
        return NULL;
    }
    if ((st.st_mode & MODE_OTHERS_READ) != 0 &&
        row != &conf_rows[CONF_ROW_node_username_files])
        conf_loader_warn(loader, conf_row_index(row), item,
            "is in %s, which everybody may read (mode %03o)", path,
            (unsigned)st.st_mode & 0777u);
    return read_text(loader, path, err);
}

/* NULL with err if the text is no secret and leads to none. */
static const char *
resolve(struct conf_loader *loader, const struct conf_row *row,
    unsigned item, const char *text, struct err *err)
{
    const char *path;

    if (strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0) {
        err_set(err, ERR_UNSUPPORTED, "is not fetched from the network; "
            "file:PATH names a file with it");
        return NULL;
    }
    if (strncmp(text, "file:", 5) != 0)
        return text;
    path = conf_path_join(loader->pool, loader->prefix, path_of(sv_from(text)).ptr);
    if (path == NULL) {
        err_set(err, ERR_LIMIT, "is too large");
        return NULL;
    }
    return conf_secret_read(loader, row, item, path, err);
}

/* A secret that stands on the command line has been seen by others. */
static void
warn_visible(struct conf_loader *loader, const struct conf_row *row)
{
    const struct conf_origin *origin =
        &loader->conf->origins->v[conf_row_index(row)];
    bool is_visible = false;

    for (unsigned i = 0; i < origin->items.n; i++) {
        const char *text = origin->items.v[i];

        is_visible |= text[0] != '\0' && strncmp(text, "file:", 5) != 0;
    }
    if (is_visible && origin->layer >= CONF_LAYER_GLOBAL)
        conf_loader_warn(loader, conf_row_index(row), 0, "is a secret on the "
            "command line, where others can see it; -%s=file:PATH names a "
            "file with it", row->flag);
}

static void
resolve_one(struct conf_loader *loader, const struct conf_row *row,
    unsigned item, const char **text)
{
    struct err err = ERR_INIT;
    const char *secret = resolve(loader, row, item, *text, &err);

    if (secret == NULL)
        conf_loader_complain(loader, conf_row_index(row), item, "%s",
            err.text);
    else
        *text = secret;
}

static void
resolve_list(struct conf_loader *loader, const struct conf_row *row,
    struct conf_list *list)
{
    const char **secrets =
        pool_alloc(loader->pool, (list->n + 1) * sizeof(*secrets));

    if (secrets == NULL) {
        conf_loader_complain(loader, conf_row_index(row), 0, "is too large");
        return;
    }
    for (unsigned i = 0; i < list->n; i++) {
        bool is_same = i > 0 && list->v[i] == list->v[i - 1];

        /* A single value for all items is looked at once. */
        secrets[i] = is_same ? secrets[i - 1] : list->v[i];
        if (!is_same)
            resolve_one(loader, row, i, &secrets[i]);
    }
    list->v = secrets;
}

void
conf_resolve_secrets(struct conf_loader *loader, const char *prefix)
{
    loader->prefix = prefix;
    for (size_t i = 0; i < CONF_ROWS; i++) {
        const struct conf_row *row = &conf_rows[i];
        void *member = (char *)loader->conf + row->offset;

        if (!conf_kind_is_secret(row->kind))
            continue;
        warn_visible(loader, row);
        if (row->kind == CONF_KIND_SECRET)
            resolve_one(loader, row, 0, member);
        else
            resolve_list(loader, row, member);
    }
}
