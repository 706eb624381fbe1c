/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The command line.  One table makes the parser, the usage text and the
 * manual page; the flags of directives come from core/directives.def.
 */

#include "core/base.h"
#include "core/options.h"

#include "core/conf_doc.h"
#include "core/conf_flags.h"
#include "core/conf_near.h"
#include "core/conf_report.h"
#include "core/conf_table.h"
#include "core/conf_type.h"
#include "core/mem.h"

enum argument { ARG_NONE, ARG_BOOL, ARG_NEEDED, ARG_OPTIONAL };

enum option_id {
    OPTION_FILE,
    OPTION_PREFIX,
    OPTION_ERROR_LOG,
    OPTION_GLOBAL,
    OPTION_QUIET,
    OPTION_ENV_ENABLE,
    OPTION_ENV_PREFIX,
    OPTION_FORMAT,
    OPTION_ACTION,
};

struct option_row {
    const char *name;
    enum argument argument;
    const char *argument_name; /* NULL unless there is one */
    enum option_id id;
    enum options_action action; /* of OPTION_ACTION */
    const char *doc;            /* NULL: not shown */
};

static const struct option_row option_rows[] = {
    {"c", ARG_NEEDED, "file", OPTION_FILE, 0,
        "Read this file instead of conf/spoor.yaml"},
    {"p", ARG_NEEDED, "prefix", OPTION_PREFIX, 0,
        "Directory that relative paths start from, instead of the current"
        " one"},
    {"e", ARG_NEEDED, "file", OPTION_ERROR_LOG, 0,
        "Write the log to this file, whatever log.file says"},
    {"g", ARG_NEEDED, "directives", OPTION_GLOBAL, 0,
        "Set directives after the file, as in 'storage.retention: 30d'; may"
        " be repeated"},
    {"t", ARG_NONE, NULL, OPTION_ACTION, OPTIONS_TEST,
        "Check the configuration, name every mistake and exit"},
    {"T", ARG_NONE, NULL, OPTION_ACTION, OPTIONS_DUMP,
        "Check the configuration and print every value with its origin"},
    {"q", ARG_NONE, NULL, OPTION_QUIET, 0, "With -t: print errors only"},
    {"format", ARG_NEEDED, "form", OPTION_FORMAT, 0,
        "With -t: text, or json: an object in a line for each mistake, on"
        " standard output"},
    {"s", ARG_NEEDED, "verb", OPTION_ACTION, OPTIONS_SIGNAL,
        "Tell the running server to stop, quit, reload, reopen or upgrade,"
        " and wait until it did"},
    {"v", ARG_NONE, NULL, OPTION_ACTION, OPTIONS_VERSION,
        "Print the version"},
    {"V", ARG_NONE, NULL, OPTION_ACTION, OPTIONS_VERSION_LONG,
        "Print the version, compiler, configure options, libraries and disk"
        " format"},
    {"h", ARG_OPTIONAL, "name", OPTION_ACTION, OPTIONS_HELP,
        "Print this text, or explain a flag or directive"},
    {"help", ARG_OPTIONAL, "name", OPTION_ACTION, OPTIONS_HELP,
        "The same as -h"},
    {"version", ARG_NONE, NULL, OPTION_ACTION, OPTIONS_VERSION,
        "The same as -v"},
    {"envflag.enable", ARG_BOOL, NULL, OPTION_ENV_ENABLE, 0,
        "Take flags that are not given from the environment, with _ for"
        " each . in the name"},
    {"envflag.prefix", ARG_NEEDED, "prefix", OPTION_ENV_PREFIX, 0,
        "What stands before the names of those environment variables"},
    {"print-sample", ARG_NONE, NULL, OPTION_ACTION, OPTIONS_PRINT_SAMPLE,
        NULL},
    {"print-reference", ARG_NONE, NULL, OPTION_ACTION,
        OPTIONS_PRINT_REFERENCE, NULL},
    {"print-flags", ARG_NONE, NULL, OPTION_ACTION, OPTIONS_PRINT_FLAGS,
        NULL},
    {"print-man", ARG_NEEDED, "page", OPTION_ACTION, OPTIONS_PRINT_MAN,
        NULL},
};

