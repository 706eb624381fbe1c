/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The files of the configuration: the one that is named, and those that it
 * includes, "include: conf.d/?*.yaml".  All together have one limit.
 */

#include "core/base.h"

#include <errno.h>
#include <glob.h>

#include "core/conf_walk.h"
#include "core/file.h"
#include "core/sys.h"

/* The text of err without the path, which stands in front already. */
static const char *
reason_of(const struct err *err, const char *path)
{
    size_t len = strlen(path);

    if (strncmp(err->text, path, len) == 0 &&
        strncmp(err->text + len, ": ", 2) == 0)
        return err->text + len + 2;
    return err->text;
}

/* The text of a file, in the pool; NULL with err, without its name. */
static const struct conf_text *
text_read(struct conf_loader *loader, const char *name, struct err *err)
{
    struct conf_text *text = pool_alloc(loader->pool, sizeof(*text));
    struct sb sb;

    /* At 0 bytes left a file may still be empty. */
    sb_init(&sb, CONF_FILE_BYTES_MAX - loader->bytes + 1);
    if (text == NULL || file_read_all(name, &sb, err) != 0 ||
        sb.len > CONF_FILE_BYTES_MAX - loader->bytes) {
        if (text == NULL || err->code == ERR_NONE || err->code == ERR_LIMIT)
            err_set(err, ERR_LIMIT, loader->nfiles == 0 ?
                "the file is larger than %zu bytes" :
                "the files are larger than %zu bytes together",
                CONF_FILE_BYTES_MAX);
        else
            err_set(err, err->code, "%s", reason_of(err, name));
        text = NULL;
    } else {
        text->name = pool_dup(loader->pool, name, strlen(name));
        text->text.ptr = pool_dup(loader->pool, sb.ptr, sb.len);
        text->text.len = sb.len;
        loader->bytes += sb.len;
        loader->nfiles++;
    }
    sb_release(&sb);
    if (text != NULL && (text->name == NULL || text->text.ptr == NULL)) {
        err_set(err, ERR_LIMIT, "is too large");
        return NULL;
    }
    return text;
}

static void
walk_file(struct conf_walk *walk, const struct conf_text *file)
{
    struct conf_report *report = &walk->loader->report;
    const struct conf_text *outer = report->file;
    unsigned lines[CONF_ROWS][CONF_GROUP_DEPTH_MAX];

    memcpy(lines, walk->group_line, sizeof(lines));
    memset(walk->group_line, 0, sizeof(walk->group_line));
    walk->files[walk->depth++] = file;
    conf_report_file(report, file);
    conf_walk_text(walk, file->text);
    walk->depth--;
    memcpy(walk->group_line, lines, sizeof(lines));
    if (outer != NULL)
        conf_report_file(report, outer);
}

void
conf_load_file(struct conf_loader *loader, const char *name)
{
    struct conf_walk walk = {.loader = loader, .layer = CONF_LAYER_FILE};
    const struct conf_text *file;
    struct err err = ERR_INIT;

    conf_report_source(&loader->report, name, sv_make(NULL, 0));
    file = text_read(loader, name, &err);
    if (file == NULL)
        conf_report_error(&loader->report, NULL, "error: %s", err.text);
    else
        walk_file(&walk, file);
}

/* True where path is one of the files that are being read. */
static bool
is_open(const struct conf_walk *walk, const struct stat *st)
{
    for (unsigned i = 0; i < walk->depth; i++) {
        struct stat open;

        if (sys.stat(walk->files[i]->name, &open) == 0 &&
            open.st_dev == st->st_dev && open.st_ino == st->st_ino)
            return true;
    }
    return false;
}

static void
include_file(struct conf_walk *walk, const struct conf_node *node,
    const char *path)
{
    struct conf_report *report = &walk->loader->report;
    const struct conf_text *file = NULL;
    struct err err = ERR_INIT;
    struct stat st;

    if (sys.stat(path, &st) != 0) {
        err_sys(&err, "%s", path);
    } else if (!S_ISREG(st.st_mode)) {
        err_set(&err, ERR_INVALID, "%s: is not a file", path);
    } else if (is_open(walk, &st)) {
        err_set(&err, ERR_INVALID, "%s: includes itself", path);
    } else if (walk->depth == CONF_INCLUDE_DEPTH_MAX) {
        err_set(&err, ERR_LIMIT, "%s: nested deeper than %u files", path,
            CONF_INCLUDE_DEPTH_MAX);
    } else if (walk->loader->nfiles == CONF_FILES_MAX) {
        err_set(&err, ERR_LIMIT, "%s: more than %u files", path,
            CONF_FILES_MAX);
    } else {
        file = text_read(walk->loader, path, &err);
        if (file == NULL)
            err_wrap(&err, "%s", path);
    }
    if (file != NULL)
        walk_file(walk, file);
    else
        conf_report_error(report, &node->mark, "\"include\": %s", err.text);
}

/* The pattern beside the file it stands in, whose path is no pattern. */
static void
add_pattern(struct sb *out, const char *file, struct sv pattern)
{
    const char *slash = strrchr(file, '/');

    if (pattern.ptr[0] != '/' && slash != NULL) {
        for (const char *c = file; c <= slash; c++) {
            if (strchr("*?[\\", *c) != NULL)
                sb_add_char(out, '\\');
            sb_add_char(out, *c);
        }
    }
    sb_add_sv(out, pattern);
}

/* A directory that is missing has no files; another failure is one. */
static int
on_glob_error(UNUSED const char *path, int error)
{
    return error != ENOENT;
}

/* One word of "include". */
static void
include_pattern(struct conf_walk *walk, struct conf_node *node)
{
    struct conf_report *report = &walk->loader->report;
    glob_t found = {.gl_pathc = 0};
    struct sb pattern;
    int rc;

    if (conf_node_resolve(node, walk->loader->pool, report) != 0)
        return;
    if (node->type != CONF_NODE_SCALAR || node->text.len == 0 ||
        node->text.len > CONF_VALUE_BYTES_MAX) {
        conf_report_error(report, &node->mark,
            "\"include\" must be a file, a pattern or a list of them");
        return;
    }
    sb_init(&pattern, 8 * CONF_VALUE_BYTES_MAX);
    add_pattern(&pattern, node->mark.file->name, node->text);
    rc = glob(pattern.ptr, GLOB_NOMAGIC, on_glob_error, &found);
    for (size_t i = 0; rc == 0 && i < found.gl_pathc; i++)
        include_file(walk, node, found.gl_pathv[i]);
    if (rc == GLOB_NOSPACE || rc == GLOB_ABORTED)
        conf_report_error(report, &node->mark, "\"include\": %s cannot be"
            " read", pattern.ptr);
    globfree(&found);
    sb_release(&pattern);
}

void
conf_walk_include(struct conf_walk *walk, struct conf_node *node)
{
    if (node->mark.file == NULL) {
        conf_report_error(&walk->loader->report, &node->key->mark,
            "\"include\" has its place in a file");
    } else if (node->type == CONF_NODE_SEQUENCE) {
        if (conf_node_resolve(node, walk->loader->pool,
            &walk->loader->report) != 0)
            return;
        for (struct conf_node *child = node->first; child != NULL;
            child = child->next)
            include_pattern(walk, child);
    } else {
        include_pattern(walk, node);
    }
}
