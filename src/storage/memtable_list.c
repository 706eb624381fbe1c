/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Lists of attributes: the shape is guessed by walking the trie, strings by
 * comparing them with those last seen there (memtable_writer.h).
 */

#include "core/base.h"
#include "storage/memtable_list.h"

#include "core/assert.h"

/* --- the trie --- */

/* The node behind `node` for the element, made if need be; 0: none. */
static uint32_t
trie_child(struct memtable_writer *w, uint32_t node, uint32_t elem)
{
    struct trie_node *parent = &w->nodes[node];
    uint32_t *link = &parent->child;
    uint32_t child = *link;
    unsigned n = 0;

    if (node == 0)
        return 0;
    for (; child != 0 && w->nodes[child].elem != elem; child = *link) {
        link = &w->nodes[child].sibling;
        n++;
    }
    if (child != 0) {
        *link = w->nodes[child].sibling;
    } else {
        struct memtable_string key;

        key = w->mt->strings[w->mt->keys[memtable_elem_key(elem)].text];
        if (n == TRIE_CHILDREN_MAX || w->nnodes == TRIE_NODES_MAX ||
            key.len > UINT16_MAX)
            return 0;
        child = w->nnodes++;
        w->nodes[child] = (struct trie_node){
            .elem = elem,
            .key_off = key.off,
            .key_len = (uint16_t)key.len,
        };
    }
    w->nodes[child].sibling = parent->child;
    parent->child = child;
    return child;
}

/* --- lists --- */

bool
list_begin(struct memtable_writer *w, struct list *list, enum key_scope scope,
    uint32_t root, uint32_t n)
{
    if (n > MEMTABLE_LIST_MAX - FIELD_KEYS) {
        w->is_full = true;
        return false;
    }
    if (!has_words(w, 2 * ((uint64_t)n + FIELD_KEYS)))
        return false;
    *list = (struct list){
        .node = root,
        .at = &w->mt->heap[w->word_top],
        .scope = scope,
        .is_exact = scope == KEY_RESOURCE || scope == KEY_SCOPE,
    };
    /* Strings must not take what is reserved. */
    w->word_top += 2 * (n + FIELD_KEYS);
    return true;
}

static void
remember_string(struct memtable_writer *w, uint32_t node, struct sv text,
    uint32_t code)
{
    /* Code 0: the memtable is full. */
    if (node == 0 || code == 0)
        return;
    w->nodes[node].last_code = code;
    w->nodes[node].last_off = w->mt->strings[code].off;
    w->nodes[node].last_len = (uint16_t)text.len;
}

/* Gives the strings that were put off their codes. */
static void
list_settle(struct memtable_writer *w)
{
    for (uint32_t i = 0; i < w->npending; i++) {
        const struct pending *p = &w->pending[i];

        *p->code = intern_hashed(w, p->text, p->hash);
        remember_string(w, p->node, p->text, *p->code);
    }
    w->npending = 0;
}

/* Puts the code of a text, which may well be the one last seen here. */
static inline void
list_string(struct memtable_writer *w, struct list *list, struct sv text)
{
    struct trie_node *node = &w->nodes[list->node];
    uint32_t *code = list->at++;

    if (text.len == node->last_len && text.len > 0 &&
        bytes_equal((const char *)w->mt + node->last_off, text.ptr,
            text.len)) {
        *code = node->last_code;
        return;
    }
    if (text.len - 1 >= MEMTABLE_INTERN_MAX) {
        *code = list->is_exact ? intern_exact(w, text)
            : intern_string(w, text);
        return;
    }
    if (w->npending == PENDING_MAX)
        list_settle(w);
    w->pending[w->npending++] = (struct pending){code, list->node, text,
        intern_prefetch(w, text)};
}

static inline void
list_int(struct list *list, uint64_t bits)
{
    *list->at++ = (uint32_t)bits;
    *list->at++ = (uint32_t)(bits >> 32);
}

static inline void
list_value(struct memtable_writer *w, struct list *list,
    const struct value *value)
{
    uint64_t bits;

    switch (value->type) {
    case VALUE_EMPTY:
        break;
    case VALUE_BOOL:
        *list->at++ = value->b;
        break;
    case VALUE_INT:
        list_int(list, (uint64_t)value->i);
        break;
    case VALUE_DOUBLE:
        memcpy(&bits, &value->d, sizeof(bits));
        list_int(list, bits);
        break;
    default:
        check(value->type < VALUE_TYPES);
        list_string(w, list, value->str);
    }
}

/* Moves the trie to the node of the key and notes the element. */
static inline void
list_step(struct memtable_writer *w, struct list *list, struct sv key,
    uint8_t type)
{
    uint32_t child = w->nodes[list->node].child;
    uint32_t elem;

    for (int i = 0; i < TRIE_GUESSES && child != 0; i++) {
        const struct trie_node *guess = &w->nodes[child];

        /* A field is no attribute, even of the same name. */
        if (memtable_elem_type(guess->elem) == type &&
            guess->key_len == key.len &&
            memtable_elem_key(guess->elem) >= FIELD_KEYS &&
            bytes_equal((const char *)w->mt + guess->key_off, key.ptr,
                key.len)) {
            list->node = child;
            w->elems[list->n++] = guess->elem;
            return;
        }
        child = guess->sibling;
    }
    elem = memtable_elem(intern_key(w, list->scope, key), type);
    list->node = trie_child(w, list->node, elem);
    w->elems[list->n++] = elem;
}

void
list_attrs(struct memtable_writer *w, struct list *list, struct attrs attrs)
{
    for (uint32_t i = 0; i < attrs.n; i++) {
        const struct attr *attr = &attrs.v[i];

        list_step(w, list, attr->key, attr->value.type);
        list_value(w, list, &attr->value);
    }
}

static void
list_field_step(struct memtable_writer *w, struct list *list,
    enum field_key field, uint8_t type)
{
    uint32_t elem = memtable_elem(field, type);

    list->node = trie_child(w, list->node, elem);
    w->elems[list->n++] = elem;
}

void
list_add_text(struct memtable_writer *w, struct list *list,
    enum field_key field, struct sv text)
{
    list_field_step(w, list, field, VALUE_STRING);
    list_string(w, list, text);
}

void
list_add_int(struct memtable_writer *w, struct list *list,
    enum field_key field, int64_t number)
{
    list_field_step(w, list, field, VALUE_INT);
    list_int(list, (uint64_t)number);
}

uint32_t
list_end(struct memtable_writer *w, const struct list *list)
{
    struct trie_node *node = &w->nodes[list->node];
    uint32_t shape;

    list_settle(w);
    w->word_top = (uint32_t)(list->at - w->mt->heap);
    if (list->n == 0)
        return 0;
    if (list->node != 0 && node->shape != 0)
        return node->shape;
    shape = intern_shape(w, list->n);
    if (list->node != 0)
        node->shape = shape;
    return shape;
}
