/* SPDX-License-Identifier: BSD-2-Clause */

/* Names and texts of the fields of spans: see flat.h for the list. */

#include "core/base.h"
#include "span/flat.h"

#include "core/num.h"
#include "core/timefmt.h"

/* Keys of nested lists: no longer than the span that has them. */
#define KEY_BYTES_MAX SPAN_BYTES_MAX
/* Texts of arrays: JSON escapes a byte with six at most. */
#define TEXT_BYTES_MAX (8 * SPAN_BYTES_MAX)
/* Fields of one list that are compared one by one; more are hashed. */
#define LIST_PLAIN_MAX 24u
/* A span has about 20 fields beside its attributes. */
#define FIELDS_FIRST 64u

/* --- texts --- */

static bool
dup_text(const char *ptr, size_t len, struct pool *pool, struct sv *text)
{
    char *copy = pool_dup(pool, ptr, len);

    if (copy == NULL)
        return false;
    *text = sv_make(copy, len);
    return true;
}

bool
flat_text(const struct value *value, struct pool *pool, struct sv *text)
{
    char number[24];
    struct sb sb;
    bool good;

    switch ((enum value_type)value->type) {
    case VALUE_STRING:
        *text = value->str.len == 0 ? SV("-") : value->str;
        return true;
    case VALUE_BOOL:
        *text = value->b ? SV("true") : SV("false");
        return true;
    case VALUE_INT:
        return dup_text(number, num_print_i64(number, value->i), pool, text);
    default:
        break;
    }
    sb_init(&sb, TEXT_BYTES_MAX);
    value_text(&sb, value);
    good = !sb_failed(&sb);
    if (good && sb.len == 0)
        *text = SV("-");
    else if (good)
        good = dup_text(sb.ptr, sb.len, pool, text);
    sb_release(&sb);
    return good;
}

size_t
flat_time(char *dst, int64_t ns)
{
    size_t len = time_print_rfc3339(dst, ns, 9);

    len--;
    while (dst[len - 1] == '0')
        len--;
    len -= dst[len - 1] == '.';
    dst[len++] = 'Z';
    return len;
}

/* --- attributes --- */

struct visit {
    flat_attr_fn fn;
    void *arg;
    struct sb key;
};

/* The items of a list; the key so far stands in v->key. */
static bool
visit_list(struct visit *v, const struct value *list)
{
    size_t len = v->key.len;
    struct value_iter iter;
    struct value item;
    struct sv key;

    value_iter_init(&iter, list);
    while (value_iter_next(&iter, &key, &item)) {
        if (key.len == 0 || item.type == VALUE_EMPTY)
            continue;
        sb_add_char(&v->key, '.');
        sb_add_sv(&v->key, key);
        if (sb_failed(&v->key))
            return false;
        if (item.type == VALUE_KVLIST ? !visit_list(v, &item) :
            !v->fn(v->arg, sb_sv(&v->key), &item))
            return false;
        v->key.len = len;
    }
    return true;
}

bool
flat_visit(const struct attr *attr, flat_attr_fn fn, void *arg)
{
    struct visit v = {.fn = fn, .arg = arg};
    bool good;

    if (attr->key.len == 0 || attr->value.type == VALUE_EMPTY)
        return true;
    if (attr->value.type != VALUE_KVLIST)
        return fn(arg, attr->key, &attr->value);
    sb_init(&v.key, KEY_BYTES_MAX);
    sb_add_sv(&v.key, attr->key);
    good = !sb_failed(&v.key) && visit_list(&v, &attr->value);
    sb_release(&v.key);
    return good;
}

/* Cuts "key." off the name; false when it does not start so. */
static bool
cut_key(struct sv *name, struct sv key)
{
    if (name->len <= key.len + 1 || name->ptr[key.len] != '.' ||
        !sv_starts_with(*name, key))
        return false;
    *name = sv_sub(*name, key.len + 1, name->len);
    return true;
}

/* As flat_find(), of the items of a list. */
static bool
find_in_list(const struct value *list, struct sv name, struct pool *pool,
    struct sv *text)
{
    struct value_iter iter;
    struct attr item;

    value_iter_init(&iter, list);
    while (value_iter_next(&iter, &item.key, &item.value)) {
        if (!flat_find(&item, name, pool, text))
            return false;
    }
    return true;
}

bool
flat_find(const struct attr *attr, struct sv key, struct pool *pool,
    struct sv *text)
{
    if (attr->key.len == 0 || attr->value.type == VALUE_EMPTY)
        return true;
    if (attr->value.type == VALUE_KVLIST)
        return !cut_key(&key, attr->key) ||
            find_in_list(&attr->value, key, pool, text);
    return !sv_eq(attr->key, key) || flat_text(&attr->value, pool, text);
}

/* --- a span's fields --- */

struct builder {
    struct flat *flat;
    struct pool *pool;
    uint32_t cap;
    uint32_t list_first;  /* fields of the list that is being added */
    struct sv prefix;     /* of their names */
    uint32_t *buckets;    /* hash of a name -> field + 1, of a long list */
    uint32_t nbuckets;
};