struct parser {
    struct options *options;
    struct conf_report report;
    char *const *argv;
    int argc;
    int next; /* index in argv */
    bool has_action;
};

static const struct option_row *
option_find(struct sv name)
{
    for (size_t i = 0; i < ARRAY_LEN(option_rows); i++) {
        if (sv_eq(sv_from(option_rows[i].name), name))
            return &option_rows[i];
    }
    return NULL;
}

static const char *
suggest(struct sv name)
{
    struct conf_near near;
    const struct conf_row *row;
    const char *best = NULL;

    conf_near_init(&near, name);
    for (size_t i = 0; i < ARRAY_LEN(option_rows); i++) {
        unsigned before = near.distance;

        if (option_rows[i].doc != NULL && option_rows[i].name[1] != '\0')
            conf_near_offer(&near, sv_from(option_rows[i].name));
        if (near.distance < before)
            best = option_rows[i].name;
    }
    row = conf_row_suggest(&near);
    return row != NULL ? row->flag : best;
}

static void
report_unknown(struct parser *parser, struct sv name)
{
    const char *best = suggest(name);
    char meant[CONF_NAME_MAX + 32] = "";

    if (best != NULL)
        snprintf(meant, sizeof(meant), " (did you mean -%s?)", best);
    conf_report_error(&parser->report, NULL, "unknown flag -%.*s%s",
        (int)MIN(name.len, (size_t)80), name.ptr, meant);
}

static void
set_action(struct parser *parser, const struct option_row *row,
    const char *value)
{
    struct options *options = parser->options;

    /* -t and -T go together, as in nginx; else the first one counts. */
    if (!parser->has_action ||
        (options->action == OPTIONS_TEST && row->action == OPTIONS_DUMP)) {
        options->action = row->action;
        options->value = value;
        parser->has_action = true;
    } else if (options->action != row->action &&
        !(options->action == OPTIONS_DUMP && row->action == OPTIONS_TEST)) {
        conf_report_error(&parser->report, NULL,
            "-%s does not go with another action", row->name);
    }
}

static void
check_verb(struct parser *parser, const char *verb)
{
    static const char *const verbs[] = {"stop", "quit", "reload", "reopen",
        "upgrade"};
    struct conf_near near;

    conf_near_init(&near, sv_from(verb));
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if (strcmp(verb, verbs[i]) == 0)
            return;
        conf_near_offer(&near, sv_from(verbs[i]));
    }
    conf_report_error(&parser->report, NULL,
        "-s: must be stop, quit, reload, reopen or upgrade, not \"%.80s\"%s"
        "%.*s%s", verb, near.best.ptr != NULL ? " (did you mean " : "",
        (int)near.best.len, near.best.ptr != NULL ? near.best.ptr : "",
        near.best.ptr != NULL ? "?)" : "");
}

static void
apply_bool(struct parser *parser, const struct option_row *row,
    const char *value)
{
    bool is_true = value == NULL || strcmp(value, "true") == 0 ||
        strcmp(value, "1") == 0;

    if (!is_true && strcmp(value, "false") != 0 && strcmp(value, "0") != 0)
        conf_report_error(&parser->report, NULL,
            "-%s: must be true or false, not \"%.80s\"", row->name, value);
    parser->options->source.env_enable = is_true;
}

static void
apply(struct parser *parser, const struct option_row *row, const char *value)
{
    struct options *options = parser->options;

    switch (row->id) {
    case OPTION_FILE:
        options->source.file = value;
        break;
    case OPTION_PREFIX:
        options->source.prefix = value;
        break;
    case OPTION_ERROR_LOG:
        options->source.error_log = value;
        break;
    case OPTION_GLOBAL:
        options->globals[options->nglobals++] = value;
        break;
    case OPTION_QUIET:
        options->is_quiet = true;
        break;
    case OPTION_ENV_ENABLE:
        apply_bool(parser, row, value);
        break;
    case OPTION_ENV_PREFIX:
        options->source.env_prefix = value;
        break;
    case OPTION_FORMAT:
        options->source.is_json = strcmp(value, "json") == 0;
        if (!options->source.is_json && strcmp(value, "text") != 0)
            conf_report_error(&parser->report, NULL,
                "-format: must be text or json, not \"%.80s\"", value);
        break;
    case OPTION_ACTION:
        if (row->action == OPTIONS_SIGNAL)
            check_verb(parser, value);
        set_action(parser, row, value);
        break;
    }
}

