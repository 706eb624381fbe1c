/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Attribute lists and texts as a request's parameters change them; private to
 * params_apply.c and params_edit.c.
 */

#ifndef SPOOR_SPAN_PARAMS_EDIT_H
#define SPOOR_SPAN_PARAMS_EDIT_H

#include "core/base.h"
#include "span/params.h"

/*
 * Of the dotted path of a map's leaf, as far as a pattern can look: names of
 * parameters are shorter.
 */
#define PATH_BYTES (2 * SPAN_FIELD_NAME_MAX)

enum act {
    ACT_NONE = 0,
    ACT_CLEAR,
    ACT_PLAIN, /* without escape sequences */
    ACT_SET,
};

struct rule {
    enum act act;
    struct sv text;
    int64_t number;
};

/* Around a key: "event:0:event_attr:" or "event:event_attr:" and ":0". */
struct place {
    struct sv before;
    struct sv other_before; /* empty: the name has one form */
    struct sv other_after;
};

struct edit {
    const struct params *params;
    struct batch *batch;
    struct rule rules[PARAMS_FIELDS];
    struct attrs resource_extra;
    struct attrs scope_extra;
    struct attrs span_extra;
    struct sv stream_fields; /* text lists */
    struct sv extra_fields;
    bool is_full; /* the pool */
    char path[PATH_BYTES];
};

/* Of the batch's pool; NULL sets is_full. */
void *edit_alloc(struct edit *edit, size_t size) WARN_UNUSED;

/*
 * Takes terminal control sequences out.  One that appears only when another
 * is taken out goes as well: the result never holds ESC [.  False: unchanged.
 */
bool edit_make_plain(struct edit *edit, struct sv *text);

bool edit_is_ignored(const struct edit *edit, const struct place *place,
    struct sv key);
/* CLEAR, PLAIN or NONE. */
enum act edit_act(const struct edit *edit, const struct place *place,
    struct sv key);

/*
 * The attributes of one list, with the extra ones behind them.  Returns by
 * how many bytes of wire it grew, or more.
 */
int64_t edit_attrs(struct edit *edit, const struct place *place,
    struct attrs *attrs, const struct attrs *extra);

#endif
