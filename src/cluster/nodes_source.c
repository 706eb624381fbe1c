/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "cluster/nodes_source.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "cluster/nodes_state.h"
#include "cluster/nodes_twice.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/num.h"
#include "core/sb.h"

#define PORT_TEXT_MAX 6u
/* "Basic " and the base64 of a name and a password. */
#define AUTHORIZATION_MAX (64 * KIB)

/* A node of a source. */
struct member {
    char name[NODE_NAME_MAX];
    char host[DISCOVER_HOST_MAX];
    char port[PORT_TEXT_MAX];
    char problem[NODE_WHY_MAX]; /* empty: none */
    struct sockaddr_storage addresses[PEER_ADDRESSES_MAX];
    unsigned naddresses;
    unsigned misses;            /* lookups in a row that did not find it */
};

struct source {
    struct conf_storage_node conf;
    struct storage_address at;
    uint64_t id;                /* hash of the configured text */
    char *authorization;        /* NULL: none */
    struct member *members;
    unsigned n;
    bool is_found;              /* once, by this process or another */
};

struct sources {
    unsigned n, nnames;
    struct discover_name *names;  /* of those that are looked up */
    struct source **named;
    struct source v[];
};

/* --- text --- */

static bool
is_address(const char *host, struct sockaddr_storage *out)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        return true;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) != 1)
        return false;
    v6->sin6_family = AF_INET6;
    return true;
}

static char *
authorization_new(const struct conf_storage_node *conf)
{
    struct sb text, pair;

    sb_init(&text, AUTHORIZATION_MAX);
    if (conf->token != NULL && conf->token[0] != '\0') {
        sb_addf(&text, "Bearer %s", conf->token);
    } else if (conf->username != NULL && conf->username[0] != '\0') {
        sb_init(&pair, AUTHORIZATION_MAX);
        sb_addf(&pair, "%s:%s", conf->username,
            conf->password != NULL ? conf->password : "");
        sb_add_str(&text, "Basic ");
        sb_add_base64(&text, (const uint8_t *)pair.ptr, pair.len);
        sb_release(&pair);
    }
    if (text.len > 0)
        return sb_detach(&text, NULL);
    sb_release(&text);
    return NULL;
}

/* --- members --- */

static void
member_name(struct member *member, const char *host, const char *port)
{
    int len = snprintf(member->name, sizeof(member->name),
        strchr(host, ':') != NULL ? "[%s]:%s" : "%s:%s", host, port);

    if (len >= (int)sizeof(member->name)) /* hosts end at 253 bytes */
        member->name[sizeof(member->name) - 1] = '\0';
}

static struct member *
member_add(struct source *source)
{
    struct member *member;

    source->members = xrealloc(source->members,
        (source->n + 1) * sizeof(*source->members));
    member = &source->members[source->n++];
    memset(member, 0, sizeof(*member));
    snprintf(member->host, sizeof(member->host), "%s", source->at.host);
    snprintf(member->port, sizeof(member->port), "%s", source->at.port);
    return member;
}

static struct member *
member_find(const struct source *source, const char *name)
{
    for (unsigned i = 0; i < source->n; i++) {
        if (strcmp(source->members[i].name, name) == 0)
            return &source->members[i];
    }
    return NULL;
}

static void
member_set_addresses(struct member *member,
    const struct sockaddr_storage *addresses, unsigned n)
{
    uint64_t port = 0;

    member->naddresses = MIN(n, PEER_ADDRESSES_MAX);
    memcpy(member->addresses, addresses,
        member->naddresses * sizeof(addresses[0]));
    (void)num_parse_u64(sv_from(member->port), &port);
    addresses_set_port(member->addresses, member->naddresses,
        (uint16_t)port);
    member->problem[0] = '\0';
}

