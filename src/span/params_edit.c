/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "span/params_edit.h"

#include "span/value.h"

#define ESCAPE '\033'

enum fate {
    KEPT = 0,
    DROPPED,
    CHANGED,
};

void *
edit_alloc(struct edit *edit, size_t size)
{
    void *ptr = pool_alloc(edit->batch->pool, size);

    edit->is_full = edit->is_full || ptr == NULL;
    return ptr;
}

/* --- escape sequences --- */

/* Bytes of a control sequence behind ESC [ : parameters, final byte. */
static size_t
sequence_len(struct sv text)
{
    size_t n = 0;

    while (n < text.len && text.ptr[n] >= 0x20 && text.ptr[n] <= 0x3f)
        n++;
    if (n < text.len && text.ptr[n] >= 0x40 && text.ptr[n] <= 0x7e)
        n++;
    return n;
}

bool
edit_make_plain(struct edit *edit, struct sv *text)
{
    size_t len = 0;
    char *out;

    if (sv_find_byte(*text, ESCAPE) == text->len)
        return false;
    out = edit_alloc(edit, text->len);
    if (out == NULL)
        return false;
    for (size_t i = 0; i < text->len; i++) {
        if (text->ptr[i] != '[' || len == 0 || out[len - 1] != ESCAPE) {
            out[len++] = text->ptr[i];
            continue;
        }
        len--;
        i += sequence_len(sv_sub(*text, i + 1, text->len));
    }
    if (len == text->len)
        return false;
    *text = sv_make(out, len);
    return true;
}

/* --- names --- */

static bool
place_match(const struct place *place, struct sv key,
    const struct params_list *list)
{
    struct field_name name = {{place->before, key, SV_EMPTY}};
    struct field_name other = {{place->other_before, key,
        place->other_after}};

    return params_match(list, &name) ||
        (place->other_before.len > 0 && params_match(list, &other));
}

bool
edit_is_ignored(const struct edit *edit, const struct place *place, struct sv key)
{
    return place_match(place, key, &edit->params->lists[PARAMS_IGNORE]);
}

enum act
edit_act(const struct edit *edit, const struct place *place, struct sv key)
{
    const struct params_list *lists = edit->params->lists;

    if (edit_is_ignored(edit, place, key) ||
        place_match(place, key, &lists[PARAMS_EXTRA]))
        return ACT_CLEAR;
    return place_match(place, key, &lists[PARAMS_DECOLORIZE]) ? ACT_PLAIN
        : ACT_NONE;
}

/* --- values --- */

static enum fate edit_map(struct edit *edit, const struct place *place,
    struct value *map, size_t path_len, unsigned depth);

static enum fate
edit_leaf(struct edit *edit, enum act act, struct value *value)
{
    if (act != ACT_PLAIN || value->type != VALUE_STRING)
        return KEPT;
    return edit_make_plain(edit, &value->str) ? CHANGED : KEPT;
}

/* Appends to the path what fits. */
static size_t
path_add(struct edit *edit, size_t len, struct sv text)
{
    size_t n = MIN(text.len, PATH_BYTES - len);

    memcpy(edit->path + len, text.ptr, n);
    return len + n;
}

/* An entry of a map whose own path is path_len long. */
static enum fate
edit_entry(struct edit *edit, const struct place *place, struct attr *entry,
    size_t path_len, unsigned depth)
{
    size_t len = path_add(edit, path_add(edit, path_len, SV(".")),
        entry->key);
    enum act act = edit_act(edit, place, sv_make(edit->path, len));

    if (act == ACT_CLEAR)
        return DROPPED;
    if (entry->value.type == VALUE_KVLIST)
        return edit_map(edit, place, &entry->value, len, depth);
    return edit_leaf(edit, act, &entry->value);
}

/* Entries that stay are copied as they are on the wire. */
static enum fate
edit_map(struct edit *edit, const struct place *place, struct value *map,
    size_t path_len, unsigned depth)
{
    struct value_iter iter;
    struct attr entry;
    enum fate all = KEPT;
    const uint8_t *start, *at;
    struct sb out;
    char *copy;

    if (depth == 0)
        return KEPT;
    value_iter_init(&iter, map);
    sb_init(&out, map->str.len);
    for (start = at = iter.ptr;
        value_iter_next(&iter, &entry.key, &entry.value); at = iter.ptr) {
        enum fate fate = edit_entry(edit, place, &entry, path_len, depth - 1);

        if (fate != KEPT && all == KEPT) {
            all = CHANGED;
            sb_add(&out, start, (size_t)(at - start));
        }
        if (all == KEPT || fate == DROPPED)
            continue;
        if (fate == KEPT) {
            sb_add(&out, at, (size_t)(iter.ptr - at));
            continue;
        }
        wire_put_head(&out, 1, attr_size(&entry));
        attr_put(&out, &entry);
    }
    if (all == CHANGED && out.len == 0) {
        all = DROPPED;
    } else if (all == CHANGED) {
        copy = sb_failed(&out) ? NULL : edit_alloc(edit, out.len);
        edit->is_full = edit->is_full || copy == NULL;
        if (copy != NULL) {
            memcpy(copy, out.ptr, out.len);
            map->str = sv_make(copy, out.len);
        }
    }
    sb_release(&out);
    return all;
}

/* --- attributes --- */

static enum fate
edit_attr(struct edit *edit, const struct place *place, struct attr *attr)
{
    enum act act = edit_act(edit, place, attr->key);

    if (act == ACT_CLEAR)
        return DROPPED;
    if (attr->value.type == VALUE_KVLIST)
        return edit_map(edit, place, &attr->value,
            path_add(edit, 0, attr->key), VALUE_DEPTH_MAX);
    return edit_leaf(edit, act, &attr->value);
}

/* A copy of the first n attributes with room for all. */
static struct attr *
copy_attrs(struct edit *edit, const struct attrs *attrs, uint32_t n,
    uint32_t room)
{
    struct attr *v = edit_alloc(edit, (room + (size_t)1) * sizeof(*v));

    if (v != NULL && n > 0)
        memcpy(v, attrs->v, n * sizeof(*v));
    return v;
}

int64_t
edit_attrs(struct edit *edit, const struct place *place, struct attrs *attrs,
    const struct attrs *extra)
{
    uint32_t room = attrs->n + extra->n, n = 0;
    struct attr *v = NULL; /* none: nothing changed so far */
    int64_t grown = 0;

    for (uint32_t i = 0; i < attrs->n; i++) {
        struct attr attr = attrs->v[i];
        enum fate fate = edit_attr(edit, place, &attr);

        if (fate != KEPT && v == NULL &&
            (v = copy_attrs(edit, attrs, n, room)) == NULL)
            return 0;
        if (fate == DROPPED) {
            grown -= (int64_t)attr_size(&attrs->v[i]);
            continue;
        }
        if (v != NULL)
            v[n] = attr;
        n++;
    }
    if (extra->n > 0 && v == NULL &&
        (v = copy_attrs(edit, attrs, n, room)) == NULL)
        return 0;
    for (uint32_t i = 0; i < extra->n; i++) {
        v[n++] = extra->v[i];
        grown += (int64_t)wire_bytes_size(attr_size(&extra->v[i]));
    }
    if (v != NULL)
        *attrs = (struct attrs){v, n};
    return grown;
}