static bool
grow(struct builder *b)
{
    uint32_t cap = b->cap == 0 ? FIELDS_FIRST : 2 * b->cap;
    struct flat_field *fields = pool_alloc(b->pool, cap * sizeof(*fields));

    if (fields == NULL)
        return false;
    if (b->flat->n > 0)
        memcpy(fields, b->flat->fields, b->flat->n * sizeof(*fields));
    b->flat->fields = fields;
    b->cap = cap;
    return true;
}

static bool
add(struct builder *b, struct sv name, struct sv text)
{
    if (text.len == 0)
        return true;
    if (b->flat->n == b->cap && !grow(b))
        return false;
    b->flat->fields[b->flat->n++] = (struct flat_field){name, text};
    return true;
}

static bool
add_i64(struct builder *b, struct sv name, int64_t v)
{
    char number[24];
    struct sv text;

    return dup_text(number, num_print_i64(number, v), b->pool, &text) &&
        add(b, name, text);
}

static bool
add_u64(struct builder *b, struct sv name, uint64_t v)
{
    char number[24];
    struct sv text;

    return dup_text(number, num_print_u64(number, v), b->pool, &text) &&
        add(b, name, text);
}

/* Zeros: no field. */
static bool
add_id(struct builder *b, struct sv name, const uint8_t *id, size_t len)
{
    struct sb hex;
    struct sv text;
    bool zero = true, good;

    for (size_t i = 0; i < len; i++)
        zero = zero && id[i] == 0;
    if (zero)
        return true;
    sb_init(&hex, 2 * len + 1);
    sb_add_hex(&hex, id, len);
    good = dup_text(hex.ptr, hex.len, b->pool, &text) && add(b, name, text);
    sb_release(&hex);
    return good;
}

/* The prefix and the name, in the pool. */
static bool
join(struct builder *b, struct sv name, struct sv *out)
{
    char *ptr = pool_alloc(b->pool, b->prefix.len + name.len + 1);

    if (ptr == NULL)
        return false;
    memcpy(ptr, b->prefix.ptr, b->prefix.len);
    if (name.len > 0)
        memcpy(ptr + b->prefix.len, name.ptr, name.len);
    *out = sv_make(ptr, b->prefix.len + name.len);
    return true;
}

static uint32_t
hash_name(struct sv name)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < name.len; i++)
        h = (h ^ (uint8_t)name.ptr[i]) * UINT64_C(0x100000001b3);
    return (uint32_t)(h ^ h >> 32);
}

/* The key of a field of the current list. */
static struct sv
key_of(const struct builder *b, uint32_t field)
{
    struct sv name = b->flat->fields[field].name;

    return sv_sub(name, b->prefix.len, name.len);
}

/* Puts the list's fields [from, n) into the buckets; none is there yet. */
static void
hash_fields(struct builder *b, uint32_t from)
{
    for (uint32_t i = from; i < b->flat->n; i++) {
        uint32_t slot = hash_name(key_of(b, i)) & (b->nbuckets - 1);

        while (b->buckets[slot] != 0)
            slot = (slot + 1) & (b->nbuckets - 1);
        b->buckets[slot] = i + 1;
    }
}

/* Buckets for at least twice the list's fields. */
static bool
make_buckets(struct builder *b)
{
    uint32_t n = 4 * LIST_PLAIN_MAX;

    while (n < 4 * (b->flat->n - b->list_first))
        n *= 2;
    b->buckets = pool_zalloc(b->pool, n * sizeof(*b->buckets));
    if (b->buckets == NULL)
        return false;
    b->nbuckets = n;
    hash_fields(b, b->list_first);
    return true;
}

/* Field of the list that has the key, or flat.n. */
static uint32_t
find_key(const struct builder *b, struct sv key)
{
    uint32_t slot;

    if (b->buckets == NULL) {
        for (uint32_t i = b->list_first; i < b->flat->n; i++) {
            if (sv_eq(key_of(b, i), key))
                return i;
        }
        return b->flat->n;
    }
    slot = hash_name(key) & (b->nbuckets - 1);
    while (b->buckets[slot] != 0) {
        if (sv_eq(key_of(b, b->buckets[slot] - 1), key))
            return b->buckets[slot] - 1;
        slot = (slot + 1) & (b->nbuckets - 1);
    }
    return b->flat->n;
}

/* The last value of a key wins. */
static bool IMPL(flat_attr_fn)
add_attr(void *arg, struct sv key, const struct value *value)
{
    struct builder *b = arg;
    struct sv name, text;
    uint32_t field, n;

    if (!flat_text(value, b->pool, &text))
        return false;
    field = find_key(b, key);
    if (field < b->flat->n) {
        b->flat->fields[field].text = text;
        return true;
    }
    if (!join(b, key, &name) || !add(b, name, text))
        return false;
    n = b->flat->n - b->list_first;
    if (b->buckets != NULL && 2 * n <= b->nbuckets)
        hash_fields(b, b->flat->n - 1);
    else if (n > LIST_PLAIN_MAX)
        return make_buckets(b);
    return true;
}

