/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * core/directives.def as an array, for the files of the configuration only.
 * The rest of the program reads the members of struct conf.
 */

#ifndef SPOOR_CORE_CONF_TABLE_H
#define SPOOR_CORE_CONF_TABLE_H

#include "core/base.h"
#include "core/conf.h"
#include "core/conf_near.h"
#include "core/sv.h"

enum conf_kind {
    CONF_KIND_BOOL,
    CONF_KIND_UINT,
    CONF_KIND_SIZE,
    CONF_KIND_DURATION,
    CONF_KIND_RETENTION,
    CONF_KIND_STRING,
    CONF_KIND_PATH,
    CONF_KIND_ENUM,
    CONF_KIND_LIST,
    CONF_KIND_SECRET,
    CONF_KIND_BOOLS,
    CONF_KIND_ENUMS,
    CONF_KIND_PATHS,
    CONF_KIND_SECRETS,
    CONF_KIND_WORDS,
    CONF_KIND_FILES,
};

enum conf_change { CONF_CHANGE_RELOAD, CONF_CHANGE_RESTART };

/* Row numbers: CONF_ROW_workers ... */
enum conf_row_id {
#define DIRECTIVE(kind, member, yaml, flag, def, min, max, choices, change, \
    doc) CONF_ROW_##member,
#include "core/directives.def"
#undef DIRECTIVE
    CONF_ROWS,
};

struct conf_row {
    enum conf_kind kind;
    enum conf_change change;
    size_t offset; /* of the member in struct conf */
    const char *yaml;
    const char *flag;
    const char *def;
    const char *min;     /* NULL: none */
    const char *max;     /* NULL: none */
    const char *choices; /* NULL unless ENUM, ENUMS, WORDS */
    const char *doc;
};

/* Groups within groups in the file: "a.b.c.d" at most. */
#define CONF_GROUP_DEPTH_MAX 4
#define CONF_NAME_MAX 64

extern const struct conf_row conf_rows[CONF_ROWS];

/* NULL when there is none. */
const struct conf_row *conf_row_by_yaml(struct sv yaml);
const struct conf_row *conf_row_by_flag(struct sv flag);
unsigned conf_row_index(const struct conf_row *row);

/*
 * The first row inside the group "a.b", or NULL: then it is no group.  The
 * empty name is the whole file.
 */
const struct conf_row *conf_group(struct sv yaml);
/* "c" for group "a.b" and row "a.b.c.d"; empty if row is not inside it. */
struct sv conf_group_child(struct sv group, const struct conf_row *row);

/* True where the member is a struct conf_list. */
bool conf_kind_is_list(enum conf_kind kind);
bool conf_kind_is_secret(enum conf_kind kind);
/* True where one item may hold several texts with ';' between them. */
bool conf_kind_has_several(enum conf_kind kind);

/* What the text of an item is called in a map. */
#define CONF_TABLE_KEY "address"
/* The table that row is a column of, or NULL. */
const struct conf_row *conf_row_table(const struct conf_row *row);
/* True if row has columns. */
bool conf_row_is_table(const struct conf_row *row);
/* The next column of table behind row; row NULL: the first; NULL: no more. */
const struct conf_row *conf_row_next_column(const struct conf_row *table,
    const struct conf_row *row);
/* "z" of "x.y.z". */
struct sv conf_row_leaf(const struct conf_row *row);

/*
 * Walks the table as a file is written: in each group first the directives,
 * then the groups within.  Names are without the group's name.  Columns are
 * left out.
 */
struct conf_visitor {
    void (*group)(struct sv name, unsigned depth, void *arg);
    void (*row)(const struct conf_row *row, struct sv name, unsigned depth,
        void *arg);
};
void conf_table_visit(const struct conf_visitor *visitor, void *arg);

/* The directive that people mean by its flag (any dashes) or its name. */
const struct conf_row *conf_row_find(const char *name);
/*
 * The directive whose flag, name or last part of the name is nearest to the
 * word of near, and nearer than what near has; NULL if none is.
 */
const struct conf_row *conf_row_suggest(struct conf_near *near);

/*
 * True if the line of a file has the name of a secret before a colon: it must
 * not be shown, whatever the mistake in it.
 */
bool conf_line_is_secret(struct sv line);

/* "always, interval or off" for "always|interval|off". */
void conf_choices_print(struct sb *out, const char *choices);
/* "0..256", "at least 1", or nothing. */
void conf_range_print(struct sb *out, const struct conf_row *row);
/* "number", "size", ...: a noun for people. */
const char *conf_kind_name(enum conf_kind kind);

#endif
