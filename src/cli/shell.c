/* SPDX-License-Identifier: BSD-2-Clause */

/* spoorctl without a verb: queries line by line, and commands. */

#include "core/base.h"
#include "cli/shell.h"

#include <getopt.h>
#include <locale.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/pager.h"
#include "cli/text.h"
#include "core/mem.h"
#include "core/num.h"
#include "core/timefmt.h"
#include "query/parser.h"
#include "query/pipe_type.h"

#define LINE_BYTES_MAX MIB

volatile sig_atomic_t shell_interrupted;

/* --- a query --- */

static void
run_query(struct shell *shell, const char *query, bool is_tail)
{
    struct query_ask ask = shell->ask;
    struct pager pager = {.out = stdout};
    struct query_asked asked;

    ask.query = query;
    ask.is_tail = is_tail;
    ask.print.is_live = is_tail;
    ask.print.width = cli_width();
    ask.start = is_tail || shell->since[0] == '\0' ? NULL : shell->since;
    ask.limit = is_tail || shell->limit[0] == '\0' ? NULL : shell->limit;
    ask.cancel = &shell_interrupted;
    shell_interrupted = 0;
    if (shell->is_terminal && !is_tail)
        pager_begin(&pager);
    ask.print.out = pager.out;
    ask.print.is_screen = shell->is_terminal;
    shell->status = query_ask(&ask, &asked);
    pager_end(&pager);
    if (shell->status == CLI_NOT_FOUND)
        puts("no rows");
    if (shell->has_timing)
        printf("%llu rows, %.3f s\n", (unsigned long long)asked.rows,
            (double)asked.took_ns / NS_PER_SEC);
    fflush(stdout);
}

/* --- commands --- */

static void
help_word(const char *name, const char *aliases, const char *syntax,
    const char *doc, const char *example)
{
    printf("%s %s\n  %s\n", name, syntax, doc);
    if (aliases[0] != '\0')
        printf("  also: %s\n", aliases);
    if (example[0] != '\0')
        printf("  example: %s\n", example);
}

static void
help_language(const char *word)
{
    const struct pipe_type *pipe = pipe_type_find(sv_from(word));
    const struct function_name *function = function_name_find(sv_from(word));
    struct sv near;

    if (pipe != NULL)
        help_word(pipe->name, pipe->aliases, pipe->syntax, pipe->doc,
            pipe->example);
    if (function != NULL) {
        char call[200];

        snprintf(call, sizeof(call), "(%s)", function->syntax);
        help_word(function->name, "", call, function->doc,
            function->example);
    }
    if (pipe != NULL || function != NULL)
        return;
    near = pipe_name_near(sv_from(word));
    if (near.len == 0)
        near = function_name_near(sv_from(word));
    if (near.len > 0)
        cli_fail("there is no '%s'; did you mean '%.*s'?", word,
            SV_ARG(near));
    else
        cli_fail("there is no '%s'; \\help lists what there is", word);
}

static void command_help(struct shell *shell, const char *rest);

static void
command_quit(struct shell *shell, UNUSED const char *rest)
{
    shell->is_done = true;
}

static void
command_timing(struct shell *shell, UNUSED const char *rest)
{
    shell->has_timing = !shell->has_timing;
    printf("timing is %s\n", shell->has_timing ? "on" : "off");
}

static void
command_format(struct shell *shell, const char *rest)
{
    enum rows_format format;
    bool is_csv;

    if (rest[0] == '\0') {
        printf("format is %s\n", shell->format);
        return;
    }
    if (!rows_format_parse(rest, &format, &is_csv)) {
        cli_fail("there is no format '%s': auto, table, long, logfmt, json "
            "and csv", rest);
        return;
    }
    shell->ask.print.format = format;
    shell->ask.is_csv = is_csv;
    shell->format = format == ROWS_AUTO ? "auto" : format == ROWS_TABLE
        ? "table" : format == ROWS_LONG ? "long" : format == ROWS_LOGFMT
        ? "logfmt" : is_csv ? "csv" : "json";
}

static void
command_expand(struct shell *shell, UNUSED const char *rest)
{
    command_format(shell, shell->ask.print.format == ROWS_LONG ? "auto"
        : "long");
    printf("format is %s\n", shell->format);
}

static void
setting(char *out, size_t size, const char *name, const char *rest, bool ok)
{
    if (rest[0] != '\0' && strcmp(rest, "off") != 0 && !ok)
        cli_fail("\\%s: bad value \"%s\"", name, rest);
    else if (rest[0] != '\0')
        snprintf(out, size, "%s", strcmp(rest, "off") == 0 ? "" : rest);
    if (out[0] == '\0')
        printf("%s is off\n", name);
    else
        printf("%s is %s\n", name, out);
}