/* The next word as the value of -name; NULL and an error if there is none. */
static const char *
next_value(struct parser *parser, struct sv name)
{
    if (parser->next < parser->argc)
        return parser->argv[parser->next++];
    conf_report_error(&parser->report, NULL, "-%.*s: needs a value",
        SV_ARG(name));
    return NULL;
}

static const char *
optional_value(struct parser *parser)
{
    return parser->next < parser->argc ? parser->argv[parser->next++] : NULL;
}

static void
parse_option(struct parser *parser, const struct option_row *row,
    const char *value)
{
    if (row->argument == ARG_NONE && value != NULL) {
        conf_report_error(&parser->report, NULL, "-%s: takes no value",
            row->name);
        return;
    }
    if (row->argument == ARG_NEEDED && value == NULL) {
        value = next_value(parser, sv_from(row->name));
        if (value == NULL)
            return;
    }
    if (row->argument == ARG_OPTIONAL && value == NULL)
        value = optional_value(parser);
    if (row->argument == ARG_NEEDED && value[0] == '\0' &&
        row->id != OPTION_ENV_PREFIX)
        conf_report_error(&parser->report, NULL, "-%s: needs a value",
            row->name);
    else
        apply(parser, row, value);
}

static void
parse_flag(struct parser *parser, const char *name, bool is_bool,
    const char *value)
{
    struct options *options = parser->options;

    if (value == NULL)
        value = is_bool ? "true" : next_value(parser, sv_from(name));
    if (value == NULL)
        return;
    options->flags[options->nflags++] = name;
    options->flags[options->nflags++] = value;
}

/* A word after the program's name, and the value that belongs to it. */
static void
parse_word(struct parser *parser, const char *word)
{
    struct sv name = sv_from(word + 1);
    const struct option_row *option;
    const struct conf_flag *flag;
    const struct conf_row *row;
    const char *value = NULL;
    size_t equals;

    if (word[0] != '-' || word[1] == '\0') {
        conf_report_error(&parser->report, NULL,
            "unexpected argument \"%.80s\"", word);
        return;
    }
    if (sv_starts_with(name, SV("-")))
        name = sv_sub(name, 1, name.len);
    equals = sv_find_byte(name, '=');
    if (equals < name.len)
        value = name.ptr + equals + 1;
    name.len = equals;

    row = conf_row_by_flag(name);
    if (row != NULL) {
        parse_flag(parser, row->flag, row->kind == CONF_KIND_BOOL ||
            row->kind == CONF_KIND_BOOLS, value);
        return;
    }
    flag = conf_flag_find(name);
    if (flag != NULL) {
        parse_flag(parser, flag->name, flag->is_bool, value);
        return;
    }
    option = option_find(name);
    if (option != NULL) {
        parse_option(parser, option, value);
        return;
    }
    report_unknown(parser, name);
    /* A plain word behind it most likely belongs to it. */
    if (value == NULL && parser->next < parser->argc &&
        parser->argv[parser->next][0] != '-')
        parser->next++;
}

int
options_parse(struct options *options, int argc, char *const *argv,
    struct sb *messages)
{
    struct parser parser = {.options = options, .argv = argv, .argc = argc,
        .next = 1};

    memset(options, 0, sizeof(*options));
    options->globals = xcalloc((size_t)argc + 1, sizeof(*options->globals));
    options->flags = xcalloc(2 * (size_t)argc + 1, sizeof(*options->flags));
    conf_report_init(&parser.report, messages);
    conf_report_source(&parser.report, "command line", sv_make(NULL, 0));
    while (parser.next < argc)
        parse_word(&parser, argv[parser.next++]);
    options->source.globals = options->globals;
    options->source.flags = options->flags;
    if (parser.report.nerrors == 0)
        return 0;
    conf_report_close(&parser.report, "command line");
    return -1;
}

void
options_release(struct options *options)
{
    xfree(options->globals);
    xfree(options->flags);
    memset(options, 0, sizeof(*options));
}

/* --- secrets --- */

