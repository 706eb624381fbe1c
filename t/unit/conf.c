/* SPDX-License-Identifier: BSD-2-Clause */

/* Loading: layers, files, trees, round trips, CPUs. */

#include "core/base.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/conf.h"
#include "core/conf_budget.h"
#include "core/conf_cpus.h"
#include "core/conf_listener.h"
#include "core/conf_node.h"
#include "core/conf_table.h"
#include "core/conf_type.h"
#include "core/file.h"
#include "core/mem.h"
#include "tap.h"

static char dir[] = "/tmp/spoor-conf-XXXXXX";
static struct sb messages;

static const char *
write_text(const char *name, const char *text)
{
    static char path[PATH_MAX];
    struct err err = ERR_INIT;
    char parent[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    snprintf(parent, sizeof(parent), "%s", path);
    *strrchr(parent, '/') = '\0';
    if (file_mkdirs(parent, 0700, &err) != 0 ||
        file_replace(path, text, strlen(text), 0600, &err) != 0)
        bail_out(err.text);
    return path;
}

static struct conf *
load(const struct conf_source *source)
{
    struct conf *conf;

    sb_reset(&messages);
    if (conf_load(&conf, source, &messages) != 0)
        ok(conf == NULL && messages.len > 0, "a failure says why");
    return conf;
}

static struct conf *
load_text(const char *text)
{
    struct conf_source source = {.file = write_text("spoor.yaml", text),
        .prefix = dir};

    return load(&source);
}

/* The text must give exactly this first message (without the file). */
static void
is_error(const char *text, const char *want)
{
    struct conf *conf = load_text(text);
    struct sv rest = sb_sv(&messages), line = SV_EMPTY;
    size_t skip = strlen(dir) + strlen("/spoor.yaml:");

    (void)sv_split(&rest, '\n', &line);
    is_sv(sv_sub(line, skip, line.len), want, "error of %s", text);
    ok(conf == NULL, "not used");
    conf_free(conf);
}

static void
test_defaults(void)
{
    struct conf_source source = {.prefix = dir};
    struct conf *conf = load(&source);
    char path[PATH_MAX];

    if (!ok(conf != NULL, "defaults load: %s", messages.ptr))
        return;
    ok(conf->file == NULL, "without a file");
    is_int(conf->http_listen.n, 1, "one address");
    is_str(conf->http_listen.v[0], ":10428", "the port");
    is_int(conf->max_request_size, 64 * MIB, "size");
    is_int(conf->retention, 7 * NS_PER_DAY, "retention");
    is_int(conf->fsync, FSYNC_ALWAYS, "choice");
    ok(!conf->metrics_metadata, "boolean");
    snprintf(path, sizeof(path), "%s/spoor-data", dir);
    is_str(conf->data_path, path, "data below the prefix");
    snprintf(path, sizeof(path), "%s/spoor-data/spoor.pid", dir);
    is_str(conf->pid_file, path, "pid file below the data");
    is_str(conf->log_file, "stderr", "log");
    conf_free(conf);
}

static void
test_file(void)
{
    struct conf *conf;

    setenv("SPOOR_T_NAME", "name", 1);
    setenv("SPOOR_T_EMPTY", "", 1);
    unsetenv("SPOOR_T_NONE");
    conf = load_text("# only a comment\n");
    ok(conf != NULL, "an empty file is fine: %s", messages.ptr);
    conf_free(conf);
    conf = load_text("http:\nstorage: ~\n");
    ok(conf != NULL, "empty groups are fine: %s", messages.ptr);
    conf_free(conf);
    conf = load_text(
        "workers: 3\n"
        "storage.retention: 2w\n"
        "http: {listen: [':1', '[::1]:2'], header_timeout: 3s}\n"
        "storage: {path: '/x/${SPOOR_T_NAME}-${SPOOR_T_NONE:-d}$${y}',"
        " fsync: OFF}\n"
        "user: '${SPOOR_T_EMPTY:-nobody}'\n"
        "metrics:\n    expose_metadata: yes\n"
        "log: {file: logs/x.log}\n");
    if (!ok(conf != NULL, "a full file: %s", messages.ptr))
        return;
    is_int(conf->workers, 3, "number");
    is_int(conf->retention, 14 * NS_PER_DAY, "dotted name");
    is_int(conf->http_listen.n, 2, "list");
    is_str(conf->http_listen.v[1], "[::1]:2", "second item");
    is_str(conf->data_path, "/x/name-d${y}", "variables");
    is_str(conf->user, "nobody", "default of an empty variable");
    is_int(conf->fsync, FSYNC_OFF, "off is a word here");
    ok(conf->metrics_metadata, "boolean");
    ok(sv_ends_with(sv_from(conf->log_file), SV("/logs/x.log")) &&
        conf->log_file[0] == '/', "log below the prefix");
    conf_free(conf);
}

/* What addresses may do, by maps and by lists of flags. */
static void
test_listeners(void)
{
    static const char *const flags[] = {"httpListenAddr", ":1,:2",
        "otlpGRPCListenAddr", ":3", "tls", ",true", "tlsCertFile", ",/a;/b",
        "tlsKeyFile", ",/c;/d", "otlpGRPC.tls", "false",
        "httpListenAddr.disable", "Insert;admin,", "select.disable", "true",
        "delete.enable", "true", NULL};
    struct conf_source source = {.prefix = dir, .flags = flags};
    const unsigned server = CONF_GROUP_SELECT | CONF_GROUP_INTERNAL_SELECT |
        CONF_GROUP_INTERNAL_DELETE;
    struct conf *conf = load(&source);
    struct conf_listener one;

    if (!ok(conf != NULL, "three addresses: %s", messages.ptr))
        return;
    is_int(conf_listeners(conf), 3, "their number");
    one = conf_listener_get(conf, 0);
    is_str(one.address, ":1", "the first");
    ok(!one.has_tls && one.certs == NULL && !one.is_grpc, "without TLS");
    is_int(one.disabled, server | CONF_GROUP_INSERT | CONF_GROUP_ADMIN,
        "its groups and those of the server");
    one = conf_listener_get(conf, 1);
    ok(one.has_tls && !one.has_mtls, "the second has TLS");
    is_str(one.certs, "/a;/b", "with two certificates");
    is_str(one.keys, "/c;/d", "and keys");
    is_int(one.disabled, server, "only the groups of the server");
    one = conf_listener_get(conf, 2);
    ok(one.is_grpc && !one.has_tls && one.certs == NULL,
        "the third has nothing of the others");
    conf_free(conf);

    conf = load_text("otlp_grpc.listen: [{address: ':4', cert: a, key: b,"
        " mtls_ca: c, mtls_names: [x, y], min_version: tls13},"
        " {address: ':5', cert: a, key: b, tls: no}]\n");
    if (!ok(conf != NULL, "maps: %s", messages.ptr))
        return;
    one = conf_listener_get(conf, 1);
    ok(one.is_grpc && one.has_tls && one.has_mtls,
        "a certificate means TLS, authorities mean mTLS");
    is_str(one.mtls_names, "x;y", "names");
    is_str(one.tls_min, "TLS13", "a choice as it is known");
    ok(!conf_listener_get(conf, 2).has_tls, "unless it says no");
    conf_free(conf);
}

static void
test_errors(void)
{
    is_error("workers: 999\n",
        "1:10: error: \"workers\" must be 0..256, not \"999\"");
    is_error("storage:\n    retension: 30d\n",
        "2:5: error: unknown directive \"retension\" in \"storage\" (did you"
        " mean \"retention\"?)");
    is_error("retentionPeriod: 1d\n",
        "1:1: error: unknown directive \"retentionPeriod\" (did you mean"
        " \"storage.retention\"?)");
    is_error("workers: 1\nworkers: 2\n",
        "2:1: error: duplicate directive \"workers\" (first in line 1)");
    is_error("http: {}\nhttp: {}\n",
        "2:1: error: duplicate group \"http\" (first in line 1)");
    is_error("workers: {a: b}\n",
        "1:10: error: \"workers\" must be a value, not a group");
    is_error("workers: [1]\n",
        "1:10: error: \"workers\" must be one value, not a list");
    is_error("workers:\n",
        "1:1: error: \"workers\" has no value (write \"\" for an empty one)");
    is_error("http: 1\n",
        "1:7: error: \"http\" must be a group of directives");
    is_error("- a\n",
        "1:1: error: the configuration must be a group of directives, \"name:"
        " value\" in each line");
    is_error("workers: &a 1\nworker_threads: *a\n",
        "2:17: error: aliases are not supported");
    is_error("workers: !!int 1\n", "1:10: error: tags are not supported");
    is_error("user: ${SPOOR_T_NONE}\n",
        "1:7: error: environment variable \"SPOOR_T_NONE\" is not set"
        " (${SPOOR_T_NONE:-default} gives a default)");
    is_error("user: ${a\n",
        "1:7: error: \"${\" without \"}\" (\"$${\" stands for itself)");
    is_error("user: ${a-b}\n",
        "1:7: error: \"${a-b}\" must be ${NAME} or ${NAME:-default}");
    is_error("user: \"a\\0b\"\n",
        "1:7: error: the value must be UTF-8 without NUL");
    is_error("secret: {flags: [a, {a: b}]}\n",
        "1:21: error: \"secret.flags\" must be a list of words");
    is_error("http: {listen: [':1', {adress: ':2'}]}\n",
        "1:24: error: unknown directive \"adress\" in \"http.listen\" (did you "
        "mean \"address\"?)");
    is_error("http: {listen: [':1', {tls: yes}]}\n",
        "1:23: error: \"http.listen\" needs \"address\" in each map");
    is_error("http: {listen: [':1', [':2']]}\n",
        "1:23: error: \"http.listen\" must be a list of words");
    is_error("http: {listen: [{address: ':1', tls: yes, tls: no}]}\n",
        "1:43: error: duplicate \"tls\" (first in line 1)");
    is_error("http: {listen: [{address: ':1', disable: [insert, x]}]}\n",
        "1:42: error: \"http.listen.disable\" must be insert, select, "
        "internalinsert, internalselect, delete, internaldelete or admin, not "
        "\"x\"");
    is_error("http: {listen: [{address: ':1', min_version: TLS11}]}\n",
        "1:46: error: \"http.listen.min_version\" must be TLS12 or TLS13: "
        "\"TLS11\" is broken and forbidden (RFC 8996)");
    is_error("a: 1\n---\nb: 2\n",
        "2:1: error: a second document: one file holds one configuration");
    is_error("workers: 'x\n",
        "2:1: error: YAML: found unexpected end of stream, while scanning a"
        " quoted scalar (line 1)");
    is_error("a\x01: 1\n",
        "1:2: error: YAML: control characters are not allowed");
    is_error("[a]: 1\n", "1:1: error: a key must be a word");
}

/* Files that try to be more than a person writes. */
static void
test_bounds(void)
{
    struct sb text;
    struct conf *conf;

    sb_init(&text, 4 * MIB);
    for (int i = 0; i < 40; i++)
        sb_add_str(&text, "{a: ");
    conf = load_text(text.ptr);
    ok(conf == NULL && strstr(messages.ptr, "nested deeper than 32 levels"),
        "depth is bounded");
    conf_free(conf);

    sb_reset(&text);
    sb_add_str(&text, "workers: [");
    for (unsigned i = 0; i < CONF_NODES_MAX; i++)
        sb_add_str(&text, "1,");
    sb_add_str(&text, "]\n");
    conf = load_text(text.ptr);
    ok(conf == NULL && strstr(messages.ptr, "too large"),
        "nodes are bounded");
    conf_free(conf);

    sb_reset(&text);
    for (unsigned i = 0; i < CONF_NODES_MAX / 4; i++)
        sb_addf(&text, "http: {}\n");
    conf = load_text(text.ptr);
    ok(conf == NULL && strstr(messages.ptr, ": 24999 errors") != NULL,
        "many duplicates are counted");
    conf_free(conf);

    sb_reset(&text);
    for (size_t i = 0; i <= CONF_FILE_BYTES_MAX; i++)
        sb_add_char(&text, '#');
    conf = load_text(text.ptr);
    ok(conf == NULL &&
        strstr(messages.ptr, "larger than 1048576 bytes") != NULL,
        "size is bounded");
    conf_free(conf);
    sb_release(&text);
}

static void
test_layers(void)
{
    const char *globals[] = {"workers: 3", "storage: {retention: 3d}", NULL};
    const char *flags[] = {"workers", "4", "httpListenAddr", ":1,:2",
        "httpListenAddr", "\":3\"", "user", "%{SPOOR_T_NAME}",
        "fsync", "interval", "fsync", "off", NULL};
    struct conf_source source = {.prefix = dir, .error_log = "err.log",
        .globals = globals, .flags = flags, .env_enable = true,
        .env_prefix = "SPOOR_T_"};
    struct conf *conf;

    source.file = write_text("spoor.yaml",
        "workers: 1\nworker_threads: 1\nstorage: {retention: 1d, path: f}\n"
        "log: {file: f.log}\nworker_connections: 100\n");
    setenv("SPOOR_T_workers", "2", 1);
    setenv("SPOOR_T_workerThreads", "2", 1);
    setenv("SPOOR_T_search_maxTraces", "2", 1);
    setenv("SPOOR_T_retentionPeriod", "2d", 1);
    conf = load(&source);
    if (!ok(conf != NULL, "all layers: %s", messages.ptr))
        return;
    is_int(conf->workers, 4, "a flag wins over all");
    is_int(conf->retention, 3 * NS_PER_DAY, "-g wins over the environment");
    is_int(conf->threads, 2, "the environment wins over the file");
    is_int(conf->connections, 100, "the file wins over the default");
    is_int(conf->search_max_traces, 2, "a dot becomes an underscore");
    is_int(conf->http_listen.n, 3, "a list by commas and repetition");
    is_str(conf->http_listen.v[2], ":3", "its last item");
    is_str(conf->user, "name", "a variable in a flag");
    is_int(conf->fsync, FSYNC_OFF, "the last of a repeated flag counts");
    ok(sv_ends_with(sv_from(conf->log_file), SV("/err.log")), "-e");
    sb_reset(&messages);
    conf_print_effective(conf, &messages);
    ok(strstr(messages.ptr, "workers: 4  # -workers; default 0; reload") &&
        strstr(messages.ptr, "retention: 3d  # -g;") &&
        strstr(messages.ptr,
        "worker_threads: 2  # environment SPOOR_T_workerThreads;") &&
        strstr(messages.ptr, "/spoor.yaml:5;") &&
        strstr(messages.ptr, "flush_interval: 10m  # default; reload"),
        "origins: %s", messages.ptr);
    conf_free(conf);

    source.env_enable = false;
    conf = load(&source);
    ok(conf != NULL && conf->threads == 1, "no environment unless asked for");
    conf_free(conf);
    unsetenv("SPOOR_T_workers");
}

static void
test_layer_errors(void)
{
    const char *globals[] = {"wokers: 1", "a: b: c",
        "auth: {password: Kanari, x", NULL};
    const char *flags[] = {"retentionPeriod", "5s", "user", "%{SPOOR_T_NONE}",
        "loggerOutput", "\xff", NULL};
    struct conf_source source = {.prefix = dir, .globals = globals,
        .flags = flags, .env_enable = true, .env_prefix = "SPOOR_T_"};
    struct conf *conf;

    source.file = write_text("spoor.yaml", "workers: many\n");
    setenv("SPOOR_T_storage_minFreeDiskSpaceBytes", "x", 1);
    conf = load(&source);
    unsetenv("SPOOR_T_storage_minFreeDiskSpaceBytes");
    ok(conf == NULL, "mistakes everywhere");
    ok(strstr(messages.ptr, ":1:10: error: \"workers\" must be a number,"),
        "the file's");
    ok(strstr(messages.ptr, "\nenvironment: "
        "SPOOR_T_storage_minFreeDiskSpaceBytes: must be a size such as"),
        "the environment's");
    ok(strstr(messages.ptr, "\ncommand line: -g \"wokers: 1\": unknown"
        " directive \"wokers\" (did you mean \"workers\"?)\n"), "-g's");
    ok(strstr(messages.ptr, "\ncommand line: -g \"a: b: c\": YAML: "),
        "-g's YAML");
    ok(strstr(messages.ptr, "\ncommand line: -g: YAML: "), "-g's secret");
    ok(strstr(messages.ptr, "Kanari") == NULL, "which is not shown");
    ok(strstr(messages.ptr, "\ncommand line: -retentionPeriod: must be"
        " 1d..100y, not \"5s\"\n"), "a flag's");
    ok(strstr(messages.ptr, "\ncommand line: -user: environment variable"
        " \"SPOOR_T_NONE\" is not set\n"), "a flag's variable");
    ok(strstr(messages.ptr, "\ncommand line: -loggerOutput: must be UTF-8\n"),
        "a flag's bytes");
    ok(strstr(messages.ptr, "spoor.yaml: 8 errors, configuration not used\n"),
        "all counted");
}

/* What -T prints loads to the same. */
static void
test_round_trip(void)
{
    const char *flags[] = {"user", "a \"b\" ${c} \\ \t \xc2\x85 \xe2\x80\xa8 "
        "\xef\xbb\xbf x", "httpListenAddr", "", "retentionPeriod", "1",
        "storageDataPath", "true", "loggerOutput", "stdout", NULL};
    struct conf_source source = {.prefix = dir, .flags = flags};
    struct conf *a = load(&source), *b;
    struct sb text, used;
    const char *name;

    sb_init(&text, MIB);
    conf_print_effective(a, &text);
    b = load_text(text.ptr);
    if (!ok(b != NULL, "-T loads: %s", messages.ptr))
        return;
    for (size_t i = 0; i < CONF_ROWS; i++) {
        const struct conf_row *row = &conf_rows[i];

        ok(conf_type_equal(row->kind, (char *)a + row->offset,
            (char *)b + row->offset), "%s is the same", row->yaml);
    }
    ok(!conf_needs_restart(a, b, &name), "nothing to restart for");
    conf_free(b);
    sb_reset(&text);
    conf_print_sample(&text);
    b = load_text(text.ptr);
    ok(b != NULL, "the sample loads: %s", messages.ptr);
    ok(conf_needs_restart(a, b, &name), "another user needs a restart");
    is_str(name, "storage.path", "the first one that does");
    conf_free(b);
    /* With its directives taken into use, it says what is so anyway. */
    sb_init(&used, MIB);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '#' || text.ptr[i + 1] == ' ')
            sb_add_char(&used, text.ptr[i]);
    }
    b = load_text(used.ptr);
    sb_release(&used);
    ok(b != NULL, "the sample with every directive loads: %s", messages.ptr);
    conf_free(b);
    conf_free(a);
    sb_release(&text);
}