static void
command_since(struct shell *shell, const char *rest)
{
    int64_t ns;

    setting(shell->since, sizeof(shell->since), "since", rest,
        strlen(rest) < sizeof(shell->since) &&
        time_parse_duration(sv_from(rest), &ns) && ns > 0);
}

static void
command_limit(struct shell *shell, const char *rest)
{
    uint64_t n;

    setting(shell->limit, sizeof(shell->limit), "limit", rest,
        strlen(rest) < sizeof(shell->limit) &&
        num_parse_u64(sv_from(rest), &n));
}

static void
command_tail(struct shell *shell, const char *rest)
{
    run_query(shell, rest[0] == '\0' ? "*" : rest, true);
}

/* "N query": again and again until Ctrl-C. */
static void
command_watch(struct shell *shell, const char *rest)
{
    char *query;
    unsigned long seconds = strtoul(rest, &query, 10);

    while (*query == ' ')
        query++;
    if (seconds == 0 || seconds > 86400 || *query == '\0') {
        cli_fail("\\watch SECONDS QUERY");
        return;
    }
    do {
        bool was_terminal = shell->is_terminal;

        if (was_terminal)
            fputs("\033[H\033[2J", stdout);
        shell->is_terminal = false; /* no pager */
        run_query(shell, query, false);
        shell->is_terminal = was_terminal;
        if (shell->status == CLI_ERROR || !was_terminal)
            return;
        for (unsigned long i = 0; i < seconds * 10 && !shell_interrupted; i++)
            usleep(100000);
    } while (!shell_interrupted);
}

static void
list_of(struct shell *shell, const char *query)
{
    run_query(shell, query, false);
}

static void
command_fields(struct shell *shell, UNUSED const char *rest)
{
    list_of(shell, "* | field_names | sort by (name)");
}

static void
command_values(struct shell *shell, const char *rest)
{
    struct sb query;

    if (rest[0] == '\0') {
        cli_fail("\\values FIELD");
        return;
    }
    sb_init(&query, LINE_BYTES_MAX);
    sb_add_str(&query, "* | uniq by (");
    print_word(&query, sv_from(rest));
    sb_add_str(&query, ") with hits limit 1000 | sort by (hits desc)");
    list_of(shell, query.ptr);
    sb_release(&query);
}

static const struct command {
    const char *name;
    const char *words;
    const char *doc;
    void (*run)(struct shell *shell, const char *rest);
} commands[] = {
    {"\\help", "[WORD]", "this; or a pipe or function", command_help},
    {"\\fields", "", "fields of the spans and in how many they are",
        command_fields},
    {"\\values", "FIELD", "values of a field", command_values},
    {"\\tail", "[QUERY]", "new rows as they come; Ctrl-C ends it",
        command_tail},
    {"\\watch", "SECONDS QUERY", "asks again and again", command_watch},
    {"\\since", "[1h | off]", "how far back queries look", command_since},
    {"\\limit", "[N | off]", "rows of an answer", command_limit},
    {"\\format", "[auto|table|long|logfmt|json|csv]", "of the rows",
        command_format},
    {"\\x", "", "one field a line, or not", command_expand},
    {"\\timing", "", "how long a query took", command_timing},
    {"\\quit", "", "as Ctrl-D", command_quit},
};

const char *const shell_commands[] = {
    "\\fields", "\\format", "\\help", "\\limit", "\\quit", "\\since",
    "\\tail", "\\timing", "\\values", "\\watch", "\\x", NULL,
};

static void
command_help(UNUSED struct shell *shell, const char *rest)
{
    if (rest[0] != '\0') {
        help_language(rest);
        return;
    }
    puts("A line is a LogsQL query: FILTER | PIPE | ...; one that ends with "
        "'|' or\n'\\' goes on in the next. The tabulator completes.\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        printf("  %-8s %-12s %s\n", commands[i].name, commands[i].words,
            commands[i].doc);
    fputs("\npipes:", stdout);
    for (size_t i = 0; i < npipe_types; i++) {
        if (pipe_types[i].ops != NULL)
            printf(" %s", pipe_types[i].name);
    }
    fputs("\nfunctions of stats:", stdout);
    for (size_t i = 0; i < nfunction_names; i++)
        printf(" %s", function_names[i].name);
    putchar('\n');
}

