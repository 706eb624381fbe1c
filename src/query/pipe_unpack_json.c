/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * unpack_json: the members of a JSON object as fields, those of objects in
 * it as "outer.inner".  Texts are decoded; numbers, booleans and arrays stay
 * as they are written; null is no field.  An object with a flattened name of
 * more than UNPACK_NAME_MAX bytes stays JSON.  What is not one whole object,
 * or is nested too deeply for the reader, has no fields.
 */

#include "core/base.h"
#include "query/pipe_type.h"

#include "core/json_in.h"
#include "query/parser.h"
#include "query/unpackers.h"

struct flattener {
    struct json_in in;
    struct unpacked *out;
};

static int flatten(struct flattener *f, struct sv path, bool is_top);

/* The JSON that is skipped. */
static struct sv
skip_raw(struct json_in *in)
{
    const char *start = in->ptr;

    if (!json_skip(in))
        return SV_EMPTY;
    return sv_make(start, (size_t)(in->ptr - start));
}

static int
add_value(struct flattener *f, struct sv name)
{
    struct json_in *in = &f->in;
    struct sv text;

    switch (json_peek(in)) {
    case JSON_OBJECT:
        return flatten(f, name, false);
    case JSON_STRING:
        if (!json_read_string(in, &text))
            return 0;
        break;
    case JSON_NULL:
        (void)json_read_null(in);
        return 0;
    default:
        text = skip_raw(in);
    }
    return json_in_failed(in) ? 0 : unpacked_add(f->out, name, text);
}

/* "path.key"; false: too long, or no memory, and *failed says which. */
static bool
join(struct flattener *f, struct sv path, struct sv key, struct sv *name)
{
    char *ptr;

    name->len = path.len + 1 + key.len;
    if (name->len > UNPACK_NAME_MAX)
        return false;
    name->ptr = ptr = pool_alloc(f->out->pool, name->len);
    if (ptr == NULL)
        return false;
    memcpy(ptr, path.ptr, path.len);
    ptr[path.len] = '.';
    if (key.len > 0)
        memcpy(ptr + path.len + 1, key.ptr, key.len);
    return true;
}

/* The object at the reading position, which json_peek() went to. */
static int
flatten(struct flattener *f, struct sv path, bool is_top)
{
    struct json_in *in = &f->in;
    const char *start = in->ptr;
    uint32_t before = f->out->n;
    bool is_kept = false; /* as JSON */
    struct sv key;

    if (!json_enter_object(in))
        return 0;
    while (json_next_key(in, &key)) {
        struct sv name = key;

        if (!is_top && !is_kept && !join(f, path, key, &name)) {
            if (name.len <= UNPACK_NAME_MAX)
                return -1;
            is_kept = true;
        }
        if (is_kept)
            (void)json_skip(in);
        else if (add_value(f, name) != 0)
            return -1;
    }
    if (!is_kept || json_in_failed(in))
        return 0;
    f->out->n = before;
    return unpacked_add(f->out, path,
        sv_make(start, (size_t)(in->ptr - start)));
}

int
unpack_json(struct unpacked *out, struct sv text,
    UNUSED const struct unpack_spec *spec)
{
    struct flattener f = {.out = out};

    json_in_init(&f.in, text, out->pool);
    if (json_peek(&f.in) != JSON_OBJECT)
        return 0;
    if (flatten(&f, SV_EMPTY, true) != 0)
        return -1;
    if (json_in_failed(&f.in) || json_peek(&f.in) != JSON_END)
        out->n = 0;
    return 0;
}

static int
parse(struct parser *p, struct pipe *pipe)
{
    return unpack_parse(p, pipe, unpack_json);
}

const struct pipe_ops pipe_unpack_json = {
    parse, unpack_print, map_needed, map_make, unpack_mapper
};