static bool
add_attrs(struct builder *b, struct sv prefix, const struct attrs *attrs)
{
    b->list_first = b->flat->n;
    b->prefix = prefix;
    b->buckets = NULL;
    for (uint32_t i = 0; i < attrs->n; i++) {
        if (!flat_visit(&attrs->v[i], add_attr, b))
            return false;
    }
    return true;
}

/* "event:3:event_", in the pool. */
static bool
item_prefix(struct builder *b, const char *what, uint32_t index,
    struct sv *out)
{
    char buf[40];
    int n = snprintf(buf, sizeof(buf), "%s:%u:%s_", what, index, what);

    return dup_text(buf, (size_t)n, b->pool, out);
}

static bool
item_name(struct builder *b, struct sv prefix, const char *part,
    struct sv *out)
{
    b->prefix = prefix;
    return join(b, sv_from(part), out);
}

static bool
add_event(struct builder *b, uint32_t i, const struct span_event *event)
{
    struct sv prefix, name;

    return item_prefix(b, "event", i, &prefix) &&
        item_name(b, prefix, "time_unix_nano", &name) &&
        add_u64(b, name, event->time_ns) &&
        item_name(b, prefix, "name", &name) &&
        add(b, name, event->name) &&
        item_name(b, prefix, "dropped_attributes_count", &name) &&
        add_u64(b, name, event->dropped_attrs) &&
        item_name(b, prefix, "attr:", &name) &&
        add_attrs(b, name, &event->attrs);
}

static bool
add_link(struct builder *b, uint32_t i, const struct span_link *link)
{
    struct sv prefix, name;

    return item_prefix(b, "link", i, &prefix) &&
        item_name(b, prefix, "trace_id", &name) &&
        add_id(b, name, link->trace_id.b, sizeof(link->trace_id.b)) &&
        item_name(b, prefix, "span_id", &name) &&
        add_id(b, name, link->span_id.b, sizeof(link->span_id.b)) &&
        item_name(b, prefix, "trace_state", &name) &&
        add(b, name, link->trace_state) &&
        item_name(b, prefix, "flags", &name) &&
        add_u64(b, name, link->flags) &&
        item_name(b, prefix, "dropped_attributes_count", &name) &&
        add_u64(b, name, link->dropped_attrs) &&
        item_name(b, prefix, "attr:", &name) &&
        add_attrs(b, name, &link->attrs);
}

static bool
add_core(struct builder *b, const struct span *span)
{
    char time[FLAT_TIME_MAX];
    struct sv text;

    return dup_text(time, flat_time(time, span->end_ns), b->pool, &text) &&
        add(b, SV("_time"), text) &&
        add(b, SV("_msg"), SV("-")) &&
        add_id(b, SV("trace_id"), span->trace_id.b, 16) &&
        add_id(b, SV("span_id"), span->span_id.b, 8) &&
        add_id(b, SV("parent_span_id"), span->parent_id.b, 8) &&
        add(b, SV("trace_state"), span->trace_state) &&
        add_u64(b, SV("flags"), span->flags) &&
        add(b, SV("name"), span->name) &&
        add_i64(b, SV("kind"), span->kind) &&
        add_i64(b, SV("start_time_unix_nano"), span->start_ns) &&
        add_i64(b, SV("end_time_unix_nano"), span->end_ns) &&
        add_i64(b, SV("duration"), (int64_t)((uint64_t)span->end_ns -
            (uint64_t)span->start_ns)) &&
        add_u64(b, SV("dropped_attributes_count"), span->dropped_attrs) &&
        add_u64(b, SV("dropped_events_count"), span->dropped_events) &&
        add_u64(b, SV("dropped_links_count"), span->dropped_links) &&
        add(b, SV("status_message"), span->status_message) &&
        add_i64(b, SV("status_code"), span->status_code);
}

bool
flat_span(struct flat *out, const struct batch *batch,
    const struct span *span, struct pool *pool)
{
    const struct resource *resource = &batch->resources[span->resource];
    const struct scope *scope = &batch->scopes[span->scope];
    struct builder b = {.flat = out, .pool = pool};
    struct sv extra = scope->extra_fields, name, text;

    *out = (struct flat){NULL, 0};
    if (!add_core(&b, span) ||
        !add(&b, SV("scope_name"), scope->name) ||
        !add(&b, SV("scope_version"), scope->version) ||
        !add_attrs(&b, SV("resource_attr:"), &resource->attrs) ||
        !add_attrs(&b, SV("scope_attr:"), &scope->attrs) ||
        !add_attrs(&b, SV("span_attr:"), &span->attrs))
        return false;
    for (uint32_t i = 0; i < span->nevents; i++) {
        if (!add_event(&b, i, &span->events[i]))
            return false;
    }
    for (uint32_t i = 0; i < span->nlinks; i++) {
        if (!add_link(&b, i, &span->links[i]))
            return false;
    }
    while (text_list_next(&extra, &name) && text_list_next(&extra, &text)) {
        if (!add(&b, name, text))
            return false;
    }
    return true;
}
