/* SPDX-License-Identifier: BSD-2-Clause */

/* spoorctl cluster: the storage nodes of a front as a table. */

#include "core/base.h"
#include "cli/cli.h"

#include <getopt.h>

#include "cli/text.h"
#include "core/json_in.h"
#include "core/num.h"

#define TARGET "/internal/cluster"
#define POOL_BYTES_MAX (64 * MIB)
#define TEXT_BYTES_MAX (16 * MIB)
/* As many as a front has. */
#define NODES_SHOWN_MAX 256u
#define NAME_COLUMNS_MAX 60u

/* What went to a node, of one kind. */
struct calls {
    double requests;
    double errors;
    double mean_ms, p50_ms, p99_ms; /* negative: not known */
};

struct shown {
    struct sv name, state, why;
    struct sv inserts, inserts_why;
    double for_seconds, inserts_seconds;
    bool refuses_queries;
    struct calls insert, select;
    double parcels, bytes;
};

/* --- reading --- */

static bool
read_number(struct json_in *in, double *out)
{
    struct sv raw;

    if (!json_read_number(in, &raw))
        return false;
    if (!num_parse_double(raw, out))
        return json_fail(in, "a number expected");
    return true;
}

/* The sum of an object's numbers. */
static void
read_sum(struct json_in *in, double *sum)
{
    struct sv key;
    double n;

    if (!json_enter_object(in))
        return;
    while (json_next_key(in, &key)) {
        if (read_number(in, &n))
            *sum += n;
    }
}

static void
read_calls(struct json_in *in, struct calls *out)
{
    struct sv key;

    *out = (struct calls){.mean_ms = -1, .p50_ms = -1, .p99_ms = -1};
    if (!json_enter_object(in))
        return;
    while (json_next_key(in, &key)) {
        if (sv_eq(key, SV("requests")))
            (void)read_number(in, &out->requests);
        else if (sv_eq(key, SV("errors")))
            read_sum(in, &out->errors);
        else if (sv_eq(key, SV("mean_ms")))
            (void)read_number(in, &out->mean_ms);
        else if (sv_eq(key, SV("p50_ms")))
            (void)read_number(in, &out->p50_ms);
        else if (sv_eq(key, SV("p99_ms")))
            (void)read_number(in, &out->p99_ms);
        else
            (void)json_skip(in);
    }
}

static void
read_inserts(struct json_in *in, struct shown *out)
{
    struct sv key;

    if (!json_enter_object(in))
        return;
    while (json_next_key(in, &key)) {
        if (sv_eq(key, SV("state")))
            (void)json_read_string(in, &out->inserts);
        else if (sv_eq(key, SV("why")))
            (void)json_read_string(in, &out->inserts_why);
        else if (sv_eq(key, SV("for_seconds")))
            (void)read_number(in, &out->inserts_seconds);
        else
            (void)json_skip(in);
    }
}

static void
read_queue(struct json_in *in, struct shown *out)
{
    struct sv key;

    if (!json_enter_object(in))
        return;
    while (json_next_key(in, &key)) {
        if (sv_eq(key, SV("parcels")))
            (void)read_number(in, &out->parcels);
        else if (sv_eq(key, SV("bytes")))
            (void)read_number(in, &out->bytes);
        else
            (void)json_skip(in);
    }
}

static void
read_node(struct json_in *in, struct shown *out)
{
    struct sv key;

    *out = (struct shown){.for_seconds = -1, .inserts_seconds = -1};
    if (!json_enter_object(in))
        return;
    while (json_next_key(in, &key)) {
        if (sv_eq(key, SV("name")))
            (void)json_read_string(in, &out->name);
        else if (sv_eq(key, SV("state")))
            (void)json_read_string(in, &out->state);
        else if (sv_eq(key, SV("why")))
            (void)json_read_string(in, &out->why);
        else if (sv_eq(key, SV("for_seconds")))
            (void)read_number(in, &out->for_seconds);
        else if (sv_eq(key, SV("inserts")))
            read_inserts(in, out);
        else if (sv_eq(key, SV("refuses_queries")))
            (void)json_read_bool(in, &out->refuses_queries);
        else if (sv_eq(key, SV("insert")))
            read_calls(in, &out->insert);
        else if (sv_eq(key, SV("select")))
            read_calls(in, &out->select);
        else if (sv_eq(key, SV("queue")))
            read_queue(in, out);
        else
            (void)json_skip(in);
    }
}

struct answer {
    struct shown *nodes; /* NODES_SHOWN_MAX */
    unsigned n;
    struct sv message;
};

static int
answer_read(struct answer *out, struct sv json, struct pool *pool,
    struct err *err)
{
    struct json_in in;
    struct sv key;

    json_in_init(&in, json, pool);
    out->nodes = pool_alloc(pool, NODES_SHOWN_MAX * sizeof(*out->nodes));
    if (out->nodes == NULL)
        return err_set(err, ERR_LIMIT, "no memory");
    if (json_enter_object(&in)) {
        while (json_next_key(&in, &key)) {
            if (sv_eq(key, SV("message"))) {
                (void)json_read_string(&in, &out->message);
            } else if (!sv_eq(key, SV("nodes"))) {
                (void)json_skip(&in);
            } else if (json_enter_array(&in)) {
                while (json_next_item(&in)) {
                    if (out->n < NODES_SHOWN_MAX)
                        read_node(&in, &out->nodes[out->n++]);
                    else
                        (void)json_skip(&in);
                }
            }
        }
    }
    if (!json_in_failed(&in))
        return 0;
    return err_set(err, ERR_INVALID, "the server's answer is not understood "
        "(%s): is it spoor?", in.err.text);
}