/* A command may be shortened as long as it is one. */
static void
run_command(struct shell *shell, const char *line)
{
    size_t len = strcspn(line, " ");
    const char *rest = line + len + strspn(line + len, " ");
    const struct command *found = NULL;

    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strncmp(commands[i].name, line, len) != 0)
            continue;
        if (strlen(commands[i].name) == len) {
            found = &commands[i];
            break;
        }
        if (found != NULL) {
            cli_fail("%.*s: \\help lists the commands", (int)len, line);
            return;
        }
        found = &commands[i];
    }
    if (found == NULL || len < 2)
        cli_fail("%.*s: \\help lists the commands", (int)len, line);
    else
        found->run(shell, rest);
}

void
shell_line(struct shell *shell, const char *line)
{
    struct sv text = text_strip(sv_from(line));
    char *copy;

    while (text.len > 0 && text.ptr[text.len - 1] == ';')
        text = text_strip(sv_sub(text, 0, text.len - 1));
    if (text.len == 0)
        return;
    copy = xmemdup0(text.ptr, text.len);
    if (copy[0] == '\\')
        run_command(shell, copy);
    else
        run_query(shell, copy, false);
    xfree(copy);
    fflush(stdout);
}

/* --- lines --- */

/* *is_continued becomes false when what was there has been given up. */
static const char *
next_line(struct shell_edit *edit, bool *is_continued)
{
    static char *line;
    static size_t cap;

    if (edit != NULL)
        return shell_edit_line(edit, is_continued);
    return getline(&line, &cap, stdin) < 0 ? NULL : line;
}

/* Takes a line to what was there; false: the query goes on. */
static bool
add_line(struct sb *all, const char *line)
{
    struct sv text = text_strip(sv_from(line));
    bool goes_on = text.len > 0 && (text.ptr[text.len - 1] == '|' ||
        text.ptr[text.len - 1] == '\\');

    if (goes_on && text.ptr[text.len - 1] == '\\')
        text.len--;
    if (all->len > 0)
        sb_add_char(all, ' ');
    sb_add_sv(all, text);
    return !goes_on;
}

static void
run_lines(struct shell *shell, struct shell_edit *edit)
{
    const char *line;
    struct sb all;

    sb_init(&all, LINE_BYTES_MAX);
    while (!shell->is_done) {
        bool is_continued = all.len > 0, is_whole;

        line = next_line(edit, &is_continued);
        if (line == NULL)
            break;
        if (!is_continued)
            sb_reset(&all);
        is_whole = add_line(&all, line);
        if (sb_failed(&all))
            shell->status = cli_fail("the query is too long");
        else if (!is_whole)
            continue;
        else if (all.len > 0)
            shell_line(shell, all.ptr);
        sb_reset(&all);
    }
    sb_release(&all);
}

static void
on_interrupt(UNUSED int signal_number)
{
    shell_interrupted = 1;
}

static int
shell_run(struct shell *shell)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    struct shell_edit *edit = NULL;

    shell->completer = completer_new(shell->ask.url, shell->ask.headers.v);
    if (shell->is_terminal) {
        setlocale(LC_CTYPE, "");
        sigaction(SIGINT, &action, NULL); /* interrupts reads, too */
        printf("spoorctl at %s; \\help helps, Ctrl-D leaves\n",
            cli_url(shell->ask.url));
        edit = shell_edit_new(shell);
    }
    run_lines(shell, edit);
    if (edit != NULL) {
        shell_edit_free(edit);
        putchar('\n');
    }
    completer_free(shell->completer);
    return shell->is_terminal ? CLI_OK : shell->status;
}

int
cli_shell(int argc, char **argv)
{
    static const struct option options[] = {
        {"url", required_argument, NULL, 'u'},
        {"tenant", required_argument, NULL, 't'},
        {"header", required_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    struct shell shell = {.format = "auto", .status = CLI_OK,
        .is_terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)};
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'u')
            shell.ask.url = optarg;
        else if ((c != 't' ||
            !request_headers_tenant(&shell.ask.headers, optarg)) &&
            (c != 'h' || !request_headers_add(&shell.ask.headers, optarg)))
            return cli_bad_option("shell", options, c);
    }
    if (optind != argc)
        return cli_usage("shell");
    snprintf(shell.since, sizeof(shell.since), "1h");
    snprintf(shell.limit, sizeof(shell.limit), "1000");
    if (!shell.is_terminal) {
        shell.format = "json";
        shell.ask.print.format = ROWS_RAW;
        shell.since[0] = shell.limit[0] = '\0';
    }
    shell.ask.print.has_color = cli_has_color();
    return shell_run(&shell);
}
