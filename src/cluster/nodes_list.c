/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "cluster/nodes_list.h"

#include <pthread.h>

#include "cluster/nodes_state.h"
#include "core/assert.h"
#include "core/mem.h"
#include "core/timefmt.h"

#define NODES_LIST_MAGIC 0x6e6f6465u

struct nodes_list {
    struct nodes nodes; /* the first member: what others hold */
    uint32_t magic;
    unsigned refs;      /* under the lock, as the next */
    struct nodes_list *next;
    struct node v[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct nodes_list *present; /* has a reference */
static struct nodes_list *living;  /* all that are held */

/* --- life of a list --- */

static struct nodes_list *
list_of(const struct nodes *nodes)
{
    struct nodes_list *list = (struct nodes_list *)(uintptr_t)nodes;

    check(list->magic == NODES_LIST_MAGIC);
    return list;
}

static void
node_release(struct node *node)
{
    xfree((char *)(uintptr_t)node->name);
    xfree((char *)(uintptr_t)node->problem);
    http_peer_release(node->peer);
}

static void
list_free(struct nodes_list *list)
{
    for (unsigned i = 0; i < list->nodes.n; i++)
        node_release(&list->v[i]);
    list->magic = 0;
    xfree(list);
}

static struct nodes_list *
list_new(unsigned n)
{
    struct nodes_list *list;

    list = xcalloc(1, sizeof(*list) + n * sizeof(list->v[0]));
    list->magic = NODES_LIST_MAGIC;
    list->nodes.v = list->v;
    list->refs = 1;
    return list;
}

const struct nodes *
nodes_hold(void)
{
    static const struct nodes none;
    const struct nodes *nodes = &none;

    pthread_mutex_lock(&lock);
    if (present != NULL) {
        present->refs++;
        nodes = &present->nodes;
    }
    pthread_mutex_unlock(&lock);
    return nodes;
}

void
nodes_release(const struct nodes *nodes)
{
    struct nodes_list *list, **at;

    if (nodes->v == NULL)
        return;
    list = list_of(nodes);
    pthread_mutex_lock(&lock);
    check(list->refs > 0);
    if (--list->refs > 0) {
        pthread_mutex_unlock(&lock);
        return;
    }
    for (at = &living; *at != list; at = &(*at)->next)
        ;
    *at = list->next;
    pthread_mutex_unlock(&lock);
    list_free(list);
}

const struct node *
nodes_find(const struct nodes *nodes, struct sv name)
{
    for (unsigned i = 0; i < nodes->n; i++) {
        if (sv_eq(sv_from(nodes->v[i].name), name))
            return &nodes->v[i];
    }
    return NULL;
}

void
nodes_lists_touch(int64_t now_ns)
{
    pthread_mutex_lock(&lock);
    for (struct nodes_list *list = living; list != NULL; list = list->next) {
        for (unsigned i = 0; i < list->nodes.n; i++)
            node_state_touch(list->v[i].state, now_ns);
    }
    pthread_mutex_unlock(&lock);
}

/* --- a new one --- */

/* A peer of the same name is spoken to as before: its settings are those of
 * the same configuration. */
static int
node_fill(struct node *node, const struct nodes_entry *entry,
    const struct nodes *before, struct err *err)
{
    const struct node *known = nodes_find(before, sv_from(entry->name));

    node->seed = node_seed(sv_from(entry->name));
    node->state = node_state_of(entry->name, node->seed);
    if (node->state == NULL)
        return err_set(err, ERR_LIMIT, "storage nodes: too many names");
    if (known != NULL)
        node->peer = http_peer_hold(known->peer);
    else if (http_peer_new(&node->peer, entry->conf, err) != 0)
        return err_wrap(err, "storage node %s", entry->name);
    node->name = xstrdup(entry->name);
    if (entry->problem != NULL)
        node->problem = xstrdup(entry->problem);
    http_peer_set_addresses(node->peer, entry->addresses,
        MIN(entry->naddresses, PEER_ADDRESSES_MAX));
    return 0;
}

static bool
node_is_same(const struct node *a, const struct node *b)
{
    if (strcmp(a->name, b->name) != 0 ||
        (a->problem == NULL) != (b->problem == NULL))
        return false;
    return a->problem == NULL || strcmp(a->problem, b->problem) == 0;
}

static bool
is_same(const struct nodes *a, const struct nodes *b)
{
    if (a->n != b->n || a->v == NULL)
        return false;
    for (unsigned i = 0; i < a->n; i++) {
        if (!node_is_same(&a->v[i], &b->v[i]))
            return false;
    }
    return true;
}

static int
list_fill(struct nodes_list *list, const struct nodes_entry *entries,
    unsigned n, struct err *err)
{
    const struct nodes *before = nodes_hold();
    int rc = 0;

    for (unsigned i = 0; i < n && rc == 0; i++) {
        if (nodes_find(&list->nodes, sv_from(entries[i].name)) != NULL)
            continue;
        if (list->nodes.n == NODES_MAX)
            rc = err_set(err, ERR_LIMIT, "storage nodes: more than %u",
                NODES_MAX);
        else
            rc = node_fill(&list->v[list->nodes.n], &entries[i], before, err);
        if (rc == 0)
            list->nodes.n++;
    }
    nodes_release(before);
    return rc;
}

/* Takes the list. */
static void
list_publish(struct nodes_list *list)
{
    struct nodes_list *before;

    pthread_mutex_lock(&lock);
    before = present;
    present = list;
    list->next = living;
    living = list;
    pthread_mutex_unlock(&lock);
    if (before != NULL)
        nodes_release(&before->nodes);
}

int
nodes_list_set(const struct nodes_entry *entries, unsigned n,
    bool *has_changed, struct err *err)
{
    struct nodes_list *list = list_new(MIN(n, NODES_MAX));
    const struct nodes *before;

    *has_changed = false;
    if (list_fill(list, entries, n, err) != 0) {
        list_free(list);
        return -1;
    }
    before = nodes_hold();
    *has_changed = !is_same(before, &list->nodes);
    nodes_release(before);
    if (*has_changed)
        list_publish(list);
    else
        list_free(list);
    return 0;
}

void
nodes_list_clear(void)
{
    struct nodes_list *before;

    pthread_mutex_lock(&lock);
    before = present;
    present = NULL;
    pthread_mutex_unlock(&lock);
    if (before != NULL)
        nodes_release(&before->nodes);
}