static void
test_help(void)
{
    struct sb out;
    bool is_bool;

    sb_init(&out, MIB);
    is_int(conf_print_help("-retentionPeriod", &out), 0, "help of a flag");
    is_int(conf_print_help("storage.retention", &out), 0, "of a directive");
    sb_reset(&out);
    is_int(conf_print_help("retentionPeriode", &out), -1, "of nothing");
    is_str(out.ptr, "no flag or directive \"retentionPeriode\" (did you mean"
        " -retentionPeriod or storage.retention?)\n", "suggestion");
    sb_reset(&out);
    is_int(conf_print_help(NULL, &out), 0, "of all");
    for (size_t i = 0; i < CONF_ROWS; i++)
        ok(strstr(out.ptr, conf_rows[i].flag) != NULL, "names -%s",
            conf_rows[i].flag);
    sb_release(&out);
    ok(conf_flag_known("metrics.exposeMetadata", &is_bool) && is_bool,
        "a boolean flag");
    ok(conf_flag_known("workers", &is_bool) && !is_bool, "another flag");
    ok(!conf_flag_known("c", &is_bool), "no flag");
}

static void
test_cpus(void)
{
    char root[64];

    snprintf(root, sizeof(root), "%s/v2", dir);
    is_int(conf_cpus_quota(root), 0, "no cgroup files: no quota");
    write_text("v2/proc/self/cgroup", "0::/a/b\n");
    write_text("v2/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    is_int(conf_cpus_quota(root), 0, "version 2: max");
    write_text("v2/sys/fs/cgroup/a/b/cpu.max", "250000 100000\n");
    is_int(conf_cpus_quota(root), 3, "version 2: 2.5 CPUs");
    write_text("v2/sys/fs/cgroup/a/cpu.max", "1 100000\n");
    is_int(conf_cpus_quota(root), 1, "version 2: the parent's");

    snprintf(root, sizeof(root), "%s/v1", dir);
    write_text("v1/proc/self/cgroup",
        "9:name=systemd:/\n3:cpuset:/x\n2:cpuacct,cpu:/docker/1\n0::/\n");
    write_text("v1/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000\n");
    write_text("v1/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    is_int(conf_cpus_quota(root), 4, "version 1: root of the mount");
    write_text("v1/sys/fs/cgroup/cpu/docker/1/cpu.cfs_quota_us", "-1\n");
    write_text("v1/sys/fs/cgroup/cpu/docker/1/cpu.cfs_period_us", "100000\n");
    is_int(conf_cpus_quota(root), 4, "version 1: -1 is none");
    write_text("v1/sys/fs/cgroup/cpu/docker/1/cpu.cfs_quota_us", "150000\n");
    is_int(conf_cpus_quota(root), 2, "version 1: own quota");
    ok(conf_cpus() >= 1, "this machine has %u", conf_cpus());
}

/* The rows of docs/sizes.md, in MiB. */
static void
test_sizes(void)
{
    static const struct {
        uint64_t memory, workers, bodies, decode, body_max, queries, query,
            replies, lanes;
    } rows[] = {
        {256 * MIB, 1, 19, 38, 6, 64, 38, 19, 1},
        {1 * GIB, 2, 38, 77, 13, 123, 77, 38, 1},
        {16 * GIB, 2, 614, 1229, 64, 1966, 256, 256, 2},
    };
    struct conf conf = {.memory_percent = 60, .max_request_size = 64 * MIB,
        .threads = 2};
    struct conf_budget large;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct conf_budget budget;
        unsigned mib = (unsigned)(rows[i].memory / MIB);

        conf_budget_make(&budget, &conf, 2, rows[i].memory);
        is_int(budget.workers, rows[i].workers, "%u MiB: workers", mib);
        is_int((budget.bodies + MIB / 2) / MIB, rows[i].bodies, "bodies");
        is_int((budget.decode + MIB / 2) / MIB, rows[i].decode, "decoding");
        is_int((budget.body_max + MIB / 2) / MIB, rows[i].body_max, "a body");
        is_int((budget.queries + MIB / 2) / MIB, rows[i].queries, "queries");
        is_int((budget.query + MIB / 2) / MIB, rows[i].query, "a query");
        is_int((budget.replies + MIB / 2) / MIB, rows[i].replies, "answers");
        is_int(budget.lanes, rows[i].lanes, "threads on a query");
    }
    conf.query_memory = 300 * MIB;
    conf_budget_make(&large, &conf, 2, 256 * MIB);
    is_int(large.query, 300 * MIB, "a query as said");
    is_int(large.queries, 400 * MIB, "all have room for it");
}

static void
test_memory(void)
{
    struct conf conf = {.memory_percent = 60, .max_request_size = 64 * MIB};
    struct conf_budget small, large;
    char root[64];
    struct sb text;

    snprintf(root, sizeof(root), "%s/v2", dir);
    is_int(conf_memory_limit(root), 0, "no memory limit");
    write_text("v2/sys/fs/cgroup/a/b/memory.max", "max\n");
    is_int(conf_memory_limit(root), 0, "version 2: max");
    write_text("v2/sys/fs/cgroup/a/memory.max", "268435456\n");
    is_int(conf_memory_limit(root), 268435456, "version 2: the parent's");
    write_text("v1/proc/self/cgroup", "4:memory:/docker/1\n2:cpu:/x\n");
    write_text("v1/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "9223372036854771712\n");
    snprintf(root, sizeof(root), "%s/v1", dir);
    is_int(conf_memory_limit(root), 0, "version 1: none");
    write_text("v1/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes",
        "536870912\n");
    is_int(conf_memory_limit(root), 536870912, "version 1: own limit");

    conf_budget_make(&small, &conf, 4, 256 * MIB);
    is_int(small.workers, 1, "256 MiB: one worker, whatever the CPUs");
    ok(small.allowed <= 154 * MIB && small.allowed > 150 * MIB, "60 %%");
    ok(small.body_max < 8 * MIB && small.body_max > 5 * MIB,
        "a body of %llu bytes", (unsigned long long)small.body_max);
    ok(small.bodies >= small.body_max, "fits its budget");
    conf_budget_make(&large, &conf, 4, 64 * GIB);
    is_int(large.workers, 4, "64 GiB: one for each CPU");
    is_int(large.body_max, 64 * MIB, "bodies as large as said");
    conf.memory_bytes = 100 * MIB;
    conf_budget_make(&large, &conf, 4, 64 * GIB);
    is_int(large.allowed, 100 * MIB, "bytes win over the share");
    conf.workers = 3;
    conf_budget_make(&large, &conf, 4, 256 * MIB);
    is_int(large.workers, 3, "workers as said");
    ok(large.decode < small.decode, "each has less");
    sb_init(&text, 1024);
    conf_budget_print(&small, &text);
    ok(strstr(text.ptr, "1 worker for 4 CPUs, 161 MB allowed of 268") !=
        NULL, "printed: %s", text.ptr);
    sb_release(&text);
}

int
main(void)
{
    char command[sizeof(dir) + 16];

    if (mkdtemp(dir) == NULL)
        bail_out("mkdtemp");
    sb_init(&messages, 4 * MIB);
    test_defaults();
    test_file();
    test_listeners();
    test_errors();
    test_bounds();
    test_layers();
    test_layer_errors();
    test_round_trip();
    test_help();
    test_cpus();
    test_memory();
    test_sizes();
    sb_release(&messages);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ok(system(command) == 0, "cleaned up");
    return tap_done();
}
