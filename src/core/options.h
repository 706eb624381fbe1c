/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The command line: nginx's options and VictoriaTraces' flags.  A word is
 * first looked up as a whole, then as one of the single letters.
 */

#ifndef SPOOR_CORE_OPTIONS_H
#define SPOOR_CORE_OPTIONS_H

#include "core/base.h"
#include "core/conf.h"
#include "core/sb.h"

enum options_action {
    OPTIONS_RUN,
    OPTIONS_TEST,            /* -t */
    OPTIONS_DUMP,            /* -T */
    OPTIONS_SIGNAL,          /* -s, with value */
    OPTIONS_HELP,            /* -h, with value or NULL */
    OPTIONS_VERSION,         /* -v */
    OPTIONS_VERSION_LONG,    /* -V */
    OPTIONS_PRINT_SAMPLE,
    OPTIONS_PRINT_REFERENCE,
    OPTIONS_PRINT_FLAGS,
    OPTIONS_PRINT_MAN,       /* with value: the page */
};

struct options {
    struct conf_source source; /* borrows from argv and from here */
    enum options_action action;
    const char *value;         /* argument of the action; borrowed from argv */
    bool is_quiet;
    const char **globals;      /* private, as are these */
    unsigned nglobals;
    const char **flags;
    unsigned nflags;
};

/*
 * Reads the whole command line, whatever is wrong.  -1 when messages holds
 * errors ("command line: ..."); options are as far filled as possible.
 * Release in any case.
 */
int options_parse(struct options *options, int argc, char *const *argv,
    struct sb *messages) WARN_UNUSED;
void options_release(struct options *options);
/*
 * Overwrites the secrets in the words of this process, which everybody can
 * see; options were parsed from a copy of them.
 */
void options_hide(const struct conf *conf, int argc, char **argv);

/* spoor -h: usage, options and all flags. */
void options_print_usage(struct sb *out);
/* spoor -h NAME: an option, a flag or a directive; -1 if unknown. */
int options_print_help(const char *name, struct sb *out) WARN_UNUSED;

/*
 * man/spoor.8 out of its template: the line ".\" @OPTIONS@" becomes the list
 * items of the options, ".\" @FLAGS@" those of the flags.
 */
void options_print_man(struct sv template, struct sb *out);

#endif
