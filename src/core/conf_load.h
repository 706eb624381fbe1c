/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What the loading half of the configuration shares: conf.c runs the layers,
 * conf_file.c walks a tree, conf_args.c takes flags and environment.
 */

#ifndef SPOOR_CORE_CONF_LOAD_H
#define SPOOR_CORE_CONF_LOAD_H

#include "core/base.h"
#include "core/conf.h"
#include "core/conf_report.h"
#include "core/conf_table.h"
#include "core/conf_type.h"
#include "core/pool.h"

/* All texts of one configuration: far beyond any sensible file. */
#define CONF_POOL_BYTES_MAX (16 * MIB)

/* Later layers win over earlier ones. */
enum conf_layer {
    CONF_LAYER_DEFAULT,
    CONF_LAYER_FILE,
    CONF_LAYER_ENV,
    CONF_LAYER_GLOBAL, /* -g */
    CONF_LAYER_COMMAND,
};

/* Where a value came from, and as what text: one item unless a LIST. */
struct conf_origin {
    enum conf_layer layer;
    const char *where; /* "conf/spoor.yaml:14", "-workers", "default" */
    struct conf_list items;
    struct conf_mark mark; /* in the file; line 0: not from there */
    const struct conf_mark *marks; /* of each item; NULL: none has one */
};

struct conf_origins {
    struct pool *pool; /* owns every string of the configuration */
    struct conf_origin v[CONF_ROWS];
};

struct conf_loader {
    struct conf *conf;
    struct pool *pool;
    const char *prefix;     /* absolute; once secrets are read */
    struct conf_report report;
    bool is_bad[CONF_ROWS]; /* an error was reported */
    bool is_bad_listener[2 * CONF_LIST_MAX];
    size_t bytes;           /* of the files so far */
    unsigned nfiles;
};

/* A value on its way in. */
struct conf_input {
    const struct conf_row *row;
    enum conf_layer layer;
    const char *where;       /* copied */
    const struct sv *items;  /* in the loader's pool; NUL behind each */
    unsigned nitems;         /* 1 unless the row is a list */
    struct conf_mark mark;   /* in the file; line 0: not from there */
    const struct conf_mark *marks; /* of the items, in the pool, or NULL */
};

struct conf_items {
    struct sv v[CONF_LIST_MAX];
    unsigned n;
};

/*
 * Checks and stores a value.  On -1 err->text continues a sentence that
 * begins with the name of the directive.
 */
int conf_loader_set(struct conf_loader *loader,
    const struct conf_input *input, struct err *err) WARN_UNUSED;

/* The default again. */
void conf_loader_reset(struct conf_loader *loader, const struct conf_row *row);

/* The file and all that it includes. */
void conf_load_file(struct conf_loader *loader, const char *name);
/* "name", "value" pairs, NULL. */
void conf_load_flags(struct conf_loader *loader, const char *const *flags);
void conf_load_env(struct conf_loader *loader, const char *prefix);
/* -g: a YAML text on the command line. */
void conf_load_global(struct conf_loader *loader, const char *text);

/*
 * An error that begins with the directive's name, at the place its value (or
 * that item of a list) came from.
 */
void conf_loader_complain(struct conf_loader *loader, enum conf_row_id id,
    unsigned item, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* The same as a warning; the line may be shown, so not for secrets. */
void conf_loader_warn(struct conf_loader *loader, enum conf_row_id id,
    unsigned item, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* As conf_loader_complain(), where the line may hold a secret. */
void conf_loader_complain_hidden(struct conf_loader *loader,
    enum conf_row_id id, unsigned item, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* What the source says of is_test. */
void conf_check_system(struct conf_loader *loader,
    const struct conf_source *source);

/*
 * What directives must not say together, after all layers: what each of them
 * says alone is checked before.
 */
void conf_check_together(struct conf_loader *loader);

/* Of storage_nodes; what is in files is not known yet. */
void conf_storage_check(struct conf_loader *loader);
/* Users, passwords and tokens as they count, those of files read. */
void conf_storage_resolve(struct conf_loader *loader);

/* enable_tcp6: ":port" becomes "*:port"; false when pool is full. */
bool conf_listeners_widen(struct conf *conf, struct pool *pool);

/* "dir/path", or path if it is absolute; in pool, NULL when that is full. */
const char *conf_path_join(struct pool *pool, const char *dir,
    const char *path);
/*
 * Every path becomes absolute, so that no later chdir matters: relative to
 * the absolute prefix, the pid file to the data.
 */
void conf_resolve_paths(struct conf_loader *loader, const char *prefix);
/* The absolute prefix; NULL and an error if it is not known. */
const char *conf_absolute_prefix(struct conf_loader *loader,
    const char *prefix);
/* Secrets that are in files are read; the prefix is absolute. */
void conf_resolve_secrets(struct conf_loader *loader, const char *prefix);
/*
 * The text in the file that an item of row names, in the pool; NULL with err.
 * Warns where everybody may read it and it is a secret.
 */
const char *conf_secret_read(struct conf_loader *loader,
    const struct conf_row *row, unsigned item, const char *path,
    struct err *err);

/*
 * Adds what the text of a flag says to items, each checked, in pool; -1 with
 * err.
 */
int conf_split_items(struct pool *pool, const struct conf_row *row,
    struct sv text, struct conf_items *items, struct err *err) WARN_UNUSED;

#endif
