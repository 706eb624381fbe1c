/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "cli/rows_read.h"

#include "cli/text.h"
#include "core/json_in.h"

/* Error lines are cut for messages. */
#define SHOWN_MAX 1000

static bool
read_field(struct json_in *in, struct row_field *field, struct sv key)
{
    field->name = key;
    if (json_peek(in) == JSON_STRING)
        return json_read_string(in, &field->text);
    return json_peek(in) == JSON_NUMBER &&
        json_read_number(in, &field->text);
}

static int
no_memory(struct err *err)
{
    return err_set(err, ERR_LIMIT, "a row is too large");
}

int
row_read(struct row *out, struct sv line, struct pool *pool, struct err *err)
{
    struct row_field *fields = NULL;
    uint32_t n = 0, cap = 0;
    struct json_in in;
    struct sv key;

    json_in_init(&in, line, pool);
    if (!json_enter_object(&in))
        goto bad;
    while (json_next_key(&in, &key)) {
        if (n == cap) {
            struct row_field *more;

            cap = MAX(2 * cap, 32u);
            more = cap > ROW_FIELDS_MAX ? NULL :
                pool_alloc(pool, cap * sizeof(*more));
            if (more == NULL)
                return no_memory(err);
            if (n > 0)
                memcpy(more, fields, n * sizeof(*more));
            fields = more;
        }
        if (!read_field(&in, &fields[n], key))
            goto bad;
        n++;
    }
    if (json_in_failed(&in) || json_peek(&in) != JSON_END)
        goto bad;
    *out = (struct row){fields, n};
    return 0;
bad:
    line = sv_sub(text_strip(line), 0, SHOWN_MAX);
    return err_set(err, ERR_INVALID, "the server says: %.*s", SV_ARG(line));
}
