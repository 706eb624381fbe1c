/* SPDX-License-Identifier: BSD-2-Clause */

/* Flags without effect, and the page of all flags. */

#include "core/base.h"
#include "core/conf_flags.h"

#include "core/conf.h"
#include "core/conf_table.h"
#include "core/sb.h"

#define ALONE true
#define VALUE false
#define FLAG(name, argument, state, reason) \
    {name, argument, CONF_FLAG_##state, reason},
static const struct conf_flag flags[] = {
#include "core/flags.def"
};
#undef FLAG
#undef ALONE
#undef VALUE

const struct conf_flag *
conf_flag_at(unsigned n)
{
    return n < ARRAY_LEN(flags) ? &flags[n] : NULL;
}

const struct conf_flag *
conf_flag_find(struct sv name)
{
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        if (sv_eq(sv_from(flags[i].name), name))
            return &flags[i];
    }
    return NULL;
}

void
conf_flag_given(struct conf_report *report, const struct conf_flag *flag,
    const char *name, const char *value)
{
    bool is_off = flag->is_bool && (strcmp(value, "false") == 0 ||
        strcmp(value, "0") == 0);

    if (is_off || (flag->state == CONF_FLAG_REFUSED && value[0] == '\0'))
        return;
    if (flag->state == CONF_FLAG_REFUSED)
        conf_report_error(report, NULL, "%s: %s", name, flag->reason);
    else
        conf_report_warning(report, NULL, "%s has no effect: %s", name,
            flag->reason);
}

/* --- the page --- */

static const char page_head[] =
    "# Flags\n"
    "\n"
    "Made by `spoor --print-flags`; do not edit.\n"
    "\n"
    "All flags, in the order of their names: those that work, with their\n"
    "directive ([configuration.md](configuration.md) says what it means),\n"
    "those that VictoriaTraces has and that are accepted without effect\n"
    "(each given one is named in a warning at the start), and those that are\n"
    "refused, because the server would do something else than the flag\n"
    "says. nginx's options (`-c`, `-t`, `-s` ...) are in spoor(8).\n"
    "\n"
    "| flag | state | directive or reason |\n"
    "| --- | --- | --- |\n";

/* A line of the page. */
struct line {
    const char *name;
    const char *state;
    const char *text;
    const char *quote; /* around text */
};

/* Those of the command line itself, in core/options.c. */
static const char *const options[] = {
    "envflag.enable", "envflag.prefix", "help", "version",
};

static int
line_cmp(const void *a, const void *b)
{
    const struct line *x = a, *y = b;

    return strcasecmp(x->name, y->name);
}

void
conf_print_flags_page(struct sb *out)
{
    struct line lines[CONF_ROWS + ARRAY_LEN(flags) + ARRAY_LEN(options)];
    size_t n = 0;

    for (size_t i = 0; i < CONF_ROWS; i++)
        lines[n++] = (struct line){conf_rows[i].flag, "works",
            conf_rows[i].yaml, "`"};
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        lines[n++] = (struct line){flags[i].name,
            flags[i].state == CONF_FLAG_REFUSED ? "refused" : "accepted",
            flags[i].reason, ""};
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        lines[n++] = (struct line){options[i], "works", "spoor(8)", ""};
    qsort(lines, n, sizeof(lines[0]), line_cmp);

    sb_add_str(out, page_head);
    for (size_t i = 0; i < n; i++)
        sb_addf(out, "| `-%s` | %s | %s%s%s |\n", lines[i].name,
            lines[i].state, lines[i].quote, lines[i].text, lines[i].quote);
}