/* "secret", as far as it fits. */
static void
hide(char *value)
{
    size_t len = strlen(value);

    explicit_bzero(value, len);
    memcpy(value, CONF_SECRET_MASK, MIN(len, strlen(CONF_SECRET_MASK)));
}

void
options_hide(const struct conf *conf, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct sv word = sv_from(argv[i]), name;
        char flag[CONF_NAME_MAX];
        bool is_bool;
        size_t equals;

        while (word.len > 0 && word.ptr[0] == '-')
            word = sv_sub(word, 1, word.len);
        equals = sv_find_byte(word, '=');
        name = sv_sub(word, 0, equals);
        snprintf(flag, sizeof(flag), "%.*s", SV_ARG(name));
        if (sv_eq(name, SV("g")) && i + 1 < argc &&
            conf_line_is_secret(sv_from(argv[i + 1])))
            hide(argv[i + 1]);
        else if (conf_line_is_secret(word) && sv_starts_with(word, SV("g=")))
            hide(argv[i] + strlen(argv[i]) - (word.len - equals - 1));
        else if (!conf_flag_known(flag, &is_bool) ||
            !conf_flag_is_secret(conf, flag))
            continue;
        else if (equals < word.len)
            hide(argv[i] + strlen(argv[i]) - (word.len - equals - 1));
        else if (!is_bool && i + 1 < argc)
            hide(argv[i + 1]);
    }
}

/* --- texts --- */

static void
print_option(struct sb *out, const struct option_row *row)
{
    char head[64];

    snprintf(head, sizeof(head), "-%s%s%s%s", row->name,
        row->argument_name == NULL ? "" :
        row->argument == ARG_OPTIONAL ? " [" : " ",
        row->argument_name != NULL ? row->argument_name : "",
        row->argument == ARG_OPTIONAL ? "]" : "");
    sb_addf(out, "  %s\n", head);
    conf_doc_wrap(out, row->doc, "        ");
}

void
options_print_usage(struct sb *out)
{
    sb_add_str(out,
        "usage: spoor [-c file] [-p prefix] [-e file] [-g directives]\n"
        "             [-name=value ...]\n"
        "       spoor -t | -T [-q] ...\n"
        "       spoor -s stop | quit | reload | reopen ...\n"
        "       spoor -v | -V | -h [name]\n"
        "\n"
        "spoor stores distributed traces and answers queries about them.  It"
        " runs in\nthe foreground; without any configuration it listens on"
        " :10428 and stores\nbelow ./spoor-data.\n"
        "\n"
        "Options:\n");
    for (size_t i = 0; i < ARRAY_LEN(option_rows); i++) {
        if (option_rows[i].doc != NULL)
            print_option(out, &option_rows[i]);
    }
    sb_add_str(out, "\nFlags (each is a directive of the file, too):\n");
    if (conf_print_help(NULL, out) != 0)
        sb_add_str(out, "none\n");
}

int
options_print_help(const char *name, struct sb *out)
{
    const struct option_row *row;

    while (*name == '-')
        name++;
    row = option_find(sv_from(name));
    if (row != NULL && row->doc != NULL && conf_row_find(name) == NULL) {
        print_option(out, row);
        return 0;
    }
    return conf_print_help(name, out);
}

static void
man_options(struct sb *out)
{
    for (size_t i = 0; i < ARRAY_LEN(option_rows); i++) {
        const struct option_row *row = &option_rows[i];

        if (row->doc == NULL)
            continue;
        sb_addf(out, ".It Fl %s", row->name);
        if (row->argument_name != NULL)
            sb_addf(out, "%s Ar %s",
                row->argument == ARG_OPTIONAL ? " Op" : "",
                row->argument_name);
        sb_add_char(out, '\n');
        conf_add_roff(out, row->doc);
    }
}

void
options_print_man(struct sv template, struct sb *out)
{
    struct sv line;

    while (sv_split(&template, '\n', &line)) {
        if (sv_eq(line, SV(".\\\" @OPTIONS@"))) {
            man_options(out);
        } else if (sv_eq(line, SV(".\\\" @FLAGS@"))) {
            conf_print_man_flags(out);
        } else if (template.len > 0 || line.len > 0) {
            sb_add_sv(out, line);
            sb_add_char(out, '\n');
        }
    }
}