/* What another process found before, so that no resolver is needed. */
static bool
member_recall(struct source *source, const char *name,
    const struct sockaddr_storage *addresses, unsigned n)
{
    struct member *member = member_add(source);
    size_t colon = strlen(name);

    snprintf(member->name, sizeof(member->name), "%s", name);
    while (source->at.kind == STORAGE_SRV && colon > 0 &&
        name[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return false;
    if (source->at.kind == STORAGE_SRV) {
        snprintf(member->port, sizeof(member->port), "%s", name + colon);
        snprintf(member->host, sizeof(member->host), "%.*s",
            (int)(colon - 1), name);
    }
    member_set_addresses(member, addresses, n);
    return true;
}

static void IMPL(node_recall_fn)
recall(void *arg, const char *name, const struct sockaddr_storage *addresses,
    unsigned n)
{
    struct source *source = arg;

    source->is_found = member_recall(source, name, addresses, n);
}

/* Without a lookup. */
static void
source_start(struct source *source)
{
    struct sockaddr_storage address;
    struct member *member;

    if (!source->at.is_ip)
        node_states_recall(source->id, recall, source);
    if (source->n > 0)
        return;
    member = member_add(source);
    if (source->at.kind == STORAGE_DNS || source->at.kind == STORAGE_SRV)
        snprintf(member->name, sizeof(member->name), "%s+%s%s%s",
            source->at.kind == STORAGE_DNS ? "dns" : "srv", source->at.host,
            source->at.kind == STORAGE_DNS ? ":" : "",
            source->at.kind == STORAGE_DNS ? source->at.port : "");
    else
        member_name(member, source->at.host, source->at.port);
    /* The one for all records of SRV has none of its own. */
    if (member->port[0] == '\0')
        snprintf(member->port, sizeof(member->port), STORAGE_PORT_DEFAULT);
    if (is_address(source->at.host, &address))
        member_set_addresses(member, &address, 1);
    else
        node_why_set(member->problem, "its name was not looked up yet");
}

/* --- what was found --- */

struct found {
    const char *host;
    const char *port;
    const struct sockaddr_storage *addresses;
    unsigned n;
    const char *why; /* when n is 0 */
};

static void
take_member(struct source *source, const struct found *found)
{
    struct member name, *member;

    member_name(&name, found->host, found->port);
    member = member_find(source, name.name);
    if (member == NULL) {
        member = member_add(source);
        memcpy(member->name, name.name, sizeof(member->name));
        snprintf(member->host, sizeof(member->host), "%s",
            source->at.kind == STORAGE_SRV ? found->host : source->at.host);
        snprintf(member->port, sizeof(member->port), "%s", found->port);
    }
    member->misses = 0;
    if (found->n > 0)
        member_set_addresses(member, found->addresses, found->n);
    else if (member->naddresses == 0)
        node_why_set(member->problem, found->why);
}

static void
take_each_address(struct source *source, const struct discover_name *name)
{
    char host[INET6_ADDRSTRLEN];

    for (unsigned i = 0; i < name->naddresses; i++) {
        const struct sockaddr_storage *address = &name->addresses[i];
        const void *bytes = address->ss_family == AF_INET
            ? (const void *)&((const struct sockaddr_in *)address)->sin_addr
            : &((const struct sockaddr_in6 *)address)->sin6_addr;

        if (inet_ntop(address->ss_family, bytes, host, sizeof(host)) != NULL)
            take_member(source,
                &(struct found){host, source->at.port, address, 1, NULL});
    }
}

static void
take_each_target(struct source *source, const struct discover_name *name)
{
    for (unsigned i = 0; i < name->ntargets; i++) {
        const struct discover_target *target = &name->targets[i];
        char port[PORT_TEXT_MAX];

        snprintf(port, sizeof(port), "%u", target->port);
        take_member(source, &(struct found){target->host, port,
            target->addresses, target->naddresses, target->err.text});
    }
}

static int
member_cmp(const void *a, const void *b)
{
    return strcmp(((const struct member *)a)->name,
        ((const struct member *)b)->name);
}

/* Those that were missing for long, and what stood for all, leave. */
static void
drop_members(struct source *source)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < source->n; i++) {
        struct member *member = &source->members[i];

        if (member->misses < SOURCE_MISSES_MAX && member->name[0] != '\0') {
            if (kept != i)
                source->members[kept] = *member;
            kept++;
            continue;
        }
        if (member->name[0] == '\0')
            continue;
        if (node_states_remember(0, member->name, NULL, 0))
            log_warn("storage node %s is not in the DNS of %s any more and "
                "leaves: its spans are found no more", member->name,
                source->conf.address);
    }
    source->n = kept;
    qsort(source->members, kept, sizeof(source->members[0]), member_cmp);
}

static void
remember(const struct source *source)
{
    for (unsigned i = 0; i < source->n; i++) {
        const struct member *member = &source->members[i];

        if (member->naddresses > 0)
            (void)node_states_remember(source->id, member->name,
                member->addresses, member->naddresses);
    }
}

static void
source_found(struct source *source, const struct discover_name *name)
{
    if (node_source_works(source->id))
        log_info("storage nodes: %s is found again", source->conf.address);
    for (unsigned i = 0; i < source->n; i++) {
        source->members[i].misses++;
        /* The one in the place of the unknown. */
        if (!source->is_found && source->at.kind != STORAGE_FIXED)
            source->members[i].name[0] = '\0';
    }
    source->is_found = true;
    if (source->at.kind == STORAGE_SRV)
        take_each_target(source, name);
    else if (source->at.kind == STORAGE_DNS)
        take_each_address(source, name);
    else
        take_member(source, &(struct found){source->at.host, source->at.port,
            name->addresses, name->naddresses, NULL});
    drop_members(source);
    remember(source);
}

