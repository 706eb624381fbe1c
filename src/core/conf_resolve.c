/* SPDX-License-Identifier: BSD-2-Clause */

/* Environment variables in the values of a file. */

#include "core/base.h"

#include "core/conf_node.h"
#include "core/sb.h"

static bool
is_name_char(char c, bool is_first)
{
    return c == '_' || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
        (!is_first && c >= '0' && c <= '9');
}

/*
 * The text between "${" and "}".  False if it is no variable, or one that is
 * neither set nor has a default.
 */
static bool
add_variable(struct sb *out, struct sv inner, const struct conf_node *node,
    struct conf_report *report)
{
    char name[128];
    const char *value;
    size_t len = 0;

    while (len < inner.len && is_name_char(inner.ptr[len], len == 0))
        len++;
    if (len == 0 || len >= sizeof(name) ||
        (len < inner.len && !sv_starts_with(sv_sub(inner, len, 2), SV(":-")))) {
        conf_report_error(report, &node->mark,
            "\"${%.*s}\" must be ${NAME} or ${NAME:-default}",
            (int)MIN(inner.len, (size_t)80), inner.ptr);
        return false;
    }
    memcpy(name, inner.ptr, len);
    name[len] = '\0';
    value = getenv(name);
    if (value != NULL && (value[0] != '\0' || len == inner.len)) {
        sb_add_str(out, value);
    } else if (len < inner.len) {
        sb_add_sv(out, sv_sub(inner, len + 2, inner.len));
    } else {
        conf_report_error(report, &node->mark,
            "environment variable \"%s\" is not set "
            "(${%s:-default} gives a default)", name, name);
        return false;
    }
    return true;
}

static bool
expand(struct sb *out, struct sv text, const struct conf_node *node,
    struct conf_report *report)
{
    while (text.len > 0) {
        if (sv_starts_with(text, SV("$${"))) {
            sb_add_str(out, "${");
            text = sv_sub(text, 3, text.len);
        } else if (sv_starts_with(text, SV("${"))) {
            size_t end = sv_find_byte(text, '}');

            if (end == text.len) {
                conf_report_error(report, &node->mark,
                    "\"${\" without \"}\" (\"$${\" stands for itself)");
                return false;
            }
            if (!add_variable(out, sv_sub(text, 2, end - 2), node, report))
                return false;
            text = sv_sub(text, end + 1, text.len);
        } else {
            sb_add_char(out, text.ptr[0]);
            text = sv_sub(text, 1, text.len);
        }
    }
    return true;
}

int
conf_node_resolve(struct conf_node *node, struct pool *pool,
    struct conf_report *report)
{
    const char *copy;
    struct sb sb;
    int rc = -1;

    if (node->problem != NULL) {
        conf_report_error(report, &node->mark, "%s", node->problem);
        return -1;
    }
    if (node->type != CONF_NODE_SCALAR)
        return 0;
    sb_init(&sb, CONF_SCALAR_BYTES_MAX);
    if (!expand(&sb, node->text, node, report))
        goto out;
    copy = sb_failed(&sb) ? NULL : pool_dup(pool, sb.ptr, sb.len);
    if (copy == NULL) {
        conf_report_error(report, &node->mark, "the value is too large");
    } else if (memchr(copy, '\0', sb.len) != NULL ||
        !sv_is_utf8(sb_sv(&sb))) {
        conf_report_error(report, &node->mark,
            "the value must be UTF-8 without NUL");
    } else {
        node->text = sv_make(copy, sb.len);
        rc = 0;
    }
out:
    sb_release(&sb);
    return rc;
}
