/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The configuration: values from the command line, the environment, the file
 * and the defaults, in this order of precedence.  A struct conf is immutable
 * once loaded and is passed around by const pointer; a reload makes a new
 * one.
 */

#ifndef SPOOR_CORE_CONF_H
#define SPOOR_CORE_CONF_H

#include "core/base.h"
#include "core/err.h"
#include "core/sb.h"

struct conf_list {
    const char *const *v;
    unsigned n;
};

/* ENUM values are the index within choices. */
enum conf_fsync { FSYNC_ALWAYS, FSYNC_INTERVAL, FSYNC_OFF };
enum conf_log_format { CONF_LOG_DEFAULT, CONF_LOG_JSON };

#define CONF_C_BOOL bool
#define CONF_C_UINT uint64_t
#define CONF_C_SIZE uint64_t       /* bytes */
#define CONF_C_DURATION int64_t    /* nanoseconds */
#define CONF_C_RETENTION int64_t   /* nanoseconds */
#define CONF_C_STRING const char *
#define CONF_C_PATH const char *
#define CONF_C_ENUM unsigned
#define CONF_C_LIST struct conf_list
#define CONF_C_SECRET const char *
#define CONF_C_BOOLS struct conf_list   /* "true", "false" or "" */
#define CONF_C_ENUMS struct conf_list   /* a choice, or "" */
#define CONF_C_PATHS struct conf_list
#define CONF_C_SECRETS struct conf_list
#define CONF_C_WORDS struct conf_list   /* "a;b" each */
#define CONF_C_FILES struct conf_list   /* "path;path" each */

struct conf_origins;
struct conf_listener;

struct conf {
#define DIRECTIVE(kind, member, yaml, flag, def, min, max, choices, change, \
    doc) CONF_C_##kind member;
#include "core/directives.def"
#undef DIRECTIVE
    /* Columns of storage_nodes that count, files read (conf_storage.h). */
    struct conf_list node_users_read, node_passwords_read, node_tokens_read;
    uint64_t serial;                /* counts what this process loaded */
    const char *file;               /* as given or found; NULL: none */
    struct conf_origins *origins;   /* private: where each value came from */
};

/* What the command line says before any directive is looked at. */
struct conf_source {
    const char *file;      /* -c; NULL: conf/spoor.yaml under the prefix or
                              the installed one, if it exists */
    const char *prefix;    /* -p; NULL: the current directory */
    const char *error_log; /* -e; wins over log.file */
    const char *const *globals; /* -g 'a.b: value', ... , NULL */
    const char *const *flags;   /* "name", "value" pairs, NULL; a bool flag
                                   that stands alone has the value "true" */
    bool env_enable;
    const char *env_prefix;
    /*
     * -t: look at the machine, too: whether the user exists and the paths can
     * be used, and what check_listener says of each address; its doubts are
     * lines that become warnings.  Makes nothing.
     */
    bool is_test;
    bool is_json; /* messages are JSON objects, one a line */
    int (*check_listener)(const struct conf_listener *listener,
        struct sb *doubts, struct err *err); /* NULL: none */
    /* The words of this process as they were given, secrets and all. */
    char *const *argv;
};

/*
 * Loads and checks everything.  On failure *out is NULL and messages holds
 * every error found, one "file:line:column: error: ..." each with the source
 * line and a caret where there is one, closed by a line with their number.
 * Warnings go to messages, too.
 */
int conf_load(struct conf **out, const struct conf_source *source,
    struct sb *messages) WARN_UNUSED;
void conf_free(struct conf *conf); /* accepts NULL */

/* -T: every value with its origin, as a file that loads to the same. */
void conf_print_effective(const struct conf *conf, struct sb *out);
/* -help: all flags; -help NAME: one of them. 0, or -1 if unknown. */
int conf_print_help(const char *name, struct sb *out) WARN_UNUSED;
/* conf/spoor.full.yaml and docs/configuration.md. */
void conf_print_sample(struct sb *out);
void conf_print_reference(struct sb *out);
/* docs/flags.md. */
void conf_print_flags_page(struct sb *out);
/* man/spoor.yaml.5 (mdoc). */
void conf_print_man(struct sb *out);
/* /flags: -name="value" lines, secrets masked. */
void conf_print_flags(const struct conf *conf, struct sb *out);
/*
 * The same for each flag, its value printable and masked, for this call;
 * is_set: not the default.
 */
typedef void (*conf_flag_fn)(const char *name, const char *value, bool is_set,
    void *arg);
void conf_each_flag(const struct conf *conf, conf_flag_fn fn, void *arg);
/*
 * True when the two differ in a directive that needs a restart; names it.  Of
 * storage_nodes this is whether there are any.
 */
bool conf_needs_restart(const struct conf *a, const struct conf *b,
    const char **yaml);

/*
 * What a column of a table says for its Nth item: the Nth value, or the only
 * one; NULL if it says nothing.
 */
const char *conf_item(const struct conf_list *column, unsigned n);
/* The same of BOOLS: -1 if it says nothing, else 0 or 1. */
int conf_item_bool(const struct conf_list *column, unsigned n);

/* True where the value of a flag must not be shown. */
bool conf_flag_is_secret(const struct conf *conf, const char *name);
/* True if a flag of this name exists; *is_bool says if it may stand alone. */
bool conf_flag_known(const char *name, bool *is_bool);

/* CPUs this process may use (affinity and cgroup quota, at least 1). */
unsigned conf_cpus(void);

#endif
