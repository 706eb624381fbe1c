/* SPDX-License-Identifier: BSD-2-Clause */

/* The directive table in memory, and the questions asked of it. */

#include "core/base.h"
#include "core/conf_table.h"

#include "core/conf_near.h"
#include "core/sb.h"

const struct conf_row conf_rows[CONF_ROWS] = {
#define DIRECTIVE(kind, member, yaml, flag, def, min, max, choices, change, \
    doc) \
    { CONF_KIND_##kind, CONF_CHANGE_##change, offsetof(struct conf, member), \
        yaml, flag, def, min, max, choices, doc },
#include "core/directives.def"
#undef DIRECTIVE
};

#define DIRECTIVE(kind, member, yaml, flag, def, min, max, choices, change, \
    doc) \
    _Static_assert(sizeof(yaml) <= CONF_NAME_MAX && \
        sizeof(flag) <= CONF_NAME_MAX, "the name of " #member " is long");
#include "core/directives.def"
#undef DIRECTIVE

const struct conf_row *
conf_row_by_yaml(struct sv yaml)
{
    for (size_t i = 0; i < CONF_ROWS; i++) {
        if (sv_eq(sv_from(conf_rows[i].yaml), yaml))
            return &conf_rows[i];
    }
    return NULL;
}

const struct conf_row *
conf_row_by_flag(struct sv flag)
{
    for (size_t i = 0; i < CONF_ROWS; i++) {
        if (sv_eq(sv_from(conf_rows[i].flag), flag))
            return &conf_rows[i];
    }
    return NULL;
}

unsigned
conf_row_index(const struct conf_row *row)
{
    return (unsigned)(row - conf_rows);
}

struct sv
conf_group_child(struct sv group, const struct conf_row *row)
{
    struct sv name = sv_from(row->yaml);

    if (group.len > 0) {
        if (!sv_starts_with(name, group) || name.len <= group.len ||
            name.ptr[group.len] != '.')
            return SV_EMPTY;
        name = sv_sub(name, group.len + 1, name.len);
    }
    return sv_sub(name, 0, sv_find_byte(name, '.'));
}

const struct conf_row *
conf_group(struct sv yaml)
{
    for (size_t i = 0; i < CONF_ROWS; i++) {
        if (conf_group_child(yaml, &conf_rows[i]).len > 0)
            return &conf_rows[i];
    }
    return NULL;
}

struct sv
conf_row_leaf(const struct conf_row *row)
{
    struct sv yaml = sv_from(row->yaml);
    size_t from = yaml.len;

    while (from > 0 && yaml.ptr[from - 1] != '.')
        from--;
    return sv_sub(yaml, from, yaml.len);
}

bool
conf_kind_is_list(enum conf_kind kind)
{
    return kind == CONF_KIND_LIST || kind >= CONF_KIND_BOOLS;
}

bool
conf_kind_is_secret(enum conf_kind kind)
{
    return kind == CONF_KIND_SECRET || kind == CONF_KIND_SECRETS;
}

bool
conf_kind_has_several(enum conf_kind kind)
{
    return kind == CONF_KIND_WORDS || kind == CONF_KIND_FILES;
}

const struct conf_row *
conf_row_table(const struct conf_row *row)
{
    struct sv leaf = conf_row_leaf(row);

    if (leaf.ptr == row->yaml)
        return NULL;
    return conf_row_by_yaml(sv_make(row->yaml,
        (size_t)(leaf.ptr - row->yaml) - 1));
}

const struct conf_row *
conf_row_next_column(const struct conf_row *table, const struct conf_row *row)
{
    size_t i = row == NULL ? 0 : conf_row_index(row) + 1;

    for (; i < CONF_ROWS; i++) {
        if (conf_group_child(sv_from(table->yaml), &conf_rows[i]).len > 0)
            return &conf_rows[i];
    }
    return NULL;
}

bool
conf_row_is_table(const struct conf_row *row)
{
    return conf_row_next_column(row, NULL) != NULL;
}

static void
visit(const struct conf_visitor *visitor, struct sv group, unsigned depth,
    void *arg)
{
    for (size_t i = 0; i < CONF_ROWS; i++) {
        const struct conf_row *row = &conf_rows[i];
        struct sv name = conf_group_child(group, row);

        if (name.len > 0 && name.ptr + name.len == row->yaml +
            strlen(row->yaml))
            visitor->row(row, name, depth, arg);
    }
    for (size_t i = 0; i < CONF_ROWS; i++) {
        const struct conf_row *row = &conf_rows[i];
        struct sv name = conf_group_child(group, row);
        struct sv inner = sv_make(row->yaml, group.len + (group.len > 0) +
            name.len);

        if (name.len == 0 || row->yaml[inner.len] == '\0' ||
            conf_group(inner) != row || conf_row_by_yaml(inner) != NULL)
            continue;
        visitor->group(name, depth, arg);
        visit(visitor, inner, depth + 1, arg);
    }
}

void
conf_table_visit(const struct conf_visitor *visitor, void *arg)
{
    visit(visitor, SV_EMPTY, 0, arg);
}

const struct conf_row *
conf_row_find(const char *name)
{
    const struct conf_row *row;

    while (*name == '-')
        name++;
    row = conf_row_by_flag(sv_from(name));
    return row != NULL ? row : conf_row_by_yaml(sv_from(name));
}

const struct conf_row *
conf_row_suggest(struct conf_near *near)
{
    const struct conf_row *best = NULL;

    for (size_t i = 0; i < CONF_ROWS; i++) {
        struct sv yaml = sv_from(conf_rows[i].yaml);
        unsigned before = near->distance;

        conf_near_offer(near, sv_from(conf_rows[i].flag));
        conf_near_offer(near, yaml);
        conf_near_offer(near, conf_row_leaf(&conf_rows[i]));
        if (near->distance < before)
            best = &conf_rows[i];
    }
    return best;
}

static bool
has_key(struct sv line, struct sv name)
{
    for (size_t i = 0; i + name.len < line.len; i++) {
        if (memcmp(line.ptr + i, name.ptr, name.len) == 0) {
            struct sv rest = sv_trim(sv_sub(line, i + name.len, line.len));

            while (rest.len > 0 && strchr("\"' \t", rest.ptr[0]) != NULL)
                rest = sv_sub(rest, 1, rest.len);
            if (rest.len > 0 && rest.ptr[0] == ':')
                return true;
        }
    }
    return false;
}

bool
conf_line_is_secret(struct sv line)
{
    for (size_t i = 0; i < CONF_ROWS; i++) {
        if (conf_kind_is_secret(conf_rows[i].kind) &&
            has_key(line, conf_row_leaf(&conf_rows[i])))
            return true;
    }
    return false;
}

void
conf_choices_print(struct sb *out, const char *choices)
{
    struct sv rest = sv_from(choices);
    struct sv part;
    bool is_first = true;

    while (sv_split(&rest, '|', &part)) {
        if (!is_first)
            sb_add_str(out, rest.len > 0 ? ", " : " or ");
        sb_add_sv(out, part);
        is_first = false;
    }
}

void
conf_range_print(struct sb *out, const struct conf_row *row)
{
    if (row->min != NULL && row->max != NULL)
        sb_addf(out, "%s..%s", row->min, row->max);
    else if (row->min != NULL)
        sb_addf(out, "at least %s", row->min);
    else if (row->max != NULL)
        sb_addf(out, "at most %s", row->max);
}

const char *
conf_kind_name(enum conf_kind kind)
{
    switch (kind) {
    case CONF_KIND_BOOL:
        return "boolean";
    case CONF_KIND_UINT:
        return "number";
    case CONF_KIND_SIZE:
        return "size";
    case CONF_KIND_DURATION:
        return "duration";
    case CONF_KIND_RETENTION:
        return "retention";
    case CONF_KIND_STRING:
        return "text";
    case CONF_KIND_PATH:
        return "path";
    case CONF_KIND_ENUM:
        return "choice";
    case CONF_KIND_LIST:
        return "list";
    case CONF_KIND_SECRET:
        return "secret";
    case CONF_KIND_BOOLS:
        return "booleans";
    case CONF_KIND_ENUMS:
        return "choices";
    case CONF_KIND_PATHS:
        return "paths";
    case CONF_KIND_SECRETS:
        return "secrets";
    case CONF_KIND_WORDS:
        return "words";
    case CONF_KIND_FILES:
        return "paths";
    }
    return "value";
}