/* --- printing --- */

/* At most 31 bytes. */
static void
print_age(char *dst, size_t size, double seconds)
{
    static const struct { double seconds; char unit; } units[] = {
        {86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};

    snprintf(dst, size, "-");
    for (size_t i = 0; i < ARRAY_LEN(units) && seconds >= 0; i++) {
        if (seconds < units[i].seconds && units[i].unit != 's')
            continue;
        snprintf(dst, size, "%.0f%c", seconds / units[i].seconds,
            units[i].unit);
        return;
    }
}

static void
print_ms(char *dst, size_t size, double ms)
{
    if (ms < 0)
        snprintf(dst, size, "-");
    else if (ms < 10)
        snprintf(dst, size, "%.1fms", ms);
    else if (ms < 10000)
        snprintf(dst, size, "%.0fms", ms);
    else
        snprintf(dst, size, "%.0fs", ms / 1000);
}

static void
print_bytes(char *dst, size_t size, double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;

    for (; bytes >= 1024 && unit + 1 < ARRAY_LEN(units); unit++)
        bytes /= 1024;
    snprintf(dst, size, unit == 0 ? "%.0f%s" : "%.1f%s", bytes, units[unit]);
}

static void
add_calls(struct sb *out, const struct calls *calls)
{
    char p50[32], p99[32];

    print_ms(p50, sizeof(p50), calls->p50_ms);
    print_ms(p99, sizeof(p99), calls->p99_ms);
    sb_addf(out, " %9.0f %7.0f %7s %7s", calls->requests, calls->errors, p50,
        p99);
}

static void
add_node(struct sb *out, const struct shown *node, unsigned columns)
{
    char age[32], bytes[32];

    print_age(age, sizeof(age), node->for_seconds);
    print_bytes(bytes, sizeof(bytes), node->bytes);
    text_add_columns(out, node->name, columns);
    sb_add_char(out, ' ');
    text_add_columns(out, node->state, 7);
    sb_addf(out, " %5s ", age);
    text_add_columns(out, node->inserts, 7);
    add_calls(out, &node->insert);
    add_calls(out, &node->select);
    sb_addf(out, " %s\n", node->parcels > 0 ? bytes : "-");
}

static void
add_why(struct sb *out, const struct shown *node)
{
    char age[32];

    if (node->why.len > 0) {
        text_add(out, node->name);
        sb_add_str(out, " is ");
        text_add(out, node->state);
        sb_add_str(out, ": ");
        text_add(out, node->why);
        sb_add_char(out, '\n');
    } else if (node->inserts_why.len > 0) {
        print_age(age, sizeof(age), node->inserts_seconds);
        text_add(out, node->name);
        sb_addf(out, " takes no spans for %s: ", age);
        text_add(out, node->inserts_why);
        sb_add_char(out, '\n');
    }
    if (node->refuses_queries) {
        text_add(out, node->name);
        sb_add_str(out, " refuses queries: see its answer to one, or the "
            "front's log\n");
    }
}

/* CLI_NOT_FOUND: a node is missing. */
static int
print_answer(struct sb *out, const struct answer *answer)
{
    unsigned columns = 4;
    int rc = CLI_OK;

    if (answer->n == 0) {
        text_add(out, answer->message);
        sb_add_char(out, '\n');
        return CLI_OK;
    }
    for (unsigned i = 0; i < answer->n; i++)
        columns = MAX(columns, text_columns(answer->nodes[i].name));
    columns = MIN(columns, NAME_COLUMNS_MAX);
    text_add_columns(out, SV("NODE"), columns);
    sb_add_str(out, " STATE     FOR INSERTS  REQUESTS  ERRORS     P50     P99"
        "   QUERIES  ERRORS     P50     P99 QUEUE\n");
    for (unsigned i = 0; i < answer->n; i++)
        add_node(out, &answer->nodes[i], columns);
    for (unsigned i = 0; i < answer->n; i++) {
        const struct shown *node = &answer->nodes[i];

        add_why(out, node);
        if (sv_eq(node->state, SV("down")) ||
            !sv_eq(node->inserts, SV("on")) || node->refuses_queries)
            rc = CLI_NOT_FOUND;
    }
    return rc;
}

static int
show(struct sv body, bool is_json)
{
    struct pool *pool = pool_new(POOL_BYTES_MAX);
    struct answer answer = {.n = 0};
    struct err err = ERR_INIT;
    struct sb out;
    int rc;

    sb_init(&out, TEXT_BYTES_MAX);
    if (answer_read(&answer, body, pool, &err) != 0)
        rc = cli_fail("%s", err.text);
    else
        rc = print_answer(&out, &answer);
    if (is_json && rc != CLI_ERROR) {
        sb_reset(&out);
        sb_add_sv(&out, body);
    }
    fwrite(out.ptr, 1, out.len, stdout);
    sb_release(&out);
    pool_free(pool);
    return rc;
}

int
cli_cluster(int argc, char **argv)
{
    static const struct option options[] = {
        {"url", required_argument, NULL, 'u'},
        {"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
    const char *url = NULL;
    bool is_json = false;
    struct sb body;
    int c, status;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'j')
            is_json = true;
        else if (c == 'u')
            url = optarg;
        else
            return cli_usage("cluster");
    }
    if (optind < argc && url == NULL)
        url = argv[optind++];
    if (optind < argc)
        return cli_usage("cluster");
    if (cli_get(url, TARGET, &body, &status) != 0)
        return CLI_ERROR;
    if (status == 200)
        c = show(sb_sv(&body), is_json);
    else
        cli_print_answer(status, sb_sv(&body));
    sb_release(&body);
    return status == 200 ? c : CLI_ERROR;
}
