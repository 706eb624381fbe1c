/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The server's start, in this order:
 *
 *     1. fault points from the environment, so that tests reach all the rest
 *     2. the command line; -h, -v, -V and the generators end here
 *     3. the configuration; -t, -T and -s end here
 *     4. the log
 *     5. the seams: who decodes a logged body, where a decoded one goes,
 *        which modules live in every process, which paths are answered
 *     6. the master, until it is told to stop
 *
 * This is the only file that knows all the others.
 */

#include "core/base.h"

#include <errno.h>

#include "api/admission.h"
#include "api/auth_key.h"
#include "api/error_body.h"
#include "api/process_metrics.h"
#include "api/routes.h"
#include "cluster/cluster.h"
#include "cluster/sender.h"
#include "core/conf.h"
#include "core/conf_budget.h"
#include "core/conf_report.h"
#include "core/conf_storage.h"
#include "core/fault.h"
#include "core/file.h"
#include "core/log.h"
#include "core/log_conf.h"
#include "core/mem.h"
#include "core/options.h"
#include "event/listen.h"
#include "event/master.h"
#include "event/module.h"
#include "event/tls_server.h"
#include "http/http.h"
#include "otlp/otlp.h"
#include "storage/layout.h"
#include "storage/store.h"

#ifndef SPOOR_VERSION
#define SPOOR_VERSION "0"
#endif
#ifndef SPOOR_COMPILER
#define SPOOR_COMPILER "unknown"
#endif
#ifndef SPOOR_LIBRARIES
#define SPOOR_LIBRARIES "unknown"
#endif
#ifndef SPOOR_CONFIGURE_ARGS
#define SPOOR_CONFIGURE_ARGS ""
#endif

/* Help, manual pages, -T and all errors of one run. */
#define TEXT_BYTES_MAX (4 * MIB)
#define MAN_TEMPLATE "man/spoor.8.in"

static const struct module *const module_table[] = {
    &store_module,
    &cluster_module,
    &admission_module,
    &process_metrics_module,
    &tls_module,
    &http_module,
    NULL,
};

/* Writes text to a stream; the status of the program when that is its end. */
static int
show(FILE *stream, const struct sb *text, int status)
{
    fwrite(text->ptr, 1, text->len, stream);
    if (fflush(stdout) != 0 || ferror(stream) != 0)
        return 1;
    return sb_failed(text) ? 1 : status;
}

static void
print_version(struct sb *out, bool is_long)
{
    sb_add_str(out, "spoor " SPOOR_VERSION "\n");
    if (!is_long)
        return;
    sb_add_str(out, "built by " SPOOR_COMPILER "\n"
        "libraries: " SPOOR_LIBRARIES "\n");
    sb_addf(out, "disk format: %u\n", LAYOUT_VERSION);
    sb_add_str(out, "configure options:" SPOOR_CONFIGURE_ARGS "\n");
}

/* For make: run in the top of the source tree. */
static int
print_man(const char *page, struct sb *out)
{
    struct err err = ERR_INIT;
    struct sb template;
    int rc = 0;

    if (strcmp(page, "spoor.yaml.5") == 0) {
        conf_print_man(out);
        return 0;
    }
    if (strcmp(page, "spoor.8") != 0) {
        fprintf(stderr, "spoor: no page %s\n", page);
        return -1;
    }
    sb_init(&template, TEXT_BYTES_MAX);
    if (file_read_all(MAN_TEMPLATE, &template, &err) == 0) {
        options_print_man(sb_sv(&template), out);
    } else {
        fprintf(stderr, "spoor: %s\n", err.text);
        rc = -1;
    }
    sb_release(&template);
    return rc;
}

/* Actions without a configuration; -1 if this is none of them. */
static int
act_early(const struct options *options, struct sb *out)
{
    switch (options->action) {
    case OPTIONS_HELP:
        if (options->value == NULL)
            options_print_usage(out);
        else if (options_print_help(options->value, out) != 0)
            return show(stderr, out, 1);
        break;
    case OPTIONS_VERSION:
    case OPTIONS_VERSION_LONG:
        print_version(out, options->action == OPTIONS_VERSION_LONG);
        break;
    case OPTIONS_PRINT_SAMPLE:
        conf_print_sample(out);
        break;
    case OPTIONS_PRINT_REFERENCE:
        conf_print_reference(out);
        break;
    case OPTIONS_PRINT_FLAGS:
        conf_print_flags_page(out);
        break;
    case OPTIONS_PRINT_MAN:
        if (print_man(options->value, out) != 0)
            return 1;
        break;
    default:
        return -1;
    }
    return show(stdout, out, 0);
}

static int
report_problem(const struct options *options, struct sb *messages,
    const char *source, const struct err *err)
{
    struct conf_report report;

    conf_report_init(&report, messages);
    conf_report_source(&report, source, sv_make(NULL, 0));
    report.is_json = options->source.is_json;
    conf_report_error(&report, NULL, "error: %s", err->text);
    return -1;
}

/* An address that is in use is most likely our own running server. */
static int
check_listeners(const struct options *options, const struct conf *conf,
    struct sb *messages)
{
    struct err err = ERR_INIT;
    int rc = listen_open(conf, &err);

    listen_close_all();
    if (rc == 0 || err.sys_errno == EADDRINUSE)
        return 0;
    return report_problem(options, messages, "http.listen", &err);
}

static int
check_http(const struct options *options, const struct conf *conf,
    struct sb *messages)
{
    struct err err = ERR_INIT;

    if (http_check(conf, &err) == 0)
        return 0;
    return report_problem(options, messages, "http", &err);
}

static int
check_nodes(const struct options *options, const struct conf *conf,
    struct sb *messages)
{
    struct err err = ERR_INIT;