static void
source_failed(struct source *source, const struct discover_name *name)
{
    metric_add(METRIC_CLUSTER_LOOKUP_ERRORS, 1);
    for (unsigned i = 0; i < source->n; i++) {
        if (source->members[i].naddresses == 0)
            node_why_set(source->members[i].problem, name->err.text);
    }
    if (node_source_fails(source->id))
        log_warn("storage nodes: %s is not found: %s; %s",
            source->conf.address, name->err.text, source->is_found
            ? "the nodes found last are used" : "none are known");
}

void
sources_take(struct sources *sources)
{
    for (unsigned i = 0; i < sources->nnames; i++) {
        metric_add(METRIC_CLUSTER_LOOKUPS, 1);
        if (sources->names[i].is_found)
            source_found(sources->named[i], &sources->names[i]);
        else
            source_failed(sources->named[i], &sources->names[i]);
    }
    discover_names_release(sources->names, sources->nnames);
}

/* --- the list --- */

static void
conf_fill(struct http_peer_conf *out, const struct source *source,
    const struct member *member)
{
    *out = (struct http_peer_conf){
        .host = member->host,
        .port = member->port,
        .has_tls = source->conf.has_tls,
        .tls = {
            .ca_file = source->conf.ca_file,
            .cert_file = source->conf.cert_file,
            .key_file = source->conf.key_file,
            .server_name = source->conf.server_name,
            .is_insecure = source->conf.is_insecure,
        },
        .authorization = source->authorization,
    };
}

int
sources_publish(struct sources *sources, bool *has_changed, struct err *err)
{
    struct nodes_entry *entries;
    struct http_peer_conf *confs;
    unsigned total = 0, n = 0;
    int rc;

    for (unsigned i = 0; i < sources->n; i++)
        total += sources->v[i].n;
    entries = xcalloc(total + 1, sizeof(*entries));
    confs = xcalloc(total + 1, sizeof(*confs));
    for (unsigned i = 0; i < sources->n; i++) {
        const struct source *source = &sources->v[i];

        for (unsigned k = 0; k < source->n; k++, n++) {
            const struct member *member = &source->members[k];

            conf_fill(&confs[n], source, member);
            entries[n] = (struct nodes_entry){member->name, &confs[n],
                member->problem[0] != '\0' ? member->problem : NULL,
                member->addresses, member->naddresses};
        }
    }
    rc = nodes_list_set(entries, n, has_changed, err);
    if (*has_changed)
        nodes_warn_twice(entries, n);
    xfree(entries);
    xfree(confs);
    return rc;
}

/* --- life --- */

static int
source_init(struct source *source, const struct conf *conf, unsigned at,
    struct err *err)
{
    source->conf = conf_storage_node_get(conf, at);
    if (storage_address_parse(&source->at, sv_from(source->conf.address),
        err) != 0)
        return err_wrap(err, "storage_nodes");
    source->id = node_seed(sv_from(source->conf.address));
    source->authorization = authorization_new(&source->conf);
    source_start(source);
    return 0;
}

int
sources_new(struct sources **out, const struct conf *conf, struct err *err)
{
    unsigned n = conf_storage_nodes(conf);
    struct sources *sources;

    sources = xcalloc(1, sizeof(*sources) + n * sizeof(sources->v[0]));
    sources->names = xcalloc(n + 1, sizeof(*sources->names));
    sources->named = xcalloc(n + 1, sizeof(*sources->named));
    *out = sources;
    for (; sources->n < n; sources->n++) {
        struct source *source = &sources->v[sources->n];

        if (source_init(source, conf, sources->n, err) != 0) {
            sources_free(sources);
            *out = NULL;
            return -1;
        }
        if (source->at.is_ip)
            continue;
        sources->named[sources->nnames] = source;
        sources->names[sources->nnames++] = (struct discover_name){
            .host = source->at.host, .is_srv = source->at.kind == STORAGE_SRV};
    }
    return 0;
}

void
sources_free(struct sources *sources)
{
    if (sources == NULL)
        return;
    discover_names_release(sources->names, sources->nnames);
    for (unsigned i = 0; i < sources->n; i++) {
        xfree(sources->v[i].members);
        xfree(sources->v[i].authorization);
    }
    xfree(sources->names);
    xfree(sources->named);
    xfree(sources);
}

struct discover_name *
sources_names(struct sources *sources, unsigned *n)
{
    *n = sources->nnames;
    return sources->names;
}

bool
sources_are_known(const struct sources *sources)
{
    for (unsigned i = 0; i < sources->n; i++) {
        for (unsigned k = 0; k < sources->v[i].n; k++) {
            if (sources->v[i].members[k].problem[0] != '\0')
                return false;
        }
    }
    return true;
}