    if (cluster_check(conf, &err) == 0)
        return 0;
    return report_problem(options, messages, "storage_nodes", &err);
}

static int
act_test(const struct options *options, const struct conf *conf,
    struct sb *text)
{
    sb_reset(text);
    if (check_http(options, conf, text) + check_nodes(options, conf, text) +
        check_listeners(options, conf, text) != 0)
        return show(options->source.is_json ? stdout : stderr, text, 1);
    if (!options->is_quiet && !options->source.is_json)
        sb_addf(text, "%s%sconfiguration is fine\n",
            conf->file != NULL ? conf->file : "",
            conf->file != NULL ? ": " : "");
    return show(stdout, text, 0);
}

static int
act_signal(const struct options *options, const struct conf *conf,
    struct sb *text)
{
    struct err err = ERR_INIT;
    int rc;

    sb_reset(text);
    rc = master_command(conf, options->value, text, &err);
    /* Without an answer err says why; with one the answer does. */
    if (text->len == 0)
        sb_addf(text, "spoor: -s %s: %s\n", options->value, err.text);
    else
        sb_add_char(text, '\n');
    return rc == 0 ? show(stdout, text, 0) : show(stderr, text, 1);
}

static int
start_up(const struct conf *conf, struct err *err)
{
    mem_tune((size_t)conf_budget(conf)->heap_keep);
    if (log_apply_conf(conf, err) != 0)
        return -1;
    log_set_role("master");

    store_set_decoder(otlp_decode_request);
    otlp_set_sink(conf_is_front(conf) ? cluster_ingest : store_ingest);
    otlp_set_limits(conf_is_front(conf) ? cluster_span_limits
        : store_span_limits);
    modules = module_table;
    http_routes = api_routes;
    http_route_keys = api_route_keys;
    error_body_install();
    return 0;
}

static void IMPL(conf_flag_fn)
add_set_flag(const char *name, const char *value, bool is_set, void *arg)
{
    if (is_set)
        sb_addf(arg, " -%s=\"%s\"", name, value);
}

/* What is not the default, as VictoriaTraces tells it; secrets are masked. */
static void
log_flags(const struct conf *conf)
{
    struct sb text;

    sb_init(&text, TEXT_BYTES_MAX);
    conf_each_flag(conf, add_set_flag, &text);
    if (text.len > 0)
        log_info("flags that are set:%s", text.ptr);
    sb_release(&text);
}

static void
log_budget(const struct conf *conf)
{
    struct sb text;

    sb_init(&text, TEXT_BYTES_MAX);
    conf_budget_print(conf_budget(conf), &text);
    log_info("%s", text.ptr);
    sb_release(&text);
}

static void
log_warnings(struct sv text)
{
    struct sv line;

    while (sv_split(&text, '\n', &line)) {
        static struct log_site site;

        /* More of them than a site may write are still all told. */
        memset(&site, 0, sizeof(site));
        if (line.len > 0 && log_is_on(LOG_WARN))
            log_write(&site, LOG_WARN, __FILE__, __LINE__, "%.*s",
                SV_ARG(line));
    }
}

/* Takes conf. */
static int
act_run(const struct options *options, struct conf *conf, struct sv warnings)
{
    struct err err = ERR_INIT;

    if (start_up(conf, &err) != 0) {
        fprintf(stderr, "spoor: %s\n", err.text);
        conf_free(conf);
        return 1;
    }
    log_info("spoor " SPOOR_VERSION ", configuration %s",
        conf->file != NULL ? conf->file : "(defaults)");
    log_warnings(warnings);
    log_flags(conf);
    log_budget(conf);
    return master_run(conf, &options->source);
}

/* words: of this process, as the system shows them. */
struct words {
    int n;
    char **v;
};

static int
act(struct options *options, bool is_good, const struct words *words,
    struct sb *text)
{
    FILE *stream = options->source.is_json ? stdout : stderr;
    struct conf *conf;
    int status;

    options->source.is_test = options->action == OPTIONS_TEST;
    options->source.check_listener = tls_server_check;
    if (conf_load(&conf, &options->source, text) != 0 || !is_good) {
        conf_free(conf);
        return show(stream, text, 1);
    }
    options_hide(conf, words->n, words->v);
    if (options->action == OPTIONS_RUN)
        return act_run(options, conf, sb_sv(text));
    if (text->len > 0 && !options->is_quiet)
        (void)show(stream, text, 0); /* warnings */

    if (options->action == OPTIONS_TEST) {
        status = act_test(options, conf, text);
    } else if (options->action == OPTIONS_DUMP) {
        sb_reset(text);
        conf_print_effective(conf, text);
        status = show(stdout, text, 0);
    } else {
        status = act_signal(options, conf, text);
    }
    conf_free(conf);
    return status;
}

/* Copies, because the words of this process are overwritten. */
static char **
words_copy(int argc, char *const *argv)
{
    char **copy = xcalloc((size_t)argc + 1, sizeof(*copy));

    for (int i = 0; i < argc; i++)
        copy[i] = xstrdup(argv[i]);
    return copy;
}

static void
words_free(char **copy)
{
    for (char **word = copy; *word != NULL; word++)
        xfree(*word);
    xfree(copy);
}

int
main(int argc, char **argv)
{
    struct words words = {argc, argv};
    char **copy = words_copy(argc, argv);
    struct options options;
    struct sb text;
    int status = -1;
    bool is_good;

    fault_init();
    sb_init(&text, TEXT_BYTES_MAX);
    is_good = options_parse(&options, argc, copy, &text) == 0;
    options.source.argv = copy;
    if (is_good)
        status = act_early(&options, &text);
    if (status < 0)
        status = act(&options, is_good, &words, &text);
    options_release(&options);
    sb_release(&text);
    words_free(copy);
    return status;
}
